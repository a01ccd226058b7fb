import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { latin1, toHex } from "../../codec/bytes.ts";
import { COLUMNS, PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { decodePositions, decodePositionsInto } from "../../codec/decode.ts";
import { CodecError } from "../../codec/errors.ts";
import { FRAME_STATUS, locateFrame, newBounds } from "../../codec/frame.ts";
import { POSITION_FIELDS, type Position, positionAt } from "../../codec/position.ts";
import {
  decodeRecord,
  decodeRecordInto,
  encodeRecord,
  encodeRow,
  RECORD_HEAD_BYTES,
  RECORD_VERSION,
  recordBound,
} from "../../codec/record.ts";
import { frames } from "./arbitrary-frames.ts";
import { mutatedFrame } from "./mutations.ts";
import { frameOf, hexBytes, refusal, seeded } from "./wire.ts";

function rowsOf(frame: Uint8Array, scale: number): PositionTable {
  const bounds = newBounds();
  expect(locateFrame(frame, 0, frame.length, bounds)).toBe(FRAME_STATUS.ok);
  const table = new PositionTable();
  try {
    decodePositionsInto(table, frame, bounds, { scale, sourceFrame: 3 });
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
  }
  return table;
}

function recordOfRow(table: PositionTable, row: number): Uint8Array {
  const out = new Uint8Array(recordBound(table, row) + 5);
  return out.slice(5, encodeRow(table, row, out, 5));
}

/** Everything that a position says, as JSON and in its fields. */
function all(position: Position) {
  return [position.toJSON(), ...POSITION_FIELDS.map((name) => [name, position[name]])];
}

// Event 35, no fix, nothing else, hundredths: version, mask, flags (scale 1 << 8 | CCE 3 << 16), 35 * 2.
const SMALLEST = hexBytes("01 01 80820c 46");

describe("encodeRecord() and decodeRecord()", () => {
  test("give every position back as it was", () => {
    fc.assert(
      fc.property(frames, fc.nat(6), (frame, scale) => {
        const table = rowsOf(frame, scale);
        for (let row = 0; row < table.count; row++) {
          const position = positionAt(table, row);
          const record = encodeRecord(position);
          const again = decodeRecord(record);
          expect(all(again)).toEqual(all(position));
          expect(toHex(encodeRecord(again))).toBe(toHex(record));
        }
      }),
      { numRuns: 1500, seed: 3 },
    );
  });

  test("write the same bytes as encodeRow(), which keeps to its bound", () => {
    fc.assert(
      fc.property(frames, fc.nat(6), (frame, scale) => {
        const table = rowsOf(frame, scale);
        for (let row = 0; row < table.count; row++) {
          const record = recordOfRow(table, row);
          expect(toHex(record)).toBe(toHex(encodeRecord(positionAt(table, row))));
          expect(record.length).toBeLessThanOrEqual(recordBound(table, row));
        }
      }),
      { numRuns: 500, seed: 4 },
    );
  });

  test("begin with the version, the mask and the flags as worked out by hand", () => {
    const [position] = decodePositions(frameOf("CCE", hexBytes("01000000 0100 0800 0100 01 0123 00 00 00")));
    expect(toHex(encodeRecord(position))).toBe(toHex(SMALLEST));
    expect(SMALLEST[0]).toBe(RECORD_VERSION);
    expect(decodeRecord(SMALLEST).toJSON()).toEqual({ event: { code: 35, name: "time interval" }, valid: false });
  });

  test("write negative numbers as short as positive ones", () => {
    // -1: zigzag 1. Column 10 (bit 9) is the altitude in thousandths: -1000 is 1999 = 0xCF 0x0F.
    const [position] = decodePositions(frameOf("CCE", hexBytes("01000000 0100 0b00 0200 01 0123 01 0bffff 00 00")));
    expect(position.altitudeM).toBe(-1);
    expect(toHex(encodeRecord(position))).toBe(toHex(hexBytes("01 8104 80820c 46 cf0f")));
  });

  test("read a record in the middle of other bytes", () => {
    const bytes = new Uint8Array(64).fill(0xff);
    bytes.set(SMALLEST, 10);
    expect(decodeRecord(bytes, 10, 10 + SMALLEST.length).event.code).toBe(35);
  });
});

describe("decodeRecordInto()", () => {
  test("appends a row that encodeRow() writes as the same record", () => {
    const random = seeded(11);
    const table = new PositionTable(1, 1);
    const records: Uint8Array[] = [];
    for (let n = 0; n < 300; n++) {
      const rows = rowsOf(mutatedFrame(random), n % 7);
      for (let row = 0; row < rows.count; row++) {
        records.push(recordOfRow(rows, row));
        expect(decodeRecordInto(table, records[records.length - 1])).toBe(records.length - 1);
      }
    }
    for (const [row, record] of records.entries()) expect(toHex(recordOfRow(table, row))).toBe(toHex(record));
    expect(table.i32[SLOT.sourceFrame + STRIDE]).toBe(0);
  });

  test.each([
    ["nothing", "", "truncated", 0],
    ["a later version", "02 01 80820c 46", "type", 0],
    ["version 0", "00", "type", 0],
    ["a version alone", "01", "truncated", 1],
    ["a mask that is cut", "01 81", "truncated", 2],
    ["no flags", "01 00", "truncated", 2],
    ["a column that is missing", "01 01 80820c", "truncated", 5],
    ["a column that is cut", "01 01 80820c 80", "truncated", 6],
    ["a number of six bytes", "01 01 80820c 808080808001", "value", 5],
    ["a number of more than 32 bits", "01 01 80820c ffffffff10", "value", 5],
    ["a column that does not exist", "01 8080808002 80820c", "value", 1],
    ["a scale that does not exist", "01 00 80fe0f", "value", 2],
    ["a source that does not exist", "01 00 808210", "value", 2],
    ["flags that do not exist", "01 00 90820c", "value", 2],
    ["a tail without a length", "01 00 80820c 11", "value", 5],
    ["a tail longer than the record", "01 00 80820c 11 05 414243", "value", 5],
    ["a tail whose length is cut", "01 00 80820c 11 80", "value", 5],
    ["a tail whose key has more than 32 bits", "01 00 80820c 808080808000 00", "value", 5],
  ] as const)("refuses %s and leaves the table as it was", (_, hex, code, offset) => {
    const table = new PositionTable();
    decodeRecordInto(table, SMALLEST);
    const before = [table.count, table.tailUsed, ...table.i32.subarray(0, STRIDE)];
    const error = refusal(() => decodeRecordInto(table, hexBytes(hex)));
    expect({ code: error.code, offset: error.offset }).toEqual({ code, offset });
    expect(error.message).toMatch(/^Cannot read record: /);
    expect([table.count, table.tailUsed, ...table.i32.subarray(0, STRIDE)]).toEqual(before);
    refusal(() => decodeRecord(hexBytes(hex)));
  });

  test("counts offsets from the start of the array", () => {
    expect(refusal(() => decodeRecord(hexBytes("ffff 01 81 ff"), 2, 4)).offset).toBe(4);
  });

  test("throws nothing but CodecError for damaged records, and what it accepts can be read", () => {
    const random = seeded(12);
    let accepted = 0;
    for (let n = 0; n < 20_000; n++) {
      const rows = rowsOf(mutatedFrame(random), 0);
      if (rows.count === 0) continue;
      const record = recordOfRow(rows, 0);
      const kind = random() % 4;
      const at = kind === 0 ? 0 : random() % record.length;
      if (kind === 1) record[at] = random() & 0xff;
      else record[at] ^= 1 << (random() % 8);
      const end = kind === 3 ? random() % (record.length + 1) : record.length;
      try {
        const position = decodeRecord(record, 0, end);
        accepted++;
        if ((n & 3) === 0) JSON.stringify(position);
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        if (error.offset > record.length) throw new Error("offset is outside");
      }
    }
    expect(accepted).toBeGreaterThan(1000);
  });

  test("throws nothing but CodecError for bytes that are no record", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, versioned) => {
        if (versioned && bytes.length > 0) bytes[0] = RECORD_VERSION;
        try {
          JSON.stringify(decodeRecord(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(CodecError);
        }
      }),
      { numRuns: 5000, seed: 5 },
    );
  });
});

test("RECORD_HEAD_BYTES has room for every column at its longest", () => {
  // Version, then mask, flags and columns of five bytes.
  expect(RECORD_HEAD_BYTES).toBe(1 + 5 * (2 + COLUMNS.length));
});

test("records of text reports hold the text that has no column", () => {
  const [position] = decodePositions(frameOf("AAA", "35,1.0,2.0,nonsense"));
  const record = encodeRecord(position);
  expect(latin1(record, 0, record.length)).toContain("nonsense");
});
