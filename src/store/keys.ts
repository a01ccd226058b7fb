import { and, asc, eq, gt, isNull } from "drizzle-orm";
import type { Db } from "./db.ts";
import { apiKeys } from "./schema.ts";
import { ACCOUNT_STANDING, type Admitted, admittedOf } from "./standing.ts";

export type KeyRow = Omit<typeof apiKeys.$inferSelect, "hash">;

const VISIBLE = {
  id: apiKeys.id,
  accountId: apiKeys.accountId,
  name: apiKeys.name,
  scope: apiKeys.scope,
  createdAt: apiKeys.createdAt,
  lastUsedAt: apiKeys.lastUsedAt,
  revokedAt: apiKeys.revokedAt,
  madeBy: apiKeys.madeBy,
  expiresAt: apiKeys.expiresAt,
  deviceLimited: apiKeys.deviceLimited,
};

export async function insertKey(db: Db, accountId: number, key: Omit<typeof apiKeys.$inferInsert, "accountId">) {
  const [row] = await db
    .insert(apiKeys)
    .values({ ...key, accountId })
    .returning(VISIBLE);
  return row;
}

export interface AdmittedKey extends Admitted {
  keyId: number;
  accountId: number;
  scope: "read" | "write";
  lastUsedAt: number | null;
}

/** The key with this hash and what its account may do, unless it is revoked or has expired. */
export async function keyOfHash(db: Db, hash: string, now: number): Promise<AdmittedKey | null> {
  const { rows } = await db.$client.execute({
    sql: `SELECT k.id, k.account_id, k.scope, k.last_used_at, ${ACCOUNT_STANDING},
        CASE k.device_limited WHEN 1 THEN (SELECT json_group_array(device_id) FROM key_devices WHERE key_id = k.id) END
      FROM api_keys k JOIN accounts a ON a.id = k.account_id
      WHERE k.hash = ? AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?)
        AND a.state <> 'unverified'`,
    args: [now, now, hash, now],
  });
  const [row] = rows;
  if (row === undefined) return null;
  return {
    keyId: row[0] as number,
    accountId: row[1] as number,
    scope: row[2] as "read" | "write",
    lastUsedAt: row[3] as number | null,
    ...admittedOf(row[4], row[5]),
  };
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

/** @param accountId null: of whatever account, for the operator. @returns false when there is no such key that still works */
export async function revokeKey(db: Db, accountId: number | null, id: number, now: number): Promise<boolean> {
  const revoked = await db
    .update(apiKeys)
    .set({ revokedAt: now })
    .where(
      and(
        eq(apiKeys.id, id),
        isNull(apiKeys.revokedAt),
        accountId === null ? undefined : eq(apiKeys.accountId, accountId),
      ),
    )
    .returning({ id: apiKeys.id });
  return revoked.length > 0;
}
