import type { Db } from "./db.ts";

/** Accounts that were gone at the run before already, the oldest first; numbers that somebody has taken since are none. */
export async function goneAccounts(db: Db, limit: number): Promise<number[]> {
  const [, rows] = await db.$client.batch(
    [
      { sql: "DELETE FROM gone_accounts WHERE id IN (SELECT id FROM accounts)", args: [] },
      { sql: "SELECT id FROM gone_accounts WHERE seen = 1 ORDER BY id LIMIT ?", args: [limit] },
      { sql: "UPDATE gone_accounts SET seen = 1 WHERE seen = 0", args: [] },
    ],
    "write",
  );
  return rows!.rows.map((row) => Number(row[0]));
}

/** Its secrets are gone too. */
export async function forgetGoneAccount(db: Db, id: number): Promise<void> {
  await db.$client.execute({ sql: "DELETE FROM gone_accounts WHERE id = ?", args: [id] });
}
