import { accountOf, requireProof } from "./access.ts";
import { requireReason } from "./accounts.ts";
import { record } from "./audit.ts";
import { requireNoCardNumber } from "./card-numbers.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import * as store from "./store/obligations.ts";

export type { ObligationRow as Obligation } from "./store/obligations.ts";

type Obligation = store.ObligationRow;

/** What an account owes or is owed. An extension keeps something longer by agreement, and nothing without it. */
export const OBLIGATION_KINDS = ["order", "warranty", "dispute", "unpaid", "extension"] as const;
export type ObligationKind = (typeof OBLIGATION_KINDS)[number];

export const OBLIGATION_BASES = ["tax_law", "ecommerce_law", "warranty", "contract", "dispute"] as const;
export type ObligationBasis = (typeof OBLIGATION_BASES)[number];

/** It waits for the customer, and keeps nothing. */
export const needsAgreement = ({ kind, acknowledgedAt }: Pick<Obligation, "kind" | "acknowledgedAt">) =>
  kind === "extension" && acknowledgedAt === null;

/** It keeps what it says. */
export const isInForce = (row: Pick<Obligation, "kind" | "acknowledgedAt" | "expiresAt">, now: number) =>
  row.expiresAt > now && !needsAgreement(row);

export interface NewObligation {
  kind: ObligationKind;
  basis: ObligationBasis;
  /** What is kept, and nothing else. */
  details: string;
  /** Unix ms */
  expiresAt: number;
}

/**
 * Writes down what is owed, what must be kept for it, and until when.
 * @throws {AppError} step_up_required; invalid and pan_not_accepted, naming the field
 */
export async function addObligation(ctx: Ctx, accountId: number, asked: NewObligation): Promise<Obligation> {
  requireProof(ctx);
  const { kind, basis, expiresAt } = asked;
  const now = ctx.now();
  const of = (field: string, list: readonly string[], word: string) => {
    if (!list.includes(word)) throw new AppError("invalid", `${field} must be one of ${list.join(", ")}`, { field });
  };
  of("kind", OBLIGATION_KINDS, kind);
  of("basis", OBLIGATION_BASES, basis);
  if (!(expiresAt > now && expiresAt <= now + LIMITS.obligationMaxMs)) {
    throw new AppError("invalid", "expiresAt must be in the future, at most 10 years ahead", { field: "expiresAt" });
  }
  const details = asked.details.trim();
  const max = LIMITS.obligationCharacters;
  if (details === "" || [...details].length > max || /[^\P{Cc}\n\r\t]/u.test(details)) {
    throw new AppError("invalid", `details must have 1 to ${max} characters`, { field: "details" });
  }
  requireNoCardNumber("details", details);
  const createdBy = ctx.principal.kind === "staff" ? ctx.principal.userId : null;
  const row = { kind, basis, details, createdBy, createdAt: now, expiresAt };
  const obligation = await store.insertObligation(ctx.db, accountId, row);
  await record(ctx, "obligation.created", { accountId, subject: `obligation ${obligation.id}` });
  return obligation;
}

/** Newest first. @param before the last id of the page before */
export const obligationsOf = (ctx: Ctx, accountId: number, before: number, limit: number): Promise<Obligation[]> =>
  store.listObligations(ctx.db, accountId, before, limit);

/** @throws {AppError} not_found */
export async function obligationById(ctx: Ctx, accountId: number, id: number): Promise<Obligation> {
  const row = await store.obligationById(ctx.db, accountId, id);
  if (row === null) throw new AppError("not_found", "No such obligation");
  return row;
}

/**
 * Ends an obligation before its time: paid, returned, settled.
 * @param given why; the customer reads it
 * @throws {AppError} step_up_required; invalid; conflict when it is over
 */
export async function endObligation(ctx: Ctx, { accountId, id }: Obligation, given: string): Promise<void> {
  requireProof(ctx);
  const reason = requireReason(given);
  if (!(await store.endObligation(ctx.db, accountId, id, ctx.now()))) throw over();
  await record(ctx, "obligation.ended", { accountId, subject: `obligation ${id}`, reason });
}

const over = () => new AppError("conflict", "This obligation is over");

// The customer.

/** The caller's, newest first. @param before the last id of the page before */
export const ownObligations = (ctx: Ctx, before: number, limit: number): Promise<Obligation[]> =>
  store.listObligations(ctx.db, accountOf(ctx), before, limit);

/** @throws {AppError} not_found, also for one of another account */
export const ownObligation = (ctx: Ctx, id: number): Promise<Obligation> => obligationById(ctx, accountOf(ctx), id);

/**
 * Agrees to an extension, which keeps nothing before.
 * @throws {AppError} step_up_required; conflict when there is nothing to agree to
 */
export async function agreeToObligation(ctx: Ctx, row: Obligation): Promise<Obligation> {
  requireProof(ctx);
  const accountId = accountOf(ctx);
  if (row.kind !== "extension") throw new AppError("conflict", "This obligation needs no agreement");
  if (!(await store.agreeToObligation(ctx.db, accountId, row.id, ctx.now()))) {
    throw new AppError("conflict", "This was agreed to already, or is over");
  }
  await record(ctx, "obligation.agreed", { accountId, subject: `obligation ${row.id}` });
  return ownObligation(ctx, row.id);
}

/** Deletes obligations that are over. @returns rows */
export const purgeObligations = (ctx: Base): Promise<number> =>
  store.deleteOverObligations(ctx.db, ctx.now(), LIMITS.deleteRows);
