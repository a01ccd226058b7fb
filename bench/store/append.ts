import { benchFolder, median, percentile, printTable, settleDisk } from "../bridge-run.ts";
import { START_MS, wideFleet } from "./fleets.ts";
import type { MakeStore } from "./under-test.ts";

interface Turn {
  /** To make the keys of the day, which is not in the rest. */
  keysMs: number;
  positionsPerS: number;
  p50: number;
  p99: number;
  logBytes: number;
  fileBytes: number;
}

const GOALS = { positionsPerS: 250_000, times: 5, logBytes: 150 } as const;

async function appendAll(make: MakeStore, fleet: ReturnType<typeof wideFleet>): Promise<Turn> {
  const folder = benchFolder();
  try {
    const store = await make(folder.path, fleet.accountIds, true);
    const { log } = store.database;
    const times: number[] = [];
    const began = performance.now();
    await store.beginDay(START_MS);
    const keysMs = performance.now() - began;
    settleDisk();
    log.reset();
    const start = performance.now();
    for (const batch of fleet.batches) {
      const from = performance.now();
      await store.append(batch);
      times.push(performance.now() - from);
      log.read();
    }
    await store.settle();
    const seconds = (performance.now() - start) / 1000;
    const logBytes = log.read() / fleet.positions;
    const { file } = await store.database.bytes();
    await store.close();
    times.sort((a, b) => a - b);
    const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
    return { keysMs, positionsPerS: fleet.positions / seconds, p50, p99, logBytes, fileBytes: file / fleet.positions };
  } finally {
    folder.remove();
  }
}

/** How fast positions of a wide fleet are stored until the last is where it stays, the stores by turns. */
export async function measureAppend(stores: Record<string, MakeStore>, { quick }: { quick: boolean }): Promise<void> {
  const rows = [
    ["store", "a batch", "positions/s", "append p50 ms", "p99 ms", "log bytes/position", "file", "keys of the day ms"],
  ];
  const verdicts: string[] = [];
  for (const batchSize of [500, 100]) {
    const fleet = wideFleet(quick ? 200_000 : 1_000_000, batchSize);
    const turns = new Map<string, Turn[]>(Object.keys(stores).map((name) => [name, []]));
    for (let turn = 0; turn < (quick ? 1 : 5); turn++) {
      for (const [name, make] of Object.entries(stores)) turns.get(name)!.push(await appendAll(make, fleet));
    }
    const middle = (name: string, of: (turn: Turn) => number) => median(turns.get(name)!.map(of));
    for (const name of turns.keys()) {
      rows.push([
        name,
        String(batchSize),
        middle(name, (turn) => turn.positionsPerS).toFixed(0),
        middle(name, (turn) => turn.p50).toFixed(2),
        middle(name, (turn) => turn.p99).toFixed(2),
        middle(name, (turn) => turn.logBytes).toFixed(0),
        middle(name, (turn) => turn.fileBytes).toFixed(1),
        middle(name, (turn) => turn.keysMs).toFixed(0),
      ]);
    }
    if (turns.size < 2 || batchSize !== 500) continue;
    const [tracks, base] = ["tracks", "rows"].map((name) => turns.get(name)!);
    const times = median(tracks!.map((turn, n) => turn.positionsPerS / base![n]!.positionsPerS));
    const reached =
      middle("tracks", (turn) => turn.positionsPerS) >= GOALS.positionsPerS &&
      times >= GOALS.times &&
      middle("tracks", (turn) => turn.logBytes) <= GOALS.logBytes;
    verdicts.push(
      `Batches of 500: ${times.toFixed(1)} times the rows. Goal: ${GOALS.positionsPerS} positions/s, ${GOALS.times} times, ` +
        `at most ${GOALS.logBytes} bytes of log: ${reached ? "reached" : "missed"}.`,
    );
  }
  console.log("\nAppend: 10,000 devices of 1,000 accounts in random order, until everything is settled and durable.\n");
  printTable(rows);
  for (const verdict of verdicts) console.log(`\n${verdict}`);
}
