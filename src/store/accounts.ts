import { asc, eq, gt } from "drizzle-orm";
import type { Db } from "./db.ts";
import { accounts } from "./schema.ts";

export type AccountRow = typeof accounts.$inferSelect;

export async function insertAccount(db: Db, account: typeof accounts.$inferInsert): Promise<AccountRow> {
  const [row] = await db.insert(accounts).values(account).returning();
  return row;
}

export async function accountById(db: Db, id: number): Promise<AccountRow | null> {
  const [row] = await db.select().from(accounts).where(eq(accounts.id, id));
  return row ?? null;
}

export function listAccounts(db: Db, after: number, limit: number): Promise<AccountRow[]> {
  return db.select().from(accounts).where(gt(accounts.id, after)).orderBy(asc(accounts.id)).limit(limit);
}
