import { bytesOf, type Db, type Statement } from "./db.ts";
import { firstIdOf, headColumns, idsOf, SEGMENTS_A_DAY, type SegmentRow, segmentRows } from "./segments.ts";

/** Before when the positions of a device are past their period. */
export interface DeviceCutoff {
  accountId: number;
  deviceId: number;
  /** Unix ms, of the times that retention goes by. */
  cutoff: number;
}

const DAY_MS = 86_400_000;

/** The ids that segments of a device can have with something past its period: a fix may be a day ahead of what it is kept by. */
const ranges = (devices: readonly DeviceCutoff[]) =>
  JSON.stringify(
    devices.map(({ deviceId, cutoff }) => [
      idsOf(deviceId)[0],
      firstIdOf(deviceId, cutoff + DAY_MS) + SEGMENTS_A_DAY,
      cutoff,
    ]),
  );

const OF_DEVICES = "FROM json_each(?1) j CROSS JOIN segments s ON s.id >= (j.value ->> 0) AND s.id < (j.value ->> 1)";

/**
 * Deletes at most `limit` segments of which everything is past its period.
 * @returns how many, and the positions in them by account
 */
export async function deletePastSegments(
  db: Db,
  devices: readonly DeviceCutoff[],
  limit: number,
): Promise<{ segments: number; positions: Map<number, number> }> {
  const { rows } = await db.$client.execute({
    sql: `DELETE FROM segments WHERE id IN (
      SELECT s.id ${OF_DEVICES} WHERE coalesce(s.due_to, s.to_time) < (j.value ->> 2) LIMIT ?2) RETURNING account_id, positions`,
    args: [ranges(devices), limit],
  });
  const positions = new Map<number, number>();
  for (const row of rows) positions.set(Number(row[0]), (positions.get(Number(row[0])) ?? 0) + Number(row[1]));
  return { segments: rows.length, positions };
}

/** Segments of which something is past its period since `lateMs` and something is not, but for some, and those of which a key is the customer's. */
export async function straddlingSegments(
  db: Db,
  devices: readonly DeviceCutoff[],
  lateMs: number,
  limit: number,
  except: readonly number[],
): Promise<SegmentRow[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT ${headColumns}, s.sealed ${OF_DEVICES}
      WHERE s.customer_kid IS NULL AND coalesce(s.due_from, s.from_time) < (j.value ->> 2) - ?2 AND coalesce(s.due_to, s.to_time) >= (j.value ->> 2)
        AND s.id NOT IN (SELECT value FROM json_each(?4)) LIMIT ?3`,
    args: [ranges(devices), lateMs, limit, JSON.stringify(except)],
  });
  return segmentRows(rows);
}

/** Of a statement that changes one segment, with its id and last position: it is as it was read. */
export const segmentIs = ({
  positions,
  dayKid,
  deviceKid,
}: Pick<SegmentRow, "positions" | "dayKid" | "deviceKid">): string =>
  `(SELECT last_id FROM segments WHERE id = ?1 AND positions = ${positions} AND day_kid = ${dayKid} AND device_kid = ${deviceKid}) = ?2`;

/** Deletes at most `limit` segments of a device. @returns segments */
export async function deleteSegmentsOf(db: Db, deviceId: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM segments WHERE id IN (SELECT id FROM segments WHERE id >= ? AND id < ? LIMIT ?)",
    args: [...idsOf(deviceId), limit],
  });
  return rowsAffected;
}

/** A row of newest fixes as it was read: a statement that changes it does so only while it is the same. */
export function replaceNewestStatement(id: number, before: Uint8Array, after: Uint8Array): Statement {
  if (after.length === 0) return { sql: "DELETE FROM newest WHERE id = ? AND fixes = ?", args: [id, before] };
  return { sql: "UPDATE newest SET fixes = ? WHERE id = ? AND fixes = ?", args: [after, id, before] };
}

/** An account with its devices, those that are being removed too. */
export interface PurgedAccount {
  accountId: number;
  deviceIds: number[];
  daysDestroyed: string | null;
  /** The database with its tracks; null: the one with the accounts. */
  database: string | null;
  /** The database that they are being copied to; null: none. */
  copiedTo: string | null;
}

/** Accounts by id. */
export async function devicesOfAccounts(db: Db, after: number, limit: number): Promise<PurgedAccount[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT a.id, (SELECT json_group_array(d.id) FROM devices d WHERE d.account_id = a.id), a.days_destroyed, a.telemetry,
        (SELECT to_database FROM placements p WHERE p.account_id = a.id AND p.state IN ('copying', 'holding'))
      FROM accounts a WHERE a.id > ? ORDER BY a.id LIMIT ?`,
    args: [after, limit],
  });
  const text = (value: unknown) => (value === null ? null : String(value));
  return rows.map((row) => ({
    accountId: Number(row[0]),
    deviceIds: JSON.parse(String(row[1])) as number[],
    daysDestroyed: text(row[2]),
    database: text(row[3]),
    copiedTo: text(row[4]),
  }));
}

/** Notes what of accounts' days was destroyed. */
export async function noteDaysDestroyed(db: Db, notes: readonly { accountId: number; note: string }[]): Promise<void> {
  await db.$client.execute({
    sql: `UPDATE accounts SET days_destroyed = j.value ->> 1 FROM json_each(?) j WHERE accounts.id = (j.value ->> 0)`,
    args: [JSON.stringify(notes.map(({ accountId, note }) => [accountId, note]))],
  });
}

/** Those of some devices that are not there any more. */
export async function devicesGone(db: Db, deviceIds: readonly number[]): Promise<Set<number>> {
  if (deviceIds.length === 0) return new Set();
  const { rows } = await db.$client.execute({
    sql: "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM devices)",
    args: [JSON.stringify(deviceIds)],
  });
  return new Set(rows.map((row) => Number(row[0])));
}

/** A device about which another period began to decide, and when (Unix ms). */
export interface RescopedDevice {
  deviceId: number;
  rescopedAt: number;
}

/** Those of accounts, by account. */
export async function rescopedDevices(db: Db, accountIds: readonly number[]): Promise<Map<number, RescopedDevice[]>> {
  const { rows } = await db.$client.execute({
    sql: `SELECT account_id, id, rescoped_at FROM devices INDEXED BY devices_rescoped WHERE rescoped_at IS NOT NULL
      AND account_id IN (SELECT value FROM json_each(?)) AND deleting_at IS NULL ORDER BY id`,
    args: [JSON.stringify(accountIds)],
  });
  const found = rows.map((row) => ({
    accountId: Number(row[0]),
    device: { deviceId: Number(row[1]), rescopedAt: Number(row[2]) },
  }));
  return new Map(
    [...Map.groupBy(found, ({ accountId }) => accountId)].map(([id, all]) => [id, all.map(({ device }) => device)]),
  );
}

/** Everything of it is sealed under secrets of the period that decides now. */
export function clearRescopedStatement(deviceId: number, rescopedAt: number): Statement {
  return {
    sql: "UPDATE devices SET rescoped_at = NULL WHERE id = ? AND rescoped_at = ?",
    args: [deviceId, rescopedAt],
  };
}

/** Floors that the periods of their devices have come up to decide nothing any more. @param cutoffs without floors */
export async function clearFloors(db: Db, cutoffs: readonly DeviceCutoff[]): Promise<void> {
  if (cutoffs.length === 0) return;
  await db.$client.execute({
    sql: `UPDATE devices SET retention_floor = 0 FROM json_each(?) j
      WHERE devices.id = j.value ->> 0 AND devices.retention_floor > 0 AND devices.retention_floor <= j.value ->> 1`,
    args: [JSON.stringify(cutoffs.map(({ deviceId, cutoff }) => [deviceId, cutoff]))],
  });
}

/** The rows of newest fixes of accounts: id, account and fixes. */
export async function newestOfAccounts(db: Db, ids: readonly number[]): Promise<{ id: number; fixes: Uint8Array }[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT n.id, n.fixes FROM json_each(?) j JOIN newest n ON n.id = j.value",
    args: [JSON.stringify(ids)],
  });
  return rows.map((row) => ({ id: Number(row[0]), fixes: bytesOf(row[1]) }));
}
