import { and, asc, eq, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { passkeys } from "./schema.ts";

export type PasskeyRow = typeof passkeys.$inferSelect;

/** @returns null when the credential is known already, whosever it is */
export async function insertPasskey(db: Db, passkey: typeof passkeys.$inferInsert): Promise<PasskeyRow | null> {
  const [row] = await db.insert(passkeys).values(passkey).onConflictDoNothing().returning();
  return row ?? null;
}

/** A user's passkeys, oldest first. */
export function listPasskeys(db: Db, userId: number, limit: number): Promise<PasskeyRow[]> {
  return db.select().from(passkeys).where(eq(passkeys.userId, userId)).orderBy(asc(passkeys.id)).limit(limit);
}

/** Whosever it is: a passkey says itself who signs in. */
export async function passkeyOfCredential(db: Db, credentialId: string): Promise<PasskeyRow | null> {
  const [row] = await db.select().from(passkeys).where(eq(passkeys.credentialId, credentialId));
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
