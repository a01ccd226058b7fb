import { eq, inArray } from "drizzle-orm";
import type { Db } from "./db.ts";
import { type ADDRESS_KINDS, addresses, deviceGroups, devices } from "./schema.ts";

export interface ImportedGroup {
  name: string;
  retentionDays: number | null;
  createdAt: number;
}

export interface ImportedDevice {
  imei: string;
  name: string;
  model: string | null;
  clockOffsetMinutes: number;
  confirmCce: number;
  createdAt: number;
  retentionDays: number | null;
  /** Which of the groups. */
  group: number | null;
}

export interface ImportedAddress {
  kind: (typeof ADDRESS_KINDS)[number];
  recipient: string | null;
  line1: string;
  line2: string | null;
  city: string;
  region: string | null;
  postcode: string | null;
  country: string;
  updatedAt: number;
}

export interface Imported {
  groups: readonly ImportedGroup[];
  devices: readonly ImportedDevice[];
  addresses: readonly ImportedAddress[];
}

/** Whether an account has nothing yet of what an import brings. */
export async function isEmpty(db: Db, accountId: number): Promise<boolean> {
  const counts = await Promise.all(
    [devices, deviceGroups, addresses].map((table) => db.$count(table, eq(table.accountId, accountId))),
  );
  return counts.every((count) => count === 0);
}

/** @returns ids of the devices in their order; null when another account has one of the IMEIs: then nothing was stored */
export async function insertImported(db: Db, accountId: number, given: Imported): Promise<number[] | null> {
  const groups: number[] = [];
  for (const group of await db.$fields.sealAll("deviceGroups", accountId, given.groups)) {
    const [made] = await db
      .insert(deviceGroups)
      .values({ ...group, accountId })
      .returning({ id: deviceGroups.id });
    groups.push(made!.id);
  }
  const ids: number[] = [];
  for (const { group, ...device } of await db.$fields.sealAll("devices", accountId, given.devices)) {
    const groupId = group === null ? null : (groups[group] ?? null);
    const [made] = await db
      .insert(devices)
      .values({ ...device, groupId, accountId })
      .onConflictDoNothing()
      .returning({ id: devices.id });
    if (made === undefined) {
      // Nothing refers to them yet.
      if (ids.length > 0) await db.delete(devices).where(inArray(devices.id, ids));
      if (groups.length > 0) await db.delete(deviceGroups).where(inArray(deviceGroups.id, groups));
      return null;
    }
    ids.push(made.id);
  }
  for (const address of await db.$fields.sealAll("addresses", accountId, given.addresses)) {
    await db.insert(addresses).values({ ...address, accountId });
  }
  return ids;
}
