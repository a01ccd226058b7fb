import { setTimeout as sleep } from "node:timers/promises";
import { DeviceLedger, type SentFrame } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { storedCount } from "./oracle.ts";
import { eventually } from "./processes.ts";
import { type Random, seeded } from "./random.ts";
import { FRAME_KINDS, type FrameKind } from "./records.ts";
import { Tracker, type TrackerOptions } from "./trackers.ts";
import type { World } from "./world.ts";

/** A 15-digit IMEI with its Luhn digit, from a seed-dependent range that no maker uses. */
export function imeiOf(random: Random, index: number): string {
  const digits = `00${random.int(1000, 9999)}${random.int(1000, 9999)}${String(index).padStart(4, "0")}`;
  let sum = 0;
  for (let i = 0; i < 14; i++) {
    const digit = Number(digits[i]) * (i % 2 === 1 ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return digits + ((10 - (sum % 10)) % 10);
}

/** What a fleet sends in all, and through how many trackers of each kind. */
export interface FleetSize {
  positions: number;
  trackers: Record<FrameKind, number>;
}

/** The devices and trackers of one row, how fast they send, and what they see of acknowledgements. */
export class Fleet {
  readonly devices: DeviceLedger[] = [];
  readonly #world: World;
  readonly #row: number;
  readonly #size: FleetSize;
  readonly #problem: (words: string) => void;
  readonly #imeis: Random;
  readonly #trackers: Tracker[] = [];
  readonly #checks: Promise<void>[] = [];
  readonly #latencies: number[] = [];
  #ackChecked = 0;
  /** Share of the positions that may be sent by now. */
  #share = 1;
  #holding = true;
  #stopping = false;

  constructor(world: World, row: number, size: FleetSize, problem: (words: string) => void) {
    this.#world = world;
    this.#row = row;
    this.#size = size;
    this.#problem = problem;
    this.#imeis = seeded(world.seed, `row ${row} devices`);
  }

  /** Registers devices with the platform and opens their ledgers. */
  async register(kind: FrameKind, count: number, ordered = true): Promise<DeviceLedger[]> {
    const made: DeviceLedger[] = [];
    // One after the other: their ids are in the schedule, which a seed must repeat.
    for (let i = 0; i < count; i++) {
      const imei = imeiOf(this.#imeis, this.devices.length + i);
      made.push(new DeviceLedger(imei, kind, await this.#world.api.createDevice(imei), ordered));
    }
    this.devices.push(...made);
    return made;
  }

  /** One tracker that sends for a device; not started yet. */
  tracker(device: DeviceLedger, options: TrackerOptions = {}): Tracker {
    const { seed, baseMs, bridgePort, ledger } = this.#world;
    const label = `row ${this.#row} tracker ${device.imei} ${this.#trackers.length}`;
    const tracker = new Tracker(
      {
        seed,
        baseMs,
        port: bridgePort,
        ledger,
        pace: () => this.#pace(),
        acked: (of, frame) => this.#acked(of, frame),
        strayReply: (of, text) => this.#problem(`device ${of.id}: reply that answers nothing: ${JSON.stringify(text)}`),
      },
      device,
      seeded(seed, label),
      options,
    );
    this.#trackers.push(tracker);
    return tracker;
  }

  /** The usual traffic: trackers of all four kinds, each with a device of its own, sending from now on. */
  async send(options: TrackerOptions = {}): Promise<void> {
    for (const kind of FRAME_KINDS) {
      const confirmed = kind === "CCC" || kind === "AFF";
      for (const [i, device] of (await this.register(kind, this.#size.trackers[kind])).entries()) {
        const transport = confirmed && i % LIMITS.datagramTrackersEvery === 1 ? "udp" : "tcp";
        this.tracker(device, { ...options, transport }).start();
      }
    }
  }

  /** The row is about to do its fault number `index` of `count`: the positions are spread over them. */
  step(index: number, count: number): void {
    this.#share = (index + 1) / count;
  }

  #pace(): "go" | "trickle" | "stop" {
    if (this.#stopping) return "stop";
    if (this.taken < this.#size.positions * this.#share) return "go";
    return this.#holding ? "trickle" : "stop";
  }

  /** Records sent at least once. */
  get taken(): number {
    let taken = 0;
    for (const device of this.devices) taken += device.taken;
    return taken;
  }

  /** Waits until all of the positions are sent, as long as any still are. */
  async volume(): Promise<void> {
    if (this.#trackers.length === 0) return;
    this.#share = 1;
    for (let before = -1; this.taken < this.#size.positions && this.taken > before; ) {
      before = this.taken;
      await eventually(LIMITS.drainMs, () => this.taken >= this.#size.positions);
    }
  }

  #acked(device: DeviceLedger, frame: SentFrame): void {
    const sample = this.#latencies.push(performance.now() - frame.at) % LIMITS.ackChecksEvery === 1;
    if (sample) this.#checks.push(this.#checkAcked(device, frame));
  }

  async #checkAcked(device: DeviceLedger, { from, to }: SentFrame): Promise<void> {
    let count: number;
    try {
      count = await storedCount(this.#world.api.page, this.#world, device, from, to);
    } catch {
      // Whoever answers may be the victim of this row: then this one sample is not taken.
      return;
    }
    this.#ackChecked++;
    if (count < to - from) {
      this.#problem(`device ${device.id}: records ${from} to ${to - 1} acknowledged before stored`);
    }
  }

  /** The faults are over: every tracker sends what is left and is acknowledged, or is given up. */
  async finish(): Promise<void> {
    this.#holding = false;
    const all = Promise.all(this.#trackers.map((tracker) => tracker.done)).then(() => true);
    await this.volume();
    if (!(await Promise.race([all, sleep(LIMITS.drainMs, false, { ref: false })]))) {
      this.#problem(`trackers were still unanswered ${LIMITS.drainMs} ms after the fault`);
      this.#stopping = true;
      for (const tracker of this.#trackers) tracker.stop();
    }
    await Promise.all(this.#checks);
  }

  /** Latency and number of the acknowledgements, in words. */
  get summary(): string {
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const at = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
    return `${this.#ackChecked} acks checked; ack p50 ${at(0.5)} ms p99 ${at(0.99)} ms`;
  }
}
