import { requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx, StaffRole } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { settingsOf } from "./settings.ts";
import { requireEmail } from "./signup.ts";
import { emptyLog } from "./store/scrub.ts";
import { deleteSessions } from "./store/sessions.ts";
import * as store from "./store/staff.ts";
import { dropAllTokens } from "./store/tokens.ts";
import { insertUser, listUsers, type UserChange, type UserRow, userOf } from "./store/users.ts";
import { makeToken } from "./tokens.ts";

/** One of the operator's staff, as colleagues see them. */
export type StaffMember = Pick<
  UserRow,
  "id" | "email" | "name" | "role" | "createdAt" | "lastSignInAt" | "disabledAt" | "trainingValidUntil" | "legalUntil"
> & {
  /** They took up the invitation. */
  joined: boolean;
};

const seen = (row: UserRow): StaffMember => {
  const {
    id,
    email,
    name,
    role,
    createdAt,
    lastSignInAt,
    disabledAt,
    trainingValidUntil,
    legalUntil,
    emailVerifiedAt,
  } = row;
  return {
    id,
    email,
    name,
    role,
    createdAt,
    lastSignInAt,
    disabledAt,
    trainingValidUntil,
    legalUntil,
    joined: emailVerifiedAt !== null,
  };
};

/** One page of the staff by id. @param after the last id of the page before, 0 for the first page */
export async function listStaff(ctx: Ctx, after: number, limit: number): Promise<StaffMember[]> {
  return (await listUsers(ctx.db, null, after, limit)).map(seen);
}

/** @throws {AppError} not_found */
export async function staffById(ctx: Ctx, id: number): Promise<StaffMember> {
  const row = await userOf(ctx.db, null, id);
  if (row === null) throw new AppError("not_found", "No such member of staff");
  return seen(row);
}

/**
 * Invites somebody to the staff. They have no rights before their training is attested.
 * @returns the link too where no mail can be sent: then whoever invites must hand it over
 * @throws {AppError} invalid; conflict when the address is somebody's
 */
export async function inviteStaff(
  ctx: Ctx,
  { email: typed, role, language }: { email: string; role: StaffRole; language: string },
): Promise<StaffMember & { link: string | null }> {
  requireProof(ctx);
  const email = requireEmail(typed);
  const origin = await linkTo(ctx, "");
  const row = await insertUser(ctx.db, { accountId: null, role, email, language, createdAt: ctx.now() });
  if (row === null) throw new AppError("conflict", "Somebody has this address already", { field: "email" });
  const link = `${origin}/invite/${await makeToken(ctx, "invite", { userId: row.id, lifeMs: LIMITS.signupLinkMs })}`;
  await record(ctx, "staff.added", { subject: `user ${row.id}` });
  if (ctx.sendMail === null) return { ...seen(row), link };
  const { operatorName } = await settingsOf(ctx);
  await queueMail(ctx, "invite", { to: row.email, userId: row.id, language, data: { account: operatorName, link } });
  return { ...seen(row), link: null };
}

const isAdminAt = (member: StaffMember, now: number) =>
  member.role === "admin" && member.joined && member.disabledAt === null && (member.trainingValidUntil ?? 0) > now;

/** The admin token may leave a place without an administrator; people may not. */
function keepAdmin(ctx: Ctx, member: StaffMember): { now: number } | null {
  const now = ctx.now();
  return ctx.principal.kind !== "admin" && isAdminAt(member, now) ? { now } : null;
}

const lastAdmin = () => new AppError("conflict", "This is the last administrator: name another one first");

/**
 * Changes the role, or disables and enables. Somebody disabled is signed out at once.
 * @throws {AppError} conflict for the last administrator
 */
export async function changeStaff(
  ctx: Ctx,
  member: StaffMember,
  { role, disabled }: { role?: StaffRole | undefined; disabled?: boolean | undefined },
): Promise<StaffMember> {
  requireProof(ctx);
  const change: UserChange = {
    ...(role !== undefined && role !== member.role && { role }),
    ...(disabled !== undefined &&
      disabled !== (member.disabledAt !== null) && { disabledAt: disabled ? ctx.now() : null }),
  };
  if (Object.keys(change).length === 0) return member;
  const ends = change.role !== undefined || typeof change.disabledAt === "number";
  const row = await store.updateStaff(ctx.db, member.id, change, ends ? keepAdmin(ctx, member) : null);
  if (row === null) throw lastAdmin();
  if (row.disabledAt !== null) {
    await deleteSessions(ctx.db, row.id, null);
    await dropAllTokens(ctx.db, row.id);
  }
  await record(ctx, "staff.changed", { subject: `user ${row.id}` });
  return seen(row);
}

/** @throws {AppError} conflict for the last administrator */
export async function removeStaff(ctx: Ctx, member: StaffMember): Promise<void> {
  requireProof(ctx);
  if (!(await store.deleteStaff(ctx.db, member.id, keepAdmin(ctx, member)))) throw lastAdmin();
  await record(ctx, "staff.removed", { subject: `user ${member.id}` });
  ctx.defer(emptyLog(ctx.db));
}

/**
 * Writes that somebody is trained in handling personal data. Nobody does it for themselves; with the admin token, who
 * holds that can, for whom it may be: the way back in when every administrator's training has run out.
 * @param validUntil Unix ms, at most a year ahead
 * @throws {AppError} invalid, forbidden
 */
export async function attestTraining(ctx: Ctx, member: StaffMember, validUntil: number): Promise<StaffMember> {
  requireProof(ctx);
  const now = ctx.now();
  if (ctx.principal.kind === "staff" && ctx.principal.userId === member.id) {
    throw new AppError("forbidden", "Nobody attests their own training: ask another administrator");
  }
  if (validUntil <= now || validUntil > now + LIMITS.trainingMaxMs) {
    throw new AppError("invalid", "validUntil must be in the future, at most 366 days ahead", { field: "validUntil" });
  }
  const row = await store.updateStaff(ctx.db, member.id, { trainingValidUntil: validUntil }, null);
  if (row === null) throw new AppError("not_found", "No such member of staff");
  await record(ctx, "training.attested", { subject: `user ${row.id}` });
  return seen(row);
}
