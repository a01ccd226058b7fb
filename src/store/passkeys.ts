import { and, asc, eq, getTableColumns, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { passkeys } from "./schema.ts";
import { accountOfUser } from "./users.ts";

export type PasskeyRow = typeof passkeys.$inferSelect;

/** @returns null when the credential is known already, whosever it is */
export async function insertPasskey(db: Db, passkey: typeof passkeys.$inferInsert): Promise<PasskeyRow | null> {
  const account = await accountOfUser(db, passkey.userId);
  const sealed = await db.$fields.seal("passkeys", account, passkey);
  const rows = await db.insert(passkeys).values(sealed).onConflictDoNothing().returning();
  return (await db.$fields.open("passkeys", rows, account))[0] ?? null;
}

/** A user's passkeys, oldest first. */
export async function listPasskeys(db: Db, userId: number, limit: number): Promise<PasskeyRow[]> {
  const rows = await db
    .select()
    .from(passkeys)
    .where(eq(passkeys.userId, userId))
    .orderBy(asc(passkeys.id))
    .limit(limit);
  return db.$fields.open("passkeys", rows, await accountOfUser(db, userId));
}

/** Whosever it is: a passkey says itself who signs in. Its name is not needed for that and stays sealed. */
export async function passkeyOfCredential(db: Db, credentialId: string): Promise<Omit<PasskeyRow, "name"> | null> {
  const { name: _, ...columns } = getTableColumns(passkeys);
  const [row] = await db.select(columns).from(passkeys).where(eq(passkeys.credentialId, credentialId));
  return row ?? null;
}

/** Writes that a passkey signed. @returns false when its counter did not go on: then there may be a copy of it */
export async function markPasskeyUsed(db: Db, id: number, signCount: number, now: number): Promise<boolean> {
  const goesOn = sql`(${passkeys.signCount} < ${signCount} OR (${passkeys.signCount} = 0 AND ${signCount} = 0))`;
  const used = await db
    .update(passkeys)
    .set({ signCount, lastUsedAt: now })
    .where(and(eq(passkeys.id, id), goesOn))
    .returning({ id: passkeys.id });
  return used.length > 0;
}

/** @returns false when the user has no such passkey */
export async function deletePasskey(db: Db, userId: number, id: number): Promise<boolean> {
  const gone = await db
    .delete(passkeys)
    .where(and(eq(passkeys.id, id), eq(passkeys.userId, userId)))
    .returning({ id: passkeys.id });
  return gone.length > 0;
}
