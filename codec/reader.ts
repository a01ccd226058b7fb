import { FRAME_LIMITS, FRAME_STATUS, type FrameBounds, type FrameStatus, newBounds, statusCode } from "./bounds.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { CodecErrorCode } from "./errors.ts";
import { locateEnd, locateFrame, locateHead } from "./locate.ts";
import { OverlapSums } from "./overlap-sums.ts";

/** What a `FrameReader` may be told. */
export interface FrameReaderOptions {
  /** Bytes of the longest frame that is accepted, and of the most that is ever held back. */
  maxFrameBytes?: number;
  /** Called for each stretch thrown away, with the reason why its first byte began no frame; `prefix` is garbage. */
  onReject?: (code: CodecErrorCode, skippedBytes: number) => void;
}

/** Receives a frame. `buf` and `bounds` are only good during the call. */
export type FrameSink = (buf: Uint8Array, bounds: FrameBounds) => void;

// With this many bytes no frame is undecided before its content: length, comma, IMEI, comma, type and two more.
const HEAD_BYTES = FRAME_LIMITS.headerScan + 1 + FRAME_LIMITS.imeiBytes + 1 + 3 + 2;
// Frames that are summed directly even where they overlap: it is cheaper, and bounded.
const SHORT_BYTES = 96;

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
  readonly #tally = { heads: 0 };

  readonly #held = new ByteQueue();
  // While fewer bytes are held than #lookAt, another look finds nothing new. A look wants to see #lookFor of them.
  #lookAt = 0;
  #lookFor = 0;

  // Between the last good frame and the next.
  #lost = false;
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
    for (;;) {
      held.head = this.#walk(held.bytes, held.head, held.tail, base, sink);
      if (held.length === 0) break;
      held.head = this.#refuse(FRAME_STATUS.needMore, base);
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
    const at = this.#at;
    let used = 0;
    while (held.length > used) {
      const stop = Math.min(chunk.length, used + Math.max(0, this.#lookFor - held.length));
      held.append(chunk, used, stop);
      used = stop;
      const found = this.#find(held.bytes, held.head, held.tail, this.#offset + used - held.tail);
      held.head = at.start;
      if (held.length <= used) break;
      // The end of the held bytes must not be taken for the end of what has arrived.
      if (!found || at.end - at.lengthOff > held.tail) {
        this.#await();
        if (used < chunk.length && held.length < this.#lookFor) continue;
      }
      if (!found) return chunk.length;
      held.head = this.#deliver(held.bytes, sink);
      this.#lookFor = HEAD_BYTES;
    }
    const next = used - held.length;
    held.clear();
    return next;
  }

  // Hands on and skips up to the first byte that has to wait, or to `to`. `base` is the stream offset of buf[0].
  #walk(buf: Uint8Array, from: number, to: number, base: number, sink: FrameSink): number {
    let i = from;
    while (i < to && this.#find(buf, i, to, base)) i = this.#deliver(buf, sink);
    return i < to ? this.#at.start : to;
  }

  // Finds the next frame and skips what stands before it. When false, `#at.start` is the first byte that has to wait.
  #find(buf: Uint8Array, from: number, to: number, base: number): boolean {
    const at = this.#at;
    const most = this.#maxFrameBytes;
    let next = from;
    if (!this.#lost) {
      const status = locateFrame(buf, from, to, at, most, this.#sumsFrom(base + from, base));
      if (status === FRAME_STATUS.ok) return true;
      if (status === FRAME_STATUS.needMore) return false;
      next = this.#refuse(status, base);
    }
    let searched = next;
    for (;;) {
      this.#tally.heads = 0;
      let status = locateHead(buf, searched, to, at, most, this.#tally);
      this.#refused += this.#tally.heads;
      if (status === FRAME_STATUS.ok) {
        const sums = at.end - at.start < SHORT_BYTES ? null : this.#sumsFrom(base + at.start, base);
        status = locateEnd(buf, to, at, most, sums);
      }
      if (status === FRAME_STATUS.ok || status === FRAME_STATUS.needMore) {
        this.#skip(at.start - next, "prefix");
        return status === FRAME_STATUS.ok;
      }
      this.#refused++;
      this.#summed(base);
      searched = at.contentStart;
    }
  }

  // Gives up the head at `#at.start`. Returns where the next one may begin.
  #refuse(status: FrameStatus, base: number): number {
    const at = this.#at;
    this.#lost = true;
    if (at.end === 0) {
      this.#skip(1, "prefix");
      return at.start + 1;
    }
    this.#refused++;
    this.#summed(base);
    this.#skip(at.comma + 1 - at.start, statusCode(status));
    return at.comma + 1;
  }

  #summed(base: number): void {
    if (this.#at.contentEnd > 0) this.#summedTo = Math.max(this.#summedTo, base + this.#at.contentEnd);
  }

  // What overlaps a frame that was summed in vain is not summed byte by byte again.
  #sumsFrom(offset: number, base: number): OverlapSums | null {
    if (offset >= this.#summedTo) return null;
    this.#sums ??= new OverlapSums();
    this.#sums.base = base;
    return this.#sums;
  }

  #deliver(buf: Uint8Array, sink: FrameSink): number {
    const end = this.#at.end;
    this.#lost = false;
    if (this.#skipBytes > 0) this.#report();
    sink(buf, this.#at);
    return end;
  }

  #skip(bytes: number, code: CodecErrorCode): void {
    if (this.#skipBytes === 0) this.#skipCode = code;
    this.#skipBytes += bytes;
    this.#rejected += bytes;
  }

  #report(): void {
    const skipped = this.#skipBytes;
    this.#skipBytes = 0;
    if (this.#onReject !== undefined) this.#onReject(this.#skipCode, skipped);
  }

  // What to wait for, after `#find`.
  #await(): void {
    const at = this.#at;
    const declared = at.end - at.lengthOff - at.start;
    this.#lookAt = at.end === 0 ? 0 : declared - FRAME_LIMITS.lengthWindow;
    this.#lookFor = Math.max(HEAD_BYTES, Math.min(declared + FRAME_LIMITS.lengthWindow, this.#maxFrameBytes));
  }

  #settle(): void {
    if (this.#skipBytes > 0) this.#report();
    if (this.#held.length === 0) {
      this.#held.clear();
      this.#sums = null;
    }
  }
}
