import { COLUMNS, EPOCH_MS, SLOT, STRIDE } from "./columns.ts";
import { NumberReader } from "./pack.ts";
import { LAST_MS, SEGMENT_ROWS, SEGMENT_VERSION, SINCE_FIX, TIME_BIT } from "./segment.ts";
import type { StoredPositions } from "./stored.ts";
import { readTails } from "./tail-block.ts";

// Some devices' rows out of a block of many, which is sorted by device: the streams before the one with the devices are
// stepped over and come to a second time, of which then only the rows from the first wanted to the last are made.

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const TIME = SLOT.timeS;
const COLUMN_COUNT = COLUMNS.length;
const TWO_32 = 2 ** 32;

const reader = new NumberReader();

// Kept between calls: by row masks, clocks, devices and the numbers of up to two streams; by column the number that is the
// same in all rows, and where its stream begins.
const scratch = memoryFor(512);
const constants = new Int32Array(COLUMN_COUNT);
const starts = new Int32Array(COLUMN_COUNT);

function memoryFor(rows: number) {
  return {
    masks: new Int32Array(rows),
    clocks: new Int32Array(rows),
    deviceIds: new Float64Array(rows),
    values: new Int32Array(rows),
    high: new Int32Array(rows),
  };
}

/**
 * Appends the rows of some devices of the block in `bytes` to `into`, as decodeStoredInto() would append all.
 * @param idBase is added to each id
 * @returns number of rows
 * @throws {CodecError} for another version, or bytes that `encodeStored` did not write and that matter to these rows;
 *   `into` is as before
 */
export function decodeDevicesInto(
  into: StoredPositions,
  bytes: Uint8Array,
  idBase: number,
  wanted: { has(deviceId: number): boolean },
): number {
  reader.load(bytes, 0, bytes.length);
  const { table } = into;
  const { count, tailUsed } = table;
  try {
    return readWanted(into, idBase, wanted);
  } catch (error) {
    table.truncate(count, tailUsed);
    throw error;
  }
}

function readWanted(into: StoredPositions, idBase: number, wanted: { has(deviceId: number): boolean }): number {
  const version = reader.byte();
  if (version !== SEGMENT_VERSION) {
    throw reader.fail("type", 0, `their version is ${version}, expected ${SEGMENT_VERSION}`);
  }
  const rows = reader.varint();
  if (rows > SEGMENT_ROWS) throw reader.fail("value", 1, `${rows} are more than ${SEGMENT_ROWS}`);
  if (rows === 0) return 0;
  if (scratch.masks.length < rows) Object.assign(scratch, memoryFor(2 ** Math.ceil(Math.log2(rows))));
  const { masks, clocks, deviceIds, values } = scratch;

  const oneMask = reader.same();
  let some = reader.value;
  if (!oneMask) {
    reader.read(masks, 0, 1, rows);
    some = 0;
    for (let n = 0; n < rows; n++) some |= masks[n];
  }
  if (some >>> COLUMN_COUNT !== 0) throw reader.fail("value", 1, "they name columns that do not exist");
  const flagsAt = reader.at;
  reader.skip(rows);
  const constant = reader.varint();
  for (let column = 0; column < COLUMN_COUNT; column++) if ((constant & (1 << column)) !== 0) readConstant(column);
  for (let column = 0; column < COLUMN_COUNT; column++) {
    const bit = 1 << column;
    if ((some & ~constant & bit) === 0) continue;
    starts[column] = reader.at;
    reader.skip(oneMask ? rows : having(bit, 0, rows));
  }
  const clockAt = reader.at;
  reader.skip(rows);
  const bucketsAt = reader.at;
  reader.skip(rows);
  const idsAt = reader.at;
  reader.skip(rows);
  reader.skip(rows);
  readWide(deviceIds, 0, rows, 0, rows, 0);
  const restAt = reader.at;

  let first = -1;
  let end = 0;
  let count = 0;
  let known = -1;
  let isWanted = false;
  for (let n = 0; n < rows; n++) {
    if (deviceIds[n] !== known) {
      known = deviceIds[n];
      isWanted = wanted.has(known);
    }
    if (!isWanted) continue;
    if (first < 0) first = n;
    end = n + 1;
    count++;
  }
  if (count === 0) return 0;

  const { table } = into;
  // A receive time may count from the row before: back to one that does not. Most have one clock, or none at all.
  reader.at = clockAt;
  reader.readSome(clocks, 0, 1, rows, 0, end);
  const counts = (n: number) => clocks[n] === 0 && ((oneMask ? some : masks[n]) & TIME_BIT) !== 0;
  let from = first;
  while (from > 0 && !counts(from)) from--;
  const made = end - from;
  into.reserve(made);
  const at = table.count;
  const base = at * STRIDE;
  const { i32 } = table;
  for (let n = 0; n < made; n++) into.clock[at + n] = clocks[from + n];

  i32.fill(0, base, base + made * STRIDE);
  reader.at = flagsAt;
  reader.readSome(i32, base + FLAGS_SLOT, STRIDE, rows, from, end);
  for (let n = from, i = base + MASK; n < end; n++, i += STRIDE) i32[i] = oneMask ? some : masks[n];
  for (let column = 0; column < COLUMN_COUNT; column++) {
    const bit = 1 << column;
    if ((some & bit) === 0) continue;
    const isConstant = (constant & bit) !== 0;
    if (!isConstant) reader.at = starts[column];
    if (oneMask && !isConstant) {
      reader.readSome(i32, base + 1 + column, STRIDE, rows, from, end);
      continue;
    }
    if (!isConstant) {
      const before = having(bit, 0, from);
      const within = having(bit, from, end);
      if (within > 0) reader.readSome(values, 0, 1, before + within + having(bit, end, rows), before, before + within);
    }
    let next = 0;
    for (let n = from, i = base + 1 + column; n < end; n++, i += STRIDE) {
      if (oneMask || (masks[n] & bit) !== 0) i32[i] = isConstant ? constants[column] : values[next++];
    }
  }

  reader.at = bucketsAt;
  reader.readSome(values, 0, 1, rows, from, end);
  for (let n = 0; n < made; n++) into.buckets[at + n] = values[n];
  reader.at = idsAt;
  readWide(into.ids, at, rows, from, end, idBase);
  reader.at = restAt;
  const sinceFix = reader.byte() === SINCE_FIX;
  readWide(into.receivedAt, at, rows, from, end, 0, true);
  let before = 0;
  for (let n = 0, i = base; n < made; n++, i += STRIDE) {
    let time = into.receivedAt[at + n];
    if (sinceFix) time += counts(from + n) ? EPOCH_MS + (i32[i + TIME] >>> 0) * 1000 : before;
    if (!(time >= 0 && time <= LAST_MS)) throw reader.fail("value", restAt, "a receive time is out of range");
    into.receivedAt[at + n] = time;
    before = time;
  }
  for (let n = 0; n < made; n++) into.deviceIds[at + n] = deviceIds[from + n];
  readTails(reader, table, base, rows, from, end);
  table.count = at + made;
  if (count < made) keepOnly(into, at, wanted);
  return count;
}

function readConstant(column: number): void {
  const coded = reader.varint();
  constants[column] = (coded >>> 1) ^ -(coded & 1);
}

/** How many of rows [from, to) have a column. */
function having(bit: number, from: number, to: number): number {
  const { masks } = scratch;
  let count = 0;
  for (let n = from; n < to; n++) if ((masks[n] & bit) !== 0) count++;
  return count;
}

/** Reads rows [from, to) of two streams as one number each. @param signed they are differences */
function readWide(
  into: Float64Array,
  at: number,
  rows: number,
  from: number,
  to: number,
  add: number,
  signed = false,
): void {
  const { values, high } = scratch;
  const start = reader.at;
  reader.skip(rows);
  const highAt = reader.at;
  reader.skip(rows);
  const end = reader.at;
  reader.at = start;
  reader.readSome(values, 0, 1, rows, from, to);
  reader.at = highAt;
  const oneHigh = reader.same();
  const top = reader.value;
  if (!oneHigh) reader.readSome(high, 0, 1, rows, from, to);
  reader.at = end;
  for (let n = 0; n < to - from; n++) {
    const value = (oneHigh ? top : high[n]) * TWO_32 + values[n] + add;
    if (!signed && !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
      throw reader.fail("value", start, "an id is out of range");
    }
    into[at + n] = value;
  }
}

/** Drops rows from `at` on that are not wanted, and moves the others together. */
function keepOnly(into: StoredPositions, at: number, wanted: { has(deviceId: number): boolean }): void {
  const { table, ids, deviceIds, buckets, receivedAt, clock } = into;
  let to = at;
  for (let row = at; row < table.count; row++) {
    if (!wanted.has(deviceIds[row])) continue;
    if (to !== row) {
      table.i32.copyWithin(to * STRIDE, row * STRIDE, (row + 1) * STRIDE);
      ids[to] = ids[row];
      deviceIds[to] = deviceIds[row];
      buckets[to] = buckets[row];
      receivedAt[to] = receivedAt[row];
      clock[to] = clock[row];
    }
    to++;
  }
  table.count = to;
}
