import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import type { AccountRow } from "./store/accounts.ts";
import * as store from "./store/accounts.ts";

export type { AccountRow as Account } from "./store/accounts.ts";

export function createAccount(ctx: Ctx, name: string): Promise<AccountRow> {
  return store.insertAccount(ctx.db, { name, createdAt: ctx.now() });
}

/** @throws {AppError} not_found */
export async function accountById(ctx: Ctx, id: number): Promise<AccountRow> {
  const account = await store.accountById(ctx.db, id);
  if (account === null) throw new AppError("not_found", "No such account");
  return account;
}

/** One page of all accounts by id. @param after the last id of the page before, 0 for the first page */
export function listAccounts(ctx: Ctx, after: number, limit: number): Promise<AccountRow[]> {
  return store.listAccounts(ctx.db, after, limit);
}
