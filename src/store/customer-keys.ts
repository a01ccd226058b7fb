import { and, asc, eq, isNull } from "drizzle-orm";
import { bytesOf, type Db } from "./db.ts";
import { customerKeys, type SEALING_KEY_KINDS } from "./schema.ts";

export type CustomerKey = typeof customerKeys.$inferSelect;
export type KeyKind = (typeof SEALING_KEY_KINDS)[number];

/** @returns null when the account has a key of this kind in use, or this key */
export async function insertCustomerKey(db: Db, key: typeof customerKeys.$inferInsert): Promise<CustomerKey | null> {
  const [row] = await db.insert(customerKeys).values(key).onConflictDoNothing().returning();
  return row ?? null;
}

/** Every key that the account had, oldest first: revoked ones still open what was wrapped to them. */
export function listCustomerKeys(db: Db, accountId: number): Promise<CustomerKey[]> {
  return db.select().from(customerKeys).where(eq(customerKeys.accountId, accountId)).orderBy(asc(customerKeys.id));
}

export async function customerKeyById(db: Db, accountId: number, id: number): Promise<CustomerKey | null> {
  const [row] = await db
    .select()
    .from(customerKeys)
    .where(and(eq(customerKeys.accountId, accountId), eq(customerKeys.id, id)));
  return row ?? null;
}

/** @returns false when there is no such key, or it is revoked already */
export async function revokeCustomerKey(db: Db, accountId: number, id: number, now: number): Promise<boolean> {
  const revoked = await db
    .update(customerKeys)
    .set({ revokedAt: now })
    .where(and(eq(customerKeys.accountId, accountId), eq(customerKeys.id, id), isNull(customerKeys.revokedAt)))
    .returning({ id: customerKeys.id });
  return revoked.length > 0;
}

/** A key that is sealed to. */
export interface KeyInUse {
  id: number;
  publicKey: Uint8Array;
}

/** The keys in use of those accounts that have any. */
export async function keysInUse(db: Db, accountIds: readonly number[]): Promise<Map<number, KeyInUse[]>> {
  const { rows } = await db.$client.execute({
    sql: `SELECT k.account_id, k.id, k.public_key FROM json_each(?) a JOIN customer_keys k ON k.account_id = a.value
      WHERE k.revoked_at IS NULL ORDER BY k.id`,
    args: [JSON.stringify(accountIds)],
  });
  const found = new Map<number, KeyInUse[]>();
  for (const row of rows) {
    const accountId = Number(row[0]);
    const keys = found.get(accountId) ?? [];
    keys.push({ id: Number(row[1]), publicKey: bytesOf(row[2]) });
    found.set(accountId, keys);
  }
  return found;
}
