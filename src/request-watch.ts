import type { Base, Ctx } from "./context.ts";
import { watchProofs } from "./device-proof.ts";
import { AppError } from "./errors.ts";
import { tidyKept } from "./kept-requests.ts";
import { appendLedger } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { ofJob, tellStaff } from "./request-mails.ts";
import { scopeOf } from "./request-scope.ts";
import { concludeRestriction, tellMade, verify } from "./requests.ts";
import * as store from "./store/requests.ts";
import { watchSubjects } from "./subject-watch.ts";
import { purgeSuspensions } from "./suspensions.ts";

/**
 * Watches the clocks of requests: what was announced and not cancelled counts from its time on, what nobody could say whose
 * it is ends, and the operator hears of half, four fifths and all of the time to a deadline. A missed one is written into
 * the ledger, where nobody can take it back.
 * @returns requests that changed
 */
export async function watchRequests(base: Base): Promise<number> {
  const ctx = ofJob(base);
  const { deleteRows, requestsPerRun } = LIMITS;
  const now = base.now();
  let changed = 0;
  for (const row of await store.dueNotices(base.db, now, requestsPerRun)) changed += await count(ctx, row);
  for (const row of await store.unfinishedRestrictions(base.db, now - LIMITS.requestLeftMs, requestsPerRun)) {
    changed += await conclude(ctx, row);
  }
  for (const row of await store.latecomers(base.db, now, requestsPerRun)) changed += await alarm(ctx, row);
  changed += await watchProofs(ctx);
  changed += await watchSubjects(ctx);
  changed += await store.expireRequests(base.db, now - LIMITS.requestPendingMs, now, deleteRows);
  changed += await tidyKept(base);
  changed += await store.forgetEvidence(base.db, now - LIMITS.requestEvidenceMs, deleteRows);
  changed += await purgeSuspensions(base);
  return changed + (await store.purgeRequests(base.db, now - LIMITS.requestsMs, deleteRows));
}

async function count(ctx: Ctx, row: store.RequestRow): Promise<number> {
  try {
    await verify(ctx, row, row.level ?? "V2");
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "conflict") throw error;
    // The same was asked for meanwhile, and is being carried out: this one is over.
    await store.cancelRequest(ctx.db, row.accountId, row.id, ctx.now());
    return 1;
  }
  const verified = await store.requestNamed(ctx.db, row.name);
  if (verified !== null) await tellMade(ctx, verified);
  return 1;
}

/** Ends a restriction that is in force and whose own call was stopped. */
async function conclude(ctx: Ctx, row: store.RequestRow): Promise<number> {
  const isNoted = await store.hasEntry(ctx.db, "restricted", row.name);
  await concludeRestriction(ctx, row, isNoted);
  return 1;
}

async function alarm(ctx: Ctx, row: store.RequestRow & { percent: number }): Promise<number> {
  const { id, name, percent, verifiedAt } = row;
  // It was done in time but for what had to be kept, and that has been let go a moment ago.
  if (await store.hasEntry(ctx.db, "partially_cleared", name)) return 0;
  const missed = percent >= 100;
  // First the entry, then the mark: stopped between the two, it is looked for and not written twice.
  if (missed && verifiedAt !== null && !(await store.hasEntry(ctx.db, "deadline_missed", name))) {
    const fields = { request: name, scopeClass: scopeOf(row).kind, calendar: row.calendar, result: "late" } as const;
    await appendLedger(ctx, "deadline_missed", fields);
  }
  if (!(await store.markAlarmed(ctx.db, id, percent))) return 0;
  const fields = { request: id, type: row.type, state: row.state, percent };
  if (missed) ctx.log.error("request.late", fields);
  else ctx.log.warn("request.clock", fields);
  await tellStaff(ctx, { ...row, path: `/admin/requests/${row.name}` });
  return 1;
}
