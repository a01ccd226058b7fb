import { deadlineOf } from "./business-time.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { toBase64Url } from "./seal.ts";
import * as store from "./store/requests.ts";

// What is replaced in an account, or deleted of it, is overwritten where it stands, and opens in an older copy of the
// database as before: with the account's own secret. So each correction is followed by another secret
// (src/erasers/part.ts). Who asks by right has that at once; what is changed on a page or by an app is put together, as each
// time all that an account has is sealed anew: one request of the platform's own carries out what came within
// LIMITS.correctedMs.

/**
 * Sees that what is about to be replaced or deleted will open in no copy. Before the change: stopped in between, there is
 * a new secret too many, and no old value left.
 * @param accountId null: the operator's own people, who are no customers
 */
export async function beforeCorrection(ctx: Base, accountId: number | null): Promise<void> {
  if (accountId === null) return;
  const now = ctx.now();
  if (await store.hasOwnCorrection(ctx.db, accountId, now + LIMITS.correctedMarginMs)) return;
  const { deadline, calendarVersion, uncertain } = await deadlineOf(ctx, now);
  const name = toBase64Url(ctx.random(16));
  const dueAt = now + LIMITS.correctedMs;
  await store.insertOwnCorrection(ctx.db, accountId, {
    name,
    now,
    dueAt,
    deadline,
    calendar: calendarVersion,
    uncertain,
  });
}
