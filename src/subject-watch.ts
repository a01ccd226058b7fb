import { deadlineOf } from "./business-time.ts";
import type { Ctx } from "./context.ts";
import { appendLedger } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { tellStaff } from "./request-mails.ts";
import { hasEntry } from "./store/requests.ts";
import * as store from "./store/subjects.ts";

/**
 * Watches what is asked with subject links: what the customer has not answered in ten days is the staff's, who hear of it
 * and of half, four fifths and all of their business day; a missed one is written into the ledger. Forgets what is over.
 * @returns rows that changed
 */
export async function watchSubjects(ctx: Ctx): Promise<number> {
  const now = ctx.now();
  const { requestsPerRun, deleteRows } = LIMITS;
  let changed = 0;
  for (const row of await store.unanswered(ctx.db, now, requestsPerRun)) {
    const { deadline } = await deadlineOf(ctx, now);
    if (!(await store.escalate(ctx.db, row.id, now, deadline))) continue;
    ctx.log.info("subject.escalated", { request: row.id });
    await tellStaff(ctx, { deadline, percent: null, path: pathOf(row) });
    changed += 1;
  }
  for (const row of await store.lateForStaff(ctx.db, now, requestsPerRun)) {
    const { id, name, percent, staffBy } = row;
    const missed = percent >= 100;
    // First the entry, then the mark, as src/request-watch.ts does.
    if (missed && !(await hasEntry(ctx.db, "deadline_missed", name))) {
      await appendLedger(ctx, "deadline_missed", { request: name, scopeClass: "range", result: "late" });
    }
    if (!(await store.markSubjectAlarmed(ctx.db, id, percent))) continue;
    if (missed) ctx.log.error("subject.late", { request: id, percent });
    else ctx.log.warn("subject.clock", { request: id, percent });
    await tellStaff(ctx, { deadline: staffBy, percent, path: pathOf(row) });
    changed += 1;
  }
  return changed + (await store.purgeSubjects(ctx.db, now, now - LIMITS.subjectAnsweredMs, deleteRows));
}

const pathOf = ({ name }: store.SubjectRequest) => `/admin/subject-requests/${name}`;
