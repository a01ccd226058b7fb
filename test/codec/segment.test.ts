import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "../../codec/bytes.ts";
import { COLUMNS, FLAGS, PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { CodecError } from "../../codec/errors.ts";
import { decodeDevicesInto } from "../../codec/pick.ts";
import {
  ByteSink,
  decodeStoredInto,
  encodeStored,
  SEGMENT_ROWS,
  SEGMENT_VERSION,
  StoredPositions,
  sameRecord,
  storedRows,
} from "../../codec/segment.ts";
import { SEGMENT_TAIL_BYTES } from "../../codec/tail-block.ts";
import { hexBytes, refusal, seeded } from "./wire.ts";

interface Row {
  mask: number;
  flags: number;
  columns: readonly number[];
  tail: Uint8Array;
  id: number;
  deviceId: number;
  bucket: number;
  receivedAt: number;
  clock: boolean;
}

const BIG = Number.MAX_SAFE_INTEGER;
const LAST_MS = 8.64e15;
const ALL = 2 ** COLUMNS.length - 1;

/** A store with these rows. Slots of columns that a row does not have hold `garbage`. */
function storeOf(rows: readonly Row[], garbage = 0x5a5a5a5a): StoredPositions {
  const stored = new StoredPositions(1);
  const table = new PositionTable(1);
  for (const row of rows) {
    table.reset();
    const base = table.addRow();
    table.i32.fill(garbage, base, base + STRIDE);
    table.i32[base + SLOT.mask] = row.mask;
    table.i32[base + SLOT.flags] = row.flags;
    for (let column = 0; column < COLUMNS.length; column++) {
      if ((row.mask & (1 << column)) !== 0) table.i32[base + 1 + column] = row.columns[column];
    }
    table.reserveTail(row.tail.length);
    table.tail.set(row.tail);
    table.i32[base + SLOT.tailStart] = 0;
    table.i32[base + SLOT.tailLength] = row.tail.length;
    table.tailUsed = row.tail.length;
    stored.add(table, 0, row.id, row.deviceId, row.bucket, row.receivedAt, row.clock);
  }
  return stored;
}

function rowOf(stored: StoredPositions, row: number): Row {
  const { table } = stored;
  const base = row * STRIDE;
  const mask = table.i32[base + SLOT.mask];
  return {
    mask,
    flags: table.i32[base + SLOT.flags],
    columns: COLUMNS.map((_, column) => ((mask & (1 << column)) === 0 ? 0 : table.i32[base + 1 + column])),
    tail: table.tailAt(row),
    id: stored.ids[row],
    deviceId: stored.deviceIds[row],
    bucket: stored.buckets[row],
    receivedAt: stored.receivedAt[row],
    clock: stored.clock[row] === 1,
  };
}

const rowsOf = (stored: StoredPositions): Row[] => Array.from({ length: stored.count }, (_, row) => rowOf(stored, row));
const upTo = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, n) => n);

function blockOf(stored: StoredPositions, order = upTo(stored.count)): Uint8Array {
  const sink = new ByteSink(1);
  encodeStored(stored, order, 0, order.length, sink);
  return sink.bytes.slice(0, sink.length);
}

const A_ROW: Row = {
  mask: 0b1111,
  flags: FLAGS.valid | FLAGS.saidValid,
  columns: COLUMNS.map((_, column) => [35, 52_500_000, 13_400_000, 840_000_000][column] ?? 0),
  tail: Uint8Array.of(),
  id: 1_000_000,
  deviceId: 7,
  bucket: 0,
  receivedAt: 946_684_800_000 + 840_000_001_500,
  clock: false,
};
/** The n-th row of a drive, with `more`. */
const aRow = (n: number, more: Partial<Row> = {}): Row => ({
  ...A_ROW,
  columns: A_ROW.columns.map((value, column) => value + [0, 113, -71, 10][column] * n || value),
  id: A_ROW.id + n * 1_500_000,
  receivedAt: A_ROW.receivedAt + n * 10_000,
  ...more,
});

const i32s = fc.oneof(
  fc.integer(),
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(0, -1, -(2 ** 31), 2 ** 31 - 1, 123_000),
);
const flags = fc
  .tuple(fc.nat(15), fc.nat(3), fc.constantFrom(0, 1, 2, 3))
  .map(([said, scale, source]) => said | (scale << FLAGS.scaleShift) | (source << FLAGS.sourceShift));
const arrays = fc.record({
  mask: fc.oneof(fc.constant(ALL), fc.constant(0x1fffff), fc.nat(ALL)),
  flags: fc.oneof(fc.constant(3), flags),
  columns: fc.array(i32s, { minLength: COLUMNS.length, maxLength: COLUMNS.length }),
  tail: fc.oneof(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 300 })),
  id: fc.oneof(fc.nat(100), fc.maxSafeNat()),
  deviceId: fc.oneof(fc.nat(3), fc.maxSafeNat()),
  bucket: fc.nat(1023),
  receivedAt: fc.oneof(
    fc.integer({ min: 0, max: LAST_MS }),
    fc.nat(5000).map((n) => 1.79e12 + n),
  ),
  clock: fc.boolean(),
});
/** Columns that move as real ones do: every form of a stream occurs. */
const drives = fc
  .record({
    count: fc.integer({ min: 1, max: 150 }),
    mask: fc.constantFrom(ALL, 0x1fffff, 0xfff),
    seed: fc.nat(),
    steps: fc.array(fc.constantFrom(0, 1, 7, 300, 70_000, 2 ** 30), {
      minLength: COLUMNS.length,
      maxLength: COLUMNS.length,
    }),
    times: fc.constantFrom(1, 100, 1000, 10_000),
    tails: fc.constantFrom(0, 1, 9, 40),
    devices: fc.constantFrom(1, 3),
    odd: fc.boolean(),
  })
  .map(({ count, mask, seed, steps, times, tails, devices, odd }) => {
    const random = seeded(seed + 1);
    const values = steps.map(() => random() | 0);
    const kinds = steps.map(() => random() % 4);
    return Array.from({ length: count }, (_, n): Row => {
      for (const [column, step] of steps.entries()) {
        const kind = kinds[column];
        if (kind === 0) values[column] = (values[column] + step) | 0;
        else if (kind === 1) values[column] = (values[column] + (random() % (step * 2 + 1)) - step) | 0;
        else if (kind === 2 && random() % 20 === 0) values[column] = random() | 0;
        else if (kind === 3) values[column] = (random() % (step + 1)) * times;
      }
      return {
        mask: odd && random() % 10 === 0 ? mask & random() : mask,
        flags: random() % 30 === 0 ? 0 : 3,
        columns: [...values],
        tail: Uint8Array.from({ length: tails + (odd ? random() % 3 : 0) }, (_, i) => (i === 4 ? random() % 3 : i)),
        id: 2 ** 33 - 5e7 + n * 1_500_000 + (random() % 1_000_000),
        deviceId: 5e9 + (n % devices),
        bucket: n % 7,
        receivedAt: 1.79e12 + n * 10_000 + (random() % 2000),
        clock: odd && random() % 10 === 0,
      };
    });
  });
const tables = fc.oneof(fc.array(arrays, { maxLength: 40 }), drives);

describe("encodeStored() and decodeStoredInto()", () => {
  test("give back every row, whatever is in the slots that a row does not have", () => {
    fc.assert(
      fc.property(tables, (rows) => {
        const stored = storeOf(rows);
        const back = new StoredPositions(1);
        expect(decodeStoredInto(back, blockOf(stored))).toBe(rows.length);
        expect(rowsOf(back)).toEqual(rowsOf(stored));
        for (let row = 0; row < rows.length; row++) expect(sameRecord(stored, row, back, row)).toBe(true);
        // Absent columns, digest and source frame of new rows are zero.
        const base = STRIDE * (rows.length - 1);
        for (const [column] of rows.length === 0 ? [] : COLUMNS.entries()) {
          if ((back.table.i32[base + SLOT.mask] & (1 << column)) === 0) {
            expect(back.table.i32[base + 1 + column]).toBe(0);
          }
        }
        for (const slot of rows.length === 0 ? [] : [SLOT.digestHi, SLOT.digestLo, SLOT.sourceFrame]) {
          expect(back.table.i32[base + slot]).toBe(0);
        }
        expect(toHex(blockOf(back))).toBe(toHex(blockOf(storeOf(rows, 0))));
      }),
      { numRuns: 400, seed: 41 },
    );
  });

  test("take any stretch of any order, and append to what is there with their own base of ids", () => {
    fc.assert(
      fc.property(tables, tables, fc.nat(), fc.nat(2 ** 40), (one, other, seed, idBase) => {
        const random = seeded(seed + 1);
        const rows = [...one, ...other].map((row) => ({ ...row, id: row.id % 2 ** 50 }));
        const stored = storeOf(rows);
        const order = Uint32Array.from(rows, (_, n) => n).sort(() => (random() % 3) - 1);
        const cut = rows.length === 0 ? 0 : random() % rows.length;
        const sink = new ByteSink(7);
        encodeStored(stored, order, cut, rows.length, sink);
        const middle = sink.length;
        encodeStored(stored, order, 0, cut, sink);
        const back = new StoredPositions(3);
        decodeStoredInto(back, sink.bytes, middle, sink.length, idBase);
        decodeStoredInto(back, sink.bytes, 0, middle);
        expect(rowsOf(back)).toEqual(
          [...order].map((row, n) => {
            const expected = rowOf(stored, row);
            return { ...expected, id: expected.id + (n < cut ? idBase : 0) };
          }),
        );
      }),
      { numRuns: 200, seed: 42 },
    );
  });

  test("keep the extremes", () => {
    const columns = (value: number) => COLUMNS.map(() => value);
    const rows = [
      aRow(0, { mask: ALL, columns: columns(-(2 ** 31)), id: BIG, deviceId: BIG, receivedAt: LAST_MS, bucket: 1023 }),
      aRow(1, { mask: ALL, columns: columns(2 ** 31 - 1), id: 0, deviceId: 0, receivedAt: 0 }),
      aRow(2, { mask: ALL, columns: columns(-1), id: BIG - 1, deviceId: 2 ** 32, receivedAt: 2 ** 31, clock: true }),
      aRow(3, { mask: 0, id: 2 ** 31, deviceId: 2 ** 31 - 1, receivedAt: 2 ** 32 - 1 }),
    ];
    const back = new StoredPositions();
    for (let n = 1; n <= rows.length; n++) {
      back.reset();
      decodeStoredInto(back, blockOf(storeOf(rows.slice(0, n))));
      expect(rowsOf(back)).toEqual(rowsOf(storeOf(rows.slice(0, n))));
    }
  });

  test("keep the most rows that a block may have, and refuse one more", () => {
    const stored = storeOf([aRow(0)]);
    const order = new Uint32Array(SEGMENT_ROWS + 1);
    const block = blockOf(stored, order.subarray(1));
    expect(block.length).toBeLessThan(60);
    expect(decodeStoredInto(new StoredPositions(), block)).toBe(SEGMENT_ROWS);
    const sink = new ByteSink();
    sink.length = 3;
    expect(refusal(() => encodeStored(stored, order, 0, order.length, sink)).code).toBe("length");
    expect(sink.length).toBe(3);
  });

  test("refuse more bytes of tails than a reader would reserve", () => {
    const tail = (n: number) => new Uint8Array(SEGMENT_TAIL_BYTES / 2).fill(n);
    const full = storeOf([aRow(0, { tail: tail(1) }), aRow(1, { tail: tail(2) }), aRow(2, { tail: tail(2) })]);
    expect(decodeStoredInto(new StoredPositions(), blockOf(full))).toBe(3);
    const over = storeOf([aRow(0, { tail: tail(1) }), aRow(1, { tail: tail(2) }), aRow(2, { tail: Uint8Array.of(1) })]);
    expect(refusal(() => blockOf(over)).code).toBe("length");
  });

  test.each([
    ["an id that is not whole", { id: 0.5 }],
    ["a negative id", { id: -1 }],
    ["an id that is not exact", { id: 2 ** 53 }],
    ["a device id that is no number", { deviceId: Number.NaN }],
    ["a receive time after the last of all dates", { receivedAt: LAST_MS + 1 }],
    ["a receive time that is not whole", { receivedAt: 0.25 }],
  ])("refuse %s", (_, more) => {
    const sink = new ByteSink();
    sink.length = 2;
    expect(refusal(() => encodeStored(storeOf([aRow(0), aRow(1, more)]), upTo(2), 0, 2, sink)).code).toBe("value");
    expect(sink.length).toBe(2);
  });

  test("write a drive of one device in few bytes", () => {
    const random = seeded(9);
    const rows = Array.from({ length: 200 }, (_, n) =>
      aRow(n, { receivedAt: A_ROW.receivedAt + n * 10_000 + (random() % 2000) }),
    );
    // Receive times of 11 bits, and everything else at a constant pace.
    expect(blockOf(storeOf(rows)).length / rows.length).toBeLessThan(1.8);
  });
});

test("storedRows() tells how many rows a block has, and takes other bytes for none", () => {
  for (const count of [0, 1, 127, 128, 300, 20_000]) {
    const block = blockOf(storeOf(Array.from({ length: count }, (_, n) => aRow(n))));
    expect(storedRows(block)).toBe(count);
    if (count > 0) expect(storedRows(Uint8Array.from(block).fill(SEGMENT_VERSION + 1, 0, 1))).toBe(0);
  }
  for (const bytes of [[], [SEGMENT_VERSION], [SEGMENT_VERSION, 0x80], [SEGMENT_VERSION, 0xff, 0xff, 0xff, 0x7f]])
    expect(storedRows(Uint8Array.from(bytes))).toBe(0);
});

describe("decodeDevicesInto()", () => {
  test("gives the rows of some devices as decodeStoredInto() gives them all, in any order", () => {
    fc.assert(
      fc.property(tables, fc.boolean(), fc.nat(), fc.nat(2 ** 40), (all, sorted, seed, idBase) => {
        const rows = all.map((row) => ({ ...row, id: row.id % 2 ** 50 }));
        if (sorted) rows.sort((a, b) => a.deviceId - b.deviceId);
        const block = blockOf(storeOf(rows));
        const whole = new StoredPositions();
        decodeStoredInto(whole, block, 0, block.length, idBase);
        const devices = [...new Set(rows.map(({ deviceId }) => deviceId)), -1];
        const wanted = new Set(devices.filter((_, n) => (seed + n) % 3 === 0));
        const some = storeOf([aRow(0)]);
        const before = rowsOf(some);
        const expected = rowsOf(whole).filter(({ deviceId }) => wanted.has(deviceId));
        expect(decodeDevicesInto(some, block, idBase, wanted)).toBe(expected.length);
        expect(rowsOf(some)).toEqual([...before, ...expected]);
      }),
      { numRuns: 600, seed: 45 },
    );
  });

  test("counts receive times on from rows of other devices where a row has no usable clock", () => {
    const rows = Array.from({ length: 40 }, (_, n) =>
      aRow(n, { deviceId: Math.floor(n / 10), clock: n % 10 < 3 || n === 19, receivedAt: 1.79e12 + n * n }),
    );
    for (let deviceId = 0; deviceId < 4; deviceId++) {
      const some = new StoredPositions(1);
      decodeDevicesInto(some, blockOf(storeOf(rows)), 0, new Set([deviceId]));
      expect(rowsOf(some)).toEqual(rowsOf(storeOf(rows.filter((row) => row.deviceId === deviceId))));
    }
  });

  test("refuses what was altered, and leaves what is there", () => {
    const random = seeded(46);
    const rows = Array.from({ length: 60 }, (_, n) =>
      aRow(n, { deviceId: n >> 4, tail: Uint8Array.of(9, 1, n & 3), clock: n % 7 === 0, mask: n % 5 === 0 ? 7 : 15 }),
    );
    const block = blockOf(storeOf(rows));
    let refused = 0;
    for (let n = 0; n < 4000; n++) {
      const bytes = block.slice(0, n % 4 === 0 ? random() % block.length : block.length);
      for (let times = random() % 3; times >= 0; times--) bytes[random() % bytes.length] ^= 1 << (random() % 8);
      const some = storeOf([aRow(0)]);
      try {
        decodeDevicesInto(some, bytes, 0, new Set([1, 3]));
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        refused++;
        expect(some.count).toBe(1);
      }
      expect(rowOf(some, 0)).toEqual(aRow(0));
    }
    expect(refused).toBeGreaterThan(1000);
  });
});

describe("the layout is frozen", () => {
  const rows = [
    aRow(0, { tail: Uint8Array.of(17, 2, 65, 66), bucket: 3 }),
    aRow(1, { tail: Uint8Array.of(17, 2, 65, 67), clock: true, mask: 0b1_1111 }),
    aRow(3, { tail: Uint8Array.of(17, 2, 65, 67), deviceId: 2 ** 32 + 7, mask: 0b1101 }),
  ];
  const GOLDEN =
    "0103121A050542023011460013E201C0D88832000180DFE30C02018D01019B02131480888BA1060404A0020101020202020361C8010201AC0201D80400700201010401211E0201AA0101A901000203000101014013060000001102414243";

  test("encodeStored() writes the same bytes for the same rows as ever", () => {
    expect(toHex(blockOf(storeOf(rows)))).toBe(GOLDEN);
  });

  // The same rows with other choices among the forms of a stream.
  const OTHER =
    "0103011E02012001233011460013E201C0D88832000180DFE30C02018D01019B020180888BA106020114012802010102010601010561C8010201AC0201D80400700201010401211E0201AA0101A901000203000101014013060000001102414243";

  test.each([GOLDEN, OTHER])("decodeStoredInto() reads what was written before: %s", (hex) => {
    const back = new StoredPositions();
    decodeStoredInto(back, hexBytes(hex));
    expect(rowsOf(back)).toEqual(rowsOf(storeOf(rows)));
  });
});

describe("decodeStoredInto() of bad bytes", () => {
  const rows = Array.from({ length: 20 }, (_, n) =>
    aRow(n, {
      mask: n === 11 ? 0b111 : 0b1111,
      flags: n === 5 ? 0 : 3,
      tail: Uint8Array.of(17, 2, 65, n >> 1),
      receivedAt: A_ROW.receivedAt + n * 10_000 + ((n * n * 37) % 1000),
      bucket: n >> 3,
      clock: n === 9,
    }),
  );
  const GOOD = blockOf(storeOf(rows));

  /** Decodes behind a row that must stay as it is. */
  function decode(bytes: Uint8Array, start = 0, end = bytes.length): number {
    const into = storeOf([aRow(0, { tail: Uint8Array.of(1, 1, 1) })]);
    const before = rowOf(into, 0);
    const { tailUsed } = into.table;
    try {
      return decodeStoredInto(into, bytes, start, end);
    } catch (error) {
      expect(error).toBeInstanceOf(CodecError);
      expect((error as CodecError).message).toMatch(/^Cannot read positions: /);
      expect({ count: into.count, tailUsed: into.table.tailUsed }).toEqual({ count: 1, tailUsed });
      throw error;
    } finally {
      expect(rowOf(into, 0)).toEqual(before);
    }
  }

  // version 01, rows, masks, flags (zigzag of 3 is 6: 30), constant columns, ...
  test.each([
    ["nothing", "", "truncated", 0],
    ["another version", "02 00", "type", 0],
    ["a count that is missing", "01", "truncated", 1],
    ["a count of more than 32 bits", "01 ffffffff10", "value", 1],
    ["more rows than a block has", "01 81800400", "value", 1],
    ["bytes after no rows", "01 00 00", "value", 2],
    ["rows without masks", "01 01", "truncated", 2],
    ["masks of columns that do not exist", "01 01 f8 80808080 04", "value", 2],
    ["a way of writing numbers that does not exist", "01 02 05", "type", 2],
    ["a way with a bit that does not exist", "01 02 82", "type", 2],
    ["flags that do not exist", "01 01 00 f8 20", "value", 3],
    ["constant columns that no row has", "01 01 00 30 01", "value", 4],
    ["a clock that is neither", "01 01 00 30 00 20", "value", 5],
    ["a bucket of 17 bits", "01 01 00 30 00 00 f8 808008", "value", 6],
    ["a negative id", "01 01 00 30 00 00 00 08 00", "value", 7],
    ["an id above 2^53", "01 01 00 30 00 00 00 00 f8 80808002", "value", 7],
    ["a way of receive times that does not exist", "01 01 00 30 00 00 00 00 00 00 00 02", "value", 11],
    ["a receive time before 1970", "01 01 00 30 00 00 00 00 00 00 00 00 08 00", "value", 12],
    ["more tails than rows", "01 01 00 30 00 00 00 00 00 00 00 00 00 00 02", "value", 14],
    ["a tail that is not there", "01 01 00 30 00 00 00 00 00 00 00 00 00 00 01 10 10 00 00 41", "value", 15],
    ["a tail of negative length", "01 01 00 30 00 00 00 00 00 00 00 00 00 00 01 00 08 00 00", "value", 15],
    ["a tail that begins as none", "01 01 00 30 00 00 00 00 00 00 00 00 00 00 01 00 10 10 00", "value", 15],
    ["a tail that is cut", "01 01 00 30 00 00 00 00 00 00 00 00 00 00 01 00 10 00 00", "truncated", 19],
    ["a tail above the limit", "01 01 00 30 00 00 00 00 00 00 00 00 00 00 01 00 f8 82808010 00 00", "value", 15],
    ["bytes after the end", "01 01 00 30 00 00 00 00 00 00 00 00 00 00 00 00", "value", 15],
    ["a run of no rows", "01 02 01 00 01 00 02", "value", 5],
    ["a run beyond the rows", "01 02 01 00 01 02 02", "value", 5],
    ["a run that is cut", "01 02 01 00 01", "truncated", 5],
    ["numbers of 33 bits", "01 02 02 21", "value", 3],
    ["widths that are cut", "01 02 02 01", "truncated", 4],
    ["a width above the largest", "01 02 02 02 03", "value", 4],
    ["a block that is cut", "01 02 02 02 02", "truncated", 5],
    ["differences of differences of one row", "01 01 04 00 00 00", "value", 2],
  ] as const)("refuses %s and leaves the rows as they were", (_, hex, code, offset) => {
    const bytes = hexBytes(hex);
    const error = refusal(() => decode(bytes));
    expect({ code: error.code, offset: error.offset, why: error.message }).toMatchObject({ code, offset });
    const padded = new Uint8Array(bytes.length + 7).fill(0xff);
    padded.set(bytes, 4);
    const shifted = refusal(() => decode(padded, 4, 4 + bytes.length));
    expect({ code: shifted.code, offset: shifted.offset }).toEqual({ code, offset: offset + 4 });
  });

  test("refuses an id base that leads beyond exact numbers", () => {
    const block = blockOf(storeOf([aRow(0, { id: 2 ** 40 })]));
    expect(refusal(() => decodeStoredInto(new StoredPositions(), block, 0, block.length, BIG)).code).toBe("value");
  });

  test("refuses every block that is cut, wherever", () => {
    expect(decode(GOOD)).toBe(20);
    for (let end = 0; end < GOOD.length; end++) {
      expect(["truncated", "value"]).toContain(refusal(() => decode(GOOD, 0, end)).code);
    }
  });

  test("survives every value of every byte", () => {
    let accepted = 0;
    let refused = 0;
    for (let at = 0; at < GOOD.length; at++) {
      for (let flip = 1; flip < 256; flip++) {
        const bytes = GOOD.slice();
        bytes[at] ^= flip;
        try {
          decode(bytes);
          accepted++;
        } catch (error) {
          if (!(error instanceof CodecError)) throw error;
          refused++;
        }
      }
    }
    expect(accepted).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(1000);
  });

  test("survives bytes that were never a block", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(300), (bytes, count) => {
        try {
          decode(Uint8Array.of(SEGMENT_VERSION, (count & 0x7f) | 0x80, count >> 7, ...bytes));
        } catch (error) {
          if (!(error instanceof CodecError)) throw error;
        }
      }),
      { numRuns: 5000, seed: 43 },
    );
  });
});

describe("StoredPositions", () => {
  test("fixTimeAt() is the record's time, or the receive time when there is none or the clock is unusable", () => {
    const time = 946_684_800_000 + 840_000_000_000;
    const stored = storeOf([
      aRow(0),
      aRow(0, { clock: true, receivedAt: 5 }),
      aRow(0, { mask: 0b0111, receivedAt: 6 }),
      aRow(0, { columns: COLUMNS.map(() => -1) }),
    ]);
    expect([0, 1, 2, 3].map((row) => stored.fixTimeAt(row))).toEqual([time, 5, 6, 946_684_800_000 + 4_294_967_295_000]);
  });

  test("addFrom() copies rows of another, and of itself while it grows", () => {
    const stored = storeOf([aRow(0), aRow(1, { tail: Uint8Array.of(9, 1, 7), clock: true, bucket: 900 })]);
    for (let n = 0; n < 300; n++) stored.addFrom(stored, n & 1);
    expect(stored.count).toBe(302);
    expect(rowOf(stored, 301)).toEqual(rowOf(stored, 1));
    const other = new StoredPositions(1);
    other.addFrom(stored, 301);
    expect(rowsOf(other)).toEqual([rowOf(stored, 1)]);
    other.reset();
    expect(other.count).toBe(0);
  });

  test("sameRecord() sees each part of a record and nothing else", () => {
    const row = aRow(1, { tail: Uint8Array.of(17, 1, 65) });
    const same = (more: Partial<Row>) => sameRecord(storeOf([row]), 0, storeOf([aRow(5), { ...row, ...more }], 3), 1);
    expect(same({})).toBe(true);
    expect(same({ id: 1, deviceId: 2, bucket: 3, receivedAt: 4, clock: true })).toBe(true);
    expect(same({ flags: row.flags | (1 << FLAGS.scaleShift) })).toBe(true);
    expect(same({ flags: row.flags | (1 << FLAGS.sourceShift) })).toBe(false);
    expect(same({ flags: row.flags ^ FLAGS.valid })).toBe(false);
    expect(same({ mask: 0b111 })).toBe(false);
    expect(same({ columns: row.columns.with(1, 0) })).toBe(false);
    expect(same({ columns: row.columns.with(9, 5) })).toBe(true);
    expect(same({ tail: Uint8Array.of(17, 1, 66) })).toBe(false);
    expect(same({ tail: Uint8Array.of(17, 1) })).toBe(false);
  });
});
