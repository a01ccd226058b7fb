import { personOf } from "./access.ts";
import { record } from "./audit.ts";
import { brandFor } from "./brands.ts";
import { requireNoCardNumber } from "./card-numbers.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { keyedHash, sameText } from "./seal.ts";
import { selfOf, tell } from "./secure.ts";
import { browserOf } from "./sessions.ts";
import { enter, type SignedIn } from "./signin.ts";
import type { PasskeyRow } from "./store/passkeys.ts";
import * as store from "./store/passkeys.ts";
import { type UserRow, userById } from "./store/users.ts";
import { textFor } from "./text/index.ts";
import { makeToken, takeToken } from "./tokens.ts";
import {
  type AssertionResponse,
  challengeOf,
  PASSKEY_ALGORITHMS,
  type RegistrationResponse,
  verifyAssertion,
  verifyRegistration,
} from "./webauthn.ts";

export type Passkey = Pick<PasskeyRow, "id" | "name" | "createdAt" | "lastUsedAt">;

/** What a challenge was made for: it answers nothing else. */
type Purpose = "register" | "prove" | "sign in";

/** The token is the challenge: random, known to us by its hash only, and used up by its first answer. */
const newChallenge = (ctx: Ctx, purpose: Purpose, userId: number | null) =>
  makeToken(ctx, "passkey", { userId, payload: purpose, lifeMs: LIMITS.pendingMs });

async function takeChallenge(ctx: Ctx, challenge: string, purpose: Purpose, userId: number | null): Promise<void> {
  const token = await takeToken(ctx, "passkey", challenge);
  if (token === null || token.payload !== purpose || token.userId !== userId) {
    throw new AppError("invalid", "This took too long, or was answered already: try again", { field: "passkey" });
  }
}

const siteOf = (ctx: Ctx) => new URL(ctx.client.origin).hostname;

/** How an authenticator knows the person: says nothing about them, and is the same for all of their passkeys. */
const handleOf = (ctx: Ctx, userId: number) => keyedHash(ctx, "passkey user", String(userId));

const descriptor = ({ credentialId }: PasskeyRow) => ({ type: "public-key" as const, id: credentialId });

/** What the browser needs to make a passkey: PublicKeyCredentialCreationOptions as JSON, bytes as base64url. */
export async function newPasskeyOptions(ctx: Ctx) {
  const user = await selfOf(ctx);
  const known = await store.listPasskeys(ctx.db, user.id, LIMITS.passkeysPerUser);
  requireRoom(known.length);
  const { name } = await brandFor(ctx, siteOf(ctx));
  return {
    challenge: await newChallenge(ctx, "register", user.id),
    rp: { id: siteOf(ctx), name },
    // 64 hex digits are base64url of 48 bytes, too; 64 bytes is the limit.
    user: { id: await handleOf(ctx, user.id), name: user.email, displayName: user.name ?? user.email },
    pubKeyCredParams: PASSKEY_ALGORITHMS.map((alg) => ({ type: "public-key" as const, alg })),
    excludeCredentials: known.map(descriptor),
    authenticatorSelection: {
      residentKey: "required" as const,
      requireResidentKey: true,
      userVerification: "required" as const,
    },
    attestation: "none" as const,
    timeout: LIMITS.pendingMs,
  };
}

function requireRoom(count: number): void {
  if (count < LIMITS.passkeysPerUser) return;
  throw new AppError("conflict", `You have ${LIMITS.passkeysPerUser} passkeys, which is the most: remove one first`);
}

/**
 * Keeps a passkey that the browser made.
 * @throws {AppError} invalid; conflict when it is known already or there are too many
 */
export async function addPasskey(
  ctx: Ctx,
  { name, ...response }: RegistrationResponse & { name?: string | undefined },
): Promise<Passkey> {
  const user = await selfOf(ctx);
  if (name !== undefined) requireNoCardNumber("name", name);
  const { origin, userAgent } = ctx.client;
  const challenge = challengeOf(response.clientDataJSON, "webauthn.create", origin);
  await takeChallenge(ctx, challenge, "register", user.id);
  const credential = await verifyRegistration(response, origin);
  requireRoom((await store.listPasskeys(ctx.db, user.id, LIMITS.passkeysPerUser)).length);
  const row = await store.insertPasskey(ctx.db, {
    userId: user.id,
    ...credential,
    name: name ?? browserOf(userAgent) ?? "Passkey",
    createdAt: ctx.now(),
  });
  if (row === null) throw new AppError("conflict", "This passkey is known already");
  await record(ctx, "factor.added", { accountId: user.accountId, subject: `passkey ${row.id}` });
  await tell(ctx, user, "factorAdded", { what: textFor(user.language).security.what.passkey, path: "/secure" });
  return row;
}

/** The caller's own passkeys, oldest first. */
export const listPasskeys = (ctx: Ctx): Promise<Passkey[]> =>
  store.listPasskeys(ctx.db, personOf(ctx).userId, LIMITS.passkeysPerUser);

/** One of the caller's own passkeys. @throws {AppError} not_found */
export async function passkeyOf(ctx: Ctx, id: number): Promise<Passkey> {
  const found = (await listPasskeys(ctx)).find((passkey) => passkey.id === id);
  if (found === undefined) throw new AppError("not_found", "No such passkey");
  return found;
}

/** @throws {AppError} not_found */
export async function removePasskey(ctx: Ctx, id: number): Promise<void> {
  const user = await selfOf(ctx);
  if (!(await store.deletePasskey(ctx.db, user.id, id))) throw new AppError("not_found", "No such passkey");
  await record(ctx, "factor.removed", { accountId: user.accountId, subject: `passkey ${id}` });
  await tell(ctx, user, "factorRemoved", { what: textFor(user.language).security.what.passkey, path: "/secure" });
}

/** What the browser needs to sign in with a passkey. No address is asked for: the passkey says who it is. */
export async function signInOptions(ctx: Ctx) {
  return requestOptions(ctx, await newChallenge(ctx, "sign in", null), []);
}

/** What the browser needs to prove with one of the caller's passkeys that it is them. */
export async function proofOptions(ctx: Ctx) {
  const { userId } = personOf(ctx);
  const own = await store.listPasskeys(ctx.db, userId, LIMITS.passkeysPerUser);
  return requestOptions(ctx, await newChallenge(ctx, "prove", userId), own.map(descriptor));
}

const requestOptions = (ctx: Ctx, challenge: string, allowCredentials: ReturnType<typeof descriptor>[]) => ({
  challenge,
  rpId: siteOf(ctx),
  allowCredentials,
  userVerification: "required" as const,
  timeout: LIMITS.pendingMs,
});

/**
 * Signs in with a passkey, which is both factors: the device, and what unlocks it. Whatever is wrong, the answer does
 * not tell whether the passkey is known.
 * @throws {AppError} invalid
 */
export async function signInWithPasskey(ctx: Ctx, response: AssertionResponse): Promise<SignedIn> {
  const user = await verified(ctx, response, "sign in", null);
  return enter(ctx, user, { secondFactor: true });
}

/** Checks that one of the caller's passkeys signed. @throws {AppError} invalid */
export async function checkPasskey(ctx: Ctx, response: AssertionResponse): Promise<void> {
  await verified(ctx, response, "prove", personOf(ctx).userId);
}

async function verified(ctx: Ctx, response: AssertionResponse, purpose: Purpose, by: number | null): Promise<UserRow> {
  const { origin } = ctx.client;
  await takeChallenge(ctx, challengeOf(response.clientDataJSON, "webauthn.get", origin), purpose, by);
  const unknown = new AppError("invalid", "This passkey opens nothing here", { field: "passkey" });
  const passkey = await store.passkeyOfCredential(ctx.db, response.id);
  if (passkey === null || (by !== null && passkey.userId !== by)) throw unknown;
  const { userHandle } = response;
  // Only a passkey that named its own person may sign in without an address.
  if (by === null && !sameText(userHandle ?? "", await handleOf(ctx, passkey.userId))) throw unknown;
  const { signCount } = await verifyAssertion(response, origin, passkey);
  const user = await userById(ctx.db, passkey.userId);
  if (user === null || user.disabledAt !== null) throw unknown;
  if (!(await store.markPasskeyUsed(ctx.db, passkey.id, signCount, ctx.now()))) {
    const who = { kind: "user", userId: user.id } as const;
    await record(ctx, "passkey.refused", { accountId: user.accountId, subject: `passkey ${passkey.id}`, by: who });
    throw new AppError("invalid", "This passkey seems to be a copy: remove it, and add it anew", { field: "passkey" });
  }
  return user;
}
