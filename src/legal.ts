import { requireProof } from "./access.ts";
import { requireReason } from "./accounts.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { type StaffMember, staffById } from "./staff.ts";
import { updateStaff } from "./store/staff.ts";
import { listUsers, type UserRow, userOf } from "./store/users.ts";

// Who of the staff may keep something from being erased, and read what is kept: administrators and privacy staff whom an
// administrator lets, for a time.

type Granted = Pick<UserRow, "role" | "disabledAt" | "trainingValidUntil" | "legalUntil">;

const isLegalAt = ({ role, disabledAt, trainingValidUntil, legalUntil }: Granted, now: number) =>
  (role === "admin" || role === "privacy") &&
  disabledAt === null &&
  (trainingValidUntil ?? 0) > now &&
  (legalUntil ?? 0) > now;

/** Whether the caller may. A token is nobody who could answer for it. */
export async function isLegal(ctx: Ctx): Promise<boolean> {
  const { principal } = ctx;
  const user = principal.kind === "staff" ? await userOf(ctx.db, null, principal.userId) : null;
  return user !== null && isLegalAt(user, ctx.now());
}

/** @returns the caller's number @throws {AppError} forbidden */
export async function requireLegal(ctx: Ctx): Promise<number> {
  if (ctx.principal.kind === "staff" && (await isLegal(ctx))) return ctx.principal.userId;
  throw new AppError(
    "forbidden",
    "An administrator must first let you handle what is kept for a legal reason, or that time is over",
  );
}

/** Everybody who may now. */
export async function legalStaff(ctx: Ctx): Promise<UserRow[]> {
  const staff = await listUsers(ctx.db, null, 0, LIMITS.usersPerAccount);
  return staff.filter((user) => isLegalAt(user, ctx.now()));
}

/**
 * Lets one of the staff place and release holds and read what is kept, until a time; null: no longer. Nobody does it for
 * themselves.
 * @param until Unix ms, at most a year ahead
 * @throws {AppError} step_up_required, forbidden, invalid
 */
export async function grantLegal(
  ctx: Ctx,
  member: StaffMember,
  until: number | null,
  given: string,
): Promise<StaffMember> {
  requireProof(ctx);
  const now = ctx.now();
  if (until !== null) {
    if (ctx.principal.kind === "staff" && ctx.principal.userId === member.id) {
      throw new AppError("forbidden", "Nobody lets themselves read what is kept: ask another administrator");
    }
    if (member.role !== "admin" && member.role !== "privacy") {
      throw new AppError("invalid", "until must be of an administrator or of privacy staff", { field: "until" });
    }
    if (!(until > now && until <= now + LIMITS.legalMaxMs)) {
      throw new AppError("invalid", "until must be in the future, at most 366 days ahead", { field: "until" });
    }
  }
  const reason = requireReason(given);
  await record(ctx, until === null ? "legal.withdrawn" : "legal.granted", { subject: `user ${member.id}`, reason });
  if ((await updateStaff(ctx.db, member.id, { legalUntil: until }, null)) === null) {
    throw new AppError("not_found", "No such member of staff");
  }
  return staffById(ctx, member.id);
}
