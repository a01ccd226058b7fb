import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeRecord } from "../../../codec/record.ts";
import { bytesOf } from "../../../src/store/db.ts";
import { type PackedPositions, storedRows } from "../../../src/store/ingest.ts";
import { aDatabase, aDevice, NOON, type TestDatabase } from "../../database.ts";
import { type PositionSpec, packed as packedOf, write } from "../../stored.ts";

let database: TestDatabase;
let device: { id: number; accountId: number };
beforeEach(async () => {
  database = await aDatabase();
  device = await aDevice(database.db);
});
afterEach(() => database.close());

async function version(): Promise<number> {
  return Number((await database.client.execute("SELECT version FROM registry")).rows[0][0]);
}

const packed = (specs: PositionSpec[], to = device) => packedOf(to, specs);
const insert = async (positions: PackedPositions, at?: number) =>
  write(database.db, positions, at ?? (await version()));

test("insertStatement() stores every number and record of a batch as it was packed", async () => {
  const specs: PositionSpec[] = [
    { fixTime: NOON, receivedAt: NOON + 1234, event: 1, digest: [-1, -1] },
    { fixTime: NOON + 1000, event: -1, valid: false, digest: [0x7fffffff, 0] },
    { fixTime: Date.UTC(2010, 0, 1), event: 99_999, digest: [0, 1], latitudeE6: -22513015 },
    { fixTime: NOON, receivedAt: NOON, clock: true, event: 0, digest: [-2147483648, 5] },
  ];
  expect(await insert(packed(specs))).toEqual({ inserted: 4, lastId: 4 });
  const { rows } = await database.client.execute(
    `SELECT account_id, device_id, fix_time, hex(digest), received_at, clock, event, valid, record
      FROM positions ORDER BY id`,
  );
  for (const [i, spec] of specs.entries()) {
    const [high, low] = spec.digest!;
    const digest = [high, low].map((half) => (half >>> 0).toString(16).toUpperCase().padStart(8, "0")).join("");
    expect(Array.from({ length: 8 }, (_, column) => rows[i][column])).toEqual([
      device.accountId,
      device.id,
      spec.fixTime,
      digest,
      spec.receivedAt ?? spec.fixTime,
      spec.clock ? 1 : 0,
      spec.event,
      spec.valid === false ? 0 : 1,
    ]);
    const position = decodeRecord(bytesOf(rows[i][8]));
    expect(position.event.code).toBe(spec.event);
    expect(position.latitude).toBe((spec.latitudeE6 ?? 1_000_000) / 1e6);
  }
});

test("insertStatement() stores thousands of positions in one statement", async () => {
  const positions = packed(Array.from({ length: 5000 }, (_, i) => ({ fixTime: NOON + i * 1000, event: i % 200 })));
  expect((await insert(positions)).inserted).toBe(5000);
  const { rows } = await database.client.execute(
    "SELECT count(DISTINCT fix_time), sum(event), min(length(record)) > 5 FROM positions",
  );
  expect([rows[0][0], rows[0][1], rows[0][2]]).toEqual([5000, 497_500, 1]);
});

test("insertStatement() stores nothing for an empty batch", async () => {
  expect((await insert(packed([]))).inserted).toBe(0);
});

test("insertStatement() stores nothing when the registry has moved on", async () => {
  const before = await version();
  await aDevice(database.db);
  expect((await insert(packed([{}]), before)).inserted).toBe(0);
});

describe("a position that is there already is not stored again", () => {
  test("in a later batch, in part", async () => {
    await insert(packed([{ digest: [1, 1] }]));
    const again = packed([{ digest: [1, 1] }, { digest: [1, 2] }, { digest: [1, 1], fixTime: NOON + 1000 }]);
    const { inserted, lastId } = await insert(again);
    expect(inserted).toBe(2);
    expect([...(await storedRows(database.db, again, inserted, lastId))]).toEqual([0, 1, 1]);
  });

  test("twice in one batch", async () => {
    const twice = packed([{ digest: [1, 1] }, { digest: [1, 1] }]);
    const { inserted, lastId } = await insert(twice);
    expect(inserted).toBe(1);
    expect([...(await storedRows(database.db, twice, inserted, lastId))]).toEqual([1, 0]);
  });

  test("all of it, with no query at all", async () => {
    const positions = packed([{}, { event: 1 }]);
    await insert(positions);
    const { inserted, lastId } = await insert(positions);
    expect([...(await storedRows(database.db, positions, inserted, lastId))]).toEqual([0, 0]);
  });

  test("without a usable clock, whenever it was received", async () => {
    await insert(packed([{ clock: true, digest: [1, 1], fixTime: NOON }]));
    const again = packed([
      { clock: true, digest: [1, 1], fixTime: NOON + 5000 },
      { clock: true, digest: [1, 2], fixTime: NOON + 5000 },
    ]);
    const { inserted, lastId } = await insert(again);
    expect([...(await storedRows(database.db, again, inserted, lastId))]).toEqual([0, 1]);
  });

  test("but the same record of another device is another position", async () => {
    const other = await aDevice(database.db);
    await insert(packed([{ digest: [1, 1] }]));
    expect((await insert(packed([{ digest: [1, 1] }], other))).inserted).toBe(1);
  });
});

describe("latestStatement()", () => {
  async function latest() {
    const { rows } = await database.client.execute("SELECT position_id, fix_time, clock FROM latest");
    return rows.map((row) => [row[0], row[1], row[2]]);
  }

  const MINUTE = 60_000;
  const cases: [name: string, batches: PositionSpec[][], expected: [id: number, fixTime: number, clock: number][]][] = [
    [
      "takes the newest of a batch",
      [[{ fixTime: NOON }, { fixTime: NOON + MINUTE }, { fixTime: NOON - MINUTE }]],
      [[2, NOON + MINUTE, 0]],
    ],
    [
      "keeps the newest when older ones are uploaded late",
      [[{ fixTime: NOON }], [{ fixTime: NOON - MINUTE }]],
      [[1, NOON, 0]],
    ],
    ["leaves out what is not a fix", [[{ fixTime: NOON }, { fixTime: NOON + MINUTE, valid: false }]], [[1, NOON, 0]]],
    ["is empty without a fix", [[{ valid: false }]], []],
    [
      "lets a fix follow one that was stamped in the future",
      [[{ fixTime: NOON + 600 * MINUTE, receivedAt: NOON }], [{ fixTime: NOON + MINUTE, receivedAt: NOON + MINUTE }]],
      [[2, NOON + MINUTE, 0]],
    ],
    [
      "lets a fix with a right clock follow one without",
      [[{ fixTime: NOON + 5, clock: true }], [{ fixTime: NOON, receivedAt: NOON + 5 }]],
      [[2, NOON, 0]],
    ],
    [
      "shows a tracker that lost its clock where it is now",
      [[{ fixTime: NOON }], [{ fixTime: NOON + MINUTE, clock: true }]],
      [[2, NOON + MINUTE, 1]],
    ],
    ["takes the later of two with one time", [[{ event: 35 }, { event: 81 }]], [[2, NOON, 0]]],
  ];
  for (const [name, batches, expected] of cases) {
    test(name, async () => {
      for (const batch of batches) await insert(packed(batch));
      expect(await latest()).toEqual(expected);
    });
  }
});
