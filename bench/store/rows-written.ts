import { LIMITS } from "../../src/limits.ts";
import { benchFolder, printTable } from "../bridge-run.ts";
import { costOfMillion, type Prices } from "./cost.ts";
import { DAY_MS, START_MS, wideFleet } from "./fleets.ts";
import { entriesWritten } from "./meters.ts";
import type { MakeStore } from "./under-test.ts";

const BATCH = 100;
/** CPU of the Worker for a position in a batch of this size, ms: more than `bench:ingest` has ever shown, settling too. */
const CPU_MS = 0.03;
/** What a device reports in a day, and how many an account has: its keys are made and destroyed once for all of it. */
const POSITIONS_A_DAY = 960;
const DEVICES_AN_ACCOUNT = 10;
const GOALS = { rows: 0.05, dollars: 0.1 } as const;

/** Every row that is inserted, updated and deleted for a position from its arrival to the end of its days. */
export async function measureRowsWritten(
  stores: Record<string, MakeStore>,
  { quick, prices }: { quick: boolean; prices: Prices },
): Promise<void> {
  const fleet = wideFleet(quick ? 400_000 : 4_800_000, BATCH);
  const tables = [["store", "table", "by INSERT", "by UPDATE", "by DELETE", "rows/position", "index entries/position"]];
  const costs = [["store", "rows/position", "requests $", "CPU $", "rows $", "keys $", "storage $", "a million $"]];
  for (const [name, make] of Object.entries(stores)) {
    const folder = benchFolder();
    try {
      const store = await make(folder.path, fleet.accountIds);
      const { ingest, jobs, settling, client } = store.database;
      const written = new Map();
      ingest.rows = written;
      jobs.rows = written;
      settling.rows = written;
      for (const batch of fleet.batches) await store.append(batch);
      await store.settle();
      const { used } = await store.database.bytes();
      // Before they are deleted: afterwards it cannot be seen how many of a table's rows an index holds.
      const kept = await entriesWritten(client, written);
      const share = new Map(kept.map(({ table, rows, entries }) => [table, entries / rows]));
      await store.purge(START_MS + 365 * DAY_MS);
      const all = (await entriesWritten(client, written)).map((of) => ({
        ...of,
        entries: of.rows * (share.get(of.table) ?? 0),
      }));
      const each = (count: number) => count / fleet.positions;
      for (const { table, inserted, updated, deleted, rows, entries } of all) {
        const counts = [inserted, updated, deleted].map(String);
        tables.push([name, table, ...counts, each(rows).toFixed(4), each(entries).toFixed(4)]);
      }
      const rowsWritten = all.reduce((sum, { rows }) => sum + each(rows), 0);
      const outside = store.outside();
      const accounts = new Set(fleet.accountIds).size;
      const ofDay = (count: number) => count / accounts / (DEVICES_AN_ACCOUNT * POSITIONS_A_DAY);
      const cost = costOfMillion(
        {
          batch: BATCH,
          cpuMs: CPU_MS,
          rowsWritten,
          indexEntries: all.reduce((sum, { entries }) => sum + each(entries), 0),
          bytes: each(used),
          keyWrites: ofDay(outside.writes ?? 0),
          // An isolate that is always at work reads each object anew after a while.
          keyReads: ofDay((outside.reads ?? 0) + (name === "rows" ? 0 : accounts * (DAY_MS / LIMITS.vaultObjectMs))),
        },
        prices,
      );
      const parts = [cost.requests, cost.cpu, cost.rows, cost.keys, cost.storage, cost.total];
      costs.push([name, rowsWritten.toFixed(4), ...parts.map((part) => part.toFixed(4))]);
      await store.close();
    } finally {
      folder.remove();
    }
  }
  console.log(
    `\nRows written in batches of ${BATCH}, 10,000 devices, ${fleet.positions} positions, until they are deleted.\n`,
  );
  printTable(tables);
  console.log(
    `\nWhat a million positions cost, kept for 90 days; keys of an account with ${DEVICES_AN_ACCOUNT} devices and ${POSITIONS_A_DAY} positions a day of each.\n`,
  );
  printTable(costs);
  console.log(`\nGoal: at most ${GOALS.rows} rows a position and $${GOALS.dollars.toFixed(2)} a million.`);
}
