import type { Json } from "../client/canonical.ts";
import type { Base } from "./context.ts";
import { appendLedger, type LedgerStore, signedReceipt } from "./ledger.ts";
import { type Erasure, entriesOfRequest, type Step, saveReceipt, stepsOf } from "./store/erasure.ts";
import type { HeldOf } from "./store/held-parts.ts";
import { hasEntry } from "./store/requests.ts";
import type { ErasureJob, Verified } from "./store-eraser.ts";
import { markAllTracks } from "./track-marks.ts";
import { trackersSaid } from "./tracker-erasure.ts";

// What the ledger and the subject are told of an erasure: numbers, fixed words and ids of destroyed keys.

/** Says in the ledger that it begins, before anything is destroyed; once. What is corrected is not frozen. */
export async function tellFrozen(ctx: Base, { name, calendar, type }: Erasure, { scope }: ErasureJob): Promise<void> {
  if (type === "correct" || (await hasEntry(ctx.db, "frozen", name))) return;
  await appendLedger(ctx, "frozen", { request: name, scopeClass: scope.kind, calendar, actorRole: "job" });
}

/** Says which keys were destroyed. */
export async function tellShredded(
  ctx: Base,
  { id, name, calendar, type }: Erasure,
  { scope }: ErasureJob,
): Promise<void> {
  if (type === "correct") return;
  const kids = (await stepsOf(ctx.db, id)).flatMap((step) => step.kids);
  await appendLedger(ctx, "shredded", { request: name, kids, scopeClass: scope.kind, calendar, actorRole: "job" });
}

/** Rows and keys that went from a store, over all tries. */
function erasedOf(steps: readonly Step[], name: string): { rows: number; bytes: number; keys: number } {
  const own = steps.filter(({ store, step }) => store === name && step !== "verify" && step !== "freeze");
  const sum = (of: (step: Step) => number) => own.reduce((total, step) => total + of(step), 0);
  const keys = sum(({ kids }) => kids.length);
  return { rows: sum(({ rows }) => rows), bytes: sum(({ bytes }) => bytes), keys };
}

/** Writes the last entry and the receipt of an erasure, when every store has said that nothing is left. */
export async function conclude(
  ctx: Base,
  request: Erasure,
  { scope }: ErasureJob,
  verified: ReadonlyMap<string, Verified>,
  held: readonly HeldOf[],
): Promise<void> {
  const { id, name, type, calendar, deadline } = request;
  const steps = await stepsOf(ctx.db, id);
  const kids = steps.flatMap((step) => step.kids);
  const now = ctx.now();
  const stores = [...verified].map(([store, { found, evidence }]) => ({
    ...{ name: store, ...erasedOf(steps, store), left: found },
    evidence: evidence as Record<string, Json>,
  }));
  const named = stores.map(({ name, rows, left }): LedgerStore => {
    return { name, found: rows + left, erased: rows, ok: left === 0 };
  });
  // What was kept until now is not late for that: what could go had gone before.
  const before = await hasEntry(ctx.db, "partially_cleared", name);
  const missed = before ? await hasEntry(ctx.db, "deadline_missed", name) : deadline !== null && now > deadline;
  const result = missed ? "late" : held.length > 0 ? "partial" : "done";
  const fields = {
    request: name,
    kids,
    scopeClass: scope.kind,
    stores: named,
    result,
    calendar,
    actorRole: "job",
  } as const;
  const done = type === "correct" ? "corrected" : "cleared";
  await appendLedger(ctx, held.length > 0 ? "partially_cleared" : done, fields);
  await markAllTracks(ctx);
  // Nobody asked for it by name.
  if (request.level === null) return;
  const { receivedAt, verifiedAt, frozenAt, level } = request;
  const said = await trackersSaid(ctx, id);
  const nothing = { rows: 0, bytes: 0, keys: 0, left: 0 };
  const content = {
    ...{ request: name, type, scopeClass: scope.kind, level, result },
    ...{ receivedAt, verifiedAt, frozenAt, clearedAt: now, deadline, calendar },
    ...{
      stores: said === null ? stores : [...stores, { name: "trackers", ...nothing, evidence: said }],
      keysDestroyed: kids.length,
      held: held.map((one) => ({ ...one })),
    },
  };
  const receipt = await signedReceipt(ctx, content, await entriesOfRequest(ctx.db, name));
  await saveReceipt(ctx.db, id, now, receipt);
}
