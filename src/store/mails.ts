import { and, asc, eq, getTableColumns, lt, lte, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { mails } from "./schema.ts";

export type MailRow = typeof mails.$inferSelect;

export async function insertMail(db: Db, mail: typeof mails.$inferInsert): Promise<number> {
  const [row] = await db.insert(mails).values(mail).returning({ id: mails.id });
  return row!.id;
}

/** Under whose secret it waits: 0 is the operator's. */
const OF_USER = sql<
  number | null
>`CASE WHEN user_id IS NOT NULL THEN coalesce((SELECT u.account_id FROM users u WHERE u.id = user_id), 0) END`;

/** Takes a mail that is due until a time. @returns null when it is gone, or somebody else has it */
export async function takeMail(
  db: Db,
  id: number,
  now: number,
  until: number,
): Promise<(MailRow & { account: number | null }) | null> {
  const [row] = await db
    .update(mails)
    .set({ dueAt: until, attempts: sql`${mails.attempts} + 1` })
    .where(and(eq(mails.id, id), lte(mails.dueAt, now)))
    .returning({ ...getTableColumns(mails), account: OF_USER });
  return row ?? null;
}

export async function postponeMail(db: Db, id: number, dueAt: number): Promise<void> {
  await db.update(mails).set({ dueAt }).where(eq(mails.id, id));
}

export async function deleteMail(db: Db, id: number): Promise<void> {
  await db.delete(mails).where(eq(mails.id, id));
}

export async function dueMails(db: Db, now: number, limit: number): Promise<number[]> {
  const rows = await db
    .select({ id: mails.id })
    .from(mails)
    .where(lte(mails.dueAt, now))
    .orderBy(asc(mails.dueAt))
    .limit(limit);
  return rows.map(({ id }) => id);
}

/** @returns rows */
export async function purgeMails(db: Db, before: number): Promise<number> {
  const gone = await db.delete(mails).where(lt(mails.createdAt, before)).returning({ id: mails.id });
  return gone.length;
}
