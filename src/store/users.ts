import { and, asc, eq, gt, isNull, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { users } from "./schema.ts";

/** A user with everything that is stored, hashes and sealed secrets too: never to be shown as it is. */
export type UserRow = typeof users.$inferSelect;
/** What can be changed about a user. */
export type UserChange = Partial<Omit<typeof users.$inferInsert, "id" | "accountId" | "createdAt">>;

const same = (email: string) => email.toLowerCase();

/** @returns null when the address is somebody's already */
export async function insertUser(db: Db, user: typeof users.$inferInsert): Promise<UserRow | null> {
  const [row] = await db
    .insert(users)
    .values({ ...user, email: same(user.email) })
    .onConflictDoNothing()
    .returning();
  return row ?? null;
}

export async function userByEmail(db: Db, email: string): Promise<UserRow | null> {
  const [row] = await db
    .select()
    .from(users)
    .where(eq(users.email, same(email)));
  return row ?? null;
}

/** A user by id, of whatever account: for the person themself, whose id is their session's. */
export async function userById(db: Db, id: number): Promise<UserRow | null> {
  const [row] = await db.select().from(users).where(eq(users.id, id));
  return row ?? null;
}

/** @param accountId null: the operator's staff */
export async function userOf(db: Db, accountId: number | null, id: number): Promise<UserRow | null> {
  const [row] = await db
    .select()
    .from(users)
    .where(and(eq(users.id, id), accountId === null ? isNull(users.accountId) : eq(users.accountId, accountId)));
  return row ?? null;
}

/** Users by id. @param accountId null: the operator's staff. @param after the last id of the page before */
export function listUsers(db: Db, accountId: number | null, after: number, limit: number): Promise<UserRow[]> {
  return db
    .select()
    .from(users)
    .where(and(accountId === null ? isNull(users.accountId) : eq(users.accountId, accountId), gt(users.id, after)))
    .orderBy(asc(users.id))
    .limit(limit);
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
  const checked = change.email === undefined ? change : { ...change, email: same(change.email) };
  const taken = sql`NOT EXISTS (SELECT 1 FROM users WHERE email = ${checked.email ?? ""} AND id <> ${id})`;
  const [row] = await db
    .update(users)
    .set(checked)
    .where(and(eq(users.id, id), checked.email === undefined ? undefined : taken))
    .returning();
  return row ?? null;
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
