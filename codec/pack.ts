import type { ByteSink } from "./byte-sink.ts";
import { writeVarint } from "./columns.ts";
import { CodecError } from "./errors.ts";

// A stream of 32-bit numbers, in the cheapest of these forms. Bits 0 to 2 of the first byte are the mode.
//
//   same   every number is the same: zigzag of it in bits 3 to 7; from 31 on, 31 and a varint
//   runs   numbers repeat the one before: first | number of changes | for each: numbers since the last | difference
//   packed numbers (raw), their differences (delta) or the differences of those (bend), less a base, in as many bits
//          as the largest of 16 needs: [base] | [first] | [first difference] | largest width u8 | widths | blocks
//
// Packed: bit 3 of the first byte: zigzag; bit 4: there is a base (else it is 0); bits 5 and 6: row of SCALES, by which
// all numbers were divided. Each width has as many bits as the largest needs. Widths and each block begin at a byte;
// bits fill bytes from the low end. First, base and differences are zigzag varints; all arithmetic is modulo 2^32.

const SAME = 0;
const RUNS = 1;
const RAW = 2;
const DELTA = 3;
const BEND = 4;
const MODES = 5;
const INLINE = 31;
const ZIGZAG_FLAG = 8;
const BASE_FLAG = 16;
const SCALE_SHIFT = 5;
const SCALES = [1, 100, 1000, 10_000] as const;

/** Numbers that share a width. */
const BLOCK = 16;

const zigzag = (value: number): number => (value << 1) ^ (value >> 31);
const widthOf = (value: number): number => 32 - Math.clz32(value);
/** A seventh of the bits, rounded up: 37 / 256 will do for 32 of them. */
const varintBytes = (value: number): number => ((38 - Math.clz32(value | 1)) * 37) >> 8;

// Kept between calls: what a mode packs, where numbers change, and the lowest and highest number of each block.
const scratch = {
  rest: new Int32Array(512),
  changes: new Int32Array(512),
  widths: new Uint8Array(64),
  lows: new Int32Array(64),
  highs: new Int32Array(64),
};

function reserveScratch(count: number): void {
  if (scratch.rest.length >= count) return;
  const size = 2 ** widthOf(count - 1);
  const blocks = size / BLOCK + 1;
  scratch.rest = new Int32Array(size);
  scratch.changes = new Int32Array(size);
  scratch.widths = new Uint8Array(blocks);
  scratch.lows = new Int32Array(blocks);
  scratch.highs = new Int32Array(blocks);
}

/** How `choose()` would pack the numbers. */
const choice = { bits: 0, zigzag: 0, base: 0 };

/** Appends `values[0..count)`, which are overwritten; there is at least one. */
export function writeNumbers(out: ByteSink, values: Int32Array, count: number): void {
  const head = values[0];
  let alike = 1;
  while (alike < count && values[alike] === head) alike++;
  if (alike === count) {
    writeSame(out, head);
    return;
  }
  out.reserve(128 + count * 5);
  reserveScratch(count);
  const scale = descale(values, count);
  const mode = modeOf(values, count);
  const rest = mode === RAW ? values : scratch.rest;
  choose(values, mode, rest, count);
  // A change takes two bytes at least.
  if (sample.changes * 16 * SAMPLED >= choice.bits || !writeRuns(out, values, count, scale)) {
    writePacked(out, values, rest, mode, count, scale);
  }
}

/** One block of so many is looked at to find the mode. */
const SAMPLED = 3;
/** What `modeOf()` saw: how many numbers are not as the one before. */
const sample = { changes: 0 };

// The mode that needs the fewest bits with a base at its first number.
function modeOf(values: Int32Array, count: number): number {
  const head = values[0];
  const lead = (values[1] - head) | 0;
  let raw = 0;
  let delta = 0;
  let bend = 0;
  let changes = 0;
  for (let at = 1; at < count; at += SAMPLED * BLOCK) {
    const end = at + BLOCK < count ? at + BLOCK : count;
    let before = values[at - 1];
    let step = at === 1 ? lead : (before - values[at - 2]) | 0;
    let rawAll = 0;
    let deltaAll = 0;
    let bendAll = 0;
    for (let i = at; i < end; i++) {
      const value = values[i];
      const difference = (value - before) | 0;
      const turn = (difference - step) | 0;
      changes += difference === 0 ? 0 : 1;
      const fromHead = (value - head) | 0;
      const fromLead = (difference - lead) | 0;
      rawAll |= (fromHead << 1) ^ (fromHead >> 31);
      deltaAll |= (fromLead << 1) ^ (fromLead >> 31);
      bendAll |= (turn << 1) ^ (turn >> 31);
      before = value;
      step = difference;
    }
    raw += 32 - Math.clz32(rawAll);
    delta += 32 - Math.clz32(deltaAll);
    bend += 32 - Math.clz32(bendAll);
  }
  sample.changes = changes;
  if (bend < delta && bend < raw && count > 2) return BEND;
  return delta < raw ? DELTA : RAW;
}

/** Appends a stream of any length in which every number is `value`. */
export function writeSame(out: ByteSink, value: number): void {
  out.reserve(6);
  const coded = zigzag(value) >>> 0;
  out.bytes[out.length++] = SAME | (Math.min(coded, INLINE) << 3);
  if (coded >= INLINE) out.length = writeVarint(out.bytes, out.length, coded);
}

// Divides all numbers by the largest of SCALES that divides each. The divisors are constants: V8 multiplies then.
function descale(values: Int32Array, count: number): number {
  let i = 0;
  while (i < count && ((values[i] % 10_000) | 0) === 0) i++;
  let scale = i === count ? 3 : 2;
  while (i < count && ((values[i] % 1000) | 0) === 0) i++;
  if (i < count) scale = 1;
  while (i < count && ((values[i] % 100) | 0) === 0) i++;
  if (i < count) return 0;
  if (scale === 1) for (let n = 0; n < count; n++) values[n] = (values[n] / 100) | 0;
  else if (scale === 2) for (let n = 0; n < count; n++) values[n] = (values[n] / 1000) | 0;
  else for (let n = 0; n < count; n++) values[n] = (values[n] / 10_000) | 0;
  return scale;
}

// Fills `rest` with what the mode packs, and finds the cheapest base of these: the lowest number, none, and one amid
// the calmest block.
function choose(values: Int32Array, mode: number, rest: Int32Array, count: number): void {
  const { lows, highs } = scratch;
  const keepBefore = mode === RAW ? 0 : -1;
  const keepStep = mode === BEND ? -1 : 0;
  const from = mode - RAW;
  let before = from === 0 ? 0 : values[from - 1];
  let step = from === 2 ? (before - values[0]) | 0 : 0;
  let lowest = 0x7fffffff;
  let calmest = Number.POSITIVE_INFINITY;
  let middle = 0;
  let blocks = 0;
  for (let at = from; at < count; at += BLOCK) {
    const end = at + BLOCK < count ? at + BLOCK : count;
    let low = 0x7fffffff;
    let high = -0x80000000;
    for (let i = at; i < end; i++) {
      const value = values[i];
      const difference = (value - (before & keepBefore)) | 0;
      const number = (difference - (step & keepStep)) | 0;
      rest[i] = number;
      low = number < low ? number : low;
      high = number > high ? number : high;
      before = value;
      step = difference;
    }
    lows[blocks] = low;
    highs[blocks] = high;
    blocks++;
    if (low < lowest) lowest = low;
    if (high - low < calmest) {
      calmest = high - low;
      middle = (low + ((high - low) >>> 1)) | 0;
    }
  }
  let above = 0;
  let plain = 0;
  let around = 0;
  for (let block = 0; block < blocks; block++) {
    const low = lows[block];
    const high = highs[block];
    above += 32 - Math.clz32(high - lowest);
    plain += 32 - Math.clz32(zigzag(low) | zigzag(high));
    around += spread(low, high, middle);
  }
  above = above * BLOCK + (lowest === 0 ? 0 : 8 * varintBytes(zigzag(lowest)));
  around = around * BLOCK + 8 * varintBytes(zigzag(middle));
  plain *= BLOCK;
  choice.bits = Math.min(above, plain, around);
  choice.zigzag = choice.bits === above ? 0 : 1;
  choice.base = choice.bits === above ? lowest : choice.bits === plain ? 0 : middle;
}

// Bits of a zigzag number from `low` to `high` around a base. What would not fit in 32 bits goes round.
function spread(low: number, high: number, base: number): number {
  const below = low - base;
  const above = high - base;
  if (below < -0x80000000 || above > 0x7fffffff) return 32;
  return 32 - Math.clz32(zigzag(below) | zigzag(above));
}

// Writes runs if they are shorter than what choose() found.
function writeRuns(out: ByteSink, values: Int32Array, count: number, scale: number): boolean {
  const { bytes } = out;
  const { changes } = scratch;
  let found = 0;
  // Without a branch: where numbers change cannot be foreseen.
  for (let i = 1; i < count; i++) {
    changes[found] = i;
    found += values[i] === values[i - 1] ? 0 : 1;
  }
  let length = varintBytes(zigzag(values[0]));
  const most = choice.bits >> 3;
  if (length + found * 2 > most) return false;
  let at = 0;
  for (let n = 0; n < found; n++) {
    const i = changes[n];
    length += varintBytes(i - at) + varintBytes(zigzag(values[i] - values[i - 1]));
    at = i;
  }
  if (found > 0 && length > most) return false;
  bytes[out.length] = RUNS | (scale << SCALE_SHIFT);
  let p = writeVarint(bytes, out.length + 1, zigzag(values[0]));
  p = writeVarint(bytes, p, found);
  at = 0;
  for (let n = 0; n < found; n++) {
    const i = changes[n];
    p = writeVarint(bytes, p, i - at);
    p = writeVarint(bytes, p, zigzag(values[i] - values[i - 1]));
    at = i;
  }
  out.length = p;
  return true;
}

function writePacked(
  out: ByteSink,
  values: Int32Array,
  rest: Int32Array,
  mode: number,
  count: number,
  scale: number,
): void {
  const { base, zigzag: zig } = choice;
  const { widths, lows, highs } = scratch;
  const from = mode - RAW;
  const blocks = (count - from + BLOCK - 1) >> 4;
  let most = 0;
  for (let block = 0; block < blocks; block++) {
    const width = zig === 0 ? 32 - Math.clz32(highs[block] - base) : spread(lows[block], highs[block], base);
    widths[block] = width;
    if (width > most) most = width;
  }
  const { bytes, view } = out;
  bytes[out.length] = mode | (zig * ZIGZAG_FLAG) | (base === 0 ? 0 : BASE_FLAG) | (scale << SCALE_SHIFT);
  let p = out.length + 1;
  if (base !== 0) p = writeVarint(bytes, p, zigzag(base));
  if (mode !== RAW) p = writeVarint(bytes, p, zigzag(values[0]));
  if (mode === BEND) p = writeVarint(bytes, p, zigzag(values[1] - values[0]));
  bytes[p++] = most;
  const each = 32 - Math.clz32(most);
  let word = 0;
  let filled = 0;
  for (let block = 0; block < blocks; block++) {
    word |= widths[block] << filled;
    filled += each;
    if (filled >= 16) {
      view.setInt16(p, word, true);
      p += 2;
      filled -= 16;
      word >>>= 16;
    }
  }
  view.setInt16(p, word, true);
  p += (filled + 7) >> 3;
  for (let block = 0, at = from; block < blocks; block++, at += BLOCK) {
    const width = widths[block];
    if (width === 0) continue;
    p = packBlock(view, p, rest, at, at + BLOCK < count ? at + BLOCK : count, width, base, zig);
  }
  out.length = p;
}

// Writes up to three bytes more than it returns.
function packBlock(
  view: DataView,
  start: number,
  rest: Int32Array,
  from: number,
  to: number,
  width: number,
  base: number,
  zig: number,
): number {
  let p = start;
  let word = 0;
  let filled = 0;
  for (let i = from; i < to; i++) {
    const above = (rest[i] - base) | 0;
    const coded = (above << zig) ^ ((above >> 31) & -zig);
    word |= coded << filled;
    filled += width;
    if (filled >= 32) {
      view.setInt32(p, word, true);
      p += 4;
      filled -= 32;
      word = filled === 0 ? 0 : coded >>> (width - filled);
    }
  }
  view.setInt32(p, word, true);
  return p + ((filled + 7) >> 3);
}

/** Bytes that may be read after the end of what a NumberReader is given. */
const OVERREAD = 8;

/** Reads streams of numbers, one after the other, from a copy of the bytes. */
export class NumberReader {
  bytes: Uint8Array = new Uint8Array(4096);
  at = 0;
  end = 0;
  /** The number of a stream that has the same number everywhere, see `same()`. */
  value = 0;
  #view = new DataView(this.bytes.buffer);
  #widths = new Uint8Array(64);

  /** Starts at the beginning of `bytes[start..end)`. */
  load(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (this.bytes.length < length + OVERREAD) {
      this.bytes = new Uint8Array((length + OVERREAD) * 2);
      this.#view = new DataView(this.bytes.buffer);
    }
    this.bytes.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
    this.at = 0;
    this.end = length;
  }

  fail(code: "truncated" | "value" | "type", at: number, why: string): CodecError {
    return new CodecError(code, at, `Cannot read positions: ${why}`);
  }

  byte(): number {
    if (this.at >= this.end) throw this.fail("truncated", this.at, "they end inside a number");
    return this.bytes[this.at++];
  }

  /** An unsigned number of up to 32 bits. */
  varint(): number {
    const from = this.at;
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      if (shift === 28 && byte > 0x0f) throw this.fail("value", from, "a number has more than 32 bits");
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  #signed(): number {
    const coded = this.varint();
    return (coded >>> 1) ^ -(coded & 1);
  }

  /** If the next stream has the same number everywhere, reads it into `value`; otherwise stays before it. */
  same(): boolean {
    const head = this.at < this.end ? this.bytes[this.at] : 0;
    if ((head & 7) !== SAME) return false;
    this.byte();
    const coded = head >>> 3 === INLINE ? this.varint() : head >>> 3;
    this.value = (coded >>> 1) ^ -(coded & 1);
    return true;
  }

  /** Reads a stream of `count` numbers, at least one, to `into[from]`, `into[from + step]` and so on. */
  read(into: Int32Array, from: number, step: number, count: number): void {
    if (this.same()) {
      const { value } = this;
      for (let n = 0, i = from; n < count; n++, i += step) into[i] = value;
      return;
    }
    const start = this.at;
    const head = this.byte();
    const mode = this.#modeOf(start, head, count);
    const scale = SCALES[(head >>> SCALE_SHIFT) & 3];
    if (mode === RUNS) this.#runs(into, from, step, count, scale);
    else this.#packed(into, from, step, count, mode, head, scale);
  }

  /** Steps over a stream of `count` numbers. */
  skip(count: number): void {
    if (this.same()) return;
    const start = this.at;
    const head = this.byte();
    const mode = this.#modeOf(start, head, count);
    if (mode === RUNS) {
      this.#signed();
      for (let left = this.varint() * 2; left > 0; left--) this.varint();
      return;
    }
    if ((head & BASE_FLAG) !== 0) this.#signed();
    for (let n = mode - RAW; n > 0; n--) this.#signed();
    const left = count - (mode - RAW);
    const blocks = (left + BLOCK - 1) >> 4;
    const widths = this.#readWidths(blocks, left, this.#most());
    let bits = 0;
    for (let block = 0; block < blocks - 1; block++) bits += widths[block];
    // A whole block of sixteen ends at a byte.
    this.at += bits * 2 + (((left - (blocks - 1) * BLOCK) * widths[blocks - 1] + 7) >> 3);
  }

  /** Reads numbers [first, end) of a stream of `count`, at least one, as read() does; may stop anywhere in the stream. */
  readSome(into: Int32Array, from: number, step: number, count: number, first: number, end: number): void {
    if (first === 0 && end === count) {
      this.read(into, from, step, count);
      return;
    }
    if (this.same()) {
      const { value } = this;
      for (let n = first, i = from; n < end; n++, i += step) into[i] = value;
      return;
    }
    const start = this.at;
    const head = this.byte();
    const mode = this.#modeOf(start, head, count);
    const scale = SCALES[(head >>> SCALE_SHIFT) & 3];
    if (mode === RUNS) this.#someRuns(into, from, step, first, end, scale);
    else this.#somePacked(into, from, step, count, first, end, head, scale);
  }

  #someRuns(into: Int32Array, from: number, step: number, first: number, end: number, scale: number): void {
    let value = this.#signed();
    let i = from;
    let n = 0;
    for (let changes = this.varint(); changes > 0 && n < end; changes--) {
      const until = Math.min(n + this.varint(), end);
      const scaled = Math.imul(value, scale);
      for (n = Math.max(n, first); n < until; n++, i += step) into[i] = scaled;
      n = until;
      value = (value + this.#signed()) | 0;
    }
    const scaled = Math.imul(value, scale);
    for (n = Math.max(n, first); n < end; n++, i += step) into[i] = scaled;
  }

  // Differences add up from the first number on, so that what lies before is gone through, but not written.
  #somePacked(
    into: Int32Array,
    from: number,
    step: number,
    count: number,
    first: number,
    end: number,
    head: number,
    scale: number,
  ): void {
    const mode = head & 7;
    const base = (head & BASE_FLAG) === 0 ? 0 : this.#signed();
    const keepValue = mode === RAW ? 0 : -1;
    const keepDifference = mode === BEND ? -1 : 0;
    const zig = (head & ZIGZAG_FLAG) === 0 ? 0 : 1;
    let value = 0;
    let difference = 0;
    let n = 0;
    let i = from;
    for (; n < mode - RAW; n++) {
      difference = this.#signed();
      value = (value + difference) | 0;
      if (n < first || n >= end) continue;
      into[i] = Math.imul(value, scale);
      i += step;
    }
    const left = count - n;
    const blocks = (left + BLOCK - 1) >> 4;
    const widths = this.#readWidths(blocks, left, this.#most());
    const view = this.#view;
    let p = this.at;
    for (let block = 0; n < end; block++) {
      const width = widths[block];
      const stop = Math.min(n + BLOCK, count);
      if (mode === RAW && stop <= first) {
        n = stop;
        p += width * 2;
        continue;
      }
      const bits = width === 32 ? -1 : (1 << width) - 1;
      const numbers = stop - n;
      for (let bit = 0; n < stop; n++, bit += width) {
        const q = p + (bit >> 3);
        let coded = view.getInt32(q, true) >>> (bit & 7);
        if (width > 25 && (bit & 7) !== 0) coded |= view.getUint8(q + 4) << (32 - (bit & 7));
        coded &= bits;
        difference = ((difference & keepDifference) + ((coded >>> zig) ^ -(coded & zig)) + base) | 0;
        value = ((value & keepValue) + difference) | 0;
        if (n < first || n >= end) continue;
        into[i] = Math.imul(value, scale);
        i += step;
      }
      p += (numbers * width + 7) >> 3;
    }
  }

  #modeOf(start: number, head: number, count: number): number {
    const mode = head & 7;
    if (mode >= MODES || head > 0x7f) throw this.fail("type", start, `${head} is no way to write numbers`);
    if (mode - RAW >= count) throw this.fail("value", start, "there are more differences than rows");
    return mode;
  }

  #most(): number {
    const start = this.at;
    const most = this.byte();
    if (most > 32) throw this.fail("value", start, `numbers have ${most} bits`);
    return most;
  }

  #runs(into: Int32Array, from: number, step: number, count: number, scale: number): void {
    let value = this.#signed();
    const changes = this.varint();
    let n = 0;
    let i = from;
    for (let change = 0; change < changes; change++) {
      const start = this.at;
      const until = n + this.varint();
      if (until >= count || until === n) throw this.fail("value", start, "a run does not end among the rows");
      const scaled = Math.imul(value, scale);
      for (; n < until; n++, i += step) into[i] = scaled;
      value = (value + this.#signed()) | 0;
    }
    const scaled = Math.imul(value, scale);
    for (; n < count; n++, i += step) into[i] = scaled;
  }

  #packed(
    into: Int32Array,
    from: number,
    step: number,
    count: number,
    mode: number,
    head: number,
    scale: number,
  ): void {
    const base = (head & BASE_FLAG) === 0 ? 0 : this.#signed();
    let value = mode === RAW ? 0 : this.#signed();
    let difference = mode === BEND ? this.#signed() : 0;
    let i = from;
    if (mode !== RAW) {
      into[i] = Math.imul(value, scale);
      i += step;
    }
    if (mode === BEND) {
      value = (value + difference) | 0;
      into[i] = Math.imul(value, scale);
      i += step;
    }
    const left = count - (mode - RAW);
    const blocks = (left + BLOCK - 1) >> 4;
    const widths = this.#readWidths(blocks, left, this.#most());
    const view = this.#view;
    // All modes in one: what is carried from number to number is kept or not.
    const keepValue = mode === RAW ? 0 : -1;
    const keepDifference = mode === BEND ? -1 : 0;
    const zig = (head & ZIGZAG_FLAG) === 0 ? 0 : 1;
    let p = this.at;
    for (let block = 0; block < blocks; block++) {
      const width = widths[block];
      const numbers = block === blocks - 1 ? left - block * BLOCK : BLOCK;
      const bits = width === 32 ? -1 : (1 << width) - 1;
      let bit = 0;
      let n = 0;
      if (width <= 6) {
        // Four numbers in what one load gives at the least: 25 bits.
        for (; n < numbers - 3; n += 4) {
          const word = view.getInt32(p + (bit >> 3), true) >>> (bit & 7);
          bit += width * 4;
          let coded = word & bits;
          difference = ((difference & keepDifference) + ((coded >>> zig) ^ -(coded & zig)) + base) | 0;
          value = ((value & keepValue) + difference) | 0;
          into[i] = Math.imul(value, scale);
          coded = (word >>> width) & bits;
          difference = ((difference & keepDifference) + ((coded >>> zig) ^ -(coded & zig)) + base) | 0;
          value = ((value & keepValue) + difference) | 0;
          into[i + step] = Math.imul(value, scale);
          coded = (word >>> (width * 2)) & bits;
          difference = ((difference & keepDifference) + ((coded >>> zig) ^ -(coded & zig)) + base) | 0;
          value = ((value & keepValue) + difference) | 0;
          into[i + step * 2] = Math.imul(value, scale);
          coded = (word >>> (width * 3)) & bits;
          difference = ((difference & keepDifference) + ((coded >>> zig) ^ -(coded & zig)) + base) | 0;
          value = ((value & keepValue) + difference) | 0;
          into[i + step * 3] = Math.imul(value, scale);
          i += step * 4;
        }
      } else if (width <= 12) {
        for (; n < numbers - 1; n += 2) {
          const word = view.getInt32(p + (bit >> 3), true) >>> (bit & 7);
          bit += width * 2;
          let coded = word & bits;
          difference = ((difference & keepDifference) + ((coded >>> zig) ^ -(coded & zig)) + base) | 0;
          value = ((value & keepValue) + difference) | 0;
          into[i] = Math.imul(value, scale);
          coded = (word >>> width) & bits;
          difference = ((difference & keepDifference) + ((coded >>> zig) ^ -(coded & zig)) + base) | 0;
          value = ((value & keepValue) + difference) | 0;
          into[i + step] = Math.imul(value, scale);
          i += step * 2;
        }
      }
      for (; n < numbers; n++) {
        const q = p + (bit >> 3);
        let coded = view.getInt32(q, true) >>> (bit & 7);
        if (width > 25 && (bit & 7) !== 0) coded |= view.getUint8(q + 4) << (32 - (bit & 7));
        coded &= bits;
        difference = ((difference & keepDifference) + ((coded >>> zig) ^ -(coded & zig)) + base) | 0;
        value = ((value & keepValue) + difference) | 0;
        into[i] = Math.imul(value, scale);
        i += step;
        bit += width;
      }
      p += (numbers * width + 7) >> 3;
    }
    this.at = p;
  }

  // Widths of blocks, and whether the bytes of all blocks are there.
  #readWidths(blocks: number, numbers: number, most: number): Uint8Array {
    if (this.#widths.length < blocks) this.#widths = new Uint8Array(blocks * 2);
    const widths = this.#widths;
    const each = widthOf(most);
    const start = this.at;
    const from = start + ((blocks * each + 7) >> 3);
    if (from > this.end) throw this.fail("truncated", this.end, "they end inside widths");
    const bits = (1 << each) - 1;
    let bytes = 0;
    let bit = 0;
    for (let block = 0; block < blocks; block++) {
      const width = (this.#view.getInt32(start + (bit >> 3), true) >>> (bit & 7)) & bits;
      if (width > most) throw this.fail("value", start + (bit >> 3), `numbers have ${width} bits, at most ${most}`);
      widths[block] = width;
      bytes += (Math.min(BLOCK, numbers - block * BLOCK) * width + 7) >> 3;
      bit += each;
    }
    if (from + bytes > this.end) throw this.fail("truncated", this.end, "they end inside a block");
    this.at = from;
    return widths;
  }
}
