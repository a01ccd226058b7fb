import { afterEach, beforeEach, expect, test } from "vitest";
import type { Ctx } from "../../src/context.ts";
import { askForProof, proofOf, watchProofs } from "../../src/device-proof.ts";
import { askForAccount, confirmIdentity } from "../../src/identity.ts";
import { LIMITS } from "../../src/limits.ts";
import { watchRequests } from "../../src/request-watch.ts";
import { anyRequest, denyRequest, type PrivacyRequest } from "../../src/requests.ts";
import { aBase, aContext, aDatabase, aDevice, aUser, NOON, type TestBase, type TestDatabase } from "../database.ts";
import { type PositionSpec, settled, stored } from "../stored.ts";

const [SOS, INTERVAL] = [1, 35];
const MINUTE = 60_000;

let database: TestDatabase;
let base: TestBase;
let device: Awaited<ReturnType<typeof aDevice>>;
let clerk: Ctx;
let request: PrivacyRequest;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  device = await aDevice(database.db, { createdAt: NOON - 1e9 });
  clerk = await staff();
  const { accountId } = device;
  const asked = { accountId, type: "erase", scope: { kind: "account" }, reason: "Phone and mailbox are lost" } as const;
  request = await askForAccount(clerk, asked);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

async function staff(): Promise<Ctx> {
  const { id } = await aUser(base.db, { role: "privacy" });
  const person = { userId: id, sessionId: 9, provedAt: base.now(), secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  return aContext(base, { kind: "staff", role: "privacy", trained: true, ...person, ...taste });
}

/** A report that is received now. */
const report = (more: PositionSpec = {}, of = device) =>
  stored(base, of, [{ event: SOS, fixTime: base.now(), receivedAt: base.now(), ...more }]);
const proof = async () => proofOf(base, await anyRequest(base, request.name));
const ask = async () => askForProof(clerk, await anyRequest(base, request.name));

test("two presses within ten minutes are evidence, and nothing of them but the time is kept", async () => {
  expect(await proof()).toBeNull();
  expect(await ask()).toBe(NOON + LIMITS.proofMs);
  base.advance(MINUTE);
  await report();
  expect(await proof()).toEqual({ askedAt: NOON, until: NOON + LIMITS.proofMs, seenAt: null });
  base.advance(8 * MINUTE);
  await report();
  expect(await proof()).toMatchObject({ seenAt: NOON + 9 * MINUTE });
  const row = await anyRequest(base, request.name);
  expect(row).toMatchObject({ proofSeenAt: NOON + 9 * MINUTE, state: "identity_pending", countsAt: null });
  // It is for people to decide with: alone it confirms nothing.
  expect(await confirmIdentity(clerk, row, "Two presses of SOS came when asked")).toEqual({ another: true });
  const acts = await database.client.execute("SELECT action, subject FROM audit WHERE action = 'request.proof'");
  expect(acts.rows).toEqual([{ action: "request.proof", subject: `request ${row.id}` }]);
});

test("the job sees them, also when they were settled meanwhile and nobody looks", async () => {
  await ask();
  await report();
  base.advance(MINUTE);
  await report();
  await settled(base);
  expect(await watchProofs(base)).toBe(1);
  expect(await watchProofs(base)).toBe(0);
  base.advance(LIMITS.proofMs * 2);
  expect((await proof())!.seenAt).toBe(NOON + MINUTE);
});

test.each([
  ["one press", [{}]],
  ["one press that is sent twice", [{}, {}]],
  ["another event", [{ event: INTERVAL }, { event: INTERVAL, fixTime: NOON + 30_000 }]],
  [
    "presses of before that come now",
    [{ fixTime: NOON - 2 * MINUTE }, { fixTime: NOON - 3 * MINUTE }, { fixTime: NOON + 1000 }],
  ],
] as [string, PositionSpec[]][])("%s is none", async (_, reports) => {
  await ask();
  base.advance(MINUTE);
  for (const each of reports) await report({ fixTime: NOON + MINUTE, ...each });
  expect((await proof())!.seenAt).toBeNull();
});

test("nor are presses before it was asked, after the time, of two trackers, or of another account", async () => {
  await report({ fixTime: NOON - 2000 });
  await report({ fixTime: NOON - 1000 });
  base.advance(1000);
  await ask();
  const second = await aDevice(database.db, { accountId: device.accountId, createdAt: NOON - 1e9 });
  const other = await aDevice(database.db, { createdAt: NOON - 1e9 });
  await report();
  await report({}, second);
  for (let i = 0; i < 3; i++) {
    base.advance(MINUTE);
    await report({}, other);
  }
  expect((await proof())!.seenAt).toBeNull();
  base.at(NOON + 1000 + LIMITS.proofMs + 1);
  await report();
  expect((await proof())!.seenAt).toBeNull();
  await watchRequests(base);
  expect((await anyRequest(base, request.name)).proofSeenAt).toBeNull();
});

test("what came in time and is looked at a little late still counts", async () => {
  await ask();
  await report();
  base.advance(LIMITS.proofMs);
  await report();
  base.advance(LIMITS.proofGraceMs);
  expect((await proof())!.seenAt).toBe(NOON + LIMITS.proofMs);
});

test("it is asked for once at a time, of a request that is the staff's, by who has proved who they are", async () => {
  await ask();
  await expect(ask()).rejects.toMatchObject({ code: "conflict" });
  base.advance(LIMITS.proofMs);
  await ask();
  await expect(askForProof(aContext(base), request)).rejects.toMatchObject({ code: "forbidden" });
  base.advance(LIMITS.stepUpMs);
  await expect(ask()).rejects.toMatchObject({ code: "step_up_required" });
  clerk = await staff();
  await denyRequest(clerk, request, "Nobody could say that it is them");
  await expect(ask()).rejects.toMatchObject({ code: "conflict" });
});

test("it is forgotten 30 days after the end of its request", async () => {
  await ask();
  await report();
  base.advance(1000);
  await report();
  expect((await proof())!.seenAt).not.toBeNull();
  await denyRequest(clerk, request, "Nobody could say that it is them");
  base.advance(LIMITS.requestEvidenceMs - 1);
  await watchRequests(base);
  expect(await proof()).not.toBeNull();
  base.advance(1);
  await watchRequests(base);
  const { proofAskedAt, proofAfter, proofSeenAt } = await anyRequest(base, request.name);
  expect([proofAskedAt, proofAfter, proofSeenAt]).toEqual([null, null, null]);
});
