import type { Base, Config, Ctx, CustomerRole, Principal, Role, Scope, StaffRole } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { bridgeOf } from "./registry.ts";
import { sameText, toBase64Url, toHex } from "./seal.ts";
import { keyOfHash, markKeyUsed } from "./store/keys.ts";
import type { Reach } from "./store/reach.ts";
import { CUSTOMER_ROLES, STAFF_ROLES } from "./store/schema.ts";
import { markSessionSeen, sessionOfHash } from "./store/sessions.ts";

export interface AccessRow {
  needs: string;
  anyone?: true;
  bridge?: true;
  adminToken?: true;
  /** An API key with this scope, or one that includes it. */
  scope?: Scope;
  /** Signed-in people. */
  roles?: readonly Role[];
}

/** Who may call a route. Every route names one of these rows; there is no default. */
export const ACCESS = {
  public: { anyone: true, needs: "nothing" },
  bridge: { bridge: true, needs: "a bridge token" },
  read: { scope: "read", roles: CUSTOMER_ROLES, needs: "an API key, or a customer's session" },
  write: {
    scope: "write",
    roles: ["owner", "manager"],
    needs: "an API key with the scope write, or the session of an owner or manager",
  },
  customer: { roles: CUSTOMER_ROLES, needs: "a customer's session" },
  owner: { roles: ["owner"], needs: "the session of the account's owner" },
  manager: { roles: ["owner", "manager"], needs: "the session of an owner or manager" },
  person: { roles: [...CUSTOMER_ROLES, ...STAFF_ROLES], needs: "a session" },
  admin: { adminToken: true, roles: ["admin"], needs: "the admin token, or the session of an administrator" },
  support: { adminToken: true, roles: ["admin", "support"], needs: "the admin token, or the session of support staff" },
  privacy: { adminToken: true, roles: ["admin", "privacy"], needs: "the admin token, or the session of privacy staff" },
  /** What two people have to answer for: a token is nobody. */
  privacyStaff: { roles: ["admin", "privacy"], needs: "the session of privacy staff" },
  finance: { adminToken: true, roles: ["admin", "finance"], needs: "the admin token, or the session of finance staff" },
  staff: { adminToken: true, roles: STAFF_ROLES, needs: "the admin token, or the session of the operator's staff" },
} as const satisfies Record<string, AccessRow>;

export type Access = keyof typeof ACCESS;

export const TOKEN_PREFIXES = { key: "eph_", bridge: "epb_", session: "eps_", link: "" } as const;

/** A new secret of 256 random bits, and the hash that is stored in its place. */
export async function newToken(ctx: Base, kind: keyof typeof TOKEN_PREFIXES): Promise<{ token: string; hash: string }> {
  const token = TOKEN_PREFIXES[kind] + toBase64Url(ctx.random(32));
  return { token, hash: await tokenHash(token) };
}

/** SHA-256 in hex. A plain hash is right here: a token is random, so there is nothing to guess from its hash. */
export async function tokenHash(token: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token))));
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
  if (sameText(hash, admin)) return { principal: { kind: "admin" }, mark };
  if (sameText(hash, bridge)) return { principal: { kind: "bridge", bridgeId: 0 }, mark };
  if (token.startsWith(TOKEN_PREFIXES.bridge)) {
    const bridgeId = await bridgeOf(base, hash);
    return bridgeId === null ? null : { principal: { kind: "bridge", bridgeId }, mark };
  }
  if (!token.startsWith(TOKEN_PREFIXES.key)) return null;
  const now = base.now();
  const key = await keyOfHash(base.db, hash, now);
  if (key === null) return null;
  if (key.lastUsedAt === null || now - key.lastUsedAt >= LIMITS.keyUsedEveryMs) {
    base.defer(markKeyUsed(base.db, key.keyId, now));
  }
  const { lastUsedAt: _, ...admitted } = key;
  return { principal: { kind: "key", ...admitted }, mark };
}

/** Finds out whose session a cookie is. @returns null when it is nobody's, or over */
export async function authenticateSession(base: Base, cookie: string): Promise<Caller | null> {
  if (!cookie.startsWith(TOKEN_PREFIXES.session)) return null;
  const hash = await tokenHash(cookie);
  const now = base.now();
  const session = await sessionOfHash(base.db, hash, now);
  if (session === null) return null;
  const isStaff = session.accountId === null;
  const idleMs = isStaff ? LIMITS.staffSessionIdleMs : LIMITS.sessionIdleMs;
  if (now - session.lastSeenAt >= idleMs) return null;
  if (now - session.lastSeenAt >= LIMITS.sessionSeenEveryMs) {
    base.defer(markSessionSeen(base.db, session.sessionId, now));
  }
  const { userId, sessionId, provedAt, secondFactor, language, units, timeZone } = session;
  const { devices, editable, standing } = session;
  const person = { userId, sessionId, provedAt, secondFactor, language, units, timeZone };
  const mark = hash.slice(0, 32);
  if (session.accountId === null) {
    const trained = session.trainingValidUntil !== null && session.trainingValidUntil > now;
    return { principal: { kind: "staff", role: session.role as StaffRole, trained, ...person }, mark };
  }
  const { accountId } = session;
  const role = session.role as CustomerRole;
  return { principal: { kind: "user", accountId, role, devices, editable, standing, ...person }, mark };
}

const holds = (row: AccessRow, role: Role) => row.roles?.includes(role) === true;

/**
 * Refuses a caller of the wrong kind. The scope of a key and the role of a user are `requireRight`'s: what the path
 * names is looked up between the two, so that another account's object is not found rather than forbidden.
 * @throws {AppError} forbidden; suspended
 */
export function requireKind(access: Access, principal: Principal): void {
  const row: AccessRow = ACCESS[access];
  if (row.anyone === true) return;
  if (!admits(row, principal)) throw new AppError("forbidden", `This needs ${row.needs}`);
  if (principal.kind === "key" && principal.suspended === true) {
    throw new AppError("suspended", "Everything of this account is suspended: only its own people see it, signed in");
  }
}

function admits(row: AccessRow, principal: Principal): boolean {
  switch (principal.kind) {
    case "admin":
      return row.adminToken === true;
    case "bridge":
      return row.bridge === true;
    case "key":
      return row.scope !== undefined;
    case "user":
      return CUSTOMER_ROLES.some((role) => holds(row, role));
    case "staff":
      return STAFF_ROLES.some((role) => holds(row, role));
    default:
      return false;
  }
}

/**
 * Refuses a caller of the right kind who may not do this: a key that may only read, a user with too small a role, staff
 * whose training has run out.
 * @throws {AppError} forbidden
 */
export function requireRight(access: Access, principal: Principal): void {
  const row: AccessRow = ACCESS[access];
  if (row.anyone === true) return;
  if (principal.kind === "key" && row.scope === "write" && principal.scope !== "write") {
    throw new AppError("forbidden", "This API key may only read: its scope is read, and this needs write");
  }
  if (principal.kind !== "user" && principal.kind !== "staff") return;
  if (!holds(row, principal.role)) {
    throw new AppError("forbidden", `Your role is ${principal.role}, and this needs ${row.needs}`);
  }
  if (principal.kind === "staff" && access !== "person" && !principal.trained) {
    throw new AppError(
      "forbidden",
      "Your training is not attested, or has run out: until it is, only your own profile works",
    );
  }
}

/**
 * Refuses what an account may not do in its present standing.
 * @throws {AppError} acceptance_required, suspended
 */
export function requireGoodStanding(principal: Principal): void {
  if ((principal.kind !== "user" && principal.kind !== "key") || principal.standing === "good") return;
  if (principal.standing === "unaccepted") {
    throw new AppError(
      "acceptance_required",
      "A new version of the statement or the terms is in force: until the account's owner accepts it, you can read, export and erase",
    );
  }
  throw new AppError("suspended", "This account is suspended or closing: you can still read, export and erase");
}

/**
 * Refuses a dangerous act of somebody who has not proved lately who they are. A key or token cannot: it is its own proof.
 * @throws {AppError} step_up_required
 */
export function requireProof(ctx: Ctx): void {
  const { principal } = ctx;
  if (principal.kind !== "user" && principal.kind !== "staff") return;
  if (ctx.now() - principal.provedAt < LIMITS.stepUpMs) return;
  throw new AppError("step_up_required", "Confirm with your password or passkey that it is you, then do this again");
}

/** The account on whose behalf a rule runs. @throws {AppError} forbidden */
export function accountOf(ctx: Ctx): number {
  if (ctx.principal.kind === "key" || ctx.principal.kind === "user") return ctx.principal.accountId;
  throw new AppError("forbidden", `This needs ${ACCESS.read.needs}`);
}

/** The signed-in person on whose behalf a rule runs. @throws {AppError} forbidden */
export function personOf(ctx: Ctx): Extract<Principal, { kind: "user" | "staff" }> {
  if (ctx.principal.kind === "user" || ctx.principal.kind === "staff") return ctx.principal;
  throw new AppError("forbidden", `This needs ${ACCESS.person.needs}`);
}

/** What the caller may see of its account; store functions about devices take it. @throws {AppError} forbidden */
export function reachOf(ctx: Ctx): Reach {
  const { principal } = ctx;
  if (principal.kind === "user") return { accountId: principal.accountId, devices: principal.devices };
  if (principal.kind === "key") {
    const { accountId, devices, readable } = principal;
    if (readable === undefined || devices === null) return { accountId, devices: readable ?? devices };
    return { accountId, devices: devices.filter((id) => readable.includes(id)) };
  }
  throw new AppError("forbidden", `This needs ${ACCESS.read.needs}`);
}

/** The same with what is suspended: for what says nothing about it. @throws {AppError} forbidden */
export function limitsOf(ctx: Ctx): Reach {
  const { accountId } = reachOf(ctx);
  return { accountId, devices: "devices" in ctx.principal ? ctx.principal.devices : null };
}

/**
 * Refuses to change a device that its user may only see. Whether they may see it is the store's to say, before.
 * @throws {AppError} forbidden
 */
export function requireEditable(ctx: Ctx, deviceId: number): void {
  const { principal } = ctx;
  if (principal.kind !== "user" || principal.editable === null || principal.editable.includes(deviceId)) return;
  throw new AppError("forbidden", "You may see this device and not change it");
}

export const SCOPES = ["read", "write"] as const satisfies readonly Scope[];
