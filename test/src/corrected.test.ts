import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { verifyReceipt } from "../../client/receipt.ts";
import type { Ctx, Db } from "../../src/context.ts";
import { beforeCorrection } from "../../src/corrections.ts";
import { changeDevice, deleteDevice, deviceOf } from "../../src/devices.ts";
import { carryOut } from "../../src/erasure.ts";
import { publishedHeads } from "../../src/ledger.ts";
import { LIMITS } from "../../src/limits.ts";
import { changeAccount, changeProfile } from "../../src/profile.ts";
import {
  cancelRequest,
  denyRequest,
  listAllRequests,
  listRequests,
  makeRequest,
  publicReceipt,
} from "../../src/requests.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { addressesOf } from "../../src/store/accounts.ts";
import { stepsOf } from "../../src/store/erasure.ts";
import * as schema from "../../src/store/schema.ts";
import { userById } from "../../src/store/users.ts";
import { ownSecretsOf } from "../../src/vault.ts";
import {
  aBase,
  aContext,
  aDatabaseFile,
  aDevice,
  anAccount,
  asUser,
  aUser,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

// A copy of the database file is taken, something is corrected, and the copy is opened with the key store as it is by then.

let database: TestDatabase & { path: string };
let folder: string;
let keys: string;
let secrets: ReturnType<typeof fileSecrets>;
let base: TestBase;
let accountId: number;
let userId: number;
let me: () => Ctx;
const open: { close(): void }[] = [];

beforeEach(async () => {
  database = await aDatabaseFile({ concurrency: 1 });
  folder = mkdtempSync(join(tmpdir(), "ephemeris-corrected-"));
  keys = mkdtempSync(join(tmpdir(), "ephemeris-keys-"));
  secrets = fileSecrets(keys);
  base = Object.assign(aBase(database.db), { secrets });
  accountId = await anAccount(base.db);
  userId = (await aUser(base.db, { accountId, role: "owner", name: "Kim Wrong", mobile: "+431234567" })).id;
  me = () => aContext(base, asUser(accountId, userId, { provedAt: base.now() }));
});
afterEach(async () => {
  await base.settled();
  for (const each of open.splice(0)) each.close();
  database.close();
  secrets.close();
  for (const each of [folder, keys]) rmSync(each, { recursive: true, force: true });
});

let copies = 0;
async function copied(): Promise<string> {
  await base.db.$client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  const path = join(folder, `${copies++}.db`);
  cpSync(database.path, path);
  return path;
}

/** A platform over a copy, with the key store as it is now. */
async function over(path: string): Promise<TestBase> {
  const client = createClient({ url: `file:${path}` });
  open.push(client);
  const db = drizzle(client, { schema }) as Db;
  return Object.assign(aBase(db, { now: base.now() }), { secrets });
}

/** The job, as often as time passes, for so long. */
async function run(ms: number): Promise<void> {
  for (const end = base.now() + ms; base.now() < end; base.advance(60_000)) await carryOut(base);
}

const requests = async () => (await base.db.$client.execute("SELECT * FROM requests ORDER BY id")).rows;
const entries = async () =>
  (await base.db.$client.execute("SELECT type FROM ledger ORDER BY seq")).rows.map((row) => row[0]);
const ADDRESS = {
  recipient: "Kim",
  line1: "Old Lane 1",
  line2: null,
  city: "Graz",
  region: null,
  postcode: null,
  country: "AT",
};

test("what a request corrects opens in no copy of before, and the receipt says that it is so", async () => {
  await changeAccount(me(), { addresses: { billing: ADDRESS } });
  const before = await copied();
  expect((await userById((await over(before)).db, userId))?.name).toBe("Kim Wrong");
  const correction = {
    profile: { name: "Kim Right" },
    account: { addresses: { billing: { ...ADDRESS, line1: "New Lane 2" } } },
  };
  const { request } = await makeRequest(me(), { type: "correct", correction });
  expect(request).toMatchObject({ state: "verified", closedAt: null });
  expect((await userById(base.db, userId))?.name).toBe("Kim Right");
  const between = await copied();
  await run(4 * 60_000);
  expect((await requests()).filter(({ name }) => name === request.name)).toMatchObject([{ state: "cleared" }]);
  expect(await entries()).toEqual(["verified", "corrected"]);

  expect(await userById(base.db, userId)).toMatchObject({ name: "Kim Right", mobile: "+431234567" });
  expect((await addressesOf(base.db, accountId))[0]?.line1).toBe("New Lane 2");
  for (const path of [before, between]) {
    const old = await over(path);
    expect(await userById(old.db, userId)).toMatchObject({ name: "", mobile: "" });
    expect((await addressesOf(old.db, accountId))[0]?.line1).toBe("");
  }
  const receipt = await publicReceipt(base, request.name);
  const { ok, receipt: said } = await verifyReceipt(receipt, await publishedHeads(base));
  expect(ok).toBe(true);
  expect(said).toMatchObject({ type: "correct", scopeClass: "fields", result: "done", keysDestroyed: 1 });
  expect(said!.stores).toMatchObject([{ name: "fields", left: 0, evidence: { oldSecrets: 0 } }]);
});

test("nothing of the old value is left in the files, also not as it was sealed", async () => {
  const { rows } = await base.db.$client.execute({ sql: "SELECT name FROM users WHERE id = ?", args: [userId] });
  const sealed = String(rows[0]![0]).slice(1);
  const files = () =>
    [dirname(database.path), keys]
      .flatMap((at) => readdirSync(at).map((file) => readFileSync(join(at, file)).toString("latin1")))
      .join("\n");
  expect(files()).toContain(sealed.slice(0, 24));
  await makeRequest(me(), { type: "correct", correction: { profile: { name: "Kim Right" } } });
  await run(4 * 60_000);
  for (const text of [sealed.slice(0, 24), "Kim Wrong"]) expect(files()).not.toContain(text);
});

test("what pages and apps change within an hour is done with together, by a request that nobody sees", async () => {
  const before = await copied();
  const device = await aDevice(base.db, { accountId, name: "Van" });
  for (let i = 0; i < 50; i++) {
    await changeProfile(me(), { name: `Kim ${i}` });
    base.advance(60_000);
  }
  await changeDevice(me(), await deviceOf(me(), device.id), { name: "Car" });
  expect(await requests()).toMatchObject([{ type: "correct", state: "verified", user_id: null, level: null }]);
  expect(await listRequests(me(), 999, 99)).toEqual([]);
  expect(await listAllRequests(base, false, 999, 99)).toEqual([]);
  await carryOut(base);
  expect(await ownSecretsOf(base, accountId)).toBe(1);
  expect((await userById((await over(before)).db, userId))?.name).toBe("Kim Wrong");

  await run(LIMITS.correctedMs);
  expect(await requests()).toMatchObject([{ state: "cleared", failures: 0 }]);
  expect((await userById((await over(before)).db, userId))?.name).toBe("");
  expect((await userById(base.db, userId))?.name).toBe("Kim 49");
  expect(await entries()).toEqual(["corrected"]);
  await expect(publicReceipt(base, String((await requests())[0]!.name))).rejects.toMatchObject({ code: "not_found" });

  // What is chosen, and not said about oneself, is not sealed: nothing is to be done for it.
  await changeProfile(me(), { language: "zh", units: "imperial" });
  expect(await requests()).toHaveLength(1);
  await deleteDevice(me(), device.id);
  expect(await requests()).toHaveLength(2);
});

test("a change that comes shortly before its account's others are carried out is not taken for one of them", async () => {
  await changeProfile(me(), { name: "Kim" });
  base.advance(LIMITS.correctedMs - LIMITS.correctedMarginMs);
  await changeProfile(me(), { name: "Kit" });
  await Promise.all([beforeCorrection(base, accountId), beforeCorrection(base, accountId)]);
  expect((await requests()).map(({ due_at }) => Number(due_at) - base.now())).toEqual([
    LIMITS.correctedMarginMs,
    LIMITS.correctedMs,
  ]);
});

test("a correction is not taken back, denied or ended by hand, and the same may be asked for again", async () => {
  const right = { type: "correct", correction: { profile: { name: "Kim Right" } } } as const;
  const { request } = await makeRequest(me(), right);
  await makeRequest(me(), right);
  await expect(cancelRequest(me(), request)).rejects.toMatchObject({ code: "conflict" });
  const staff = await aUser(base.db, { role: "privacy" });
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  const by = {
    kind: "staff",
    role: "privacy",
    trained: true,
    userId: staff.id,
    sessionId: 9,
    provedAt: base.now(),
  } as const;
  const ctx = aContext(base, { ...by, secondFactor: true, ...taste });
  await expect(denyRequest(ctx, request, "a reason that is long enough")).rejects.toMatchObject({ code: "conflict" });
});

test("of one account only one at a time makes a secret and destroys the others", async () => {
  await changeProfile(me(), { name: "Kim" });
  base.advance(LIMITS.correctedMs - 90_000);
  const correction = { profile: { name: "Kit" } };
  await makeRequest(me(), { type: "correct", correction });
  await makeRequest(me(), { type: "erase", scope: { kind: "fields", fields: ["users.mobile"] } });
  await run(15 * 60_000);
  expect((await requests()).map(({ state }) => state)).toEqual(["cleared", "cleared", "verified", "cleared"]);
  const ended = (await requests()).filter(({ state }) => state === "cleared");
  const steps = (await Promise.all(ended.map(({ id }) => stepsOf(base.db, Number(id))))).map((of) => ({
    made: of.find(({ step }) => step === "shred")!.at,
    destroyed: of.find(({ kids }) => kids.length > 0)!.at,
  }));
  const inTurn = steps.toSorted((a, b) => a.made - b.made);
  for (const [i, { made }] of inTurn.entries())
    if (i > 0) expect(made).toBeGreaterThanOrEqual(inTurn[i - 1]!.destroyed);
  // The one that was asked for first was not due yet, and kept nobody waiting.
  expect(inTurn[0]).toBe(steps[1]);
  expect(await userById(base.db, userId)).toMatchObject({ name: "Kit", mobile: null });
});
