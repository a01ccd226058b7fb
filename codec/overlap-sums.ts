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

  /** Starts must not run backwards; `end` is 8 bytes to a frame after `start`. */
  sum(bytes: Uint8Array, start: number, end: number): number {
    const from = this.base + start;
    const known = this.#origin + this.#blocks * BLOCK_BYTES;
    if (from < this.#origin || from > known || from - this.#origin > ORIGIN_BYTES) {
      this.#origin = from;
      this.#blocks = 0;
      this.#ring[0] = 0;
    }
    const first = this.#origin - this.base;
    const mask = RING_BLOCKS - 1;
    const last = (end - first) >> 3;
    this.#extend(bytes, first, last);
    // Whole blocks inside, what stands behind them, and, since `bytes` may begin at `start`, what stands before them.
    const whole = (start - first + BLOCK_BYTES - 1) >> 3;
    let sum = this.#ring[last & mask] - this.#ring[whole & mask];
    for (let i = first + last * BLOCK_BYTES; i < end; i++) sum += bytes[i];
    for (let i = first + whole * BLOCK_BYTES - 1; i >= start; i--) sum += bytes[i];
    return sum & 255;
  }

  // `first` is the index of the origin in `bytes`.
  #extend(bytes: Uint8Array, first: number, blocks: number): void {
    const mask = RING_BLOCKS - 1;
    let sum = this.#ring[this.#blocks & mask];
    let at = first + this.#blocks * BLOCK_BYTES;
    for (let k = this.#blocks + 1; k <= blocks; k++) {
      sum += bytes[at] + bytes[at + 1] + bytes[at + 2] + bytes[at + 3];
      sum += bytes[at + 4] + bytes[at + 5] + bytes[at + 6] + bytes[at + 7];
      this.#ring[k & mask] = sum;
      at += BLOCK_BYTES;
    }
    this.#blocks = Math.max(this.#blocks, blocks);
  }
}
