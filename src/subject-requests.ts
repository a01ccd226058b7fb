import { personOf, reachOf, requireEditable, requireProof } from "./access.ts";
import { requireReason } from "./accounts.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { tellChannels, tellCustomer, tellOwners } from "./request-mails.ts";
import { NAME, newName, noRequest, verify } from "./requests.ts";
import { noLink } from "./signup.ts";
import { openRequest, requestNamed } from "./store/requests.ts";
import * as store from "./store/subjects.ts";
import { isInForce, type SubjectLink } from "./subject-links.ts";

export { SUBJECT_REQUEST_STATES, SUBJECT_REQUEST_TYPES } from "./store/schema.ts";
export type { SubjectRequest, SubjectRequestType } from "./store/subjects.ts";

// What is asked with a link goes to the customer, who has ten days; then to the operator's staff, who have one business
// day. An erasure that either says yes to is carried out by the engine like everybody's.

type Row = store.SubjectRequest;

const refuse = (field: string, why: string) => new AppError("invalid", `${field} ${why}`, { field });

/**
 * Asks with a link: that positions be deleted, or that they be used no more.
 * @param asked times absent: all of the link's
 * @throws {AppError} not_found when the link is over; invalid, naming the field; conflict when the same waits for an answer;
 *   rate_limited
 */
export async function askBySubject(
  ctx: Ctx,
  link: SubjectLink,
  asked: { type: store.SubjectRequestType; from?: number | undefined; to?: number | undefined },
): Promise<Row> {
  const now = ctx.now();
  if (!isInForce(link, now)) throw noLink();
  const { accountId, id: linkId } = link;
  const { type, from: fromTime = link.fromTime, to: toTime = link.toTime } = asked;
  if (fromTime < link.fromTime) throw refuse("from", "must not be before what this link is about");
  if (toTime > link.toTime) throw refuse("to", "must not be after what this link is about");
  if (fromTime >= toTime) throw refuse("to", "must be after from");
  if (fromTime > now) throw refuse("from", "must not be in the future");
  const name = newName(ctx);
  const answerBy = now + LIMITS.subjectAnswerMs;
  const request = { linkId, name, type, fromTime, toTime, askedAt: now, answerBy };
  const day = { since: now - LIMITS.requestDayMs, limit: LIMITS.subjectRequestsADay };
  const id = await store.insertSubjectRequest(ctx.db, accountId, request, day);
  if (id === null) throw await notAsked(ctx, link, day, now);
  await record(ctx, "subject.asked", { accountId, subject: `subject request ${id}` });
  const row = (await store.subjectRequestNamed(ctx.db, accountId, name))!;
  await tellCustomer(ctx, row);
  return row;
}

async function notAsked(
  ctx: Ctx,
  { accountId, id }: SubjectLink,
  { since, limit }: { since: number; limit: number },
  now: number,
): Promise<AppError> {
  const today = await store.firstAskedSince(ctx.db, accountId, id, since);
  if (today.length < limit) return new AppError("conflict", "This was asked already, and waits for an answer");
  const retryAfterS = Math.max(1, Math.ceil((today[0]! + LIMITS.requestDayMs - now) / 1000));
  return new AppError("rate_limited", `This link has asked ${limit} times today: wait, then try again`, {
    retryAfterS,
  });
}

/** What was asked with a link, newest first. */
export const requestsOfLink = (ctx: Ctx, { accountId, id }: SubjectLink): Promise<Row[]> =>
  store.requestsOfLink(ctx.db, accountId, id, LIMITS.pageDefault);

/** The name under which the receipt of an erasure lies that was accepted and carried out; null: there is none yet. */
export const receiptNameOf = ({ carriedOut, requestName }: Row): string | null =>
  carriedOut === "cleared" || carriedOut === "partially_cleared" ? requestName : null;

// The customer.

/**
 * What was asked of the caller's account, as far as they may see the devices.
 * @param before the last id of the page before
 * @param deviceId of this device of theirs alone
 */
export function subjectRequests(ctx: Ctx, before: number, limit: number, deviceId?: number): Promise<Row[]> {
  const { accountId, devices } = reachOf(ctx);
  const of = deviceId === undefined ? devices : [deviceId];
  return store.listSubjectRequests(ctx.db, accountId, of, before, limit);
}

/** @throws {AppError} not_found, also for what was asked of another account */
export async function subjectRequestOf(ctx: Ctx, name: string): Promise<Row> {
  const { accountId, devices } = reachOf(ctx);
  const row = NAME.test(name) ? await store.subjectRequestNamed(ctx.db, accountId, name) : null;
  if (row === null || !(devices?.includes(row.deviceId) ?? true)) throw noRequest();
  return row;
}

// The staff.

/** What customers did not answer. */
export const escalatedRequests = (ctx: Ctx, before: number, limit: number): Promise<Row[]> =>
  store.listEscalated(ctx.db, before, limit);

/** @throws {AppError} not_found, also while it is the customer's alone */
export async function escalatedRequest(ctx: Ctx, name: string): Promise<Row> {
  const row = NAME.test(name) ? await store.subjectRequestNamed(ctx.db, null, name) : null;
  if (row === null || row.escalatedAt === null) throw noRequest();
  return row;
}

// The answer.

const answered = () => new AppError("conflict", "This was answered already");

/** Who answers: the customer's own people, or the staff when the customer has let the time go by. @throws {AppError} */
function answererOf(ctx: Ctx, row: Row): "customer" | "staff" {
  requireProof(ctx);
  if (personOf(ctx).kind === "staff") return "staff";
  requireEditable(ctx, row.deviceId);
  return "customer";
}

/**
 * Says yes. An erasure counts from now; whoever asked follows it under their link.
 * @param given what is done; of an objection and by the staff it must be said
 * @throws {AppError} step_up_required, forbidden; invalid; conflict when it was answered before
 */
export async function acceptSubject(ctx: Ctx, row: Row, given?: string): Promise<void> {
  const by = answererOf(ctx, row);
  const { accountId, id, type } = row;
  const needsReason = type === "object" || by === "staff";
  const reason = needsReason || given?.trim() ? requireReason(given ?? "") : null;
  const now = ctx.now();
  const answer = { by, at: now, reason };
  const request = type === "erase" ? await erasureOf(ctx, row, by, now) : null;
  if (!(await store.acceptRequest(ctx.db, accountId, id, answer, request))) throw answered();
  await record(ctx, "subject.accepted", {
    accountId,
    subject: `subject request ${id}`,
    reason: by === "staff" ? reason : null,
  });
  if (by === "staff") await tellOwners(ctx, row, { accepted: true, reason: reason ?? "" });
  if (request?.make == null) return;
  const made = await requestNamed(ctx.db, request.name);
  if (made === null) return;
  // Stopped here, the job verifies it: its time has come by then.
  await verify(ctx, made, request.make.level);
  const verified = await requestNamed(ctx.db, request.name);
  if (by === "customer" && verified !== null) await tellChannels(ctx, verified, "requestMade");
}

/** What carries an erasure out: one that is open already, or a new one. */
async function erasureOf(
  ctx: Ctx,
  { accountId, deviceId, fromTime, toTime }: Row,
  by: store.Answer["by"],
  now: number,
): Promise<store.CarriedOut> {
  const scope = JSON.stringify({ kind: "range", device: deviceId, from: fromTime, to: toTime });
  const open = await openRequest(ctx.db, { type: "erase", accountId, userId: null, scope });
  if (open !== null) return { name: open, make: null };
  const level = by === "customer" ? "V0" : "V2";
  return { name: newName(ctx), make: { level, scope, countsAt: now + LIMITS.subjectVerifyMs } };
}

/**
 * Says no, for a reason that whoever asked reads.
 * @throws {AppError} step_up_required, forbidden; invalid; conflict when it was answered before
 */
export async function refuseSubject(ctx: Ctx, row: Row, given: string): Promise<void> {
  const by = answererOf(ctx, row);
  const reason = requireReason(given);
  const { accountId, id } = row;
  if (!(await store.refuseRequest(ctx.db, accountId, id, { by, at: ctx.now(), reason }))) throw answered();
  await record(ctx, "subject.refused", {
    accountId,
    subject: `subject request ${id}`,
    reason: by === "staff" ? reason : null,
  });
  if (by === "staff") await tellOwners(ctx, row, { accepted: false, reason });
}
