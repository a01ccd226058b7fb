import { seededRandom } from "../../tools/motion.ts";
import { median, percentile, printTable } from "../bridge-run.ts";
import { DAY_MS, type DenseFleet, START_MS } from "./fleets.ts";
import type { TrackStoreUnderTest } from "./under-test.ts";

const TURNS = 5;
const READS_A_TURN = 300;
const WARM_UP = 100;
const GOALS = { p50: 0.8, p99: 2, times: 5 } as const;

/** Device-days in random order, the stores by turns: from the engine to decoded positions. */
export async function measureHistories(
  stores: readonly TrackStoreUnderTest[],
  fleet: DenseFleet,
  days: number,
): Promise<void> {
  const random = seededRandom(11, 0);
  const devices = fleet.accountIds.length;
  const read = async (store: TrackStoreUnderTest) => {
    const deviceId = 1 + Math.floor(random() * devices);
    const from = START_MS + Math.floor(random() * days) * DAY_MS;
    const start = performance.now();
    const { positions, unsealMs } = await store.history(deviceId, from, from + DAY_MS);
    const ms = performance.now() - start;
    if (positions !== fleet.aDay) throw new Error(`${store.name}: ${positions} positions of a day of ${fleet.aDay}`);
    return { ms, unsealMs };
  };
  const turns = stores.map(() => ({
    p50: [] as number[],
    p99: [] as number[],
    open50: [] as number[],
    open99: [] as number[],
  }));
  for (const store of stores) for (let n = 0; n < WARM_UP; n++) await read(store);
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [n, store] of stores.entries()) {
      const all: number[] = [];
      const open: number[] = [];
      for (let reads = 0; reads < READS_A_TURN; reads++) {
        const { ms, unsealMs } = await read(store);
        all.push(ms);
        open.push(ms - unsealMs);
      }
      all.sort((a, b) => a - b);
      open.sort((a, b) => a - b);
      turns[n]!.p50.push(percentile(all, 0.5));
      turns[n]!.p99.push(percentile(all, 0.99));
      turns[n]!.open50.push(percentile(open, 0.5));
      turns[n]!.open99.push(percentile(open, 0.99));
    }
  }
  console.log(`\nHistory: a day of a device, ${fleet.aDay} positions, from the engine to decoded.\n`);
  printTable([
    ["store", "p50 ms", "p99 ms", "without opening seals p50 ms", "p99 ms"],
    ...stores.map(({ name }, n) => [
      name,
      ...[turns[n]!.p50, turns[n]!.p99, turns[n]!.open50, turns[n]!.open99].map((of) => median(of).toFixed(2)),
    ]),
  ]);
  if (turns.length < 2) return;
  const [rows, tracks] = turns as [(typeof turns)[number], (typeof turns)[number]];
  const times = median(tracks.p50.map((p50, n) => rows.p50[n]! / p50));
  const reached = median(tracks.open50) <= GOALS.p50 && median(tracks.open99) <= GOALS.p99 && times >= GOALS.times;
  console.log(
    `\n${times.toFixed(1)} times as fast as the rows, seals included. Goal without them: p50 ${GOALS.p50} ms, ` +
      `p99 ${GOALS.p99} ms, ${GOALS.times} times: ${reached ? "reached" : "missed"}.`,
  );
}
