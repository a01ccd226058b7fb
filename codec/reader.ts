import { ByteQueue } from "./byte-queue.ts";
import type { CodecErrorCode } from "./errors.ts";
import {
  FRAME_LIMITS,
  FRAME_STATUS,
  type FrameBounds,
  type FrameStatus,
  locateFrame,
  newBounds,
  statusCode,
} from "./locate.ts";
import { nextHead, OverlapSums } from "./resync.ts";

/** What a `FrameReader` may be told. */
export interface FrameReaderOptions {
  /** Bytes of the longest frame that is accepted, and of the most that is ever held back. */
  maxFrameBytes?: number;
  /** Called once for each stretch of bytes that is thrown away, with the reason; `prefix` is plain garbage. */
  onReject?: (code: CodecErrorCode, skippedBytes: number) => void;
}

/** Receives a frame. `buf` and `bounds` are only good during the call. */
export type FrameSink = (buf: Uint8Array, bounds: FrameBounds) => void;

// Enough bytes to know where a frame says it ends.
const HEAD_BYTES = FRAME_LIMITS.headerScan + 1;

/**
 * Splits a TCP byte stream into Meitrack frames. Only right frames come out (see `locateFrame`), in order.
 *
 * What is refused costs its neighbours nothing: the search goes on one byte behind its head, so a frame inside or
 * behind it is found. A head whose declared end has not arrived has to wait, and with it everything behind; when the
 * end turns out wrong, the waiting bytes are searched again. A length that was damaged upwards thus delays the
 * frames behind it until that many bytes have come, or until `flush()`: call it when the peer is silent for too long
 * or has closed. Any input is read in time proportional to its length.
 */
export class FrameReader {
  readonly #maxFrameBytes: number;
  readonly #onReject: ((code: CodecErrorCode, skippedBytes: number) => void) | undefined;
  readonly #at = newBounds();

  readonly #held = new ByteQueue();
  // While fewer bytes are held than #lookAt, another look finds nothing new. A look wants to see #lookFor of them.
  #lookAt = 0;
  #lookFor = 0;

  // Stream offsets: of the current chunk, and up to where the frames refused so far have been summed.
  #offset = 0;
  #summedTo = 0;
  #sums: OverlapSums | null = null;

  #skipCode: CodecErrorCode = "prefix";
  #skipBytes = 0;
  #rejected = 0;
  #refused = 0;

  constructor(options: FrameReaderOptions = {}) {
    this.#maxFrameBytes = Math.min(options.maxFrameBytes ?? FRAME_LIMITS.frameBytes, FRAME_LIMITS.frameBytes);
    this.#onReject = options.onReject;
  }

  /** Bytes held for an unfinished frame. Always below `maxFrameBytes`. */
  get buffered(): number {
    return this.#held.length;
  }

  /** Bytes thrown away so far. */
  get rejected(): number {
    return this.#rejected;
  }

  /** Heads with a length so far that did not begin a right frame. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Takes any cut of the stream, also mid-frame, and keeps an unfinished frame for the next call.
   * @returns whole frames in order: views into `chunk`, copies of those that began in an earlier chunk
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    this.scan(chunk, (buf, { start, end }) => {
      frames.push(buf === chunk ? buf.subarray(start, end) : buf.slice(start, end));
    });
    return frames;
  }

  /** Like `push()`, but hands each frame to `sink` where it lies and allocates nothing for it. */
  scan(chunk: Uint8Array, sink: FrameSink): void {
    const from = this.#held.length > 0 ? this.#scanHeld(chunk, sink) : 0;
    if (from < chunk.length) {
      const rest = this.#walk(chunk, from, chunk.length, this.#offset, sink);
      if (rest < chunk.length) {
        this.#held.append(chunk, rest, chunk.length);
        this.#await();
      }
    }
    this.#offset += chunk.length;
    this.#settle();
  }

  /** Gives up the frame that waits for its end and hands on what is behind its head. Nothing is held afterwards. */
  flush(sink: FrameSink): void {
    const held = this.#held;
    const base = this.#offset - held.tail;
    while (held.length > 0) {
      const status = this.#locate(held.bytes, held.head, held.tail, base);
      const next = this.#refuse(status, held.bytes, held.head, held.tail, base);
      held.head = this.#walk(held.bytes, next, held.tail, base, sink);
    }
    held.clear();
    this.#settle();
  }

  // Moves as little of `chunk` as possible behind the held bytes, until these are used up.
  // Returns from where on `chunk` can be searched by itself.
  #scanHeld(chunk: Uint8Array, sink: FrameSink): number {
    const held = this.#held;
    if (held.length + chunk.length < this.#lookAt) {
      held.append(chunk, 0, chunk.length);
      return chunk.length;
    }
    let used = 0;
    for (;;) {
      const stop = Math.min(chunk.length, used + Math.max(0, this.#lookFor - held.length));
      held.append(chunk, used, stop);
      used = stop;
      const base = this.#offset + used - held.tail;
      const status = this.#locate(held.bytes, held.head, held.tail, base);
      if (status === FRAME_STATUS.needMore || this.#endsEarly(status, held.tail)) {
        this.#await();
        // The end of the held bytes must not be taken for the end of what has arrived.
        if (used < chunk.length && held.length < this.#lookFor) continue;
      }
      if (status === FRAME_STATUS.needMore) return chunk.length;
      if (status === FRAME_STATUS.ok) held.head = this.#deliver(held.bytes, sink);
      else held.head = this.#refuse(status, held.bytes, held.head, held.tail, base);
      if (held.length <= used) {
        const next = used - held.length;
        held.clear();
        return next;
      }
      this.#lookFor = HEAD_BYTES;
    }
  }

  #endsEarly(status: FrameStatus, to: number): boolean {
    return status === FRAME_STATUS.ok && this.#at.end - this.#at.lengthOff > to;
  }

  // Hands on and skips up to the first byte that has to wait, or to `to`. `base` is the stream offset of buf[0].
  #walk(buf: Uint8Array, from: number, to: number, base: number, sink: FrameSink): number {
    let i = from;
    while (i < to) {
      const status = this.#locate(buf, i, to, base);
      if (status === FRAME_STATUS.ok) i = this.#deliver(buf, sink);
      else if (status === FRAME_STATUS.needMore) return i;
      else i = this.#refuse(status, buf, i, to, base);
    }
    return to;
  }

  #locate(buf: Uint8Array, from: number, to: number, base: number): FrameStatus {
    if (base + from >= this.#summedTo) return locateFrame(buf, from, to, this.#at, this.#maxFrameBytes);
    this.#sums ??= new OverlapSums();
    this.#sums.base = base;
    return locateFrame(buf, from, to, this.#at, this.#maxFrameBytes, this.#sums);
  }

  #deliver(buf: Uint8Array, sink: FrameSink): number {
    const end = this.#at.end;
    if (this.#skipBytes > 0) this.#report();
    sink(buf, this.#at);
    return end;
  }

  // Returns where the next frame may begin.
  #refuse(status: FrameStatus, buf: Uint8Array, from: number, to: number, base: number): number {
    const at = this.#at;
    const next = nextHead(buf, from + 1, to);
    const code = at.end > 0 ? statusCode(status) : "prefix";
    if (at.end > 0) this.#refused++;
    if (at.contentEnd > 0) this.#summedTo = Math.max(this.#summedTo, base + at.contentEnd);
    if (this.#skipBytes > 0 && code !== "prefix") this.#report();
    if (this.#skipBytes === 0) this.#skipCode = code;
    this.#skipBytes += next - from;
    this.#rejected += next - from;
    return next;
  }

  #report(): void {
    const skipped = this.#skipBytes;
    this.#skipBytes = 0;
    if (this.#onReject !== undefined) this.#onReject(this.#skipCode, skipped);
  }

  // What to wait for, after `needMore` or an early end.
  #await(): void {
    const at = this.#at;
    const declared = at.end - at.lengthOff - at.start;
    this.#lookAt = at.end === 0 ? 0 : declared - FRAME_LIMITS.lengthWindow;
    this.#lookFor = at.end === 0 ? HEAD_BYTES : Math.min(declared + FRAME_LIMITS.lengthWindow, this.#maxFrameBytes);
  }

  #settle(): void {
    if (this.#skipBytes > 0) this.#report();
    if (this.#held.length === 0) {
      this.#held.clear();
      this.#sums = null;
    }
  }
}
