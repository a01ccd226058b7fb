import { setTimeout as sleep } from "node:timers/promises";
import { decodePositions } from "../../codec/decode.ts";
import { parseFrame } from "../../codec/frame.ts";
import { DeviceLedger, type SentFrame } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { judge, judgeApi, lastPosition, type Sent, storedCount, type Verdict } from "./oracle.ts";
import { eventually } from "./processes.ts";
import { type Random, seeded } from "./random.ts";
import { FRAME_KINDS, type FrameKind } from "./records.ts";
import { Tracker, type TrackerOptions } from "./trackers.ts";
import { MODEL, type World } from "./world.ts";

/** How much of everything a row gets in this run. */
export interface Size {
  positions: number;
  /** Ends of processes, in rows that end processes. */
  kills: number;
  /** Other faults, in the row's own unit (see its injection). */
  faults: number;
  /** Longest single outage, lock or hang. */
  longestMs: number;
  /** Trackers of each kind. */
  trackers: Record<FrameKind, number>;
}

export interface RowResult extends Verdict {
  row: number;
  title: string;
  /** What was done, with figures. */
  injected: string;
  kills: number;
  seconds: number;
  problems: string[];
}

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

/**
 * One row of the matrix while it runs: its devices and their ledger, the trackers that send, what was injected and what was
 * found. The row's own code only injects; traffic before, during and after is the same for all.
 */
export class Trial {
  readonly world: World;
  readonly random: Random;
  readonly size: Size;
  readonly row: number;
  readonly devices: DeviceLedger[] = [];
  readonly problems: string[] = [];
  readonly notes: string[] = [];
  kills = 0;
  readonly #trackers: Tracker[] = [];
  readonly #checks: Promise<void>[] = [];
  #ackedFrames = 0;
  #ackChecked = 0;
  readonly #endings: (() => unknown)[] = [];
  /** Share of the positions that may be sent by now. */
  #share = 1;
  #holding = true;
  #stopping = false;
  readonly #latencies: number[] = [];
  /** Spans in which the bridge was dead or about to die, `performance.now()`. */
  readonly #outages: { from: number; to: number }[] = [];
  #excused: (device: DeviceLedger, sequence: number) => boolean = () => false;

  constructor(world: World, row: number, size: Size) {
    this.world = world;
    this.row = row;
    this.size = size;
    this.random = seeded(world.seed, `row ${row}`);
  }

  get sent(): Sent {
    return { seed: this.world.seed, baseMs: this.world.baseMs, devices: this.devices };
  }

  /** One line of the schedule: what will happen and when, as far as the seed decides it. */
  plan(words: string): void {
    this.world.schedule(`row ${this.row}: ${words}`);
  }

  problem(words: string): void {
    this.problems.push(words);
  }

  check(holds: boolean, words: string): void {
    if (!holds) this.problem(words);
  }

  /** Records without confirmation that this row's faults do swallow: those damaged on purpose. */
  excuse(which: (device: DeviceLedger, sequence: number) => boolean): void {
    this.#excused = which;
  }

  /** The bridge dies now: what was sent a moment ago without confirmation may not have reached its disk. */
  bridgeDied(): void {
    this.kills++;
    this.#outages.push({ from: performance.now() - LIMITS.unsyncedMs, to: Number.POSITIVE_INFINITY });
  }

  /** The bridge serves again. */
  bridgeBack(): void {
    this.#outages.at(-1)!.to = performance.now();
  }

  /**
   * Whether a record that nobody acknowledged must be stored all the same. Confirmed kinds are sent until they are
   * acknowledged; the others count on TCP and the bridge's disk.
   */
  #mustBeStored(device: DeviceLedger, sequence: number): boolean {
    const at = device.sentAt(sequence);
    return !this.#excused(device, sequence) && !this.#outages.some(({ from, to }) => at >= from && at <= to);
  }

  /** Registers devices with the platform and opens their ledgers. */
  async register(kind: FrameKind, count: number, ordered = true): Promise<DeviceLedger[]> {
    const start = this.devices.length;
    const imeis = Array.from({ length: count }, (_, i) => imeiOf(this.random, start + i));
    const made: DeviceLedger[] = [];
    const next = imeis[Symbol.iterator]();
    const work = async (): Promise<void> => {
      for (const imei of next) made.push(new DeviceLedger(imei, kind, await this.world.createDevice(imei), ordered));
    };
    await Promise.all(Array.from({ length: LIMITS.registerConcurrency }, work));
    made.sort((a, b) => imeis.indexOf(a.imei) - imeis.indexOf(b.imei));
    this.devices.push(...made);
    return made;
  }

  /** One tracker that sends for a device; not started yet. */
  tracker(device: DeviceLedger, options: TrackerOptions = {}): Tracker {
    const label = `row ${this.row} tracker ${device.imei} ${this.#trackers.length}`;
    const tracker = new Tracker(
      {
        seed: this.world.seed,
        baseMs: this.world.baseMs,
        port: this.world.bridgePort,
        ledger: this.world.ledger,
        pace: () => this.#pace(),
        acked: (of, frame) => this.#acked(of, frame),
        strayReply: (of, text) => this.problem(`device ${of.id}: reply that answers nothing: ${JSON.stringify(text)}`),
      },
      device,
      seeded(this.world.seed, label),
      options,
    );
    this.#trackers.push(tracker);
    return tracker;
  }

  /** The row's usual traffic: trackers of all four kinds, each with a device of its own, sending from now on. */
  async traffic(options: TrackerOptions = {}): Promise<void> {
    for (const kind of FRAME_KINDS) {
      const confirmed = kind === "CCC" || kind === "AFF";
      for (const [i, device] of (await this.register(kind, this.size.trackers[kind])).entries()) {
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
    if (this.taken < this.size.positions * this.#share) return "go";
    return this.#holding ? "trickle" : "stop";
  }

  /** How many records of a frame on the wire are stored now. */
  async storedRecords(frame: Uint8Array): Promise<number> {
    const { imei } = parseFrame(frame);
    const device = this.devices.find((each) => each.imei === imei);
    if (device === undefined) return 0;
    const sequences = decodePositions(frame, { model: MODEL }).map((position) => position.odometerM!);
    return storedCount(this.world.sql, this.world, device, Math.min(...sequences), Math.max(...sequences) + 1);
  }

  /** Something to undo when the row is over. */
  onEnd(action: () => unknown): void {
    this.#endings.push(action);
  }

  async end(): Promise<void> {
    for (const action of this.#endings) await action();
  }

  /** For rows whose harm lies in the traffic itself: waits until the row's positions are sent. */
  async volume(): Promise<void> {
    if (this.#trackers.length === 0) return;
    this.#share = 1;
    for (let before = -1; this.taken < this.size.positions && this.taken > before; ) {
      before = this.taken;
      await eventually(LIMITS.drainMs, () => this.taken >= this.size.positions);
    }
  }

  get taken(): number {
    let taken = 0;
    for (const device of this.devices) taken += device.taken;
    return taken;
  }

  #acked(device: DeviceLedger, frame: SentFrame): void {
    this.#latencies.push(performance.now() - frame.at);
    if (this.#ackedFrames++ % LIMITS.ackChecksEvery !== 0) return;
    this.#ackChecked++;
    const check = storedCount(this.world.sql, this.world, device, frame.from, frame.to).then(
      (count) => {
        if (count < frame.to - frame.from)
          this.problem(`device ${device.id}: records ${frame.from} to ${frame.to - 1} acknowledged before stored`);
      },
      // The database may be the victim of this row: then this one sample is not taken.
      () => {
        this.#ackChecked--;
      },
    );
    this.#checks.push(check);
  }

  /** The faults are over: trackers finish, the bridge drains. A second call changes nothing. */
  async settle(): Promise<void> {
    if (!this.#holding) return;
    this.#holding = false;
    const all = Promise.all(this.#trackers.map((tracker) => tracker.done)).then(() => true);
    await this.volume();
    const sentAt = performance.now();
    if (!(await Promise.race([all, sleep(LIMITS.drainMs, false, { ref: false })]))) {
      this.problem(`trackers were still unanswered ${LIMITS.drainMs} ms after the fault`);
      this.#stopping = true;
      for (const tracker of this.#trackers) tracker.stop();
    }
    if (!(await eventually(LIMITS.drainMs, () => this.world.drained()))) {
      this.problem(`the bridge still holds ${await this.world.backlog()} frames ${LIMITS.drainMs} ms after the fault`);
    }
    await Promise.all(this.#checks);
    this.notes.push(`drained in ${((performance.now() - sentAt) / 1000).toFixed(1)} s`);
  }

  /** Reads everything back and judges. Call after `settle()`. */
  async judge(afterId: number): Promise<Verdict> {
    const { world } = this;
    const { verdict, storedOf } = await judge(world.sql, this.sent, afterId, (device, sequence) =>
      this.#mustBeStored(device, sequence),
    );
    const sample = this.devices.filter((device) => device.id > 0 && device.taken > 0);
    for (let i = 0; i < LIMITS.apiDevices && sample.length > 0; i++) {
      const [device] = sample.splice(this.random.int(0, sample.length - 1), 1);
      this.problems.push(...(await judgeApi(world.page, this.sent, device!, storedOf(device!))));
    }
    this.#latencies.sort((a, b) => a - b);
    const at = (share: number): number => Math.round(this.#latencies[Math.floor(this.#latencies.length * share)] ?? 0);
    this.notes.push(`${this.#ackChecked} acks checked`, `ack p50 ${at(0.5)} ms p99 ${at(0.99)} ms`);
    return verdict;
  }
}

/** A row of the matrix: what is done to the platform, and what must hold all the same. */
export interface Scenario {
  row: number;
  title: string;
  injection: string;
  pass: string;
  /** Part of the run's positions, kills and other faults. */
  share: { positions: number; kills?: number; faults: number; shortFaults: number };
  /** Too slow for the short run. */
  longOnly?: true;
  /** Does the harm; returns what it did in figures. Traffic runs meanwhile if the row started it. */
  run(trial: Trial): Promise<string>;
}

/** Runs one row from its first device to its verdict. */
export async function runScenario(world: World, scenario: Scenario, size: Size): Promise<RowResult> {
  const startedAt = performance.now();
  const trial = new Trial(world, scenario.row, size);
  const afterId = await lastPosition(world.sql);
  let injected = "";
  try {
    injected = await scenario.run(trial);
  } catch (error) {
    trial.problem(`the row broke: ${(error as Error).stack}`);
  }
  await world.heal();
  await trial.settle();
  await trial.end();
  const verdict = await trial.judge(afterId);
  trial.problems.push(...world.crashes());
  return {
    ...verdict,
    row: scenario.row,
    title: scenario.title,
    injected: [injected, ...trial.notes].join("; "),
    kills: trial.kills,
    seconds: (performance.now() - startedAt) / 1000,
    problems: trial.problems,
  };
}
