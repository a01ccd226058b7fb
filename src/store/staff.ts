import { and, eq, isNull, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { tokens, users } from "./schema.ts";
import { openedUsers, USER_COLUMNS, type UserChange, type UserRow } from "./users.ts";

/** Administrators who can act now: joined, not disabled, trained. */
const WORKING = "account_id IS NULL AND role = 'admin' AND disabled_at IS NULL AND email_verified_at IS NOT NULL";

/** True when there is an administrator who has joined, trained or not. */
export async function hasAdmin(db: Db): Promise<boolean> {
  const { rows } = await db.$client.execute({ sql: `SELECT EXISTS (SELECT 1 FROM users WHERE ${WORKING})`, args: [] });
  return rows[0]?.[0] === 1;
}

/** Somebody other than this one administers: in one statement with the change, so that two cannot remove each other. */
const anotherAdmin = (id: number, now: number) =>
  sql`EXISTS (SELECT 1 FROM users AS other WHERE other.account_id IS NULL AND other.role = 'admin' AND other.disabled_at IS NULL
    AND other.email_verified_at IS NOT NULL AND other.training_valid_until > ${now} AND other.id <> ${id})`;

/**
 * Changes one of the staff. @param keepAdmin only while another administrator can act
 * @returns null when there is no such one, or nobody else administers
 */
export async function updateStaff(
  db: Db,
  id: number,
  change: UserChange,
  keepAdmin: { now: number } | null,
): Promise<UserRow | null> {
  const rows = await db
    .update(users)
    .set(await db.$fields.seal("users", null, change))
    .where(
      and(eq(users.id, id), isNull(users.accountId), keepAdmin === null ? undefined : anotherAdmin(id, keepAdmin.now)),
    )
    .returning(USER_COLUMNS);
  return (await openedUsers(db, rows))[0] ?? null;
}

/** The same, removing. @returns false when there is no such one, or nobody else administers */
export async function deleteStaff(db: Db, id: number, keepAdmin: { now: number } | null): Promise<boolean> {
  const gone = await db
    .delete(users)
    .where(
      and(eq(users.id, id), isNull(users.accountId), keepAdmin === null ? undefined : anotherAdmin(id, keepAdmin.now)),
    )
    .returning({ id: users.id });
  return gone.length > 0;
}

/**
 * Makes the first administrator, only while there is none.
 * @returns the id; null when somebody was quicker, or the address is taken
 */
export async function insertFirstAdmin(
  db: Db,
  admin: {
    email: string;
    name: string | null;
    passwordHash: string;
    language: string;
    trainingValidUntil: number;
    now: number;
  },
): Promise<number | null> {
  const sealed = await db.$fields.seal("users", null, { email: admin.email.toLowerCase(), name: admin.name });
  const { rows } = await db.$client.execute({
    sql: `INSERT INTO users (role, email, email_index, email_verified_at, name, password_hash, language, training_valid_until,
        created_at, last_sign_in_at)
      SELECT 'admin', ?, ?, ?, ?, ?, ?, ?, ?, ?
      WHERE NOT EXISTS (SELECT 1 FROM users WHERE ${WORKING}) ON CONFLICT DO NOTHING RETURNING id`,
    args: [
      sealed.email,
      sealed.emailIndex ?? null,
      admin.now,
      sealed.name,
      admin.passwordHash,
      admin.language,
      admin.trainingValidUntil,
      admin.now,
      admin.now,
    ],
  });
  return (rows[0]?.[0] as number | undefined) ?? null;
}

/** Ends every setup link. */
export async function dropSetupTokens(db: Db): Promise<void> {
  await db.delete(tokens).where(eq(tokens.kind, "setup"));
}
