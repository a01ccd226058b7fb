import { COLUMNS, FLAGS, PositionTable, SLOT, SOURCES, STRIDE, visitTail, writeVarint } from "./columns.ts";
import { CodecError } from "./errors.ts";
import { SCALES } from "./models.ts";
import { type Position, positionAt } from "./position.ts";

// One position as it is stored:
//
//   version u8 | mask | flags | one number for each bit of the mask, in COLUMNS order | tail to the end
//
// Numbers are varints (seven bits a byte, low bits first); signed columns are zigzag coded (0, -1, 1, -2, ...).
// The digest and the row's place in a batch are not in it. The layout is frozen: another one takes another version.

/** First byte of every record. */
export const RECORD_VERSION = 1;

/** Most bytes that `encodeRow` writes before the tail: version, mask, flags and columns of five bytes each. */
export const RECORD_HEAD_BYTES: number = 1 + 5 * (2 + COLUMNS.length);

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;
const COLUMN_COUNT = COLUMNS.length;
const SIGNED = Uint8Array.from(COLUMNS, (column) => (column.signed ? 1 : 0));

/**
 * Writes a row as one record. Allocates nothing.
 * @param out has room for RECORD_HEAD_BYTES plus the row's tail from `at` on, see `recordBound()`
 * @returns the index after the record
 */
export function encodeRow(table: PositionTable, row: number, out: Uint8Array, at: number): number {
  const i32 = table.i32;
  const base = row * STRIDE;
  const mask = i32[base + MASK];
  out[at] = RECORD_VERSION;
  let i = writeVarint(out, at + 1, mask);
  i = writeVarint(out, i, i32[base + FLAGS_SLOT]);
  for (let column = 0; column < COLUMN_COUNT; column++) {
    if ((mask & (1 << column)) === 0) continue;
    const value = i32[base + 1 + column];
    i = writeVarint(out, i, SIGNED[column] === 1 ? (value << 1) ^ (value >> 31) : value);
  }
  const tail = table.tail;
  const start = i32[base + TAIL_START];
  for (let from = start, end = start + i32[base + TAIL_LENGTH]; from < end; from++) out[i++] = tail[from];
  return i;
}

/** Bytes that the record of a row takes at most. */
export function recordBound(table: PositionTable, row: number): number {
  return RECORD_HEAD_BYTES + table.i32[row * STRIDE + TAIL_LENGTH];
}

/** The record of a position: the bytes that `encodeRow` writes for the row it came from. */
export function encodeRecord(position: Position): Uint8Array {
  const table = new PositionTable(1);
  const row = position.appendTo(table);
  const out = new Uint8Array(recordBound(table, row));
  return out.slice(0, encodeRow(table, row, out, 0));
}

/**
 * Reads the record in `bytes[start..end)` as a new row.
 * @returns the row number
 * @throws {CodecError} `type` for another version, `truncated` or `value` for bytes that `encodeRow` never wrote;
 *   the table is as before
 */
export function decodeRecordInto(
  table: PositionTable,
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): number {
  const row = table.count;
  const tailUsed = table.tailUsed;
  const base = table.addRow();
  try {
    readRecord(table, base, bytes, start, end);
  } catch (error) {
    table.truncate(row, tailUsed);
    throw error;
  }
  return row;
}

/** The position in one record; throws as `decodeRecordInto`. */
export function decodeRecord(bytes: Uint8Array, start = 0, end: number = bytes.length): Position {
  const table = new PositionTable(1, end - start);
  return positionAt(table, decodeRecordInto(table, bytes, start, end));
}

function readRecord(table: PositionTable, base: number, bytes: Uint8Array, start: number, end: number): void {
  const fail = (code: "truncated" | "value" | "type", offset: number, why: string) =>
    new CodecError(code, offset, `Cannot read record: ${why}`);
  if (start >= end) throw fail("truncated", start, "it is empty");
  if (bytes[start] !== RECORD_VERSION) {
    throw fail("type", start, `its version is ${bytes[start]}, expected ${RECORD_VERSION}`);
  }
  const i32 = table.i32;
  let mask = 0;
  let i = start + 1;
  // Number -2 is the mask, -1 the flags.
  for (let column = -2; column < COLUMN_COUNT; column++) {
    if (column >= 0 && (mask & (1 << column)) === 0) continue;
    const from = i;
    let value = 0;
    let shift = 0;
    let byte = 0x80;
    while (byte > 0x7f) {
      if (i >= end) throw fail("truncated", i, "it ends inside a number");
      byte = bytes[i++];
      if (shift === 28 && byte > 0x0f) throw fail("value", from, "a number has more than 32 bits");
      value |= (byte & 0x7f) << shift;
      shift += 7;
    }
    if (column === -2) {
      if (value >>> COLUMN_COUNT !== 0) throw fail("value", from, "it names columns that do not exist");
      mask = value;
      i32[base + MASK] = value;
    } else if (column === -1) {
      if (!flagsExist(value)) throw fail("value", from, "its flags do not exist");
      i32[base + FLAGS_SLOT] = value;
    } else {
      i32[base + 1 + column] = SIGNED[column] === 1 ? (value >>> 1) ^ -(value & 1) : value;
    }
  }
  if (!visitTail(bytes, i, end, () => {})) throw fail("value", i, "its tail does not end where it ends");
  table.reserveTail(end - i);
  i32[base + TAIL_START] = table.tailUsed;
  i32[base + TAIL_LENGTH] = end - i;
  i32[base + SLOT.digestHi] = 0;
  i32[base + SLOT.digestLo] = 0;
  i32[base + SLOT.sourceFrame] = 0;
  table.tail.set(bytes.subarray(i, end), table.tailUsed);
  table.tailUsed += end - i;
}

/** Whether the `flags` number of a row can be one that a decoder wrote: its bits, scale and source exist. */
export function flagsExist(flags: number): boolean {
  const known = FLAGS.valid | FLAGS.saidValid | FLAGS.exact | FLAGS.outOfRange;
  const scale = (flags >>> FLAGS.scaleShift) & 0xff;
  const source = flags >>> FLAGS.sourceShift;
  return (flags & 0xff & ~known) === 0 && scale < SCALES.length && source < SOURCES.length;
}
