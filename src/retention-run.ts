import type { Base } from "./context.ts";
import { keepDue } from "./held-parts.ts";
import { LIMITS } from "./limits.ts";
import { cutoffAt, cutoffOf, firstDayKept, keepingFor, type Periods, periodsOfAll } from "./periods.ts";
import { type Budget, purgeTracks } from "./purge.ts";
import { reseal } from "./reseal.ts";
import { inSteps } from "./retention.ts";
import { purgeCommands } from "./store/commands.ts";
import { accountsKept } from "./store/held-parts.ts";
import {
  clearFloors,
  type DeviceCutoff,
  devicesOfAccounts,
  noteDaysDestroyed,
  type PurgedAccount,
  rescopedDevices,
} from "./store/purge.ts";
import { deletePurgesBefore, purgeStatement } from "./store/retention-settings.ts";
import { assertErasing, emptyLog } from "./store/scrub.ts";
import { allTelemetry, type Telemetry, telemetryNamed } from "./telemetry.ts";
import { destroyDaysOf, OTHER_SCOPES } from "./vault.ts";

const DAY_MS = 86_400_000;

/**
 * Deletes what is past its period: of each account the secrets of days that are over, then the positions and commands of
 * its devices. Nothing younger goes. Safe to stop, repeat and overlap.
 * @returns positions and rows deleted
 * @throws when the database keeps copies of what is deleted: then nothing is deleted; and at the end when something is
 *   left to do, or somebody who was reading kept the log of the database from being emptied: the next run does that
 */
export async function purgeExpired(ctx: Base): Promise<number> {
  await assertErasing(ctx.db);
  /** What went wrong in databases: each is done without for the rest of the run, and the others go on. */
  const failures = new Map<string, unknown>();
  const among = async (name: string | null, work: (telemetry: Telemetry) => Promise<number>): Promise<number> => {
    if (failures.has(name ?? "main")) return 0;
    try {
      return await work(telemetryNamed(ctx, name));
    } catch (error) {
      if (ctx.telemetry.others.size > 0) ctx.log.error("telemetry.failed", { database: name ?? "main" }, error);
      failures.set(name ?? "main", error);
      return 0;
    }
  };
  for (const name of ctx.telemetry.others.keys()) {
    await among(name, ({ db }) => assertErasing(db).then(() => 0));
  }
  const statements = { left: LIMITS.deleteStatements };
  let deleted = 0;
  for (let after = 0; statements.left > 0; ) {
    const accounts = await devicesOfAccounts(ctx.db, after, LIMITS.accountsAStep);
    const last = accounts.at(-1);
    if (last === undefined) break;
    after = last.accountId;
    for (const [name, there] of Map.groupBy(accounts, ({ database }) => database)) {
      deleted += await among(name, (telemetry) => purgeAccounts(ctx, telemetry, there, statements));
    }
    for (const [name, copied] of Map.groupBy(accounts, ({ copiedTo }) => copiedTo)) {
      if (name !== null) await among(name, (telemetry) => purgeCopies(ctx, telemetry, copied, statements));
    }
  }
  const firstDay = Math.floor(ctx.now() / DAY_MS) - LIMITS.purgesDays;
  deleted += await inSteps((limit) => deletePurgesBefore(ctx.db, firstDay, limit), statements);
  const logs: string[] = [];
  for (const { name } of allTelemetry(ctx)) {
    await among(name, async ({ db }) => {
      logs.push(await emptyLog(db));
      return 0;
    });
  }
  for (const failure of failures.values()) throw failure;
  if (statements.left <= 0) throw new Error("Cannot delete everything in one run: the next one goes on");
  if (logs.includes("busy")) throw new Error("Cannot scrub: the log of the database is being read");
  return deleted;
}

/** Deletes what is past its period of tracks that are being copied, where they are copied to. It is counted at the source. */
async function purgeCopies(
  ctx: Base,
  telemetry: Telemetry,
  accounts: readonly PurgedAccount[],
  statements: Budget,
): Promise<number> {
  const periods = await periodsOfAll(
    ctx,
    accounts.map(({ accountId }) => accountId),
  );
  const cutoffs = accounts.flatMap((account, i) => cutoffsOf(ctx.now(), account, periods[i]!));
  for (let at = 0; at < cutoffs.length && statements.left > 0; at += LIMITS.devicesAStep) {
    await purgeTracks(ctx, telemetry, cutoffs.slice(at, at + LIMITS.devicesAStep), statements);
  }
  return 0;
}

async function purgeAccounts(
  ctx: Base,
  telemetry: Telemetry,
  accounts: readonly PurgedAccount[],
  statements: Budget,
): Promise<number> {
  const now = ctx.now();
  const ids = accounts.map(({ accountId }) => accountId);
  const periods = await periodsOfAll(ctx, ids);
  const rescoped = await rescopedDevices(ctx.db, ids);
  const waiting: number[][] = [];
  for (const [i, { accountId, copiedTo }] of accounts.entries()) {
    const devices = rescoped.get(accountId) ?? [];
    // What is being copied is sealed anew where it then is: here it could be so behind the copy.
    if (copiedTo !== null) waiting.push(devices.map(({ deviceId }) => deviceId));
    else
      waiting.push(
        devices.length === 0 ? [] : await reseal(ctx, telemetry, accountId, devices, periods[i]!, statements),
      );
  }
  const { failed, failure } = await keepFirst(ctx, accounts, periods);
  // The key store is asked only where a day is over since, or something of the periods has changed.
  const due = accounts.flatMap(({ accountId, deviceIds, daysDestroyed }, i) => {
    if (failed.has(accountId)) return [];
    const scopes = oldDays(now, periods[i]!, deviceIds, waiting[i]!);
    const note = JSON.stringify(scopes.map(({ scope, beforeDay }) => [scope, beforeDay]));
    return note === daysDestroyed ? [] : { accountId, scopes, note };
  });
  if (due.length > 0) {
    await destroyDaysOf(ctx, due);
    await noteDaysDestroyed(ctx.db, due);
  }
  let deleted = 0;
  const cutoffs = accounts.flatMap((account, i) =>
    failed.has(account.accountId) ? [] : cutoffsOf(now, account, periods[i]!),
  );
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
  if (failed.size > 0) throw failure;
  return deleted;
}

/**
 * Copies what must be kept longer, before it goes. An account of which that fails waits, so that nothing of it is lost; the
 * others do not wait with it.
 */
async function keepFirst(
  ctx: Base,
  accounts: readonly PurgedAccount[],
  periods: readonly Periods[],
): Promise<{ failed: Set<number>; failure?: unknown }> {
  const now = ctx.now();
  const failed = new Set<number>();
  const ids = accounts.map(({ accountId }) => accountId);
  const kept = await accountsKept(ctx.db, ids, now);
  let failure: unknown;
  for (const [i, { accountId, deviceIds }] of accounts.entries()) {
    if (!kept.has(accountId)) continue;
    const ended = deviceIds.map((deviceId) => {
      const keeping = keepingFor(periods[i]!, deviceId);
      return { deviceId, scope: keeping.scope, cutoff: cutoffAt(now, keeping) };
    });
    try {
      await keepDue(ctx, accountId, ended);
    } catch (error) {
      ctx.log.error("held.failed", { account: accountId }, error);
      failed.add(accountId);
      failure = error;
    }
  }
  return { failed, failure };
}

/** Before when what an account's devices sent is past its period. */
function cutoffsOf(now: number, { accountId, deviceIds }: PurgedAccount, periods: Periods): DeviceCutoff[] {
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
