import { fromBase64 } from "../client/base64.ts";
import { SealError } from "../client/errors.ts";
import { checkOf } from "../client/key-file.ts";
import { requirePublicKey } from "../client/wrap.ts";
import { accountOf, requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { tell } from "./secure.ts";
import type { CustomerKey, KeyKind } from "./store/customer-keys.ts";
import * as store from "./store/customer-keys.ts";
import { listOwners } from "./store/members.ts";

export type { CustomerKey, KeyKind } from "./store/customer-keys.ts";
export { SEALING_KEY_KINDS } from "./store/schema.ts";

// From the first of these keys on, positions of the account are sealed to them when they are settled
// (src/customer-sealed.ts). Nobody but the holder of a private key opens them again: not the operator, not for a court,
// not when the key is lost.

export interface NewCustomerKey {
  kind: KeyKind;
  /** base64url of 32 bytes */
  publicKey: string;
  /** What the key file says beside the key: who can type it has the file. */
  check: string;
  /** That a lost key is final was read and understood. */
  lostKeyIsFinal: boolean;
}

/** @throws {AppError} invalid, field `publicKey` */
async function readPublicKey(text: string): Promise<Uint8Array> {
  const refused = (why: string, cause?: unknown) =>
    new AppError("invalid", `publicKey ${why}`, { field: "publicKey", cause });
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(text.trim().replace(/=+$/, ""));
  } catch (error) {
    throw refused("must be base64url, as the key file has it", error);
  }
  try {
    await requirePublicKey(bytes);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    throw refused(bytes.length === 32 ? "is no X25519 key that can be sealed to" : "must be a key of 32 bytes", error);
  }
  return bytes;
}

const plain = (check: string) => check.toLowerCase().replaceAll(/[^0-9a-f]/g, "");

/**
 * Registers a key of the caller's account: from now on what is settled is sealed to it. Every owner is told by mail, as
 * who gets in and seals to a key of their own would lock the account out of its positions.
 * @throws {AppError} invalid, conflict, step_up_required
 */
export async function addCustomerKey(ctx: Ctx, { kind, ...given }: NewCustomerKey): Promise<CustomerKey> {
  requireProof(ctx);
  const accountId = accountOf(ctx);
  const publicKey = await readPublicKey(given.publicKey);
  if (plain(given.check) !== plain(await checkOf(publicKey))) {
    throw new AppError("invalid", "check is not that of this key: read it in the key file", { field: "check" });
  }
  if (!given.lostKeyIsFinal) {
    throw new AppError("invalid", "lostKeyIsFinal must be true: nobody can open what is sealed to a lost key", {
      field: "lostKeyIsFinal",
    });
  }
  const row = await store.insertCustomerKey(ctx.db, { accountId, kind, publicKey, createdAt: ctx.now() });
  if (row === null) throw new AppError("conflict", "A key of this kind, or this key, is in use: revoke it first");
  await record(ctx, "sealing.added", { accountId, subject: `sealing key ${row.id}` });
  await tellOwners(ctx, accountId, "sealingKeyAdded");
  return row;
}

async function tellOwners(
  ctx: Ctx,
  accountId: number,
  kind: "sealingKeyAdded" | "sealingKeyRevoked" | "sealingEnded",
): Promise<void> {
  for (const owner of await listOwners(ctx.db, accountId)) await tell(ctx, owner, kind, { path: "/profile/sealing" });
}

/** Every key of the caller's account, revoked ones too, oldest first. */
export function listCustomerKeys(ctx: Ctx): Promise<CustomerKey[]> {
  return store.listCustomerKeys(ctx.db, accountOf(ctx));
}

/** @throws {AppError} not_found, also for a key of another account */
export async function customerKeyOf(ctx: Ctx, id: number): Promise<CustomerKey> {
  const key = await store.customerKeyById(ctx.db, accountOf(ctx), id);
  if (key === null) throw new AppError("not_found", "No such sealing key");
  return key;
}

/**
 * Nothing more is sealed to this key; it still opens what was. After the last one, positions are stored as those of
 * other accounts again.
 * @throws {AppError} not_found, step_up_required
 */
export async function revokeCustomerKey(ctx: Ctx, id: number): Promise<void> {
  requireProof(ctx);
  const { accountId } = await customerKeyOf(ctx, id);
  if (!(await store.revokeCustomerKey(ctx.db, accountId, id, ctx.now()))) {
    throw new AppError("not_found", "No such sealing key, or it is revoked already");
  }
  await record(ctx, "sealing.revoked", { accountId, subject: `sealing key ${id}` });
  const remain = await isSealed(ctx, accountId);
  await tellOwners(ctx, accountId, remain ? "sealingKeyRevoked" : "sealingEnded");
}

/** Whether an account's positions are sealed to a key of its own. */
export async function isSealed(ctx: Base, accountId: number): Promise<boolean> {
  return (await store.keysInUse(ctx.db, [accountId])).has(accountId);
}

/** The check that a key's file says. */
export const checkOfKey = ({ publicKey }: CustomerKey): Promise<string> => checkOf(publicKey);
