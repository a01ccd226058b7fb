import { bytesOf, type Db, type Statement } from "./db.ts";

// A segment's id is its device, the UTC day of its fixes and a number within that day: what is read together lies
// together. 27 bits of device, 14 of days since 2010 and 12 of number are less than 2^53.

const DAY_MS = 86_400_000;
const FIRST_DAY = Date.UTC(2010, 0, 1) / DAY_MS;
const DAYS = 2 ** 14;
/** Segments that a device can have of one day. */
export const SEGMENTS_A_DAY: number = 2 ** 12;

/** Segments that a device can have at all. */
export const IDS_A_DEVICE: number = DAYS * SEGMENTS_A_DAY;

const dayNumber = (fixTime: number) => Math.min(Math.max(Math.floor(fixTime / DAY_MS) - FIRST_DAY, 0), DAYS - 1);

/** The id of the first segment that a device can have of the day of a fix. */
export function firstIdOf(deviceId: number, fixTime: number): number {
  return (deviceId * DAYS + dayNumber(fixTime)) * SEGMENTS_A_DAY;
}

/** The ids of all segments of a device: from, to (not included). */
export function idsOf(deviceId: number): [from: number, to: number] {
  return [deviceId * DAYS * SEGMENTS_A_DAY, (deviceId + 1) * DAYS * SEGMENTS_A_DAY];
}

/** Everything of a segment but its positions. Times are Unix ms. */
export interface SegmentHead {
  id: number;
  deviceId: number;
  accountId: number;
  dayKid: number;
  deviceKid: number;
  /** First and last fix. */
  fromTime: number;
  toTime: number;
  /** First and last time that retention goes by, where that is not the fix. */
  dueFrom: number | null;
  dueTo: number | null;
  firstId: number;
  lastId: number;
  positions: number;
  alarms: number;
  clockless: number;
  /** Names the customer's half of the key (src/customer-sealed.ts); null: the whole of it is ours. */
  customerKid: number | null;
}

export interface SegmentRow extends SegmentHead {
  sealed: Uint8Array;
}

const HEAD = [
  "id",
  "device_id",
  "account_id",
  "day_kid",
  "device_kid",
  "from_time",
  "to_time",
  "due_from",
  "due_to",
  "first_id",
  "last_id",
  "positions",
  "alarms",
  "clockless",
  "customer_kid",
] as const;
/** The columns of a SegmentHead, of `segments s`. */
export const headColumns: string = HEAD.map((name) => `s.${name}`).join(", ");

export function headOf(row: ArrayLike<unknown>): SegmentHead {
  const number = (at: number) => Number(row[at]);
  const optional = (at: number) => (row[at] === null ? null : Number(row[at]));
  return {
    id: number(0),
    deviceId: number(1),
    accountId: number(2),
    dayKid: number(3),
    deviceKid: number(4),
    fromTime: number(5),
    toTime: number(6),
    dueFrom: optional(7),
    dueTo: optional(8),
    firstId: number(9),
    lastId: number(10),
    positions: number(11),
    alarms: number(12),
    clockless: number(13),
    customerKid: optional(14),
  };
}

export function segmentRows(rows: readonly ArrayLike<unknown>[]): SegmentRow[] {
  return rows.map((row) => ({ ...headOf(row), sealed: bytesOf(row[HEAD.length]) }));
}

/** A head as one text: over sixteen columns the engine and the driver take longer than over what is in them. */
const packedHead = `json_array(${headColumns})`;

const unpacked = (row: ArrayLike<unknown>): SegmentRow => ({
  ...headOf(JSON.parse(String(row[0])) as (number | null)[]),
  sealed: bytesOf(row[1]),
});

/** A stretch of a device's track to read segments of. */
export interface Stretch {
  deviceId: number;
  /** Fix times, Unix ms: from, to (not included). */
  from: number;
  to: number;
  descending: boolean;
  /** Only segments with a position whose event is not routine. */
  alarms: boolean;
  limit: number;
}

/** How many segments are looked at to find the first of a stretch. */
const LOOKED_AT = 64;
/** A stretch of so many days is looked at as it is. */
const FEW_DAYS = 2;

/**
 * The first `limit` segments of a stretch in the order of their fixes, and one more when there is one. Looks at few rows
 * however long the stretch is: at the days of the first segments by id.
 */
export function stretchStatement({ deviceId, from, to, descending, alarms, limit }: Stretch): Statement {
  const [order, time, end] = descending ? ["DESC", "to_time", "min"] : ["ASC", "from_time", "max"];
  const low = firstIdOf(deviceId, from);
  const high = firstIdOf(deviceId, to - 1) + SEGMENTS_A_DAY;
  const wanted = `to_time >= ?3 AND from_time < ?4${alarms ? " AND alarms > 0" : ""}`;
  const args = [low, high, from, to, limit + 1];
  if (high - low <= FEW_DAYS * SEGMENTS_A_DAY) {
    return {
      sql: `SELECT ${packedHead}, s.sealed FROM (SELECT id FROM segments
          WHERE id >= ?1 AND id < ?2 AND ${wanted} ORDER BY ${time} ${order}, id LIMIT ?5) n
        JOIN segments s ON s.id = n.id`,
      args,
    };
  }
  const first = `SELECT id FROM segments WHERE id >= ?1 AND id < ?2 AND ${wanted} ORDER BY id ${order} LIMIT ${LOOKED_AT}`;
  const near = descending
    ? `id >= e.day * ${SEGMENTS_A_DAY} AND id < ?2`
    : `id >= ?1 AND id < min(?2, (e.day + 1) * ${SEGMENTS_A_DAY})`;
  return {
    sql: `SELECT ${packedHead}, s.sealed, n.looked, n.day % ${DAYS} FROM (SELECT id, e.looked, e.day
        FROM (SELECT count(*) AS looked, ${end}(id) / ${SEGMENTS_A_DAY} AS day FROM (${first})) e CROSS JOIN segments
        WHERE ${near} AND ${wanted} ORDER BY ${time} ${order}, id LIMIT ?5) n
      JOIN segments s ON s.id = n.id`,
    args,
  };
}

/** What stretchStatement() found, in its order, and where the days that it looked at end, if there are others beyond. Unix ms. */
export function stretchRows(
  rows: readonly ArrayLike<unknown>[],
  descending: boolean,
): { segments: SegmentRow[]; lookedUpTo: number | null } {
  const segments = rows.map(unpacked);
  if (descending) segments.sort((a, b) => b.toTime - a.toTime || a.id - b.id);
  else segments.sort((a, b) => a.fromTime - b.fromTime || a.id - b.id);
  const looked = rows[0]?.[2];
  if (looked === undefined || Number(looked) !== LOOKED_AT) return { segments, lookedUpTo: null };
  return { segments, lookedUpTo: (Number(rows[0]![3]) + FIRST_DAY + (descending ? 0 : 1)) * DAY_MS };
}

/** As clocklessStatement(), of one device. */
export function clocklessOfStatement(deviceId: number, since: number): Statement {
  return {
    sql: `SELECT ${packedHead}, s.sealed FROM segments s INDEXED BY segments_clockless
      WHERE s.id >= ?1 AND s.id < ?2 AND s.clockless > 0 AND coalesce(s.due_to, s.to_time) >= ?3`,
    args: [...idsOf(deviceId), since],
  };
}

export const clocklessRows = (rows: readonly ArrayLike<unknown>[]): SegmentRow[] => rows.map(unpacked);

/** Segments with positions of a tracker without a usable clock, that came since a time. */
export function clocklessStatement(deviceIds: readonly number[], since: number): Statement {
  return {
    sql: `SELECT ${headColumns}, s.sealed FROM json_each(?1) j CROSS JOIN segments s INDEXED BY segments_clockless
      ON s.id >= j.value * ${DAYS * SEGMENTS_A_DAY} AND s.id < (j.value + 1) * ${DAYS * SEGMENTS_A_DAY}
      WHERE s.clockless > 0 AND coalesce(s.due_to, s.to_time) >= ?2`,
    args: [JSON.stringify(deviceIds), since],
  };
}

/** What settling asks of a device and a day of fixes: the fixes that come, first and last. */
export interface Coming {
  deviceId: number;
  from: number;
  to: number;
}

/** Which segments take more positions. */
export interface Openness {
  /** Those with fewer positions than this. */
  small: number;
  /** And those with fewer than this, that span less than so many ms and have fewer bytes. */
  most: number;
  ms: number;
  bytes: number;
}

/**
 * The segments that could hold what comes, or take it: those that reach into it, and the last of the day. Positions come
 * with those that do.
 */
export function reachedStatement(coming: readonly Coming[], { small, most, ms, bytes }: Openness): Statement {
  const rows = coming.map(({ deviceId, from, to }) => [firstIdOf(deviceId, from), from, to]);
  return {
    sql: `SELECT ${headColumns}, CASE WHEN s.positions < ?2 OR (s.positions < ?3 AND s.to_time - s.from_time < ?4 AND length(s.sealed) < ?5)
        OR (s.to_time >= (j.value ->> 1) AND s.from_time <= (j.value ->> 2)) THEN s.sealed END
      FROM json_each(?1) j CROSS JOIN segments s ON s.id >= (j.value ->> 0) AND s.id < (j.value ->> 0) + ${SEGMENTS_A_DAY}
      WHERE s.to_time >= (j.value ->> 1) OR s.id = (SELECT max(id) FROM segments
        WHERE id >= (j.value ->> 0) AND id < (j.value ->> 0) + ${SEGMENTS_A_DAY})`,
    args: [JSON.stringify(rows), small, most, ms, bytes],
  };
}

/** @returns heads, with positions where they were asked for */
export function reachedRows(rows: readonly ArrayLike<unknown>[]): (SegmentHead & { sealed: Uint8Array | null })[] {
  return rows.map((row) => ({
    ...headOf(row),
    sealed: row[HEAD.length] === null ? null : bytesOf(row[HEAD.length]),
  }));
}

/**
 * Two statements: segments of an account with something that arrived after a position's id, by the last that arrived in
 * each; and, when there are `limit`, those that end after the last of them and began before that. No segment's ids lie
 * further apart than `span`, so that a bounded stretch of the index is looked at.
 */
export function arrivedStatements(accountId: number, after: number, limit: number): [Statement, Statement] {
  const last = `(SELECT last_id FROM segments WHERE account_id = ?1 AND last_id > ?2 ORDER BY last_id LIMIT 1 OFFSET ?3 - 1)`;
  return [
    {
      sql: `SELECT ${headColumns}, s.sealed FROM segments s WHERE s.account_id = ? AND s.last_id > ? ORDER BY s.last_id LIMIT ?`,
      args: [accountId, after, limit],
    },
    {
      sql: `SELECT ${headColumns}, s.sealed FROM (SELECT ${last} AS edge) e CROSS JOIN segments s
        WHERE s.account_id = ?1 AND s.last_id > e.edge AND s.last_id <= e.edge + (SELECT span FROM settlement)
          AND s.first_id <= e.edge`,
      args: [accountId, after, limit],
    },
  ];
}

/** Any segment of a stretch that only the customer can open. */
export function closedStatement(accountId: number, deviceId: number, from: number, to: number): Statement {
  return {
    sql: `SELECT 1 FROM segments s WHERE s.id >= ? AND s.id < ? AND s.account_id = ? AND s.customer_kid IS NOT NULL
      AND s.to_time >= ? AND s.from_time < ? LIMIT 1`,
    args: [firstIdOf(deviceId, from), firstIdOf(deviceId, to) + SEGMENTS_A_DAY, accountId, from, to],
  };
}

/** A device's segments without their positions, for counting. */
export function headsStatement(deviceId: number, from: number, to: number): Statement {
  return {
    sql: `SELECT ${headColumns} FROM segments s WHERE s.id >= ? AND s.id < ? AND s.to_time >= ? AND s.from_time < ?`,
    args: [...idsOf(deviceId), from, to],
  };
}

/** The ids that a device's segments of one day have. */
export async function idsOfDay(db: Db, deviceId: number, fixTime: number): Promise<number[]> {
  const first = firstIdOf(deviceId, fixTime);
  const { rows } = await db.$client.execute({
    sql: "SELECT id FROM segments WHERE id >= ? AND id < ?",
    args: [first, first + SEGMENTS_A_DAY],
  });
  return rows.map((row) => Number(row[0]));
}

/** The same with everything but their positions. */
export async function headsOfDay(db: Db, deviceId: number, fixTime: number): Promise<SegmentHead[]> {
  const first = firstIdOf(deviceId, fixTime);
  const { rows } = await db.$client.execute({
    sql: `SELECT ${headColumns} FROM segments s WHERE s.id >= ? AND s.id < ?`,
    args: [first, first + SEGMENTS_A_DAY],
  });
  return rows.map(headOf);
}

/** Segments by their ids. */
export async function segmentsById(db: Db, ids: readonly number[]): Promise<SegmentRow[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT ${headColumns}, s.sealed FROM json_each(?) j JOIN segments s ON s.id = j.value`,
    args: [JSON.stringify(ids)],
  });
  return segmentRows(rows);
}

/**
 * Writes segments, in place of those with the same ids.
 * @param condition in SQL with ?1 and ?2; every statement of the same write has it
 */
export function writeSegmentsStatement(
  segments: readonly SegmentRow[],
  condition: string,
  args: readonly [number, number],
): Statement {
  let length = 0;
  const rows = segments.map((row) => {
    const start = length + 1;
    length += row.sealed.length;
    return [
      row.id,
      row.deviceId,
      row.accountId,
      row.dayKid,
      row.deviceKid,
      row.fromTime,
      row.toTime,
      row.dueFrom,
      row.dueTo,
      row.firstId,
      row.lastId,
      row.positions,
      row.alarms,
      row.clockless,
      row.customerKid,
      start,
      row.sealed.length,
    ];
  });
  const bytes = new Uint8Array(length);
  for (const [i, { sealed }] of segments.entries()) bytes.set(sealed, (rows[i]![HEAD.length] as number) - 1);
  const values = HEAD.map((_, i) => `value ->> ${i}`).join(", ");
  const changes = [...HEAD.slice(1), "sealed"].map((name) => `${name} = excluded.${name}`).join(", ");
  return {
    // Not REPLACE: a hosted database bills that as a deletion and an insertion.
    sql: `INSERT INTO segments (${HEAD.join(", ")}, sealed)
      SELECT ${values}, substr(?4, value ->> ${HEAD.length}, value ->> ${HEAD.length + 1}) FROM json_each(?3)
      WHERE ${condition} ON CONFLICT (id) DO UPDATE SET ${changes}`,
    args: [...args, JSON.stringify(rows), bytes],
  };
}
