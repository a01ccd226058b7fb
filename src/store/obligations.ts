import { and, desc, eq, gt, isNull, lt } from "drizzle-orm";
import type { Db } from "./db.ts";
import { obligations } from "./schema.ts";

export type ObligationRow = typeof obligations.$inferSelect;
export type NewObligation = Pick<ObligationRow, "kind" | "basis" | "details" | "createdBy" | "createdAt" | "expiresAt">;

const opened = (db: Db, accountId: number, rows: readonly ObligationRow[]) =>
  db.$fields.open("obligations", rows, accountId);

export async function insertObligation(db: Db, accountId: number, row: NewObligation): Promise<ObligationRow> {
  const sealed = await db.$fields.seal("obligations", accountId, { accountId, ...row });
  const rows = await db.insert(obligations).values(sealed).returning();
  return (await opened(db, accountId, rows))[0]!;
}

export async function obligationById(db: Db, accountId: number, id: number): Promise<ObligationRow | null> {
  const rows = await db
    .select()
    .from(obligations)
    .where(and(eq(obligations.accountId, accountId), eq(obligations.id, id)));
  return (await opened(db, accountId, rows))[0] ?? null;
}

/** Newest first. @param before the last id of the page before */
export async function listObligations(
  db: Db,
  accountId: number,
  before: number,
  limit: number,
): Promise<ObligationRow[]> {
  const rows = await db
    .select()
    .from(obligations)
    .where(and(eq(obligations.accountId, accountId), lt(obligations.id, before)))
    .orderBy(desc(obligations.id))
    .limit(limit);
  return opened(db, accountId, rows);
}

const live = (accountId: number, id: number, now: number) =>
  and(eq(obligations.accountId, accountId), eq(obligations.id, id), gt(obligations.expiresAt, now));

/** @returns false when it needs no agreement, has it, or is over */
export async function agreeToObligation(db: Db, accountId: number, id: number, now: number): Promise<boolean> {
  const rows = await db
    .update(obligations)
    .set({ acknowledgedAt: now })
    .where(and(live(accountId, id, now), eq(obligations.kind, "extension"), isNull(obligations.acknowledgedAt)))
    .returning({ id: obligations.id });
  return rows.length > 0;
}

/** @returns false when it is over */
export async function endObligation(db: Db, accountId: number, id: number, now: number): Promise<boolean> {
  const rows = await db
    .update(obligations)
    .set({ expiresAt: now })
    .where(live(accountId, id, now))
    .returning({ id: obligations.id });
  return rows.length > 0;
}

/** Deletes what is over. @returns rows */
export async function deleteOverObligations(db: Db, now: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM obligations WHERE id IN (SELECT id FROM obligations WHERE expires_at <= ? LIMIT ?)",
    args: [now, limit],
  });
  return rowsAffected;
}
