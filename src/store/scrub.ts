import type { Db } from "./db.ts";

/**
 * Empties the write-ahead log into the database file, so that no copy of deleted rows is left in it. Together with
 * `secure_delete`, which every local connection has, this is what makes a deletion true on the disk.
 * @returns busy: somebody was reading just then, and the next purge must try again; refused: the engine does not allow it
 *   (a hosted one), and only the destroyed keys make what is left of deleted rows unreadable
 */
export async function emptyLog(db: Db): Promise<"empty" | "busy" | "refused"> {
  try {
    const { rows } = await db.$client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    return Number(rows[0]?.[0]) === 0 ? "empty" : "busy";
  } catch {
    return "refused";
  }
}

/**
 * Asks the connection that is about to delete whether it overwrites what it deletes: the setting belongs to a connection,
 * not to the file. An engine that does not let itself be asked is a hosted one.
 * @throws when it does not
 */
export async function assertErasing(db: Db): Promise<void> {
  const found = await db.$client.execute("PRAGMA secure_delete").catch(() => null);
  if (found !== null && Number(found.rows[0]?.[0]) !== 1) {
    throw new Error("Cannot delete: secure_delete is off on this connection");
  }
}
