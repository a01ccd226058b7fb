import { bytesOf, type Db, type Statement } from "./db.ts";

/** The customer's half of the keys of a settling, wrapped to one of the customer's keys. */
export interface WrappedRow {
  accountId: number;
  kid: number;
  keyId: number;
  /** UTC day since 1970. */
  day: number;
  wrapped: Uint8Array;
}

/**
 * Writes them; those that are there already stay.
 * @param condition in SQL with ?1 and ?2; every statement of the same write has it
 */
export function writeWrappedStatement(
  rows: readonly WrappedRow[],
  condition: string,
  args: readonly [number, number],
): Statement {
  let length = 0;
  const places = rows.map(({ accountId, kid, keyId, day, wrapped }) => {
    const start = length + 1;
    length += wrapped.length;
    return [accountId, kid, keyId, day, start, wrapped.length];
  });
  const bytes = new Uint8Array(length);
  for (const [i, { wrapped }] of rows.entries()) bytes.set(wrapped, places[i]![4]! - 1);
  return {
    sql: `INSERT OR IGNORE INTO wrapped_secrets (account_id, kid, key_id, day, wrapped)
      SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, substr(?4, value ->> 4, value ->> 5)
      FROM json_each(?3) WHERE ${condition}`,
    args: [...args, JSON.stringify(places), bytes],
  };
}

/** What was wrapped of an account by these names, to whichever keys. */
export async function readWrapped(db: Db, accountId: number, kids: readonly number[]): Promise<WrappedRow[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT w.kid, w.key_id, w.day, w.wrapped FROM json_each(?) j
      JOIN wrapped_secrets w ON w.account_id = ? AND w.kid = j.value ORDER BY w.kid, w.key_id`,
    args: [JSON.stringify(kids), accountId],
  });
  return rows.map((row) => ({
    accountId,
    kid: Number(row[0]),
    keyId: Number(row[1]),
    day: Number(row[2]),
    wrapped: bytesOf(row[3]),
  }));
}

/** Deletes what opens no segment any more. @returns rows */
export async function deleteUnusedWrapped(db: Db, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: `DELETE FROM wrapped_secrets WHERE rowid IN (SELECT w.rowid FROM wrapped_secrets w
      WHERE NOT EXISTS (SELECT 1 FROM segments s WHERE s.account_id = w.account_id AND s.customer_kid = w.kid) LIMIT ?)`,
    args: [limit],
  });
  return rowsAffected;
}
