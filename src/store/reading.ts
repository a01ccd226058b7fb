import type { InValue, Row } from "@libsql/client";
import type { Statement } from "./db.ts";
import { PERIOD_COLUMNS, type PeriodRow, periodRow } from "./periods.ts";
import type { Reach } from "./reach.ts";

/** The condition that a device is one of some; nothing at all for a caller who may see every device. */
function limitedTo(devices: Reach["devices"]): { sql: string; args: InValue[] } {
  if (devices === null) return { sql: "", args: [] };
  return { sql: "AND d.id IN (SELECT value FROM json_each(?))", args: [JSON.stringify(devices)] };
}

/** Devices within reach behind `after` by id, with what decides how long their positions are kept. */
export function devicesStatement({ accountId, devices }: Reach, after: number, limit: number): Statement {
  const limited = limitedTo(devices);
  return {
    sql: `SELECT ${PERIOD_COLUMNS} FROM devices d JOIN accounts a ON a.id = d.account_id
      LEFT JOIN device_groups g ON g.id = d.group_id
      WHERE d.account_id = ? AND d.id > ? AND d.deleting_at IS NULL ${limited.sql} ORDER BY d.id LIMIT ?`,
    args: [accountId, after, ...limited.args, limit],
  };
}

export const deviceRows = (rows: readonly Row[]): PeriodRow[] => rows.map((row) => periodRow(row));

/** The rows of newest fixes that these devices of an account can have. @param devices of one row */
export function newestOfDevicesStatement(reach: Reach, after: number, limit: number, devices: number): Statement {
  const limited = limitedTo(reach.devices);
  return {
    sql: `SELECT n.id, n.fixes FROM newest n WHERE n.id IN (SELECT d.account_id * 2097152 + d.id / ${devices} FROM devices d
      WHERE d.account_id = ? AND d.id > ? AND d.deleting_at IS NULL ${limited.sql} ORDER BY d.id LIMIT ?)`,
    args: [reach.accountId, after, ...limited.args, limit],
  };
}
