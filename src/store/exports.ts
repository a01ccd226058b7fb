import { and, desc, eq, gt, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { accounts, exportLinks } from "./schema.ts";

export type ExportLink = Pick<
  typeof exportLinks.$inferSelect,
  "id" | "scope" | "createdAt" | "expiresAt" | "fetchedAt"
>;

/** Whose links: nobody else of the account has anything to do with them. */
export interface LinkOwner {
  accountId: number;
  userId: number;
}

const COLUMNS = {
  id: exportLinks.id,
  scope: exportLinks.scope,
  createdAt: exportLinks.createdAt,
  expiresAt: exportLinks.expiresAt,
  fetchedAt: exportLinks.fetchedAt,
};

const of = ({ accountId, userId }: LinkOwner) =>
  and(eq(exportLinks.accountId, accountId), eq(exportLinks.userId, userId));

/** In force: neither over nor of an account that was frozen. */
const valid = (owner: LinkOwner, now: number) =>
  and(
    of(owner),
    gt(exportLinks.expiresAt, now),
    sql`EXISTS (SELECT 1 FROM ${accounts} WHERE ${accounts.id} = ${owner.accountId} AND ${accounts.frozenAt} IS NULL)`,
  );

/** @returns null when the person has `most` links in force */
export async function insertLink(
  db: Db,
  { accountId, userId }: LinkOwner,
  link: { hash: string; scope: string; createdAt: number; expiresAt: number },
  most: number,
): Promise<number | null> {
  const { hash, scope, createdAt, expiresAt } = link;
  const { rows } = await db.$client.execute({
    sql: `INSERT INTO export_links (account_id, user_id, hash, scope, created_at, expires_at)
      SELECT ?1, ?2, ?3, ?4, ?5, ?6
      WHERE (SELECT count(*) FROM export_links WHERE account_id = ?1 AND user_id = ?2 AND expires_at > ?5) < ?7
      RETURNING id`,
    args: [accountId, userId, hash, scope, createdAt, expiresAt, most],
  });
  return rows[0] === undefined ? null : Number(rows[0][0]);
}

export async function linkOfHash(db: Db, owner: LinkOwner, hash: string, now: number): Promise<ExportLink | null> {
  const [row] = await db
    .select(COLUMNS)
    .from(exportLinks)
    .where(and(valid(owner, now), eq(exportLinks.hash, hash)));
  return row ?? null;
}

export async function linkById(db: Db, owner: LinkOwner, id: number, now: number): Promise<ExportLink | null> {
  const [row] = await db
    .select(COLUMNS)
    .from(exportLinks)
    .where(and(valid(owner, now), eq(exportLinks.id, id)));
  return row ?? null;
}

/** Those in force, newest first. */
export function listLinks(db: Db, owner: LinkOwner, now: number): Promise<ExportLink[]> {
  return db.select(COLUMNS).from(exportLinks).where(valid(owner, now)).orderBy(desc(exportLinks.id));
}

export async function markFetched(db: Db, owner: LinkOwner, id: number, now: number): Promise<void> {
  await db
    .update(exportLinks)
    .set({ fetchedAt: now })
    .where(and(of(owner), eq(exportLinks.id, id)));
}

export async function deleteLink(db: Db, owner: LinkOwner, id: number): Promise<void> {
  await db.delete(exportLinks).where(and(of(owner), eq(exportLinks.id, id)));
}

/** @returns rows */
export async function purgeLinks(db: Db, now: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM export_links WHERE id IN (SELECT id FROM export_links WHERE expires_at <= ? LIMIT ?)",
    args: [now, limit],
  });
  return rowsAffected;
}
