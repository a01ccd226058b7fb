import { DROP, ROUND_SHIFT, ROUNDED_DECIMALS } from "../codec/collect.ts";
import { accountOf } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { requireWholeAccount } from "./retention-settings.ts";
import * as store from "./store/collection.ts";

/** What of each position is stored. */
export interface CollectionProfile {
  speed: boolean;
  cell: boolean;
  driver: boolean;
  /** Decimal places of a degree; null: all. */
  decimals: (typeof ROUNDED_DECIMALS)[number];
}

/** The profile that bits of codec/collect.ts stand for. */
export function collectionOf(bits: number): CollectionProfile {
  return {
    speed: (bits & DROP.speed) === 0,
    cell: (bits & DROP.cell) === 0,
    driver: (bits & DROP.driver) === 0,
    decimals: ROUNDED_DECIMALS[(bits >> ROUND_SHIFT) & 3]!,
  };
}

export function collectionBits({ decimals, ...kept }: CollectionProfile): number {
  const dropped = (["speed", "cell", "driver"] as const).reduce((sum, name) => sum | (kept[name] ? 0 : DROP[name]), 0);
  return dropped | (ROUNDED_DECIMALS.indexOf(decimals) << ROUND_SHIFT);
}

/** What is stored of each position of the caller's account. */
export async function collectionProfile(ctx: Ctx): Promise<CollectionProfile> {
  return collectionOf(await store.readCollection(ctx.db, accountOf(ctx)));
}

/**
 * Says what is stored of each position from now on. What is left out is taken away before anything is stored, and cannot
 * be had later; what is stored already stays as it is.
 * @throws {AppError} forbidden
 */
export async function changeCollection(ctx: Ctx, profile: CollectionProfile): Promise<void> {
  requireWholeAccount(ctx);
  const accountId = accountOf(ctx);
  if (!(await store.writeCollection(ctx.db, accountId, collectionBits(profile)))) return;
  await record(ctx, "collection.changed", { accountId, subject: `account ${accountId}` });
}
