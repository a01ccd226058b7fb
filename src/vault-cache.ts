import type { Base, Config } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { readObject, SHREDS } from "./vault-copies.ts";
import type { KeyObject, Secret } from "./vault-object.ts";

/** What an isolate keeps of an object: as it was when it was read, with ways to find a secret in it. */
export interface Held {
  object: KeyObject;
  byKid: ReadonlyMap<number, Secret>;
  /** By dayKey() and deviceKey(): the secret that new rows are sealed with. */
  current: ReadonlyMap<string, Secret>;
  erased: ReadonlySet<number>;
  readAt: number;
  /** Copy B has it too, so that what is sealed with it does not hang on one copy. */
  both: boolean;
  /** Kids that were asked for and are not here, and when that was found. */
  absent: Map<number, number>;
}

export const dayKey = (scope: string, day: number) => `day ${day} ${scope}`;
export const shareKey = (dayKid: number, scope: string) => `share ${dayKid} ${scope}`;
export const deviceKey = (deviceId: number) => `device ${deviceId}`;

/**
 * Unwrapped secrets and derived keys in the memory of an isolate. What is destroyed elsewhere leaves it within
 * LIMITS.shredEveryMs: before anything is given out the list of destructions has been read no longer ago than that.
 */
export class VaultCache {
  /** Rises with each eviction: what was read or derived across one is used once and not kept. */
  epoch = 0;
  /** When the list was last read, Unix ms, and up to which number; -1: never. */
  checkedAt = Number.NEGATIVE_INFINITY;
  #seen = -1;
  /** Kids of the list: a copy that came back from somewhere must not bring them back. */
  #shredded = new Map<string, Set<number>>();
  /** Oldest use first. */
  readonly #held = new Map<string, Held>();
  readonly #keys = new Map<string, CryptoKey>();
  /** Ids of keys by the object that they are derived from. */
  readonly #keysOf = new Map<string, Set<string>>();
  #secrets = 0;

  get(name: string, now: number): Held | undefined {
    const held = this.#held.get(name);
    if (held === undefined || now - held.readAt >= LIMITS.vaultObjectMs) return undefined;
    this.#held.delete(name);
    this.#held.set(name, held);
    return held;
  }

  /** Takes an object in, if nothing was evicted since `epoch`. */
  hold(name: string, object: KeyObject, both: boolean, now: number, epoch: number): Held {
    const held = indexed(this.living(name, object), both, now);
    const known = this.#held.get(name);
    // Who read before somebody else changed it may come later than them.
    if (epoch !== this.epoch || (known !== undefined && known.object.serial > object.serial)) return held;
    if (known !== undefined && known.absent.size < LIMITS.vaultKeys) held.absent = known.absent;
    this.#drop(name);
    this.#held.set(name, held);
    this.#secrets += held.object.secrets.length;
    for (const oldest of this.#held.keys()) {
      if (this.#secrets <= LIMITS.vaultSecrets || oldest === name) break;
      this.#drop(oldest);
    }
    return held;
  }

  /** An object without the secrets that are listed as destroyed. */
  living(name: string, object: KeyObject): KeyObject {
    const kids = this.#shredded.get(name);
    if (kids === undefined || !object.secrets.some(({ kid }) => kids.has(kid))) return object;
    return { ...object, secrets: object.secrets.filter(({ kid }) => !kids.has(kid)) };
  }

  key(id: string): CryptoKey | undefined {
    const key = this.#keys.get(id);
    if (key === undefined) return undefined;
    this.#keys.delete(id);
    this.#keys.set(id, key);
    return key;
  }

  /** @param id begins with the object's name and a line break */
  holdKey(id: string, key: CryptoKey, epoch: number): void {
    if (epoch !== this.epoch) return;
    this.#keys.set(id, key);
    const name = nameOf(id);
    const ids = this.#keysOf.get(name);
    if (ids === undefined) this.#keysOf.set(name, new Set([id]));
    else ids.add(id);
    for (const oldest of this.#keys.keys()) {
      if (this.#keys.size <= LIMITS.vaultKeys) break;
      this.#forgetKey(oldest);
    }
  }

  /** Forgets an object and every key that was derived from its secrets. */
  evict(name: string): void {
    this.epoch++;
    this.#drop(name);
    for (const id of this.#keysOf.get(name) ?? []) this.#keys.delete(id);
    this.#keysOf.delete(name);
  }

  /** Takes in the list of destructions as it was at `at`. */
  heed(object: KeyObject | null, at: number): void {
    const { list, before } = object?.shreds ?? { list: [], before: 0 };
    const number = object?.serial ?? 0;
    if (this.#seen >= 0 && (number < this.#seen || before > this.#seen)) this.#forgetAll();
    for (const shred of list) {
      if (shred.number > this.#seen && this.#seen >= 0) this.evict(shred.name);
    }
    if (number !== this.#seen) {
      this.#shredded = new Map();
      for (const { name, kids } of list) {
        const known = this.#shredded.get(name);
        if (known === undefined) this.#shredded.set(name, new Set(kids));
        else for (const kid of kids) known.add(kid);
      }
    }
    this.#seen = number;
    this.checkedAt = Math.max(this.checkedAt, at);
  }

  #forgetAll(): void {
    this.epoch++;
    this.#held.clear();
    this.#keys.clear();
    this.#keysOf.clear();
    this.#secrets = 0;
  }

  #forgetKey(id: string): void {
    this.#keys.delete(id);
    const name = nameOf(id);
    const ids = this.#keysOf.get(name);
    ids?.delete(id);
    if (ids?.size === 0) this.#keysOf.delete(name);
  }

  #drop(name: string): void {
    this.#secrets -= this.#held.get(name)?.object.secrets.length ?? 0;
    this.#held.delete(name);
  }
}

const nameOf = (keyId: string) => keyId.slice(0, keyId.indexOf("\n"));

function indexed(object: KeyObject, both: boolean, readAt: number): Held {
  const byKid = new Map<number, Secret>();
  const current = new Map<string, Secret>();
  for (const secret of object.secrets) {
    byKid.set(secret.kid, secret);
    if (secret.kind === "day") current.set(dayKey(secret.scope, secret.of), secret);
    else if (secret.kind === "device") current.set(deviceKey(secret.of), secret);
    else if (secret.kind === "share") current.set(shareKey(secret.of, secret.scope), secret);
    else current.set(secret.kind, secret);
  }
  return { object, byKid, current, erased: new Set(object.erased), readAt, both, absent: new Map() };
}

const CACHES = new WeakMap<Config, VaultCache>();

/**
 * The cache of this isolate, which lives as long as the configuration object. The list of destructions is read first
 * when that was too long ago.
 * @throws {AppError} unavailable when it cannot be read: nothing is given out then that may have been destroyed
 */
export async function cacheOf(ctx: Base): Promise<VaultCache> {
  let cache = CACHES.get(ctx.config);
  if (cache === undefined) {
    cache = new VaultCache();
    CACHES.set(ctx.config, cache);
  }
  const now = ctx.now();
  if (now - cache.checkedAt >= LIMITS.shredEveryMs) cache.heed(await readObject(ctx, SHREDS), now);
  return cache;
}

/**
 * An object of the key store, from memory where that will do.
 * @param how fresh: read it now; both: copy B must have it too
 * @returns null when there is none
 */
export async function held(
  ctx: Base,
  name: string,
  how: { fresh?: boolean; both?: boolean } = {},
): Promise<Held | null> {
  const cache = await cacheOf(ctx);
  const now = ctx.now();
  const known = cache.get(name, now);
  if (known !== undefined && !how.fresh && (known.both || !how.both)) return known;
  const { epoch } = cache;
  const object = await readObject(ctx, name, how.both ?? false);
  return object === null ? null : cache.hold(name, object, how.both ?? false, now, epoch);
}

/** An object, read anew if it lacks one of these kids, unless that was tried a moment ago. */
export async function heldWith(ctx: Base, name: string, kids: readonly number[]): Promise<Held | null> {
  const now = ctx.now();
  const known = await held(ctx, name);
  if (known === null) return null;
  const isNew = (kid: number) => {
    if (known.byKid.has(kid)) return false;
    const missedAt = known.absent.get(kid);
    return missedAt === undefined || now - missedAt >= LIMITS.vaultAbsentMs;
  };
  if (!kids.some(isNew)) return known;
  const read = await held(ctx, name, { fresh: true, both: true });
  for (const kid of kids) if (read !== null && !read.byKid.has(kid)) read.absent.set(kid, now);
  return read;
}

const text = new TextEncoder();

/** HKDF-SHA-256 of one secret or several. @param as AES-GCM to seal with, HMAC for hashes */
export async function deriveKey(secrets: readonly Secret[], info: string, as: "seal" | "hash"): Promise<CryptoKey> {
  return crypto.subtle.deriveKey(
    hkdf(info),
    await material(secrets, "deriveKey"),
    as === "seal" ? { name: "AES-GCM", length: 256 } : { name: "HMAC", hash: "SHA-256", length: 256 },
    false,
    as === "seal" ? ["encrypt", "decrypt"] : ["sign"],
  );
}

/** The same as 32 bytes. */
export async function deriveBits(secrets: readonly Secret[], info: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.deriveBits(hkdf(info), await material(secrets, "deriveBits"), 256));
}

const hkdf = (info: string) => ({
  name: "HKDF",
  hash: "SHA-256",
  salt: new Uint8Array(32),
  info: text.encode(info),
});

async function material(secrets: readonly Secret[], usage: "deriveKey" | "deriveBits"): Promise<CryptoKey> {
  const bytes = new Uint8Array(32 * secrets.length);
  for (const [i, secret] of secrets.entries()) bytes.set(secret.bytes, 32 * i);
  const key = await crypto.subtle.importKey("raw", bytes, "HKDF", false, [usage]);
  bytes.fill(0);
  return key;
}
