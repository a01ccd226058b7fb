import { newToken, tokenHash } from "./access.ts";
import type { Base } from "./context.ts";
import { open, seal } from "./seal.ts";
import type { TokenKind } from "./store/tokens.ts";
import * as store from "./store/tokens.ts";
import { accountOfUser } from "./store/users.ts";

/** What a token that works once stands for. */
export interface Token {
  id: number;
  userId: number | null;
  /** What was given when it was made; null when nothing was. */
  payload: string | null;
}

/**
 * Makes a token that works once: a link in a mail, a pending sign-in, a challenge.
 * @param payload what it stands for; sealed, as it may be a new address
 * @returns the token, 43 characters that may stand in a path; only its hash is stored
 */
export async function makeToken(
  base: Base,
  kind: TokenKind,
  { userId, payload = null, lifeMs }: { userId: number | null; payload?: string | null; lifeMs: number },
): Promise<string> {
  const { token, hash } = await newToken(base, "link");
  const now = base.now();
  const sealed = payload === null ? null : await seal(base, "token", hash, payload, await secretOf(base, userId));
  await store.insertToken(base.db, { kind, hash, userId, sealed, createdAt: now, expiresAt: now + lifeMs });
  return token;
}

/** Under whose secret something of a user is sealed; null: nobody's. */
export const secretOf = async (base: Base, userId: number | null): Promise<number | null> =>
  userId === null ? null : ((await accountOfUser(base.db, userId)) ?? 0);

/** Reads a token without using it up. @returns null when it is not valid, used or over */
export async function readToken(base: Base, kind: TokenKind, token: string): Promise<Token | null> {
  const hash = await tokenHash(token);
  return opened(base, hash, await store.tokenOfHash(base.db, kind, hash, base.now()));
}

/** Uses a token up: of two that come at once, one gets it. @returns null when it is not valid, used or over */
export async function takeToken(base: Base, kind: TokenKind, token: string): Promise<Token | null> {
  const hash = await tokenHash(token);
  return opened(base, hash, await store.takeToken(base.db, kind, hash, base.now()));
}

async function opened(base: Base, hash: string, row: store.TokenRow | null): Promise<Token | null> {
  if (row === null) return null;
  const payload =
    row.sealed === null ? null : await open(base, "token", hash, row.sealed, await secretOf(base, row.userId));
  return { id: row.id, userId: row.userId, payload };
}

/** What stands in the tokens of a kind that a user has and that are good. */
export async function payloadsOf(base: Base, kind: TokenKind, userId: number): Promise<string[]> {
  const rows = await store.tokensOf(base.db, userId, kind, base.now());
  const tokens = await Promise.all(rows.map((row) => opened(base, row.hash, row)));
  return tokens.flatMap((token) => (token?.payload == null ? [] : [token.payload]));
}

/** Ends every token of a kind that a user has, such as older reset links. */
export function dropTokens(base: Base, userId: number, kind: TokenKind): Promise<void> {
  return store.dropTokens(base.db, userId, kind);
}

/** Counts a wrong answer to what a token asks (a code). @returns wrong answers so far */
export function countAttempt(base: Base, id: number): Promise<number> {
  return store.countAttempt(base.db, id);
}
