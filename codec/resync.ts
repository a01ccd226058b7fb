import { FRAME_LIMITS, type Sums } from "./locate.ts";

const DOLLAR = 0x24;
const COMMA = 0x2c;
const AT = 0x40;

/**
 * First index from `from` on where a frame may begin: `$$` or `@@`, identifier, 1 to 5 digits, comma, as far as the
 * bytes before `to` show. `to` when there is none.
 * Source: Meitrack GPRS protocol, packet format.
 */
export function nextHead(buf: Uint8Array, from: number, to: number): number {
  // Of two neighbours one is looked at: a pair of head bytes cannot hide between two other bytes.
  let second = from + 1;
  while (second < to) {
    const byte = buf[second];
    if (byte !== DOLLAR && byte !== AT) {
      second += 2;
      continue;
    }
    const start = buf[second - 1] === byte ? second - 1 : second;
    if (mayBeHead(buf, start, to)) return start;
    second = start + 2;
  }
  if (second > to || from >= to) return to;
  const last = buf[to - 1];
  return last === DOLLAR || last === AT ? to - 1 : to;
}

function mayBeHead(buf: Uint8Array, start: number, to: number): boolean {
  if (start + 1 >= to) return true;
  if (buf[start + 1] !== buf[start]) return false;
  if (start + 2 >= to) return true;
  if (buf[start + 2] < 0x41 || buf[start + 2] > 0x7a) return false;
  let i = start + 3;
  for (const stop = Math.min(to, i + FRAME_LIMITS.lengthDigits); i < stop; i++) {
    if (buf[i] < 0x30 || buf[i] > 0x39) break;
  }
  return i >= to || (buf[i] === COMMA && i > start + 3);
}

// Sums are kept for every eighth byte of the longest frame, with room for as many again behind it.
const BLOCK_BYTES = 8;
const RING_BLOCKS = 16_384;
// Indexes are 32-bit integers: the origin moves up long before they run out.
const ORIGIN_BYTES = 1 << 30;

/**
 * Sums of overlapping stretches of a stream at a constant cost each, however long they are. Garbage made of heads
 * that all claim a long frame would otherwise cost the square of its length.
 */
export class OverlapSums implements Sums {
  /** Stream offset of the first byte of the array that `sum` is called with. */
  base = 0;
  #origin = 0;
  #blocks = 0;
  readonly #ring = new Uint8Array(RING_BLOCKS);

  /** Starts must not run backwards by more than a frame; `end` is at most a frame after `start`. */
  sum(bytes: Uint8Array, start: number, end: number): number {
    const from = this.base + start;
    const known = this.#origin + this.#blocks * BLOCK_BYTES;
    if (from < this.#origin || from > known || from - this.#origin > ORIGIN_BYTES) {
      this.#origin = from;
      this.#blocks = 0;
      this.#ring[0] = 0;
    }
    return (this.#before(bytes, end) - this.#before(bytes, start)) & 255;
  }

  // Sum of the stream from the origin to index `i` of `bytes`.
  #before(bytes: Uint8Array, i: number): number {
    const first = this.#origin - this.base;
    const block = (i - first) >> 3;
    const mask = RING_BLOCKS - 1;
    if (block > this.#blocks) {
      let sum = this.#ring[this.#blocks & mask];
      let at = first + this.#blocks * BLOCK_BYTES;
      for (let k = this.#blocks + 1; k <= block; k++) {
        sum += bytes[at] + bytes[at + 1] + bytes[at + 2] + bytes[at + 3];
        sum += bytes[at + 4] + bytes[at + 5] + bytes[at + 6] + bytes[at + 7];
        this.#ring[k & mask] = sum;
        at += BLOCK_BYTES;
      }
      this.#blocks = block;
    }
    let sum = this.#ring[block & mask];
    for (let at = first + block * BLOCK_BYTES; at < i; at++) sum += bytes[at];
    return sum;
  }
}
