import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bits, COLUMNS, EPOCH_MS, FLAGS, PositionTable, SLOT, SOURCES, STRIDE } from "../../codec/columns.ts";
import { decodePositionsInto } from "../../codec/decode.ts";
import { CodecError } from "../../codec/errors.ts";
import { EVENTS } from "../../codec/events.ts";
import { FRAME_STATUS, locateFrame, newBounds } from "../../codec/frame.ts";
import { isoTime } from "../../codec/iso-time.ts";
import { SCALES } from "../../codec/models.ts";
import { StoredPositions } from "../../codec/segment.ts";
import { storedPosition } from "../../codec/stored-position.ts";
import { positionJson, positionsJson } from "../../src/position-json.ts";
import { frames } from "../codec/arbitrary-frames.ts";
import { seeded } from "../codec/wire.ts";

const ALL = 2 ** COLUMNS.length - 1;

function rowsOf(list: readonly Uint8Array[], scale: number, seed: number): StoredPositions {
  const random = seeded(seed + 1);
  const stored = new StoredPositions();
  const table = new PositionTable();
  for (const frame of list) {
    const bounds = newBounds();
    expect(locateFrame(frame, 0, frame.length, bounds)).toBe(FRAME_STATUS.ok);
    table.reset();
    try {
      decodePositionsInto(table, frame, bounds, { scale });
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
    }
    for (let row = 0; row < table.count; row++) {
      const receivedAt = 1.79e12 + (random() % 400_000_000);
      stored.add(table, row, 5e12 + random(), random() % 3000, 0, receivedAt, random() % 5 === 0);
    }
  }
  return stored;
}

const edges = [0, 1, -1, 9, 10, 99, 100, 999, 1000, 1001, 12_300, 999_999, 1e6, 1_000_100, -500, -1000, -1_050_000];
const numbers = fc.oneof(fc.integer(), fc.integer({ min: -2000, max: 2000 }), fc.constantFrom(...edges, -(2 ** 31)));
const rows = fc.record({
  mask: fc.oneof(
    fc.constant(ALL),
    fc.nat(ALL),
    fc.nat(ALL).map((mask) => mask & ~bits("systemFlags", "rxLevel")),
  ),
  flags: fc
    .tuple(
      fc.oneof(fc.constantFrom(FLAGS.valid, 0), fc.nat(15)),
      fc.oneof(fc.constant(1), fc.nat(SCALES.length - 1)),
      fc.nat(SOURCES.length - 1),
    )
    .map(([said, scale, source]) => said | (scale << FLAGS.scaleShift) | (source << FLAGS.sourceShift)),
  event: fc.constantFrom<number>(...EVENTS.map(({ code }) => code), 7777, -1),
  columns: fc.array(numbers, { minLength: COLUMNS.length, maxLength: COLUMNS.length }),
  tail: fc.oneof(
    fc.constant(Uint8Array.of()),
    fc.uint8Array({ maxLength: 40 }),
    // Field 17 and on of an AAA report, and a temperature sensor and a card of a CCE report.
    fc
      .constantFrom(",,3,241E,010A92|06FB2E", "0000000A", '00112233,"x",3')
      .map((text) => Uint8Array.of(17, text.length, ...new TextEncoder().encode(text))),
    fc
      .constantFrom([0xaa, 0x80, 0x10, 3, 1, 0x12, 0x0a], [0xb9, 0x80, 0x10, 3, 0x31, 0x32, 0x33])
      .map((entry) => Uint8Array.from(entry)),
  ),
  id: fc.oneof(fc.nat(2000), fc.maxSafeNat()),
  deviceId: fc.oneof(fc.nat(2000), fc.maxSafeNat()),
  receivedAt: fc.oneof(
    fc.integer({ min: 0, max: 8.64e15 }),
    fc.nat(1e9).map((n) => 1.79e12 + n),
  ),
  clock: fc.boolean(),
});

type Row = ReturnType<typeof rows.generate>["value"];

function storeOf(list: readonly Row[]): StoredPositions {
  const stored = new StoredPositions();
  const table = new PositionTable();
  for (const row of list) {
    table.reset();
    const base = table.addRow();
    table.i32.fill(0, base, base + STRIDE);
    table.i32.set([row.mask, ...row.columns, row.flags], base);
    table.i32[base + SLOT.event] = row.event;
    table.i32[base + SLOT.tailLength] = row.tail.length;
    table.reserveTail(row.tail.length);
    table.tail.set(row.tail);
    table.tailUsed = row.tail.length;
    stored.add(table, 0, row.id, row.deviceId, 0, row.receivedAt, row.clock);
  }
  return stored;
}

function expectSame(stored: StoredPositions, order: readonly number[]): void {
  const objects = order.map((row) => storedPosition(stored, row));
  expect(written(positionsJson(stored, order))).toBe(JSON.stringify(objects));
}

const written = (json: Uint8Array) => new TextDecoder("utf-8", { fatal: true }).decode(json);

describe("positionsJson()", () => {
  test("writes what JSON.stringify() writes of decoded frames", () => {
    fc.assert(
      fc.property(fc.array(frames, { maxLength: 8 }), fc.nat(SCALES.length - 1), fc.nat(), (list, scale, seed) => {
        const stored = rowsOf(list, scale, seed);
        expectSame(stored, [...Array(stored.count).keys()]);
      }),
      { numRuns: 800, seed: 51 },
    );
  });

  test("writes what JSON.stringify() writes of any row", () => {
    fc.assert(
      fc.property(fc.array(rows, { maxLength: 8 }), (list) => {
        const stored = storeOf(list);
        expectSame(stored, [...Array(stored.count).keys()].reverse());
      }),
      { numRuns: 2000, seed: 52 },
    );
  });

  test("sees each change between rows that are alike", () => {
    const columns = fc.nat(COLUMNS.length - 1);
    fc.assert(
      fc.property(rows, fc.array(fc.tuple(columns, numbers, rows), { maxLength: 12 }), (first, changes) => {
        const list = [first];
        for (const [column, value, other] of changes) {
          const last = list[list.length - 1];
          const next = { ...last, columns: last.columns.with(column, value) };
          if (column % 7 === 0) next.flags = other.flags;
          if (column % 7 === 1) next.mask = other.mask;
          if (column % 7 === 2) next.event = other.event;
          if (column % 7 === 3) next.tail = other.tail;
          if (column % 7 === 4) next.clock = other.clock;
          list.push(next, next);
        }
        expectSame(storeOf(list), [...Array(list.length).keys()]);
      }),
      { numRuns: 1000, seed: 53 },
    );
  });

  test("writes every number of thousandths and of millionths as the quotient is written", () => {
    const list: Row[] = [];
    const row = {
      mask: ALL,
      flags: 1,
      event: 35,
      tail: Uint8Array.of(),
      id: 1,
      deviceId: 1,
      receivedAt: 0,
      clock: false,
    };
    for (let n = -100_000; n < 100_000; n += 7)
      list.push({ ...row, columns: COLUMNS.map((_, column) => n * (column + 1)) });
    expectSame(storeOf(list), [...Array(list.length).keys()]);
  });

  test("takes a stretch of an order", () => {
    const row = {
      mask: 0,
      flags: 0,
      event: 0,
      columns: [],
      tail: Uint8Array.of(),
      deviceId: 2,
      receivedAt: 0,
      clock: false,
    };
    const stored = storeOf([1, 2, 3, 4].map((id) => ({ ...row, id })));
    const head = (id: number) =>
      `{"id":${id},"deviceId":2,"receivedAt":"1970-01-01T00:00:00.000Z","event":{"code":0,"name":"unknown"},` +
      '"fixTime":"1970-01-01T00:00:00.000Z","valid":false}';
    expect(written(positionsJson(stored, Uint32Array.of(3, 1, 0), 1))).toBe(`[${head(2)},${head(1)}]`);
    expect(written(positionsJson(stored, [3, 1, 0], 0, 1))).toBe(`[${head(4)}]`);
    expect(written(positionsJson(stored, [3], 1))).toBe("[]");
    expect(positionJson(stored, 2)).toBe(head(3));
    expect(written(positionsJson(stored, [2], 0, 1, '{"data":', ',"nextCursor":"é"}'))).toBe(
      `{"data":[${head(3)}],"nextCursor":"é"}`,
    );
  });
});

test("storedPosition() keeps what the tracker's clock said when it was unusable", () => {
  const columns = COLUMNS.map(() => 60);
  const row = { mask: bits("timeS"), flags: 0, event: 0, columns, tail: Uint8Array.of(), id: 1, deviceId: 2 };
  const stored = storeOf([
    { ...row, receivedAt: 1000, clock: true },
    { ...row, receivedAt: 1000, clock: false },
  ]);
  const said = isoTime(EPOCH_MS + 60_000);
  expect(storedPosition(stored, 0)).toMatchObject({ fixTime: isoTime(1000), readings: { deviceTime: said } });
  expect(storedPosition(stored, 1)).toMatchObject({ fixTime: said, readings: undefined });
});

test("isoTime() writes what toISOString() writes", () => {
  const times = fc.oneof(fc.integer({ min: -8.64e15, max: 8.64e15 }), fc.nat(2 ** 40), fc.constantFrom(0, 86_399_999));
  fc.assert(
    fc.property(times, fc.integer({ min: -90_000_000, max: 90_000_000 }), (ms, step) => {
      for (const time of [ms, ms + step, ms]) {
        if (Math.abs(time) <= 8.64e15) expect(isoTime(time)).toBe(new Date(time).toISOString());
      }
    }),
    { numRuns: 3000, seed: 54 },
  );
});
