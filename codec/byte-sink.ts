/** Growable bytes, reused between calls. */
export class ByteSink {
  bytes: Uint8Array;
  /** The same bytes as `bytes`. */
  view: DataView;
  /** Bytes that are written. */
  length = 0;

  constructor(bytes = 1024) {
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Forgets what is written and keeps the memory. */
  reset(): void {
    this.length = 0;
  }

  /** Makes room for `n` more bytes; `bytes` and `view` may be others afterwards. */
  reserve(n: number): void {
    const needed = this.length + n;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, needed));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}
