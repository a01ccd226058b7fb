import { requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { tell } from "./secure.ts";
import type { AccountRow, AddressRow, CountedAccount } from "./store/accounts.ts";
import * as store from "./store/accounts.ts";
import { removeAllFactors } from "./store/factors.ts";
import { listUsers, type UserRow, userOf } from "./store/users.ts";
import { textFor } from "./text/index.ts";

export type { AccountRow as Account, AddressRow as Address, CountedAccount } from "./store/accounts.ts";

export async function createAccount(ctx: Ctx, name: string): Promise<CountedAccount> {
  const account = await store.insertAccount(ctx.db, { name, createdAt: ctx.now() });
  await record(ctx, "account.created", { accountId: account.id, subject: `account ${account.id}` });
  return { ...account, users: 0, devices: 0 };
}

/** @throws {AppError} not_found */
export async function accountById(ctx: Ctx, id: number): Promise<AccountRow> {
  const account = await store.accountById(ctx.db, id);
  if (account === null) throw new AppError("not_found", "No such account");
  return account;
}

/** One page of all accounts by id, masked. @param after the last id of the page before, 0 for the first page */
export async function listAccounts(ctx: Ctx, after: number, limit: number): Promise<CountedAccount[]> {
  return (await store.listAccounts(ctx.db, after, limit)).map((row) => ({ ...row, name: accountName(row) }));
}

/**
 * The accounts with this number, this name or a person with this e-mail address, masked. A name and an address are
 * stored sealed and found by their keyed hash, so that only all of it finds anything; case and blanks do not matter.
 */
export async function findAccounts(ctx: Ctx, term: string): Promise<CountedAccount[]> {
  const rows = await store.listAccounts(ctx.db, 0, LIMITS.pageDefault, term.trim());
  return rows.map((row) => ({ ...row, name: accountName(row) }));
}

/** What the operator sees of a person: masked, unless they gave a reason. */
export type ShownUser = Pick<
  UserRow,
  "id" | "role" | "name" | "mobile" | "createdAt" | "lastSignInAt" | "disabledAt"
> & {
  email: string;
};

/** An account with its people. Addresses and payment mode are for finance and the rest for the others: null there. */
export interface AccountDetail extends AccountRow {
  people: ShownUser[] | null;
  addresses: AddressRow[] | null;
}

/** The first character of a text and no more: what a customer called something may name a person. */
export const first = (text: string) => `${[...text][0] ?? ""}***`;
/** An account that signed up has its owner's name at first; the others have the one that the operator gave them. */
const accountName = ({ name, privacyAccepted }: AccountRow) => (privacyAccepted === null ? name : first(name));
const maskName = (name: string | null) => (name === null ? null : first(name));
/** Enough to compare with what somebody says on the phone: a***@e***.com. */
export function maskEmail(email: string): string {
  const [local = "", host = ""] = email.split("@");
  return `${first(local)}@${first(host)}${/\.[^.]+$/.exec(host)?.[0] ?? ""}`;
}
const maskMobile = (mobile: string | null) => (mobile === null ? null : `***${mobile.slice(-2)}`);

function shownUser(row: UserRow): ShownUser {
  const { id, role, email, name, mobile, createdAt, lastSignInAt, disabledAt } = row;
  return { id, role, email, name, mobile, createdAt, lastSignInAt, disabledAt };
}

const masked = (user: ShownUser): ShownUser => ({
  ...user,
  email: maskEmail(user.email),
  name: maskName(user.name),
  mobile: maskMobile(user.mobile),
});

/** An account as this one of the staff may see it: finance how it pays and where bills go, the others masked people. */
export async function accountDetail(ctx: Ctx, account: AccountRow): Promise<AccountDetail> {
  const { principal } = ctx;
  if (principal.kind === "staff" && principal.role === "finance") {
    const addresses = await store.addressesOf(ctx.db, account.id);
    return { ...account, name: accountName(account), stateReason: null, people: null, addresses };
  }
  const people = await listUsers(ctx.db, account.id, 0, LIMITS.usersPerAccount);
  const shown = people.map(shownUser).map(masked);
  return { ...account, name: accountName(account), paymentMode: null, people: shown, addresses: null };
}

/** A sentence that the customer reads. @throws {AppError} invalid, field `reason` */
export function requireReason(given: string): string {
  const reason = given.trim();
  const { reasonMinCharacters: min, reasonMaxCharacters: max } = LIMITS;
  if ([...reason].length < min || [...reason].length > max || /\p{Cc}/u.test(reason)) {
    throw new AppError("invalid", `reason must have ${min} to ${max} characters on one line`, { field: "reason" });
  }
  return reason;
}

/**
 * Shows what is masked, this once. The customer sees that it was done, and why.
 * @throws {AppError} invalid without a reason
 */
export async function unmaskAccount(ctx: Ctx, account: AccountRow, given: string): Promise<AccountDetail> {
  requireProof(ctx);
  const reason = requireReason(given);
  // Written first: what cannot be recorded is not shown.
  await record(ctx, "account.unmasked", { accountId: account.id, subject: `account ${account.id}`, reason });
  const people = (await listUsers(ctx.db, account.id, 0, LIMITS.usersPerAccount)).map(shownUser);
  return { ...account, people, addresses: await store.addressesOf(ctx.db, account.id) };
}

/**
 * Leaves an account its rights only: read, export, correct, erase.
 * @param given why; the customer reads it
 * @throws {AppError} invalid; conflict when it is not active
 */
export async function suspendAccount(ctx: Ctx, account: AccountRow, given: string): Promise<AccountRow> {
  requireProof(ctx);
  const reason = requireReason(given);
  if (!(await store.changeState(ctx.db, account.id, "active", "suspended", reason))) {
    throw new AppError("conflict", "Only an active account can be suspended");
  }
  await record(ctx, "account.suspended", { accountId: account.id, subject: `account ${account.id}`, reason });
  return accountById(ctx, account.id);
}

/** @throws {AppError} conflict when it is not suspended */
export async function resumeAccount(ctx: Ctx, account: AccountRow): Promise<AccountRow> {
  requireProof(ctx);
  if (!(await store.changeState(ctx.db, account.id, "suspended", "active", null))) {
    throw new AppError("conflict", "This account is not suspended");
  }
  await record(ctx, "account.resumed", { accountId: account.id, subject: `account ${account.id}` });
  return accountById(ctx, account.id);
}

/**
 * Removes the second factors of somebody who has lost them, recovery codes too. They are told by mail, and still need
 * their password, or their mailbox for a new one: the operator gets in no further by this.
 * @param given why, such as how the person proved who they are; the customer reads it
 * @throws {AppError} not_found; invalid
 */
export async function resetFactors(ctx: Ctx, account: AccountRow, userId: number, given: string): Promise<void> {
  requireProof(ctx);
  const reason = requireReason(given);
  const user = await userOf(ctx.db, account.id, userId);
  if (user === null) throw new AppError("not_found", "No such user");
  // Written first: what cannot be recorded is not done.
  await record(ctx, "factors.reset", { accountId: account.id, subject: `user ${userId}`, reason });
  await removeAllFactors(ctx.db, userId);
  await tell(ctx, user, "factorRemoved", { what: textFor(user.language).security.what.all, path: "/secure" });
}
