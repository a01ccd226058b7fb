import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import * as store from "./store/gone-accounts.ts";
import { destroyAccount } from "./vault.ts";

/**
 * Destroys the secrets of accounts that are gone: after that nothing of them opens, in no copy of the database either.
 * @returns accounts
 */
export async function destroyGoneAccounts(base: Base): Promise<number> {
  const ids = await store.goneAccounts(base.db, LIMITS.goneAccountsPerRun);
  for (const id of ids) {
    await destroyAccount(base, id);
    await store.forgetGoneAccount(base.db, id);
  }
  return ids.length;
}
