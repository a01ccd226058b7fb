import { count, eq } from "drizzle-orm";
import type { Db, Statement } from "./db.ts";
import { BEYOND_MAKER } from "./keys.ts";
import { type CUSTOMER_ROLES, users } from "./schema.ts";

export interface DeviceLimit {
  id: number;
  mayEdit: boolean;
}

export interface MemberRow {
  id: number;
  email: string;
  name: string | null;
  role: (typeof CUSTOMER_ROLES)[number];
  deviceLimited: boolean;
  /** Empty unless limited. */
  devices: DeviceLimit[];
  /** invited: has not taken the invitation. */
  state: "invited" | "active" | "disabled";
  language: string;
  timeZone: string;
  /** Unix ms */
  createdAt: number;
  lastSignInAt: number | null;
}

const SELECT = `SELECT u.id, u.email, u.name, u.role, u.device_limited, u.email_verified_at, u.disabled_at, u.language, u.time_zone,
    u.created_at, u.last_sign_in_at,
    CASE u.device_limited WHEN 1 THEN (SELECT json_group_array(json_array(l.device_id, l.may_edit)) FROM user_devices l
      JOIN devices d ON d.id = l.device_id AND d.deleting_at IS NULL WHERE l.user_id = u.id) ELSE '[]' END
  FROM users u WHERE u.account_id = ?`;

async function members(db: Db, accountId: number, more: Statement): Promise<MemberRow[]> {
  const { rows } = await db.$client.execute({ sql: SELECT + more.sql, args: [accountId, ...more.args] });
  const list = rows.map((row) => ({
    id: row[0] as number,
    email: row[1] as string,
    name: row[2] as string | null,
    role: row[3] as MemberRow["role"],
    deviceLimited: row[4] === 1,
    state: row[5] === null ? "invited" : row[6] === null ? "active" : "disabled",
    language: row[7] as string,
    timeZone: row[8] as string,
    createdAt: row[9] as number,
    lastSignInAt: row[10] as number | null,
    devices: (JSON.parse(row[11] as string) as [number, number][]).map(([id, edit]) => ({ id, mayEdit: edit === 1 })),
  }));
  return db.$fields.open("users", list as MemberRow[], accountId);
}

/** Users of an account by id. @param after the last id of the page before */
export const listMembers = (db: Db, accountId: number, after: number, limit: number) =>
  members(db, accountId, { sql: " AND u.id > ? ORDER BY u.id LIMIT ?", args: [after, limit] });

export async function memberOf(db: Db, accountId: number, id: number): Promise<MemberRow | null> {
  const [row] = await members(db, accountId, { sql: " AND u.id = ?", args: [id] });
  return row ?? null;
}

/** The member of this account with this address. */
export async function memberByEmail(db: Db, accountId: number, email: string): Promise<MemberRow | null> {
  const index = await db.$fields.index("email", email);
  const [row] = await members(db, accountId, { sql: " AND u.email_index = ?", args: [index] });
  return row ?? null;
}

/** Owners of an account who can sign in. */
export const listOwners = (db: Db, accountId: number) =>
  members(db, accountId, {
    sql: " AND u.role = 'owner' AND u.email_verified_at IS NOT NULL AND u.disabled_at IS NULL",
    args: [],
  });

export async function countMembers(db: Db, accountId: number): Promise<number> {
  const [row] = await db.select({ n: count() }).from(users).where(eq(users.accountId, accountId));
  return row?.n ?? 0;
}

/** Which of these devices an account has. */
export async function devicesAmong(db: Db, accountId: number, ids: readonly number[]): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT id FROM devices WHERE account_id = ? AND deleting_at IS NULL AND id IN (SELECT value FROM json_each(?))`,
    args: [accountId, JSON.stringify(ids)],
  });
  return rows.map((row) => row[0] as number);
}

/** Of devices that are not the account's, and for a user who is not limited, nothing is stored. */
const limitTo = (accountId: number, id: number, devices: readonly DeviceLimit[]): Statement => ({
  sql: `INSERT INTO user_devices (user_id, device_id, may_edit)
    SELECT u.id, d.id, max(l.value ->> 'mayEdit') FROM users u, json_each(?) l
      JOIN devices d ON d.id = l.value ->> 'id' AND d.account_id = u.account_id AND d.deleting_at IS NULL
    WHERE u.id = ? AND u.account_id = ? AND u.device_limited = 1 GROUP BY d.id`,
  args: [JSON.stringify(devices), id, accountId],
});

/** Gives a limited user, who has none yet, their devices. */
export async function insertLimits(db: Db, accountId: number, id: number, devices: readonly DeviceLimit[]) {
  await db.$client.execute(limitTo(accountId, id, devices));
}

/** Another owner who can sign in: arguments are account and user. */
const OTHER_OWNER = `EXISTS (SELECT 1 FROM users o WHERE o.account_id = ? AND o.id <> ? AND o.role = 'owner'
  AND o.email_verified_at IS NOT NULL AND o.disabled_at IS NULL)`;

/**
 * Changes role and limits at once, and revokes the keys of theirs that can now do more than they can.
 * @param devices null: the limits stay as they are
 * @returns the revoked keys; null when the account has no such user, or would be without an owner
 */
export async function changeMember(
  db: Db,
  accountId: number,
  id: number,
  {
    role,
    deviceLimited,
    devices,
  }: Pick<MemberRow, "role" | "deviceLimited"> & { devices: readonly DeviceLimit[] | null },
  now: number,
): Promise<number[] | null> {
  const results = await db.$client.batch(
    [
      {
        sql: `UPDATE users SET role = ?, device_limited = ?
          WHERE id = ? AND account_id = ? AND (role <> 'owner' OR ? = 'owner' OR ${OTHER_OWNER})`,
        args: [role, deviceLimited ? 1 : 0, id, accountId, role, accountId, id],
      },
      {
        sql: `DELETE FROM user_devices WHERE user_id IN
          (SELECT id FROM users WHERE id = ? AND account_id = ? AND (device_limited = 0 OR ? = 1))`,
        args: [id, accountId, devices === null ? 0 : 1],
      },
      limitTo(accountId, id, devices ?? []),
      {
        sql: `UPDATE api_keys SET revoked_at = ?
          WHERE account_id = ? AND made_by = ? AND revoked_at IS NULL AND EXISTS (SELECT 1 FROM users u WHERE u.id = made_by
            AND ${BEYOND_MAKER})
          RETURNING id`,
        args: [now, accountId, id],
      },
    ],
    "write",
  );
  return results[0]!.rowsAffected === 0 ? null : results[3]!.rows.map((row) => row[0] as number);
}

/**
 * Removes a user with their sessions, and revokes the keys that they made.
 * @returns the revoked keys; null when the account has no such user, or would be without an owner
 */
export async function deleteMember(db: Db, accountId: number, id: number, now: number): Promise<number[] | null> {
  const removable = `u.id = ? AND u.account_id = ? AND (u.role <> 'owner' OR ${OTHER_OWNER})`;
  const which = [id, accountId, accountId, id];
  const results = await db.$client.batch(
    [
      {
        sql: `UPDATE api_keys SET revoked_at = ? WHERE account_id = ? AND made_by = ? AND revoked_at IS NULL
          AND EXISTS (SELECT 1 FROM users u WHERE ${removable}) RETURNING id`,
        args: [now, accountId, id, ...which],
      },
      { sql: `DELETE FROM users WHERE id IN (SELECT u.id FROM users u WHERE ${removable})`, args: which },
    ],
    "write",
  );
  return results[1]!.rowsAffected === 0 ? null : results[0]!.rows.map((row) => row[0] as number);
}
