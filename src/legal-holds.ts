import { requireProof } from "./access.ts";
import { requireReason } from "./accounts.ts";
import { record } from "./audit.ts";
import type { Base, Ctx } from "./context.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import { AppError } from "./errors.ts";
import { keepHoldAs } from "./kept-holds.ts";
import { appendLedger } from "./ledger.ts";
import type { ActorRole } from "./ledger-words.ts";
import { legalStaff, requireLegal } from "./legal.ts";
import { LIMITS } from "./limits.ts";
import { ofJob } from "./request-mails.ts";
import { checkScope, scopeOf } from "./request-scope.ts";
import { NAME, newName } from "./requests.ts";
import { tell } from "./secure.ts";
import { accountById } from "./store/accounts.ts";
import * as store from "./store/legal-holds.ts";

export type { HoldRow as Hold } from "./store/legal-holds.ts";

type Hold = store.HoldRow;

/** Why something must not go. */
export const HOLD_BASES = ["court_order", "authority_order", "legal_claim", "incident"] as const;
export type HoldBasis = (typeof HOLD_BASES)[number];

/** The operator's own file number: nobody's name can be in it. */
export const REFERENCE = /^[A-Z0-9][A-Z0-9/._-]{0,39}$/;

export type HoldScope = Extract<ErasureScope, { kind: "account" | "devices" | "range" }>;

/** placed: nobody has confirmed it, and it keeps nothing. in_force: it counts. */
export type HoldState = "placed" | "in_force" | "released" | "expired";

export function holdState({ confirmedAt, releasedAt, expiresAt }: Hold, now: number): HoldState {
  if (releasedAt !== null) return "released";
  if (expiresAt <= now) return "expired";
  return confirmedAt === null ? "placed" : "in_force";
}

const isOpen = (hold: Hold, now: number) => hold.releasedAt === null && hold.expiresAt > now;
/** It counts, and should have been looked at again. */
export const isReviewDue = (hold: Hold, now: number) => holdState(hold, now) === "in_force" && hold.reviewAt <= now;

export interface NewHold {
  accountId: number;
  scope: HoldScope;
  basis: HoldBasis;
  reference: string;
  /** Unix ms */
  reviewAt: number;
  expiresAt: number;
}

/**
 * Writes down what must not go. It keeps nothing before somebody else of the legal staff has confirmed it.
 * @throws {AppError} forbidden, step_up_required; invalid, naming the field
 */
export async function placeHold(ctx: Ctx, asked: NewHold): Promise<Hold> {
  const placedBy = await requireLegal(ctx);
  requireProof(ctx);
  const { accountId, basis, reference, reviewAt, expiresAt } = asked;
  const now = ctx.now();
  if (!REFERENCE.test(reference)) {
    const why = "reference must be a file number of at most 40 capital letters, digits and / . _ -";
    throw new AppError("invalid", why, { field: "reference" });
  }
  if (!(expiresAt > now && expiresAt <= now + LIMITS.holdMaxMs)) {
    throw new AppError("invalid", "expiresAt must be in the future, at most 3 years ahead", { field: "expiresAt" });
  }
  requireReview(reviewAt, expiresAt, now);
  if ((await accountById(ctx.db, accountId)) === null) {
    throw new AppError("invalid", "accountId must be of an account", { field: "accountId" });
  }
  const scope = JSON.stringify(await heldScope(ctx, accountId, asked.scope));
  const hold = await store.insertHold(ctx.db, {
    ...{ name: newName(ctx), accountId, basis, reference, scope, placedBy, placedAt: now, reviewAt, expiresAt },
  });
  await record(ctx, "hold.placed", { subject: `hold ${hold.id}` });
  return hold;
}

function requireReview(reviewAt: number, expiresAt: number, now: number): void {
  if (!(reviewAt > now && reviewAt <= now + LIMITS.holdReviewMs)) {
    throw new AppError("invalid", "reviewAt must be in the future, at most 180 days ahead", { field: "reviewAt" });
  }
  if (reviewAt > expiresAt)
    throw new AppError("invalid", "reviewAt must not be after expiresAt", { field: "reviewAt" });
}

/** A scope that can be held, of what is the account's: as an owner of it could name it. */
async function heldScope(ctx: Ctx, accountId: number, scope: HoldScope): Promise<ErasureScope> {
  if (!["account", "devices", "range"].includes(scope.kind)) {
    throw new AppError("invalid", "scope must be one of account, devices, range", { field: "scope" });
  }
  try {
    return await checkScope(ctx, { accountId, role: "owner", devices: null, editable: null }, "erase", scope);
  } catch (error) {
    if (!(error instanceof AppError) || !error.message.endsWith("devices that are yours")) throw error;
    const { field = "scope" } = error;
    throw new AppError("invalid", `${field} must name devices of that account`, { field });
  }
}

/** @throws {AppError} not_found */
export async function holdNamed(ctx: Base, name: string): Promise<Hold> {
  const hold = NAME.test(name) ? await store.holdNamed(ctx.db, name) : null;
  if (hold === null) throw new AppError("not_found", "No such hold");
  return hold;
}

/** Newest first. @param before the last id of the page before */
export const listHolds = (ctx: Base, openOnly: boolean, before: number, limit: number): Promise<Hold[]> =>
  store.listHolds(ctx.db, openOnly ? ctx.now() : null, before, limit);

/** Those of an account that are not over. */
export const openHoldsOf = (ctx: Base, accountId: number): Promise<Hold[]> =>
  store.openHoldsOf(ctx.db, accountId, ctx.now(), LIMITS.pageDefault);

const over = () => new AppError("conflict", "This hold is over: it stays as it is");

/**
 * Makes a hold count, by somebody else than who placed it. The ledger has it before.
 * @throws {AppError} forbidden; step_up_required; conflict when it is confirmed or over, when the account is gone, or when
 *   an erasure of it has begun to destroy: then it is too late
 */
export async function confirmHold(ctx: Ctx, hold: Hold): Promise<Hold> {
  const staffId = await requireLegal(ctx);
  requireProof(ctx);
  if (hold.placedBy === staffId) {
    throw new AppError("forbidden", "You placed this hold: somebody else must confirm it");
  }
  if (!isOpen(hold, ctx.now())) throw over();
  if (hold.confirmedAt !== null) throw new AppError("conflict", "This hold is confirmed already");
  await requireSomethingLeft(ctx, hold);
  const fields = { scopeClass: scopeOf(hold).kind, actorRole: roleOf(ctx) } as const;
  await appendLedger(ctx, "held", { ...fields, result: "done" });
  await record(ctx, "hold.confirmed", { subject: `hold ${hold.id}` });
  const confirmedAt = ctx.now();
  await keepHoldAs(ctx, hold, { confirmedBy: staffId, confirmedAt });
  if (!(await store.confirmHold(ctx.db, hold.id, staffId, confirmedAt))) {
    await keepHoldAs(ctx, await holdNamed(ctx, hold.name), {});
    await appendLedger(ctx, "held", { ...fields, result: "refused" });
    await requireSomethingLeft(ctx, hold);
    throw new AppError("conflict", "This hold is confirmed already, or is over");
  }
  return holdNamed(ctx, hold.name);
}

async function requireSomethingLeft(ctx: Ctx, { accountId }: Hold): Promise<void> {
  const obstacle = await store.obstacleOf(ctx.db, accountId);
  if (obstacle === null) return;
  throw new AppError(
    "conflict",
    obstacle === "gone"
      ? "This account is gone: there is nothing left to keep"
      : "An erasure of this account has begun to destroy: it is too late to keep anything from it",
  );
}

const roleOf = ({ principal }: Ctx): ActorRole | null => (principal.kind === "staff" ? principal.role : null);

/**
 * Says that a hold was looked at and is still needed, until when it is looked at again.
 * @throws {AppError} forbidden; step_up_required; invalid; conflict when it is over
 */
export async function reviewHold(ctx: Ctx, hold: Hold, reviewAt: number, given: string): Promise<Hold> {
  await requireLegal(ctx);
  requireProof(ctx);
  const reason = requireReason(given);
  const now = ctx.now();
  if (!isOpen(hold, now)) throw over();
  requireReview(reviewAt, hold.expiresAt, now);
  await record(ctx, "hold.reviewed", { subject: `hold ${hold.id}`, reason });
  if (!(await store.reviewHold(ctx.db, hold.id, reviewAt, now))) throw over();
  const reviewed = await holdNamed(ctx, hold.name);
  await keepHoldAs(ctx, reviewed, {});
  return reviewed;
}

/**
 * Ends a hold at once: what was kept for it alone goes.
 * @throws {AppError} forbidden; step_up_required; invalid; conflict when it is over
 */
export async function releaseHold(ctx: Ctx, hold: Hold, given: string): Promise<Hold> {
  const staffId = await requireLegal(ctx);
  requireProof(ctx);
  const reason = requireReason(given);
  if (!isOpen(hold, ctx.now())) throw over();
  await record(ctx, "hold.released", { subject: `hold ${hold.id}`, reason });
  const releasedAt = ctx.now();
  await keepHoldAs(ctx, hold, { releasedBy: staffId, releasedAt });
  if (!(await store.releaseHold(ctx.db, hold.id, staffId, releasedAt))) throw over();
  return holdNamed(ctx, hold.name);
}

/** How many holds should have been looked at again. */
export const dueReviews = (ctx: Base): Promise<number> => store.countDueHolds(ctx.db, ctx.now());

/**
 * Tells the legal staff of holds whose review is due, again every week: none of them ends by that.
 * @returns how many they were told of
 */
export async function remindOfHolds(base: Base): Promise<number> {
  const ctx = ofJob(base);
  const now = ctx.now();
  const names = await store.takeDueHolds(ctx.db, now, now - LIMITS.holdTellMs, LIMITS.deleteRows);
  if (names.length === 0) return 0;
  ctx.log.warn("holds.review_due", { entries: names.length });
  for (const user of await legalStaff(ctx)) {
    await tell(ctx, user, "holdReview", { count: String(names.length), path: "/admin/holds" });
  }
  return names.length;
}
