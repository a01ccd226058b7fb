import type { InValue } from "@libsql/client";
import type { Db } from "./db.ts";
import type { Reach } from "./reach.ts";

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

// A page comes as one text, "id,device,fix,received,clock,HEX;...": a thousand rows of six values each would cost both
// sides several times what reading the records does.
const packed = (order: string) =>
  `group_concat(id || ',' || device_id || ',' || fix_time || ',' || received_at || ',' || clock || ',' || hex(record), ';' ORDER BY ${order})`;

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const MINUS = 0x2d;

const hexValue = (code: number) => (code < 0x41 ? code - 0x30 : code - 0x37);

/** @param text what `packed` gave: null without a row */
function positionRows(text: unknown): PositionRow[] {
  const rows: PositionRow[] = [];
  if (typeof text !== "string") return rows;
  // Hex takes two characters a byte, so this holds every record.
  const bytes = new Uint8Array(text.length >> 1);
  const numbers = [0, 0, 0, 0, 0];
  let used = 0;
  for (let at = 0; at < text.length; at++) {
    for (let column = 0; column < numbers.length; column++) {
      let value = 0;
      const negative = text.charCodeAt(at) === MINUS;
      if (negative) at++;
      for (let code = text.charCodeAt(at); code !== COMMA; code = text.charCodeAt(++at))
        value = value * 10 + code - 0x30;
      numbers[column] = negative ? -value : value;
      at++;
    }
    const from = used;
    for (; at < text.length && text.charCodeAt(at) !== SEMICOLON; at += 2) {
      bytes[used++] = (hexValue(text.charCodeAt(at)) << 4) | hexValue(text.charCodeAt(at + 1));
    }
    const [id, deviceId, fixTime, receivedAt, clock] = numbers;
    rows.push({ id, deviceId, fixTime, receivedAt, clock: clock === 1, record: bytes.subarray(from, used) });
  }
  return rows;
}

/**
 * Reads a stretch of a track, and in the same statement whether the account has the device. It is known by its id, so
 * whether it is within reach needs no SQL.
 * @param more conditions beside the window
 * @returns null when it has not
 */
async function track(
  db: Db,
  { accountId, devices }: Reach,
  deviceId: number,
  query: TrackQuery,
  more: string,
  moreArgs: InValue[],
): Promise<PositionRow[] | null> {
  if (devices !== null && !devices.includes(deviceId)) return null;
  const direction = query.descending ? "DESC" : "ASC";
  const beyond = query.descending ? "<" : ">";
  const order = `fix_time ${direction}, id ${direction}`;
  const args: InValue[] = [deviceId, accountId, deviceId, accountId, query.from, query.to, ...moreArgs];
  let after = "";
  if (query.after !== null) {
    after = `AND fix_time ${beyond}= ? AND (fix_time ${beyond} ? OR id ${beyond} ?)`;
    args.push(query.after.fixTime, query.after.fixTime, query.after.id);
  }
  args.push(query.limit);
  const { rows } = await db.$client.execute({
    sql: `SELECT EXISTS (SELECT 1 FROM devices WHERE id = ? AND account_id = ? AND deleting_at IS NULL), ${packed(order)}
      FROM (SELECT ${COLUMNS} FROM positions
        WHERE device_id = ? AND account_id = ? AND fix_time >= ? AND fix_time < ? ${more} ${after}
        ORDER BY ${order} LIMIT ?)`,
    args,
  });
  return rows[0][0] === 1 ? positionRows(rows[0][1]) : null;
}

/** A device's positions in fix order. @returns null when the account has no such device */
export function trackOf(db: Db, reach: Reach, deviceId: number, query: TrackQuery): Promise<PositionRow[] | null> {
  return track(db, reach, deviceId, query, "", []);
}

/**
 * A device's positions of these events in fix order.
 * @param codes null: every event that is not a routine report
 * @returns null when the account has no such device
 */
export function eventsOf(
  db: Db,
  reach: Reach,
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
  return track(db, reach, deviceId, query, `AND ${more.join(" AND ")}`, args);
}

/** The newest valid fix of each device within reach, by device id. @param after the last device id of the page before */
export async function latestOf(
  db: Db,
  { accountId, devices }: Reach,
  after: number,
  limit: number,
): Promise<PositionRow[]> {
  const limited = limitedTo("d.id", devices);
  const { rows } = await db.$client.execute({
    sql: `SELECT ${packed("device_id")} FROM (
      SELECT l.position_id AS id, l.device_id, l.fix_time, l.received_at, l.clock, l.record
      FROM devices d JOIN latest l ON l.device_id = d.id
      WHERE d.account_id = ? AND d.id > ? AND d.deleting_at IS NULL ${limited.sql} ORDER BY d.id LIMIT ?)`,
    args: [accountId, after, ...limited.args, limit],
  });
  return positionRows(rows[0][0]);
}

/** The condition that a device is one of some; nothing at all for a caller who may see every device. */
function limitedTo(column: string, devices: Reach["devices"]): { sql: string; args: InValue[] } {
  if (devices === null) return { sql: "", args: [] };
  return { sql: `AND ${column} IN (SELECT value FROM json_each(?))`, args: [JSON.stringify(devices)] };
}

/**
 * Positions within reach in the order in which they were stored.
 * @param after the last id of the page before
 * @returns `seen`: the id up to which everything has been looked at. For a caller who sees only some devices it may lie
 *   beyond the last row, so that the next page does not look again at what is not theirs.
 */
export async function feedOf(
  db: Db,
  { accountId, devices }: Reach,
  after: number,
  limit: number,
): Promise<{ rows: PositionRow[]; seen: number }> {
  const limited = limitedTo("device_id", devices);
  const newest = devices === null ? "" : ", (SELECT max(id) FROM positions WHERE account_id = ?)";
  const { rows } = await db.$client.execute({
    sql: `SELECT ${packed("id")}${newest} FROM (SELECT ${COLUMNS} FROM positions WHERE account_id = ? AND id > ? ${limited.sql}
        AND device_id NOT IN (SELECT id FROM devices WHERE account_id = ? AND deleting_at IS NOT NULL)
      ORDER BY id LIMIT ?)`,
    args: [...(devices === null ? [] : [accountId]), accountId, after, ...limited.args, accountId, limit],
  });
  const found = positionRows(rows[0][0]);
  const last = found.at(-1)?.id ?? after;
  if (devices === null || found.length === limit) return { rows: found, seen: last };
  return { rows: found, seen: Math.max(last, Number(rows[0][1] ?? 0)) };
}

/** What a track holds: how many positions, and the first and last fix time; null without one. */
export interface Extent {
  positions: number;
  from: number | null;
  to: number | null;
}

/** Counts along the index of the device's track alone. @returns nothing counted for a device that is not within reach */
export async function extentOf(db: Db, { accountId, devices }: Reach, deviceId: number): Promise<Extent> {
  if (devices !== null && !devices.includes(deviceId)) return { positions: 0, from: null, to: null };
  const { rows } = await db.$client.execute({
    sql: `SELECT count(*), min(fix_time), max(fix_time) FROM positions WHERE device_id = ?
      AND EXISTS (SELECT 1 FROM devices WHERE id = ? AND account_id = ? AND deleting_at IS NULL)`,
    args: [deviceId, deviceId, accountId],
  });
  const [row] = rows;
  return { positions: Number(row[0]), from: row[1] as number | null, to: row[2] as number | null };
}
