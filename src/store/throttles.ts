import { eq } from "drizzle-orm";
import type { Db } from "./db.ts";
import { throttles } from "./schema.ts";

/** Unix ms; 0 when it is not blocked. */
export async function blockedUntil(db: Db, key: string): Promise<number> {
  const [row] = await db.select({ at: throttles.blockedUntil }).from(throttles).where(eq(throttles.key, key));
  return row?.at ?? 0;
}

/**
 * Counts a try, unless its subject is blocked: in one statement, so that of many at once only the free ones pass.
 * @returns tries in the window, this one included; null when it is blocked
 */
export async function countTry(
  db: Db,
  key: string,
  now: number,
  limit: { free: number; windowMs: number; blockMs: number; blockMaxMs: number },
): Promise<number | null> {
  const { free, windowMs, blockMs, blockMaxMs } = limit;
  const { rows } = await db.$client.execute({
    sql: `INSERT INTO throttles (key, failures, blocked_until, expires_at) VALUES (?, 1, 0, ?)
      ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN expires_at <= ? THEN 1 ELSE failures + 1 END,
        blocked_until = CASE WHEN expires_at > ? AND failures + 1 >= ?
          THEN ? + min(? << min(failures + 1 - ?, 20), ?) ELSE 0 END,
        expires_at = excluded.expires_at
      WHERE blocked_until <= ?
      RETURNING failures`,
    args: [key, now + Math.max(windowMs, blockMaxMs), now, now, free, now, blockMs, free, blockMaxMs, now],
  });
  return (rows[0]?.[0] as number | undefined) ?? null;
}

export async function forget(db: Db, key: string): Promise<void> {
  await db.delete(throttles).where(eq(throttles.key, key));
}

/** @returns rows */
export async function purge(db: Db, now: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM throttles WHERE key IN (SELECT key FROM throttles WHERE expires_at <= ? LIMIT ?)",
    args: [now, limit],
  });
  return rowsAffected;
}
