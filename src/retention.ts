import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { cutoffOf, cutoffsAt, firstDayKept, type Periods, periodsOfAll } from "./periods.ts";
import { type Budget, eraseTrack, purgeTracks } from "./purge.ts";
import { purgeSearches } from "./searches.ts";
import { purgeCommands } from "./store/commands.ts";
import { devicesOfAccounts, noteDaysDestroyed } from "./store/purge.ts";
import * as store from "./store/retention.ts";
import { assertErasing, emptyLog } from "./store/scrub.ts";
import { forgetNetworks, purgeSessions } from "./store/sessions.ts";
import { purgeTokens } from "./store/tokens.ts";
import { mainTelemetry } from "./telemetry.ts";
import { purgeThrottles } from "./throttle.ts";
import { destroyDaysOf } from "./vault.ts";

/** Repeats a bounded deletion until nothing is left or the run has had its share; the next run goes on. */
async function inSteps(step: (limit: number) => Promise<number>, statements: Budget): Promise<number> {
  let total = 0;
  while (statements.left-- > 0) {
    const deleted = await step(LIMITS.deleteRows);
    total += deleted;
    if (deleted < LIMITS.deleteRows) break;
  }
  return total;
}

/**
 * Deletes what is past its period: of each account the secrets of days that are over, then the positions of its devices,
 * and its commands. Nothing younger goes. Safe to stop, repeat and overlap.
 * @returns positions and rows deleted
 * @throws when the database keeps copies of what is deleted: then nothing is deleted; and at the end when somebody who was
 *   reading kept its log from being emptied, which the next run does
 */
export async function purgeExpired(ctx: Base): Promise<number> {
  const now = ctx.now();
  const telemetry = mainTelemetry(ctx);
  await assertErasing(telemetry.db);
  const statements = { left: LIMITS.deleteStatements };
  let deleted = 0;
  for (let after = 0; statements.left > 0; ) {
    const accounts = await devicesOfAccounts(ctx.db, after, LIMITS.accountsAStep);
    const last = accounts.at(-1);
    if (last === undefined) break;
    after = last.accountId;
    const periods = await periodsOfAll(
      ctx,
      accounts.map(({ accountId }) => accountId),
    );
    // The key store is asked only where a day is over since, or a period has changed.
    const due = accounts.flatMap(({ accountId, daysDestroyed }, i) => {
      const scopes = oldDays(now, periods[i]);
      const note = JSON.stringify(scopes.map(({ scope, beforeDay }) => [scope, beforeDay]));
      return note === daysDestroyed ? [] : { accountId, scopes, note };
    });
    if (due.length > 0) {
      await destroyDaysOf(ctx, due);
      await noteDaysDestroyed(ctx.db, due);
    }
    const devices = accounts.flatMap(({ accountId, deviceIds }, i) => {
      const cutoff = cutoffsAt(now, periods[i]);
      return deviceIds.map((deviceId) => ({ accountId, deviceId, cutoff: cutoff(deviceId) }));
    });
    for (let at = 0; at < devices.length && statements.left > 0; at += LIMITS.devicesAStep) {
      deleted += await purgeTracks(ctx, telemetry, devices.slice(at, at + LIMITS.devicesAStep), statements);
    }
  }
  const before = cutoffOf(now, { months: ctx.config.retentionMonths }, "UTC");
  deleted += await inSteps((limit) => purgeCommands(ctx.db, before, limit), statements);
  if ((await emptyLog(ctx.db)) === "busy") throw new Error("Cannot scrub: the log of the database is being read");
  return deleted;
}

/** Of each scope the first day that is not over. */
function oldDays(now: number, periods: Periods): { scope: string; beforeDay: number }[] {
  const scopes = new Map([periods.account, ...periods.devices.values()].map((keeping) => [keeping.scope, keeping]));
  return [...scopes].map(([scope, { period, timeZone }]) => ({
    scope,
    beforeDay: firstDayKept(cutoffOf(now, period, timeZone)),
  }));
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
  if (!(await eraseTrack(ctx, mainTelemetry(ctx), accountId, deviceId, statements))) return false;
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
