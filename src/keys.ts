import { newToken } from "./access.ts";
import type { Ctx, Scope } from "./context.ts";
import { AppError } from "./errors.ts";
import type { KeyRow } from "./store/keys.ts";
import * as store from "./store/keys.ts";

export type { KeyRow as ApiKey } from "./store/keys.ts";

/** Makes an API key. The key itself is in this answer and nowhere else: only its hash is stored. */
export async function createKey(
  ctx: Ctx,
  accountId: number,
  { scope, name = null }: { scope: Scope; name?: string | null },
): Promise<KeyRow & { key: string }> {
  const { token, hash } = await newToken(ctx, "key");
  const row = await store.insertKey(ctx.db, accountId, { name, scope, hash, createdAt: ctx.now() });
  return { ...row, key: token };
}

/** One page of an account's keys by id. @param after the last id of the page before, 0 for the first page */
export function listKeys(ctx: Ctx, accountId: number, after: number, limit: number): Promise<KeyRow[]> {
  return store.listKeys(ctx.db, accountId, after, limit);
}

/**
 * Ends a key at once: the next request with it is refused.
 * @throws {AppError} not_found
 */
export async function revokeKey(ctx: Ctx, id: number): Promise<void> {
  const revoked = await store.revokeKey(ctx.db, null, id, ctx.now());
  if (!revoked) throw new AppError("not_found", "No such key, or it is revoked already");
}
