import { and, asc, eq, getTableColumns, gt, isNull, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { users } from "./schema.ts";

/** A user with everything that is stored, hashes and sealed secrets too: never to be shown as it is. */
export type UserRow = Omit<typeof users.$inferSelect, "emailIndex">;
/** What can be changed about a user. */
export type UserChange = Partial<Omit<typeof users.$inferInsert, "id" | "accountId" | "createdAt">>;

export const { emailIndex: _, ...USER_COLUMNS } = getTableColumns(users);

const same = (email: string) => email.toLowerCase();

/** Rows as they are read, with what is sealed open but the second factor's secret. */
export const openedUsers = (db: Db, rows: readonly UserRow[]) => db.$fields.open("users", rows, (row) => row.accountId);

/** @returns null when the address is somebody's already */
export async function insertUser(db: Db, user: typeof users.$inferInsert): Promise<UserRow | null> {
  const sealed = await db.$fields.seal("users", user.accountId ?? null, { ...user, email: same(user.email) });
  const rows = await db.insert(users).values(sealed).onConflictDoNothing().returning(USER_COLUMNS);
  return (await openedUsers(db, rows))[0] ?? null;
}

export async function userByEmail(db: Db, email: string): Promise<UserRow | null> {
  const index = await db.$fields.index("email", email);
  const rows = await db.select(USER_COLUMNS).from(users).where(eq(users.emailIndex, index));
  return (await openedUsers(db, rows))[0] ?? null;
}

/** What a password is checked against: nothing of it is sealed, so that who is known takes no longer than who is not. */
export type Credential = Pick<UserRow, "id" | "passwordHash" | "disabledAt">;

export async function credentialByEmail(db: Db, email: string): Promise<Credential | null> {
  const index = await db.$fields.index("email", email);
  const { id, passwordHash, disabledAt } = users;
  const rows = await db.select({ id, passwordHash, disabledAt }).from(users).where(eq(users.emailIndex, index));
  return rows[0] ?? null;
}

/** A user by id, of whatever account: for the person themself, whose id is their session's. */
export async function userById(db: Db, id: number): Promise<UserRow | null> {
  const rows = await db.select(USER_COLUMNS).from(users).where(eq(users.id, id));
  return (await openedUsers(db, rows))[0] ?? null;
}

/** Whose secret a user's fields are sealed under. @returns null for the operator's staff, and for who is gone */
export async function accountOfUser(db: Db, userId: number): Promise<number | null> {
  const [row] = await db.select({ accountId: users.accountId }).from(users).where(eq(users.id, userId));
  return row?.accountId ?? null;
}

/** @param accountId null: the operator's staff */
export async function userOf(db: Db, accountId: number | null, id: number): Promise<UserRow | null> {
  const rows = await db
    .select(USER_COLUMNS)
    .from(users)
    .where(and(eq(users.id, id), accountId === null ? isNull(users.accountId) : eq(users.accountId, accountId)));
  return (await openedUsers(db, rows))[0] ?? null;
}

/** Users by id. @param accountId null: the operator's staff. @param after the last id of the page before */
export async function listUsers(db: Db, accountId: number | null, after: number, limit: number): Promise<UserRow[]> {
  const rows = await db
    .select(USER_COLUMNS)
    .from(users)
    .where(and(accountId === null ? isNull(users.accountId) : eq(users.accountId, accountId), gt(users.id, after)))
    .orderBy(asc(users.id))
    .limit(limit);
  return openedUsers(db, rows);
}

/** How many owners an account has that can sign in. */
export async function countOwners(db: Db, accountId: number): Promise<number> {
  const [row] = await db
    .select({ count: sql<number>`count(*)` })
    .from(users)
    .where(and(eq(users.accountId, accountId), eq(users.role, "owner"), isNull(users.disabledAt)));
  return row?.count ?? 0;
}

/** @returns null when there is no such user, or the new address is somebody else's */
export async function updateUser(db: Db, id: number, change: UserChange): Promise<UserRow | null> {
  const [owner] = await db.select({ accountId: users.accountId }).from(users).where(eq(users.id, id));
  if (owner === undefined) return null;
  const checked = change.email === undefined ? change : { ...change, email: same(change.email) };
  const sealed = await db.$fields.seal("users", owner.accountId, checked);
  const free = sql`NOT EXISTS (SELECT 1 FROM users WHERE email_index = ${sealed.emailIndex ?? ""} AND id <> ${id})`;
  const rows = await db
    .update(users)
    .set(sealed)
    .where(and(eq(users.id, id), checked.email === undefined ? undefined : free))
    .returning(USER_COLUMNS);
  return (await openedUsers(db, rows))[0] ?? null;
}

/** Sets another password. @returns false when it is no longer the one that `user` had, or the session has ended */
export async function replacePassword(
  db: Db,
  { id, passwordHash: present }: Pick<UserRow, "id" | "passwordHash">,
  sessionId: number,
  passwordHash: string,
): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE users SET password_hash = ? WHERE id = ? AND password_hash IS ?
      AND EXISTS (SELECT 1 FROM sessions WHERE id = ? AND user_id = users.id)`,
    args: [passwordHash, id, present, sessionId],
  });
  return rowsAffected === 1;
}
