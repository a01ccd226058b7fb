import { segmentKey, wrapSecret } from "../client/wrap.ts";
import type { Base, Config } from "./context.ts";
import { LIMITS } from "./limits.ts";
import type { RowKey } from "./segments.ts";
import { type KeyInUse, keysInUse } from "./store/customer-keys.ts";
import { deleteUnusedWrapped, type WrappedRow } from "./store/wrapped.ts";
import { inEach } from "./telemetry.ts";
import { keyShares, type SealingKey } from "./vault.ts";

// Accounts with sealing keys (src/customer-keys.ts): what is settled is sealed under keys of two halves, see
// client/wrap.ts. The customer's half of a day lies in the memory of the isolate that settles, for a few minutes, so that
// what comes next can be added to the same segments; then nobody has it who has not the customer's private key.

/** The customer's half of the keys of one account and day. */
export interface Half {
  kid: number;
  secret: Uint8Array;
  /** The same, wrapped to each of the customer's keys: to be stored with what is sealed. */
  wrapped: WrappedRow[];
  madeAt: number;
}

const HALVES = new WeakMap<Config, Map<string, Half>>();

function halvesOf(ctx: Base): Map<string, Half> {
  let halves = HALVES.get(ctx.config);
  if (halves === undefined) {
    halves = new Map();
    HALVES.set(ctx.config, halves);
  }
  dropOld(ctx, halves);
  return halves;
}

function dropOld(ctx: Base, halves: Map<string, Half>): void {
  const since = ctx.now() - LIMITS.customerHalfMs;
  for (const [id, { madeAt }] of halves) {
    if (madeAt <= since || halves.size > LIMITS.customerHalves) halves.delete(id);
  }
}

/**
 * Forgets halves whose time is over. The settler does so each minute, as nothing else might come that did: an account's
 * trackers may be silent for days. @returns how many
 */
export function forgetHalves(ctx: Base): number {
  const halves = HALVES.get(ctx.config);
  if (halves === undefined) return 0;
  const before = halves.size;
  dropOld(ctx, halves);
  return before - halves.size;
}

const idOf = (accountId: number, day: number) => `${accountId} ${day}`;

/** Six random bytes as a number. */
function newKid(ctx: Base): number {
  return ctx.random(6).reduce((kid, byte) => kid * 256 + byte, 0);
}

/**
 * The half to seal with: the one of minutes ago if it was wrapped to the same keys, else a new one.
 * @param day UTC day since 1970
 */
async function halfFor(ctx: Base, accountId: number, day: number, keys: readonly KeyInUse[]): Promise<Half> {
  const halves = halvesOf(ctx);
  const known = halves.get(idOf(accountId, day));
  const ids = keys.map(({ id }) => id).join();
  if (known !== undefined && known.wrapped.map(({ keyId }) => keyId).join() === ids) return known;
  const kid = newKid(ctx);
  const secret = ctx.random(32);
  const wrapped = await Promise.all(
    keys.map(async ({ id: keyId, publicKey }) => {
      return { accountId, kid, keyId, day, wrapped: await wrapSecret(publicKey, { accountId, day, kid }, secret) };
    }),
  );
  const half = { kid, secret, wrapped, madeAt: ctx.now() };
  halves.set(idOf(accountId, day), half);
  return half;
}

/** What a row says about the keys of its content. */
interface Kids {
  deviceId: number;
  dayKid: number;
  deviceKid: number;
  customerKid: number | null;
}

/** The keys of rows that are sealed to the customer as well; null where this isolate does not have the half, or ours is destroyed. */
export async function heldKeys(ctx: Base, accountId: number, rows: readonly Kids[]): Promise<(CryptoKey | null)[]> {
  const halves = new Map<number, Uint8Array>();
  for (const [id, { kid, secret }] of halvesOf(ctx)) if (id.startsWith(`${accountId} `)) halves.set(kid, secret);
  const held = rows.filter(({ customerKid }) => customerKid !== null && halves.has(customerKid));
  const shares = await keyShares(ctx, accountId, held);
  const keys = await Promise.all(
    held.map(({ customerKid }, i) => {
      const share = shares[i];
      return share === null || share === undefined ? null : segmentKey(halves.get(customerKid!)!, share);
    }),
  );
  const found = new Map(held.map((row, i) => [row, keys[i] ?? null]));
  return rows.map((row) => found.get(row) ?? null);
}

/** What the days of some accounts are sealed with beside our own secrets. */
export interface Halves {
  /** Null for an account that has no keys of its own. */
  of(accountId: number, day: number): Half | null;
  /** What must be stored with what is sealed. */
  wrapped(): WrappedRow[];
}

/** The halves of these days of those of the accounts that seal to keys of their own. One read of the database. */
export async function halvesFor(ctx: Base, wanted: readonly { accountId: number; day: number }[]): Promise<Halves> {
  // Never remembered: what is written hangs on it.
  const customers = await keysInUse(ctx.db, [...new Set(wanted.map(({ accountId }) => accountId))]);
  const halves = new Map<string, Half>();
  for (const { accountId, day } of wanted) {
    const keys = customers.get(accountId);
    const id = idOf(accountId, day);
    if (keys !== undefined && !halves.has(id)) halves.set(id, await halfFor(ctx, accountId, day, keys));
  }
  return {
    of: (accountId, day) => halves.get(idOf(accountId, day)) ?? null,
    wrapped: () => [...halves.values()].flatMap(({ wrapped }) => wrapped),
  };
}

/**
 * Keys to seal rows with: ours, together with the customer's half where there is one.
 * @param ours in the order of `wanted`
 * @returns null where ours is, or was destroyed in between
 */
export async function keysOfBoth(
  ctx: Base,
  accountId: number,
  wanted: readonly { deviceId: number; day: number }[],
  ours: readonly (SealingKey | null)[],
  halves: Halves,
): Promise<(RowKey | null)[]> {
  const both = wanted.flatMap(({ deviceId, day }, i) => {
    const half = halves.of(accountId, day);
    const key = ours[i] ?? null;
    return half === null || key === null ? [] : [{ i, half, deviceId, dayKid: key.dayKid, deviceKid: key.deviceKid }];
  });
  const keys = ours.map((key): RowKey | null => key && { ...key, customerKid: null });
  const shares = await keyShares(ctx, accountId, both);
  await Promise.all(
    both.map(async ({ i, half, dayKid, deviceKid }, n) => {
      const share = shares[n] ?? null;
      const key = share && (await segmentKey(half.secret, share));
      keys[i] = key && { dayKid, deviceKid, customerKid: half.kid, key };
    }),
  );
  return keys;
}

/** Deletes halves that open nothing any more. @returns rows */
export function purgeWrapped(ctx: Base): Promise<number> {
  return inEach(ctx, async ({ db }) => {
    let deleted = 0;
    for (let statements = LIMITS.deleteStatements; statements > 0; statements--) {
      const rows = await deleteUnusedWrapped(db, LIMITS.deleteRows);
      deleted += rows;
      if (rows < LIMITS.deleteRows) break;
    }
    return deleted;
  });
}
