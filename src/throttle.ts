import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { keyedHash } from "./seal.ts";
import * as store from "./store/throttles.ts";

/** The rows of LIMITS.throttles: what can be tried too often. */
export type Throttle = keyof typeof LIMITS.throttles;

// Counted in the database, so that it holds for every isolate, against a keyed hash of what is tried: the table names
// nobody, and an address that nobody has is counted like one that somebody has.

/**
 * Refuses while its subject is blocked, and counts nothing.
 * @throws {AppError} rate_limited
 */
export async function requireUnblocked(base: Base, kind: Throttle, subject: string): Promise<void> {
  const left = (await store.blockedUntil(base.db, await keyedHash(base, `throttle ${kind}`, subject))) - base.now();
  if (left <= 0) return;
  throw new AppError("rate_limited", "Too many attempts: wait, then try again", {
    retryAfterS: Math.ceil(left / 1000),
  });
}

/**
 * Takes a try before it is looked at, counted as a failure until `forgetFailures`: of many that come at once, no more
 * are looked at than of many that come one by one.
 * @returns whether this one is the first that blocks: when it fails, the moment to tell the person
 * @throws {AppError} rate_limited
 */
export async function takeTry(base: Base, kind: Throttle, subject: string): Promise<{ first: boolean }> {
  const limit = LIMITS.throttles[kind];
  const key = await keyedHash(base, `throttle ${kind}`, subject);
  const tries = await store.countTry(base.db, key, base.now(), limit);
  if (tries !== null) return { first: tries === limit.free };
  await requireUnblocked(base, kind, subject);
  // The block ended, or was forgotten, between the two statements.
  return { first: false };
}

/** Forgets the failures: it was right at last. */
export async function forgetFailures(base: Base, kind: Throttle, subject: string): Promise<void> {
  await store.forget(base.db, await keyedHash(base, `throttle ${kind}`, subject));
}

/** @returns rows */
export function purgeThrottles(base: Base): Promise<number> {
  return store.purge(base.db, base.now(), LIMITS.deleteRows);
}
