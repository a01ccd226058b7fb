import { and, desc, eq, isNull, sql } from "drizzle-orm";
import type { AccountRow, AddressRow } from "./accounts.ts";
import type { Db } from "./db.ts";
import { type Reach, within } from "./reach.ts";
import {
  type ADDRESS_KINDS,
  acceptances,
  accounts,
  addresses,
  devices,
  passkeys,
  recentDevices,
  recoveryCodes,
} from "./schema.ts";

export type AddressKind = (typeof ADDRESS_KINDS)[number];

export interface Accepted {
  kind: "privacy" | "terms" | "notice";
  version: number;
  language: string;
  acceptedAt: number;
}

/** What an account accepted last of each kind. */
export async function lastAcceptances(db: Db, accountId: number): Promise<Accepted[]> {
  return db
    .select({
      kind: acceptances.kind,
      version: acceptances.version,
      language: acceptances.language,
      acceptedAt: acceptances.acceptedAt,
    })
    .from(acceptances)
    .where(
      sql`${acceptances.id} IN (SELECT max(id) FROM acceptances WHERE account_id = ${accountId} GROUP BY kind, document_id)`,
    )
    .orderBy(desc(acceptances.id))
    .limit(20);
}

/** How many passkeys and recovery codes a user has. */
export async function factorsOf(db: Db, userId: number): Promise<{ passkeys: number; recoveryCodes: number }> {
  return {
    passkeys: await db.$count(passkeys, eq(passkeys.userId, userId)),
    recoveryCodes: await db.$count(recoveryCodes, eq(recoveryCodes.userId, userId)),
  };
}

/** Deletes what a preference had collected about a user, now that it is off. */
export async function forgetPreference(db: Db, userId: number, which: "recent_devices" | "searches"): Promise<void> {
  await db.$client.execute({ sql: `DELETE FROM ${which} WHERE user_id = ?`, args: [userId] });
}

export async function updateAccount(
  db: Db,
  accountId: number,
  change: Partial<Pick<AccountRow, "name" | "paymentMode">>,
): Promise<void> {
  const sealed = await db.$fields.seal("accounts", accountId, change);
  await db.update(accounts).set(sealed).where(eq(accounts.id, accountId));
}

export async function setAddress(db: Db, accountId: number, address: Omit<AddressRow, "accountId">): Promise<void> {
  const { kind, ...clear } = address;
  const rest = await db.$fields.seal("addresses", accountId, clear);
  await db
    .insert(addresses)
    .values({ accountId, kind, ...rest })
    .onConflictDoUpdate({ target: [addresses.accountId, addresses.kind], set: rest });
}

export async function deleteAddress(db: Db, accountId: number, kind: AddressKind): Promise<void> {
  await db.delete(addresses).where(and(eq(addresses.accountId, accountId), eq(addresses.kind, kind)));
}

/**
 * Notes that a user looked at a device, if personalisation is on at that moment, and keeps the newest `keep`. One
 * statement decides and writes: nothing slips in after it was switched off.
 */
export async function noteDeviceSeen(
  db: Db,
  { userId, accountId }: { userId: number; accountId: number },
  deviceId: number,
  now: number,
  keep: number,
): Promise<void> {
  await db.$client.batch(
    [
      {
        sql: `INSERT INTO recent_devices (user_id, device_id, seen_at)
          SELECT u.id, d.id, ? FROM users u JOIN devices d ON d.id = ? AND d.account_id = u.account_id
          WHERE u.id = ? AND u.account_id = ? AND u.personalisation = 1
          ON CONFLICT (user_id, device_id) DO UPDATE SET seen_at = excluded.seen_at`,
        args: [now, deviceId, userId, accountId],
      },
      {
        sql: `DELETE FROM recent_devices WHERE user_id = ? AND device_id NOT IN (
          SELECT device_id FROM recent_devices WHERE user_id = ? ORDER BY seen_at DESC, device_id LIMIT ?)`,
        args: [userId, userId, keep],
      },
    ],
    "write",
  );
}

/** The devices that a user looked at last, of those in reach. */
export async function recentDevicesOf(
  db: Db,
  reach: Reach,
  userId: number,
): Promise<{ id: number; name: string; seenAt: number }[]> {
  const rows = await db
    .select({ id: devices.id, name: devices.name, seenAt: recentDevices.seenAt })
    .from(recentDevices)
    .innerJoin(devices, eq(devices.id, recentDevices.deviceId))
    .where(
      and(eq(recentDevices.userId, userId), within(reach, devices.accountId, devices.id), isNull(devices.deletingAt)),
    )
    .orderBy(desc(recentDevices.seenAt), devices.id);
  return db.$fields.open("devices", rows, reach.accountId);
}
