import type { Db } from "./db.ts";

/** Positions of a device whose retention time lies in a span. */
export interface Older {
  positions: number;
  /** Retention time of the oldest, Unix ms; null without one. */
  oldest: number | null;
}

/** Retention times, Unix ms: from <= time < to. */
export interface Span {
  from: number;
  to: number;
}

/** The time that retention goes by (src/periods.ts), in SQL over a row of `positions`. */
const RETENTION_TIME = `CASE WHEN p.fix_time BETWEEN p.received_at - 34560000000 AND p.received_at + 600000
  THEN p.fix_time ELSE p.received_at END`;

/**
 * Counts positions that lie before a cutoff and not before an older one, behind which they are over already.
 * @param spans by device; others are not counted
 * @returns for each device that has some
 */
export async function countOlder(
  db: Db,
  accountId: number,
  spans: ReadonlyMap<number, Span>,
): Promise<Map<number, Older>> {
  const { rows } = await db.$client.execute({
    sql: `SELECT p.device_id, count(*), min(${RETENTION_TIME})
      FROM json_each(?) c JOIN positions p ON p.device_id = c.value ->> 0 WHERE p.account_id = ?
        AND ${RETENTION_TIME} >= c.value ->> 1 AND ${RETENTION_TIME} < c.value ->> 2 GROUP BY p.device_id`,
    args: [JSON.stringify([...spans].map(([id, { from, to }]) => [id, from, to])), accountId],
  });
  return new Map(rows.map((row) => [Number(row[0]), { positions: Number(row[1]), oldest: Number(row[2]) }]));
}

/** The retention time of the oldest position of each of an account's devices that has one. */
export async function oldestOf(db: Db, accountId: number): Promise<Map<number, number>> {
  const { rows } = await db.$client.execute({
    sql: `SELECT d.id, (SELECT ${RETENTION_TIME} FROM positions p WHERE p.device_id = d.id ORDER BY p.fix_time LIMIT 1)
      FROM devices d WHERE d.account_id = ? AND d.deleting_at IS NULL`,
    args: [accountId],
  });
  return new Map(rows.filter((row) => row[1] !== null).map((row) => [Number(row[0]), Number(row[1])]));
}
