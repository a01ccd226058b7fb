import type { Db } from "./db.ts";

/**
 * Empties the write-ahead log into the database file, so that no copy of deleted rows is left in it. Together with
 * `secure_delete`, which every local connection has, this is what makes a deletion true on the disk.
 * @returns false when somebody was reading just then, or when the engine does not allow it (a hosted one); the next
 *   purge tries again
 */
export async function emptyLog(db: Db): Promise<boolean> {
  try {
    const { rows } = await db.$client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    return Number(rows[0]?.[0]) === 0;
  } catch {
    return false;
  }
}
