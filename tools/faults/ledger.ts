import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import type { FrameKind } from "./records.ts";

/** Bytes gathered before the ledger's files are written. */
const BUFFER_BYTES = 1 << 20;

/** What is known about one device's records; a record is its number in the sequence. */
export class DeviceLedger {
  readonly imei: string;
  readonly kind: FrameKind;
  /** The id that the platform gave it. */
  readonly id: number;
  /** Whether the tracker sends its records in one order over one connection at a time. */
  readonly ordered: boolean;
  /** Records 0 to taken - 1 were sent at least once. */
  taken = 0;
  #acked = new Uint8Array(256);
  #sentAt = new Float64Array(256);

  constructor(imei: string, kind: FrameKind, id: number, ordered: boolean) {
    this.imei = imei;
    this.kind = kind;
    this.id = id;
    this.ordered = ordered;
  }

  /** The next `count` numbers of the sequence. */
  take(count: number): { from: number; to: number } {
    const from = this.taken;
    this.taken += count;
    if (this.taken > this.#acked.length) {
      const wider = new Uint8Array(Math.max(this.taken, this.#acked.length * 2));
      wider.set(this.#acked);
      this.#acked = wider;
      const later = new Float64Array(wider.length);
      later.set(this.#sentAt);
      this.#sentAt = later;
    }
    this.#sentAt.fill(performance.now(), from, this.taken);
    return { from, to: this.taken };
  }

  /** When the record was first sent, `performance.now()`. */
  sentAt(sequence: number): number {
    return this.#sentAt[sequence]!;
  }

  ack(from: number, to: number): void {
    this.#acked.fill(1, from, to);
  }

  acked(sequence: number): boolean {
    return this.#acked[sequence] === 1;
  }

  get ackedCount(): number {
    let count = 0;
    for (let i = 0; i < this.taken; i++) count += this.#acked[i]!;
    return count;
  }
}

export interface SentFrame {
  identifier: string;
  from: number;
  to: number;
  bytes: Uint8Array;
  /** When it was sent, `performance.now()`. */
  at: number;
}

/**
 * Who sent what and when, and what was acknowledged when. Kept in memory for the oracle and in two files for the reader:
 * `frames.bin` holds the bytes of each frame as sent, `ledger.csv` a line for each frame sent (`s`) and each reply (`a`):
 * what, time (ms since the start), imei, kind, identifier, first record, end of records, offset and length in frames.bin.
 */
export class Ledger {
  readonly #startedAt = performance.now();
  readonly #lines: number;
  readonly #frames: number;
  #offset = 0;
  #text: string[] = [];
  #chunks: Uint8Array[] = [];
  #waiting = 0;
  frames = 0;
  resent = 0;
  replies = 0;

  constructor(folder: string) {
    this.#lines = openSync(`${folder}/ledger.csv`, "a", 0o600);
    this.#frames = openSync(`${folder}/frames.bin`, "a", 0o600);
  }

  sent(device: DeviceLedger, frame: SentFrame, again: boolean): void {
    this.frames++;
    if (again) this.resent++;
    this.#line("s", device, frame, `,${this.#offset},${frame.bytes.length}`);
    this.#chunks.push(frame.bytes);
    this.#offset += frame.bytes.length;
    this.#waiting += frame.bytes.length;
    if (this.#waiting > BUFFER_BYTES) this.#write();
  }

  acked(device: DeviceLedger, frame: SentFrame): void {
    this.replies++;
    device.ack(frame.from, frame.to);
    this.#line("a", device, frame, "");
  }

  #line(what: string, device: DeviceLedger, frame: SentFrame, rest: string): void {
    const at = (performance.now() - this.#startedAt).toFixed(1);
    this.#text.push(
      `${what},${at},${device.imei},${device.kind},${frame.identifier},${frame.from},${frame.to}${rest}\n`,
    );
  }

  #write(): void {
    writeSync(this.#lines, this.#text.join(""));
    for (const chunk of this.#chunks) writeSync(this.#frames, chunk);
    this.#text = [];
    this.#chunks = [];
    this.#waiting = 0;
  }

  close(): void {
    this.#write();
    for (const file of [this.#lines, this.#frames]) {
      fsyncSync(file);
      closeSync(file);
    }
  }
}
