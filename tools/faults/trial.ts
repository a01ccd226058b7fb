import { decodePositions } from "../../codec/decode.ts";
import { parseFrame } from "../../codec/frame.ts";
import { MODEL } from "./api.ts";
import { Fleet, type FleetSize } from "./fleet.ts";
import type { DeviceLedger } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { judge, judgeApi, type Sent, storedCount, type Verdict } from "./oracle.ts";
import { eventually } from "./processes.ts";
import { type Random, seeded } from "./random.ts";
import type { World } from "./world.ts";

/** How much of everything a row gets in this run. */
export interface Size extends FleetSize {
  /** Ends of processes, in rows that end processes. */
  kills: number;
  /** Other faults, in the row's own unit (see its injection). */
  faults: number;
  /** Longest single outage, lock or hang. */
  longestMs: number;
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

/** One row of the matrix while it runs: the fleet that sends, what is done to the platform, and what was found. */
export class Trial {
  readonly world: World;
  readonly fleet: Fleet;
  /** Decides the schedule. Only the row's own sequence of steps may ask it, so that a seed repeats the schedule. */
  readonly random: Random;
  /** Decides what happens to whatever comes by: requests, peers. Asked in an order that depends on timing. */
  readonly whim: Random;
  readonly size: Size;
  readonly row: number;
  readonly problems: string[] = [];
  kills = 0;
  #drainedS: string | null = null;
  readonly #endings: (() => unknown)[] = [];
  /** Spans in which the bridge was dead or about to die, `performance.now()`. */
  readonly #outages: { from: number; to: number }[] = [];
  #excused: (device: DeviceLedger, sequence: number) => boolean = () => false;

  constructor(world: World, row: number, size: Size) {
    this.world = world;
    this.row = row;
    this.size = size;
    this.random = seeded(world.seed, `row ${row}`);
    this.whim = seeded(world.seed, `row ${row} whim`);
    this.fleet = new Fleet(world, row, size, (words) => this.problem(words));
  }

  get #sent(): Sent {
    return { seed: this.world.seed, baseMs: this.world.baseMs, devices: this.fleet.devices };
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

  /** Something to undo when the row is over. */
  onEnd(action: () => unknown): void {
    this.#endings.push(action);
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

  /** How many records of a frame on the wire are stored now. */
  async storedRecords(frame: Uint8Array): Promise<number> {
    const { imei } = parseFrame(frame);
    const device = this.fleet.devices.find((each) => each.imei === imei);
    if (device === undefined) return 0;
    const sequences = decodePositions(frame, { model: MODEL }).map((position) => position.odometerM!);
    return storedCount(this.world.api.page, this.world, device, Math.min(...sequences), Math.max(...sequences) + 1);
  }

  /** The faults are over: trackers finish, the bridge drains. A second call changes nothing. */
  async settle(): Promise<void> {
    if (this.#drainedS !== null) return;
    await this.fleet.volume();
    const startedAt = performance.now();
    await this.fleet.finish();
    if (!(await eventually(LIMITS.drainMs, () => this.world.drained()))) {
      this.problem(`the bridge still holds ${await this.world.backlog()} frames ${LIMITS.drainMs} ms after the fault`);
    }
    this.#drainedS = ((performance.now() - startedAt) / 1000).toFixed(1);
  }

  /**
   * Reads everything back that was stored since the row before, as it waits and once more when all is settled, and judges
   * it; then undoes what is left of the row.
   */
  async judge(): Promise<Verdict> {
    const { world } = this;
    const read = () =>
      judge(world.api.page, this.#sent, world.cursor, (device, sequence) => this.#mustBeStored(device, sequence));
    const waiting = await read();
    this.check(await world.settleAll(), "positions wait that no settler moves");
    const { verdict, storedOf, cursor, digest } = await read();
    this.check(digest === waiting.digest, "what is read has changed when it was settled");
    world.cursor = cursor;
    const sample = this.fleet.devices.filter((device) => device.taken > 0);
    for (let i = 0; i < LIMITS.apiDevices && sample.length > 0; i++) {
      const [device] = sample.splice(this.random.int(0, sample.length - 1), 1);
      this.problems.push(...(await judgeApi(world.api.page, this.#sent, device!, storedOf(device!))));
    }
    for (const action of this.#endings) await action();
    return verdict;
  }

  /** What the row has to say besides its own words. */
  get summary(): string {
    return `drained in ${this.#drainedS} s; ${this.fleet.summary}`;
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
  /** Limits of the bridge's table that are others in this row. */
  bridgeLimits?: Record<string, number>;
  /** Does the harm; returns what it did in figures. Traffic runs meanwhile if the row started it. */
  run(trial: Trial): Promise<string>;
}

/** Runs one row from its first device to its verdict. */
export async function runScenario(world: World, scenario: Scenario, size: Size): Promise<RowResult> {
  const startedAt = performance.now();
  const trial = new Trial(world, scenario.row, size);
  await world.limitBridge(scenario.bridgeLimits ?? {});
  for (const proxy of [world.edge, world.database]) proxy.log.length = 0;
  let injected = "";
  try {
    injected = await scenario.run(trial);
  } catch (error) {
    trial.problem(`the row broke: ${(error as Error).stack}`);
  }
  await world.heal();
  await trial.settle();
  const verdict = await trial.judge();
  trial.problems.push(...world.crashes());
  return {
    ...verdict,
    row: scenario.row,
    title: scenario.title,
    injected: `${injected}; ${trial.summary}`,
    kills: trial.kills,
    seconds: (performance.now() - startedAt) / 1000,
    problems: trial.problems,
  };
}
