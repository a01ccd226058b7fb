import { setTimeout as sleep } from "node:timers/promises";
import { FIRST_IMEI, imeiAfter } from "./imei.ts";
import { Ledger } from "./ledger.ts";
import { seededRandom } from "./motion.ts";
import { type Counts, type FrameKind, Tracker, type TrackerSettings } from "./tracker.ts";
import { secondsSince2000 } from "./unit.ts";

/** A fleet of simulated trackers. Every option has a default. */
export interface FleetOptions extends TrackerSettings {
  readonly devices: number;
  readonly firstImei: string;
  readonly frames: FrameKind | "mixed";
  /** Reports per second and device; Infinity sends as fast as the platform takes them. */
  readonly rate: number;
  /** Ends after so many seconds; null goes on. */
  readonly durationS: number | null;
  /** Ends after so many reports of each device; null goes on. */
  readonly count: number | null;
  /** Outages: how long on average, and how often. */
  readonly gap: { readonly lastsS: number; readonly everyS: number } | null;
  /** Starts with reports of so many past seconds in the trackers' memories. */
  readonly backfillS: number;
  /** Receivers that live in the past: the first report's time and the seconds between reports. */
  readonly history: { readonly fromMs: number; readonly stepS: number } | null;
  /** New connections per second. */
  readonly connectsPerS: number;
  /** How long to wait for what is outstanding at the end. */
  readonly settleMs: number;
  /** How long the platform may take to close connections after that. */
  readonly closeMs: number;
}

export const FLEET_DEFAULTS: FleetOptions = {
  host: "127.0.0.1",
  port: 5020,
  transport: "tcp",
  model: "T366",
  seed: 1,
  resend: false,
  split: false,
  badChecksums: 0,
  loseAcks: 0,
  batch: 1,
  ackTimeoutMs: 10_000,
  reconnectMs: { min: 500, max: 3000 },
  devices: 10,
  firstImei: FIRST_IMEI,
  frames: "mixed",
  rate: 0.1,
  durationS: null,
  count: null,
  gap: null,
  backfillS: 0,
  history: null,
  connectsPerS: 1000,
  settleMs: 30_000,
  closeMs: 5000,
};

/** How far a fleet is. */
export interface Status extends Counts {
  readonly devices: number;
  readonly connected: number;
  /** Reports made. */
  readonly made: number;
  /** Reports still in trackers' memories. */
  readonly held: number;
  /** Reports of which only damaged frames were written, so that the platform has to refuse them. */
  readonly refused: number;
  readonly seconds: number;
}

const LIMITS = {
  tickMs: 10,
  /** A fleet that fell behind makes up for at most this many seconds at once. */
  catchUpS: 1,
  /** Reports that one tracker makes at most in a tick when it goes as fast as it can. */
  reportsPerTick: 64,
} as const;

const KINDS_OF = { aaa: ["aaa"], ccc: ["ccc"], cce: ["cce"], mixed: ["aaa", "ccc", "cce"] } as const;

// What the clocks of a fleet count from: later runs continue with more kilometres and hours.
const BOUGHT_S = secondsSince2000(Date.UTC(2025, 0, 1));
const METRES_PER_SECOND = 2;
const RUNNING_SHARE = 0.4;

/**
 * Simulated trackers that report to a platform. `ledger` has every report with the times at which it was sent and
 * confirmed: what is sent must be stored, and what is confirmed must never be lost.
 */
export class Fleet {
  readonly options: FleetOptions;
  readonly ledger: Ledger;
  readonly trackers: readonly Tracker[];
  readonly counts: Counts = {
    frames: 0,
    bytes: 0,
    sent: 0,
    asked: 0,
    acknowledged: 0,
    damaged: 0,
    resent: 0,
    connects: 0,
    broken: 0,
    commands: 0,
    strays: 0,
  };
  readonly #random: () => number;
  readonly #dueAt: Float64Array;
  readonly #darkAt: Float64Array;
  #timer: NodeJS.Timeout | null = null;
  #startedAt = 0;
  #stoppedAt = 0;
  #producing = false;

  constructor(options: Partial<FleetOptions> = {}) {
    this.options = { ...FLEET_DEFAULTS, ...options };
    const { devices, firstImei, frames, model, seed, history, backfillS } = this.options;
    const startS = history === null ? secondsSince2000(Date.now()) - backfillS : secondsSince2000(history.fromMs);
    const kinds = KINDS_OF[frames];
    this.ledger = new Ledger(model);
    this.#random = seededRandom(seed, -1);
    this.#dueAt = new Float64Array(devices);
    this.#darkAt = new Float64Array(devices);
    this.trackers = Array.from({ length: devices }, (_, index) => {
      const age = Math.max(0, startS - BOUGHT_S);
      const who = {
        index,
        imei: imeiAfter(firstImei, index),
        model,
        kind: kinds[index % kinds.length],
        odometerM: Math.floor(age * METRES_PER_SECOND) + index * 1000,
        runtimeS: Math.floor(age * RUNNING_SHARE) + index * 100,
      };
      return new Tracker(who, this.options, this.ledger, this.counts);
    });
  }

  /** Connects the trackers and lets them report until `stop()`, the duration or the count. */
  start(): void {
    const { trackers, options } = this;
    const now = Date.now();
    this.#startedAt = now;
    this.#producing = true;
    const intervalMs = 1000 / options.rate;
    for (const [index, tracker] of trackers.entries()) {
      tracker.darkUntil = now + (index / options.connectsPerS) * 1000;
      this.#dueAt[index] = now + (Number.isFinite(options.rate) ? this.#random() * intervalMs : 0);
      this.#darkAt[index] = this.#nextGap(now);
      this.#backfill(tracker, now);
    }
    this.#timer = setInterval(() => this.#tick(Date.now()), LIMITS.tickMs);
  }

  #nextGap(now: number): number {
    const { gap } = this.options;
    return gap === null ? Number.POSITIVE_INFINITY : now + gap.everyS * 1000 * -Math.log(1 - this.#random());
  }

  #backfill(tracker: Tracker, now: number): void {
    const { backfillS, rate } = this.options;
    const stepS = Math.max(1, Math.round(1 / rate));
    const endS = secondsSince2000(now);
    for (let timeS = endS - backfillS; timeS < endS && this.#wants(tracker); timeS += stepS)
      tracker.report(timeS, stepS);
  }

  #wants(tracker: Tracker): boolean {
    const { count } = this.options;
    return count === null || tracker.unit.made < count;
  }

  #tick(now: number): void {
    const { durationS } = this.options;
    if (durationS !== null && now - this.#startedAt >= durationS * 1000) this.#producing = false;
    for (const [index, tracker] of this.trackers.entries()) {
      if (this.#producing) {
        if (now >= this.#darkAt[index]) this.#loseCoverage(index, tracker, now);
        if (this.options.rate === Number.POSITIVE_INFINITY) this.#reportAtWill(tracker, now);
        else this.#reportWhenDue(index, tracker, now);
      }
      tracker.tick(now);
    }
  }

  #loseCoverage(index: number, tracker: Tracker, now: number): void {
    const lastsMs = (this.options.gap?.lastsS ?? 0) * 1000 * (0.5 + this.#random());
    tracker.goDark(now + lastsMs);
    this.#darkAt[index] = this.#nextGap(now + lastsMs);
  }

  #reportWhenDue(index: number, tracker: Tracker, now: number): void {
    const intervalMs = tracker.unit.intervalS === null ? 1000 / this.options.rate : tracker.unit.intervalS * 1000;
    if (now - this.#dueAt[index] > LIMITS.catchUpS * 1000 + intervalMs) this.#dueAt[index] = now;
    while (this.#dueAt[index] <= now && this.#wants(tracker)) {
      this.#report(tracker, now, intervalMs / 1000);
      this.#dueAt[index] += intervalMs;
    }
  }

  #reportAtWill(tracker: Tracker, now: number): void {
    for (let made = 0; made < LIMITS.reportsPerTick && this.#wants(tracker); ) {
      const room = Math.min(tracker.appetite, LIMITS.reportsPerTick - made);
      if (room === 0) return;
      for (let i = 0; i < room && this.#wants(tracker); i++, made++) this.#report(tracker, now, 1);
      tracker.pump();
    }
  }

  #report(tracker: Tracker, now: number, intervalS: number): void {
    const { history } = this.options;
    if (history === null) {
      // The next full second at the earliest: a run that starts in the second in which another ended stays apart.
      const first = secondsSince2000(this.#startedAt) + 1;
      tracker.report(Math.max(tracker.unit.timeS, secondsSince2000(now), first), intervalS);
    } else {
      tracker.report(secondsSince2000(history.fromMs) + tracker.unit.made * history.stepS, history.stepS);
    }
  }

  /** All reports that were asked for are made, and nothing is outstanding. */
  #isDone(): boolean {
    if (!this.#producing) return this.trackers.every((tracker) => tracker.idle);
    return this.trackers.every((tracker) => !this.#wants(tracker));
  }

  /**
   * Reports until the count or the duration is reached or `signal` aborts, then waits for what is outstanding and stops.
   * @param onProgress is called every `everyMs`
   */
  async run(
    options: { signal?: AbortSignal; everyMs?: number; onProgress?: (status: Status) => void } = {},
  ): Promise<Status> {
    const { signal, everyMs = 5000, onProgress } = options;
    this.start();
    let progressAt = Date.now() + everyMs;
    while (this.#producing && !this.#isDone() && signal?.aborted !== true) {
      await sleep(LIMITS.tickMs);
      if (Date.now() < progressAt) continue;
      progressAt += everyMs;
      onProgress?.(this.status());
    }
    await this.stop();
    return this.status();
  }

  /** Makes no more reports, lets everything outstanding be sent and confirmed, and closes all links. */
  async stop(): Promise<void> {
    this.#producing = false;
    for (const tracker of this.trackers) {
      tracker.flushing = true;
      tracker.darkUntil = 0;
    }
    const { settleMs, closeMs } = this.options;
    await until(() => this.#isDone(), settleMs);
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const tracker of this.trackers) tracker.close();
    await until(() => this.trackers.every((tracker) => tracker.closed), closeMs);
    for (const tracker of this.trackers) tracker.cut();
    this.#stoppedAt = Date.now();
  }

  status(): Status {
    let connected = 0;
    let made = 0;
    let held = 0;
    for (const tracker of this.trackers) {
      connected += Number(tracker.connected);
      made += tracker.unit.made;
      held += tracker.held;
    }
    const seconds = ((this.#stoppedAt || Date.now()) - this.#startedAt) / 1000;
    const { damaged: refused } = this.ledger;
    return { ...this.counts, devices: this.trackers.length, connected, made, held, refused, seconds };
  }
}

async function until(condition: () => boolean, withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!condition() && Date.now() < deadline) await sleep(LIMITS.tickMs);
}

/** Runs a fleet to its end: what it did, and the ledger of what it sent. */
export async function simulate(
  options: Partial<FleetOptions> = {},
  run: Parameters<Fleet["run"]>[0] = {},
): Promise<{ status: Status; ledger: Ledger; fleet: Fleet }> {
  const fleet = new Fleet(options);
  const status = await fleet.run(run);
  return { status, ledger: fleet.ledger, fleet };
}
