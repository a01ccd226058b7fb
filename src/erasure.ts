import type { Base } from "./context.ts";
import { KEYS } from "./erasers/keys.ts";
import { CORRECTED, PART } from "./erasers/part.ts";
import { RANGE } from "./erasers/range.ts";
import { RECORDS } from "./erasers/records.ts";
import { TRACKS } from "./erasers/tracks.ts";
import { conclude, tellFrozen, tellShredded } from "./erasure-receipt.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import { keep, settleKept } from "./held-parts.ts";
import { LIMITS } from "./limits.ts";
import { tellCleared } from "./request-mails.ts";
import { silence } from "./silenced.ts";
import {
  addStep,
  advanceErasure,
  devicesOfOthers,
  type Erasure,
  freezeAccount,
  freezeDevices,
  keepErasure,
  releaseErasure,
  takeErasure,
  trackersOf,
} from "./store/erasure.ts";
import { heldOfRequest } from "./store/held-parts.ts";
import type { RequestState, RequestStep } from "./store/schema.ts";
import type { ErasureJob, Gone, StoreEraser, Verified } from "./store-eraser.ts";
import { bury } from "./tombstones.ts";
import { mayHearMore, tellTrackers } from "./tracker-erasure.ts";

// The engine of erasures. A request that is verified goes through freeze, shred, purge, scrub and verify; each step is
// written down when it was done, and may be stopped anywhere and run again. Nothing sets a request to `cleared`: it is
// what the stores say of themselves when they are asked, all of them, after the last step.

/** Every store that may hold something about a person. The order is that in which they are purged. */
export const STORES: readonly StoreEraser[] = [KEYS, TRACKS, RANGE, RECORDS, PART];

/** What follows each state of an erasure, when its work is done. */
const NEXT = {
  verified: "frozen",
  frozen: "shredding",
  shredding: "purging",
  purging: "scrubbing",
  scrubbing: "verifying",
  propagating: "verifying",
  verifying: "cleared",
  partially_cleared: "verifying",
} as const satisfies Partial<Record<RequestState, RequestState>>;

type Running = keyof typeof NEXT;

/** One turn at a request: the engine's hold on it. */
interface Turn {
  ctx: Base;
  request: Erasure;
  job: ErasureJob;
  stores: readonly StoreEraser[];
  holder: number;
  /** Holds that were confirmed by then have their copies. */
  keptAt?: number;
}

/**
 * Carries out what is due, one request after the other, until there is none or the run has had its time. Several may run
 * at once: each request has one runner.
 * @returns requests that were cleared
 */
export async function carryOut(ctx: Base): Promise<number> {
  const begin = ctx.now();
  let cleared = 0;
  let hears = false;
  while (ctx.now() - begin < LIMITS.erasureRunMs) {
    const holder = newHolder(ctx);
    const now = ctx.now();
    const request = await takeErasure(ctx.db, holder, now, now + LIMITS.erasureLeaseMs, now + LIMITS.erasureRetryMaxMs);
    if (request === null) {
      // Trackers answer in seconds, or not at all: the next run would be late for that.
      if (!hears || !(await aMoment(ctx))) break;
      hears = false;
      continue;
    }
    const end = await turn(ctx, request, holder);
    if (end === "cleared") cleared += 1;
    else if (end === "hears") hears = true;
  }
  return cleared;
}

/** @returns whether time has passed */
async function aMoment(ctx: Base): Promise<boolean> {
  const before = ctx.now();
  await new Promise((resolve) => setTimeout(resolve, LIMITS.clearPollMs));
  return ctx.now() > before;
}

const newHolder = (ctx: Base) => ctx.random(6).reduce((number, byte) => number * 256 + byte, 1);

/** @returns hears: it waits for trackers, and for nothing else */
async function turn(ctx: Base, request: Erasure, holder: number): Promise<"cleared" | "hears" | "left"> {
  const { id, name, accountId, userId, frozenAt } = request;
  try {
    const scope = await ownScope(ctx, accountId, JSON.parse(request.scope) as ErasureScope);
    request.frozenAt = frozenAt ?? ctx.now();
    const job = { id, name, accountId, userId, scope, frozenAt: request.frozenAt };
    const stores = request.type === "correct" ? [CORRECTED] : STORES.filter((store) => store.applies(scope));
    const at: Turn = { ctx, request, job, stores, holder };
    if (stores.length === 0) throw new Error("No store erases this");
    for (let state = request.state; state !== "cleared"; ) {
      const to = await work(at, state as Running);
      if (to === null && state === "frozen") {
        // Not before the moment is over, and surely when it is.
        await releaseErasure(ctx.db, id, holder, ctx.now() + Math.ceil(LIMITS.clearPollMs / 2), false);
        return "hears";
      }
      if (to === null) {
        const next = state === "partially_cleared" ? (await heldOfRequest(ctx.db, id)).next : null;
        await releaseErasure(ctx.db, id, holder, next ?? ctx.now() + LIMITS.erasureRetryMs, false);
        return "left";
      }
      if (!(await advanceErasure(ctx.db, { id, holder, from: state, to, at: ctx.now(), keptAt: at.keptAt }))) {
        // A hold was confirmed meanwhile; or it is somebody else's by now, and nothing is given back.
        await releaseErasure(ctx.db, id, holder, ctx.now() + LIMITS.erasureRetryMs, false);
        return "left";
      }
      ctx.log.info("erasure.state", { request: name, state: to });
      if (to === "partially_cleared") {
        const { next } = await heldOfRequest(ctx.db, id);
        await releaseErasure(ctx.db, id, holder, next ?? ctx.now(), false);
        return "left";
      }
      if (to === "frozen") {
        // Whoever else has asked is frozen, too, before anything is worked on, which may take long.
        await releaseErasure(ctx.db, id, holder, 0, false);
        return "left";
      }
      // Not at once: whoever wrote what was found may be at it still.
      if (state === "verifying" && to === "purging") throw new Error("A store still holds something");
      state = to;
    }
    // It is done, whether anybody can be told or not.
    await tellCleared(ctx, name).catch((error) => ctx.log.error("erasure.untold", { request: name }, error));
    return "cleared";
  } catch (error) {
    ctx.log.error("erasure.failed", { request: name, state: request.state, failures: request.failures + 1 }, error);
    const waitMs = Math.min(LIMITS.erasureRetryMs * 2 ** request.failures, LIMITS.erasureRetryMaxMs);
    await releaseErasure(ctx.db, id, holder, ctx.now() + waitMs, true);
    return "left";
  }
}

/** Intake lets nobody name another account's device; what works on bare numbers looks again. */
async function ownScope(ctx: Base, accountId: number, scope: ErasureScope): Promise<ErasureScope> {
  const named = scope.kind === "devices" ? scope.devices : scope.kind === "range" ? [scope.device] : [];
  const others = await devicesOfOthers(ctx.db, accountId, named);
  if (scope.kind === "range" && others.size > 0) throw new Error("Cannot erase a stretch of another account's track");
  return scope.kind === "devices" ? { ...scope, devices: named.filter((device) => !others.has(device)) } : scope;
}

/** Does what a state is for. @returns the state that follows; null: it is not done yet */
async function work(at: Turn, state: Running): Promise<RequestState | null> {
  const { ctx, request, job, stores } = at;
  const budget = { left: LIMITS.erasureStatements };
  switch (state) {
    case "verified":
      if (request.type !== "correct" && !(await settleKept(ctx, job.accountId))) return null;
      await freeze(at);
      return NEXT.verified;
    case "frozen":
      await tellOthers(at);
      // What was to be replaced is replaced already: nothing goes.
      if (request.type !== "correct") at.keptAt = await keep(ctx, threatOf(job), () => stay(at));
      await tellFrozen(ctx, request, job);
      await tellTrackers(ctx, job, await trackersIn(at));
      // What they are told opens as long as the keys are there.
      return (await mayHearMore(ctx, job)) ? null : NEXT.frozen;
    case "shredding":
      if (!(await inEach(at, "shred", (store) => store.shred?.(ctx, job)))) return null;
      await tellShredded(ctx, request, job);
      return NEXT.shredding;
    case "purging":
      return (await inEach(at, "purge", (store) => store.purge(ctx, job, budget))) ? NEXT.purging : null;
    case "scrubbing":
      return (await inEach(at, "scrub", (store) => store.scrub?.(ctx, job))) ? NEXT.scrubbing : null;
    case "propagating":
      return NEXT.propagating;
    case "verifying": {
      const found = await verify(at);
      if (!stores.every((store) => found.get(store.name)?.found === 0)) return "purging";
      const { held } = await heldOfRequest(ctx.db, request.id);
      await conclude(ctx, request, job, found, held);
      return held.length === 0 ? NEXT.verifying : "partially_cleared";
    }
    case "partially_cleared": {
      if ((await heldOfRequest(ctx.db, request.id)).held.length > 0) return null;
      // What was cleared then is looked at again, and what stayed since is let go with it.
      if (!(await inEach(at, "purge", (store) => store.purge(ctx, job, budget)))) return null;
      if (!(await inEach(at, "scrub", (store) => store.scrub?.(ctx, job)))) return null;
      return NEXT.partially_cleared;
    }
  }
}

const threatOf = ({ accountId, scope, id }: ErasureJob) => ({
  accountId,
  scope,
  cause: `request:${id}`,
  requestId: id,
});

/** @throws when the lease is somebody else's by now */
async function stay({ ctx, request, holder }: Turn): Promise<void> {
  if (await keepErasure(ctx.db, request.id, holder, ctx.now() + LIMITS.erasureLeaseMs)) return;
  throw new Error("Somebody else carries this out");
}

/** From now on nobody reads it and nothing is taken for it. Nothing that may fail elsewhere comes before. */
async function freeze({ ctx, request: { accountId, id }, job: { scope } }: Turn): Promise<void> {
  if (scope.kind !== "account" && scope.kind !== "devices") return;
  const at = ctx.now();
  if (scope.kind === "account") await freezeAccount(ctx.db, accountId, at);
  else await freezeDevices(ctx.db, accountId, scope.devices, at);
  const rows = scope.kind === "account" ? 1 : scope.devices.length;
  await addStep(ctx.db, id, { store: "records", step: "freeze", at, rows, bytes: 0, ok: true, kids: [] });
}

/** Trackers whose devices go. */
async function trackersIn({ ctx, request: { accountId }, job: { scope } }: Turn) {
  if (scope.kind !== "account" && scope.kind !== "devices") return [];
  return trackersOf(ctx.db, accountId, scope.kind === "devices" ? scope.devices : null);
}

/** What is sent and copied elsewhere is told of: trackers are answered as long as they go on sending, copies can be dropped. */
async function tellOthers(at: Turn): Promise<void> {
  const { ctx, request, job } = at;
  const { accountId } = request;
  const { scope } = job;
  const trackers = await trackersIn(at);
  await silence(ctx, trackers);
  if (scope.kind === "devices") for (const { id } of trackers) await bury(ctx, accountId, id, null, null);
}

/** One step in every store, in their order. What fails in one keeps the others from nothing. @returns whether all are done */
async function inEach(
  { ctx, request, stores, holder }: Turn,
  step: RequestStep,
  run: (store: StoreEraser) => Promise<Gone> | undefined,
): Promise<boolean> {
  let done = true;
  const failures: unknown[] = [];
  for (const store of stores) {
    if (!(await keepErasure(ctx.db, request.id, holder, ctx.now() + LIMITS.erasureLeaseMs))) return false;
    try {
      const gone = await run(store);
      if (gone === undefined) continue;
      done &&= gone.done;
      const { rows, bytes, kids = [] } = gone;
      await addStep(ctx.db, request.id, { store: store.name, step, at: ctx.now(), rows, bytes, ok: gone.done, kids });
    } catch (error) {
      failures.push(error);
      const none = { rows: 0, bytes: 0, ok: false, kids: [] };
      await addStep(ctx.db, request.id, { store: store.name, step, at: ctx.now(), ...none });
    }
  }
  if (failures.length > 0) throw failures[0];
  return done;
}

/** Asks every store what it still has. */
async function verify({ ctx, request, job, stores }: Turn): Promise<Map<string, Verified>> {
  const found = new Map<string, Verified>();
  for (const store of stores) {
    const verified = await store.verify(ctx, job);
    found.set(store.name, verified);
    const ok = verified.found === 0;
    const at = ctx.now();
    await addStep(ctx.db, request.id, {
      ...{ store: store.name, step: "verify" as const, at, rows: verified.found, bytes: 0, ok, kids: [] },
    });
  }
  return found;
}
