import type { Base } from "./context.ts";
import { keep } from "./held-parts.ts";
import { LIMITS } from "./limits.ts";
import { type Budget, eraseTrack } from "./purge.ts";
import { purgeSearches } from "./searches.ts";
import { purgeLinks } from "./store/exports.ts";
import { moveOf } from "./store/placements.ts";
import * as store from "./store/retention.ts";
import { emptyLog } from "./store/scrub.ts";
import { forgetNetworks, purgeSessions } from "./store/sessions.ts";
import { purgeTokens } from "./store/tokens.ts";
import { telemetryFor } from "./telemetry.ts";
import { purgeThrottles } from "./throttle.ts";
import { mayAnswer } from "./tracker-erasure.ts";
import { destroyDevice } from "./vault.ts";

/** Repeats a bounded deletion until nothing is left or the run has had its share; the next run goes on. */
export async function inSteps(step: (limit: number) => Promise<number>, statements: Budget): Promise<number> {
  let total = 0;
  while (statements.left-- > 0) {
    const deleted = await step(LIMITS.deleteRows);
    total += deleted;
    if (deleted < LIMITS.deleteRows) break;
  }
  return total;
}

/** What was deleted must not live on beside the database file. */
async function scrub(ctx: Base): Promise<void> {
  if ((await emptyLog(ctx.db)) === "busy") ctx.log.info("scrub.postponed");
}

/**
 * Removes a device that is marked (`deletingAt`): its positions in bounded steps, then everything else of it in one.
 * Until the end it stays marked, so that a removal that stops anywhere is resumed by the job.
 * @param statements how many may be used; what is used is taken off
 * @returns false when rows are left for the next call, or when the device is not marked and nothing was done
 */
export async function removeDevice(
  ctx: Base,
  deviceId: number,
  statements: Budget = { left: LIMITS.removalStatements },
): Promise<boolean> {
  const accountId = await store.accountOfMarked(ctx.db, deviceId);
  if (accountId === null) return false;
  const scope = { kind: "devices" as const, devices: [deviceId] };
  await keep(ctx, { accountId, scope, cause: `device:${deviceId}`, requestId: null });
  const move = await moveOf(ctx.db, accountId);
  if (move === "copying" || move === "holding") {
    // Nobody reads it any more. Its rows go when nothing is copied any more.
    await destroyDevice(ctx, accountId, deviceId);
    return false;
  }
  if (!(await eraseTrack(ctx, await telemetryFor(ctx, accountId), accountId, deviceId, statements))) return false;
  if (await mayAnswer(ctx, deviceId)) return false;
  const removed = await store.deleteMarkedDevice(ctx.db, deviceId);
  if (removed) await scrub(ctx);
  return removed;
}

/** Ends the removals that stopped half-way, the oldest first. @returns devices removed */
export async function finishRemovals(ctx: Base): Promise<number> {
  const statements = { left: LIMITS.deleteStatements };
  let removed = 0;
  for (const deviceId of await store.markedDevices(ctx.db, LIMITS.removalsPerRun)) {
    if (statements.left <= 0) break;
    if (await removeDevice(ctx, deviceId, statements)) removed += 1;
  }
  return removed;
}

/** @returns keys deleted */
export function purgeIdempotencyKeys(ctx: Base): Promise<number> {
  return inSteps((limit) => store.deleteIdempotencyKeysExpiredBefore(ctx.db, ctx.now(), limit), {
    left: LIMITS.deleteStatements,
  });
}

/** Forgets registrations that nobody confirmed, and invitations that nobody took. @returns accounts and users */
export async function purgeUnconfirmed(ctx: Base): Promise<number> {
  const now = ctx.now();
  // One step is at most two full ones: as many accounts and as many users.
  const step = (limit: number) => store.deleteUnconfirmed(ctx.db, now - LIMITS.unverifiedMs, now, limit);
  const deleted = await inSteps(step, { left: LIMITS.removalStatements });
  if (deleted > 0) await scrub(ctx);
  return deleted;
}

/** Forgets sessions, links and failed tries that are over, and where older sessions came from. @returns rows */
export async function purgeSignIns(ctx: Base): Promise<number> {
  const now = ctx.now();
  const statements = { left: LIMITS.deleteStatements };
  let changed = await inSteps((limit) => purgeSessions(ctx.db, now, limit), statements);
  changed += await inSteps((limit) => purgeTokens(ctx.db, now, limit), statements);
  changed += await inSteps((limit) => purgeLinks(ctx.db, now, limit), statements);
  changed += await inSteps(() => purgeThrottles(ctx), statements);
  changed += await forgetNetworks(ctx.db, now - LIMITS.networkMs);
  // Always, as the job that runs most often: what people changed or removed since must not live on either.
  await emptyLog(ctx.db);
  return changed;
}

/** Deletes what was recorded about acts and looks longer ago than it is kept, and keys that ended then. @returns rows */
export async function purgeAudit(ctx: Base): Promise<number> {
  const before = ctx.now() - LIMITS.auditMs;
  const statements = { left: LIMITS.deleteStatements };
  let deleted = await inSteps((limit) => store.deleteAuditBefore(ctx.db, before, limit), statements);
  const signIns = ctx.now() - LIMITS.securityActsMs;
  deleted += await inSteps((limit) => store.deleteSessionActsBefore(ctx.db, signIns, limit), statements);
  deleted += await inSteps((limit) => store.deleteLooksBefore(ctx.db, before, limit), statements);
  deleted += await inSteps((limit) => store.deleteWindowsBefore(ctx.db, before, limit), statements);
  deleted += await inSteps((limit) => store.deleteKeysBefore(ctx.db, before, limit), statements);
  if (deleted > 0) await scrub(ctx);
  return deleted;
}

/** Forgets sold trackers that nobody activated for so long. @returns rows */
export async function purgeActivations(ctx: Base): Promise<number> {
  const before = ctx.now() - LIMITS.activationMs;
  const step = (limit: number) => store.deleteActivationsBefore(ctx.db, before, limit);
  const deleted = await inSteps(step, { left: LIMITS.deleteStatements });
  if (deleted > 0) await scrub(ctx);
  return deleted;
}

/** Deletes what people looked for longer ago than it is kept. @returns rows */
export async function forgetOldSearches(ctx: Base): Promise<number> {
  const deleted = await inSteps(() => purgeSearches(ctx), { left: LIMITS.deleteStatements });
  if (deleted > 0) await scrub(ctx);
  return deleted;
}
