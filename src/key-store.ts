import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { restoreSome, rewrapSome } from "./vault.ts";

// What the operator does to the key store. Each call does some objects; the first of a row is recorded.

/** @param after the object to go on after; absent: begin */
export async function rewrapKeys(ctx: Ctx, after: string | undefined): ReturnType<typeof rewrapSome> {
  if (after === undefined) await record(ctx, "keys.rewrapped", {});
  return rewrapSome(ctx, after);
}

/** @param after the object to go on after; absent: begin */
export async function restoreKeys(ctx: Ctx, after: string | undefined): ReturnType<typeof restoreSome> {
  if (after === undefined) await record(ctx, "keys.restored", {});
  return restoreSome(ctx, after);
}
