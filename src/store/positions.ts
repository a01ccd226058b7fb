import type { InValue, Row } from "@libsql/client";
import { bytesOf, type Db, type Statement } from "./db.ts";

/** A stored position. Times are Unix ms. */
export interface PositionRow {
  id: number;
  deviceId: number;
  fixTime: number;
  receivedAt: number;
  /** The tracker's clock was unusable: `fixTime` is the receive time, the record holds what the tracker said. */
  clock: boolean;
  /** codec/record.ts */
  record: Uint8Array;
}

/** Which positions of a device: `from` <= fix time < `to`, beyond `after` in the given order. */
export interface TrackQuery {
  from: number;
  to: number;
  descending: boolean;
  /** Fix time and id of the last position of the page before. */
  after: { fixTime: number; id: number } | null;
  limit: number;
}

/** Events that are reports of routine (meitrack.md 4); the index of the others names them in the migration. */
export const ROUTINE_EVENTS = [31, 32, 33, 34, 35] as const;

const NOT_ROUTINE = `event NOT IN (${ROUTINE_EVENTS.join(", ")})`;
const COLUMNS = "id, device_id, fix_time, received_at, clock, record";

function positionRow(row: Row): PositionRow {
  return {
    id: row[0] as number,
    deviceId: row[1] as number,
    fixTime: row[2] as number,
    receivedAt: row[3] as number,
    clock: row[4] === 1,
    record: bytesOf(row[5]),
  };
}

function track(accountId: number, deviceId: number, query: TrackQuery, more: string, moreArgs: InValue[]): Statement {
  const direction = query.descending ? "DESC" : "ASC";
  const beyond = query.descending ? "<" : ">";
  const args: InValue[] = [deviceId, accountId, query.from, query.to, ...moreArgs];
  let after = "";
  if (query.after !== null) {
    after = `AND fix_time ${beyond}= ? AND (fix_time ${beyond} ? OR id ${beyond} ?)`;
    args.push(query.after.fixTime, query.after.fixTime, query.after.id);
  }
  args.push(query.limit);
  return {
    sql: `SELECT ${COLUMNS} FROM positions
      WHERE device_id = ? AND account_id = ? AND fix_time >= ? AND fix_time < ? ${more} ${after}
      ORDER BY fix_time ${direction}, id ${direction} LIMIT ?`,
    args,
  };
}

/** Reads with the device's own row in one round trip. @returns null when the account has no such device */
async function ofDevice(
  db: Db,
  accountId: number,
  deviceId: number,
  statement: Statement,
): Promise<PositionRow[] | null> {
  const [device, positions] = await db.$client.batch(
    [
      {
        sql: "SELECT 1 FROM devices WHERE id = ? AND account_id = ? AND deleting_at IS NULL",
        args: [deviceId, accountId],
      },
      statement,
    ],
    "deferred",
  );
  return device.rows.length === 0 ? null : positions.rows.map(positionRow);
}

/** A device's positions in fix order. @returns null when the account has no such device */
export function trackOf(db: Db, accountId: number, deviceId: number, query: TrackQuery): Promise<PositionRow[] | null> {
  return ofDevice(db, accountId, deviceId, track(accountId, deviceId, query, "", []));
}

/**
 * A device's positions of these events in fix order.
 * @param codes null: every event that is not a routine report
 * @returns null when the account has no such device
 */
export function eventsOf(
  db: Db,
  accountId: number,
  deviceId: number,
  codes: readonly number[] | null,
  query: TrackQuery,
): Promise<PositionRow[] | null> {
  // The condition of the partial index, repeated, lets SQLite use it.
  const indexed = codes === null || codes.every((code) => !(ROUTINE_EVENTS as readonly number[]).includes(code));
  const more = [
    ...(indexed ? [NOT_ROUTINE] : []),
    ...(codes === null ? [] : ["event IN (SELECT value FROM json_each(?))"]),
  ];
  const args = codes === null ? [] : [JSON.stringify(codes)];
  return ofDevice(db, accountId, deviceId, track(accountId, deviceId, query, `AND ${more.join(" AND ")}`, args));
}

/** The newest valid fix of each device of an account, by device id. @param after the last device id of the page before */
export async function latestOf(db: Db, accountId: number, after: number, limit: number): Promise<PositionRow[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT l.position_id, l.device_id, l.fix_time, l.received_at, l.clock, l.record
      FROM devices d JOIN latest l ON l.device_id = d.id
      WHERE d.account_id = ? AND d.id > ? AND d.deleting_at IS NULL ORDER BY d.id LIMIT ?`,
    args: [accountId, after, limit],
  });
  return rows.map(positionRow);
}

/** An account's positions in the order in which they were stored. @param after the last id of the page before */
export async function feedOf(db: Db, accountId: number, after: number, limit: number): Promise<PositionRow[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT ${COLUMNS} FROM positions WHERE account_id = ? AND id > ?
        AND device_id NOT IN (SELECT id FROM devices WHERE account_id = ? AND deleting_at IS NOT NULL)
      ORDER BY id LIMIT ?`,
    args: [accountId, after, accountId, limit],
  });
  return rows.map(positionRow);
}
