import { newToken, requireProof } from "./access.ts";
import { first } from "./accounts.ts";
import { record } from "./audit.ts";
import type { Ctx, Scope, UserPrincipal } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { requireDevices } from "./members.ts";
import type { KeyRow } from "./store/keys.ts";
import * as store from "./store/keys.ts";
import { countOwners } from "./store/users.ts";

export type { KeyRow as ApiKey } from "./store/keys.ts";

export interface NewKey {
  scope: Scope;
  name?: string | null | undefined;
  /** Unix ms, to come; null: until it is revoked. */
  expiresAt?: number | null | undefined;
  /** The only devices that exist for it; null: all of the account's. */
  devices?: readonly number[] | null | undefined;
}

/**
 * Makes an API key. The key itself is in this answer and nowhere else: only its hash is stored.
 * @throws {AppError} invalid when it would have expired; conflict when the account has too many
 */
export async function createKey(
  ctx: Ctx,
  accountId: number,
  { scope, name = null, expiresAt = null, devices = null }: NewKey,
): Promise<KeyRow & { key: string }> {
  const now = ctx.now();
  if (expiresAt !== null && expiresAt <= now) {
    throw new AppError("invalid", "expiresAt must be a time to come", { field: "expiresAt" });
  }
  if ((await store.countKeys(ctx.db, accountId, now)) >= LIMITS.keysPerAccount) {
    throw new AppError("conflict", `An account has ${LIMITS.keysPerAccount} keys at most: revoke one first`);
  }
  const { token, hash } = await newToken(ctx, "key");
  const madeBy = ctx.principal.kind === "user" ? ctx.principal.userId : null;
  const row = await store.insertKey(
    ctx.db,
    accountId,
    { name, scope, hash, createdAt: now, expiresAt, madeBy },
    devices,
  );
  await record(ctx, "key.created", { accountId, subject: `key ${row.id}` });
  return { ...row, key: token };
}

/**
 * Makes a key for an account that the operator opened and nobody else runs. Where there is an owner, a key of the
 * operator's would be a way to its locations beside the window that only the customer opens.
 * @throws {AppError} conflict; as createKey()
 */
export async function createOperatorKey(ctx: Ctx, accountId: number, key: NewKey): Promise<KeyRow & { key: string }> {
  requireProof(ctx);
  if ((await countOwners(ctx.db, accountId)) > 0) {
    throw new AppError("conflict", "This account has an owner: only its own people make its keys");
  }
  return createKey(ctx, accountId, key);
}

/** One page of an account's keys by id. @param after the last id of the page before, 0 for the first page */
export async function listKeys(ctx: Ctx, accountId: number, after: number, limit: number): Promise<KeyRow[]> {
  const rows = await store.listKeys(ctx.db, accountId, after, limit);
  // The names that the operator gave are its own.
  return rows.map((row) => (row.madeBy === null || row.name === null ? row : { ...row, name: first(row.name) }));
}

/**
 * Ends a key of whatever account at once: the next request with it is refused. For the operator.
 * @throws {AppError} not_found
 */
export async function revokeKey(ctx: Ctx, id: number): Promise<void> {
  requireProof(ctx);
  await revoke(ctx, null, id);
}

async function revoke(ctx: Ctx, owner: number | null, id: number): Promise<void> {
  const accountId = await store.revokeKey(ctx.db, owner, id, ctx.now());
  if (accountId === null) throw new AppError("not_found", "No such key, or it is revoked already");
  await record(ctx, "key.revoked", { accountId, subject: `key ${id}` });
}

// A key can do nothing that the person who makes it cannot, so only a signed-in person makes one: a key must not give
// itself another life.

/** @throws {AppError} forbidden */
function maker(ctx: Ctx): UserPrincipal {
  if (ctx.principal.kind === "user" && ctx.principal.role !== "viewer") return ctx.principal;
  throw new AppError("forbidden", "API keys are made by an owner or manager who is signed in");
}

/** Who is limited to some devices sees the keys that they made; others see every key of the account. */
const onlyOwn = ({ devices, userId }: UserPrincipal) => (devices === null ? null : userId);

/**
 * Makes a key for the caller's account.
 * @param key `devices` are the caller's own when they are limited and name none
 * @throws {AppError} as createKey(); invalid; not_found for a device that does not exist for the caller; forbidden when it may
 *   write and the caller may only see one of the devices
 */
export async function createOwnKey(ctx: Ctx, key: NewKey): Promise<KeyRow & { key: string }> {
  const { accountId, devices: reach, editable, sessionId } = maker(ctx);
  if (key.devices?.length === 0) {
    throw new AppError("invalid", "devices must name at least one", { field: "devices" });
  }
  const devices = key.devices ?? reach;
  const beyond = (ids: readonly number[] | null) => ids !== null && devices?.some((id) => !ids.includes(id)) === true;
  if (beyond(reach)) throw new AppError("not_found", "No such device", { field: "devices" });
  if (key.devices != null) await requireDevices(ctx, key.devices);
  if (key.scope === "write" && beyond(editable)) {
    throw new AppError("forbidden", "scope must be read: you may see one of these devices and not change it", {
      field: "scope",
    });
  }
  const made = await createKey(ctx, accountId, { ...key, devices });
  // Who loses a right, or their session, while a key is made keeps none in the key: what ended it saw no key to revoke.
  if (!(await store.isWithinMaker(ctx.db, accountId, made.id, sessionId))) {
    if ((await store.revokeKey(ctx.db, accountId, made.id, ctx.now())) !== null) {
      await record(ctx, "key.revoked", { accountId, subject: `key ${made.id}` });
    }
    throw new AppError("forbidden", "What you may do was changed just now; look again");
  }
  return made;
}

/** One page of the keys that the caller may see, by id. @param after the last id of the page before */
export function listOwnKeys(ctx: Ctx, after: number, limit: number): Promise<KeyRow[]> {
  const person = maker(ctx);
  return store.listKeys(ctx.db, person.accountId, after, limit, onlyOwn(person));
}

/** @throws {AppError} not_found, also for a key of another account */
export async function ownKey(ctx: Ctx, id: number): Promise<KeyRow> {
  const { principal } = ctx;
  const key = principal.kind === "user" ? await store.keyById(ctx.db, principal.accountId, id) : null;
  const isSeen = principal.kind === "user" && (onlyOwn(principal) ?? key?.madeBy) === key?.madeBy;
  if (key === null || !isSeen) throw new AppError("not_found", "No such key");
  return key;
}

/** Ends one of these keys at once. @throws {AppError} not_found */
export async function revokeOwnKey(ctx: Ctx, id: number): Promise<void> {
  await revoke(ctx, (await ownKey(ctx, id)).accountId, id);
}
