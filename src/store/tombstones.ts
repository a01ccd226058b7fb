import type { Db } from "./db.ts";
import type { Reach } from "./reach.ts";

/** What copies of an account's positions must drop. Times are Unix ms. */
export interface TombstoneRow {
  id: number;
  deviceId: number;
  /** Fix times: from, to (not included). Null: from its beginning, or to its end; both: the device is gone. */
  from: number | null;
  to: number | null;
  /** Only what was received, or has a fix, before; null: everything. */
  before: number | null;
  at: number;
}

/** Writes one down, unless it is there already: an erasure that is repeated says the same. */
export async function insertTombstone(
  db: Db,
  accountId: number,
  { deviceId, from, to, before, at }: Omit<TombstoneRow, "id">,
): Promise<void> {
  await db.$client.execute({
    sql: `INSERT INTO tombstones (account_id, device_id, from_time, to_time, before_time, at)
      SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ?1) AND NOT EXISTS (
        SELECT 1 FROM tombstones WHERE account_id = ?1 AND device_id = ?2 AND from_time IS ?3 AND to_time IS ?4
          AND before_time IS ?5)`,
    args: [accountId, deviceId, from, to, before, at],
  });
}

/** The next ones within reach, and the last of them all that there is. */
export async function tombstonesAfter(
  db: Db,
  reach: Reach,
  after: number,
  limit: number,
): Promise<{ rows: TombstoneRow[]; last: number }> {
  const [found, last] = await db.$client.batch(
    [
      {
        sql: `SELECT id, device_id, from_time, to_time, before_time, at FROM tombstones
          WHERE account_id = ?1 AND id > ?2 AND (?3 IS NULL OR device_id IN (SELECT value FROM json_each(?3)))
          ORDER BY id LIMIT ?4`,
        args: [reach.accountId, after, reach.devices === null ? null : JSON.stringify(reach.devices), limit],
      },
      { sql: "SELECT coalesce(max(id), 0) FROM tombstones WHERE account_id = ?", args: [reach.accountId] },
    ],
    "read",
  );
  const optional = (value: unknown) => (value === null ? null : Number(value));
  const rows = found!.rows.map((row) => ({
    id: Number(row[0]),
    deviceId: Number(row[1]),
    from: optional(row[2]),
    to: optional(row[3]),
    before: optional(row[4]),
    at: Number(row[5]),
  }));
  return { rows, last: Number(last!.rows[0]![0]) };
}

/** @returns how many, `limit` at most */
export async function deleteTombstonesBefore(db: Db, before: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM tombstones WHERE id IN (SELECT id FROM tombstones WHERE at < ? ORDER BY at LIMIT ?)",
    args: [before, limit],
  });
  return rowsAffected;
}

/** Stretches of a device's fixes that were erased: from, to (not included), and before when it must have been. */
export type Erased = readonly (readonly [from: number, to: number, before: number])[];

/** Of `devices d`: the stretches of each that were erased, as JSON for erasedOf(); NULL: none. */
export const ERASED_COLUMN: string = `(SELECT json_group_array(json_array(t.from_time, t.to_time, t.before_time)) FROM tombstones t
  WHERE t.account_id = d.account_id AND t.device_id = d.id HAVING count(*) > 0)`;

export function erasedOf(value: unknown): Erased | null {
  if (value === null) return null;
  const all = JSON.parse(String(value)) as (number | null)[][];
  return all.map(([from, to, before]) => [
    from ?? Number.NEGATIVE_INFINITY,
    to ?? Number.POSITIVE_INFINITY,
    before ?? Number.POSITIVE_INFINITY,
  ]);
}

/** Whether a fix lies in a stretch that was erased. */
export function isErased(erased: Erased, fix: number, receivedAt: number): boolean {
  return erased.some(([from, to, before]) => fix >= from && fix < to && Math.min(fix, receivedAt) < before);
}
