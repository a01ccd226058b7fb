import { accountOf, personOf, reachOf } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { beforeCorrection } from "./corrections.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { requireEmail } from "./signup.ts";
import type { AccountRow, AddressRow } from "./store/accounts.ts";
import { accountById, addressesOf, renameAccount } from "./store/accounts.ts";
import type { Accepted, AddressKind } from "./store/profile.ts";
import * as store from "./store/profile.ts";
import { emptyLog } from "./store/scrub.ts";
import type { UserRow } from "./store/users.ts";
import { updateUser, userByEmail, userById } from "./store/users.ts";
import { placeOf } from "./telemetry.ts";
import { LANGUAGES, textFor } from "./text/index.ts";
import { takeTry } from "./throttle.ts";
import { isTimeZone } from "./time-zones.ts";
import { dropTokens, makeToken, readToken, takeToken } from "./tokens.ts";

export { ADDRESS_KINDS, PAYMENT_MODES, UNITS } from "./store/schema.ts";

/** What a person sees of themself: no hash, no secret. */
export interface Profile {
  user: Omit<UserRow, "passwordHash" | "totpSecret" | "totpLastStep" | "disabledAt">;
  factors: { password: boolean; totp: boolean; passkey: boolean; recoveryCodes: boolean };
  /** null: the operator's staff */
  account: (AccountRow & { addresses: AddressRow[]; accepted: Accepted[]; region: string }) | null;
}

/** The caller with everything that they can change, and their account. */
export async function profileOf(ctx: Ctx): Promise<Profile> {
  const me = await ownRow(ctx);
  const { passwordHash, totpSecret, totpLastStep, disabledAt, ...user } = me;
  const { passkeys, recoveryCodes } = await store.factorsOf(ctx.db, me.id);
  const found = me.accountId === null ? null : await accountById(ctx.db, me.accountId);
  // How the account pays and where it lives is not for those who were only given some devices to see.
  const isViewer = me.role === "viewer";
  return {
    user,
    factors: {
      password: passwordHash !== null,
      totp: me.totpSince !== null,
      passkey: passkeys > 0,
      recoveryCodes: recoveryCodes > 0,
    },
    account: found && {
      ...found,
      paymentMode: isViewer ? null : found.paymentMode,
      addresses: isViewer ? [] : await addressesOf(ctx.db, found.id),
      accepted: await store.lastAcceptances(ctx.db, found.id),
      region: placeOf(ctx, found).region,
    },
  };
}

async function ownRow(ctx: Ctx): Promise<UserRow> {
  const me = await userById(ctx.db, personOf(ctx).userId);
  if (me === null) throw new AppError("unauthenticated", "This session is over: sign in again");
  return me;
}

export interface ProfileChange {
  name?: string | null | undefined;
  language?: string | undefined;
  units?: UserRow["units"] | undefined;
  /** IANA name */
  timeZone?: string | undefined;
  personalisation?: boolean | undefined;
  searchHistory?: boolean | undefined;
}

const refuse = (field: string, why: string) => new AppError("invalid", `${field} ${why}`, { field });

/** A switch as its column has it; not given, it is not set. */
const bit = (name: string, on: boolean | undefined) => (on === undefined ? {} : { [name]: on ? 1 : 0 });

/**
 * Changes what the caller said about themself; null takes a name away. A preference that is switched off takes what it
 * had collected with it, at once.
 * @throws {AppError} invalid
 */
export async function changeProfile(ctx: Ctx, change: ProfileChange): Promise<void> {
  const { personalisation, searchHistory, ...rest } = change;
  if (rest.language !== undefined && !Object.hasOwn(LANGUAGES, rest.language)) {
    throw refuse("language", `must be one of ${Object.keys(LANGUAGES).join(", ")}`);
  }
  if (rest.timeZone !== undefined && !isTimeZone(rest.timeZone)) {
    throw refuse("timeZone", "must be a time zone such as Europe/Vienna or Asia/Shanghai");
  }
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const set = { ...given, ...bit("personalisation", personalisation), ...bit("searchHistory", searchHistory) };
  if (Object.keys(set).length === 0) return;
  const { userId } = personOf(ctx);
  const before = await ownRow(ctx);
  if (rest.name !== undefined || searchHistory === false) await beforeCorrection(ctx, before.accountId);
  await updateUser(ctx.db, userId, set);
  // An account that signed up is named after its owner, and must not keep a name that they take away.
  if (rest.name !== undefined && before.name !== null && before.role === "owner" && before.accountId !== null) {
    const name = rest.name ?? textFor(before.language).auth.accountName;
    await renameAccount(ctx.db, before.accountId, before.name, name);
  }
  // After the switch: what is written only while it is on cannot come behind this.
  if (personalisation === false) await store.forgetPreference(ctx.db, userId, "recent_devices");
  if (searchHistory === false) await store.forgetPreference(ctx.db, userId, "searches");
  await changed(ctx, "profile.changed");
}

/** Records a change of personal data, and sees that what was there before is not left in the database's log. */
async function changed(ctx: Ctx, action: "profile.changed" | "email.changed" | "mobile.changed"): Promise<void> {
  const me = personOf(ctx);
  const accountId = me.kind === "user" ? me.accountId : null;
  await record(ctx, action, { accountId, subject: `user ${me.userId}` });
  ctx.defer(emptyLog(ctx.db));
}

export type Address = Omit<AddressRow, "accountId" | "kind" | "updatedAt">;

export interface AccountChange {
  name?: string | undefined;
  paymentMode?: AccountRow["paymentMode"] | undefined;
  /** null takes an address away. */
  addresses?: { [kind in AddressKind]?: Address | null | undefined } | undefined;
}

/** Changes what the caller's account said about itself. @throws {AppError} not_found */
export async function changeAccount(ctx: Ctx, change: AccountChange): Promise<void> {
  const accountId = accountOf(ctx);
  const { addresses = {}, name, paymentMode } = change;
  if (name !== undefined || Object.keys(addresses).length > 0) await beforeCorrection(ctx, accountId);
  const set = { ...(name !== undefined && { name }), ...(paymentMode !== undefined && { paymentMode }) };
  if (Object.keys(set).length > 0) await store.updateAccount(ctx.db, accountId, set);
  for (const [kind, address] of Object.entries(addresses) as [AddressKind, Address | null | undefined][]) {
    if (address === null) await store.deleteAddress(ctx.db, accountId, kind);
    else if (address) await store.setAddress(ctx.db, accountId, { kind, ...address, updatedAt: ctx.now() });
  }
  await changed(ctx, "profile.changed");
}

/**
 * Asks for another e-mail address. It is used once whoever reads its mail has confirmed it; until then nothing changes.
 * An address that is somebody's already gets no mail, and the answer is the same.
 * @throws {AppError} invalid, rate_limited
 */
export async function askForEmail(ctx: Ctx, given: string): Promise<void> {
  const email = requireEmail(given);
  const me = await ownRow(ctx);
  if (email === me.email) throw refuse("email", "is your address already");
  // Mails to strangers are counted by address, and those that one person has sent by person.
  for (const subject of [`user ${me.id}`, email]) await takeTry(ctx, "mail", subject);
  await dropTokens(ctx, me.id, "email");
  const token = await makeToken(ctx, "email", { userId: me.id, payload: email, lifeMs: LIMITS.changeLinkMs });
  const link = await linkTo(ctx, `/profile/email/${token}`);
  if ((await userByEmail(ctx.db, email)) !== null) return;
  // Behind the answer, which must not take longer for an address that nobody has.
  const account = me.accountId ?? 0;
  ctx.defer(
    queueMail(ctx, "emailChange", { to: email, userId: me.id, account, language: me.language, data: { link } }),
  );
}

/**
 * The address that a link confirms, for the person who asked for it: a link that went to a mistyped address must not
 * give the account to whoever reads it there, so they have to be signed in.
 * @throws {AppError} not_found
 */
export async function askedEmail(ctx: Ctx, token: string): Promise<string> {
  const found = await readToken(ctx, "email", token);
  if (found === null || found.payload === null || found.userId !== personOf(ctx).userId) {
    throw new AppError("not_found", "No such link: it was used, it is over, or it belongs to another account");
  }
  return found.payload;
}

/** Confirms the address that was asked for, and tells the old one. @throws {AppError} not_found, conflict */
export async function confirmEmail(ctx: Ctx, token: string): Promise<void> {
  const email = await askedEmail(ctx, token);
  const me = await ownRow(ctx);
  const secure = await linkTo(ctx, "/secure/");
  await beforeCorrection(ctx, me.accountId);
  if ((await takeToken(ctx, "email", token)) === null) throw new AppError("not_found", "No such link: it was used");
  if ((await updateUser(ctx.db, me.id, { email, emailVerifiedAt: ctx.now() })) === null) {
    throw new AppError("conflict", "This address belongs to an account already");
  }
  // A reset link that waits in the old mailbox must not open the account any more.
  await dropTokens(ctx, me.id, "reset");
  await changed(ctx, "email.changed");
  // Whoever reads the old mailbox can take it all back, also when it was somebody else who changed the address.
  const back = await makeToken(ctx, "report", { userId: me.id, payload: me.email, lifeMs: LIMITS.takeBackMs });
  const data = { link: secure + back };
  await queueMail(ctx, "emailChanged", { to: me.email, userId: me.id, language: me.language, data });
}

/**
 * Stores another mobile number, or takes it away. Nobody here can send an SMS, so it stays unconfirmed and opens
 * nothing; the e-mail address is told.
 * @param mobile in the international form, with or without spaces: +49 151 0000000
 * @throws {AppError} invalid
 */
export async function changeMobile(ctx: Ctx, mobile: string | null): Promise<void> {
  const number = mobile === null ? null : mobile.replaceAll(/[\s().-]/g, "");
  if (number !== null && !/^\+[1-9]\d{6,14}$/.test(number)) {
    throw refuse("mobile", "must be in the international form, such as +43 660 0000000");
  }
  const me = await ownRow(ctx);
  if (number === me.mobile) return;
  const link = await linkTo(ctx, "/secure");
  await beforeCorrection(ctx, me.accountId);
  await updateUser(ctx.db, me.id, { mobile: number, mobileVerifiedAt: null });
  await changed(ctx, "mobile.changed");
  await queueMail(ctx, "mobileChanged", { to: me.email, userId: me.id, language: me.language, data: { link } });
}

/** Notes that the caller looked at a device of theirs, if they switched personalisation on; else nothing is written. */
export async function noteDeviceSeen(ctx: Ctx, deviceId: number): Promise<void> {
  const { principal } = ctx;
  if (principal.kind !== "user") return;
  await store.noteDeviceSeen(ctx.db, principal, deviceId, ctx.now(), LIMITS.recentDevices);
}

/** The devices that the caller looked at last; none while personalisation is off. */
export async function recentDevices(ctx: Ctx): Promise<{ id: number; name: string; seenAt: number }[]> {
  return ctx.principal.kind === "user" ? store.recentDevicesOf(ctx.db, reachOf(ctx), ctx.principal.userId) : [];
}
