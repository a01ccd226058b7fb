import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { newKeyFile } from "../../client/key-file.ts";
import type { Db, SecretCopy, Secrets } from "../../src/context.ts";
import { addCustomerKey } from "../../src/customer-keys.ts";
import { carryOut } from "../../src/erasure.ts";
import { app } from "../../src/http/app.ts";
import { runCron, runJob } from "../../src/jobs.ts";
import { appendLedger } from "../../src/ledger.ts";
import { isBehind } from "../../src/ledger-mirror.ts";
import { verifyLedger } from "../../src/ledger-verify.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { requireCurrent } from "../../src/restore.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import * as schema from "../../src/store/schema.ts";
import { userById } from "../../src/store/users.ts";
import {
  aBase,
  aContext,
  aDatabaseFile,
  aDevice,
  anAccount,
  aSession,
  asKey,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
  withElsewhere,
} from "../database.ts";
import { place } from "../regions.ts";
import { settled, stored } from "../stored.ts";

// A copy of the database file is taken, something is erased, and the copy is put back in place of the file. The key store
// goes on as it is.

const MINUTE = 60_000;
type Device = { id: number; accountId: number; imei: string };

const folder = mkdtempSync(join(tmpdir(), "ephemeris-replay-"));
let file: TestDatabase & { path: string };
let secrets: Secrets & { close(): void };
let base: TestBase;
let open: { close(): void }[];

beforeEach(async () => {
  file = await aDatabaseFile();
  secrets = fileSecrets(null);
  open = [];
  base = await restored(file.path);
});
afterEach(async () => {
  await base.settled();
  for (const each of open) each.close();
  file.close();
  secrets.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const track = (count: number, hours = 0) =>
  Array.from({ length: count }, (_, i) => ({ fixTime: NOON - hours * 60 * MINUTE - i * MINUTE }));

async function aFamily(devices = 2): Promise<{ accountId: number; devices: Device[]; userId: number }> {
  const accountId = await anAccount(base.db);
  const owned: Device[] = [];
  for (let n = 0; n < devices; n++) owned.push(await aDevice(base.db, { accountId }));
  const user = await aUser(base.db, { accountId, role: "owner", name: "Ling", mobile: "+8613800000000" });
  await aSession(base, user);
  for (const device of owned) await stored(base, device, track(40, 3));
  await settled(base);
  for (const device of owned) await stored(base, device, track(10));
  return { accountId, devices: owned, userId: user.id };
}

let asked = 0;
async function eraseAll(accountId: number, scope: object, userId: number | null = null): Promise<void> {
  await base.db.$client.execute({
    sql: `INSERT INTO requests (name, type, state, level, account_id, user_id, scope, received_at, verified_at, deadline)
      VALUES (?, 'erase', 'verified', 'V0', ?, ?, ?, ?, ?, ?)`,
    args: [
      `replay-of-tests-${String(asked++).padStart(6, "0")}`,
      ...[accountId, userId, JSON.stringify(scope), NOON, NOON, NOON + 86_400_000],
    ],
  });
  for (let run = 0; run < 8; run++) {
    await carryOut(base);
    base.advance(LIMITS.erasureRetryMaxMs + LIMITS.erasureLeaseMs);
  }
  const { rows } = await base.db.$client.execute("SELECT count(*) FROM requests WHERE closed_at IS NULL");
  expect([Number(rows[0]![0]), base.logged.filter((line) => line.startsWith("error")).slice(-3)]).toEqual([0, []]);
}

let copies = 0;
async function copyOf(): Promise<string> {
  await base.db.$client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  const path = join(folder, `${copies++}.db`);
  cpSync(file.path, path);
  return path;
}

/** An isolate that starts over the copy, with one connection, as Deno has it. */
async function restored(path: string): Promise<TestBase> {
  const client = createClient({ url: `file:${path}`, concurrency: 1 });
  open.push(client);
  for (const pragma of ["journal_mode = WAL", "secure_delete = ON", "foreign_keys = ON", "busy_timeout = 5000"])
    await client.execute(`PRAGMA ${pragma}`);
  const db = drizzle(client, { schema }) as Db;
  return Object.assign(aBase(db, { now: base?.now() ?? NOON }), { secrets });
}

const count = async (at: TestBase, sql: string, ...args: number[]) =>
  Number((await at.db.$client.execute({ sql, args })).rows[0]![0]);
const leftOf = async (at: TestBase, accountId: number) => {
  let left = await count(at, "SELECT count(*) FROM accounts WHERE id = ?", accountId);
  for (const table of ["segments", "devices", "users", "api_keys", "newest", "wrapped_secrets"])
    left += await count(at, `SELECT count(*) FROM ${table} WHERE account_id = ?`, accountId);
  return left;
};
const trackOf = async (at: TestBase, { id, accountId }: Device) =>
  (await history(aContext(at, asKey(accountId)), id, { limit: 1000 })).data;
const ask = (at: TestBase, path = "/v1/models") =>
  app.request(path, { headers: { authorization: `Bearer ${at.config.adminToken}` } }, at);
const entryTypes = async (at: TestBase) =>
  (await at.db.$client.execute("SELECT type FROM ledger ORDER BY seq")).rows.map((row) => row[0]);

test("a database from before an account was erased answers 503 first, and then has not one row of it", async () => {
  const [family, others] = [await aFamily(), await aFamily()];
  const path = await copyOf();
  const before = await Promise.all(others.devices.map((device) => trackOf(base, device)));
  const person = await userById(base.db, others.userId);
  await eraseAll(family.accountId, { kind: "account" });

  const at = await restored(path);
  expect(await leftOf(at, family.accountId)).toBeGreaterThan(0);
  for (const one of ["/v1/models", "/healthz", "/", "/v1/bridge/frames", "/.well-known/ledger-heads.json"]) {
    const response = await ask(at, one);
    expect([one, response.status]).toEqual([one, 503]);
    expect(await response.json()).toMatchObject({ code: "unavailable" });
  }
  await expect(runJob(at, "settle")).rejects.toMatchObject({ code: "unavailable" });
  await at.settled();
  at.advance(LIMITS.restoredEveryMs);
  expect((await ask(at, "/healthz")).status).toBe(200);
  expect(await leftOf(at, family.accountId)).toBe(0);
  expect(await count(at, "SELECT count(*) FROM sessions WHERE user_id = ?", family.userId)).toBe(0);
  expect(await Promise.all(others.devices.map((device) => trackOf(at, device)))).toEqual(before);
  expect(await userById(at.db, others.userId)).toEqual(person);
  expect((await entryTypes(at)).at(-1)).toBe("restore_replayed");
  expect(await verifyLedger(at)).toMatchObject({ faults: [] });
  // Nobody gets the numbers of what was erased.
  expect(await anAccount(at.db)).toBeGreaterThan(others.accountId);
  // An isolate that starts later finds nothing to do.
  const next = await restored(path);
  expect((await ask(next, "/healthz")).status).toBe(200);
  expect(await runJob(next, "replay-ledger")).toBe(0);
});

test("a device that came and went after the copy leaves its number to nobody of the account", async () => {
  const { accountId } = await aFamily();
  const path = await copyOf();
  const later = await aDevice(base.db, { accountId });
  await stored(base, later, track(3));
  await settled(base);
  await eraseAll(accountId, { kind: "devices", devices: [later.id] });
  const at = await restored(path);
  await runCron(at, "* * * * *");
  expect((await aDevice(at.db, { accountId })).id).toBeGreaterThan(later.id);
});

test("an account that came and went after the copy leaves its number to nobody", async () => {
  await aFamily();
  const path = await copyOf();
  const later = await aFamily();
  await eraseAll(later.accountId, { kind: "account" });
  const at = await restored(path);
  await runCron(at, "* * * * *");
  const accountId = await anAccount(at.db);
  expect(accountId).toBeGreaterThan(later.accountId);
});

test("a device that was erased goes again with its track, and the account's other one stays as it was", async () => {
  const { accountId, devices } = await aFamily();
  const [gone, kept] = devices as [Device, Device];
  const path = await copyOf();
  const before = await trackOf(base, kept);
  await eraseAll(accountId, { kind: "devices", devices: [gone.id] });
  const at = await restored(path);
  await runCron(at, "* * * * *");
  for (const table of ["segments", "commands", "user_devices"])
    expect(await count(at, `SELECT count(*) FROM ${table} WHERE device_id = ?`, gone.id)).toBe(0);
  expect(await count(at, "SELECT count(*) FROM devices WHERE id = ?", gone.id)).toBe(0);
  expect(await trackOf(at, kept)).toEqual(before);
});

test("a field that was erased does not come back, nor keep the account from going on", async () => {
  const [family, others] = [await aFamily(), await aFamily()];
  const path = await copyOf();
  await eraseAll(family.accountId, { kind: "fields", fields: ["users.mobile"] }, family.userId);
  const at = await restored(path);
  await runCron(at, "* * * * *");
  const rows = await at.db.$client.execute({
    sql: "SELECT mobile, email FROM users WHERE id = ?",
    args: [family.userId],
  });
  expect(rows.rows[0]![0]).toBe(null);
  expect(await userById(at.db, family.userId)).toMatchObject({ mobile: null });
  expect(await userById(at.db, others.userId)).toMatchObject({ mobile: "+8613800000000", name: "Ling" });
  expect(await trackOf(at, family.devices[0]!)).toHaveLength(50);
  expect(at.logged.filter((line) => line.includes("field.refused"))).toEqual([]);
});

test("what a restore left empty is still known by its index when another field is erased", async () => {
  const family = await aFamily(2);
  const path = await copyOf();
  await eraseAll(family.accountId, { kind: "fields", fields: ["users.mobile"] }, family.userId);
  const indexes = async (at: TestBase) =>
    (
      await at.db.$client.execute({
        sql: "SELECT imei_index FROM devices WHERE account_id = ?1 UNION ALL SELECT email_index FROM users WHERE account_id = ?1",
        args: [family.accountId],
      })
    ).rows.map((row) => row[0]);
  const before = await indexes(base);
  base = await restored(path);
  await runCron(base, "* * * * *");
  expect(await indexes(base)).toEqual(before);
  await eraseAll(family.accountId, { kind: "fields", fields: ["users.name"] }, family.userId);
  expect(await indexes(base)).toEqual(before);
});

test("a replay that stops anywhere goes on, and the entries come back last", async () => {
  const families = [await aFamily(1), await aFamily(1), await aFamily(1)];
  const path = await copyOf();
  await eraseAll(families[0]!.accountId, { kind: "account" });
  await eraseAll(families[2]!.accountId, { kind: "account" });
  let stopped = 0;
  for (let calls = 3; ; calls += 7) {
    // The job's next minute: what the one before held is let go by then.
    base.advance(MINUTE);
    const at = await restored(path);
    const { $client } = at.db;
    let left = calls;
    const failing = new Proxy($client, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if ((name === "execute" || name === "batch") && left-- <= 0) throw new Error("The process ended here");
          return value.apply(target, args);
        };
      },
    });
    Object.assign(at.db, { $client: failing });
    const ended = await runJob(at, "replay-ledger").then(
      () => true,
      () => false,
    );
    if (ended && left > 0) break;
    stopped += 1;
    const types = await entryTypes(Object.assign(await restored(path)));
    // What keeps everybody out; asked itself, it would go on with the replay beside this.
    if (!types.includes("restore_replayed")) expect(await isBehind(await restored(path))).toBe(true);
  }
  expect(stopped).toBeGreaterThan(3);
  const at = await restored(path);
  await requireCurrent(at);
  for (const { accountId } of [families[0]!, families[2]!]) expect(await leftOf(at, accountId)).toBe(0);
  expect(await trackOf(at, families[1]!.devices[0]!)).toHaveLength(50);
  expect((await entryTypes(at)).filter((type) => type === "restore_replayed")).toHaveLength(1);
  expect(await verifyLedger(at)).toMatchObject({ faults: [] });
});

test("what was added to a restored database before it was noticed gives way to what was published", async () => {
  const family = await aFamily();
  await appendLedger(base, "incident", {});
  const path = await copyOf();
  await eraseAll(family.accountId, { kind: "account" });
  const at = await restored(path);
  await at.db.$client.execute(
    "INSERT INTO ledger SELECT seq + 1, at, 'disclosure', entry, hash FROM ledger ORDER BY seq DESC LIMIT 1",
  );
  await runCron(at, "* * * * *");
  expect((await entryTypes(at)).slice(0, 2)).toEqual(["incident", "verified"].toSpliced(1, 1, expect.any(String)));
  expect(await entryTypes(at)).not.toContain("disclosure");
  expect(await verifyLedger(at)).toMatchObject({ faults: [] });
});

test("a new installation and one without a ledger serve at once, and looking costs two reads a minute", async () => {
  expect((await ask(base, "/healthz")).status).toBe(200);
  await appendLedger(base, "incident", {});
  let reads = 0;
  const counted = {
    ...secrets.copies[0],
    get: (name: string) => {
      reads += 1;
      return secrets.copies[0].get(name);
    },
  };
  const at = Object.assign(aBase(base.db), { secrets: { ...secrets, copies: [counted, secrets.copies[1]] as const } });
  for (let i = 0; i < 100; i++) await requireCurrent(at);
  expect(reads).toBe(1);
  at.advance(LIMITS.currentEveryMs);
  await requireCurrent(at);
  expect(reads).toBe(2);
});

test("an isolate that was let in stays so while the key store does not answer, and one that starts then does not", async () => {
  await appendLedger(base, "incident", {});
  let down = false;
  const failing = (copy: SecretCopy): SecretCopy => ({
    ...copy,
    get: (name) => (down ? Promise.reject(new Error("It does not answer")) : copy.get(name)),
  });
  const [a, b] = secrets.copies;
  const isolate = () =>
    Object.assign(aBase(base.db), {
      secrets: { copies: [failing(a), failing(b)] as const, escrow: failing(secrets.escrow) },
    });
  const at = isolate();
  await requireCurrent(at);
  down = true;
  at.advance(LIMITS.currentEveryMs);
  await requireCurrent(at);
  await expect(requireCurrent(isolate())).rejects.toThrow();
});

test("one place of the key store that does not answer keeps nobody out, and lets no restored database in", async () => {
  const family = await aFamily(1);
  const path = await copyOf();
  await eraseAll(family.accountId, { kind: "account" });
  const [a, b] = secrets.copies;
  const down = { ...a, get: () => Promise.reject(new Error("It does not answer")) };
  const defer = (work: Promise<unknown>) => void work.catch(() => undefined);
  for (const copies of [[down, b] as const, [a, down] as const]) {
    await requireCurrent(Object.assign(aBase(base.db), { secrets: { ...secrets, copies } }));
    const at = Object.assign(await restored(path), { secrets: { ...secrets, copies }, defer });
    await expect(requireCurrent(at)).rejects.toMatchObject({ code: "unavailable" });
  }
});

test("nobody is served while a database with tracks that was restored alone is not repaired", async () => {
  const eu = await aDatabaseFile({ concurrency: 1 });
  await withElsewhere(base.db, "eu", Promise.resolve(eu));
  const [family, others] = [await aFamily(1), await aFamily(1)];
  const device = family.devices[0]!;
  for (const { accountId } of [family, others]) await place(base, accountId, "eu");
  for (let run = 0; run < 5; run++) {
    await runJob(base, "move-tracks");
    base.advance(10 * MINUTE);
  }
  expect((await eu.client.execute("SELECT count(*) FROM segments")).rows[0]![0]).toBeGreaterThan(1);
  await eu.client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  const path = join(folder, `${copies++}.db`);
  cpSync(eu.path, path);
  await eraseAll(family.accountId, { kind: "devices", devices: [device.id] });
  const track = await trackOf(base, others.devices[0]!);

  // Before the next minute's job, and with the request that is the first to come.
  const client = createClient({ url: `file:${path}`, concurrency: 1 });
  open.push(client);
  await client.execute("PRAGMA secure_delete = ON");
  const there = { db: Object.assign(drizzle(client, { schema }) as Db, { $fields: base.db.$fields }), region: "EU" };
  const at: TestBase = Object.assign(aBase(base.db, { now: base.now() }), {
    secrets,
    telemetry: { region: "default", others: new Map([["eu", there]]) },
  });
  const left = async () =>
    (await client.execute({ sql: "SELECT count(*) FROM segments WHERE device_id = ?", args: [device.id] })).rows[0]![0];
  expect(await left()).toBeGreaterThan(0);
  expect((await ask(at)).status).toBe(503);
  await at.settled();
  at.advance(LIMITS.restoredEveryMs);
  expect((await ask(at, "/healthz")).status).toBe(200);
  expect(await left()).toBe(0);
  expect(await trackOf(at, others.devices[0]!)).toEqual(track);
  // One that does not answer keeps nobody else out.
  const failing = { execute: () => Promise.reject(new Error("It does not answer")) };
  const down = { ...there, db: Object.assign(Object.create(there.db), { $client: failing }) as Db };
  const elsewhere = { region: "default", others: new Map([["eu", down]]) };
  await requireCurrent(Object.assign(aBase(base.db, { now: base.now() }), { secrets, telemetry: elsewhere }));
  eu.close();
});

test("a database with tracks that was restored alone loses again what was erased", async () => {
  const other = await withElsewhere(base.db, "eu");
  const family = await aFamily(1);
  await appendLedger(base, "incident", {});
  await runJob(base, "replay-ledger");
  const mark = "SELECT value FROM settings WHERE name = 'ledger size'";
  expect((await other.client.execute(mark)).rows[0]![0]).toBe("1");
  // As if it had come back: a segment of an account that has no secret any more, and the mark of before.
  await eraseAll(family.accountId, { kind: "account" });
  await runJob(base, "replay-ledger");
  await other.client.execute({
    sql: "INSERT INTO residents (account_id, placement, state) VALUES (?, 1, 'here')",
    args: [family.accountId],
  });
  await other.client.execute({
    sql: "INSERT INTO wrapped_secrets (account_id, kid, key_id, day, wrapped) VALUES (?, 1, 1, 1, zeroblob(80))",
    args: [family.accountId],
  });
  await other.client.execute("UPDATE settings SET value = '1' WHERE name = 'ledger size'");
  await runJob(base, "replay-ledger");
  expect(Number((await other.client.execute("SELECT count(*) FROM wrapped_secrets")).rows[0]![0])).toBe(0);
  expect(Number((await other.client.execute(mark)).rows[0]![0])).toBeGreaterThan(1);
  other.close();
});

test("of a stretch that was sealed to the customer nothing comes back of whole days, and the rest stays theirs", async () => {
  const { accountId, devices, userId } = await aFamily(1);
  const device = devices[0]!;
  const file = await newKeyFile(base.now());
  const owner = aContext(base, asUser(accountId, userId, { provedAt: base.now() }));
  await addCustomerKey(owner, { kind: "everyday", ...file, lostKeyIsFinal: true });
  const DAY = 1440 * MINUTE;
  for (let day = 4; day > 0; day--)
    await stored(base, device, [{ fixTime: NOON - day * DAY }, { fixTime: NOON - day * DAY + 180 * MINUTE }]);
  await settled(base);
  const left = (at: TestBase) => count(at, "SELECT count(*) FROM segments WHERE customer_kid IS NOT NULL");
  const before = await left(base);
  const path = await copyOf();
  const [from, to] = [NOON - 3 * DAY - 60 * MINUTE, NOON - DAY + 60 * MINUTE];
  await eraseAll(accountId, { kind: "range", device: device.id, from, to });
  const after = await left(base);
  expect(after).toBeLessThan(before);
  const at = await restored(path);
  for (let run = 0; run < 3; run++) await runCron(at, "* * * * *");
  await requireCurrent(at);
  // What shares a day with something that stays is there again, and opens to nobody but the customer.
  const back = await left(at);
  expect([after, before]).toEqual([4, 9]);
  expect(back).toBe(5);
  const ours = "SELECT count(*) FROM segments WHERE customer_kid IS NULL AND account_id = ?";
  expect([await count(base, ours, accountId), await count(at, ours, accountId)]).toEqual([1, 0]);
});
