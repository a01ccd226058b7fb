import { and, asc, eq, gt, isNull, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { type Reach, within } from "./reach.ts";
import { devices } from "./schema.ts";
import { SUSPENDED_SINCE } from "./suspensions.ts";

export interface DeviceRow {
  id: number;
  accountId: number;
  imei: string;
  name: string;
  model: string | null;
  clockOffsetMinutes: number;
  confirmCce: boolean;
  /** Unix ms */
  createdAt: number;
  /** Unix ms; null: it is not. */
  suspendedSince: number | null;
}

/** What can be changed about a device. */
export type DeviceSettings = Pick<DeviceRow, "name" | "model" | "clockOffsetMinutes" | "confirmCce">;

const COLUMNS = {
  id: devices.id,
  accountId: devices.accountId,
  imei: devices.imei,
  name: devices.name,
  model: devices.model,
  clockOffsetMinutes: devices.clockOffsetMinutes,
  confirmCce: sql<boolean>`${devices.confirmCce}`.mapWith((value) => value === 1),
  createdAt: devices.createdAt,
  suspendedSince: sql<number | null>`${sql.raw(SUSPENDED_SINCE)}`,
};

/** The columns of settings, and only of those that are given. */
function columnsOf({ confirmCce, ...settings }: Partial<DeviceSettings>) {
  return confirmCce === undefined ? settings : { ...settings, confirmCce: confirmCce ? 1 : 0 };
}

const opened = (db: Db, rows: readonly DeviceRow[]) => db.$fields.open("devices", rows, (row) => row.accountId);

/** @returns null when a device, of whatever account, has this IMEI */
export async function insertDevice(
  db: Db,
  accountId: number,
  device: DeviceSettings & Pick<DeviceRow, "imei" | "createdAt">,
): Promise<DeviceRow | null> {
  const { imei, createdAt, ...settings } = device;
  const sealed = await db.$fields.seal("devices", accountId, { imei, name: settings.name });
  const rows = await db
    .insert(devices)
    .values({ accountId, createdAt, ...columnsOf(settings), ...sealed })
    .onConflictDoNothing()
    .returning(COLUMNS);
  return (await opened(db, rows))[0] ?? null;
}

export async function deviceById(db: Db, reach: Reach, id: number): Promise<DeviceRow | null> {
  const rows = await db
    .select(COLUMNS)
    .from(devices)
    .where(and(eq(devices.id, id), within(reach, devices.accountId, devices.id), isNull(devices.deletingAt)));
  return (await opened(db, rows))[0] ?? null;
}

/** Devices by id. @param reach null: of all accounts, for the operator */
export async function listDevices(db: Db, reach: Reach | null, after: number, limit: number): Promise<DeviceRow[]> {
  const rows = await db
    .select(COLUMNS)
    .from(devices)
    .where(
      and(
        reach === null ? undefined : within(reach, devices.accountId, devices.id),
        gt(devices.id, after),
        reach?.frozen ? undefined : isNull(devices.deletingAt),
      ),
    )
    .orderBy(asc(devices.id))
    .limit(limit);
  return opened(db, rows);
}

/**
 * Changes a device that is still as `seen` shows it.
 * @returns null when it is not: gone, or changed by someone else
 */
export async function updateDevice(
  db: Db,
  reach: Reach,
  seen: DeviceRow,
  settings: Partial<DeviceSettings>,
): Promise<DeviceRow | null> {
  // A name that is sealed again never looks the same: while it does, it is the one that was seen.
  const [stored] = await db.select({ name: devices.name }).from(devices).where(eq(devices.id, seen.id));
  const [present] = stored === undefined ? [] : await db.$fields.open("devices", [stored], seen.accountId);
  if (stored === undefined || present?.name !== seen.name) return null;
  const rows = await db
    .update(devices)
    .set(await db.$fields.seal("devices", seen.accountId, columnsOf(settings)))
    .where(
      and(
        eq(devices.id, seen.id),
        within(reach, devices.accountId, devices.id),
        isNull(devices.deletingAt),
        eq(devices.name, stored.name),
        sql`${devices.model} IS ${seen.model}`,
        eq(devices.clockOffsetMinutes, seen.clockOffsetMinutes),
        eq(devices.confirmCce, seen.confirmCce ? 1 : 0),
      ),
    )
    .returning(COLUMNS);
  return (await opened(db, rows))[0] ?? null;
}

/**
 * Hides a device from every reader and from ingest, and frees its IMEI; its rows are removed afterwards.
 * @returns false when it is gone already
 */
export async function markDeviceDeleting(db: Db, reach: Reach, id: number, now: number): Promise<boolean> {
  const marked = await db
    .update(devices)
    .set({ deletingAt: now })
    .where(and(eq(devices.id, id), within(reach, devices.accountId, devices.id), isNull(devices.deletingAt)))
    .returning({ id: devices.id });
  return marked.length > 0;
}
