import { and, asc, eq, getTableColumns, gt, or, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { type AccountState, accounts, addresses } from "./schema.ts";

const { nameIndex: _, ...COLUMNS } = getTableColumns(accounts);

export type AccountRow = Omit<typeof accounts.$inferSelect, "nameIndex">;
export type AddressRow = typeof addresses.$inferSelect;
export type CountedAccount = AccountRow & { users: number; devices: number };

/** An id that no account has or gets but by whoever asked: what is sealed under the account is so before it has a row. */
export async function reserveAccountId(db: Db): Promise<number> {
  const [made] = await db.$client.batch(
    [
      { sql: "INSERT INTO accounts (name, created_at) VALUES ('', 0) RETURNING id", args: [] },
      { sql: "DELETE FROM accounts WHERE id = last_insert_rowid()", args: [] },
    ],
    "write",
  );
  return Number(made!.rows[0]![0]);
}

const opened = <R extends { id: number }>(db: Db, rows: readonly R[]) =>
  db.$fields.open("accounts", rows, (row) => row.id);

export async function insertAccount(db: Db, account: typeof accounts.$inferInsert): Promise<AccountRow> {
  const id = await reserveAccountId(db);
  const sealed = await db.$fields.seal("accounts", id, account);
  const rows = await db
    .insert(accounts)
    .values({ ...sealed, id })
    .returning(COLUMNS);
  return (await opened(db, rows))[0]!;
}

export async function accountById(db: Db, id: number): Promise<AccountRow | null> {
  const rows = await db.select(COLUMNS).from(accounts).where(eq(accounts.id, id));
  return (await opened(db, rows))[0] ?? null;
}

/**
 * With the number of users and devices of each.
 * @param find only the account with this number or name, or of whom this address is; null: all
 */
export async function listAccounts(
  db: Db,
  after: number,
  limit: number,
  find: string | null = null,
): Promise<CountedAccount[]> {
  const users = sql<number>`(SELECT count(*) FROM users WHERE users.account_id = accounts.id)`;
  const devices = sql<number>`(SELECT count(*) FROM devices WHERE devices.account_id = accounts.id AND deleting_at IS NULL)`;
  const found = find === null ? undefined : await isFound(db, find);
  const rows = await db
    .select({ ...COLUMNS, users, devices })
    .from(accounts)
    .where(and(gt(accounts.id, after), found))
    .orderBy(asc(accounts.id))
    .limit(limit);
  return opened(db, rows);
}

async function isFound(db: Db, find: string) {
  const email = await db.$fields.index("email", find);
  return or(
    /^\d{1,15}$/.test(find) ? eq(accounts.id, Number(find)) : undefined,
    eq(accounts.nameIndex, await db.$fields.index("accountName", find)),
    sql`${accounts.id} = (SELECT account_id FROM users WHERE email_index = ${email})`,
  );
}

/** Gives an account another name where it has this one, of its owner. */
export async function renameAccount(db: Db, id: number, from: string, to: string): Promise<void> {
  await db
    .update(accounts)
    .set(await db.$fields.seal("accounts", id, { name: to }))
    .where(and(eq(accounts.id, id), eq(accounts.nameIndex, await db.$fields.index("accountName", from))));
}

export async function addressesOf(db: Db, accountId: number): Promise<AddressRow[]> {
  const rows = await db.select().from(addresses).where(eq(addresses.accountId, accountId)).orderBy(asc(addresses.kind));
  return db.$fields.open("addresses", rows, accountId);
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
    .set(await db.$fields.seal("accounts", id, { state: to, stateReason: reason }))
    .where(and(eq(accounts.id, id), eq(accounts.state, from)))
    .returning({ id: accounts.id });
  return changed.length > 0;
}
