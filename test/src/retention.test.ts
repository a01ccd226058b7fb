import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { finishRemovals, monthsBefore, purgeExpired, purgeIdempotencyKeys, removeDevice } from "../../src/retention.ts";
import { aBase, aDatabase, aDevice, NOON, type TestDatabase } from "../database.ts";

const DAY = 86_400_000;

let database: TestDatabase;
beforeEach(async () => {
  database = await aDatabase();
});
afterEach(() => database.close());

let digest = 0;

interface Row {
  fixTime: number;
  receivedAt?: number;
  clock?: number;
}

async function store(device: { id: number; accountId: number }, rows: Row[]): Promise<void> {
  await database.client.batch(
    rows.map(({ fixTime, receivedAt = fixTime, clock = 0 }) => ({
      sql: `INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
        VALUES (?, ?, ?, CAST(printf('%08d', ?) AS BLOB), ?, ?, 35, 1, x'01')`,
      args: [device.accountId, device.id, fixTime, ++digest, receivedAt, clock],
    })),
  );
}

async function fixTimes(): Promise<number[]> {
  const { rows } = await database.client.execute("SELECT fix_time FROM positions ORDER BY fix_time, id");
  return rows.map((row) => row[0] as number);
}

describe("monthsBefore()", () => {
  const cases: [from: string, months: number, expected: string][] = [
    ["2026-03-01T12:00:00Z", 3, "2025-12-01T12:00:00Z"],
    ["2026-05-31T23:59:59Z", 3, "2026-02-28T23:59:59Z"],
    ["2024-05-31T00:00:00Z", 3, "2024-02-29T00:00:00Z"],
    ["2026-01-31T00:00:00Z", 2, "2025-11-30T00:00:00Z"],
    ["2026-02-28T00:00:00Z", 12, "2025-02-28T00:00:00Z"],
    ["2026-02-15T00:00:00Z", 0, "2026-02-15T00:00:00Z"],
  ];
  for (const [from, months, expected] of cases) {
    test(`${months} months before ${from} is ${expected}`, () => {
      expect(new Date(monthsBefore(Date.parse(from), months)).toISOString()).toBe(new Date(expected).toISOString());
    });
  }
});

test("purgeExpired() deletes what is older than the period and nothing younger, to the millisecond", async () => {
  const base = aBase(database.db);
  const before = monthsBefore(NOON, 3);
  const device = await aDevice(database.db);
  const other = await aDevice(database.db);
  await store(device, [{ fixTime: before - 1 }, { fixTime: before }, { fixTime: NOON }]);
  await store(other, [{ fixTime: before - DAY }, { fixTime: before + 1 }]);
  expect(await purgeExpired(base)).toBe(2);
  expect(await fixTimes()).toEqual([before, before + 1, NOON]);
});

test("purgeExpired() goes by the earlier of fix and receive time", async () => {
  const base = aBase(database.db);
  const before = monthsBefore(NOON, 3);
  const device = await aDevice(database.db);
  await store(device, [
    { fixTime: before + DAY / 2, receivedAt: before - 1 }, // a clock set ahead keeps nothing longer
    { fixTime: before - 1, receivedAt: NOON }, // uploaded late
    { fixTime: before + 5, receivedAt: before + 1 },
  ]);
  expect(await purgeExpired(base)).toBe(2);
  expect(await fixTimes()).toEqual([before + 5]);
});

test("purgeExpired() covers the latest fix of a silent device and old commands", async () => {
  const base = aBase(database.db);
  const device = await aDevice(database.db);
  const before = monthsBefore(NOON, 3);
  await database.client.batch([
    {
      sql: "INSERT INTO latest (device_id, position_id, fix_time, received_at, clock, record) VALUES (?, 1, ?, ?, 0, x'01')",
      args: [device.id, NOON, before - 1],
    },
    {
      sql: `INSERT INTO commands (device_id, account_id, code, arguments, identifier, frame, state, created_at, expires_at)
        VALUES (?1, ?2, 'A10', '{}', 'A', x'00', 'sent', ?3, ?3), (?1, ?2, 'A10', '{}', 'B', x'00', 'sent', ?4, ?4)`,
      args: [device.id, device.accountId, before - 1, before],
    },
  ]);
  expect(await purgeExpired(base)).toBe(2);
  const { rows } = await database.client.execute(
    "SELECT (SELECT count(*) FROM latest), (SELECT group_concat(identifier) FROM commands)",
  );
  expect([rows[0][0], rows[0][1]]).toEqual([0, "B"]);
});

test("purgeExpired() works in bounded steps and ends the same when it is stopped, repeated or overlapped", async () => {
  const base = aBase(database.db);
  const device = await aDevice(database.db);
  const old = monthsBefore(NOON, 3) - DAY;
  await store(
    device,
    Array.from({ length: LIMITS.deleteRows + 10 }, (_, i) => ({ fixTime: old + i })),
  );
  await store(device, [{ fixTime: NOON }]);
  const execute = database.client.execute.bind(database.client);
  let calls = 0;
  database.client.execute = (async (...args: Parameters<typeof execute>) => {
    calls += 1;
    if (calls === 2) throw new Error("stopped");
    return execute(...args);
  }) as typeof execute;
  await expect(purgeExpired(base)).rejects.toThrow("stopped");
  expect((await fixTimes()).length).toBe(11);
  await Promise.all([purgeExpired(base), purgeExpired(base)]);
  expect(await fixTimes()).toEqual([NOON]);
  expect(await purgeExpired(base)).toBe(0);
});

test("purgeExpired() follows the clock of the context", async () => {
  const base = aBase(database.db, { retentionMonths: 1 });
  const device = await aDevice(database.db);
  await store(device, [{ fixTime: NOON }]);
  base.at(Date.UTC(2026, 3, 1, 12));
  expect(await purgeExpired(base)).toBe(0);
  base.advance(1);
  expect(await purgeExpired(base)).toBe(1);
});

test("removeDevice() leaves nothing of a marked device, and refuses to end an unmarked one", async () => {
  const base = aBase(database.db);
  const device = await aDevice(database.db);
  const kept = await aDevice(database.db);
  await store(device, [{ fixTime: NOON }, { fixTime: NOON + 1 }]);
  await store(kept, [{ fixTime: NOON + 2 }]);
  expect(await removeDevice(base, kept.id)).toBe(false);
  await database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [device.id] });
  expect(await removeDevice(base, device.id)).toBe(true);
  const { rows } = await database.client.execute("SELECT id FROM devices");
  expect(rows.map((row) => row.id)).toEqual([kept.id]);
});

test("finishRemovals() ends a removal that stopped half-way, without foreign keys too", async () => {
  await database.client.execute("PRAGMA foreign_keys = OFF");
  const base = aBase(database.db);
  const device = await aDevice(database.db);
  await store(device, [{ fixTime: NOON }]);
  await database.client.batch([
    `UPDATE devices SET deleting_at = 1 WHERE id = ${device.id}`,
    `INSERT INTO latest VALUES (${device.id}, 1, 1, 1, 0, x'01')`,
    `INSERT INTO user_devices (user_id, device_id) VALUES (1, ${device.id})`,
    `INSERT INTO key_devices (key_id, device_id) VALUES (1, ${device.id})`,
    `INSERT INTO recent_devices (user_id, device_id, seen_at) VALUES (1, ${device.id}, 1)`,
  ]);
  expect(await finishRemovals(base)).toBe(1);
  const { rows } = await database.client.execute(
    `SELECT (SELECT count(*) FROM devices) + (SELECT count(*) FROM positions) + (SELECT count(*) FROM latest)
      + (SELECT count(*) FROM user_devices) + (SELECT count(*) FROM key_devices) + (SELECT count(*) FROM recent_devices) AS n`,
  );
  expect(rows[0].n).toBe(0);
  expect(await finishRemovals(base)).toBe(0);
});

test("every table that names a device is one that a removal empties, or has ids only and a time of its own", async () => {
  const { rows } = await database.client.execute(
    `SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'device_id'`,
  );
  // What was answered about it is forgotten first; of the answer the key stays taken.
  const emptied = [
    "commands",
    "idempotency_keys",
    "key_devices",
    "latest",
    "positions",
    "recent_devices",
    "user_devices",
  ];
  expect(rows.map(({ name }) => name).toSorted()).toEqual([...emptied, "looks"].toSorted());
});

test("removeDevice() stops at its share and the job goes on where it ended", async () => {
  const base = aBase(database.db);
  const device = await aDevice(database.db);
  await store(
    device,
    Array.from({ length: LIMITS.deleteRows + 1 }, (_, i) => ({ fixTime: NOON + i })),
  );
  await database.client.execute("UPDATE devices SET deleting_at = 1");
  expect(await removeDevice(base, device.id, { left: 1 })).toBe(false);
  expect(await fixTimes()).toHaveLength(1);
  expect(await finishRemovals(base)).toBe(1);
  expect(await fixTimes()).toEqual([]);
});

test("purgeIdempotencyKeys() forgets keys whose time is over", async () => {
  const base = aBase(database.db);
  const { accountId } = await aDevice(database.db);
  await database.client.execute({
    sql: `INSERT INTO idempotency_keys (account_id, key, request_hash, created_at, expires_at)
      VALUES (?1, 'a', 'h', 1, ?2), (?1, 'b', 'h', 1, ?3)`,
    args: [accountId, NOON, NOON + 1],
  });
  expect(await purgeIdempotencyKeys(base)).toBe(1);
});
