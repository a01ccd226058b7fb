import { requireProof } from "./access.ts";
import { requireReason } from "./accounts.ts";
import { record } from "./audit.ts";
import { deadlineOf } from "./business-time.ts";
import type { Base, Ctx, UserPrincipal } from "./context.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import { AppError } from "./errors.ts";
import { createExport, type ExportScope } from "./exports.ts";
import { dropKept, keepRequest } from "./kept-requests.ts";
import { appendLedger } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { type AccountChange, changeAccount, changeProfile, type ProfileChange } from "./profile.ts";
import { noteDone, tellChannels, tellRequester } from "./request-mails.ts";
import { checkScope, type RequestType, scopeOf } from "./request-scope.ts";
import { toBase64Url } from "./seal.ts";
import * as store from "./store/requests.ts";

export type { IdentityLevel, RequestRow as PrivacyRequest } from "./store/requests.ts";

type Row = store.RequestRow;

/** What is to be put right, by a person for themself and by an owner for the account. */
export interface Correction {
  profile?: ProfileChange | undefined;
  account?: AccountChange | undefined;
}

/** 128 random bits, base64url. */
export const NAME = /^[\w-]{22}$/;

/** How many requests of a type one person may make, and since when they are counted. */
export const dayOf = (now: number) => ({ since: now - LIMITS.requestDayMs, limit: LIMITS.requestsADay });

export const newName = (base: Base): string => toBase64Url(base.random(16));

/** Nothing more happens with it. */
export const isOver = ({ closedAt }: Pick<Row, "closedAt">) => closedAt !== null;
/** Nothing has been done for it yet, and it is not what the staff decided for somebody whom the customer did not answer. */
export const mayCancel = ({ state, type, closedAt, viaSubject, level }: Row) =>
  closedAt === null &&
  (state === "identity_pending" ||
    (state === "verified" && type !== "correct" && !(viaSubject === 1 && level === "V2")));

/** How surely it is known who asks. VD: who drives or carries the tracker, by a link of the customer's. */
export const levelOf = ({ level, viaSubject }: Pick<Row, "level" | "viaSubject">) => (viaSubject === 1 ? "VD" : level);

export const alreadyAsked = (name: string) =>
  new AppError("conflict", "This was asked for already, and is not over", { more: { request: name } });

function customerOf(ctx: Ctx): UserPrincipal {
  if (ctx.principal.kind === "user") return ctx.principal;
  throw new AppError("forbidden", "This needs a customer's session");
}

export interface Made {
  request: Row;
  /** Where what was asked for can be fetched; of an access or an export. */
  download: string | null;
}

/**
 * Makes a request for the signed-in person, who has just proved who they are. What one call can do is done with it; the
 * rest waits for the engine, which takes it up within the minute. What is to be restricted, or is objected to, is suspended
 * from now on.
 * @throws {AppError} step_up_required; invalid and forbidden, naming the field; conflict when it is open already, with its
 *   name; rate_limited
 */
export async function makeRequest(
  ctx: Ctx,
  asked: { type: RequestType; scope?: ErasureScope | undefined; correction?: Correction | undefined },
): Promise<Made> {
  requireProof(ctx);
  const who = customerOf(ctx);
  const { type, correction } = asked;
  const { accountId, userId } = who;
  const scope = JSON.stringify(
    type === "correct" ? correctedFields(who, asked.scope, correction) : await wanted(ctx, who, type, asked.scope),
  );
  const open = await store.openRequest(ctx.db, { type, accountId, userId, scope });
  if (open !== null) throw alreadyAsked(open);
  const now = ctx.now();
  const name = newName(ctx);
  const row = { name, type, level: "V0", accountId, userId, scope, receivedAt: now } as const;
  const id = await store.insertRequest(ctx.db, row, dayOf(now));
  if (id === null) throw await tooMany(ctx, { accountId, userId, type }, now);
  let download: string | null = null;
  try {
    // Before it counts: what cannot be corrected is no request.
    if (type === "correct") await correct(ctx, correction);
    await verify(ctx, { id, ...row }, "V0");
    if (type === "access" || type === "export") download = (await createExport(ctx, exportScopeOf(scopeOf(row)))).url;
  } catch (error) {
    await store.dropPending(ctx.db, id);
    throw error;
  }
  await record(ctx, "request.made", { accountId, subject: `request ${id}` });
  const gives = type === "access" || type === "export";
  if (gives) {
    await store.closeRequest(ctx.db, id, "cleared", ctx.now());
    await appendLedger(ctx, "exported", { request: name, scopeClass: scopeOf(row).kind, result: "done" });
  }
  const request = await requestOf(ctx, name);
  // Of a correction the engine does the rest: that nobody reads any more what was there before.
  if (gives || type === "correct") await noteDone(ctx, request);
  else await tellMade(ctx, request);
  return { request, download };
}

/** What an export holds of a scope. */
function exportScopeOf(scope: ErasureScope): ExportScope {
  if (scope.kind === "devices") return { devices: scope.devices };
  if (scope.kind === "range") return { devices: [scope.device], from: scope.from, to: scope.to };
  if (scope.kind === "tracks") return { categories: ["location"] };
  if (scope.kind === "categories") return { categories: scope.categories };
  return {};
}

async function wanted(ctx: Ctx, who: UserPrincipal, type: RequestType, scope: ErasureScope | undefined) {
  const reads = type === "access" || type === "export";
  if (scope === undefined && !reads) {
    throw new AppError("invalid", "scope must say what the request is about", { field: "scope" });
  }
  return checkScope(ctx, who, type, scope ?? { kind: "account" });
}

/** Which fields a correction names, as its request keeps them: names and no values. */
function correctedFields(
  { role }: UserPrincipal,
  scope: ErasureScope | undefined,
  correction: Correction | undefined,
): ErasureScope {
  const { profile = {}, account } = correction ?? {};
  const named = (of: object) => Object.entries(of).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  const fields = [
    ...named(profile).map((name) => `users.${name}`),
    ...named(account ?? {}).map((name) => (name === "addresses" ? "addresses" : `accounts.${name}`)),
  ].sort();
  if (fields.length === 0) {
    throw new AppError("invalid", "correction must name what is to be put right", { field: "correction" });
  }
  if (scope !== undefined) {
    throw new AppError("invalid", "scope must be left out: a correction names its fields itself", { field: "scope" });
  }
  if (account !== undefined && role !== "owner") {
    throw new AppError("forbidden", "Only the account's owner can correct what is the account's", {
      field: "correction.account",
    });
  }
  return { kind: "fields", fields };
}

async function correct(ctx: Ctx, correction: Correction | undefined): Promise<void> {
  if (correction?.profile !== undefined) await changeProfile(ctx, correction.profile);
  if (correction?.account !== undefined) await changeAccount(ctx, correction.account);
}

async function tooMany(
  ctx: Ctx,
  of: { accountId: number; userId: number; type: RequestType },
  now: number,
): Promise<AppError> {
  const { since, limit } = dayOf(now);
  const first = (await store.firstOfDay(ctx.db, of, since)) ?? now;
  const retryAfterS = Math.max(1, Math.ceil((first + LIMITS.requestDayMs - now) / 1000));
  return new AppError("rate_limited", `You have asked for this ${limit} times today: wait, then try again`, {
    retryAfterS,
  });
}

/**
 * Says that it is known who asks: the clock of the request runs from here. The ledger has it before it counts.
 * @throws {AppError} conflict when the same was asked for meanwhile, or it is no longer pending
 */
export async function verify(
  base: Base,
  request: Pick<Row, "id" | "name" | "type" | "accountId" | "userId" | "scope" | "receivedAt">,
  level: store.IdentityLevel,
): Promise<void> {
  const { id, name, type, accountId, userId, scope } = request;
  const verifiedAt = base.now();
  const { deadline, calendarVersion, uncertain } = await deadlineOf(base, verifiedAt);
  const scopeClass = scopeOf({ scope }).kind;
  const verification = { level, verifiedAt, deadline, calendar: calendarVersion, uncertain };
  const lasts = type === "erase" || type === "restrict" || type === "object";
  if (lasts) await keepRequest(base, request, verification);
  await appendLedger(base, "verified", { request: name, scopeClass, calendar: calendarVersion });
  if (await store.verifyRequest(base.db, id, verification)) {
    if (type === "restrict") await concludeRestriction(base, { id, name, scope });
    return;
  }
  const open = await store.openRequest(base.db, { type, accountId, userId, scope });
  if (lasts && open !== name) await dropKept(base, name);
  throw open === null || open === name
    ? new AppError("conflict", "This request is decided already")
    : alreadyAsked(open);
}

/** A restriction is in force since it is verified, until it is lifted: with that it is carried out. */
export async function concludeRestriction(
  base: Base,
  { id, name, scope }: Pick<Row, "id" | "name" | "scope">,
  isNoted = false,
): Promise<void> {
  const fields = { request: name, scopeClass: scopeOf({ scope }).kind, result: "done" } as const;
  if (!isNoted) await appendLedger(base, "restricted", fields);
  await store.closeRequest(base.db, id, "cleared", base.now());
}

/** Tells everybody whom it concerns of a request that is verified: as long as it can be, with a link to cancel it. */
export async function tellMade(ctx: Ctx, row: Row): Promise<void> {
  if (row.type === "restrict") await noteDone(ctx, row, "everybody");
  else await tellChannels(ctx, row, "requestMade");
}

/** What became of a request; of one that nobody had verified the ledger knows nothing. */
async function noteInLedger(base: Base, { name, verifiedAt, ...row }: Row, type: "revoked" | "denied" | "restricted") {
  if (verifiedAt !== null) await appendLedger(base, type, { request: name, scopeClass: scopeOf(row).kind });
}

/** Whose requests the caller sees: an owner everybody's of the account, others their own. */
const whose = ({ role, userId }: UserPrincipal) => (role === "owner" ? null : userId);

/** @throws {AppError} not_found, also for a request of another account or, for who is no owner, of somebody else */
export async function requestOf(ctx: Ctx, name: string): Promise<Row> {
  const who = customerOf(ctx);
  const row = NAME.test(name) ? await store.requestByName(ctx.db, who.accountId, whose(who), name) : null;
  if (row === null) throw noRequest();
  return row;
}

export const noRequest = () => new AppError("not_found", "No such request");

/** Newest first. @param before the last id of the page before */
export function listRequests(ctx: Ctx, before: number, limit: number): Promise<Row[]> {
  const who = customerOf(ctx);
  return store.listRequests(ctx.db, who.accountId, whose(who), before, limit);
}

export const tooLate = () =>
  new AppError("conflict", "This request is being carried out, or is over: it stays as it is");

/** Takes a request back, while nothing has been done for it. @throws {AppError} conflict when it is too late */
export async function cancelRequest(ctx: Ctx, row: Row): Promise<void> {
  const { id, accountId } = row;
  if (!(await store.cancelRequest(ctx.db, accountId, id, ctx.now()))) throw tooLate();
  await noteInLedger(ctx, row, "revoked");
  await record(ctx, "request.cancelled", { accountId, subject: `request ${id}` });
}

/** The receipt of a request that the caller sees. @throws {AppError} not_found */
export async function receiptOf(ctx: Ctx, row: Row): Promise<string> {
  return publicReceipt(ctx, row.name);
}

/**
 * A receipt for whoever knows the name of its request: 128 random bits that only the person got. Nothing in it says whose
 * it is, and they cannot sign in any more when they need it.
 * @throws {AppError} not_found
 */
export async function publicReceipt(ctx: Base, name: string): Promise<string> {
  const body = NAME.test(name) ? await store.receiptNamed(ctx.db, name) : null;
  if (body === null)
    throw new AppError("not_found", "No such receipt: it is there when the request has been carried out");
  return body;
}

/** What goes with the caller's account. */
export const accountSize = (ctx: Ctx) => store.sizeOf(ctx.db, customerOf(ctx).accountId);

// The operator.

/** Everybody's requests, newest first. @param before the last id of the page before */
export const listAllRequests = (ctx: Base, openOnly: boolean, before: number, limit: number): Promise<Row[]> =>
  store.listAll(ctx.db, openOnly, before, limit);

/** @throws {AppError} not_found */
export async function anyRequest(ctx: Base, name: string): Promise<Row> {
  const row = NAME.test(name) ? await store.requestNamed(ctx.db, name) : null;
  if (row === null) throw noRequest();
  return row;
}

export const confirmationsOf = (ctx: Base, row: Row) => store.confirmationsOf(ctx.db, row.id);

/**
 * Refuses a request: nobody could say that it is them, or an objection has no ground; what it suspended goes on. An
 * erasure or a restriction of which it is known who asks is carried out and cannot be refused.
 * @throws {AppError} invalid without a reason, which the person reads; conflict
 */
export async function denyRequest(ctx: Ctx, row: Row, given: string): Promise<void> {
  requireProof(ctx);
  const reason = requireReason(given);
  if (!(await store.closeRequest(ctx.db, row.id, "denied", ctx.now()))) throw tooLate();
  await noteInLedger(ctx, row, "denied");
  await record(ctx, "request.denied", { accountId: row.accountId, subject: `request ${row.id}`, reason });
  await tellRequester(ctx, row, "requestDenied", { reason });
}

/**
 * Says that an objection is upheld: what it suspended stays so until the customer lifts it. What people do, people end.
 * @throws {AppError} conflict
 */
export async function resolveRequest(ctx: Ctx, row: Row, given: string): Promise<void> {
  requireProof(ctx);
  const reason = requireReason(given);
  if (!(await store.closeRequest(ctx.db, row.id, "cleared", ctx.now()))) throw tooLate();
  await noteInLedger(ctx, row, "restricted");
  await record(ctx, "request.resolved", { accountId: row.accountId, subject: `request ${row.id}`, reason });
  await tellRequester(ctx, row, "requestResolved", { reason });
}
