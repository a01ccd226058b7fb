import { and, asc, eq, getTableColumns, gt, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { type AccountState, accounts, addresses } from "./schema.ts";

export type AccountRow = typeof accounts.$inferSelect;
export type AddressRow = typeof addresses.$inferSelect;
export type CountedAccount = AccountRow & { users: number; devices: number };

export async function insertAccount(db: Db, account: typeof accounts.$inferInsert): Promise<AccountRow> {
  const [row] = await db.insert(accounts).values(account).returning();
  return row;
}

export async function accountById(db: Db, id: number): Promise<AccountRow | null> {
  const [row] = await db.select().from(accounts).where(eq(accounts.id, id));
  return row ?? null;
}

/** With the number of users and devices of each. */
export function listAccounts(db: Db, after: number, limit: number): Promise<CountedAccount[]> {
  const users = sql<number>`(SELECT count(*) FROM users WHERE users.account_id = accounts.id)`;
  const devices = sql<number>`(SELECT count(*) FROM devices WHERE devices.account_id = accounts.id AND deleting_at IS NULL)`;
  return db
    .select({ ...getTableColumns(accounts), users, devices })
    .from(accounts)
    .where(gt(accounts.id, after))
    .orderBy(asc(accounts.id))
    .limit(limit);
}

/** Gives an account another name where it has this one, of its owner. */
export async function renameAccount(db: Db, id: number, from: string, to: string): Promise<void> {
  await db
    .update(accounts)
    .set({ name: to })
    .where(and(eq(accounts.id, id), eq(accounts.name, from)));
}

export function addressesOf(db: Db, accountId: number): Promise<AddressRow[]> {
  return db.select().from(addresses).where(eq(addresses.accountId, accountId)).orderBy(asc(addresses.kind));
}

/** Takes an account from one state to another. @returns false when it is in a third one */
export async function changeState(
  db: Db,
  id: number,
  from: AccountState,
  to: AccountState,
  reason: string | null,
): Promise<boolean> {
  const changed = await db
    .update(accounts)
    .set({ state: to, stateReason: reason })
    .where(and(eq(accounts.id, id), eq(accounts.state, from)))
    .returning({ id: accounts.id });
  return changed.length > 0;
}
