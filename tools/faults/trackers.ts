import { Buffer } from "node:buffer";
import { frameOf, identifierOf, MOST_REPORTS, readReply } from "./frames.ts";
import type { DeviceLedger, Ledger, SentFrame } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import type { Random } from "./random.ts";
import { reportOf } from "./records.ts";
import { type Link, TRANSPORTS, type Transport } from "./transports.ts";

/** What the trackers of a row share. */
export interface Fleet {
  readonly seed: number;
  /** Fix time of each device's first record, Unix ms. */
  readonly baseMs: number;
  readonly port: number;
  readonly ledger: Ledger;
  /** Whether a tracker may make new records, and after what pause it asks again. */
  pace(): "go" | "trickle" | "stop";
  /** Every acknowledged frame. */
  acked(device: DeviceLedger, frame: SentFrame): void;
  /** A reply that answers nothing that was sent, or does not parse. */
  strayReply(device: DeviceLedger, text: string): void;
}

export interface TrackerOptions {
  /** Share of the frames after which records already acknowledged are sent once more, cut differently. */
  replays?: number;
  /** Bytes thrown between two frames, as a bad link does. */
  noise?: (random: Random) => Uint8Array | null;
  /** TCP when missing. Over UDP only confirmed kinds make sense: nobody else notices a lost datagram. */
  transport?: Transport;
}

/** The frame that carries these records of a device. @param remaining records still in the tracker's cache, as it claims */
export function makeFrame(
  source: { seed: number; baseMs: number },
  device: DeviceLedger,
  identifier: string,
  range: { from: number; to: number },
  remaining: number,
): SentFrame {
  const reports = [];
  for (let n = range.from; n < range.to; n++) reports.push(reportOf(source.seed, device.imei, n, source.baseMs));
  const bytes = frameOf(device.kind, identifier, device.imei, reports, remaining);
  return { identifier, ...range, bytes, at: performance.now() };
}

const CONFIRMED = { CCC: true, AFF: true, CCE: false, AAA: false } as const;

/**
 * One tracker on one connection at a time. CCC and AFF run in confirmation mode: one frame at a time, sent again (and cut anew) when
 * the connection breaks or the reply does not come in time. CCE and AAA go out unconfirmed and are never repeated.
 */
export class Tracker {
  readonly device: DeviceLedger;
  readonly done: Promise<void>;
  connections = 0;
  #finish!: () => void;
  #ended = false;
  readonly #fleet: Fleet;
  readonly #random: Random;
  readonly #options: TrackerOptions;
  #link: Link | null = null;
  #timer: NodeJS.Timeout | undefined;
  #received = Buffer.alloc(0);
  #counter: number;
  /** Confirmed kinds: what the tracker still holds because nobody confirmed it. */
  #cached: { from: number; to: number } | null = null;
  #waitingFor: SentFrame | null = null;

  constructor(fleet: Fleet, device: DeviceLedger, random: Random, options: TrackerOptions = {}) {
    this.#fleet = fleet;
    this.device = device;
    this.#random = random;
    this.#options = options;
    this.#counter = random.int(0, 57);
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  start(): void {
    if (this.#ended) return;
    this.connections++;
    const open = TRANSPORTS[this.#options.transport ?? "tcp"];
    this.#received = Buffer.alloc(0);
    const link: Link = open(this.#fleet.port, {
      opened: () => this.#next(),
      data: (chunk) => this.#read(chunk),
      closed: () => this.#closed(link),
    });
    this.#link = link;
  }

  #closed(link: Link): void {
    if (this.#link !== link) return;
    this.#link = null;
    clearTimeout(this.#timer);
    if (this.#ended) this.#finish();
    else this.#later(() => this.start(), this.#random.int(LIMITS.reconnectMinMs, LIMITS.reconnectMaxMs));
  }

  /** Ends the tracker at once, whatever it still holds. */
  stop(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#link?.destroy();
    this.#finish();
  }

  #later(action: () => void, ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, ms);
  }

  #next(): void {
    if (this.#ended || this.#link === null) return;
    if (this.#cached !== null) {
      this.#send(this.#cut(this.#cached), true);
      return;
    }
    const replay = this.#replay();
    if (replay !== null) {
      this.#send(replay, true);
      return;
    }
    const pace = this.#fleet.pace();
    if (pace === "stop") {
      this.#leave();
      return;
    }
    const range = this.device.take(pace === "trickle" ? 1 : this.#size());
    if (CONFIRMED[this.device.kind]) this.#cached = { ...range };
    this.#send(range, false, pace === "trickle");
  }

  /** A frame's worth of records; mostly full frames, as after a gap. */
  #size(): number {
    const most = MOST_REPORTS[this.device.kind];
    return this.#random.chance(0.8) ? most : this.#random.int(1, most);
  }

  /** What a tracker sends of its cache: not always cut where it was cut before. */
  #cut(cached: { from: number; to: number }): { from: number; to: number } {
    if (!this.#random.chance(0.3)) return cached;
    return { from: cached.from, to: this.#random.int(cached.from + 1, cached.to) };
  }

  #replay(): { from: number; to: number } | null {
    const { taken, kind } = this.device;
    if (taken === 0 || !this.#random.chance(this.#options.replays ?? 0)) return null;
    const from = this.#random.int(0, taken - 1);
    return { from, to: Math.min(taken, from + this.#random.int(1, MOST_REPORTS[kind])) };
  }

  #send(range: { from: number; to: number }, again: boolean, trickle = false): void {
    const { device } = this;
    const identifier = identifierOf(this.#counter++);
    const frame = makeFrame(this.#fleet, device, identifier, range, this.#random.int(range.to - range.from, 2048));
    const noise = this.#options.noise?.(this.#random) ?? null;
    if (noise !== null) this.#link!.write(noise);
    this.#fleet.ledger.sent(device, frame, again);
    this.#write(frame.bytes);
    const pause = trickle ? LIMITS.trickleGapMs : 0;
    if (CONFIRMED[device.kind]) {
      this.#waitingFor = frame;
      const patienceMs = this.#datagrams ? LIMITS.datagramReplyMs : LIMITS.replyTimeoutMs;
      this.#later(() => this.#link?.destroy(), patienceMs);
    } else {
      this.#later(() => this.#next(), Math.max(pause, LIMITS.streamGapMs));
    }
  }

  get #datagrams(): boolean {
    return this.#options.transport === "udp";
  }

  #write(bytes: Uint8Array): void {
    const link = this.#link!;
    if (this.#datagrams || !this.#random.chance(LIMITS.splitFrames)) {
      link.write(bytes);
      return;
    }
    const at = this.#random.int(1, bytes.length - 1);
    link.write(bytes.subarray(0, at));
    setImmediate(() => link.write(bytes.subarray(at)));
  }

  #read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const end = this.#received.indexOf("\r\n");
      if (end < 0) return;
      const line = this.#received.subarray(0, end);
      this.#received = this.#received.subarray(end + 2);
      this.#answered(line);
    }
  }

  #answered(line: Buffer): void {
    const reply = readReply(line);
    const frame = this.#waitingFor;
    const { device } = this;
    const count = frame === null ? 0 : device.kind === "AFF" ? 1 : frame.to - frame.from;
    if (
      frame === null ||
      reply === null ||
      reply.identifier !== frame.identifier ||
      reply.imei !== device.imei ||
      reply.type !== device.kind ||
      reply.content !== String(count)
    ) {
      // A datagram may be answered after the tracker gave up on it and sent its records in another one.
      if (!this.#datagrams) this.#fleet.strayReply(device, line.toString("latin1"));
      return;
    }
    clearTimeout(this.#timer);
    this.#waitingFor = null;
    this.#fleet.ledger.acked(device, frame);
    this.#fleet.acked(device, frame);
    if (this.#cached !== null && frame.from === this.#cached.from) {
      this.#cached = frame.to >= this.#cached.to ? null : { from: frame.to, to: this.#cached.to };
    }
    if (this.#fleet.pace() === "trickle" && this.#cached === null) this.#later(() => this.#next(), LIMITS.trickleGapMs);
    else this.#next();
  }

  /** All is sent and confirmed: closes the connection as a tracker does that goes to sleep. */
  #leave(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#link!.end();
  }
}
