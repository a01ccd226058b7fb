import { and, desc, eq, gt, inArray, isNotNull, isNull, lt, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { legalHolds } from "./schema.ts";

export type HoldRow = typeof legalHolds.$inferSelect;
/** As it is kept beside the keys. */
export type KeptHold = Omit<HoldRow, "accountId" | "toldAt">;
export type NewHold = Pick<
  HoldRow,
  "name" | "accountId" | "basis" | "reference" | "scope" | "placedBy" | "placedAt" | "reviewAt" | "expiresAt"
>;

// Holds are the operator's: they are read across accounts, by staff alone.

export async function insertHold(db: Db, hold: NewHold): Promise<HoldRow> {
  const [row] = await db.insert(legalHolds).values(hold).returning();
  return row!;
}

export async function holdNamed(db: Db, name: string): Promise<HoldRow | null> {
  const [row] = await db.select().from(legalHolds).where(eq(legalHolds.name, name));
  return row ?? null;
}

/** Newest first. @param openAt only what is neither released nor over then. @param before the last id of the page before */
export function listHolds(db: Db, openAt: number | null, before: number, limit: number): Promise<HoldRow[]> {
  const open = openAt === null ? undefined : and(isNull(legalHolds.releasedAt), gt(legalHolds.expiresAt, openAt));
  return db
    .select()
    .from(legalHolds)
    .where(and(lt(legalHolds.id, before), open))
    .orderBy(desc(legalHolds.id))
    .limit(limit);
}

/** The holds of an account that are neither released nor over, newest first. */
export function openHoldsOf(db: Db, accountId: number, now: number, limit: number): Promise<HoldRow[]> {
  return db
    .select()
    .from(legalHolds)
    .where(and(eq(legalHolds.accountId, accountId), isNull(legalHolds.releasedAt), gt(legalHolds.expiresAt, now)))
    .orderBy(desc(legalHolds.id))
    .limit(limit);
}

export function holdsById(db: Db, ids: readonly number[]): Promise<HoldRow[]> {
  return db
    .select()
    .from(legalHolds)
    .where(inArray(legalHolds.id, [...ids]));
}

/** An erasure has begun to destroy: what it destroys is not held any more by whoever comes now. */
const ERASING = (
  account: string,
) => `EXISTS (SELECT 1 FROM requests r WHERE r.account_id = ${account} AND r.type = 'erase'
  AND r.closed_at IS NULL AND r.state IN ('shredding', 'purging', 'scrubbing', 'propagating', 'verifying'))`;
const LIVES = (account: string) => `EXISTS (SELECT 1 FROM accounts a WHERE a.id = ${account})`;

/** What keeps a hold of an account from being confirmed; null: nothing. */
export async function obstacleOf(db: Db, accountId: number): Promise<"erasing" | "gone" | null> {
  const { rows } = await db.$client.execute({
    sql: `SELECT ${ERASING("?1")}, ${LIVES("?1")}`,
    args: [accountId],
  });
  if (rows[0]![0] === 1) return "erasing";
  return rows[0]![1] === 1 ? null : "gone";
}

/**
 * Makes a hold count, in one statement with what forbids it: an erasure that destroys begins before it or finds it.
 * @returns false when it is not to be confirmed by this person, or any more
 */
export async function confirmHold(db: Db, id: number, staffId: number, now: number): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE legal_holds AS h SET confirmed_by = ?2, confirmed_at = ?3
      WHERE h.id = ?1 AND h.confirmed_at IS NULL AND h.placed_by <> ?2 AND h.released_at IS NULL AND h.expires_at > ?3
        AND ${LIVES("h.account_id")} AND NOT ${ERASING("h.account_id")}`,
    args: [id, staffId, now],
  });
  return rowsAffected === 1;
}

const open = (id: number, now: number) =>
  and(eq(legalHolds.id, id), isNull(legalHolds.releasedAt), gt(legalHolds.expiresAt, now));

/** @returns false when it is over */
export async function reviewHold(db: Db, id: number, reviewAt: number, now: number): Promise<boolean> {
  const rows = await db
    .update(legalHolds)
    .set({ reviewAt, toldAt: null })
    .where(open(id, now))
    .returning({ id: legalHolds.id });
  return rows.length > 0;
}

/** @returns false when it is over */
export async function releaseHold(db: Db, id: number, staffId: number, now: number): Promise<boolean> {
  const rows = await db
    .update(legalHolds)
    .set({ releasedBy: staffId, releasedAt: now })
    .where(open(id, now))
    .returning({ id: legalHolds.id });
  return rows.length > 0;
}

const DUE = "confirmed_at IS NOT NULL AND released_at IS NULL AND expires_at > ?1 AND review_at <= ?1";

/** How many holds count whose review is due. */
export async function countDueHolds(db: Db, now: number): Promise<number> {
  const { rows } = await db.$client.execute({ sql: `SELECT count(*) FROM legal_holds WHERE ${DUE}`, args: [now] });
  return Number(rows[0]![0]);
}

/** Of those, which nobody was told of since a time. They are marked as told: of two that ask at once, one tells. */
export async function takeDueHolds(db: Db, now: number, since: number, limit: number): Promise<string[]> {
  const { rows } = await db.$client.execute({
    sql: `UPDATE legal_holds SET told_at = ?1 WHERE id IN (
        SELECT id FROM legal_holds WHERE ${DUE} AND coalesce(told_at, 0) <= ?2 ORDER BY id LIMIT ?3)
      RETURNING name`,
    args: [now, since, limit],
  });
  return rows.map((row) => row[0] as string);
}

/** Holds that count, of all accounts, by name. */
export async function holdsInForce(db: Db, now: number): Promise<Map<string, HoldRow>> {
  const counts = and(isNotNull(legalHolds.confirmedAt), isNull(legalHolds.releasedAt), gt(legalHolds.expiresAt, now));
  const rows = await db.select().from(legalHolds).where(counts);
  return new Map(rows.map((row) => [row.name, row]));
}

/** Of some names those that are there. */
export async function holdsNamed(db: Db, names: readonly string[]): Promise<Map<string, HoldRow>> {
  const rows = await db
    .select()
    .from(legalHolds)
    .where(sql`${legalHolds.name} IN (SELECT value FROM json_each(${JSON.stringify(names)}))`);
  return new Map(rows.map((row) => [row.name, row]));
}

/** Writes a hold down as it was before a restore. */
export async function putHoldBack(db: Db, accountId: number, kept: KeptHold): Promise<void> {
  const hold = { accountId, ...kept };
  await db.insert(legalHolds).values(hold).onConflictDoUpdate({ target: legalHolds.name, set: hold });
}
