const FIRST_BYTES = 512;
// A larger array is given back as soon as it is empty, so that an idle connection costs little.
const KEPT_BYTES = 2048;
const NONE = new Uint8Array(0);

/** Bytes that wait: `bytes[head..tail)`. Grows by doubling, moves its content only when that frees half of the room. */
export class ByteQueue {
  bytes: Uint8Array = NONE;
  head = 0;
  tail = 0;

  get length(): number {
    return this.tail - this.head;
  }

  append(source: Uint8Array, from: number, to: number): void {
    const added = to - from;
    if (this.tail + added > this.bytes.length) this.#makeRoom(this.length + added);
    if (added <= 16) for (let i = from, k = this.tail; i < to; i++, k++) this.bytes[k] = source[i];
    else this.bytes.set(source.subarray(from, to), this.tail);
    this.tail += added;
  }

  clear(): void {
    this.head = 0;
    this.tail = 0;
    if (this.bytes.length > KEPT_BYTES) this.bytes = NONE;
  }

  #makeRoom(needed: number): void {
    const length = this.length;
    if (needed <= this.bytes.length && this.head >= this.bytes.length / 2) {
      this.bytes.copyWithin(0, this.head, this.tail);
    } else {
      let size = Math.max(FIRST_BYTES, this.bytes.length);
      while (size < needed || size === this.bytes.length) size *= 2;
      const bytes = new Uint8Array(size);
      bytes.set(this.bytes.subarray(this.head, this.tail));
      this.bytes = bytes;
    }
    this.head = 0;
    this.tail = length;
  }
}
