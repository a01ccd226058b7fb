import { and, desc, eq, lt } from "drizzle-orm";
import type { Db } from "./db.ts";
import { audit } from "./schema.ts";

export type AuditRow = typeof audit.$inferSelect;

export async function insertAudit(db: Db, row: typeof audit.$inferInsert): Promise<void> {
  await db.insert(audit).values(row);
}

/** Newest first. @param accountId null: of all accounts, for the operator. @param before the last id of the page before */
export function listAudit(db: Db, accountId: number | null, before: number, limit: number): Promise<AuditRow[]> {
  return db
    .select()
    .from(audit)
    .where(and(accountId === null ? undefined : eq(audit.accountId, accountId), lt(audit.id, before)))
    .orderBy(desc(audit.id))
    .limit(limit);
}
