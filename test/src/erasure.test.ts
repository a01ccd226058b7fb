import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { verifyReceipt } from "../../client/receipt.ts";
import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import { carryOut } from "../../src/erasure.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { ingest } from "../../src/ingest.ts";
import { publishedHeads } from "../../src/ledger.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { search } from "../../src/searches.ts";
import { stepsOf } from "../../src/store/erasure.ts";
import { firstIdOf } from "../../src/store/segments.ts";
import { updateUser, userById } from "../../src/store/users.ts";
import { secretsLeft } from "../../src/vault.ts";
import {
  aBase,
  aContext,
  aDatabase,
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
import { settled, stored } from "../stored.ts";
import { stopping } from "./stopping.ts";

const MINUTE = 60_000;

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const track = (count: number, hours = 0) =>
  Array.from({ length: count }, (_, i) => ({ fixTime: NOON - hours * 60 * MINUTE - i * MINUTE }));

type Device = { id: number; accountId: number; imei: string };

/** A family with everything that an account has: people, sessions, devices, positions that rest and that wait. */
async function aFamily(devices = 2): Promise<{ accountId: number; devices: Device[] }> {
  const accountId = await anAccount(database.db);
  const owned: Device[] = [];
  for (let n = 0; n < devices; n++) owned.push(await aDevice(database.db, { accountId }));
  await aSession(base, await aUser(database.db, { accountId, role: "owner" }));
  for (const device of owned) await stored(base, device, track(50, 3));
  await settled(base);
  for (const device of owned) await stored(base, device, track(20));
  return { accountId, devices: owned };
}

let asked = 0;
/** A request as intake leaves it. */
async function ask(accountId: number, scope: ErasureScope, userId: number | null = null): Promise<number> {
  const { lastInsertRowid } = await database.client.execute({
    sql: `INSERT INTO requests (name, type, state, level, account_id, user_id, scope, received_at, verified_at, deadline)
      VALUES (?, 'erase', 'verified', 'V0', ?, ?, ?, ?, ?, ?)`,
    args: [
      `request-of-tests-${String(asked++).padStart(5, "0")}`,
      accountId,
      userId,
      JSON.stringify(scope),
      NOON,
      NOON,
      NOON + 86_400_000,
    ],
  });
  return Number(lastInsertRowid);
}

const stateOf = async (id: number) =>
  (await database.client.execute({ sql: "SELECT state FROM requests WHERE id = ?", args: [id] })).rows[0]![0];
const count = async (sql: string, ...args: number[]) =>
  Number((await database.client.execute({ sql, args })).rows[0]![0]);
const trackOf = async ({ id, accountId }: Device) =>
  (await history(aContext(base, asKey(accountId)), id, { limit: 1000 })).data;

/** Runs the job as often as time passes, until a request is closed. */
async function end(id: number, runs = 20): Promise<number> {
  for (let run = 1; run <= runs; run++) {
    await carryOut(base);
    if ((await stateOf(id)) === "cleared") return run;
    base.advance(LIMITS.erasureRetryMaxMs + LIMITS.erasureLeaseMs);
  }
  return runs + 1;
}

/** What is left of an account anywhere. */
async function leftOf(accountId: number): Promise<number> {
  let left = await secretsLeft(base, accountId, null);
  for (const table of ["segments", "devices", "users", "api_keys", "addresses", "newest", "wrapped_secrets"])
    left += await count(`SELECT count(*) FROM ${table} WHERE account_id = ?`, accountId);
  return left + (await count("SELECT count(*) FROM accounts WHERE id = ?", accountId));
}

describe("an account that is erased", () => {
  test("is gone from every store in one run, and everybody else's is as it was", async () => {
    const [family, others] = [await aFamily(), await aFamily()];
    const before = await Promise.all(others.devices.map(trackOf));
    const id = await ask(family.accountId, { kind: "account" });
    expect(await carryOut(base)).toBe(1);
    expect(await stateOf(id)).toBe("cleared");
    expect(await leftOf(family.accountId)).toBe(0);
    expect(await Promise.all(others.devices.map(trackOf))).toEqual(before);
    expect(await secretsLeft(base, others.accountId, null)).toBeGreaterThan(0);
    const steps = await stepsOf(database.db, id);
    expect(steps.map(({ store, step, ok }) => `${step} ${store} ${ok}`)).toEqual([
      ...["freeze records true", "shred keys true", "purge keys true", "purge tracks true", "purge records true"],
      ...["scrub tracks true", "scrub records true", "verify keys true", "verify tracks true", "verify records true"],
    ]);
    const shred = steps.find(({ step }) => step === "shred")!;
    expect(shred.kids.length).toBe(shred.rows);
    // Its own, two devices' and a day's.
    expect(shred.rows).toBeGreaterThanOrEqual(4);
    const { rows } = await database.client.execute(
      "SELECT entry ->> '$.type', entry ->> '$.kidCount' FROM ledger ORDER BY seq",
    );
    expect(rows.map((row) => [row[0], row[1]])).toEqual([
      ["frozen", 0],
      ["shredded", shred.rows],
      ["cleared", shred.rows],
    ]);
    const [receipt] = (await database.client.execute("SELECT body FROM receipts")).rows;
    const verified = await verifyReceipt(String(receipt![0]), await publishedHeads(base));
    expect(verified.ok).toBe(true);
    expect(verified.receipt).toMatchObject({
      result: "done",
      keysDestroyed: shred.rows,
      held: [],
      scopeClass: "account",
    });
    const stores = verified.receipt!.stores as { name: string; rows: number; left: number }[];
    expect(stores.map(({ name, left }) => [name, left])).toEqual([
      ["keys", 0],
      ["tracks", 0],
      ["records", 0],
      ["trackers", 0],
    ]);
    for (const { rows } of stores.slice(0, 3)) expect(rows).toBeGreaterThan(0);
  });

  test("is frozen first: nobody signs in, reads or sends, whatever fails afterwards", async () => {
    const { accountId, devices } = await aFamily();
    const id = await ask(accountId, { kind: "account" });
    const copy = base.secrets.copies[0];
    const put = copy.put.bind(copy);
    const putAll = copy.putAll?.bind(copy);
    Object.assign(copy, {
      put: () => Promise.reject(new Error("down")),
      putAll: () => Promise.reject(new Error("down")),
    });
    await carryOut(base);
    // Nothing is destroyed before it is written down where a restored database would be found out.
    expect(await stateOf(id)).toBe("frozen");
    for (const table of ["sessions", "tokens"])
      expect(
        await count(
          `SELECT count(*) FROM ${table} t JOIN users u ON u.id = t.user_id WHERE u.account_id = ?`,
          accountId,
        ),
      ).toBe(0);
    expect(await count("SELECT count(*) FROM users WHERE account_id = ? AND disabled_at IS NULL", accountId)).toBe(0);
    for (const device of devices) await expect(trackOf(device)).rejects.toThrow();
    expect(base.logged.some((line) => line.startsWith("error erasure.failed"))).toBe(true);
    // A store that fails for an hour is never taken for a clean one.
    for (let minute = 0; minute < 60; minute++) {
      base.advance(MINUTE);
      await carryOut(base);
      expect(await stateOf(id)).toBe("frozen");
    }
    Object.assign(copy, { put, ...(putAll === undefined ? {} : { putAll }) });
    await end(id);
    expect(await leftOf(accountId)).toBe(0);
  });

  test("stopped at any statement it goes on and ends the same", async () => {
    for (let stopAt = 1; ; stopAt++) {
      const { accountId } = await aFamily(1);
      const id = await ask(accountId, { kind: "account" });
      const stop = stopping(database, stopAt);
      await carryOut(base).catch(() => undefined);
      const stopped = stop();
      if ((await stateOf(id)) === "cleared") expect(await leftOf(accountId)).toBe(0);
      expect(await end(id), `stopped at ${stopAt}`).toBeLessThan(5);
      expect(await leftOf(accountId)).toBe(0);
      base.at(NOON);
      if (!stopped) {
        expect(stopAt).toBeGreaterThan(20);
        break;
      }
    }
  }, 120_000);

  test("by two runners at once is erased once", async () => {
    const { accountId } = await aFamily();
    const id = await ask(accountId, { kind: "account" });
    const cleared = await Promise.all([carryOut(base), carryOut(aBase(database.db))]);
    expect(cleared.reduce((sum, n) => sum + n, 0)).toBe(1);
    expect(await stateOf(id)).toBe("cleared");
    expect((await stepsOf(database.db, id)).filter(({ step }) => step === "shred")).toHaveLength(1);
  });

  test("goes from the database that its tracks are in, too", async () => {
    const eu = await withElsewhere(database.db, "eu");
    const { accountId } = await aFamily();
    // As a move left it that stopped half-way.
    await eu.client.execute({
      sql: "INSERT INTO residents (account_id, placement, state) VALUES (?, 1, 'here')",
      args: [accountId],
    });
    await eu.client.execute({
      sql: "INSERT INTO wrapped_secrets (account_id, kid, key_id, day, wrapped) VALUES (?, 1, 1, 1, zeroblob(80))",
      args: [accountId],
    });
    await end(await ask(accountId, { kind: "account" }));
    for (const table of ["residents", "wrapped_secrets", "segments"]) {
      const { rows } = await eu.client.execute({
        sql: `SELECT count(*) FROM ${table} WHERE account_id = ?`,
        args: [accountId],
      });
      expect(rows[0]![0]).toBe(0);
    }
    eu.close();
  });
});

test("an erased tracker that goes on sending is answered, and brings nothing back", async () => {
  const { accountId, devices } = await aFamily(1);
  await end(await ask(accountId, { kind: "account" }));
  base.at(NOON + 60 * MINUTE);
  const request = new RequestWriter();
  for (let n = 0; n < 20; n++) {
    const report = { event: { code: 35 }, fixTime: NOON + n * MINUTE, valid: true, latitude: 1, longitude: 2 };
    request.frame(7, 0, base.now(), encodeAaa({ identifier: "A", imei: devices[0]!.imei, report }));
  }
  await ingest(base, 0, request.finish().slice());
  await base.settled();
  expect(await settled(base)).toBe(0);
  expect(await count("SELECT count(*) FROM unclaimed")).toBe(0);
  expect(await leftOf(accountId)).toBe(0);
});

test("what turns up again while it is verified is purged once more before it is cleared", async () => {
  const { accountId, devices } = await aFamily(1);
  const id = await ask(accountId, { kind: "devices", devices: [devices[0]!.id] });
  const { client } = database;
  const { execute } = client;
  let planted = false;
  // A writer that was slow, between the last purge and the look.
  Object.assign(client, {
    execute: async (statement: Parameters<typeof execute>[0]) => {
      if (
        !planted &&
        JSON.stringify(statement).includes("INSERT INTO request_steps") &&
        JSON.stringify(statement).includes("scrub")
      ) {
        planted = true;
        await (execute as (statement: object) => Promise<unknown>).call(client, {
          sql: `INSERT INTO segments (id, device_id, account_id, day_kid, device_kid, from_time, to_time, first_id, last_id, positions, alarms, clockless, sealed)
            VALUES (?, ?, ?, 1, 1, 1, 1, 1, 1, 1, 0, 0, x'00')`,
          args: [firstIdOf(devices[0]!.id, NOON) + 7, devices[0]!.id, accountId],
        });
      }
      return execute.call(client, statement as never);
    },
  });
  await end(id);
  Object.assign(client, { execute });
  expect(planted).toBe(true);
  expect(await stateOf(id)).toBe("cleared");
  expect(await count("SELECT count(*) FROM segments WHERE device_id = ?", devices[0]!.id)).toBe(0);
  const verifies = (await stepsOf(database.db, id)).filter(
    ({ store, step }) => store === "tracks" && step === "verify",
  );
  expect(verifies.map(({ rows }) => rows)).toEqual([1, 0]);
});

test("one device goes and the other stays; another account's number is left alone", async () => {
  const [{ accountId, devices }, others] = [await aFamily(), await aFamily(1)];
  const [gone, stays] = devices;
  const before = await trackOf(stays!);
  const theirs = await trackOf(others.devices[0]!);
  const id = await ask(accountId, { kind: "devices", devices: [gone!.id, others.devices[0]!.id] });
  await carryOut(base);
  expect(await count("SELECT count(*) FROM devices WHERE id = ?", gone!.id)).toBe(0);
  expect(await secretsLeft(base, accountId, [gone!.id])).toBe(0);
  expect(await trackOf(stays!)).toEqual(before);
  expect(await trackOf(others.devices[0]!)).toEqual(theirs);
  expect(await stateOf(id)).toBe("cleared");
});

test("a stretch of a track goes, and then all tracks; the device stays", async () => {
  const { accountId, devices } = await aFamily(1);
  const [device] = devices;
  const before = await trackOf(device!);
  const [from, to] = [NOON - 10 * MINUTE, NOON - 5 * MINUTE];
  await end(await ask(accountId, { kind: "range", device: device!.id, from, to }));
  const isIn = ({ fixTime }: { fixTime: string }) => Date.parse(fixTime) >= from && Date.parse(fixTime) < to;
  expect(before.filter(isIn)).toHaveLength(5);
  expect(await trackOf(device!)).toEqual(before.filter((position) => !isIn(position)));
  await end(await ask(accountId, { kind: "tracks" }));
  expect(await trackOf(device!)).toEqual([]);
  const { rows } = await database.client.execute("SELECT state FROM requests");
  expect(rows.map((row) => row[0])).toEqual(["cleared", "cleared"]);
});

test("fields and categories go, what is left stays readable, and older copies of them open no more", async () => {
  const accountId = await anAccount(database.db);
  const user = await aUser(database.db, { accountId, role: "owner" });
  await database.db.$client.execute({ sql: "UPDATE users SET search_history = 1 WHERE id = ?", args: [user.id] });
  await updateUser(database.db, user.id, { name: "Ada", mobile: "+431234567" });
  await search(aContext(base, asUser(accountId, user.id)), "plate W-12345");
  const row = async () =>
    (await database.client.execute({ sql: "SELECT email, mobile FROM users WHERE id = ?", args: [user.id] })).rows[0]!;
  const copy = await row();
  const id = await ask(accountId, { kind: "fields", fields: ["users.mobile"] }, user.id);
  const searches = await ask(accountId, { kind: "categories", categories: ["other"] }, user.id);
  await carryOut(base);
  expect(await userById(database.db, user.id)).toMatchObject({ name: "Ada", mobile: null });
  // Others may seal with the old secret for a minute.
  expect(await stateOf(id)).toBe("purging");
  await end(id);
  await end(searches);
  expect(await count("SELECT count(*) FROM searches WHERE user_id = ?", user.id)).toBe(0);
  expect(await userById(database.db, user.id)).toMatchObject({ name: "Ada", mobile: null });
  await database.client.execute({
    sql: "UPDATE users SET mobile = ? WHERE id = ?",
    args: [copy[1] as string, user.id],
  });
  expect((await userById(database.db, user.id))?.mobile).toBe("");
});

test("who asked, and the owners of what was theirs, are told when it is done and the account lives", async () => {
  const { accountId, devices } = await aFamily();
  const [manager, owner] = [
    await aUser(database.db, { accountId, role: "manager" }),
    await aUser(database.db, { accountId, role: "owner" }),
  ];
  await end(await ask(accountId, { kind: "devices", devices: [devices[0]!.id] }, manager.id));
  const { rows } = await database.client.execute("SELECT name FROM requests WHERE type = 'erase'");
  const mails = async () => {
    await base.settled();
    return base.sent.splice(0).filter(({ subject }) => subject === "Deleted as you asked");
  };
  const told = await mails();
  expect(told.map(({ to }) => to)).toEqual(expect.arrayContaining([manager.email, owner.email]));
  for (const { text } of told) expect(text).toContain(`https://edge.test/receipts/${rows[0]![0]}`);
  await end(await ask(accountId, { kind: "fields", fields: ["users.mobile"] }, manager.id));
  expect((await mails()).map(({ to }) => to)).toEqual([manager.email]);
  await end(await ask(accountId, { kind: "account" }, owner.id));
  expect(await mails()).toEqual([]);
});
