import { brokenLately } from "./broken.ts";
import { calendarCoverage } from "./calendars.ts";
import type { Base, Db } from "./context.ts";
import { dueReviews } from "./legal-holds.ts";
import { LIMITS } from "./limits.ts";
import { retentionHealth } from "./retention-watch.ts";
import { appliedMigrations, MIGRATIONS } from "./store/migrations.ts";

// The answer, never the promise of one: in workerd a promise dies with the request that made it.
const lastAnswers = new WeakMap<Db, Health & { at: number }>();

export interface Health {
  /** Why the app cannot serve; null: it can. */
  reason: string | null;
  /** What somebody should look at although it can. */
  warnings: ("retention" | "broken" | "calendar" | "holds")[];
}

/**
 * Says whether the app can serve: the database answers and has every migration that this code needs. (It may have more:
 * during a rolling deployment the database is ahead.) The answer holds for LIMITS.healthMs.
 * @returns null, or why not
 */
export async function unhealthyReason(base: Base): Promise<string | null> {
  return (await healthOf(base)).reason;
}

/**
 * The same, and what needs a look: late retention, what of tracks does not open, a calendar that ends soon, and holds that
 * nobody has reviewed. None of them is a reason not to serve.
 */
export async function healthOf(base: Base): Promise<Health> {
  const now = base.now();
  const last = lastAnswers.get(base.db);
  if (last !== undefined && now >= last.at && now - last.at < LIMITS.healthMs) return last;
  const reason = await look(base);
  const health: Health = { reason, warnings: reason === null ? await warnings(base) : [] };
  lastAnswers.set(base.db, { at: now, ...health });
  return health;
}

async function warnings(base: Base): Promise<Health["warnings"]> {
  try {
    return [
      ...((await retentionHealth(base)).late ? (["retention"] as const) : []),
      ...((await brokenLately(base)) > 0 ? (["broken"] as const) : []),
      ...((await calendarCoverage(base)).short ? (["calendar"] as const) : []),
      ...((await dueReviews(base)) > 0 ? (["holds"] as const) : []),
    ];
  } catch (error) {
    base.log.error("health.failed", {}, error);
    return [];
  }
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
