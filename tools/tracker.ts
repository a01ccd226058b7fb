import { latin1 } from "../codec/bytes.ts";
import { identifierAt } from "../codec/commands.ts";
import { encodeAaa, encodeAff, encodeCcc, encodeCce } from "../codec/encode.ts";
import { encodeFrame, type Frame, FrameReader, parseFrame } from "../codec/frame.ts";
import type { Kind, Ledger } from "./ledger.ts";
import { Link, type LinkSettings } from "./link.ts";
import { seededRandom } from "./motion.ts";
import { type Identity, secondsSince2000, Unit } from "./unit.ts";

/** What every tracker of a fleet does alike. Times in ms. */
export interface TrackerSettings extends LinkSettings {
  readonly model: string;
  readonly seed: number;
  /** Waits for confirmations (AFF, CCC) and sends again without one, as trackers in confirmation mode do. */
  readonly resend: boolean;
  /** Share of frames that get a wrong checksum. */
  readonly badChecksums: number;
  /** Share of confirmations that a tracker does not hear. */
  readonly loseAcks: number;
  /** Reports that a CCC or CCE frame waits for. */
  readonly batch: number;
  readonly ackTimeoutMs: number;
  readonly reconnectMs: { readonly min: number; readonly max: number };
}

/** Counts over a whole fleet. */
export interface Counts {
  frames: number;
  bytes: number;
  /** Reports of which a right frame was written. */
  sent: number;
  /** Reports sent in frames that ask for a confirmation. */
  asked: number;
  acknowledged: number;
  /** Frames written with a wrong checksum. */
  damaged: number;
  /** Frames written again because no confirmation came. */
  resent: number;
  connects: number;
  /** Connections that ended although the tracker did not want it. */
  broken: number;
  /** Commands answered. */
  commands: number;
  /** Confirmations that fit nothing sent, and frames meant for somebody else. */
  strays: number;
}

/** How a tracker reports. */
export type FrameKind = "aaa" | "ccc" | "cce";

/** Most records in one frame (seen in the field: 18 in CCC, 17 in CCE). */
const MOST = { aaa: 1, ccc: 18, cce: 12 } as const;

/** A connection that breaks may have lost what was written this long before, in ms. */
const DOUBTFUL_MS = 30_000;

const EVENT_LOCATE_NOW = 34;

/** One simulated tracker: a unit that measures, a memory of reports, a link, and the habits of the protocol. */
export class Tracker {
  readonly imei: string;
  readonly kind: FrameKind;
  readonly unit: Unit;
  /** Sends what it has without waiting for a full batch. */
  flushing = false;
  /** Until when it is out of coverage, Unix ms. */
  darkUntil = 0;
  readonly #index: number;
  readonly #settings: TrackerSettings;
  readonly #ledger: Ledger;
  readonly #counts: Counts;
  readonly #random: () => number;
  readonly #link: Link;
  readonly #waits: boolean;
  readonly #batch: number;
  #reader = new FrameReader();
  #connectedAt = 0;
  #retryAt = 0;
  #messages = 0;
  // Reports that are not delivered yet, oldest first, from #head on.
  #queue: number[] = [];
  #head = 0;
  // The unconfirmed message of a tracker that waits; its reports stay in the queue.
  #waiting: { identifier: string; rows: number; since: number } | null = null;
  #again = false;
  // What a tracker that does not wait would like to see confirmed, by identifier.
  readonly #unconfirmed = new Map<string, { rows: readonly number[]; since: number }>();

  constructor(who: Identity & { readonly kind: FrameKind }, settings: TrackerSettings, ledger: Ledger, counts: Counts) {
    this.#index = who.index;
    this.imei = who.imei;
    this.kind = who.kind;
    this.unit = new Unit(who, settings.seed, ledger);
    this.#settings = settings;
    this.#ledger = ledger;
    this.#counts = counts;
    this.#random = seededRandom(settings.seed ^ 0x5bd1e995, who.index);
    this.#waits = settings.resend && who.kind !== "cce";
    this.#batch = Math.min(settings.batch, MOST[who.kind]);
    this.#link = new Link(settings, this.#random, {
      onUp: () => this.#onUp(),
      onDown: (wanted) => this.#onDown(wanted),
      onData: (chunk) => this.#onData(chunk),
      onRoom: () => this.pump(),
    });
  }

  get connected(): boolean {
    return this.#link.up;
  }

  /** Reports that are not delivered yet. */
  get held(): number {
    return this.#queue.length - this.#head;
  }

  /** Nothing left to send and no confirmation outstanding. */
  get idle(): boolean {
    return this.held === 0 && this.#unconfirmed.size === 0 && this.#link.flushed;
  }

  /** The link is closed. */
  get closed(): boolean {
    return this.#link.idle;
  }

  /** How many more reports would leave at once. */
  get appetite(): number {
    if (!this.#link.ready || this.#waiting !== null) return 0;
    return Math.max(0, MOST[this.kind] - this.held);
  }

  /**
   * Drives on and remembers a report.
   * @param timeS seconds since 2000 that the receiver reads
   * @param elapsedS seconds since the report before
   */
  report(timeS: number, elapsedS: number): void {
    this.#queue.push(this.unit.measure(timeS, elapsedS));
  }

  /** Connects, gives up on confirmations, moves segments: whatever is due. Call it every few ms. */
  tick(now: number): void {
    if (this.darkUntil > now) return;
    if (this.#link.idle) {
      if (now >= this.#retryAt) this.#link.open();
      return;
    }
    this.#link.tick();
    if (this.#waiting !== null && now - this.#waiting.since > this.#settings.ackTimeoutMs) this.#giveUp(now);
    if (this.#unconfirmed.size > 0) this.#expire(now);
    this.pump();
  }

  #expire(now: number): void {
    for (const [identifier, { since }] of this.#unconfirmed) {
      if (now - since <= this.#settings.ackTimeoutMs) return;
      this.#unconfirmed.delete(identifier);
    }
  }

  /** No confirmation came: over TCP it connects anew, then it sends the same reports again. */
  #giveUp(now: number): void {
    this.#waiting = null;
    this.#again = true;
    if (this.#settings.transport === "udp") return;
    this.#link.cut();
    this.#retryAt = now + this.#settings.reconnectMs.min;
  }

  /** Loses coverage. Trackers that wait for confirmations lose it in the middle of a word, others after it. */
  goDark(until: number): void {
    this.darkUntil = until;
    if (this.#link.idle) return;
    if (this.#waits) this.#link.cut();
    else this.#link.end();
  }

  /** Closes the link after what was sent has left. */
  close(): void {
    if (!this.#link.idle) this.#link.end();
  }

  /** Closes the link at once, whatever is still on its way. */
  cut(): void {
    if (this.#link.idle) return;
    if (!this.#link.flushed) this.#doubt();
    this.#link.cut();
  }

  #onUp(): void {
    this.#counts.connects++;
    this.#connectedAt = Date.now();
    this.#reader = new FrameReader();
    this.pump();
  }

  #onDown(wanted: boolean): void {
    const { min, max } = this.#settings.reconnectMs;
    this.#retryAt = Date.now() + min + this.#random() * (max - min);
    this.#again ||= this.#waiting !== null;
    this.#waiting = null;
    this.#unconfirmed.clear();
    if (!wanted && this.#connectedAt !== 0) {
      this.#counts.broken++;
      this.#doubt();
    }
    this.#connectedAt = 0;
  }

  /** What was written shortly before a break may not have arrived. */
  #doubt(): void {
    const since = Math.max(this.#connectedAt, Date.now() - DOUBTFUL_MS);
    const rows = this.#ledger.rowsOf(this.#index);
    for (let i = rows.length - 1; i >= 0; i--) {
      const sentAt = this.#ledger.sentAt(rows[i]);
      if (sentAt !== 0 && sentAt < since) break;
      this.#ledger.noteDoubtful(rows[i]);
    }
  }

  /** Sends what may be sent now. */
  pump(): void {
    while (this.held > 0 && this.#link.ready && this.#waiting === null) {
      const size = Math.min(this.held, MOST[this.kind]);
      if (size < this.#batch && !this.flushing && !this.#again) return;
      this.#sendReports(this.#queue.slice(this.#head, this.#head + size));
      if (!this.#waits) this.#forget(size);
    }
  }

  /** Takes the oldest reports out of the memory. */
  #forget(count: number): void {
    this.#head += count;
    if (this.#head > 1024 || this.#head === this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  #sendReports(rows: readonly number[]): void {
    const identifier = identifierAt(this.#messages++);
    const now = Date.now();
    const { frame, type } = this.#encode(identifier, rows);
    if (this.#again) this.#counts.resent++;
    this.#again = false;
    const damaged = this.#send(frame);
    const asks = type === "AFF" || type === "CCC";
    for (const row of rows) {
      if (!this.#ledger.noteSent(row, type, now, damaged)) continue;
      this.#counts.sent++;
      if (asks) this.#counts.asked++;
    }
    if (this.#waits) this.#waiting = { identifier, rows: rows.length, since: now };
    else if (type === "CCC" && !damaged) {
      // Deleted first, so that the oldest stays in front when an identifier comes round again.
      this.#unconfirmed.delete(identifier);
      this.#unconfirmed.set(identifier, { rows, since: now });
    }
  }

  #encode(identifier: string, rows: readonly number[]): { frame: Uint8Array; type: Kind } {
    const { imei, held: remaining } = this;
    const type = this.kind === "aaa" ? (this.#waits ? "AFF" : "AAA") : this.kind === "ccc" ? "CCC" : "CCE";
    const { model } = this.#settings;
    const reports = rows.map((row) => this.#ledger.report(row, type));
    switch (type) {
      case "AAA":
        return { type, frame: encodeAaa({ identifier, imei, report: reports[0], model }) };
      case "AFF":
        return { type, frame: encodeAff({ identifier, imei, report: reports[0], model, remaining }) };
      case "CCC":
        return { type, frame: encodeCcc({ identifier, imei, reports, remaining }) };
      case "CCE":
        return { type, frame: encodeCce({ identifier, imei, reports, remaining }) };
    }
  }

  /** Writes a frame, now and then with a wrong checksum; says whether it was. */
  #send(frame: Uint8Array): boolean {
    const damaged = this.#random() < this.#settings.badChecksums;
    if (damaged) {
      // The last digit of the checksum: F becomes 0, every other digit F.
      const digit = frame.length - 3;
      frame[digit] = frame[digit] === 0x46 ? 0x30 : 0x46;
      this.#counts.damaged++;
    }
    this.#link.send(frame);
    this.#counts.frames++;
    this.#counts.bytes += frame.length;
    return damaged;
  }

  #onData(chunk: Uint8Array): void {
    for (const bytes of this.#reader.push(chunk)) this.#hear(parseFrame(bytes));
    this.pump();
  }

  #hear(frame: Frame): void {
    if (frame.direction !== "down" || frame.imei !== this.imei) this.#counts.strays++;
    else if (frame.type === "CCC") this.#confirm(frame, Number(latin1(frame.content)));
    else if (frame.type === "AFF") this.#confirm(frame, Number.parseInt(latin1(frame.content), 16));
    else if (frame.type === "CFF" || frame.type === "AAC") return;
    else this.#obey(frame);
  }

  /** A confirmation counts only with the identifier of its message; then that many of the oldest reports are safe. */
  #confirm({ identifier }: Frame, count: number): void {
    const waiting = this.#waiting?.identifier === identifier ? this.#waiting : null;
    const unconfirmed = this.#unconfirmed.get(identifier);
    if (waiting === null && unconfirmed === undefined) {
      this.#counts.strays++;
      return;
    }
    if (this.#random() < this.#settings.loseAcks) return;
    const now = Date.now();
    const rows = unconfirmed?.rows ?? this.#queue.slice(this.#head, this.#head + (waiting?.rows ?? 0));
    const safe = rows.slice(0, count);
    for (const row of safe) if (this.#ledger.noteAcked(row, now)) this.#counts.acknowledged++;
    this.#unconfirmed.delete(identifier);
    if (waiting === null) return;
    this.#waiting = null;
    this.#forget(safe.length);
    // Some trackers say OK to a confirmation (V1.8, AFF), others say nothing.
    if (this.kind === "aaa" && this.#index % 2 === 1) this.#answer(identifier, "AFF", "OK");
  }

  #answer(identifier: string, type: string, content: string): void {
    this.#send(encodeFrame({ direction: "up", identifier, imei: this.imei, type, content }));
  }

  #obey({ identifier, type, content }: Frame): void {
    this.#counts.commands++;
    if (type === "A10") this.#reportNow(identifier);
    else this.#answer(identifier, type, this.unit.obey(type, latin1(content)));
  }

  /** The answer to A10 is a report with its identifier, ahead of everything that waits. */
  #reportNow(identifier: string): void {
    const now = Date.now();
    const row = this.unit.measure(Math.max(this.unit.timeS, secondsSince2000(now)), 0, EVENT_LOCATE_NOW);
    const report = this.#ledger.report(row, "AAA");
    const damaged = this.#send(encodeAaa({ identifier, imei: this.imei, report, model: this.#settings.model }));
    if (this.#ledger.noteSent(row, "AAA", now, damaged)) this.#counts.sent++;
  }
}
