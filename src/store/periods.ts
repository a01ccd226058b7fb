import type { InValue, Row } from "@libsql/client";
import type { Db, Statement } from "./db.ts";

/** What decides how long the positions of a device are kept; the most specific of the three numbers of days wins. */
export interface PeriodRow {
  /** 0 in the row of the account itself. */
  deviceId: number;
  /** IANA name */
  timeZone: string;
  accountDays: number | null;
  groupId: number | null;
  groupDays: number | null;
  deviceDays: number | null;
  /** Unix ms. What is older was over once and stays so. */
  floor: number;
}

/** Columns of a PeriodRow, of `devices d`, `accounts a` and `device_groups g`. */
export const PERIOD_COLUMNS =
  "d.id, a.time_zone, a.retention_days, d.group_id, g.retention_days, d.retention_days, d.retention_floor";

/** @param at where PERIOD_COLUMNS begin in the row */
export function periodRow(row: Row, at = 0): PeriodRow {
  return {
    deviceId: Number(row[at] ?? 0),
    timeZone: String(row[at + 1]),
    accountDays: row[at + 2] as number | null,
    groupId: row[at + 3] as number | null,
    groupDays: row[at + 4] as number | null,
    deviceDays: row[at + 5] as number | null,
    floor: Number(row[at + 6] ?? 0),
  };
}

/**
 * Asks for the period of one device, for a batch with what is read of the device. No row: the account has no such
 * device, or it is being removed, and `frozen` does not ask for those.
 */
export function devicePeriodStatement(accountId: number, deviceId: number, frozen = false): Statement {
  return {
    sql: `SELECT ${PERIOD_COLUMNS} FROM devices d JOIN accounts a ON a.id = d.account_id
      LEFT JOIN device_groups g ON g.id = d.group_id
      WHERE d.id = ? AND d.account_id = ?${frozen ? "" : " AND d.deleting_at IS NULL"}`,
    args: [deviceId, accountId],
  };
}

/**
 * Asks for the periods of an account, for a batch with what is read of its devices. First the account's own row, then
 * those of the devices that differ from it: one that is not there is kept as the account is.
 */
export function accountPeriodsStatement(accountId: number): Statement {
  return {
    sql: `SELECT NULL, time_zone, retention_days, NULL, NULL, NULL, 0 FROM accounts WHERE id = ?
      UNION ALL SELECT ${PERIOD_COLUMNS} FROM devices d JOIN accounts a ON a.id = d.account_id
      LEFT JOIN device_groups g ON g.id = d.group_id
      WHERE d.account_id = ? AND d.deleting_at IS NULL
        AND (d.retention_days IS NOT NULL OR d.retention_floor > 0 OR g.retention_days IS NOT NULL)`,
    args: [accountId, accountId],
  };
}

export async function readAccountPeriods(db: Db, accountId: number): Promise<PeriodRow[]> {
  const { sql, args } = accountPeriodsStatement(accountId);
  const { rows } = await db.$client.execute({ sql, args: args as InValue[] });
  return rows.map((row) => periodRow(row));
}

/** Of several accounts, in one round trip. */
export async function readPeriodsOfAll(db: Db, accountIds: readonly number[]): Promise<PeriodRow[][]> {
  if (accountIds.length === 0) return [];
  const results = await db.$client.batch(
    accountIds.map((accountId) => accountPeriodsStatement(accountId)),
    "read",
  );
  return results.map(({ rows }) => rows.map((row) => periodRow(row)));
}
