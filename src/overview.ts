import { record } from "./audit.ts";
import { brokenLately } from "./broken.ts";
import { type Coverage, calendarCoverage } from "./calendars.ts";
import type { Base, Config, Ctx } from "./context.ts";
import { type JobStatus, listJobs, runJob } from "./jobs.ts";
import { dueReviews } from "./legal-holds.ts";
import { LIMITS } from "./limits.ts";
import { type RetentionHealth, retentionHealth } from "./retention-watch.ts";
import { type Figures, markBridgeSeen, type Received, readFigures } from "./store/overview.ts";

// When each bridge's last delivery is written again, per isolate: the path of every frame costs a look at a map.
const NEXT = new WeakMap<Config, Map<number, number>>();

/** Notes that a bridge delivered; written after the answer, at most once a minute. */
export function noteBridge(ctx: Base, bridgeId: number): void {
  let next = NEXT.get(ctx.config);
  if (next === undefined) {
    next = new Map();
    NEXT.set(ctx.config, next);
  }
  const now = ctx.now();
  if (now < (next.get(bridgeId) ?? 0)) return;
  next.set(bridgeId, now + LIMITS.bridgeSeenEveryMs);
  ctx.defer(markBridgeSeen(ctx.db, bridgeId, now));
}

const fits = (field: string, value: number) =>
  field.split(",").some((part) => {
    const [range = "", step = "1"] = part.split("/");
    return range === "*" ? value % Number(step) === 0 : Number(range) === value;
  });

/**
 * When a job is due for the first time after a moment. Reads minutes and hours, as the crons of JOBS have them.
 * @returns Unix ms
 */
export function nextDue(cron: string, after: number): number {
  const [minute = "*", hour = "*"] = cron.split(" ");
  let due = Math.floor(after / 60_000) * 60_000;
  const last = due + 2 * 24 * 3_600_000;
  do due += 60_000;
  while (due < last && !(fits(minute, new Date(due).getUTCMinutes()) && fits(hour, new Date(due).getUTCHours())));
  return due;
}

export interface Overview extends Omit<Figures, "received"> {
  /** Positions received a second, lately. */
  positionsPerS: number;
  /** `lateMs`: since when the next run was due; null: it has never run. */
  jobs: (JobStatus & { lateMs: number | null })[];
  canSendMail: boolean;
  retention: RetentionHealth;
  /** Segments and the like that did not open in the last days. */
  broken: number;
  /** How far ahead working days are known. */
  calendar: Coverage;
  /** Holds whose review is due. */
  holdsDue: number;
}

/** Positions a second: over the whole window, or of what came after the first batch that is still there. */
function rateOf({ positions, whole, first }: Received, now: number): number {
  if (whole || first === null) return (positions * 1000) / LIMITS.rateWindowMs;
  return ((positions - first.positions) * 1000) / Math.max(1000, now - first.receivedAt);
}

/** What the operator sees at a glance. */
export async function overview(ctx: Ctx): Promise<Overview> {
  const now = ctx.now();
  const times = {
    now,
    receivedSince: now - LIMITS.rateWindowMs,
    unclaimedSince: now - LIMITS.unclaimedMs,
    trainingBefore: now + LIMITS.trainingSoonMs,
  };
  const { received, ...figures } = await readFigures(ctx.db, times, LIMITS.rateBatches);
  const jobs = (await listJobs(ctx)).map((job) => ({
    ...job,
    lateMs: job.lastRun === null ? null : Math.max(0, now - nextDue(job.cron, job.lastRun.startedAt)),
  }));
  const retention = await retentionHealth(ctx);
  const broken = await brokenLately(ctx);
  return {
    ...figures,
    retention,
    broken,
    calendar: await calendarCoverage(ctx),
    holdsDue: await dueReviews(ctx),
    positionsPerS: rateOf(received, now),
    jobs,
    canSendMail: ctx.sendMail !== null,
  };
}

/** Runs a job because somebody wants it now. @returns rows changed @throws {AppError} not_found */
export async function runJobNow(ctx: Ctx, name: string): Promise<number> {
  const changed = await runJob(ctx, name);
  await record(ctx, "job.run", { subject: `job ${name}` });
  return changed;
}
