import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { lastGoodRun } from "./store/job-runs.ts";

/** How retention does. */
export interface RetentionHealth {
  /** When the last run that ended well began, Unix ms; null: there is none yet. */
  lastGoodAt: number | null;
  /** For how long something past its period can have been left, at most: since that run, or since the installation began. */
  lagMs: number;
  /** For so long that somebody must look. */
  late: boolean;
}

export async function retentionHealth(ctx: Base): Promise<RetentionHealth> {
  const { lastGoodAt, installedAt } = await lastGoodRun(ctx.db, "retention");
  const since = lastGoodAt ?? installedAt;
  const lagMs = since === null ? 0 : Math.max(0, ctx.now() - since);
  return { lastGoodAt, lagMs, late: lagMs > LIMITS.retentionLateMs };
}
