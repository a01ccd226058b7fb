import { accountOf, personOf, reachOf, requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { appendLedger } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { inSteps } from "./retention.ts";
import * as store from "./store/suspensions.ts";

export { SUSPENSION_KINDS, type SuspensionKind } from "./store/schema.ts";
export type { SuspensionRow as Suspension } from "./store/suspensions.ts";

// What is suspended stays as it is. Its trackers are answered, so that they do not send the same again and again, and
// nothing of what they send is kept (src/ingest-batch.ts): what was received while it was, and what was taken while it
// was and comes later. No command goes to them. API keys and the operator's staff do not see it. The account's own people
// see it, correct it, export it and erase it as ever.
// A request to restrict suspends when it is known who asks; so does one to object, until that is decided (requests.ts).

type Row = store.SuspensionRow;

/**
 * Stops what is taken of all trackers of the account, and whatever would go to others, as a law has changed. Done twice it
 * is done once.
 * @throws {AppError} step_up_required; not_found when the account is just going
 */
export async function suspendTransfers(ctx: Ctx): Promise<Row> {
  requireProof(ctx);
  const accountId = accountOf(ctx);
  const inForce = await listSuspensions(ctx, { inForceOnly: true });
  const before = inForce.find(({ kind }) => kind === "legislation");
  if (before !== undefined) return before;
  await appendLedger(ctx, "restricted", { scopeClass: "account", result: "done" });
  const id = await store.suspendTransfers(ctx.db, accountId, ctx.now());
  const row = id === null ? null : await store.suspensionById(ctx.db, reachOf(ctx), id);
  if (row === null) throw noSuspension();
  await record(ctx, "transfers.suspended", { accountId, subject: `suspension ${row.id}` });
  return row;
}

const noSuspension = () => new AppError("not_found", "No such suspension");

/** @throws {AppError} not_found, also for one of another account, or of a device that the caller does not see */
export async function suspensionOf(ctx: Ctx, id: number): Promise<Row> {
  const row = await store.suspensionById(ctx.db, reachOf(ctx), id);
  if (row === null) throw noSuspension();
  return row;
}

/** What of the account is or was suspended, as far as the caller sees devices, newest first. */
export function listSuspensions(
  ctx: Ctx,
  { inForceOnly = false, before = Number.MAX_SAFE_INTEGER, limit = LIMITS.pageMax as number } = {},
): Promise<Row[]> {
  return store.listSuspensions(ctx.db, reachOf(ctx), { inForceOnly, before, limit });
}

/** Whether the caller may let it go on: owners whatever is theirs, managers what they asked for themselves. */
export function mayLift({ principal }: Ctx, { liftedAt, userId }: Pick<Row, "liftedAt" | "userId">): boolean {
  if (principal.kind !== "user" || liftedAt !== null) return false;
  return principal.role === "owner" || (principal.role === "manager" && userId === principal.userId);
}

/**
 * Lets it go on from now: what came meanwhile is not there, and does not come.
 * @throws {AppError} step_up_required; forbidden; conflict when it goes on already
 */
export async function liftSuspension(ctx: Ctx, row: Row): Promise<void> {
  requireProof(ctx);
  const { id, accountId, deviceId, request } = row;
  if (row.liftedAt !== null) throw lifted();
  if (!mayLift(ctx, row)) throw new AppError("forbidden", "Only an owner, or who asked for it, can let this go on");
  await appendLedger(ctx, "resumed", { request, scopeClass: deviceId === null ? "account" : "devices" });
  if (!(await store.liftSuspension(ctx.db, accountId, id, personOf(ctx).userId, ctx.now()))) throw lifted();
  await record(ctx, "suspension.lifted", { accountId, subject: `suspension ${id}` });
}

const lifted = () => new AppError("conflict", "This goes on already");

/** Forgets what was lifted so long ago that nothing comes late of it any more. @returns how many */
export function purgeSuspensions(ctx: Base): Promise<number> {
  const before = ctx.now() - LIMITS.suspensionsMs;
  return inSteps((limit) => store.deleteSuspensionsLifted(ctx.db, before, limit), { left: LIMITS.deleteStatements });
}

// The operator.

/** What a request has suspended, lifted or not. */
export const suspensionsOfRequest = (ctx: Base, requestId: number): Promise<Row[]> =>
  store.suspensionsOfRequest(ctx.db, requestId);

/** What is suspended now in an account. */
export const suspendedNow = (ctx: Base, accountId: number): Promise<Row[]> =>
  store.listSuspensions(
    ctx.db,
    { accountId, devices: null },
    { inForceOnly: true, before: Number.MAX_SAFE_INTEGER, limit: LIMITS.pageMax },
  );
