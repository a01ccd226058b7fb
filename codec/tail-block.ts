import type { ByteSink } from "./byte-sink.ts";
import { type PositionTable, SLOT, STRIDE, writeVarint } from "./columns.ts";
import { CodecError } from "./errors.ts";
import { type NumberReader, writeNumbers } from "./pack.ts";

// Tails of the rows of a block. Most repeat one that went before, wholly or but for a few bytes in the middle:
//
//   number of distinct tails varint | index of each row's tail | lengths | bytes that begin and bytes that end as those
//   of the tail before | the bytes between of each tail
//
// When all tails are empty, the number is 0 and nothing follows.

/** Bytes of all distinct tails of a block at most: what a forged block can make a reader reserve. */
export const SEGMENT_TAIL_BYTES: number = 2 ** 24;

const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;

/** How many of the last distinct tails a tail is compared with. */
const REMEMBERED = 8;

// Kept between calls: index by row; start, length, and what is shared, by tail.
const scratch = {
  indexes: new Int32Array(256),
  starts: new Int32Array(256),
  lengths: new Int32Array(256),
  heads: new Int32Array(256),
  ends: new Int32Array(256),
  copy: new Int32Array(256),
};

function reserveScratch(rows: number): void {
  if (scratch.indexes.length >= rows) return;
  const size = 2 ** Math.ceil(Math.log2(rows));
  scratch.indexes = new Int32Array(size);
  scratch.starts = new Int32Array(size);
  scratch.lengths = new Int32Array(size);
  scratch.heads = new Int32Array(size);
  scratch.ends = new Int32Array(size);
  scratch.copy = new Int32Array(size);
}

/** @throws {CodecError} `length` when the distinct tails are longer than SEGMENT_TAIL_BYTES */
export function writeTails(out: ByteSink, table: PositionTable, bases: Int32Array, rows: number): void {
  reserveScratch(rows);
  const { i32, tail } = table;
  const { indexes, starts, lengths, heads, ends, copy } = scratch;
  let distinct = 0;
  let total = 0;
  let between = 0;
  for (let n = 0; n < rows; n++) {
    const start = i32[bases[n] + TAIL_START];
    const length = i32[bases[n] + TAIL_LENGTH];
    let index = n === 0 ? -1 : indexes[n - 1];
    if (index >= 0 && !(lengths[index] === length && alike(tail, starts[index], start, length))) {
      index = distinct - 1;
      for (const stop = Math.max(distinct - REMEMBERED, 0); index >= stop; index--) {
        if (lengths[index] === length && alike(tail, starts[index], start, length)) break;
      }
      if (index < distinct - REMEMBERED) index = -1;
    }
    if (index < 0) {
      index = distinct;
      starts[index] = start;
      lengths[index] = length;
      heads[index] = 0;
      ends[index] = 0;
      if (index > 0) share(tail, index);
      total += length;
      between += length - heads[index] - ends[index];
      distinct++;
    }
    indexes[n] = index;
  }
  if (total > SEGMENT_TAIL_BYTES) {
    throw new CodecError("length", 0, `Cannot write positions: their tails have ${total} bytes`);
  }
  out.reserve(8);
  if (total === 0) {
    out.bytes[out.length++] = 0;
    return;
  }
  out.length = writeVarint(out.bytes, out.length, distinct);
  // What is written is overwritten, and is still needed below.
  writeNumbers(out, indexes, rows);
  for (let n = 0; n < distinct; n++) copy[n] = lengths[n];
  writeNumbers(out, copy, distinct);
  for (let n = 0; n < distinct; n++) copy[n] = heads[n];
  writeNumbers(out, copy, distinct);
  for (let n = 0; n < distinct; n++) copy[n] = ends[n];
  writeNumbers(out, copy, distinct);
  out.reserve(between);
  const { bytes } = out;
  let p = out.length;
  for (let n = 0; n < distinct; n++) {
    for (let i = starts[n] + heads[n], end = starts[n] + lengths[n] - ends[n]; i < end; i++) bytes[p++] = tail[i];
  }
  out.length = p;
}

function alike(tail: Uint8Array, a: number, b: number, length: number): boolean {
  if (a === b) return true;
  for (let i = 0; i < length; i++) if (tail[a + i] !== tail[b + i]) return false;
  return true;
}

// How much of tail `index` begins and ends as the tail before.
function share(tail: Uint8Array, index: number): void {
  const { starts, lengths, heads, ends } = scratch;
  const a = starts[index - 1];
  const b = starts[index];
  const most = Math.min(lengths[index - 1], lengths[index]);
  let head = 0;
  while (head < most && tail[a + head] === tail[b + head]) head++;
  const endA = a + lengths[index - 1] - 1;
  const endB = b + lengths[index] - 1;
  let end = 0;
  while (end < most - head && tail[endA - end] === tail[endB - end]) end++;
  heads[index] = head;
  ends[index] = end;
}

/**
 * Reads the tails of a block of `rows` rows, of which [first, end) are in the table from `from` on. Rows with the same tail
 * share its bytes.
 */
export function readTails(
  reader: NumberReader,
  table: PositionTable,
  from: number,
  rows: number,
  first = 0,
  end: number = rows,
): void {
  const { i32 } = table;
  const start = reader.at;
  const distinct = reader.varint();
  if (distinct > rows) throw reader.fail("value", start, `${rows} rows have ${distinct} tails`);
  if (distinct === 0) {
    for (let n = first, base = from; n < end; n++, base += STRIDE) {
      i32[base + TAIL_START] = table.tailUsed;
      i32[base + TAIL_LENGTH] = 0;
    }
    return;
  }
  reserveScratch(rows);
  const { indexes, starts, lengths, heads, ends } = scratch;
  const indexesAt = reader.at;
  reader.read(indexes, 0, 1, rows);
  reader.read(lengths, 0, 1, distinct);
  reader.read(heads, 0, 1, distinct);
  reader.read(ends, 0, 1, distinct);
  let total = 0;
  let between = 0;
  for (let n = 0; n < distinct; n++) {
    const length = lengths[n];
    const shared = heads[n] + ends[n];
    if (!(length >= 0 && heads[n] >= 0 && ends[n] >= 0 && shared <= length)) {
      throw reader.fail("value", indexesAt, "a tail is shorter than what it shares");
    }
    if (shared > (n === 0 ? 0 : lengths[n - 1])) {
      throw reader.fail("value", indexesAt, "a tail shares more than there is");
    }
    total += length;
    between += length - shared;
  }
  if (total > SEGMENT_TAIL_BYTES) throw reader.fail("value", indexesAt, `their tails have ${total} bytes`);
  if (between > reader.end - reader.at) throw reader.fail("truncated", reader.end, "they end inside a tail");
  table.reserveTail(total);
  const { tail } = table;
  const { bytes } = reader;
  let p = table.tailUsed;
  let q = reader.at;
  for (let n = 0; n < distinct; n++) {
    starts[n] = p;
    const before = n === 0 ? 0 : starts[n - 1];
    for (let i = before, end = before + heads[n]; i < end; i++) tail[p++] = tail[i];
    for (const stop = starts[n] + lengths[n] - ends[n]; p < stop; ) tail[p++] = bytes[q++];
    const after = n === 0 ? 0 : before + lengths[n - 1];
    for (let i = after - ends[n]; i < after; i++) tail[p++] = tail[i];
  }
  reader.at = q;
  for (let n = first, base = from; n < end; n++, base += STRIDE) {
    const index = indexes[n];
    if (index >>> 0 >= distinct) throw reader.fail("value", indexesAt, "a row has a tail that is not there");
    i32[base + TAIL_START] = starts[index];
    i32[base + TAIL_LENGTH] = lengths[index];
  }
  table.tailUsed = p;
}
