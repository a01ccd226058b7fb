import { personOf, requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { checkPasskey } from "./passkeys.ts";
import { hashPassword, isPassword, requireGoodPassword } from "./passwords.ts";
import { checkSecondFactor, wrongCode } from "./second-factor.ts";
import { selfOf, tell } from "./secure.ts";
import { endOtherSessions, markProved } from "./sessions.ts";
import { replacePassword, type UserRow } from "./store/users.ts";
import { forgetFailures, takeTry } from "./throttle.ts";
import { dropTokens } from "./tokens.ts";
import type { AssertionResponse } from "./webauthn.ts";

/** How a person shows again that it is them. A passkey is enough; a password is when no authenticator app is set up. */
export interface Proof {
  password?: string | undefined;
  code?: string | undefined;
  passkey?: AssertionResponse | undefined;
}

/**
 * Lets the caller's session do dangerous acts for a while (LIMITS.stepUpMs).
 * @throws {AppError} invalid, naming the field that is wrong or missing; rate_limited
 */
export async function prove(ctx: Ctx, { password, code, passkey }: Proof): Promise<void> {
  if (passkey !== undefined) {
    await checkPasskey(ctx, passkey);
    return markProved(ctx, { secondFactor: true });
  }
  const user = await selfOf(ctx);
  await requirePassword(ctx, user, password ?? "", "password");
  const withCode = user.totpSince !== null;
  if (withCode && !(await checkSecondFactor(ctx, user.id, code ?? ""))) throw wrongCode();
  return markProved(ctx, { secondFactor: withCode });
}

/** Checks the caller's password, counted like a sign-in. */
async function requirePassword(ctx: Ctx, user: UserRow, password: string, field: string): Promise<void> {
  await takeTry(ctx, "password", user.email);
  if (!(await isPassword(ctx, password, user.passwordHash))) {
    throw new AppError("invalid", "The password is not right", { field });
  }
  await forgetFailures(ctx, "password", user.email);
}

/**
 * Changes the caller's password and ends their other sessions and open reset links.
 * @param current not needed by who has none yet; they must have proved lately who they are
 * @throws {AppError} invalid, field `current` or `password`; rate_limited; step_up_required
 */
export async function changePassword(
  ctx: Ctx,
  { current, password }: { current?: string | undefined; password: string },
): Promise<void> {
  const user = await selfOf(ctx);
  if (user.passwordHash === null) requireProof(ctx);
  else await requirePassword(ctx, user, current ?? "", "current");
  requireGoodPassword(password, user.email);
  const passwordHash = await hashPassword(ctx, password);
  // The password was not ended meanwhile, nor this session.
  if (!(await replacePassword(ctx.db, user, personOf(ctx).sessionId, passwordHash))) {
    throw new AppError("unauthenticated", "This session is over: sign in again");
  }
  await endOtherSessions(ctx);
  for (const kind of ["reset", "sign_in"] as const) await dropTokens(ctx, user.id, kind);
  await record(ctx, "password.changed", { accountId: user.accountId, subject: `user ${user.id}` });
  await tell(ctx, user, "passwordChanged", { path: "/secure" });
}
