import { personOf, reachOf } from "./access.ts";
import { holdsCardNumber } from "./card-numbers.ts";
import type { Base, Ctx } from "./context.ts";
import { beforeCorrection } from "./corrections.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { emptyLog } from "./store/scrub.ts";
import type { FoundDevice, SearchRow } from "./store/searches.ts";
import * as store from "./store/searches.ts";

export type { FoundDevice, SearchRow as Search } from "./store/searches.ts";

/**
 * Finds devices within the caller's reach by a part of their name or IMEI. The term is kept only for a person who
 * switched their search history on, and never one that may be a card number: an IMEI passes the same check, so such a
 * term is looked for all the same.
 * @throws {AppError} invalid
 */
export async function search(ctx: Ctx, term: string): Promise<FoundDevice[]> {
  const { userId } = personOf(ctx);
  const wanted = term.trim();
  if (wanted === "" || wanted.length > LIMITS.searchCharacters || /\p{Cc}/u.test(wanted)) {
    const message = `term must have 1 to ${LIMITS.searchCharacters} characters, none of them a control character`;
    throw new AppError("invalid", message, { field: "term" });
  }
  const found = await store.findDevices(ctx.db, reachOf(ctx), wanted, LIMITS.searchFinds);
  // No IMEI begins like a card of 15 digits.
  if (!holdsCardNumber(wanted) || /^(?!3[47])\d{15}$/.test(wanted)) {
    await store.insertSearch(ctx.db, userId, wanted, ctx.now());
  }
  return found;
}

/** What the caller looked for, newest first. */
export function listSearches(ctx: Ctx): Promise<SearchRow[]> {
  return store.listSearches(ctx.db, personOf(ctx).userId, LIMITS.searchesShown);
}

/** Deletes what the caller looked for. */
export async function forgetSearches(ctx: Ctx): Promise<void> {
  const me = personOf(ctx);
  if ((await store.listSearches(ctx.db, me.userId, 1)).length === 0) return;
  await beforeCorrection(ctx, me.kind === "user" ? me.accountId : null);
  await store.deleteSearches(ctx.db, me.userId);
  ctx.defer(emptyLog(ctx.db));
}

/** Deletes what anybody looked for longer ago than it is kept. @returns rows */
export function purgeSearches(base: Base): Promise<number> {
  return store.purgeSearches(base.db, base.now() - LIMITS.searchesMs, LIMITS.deleteRows);
}
