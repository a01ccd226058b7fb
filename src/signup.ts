import { newToken, tokenHash } from "./access.ts";
import { record } from "./audit.ts";
import { requireNoCardNumber } from "./card-numbers.ts";
import type { Ctx } from "./context.ts";
import { type AcceptedDocument, acceptNow, currentDocuments } from "./documents.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { hashPassword, requireGoodPassword } from "./passwords.ts";
import { type OpenedSession, openSession } from "./sessions.ts";
import { accountById, reserveAccountId } from "./store/accounts.ts";
import * as store from "./store/signup.ts";
import { type UserRow, userById } from "./store/users.ts";
import { textFor } from "./text/index.ts";
import { takeTry } from "./throttle.ts";
import { readToken } from "./tokens.ts";

const ADDRESS = /^[^\s@<>()[\]\\,;:"\p{Cc}]{1,64}@[\p{L}\p{M}\p{N}-]{1,63}(\.[\p{L}\p{M}\p{N}-]{1,63})+$/u;

/**
 * An e-mail address as it is stored: lower case, one `@`, nothing that could end a header of a mail or name a second
 * recipient. Domains in any script.
 * @throws {AppError} invalid
 */
export function requireEmail(typed: string, field = "email"): string {
  const email = typed.trim().normalize("NFC").toLowerCase();
  if (email.length <= LIMITS.emailCharacters && ADDRESS.test(email) && !/\s/.test(email)) return email;
  throw new AppError("invalid", `${field} must be an e-mail address like name@example.com`, { field });
}

/**
 * A mobile number in international form, without spaces.
 * @throws {AppError} invalid
 */
export function requireMobile(typed: string, field = "mobile"): string {
  const mobile = typed.replaceAll(/[\s().-]/g, "").replace(/^00/, "+");
  if (/^\+[1-9]\d{6,14}$/.test(mobile)) return mobile;
  throw new AppError("invalid", `${field} must be a number with its country code, like +49 170 1234567`, { field });
}

/** @throws {AppError} invalid */
export function requireName(typed: string, field = "name"): string {
  const name = typed.trim();
  if (name === "" || [...name].length > LIMITS.nameCharacters || /\p{Cc}/u.test(name)) {
    throw new AppError("invalid", `${field} must have 1 to ${LIMITS.nameCharacters} characters`, { field });
  }
  requireNoCardNumber(field, name);
  return name;
}

/** Counts a mail that a stranger makes us send. @returns false when the address has had enough of them */
export async function mayMail(ctx: Ctx, email: string): Promise<boolean> {
  try {
    await takeTry(ctx, "mail", email);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === "rate_limited") return false;
    throw error;
  }
}

/**
 * Signs an address up. What happens is told only to the address itself, by mail: the caller gets the same answer after
 * the same work whether it is new, waits for its confirmation or has an account. The password comes with the
 * confirmation, so that nobody sets one for somebody else's address.
 * @throws {AppError} invalid
 */
export async function signUp(
  ctx: Ctx,
  given: { email: string; name?: string | null; mobile?: string | null; language?: string },
): Promise<void> {
  const email = requireEmail(given.email);
  const name = given.name == null ? null : requireName(given.name);
  const mobile = given.mobile == null ? null : requireMobile(given.mobile);
  const { language = "en" } = given;
  // Before anything is stored: without a way to make links nobody could go on.
  const origin = await linkTo(ctx, "");
  if (!(await mayMail(ctx, email))) return;
  const { token, hash } = await newToken(ctx, "link");
  const now = ctx.now();
  const address = await store.registerAddress(ctx.db, {
    // Also for an address that is known: it must not take less time. A job destroys the secret that it then left behind.
    accountId: await reserveAccountId(ctx.db),
    email,
    name,
    mobile,
    language,
    accountName: name ?? textFor(language).auth.accountName,
    hash,
    now,
    expiresAt: now + LIMITS.signupLinkMs,
  });
  if (address === null) return;
  const { userId, account } = address;
  const to = { to: email, userId, account: account?.id ?? 0, language: address.language };
  if (address.verified || address.disabled) {
    await queueMail(ctx, "signupKnown", { ...to, data: { link: `${origin}/login` } });
  } else if (account?.state === "unverified") {
    await queueMail(ctx, "signup", { ...to, data: { link: `${origin}/confirm/${token}` } });
  } else {
    // They were invited: their way in is the invitation, and this is a fresh one.
    const link = `${origin}/invite/${token}`;
    if (account === null) await queueMail(ctx, "setup", { ...to, data: { link } });
    else await queueMail(ctx, "invite", { ...to, data: { link, account: account.name } });
  }
}

/** Whom a link of a sign-up or an invitation is for. */
export interface Joining {
  user: UserRow;
  /** They have texts to accept before they are in. */
  accepts: boolean;
  /** Name of the account that they join; null: their own new one, or the operator's staff. */
  account: string | null;
}

/** @throws {AppError} not_found when the link is not valid, used or over */
export async function joiningOf(ctx: Ctx, kind: "signup" | "invite", token: string): Promise<Joining> {
  const found = await readToken(ctx, kind, token);
  const user = found?.userId == null ? null : await userById(ctx.db, found.userId);
  if (user === null || user.emailVerifiedAt !== null || user.disabledAt !== null) throw noLink();
  if (user.accountId === null) return { user, accepts: false, account: null };
  const account = await accountById(ctx.db, user.accountId);
  return {
    user,
    accepts: account !== null && account.privacyAccepted !== null,
    account: kind === "invite" ? (account?.name ?? null) : null,
  };
}

export const noLink = () => new AppError("not_found", "No such link: it was used already, or is too old");

/**
 * Finishes a sign-up or an invitation: address confirmed, texts accepted, password set, signed in. What is wrong with
 * the password or the acceptance leaves the link as it is.
 * @throws {AppError} not_found when the link is not valid, used or over; invalid; conflict when a text has changed
 */
export async function join(
  ctx: Ctx,
  kind: "signup" | "invite",
  {
    token,
    password,
    name,
    accept,
  }: { token: string; password: string; name?: string | null; accept: readonly AcceptedDocument[] },
): Promise<{ user: UserRow; opened: OpenedSession }> {
  const { user, accepts } = await joiningOf(ctx, kind, token);
  const { id, accountId } = user;
  requireGoodPassword(password, user.email);
  const newName = name == null ? null : requireName(name);
  const passwordHash = await hashPassword(ctx, password);
  if (accepts && accountId !== null) {
    // Each person for themself, also where the account has accepted already.
    const missing = (await currentDocuments(ctx, user.language)).find(
      (text) => !accept.some((own) => own.kind === text.kind),
    );
    if (missing !== undefined)
      throw new AppError("invalid", `accept must name the ${missing.kind} in force`, { field: "accept" });
    await acceptNow(ctx, { accountId, userId: id }, accept);
  }
  const now = ctx.now();
  if (
    !(await store.joinWithToken(ctx.db, kind, await tokenHash(token), { accountId, passwordHash, name: newName, now }))
  ) {
    throw noLink();
  }
  const action = kind === "signup" ? "account.created" : "user.joined";
  await record(ctx, action, { accountId, subject: `user ${id}`, by: { kind: "user", userId: id } });
  return { user, opened: await openSession(ctx, user, { secondFactor: false }) };
}
