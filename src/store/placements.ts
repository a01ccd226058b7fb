import type { Db } from "./db.ts";

// In the database with the accounts: where the tracks of each are. migrations/0007_regions.sql says what the states mean.

/** The database with an account's tracks; null: this one. */
export async function databaseOf(db: Db, accountId: number): Promise<string | null> {
  const { rows } = await db.$client.execute({ sql: "SELECT telemetry FROM accounts WHERE id = ?", args: [accountId] });
  return rows[0] === undefined || rows[0][0] === null ? null : String(rows[0][0]);
}

/** Whether an account's tracks are in two databases just now. */
export async function isMoving(db: Db, accountId: number): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: "SELECT 1 FROM placements WHERE account_id = ? AND state <> 'done'",
    args: [accountId],
  });
  return rows.length > 0;
}
