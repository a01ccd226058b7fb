import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import type { Db, Secrets } from "../../src/context.ts";
import { carryOut } from "../../src/erasure.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { runCron } from "../../src/jobs.ts";
import { tidyKept } from "../../src/kept-requests.ts";
import { verifyLedger } from "../../src/ledger-verify.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { watchRequests } from "../../src/request-watch.ts";
import { cancelRequest, denyRequest, makeRequest, verify } from "../../src/requests.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import * as schema from "../../src/store/schema.ts";
import { updateUser, userById } from "../../src/store/users.ts";
import { liftSuspension, suspensionsOfRequest } from "../../src/suspensions.ts";
import { readObject } from "../../src/vault-copies.ts";
import {
  aBase,
  aContext,
  aDatabaseFile,
  aDevice,
  anAccount,
  asKey,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";

// What a restored database forgets of requests, and the key store does not.

const MINUTE = 60_000;
const folder = mkdtempSync(join(tmpdir(), "ephemeris-kept-"));
let file: TestDatabase & { path: string };
let secrets: Secrets & { close(): void };
let base: TestBase;
let open: { close(): void }[];
let accountId: number;
let userId: number;

beforeEach(async () => {
  file = await aDatabaseFile();
  secrets = fileSecrets(null);
  open = [];
  base = await opened(file.path);
  accountId = await anAccount(base.db);
  userId = (await aUser(base.db, { accountId, role: "owner", name: "Ling", mobile: "+8613800000000" })).id;
});
afterEach(() => {
  for (const each of open) each.close();
  file.close();
  secrets.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let copies = 0;
async function copyOf(): Promise<string> {
  await base.db.$client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  const path = join(folder, `${copies++}.db`);
  cpSync(file.path, path);
  return path;
}

/** An isolate that starts over a copy of a copy. */
async function restored(path: string): Promise<TestBase> {
  const live = join(folder, `live-${copies++}.db`);
  cpSync(path, live);
  return opened(live);
}

async function opened(path: string): Promise<TestBase> {
  const client = createClient({ url: `file:${path}`, concurrency: 1 });
  open.push(client);
  for (const pragma of ["journal_mode = WAL", "secure_delete = ON", "foreign_keys = ON"])
    await client.execute(`PRAGMA ${pragma}`);
  const db = drizzle(client, { schema }) as Db;
  return Object.assign(aBase(db, { now: base?.now() ?? NOON }), { secrets });
}

/** The copy, when its replay is over. */
async function replayed(path: string): Promise<TestBase> {
  const at = await restored(path);
  await runCron(at, "* * * * *");
  expect((await verifyLedger(at)).faults).toEqual([]);
  return at;
}

const me = () => aContext(base, asUser(accountId, userId, { provedAt: base.now() }));
const ask = async (scope: ErasureScope, type: "erase" | "restrict" | "object" = "erase") =>
  (await makeRequest(me(), { type, scope })).request;
const requestsIn = async (at: TestBase) =>
  (await at.db.$client.execute("SELECT name, state, deadline, closed_at FROM requests ORDER BY id")).rows.map(
    (row) => ({
      name: row[0],
      state: row[1],
      deadline: row[2],
      closedAt: row[3],
    }),
  );
const entries = async (at: TestBase) =>
  (await at.db.$client.execute("SELECT type FROM ledger ORDER BY seq")).rows.map((row) => String(row[0]));
const kept = async () =>
  ((await readObject(base, "requests"))?.requests ?? []).map(({ name, overAt }) => [name, overAt]);

async function carriedOut(at = base): Promise<void> {
  for (let run = 0; run < 8; run++) {
    await carryOut(at);
    at.advance(LIMITS.shredEveryMs);
  }
  const { rows } = await at.db.$client.execute(
    "SELECT count(*) FROM requests WHERE type = 'erase' AND closed_at IS NULL",
  );
  expect(rows[0]![0]).toBe(0);
}

const trackOf = async (at: TestBase, id: number) =>
  (await history(aContext(at, asKey(accountId)), id, { limit: 1000 })).data;

test("what was verified after a copy was made counts again when it is restored, until its deadline of before", async () => {
  const path = await copyOf();
  const erasure = await ask({ kind: "account" });
  const restriction = await ask({ kind: "tracks" }, "restrict");
  const at = await restored(path);
  await expect(runCron(at, "7 * * * *")).resolves.toBe(undefined);
  await at.settled();
  at.advance(LIMITS.restoredEveryMs);
  const { name, deadline } = erasure;
  expect(await requestsIn(at)).toEqual([
    { name, state: "verified", deadline, closedAt: null },
    { name: restriction.name, state: "cleared", deadline: restriction.deadline, closedAt: NOON },
  ]);
  expect(at.logged.filter((line) => line.startsWith("warn requests.reopened"))).toEqual([
    'warn requests.reopened {"rows":2}',
  ]);
  await carriedOut(at);
  expect((await at.db.$client.execute("SELECT count(*) FROM accounts")).rows[0]![0]).toBe(0);
  expect((await entries(at)).filter((type) => type === "cleared")).toEqual(["cleared"]);
  // Carried out, it does not count once more.
  expect((await requestsIn(await replayed(path))).map((row) => row.name)).toEqual([restriction.name]);
});

test("what was restricted or objected to after a copy was made is suspended when it is restored, until it is let go on", async () => {
  const devices = [await aDevice(base.db, { accountId }), await aDevice(base.db, { accountId })].map(({ id }) => id);
  const path = await copyOf();
  await ask({ kind: "devices", devices }, "restrict");
  const objection = await ask({ kind: "tracks" }, "object");
  const lifted = await ask({ kind: "account" }, "restrict");
  const suspended = async (at: TestBase) =>
    (
      await at.db.$client.execute(
        "SELECT r.name, r.state, s.device_id FROM suspensions s JOIN requests r ON r.id = s.request_id WHERE lifted_at IS NULL ORDER BY s.device_id, r.id",
      )
    ).rows.map(({ name, state, device_id }) => [name, state, device_id]);
  for (const row of await suspensionsOfRequest(base, lifted.id)) await liftSuspension(me(), row);
  await watchRequests(base);
  expect(await kept()).toHaveLength(2);
  const before = await suspended(base);
  expect(before).toHaveLength(3);
  const at = await replayed(path);
  expect(await suspended(at)).toEqual(before);
  expect((await requestsIn(at)).filter(({ closedAt }) => closedAt === null).map(({ name }) => name)).toEqual([
    objection.name,
  ]);
  await watchRequests(at);
  expect((await entries(at)).filter((type) => type === "restricted")).toHaveLength(2);
});

test("what waited for its proof in the copy counts as soon as it did", async () => {
  const { rows } = await base.db.$client.execute({
    sql: `INSERT INTO requests (name, type, state, level, account_id, user_id, scope, received_at, counts_at)
      VALUES ('kept-of-the-tests-0001', 'erase', 'identity_pending', 'V1', ?, ?, '{"kind":"tracks"}', ?, ?) RETURNING id`,
    args: [accountId, userId, NOON, NOON],
  });
  const path = await copyOf();
  const request = { id: Number(rows[0]![0]), name: "kept-of-the-tests-0001", type: "erase", receivedAt: NOON } as const;
  await verify(base, { ...request, accountId, userId, scope: '{"kind":"tracks"}' }, "V1");
  const [row] = await requestsIn(base);
  const at = await restored(path);
  await expect(watchRequests(at)).rejects.toMatchObject({ code: "unavailable" });
  expect(await requestsIn(await replayed(path))).toMatchObject([{ name: row!.name, deadline: row!.deadline }]);
});

test("what was taken back, refused or carried out since is over in the restored database, and nothing is late for it", async () => {
  const [revoked, denied] = [await ask({ kind: "tracks" }), await ask({ kind: "account" }, "object")];
  const done = await ask({ kind: "fields", fields: ["users.mobile"] });
  const path = await copyOf();
  await cancelRequest(me(), revoked);
  const staff = await aUser(base.db, { role: "privacy" });
  const person = { userId: staff.id, sessionId: 9, provedAt: base.now(), secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  const privacy = aContext(base, { kind: "staff", role: "privacy", trained: true, ...person, ...taste });
  await denyRequest(privacy, denied, "Nothing of it is processed");
  await carriedOut();
  base.at(done.deadline! + 1);
  const at = await replayed(path);
  expect((await requestsIn(at)).map(({ name, state }) => [name, state])).toEqual([
    [revoked.name, "revoked"],
    [denied.name, "denied"],
    [done.name, "cleared"],
  ]);
  await watchRequests(at);
  expect(await entries(at)).not.toContain("deadline_missed");
  // Restored once more, from a copy that has the ledger and never had the requests.
  expect((await requestsIn(await replayed(path))).filter(({ closedAt }) => closedAt === null)).toEqual([]);
});

test("a field that is stored clear does not come back with a copy, and one that was set anew after the erasure stays", async () => {
  await updateUser(base.db, userId, { timeZone: "Asia/Macau" });
  await base.db.$client.execute("UPDATE accounts SET payment_mode = 'card'");
  const path = await copyOf();
  await ask({ kind: "fields", fields: ["users.timeZone", "accounts.paymentMode"] });
  await carriedOut();
  await updateUser(base.db, userId, { timeZone: "Europe/Lisbon" });
  const later = await copyOf();
  await ask({ kind: "fields", fields: ["users.mobile"] });
  await carriedOut();
  base.advance(LIMITS.requestEvidenceMs);
  await watchRequests(base);
  const zone = async (at: TestBase) => (await userById(at.db, userId))!.timeZone;
  const mode = async (at: TestBase) => (await at.db.$client.execute("SELECT payment_mode FROM accounts")).rows[0]![0];
  for (const from of [path, path]) {
    const at = await replayed(from);
    expect([await zone(at), await mode(at)]).toEqual(["UTC", null]);
    await watchRequests(at);
  }
  expect(await zone(await replayed(later))).toBe("Europe/Lisbon");
});

test("what a copy was made amid of, and is done since, is done in it, too", async () => {
  await ask({ kind: "fields", fields: ["users.mobile", "users.timeZone"] });
  await carryOut(base);
  await updateUser(base.db, userId, { mobile: "+431", timeZone: "Asia/Macau" });
  const path = await copyOf();
  expect(await requestsIn(base)).toMatchObject([{ state: "purging" }]);
  await carriedOut();
  const at = await replayed(path);
  expect(await requestsIn(at)).toMatchObject([{ state: "cleared" }]);
  expect(await userById(at.db, userId)).toMatchObject({ mobile: null, timeZone: "UTC" });
});

test("a stretch that waited in the inbox of the copy does not come back, nor when the tracker sends it again", async () => {
  const device = await aDevice(base.db, { accountId });
  const track = Array.from({ length: 10 }, (_, i) => ({ fixTime: NOON - i * MINUTE, receivedAt: NOON }));
  await stored(base, device, track);
  const path = await copyOf();
  const [from, to] = [NOON - 6 * MINUTE, NOON - 2 * MINUTE];
  await ask({ kind: "range", device: device.id, from, to });
  await carriedOut();
  const left = await trackOf(base, device.id);
  expect(left).toHaveLength(6);
  const at = await replayed(path);
  expect(await trackOf(at, device.id)).toEqual(left);
  await stored(at, device, [{ fixTime: from, receivedAt: at.now() }]);
  await settled(at);
  expect(await trackOf(at, device.id)).toEqual(left);
});

test("numbers that an open request names are given to nobody", async () => {
  const path = await copyOf();
  const device = await aDevice(base.db, { accountId });
  const other = await aUser(base.db, { accountId, role: "owner", name: "Later" });
  await ask({ kind: "devices", devices: [device.id] });
  await makeRequest(aContext(base, asUser(accountId, other.id, { provedAt: base.now() })), {
    type: "erase",
    scope: { kind: "fields", fields: ["users.name"] },
  });
  base = await replayed(path);
  const next = await aDevice(base.db, { accountId });
  const person = await aUser(base.db, { accountId, role: "owner", name: "Somebody else" });
  expect(next.id).toBeGreaterThan(device.id);
  expect(person.id).toBeGreaterThan(other.id);
  await carriedOut(base);
  expect((await userById(base.db, person.id))!.name).toBe("Somebody else");
});

test("what is kept goes when it is over: a part of an account after its time, the rest at once", async () => {
  const part = await ask({ kind: "fields", fields: ["users.mobile"] });
  const revoked = await ask({ kind: "tracks" });
  expect(await kept()).toEqual([
    [part.name, null],
    [revoked.name, null],
  ]);
  await cancelRequest(me(), revoked);
  await carriedOut();
  const { closedAt } = (await requestsIn(base))[0]!;
  await tidyKept(base);
  expect(await kept()).toEqual([[part.name, closedAt]]);
  base.at(Number(closedAt) + LIMITS.tombstonesMs);
  await tidyKept(base);
  expect(await kept()).toEqual([]);
  // With its account goes everything.
  const again = await ask({ kind: "fields", fields: ["users.name"] });
  await carriedOut();
  const all = await ask({ kind: "account" });
  await tidyKept(base);
  expect((await kept()).map(([name]) => name)).toEqual([again.name, all.name]);
  await carriedOut();
  await tidyKept(base);
  expect(await kept()).toEqual([]);
});

test("what the database does not know is kept while that may be a restored one, and dropped after an hour where it is not", async () => {
  const path = await copyOf();
  const { name } = await ask({ kind: "tracks" });
  base.advance(2 * LIMITS.keptUnknownMs);
  const at = await restored(path);
  expect(await tidyKept(at)).toBe(0);
  expect(await kept()).toEqual([[name, null]]);
  await base.db.$client.execute("DELETE FROM requests");
  await tidyKept(base);
  expect(await kept()).toEqual([]);
});
