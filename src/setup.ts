import { record } from "./audit.ts";
import type { Ctx, Principal } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { hashPassword, requireGoodPassword } from "./passwords.ts";
import { type OpenedSession, openSession } from "./sessions.ts";
import { requireEmail } from "./signup.ts";
import { dropSetupTokens, hasAdmin, insertFirstAdmin } from "./store/staff.ts";
import { userByEmail } from "./store/users.ts";
import { makeToken, readToken, takeToken } from "./tokens.ts";

/**
 * A link that makes the first administrator, once. Older ones end. Only for the holder of the admin token: an
 * administrator has no use for it.
 * @throws {AppError} forbidden; conflict when there is an administrator
 */
export async function makeSetupLink(ctx: Ctx): Promise<{ link: string; expiresAt: number }> {
  if (ctx.principal.kind !== "admin") throw new AppError("forbidden", "This needs the admin token");
  if (await hasAdmin(ctx.db)) {
    throw new AppError("conflict", "There is an administrator already, who can invite others under /admin/staff");
  }
  await dropSetupTokens(ctx.db);
  const token = await makeToken(ctx, "setup", { userId: null, lifeMs: LIMITS.setupLinkMs });
  // Without PUBLIC_URL, where the holder of the admin token asked is theirs to choose.
  const origin = ctx.config.publicUrl ?? ctx.client.origin;
  return { link: `${origin}/setup/${token}`, expiresAt: ctx.now() + LIMITS.setupLinkMs };
}

/** Whether a setup link still works. */
export async function isSetupOpen(ctx: Ctx, token: string): Promise<boolean> {
  return (await readToken(ctx, "setup", token)) !== null && !(await hasAdmin(ctx.db));
}

/**
 * Makes the first administrator and signs them in. The link is used up only when everything else is right.
 * @throws {AppError} invalid, also when the link is used or over; conflict
 */
export async function finishSetup(
  ctx: Ctx,
  token: string,
  {
    email: typed,
    name,
    password,
    language,
  }: { email: string; name: string | null; password: string; language: string },
): Promise<OpenedSession> {
  const over = () => new AppError("invalid", "This link was used already, or is over: make a new one");
  if (!(await isSetupOpen(ctx, token))) throw over();
  const email = requireEmail(typed);
  requireGoodPassword(password, email);
  if (name !== null && ([...name].length > LIMITS.nameCharacters || /\p{Cc}/u.test(name))) {
    throw new AppError("invalid", `name must have at most ${LIMITS.nameCharacters} characters`, { field: "name" });
  }
  if ((await userByEmail(ctx.db, email)) !== null) {
    throw new AppError("conflict", "Somebody has this address already", { field: "email" });
  }
  const passwordHash = await hashPassword(ctx, password);
  if ((await takeToken(ctx, "setup", token)) === null) throw over();
  const now = ctx.now();
  const id = await insertFirstAdmin(ctx.db, {
    email,
    name,
    passwordHash,
    language,
    trainingValidUntil: now + LIMITS.firstTrainingMs,
    now,
  });
  if (id === null) throw over();
  const opened = await openSession(ctx, { id, accountId: null }, { secondFactor: false });
  await record(ctx, "setup.done", { subject: `user ${id}`, by: { kind: "staff", userId: id } as Principal });
  return opened;
}
