import { afterEach, beforeEach, expect, test } from "vitest";
import { StoredPositions } from "../../codec/segment.ts";
import { extentOf } from "../../src/extent.ts";
import { feedOf } from "../../src/feed.ts";
import { latestOf } from "../../src/latest.ts";
import { LIMITS } from "../../src/limits.ts";
import { cutoffOf } from "../../src/periods.ts";
import { finishRemovals, purgeIdempotencyKeys, removeDevice } from "../../src/retention.ts";
import { purgeExpired } from "../../src/retention-run.ts";
import { openSegments } from "../../src/segments.ts";
import { headColumns, type SegmentRow, segmentRows } from "../../src/store/segments.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { trackOf } from "../../src/track.ts";
import { aBase, aDatabase, aDevice, NOON, type TestBase, type TestDatabase } from "../database.ts";
import { type PositionSpec, settled, stored } from "../stored.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Three months before NOON: what is older is past its period. */
const BEFORE = cutoffOf(NOON, { months: 3 }, "UTC");

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(() => database.close());

type Device = Awaited<ReturnType<typeof aDevice>>;
const number = async (sql: string) => Number((await database.client.execute(sql)).rows[0]![0]);
const positions = () => number("SELECT coalesce(sum(positions), 0) FROM segments");
const mark = (device: Device) => database.client.execute(`UPDATE devices SET deleting_at = 1 WHERE id = ${device.id}`);

/** Stores and settles positions at a time when none of them is past its period. */
async function kept(device: Device, specs: readonly PositionSpec[], at: number): Promise<void> {
  const now = base.now();
  base.at(at);
  await stored(base, device, specs);
  await settled(base);
  base.at(now);
}

/** The fix times that each way to read gives: history, newest fix and feed; and how many the extent says there are. */
async function read({ id, accountId }: Device, ctx: TestBase = base) {
  const reach = { accountId, devices: [id] };
  const all = { from: 0, to: LIMITS.timeMs, descending: false, after: null, limit: 10_000 };
  const times = ({ stored, rows }: { stored: StoredPositions; rows: number[] }) =>
    rows.map((row) => stored.fixTimeAt(row)).toSorted((a, b) => a - b);
  return {
    history: times((await trackOf(ctx, reach, id, all))!),
    latest: times(await latestOf(ctx, reach, 0, 10)),
    feed: times(await feedOf(ctx, reach, 0, 10_000)),
    extent: (await extentOf(ctx, reach, id)).positions,
  };
}
const reading = (times: readonly number[]) => ({
  ...{ history: times, latest: times.slice(-1), feed: times, extent: times.length },
});

/** What is stored whatever its period, as far as its keys are there. */
const held = (device: Device) => {
  const ctx = aBase(database.db, { now: base.now(), retentionMonths: 1200 });
  return read(device, ctx).then(({ history }) => history);
};

/** Rows as somebody copied them before they were deleted. */
async function copied(device: Device): Promise<SegmentRow[]> {
  const { rows } = await database.client.execute(
    `SELECT ${headColumns}, s.sealed FROM segments s WHERE s.device_id = ${device.id} ORDER BY s.from_time`,
  );
  return segmentRows(rows);
}
/** Which of them open with every secret that is left. */
async function opening(rows: readonly SegmentRow[]): Promise<boolean[]> {
  const places = await openSegments(base, mainTelemetry(base), rows[0]!.accountId, rows, new StoredPositions());
  return places.map((place) => place !== null);
}

test("a read never returns a position past its period, to the millisecond, whether it waits or is settled", async () => {
  const waiting = await aDevice(database.db);
  const device = await aDevice(database.db);
  const times = [BEFORE, BEFORE + 1000, BEFORE + 2000];
  const specs = times.map((fixTime) => ({ fixTime }));
  await kept(device, specs, BEFORE);
  await stored(base, waiting, specs);
  for (const each of [device, waiting]) {
    base.at(NOON);
    expect(await read(each)).toEqual(reading(times));
    base.advance(1);
    expect(await read(each)).toEqual(reading(times.slice(1)));
    base.advance(999);
    expect(await read(each)).toEqual(reading(times.slice(1)));
    base.advance(1001);
    expect(await read(each)).toEqual(reading([]));
  }
});

test("purgeExpired() deletes what is past its period and nothing younger", async () => {
  const device = await aDevice(database.db);
  const other = await aDevice(database.db);
  const old = [{ fixTime: BEFORE - 2 * DAY }, { fixTime: BEFORE - 2 * HOUR }];
  await kept(device, [...old, { fixTime: BEFORE + DAY }, { fixTime: NOON }], BEFORE - 2 * HOUR);
  await kept(other, [{ fixTime: BEFORE - DAY }, { fixTime: BEFORE }], BEFORE);
  expect(await positions()).toBe(6);
  expect(await purgeExpired(base)).toBe(3);
  expect(await held(device)).toEqual([BEFORE + DAY, NOON]);
  expect(await held(other)).toEqual([BEFORE]);
  expect(await purgeExpired(base)).toBe(0);
});

test("purgeExpired() run every ten minutes deletes each position within the hour, and none early", async () => {
  const device = await aDevice(database.db);
  const times = Array.from({ length: 240 }, (_, i) => BEFORE + i * 3 * MINUTE);
  await kept(
    device,
    times.map((fixTime) => ({ fixTime })),
    times.at(-1)!,
  );
  const segments = await number("SELECT count(*) FROM segments");
  let straddled = 0;
  for (let minutes = 0; minutes <= 13 * 60; minutes += 10) {
    base.at(NOON + minutes * MINUTE);
    await purgeExpired(base);
    const cutoff = cutoffOf(base.now(), { months: 3 }, "UTC");
    const left = await held(device);
    expect(left).toEqual(times.slice(-left.length || times.length));
    expect(left.filter((time) => time >= cutoff)).toEqual(times.filter((time) => time >= cutoff));
    for (const time of left) expect(cutoff - time).toBeLessThan(HOUR);
    if (left.length > 0 && left[0]! < cutoff) straddled += 1;
  }
  expect(await held(device)).toEqual([]);
  expect([segments > 2, straddled > 10]).toEqual([true, true]);
});

test("a fix that cannot be right is kept by when it was received", async () => {
  const device = await aDevice(database.db);
  const specs = [
    { fixTime: BEFORE + DAY / 2, receivedAt: BEFORE - 2 * HOUR }, // a clock set ahead keeps nothing longer
    { fixTime: BEFORE - 2 * HOUR, receivedAt: NOON }, // uploaded late
    { fixTime: BEFORE - 500 * DAY, receivedAt: NOON - DAY }, // a clock that lost years
    { fixTime: BEFORE + DAY, receivedAt: BEFORE + 1000 },
  ];
  await kept(device, specs, BEFORE - 2 * HOUR);
  expect(await positions()).toBe(4);
  expect((await read(device)).history).toEqual([BEFORE - 500 * DAY, BEFORE + DAY]);
  expect(await purgeExpired(base)).toBe(2);
  expect(await held(device)).toEqual([BEFORE - 500 * DAY, BEFORE + DAY]);
  base.advance(1001);
  expect((await read(device)).history).toEqual([BEFORE - 500 * DAY]);
});

test("purgeExpired() covers the newest fix of a silent device and old commands", async () => {
  const silent = await aDevice(database.db);
  const device = await aDevice(database.db, { accountId: silent.accountId });
  await kept(silent, [{ fixTime: BEFORE - 2 * HOUR }], BEFORE - 2 * HOUR);
  await kept(device, [{ fixTime: NOON }], NOON);
  await database.client.execute({
    sql: `INSERT INTO commands (device_id, account_id, code, arguments, identifier, frame, state, created_at, expires_at)
      VALUES (?1, ?2, 'A10', '{}', 'A', x'00', 'sent', ?3, ?3), (?1, ?2, 'A10', '{}', 'B', x'00', 'sent', ?4, ?4)`,
    args: [silent.id, silent.accountId, BEFORE - 1, BEFORE],
  });
  const bytes = () => number("SELECT coalesce(sum(length(fixes)), 0) FROM newest");
  const before = await bytes();
  expect(await purgeExpired(base)).toBe(2);
  expect(await bytes()).toBe(before / 2);
  expect((await read(device)).latest).toEqual([NOON]);
  expect((await database.client.execute("SELECT group_concat(identifier) FROM commands")).rows[0]![0]).toBe("B");
  await kept(silent, [{ fixTime: NOON - DAY }], NOON);
  expect((await read(silent)).latest).toEqual([NOON - DAY]);
});

test("purgeExpired() works in bounded steps and ends the same when it is stopped, repeated or overlapped", async () => {
  const device = await aDevice(database.db);
  const days = LIMITS.deleteSegments + 10;
  const specs = Array.from({ length: days }, (_, i) => ({ fixTime: BEFORE - (i + 1) * DAY }));
  await kept(device, [...specs, { fixTime: NOON }], BEFORE - days * DAY);
  const execute = database.client.execute.bind(database.client);
  let deletions = 0;
  database.client.execute = (async (...args: Parameters<typeof execute>) => {
    const { sql } = args[0] as { sql?: string };
    if (sql?.startsWith("DELETE FROM segments") === true && ++deletions === 2) throw new Error("stopped");
    return execute(...args);
  }) as typeof execute;
  await expect(purgeExpired(base)).rejects.toThrow("stopped");
  expect(await positions()).toBe(11);
  await Promise.all([purgeExpired(base), purgeExpired(base)]);
  expect(await read(device)).toEqual(reading([NOON]));
  expect(await positions()).toBe(1);
  expect(await purgeExpired(base)).toBe(0);
});

test("the secret of a day is destroyed when the whole day is over and not before", async () => {
  const device = await aDevice(database.db);
  const midnight = Math.floor(BEFORE / DAY) * DAY;
  const times = [midnight - HOUR, midnight, midnight + DAY - 1000, midnight + DAY];
  await kept(
    device,
    times.map((fixTime) => ({ fixTime })),
    midnight - HOUR,
  );
  const copies = await copied(device);
  expect(copies.map(({ positions }) => positions)).toEqual([1, 2, 1]);
  // Noon of the second day.
  await purgeExpired(base);
  expect(await opening(copies)).toEqual([false, true, true]);
  // Its last millisecond.
  base.at(NOON + DAY / 2 - 1);
  await purgeExpired(base);
  expect(await opening(copies)).toEqual([false, true, true]);
  expect(await held(device)).toEqual(times.slice(3));
  base.advance(1);
  await purgeExpired(base);
  expect(await opening(copies)).toEqual([false, false, true]);
  expect(await positions()).toBe(1);
});

test("removeDevice() leaves nothing of a marked device, not even of what waits", async () => {
  const device = await aDevice(database.db);
  const other = await aDevice(database.db, { accountId: device.accountId });
  await kept(device, [{ fixTime: NOON - DAY }, { fixTime: NOON }], NOON);
  await kept(other, [{ fixTime: NOON + 2000 }], NOON);
  const copies = await copied(device);
  await stored(base, device, [{ fixTime: NOON + 1000 }]);
  await stored(base, other, [{ fixTime: NOON + 3000 }]);
  await mark(device);
  expect(await removeDevice(base, device.id)).toBe(true);
  expect(await number("SELECT count(*) FROM devices")).toBe(1);
  expect(await positions()).toBe(2);
  expect(await number("SELECT (SELECT count(*) FROM inbox) + (SELECT count(*) FROM runs)")).toBe(0);
  expect(await read(other)).toEqual(reading([NOON + 2000, NOON + 3000]));
  expect(await opening(copies)).toEqual([false, false]);
});

test("removeDevice() does nothing to a device that is not marked", async () => {
  const device = await aDevice(database.db);
  await kept(device, [{ fixTime: NOON }], NOON);
  expect(await removeDevice(base, device.id)).toBe(false);
  expect(await read(device)).toEqual(reading([NOON]));
});

test("finishRemovals() ends a removal that stopped half-way, without foreign keys too", async () => {
  await database.client.execute("PRAGMA foreign_keys = OFF");
  const device = await aDevice(database.db);
  await kept(device, [{ fixTime: NOON }], NOON);
  await mark(device);
  await database.client.batch([
    `INSERT INTO user_devices (user_id, device_id) VALUES (1, ${device.id})`,
    `INSERT INTO key_devices (key_id, device_id) VALUES (1, ${device.id})`,
    `INSERT INTO recent_devices (user_id, device_id, seen_at) VALUES (1, ${device.id}, 1)`,
  ]);
  expect(await finishRemovals(base)).toBe(1);
  for (const table of [
    "devices",
    "segments",
    "newest",
    "inbox",
    "runs",
    "user_devices",
    "key_devices",
    "recent_devices",
  ])
    expect([table, await number(`SELECT count(*) FROM ${table}`)]).toEqual([table, 0]);
  expect(await finishRemovals(base)).toBe(0);
});

test("every table that names a device is one that a removal empties, or has ids only and a time of its own", async () => {
  const { rows } = await database.client.execute(
    `SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'device_id'`,
  );
  const emptied = ["commands", "key_devices", "positions", "recent_devices", "segments", "user_devices"];
  // By the database, with the device's row.
  emptied.push("subject_links", "suspensions");
  expect(rows.map(({ name }) => name).toSorted()).toEqual(
    [...emptied, "idempotency_keys", "looks", "rotations", "tombstones"].toSorted(),
  );
});

test("removeDevice() stops at its share and the job goes on where it ended", async () => {
  const device = await aDevice(database.db);
  const days = LIMITS.deleteSegments + 1;
  await kept(
    device,
    Array.from({ length: days }, (_, i) => ({ fixTime: NOON - i * DAY })),
    NOON - days * DAY,
  );
  await mark(device);
  expect(await removeDevice(base, device.id, { left: 1 })).toBe(false);
  expect(await positions()).toBe(1);
  expect(await finishRemovals(base)).toBe(1);
  expect(await positions()).toBe(0);
});

test("purgeIdempotencyKeys() forgets keys whose time is over", async () => {
  const { accountId } = await aDevice(database.db);
  await database.client.execute({
    sql: `INSERT INTO idempotency_keys (account_id, key, request_hash, created_at, expires_at)
      VALUES (?1, 'a', 'h', 1, ?2), (?1, 'b', 'h', 1, ?3)`,
    args: [accountId, NOON, NOON + 1],
  });
  expect(await purgeIdempotencyKeys(base)).toBe(1);
});
