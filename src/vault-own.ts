import { keyIdOf } from "../client/receipt.ts";
import type { Base, Config } from "./context.ts";
import { ed25519Of } from "./ed25519.ts";
import { LIMITS } from "./limits.ts";
import { cacheOf, deriveKey, held, heldWith, type VaultCache } from "./vault-cache.ts";
import { bring, changeObject, placesOf } from "./vault-copies.ts";
import { accountName, type KeyObject, kidsOf, newSecret, type Secret, unavailable } from "./vault-object.ts";
import { destroy, without } from "./vault-shred.ts";

// Keys that hang on one secret: an account's own, the pepper of the installation, those of an inbox.

const text = new TextEncoder();

/** Stands for "the account's own secret" among kids that were not there. */
const OWN = -1;

/**
 * The account's own secret as an AES-GCM key for a purpose.
 * @param make makes the secret if the account never had one
 * @returns null when it was destroyed, or never made
 */
export function accountKey(
  ctx: Base,
  accountId: number,
  purpose: string,
  options: { make?: boolean } = {},
): Promise<CryptoKey | null> {
  return ownKey(ctx, accountId, purpose, "seal", options.make ?? false);
}

/** The same as an HMAC-SHA-256 key. */
export function accountHashKey(
  ctx: Base,
  accountId: number,
  purpose: string,
  options: { make?: boolean } = {},
): Promise<CryptoKey | null> {
  return ownKey(ctx, accountId, purpose, "hash", options.make ?? false);
}

/**
 * The keys of an account that something may still be sealed with, to open it: while it is sealed anew
 * (src/rotate-own.ts) there are several, the newest first.
 * @returns none when the account's secret was destroyed, or never made
 */
export async function accountKeys(ctx: Base, accountId: number, purpose: string): Promise<CryptoKey[]> {
  const newest = await ownKey(ctx, accountId, purpose, "seal", false);
  if (newest === null) return [];
  const name = accountName(accountId);
  const cache = await cacheOf(ctx);
  const { epoch } = cache;
  const account = await held(ctx, name);
  const older = (account?.object.secrets ?? []).filter(
    (secret) => secret.kind === "own" && secret !== account?.current.get("own"),
  );
  const keys = older.reverse().map((secret) => keyOf(cache, epoch, name, secret, `acct|v1|${purpose}`, "seal"));
  return [newest, ...(await Promise.all(keys))];
}

async function ownKey(ctx: Base, accountId: number, purpose: string, as: "seal" | "hash", make: boolean) {
  const name = accountName(accountId);
  const cache = await cacheOf(ctx);
  const { epoch } = cache;
  const now = ctx.now();
  let account = await held(ctx, name, { both: make });
  if (account !== null && !account.current.has("own") && !account.object.gone && !make) {
    const missedAt = account.absent.get(OWN);
    if (missedAt === undefined || now - missedAt >= LIMITS.vaultAbsentMs) {
      account = await held(ctx, name, { fresh: true, both: true });
      if (account?.current.has("own") === false) account.absent.set(OWN, now);
    }
  }
  if (make && !account?.object.gone && !account?.current.has("own")) {
    const object = await changeObject(ctx, name, (before) => {
      const living = cache.living(name, before);
      if (living.gone || living.secrets.some(({ kind }) => kind === "own")) return null;
      return { ...living, secrets: [...living.secrets, newSecret(ctx, kidsOf(living), { kind: "own" })] };
    });
    account = object === null ? null : cache.hold(name, object, true, now, epoch);
  }
  const secret = account?.current.get("own");
  return secret === undefined ? null : keyOf(cache, epoch, name, secret, `acct|v1|${purpose}`, as);
}

/** The key of one secret, from memory if it is there. @param epoch of the cache before the secret was read */
async function keyOf(
  cache: VaultCache,
  epoch: number,
  name: string,
  secret: Secret,
  info: string,
  as: "seal" | "hash",
): Promise<CryptoKey> {
  const id = `${name}\n${secret.kid} ${as} ${info}`;
  const known = cache.key(id);
  if (known !== undefined) return known;
  const key = await deriveKey([secret], info, as);
  cache.holdKey(id, key, epoch);
  return key;
}

const PEPPER = "pepper";

/** The HMAC-SHA-256 key of blind indexes, one for the installation: made at its first use, never destroyed. */
export async function blindKey(ctx: Base): Promise<CryptoKey> {
  const cache = await cacheOf(ctx);
  const { epoch } = cache;
  let pepper = await held(ctx, PEPPER, { both: true });
  if (pepper === null) {
    const object = await changeObject(ctx, PEPPER, (before) =>
      before.secrets.length > 0 ? null : { ...before, secrets: [newSecret(ctx, kidsOf(before), { kind: "pepper" })] },
    );
    // Nothing that was ever indexed is found without it: it does not wait a day for its third copy.
    await bring(ctx, placesOf(ctx).escrow, PEPPER, object!);
    pepper = cache.hold(PEPPER, object!, true, ctx.now(), epoch);
  }
  const secret = pepper.current.get("pepper");
  if (secret === undefined) throw unavailable("The pepper of the indexes is not in its object");
  return keyOf(cache, epoch, PEPPER, secret, "blind|v1", "hash");
}

const LASTING = "lasting";
/** What src/seal.ts seals and hashes for longer than a root key may last: use and purpose. */
export const LASTING_KEYS = [
  "hash activation",
  "hash passkey user",
  "hash recovery",
  "hash silenced",
  "seal totp",
] as const;
export type LastingKey = (typeof LASTING_KEYS)[number];

/**
 * A key that was made from the root key of its day, and stays when that changes. Made where it is not there: from the
 * oldest root key that the configuration has.
 */
export async function lastingKey(ctx: Base, what: LastingKey): Promise<CryptoKey> {
  const cache = await cacheOf(ctx);
  const id = `${LASTING}\n${what}`;
  const known = cache.key(id);
  if (known !== undefined) return known;
  const { epoch } = cache;
  let object = (await held(ctx, LASTING, { both: true }))?.object ?? null;
  if (!object?.secrets.some(({ scope }) => scope === what)) {
    const bytes = await fromRootKey(ctx, `ephemeris ${what}`);
    object = await changeObject(ctx, LASTING, (before) => {
      if (before.secrets.some(({ scope }) => scope === what)) return null;
      const made = { ...newSecret(ctx, kidsOf(before), { kind: "lasting", scope: what }), bytes };
      return { ...before, secrets: [...before.secrets, made] };
    });
    await bring(ctx, placesOf(ctx).escrow, LASTING, object!);
    cache.hold(LASTING, object!, true, ctx.now(), epoch);
  }
  const { bytes } = object!.secrets.find(({ scope }) => scope === what)!;
  const key = what.startsWith("hash ")
    ? await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
    : await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
  cache.holdKey(id, key, epoch);
  return key;
}

async function fromRootKey({ config }: Base, info: string): Promise<Uint8Array<ArrayBuffer>> {
  const hex = config.oldRootKeys.at(-1) ?? config.rootKey;
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const root = await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveBits"]);
  const algorithm = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info: text.encode(info) };
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, root, 256));
}

/** Scopes of the secret that the ledger is signed with, and of the one that comes after it while they change. */
const SIGNING = "sign ledger";
const NEXT = "sign ledger next";
export interface LedgerKey {
  kid: number;
  privateKey: CryptoKey;
  publicKey: Uint8Array;
  keyId: string;
}
const LEDGER_KEYS = new WeakMap<Config, Map<number, LedgerKey>>();

/**
 * The Ed25519 key that heads of the ledger and receipts are signed with: made at its first use. Where another isolate has
 * changed it, it is another one within LIMITS.shredEveryMs.
 */
export const ledgerKey = (ctx: Base): Promise<LedgerKey> => signingKey(ctx, SIGNING);

/** The key that comes after it: made now, or by a change that stopped half-way. */
export const nextLedgerKey = (ctx: Base): Promise<LedgerKey> => signingKey(ctx, NEXT);

async function signingKey(ctx: Base, scope: typeof SIGNING | typeof NEXT): Promise<LedgerKey> {
  const isIts = (secret: Secret) => secret.scope === scope;
  const cache = await cacheOf(ctx);
  const { epoch } = cache;
  let object = (await held(ctx, LASTING, { both: true }))?.object ?? null;
  if (!object?.secrets.some(isIts)) {
    object = await changeObject(ctx, LASTING, (before) => {
      if (before.secrets.some(isIts)) return null;
      const made = newSecret(ctx, kidsOf(before), { kind: "lasting", scope });
      return { ...before, secrets: [...before.secrets, made] };
    });
    // What it signed must be told from what it did not for years: it does not wait a day for its third copy.
    await bring(ctx, placesOf(ctx).escrow, LASTING, object!);
    cache.hold(LASTING, object!, true, ctx.now(), epoch);
  }
  const { kid, bytes } = object!.secrets.find(isIts)!;
  const keys = LEDGER_KEYS.get(ctx.config) ?? new Map<number, LedgerKey>();
  const known = keys.get(kid);
  if (known !== undefined) return known;
  const { privateKey, publicKey } = await ed25519Of(bytes);
  const key = { kid, privateKey, publicKey, keyId: await keyIdOf(publicKey) };
  // Not the one of before: nothing is to be signed with it any more.
  if (scope === SIGNING) LEDGER_KEYS.set(ctx.config, new Map([[kid, key]]));
  return key;
}

/** From now on the next key is the key, and the one before is destroyed. @returns its kid */
export async function changeLedgerKey(ctx: Base): Promise<number[]> {
  const apply = (object: KeyObject) => {
    if (!object.secrets.some(({ scope }) => scope === NEXT)) return null;
    const left = object.secrets.filter(({ scope }) => scope !== SIGNING);
    return { ...object, secrets: left.map((one) => (one.scope === NEXT ? { ...one, scope: SIGNING } : one)) };
  };
  return (await destroy(ctx, [{ name: LASTING, apply }]))[0];
}

const inboxName = (database: string) => `inbox/${database}`;

/** Makes a key for the inbox of a telemetry database. Returns its kid. */
export async function newInboxKey(ctx: Base, database: string): Promise<number> {
  const name = inboxName(database);
  const cache = await cacheOf(ctx);
  const { epoch } = cache;
  let kid = 0;
  const object = await changeObject(ctx, name, (before) => {
    const made = newSecret(ctx, kidsOf(before), { kind: "inbox", of: ctx.now() });
    kid = made.kid;
    return { ...before, secrets: [...before.secrets, made] };
  });
  cache.hold(name, object!, true, ctx.now(), epoch);
  return kid;
}

/** The key of rows of an inbox that carry this kid; null when it was destroyed. */
export async function inboxKey(ctx: Base, database: string, kid: number): Promise<CryptoKey | null> {
  const name = inboxName(database);
  const cache = await cacheOf(ctx);
  const { epoch } = cache;
  const secret = (await heldWith(ctx, name, [kid]))?.byKid.get(kid);
  return secret === undefined ? null : keyOf(cache, epoch, name, secret, "inbox|v1", "seal");
}

/**
 * Destroys the keys of an inbox. Those that are young enough for something to be sealed with, or that what is on its way
 * to the database may be sealed with, stay whatever `keep` says.
 * @param keep kids of the rows that are there
 * @returns kids of those that went
 */
export async function destroyInboxKeys(ctx: Base, database: string, keep: readonly number[]): Promise<number[]> {
  const kept = new Set(keep);
  const usedUntil = ctx.now() - LIMITS.inboxKeyMs - LIMITS.inboxKeyGraceMs;
  const apply = (object: KeyObject) => without(object, ({ kid, of }) => of <= usedUntil && !kept.has(kid));
  return (await destroy(ctx, [{ name: inboxName(database), apply }]))[0];
}
