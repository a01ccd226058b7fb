import type { Sums } from "./locate.ts";

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
