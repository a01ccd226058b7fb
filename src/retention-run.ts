import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { cutoffAt, cutoffOf, firstDayKept, keepingFor, type Periods, periodsOfAll } from "./periods.ts";
import { type Budget, purgeTracks } from "./purge.ts";
import { reseal } from "./reseal.ts";
import { inSteps } from "./retention.ts";
import { purgeCommands } from "./store/commands.ts";
import {
  clearFloors,
  type DeviceCutoff,
  devicesOfAccounts,
  noteDaysDestroyed,
  rescopedDevices,
} from "./store/purge.ts";
import { deletePurgesBefore, purgeStatement } from "./store/retention-settings.ts";
import { assertErasing, emptyLog } from "./store/scrub.ts";
import { mainTelemetry, type Telemetry } from "./telemetry.ts";
import { destroyDaysOf, OTHER_SCOPES } from "./vault.ts";

const DAY_MS = 86_400_000;

type Account = Awaited<ReturnType<typeof devicesOfAccounts>>[number];

/**
 * Deletes what is past its period: of each account the secrets of days that are over, then the positions and commands of
 * its devices. Nothing younger goes. Safe to stop, repeat and overlap.
 * @returns positions and rows deleted
 * @throws when the database keeps copies of what is deleted: then nothing is deleted; and at the end when something is
 *   left to do, or somebody who was reading kept the log of the database from being emptied: the next run does that
 */
export async function purgeExpired(ctx: Base): Promise<number> {
  const telemetry = mainTelemetry(ctx);
  await assertErasing(telemetry.db);
  const statements = { left: LIMITS.deleteStatements };
  let deleted = 0;
  for (let after = 0; statements.left > 0; ) {
    const accounts = await devicesOfAccounts(ctx.db, after, LIMITS.accountsAStep);
    const last = accounts.at(-1);
    if (last === undefined) break;
    after = last.accountId;
    deleted += await purgeAccounts(ctx, telemetry, accounts, statements);
  }
  const firstDay = Math.floor(ctx.now() / DAY_MS) - LIMITS.purgesDays;
  deleted += await inSteps((limit) => deletePurgesBefore(ctx.db, firstDay, limit), statements);
  const log = await emptyLog(ctx.db);
  if (statements.left <= 0) throw new Error("Cannot delete everything in one run: the next one goes on");
  if (log === "busy") throw new Error("Cannot scrub: the log of the database is being read");
  return deleted;
}

async function purgeAccounts(
  ctx: Base,
  telemetry: Telemetry,
  accounts: readonly Account[],
  statements: Budget,
): Promise<number> {
  const now = ctx.now();
  const ids = accounts.map(({ accountId }) => accountId);
  const periods = await periodsOfAll(ctx, ids);
  const rescoped = await rescopedDevices(ctx.db, ids);
  const waiting: number[][] = [];
  for (const [i, { accountId }] of accounts.entries()) {
    const devices = rescoped.get(accountId) ?? [];
    waiting.push(devices.length === 0 ? [] : await reseal(ctx, telemetry, accountId, devices, periods[i]!, statements));
  }
  // The key store is asked only where a day is over since, or something of the periods has changed.
  const due = accounts.flatMap(({ accountId, deviceIds, daysDestroyed }, i) => {
    const scopes = oldDays(now, periods[i]!, deviceIds, waiting[i]!);
    const note = JSON.stringify(scopes.map(({ scope, beforeDay }) => [scope, beforeDay]));
    return note === daysDestroyed ? [] : { accountId, scopes, note };
  });
  if (due.length > 0) {
    await destroyDaysOf(ctx, due);
    await noteDaysDestroyed(ctx.db, due);
  }
  let deleted = 0;
  const cutoffs = accounts.flatMap((account, i) => cutoffsOf(now, account, periods[i]!));
  for (let at = 0; at < cutoffs.length && statements.left > 0; at += LIMITS.devicesAStep) {
    const devices = cutoffs.slice(at, at + LIMITS.devicesAStep);
    const positions = await purgeTracks(ctx, telemetry, devices, statements);
    const day = Math.floor(now / DAY_MS);
    const notes = [...positions].map(([accountId, count]) => purgeStatement(accountId, { day, positions: count }));
    if (notes.length > 0) await ctx.db.$client.batch(notes, "write");
    for (const count of positions.values()) deleted += count;
    deleted += await inSteps((limit) => purgeCommands(ctx.db, devices, limit), statements);
  }
  await clearFloors(
    ctx.db,
    accounts.flatMap(({ accountId }, i) =>
      [...periods[i]!.devices].flatMap(([deviceId, { period, timeZone, floor }]) =>
        floor > 0 ? { accountId, deviceId, cutoff: cutoffOf(now, period, timeZone) } : [],
      ),
    ),
  );
  return deleted;
}

/** Before when what an account's devices sent is past its period. */
function cutoffsOf(now: number, { accountId, deviceIds }: Account, periods: Periods): DeviceCutoff[] {
  const known = new Map<string, number>();
  return deviceIds.map((deviceId) => {
    const keeping = keepingFor(periods, deviceId);
    const key = `${keeping.scope} ${keeping.floor}`;
    const cutoff = known.get(key) ?? cutoffAt(now, keeping);
    known.set(key, cutoff);
    return { accountId, deviceId, cutoff };
  });
}

/**
 * Of each scope the first day whose secret something may still need: as its period has it, or later where what is older
 * was over for all of its devices before the period was made longer. Secrets of scopes that decide about nothing any more
 * go as late as the last of all.
 * @param waiting devices of which something is still sealed under secrets of another scope, whichever that was
 */
function oldDays(
  now: number,
  periods: Periods,
  deviceIds: readonly number[],
  waiting: readonly number[],
): { scope: string; beforeDay: number }[] {
  const cutoffs = new Map<string, number>();
  const floors = new Map<string, number>();
  for (const deviceId of deviceIds) {
    const { scope, period, timeZone, floor } = keepingFor(periods, deviceId);
    if (!cutoffs.has(scope)) cutoffs.set(scope, cutoffOf(now, period, timeZone));
    floors.set(scope, Math.min(floors.get(scope) ?? floor, floor));
  }
  const needed = waiting.reduce(
    (first, deviceId) => Math.min(first, cutoffAt(now, keepingFor(periods, deviceId))),
    Number.POSITIVE_INFINITY,
  );
  const own = [...cutoffs].map(([scope, cutoff]) => ({
    scope,
    beforeDay: firstDayKept(Math.min(Math.max(cutoff, floors.get(scope)!), needed)),
  }));
  const { period, timeZone } = periods.account;
  const last = own.reduce(
    (first, { beforeDay }) => Math.min(first, beforeDay),
    firstDayKept(Math.min(cutoffOf(now, period, timeZone), needed)),
  );
  return [...own, { scope: OTHER_SCOPES, beforeDay: last }];
}
