import { and, asc, eq, gt, isNull } from "drizzle-orm";
import type { Db } from "./db.ts";
import { apiKeys } from "./schema.ts";

export type KeyRow = Omit<typeof apiKeys.$inferSelect, "hash">;

const VISIBLE = {
  id: apiKeys.id,
  accountId: apiKeys.accountId,
  name: apiKeys.name,
  scope: apiKeys.scope,
  createdAt: apiKeys.createdAt,
  lastUsedAt: apiKeys.lastUsedAt,
  revokedAt: apiKeys.revokedAt,
};

export async function insertKey(db: Db, accountId: number, key: Omit<typeof apiKeys.$inferInsert, "accountId">) {
  const [row] = await db
    .insert(apiKeys)
    .values({ ...key, accountId })
    .returning(VISIBLE);
  return row;
}

/** The key with this hash, unless it is revoked. */
export async function keyOfHash(db: Db, hash: string): Promise<KeyRow | null> {
  const [row] = await db
    .select(VISIBLE)
    .from(apiKeys)
    .where(and(eq(apiKeys.hash, hash), isNull(apiKeys.revokedAt)));
  return row ?? null;
}

export async function markKeyUsed(db: Db, id: number, now: number): Promise<void> {
  await db.update(apiKeys).set({ lastUsedAt: now }).where(eq(apiKeys.id, id));
}

/** Keys of an account by id, revoked ones too. */
export function listKeys(db: Db, accountId: number, after: number, limit: number): Promise<KeyRow[]> {
  return db
    .select(VISIBLE)
    .from(apiKeys)
    .where(and(eq(apiKeys.accountId, accountId), gt(apiKeys.id, after)))
    .orderBy(asc(apiKeys.id))
    .limit(limit);
}

/** @returns false when there is no such key that still works */
export async function revokeKey(db: Db, id: number, now: number): Promise<boolean> {
  const revoked = await db
    .update(apiKeys)
    .set({ revokedAt: now })
    .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt)))
    .returning({ id: apiKeys.id });
  return revoked.length > 0;
}
