import { and, asc, eq, gt, isNull, or, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { apiKeys, users } from "./schema.ts";
import { ACCOUNT_STANDING, type Admitted, admittedOf } from "./standing.ts";
import { ALL_SUSPENDED, NOT_SUSPENDED } from "./suspensions.ts";

/** A key without its hash. */
export type KeyRow = Omit<typeof apiKeys.$inferSelect, "hash"> & {
  /** The only devices that exist for it; null: all of the account's. */
  devices: number[] | null;
  /** What the one who made it is called, where they gave a name. */
  makerName: string | null;
};

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
  makerName: users.name,
  devices: sql<
    number[] | null
  >`CASE ${apiKeys.deviceLimited} WHEN 1 THEN (SELECT json_group_array(device_id) FROM key_devices WHERE key_id = ${apiKeys.id}) END`.mapWith(
    (value: string | null) => (value === null ? null : (JSON.parse(value) as number[])),
  ),
};

const visible = (db: Db) => db.select(VISIBLE).from(apiKeys).leftJoin(users, eq(users.id, apiKeys.madeBy));

/** Who makes a key is of its account. */
async function opened(db: Db, rows: readonly KeyRow[]): Promise<KeyRow[]> {
  const makers = rows.map(({ accountId, makerName }) => ({ accountId, name: makerName }));
  const [keys, names] = await Promise.all([
    db.$fields.open("apiKeys", rows, (row) => row.accountId),
    db.$fields.open("users", makers, (row) => row.accountId),
  ]);
  return keys.map((row, i) => ({ ...row, makerName: names[i]!.name }));
}

/** @param devices null: all of the account's. Those that are another account's are left out */
export async function insertKey(
  db: Db,
  accountId: number,
  key: Omit<typeof apiKeys.$inferInsert, "accountId" | "deviceLimited">,
  devices: readonly number[] | null = null,
): Promise<KeyRow> {
  // Limited before it has its devices: what stops half-way opens nothing.
  const [made] = await db
    .insert(apiKeys)
    .values({
      ...(await db.$fields.seal("apiKeys", accountId, key)),
      accountId,
      deviceLimited: devices === null ? 0 : 1,
    })
    .returning({ id: apiKeys.id });
  if (devices !== null) {
    await db.$client.execute({
      sql: `INSERT INTO key_devices (key_id, device_id) SELECT ?, id FROM devices
        WHERE account_id = ? AND deleting_at IS NULL AND id IN (SELECT value FROM json_each(?))`,
      args: [made.id, accountId, JSON.stringify(devices)],
    });
  }
  const [row] = await opened(db, await visible(db).where(eq(apiKeys.id, made.id)));
  return row!;
}

export interface AdmittedKey extends Admitted {
  keyId: number;
  accountId: number;
  scope: "read" | "write";
  lastUsedAt: number | null;
  /** Of `devices`, those that are not suspended; absent: all of them. */
  readable?: readonly number[];
  suspended?: true;
}

/** The key with this hash and what its account may do, unless it is revoked or has expired. */
export async function keyOfHash(db: Db, hash: string, now: number): Promise<AdmittedKey | null> {
  const { rows } = await db.$client.execute({
    sql: `SELECT k.id, k.account_id, k.scope, k.last_used_at, ${ACCOUNT_STANDING},
        CASE k.device_limited WHEN 1 THEN (SELECT json_group_array(device_id) FROM key_devices WHERE key_id = k.id) END,
        ${NOT_SUSPENDED}, ${ALL_SUSPENDED}
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
    ...(row[6] !== null && { readable: JSON.parse(String(row[6])) as number[] }),
    ...(row[7] === 1 && { suspended: true as const }),
  };
}

export async function markKeyUsed(db: Db, id: number, now: number): Promise<void> {
  await db.update(apiKeys).set({ lastUsedAt: now }).where(eq(apiKeys.id, id));
}

/** Keys of an account by id, revoked ones too. @param madeBy only those of this user; null: of everybody */
export async function listKeys(
  db: Db,
  accountId: number,
  after: number,
  limit: number,
  madeBy: number | null = null,
): Promise<KeyRow[]> {
  const ofMaker = madeBy === null ? undefined : eq(apiKeys.madeBy, madeBy);
  const rows = await visible(db)
    .where(and(eq(apiKeys.accountId, accountId), gt(apiKeys.id, after), ofMaker))
    .orderBy(asc(apiKeys.id))
    .limit(limit);
  return opened(db, rows);
}

/** Keys of an account that work. */
export function countKeys(db: Db, accountId: number, now: number): Promise<number> {
  const lives = or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, now));
  return db.$count(apiKeys, and(eq(apiKeys.accountId, accountId), isNull(apiKeys.revokedAt), lives));
}

/** Who made which of these keys. A key that the operator made, or whose maker is gone, is left out. */
export async function keyMakers(db: Db, accountId: number, ids: readonly number[]): Promise<Map<number, number>> {
  const { rows } = await db.$client.execute({
    sql: `SELECT id, made_by FROM api_keys
      WHERE account_id = ? AND made_by IS NOT NULL AND id IN (SELECT value FROM json_each(?))`,
    args: [accountId, JSON.stringify(ids)],
  });
  return new Map(rows.map((row) => [row[0] as number, row[1] as number]));
}

export async function keyById(db: Db, accountId: number, id: number): Promise<KeyRow | null> {
  const rows = await visible(db).where(and(eq(apiKeys.id, id), eq(apiKeys.accountId, accountId)));
  return (await opened(db, rows))[0] ?? null;
}

/** A key in `api_keys` can do more than the user `u`, who made it: a condition. */
export const BEYOND_MAKER = `(u.role = 'viewer' OR u.device_limited = 1 AND (api_keys.device_limited = 0 OR EXISTS (
  SELECT 1 FROM key_devices k WHERE k.key_id = api_keys.id AND NOT EXISTS (
    SELECT 1 FROM user_devices l WHERE l.user_id = u.id AND l.device_id = k.device_id
      AND (l.may_edit = 1 OR api_keys.scope = 'read')))))`;

/** Whether a user's key can do no more than they can now, in a session that has not ended. */
export async function isWithinMaker(db: Db, accountId: number, id: number, sessionId: number): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: `SELECT 1 FROM api_keys JOIN users u ON u.id = made_by
      WHERE api_keys.id = ? AND api_keys.account_id = ? AND NOT ${BEYOND_MAKER}
        AND EXISTS (SELECT 1 FROM sessions WHERE id = ?)`,
    args: [id, accountId, sessionId],
  });
  return rows.length > 0;
}

/**
 * @param accountId null: of whatever account, for the operator
 * @returns the account whose key it was; null when there is no such key that still works
 */
export async function revokeKey(db: Db, accountId: number | null, id: number, now: number): Promise<number | null> {
  const [revoked] = await db
    .update(apiKeys)
    .set({ revokedAt: now })
    .where(
      and(
        eq(apiKeys.id, id),
        isNull(apiKeys.revokedAt),
        accountId === null ? undefined : eq(apiKeys.accountId, accountId),
      ),
    )
    .returning({ accountId: apiKeys.accountId });
  return revoked?.accountId ?? null;
}
