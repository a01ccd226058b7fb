import { accountOf } from "./access.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { keyedHash } from "./seal.ts";
import { keepAnswer, release, reserve } from "./store/idempotency.ts";

const FIELD = { field: "Idempotency-Key" };

export interface KeptResponse {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * Does `work` once per key and account: a repeated request gets the first answer again, as it was.
 * If this process or the way to the database dies between the work and the note of its answer, the key stays taken
 * until it expires and its requests are a conflict: an engine cut must rather need a second look than fire twice.
 * @param key the caller's Idempotency-Key
 * @param requestHash of everything that makes the request what it is
 * @throws {AppError} conflict when the key belongs to another request, or its request has not ended; what `work` throws
 */
export async function once(
  ctx: Ctx,
  key: string,
  requestHash: string,
  work: () => Promise<KeptResponse>,
): Promise<KeptResponse & { repeated: boolean }> {
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > LIMITS.idempotencyKeyCharacters) {
    const allowed = `1 to ${LIMITS.idempotencyKeyCharacters} visible ASCII characters`;
    throw new AppError("invalid", `Idempotency-Key must be ${allowed}`, FIELD);
  }
  const accountId = accountOf(ctx);
  const now = ctx.now();
  // Whatever a client puts into its key, an order or a person, is not stored as it is.
  const hash = await keyedHash(ctx, "idempotency", key);
  // Nor its hash as it is: an IMEI can be found by trying all that there are.
  const requestMark = await keyedHash(ctx, "idempotency request", requestHash);
  const kept = await reserve(ctx.db, accountId, {
    key: hash,
    requestHash: requestMark,
    createdAt: now,
    expiresAt: now + LIMITS.idempotencyMs,
  });
  if (kept !== null) {
    if (kept.requestHash !== requestMark) {
      throw new AppError("conflict", "This Idempotency-Key was used for another request", FIELD);
    }
    if (kept.status === null || kept.response === null) {
      const advice = "look whether it was carried out before you use another key";
      throw new AppError("conflict", `There is no answer kept for this Idempotency-Key; ${advice}`, FIELD);
    }
    return { ...(JSON.parse(kept.response) as KeptResponse), repeated: true };
  }
  let answer: KeptResponse;
  try {
    answer = await work();
  } catch (error) {
    if (refused(error)) await release(ctx.db, accountId, hash);
    throw error;
  }
  const deviceId = Number(/^\/v1\/devices\/(\d+)/.exec(answer.headers.location ?? "")?.[1] ?? 0) || null;
  const { status } = answer;
  await keepAnswer(ctx.db, accountId, hash, { status, response: JSON.stringify(answer), deviceId });
  return { ...answer, repeated: false };
}

const NOT_WRITTEN = /^SQLITE_(BUSY|LOCKED|CONSTRAINT|FULL|READONLY)/;

/** Whether a failure says that nothing was done: a rule's refusal or the database's own. Any other may hide a write. */
function refused(error: unknown): boolean {
  let cause = error;
  for (let depth = 0; cause instanceof Error && depth < 5; depth++) {
    const { code } = cause as { code?: unknown };
    if (cause instanceof AppError || (typeof code === "string" && NOT_WRITTEN.test(code))) return true;
    cause = cause.cause;
  }
  return false;
}
