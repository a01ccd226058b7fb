import type { ByteSink } from "./byte-sink.ts";
import { bits, COLUMNS, EPOCH_MS, SLOT, STRIDE, writeVarint } from "./columns.ts";
import { CodecError } from "./errors.ts";
import { NumberReader, writeNumbers, writeSame } from "./pack.ts";
import { flagsExist } from "./record.ts";
import type { StoredPositions } from "./stored.ts";
import { readTails, writeTails } from "./tail-block.ts";

export { ByteSink } from "./byte-sink.ts";
export { StoredPositions, sameRecord } from "./stored.ts";

// Rows of positions as they are stored, of one device or of many:
//
//   version u8 | rows varint | masks | flags | columns with one number varint | these numbers, zigzag varints
//   | each other column | clock | buckets | ids | device ids | receive times | tails
//
// Most are streams of 32-bit numbers (pack.ts); a column's has the rows that have the column, and what no row has is left
// out. Columns with one number are bits as in a mask. Ids are two streams, and so are receive times: v = high * 2^32 + low, low signed, so that a step over 2^32 costs one
// number of one stream and arithmetic stays in 32 bits. Receive times begin with a byte: 0 for Unix ms, 1 for ms since
// the row's fix time, or since the receive time of the row before where a row has no usable fix time. Tails:
// tail-block.ts. Nothing follows them. The layout is frozen: another one takes another version.

/** First byte of every block. */
export const SEGMENT_VERSION = 1;

/** Rows in a block at most: what a forged count can make a reader reserve. */
export const SEGMENT_ROWS = 65_536;

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const TIME = SLOT.timeS;
export const TIME_BIT: number = bits("timeS");
const COLUMN_COUNT = COLUMNS.length;
const TWO_32 = 2 ** 32;
const TWO_31 = 2 ** 31;
/** Largest time of a Date, Unix ms. */
export const LAST_MS = 8.64e15;

const SINCE_1970 = 0;
/** The way of receive times that count from the fix. */
export const SINCE_FIX = 1;

// Kept between calls: where the rows begin, numbers of one stream, and the receive times in the second way.
const scratch = {
  bases: new Int32Array(512),
  values: new Int32Array(512),
  more: new Int32Array(512),
  high: new Int32Array(512),
  masks: new Int32Array(512),
};

function reserveScratch(rows: number): void {
  if (scratch.bases.length >= rows) return;
  const size = 2 ** Math.ceil(Math.log2(rows));
  scratch.bases = new Int32Array(size);
  scratch.values = new Int32Array(size);
  scratch.more = new Int32Array(size);
  scratch.high = new Int32Array(size);
  scratch.masks = new Int32Array(size);
}

/**
 * Appends rows `order[from..to)` to `out` as one block. Lossless but for digest, source frame, place of the tail, and
 * what is in the slots of columns that a row does not have.
 * @throws {CodecError} `length` for more than SEGMENT_ROWS rows or more tails than a block may hold, `value` for ids
 *   or times that are not whole numbers in range; `out` is as before
 */
export function encodeStored(
  stored: StoredPositions,
  order: Uint32Array,
  from: number,
  to: number,
  out: ByteSink,
): void {
  const rows = to - from;
  if (rows > SEGMENT_ROWS) {
    throw new CodecError("length", 0, `Cannot write positions: ${rows} are more than ${SEGMENT_ROWS}`);
  }
  const { length } = out;
  out.reserve(8);
  out.bytes[out.length] = SEGMENT_VERSION;
  out.length = writeVarint(out.bytes, out.length + 1, rows);
  if (rows <= 0) return;
  try {
    writeRows(stored, order, from, rows, out);
  } catch (error) {
    out.length = length;
    throw error;
  }
}

function writeRows(stored: StoredPositions, order: Uint32Array, from: number, rows: number, out: ByteSink): void {
  reserveScratch(rows);
  const { i32 } = stored.table;
  const { bases, values, masks } = scratch;
  let some = 0;
  let every = -1;
  for (let n = 0; n < rows; n++) {
    const base = order[from + n] * STRIDE;
    const mask = i32[base + MASK];
    bases[n] = base;
    values[n] = mask;
    masks[n] = mask;
    some |= mask;
    every &= mask;
  }
  writeNumbers(out, values, rows);
  if (isConstant(i32, bases, FLAGS_SLOT, rows)) {
    writeSame(out, i32[bases[0] + FLAGS_SLOT]);
  } else {
    for (let n = 0; n < rows; n++) values[n] = i32[bases[n] + FLAGS_SLOT];
    writeNumbers(out, values, rows);
  }
  const constant = writeConstants(out, i32, rows, some, every);
  for (let column = 0; column < COLUMN_COUNT; column++) {
    const bit = 1 << column;
    if ((some & ~constant & bit) === 0) continue;
    const slot = 1 + column;
    let count = rows;
    if ((every & bit) !== 0) {
      for (let n = 0; n < rows; n++) values[n] = i32[bases[n] + slot];
    } else {
      count = 0;
      // Without a branch: which rows have a column cannot be foreseen.
      for (let n = 0; n < rows; n++) {
        values[count] = i32[bases[n] + slot];
        count += (masks[n] >>> column) & 1;
      }
    }
    writeNumbers(out, values, count);
  }
  writeSmall(out, stored.clock, order, from, rows);
  writeSmall(out, stored.buckets, order, from, rows);
  writeWide(out, stored.ids, order, from, rows, Number.MAX_SAFE_INTEGER);
  writeWide(out, stored.deviceIds, order, from, rows, Number.MAX_SAFE_INTEGER);
  writeReceiveTimes(out, stored, order, from, rows);
  writeTails(out, stored.table, bases, rows);
}

// Writes the columns that have the same number in each row that has them; returns their bits.
function writeConstants(out: ByteSink, i32: Int32Array, rows: number, some: number, every: number): number {
  const { bases, values, masks } = scratch;
  let constant = 0;
  let found = 0;
  for (let column = 0; column < COLUMN_COUNT; column++) {
    const bit = 1 << column;
    if ((some & bit) === 0) continue;
    const slot = 1 + column;
    let head = 0;
    if ((every & bit) !== 0) {
      if (!isConstant(i32, bases, slot, rows)) continue;
      head = i32[bases[0] + slot];
    } else {
      let n = 0;
      while ((masks[n] & bit) === 0) n++;
      head = i32[bases[n] + slot];
      while (n < rows && ((masks[n] & bit) === 0 || i32[bases[n] + slot] === head)) n++;
      if (n < rows) continue;
    }
    constant |= bit;
    values[found++] = (head << 1) ^ (head >> 31);
  }
  out.reserve(5 + found * 5);
  let p = writeVarint(out.bytes, out.length, constant);
  for (let n = 0; n < found; n++) p = writeVarint(out.bytes, p, values[n]);
  out.length = p;
  return constant;
}

function isConstant(i32: Int32Array, bases: Int32Array, slot: number, rows: number): boolean {
  const head = i32[bases[0] + slot];
  for (let n = 1; n < rows; n++) if (i32[bases[n] + slot] !== head) return false;
  return true;
}

function writeSmall(
  out: ByteSink,
  small: Uint8Array | Uint16Array,
  order: Uint32Array,
  from: number,
  rows: number,
): void {
  const { values } = scratch;
  for (let n = 0; n < rows; n++) values[n] = small[order[from + n]];
  writeNumbers(out, values, rows);
}

function writeWide(
  out: ByteSink,
  wide: Float64Array,
  order: Uint32Array,
  from: number,
  rows: number,
  most: number,
): void {
  const { values, high } = scratch;
  let before = -1;
  for (let n = 0; n < rows; n++) {
    const value = wide[order[from + n]];
    if (value === before) {
      values[n] = values[n - 1];
      high[n] = high[n - 1];
      continue;
    }
    before = value;
    if (!(value >= 0 && value <= most) || value !== Math.floor(value)) throw unwritable(value);
    values[n] = value | 0;
    high[n] = Math.floor((value + TWO_31) / TWO_32);
  }
  writeNumbers(out, values, rows);
  writeNumbers(out, high, rows);
}

function unwritable(value: number): CodecError {
  return new CodecError("value", 0, `Cannot write positions: ${value} is no id or time`);
}

// Where both ways may be the shorter one, both are written and the shorter one stays.
function writeReceiveTimes(
  out: ByteSink,
  stored: StoredPositions,
  order: Uint32Array,
  from: number,
  rows: number,
): void {
  const start = out.length;
  const { receivedAt, clock } = stored;
  const { i32 } = stored.table;
  const { bases, values, high } = scratch;
  out.reserve(1);
  out.bytes[out.length++] = SINCE_FIX;
  let before = 0;
  let changes = 0;
  for (let n = 0; n < rows; n++) {
    const row = order[from + n];
    const base = bases[n];
    const at = receivedAt[row];
    if (!(at >= 0 && at <= LAST_MS) || at !== Math.floor(at)) throw unwritable(at);
    const usable = clock[row] === 0 && (i32[base + MASK] & TIME_BIT) !== 0;
    const since = at - (usable ? EPOCH_MS + (i32[base + TIME] >>> 0) * 1000 : before);
    values[n] = since | 0;
    high[n] = Math.floor((since + TWO_31) / TWO_32);
    if (n > 0 && at !== before) changes++;
    before = at;
  }
  if (changes === 0) {
    out.length = start;
  } else {
    writeNumbers(out, values, rows);
    writeNumbers(out, high, rows);
    // Reports that came one by one, as those of one device do.
    if (changes * 2 > rows) return;
  }
  const end = out.length;
  out.reserve(1);
  out.bytes[out.length++] = SINCE_1970;
  writeWide(out, receivedAt, order, from, rows, LAST_MS);
  const bytes = out.length - end;
  if (changes === 0) return;
  if (bytes < end - start) out.bytes.copyWithin(start, end, out.length);
  out.length = start + Math.min(bytes, end - start);
}

const reader = new NumberReader();

/** How many rows a block says that it has; 0 for bytes that are none. */
export function storedRows(bytes: Uint8Array): number {
  let rows = 0;
  for (let at = 1, shift = 0; at < bytes.length && shift < 21; at++, shift += 7) {
    rows |= (bytes[at] & 0x7f) << shift;
    if (bytes[at] < 0x80) return bytes[0] === SEGMENT_VERSION && rows <= SEGMENT_ROWS ? rows : 0;
  }
  return 0;
}

/**
 * Appends the rows of the block in `bytes[start..end)` to `into`.
 * @param idBase is added to each id
 * @returns number of rows
 * @throws {CodecError} `type` for another version, `truncated` or `value` for bytes that `encodeStored` did not write,
 *   with an offset into `bytes`; `into` is as before. Tails are not looked into: a malformed one reads as far as it can.
 */
export function decodeStoredInto(
  into: StoredPositions,
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
  idBase = 0,
): number {
  reader.load(bytes, start, end);
  const { table } = into;
  const { count, tailUsed } = table;
  try {
    const rows = readBlock(into, idBase);
    table.count = count + rows;
    return rows;
  } catch (error) {
    table.truncate(count, tailUsed);
    if (error instanceof CodecError) throw new CodecError(error.code, error.offset + start, error.message);
    throw error;
  }
}

function readBlock(into: StoredPositions, idBase: number): number {
  const version = reader.byte();
  if (version !== SEGMENT_VERSION) {
    throw reader.fail("type", 0, `their version is ${version}, expected ${SEGMENT_VERSION}`);
  }
  const rows = reader.varint();
  if (rows > SEGMENT_ROWS) throw reader.fail("value", 1, `${rows} are more than ${SEGMENT_ROWS}`);
  if (rows > 0) readRows(into, rows, idBase);
  if (reader.at !== reader.end) throw reader.fail("value", reader.at, "bytes follow their end");
  return rows;
}

function readRows(into: StoredPositions, rows: number, idBase: number): void {
  into.reserve(rows);
  reserveScratch(rows);
  const { table } = into;
  const first = table.count;
  const { i32 } = table;
  const from = first * STRIDE;
  const { values, masks, high, more } = scratch;

  const maskAt = reader.at;
  const oneMask = reader.same();
  let some = reader.value;
  if (!oneMask) {
    reader.read(masks, 0, 1, rows);
    some = 0;
    for (let n = 0; n < rows; n++) some |= masks[n];
  }
  if (some >>> COLUMN_COUNT !== 0) throw reader.fail("value", maskAt, "they name columns that do not exist");
  const flagsAt = reader.at;
  const oneFlags = reader.same();
  const flags = reader.value;
  if (oneFlags) {
    if (!flagsExist(flags)) throw reader.fail("value", flagsAt, "their flags do not exist");
  } else {
    reader.read(more, 0, 1, rows);
    for (let n = 0; n < rows; n++) {
      if (!flagsExist(more[n])) throw reader.fail("value", flagsAt, "their flags do not exist");
    }
  }
  const constantAt = reader.at;
  const constant = reader.varint();
  if ((constant & ~some) !== 0) throw reader.fail("value", constantAt, "no row has a column with one number");

  // What is the same in all rows is written to the first and copied with it: half of the columns, in most blocks.
  i32.fill(0, from, from + STRIDE);
  i32[from + MASK] = some;
  i32[from + FLAGS_SLOT] = flags;
  for (let column = 0; column < COLUMN_COUNT; column++) {
    const bit = 1 << column;
    if ((constant & bit) === 0) continue;
    const coded = reader.varint();
    const value = (coded >>> 1) ^ -(coded & 1);
    if (oneMask) i32[from + 1 + column] = value;
    else values[column] = value;
  }
  for (let done = 1; done < rows; done *= 2) {
    i32.copyWithin(from + done * STRIDE, from, from + Math.min(done, rows - done) * STRIDE);
  }
  if (!oneFlags) for (let n = 0, i = from + FLAGS_SLOT; n < rows; n++, i += STRIDE) i32[i] = more[n];
  if (oneMask) {
    const other = some & ~constant;
    for (let column = 0; column < COLUMN_COUNT; column++) {
      if ((other & (1 << column)) !== 0) reader.read(i32, from + 1 + column, STRIDE, rows);
    }
  } else {
    readMixed(i32, from, rows, some, constant);
  }

  const { clock, buckets, ids, deviceIds, receivedAt } = into;
  readSmall(clock, first, rows, 1);
  readSmall(buckets, first, rows, 0xffff);
  readWide(ids, first, rows, idBase);
  readWide(deviceIds, first, rows, 0);
  const wayAt = reader.at;
  const way = reader.byte();
  if (way > SINCE_FIX) throw reader.fail("value", wayAt, `${way} is no way to write receive times`);
  const timesAt = reader.at;
  reader.read(values, 0, 1, rows);
  const oneHigh = reader.same();
  const top = reader.value * TWO_32;
  if (!oneHigh) reader.read(high, 0, 1, rows);
  let before = 0;
  for (let n = 0, base = from; n < rows; n++, base += STRIDE) {
    let at = (oneHigh ? top : high[n] * TWO_32) + values[n];
    if (way === SINCE_FIX) {
      const usable = clock[first + n] === 0 && (i32[base + MASK] & TIME_BIT) !== 0;
      at += usable ? EPOCH_MS + (i32[base + TIME] >>> 0) * 1000 : before;
    }
    if (!(at >= 0 && at <= LAST_MS)) throw reader.fail("value", timesAt, "a receive time is out of range");
    receivedAt[first + n] = at;
    before = at;
  }
  readTails(reader, table, from, rows);
}

function readSmall(into: Uint8Array | Uint16Array, first: number, rows: number, most: number): void {
  const at = reader.at;
  const { values } = scratch;
  if (reader.same()) {
    if (reader.value >>> 0 > most) throw reader.fail("value", at, `a clock or bucket is above ${most}`);
    into.fill(reader.value, first, first + rows);
    return;
  }
  reader.read(values, 0, 1, rows);
  for (let n = 0; n < rows; n++) {
    const value = values[n];
    if (value >>> 0 > most) throw reader.fail("value", at, `a clock or bucket is above ${most}`);
    into[first + n] = value;
  }
}

function readWide(into: Float64Array, first: number, rows: number, add: number): void {
  const { values, high } = scratch;
  const at = reader.at;
  const oneLow = reader.same();
  const low = reader.value;
  if (!oneLow) reader.read(values, 0, 1, rows);
  const oneHigh = reader.same();
  const top = reader.value;
  if (!oneHigh) reader.read(high, 0, 1, rows);
  const different = oneLow && oneHigh ? 1 : rows;
  for (let n = 0; n < different; n++) {
    const value = (oneHigh ? top : high[n]) * TWO_32 + (oneLow ? low : values[n]) + add;
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw reader.fail("value", at, "an id is out of range");
    into[first + n] = value;
  }
  if (different < rows) into.fill(into[first], first, first + rows);
}

// Rows that do not all have the same columns. The numbers of constant columns are in `values`, by column.
function readMixed(i32: Int32Array, from: number, rows: number, some: number, constant: number): void {
  const { values, masks } = scratch;
  for (let column = 0; column < COLUMN_COUNT; column++) {
    const bit = 1 << column;
    if ((constant & bit) === 0) continue;
    const value = values[column];
    for (let n = 0, i = from + 1 + column; n < rows; n++, i += STRIDE) if ((masks[n] & bit) !== 0) i32[i] = value;
  }
  for (let n = 0, i = from + MASK; n < rows; n++, i += STRIDE) i32[i] = masks[n];
  for (let column = 0; column < COLUMN_COUNT; column++) {
    const bit = 1 << column;
    if ((some & ~constant & bit) === 0) continue;
    let count = 0;
    for (let n = 0; n < rows; n++) if ((masks[n] & bit) !== 0) count++;
    reader.read(values, 0, 1, count);
    let next = 0;
    for (let n = 0, i = from + 1 + column; n < rows; n++, i += STRIDE) {
      if ((masks[n] & bit) !== 0) i32[i] = values[next++];
    }
  }
}
