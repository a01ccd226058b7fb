import { seededRandom } from "../../tools/motion.ts";
import { type Batch, Movement } from "./movement.ts";

export const DAY_MS = 86_400_000;
/** A Monday. Benchmarks have a clock of their own, so that every run has the same days. */
export const START_MS = Date.UTC(2026, 0, 5);

/** Devices 1 to `devices`, dealt out to accounts 1 to `accounts` in turn. */
export const accountsOf = (devices: number, accounts: number): number[] =>
  Array.from({ length: devices }, (_, n) => 1 + (n % accounts));

const WIDE = { devices: 10_000, accounts: 1000, stepS: 30 } as const;

/**
 * In each round every device reports once, in another order each time, and batches are cut from that as the reports come.
 * Most batches hold a device once.
 */
export class ShuffledFleet {
  readonly #movement: Movement;
  readonly #random = seededRandom(7, 0);
  readonly #order: number[];
  #at = 0;

  constructor(accountIds: readonly number[], fromMs: number, stepS: number) {
    this.#movement = new Movement(accountIds, fromMs, stepS);
    this.#order = accountIds.map((_, n) => n + 1);
    this.#shuffle();
  }

  /** The next reports, at most so many: a batch ends with its round. */
  next(count: number): Batch {
    if (this.#at === this.#order.length) this.#shuffle();
    const batch = this.#movement.batch(this.#order.slice(this.#at, this.#at + count));
    this.#at += batch.table.count;
    return batch;
  }

  #shuffle(): void {
    const order = this.#order;
    for (let n = order.length - 1; n > 0; n--) {
      const other = Math.floor(this.#random() * (n + 1));
      [order[n], order[other]] = [order[other]!, order[n]!];
    }
    this.#at = 0;
  }
}

/** Batches of 10,000 devices of 1,000 accounts, made beforehand. */
export function wideFleet(positions: number, batchSize: number) {
  const accountIds = accountsOf(WIDE.devices, WIDE.accounts);
  const fleet = new ShuffledFleet(accountIds, START_MS, WIDE.stepS);
  const batches: Batch[] = [];
  for (let made = 0; made < positions; made += batches.at(-1)!.table.count) batches.push(fleet.next(batchSize));
  return { accountIds, batches, positions: batches.reduce((sum, batch) => sum + batch.table.count, 0) };
}

const DENSE = {
  devices: 112,
  accounts: 14,
  stepS: 30,
  aDay: 1000,
  morningMs: 6 * 3_600_000,
  roundsABatch: 18,
} as const;

/** A dense fleet: 112 devices of 14 accounts that report every 30 seconds from 6:00 on, 1,000 times a day. */
export class DenseFleet {
  readonly accountIds = accountsOf(DENSE.devices, DENSE.accounts);
  readonly aDay = DENSE.aDay;
  readonly #movement = new Movement(this.accountIds, START_MS + DENSE.morningMs, DENSE.stepS);
  readonly #everybody = this.accountIds.map((_, n) => n + 1);
  #next = 0;

  /** A whole day of everybody, in the order in which it happens. */
  *day(): Generator<Batch> {
    const idleS = DAY_MS / 1000 - DENSE.aDay * DENSE.stepS;
    for (let round = 0; round < DENSE.aDay; round += DENSE.roundsABatch) {
      const rounds = Math.min(DENSE.roundsABatch, DENSE.aDay - round);
      const last = round + rounds === DENSE.aDay;
      const all = Array.from({ length: last ? rounds - 1 : rounds }, () => this.#everybody).flat();
      if (all.length > 0) yield this.#movement.batch(all);
      if (last) yield this.#movement.batch(this.#everybody, idleS);
    }
  }

  /** The next reports in the middle of a day, devices in turn. */
  some(count: number): Batch {
    const devices = Array.from({ length: count }, () => this.#everybody[this.#next++ % DENSE.devices]!);
    return this.#movement.batch(devices);
  }
}
