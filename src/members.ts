import { accountOf, personOf } from "./access.ts";
import { accountById } from "./accounts.ts";
import { record } from "./audit.ts";
import type { Ctx, CustomerRole } from "./context.ts";
import { beforeCorrection } from "./corrections.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { requireEmail } from "./signup.ts";
import { renameAccount } from "./store/accounts.ts";
import type { DeviceLimit, MemberRow } from "./store/members.ts";
import * as store from "./store/members.ts";
import { emptyLog } from "./store/scrub.ts";
import { insertUser, userById } from "./store/users.ts";
import { textFor } from "./text/index.ts";
import { takeTry } from "./throttle.ts";
import { dropTokens, makeToken } from "./tokens.ts";

export type { DeviceLimit, MemberRow as Member } from "./store/members.ts";

/** What an owner decides about a member. */
export interface MemberRights {
  role: CustomerRole;
  /** Sees only `devices`. */
  deviceLimited: boolean;
  devices: readonly DeviceLimit[];
}

/** One page of the account's members by id. @param after the last id of the page before, 0 for the first page */
export function listMembers(ctx: Ctx, after: number, limit: number): Promise<MemberRow[]> {
  return store.listMembers(ctx.db, accountOf(ctx), after, limit);
}

/** @throws {AppError} not_found, also for a user of another account */
export async function memberOf(ctx: Ctx, id: number): Promise<MemberRow> {
  const member = await store.memberOf(ctx.db, accountOf(ctx), id);
  if (member === null) throw new AppError("not_found", "No such user");
  return member;
}

/**
 * Invites somebody: they are a member once they follow the link in the mail. An address that is known elsewhere on the
 * platform gets the same answer and no mail: whose it is, is not told, and nobody is drawn out of their own account.
 * Invitations are counted, so that the list of members is no way to try many addresses either.
 * @throws {AppError} conflict when they are a member already, or the account is full; not_found for a device that the
 *   account does not have; rate_limited
 */
export async function inviteMember(
  ctx: Ctx,
  { email: typed, ...rights }: MemberRights & { email: string },
): Promise<void> {
  const email = requireEmail(typed);
  const accountId = accountOf(ctx);
  const { userId } = personOf(ctx);
  const { role, deviceLimited, devices } = await checkedRights(ctx, rights);
  if ((await store.memberByEmail(ctx.db, accountId, email)) !== null) {
    throw new AppError("conflict", "This person is a member already; change their role instead", { field: "email" });
  }
  if ((await store.countMembers(ctx.db, accountId)) >= LIMITS.usersPerAccount) {
    throw new AppError("conflict", `An account has ${LIMITS.usersPerAccount} members at most`);
  }
  // Before anything is stored: it fails where the installation cannot make links.
  const path = await linkTo(ctx, "/invite/");
  await takeTry(ctx, "invite", String(accountId));
  await takeTry(ctx, "mail", email);
  const inviter = await userById(ctx.db, userId);
  const user = await insertUser(ctx.db, {
    accountId,
    role,
    email,
    deviceLimited: deviceLimited ? 1 : 0,
    createdAt: ctx.now(),
    ...(inviter !== null && { language: inviter.language, units: inviter.units, timeZone: inviter.timeZone }),
  });
  if (user === null) return;
  await store.insertLimits(ctx.db, accountId, user.id, devices);
  await sendInvitation(ctx, user, path);
  await record(ctx, "user.invited", { accountId, subject: `user ${user.id}` });
}

/**
 * Sends the invitation again; the link of the one before no longer works.
 * @throws {AppError} conflict when they have come already; rate_limited
 */
export async function inviteAgain(ctx: Ctx, member: MemberRow): Promise<void> {
  const accountId = accountOf(ctx);
  if (member.state !== "invited") throw new AppError("conflict", "This person has taken the invitation already");
  const path = await linkTo(ctx, "/invite/");
  await takeTry(ctx, "mail", member.email);
  await dropTokens(ctx, member.id, "invite");
  await sendInvitation(ctx, member, path);
  await record(ctx, "user.invited", { accountId, subject: `user ${member.id}` });
}

async function sendInvitation(ctx: Ctx, user: { id: number; email: string; language: string }, path: string) {
  const token = await makeToken(ctx, "invite", { userId: user.id, lifeMs: LIMITS.signupLinkMs });
  const { name } = await accountById(ctx, accountOf(ctx));
  const data = { account: name, link: path + token };
  await queueMail(ctx, "invite", { to: user.email, userId: user.id, language: user.language, data });
}

/**
 * Changes role and limits; they hold from the member's next request on. Keys of theirs that could do more than they now
 * can are revoked.
 * @throws {AppError} conflict for the last owner; invalid; not_found for a device that the account does not have
 */
export async function changeMember(ctx: Ctx, member: MemberRow, change: Partial<MemberRights>): Promise<MemberRow> {
  const accountId = accountOf(ctx);
  const role = change.role ?? member.role;
  // An owner sees everything: who becomes one is no longer limited.
  const deviceLimited = change.deviceLimited ?? (member.deviceLimited && role !== "owner");
  const checked = await checkedRights(ctx, { role, deviceLimited, devices: change.devices ?? [] });
  const limits = { role, deviceLimited, devices: change.devices === undefined ? null : checked.devices };
  const revoked = await store.changeMember(ctx.db, accountId, member.id, limits, ctx.now());
  if (revoked === null) {
    await memberOf(ctx, member.id);
    throw lastOwner("role");
  }
  await record(ctx, "user.changed", { accountId, subject: `user ${member.id}` });
  await recordRevoked(ctx, accountId, revoked);
  return memberOf(ctx, member.id);
}

/**
 * Removes a member: their sessions end and the keys that they made stop working at once.
 * @throws {AppError} conflict for the last owner; not_found
 */
export async function removeMember(ctx: Ctx, id: number): Promise<void> {
  const accountId = accountOf(ctx);
  const { name } = await memberOf(ctx, id);
  await beforeCorrection(ctx, accountId);
  const revoked = await store.deleteMember(ctx.db, accountId, id, ctx.now());
  if (revoked === null) {
    await memberOf(ctx, id);
    throw lastOwner();
  }
  await record(ctx, "user.removed", { accountId, subject: `user ${id}` });
  await recordRevoked(ctx, accountId, revoked);
  // It may have been named after them.
  if (name !== null) await renameAccount(ctx.db, accountId, name, textFor(personOf(ctx).language).auth.accountName);
  ctx.defer(emptyLog(ctx.db));
}

const lastOwner = (field?: string) =>
  new AppError(
    "conflict",
    "An account needs an owner who can sign in: make somebody else an owner first",
    field === undefined ? {} : { field },
  );

async function recordRevoked(ctx: Ctx, accountId: number, keys: readonly number[]): Promise<void> {
  for (const key of keys) await record(ctx, "key.revoked", { accountId, subject: `key ${key}` });
}

async function checkedRights(ctx: Ctx, rights: MemberRights): Promise<MemberRights> {
  const { role, deviceLimited, devices } = rights;
  const refuse = (field: string, why: string) => new AppError("invalid", `${field} ${why}`, { field });
  if (role === "owner" && deviceLimited) throw refuse("deviceLimited", "is not for owners, who see every device");
  if (!deviceLimited && devices.length > 0) throw refuse("devices", "goes with deviceLimited");
  await requireDevices(
    ctx,
    devices.map(({ id }) => id),
  );
  return rights;
}

/** Refuses devices that the account does not have. @throws {AppError} invalid, not_found */
export async function requireDevices(ctx: Ctx, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  if (ids.length > LIMITS.devicesPerLimit) {
    throw new AppError("invalid", `devices has ${LIMITS.devicesPerLimit} entries at most`, { field: "devices" });
  }
  const found = await store.devicesAmong(ctx.db, accountOf(ctx), ids);
  if (found.length < new Set(ids).size) throw new AppError("not_found", "No such device", { field: "devices" });
}
