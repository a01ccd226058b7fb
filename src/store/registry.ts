import type { Db } from "./db.ts";
import { SUSPENDED_COLUMN, type Suspended, suspendedOf } from "./suspensions.ts";
import { ERASED_COLUMN, type Erased, erasedOf } from "./tombstones.ts";

/** What ingest must know of a device. */
export interface RegisteredDevice {
  id: number;
  accountId: number;
  imei: string;
  model: string | null;
  clockOffsetMinutes: number;
  confirmCce: boolean;
  /** What of its positions is not stored: bits of codec/collect.ts. */
  collection: number;
  /** The database with its account's tracks; null: the one with the accounts. */
  database: string | null;
  /** Its account's tracks are just being moved: nothing is taken for it until they are. */
  held: boolean;
  /** Unix ms. What was received before belongs to whoever had the IMEI then. */
  createdAt: number;
  /** Stretches of its fixes that were erased, of which nothing is taken again; null: none. */
  erased: Erased | null;
  /** Times in which nothing of it is taken; null: none. */
  suspended: Suspended | null;
}

export interface RegistryRead {
  /** As of the same moment as the devices. */
  version: number;
  devices: RegisteredDevice[];
  bridgeId: number;
  /** Whether that bridge exists and is not revoked; the configured one (id 0) always is. */
  bridge: boolean;
  /** Whether any tracker is silenced (src/silenced.ts). */
  silenced: boolean;
}

/** Reads the devices that have one of these IMEIs. */
export async function readRegistry(db: Db, bridgeId: number, imeis: readonly string[]): Promise<RegistryRead> {
  const indexes = await db.$fields.indexAll("imei", imeis);
  const byIndex = new Map<unknown, string>(indexes.map((index, i) => [index, imeis[i]!]));
  const [state, devices] = await db.$client.batch(
    [
      {
        sql: `SELECT version, ? = 0 OR EXISTS (SELECT 1 FROM bridges WHERE id = ? AND revoked_at IS NULL),
          EXISTS (SELECT 1 FROM silenced) FROM registry`,
        args: [bridgeId, bridgeId],
      },
      {
        sql: `SELECT id, account_id, imei_index, model, clock_offset_minutes, confirm_cce, created_at,
            (SELECT collection FROM accounts WHERE accounts.id = d.account_id),
            (SELECT telemetry FROM accounts WHERE accounts.id = d.account_id),
            EXISTS (SELECT 1 FROM placements p WHERE p.account_id = d.account_id AND p.state = 'holding'), ${ERASED_COLUMN},
            ${SUSPENDED_COLUMN}
          FROM devices d
          WHERE imei_index IN (SELECT value FROM json_each(?)) AND deleting_at IS NULL`,
        args: [JSON.stringify(indexes)],
      },
    ],
    "deferred",
  );
  return {
    version: Number(state.rows[0][0]),
    bridgeId,
    bridge: state.rows[0][1] === 1,
    silenced: state.rows[0][2] === 1,
    devices: devices.rows.map((row) => ({
      id: Number(row[0]),
      accountId: Number(row[1]),
      imei: byIndex.get(row[2]) ?? "",
      model: row[3] === null ? null : String(row[3]),
      clockOffsetMinutes: Number(row[4]),
      confirmCce: row[5] === 1,
      createdAt: Number(row[6]),
      collection: Number(row[7]),
      database: row[8] === null ? null : String(row[8]),
      held: row[9] === 1,
      erased: erasedOf(row[10]),
      suspended: suspendedOf(row[11]),
    })),
  };
}

/** The bridge with this token hash that is not revoked, and the version of which that is true. */
export async function readBridge(db: Db, hash: string): Promise<{ version: number; id: number | null }> {
  const { rows } = await db.$client.execute({
    sql: "SELECT version, (SELECT id FROM bridges WHERE hash = ? AND revoked_at IS NULL) FROM registry",
    args: [hash],
  });
  return { version: Number(rows[0][0]), id: rows[0][1] === null ? null : Number(rows[0][1]) };
}
