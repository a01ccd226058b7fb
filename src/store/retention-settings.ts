import type { InValue } from "@libsql/client";
import { and, asc, desc, eq, gt, lt, sql } from "drizzle-orm";
import type { AuditRow } from "./audit.ts";
import type { Db, Statement } from "./db.ts";
import { deviceGroups, purges } from "./schema.ts";

export type GroupRow = typeof deviceGroups.$inferSelect;

/** What decides about one device, and its name. */
export interface DeviceKeeping {
  name: string;
  days: number | null;
  groupId: number | null;
  /** Unix ms */
  floor: number;
}

/** Everything that decides how long the positions of an account are kept. */
export interface RetentionState {
  /** Another number with each change. */
  version: number;
  timeZone: string;
  days: number | null;
  groups: ReadonlyMap<number, { name: string; days: number | null }>;
  devices: ReadonlyMap<number, DeviceKeeping>;
}

const maybe = (value: unknown) => (value === null ? null : Number(value));

/** As it is at one moment. @returns null when there is no such account */
export async function readRetention(db: Db, accountId: number): Promise<RetentionState | null> {
  const [account, groups, devices] = await db.$client.batch(
    [
      { sql: "SELECT retention_version, time_zone, retention_days FROM accounts WHERE id = ?", args: [accountId] },
      { sql: "SELECT id, name, retention_days FROM device_groups WHERE account_id = ? ORDER BY id", args: [accountId] },
      {
        sql: `SELECT id, name, retention_days, group_id, retention_floor FROM devices
          WHERE account_id = ? AND deleting_at IS NULL ORDER BY id`,
        args: [accountId],
      },
    ],
    "read",
  );
  const row = account!.rows[0];
  if (row === undefined) return null;
  const named = (rows: typeof devices.rows) => rows.map((each) => ({ id: Number(each[0]), name: String(each[1]) }));
  const [groupNames, deviceNames] = await Promise.all([
    db.$fields.open("deviceGroups", named(groups!.rows), accountId),
    db.$fields.open("devices", named(devices!.rows), accountId),
  ]);
  return {
    version: Number(row[0]),
    timeZone: String(row[1]),
    days: maybe(row[2]),
    groups: new Map(groupNames.map(({ id, name }, i) => [id, { name, days: maybe(groups!.rows[i]![2]) }])),
    devices: new Map(
      deviceNames.map(({ id, name }, i) => {
        const [, , days, groupId, floor] = Array.from(devices!.rows[i]!);
        return [id, { name, days: maybe(days), groupId: maybe(groupId), floor: Number(floor) }];
      }),
    ),
  };
}

/** The version of an account's settings; 0: they were never changed. */
export async function retentionVersion(db: Db, accountId: number): Promise<number> {
  const { rows } = await db.$client.execute({
    sql: "SELECT retention_version FROM accounts WHERE id = ?",
    args: [accountId],
  });
  return Number(rows[0]?.[0] ?? 0);
}

/** What a change writes: only what differs. */
export interface RetentionWrite {
  /** The version that the change was made of, and the one that it makes. */
  seen: number;
  version: number;
  timeZone: string;
  days: number | null;
  groups: readonly { id: number; days: number | null }[];
  removedGroups: readonly number[];
  devices: readonly {
    id: number;
    days: number | null;
    groupId: number | null;
    floor: number;
    /** Unix ms; null: the same period decides as before */
    rescopedAt: number | null;
  }[];
  acts: readonly Omit<AuditRow, "id" | "accountId">[];
}

/**
 * Writes a change, all of it or nothing.
 * @returns false when something else was changed since it was read
 */
export async function writeRetention(db: Db, accountId: number, write: RetentionWrite): Promise<boolean> {
  const { version, seen, timeZone, days } = write;
  const ours = "EXISTS (SELECT 1 FROM accounts a WHERE a.id = ? AND a.retention_version = ?)";
  const guard: InValue[] = [accountId, version];
  const statements: Statement[] = [
    {
      sql: `UPDATE accounts SET retention_version = ?, time_zone = ?, retention_days = ?
        WHERE id = ? AND retention_version = ?`,
      args: [version, timeZone, days, accountId, seen],
    },
    {
      sql: `UPDATE device_groups SET retention_days = v.value ->> 'days' FROM json_each(?) v
        WHERE device_groups.id = v.value ->> 'id' AND device_groups.account_id = ? AND ${ours}`,
      args: [JSON.stringify(write.groups), accountId, ...guard],
    },
    {
      sql: `UPDATE devices SET retention_days = v.value ->> 'days', group_id = v.value ->> 'groupId',
          retention_floor = v.value ->> 'floor', rescoped_at = coalesce(v.value ->> 'rescopedAt', rescoped_at)
        FROM json_each(?) v WHERE devices.id = v.value ->> 'id' AND devices.account_id = ? AND ${ours}`,
      args: [JSON.stringify(write.devices), accountId, ...guard],
    },
    {
      sql: `DELETE FROM device_groups WHERE id IN (SELECT value FROM json_each(?)) AND account_id = ? AND ${ours}`,
      args: [JSON.stringify(write.removedGroups), accountId, ...guard],
    },
    {
      sql: `INSERT INTO audit (at, actor, actor_id, action, account_id, subject, reason)
        SELECT value ->> 'at', value ->> 'actor', value ->> 'actorId', value ->> 'action', ?, value ->> 'subject', NULL
        FROM json_each(?) WHERE ${ours}`,
      args: [accountId, JSON.stringify(write.acts), ...guard],
    },
  ];
  const [first] = await db.$client.batch(statements, "write");
  return first!.rowsAffected > 0;
}

/** @returns null when the account has as many as it can */
export async function insertGroup(
  db: Db,
  accountId: number,
  group: Pick<GroupRow, "name" | "retentionDays" | "createdAt">,
  max: number,
): Promise<GroupRow | null> {
  if ((await db.$count(deviceGroups, eq(deviceGroups.accountId, accountId))) >= max) return null;
  const sealed = await db.$fields.seal("deviceGroups", accountId, group);
  const rows = await db
    .insert(deviceGroups)
    .values({ accountId, ...sealed })
    .returning();
  return (await opened(db, rows))[0] ?? null;
}

const opened = (db: Db, rows: readonly GroupRow[]) => db.$fields.open("deviceGroups", rows, (row) => row.accountId);

export async function groupById(db: Db, accountId: number, id: number): Promise<GroupRow | null> {
  const rows = await db
    .select()
    .from(deviceGroups)
    .where(and(eq(deviceGroups.id, id), eq(deviceGroups.accountId, accountId)));
  return (await opened(db, rows))[0] ?? null;
}

/** Groups by id. @param after the last id of the page before */
export async function listGroups(db: Db, accountId: number, after: number, limit: number): Promise<GroupRow[]> {
  const rows = await db
    .select()
    .from(deviceGroups)
    .where(and(eq(deviceGroups.accountId, accountId), gt(deviceGroups.id, after)))
    .orderBy(asc(deviceGroups.id))
    .limit(limit);
  return opened(db, rows);
}

export async function renameGroup(db: Db, accountId: number, id: number, name: string): Promise<GroupRow | null> {
  const rows = await db
    .update(deviceGroups)
    .set(await db.$fields.seal("deviceGroups", accountId, { name }))
    .where(and(eq(deviceGroups.id, id), eq(deviceGroups.accountId, accountId)))
    .returning();
  return (await opened(db, rows))[0] ?? null;
}

export interface Purge {
  /** UTC, days since 1970 */
  day: number;
  positions: number;
}

/** Adds to what retention deleted of an account on a day. */
export function purgeStatement(accountId: number, { day, positions }: Purge): Statement {
  return {
    sql: `INSERT INTO purges (account_id, day, positions) SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ?)
      ON CONFLICT (account_id, day) DO UPDATE SET positions = positions + excluded.positions`,
    args: [accountId, day, positions, accountId],
  };
}

/** What retention deleted of an account, newest first. */
export function listPurges(db: Db, accountId: number, limit: number): Promise<Purge[]> {
  return db
    .select({ day: purges.day, positions: purges.positions })
    .from(purges)
    .where(eq(purges.accountId, accountId))
    .orderBy(desc(purges.day))
    .limit(limit);
}

/** Forgets what was deleted before a day. @returns rows */
export async function deletePurgesBefore(db: Db, day: number, limit: number): Promise<number> {
  const { rowsAffected } = await db
    .delete(purges)
    .where(
      and(
        lt(purges.day, day),
        sql`(account_id, day) IN (SELECT account_id, day FROM purges WHERE day < ${day} LIMIT ${limit})`,
      ),
    );
  return rowsAffected;
}
