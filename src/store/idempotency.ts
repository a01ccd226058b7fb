import { and, eq, lte } from "drizzle-orm";
import type { Db } from "./db.ts";
import { idempotencyKeys } from "./schema.ts";

export interface Reservation {
  key: string;
  requestHash: string;
  /** Unix ms */
  createdAt: number;
  expiresAt: number;
}

export type KeptAnswer = Pick<typeof idempotencyKeys.$inferSelect, "requestHash" | "status" | "response">;

const of = (accountId: number, key: string) =>
  and(eq(idempotencyKeys.accountId, accountId), eq(idempotencyKeys.key, key));

/**
 * Takes a key for one request; a key whose time is over is taken again.
 * @returns null when it is taken now, or what holds it
 */
export async function reserve(db: Db, accountId: number, reservation: Reservation): Promise<KeptAnswer | null> {
  const taken = await db
    .insert(idempotencyKeys)
    .values({ accountId, ...reservation })
    .onConflictDoUpdate({
      target: [idempotencyKeys.accountId, idempotencyKeys.key],
      set: { ...reservation, status: null, response: null },
      setWhere: lte(idempotencyKeys.expiresAt, reservation.createdAt),
    })
    .returning({ key: idempotencyKeys.key });
  if (taken.length > 0) return null;
  const [kept] = await db
    .select({
      requestHash: idempotencyKeys.requestHash,
      status: idempotencyKeys.status,
      response: idempotencyKeys.response,
    })
    .from(idempotencyKeys)
    .where(of(accountId, reservation.key));
  if (kept !== undefined) return (await db.$fields.open("idempotencyKeys", [kept], accountId))[0]!;
  // Released between the two statements: the caller that held it failed, and this one may be told to try again.
  return { requestHash: reservation.requestHash, status: null, response: null };
}

/** @param deviceId the device that the answer is about; null: none */
export async function keepAnswer(
  db: Db,
  accountId: number,
  key: string,
  answer: { status: number; response: string; deviceId: number | null },
): Promise<void> {
  const sealed = await db.$fields.seal("idempotencyKeys", accountId, answer);
  await db.update(idempotencyKeys).set(sealed).where(of(accountId, key));
}

/**
 * Forgets what was answered about a device that is being removed. The keys stay taken: a creation that is repeated late
 * must not bring it back.
 */
export async function forgetAnswers(db: Db, accountId: number, deviceId: number): Promise<void> {
  await db
    .update(idempotencyKeys)
    .set({ status: null, response: null, deviceId: null })
    .where(and(eq(idempotencyKeys.accountId, accountId), eq(idempotencyKeys.deviceId, deviceId)));
}

/** Gives a key back whose request failed: nothing was done, so it may be tried again. */
export async function release(db: Db, accountId: number, key: string): Promise<void> {
  await db.delete(idempotencyKeys).where(of(accountId, key));
}
