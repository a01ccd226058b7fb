import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeAaa, encodeCcc } from "../../codec/encode.ts";
import { OUTCOME_NAMES, RequestWriter, readResponse } from "../../codec/envelope.ts";
import { encodeFrame } from "../../codec/frame.ts";
import { listActions } from "../../src/audit.ts";
import { queueCommand } from "../../src/commands.ts";
import type { Ctx, UserPrincipal } from "../../src/context.ts";
import { deviceOf, listDevices } from "../../src/devices.ts";
import { carryOut } from "../../src/erasure.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { askByMail } from "../../src/identity.ts";
import { ingest } from "../../src/ingest.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { watchRequests } from "../../src/request-watch.ts";
import { cancelRequest, denyRequest, makeRequest, requestOf, resolveRequest } from "../../src/requests.ts";
import { makeLink, trackOfSubject } from "../../src/subject-links.ts";
import {
  liftSuspension,
  listSuspensions,
  purgeSuspensions,
  suspendTransfers,
  suspensionOf,
} from "../../src/suspensions.ts";
import { listUnclaimed } from "../../src/unclaimed.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
  withElsewhere,
} from "../database.ts";
import { settled } from "../stored.ts";

const MINUTE = 60_000;
let database: TestDatabase;
let base: TestBase;
let accountId: number;
let owner: { id: number; email: string };
let device: { id: number; accountId: number; imei: string };

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(base.db);
  owner = await aUser(base.db, { role: "owner", accountId });
  device = await aDevice(base.db, { accountId });
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const as = (userId: number, more: Partial<UserPrincipal> = {}, of = accountId): Ctx =>
  aContext(base, asUser(of, userId, { provedAt: base.now(), ...more }));
const me = (more: Partial<UserPrincipal> = {}) => as(owner.id, more);
const staff = async () => {
  const { id } = await aUser(base.db, { role: "privacy" });
  const person = { userId: id, sessionId: 9, provedAt: base.now(), secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  return aContext(base, { kind: "staff", role: "privacy", trained: true, ...person, ...taste });
};
const sql = (text: string, args: (string | number)[] = []) => database.client.execute({ sql: text, args });
const entries = async () => (await sql("SELECT type FROM ledger ORDER BY seq")).rows.map((row) => row.type);
const restrict = async (scope: ErasureScope, ctx = me()) =>
  (await makeRequest(ctx, { type: "restrict", scope })).request;
const inForce = (ctx = me()) => listSuspensions(ctx, { inForceOnly: true });
const liftAll = async (ctx = me()) => {
  for (const row of await inForce(ctx)) await liftSuspension(ctx, row);
};
const refused = (code: string, more: object = {}) => expect.objectContaining({ code, ...more });

let count = 0;
const report = (fixTime: number) => ({
  ...{ event: { code: 35 }, valid: true, latitude: 22.5, longitude: 114, odometerM: count++ },
  fixTime: Math.floor(fixTime / 1000) * 1000,
});
const aaa = (imei = device.imei, fixTime = base.now()) => encodeAaa({ identifier: "A", imei, report: report(fixTime) });

interface Sent {
  frames?: readonly (Uint8Array | readonly [Uint8Array, receivedAt: number])[];
  claims?: readonly number[];
}
async function send({ frames = [], claims = [] }: Sent) {
  const request = new RequestWriter();
  for (const each of frames) {
    const [frame, receivedAt] = each instanceof Uint8Array ? [each, base.now()] : each;
    request.frame(1, 0, receivedAt, frame);
  }
  for (const id of claims) request.claim(id, 1);
  const response = readResponse(await ingest(base, 0, request.finish().slice()));
  await base.settled();
  return {
    outcomes: response.frames.map(({ outcome }) => OUTCOME_NAMES[outcome]),
    replies: response.frames.map(({ reply }) => (reply === null ? null : new TextDecoder("latin1").decode(reply))),
    downlinks: response.downlinks.map(({ commandId }) => commandId),
    offers: response.offers.map(({ commandId }) => commandId),
  };
}
const outcomes = async (...frames: NonNullable<Sent["frames"]>) => (await send({ frames })).outcomes;
/** Positions of the account's track, by the time of their fix. */
const stored = async (id = device.id) =>
  (await history(me(), id, { limit: 1000 })).data.map(({ fixTime }) => Date.parse(fixTime) - NOON);

describe("a restriction", () => {
  test("takes effect at once: of 200 frames nothing is stored, the tracker is answered as ever, and nothing is noted but their number", async () => {
    expect(await outcomes(aaa())).toEqual(["stored"]);
    base.advance(MINUTE);
    const request = await restrict({ kind: "devices", devices: [device.id] });
    expect(request).toMatchObject({ type: "restrict", state: "cleared", closedAt: base.now() });
    expect(await entries()).toEqual(["verified", "restricted"]);
    for (let batch = 0; batch < 10; batch++) {
      base.advance(10_000);
      expect(new Set(await outcomes(...Array.from({ length: 20 }, () => aaa())))).toEqual(new Set(["unknown_device"]));
    }
    expect(await stored()).toEqual([0]);
    await settled(base);
    expect(await stored()).toEqual([0]);
    expect(await listUnclaimed(base)).toEqual([]);
    expect(base.logged.join("\n")).not.toContain(device.imei);
    expect(base.logged.some((line) => line.includes("ingest.silenced"))).toBe(true);
  });

  test("its tracker gets the answers of one whose frames are stored, so that it does not send again", async () => {
    const here = await aDevice(base.db, { confirmCce: 1 });
    await sql("UPDATE devices SET confirm_cce = 1");
    await restrict({ kind: "tracks" });
    const frames = (imei: string) => [
      encodeCcc({ identifier: "A", imei, reports: [report(NOON), report(NOON)] } as never),
      encodeFrame({ direction: "up", identifier: "B", imei, type: "AAC", content: "" }),
      aaa(imei),
    ];
    const without = ({ replies }: { replies: (string | null)[] }) =>
      replies.map((reply) => reply?.replace(/\d{15}/, "").replace(/\*..\r\n$/, ""));
    const answered = await send({ frames: frames(device.imei) });
    expect(answered.outcomes).not.toContain("stored");
    expect(without(answered)).toEqual(without(await send({ frames: frames(here.imei) })));
    expect(answered.replies[0]).toContain(",CCC,2*");
  });

  test("ends when it is lifted: then everything is stored again, but for what was received or taken meanwhile", async () => {
    await restrict({ kind: "devices", devices: [device.id] });
    base.advance(10 * MINUTE);
    const [row] = await inForce();
    await liftSuspension(me(), row!);
    expect(await entries()).toEqual(["verified", "restricted", "resumed"]);
    expect(await inForce()).toEqual([]);
    base.advance(MINUTE);
    // A bridge repeats what it received meanwhile; a tracker was out of reach and brings what it took meanwhile.
    expect(await outcomes([aaa(undefined, NOON - 5 * MINUTE), NOON + 5 * MINUTE])).toEqual(["unknown_device"]);
    await outcomes(aaa(undefined, NOON + 6 * MINUTE), aaa(undefined, NOON - MINUTE), aaa());
    expect(await stored()).toEqual([-MINUTE, 11 * MINUTE]);
  });

  test("what was received before it is stored, also when it is relayed after", async () => {
    await sql("UPDATE devices SET created_at = ?", [NOON - 60 * MINUTE]);
    await restrict({ kind: "tracks" });
    base.advance(MINUTE);
    expect(await outcomes([aaa(undefined, NOON - 2 * MINUTE), NOON - MINUTE], aaa())).toEqual([
      "stored",
      "unknown_device",
    ]);
    expect(await stored()).toEqual([-2 * MINUTE]);
  });

  test("is about what it names: another tracker of the account goes on, and with all of the account one that comes later stops, too", async () => {
    const other = await aDevice(base.db, { accountId });
    const foreign = await aDevice(base.db);
    await restrict({ kind: "devices", devices: [device.id] });
    expect(await outcomes(aaa(), aaa(other.imei), aaa(foreign.imei))).toEqual(["unknown_device", "stored", "stored"]);
    await restrict({ kind: "account" });
    const later = await aDevice(base.db, { accountId });
    expect(await outcomes(aaa(other.imei), aaa(later.imei), aaa(foreign.imei))).toEqual([
      "unknown_device",
      "unknown_device",
      "stored",
    ]);
    // Each goes on when nothing suspends it any more.
    const [all] = await inForce();
    expect(all).toMatchObject({ deviceId: null });
    await liftSuspension(me(), all!);
    base.advance(MINUTE);
    expect(await outcomes(aaa(), aaa(other.imei))).toEqual(["unknown_device", "stored"]);
  });

  test("holds for tracks in another database, too", async () => {
    const other = await withElsewhere(base.db, "eu");
    await sql("UPDATE accounts SET telemetry = 'eu' WHERE id = ?", [accountId]);
    await other.client.execute({
      sql: "INSERT INTO residents (account_id, placement, state) VALUES (?, 1, 'here')",
      args: [accountId],
    });
    expect(await outcomes(aaa())).toEqual(["stored"]);
    base.advance(MINUTE);
    await restrict({ kind: "account" });
    expect(await outcomes(aaa())).toEqual(["unknown_device"]);
    expect(await stored()).toEqual([0]);
    other.close();
  });

  test("sends it no command, not one that waits and no new one, until it is lifted", async () => {
    const seen = await deviceOf(me(), device.id);
    const command = { code: "A10", arguments: {}, ttlSeconds: 86_400 } as const;
    const { id } = await queueCommand(me(), seen, command);
    expect((await send({})).offers).toEqual([id]);
    await restrict({ kind: "devices", devices: [device.id] });
    const asked = await send({ claims: [id] });
    expect(asked).toMatchObject({ downlinks: [], offers: [] });
    await expect(queueCommand(me(), await deviceOf(me(), device.id), command)).rejects.toEqual(refused("conflict"));
    await liftAll();
    base.advance(1);
    expect(await send({ claims: [id] })).toMatchObject({ downlinks: [id] });
  });

  test("a reply to a command, which may say where it is, is not kept either", async () => {
    const { id } = await queueCommand(me(), await deviceOf(me(), device.id), {
      code: "A10",
      arguments: {},
      ttlSeconds: 86_400,
    });
    await send({ claims: [id] });
    await restrict({ kind: "tracks" });
    base.advance(1000);
    const reply = { identifier: "A", imei: device.imei, report: { ...report(base.now()), event: { code: 34 } } };
    await outcomes(encodeAaa(reply));
    expect((await sql("SELECT state, reply FROM commands")).rows[0]).toMatchObject({ state: "sent", reply: null });
  });

  test("is refused twice while it is in force, and can be asked for again after", async () => {
    const { name } = await restrict({ kind: "tracks" });
    await expect(restrict({ kind: "tracks" })).rejects.toEqual(refused("conflict", { more: { request: name } }));
    await liftAll();
    base.advance(MINUTE);
    await restrict({ kind: "tracks" });
    expect(await inForce()).toHaveLength(1);
  });

  test("is about the account, its tracks or devices: of anything else it says so, also to whoever cannot sign in", async () => {
    const others: ErasureScope[] = [
      { kind: "range", device: device.id, from: NOON - MINUTE, to: NOON },
      { kind: "categories", categories: ["profile"] },
      { kind: "fields", fields: ["users.name"] },
    ];
    for (const scope of others) {
      await expect(restrict(scope)).rejects.toEqual(refused("invalid", { field: "scope.kind" }));
    }
    await expect(makeRequest(me(), { type: "object", scope: others[0]! })).rejects.toEqual(
      refused("invalid", { field: "scope.kind" }),
    );
    for (const email of [owner.email, "nobody@edge.test"]) {
      const asked = askByMail(aContext(base, { kind: "anonymous" }), { email, type: "restrict", scope: others[1]! });
      await expect(asked).rejects.toEqual(refused("invalid", { field: "scope.kind" }));
    }
    const viewer = await aUser(base.db, { role: "viewer", accountId });
    const all: ErasureScope[] = [{ kind: "account" }, { kind: "devices", devices: [device.id] }];
    for (const scope of all) {
      await expect(restrict(scope, as(viewer.id, { role: "viewer" }))).rejects.toEqual(refused("forbidden"));
    }
    expect(await inForce()).toEqual([]);
    // What is held about oneself one may object to: people decide it, and nothing stops meanwhile.
    await makeRequest(as(viewer.id, { role: "viewer" }), { type: "object", scope: others[1]! });
    expect(await inForce()).toEqual([]);
  });

  test("everybody whom it concerns is told that it is done, without a link to cancel it", async () => {
    const manager = await aUser(base.db, { role: "manager", accountId });
    await restrict({ kind: "devices", devices: [device.id] }, as(manager.id, { role: "manager" }));
    await base.settled();
    expect(base.sent.map(({ to }) => to).toSorted()).toEqual([manager.email, owner.email].toSorted());
    for (const { subject, text } of base.sent) {
      expect(subject).toBe("Done as you asked");
      expect(text).not.toContain("/privacy/cancel/");
    }
  });

  test("whose own call was stopped is ended by the job, with one entry in the ledger", async () => {
    const { name } = await restrict({ kind: "tracks" });
    await sql("UPDATE requests SET state = 'verified', closed_at = NULL");
    await watchRequests(base);
    expect((await requestOf(me(), name)).state).toBe("verified");
    base.advance(LIMITS.requestLeftMs);
    await watchRequests(base);
    expect((await requestOf(me(), name)).state).toBe("cleared");
    expect(await entries()).toEqual(["verified", "restricted"]);
    await sql("UPDATE requests SET state = 'verified', closed_at = NULL");
    await expect(denyRequest(await staff(), await requestOf(me(), name), "No ground for it")).rejects.toEqual(
      refused("conflict"),
    );
    expect(await inForce()).toHaveLength(1);
  });
});

describe("an objection", () => {
  const object = async () => (await makeRequest(me(), { type: "object", scope: { kind: "tracks" } })).request;

  test("restricts while it is decided; refused, it goes on at once", async () => {
    const request = await object();
    expect(request.state).toBe("verified");
    expect(await outcomes(aaa())).toEqual(["unknown_device"]);
    expect(await inForce()).toMatchObject([{ kind: "objected", request: request.name, deviceId: null }]);
    base.advance(MINUTE);
    await denyRequest(await staff(), request, "The lease of the vehicle asks for it");
    expect(await listSuspensions(me())).toMatchObject([{ liftedAt: NOON + MINUTE, liftedBy: null }]);
    base.advance(MINUTE);
    expect(await outcomes(aaa())).toEqual(["stored"]);
    expect(await entries()).toEqual(["verified", "denied"]);
  });

  test("upheld, it stays until the customer lifts it", async () => {
    const request = await object();
    await resolveRequest(await staff(), request, "Nothing speaks for using it");
    expect(await entries()).toEqual(["verified", "restricted"]);
    expect(await outcomes(aaa())).toEqual(["unknown_device"]);
    await liftAll();
    base.advance(1);
    expect(await outcomes(aaa())).toEqual(["stored"]);
  });

  test("cancelled, it goes on", async () => {
    await cancelRequest(me(), await object());
    expect(await inForce()).toEqual([]);
    base.advance(1);
    expect(await outcomes(aaa())).toEqual(["stored"]);
  });
});

describe("suspendTransfers()", () => {
  test("stops everything of the account, once however often it is asked", async () => {
    const first = await suspendTransfers(me());
    expect(first).toMatchObject({ kind: "legislation", deviceId: null, since: NOON, request: null, liftedAt: null });
    base.advance(MINUTE);
    expect(await suspendTransfers(me())).toEqual(first);
    expect(await entries()).toEqual(["restricted"]);
    expect(await outcomes(aaa())).toEqual(["unknown_device"]);
    const [act] = await listActions(base, accountId, Number.MAX_SAFE_INTEGER, 1);
    expect(act).toMatchObject({ action: "transfers.suspended", subject: `suspension ${first.id}` });
    await liftAll();
    base.advance(1);
    expect(await outcomes(aaa())).toEqual(["stored"]);
    expect((await suspendTransfers(me())).id).not.toBe(first.id);
  });

  test("two at once make one", async () => {
    const [one, other] = await Promise.all([suspendTransfers(me()), suspendTransfers(me())]);
    expect(other).toEqual(one);
  });

  test("needs a fresh proof of who asks, and so does letting it go on", async () => {
    await expect(suspendTransfers(me({ provedAt: 0 }))).rejects.toEqual(refused("step_up_required"));
    const row = await suspendTransfers(me());
    await expect(liftSuspension(me({ provedAt: 0 }), row)).rejects.toEqual(refused("step_up_required"));
    await liftSuspension(me(), row);
    await expect(liftSuspension(me(), row)).rejects.toEqual(refused("conflict"));
    await expect(liftSuspension(me(), await suspensionOf(me(), row.id))).rejects.toEqual(refused("conflict"));
  });
});

describe("who may let it go on", () => {
  test("another account's is not there; viewers and limited people cannot, a manager what they asked for themselves", async () => {
    await restrict({ kind: "devices", devices: [device.id] });
    const [row] = await inForce();
    const stranger = await aUser(base.db, { role: "owner" });
    const theirs = as(stranger.id, {}, stranger.accountId!);
    await expect(suspensionOf(theirs, row!.id)).rejects.toEqual(refused("not_found"));
    expect(await listSuspensions(theirs)).toEqual([]);
    const other = await aDevice(base.db, { accountId });
    const manager = await aUser(base.db, { role: "manager", accountId });
    const blind = as(manager.id, { role: "manager", devices: [other.id], editable: [other.id] });
    await expect(suspensionOf(blind, row!.id)).rejects.toEqual(refused("not_found"));
    const seeing = as(manager.id, { role: "manager", devices: [device.id], editable: [device.id] });
    for (const ctx of [seeing, as(manager.id, { role: "manager" }), as(manager.id, { role: "viewer" })]) {
      await expect(liftSuspension(ctx, await suspensionOf(ctx, row!.id))).rejects.toEqual(refused("forbidden"));
    }
    await restrict({ kind: "devices", devices: [other.id] }, as(manager.id, { role: "manager" }));
    const [own] = await inForce(as(manager.id, { role: "manager" }));
    await liftSuspension(as(manager.id, { role: "manager" }), own!);
    expect((await inForce()).map(({ id }) => id)).toEqual([row!.id]);
    expect(await listSuspensions(as(manager.id, { role: "viewer", devices: [other.id] }))).toMatchObject([
      { id: own!.id, liftedBy: manager.id },
    ]);
  });
});

describe("the account's own people", () => {
  test("still see everything, and what is suspended says so", async () => {
    await outcomes(aaa());
    await restrict({ kind: "account" });
    expect(await listDevices(me(), 0, 9)).toMatchObject([{ id: device.id, suspendedSince: NOON }]);
    expect(await stored()).toEqual([0]);
    await liftAll();
    expect(await deviceOf(me(), device.id)).toMatchObject({ suspendedSince: null });
  });

  test("and nobody else: a link for who drives it shows no track meanwhile", async () => {
    await outcomes(aaa());
    base.advance(MINUTE);
    const asked = { from: NOON - MINUTE, to: NOON + MINUTE, showsTrack: true };
    const { link } = await makeLink(me(), device, asked);
    const look = () => trackOfSubject(aContext(base, { kind: "anonymous" }), link, "csv");
    expect((await look()).fileName).toContain(".csv");
    await restrict({ kind: "tracks" });
    await expect(look()).rejects.toEqual(refused("suspended"));
    await liftAll();
    await look();
  });

  test("can have everything erased: nothing of the account is left, its suspensions neither", async () => {
    await outcomes(aaa());
    await restrict({ kind: "devices", devices: [device.id] });
    await suspendTransfers(me());
    const { request } = await makeRequest(me(), { type: "erase", scope: { kind: "account" } });
    for (let i = 0; i < 20; i++) {
      await carryOut(base);
      base.advance(MINUTE);
    }
    const { rows } = await sql("SELECT state FROM requests WHERE name = ?", [request.name]);
    expect(rows[0]!.state).toBe("cleared");
    expect((await sql("SELECT count(*) FROM suspensions")).rows[0]![0]).toBe(0);
    expect(await outcomes(aaa())).toEqual(["unknown_device"]);
    expect(await listUnclaimed(base)).toEqual([]);
  });
});

test("what was lifted is forgotten 400 days after, and what is in force never", async () => {
  await restrict({ kind: "devices", devices: [device.id] });
  await liftAll();
  await suspendTransfers(me());
  base.at(NOON + LIMITS.suspensionsMs - 1);
  expect(await purgeSuspensions(base)).toBe(0);
  base.advance(1);
  expect(await purgeSuspensions(base)).toBe(1);
  expect((await listSuspensions(me())).map(({ kind }) => kind)).toEqual(["legislation"]);
});

test("a request that is forgotten leaves what it suspended in force", async () => {
  await restrict({ kind: "tracks" });
  await sql("DELETE FROM requests");
  expect(await inForce()).toMatchObject([{ kind: "restricted", request: null, liftedAt: null }]);
});
