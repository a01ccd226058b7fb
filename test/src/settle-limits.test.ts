import { expect, test } from "vitest";
import { SLOT, STRIDE } from "../../codec/columns.ts";
import type { StoredPositions } from "../../codec/segment.ts";
import { sealBatches } from "../../src/inbox.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { keyInForce, settle } from "../../src/settle.ts";
import { appendStatements } from "../../src/store/inbox.ts";
import { firstIdOf, SEGMENTS_A_DAY } from "../../src/store/segments.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { aBase, aContext, aDatabase, aDevice, asKey, NOON, type TestBase } from "../database.ts";
import { packed, settled, stored } from "../stored.ts";

// What one tracker sends must not keep the others from being settled.

const MINUTE = 60_000;

/** Gives a row a tail of random bytes, as a frame with a long unreadable end does. */
function withTail(stored: StoredPositions, row: number, bytes: number): void {
  const { table } = stored;
  table.reserveTail(bytes);
  table.tail.set(crypto.getRandomValues(new Uint8Array(bytes)), table.tailUsed);
  table.i32[row * STRIDE + SLOT.tailStart] = table.tailUsed;
  table.i32[row * STRIDE + SLOT.tailLength] = bytes;
  table.tailUsed += bytes;
}

async function sendLong(
  base: TestBase,
  device: { id: number; accountId: number },
  fixTime: number,
  rows: number,
  tailBytes = 65_000,
) {
  const telemetry = mainTelemetry(base);
  const positions = packed(
    device,
    Array.from({ length: rows }, (_, i) => ({ fixTime: fixTime + i * 1000 })),
  );
  for (let row = 0; row < rows; row++) withTail(positions, row, tailBytes);
  const { kid, key } = await keyInForce(base, telemetry);
  const batches = await sealBatches(base, telemetry, positions, kid, key);
  await telemetry.db.$client.batch(appendStatements(batches, null), "write");
}

test.each([3, 6])(
  "Frames with the longest ends settle, %i requests full of them, and so does what others sent",
  async (requests) => {
    const { db } = await aDatabase();
    const base = aBase(db);
    const [long, other] = [await aDevice(db), await aDevice(db)];
    for (let batch = 0; batch < requests; batch++) await sendLong(base, long, NOON - 60 * MINUTE + batch * MINUTE, 60);
    await stored(base, other, [{ fixTime: NOON - MINUTE }]);
    expect(await settled(base)).toBe(requests * 60 + 1);
    const page = await history(aContext(base, asKey(long.accountId)), long.id, { limit: 1000 });
    expect(page.data).toHaveLength(requests * 60);
  },
);

test("A device whose day has no more places for segments keeps no other from being settled, and loses nothing", async () => {
  const { db } = await aDatabase();
  const base = aBase(db);
  const [full, other] = [await aDevice(db), await aDevice(db)];
  await stored(base, full, [{ fixTime: NOON - 10 * MINUTE }]);
  await settled(base);
  // The last place of the day is taken, by a segment that takes no more.
  await db.$client.execute({
    sql: "UPDATE segments SET id = ?, positions = 160 WHERE device_id = ?",
    args: [firstIdOf(full.id, NOON) + SEGMENTS_A_DAY - 1, full.id],
  });
  await stored(base, full, [{ fixTime: NOON - MINUTE }]);
  await stored(base, other, [{ fixTime: NOON - MINUTE }]);
  await settle(base, mainTelemetry(base), { all: true });
  const { rows } = await db.$client.execute({
    sql: "SELECT device_id, count(*) FROM segments WHERE device_id IN (?, ?) GROUP BY device_id ORDER BY device_id",
    args: [full.id, other.id],
  });
  expect(rows.map((row) => [row[0], row[1]])).toEqual([
    [full.id, 2],
    [other.id, 1],
  ]);
});

test("A device of whose day there are ever more segments loses nothing of it", { timeout: 60_000 }, async () => {
  const { db } = await aDatabase();
  const base = aBase(db);
  const device = await aDevice(db, { createdAt: 0 });
  const day = Math.floor(NOON / 86_400_000) * 86_400_000;
  const { segmentPositions, segmentPositionsMin } = LIMITS;
  const segments = async () => Number((await db.$client.execute("SELECT count(*) FROM segments")).rows[0]![0]);
  const all = async () => {
    const fixes: number[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await history(aContext(base, asKey(device.accountId)), device.id, {
        limit: 1000,
        ...(cursor !== undefined && { cursor }),
      });
      fixes.push(...page.data.map(({ fixTime }) => Date.parse(fixTime)));
      if (page.nextCursor === null) return fixes;
      cursor = page.nextCursor;
    }
  };
  const sent: number[] = [];
  let next = day;
  /** As many, which came so many days before: their clock was ahead, and the secret of that day seals them. */
  const send = async (daysBefore: readonly number[]) => {
    const specs = daysBefore.map((days) => {
      next += 5_000;
      sent.push(next);
      return {
        fixTime: next,
        record: next - day,
        ...(days > 0 && { receivedAt: day - days * 86_400_000 + 3_600_000 }),
      };
    });
    await stored(base, device, specs);
    await settle(base, mainTelemetry(base), { all: true });
    return specs;
  };
  const days = (count: number, of: (i: number) => number) => Array.from({ length: count }, (_, i) => of(i));
  try {
    // Each position is a segment that takes no more.
    Object.assign(LIMITS, { segmentPositions: 1, segmentPositionsMin: 1 });
    await send(days((SEGMENTS_A_DAY / 8) * 7, () => 0));
    // Then each settling makes one of what has the same secret, until there is no place left.
    while ((await segments()) < SEGMENTS_A_DAY) await send(days(64, (i) => i + 1));
    const specs = await send(days(30, (i) => i % 3));
    // Of these days there is none yet.
    specs.push(...(await send(days(10, (i) => 66 + (i % 2)))));
    for (let i = 0; i < 5; i++) specs.push(...(await send([0])));
    expect(await segments()).toBe(SEGMENTS_A_DAY);
    expect(base.logged.filter((line) => line.includes("settle.full"))).toEqual([]);
    expect(await all()).toEqual(sent);
    // What is sent again is known, wherever it has come to rest.
    await stored(base, device, specs);
    await settle(base, mainTelemetry(base), { all: true });
    expect(await all()).toEqual(sent);
  } finally {
    Object.assign(LIMITS, { segmentPositions, segmentPositionsMin });
  }
});

test("Keys of one account that cannot be reached keep no other part from being settled", async () => {
  const { db } = await aDatabase();
  const base = aBase(db);
  const devices = [];
  for (let i = 0; i < 4; i++) devices.push(await aDevice(db));
  for (const [i, device] of devices.entries()) {
    const specs = Array.from({ length: 10 - i }, (_, n) => ({ fixTime: NOON - MINUTE - n * 1000 }));
    await stored(base, device, specs);
  }
  // The fullest part comes first.
  const [lost] = devices;
  const name = `account/${lost!.accountId}`;
  const { copies } = base.secrets;
  const broken = copies.map((copy) => ({
    ...copy,
    list: (prefix: string) => copy.list(prefix),
    delete: (of: string) => copy.delete(of),
    put: (of: string, bytes: Uint8Array, expected: string | null) => copy.put(of, bytes, expected),
    get: async (of: string) => {
      if (of === name) throw new Error("this copy cannot be reached");
      return copy.get(of);
    },
  }));
  const crippled = { ...base, secrets: { ...base.secrets, copies: [broken[0]!, broken[1]!] as const } };
  await expect(
    settle({ ...crippled, config: { ...base.config } }, mainTelemetry(base), { all: true }),
  ).rejects.toThrow();
  const { rows } = await db.$client.execute("SELECT count(DISTINCT device_id) FROM segments");
  expect(Number(rows[0]![0])).toBe(3);
  expect(LIMITS.partsPerRun).toBeGreaterThan(3);
});

test("After an outage all that waits is merged first, and each part is settled once", async () => {
  const { db } = await aDatabase();
  const base = aBase(db);
  const device = await aDevice(db);
  const { mergeBatches } = LIMITS;
  const writes: string[] = [];
  const { batch } = db.$client;
  try {
    Object.assign(LIMITS, { mergeBatches: 2 });
    for (let i = 0; i < 8; i++) await stored(base, device, [{ fixTime: NOON - i * MINUTE }]);
    db.$client.batch = (statements, mode) => {
      for (const statement of statements) {
        const sql = typeof statement === "string" ? statement : (statement as { sql: string }).sql;
        for (const table of ["runs", "segments"]) if (sql.includes(`INSERT INTO ${table}`)) writes.push(table);
      }
      return batch.call(db.$client, statements, mode);
    };
    expect(await settled(base)).toBe(8);
  } finally {
    Object.assign(LIMITS, { mergeBatches });
    db.$client.batch = batch;
  }
  expect(writes).toEqual(["runs", "runs", "runs", "runs", "segments"]);
});

test("A segment ends where its row would not fit in a page, and is not opened again when it is nearly full", async () => {
  const { db } = await aDatabase();
  const base = aBase(db);
  const device = await aDevice(db);
  const rows = async () => {
    const found = await db.$client.execute(
      "SELECT id, positions, length(sealed), hex(sealed) FROM segments ORDER BY id",
    );
    return found.rows.map((row) => ({ id: row[0], positions: Number(row[1]), bytes: Number(row[2]), sealed: row[3] }));
  };
  await sendLong(base, device, NOON - 20 * MINUTE, 350, 16);
  expect(await settled(base)).toBe(350);
  const before = await rows();
  expect(before.length).toBeGreaterThan(1);
  for (const { bytes } of before) expect(bytes).toBeLessThanOrEqual(LIMITS.segmentBytes + 28);
  for (const { bytes } of before.slice(0, -1)) expect(bytes).toBeGreaterThan(LIMITS.segmentBytes * 0.9);
  await sendLong(base, device, NOON - 10 * MINUTE, 350, 16);
  expect(await settled(base)).toBe(700);
  const after = await rows();
  expect(after.slice(0, before.length - 1)).toEqual(before.slice(0, -1));
  // What was short takes what comes.
  expect(after[before.length - 1]!.positions).toBeGreaterThan(before.at(-1)!.positions);
});
