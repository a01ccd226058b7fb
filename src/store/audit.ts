import { and, desc, eq, gte, inArray, isNull, lt, or } from "drizzle-orm";
import type { Db } from "./db.ts";
import { audit } from "./schema.ts";

export type AuditRow = typeof audit.$inferSelect;

export async function insertAudit(db: Db, row: typeof audit.$inferInsert): Promise<void> {
  await db.insert(audit).values(await db.$fields.seal("audit", row.accountId ?? null, row));
}

const opened = (db: Db, rows: readonly AuditRow[]) => db.$fields.open("audit", rows, (row) => row.accountId);

/**
 * What a person did, and what was done to them, of some kinds, newest first. @param accountId the person's; null: staff
 */
export async function listActsOfPerson(
  db: Db,
  accountId: number | null,
  userId: number,
  { actions, since, limit }: { actions: readonly string[]; since: number; limit: number },
): Promise<AuditRow[]> {
  const theirs = and(inArray(audit.actor, ["user", "staff"]), eq(audit.actorId, userId));
  const rows = await db
    .select()
    .from(audit)
    .where(
      and(
        accountId === null ? undefined : or(eq(audit.accountId, accountId), isNull(audit.accountId)),
        gte(audit.at, since),
        inArray(audit.action, [...actions]),
        or(theirs, eq(audit.subject, `user ${userId}`)),
      ),
    )
    .orderBy(desc(audit.id))
    .limit(limit);
  return opened(db, rows);
}

/** Newest first. @param accountId null: of all accounts, for the operator. @param before the last id of the page before */
export async function listAudit(db: Db, accountId: number | null, before: number, limit: number): Promise<AuditRow[]> {
  const rows = await db
    .select()
    .from(audit)
    .where(and(accountId === null ? undefined : eq(audit.accountId, accountId), lt(audit.id, before)))
    .orderBy(desc(audit.id))
    .limit(limit);
  return opened(db, rows);
}
