import type { Base, Config, Ctx, Principal, Scope } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { bridgeOf } from "./registry.ts";
import { keyOfHash, markKeyUsed } from "./store/keys.ts";

/** Who may call a route. Every route names one of these rows; there is no default. */
export const ACCESS = {
  public: { kind: "anonymous", needs: "nothing" },
  bridge: { kind: "bridge", needs: "a bridge token" },
  admin: { kind: "admin", needs: "the admin token" },
  read: { kind: "key", needs: "an API key" },
  write: { kind: "key", needs: "an API key with the scope write" },
} as const satisfies Record<string, { kind: Principal["kind"]; needs: string }>;

export type Access = keyof typeof ACCESS;

export const TOKEN_PREFIXES = { key: "eph_", bridge: "epb_" } as const;

/** A new secret of 256 random bits, and the hash that is stored in its place. */
export async function newToken(ctx: Base, kind: keyof typeof TOKEN_PREFIXES): Promise<{ token: string; hash: string }> {
  const base64 = btoa(String.fromCharCode(...ctx.random(32)));
  const token = TOKEN_PREFIXES[kind] + base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return { token, hash: await tokenHash(token) };
}

/** SHA-256 in hex. A plain hash is right here: a token is random, so there is nothing to guess from its hash. */
export async function tokenHash(token: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token)));
  let hex = "";
  for (const byte of digest) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

/** Compares two hashes in the same time wherever they differ. */
function sameHash(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i % b.length);
  return difference === 0;
}

// The hashes, never the promise of them: in workerd a promise dies with the request that made it.
const configured = new WeakMap<Config, { admin: string; bridge: string }>();

async function configuredHashes(config: Config): Promise<{ admin: string; bridge: string }> {
  let hashes = configured.get(config);
  if (hashes === undefined) {
    hashes = { admin: await tokenHash(config.adminToken), bridge: await tokenHash(config.bridgeToken) };
    configured.set(config, hashes);
  }
  return hashes;
}

export interface Caller {
  principal: Exclude<Principal, { kind: "anonymous" | "job" }>;
  /** Tells callers apart without naming them: the first half of the token's hash. */
  mark: string;
}

/**
 * Finds out who holds a token.
 * @param token what came after "Bearer "
 * @returns null when nobody does, or when the key or bridge is revoked (a bridge revoked since it was last seen is
 *   found out by ingest, before it stores or tells anything)
 */
export async function authenticate(base: Base, token: string): Promise<Caller | null> {
  if (token === "") return null;
  const hash = await tokenHash(token);
  const mark = hash.slice(0, 32);
  const { admin, bridge } = await configuredHashes(base.config);
  if (sameHash(hash, admin)) return { principal: { kind: "admin" }, mark };
  if (sameHash(hash, bridge)) return { principal: { kind: "bridge", bridgeId: 0 }, mark };
  if (token.startsWith(TOKEN_PREFIXES.bridge)) {
    const bridgeId = await bridgeOf(base, hash);
    return bridgeId === null ? null : { principal: { kind: "bridge", bridgeId }, mark };
  }
  if (!token.startsWith(TOKEN_PREFIXES.key)) return null;
  const key = await keyOfHash(base.db, hash);
  if (key === null) return null;
  const now = base.now();
  if (key.lastUsedAt === null || now - key.lastUsedAt >= LIMITS.keyUsedEveryMs) {
    base.defer(markKeyUsed(base.db, key.id, now));
  }
  return { principal: { kind: "key", accountId: key.accountId, keyId: key.id, scope: key.scope }, mark };
}

/**
 * Refuses a caller of the wrong kind. The scope of a key is `requireScope`'s: what the path names is looked up between
 * the two, so that another account's object is not found rather than forbidden.
 * @throws {AppError} forbidden
 */
export function requireKind(access: Access, principal: Principal): void {
  const { kind, needs } = ACCESS[access];
  if (kind !== "anonymous" && kind !== principal.kind) throw new AppError("forbidden", `This needs ${needs}`);
}

/** @throws {AppError} forbidden */
export function requireScope(access: Access, principal: Principal): void {
  if (access !== "write" || principal.kind !== "key" || principal.scope === "write") return;
  throw new AppError("forbidden", "This API key may only read: its scope is read, and this needs write");
}

/** The account on whose behalf a rule runs. */
export function accountOf(ctx: Ctx): number {
  if (ctx.principal.kind === "key") return ctx.principal.accountId;
  throw new AppError("forbidden", `This needs ${ACCESS.read.needs}`);
}

export const SCOPES = ["read", "write"] as const satisfies readonly Scope[];
