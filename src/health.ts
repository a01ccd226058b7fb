import type { Base, Db } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { appliedMigrations, MIGRATIONS } from "./store/migrations.ts";

// The answer, never the promise of one: in workerd a promise dies with the request that made it.
const lastAnswers = new WeakMap<Db, { at: number; reason: string | null }>();

/**
 * Says whether the app can serve: the database answers and has every migration that this code needs. (It may have more:
 * during a rolling deployment the database is ahead.) The answer holds for LIMITS.healthMs.
 * @returns null, or why not
 */
export async function unhealthyReason(base: Base): Promise<string | null> {
  const now = base.now();
  const last = lastAnswers.get(base.db);
  if (last !== undefined && now >= last.at && now - last.at < LIMITS.healthMs) return last.reason;
  const reason = await look(base);
  lastAnswers.set(base.db, { at: now, reason });
  return reason;
}

async function look(base: Base): Promise<string | null> {
  let applied: string[];
  try {
    applied = await appliedMigrations(base.db);
  } catch (error) {
    base.log.error("health.failed", {}, error);
    return "The database cannot be read";
  }
  const missing = MIGRATIONS.filter((name) => !applied.includes(name));
  return missing.length === 0 ? null : `Migrations are missing: ${missing.join(", ")}`;
}
