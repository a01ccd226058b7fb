import type { Db } from "./db.ts";

/** What did not open. */
export interface BrokenThing {
  kind: "segment" | "newest" | "batch" | "run";
  /** The database that it is in. */
  telemetry: string;
  /** Id of the segment, the device or the batch; of a run the id of its key. */
  thing: number;
}

/** Notes what did not open, and forgets what has not been met since a time. */
export async function writeBroken(db: Db, things: readonly BrokenThing[], now: number, before: number): Promise<void> {
  const rows = things.map(({ kind, telemetry, thing }) => [kind, telemetry, thing]);
  await db.$client.batch(
    [
      {
        sql: `INSERT INTO broken (kind, telemetry, thing, times, first_at, last_at)
          SELECT value ->> 0, value ->> 1, value ->> 2, 1, ?2, ?2 FROM json_each(?1) WHERE true
          ON CONFLICT DO UPDATE SET times = times + 1, last_at = excluded.last_at`,
        args: [JSON.stringify(rows), now],
      },
      { sql: "DELETE FROM broken WHERE last_at < ?", args: [before] },
    ],
    "write",
  );
}

/** How many things have not opened since a time. */
export async function countBroken(db: Db, since: number): Promise<number> {
  const { rows } = await db.$client.execute({ sql: "SELECT count(*) FROM broken WHERE last_at >= ?", args: [since] });
  return Number(rows[0]![0]);
}
