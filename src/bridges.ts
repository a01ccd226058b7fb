import { newToken, requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import type { BridgeRow } from "./store/bridges.ts";
import * as store from "./store/bridges.ts";

export type { BridgeRow as Bridge } from "./store/bridges.ts";

/** Registers a bridge. Its token is in this answer and nowhere else: only its hash is stored. */
export async function createBridge(ctx: Ctx, name: string): Promise<BridgeRow & { token: string }> {
  requireProof(ctx);
  const { token, hash } = await newToken(ctx, "bridge");
  const row = await store.insertBridge(ctx.db, { name, hash, createdAt: ctx.now() });
  await record(ctx, "bridge.created", { subject: `bridge ${row.id}` });
  return { ...row, token };
}

/** One page of the bridges by id. @param after the last id of the page before, 0 for the first page */
export function listBridges(ctx: Ctx, after: number, limit: number): Promise<BridgeRow[]> {
  return store.listBridges(ctx.db, after, limit);
}

/** @throws {AppError} not_found */
export async function revokeBridge(ctx: Ctx, id: number): Promise<void> {
  requireProof(ctx);
  const revoked = await store.revokeBridge(ctx.db, id, ctx.now());
  if (!revoked) throw new AppError("not_found", "No such bridge, or it is revoked already");
  await record(ctx, "bridge.revoked", { subject: `bridge ${id}` });
}
