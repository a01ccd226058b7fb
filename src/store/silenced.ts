import type { Db } from "./db.ts";

/** A tracker that is answered, and nothing of it kept. */
export interface SilencedRow {
  /** Keyed hash of the IMEI. */
  mark: string;
  /** Unix ms. */
  until: number;
  /** It repeats a CCE packet until it is confirmed. */
  confirmCce: boolean;
}

/** Writes marks down, or makes them last longer. @param imeis of what is forgotten of them as unknown trackers */
export async function insertSilenced(db: Db, rows: readonly SilencedRow[], imeis: readonly string[]): Promise<void> {
  const indexes = await db.$fields.indexAll("imei", imeis);
  await db.$client.batch(
    [
      {
        sql: `INSERT INTO silenced (mark, until, confirm_cce)
          SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
          ON CONFLICT (mark) DO UPDATE SET until = max(until, excluded.until), confirm_cce = excluded.confirm_cce`,
        args: [JSON.stringify(rows.map(({ mark, until, confirmCce }) => [mark, until, confirmCce ? 1 : 0]))],
      },
      {
        sql: "DELETE FROM unclaimed WHERE imei_index IN (SELECT value FROM json_each(?))",
        args: [JSON.stringify(indexes)],
      },
    ],
    "write",
  );
}

/** Those of some marks that last at a time. */
export async function silencedAmong(db: Db, marks: readonly string[], now: number): Promise<Map<string, boolean>> {
  const { rows } = await db.$client.execute({
    sql: "SELECT mark, confirm_cce FROM silenced WHERE mark IN (SELECT value FROM json_each(?)) AND until > ?",
    args: [JSON.stringify(marks), now],
  });
  return new Map(rows.map((row) => [String(row[0]), row[1] === 1]));
}

/** Whether any tracker is silenced at all. */
export async function anySilenced(db: Db): Promise<boolean> {
  return (await db.$client.execute("SELECT EXISTS (SELECT 1 FROM silenced)")).rows[0]![0] === 1;
}

export async function deleteSilenced(db: Db, mark: string): Promise<void> {
  await db.$client.execute({ sql: "DELETE FROM silenced WHERE mark = ?", args: [mark] });
}

/** @returns how many, `limit` at most */
export async function deleteSilencedUntil(db: Db, now: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM silenced WHERE mark IN (SELECT mark FROM silenced WHERE until <= ? ORDER BY until LIMIT ?)",
    args: [now, limit],
  });
  return rowsAffected;
}
