import { newToken, personOf } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { beforeCorrection } from "./corrections.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, type MailData, type MailKind, queueMail } from "./mail.ts";
import { mayMail, noLink, requireEmail } from "./signup.ts";
import { type AuditRow, listActsOfPerson } from "./store/audit.ts";
import { endEverything } from "./store/factors.ts";
import { forgetUnconfirmed, insertLinkToken } from "./store/signup.ts";
import { dropNewerReports } from "./store/tokens.ts";
import { type UserRow, updateUser, userById } from "./store/users.ts";
import { makeToken, readToken, takeToken } from "./tokens.ts";

export type SelfUser = UserRow;
/** One line of what happened to a person's security. */
export type SecurityAct = Pick<AuditRow, "at" | "action" | "subject">;

/** The signed-in person with everything that is stored about them: never to be shown as it is. */
export async function selfOf(ctx: Ctx): Promise<UserRow> {
  const user = await userById(ctx.db, personOf(ctx).userId);
  if (user === null) throw new AppError("unauthenticated", "This session is over: sign in again");
  return user;
}

/**
 * Tells a person by mail what was done. Where no link can be made (PUBLIC_URL is missing) the act still stands and the
 * log says so.
 * @param data as the mail takes it, with the path of one of our pages in place of the link
 */
export async function tell<K extends MailKind>(
  ctx: Ctx,
  user: Pick<UserRow, "id" | "email" | "language">,
  kind: K,
  data: Omit<MailData[K], "link"> & { path: string },
): Promise<void> {
  const { path, ...rest } = data;
  try {
    const link = await linkTo(ctx, path);
    const { id, email, language } = user;
    await queueMail(ctx, kind, { to: email, userId: id, language, data: { ...rest, link } as unknown as MailData[K] });
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    ctx.log.warn("mail.no_link", { kind });
  }
}

/**
 * Secures the caller's account: everything that could be in strange hands ends with this call, this session too.
 * A new password comes by mail. Authenticator app and passkeys stay, as they are in the person's own hands; those of the
 * last days go, as they may be the stranger's, and would let them in again.
 */
export async function secureAccount(ctx: Ctx): Promise<void> {
  await secure(ctx, await selfOf(ctx));
}

async function secure(ctx: Ctx, user: UserRow): Promise<void> {
  const { id, accountId, role } = user;
  const ownedAccountId = role === "owner" ? accountId : null;
  const now = ctx.now();
  await endEverything(ctx.db, { userId: id, ownedAccountId, now, since: now - LIMITS.takeBackMs });
  const by = { kind: "user", userId: id } as const;
  await record(ctx, "account.secured", { accountId, subject: `user ${id}`, by });
  const token = await makeToken(ctx, "reset", { userId: id, lifeMs: LIMITS.resetLinkMs });
  await tell(ctx, user, "secured", { path: `/reset/${token}` });
}

/**
 * Sends a link to secure an account to whoever asks, if the address has one. The caller learns nothing: same answer,
 * same work, and the mail, if there is one, is written after the answer.
 * @throws {AppError} invalid
 */
export async function askToSecure(ctx: Ctx, typed: string): Promise<void> {
  const email = requireEmail(typed);
  const { token, hash } = await newToken(ctx, "link");
  const link = await linkTo(ctx, `/secure/${token}`);
  if (!(await mayMail(ctx, email))) return;
  const now = ctx.now();
  const expiresAt = now + LIMITS.changeLinkMs;
  const address = await insertLinkToken(ctx.db, "report", { email, hash, now, expiresAt });
  if (address === null || !address.verified || address.disabled) return;
  const { userId, language } = address;
  const account = address.account?.id ?? 0;
  ctx.defer(queueMail(ctx, "report", { to: email, userId, account, language, data: { link } }));
}

/** @throws {AppError} not_found when the link is not valid, used or over */
export async function requireReport(ctx: Ctx, token: string): Promise<void> {
  if ((await readToken(ctx, "report", token)) === null) throw noLink();
}

/**
 * Secures an account with the link that was mailed. One that was mailed because the address was changed gives the
 * account its old address back first: the new one may be a stranger's.
 * @throws {AppError} not_found when it is not valid, used or over
 */
export async function secureByLink(ctx: Ctx, token: string): Promise<void> {
  const taken = await takeToken(ctx, "report", token);
  const user = taken?.userId == null ? null : await userById(ctx.db, taken.userId);
  if (user === null) throw noLink();
  // Whoever changed the address again after a stranger did is not to have the last word with their own, newer link.
  await dropNewerReports(ctx.db, user.id, taken!.id);
  const email = taken!.payload;
  if (email === null) return secure(ctx, user);
  // A stranger may have signed the free address up, or invited it, so that it cannot come back.
  await forgetUnconfirmed(ctx.db, email);
  await beforeCorrection(ctx, user.accountId);
  const restored = await updateUser(ctx.db, user.id, { email, emailVerifiedAt: ctx.now() });
  // Where somebody has confirmed it meanwhile, who reads its mail still gets the link to a new password.
  await secure(ctx, restored ?? { ...user, email });
}

/** What the caller did, and what was done to them, in the last while: newest first. @param actions of which kinds */
export function listSecurityActs(ctx: Ctx, actions: readonly string[]): Promise<SecurityAct[]> {
  const person = personOf(ctx);
  const accountId = person.kind === "user" ? person.accountId : null;
  const since = ctx.now() - LIMITS.securityActsMs;
  return listActsOfPerson(ctx.db, accountId, person.userId, { actions, since, limit: LIMITS.securityActs });
}
