import { newToken, tokenHash } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { hashPassword, isPassword, requireGoodPassword } from "./passwords.ts";
import { checkSecondFactor, wrongCode } from "./second-factor.ts";
import { tell } from "./secure.ts";
import { browserOf, networkOf, type OpenedSession, openSession } from "./sessions.ts";
import { mayMail, noLink, requireEmail } from "./signup.ts";
import { deleteSession, listSessions } from "./store/sessions.ts";
import * as store from "./store/signup.ts";
import { credentialByEmail, type UserRow, updateUser, userById } from "./store/users.ts";
import { textFor } from "./text/index.ts";
import { forgetFailures, takeTry } from "./throttle.ts";
import { countAttempt, makeToken, readToken, takeToken } from "./tokens.ts";

export interface SignedIn {
  user: UserRow;
  opened: OpenedSession;
}

/** The answer to everything that is wrong with an address and a password, so that it tells neither from the other. */
const wrong = () => new AppError("unauthenticated", "The e-mail address or the password is not right");

/**
 * Signs a person in with their password. An address that nobody has, a wrong password, a user without one or who was
 * disabled: all the same answer after the same work, and all counted alike.
 * @returns the session, or the token of a sign-in that waits for the second factor
 * @throws {AppError} unauthenticated; rate_limited
 */
export async function signIn(
  ctx: Ctx,
  { email: typed, password }: { email: string; password: string },
): Promise<SignedIn | { pending: string }> {
  const email = typed.trim().normalize("NFC").toLowerCase();
  const { first } = await takeTry(ctx, "password", email);
  const known = await credentialByEmail(ctx.db, email);
  const hash = known === null || known.disabledAt !== null ? null : known.passwordHash;
  const isRight = await isPassword(ctx, password, hash);
  if (!isRight || known === null) {
    if (first && known !== null && known.disabledAt === null) ctx.defer(tellLockout(ctx, known.id));
    throw wrong();
  }
  const user = await userById(ctx.db, known.id);
  // As it was when the password was checked.
  if (user === null || user.disabledAt !== null || user.passwordHash !== known.passwordHash) throw wrong();
  await forgetFailures(ctx, "password", email);
  if (user.totpSince === null) return enter(ctx, user, { secondFactor: false });
  return { pending: await makeToken(ctx, "sign_in", { userId: user.id, lifeMs: LIMITS.pendingMs }) };
}

/**
 * The second step of a sign-in: a code of the authenticator app, or a recovery code.
 * @param token of the first step; it ends when it is used and after LIMITS.pendingTries wrong codes
 * @throws {AppError} unauthenticated when the first step must be done again; invalid, field `code`; rate_limited
 */
export async function signInSecond(ctx: Ctx, { token, code }: { token: string; code: string }): Promise<SignedIn> {
  const over = new AppError("unauthenticated", "This sign-in is over: begin again with your password");
  const pending = await readToken(ctx, "sign_in", token);
  const user = pending?.userId == null ? null : await userById(ctx.db, pending.userId);
  if (pending === null || user === null || user.disabledAt !== null) throw over;
  const tries = await countAttempt(ctx, pending.id);
  if (tries > LIMITS.pendingTries) throw over;
  if (!(await checkSecondFactor(ctx, user.id, code))) {
    if (tries === LIMITS.pendingTries) await takeToken(ctx, "sign_in", token);
    throw wrongCode();
  }
  if ((await takeToken(ctx, "sign_in", token)) === null) throw over;
  return enter(ctx, user, { secondFactor: true });
}

/**
 * Lets a person in who has proved who they are: a new session, and a mail when it comes from a browser or a network
 * that none of their sessions has. Not at the first sign-in, which nobody else could expect.
 * @param user as they were when they proved it
 * @throws {AppError} unauthenticated when their password has ended since
 */
export async function enter(ctx: Ctx, user: UserRow, proof: { secondFactor: boolean }): Promise<SignedIn> {
  const now = ctx.now();
  const browser = browserOf(ctx.client.userAgent);
  const network = networkOf(ctx.client.address);
  const before = await listSessions(ctx.db, user.id, now, LIMITS.sessionsPerUser);
  // A network is forgotten after LIMITS.networkMs; then the browser alone is known again.
  const known = before.some((each) => each.browser === browser && (each.network ?? network) === network);
  const opened = await openSession(ctx, user, proof);
  // What ended the password, or the user, while it was looked at saw no session to end.
  const present = await updateUser(ctx.db, user.id, { lastSignInAt: now });
  if (present?.passwordHash !== user.passwordHash || present.disabledAt !== null) {
    await deleteSession(ctx.db, user.id, opened.session.id);
    throw wrong();
  }
  if (!known && user.lastSignInAt !== null) {
    const name = browser ?? textFor(user.language).auth.unknownBrowser;
    await tell(ctx, user, "newSignIn", { browser: name, time: timeFor(user, now), path: "/security" });
  }
  return { user, opened };
}

async function tellLockout(ctx: Ctx, userId: number): Promise<void> {
  const user = await userById(ctx.db, userId);
  if (user === null) return;
  const until = ctx.now() + LIMITS.throttles.password.blockMs;
  await tell(ctx, user, "lockout", { time: timeFor(user, until), path: "/forgot" });
}

const timeFor = ({ language, timeZone }: UserRow, ms: number) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long", timeZone }).format(ms);

/**
 * Sends a link to choose a new password, if the address can sign in here. The caller learns nothing: same answer, same
 * work, and the mail, if there is one, is written after the answer.
 * @throws {AppError} invalid
 */
export async function askForReset(ctx: Ctx, typed: string): Promise<void> {
  const email = requireEmail(typed);
  const { token, hash } = await newToken(ctx, "link");
  const link = await linkTo(ctx, `/reset/${token}`);
  if (!(await mayMail(ctx, email))) return;
  const now = ctx.now();
  const expiresAt = now + LIMITS.resetLinkMs;
  const address = await store.insertLinkToken(ctx.db, "reset", { email, hash, now, expiresAt });
  if (address === null || !address.verified || address.disabled) return;
  const { userId, language } = address;
  const account = address.account?.id ?? 0;
  ctx.defer(queueMail(ctx, "reset", { to: email, userId, account, language, data: { link } }));
}

/** Whom a reset link is for. @throws {AppError} not_found when it is not valid, used or over */
export async function resettingOf(ctx: Ctx, token: string): Promise<UserRow> {
  const found = await readToken(ctx, "reset", token);
  const user = found?.userId == null ? null : await userById(ctx.db, found.userId);
  if (user === null || user.disabledAt !== null) throw noLink();
  return user;
}

/**
 * Sets a new password with a reset link, and ends every session and every open link of the person. It signs nobody in,
 * and a second factor stays: whoever reads the mails must still have it.
 * @throws {AppError} not_found when the link is not valid, used or over; invalid, field `password`, which leaves it
 */
export async function resetPassword(ctx: Ctx, { token, password }: { token: string; password: string }): Promise<void> {
  const user = await resettingOf(ctx, token);
  requireGoodPassword(password, user.email);
  const passwordHash = await hashPassword(ctx, password);
  if (!(await store.resetWithToken(ctx.db, await tokenHash(token), passwordHash, ctx.now()))) throw noLink();
  await forgetFailures(ctx, "password", user.email);
  const by = { kind: "user", userId: user.id } as const;
  await record(ctx, "password.reset", { accountId: user.accountId, subject: `user ${user.id}`, by });
  await tell(ctx, user, "passwordChanged", { path: "/security" });
}
