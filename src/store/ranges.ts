import type { Db } from "./db.ts";
import { idsOf, type SegmentRow } from "./segments.ts";

/** A stretch of a device's track. Fix times, Unix ms. */
export interface StretchOf {
  accountId: number;
  deviceId: number;
  from: number;
  /** Not included. */
  to: number;
}

/** The secret that a device got for a request, and when. */
export interface Rotation {
  kid: number;
  at: number;
}

export async function rotationOf(db: Db, requestId: number, deviceId: number): Promise<Rotation | null> {
  const { rows } = await db.$client.execute({
    sql: "SELECT kid, at FROM rotations WHERE request_id = ? AND device_id = ?",
    args: [requestId, deviceId],
  });
  return rows[0] === undefined ? null : { kid: Number(rows[0][0]), at: Number(rows[0][1]) };
}

/** Notes a rotation, unless another runner has noted one. */
export async function noteRotation(db: Db, requestId: number, deviceId: number, { kid, at }: Rotation): Promise<void> {
  await db.$client.execute({
    sql: "INSERT INTO rotations (request_id, device_id, kid, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    args: [requestId, deviceId, kid, at],
  });
}

/** Those of some devices that are the account's and not being removed; null: all of them. */
export async function devicesHere(db: Db, accountId: number, deviceIds: readonly number[] | null): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT id FROM devices WHERE account_id = ?1 AND deleting_at IS NULL
      AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2))) ORDER BY id`,
    args: [accountId, deviceIds === null ? null : JSON.stringify(deviceIds)],
  });
  return rows.map((row) => Number(row[0]));
}

export interface Deleted {
  segments: number;
  positions: number;
  bytes: number;
}

/**
 * Deletes at most `limit` segments that lie in a stretch as a whole, and those that reach into it if only the customer can
 * open them.
 */
export async function deleteStretch(
  db: Db,
  { accountId, deviceId, from, to }: StretchOf,
  limit: number,
): Promise<Deleted> {
  const { rows } = await db.$client.execute({
    sql: `DELETE FROM segments WHERE id IN (SELECT id FROM segments WHERE id >= ?1 AND id < ?2 AND account_id = ?3
      AND from_time < ?5 AND to_time >= ?4 AND (customer_kid IS NOT NULL OR (from_time >= ?4 AND to_time < ?5)) LIMIT ?6)
      RETURNING positions, length(sealed)`,
    args: [...idsOf(deviceId), accountId, from, to, limit],
  });
  const sum = (at: number) => rows.reduce((total, row) => total + Number(row[at]), 0);
  return { segments: rows.length, positions: sum(0), bytes: sum(1) };
}

/** Deletes a segment that is still as it was read. @returns whether it was */
export async function deleteSegment(db: Db, segment: SegmentRow): Promise<boolean> {
  const { id, lastId, positions, dayKid, deviceKid } = segment;
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM segments WHERE id = ? AND last_id = ? AND positions = ? AND day_kid = ? AND device_kid = ?",
    args: [id, lastId, positions, dayKid, deviceKid],
  });
  return rowsAffected > 0;
}

/** Positions of a stretch that an earlier version stored row by row. @param before received, or with a fix, before */
const OLD_ROWS = `FROM positions WHERE device_id = ?1 AND account_id = ?2 AND fix_time >= ?3 AND fix_time < ?4
  AND min(fix_time, received_at) < ?5`;
const oldArgs = ({ deviceId, accountId, from, to }: StretchOf, before: number) => [
  ...[deviceId, accountId, from, to, before],
];

export async function countOldRows(db: Db, stretch: StretchOf, before: number): Promise<number> {
  const { rows } = await db.$client.execute({ sql: `SELECT count(*) ${OLD_ROWS}`, args: oldArgs(stretch, before) });
  return Number(rows[0]![0]);
}

/** @returns how many, `limit` at most */
export async function deleteOldRowsOf(db: Db, stretch: StretchOf, before: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: `DELETE FROM positions WHERE id IN (SELECT id ${OLD_ROWS} LIMIT ?6)`,
    args: [...oldArgs(stretch, before), limit],
  });
  return rowsAffected;
}
