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
 * Refuses a try while its subject is blocked.
 * @param subject what is tried: an address, an IMEI, an id
 * @throws {AppError} rate_limited
 */
export async function requireUnblocked(base: Base, kind: Throttle, subject: string): Promise<void> {
  const blockedUntil = await store.blockedUntil(base.db, await keyedHash(base, `throttle ${kind}`, subject));
  const left = blockedUntil - base.now();
  if (left > 0) {
    throw new AppError("rate_limited", "Too many attempts: wait, then try again", {
      retryAfterS: Math.ceil(left / 1000),
    });
  }
}

/**
 * Counts a failure. Beyond the free ones each blocks, for twice as long as the one before it.
 * @returns whether this one blocked it, and is the first that does: the moment to tell the person
 */
export async function countFailure(
  base: Base,
  kind: Throttle,
  subject: string,
): Promise<{ blocked: boolean; first: boolean }> {
  const { free, windowMs, blockMs, blockMaxMs } = LIMITS.throttles[kind];
  const now = base.now();
  const key = await keyedHash(base, `throttle ${kind}`, subject);
  const failures = await store.countFailure(base.db, key, now, now + windowMs);
  if (failures < free) return { blocked: false, first: false };
  const ms = Math.min(blockMs * 2 ** Math.min(failures - free, 20), blockMaxMs);
  await store.block(base.db, key, now + ms, now + Math.max(ms, windowMs));
  return { blocked: true, first: failures === free };
}

/**
 * Takes a try before it is looked at, counted as a failure until `forgetFailures`: of many that come at once, no more
 * are looked at than of many that come one by one.
 * @returns whether this one is the first that blocks: when it fails, the moment to tell the person
 * @throws {AppError} rate_limited
 */
export async function takeTry(base: Base, kind: Throttle, subject: string): Promise<{ first: boolean }> {
  const limit = LIMITS.throttles[kind];
  const tries = await store.countTry(base.db, await keyedHash(base, `throttle ${kind}`, subject), base.now(), limit);
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
