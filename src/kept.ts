import { accountOf, requireProof } from "./access.ts";
import { requireReason } from "./accounts.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { heldArchive } from "./held-parts.ts";
import { appendLedger } from "./ledger.ts";
import { isLegal, requireLegal } from "./legal.ts";
import { type Hold, openHoldsOf } from "./legal-holds.ts";
import { LIMITS } from "./limits.ts";
import { type HeldPart, listParts, partById } from "./store/held-parts.ts";
import { holdsById } from "./store/legal-holds.ts";
import { insertHeldLook } from "./store/support.ts";

export { HELD_REASONS } from "./store/schema.ts";

// What is kept of what was erased: who is told of it, and who may read it.

/** A copy that is kept. */
export interface Kept extends HeldPart {
  /** When it goes at the latest; of a hold that is its end, before which it can be released. Null: not known any more. */
  endsAt: number | null;
  /** Of the hold that keeps it; null: it is none. */
  hold: string | null;
}

/** Copies with when they go at the latest. */
export async function withEnds(ctx: Ctx, parts: readonly HeldPart[]): Promise<Kept[]> {
  const ids = [...new Set(parts.flatMap(({ holdId }) => (holdId === 0 ? [] : [holdId])))];
  const holds = new Map((await holdsById(ctx.db, ids)).map((hold) => [hold.id, hold]));
  return parts.map((part) => {
    const hold = holds.get(part.holdId);
    return { ...part, endsAt: part.until ?? hold?.expiresAt ?? null, hold: hold?.name ?? null };
  });
}

/** What is kept of the caller's account, newest first. @param before the last id of the page before */
export async function ownKept(ctx: Ctx, before: number, limit: number): Promise<Kept[]> {
  return withEnds(ctx, await listParts(ctx.db, accountOf(ctx), before, limit));
}

/** What is kept of all accounts, newest first. @throws {AppError} forbidden */
export async function listKept(ctx: Ctx, before: number, limit: number): Promise<Kept[]> {
  await requireLegal(ctx);
  return withEnds(ctx, await listParts(ctx.db, null, before, limit));
}

/** What is kept of an account, and what holds it has; null: the caller is not to know. */
export async function keptOfAccount(ctx: Ctx, accountId: number): Promise<{ parts: Kept[]; holds: Hold[] } | null> {
  if (!(await isLegal(ctx))) return null;
  const parts = await listParts(ctx.db, accountId, Number.MAX_SAFE_INTEGER, LIMITS.pageDefault);
  return { parts: await withEnds(ctx, parts), holds: await openHoldsOf(ctx, accountId) };
}

/** @throws {AppError} not_found */
export async function keptById(ctx: Ctx, id: number): Promise<HeldPart> {
  const part = await partById(ctx.db, id);
  if (part === null) throw new AppError("not_found", "Nothing is held under this number");
  return part;
}

/**
 * Opens what is kept, for a reason. Before a byte of it is read the record, the ledger and, where the account lives, its
 * owner's list of looks have it.
 * @throws {AppError} forbidden; step_up_required; invalid; not_found when it went meanwhile
 */
export async function readKept(ctx: Ctx, part: HeldPart, given: string): Promise<ReadableStream<Uint8Array>> {
  const staffId = await requireLegal(ctx);
  requireProof(ctx);
  const reason = requireReason(given);
  const archive = await heldArchive(ctx, part.id);
  await record(ctx, "held.read", { subject: `held ${part.id}`, reason });
  await insertHeldLook(ctx.db, part.accountId, staffId, ctx.now());
  const { principal } = ctx;
  const actorRole = principal.kind === "staff" ? principal.role : null;
  await appendLedger(ctx, "disclosure", { actorRole, result: "done" });
  return archive;
}
