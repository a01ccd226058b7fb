import { bytesOf, type Db, type Statement } from "./db.ts";

// The table of positions row by row, as it was before segments; a later version drops it.

export interface PlainRow {
  id: number;
  deviceId: number;
  receivedAt: number;
  clock: boolean;
  record: Uint8Array;
}

/** Rows of one device, those with the oldest fixes. */
export async function oldestRows(db: Db, limit: number): Promise<PlainRow[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT id, device_id, received_at, clock, record FROM positions
      WHERE device_id = (SELECT min(device_id) FROM positions) ORDER BY fix_time LIMIT ?`,
    args: [limit],
  });
  return rows.map((row) => ({
    id: Number(row[0]),
    deviceId: Number(row[1]),
    receivedAt: Number(row[2]),
    clock: row[3] === 1,
    record: bytesOf(row[4]),
  }));
}

export async function hasRows(db: Db): Promise<boolean> {
  const { rows } = await db.$client.execute("SELECT EXISTS (SELECT 1 FROM positions)");
  return Number(rows[0]![0]) === 1;
}

/** The first such position of an account that arrived after another one; null without any. */
export function firstRowStatement(accountId: number, after: number): Statement {
  return { sql: "SELECT min(id) FROM positions WHERE account_id = ? AND id > ?", args: [accountId, after] };
}

/** Of statements that move rows: the first and the last of them have not been moved yet. */
export const STILL_THERE =
  "EXISTS (SELECT 1 FROM positions WHERE id = ?1) AND EXISTS (SELECT 1 FROM positions WHERE id = ?2)";

export function deleteRowsStatement(ids: readonly number[]): Statement {
  return { sql: "DELETE FROM positions WHERE id IN (SELECT value FROM json_each(?))", args: [JSON.stringify(ids)] };
}
