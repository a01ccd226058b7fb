import type { Row } from "@libsql/client";
import type { Db } from "./db.ts";
import { PERIOD_COLUMNS, type PeriodRow, periodRow } from "./periods.ts";
import { ERASED_COLUMN, type Erased, erasedOf } from "./tombstones.ts";

/** A device whose positions can be settled, with what decides how long they are kept. */
export interface SettledDevice extends PeriodRow {
  accountId: number;
  /** The database with its account's tracks; null: the one with the accounts. */
  database: string | null;
  /** Stretches of its fixes that were erased, of which nothing is stored again; null: none. */
  erased: Erased | null;
}

/** Those of the devices that are there and not being removed. */
export async function liveDevices(db: Db, deviceIds: readonly number[]): Promise<Map<number, SettledDevice>> {
  const { rows } = await db.$client.execute({
    sql: `SELECT d.account_id, a.telemetry, ${ERASED_COLUMN}, ${PERIOD_COLUMNS} FROM json_each(?) j JOIN devices d ON d.id = j.value
      JOIN accounts a ON a.id = d.account_id LEFT JOIN device_groups g ON g.id = d.group_id WHERE d.deleting_at IS NULL`,
    args: [JSON.stringify(deviceIds)],
  });
  return new Map(
    rows.map((row: Row) => {
      const period = periodRow(row, 3);
      const database = row[1] === null ? null : String(row[1]);
      return [period.deviceId, { ...period, accountId: Number(row[0]), database, erased: erasedOf(row[2]) }];
    }),
  );
}
