import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { median, percentile, printTable, settleDisk } from "../bridge-run.ts";
import { DAY_MS, type DenseFleet, START_MS } from "./fleets.ts";
import type { Batch } from "./movement.ts";
import type { TrackStoreUnderTest } from "./under-test.ts";

/** Some 10 batches come during each purge: so many of them that a percentile is not the one that met a merge of the inbox. */
const DAYS = 40;
const IDLE_MS = 10_000;
/** Between two purges, for what ingest left to be done. */
const PAUSE_MS = 1000;
/** Ingest meanwhile: a batch of so many positions is due every so many ms. */
const BATCH = 50;
const EVERY_MS = 10;
const GOALS = { totalMs: 150, statementMs: 20, times: 2 } as const;

/** Appends batches when they are due, one after the other, whatever else the engine is doing. */
class SteadyIngest {
  /** From when a batch was due to when it was stored, ms. */
  latencies: number[] = [];
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(store: TrackStoreUnderTest, next: () => Batch) {
    this.#done = this.#run(store, next);
  }

  async #run(store: TrackStoreUnderTest, next: () => Batch): Promise<void> {
    let batch = next();
    for (let due = performance.now(); !this.#stopped; due += EVERY_MS) {
      const wait = due - performance.now();
      // Others get their turn also while ingest is late.
      await (wait > 0 ? sleep(wait) : nextTurn());
      await store.append(batch);
      // Timers are a millisecond late at times, which is not the store's doing.
      this.latencies.push(Math.max(0, performance.now() - due));
      batch = next();
    }
  }

  /** Latencies since the last call, sorted. */
  take(): number[] {
    const taken = this.latencies.sort((a, b) => a - b);
    this.latencies = [];
    return taken;
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#done;
  }
}

/** The oldest day goes, again and again, while positions of today come in. */
export async function measureRetention(
  stores: readonly TrackStoreUnderTest[],
  fleets: readonly DenseFleet[],
  days: number,
): Promise<void> {
  const rows = [
    ["store", "a day, ms", "longest call ms", "insert p50 idle ms", "meanwhile", "p99 idle ms", "meanwhile"],
  ];
  for (const [n, store] of stores.entries()) {
    const fleet = fleets[n]!;
    const { jobs } = store.database;
    settleDisk();
    const ingest = new SteadyIngest(store, () => fleet.some(BATCH));
    await sleep(PAUSE_MS);
    ingest.take();
    await sleep(IDLE_MS);
    const idle = ingest.take();
    const totals: number[] = [];
    const longest: number[] = [];
    const meanwhile: number[] = [];
    for (let day = 1; day <= Math.min(DAYS, days - 2); day++) {
      jobs.held.length = 0;
      ingest.take();
      const start = performance.now();
      await store.purge(START_MS + day * DAY_MS);
      totals.push(performance.now() - start);
      longest.push(Math.max(...jobs.held));
      meanwhile.push(...ingest.take());
      await sleep(PAUSE_MS);
    }
    await ingest.stop();
    meanwhile.sort((a, b) => a - b);
    rows.push([
      store.name,
      median(totals).toFixed(0),
      median(longest).toFixed(1),
      percentile(idle, 0.5).toFixed(2),
      percentile(meanwhile, 0.5).toFixed(2),
      percentile(idle, 0.99).toFixed(1),
      percentile(meanwhile, 0.99).toFixed(1),
    ]);
  }
  console.log(
    `\nRetention: one day of ${days}, scrub included, while ${(BATCH * 1000) / EVERY_MS} positions/s come in.\n`,
  );
  printTable(rows);
  console.log(
    `\nGoal: at most ${GOALS.totalMs} ms, no call over ${GOALS.statementMs} ms, insert p99 at most ${GOALS.times} times its idle value.`,
  );
}
