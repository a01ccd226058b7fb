import type { Base } from "./context.ts";
import { convertRows } from "./convert.ts";
import { purgeWrapped } from "./customer-sealed.ts";
import { announceDocuments } from "./documents.ts";
import { carryOut } from "./erasure.ts";
import { AppError } from "./errors.ts";
import { destroyGoneAccounts } from "./gone-accounts.ts";
import { releaseHeld } from "./held-parts.ts";
import { tidyHeld } from "./kept-holds.ts";
import { signLedgerHead } from "./ledger.ts";
import { remindOfHolds } from "./legal-holds.ts";
import { LIMITS } from "./limits.ts";
import { sendDueMails } from "./mail.ts";
import { moveTracks } from "./move.ts";
import { purgeObligations } from "./obligations.ts";
import { watchRequests } from "./request-watch.ts";
import { replay, requireCurrent } from "./restore.ts";
import {
  finishRemovals,
  forgetOldSearches,
  purgeActivations,
  purgeAudit,
  purgeIdempotencyKeys,
  purgeSignIns,
  purgeUnconfirmed,
} from "./retention.ts";
import { purgeExpired } from "./retention-run.ts";
import { sealClearFields } from "./seal-clear.ts";
import { settleAndTidy } from "./settle.ts";
import { purgeSilenced } from "./silenced.ts";
import { expireCommands } from "./store/commands.ts";
import { endJobRun, type JobRun, lastJobRuns, purgeJobRuns, startJobRun } from "./store/job-runs.ts";
import { purgeTombstones } from "./tombstones.ts";
import { purgeUnclaimed } from "./unclaimed.ts";
import { refreshEscrow } from "./vault.ts";

export interface Job {
  name: string;
  /** Five fields, UTC. The platform's cron triggers are the distinct values of this column. */
  cron: string;
  summary: string;
  /** Returns the number of rows changed. May be stopped anywhere, run twice and run beside itself. */
  run(ctx: Base): Promise<number>;
}

export const JOBS = [
  {
    name: "replay-ledger",
    cron: "* * * * *",
    summary: "Erases again what a database that was restored has brought back",
    run: replay,
  },
  {
    name: "settle",
    cron: "* * * * *",
    summary: "Moves positions that wait in the inbox into segments, and destroys the keys that nothing needs any more",
    run: settleAndTidy,
  },
  {
    name: "convert-positions",
    cron: "* * * * *",
    summary: "Moves positions that an earlier version stored row by row into segments",
    run: convertRows,
  },
  {
    name: "expire-commands",
    cron: "* * * * *",
    summary: "Marks queued commands whose time is over",
    run: (ctx) => expireCommands(ctx.db, ctx.now(), LIMITS.deleteRows),
  },
  {
    name: "send-mail",
    cron: "* * * * *",
    summary: "Sends mails that wait, and gives up those of a day ago",
    run: sendDueMails,
  },
  {
    name: "release-held",
    cron: "* * * * *",
    summary: "Destroys copies that were kept for a law, an order or an obligation, when that is over",
    run: releaseHeld,
  },
  {
    name: "watch-requests",
    cron: "* * * * *",
    summary: "Tells of requests whose time runs out, and ends those of which nobody knows who asks",
    run: watchRequests,
  },
  {
    name: "seal-clear-fields",
    cron: "* * * * *",
    summary: "Seals what was stored about people before it was stored sealed",
    run: sealClearFields,
  },
  {
    name: "move-tracks",
    cron: "* * * * *",
    summary: "Goes on moving tracks of accounts that were placed in another database, and erases them at the source",
    run: moveTracks,
  },
  {
    name: "erase",
    cron: "* * * * *",
    summary: "Carries out erasures that were asked for, until every store says that nothing is left",
    run: carryOut,
  },
  {
    name: "finish-removals",
    cron: "* * * * *",
    summary: "Ends removals of devices that stopped half-way",
    run: finishRemovals,
  },
  {
    name: "destroy-gone-accounts",
    cron: "*/10 * * * *",
    summary: "Destroys the secrets of accounts that are gone",
    run: destroyGoneAccounts,
  },
  {
    name: "purge-unclaimed",
    cron: "*/10 * * * *",
    summary: "Forgets unknown IMEIs that have not sent for a day",
    run: purgeUnclaimed,
  },
  {
    name: "purge-idempotency-keys",
    cron: "*/10 * * * *",
    summary: "Forgets the answers kept for repeated requests",
    run: purgeIdempotencyKeys,
  },
  {
    name: "purge-sessions",
    cron: "*/10 * * * *",
    summary: "Forgets sessions, links and failed tries that are over, and the networks of sessions after two weeks",
    run: purgeSignIns,
  },
  {
    name: "announce-documents",
    cron: "*/10 * * * *",
    summary: "Goes on telling owners of a material change of the statement or the terms",
    run: announceDocuments,
  },
  {
    name: "refresh-escrow",
    cron: "*/10 * * * *",
    summary: "Brings the key store's third copy up to date, once a day",
    run: refreshEscrow,
  },
  {
    name: "retention",
    cron: "*/10 * * * *",
    summary: "Destroys the keys of days that are over, and deletes positions and commands that are past their period",
    run: purgeExpired,
  },
  {
    name: "sign-ledger-head",
    cron: "7 * * * *",
    summary: "Signs how far the ledger is, once a day where something was added",
    run: signLedgerHead,
  },
  {
    name: "purge-wrapped-secrets",
    cron: "7 * * * *",
    summary: "Deletes what was wrapped to customers' own keys and opens no track any more",
    run: purgeWrapped,
  },
  {
    name: "purge-unverified",
    cron: "7 * * * *",
    summary: "Forgets registrations and invitations that nobody confirmed in seven days",
    run: purgeUnconfirmed,
  },
  {
    name: "purge-searches",
    cron: "7 * * * *",
    summary: "Deletes what people looked for more than 30 days ago",
    run: forgetOldSearches,
  },
  {
    name: "purge-activations",
    cron: "7 * * * *",
    summary: "Forgets sold trackers that nobody activated in three years",
    run: purgeActivations,
  },
  {
    name: "purge-audit",
    cron: "7 * * * *",
    summary: "Deletes what was recorded about acts and looks, and keys that ended, more than three years ago",
    run: purgeAudit,
  },
  {
    name: "purge-tombstones",
    cron: "7 * * * *",
    summary: "Forgets what other copies had to drop more than 100 days ago",
    run: purgeTombstones,
  },
  {
    name: "purge-silenced",
    cron: "7 * * * *",
    summary: "Forgets trackers that were erased more than 400 days ago",
    run: purgeSilenced,
  },
  {
    name: "purge-obligations",
    cron: "7 * * * *",
    summary: "Forgets what was owed when it is over",
    run: purgeObligations,
  },
  {
    name: "tidy-held",
    cron: "7 * * * *",
    summary: "Keeps beside the keys what holds are, where a change of one was stopped",
    run: tidyHeld,
  },
  {
    name: "remind-of-holds",
    cron: "7 * * * *",
    summary: "Tells the legal staff of orders whose review is due",
    run: remindOfHolds,
  },
  {
    name: "purge-job-runs",
    cron: "7 * * * *",
    summary: "Shortens this list of runs",
    run: (ctx) => purgeJobRuns(ctx.db, ctx.now() - LIMITS.jobRunsMs),
  },
] as const satisfies readonly Job[];

/**
 * Runs a job now and records the run.
 * @returns rows changed
 * @throws {AppError} not_found when there is no such job; what the job throws, after it was recorded
 */
export async function runJob(ctx: Base, name: string): Promise<number> {
  const job: Job | undefined = JOBS.find((row) => row.name === name);
  if (job === undefined) throw new AppError("not_found", "No such job");
  if (job.run !== replay) await requireCurrent(ctx);
  let run: number | undefined;
  try {
    run = await startJobRun(ctx.db, job.name, ctx.now());
    const changed = await job.run(ctx);
    await endJobRun(ctx.db, run, { finishedAt: ctx.now(), state: "done", changed, error: null });
    ctx.log.info("job.done", { job: job.name, run, changed });
    return changed;
  } catch (error) {
    ctx.log.error("job.failed", { job: job.name, run }, error);
    if (run !== undefined) {
      const end = { finishedAt: ctx.now(), state: "failed", changed: 0, error: nameOf(error) } as const;
      // A database that fails the job may fail this too; the job's own error is the one to tell.
      await endJobRun(ctx.db, run, end).catch(() => undefined);
    }
    throw error;
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "Error";
}

/** Runs the jobs of one cron trigger, one after the other. One that fails does not keep the next from running. */
export async function runCron(ctx: Base, cron: string): Promise<void> {
  for (const job of JOBS) {
    // runJob has logged the failure.
    if (job.cron === cron) await runJob(ctx, job.name).catch(() => undefined);
  }
}

export interface JobStatus {
  name: string;
  cron: string;
  summary: string;
  lastRun: JobRun | null;
}

/** Every job with its last run. */
export async function listJobs(ctx: Base): Promise<JobStatus[]> {
  const runs = await lastJobRuns(
    ctx.db,
    JOBS.map((job) => job.name),
  );
  return JOBS.map(({ name, cron, summary }) => ({
    name,
    cron,
    summary,
    lastRun: runs.find((run) => run.name === name) ?? null,
  }));
}
