import { personOf } from "./access.ts";
import { record } from "./audit.ts";
import { brandFor } from "./brands.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { keyedHash, open } from "./seal.ts";
import { isSealed } from "./sealed-fields.ts";
import { type SelfUser, selfOf, tell } from "./secure.ts";
import * as store from "./store/factors.ts";
import { markSessionProved } from "./store/sessions.ts";
import { userById } from "./store/users.ts";
import { textFor } from "./text/index.ts";
import { forgetFailures, takeTry } from "./throttle.ts";
import { toBase32, totpStep, totpUri } from "./totp.ts";

/** What an authenticator app needs; in this answer and nowhere else. */
export interface NewTotp {
  /** base32 */
  secret: string;
  /** otpauth://totp/..., for a QR code. It holds the address: never a URL that is requested. */
  uri: string;
}

/**
 * Begins to set up an authenticator app. Nothing changes at sign-in until `confirmTotp`.
 * @throws {AppError} conflict when one is in force
 */
export async function startTotp(ctx: Ctx): Promise<NewTotp> {
  const user = await selfOf(ctx);
  const secret = toBase32(ctx.random(20));
  const sealed = await ctx.db.$fields.sealOwn("users", "totpSecret", placeOf(user), secret);
  if (!(await store.setPendingTotp(ctx.db, user.id, sealed))) {
    throw new AppError("conflict", "An authenticator app is set up already: remove it first");
  }
  return describeTotp(ctx, user, secret);
}

const placeOf = ({ id, accountId }: SelfUser) => ({ account: accountId, id });

/** The secret of a user who has one. @throws when it is not theirs, or was altered */
function secretOf(ctx: Ctx, user: SelfUser, sealed: string): Promise<string> {
  // One of before, until its turn has come (src/seal-clear.ts).
  if (!isSealed(sealed)) return open(ctx, "totp", user.id, sealed);
  return ctx.db.$fields.openOwn("users", "totpSecret", placeOf(user), sealed);
}

async function describeTotp(ctx: Ctx, user: SelfUser, secret: string): Promise<NewTotp> {
  const { name } = await brandFor(ctx, new URL(ctx.client.origin).hostname);
  return { secret, uri: totpUri(secret, name, user.email) };
}

/** What is being set up, to be shown again when the code was mistyped. @returns null when nothing is */
export async function pendingTotp(ctx: Ctx): Promise<NewTotp | null> {
  const user = await selfOf(ctx);
  if (user.totpSecret === null || user.totpSince !== null) return null;
  return describeTotp(ctx, user, await secretOf(ctx, user, user.totpSecret));
}

/**
 * Puts the authenticator app in force, when its code shows that it works.
 * @returns recovery codes, in this answer and nowhere else; each opens once in place of a code
 * @throws {AppError} invalid, field `code`; conflict when nothing is being set up
 */
export async function confirmTotp(ctx: Ctx, code: string): Promise<string[]> {
  const { sessionId, provedAt } = personOf(ctx);
  const user = await selfOf(ctx);
  const nothing = new AppError("conflict", "No authenticator app is being set up: begin again");
  const sealed = user.totpSecret;
  if (sealed === null || user.totpSince !== null) throw nothing;
  const step = await totpStep(await secretOf(ctx, user, sealed), plain(code), ctx.now());
  if (step === null) throw wrongCode();
  const codes = Array.from({ length: LIMITS.recoveryCodes }, () => {
    const text = toBase32(ctx.random(10)).toLowerCase();
    return text.match(/.{4}/g)!.join("-");
  });
  const hashes: string[] = [];
  for (const each of codes) hashes.push(await recoveryHash(ctx, user.id, each));
  if (!(await store.confirmTotp(ctx.db, user.id, { sealed, step, now: ctx.now(), hashes }))) throw nothing;
  // This session has shown the second factor. It has not proved anew who the person is.
  await markSessionProved(ctx.db, user.id, sessionId, provedAt, true);
  await record(ctx, "factor.added", { accountId: user.accountId, subject: `user ${user.id}` });
  await tell(ctx, user, "factorAdded", { what: textFor(user.language).security.what.totp, path: "/secure" });
  return codes;
}

/** Removes the authenticator app and the recovery codes. @throws {AppError} not_found */
export async function removeTotp(ctx: Ctx): Promise<void> {
  const user = await selfOf(ctx);
  if (!(await store.removeTotp(ctx.db, user.id))) {
    // One that was only being set up goes without a word.
    if (user.totpSecret !== null) return;
    throw new AppError("not_found", "No such factor: no authenticator app is set up");
  }
  await record(ctx, "factor.removed", { accountId: user.accountId, subject: `user ${user.id}` });
  await tell(ctx, user, "factorRemoved", { what: textFor(user.language).security.what.totp, path: "/secure" });
}

/** Recovery codes that the caller has left. */
export const countRecoveryCodes = (ctx: Ctx): Promise<number> => store.countRecoveryCodes(ctx.db, personOf(ctx).userId);

/**
 * Checks a code of a user's authenticator app, or one of their recovery codes, and uses it up: neither works twice.
 * Wrong ones are counted, and beyond the free ones each blocks.
 * @param code as typed: case, spaces and dashes do not matter
 * @returns false when it is wrong, or the user has no second factor in force
 * @throws {AppError} rate_limited
 */
export async function checkSecondFactor(ctx: Ctx, userId: number, code: string): Promise<boolean> {
  const subject = String(userId);
  const { first } = await takeTry(ctx, "code", subject);
  const user = await userById(ctx.db, userId);
  if (user !== null && (await isRight(ctx, user, plain(code)))) {
    await forgetFailures(ctx, "code", subject);
    return true;
  }
  if (first && user !== null) {
    const until = ctx.now() + LIMITS.throttles.code.blockMs;
    await tell(ctx, user, "lockout", { time: timeFor(user, until), path: "/forgot" });
  }
  return false;
}

async function isRight(ctx: Ctx, user: SelfUser, code: string): Promise<boolean> {
  if (user.totpSecret === null || user.totpSince === null) return false;
  if (!/^\d{6}$/.test(code)) return store.useRecoveryCode(ctx.db, user.id, await recoveryHash(ctx, user.id, code));
  const step = await totpStep(await secretOf(ctx, user, user.totpSecret), code, ctx.now());
  return step !== null && (await store.useTotpStep(ctx.db, user.id, step));
}

export const wrongCode = () => new AppError("invalid", "code is not right, or was used already", { field: "code" });

const plain = (code: string) => code.slice(0, 64).toLowerCase().replaceAll(/[\s-]/g, "");
const recoveryHash = (ctx: Ctx, userId: number, code: string) => keyedHash(ctx, "recovery", `${userId} ${plain(code)}`);

/** A time as a mail says it: in the person's language and zone. */
function timeFor({ language, timeZone }: SelfUser, ms: number): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long", timeZone }).format(ms);
}
