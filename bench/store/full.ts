import { benchFolder, printTable, settleDisk } from "../bridge-run.ts";
import { measureErasure } from "./erasure.ts";
import { DenseFleet } from "./fleets.ts";
import { measureHistories } from "./histories.ts";
import { measureRetention } from "./retention.ts";
import type { MakeStore, TrackStoreUnderTest } from "./under-test.ts";

const GOAL_BYTES = 18;

/** Fills a store day by day. @returns positions */
async function fill(store: TrackStoreUnderTest, fleet: DenseFleet, days: number): Promise<number> {
  let positions = 0;
  for (let day = 0; day < days; day++) {
    for (const batch of fleet.day()) {
      await store.append(batch);
      positions += batch.table.count;
    }
    await store.settle();
  }
  return positions;
}

/** 90 days of 112 devices, 10 million positions, in each store: their size, reads, retention and erasure. */
export async function measureFull(stores: Record<string, MakeStore>, { quick }: { quick: boolean }): Promise<void> {
  const days = quick ? 9 : 90;
  const folders = [];
  const made: TrackStoreUnderTest[] = [];
  const fleets: DenseFleet[] = [];
  try {
    const rows = [["store", "positions", "filled in s", "file MB", "bytes/position", "in use"]];
    for (const make of Object.values(stores)) {
      const folder = benchFolder();
      folders.push(folder);
      const fleet = new DenseFleet();
      const store = await make(folder.path, fleet.accountIds);
      made.push(store);
      fleets.push(fleet);
      const start = performance.now();
      const positions = await fill(store, fleet, days);
      const seconds = (performance.now() - start) / 1000;
      const { file, used } = await store.database.bytes();
      rows.push([
        store.name,
        String(positions),
        seconds.toFixed(0),
        (file / 1e6).toFixed(0),
        (file / positions).toFixed(1),
        (used / positions).toFixed(1),
      ]);
    }
    console.log(`\nSize: ${fleets[0]!.accountIds.length} devices, ${days} days, settled and scrubbed.\n`);
    printTable(rows);
    console.log(`\nGoal: at most ${GOAL_BYTES} bytes a position.`);
    settleDisk();
    await measureHistories(made, fleets[0]!, days);
    await measureRetention(made, fleets, days);
    await measureErasure(made);
  } finally {
    for (const store of made) await store.close();
    for (const folder of folders) folder.remove();
  }
}
