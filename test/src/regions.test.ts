import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeCommand } from "../../codec/commands.ts";
import { held } from "../../src/held.ts";
import { runJob } from "../../src/jobs.ts";
import { countOlder, oldestOf } from "../../src/older.ts";
import { extentOf, feed, history, latest } from "../../src/positions.ts";
import { removeDevice } from "../../src/retention.ts";
import { settle } from "../../src/settle.ts";
import { commandById, insertCommand } from "../../src/store/commands.ts";
import { allTelemetry, telemetryNamed } from "../../src/telemetry.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  asKey,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
  withElsewhere,
} from "../database.ts";
import { broken, deliver, MINUTE, place, REASON, reportOf, rowsOf } from "../regions.ts";
import { settled } from "../stored.ts";

let database: TestDatabase;
let eu: TestDatabase;
let base: TestBase;
/** An account that is placed in eu, and one that is not placed. */
let there: { id: number; accountId: number; imei: string };
let here: { id: number; accountId: number; imei: string };

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  eu = await withElsewhere(database.db, "eu");
  there = await aDevice(database.db, { accountId: await anAccount(database.db) });
  here = await aDevice(database.db);
  await place(base, there.accountId, "eu");
});
afterEach(() => {
  eu.close();
  database.close();
});

const minutesOf = async (device: { id: number; accountId: number }) => {
  const { data } = await history(aContext(base, asKey(device.accountId)), device.id, { limit: 1000 });
  return data.map(({ fixTime }) => (Date.parse(fixTime) - NOON) / MINUTE);
};
const version = async () => Number((await database.client.execute("SELECT version FROM registry")).rows[0]![0]);

describe("ingest() of a batch for two databases", () => {
  test("stores each account's positions in its database and in no other", async () => {
    const { outcomes } = await deliver(
      base,
      [0, 1, 2].flatMap((n) => [reportOf(there.imei, n), reportOf(here.imei, n)]),
    );
    expect(new Set(outcomes)).toEqual(new Set(["stored"]));
    expect(await minutesOf(there)).toEqual([0, 1, 2]);
    expect(await minutesOf(here)).toEqual([0, 1, 2]);
    expect(await settled(base)).toBe(6);
    expect(await minutesOf(there)).toEqual([0, 1, 2]);
    for (const [{ client }, own] of [
      [database, here],
      [eu, there],
    ] as const) {
      for (const table of ["segments", "newest"]) {
        const { rows } = await client.execute(`SELECT DISTINCT account_id FROM ${table}`);
        expect(rows.map((row) => row[0])).toEqual([own.accountId]);
      }
    }
    // What is about people is in the one with the accounts only.
    for (const table of ["accounts", "devices", "placements", "audit"]) {
      expect((await eu.client.execute(`SELECT 1 FROM ${table}`)).rows, table).toEqual([]);
    }
  });

  test("knows again what came before, wherever it is", async () => {
    const frames = [reportOf(there.imei, 0), reportOf(here.imei, 0)];
    await deliver(base, frames);
    expect((await deliver(base, frames)).outcomes).toEqual(["duplicate", "duplicate"]);
    const fresh = aBase(database.db);
    await deliver(fresh, frames);
    expect(await minutesOf(there)).toEqual([0]);
    expect(await settled(base)).toBe(2);
  });

  test("fails as a whole when one of them does, claims no command, and nothing is lost or twice when it is repeated", async () => {
    const command = { imei: here.imei, identifier: "A", code: "A10", arguments: {} };
    const { id: commandId } = await insertCommand(database.db, here.accountId, {
      ...{ deviceId: here.id, code: "A10", arguments: {}, identifier: "A", frame: encodeCommand(command) },
      ...{ createdAt: NOON, expiresAt: NOON + MINUTE },
    });
    const reach = { accountId: here.accountId, devices: null };
    const stateOf = async () => (await commandById(database.db, reach, here.id, commandId, NOON))?.state;
    const frames = [reportOf(there.imei, 0), reportOf(here.imei, 0)];
    const mend = broken(eu);
    await expect(deliver(base, frames, [commandId])).rejects.toMatchObject({ code: "unavailable" });
    expect(base.logged.some((line) => line.startsWith('error telemetry.failed {"database":"eu"'))).toBe(true);
    expect(await minutesOf(here)).toEqual([0]);
    expect(await stateOf()).toBe("queued");
    mend();
    const { outcomes, downlinks } = await deliver(base, frames, [commandId]);
    expect(outcomes).toEqual(["stored", "duplicate"]);
    expect(downlinks).toHaveLength(1);
    expect(await settled(base)).toBe(2);
  });

  test("stores nothing when the registry has changed since it was read", async () => {
    await deliver(base, [reportOf(there.imei, 0)]);
    await database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [there.id] });
    expect((await deliver(base, [reportOf(there.imei, 1)])).outcomes).toEqual(["unknown_device"]);
    const { rows } = await eu.client.execute("SELECT sum(positions) FROM inbox");
    expect(rows[0]![0]).toBe(1);
  });
});

test("a database takes nothing for an account that is not placed there, whatever the configuration says", async () => {
  await deliver(base, [reportOf(there.imei, 0)]);
  const us = await withElsewhere(database.db, "us");
  const others = base.telemetry.others as Map<string, { db: typeof us.db; region: string }>;
  const right = others.get("eu")!;
  others.set("eu", { db: us.db, region: "EU" });
  await expect(deliver(base, [reportOf(there.imei, 1)])).rejects.toMatchObject({ code: "unavailable" });
  expect(base.logged.at(-1)).toBe('error telemetry.refused {"database":"eu"}');
  expect((await rowsOf(us)).inbox).toBe(0);
  // Nor does settling bring it there.
  for (const table of [
    "segments (id, device_id, account_id, day_kid, device_kid, from_time, to_time, first_id, last_id, positions, alarms, clockless, sealed) VALUES (1, 1, ?, 1, 1, 1, 1, 1, 1, 1, 0, 0, x'')",
    "newest VALUES (1, ?, x'')",
  ]) {
    await expect(
      us.client.execute({ sql: `INSERT OR REPLACE INTO ${table}`, args: [there.accountId] }),
    ).rejects.toThrow(/its account is not placed in this database/);
    await expect(
      database.client.execute({ sql: `INSERT OR REPLACE INTO ${table}`, args: [there.accountId] }),
    ).rejects.toThrow(/its account is not placed in this database/);
  }
  await expect(place(base, here.accountId, "eu")).rejects.toMatchObject({ code: "conflict" });
  others.set("eu", right);
  expect((await deliver(base, [reportOf(there.imei, 1)])).outcomes).toEqual(["stored"]);
  expect(await minutesOf(there)).toEqual([0, 1]);
  us.close();
});

test("an account whose database is not configured is unavailable, and nobody else is", async () => {
  await deliver(base, [reportOf(there.imei, 0), reportOf(here.imei, 0)]);
  (base.telemetry.others as Map<string, unknown>).delete("eu");
  // Another database keeps the directory in use.
  const us = await withElsewhere(database.db, "us");
  await expect(minutesOf(there)).rejects.toMatchObject({ code: "unavailable" });
  expect(await minutesOf(here)).toEqual([0]);
  await expect(latest(aContext(base, asKey(there.accountId)))).rejects.toMatchObject({ code: "unavailable" });
  us.close();
});

test("jobs run in every database, and one that is down keeps the others from nothing", async () => {
  await deliver(base, [reportOf(there.imei, 0), reportOf(here.imei, 0)]);
  base.advance(2 * 3_600_000);
  const mend = broken(eu);
  for (const job of ["settle", "retention", "purge-wrapped-secrets"]) {
    await expect(runJob(base, job), job).rejects.toThrow("The database is down");
  }
  for (const run of [1, 2]) await runJob(base, "settle").catch(() => run);
  expect((await rowsOf(database)).segments).toBe(1);
  mend();
  for (const job of ["settle", "retention", "purge-wrapped-secrets"]) await runJob(base, job);
  expect((await rowsOf(eu)).segments).toBe(1);
  base.advance(200 * 86_400_000);
  await runJob(base, "retention");
  for (const each of [database, eu]) expect((await rowsOf(each)).segments).toBe(0);
  expect((await rowsOf(eu)).newest).toBe(0);
});

test("a removed device leaves nothing in the database of its account", async () => {
  await deliver(base, [reportOf(there.imei, 0)]);
  await settled(base);
  await deliver(base, [reportOf(there.imei, 1)]);
  await database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [there.id] });
  for (let run = 0; run < 3; run++) await removeDevice(base, there.id);
  await settle(base, telemetryNamed(base, "eu"), { all: true });
  expect(await rowsOf(eu)).toMatchObject({ segments: 0, newest: 0, residents: 1 });
  expect((await database.client.execute({ sql: "SELECT 1 FROM devices WHERE id = ?", args: [there.id] })).rows).toEqual(
    [],
  );
});

test("a change of region needs a reason and is recorded; the registry hears of it", async () => {
  const before = await version();
  await expect(place(base, here.accountId, "eu", null)).rejects.toMatchObject({ code: "invalid", field: "reason" });
  await expect(place(base, here.accountId, "moon")).rejects.toMatchObject({ code: "invalid", field: "database" });
  await expect(place(base, here.accountId, "main")).rejects.toMatchObject({ code: "conflict" });
  expect(await version()).toBe(before);
  const placement = await place(base, here.accountId, "eu");
  expect(placement).toMatchObject({
    fromRegion: "default",
    toRegion: "EU",
    reason: REASON,
    actor: "admin_token",
    state: "erasing",
  });
  expect(await version()).toBeGreaterThan(before);
  await expect(place(base, here.accountId, "main")).rejects.toMatchObject({ code: "conflict" });
  const { rows } = await database.client.execute("SELECT account_id FROM audit WHERE action = 'account.placed'");
  expect(rows.map((row) => row[0])).toEqual([there.accountId, here.accountId]);
  expect(allTelemetry(base).map(({ name, region }) => `${name} ${region}`)).toEqual(["main default", "eu EU"]);
});

test("the feed of an account elsewhere gives what is stored in its order", async () => {
  const ctx = aContext(base, asKey(there.accountId));
  await deliver(
    base,
    [3, 1].map((n) => reportOf(there.imei, n)),
  );
  const first = await feed(ctx);
  expect(first.data).toHaveLength(2);
  await settled(base);
  await deliver(base, [reportOf(there.imei, 2), reportOf(here.imei, 2)]);
  expect((await feed(ctx, { cursor: first.nextCursor })).data).toHaveLength(1);
});

test("what is held, and how old it is, is counted where it lies", async () => {
  const { accountId } = there;
  await deliver(
    base,
    [0, 1].map((n) => reportOf(there.imei, n)),
  );
  await settled(base);
  await deliver(
    base,
    [2, 3].flatMap((n) => [reportOf(there.imei, n), reportOf(here.imei, n)]),
  );
  const user = await aUser(database.db, { role: "owner", accountId });
  const owner = aContext(base, asUser(accountId, user.id));
  const { tables, positions } = await held(owner);
  const of = (name: string) => tables.find((table) => table.name === name);
  expect(of("segments")).toMatchObject({ rows: 4, oldest: NOON, newest: NOON + 3 * MINUTE });
  expect(of("newest")?.rows).toBe(1);
  expect(of("residents")?.rows).toBe(1);
  expect(positions).toHaveLength(1);
  expect(await oldestOf(base, accountId)).toEqual(new Map([[there.id, NOON]]));
  const span = new Map([[there.id, { from: NOON + MINUTE, to: NOON + 3 * MINUTE }]]);
  expect(await countOlder(base, accountId, span)).toEqual(
    new Map([[there.id, { positions: 2, oldest: NOON + MINUTE }]]),
  );
  expect(await extentOf(owner, there.id)).toEqual({ positions: 4, from: NOON, to: NOON + 3 * MINUTE });
});
