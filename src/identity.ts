import { newToken, personOf, requireProof, tokenHash } from "./access.ts";
import { requireReason } from "./accounts.ts";
import { record } from "./audit.ts";
import { deadlineOf } from "./business-time.ts";
import type { Ctx, UserPrincipal } from "./context.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { tellChannels } from "./request-mails.ts";
import { checkScope, type RequestType, requireRestrictable, scopeOf } from "./request-scope.ts";
import { dayOf, newName, type PrivacyRequest, tellMade, verify } from "./requests.ts";
import { checkSecondFactor, wrongCode } from "./second-factor.ts";
import { mayMail, noLink, requireEmail } from "./signup.ts";
import { accountById } from "./store/accounts.ts";
import { memberOf } from "./store/members.ts";
import * as store from "./store/requests.ts";
import { forgetFailures, takeTry } from "./throttle.ts";
import { payloadsOf } from "./tokens.ts";

// Who cannot sign in shows who they are in two ways: the mail of their confirmed address, and a code. Where the code is
// lost too, two of the operator's staff decide, and everybody concerned hears of it a day before it counts.

/** What can be asked for without signing in. A copy of the data goes to who is signed in only. */
export const LOCKED_OUT_TYPES = ["erase", "restrict", "object"] as const satisfies readonly RequestType[];

/**
 * Sends a link to whoever asks, if the address has an account. The caller learns nothing: same answer, same work, and the
 * mail, if there is one, is written after the answer.
 * @throws {AppError} invalid
 */
export async function askByMail(
  ctx: Ctx,
  asked: { email: string; type: (typeof LOCKED_OUT_TYPES)[number]; scope: ErasureScope },
): Promise<void> {
  requireRestrictable(asked.type, asked.scope);
  const email = requireEmail(asked.email);
  const { token, hash } = await newToken(ctx, "link");
  const link = await linkTo(ctx, `/privacy/verify/${token}`);
  const name = newName(ctx);
  if (!(await mayMail(ctx, email))) return;
  const now = ctx.now();
  const row = { email, name, type: asked.type, scope: JSON.stringify(asked.scope), hash, now };
  const asker = await store.insertAsked(ctx.db, row, dayOf(now));
  if (asker === null) return;
  const { userId, accountId, language } = asker;
  ctx.defer(queueMail(ctx, "requestLink", { to: email, userId, account: accountId, language, data: { link } }));
}

/**
 * The request that a mailed link is for, while the link is good.
 * @throws {AppError} not_found; conflict when it was used already
 */
export async function pendingRequest(ctx: Ctx, token: string): Promise<PrivacyRequest> {
  const row = await store.requestOfHash(ctx.db, await tokenHash(token));
  if (row === null) throw noLink();
  if (row.state !== "identity_pending" || row.countsAt !== null || row.evidenceAt !== null) throw used();
  if (row.receivedAt + LIMITS.requestLinkMs <= ctx.now()) throw noLink();
  return row;
}

const used = () => new AppError("conflict", "This link was used already: its request is decided, or is being decided");

type Who = Pick<UserPrincipal, "accountId" | "role" | "devices" | "editable">;

async function asker(ctx: Ctx, row: PrivacyRequest): Promise<Who & { userId: number }> {
  const member = row.userId === null ? null : await memberOf(ctx.db, row.accountId, row.userId);
  if (member === null || member.state !== "active") throw noLink();
  const { id, role, deviceLimited, devices } = member;
  return {
    accountId: row.accountId,
    userId: id,
    role,
    devices: deviceLimited ? devices.map((device) => device.id) : null,
    editable: deviceLimited ? devices.filter(({ mayEdit }) => mayEdit).map((device) => device.id) : null,
  };
}

/**
 * Verifies a request with the second of its two proofs: a code of the authenticator app or a recovery code.
 * @throws {AppError} not_found, conflict of the link; invalid, field `code`; rate_limited for an hour after five wrong ones;
 *   forbidden when this person may not ask for it, or their address is new
 */
export async function verifyByCode(ctx: Ctx, token: string, code: string): Promise<PrivacyRequest> {
  const row = await pendingRequest(ctx, token);
  const who = await asker(ctx, row);
  await checkScope(ctx, who, row.type, scopeOf(row));
  const subject = String(who.userId);
  await takeTry(ctx, "identity", subject);
  if (!(await checkSecondFactor(ctx, who.userId, code))) {
    await store.countWrong(ctx.db, row.id);
    throw wrongCode();
  }
  await forgetFailures(ctx, "identity", subject);
  // The mail may be read by whoever changed the address: then it is one proof and not two.
  if ((await payloadsOf(ctx, "report", who.userId)).length > 0) {
    throw new AppError("forbidden", "Your address was changed in the last 72 hours: let the staff decide it");
  }
  await verify(ctx, row, "V1");
  const by = { kind: "user", userId: who.userId } as const;
  await record(ctx, "request.made", { accountId: row.accountId, subject: `request ${row.id}`, by });
  const verified = (await store.requestNamed(ctx.db, row.name)) ?? row;
  await tellMade(ctx, verified);
  return verified;
}

/**
 * Leaves it to the operator's staff whose request it is, for who has no code. They have one business day.
 * @throws {AppError} not_found, conflict of the link; forbidden when this person may not ask for it
 */
export async function leaveToStaff(ctx: Ctx, token: string): Promise<void> {
  const row = await pendingRequest(ctx, token);
  await checkScope(ctx, await asker(ctx, row), row.type, scopeOf(row));
  const now = ctx.now();
  if (!(await store.askStaff(ctx.db, row.id, now, (await deadlineOf(ctx, now)).deadline))) throw used();
}

/**
 * Writes down what somebody asks for who has no channel left. Nothing happens before two of the staff have confirmed it.
 * @throws {AppError} invalid, not_found
 */
export async function askForAccount(
  ctx: Ctx,
  asked: { accountId: number; type: (typeof LOCKED_OUT_TYPES)[number]; scope: ErasureScope; reason: string },
): Promise<PrivacyRequest> {
  requireProof(ctx);
  if (personOf(ctx).kind !== "staff") throw new AppError("forbidden", "This needs the session of privacy staff");
  const reason = requireReason(asked.reason);
  const { accountId, type } = asked;
  if (asked.scope.kind === "categories" || asked.scope.kind === "fields") {
    throw new AppError("invalid", "scope must be account, tracks, devices or range: nobody is named whose it is", {
      field: "scope",
    });
  }
  if ((await accountById(ctx.db, accountId)) === null) {
    throw new AppError("invalid", "accountId must be the number of an account", { field: "accountId" });
  }
  const who: Who = { accountId, role: "owner", devices: null, editable: null };
  const scope = JSON.stringify(await checkScope(ctx, who, type, asked.scope));
  const now = ctx.now();
  const name = newName(ctx);
  const row = { name, type, level: "V2", accountId, userId: null, scope, receivedAt: now, evidenceAt: now } as const;
  const id = await store.insertRequest(ctx.db, row, dayOf(now));
  await store.setDeadline(ctx.db, id!, (await deadlineOf(ctx, now)).deadline);
  await record(ctx, "request.made", { accountId, subject: `request ${id}`, reason });
  return (await store.requestNamed(ctx.db, name))!;
}

/**
 * One of the staff says, for a reason, that a request is who it says. With the second one everybody concerned is told, and
 * a day later it counts, unless it is cancelled.
 * @returns whether it takes another one
 * @throws {AppError} step_up_required; invalid; conflict when it is not theirs to decide, or they have said so before
 */
export async function confirmIdentity(ctx: Ctx, row: PrivacyRequest, given: string): Promise<{ another: boolean }> {
  requireProof(ctx);
  const { kind, userId } = personOf(ctx);
  if (kind !== "staff") throw new AppError("forbidden", "This needs the session of privacy staff");
  const reason = requireReason(given);
  // Whom it concerns must be told: without a way to make links nothing is confirmed.
  await linkTo(ctx, "");
  const before = (await store.confirmationsOf(ctx.db, row.id)).map(({ staffId }) => staffId);
  if (before.includes(userId)) throw new AppError("conflict", "You have confirmed it already: somebody else must, too");
  const staff = await store.confirmRequest(ctx.db, row.id, userId, ctx.now());
  if (!staff.includes(userId)) {
    throw new AppError("conflict", "This request is not the staff's to decide, or is decided already");
  }
  const { accountId, id } = row;
  await record(ctx, "request.confirmed", { accountId, subject: `request ${id}`, reason });
  if (staff.length < 2) return { another: true };
  const countsAt = ctx.now() + LIMITS.requestNoticeMs;
  if (await store.announceRequest(ctx.db, id, "V2", countsAt)) {
    await tellChannels(ctx, { ...row, countsAt }, "requestNotice");
  }
  return { another: false };
}
