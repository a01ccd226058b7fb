import type { Db } from "./db.ts";

/** Bits of codec/collect.ts. */
export async function readCollection(db: Db, accountId: number): Promise<number> {
  const { rows } = await db.$client.execute({
    sql: "SELECT collection FROM accounts WHERE id = ?",
    args: [accountId],
  });
  return Number(rows[0]?.[0] ?? 0);
}

/** The trigger of the registry then has every ingest read it anew. @returns false when it was so already */
export async function writeCollection(db: Db, accountId: number, collection: number): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: "UPDATE accounts SET collection = ? WHERE id = ? AND collection <> ?",
    args: [collection, accountId, collection],
  });
  return rowsAffected > 0;
}
