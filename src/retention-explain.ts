import { accountById } from "./accounts.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { countOlder, oldestOf } from "./older.ts";
import { cutoffAt, dayOver, endOf, type Keeping, keepingFor, type Period, periodsOf } from "./periods.ts";
import { changedAt } from "./retention-settings.ts";
import { devicesOfAccounts } from "./store/purge.ts";
import { retentionVersion } from "./store/retention-settings.ts";

// What the operator asks of retention: what the next run would delete, and why something is kept. Ids and times; where
// anything was is not said.

const DAY_MS = 86_400_000;

/** What is past its period of an account and still stored. Times are Unix ms. */
export interface Due {
  accountId: number;
  positions: number;
  /** Retention time of the oldest. */
  oldest: number;
  /** Since when that is past its period: its end, or the change of settings that made it end. */
  since: number;
}

/**
 * What the next run would delete, account by account.
 * @param after the last account of the page before
 * @returns as many as `limit`, and the last account that was looked at; null when that was the last of all
 */
export async function dueNow(ctx: Ctx, after: number, limit: number): Promise<{ due: Due[]; next: number | null }> {
  const due: Due[] = [];
  const now = ctx.now();
  for (let last = after; ; ) {
    const accounts = await devicesOfAccounts(ctx.db, last, LIMITS.accountsAStep);
    for (const { accountId, deviceIds } of accounts) {
      last = accountId;
      const found = await dueOfAccount(ctx, accountId, deviceIds, now);
      if (found !== null) due.push(found);
      if (due.length >= limit) return { due, next: last };
    }
    if (accounts.length < LIMITS.accountsAStep) return { due, next: null };
  }
}

async function dueOfAccount(
  ctx: Ctx,
  accountId: number,
  deviceIds: readonly number[],
  now: number,
): Promise<Due | null> {
  const periods = await periodsOf(ctx, accountId);
  const spans = new Map(
    deviceIds.map((id) => [id, { from: Number.MIN_SAFE_INTEGER, to: cutoffAt(now, keepingFor(periods, id)) }]),
  );
  const found = await countOlder(ctx, accountId, spans);
  if (found.size === 0) return null;
  const changed = changedAt(await retentionVersion(ctx.db, accountId));
  let [positions, oldest, since] = [0, Number.POSITIVE_INFINITY, now];
  for (const [deviceId, older] of found) {
    const { period, timeZone } = keepingFor(periods, deviceId);
    positions += older.positions;
    oldest = Math.min(oldest, older.oldest);
    since = Math.min(since, Math.max(endOf(older.oldest, period, timeZone), changed));
  }
  return { accountId, positions, oldest, since };
}

/** Why something is kept. Times are Unix ms. */
export interface Explanation {
  /** Null: what holds for devices of the account that nothing else decides about. */
  deviceId: number | null;
  timeZone: string;
  scope: string;
  period: Period;
  /** What is older was over when the period was made longer; null: nothing was. */
  floor: number | null;
  /** What is older is past its period now. */
  cutoff: number;
  oldest: number | null;
  /** When the oldest is past its period. */
  endsAt: number | null;
  /** Of the instant that was asked about: when a position of then is past its period, and when the secret of its day goes. */
  at: { endsAt: number; isPast: boolean; secretUntil: number } | null;
}

/**
 * Explains what is kept of an account and why.
 * @param deviceId null: of the account and of all its devices
 * @param at a retention time, Unix ms
 * @throws {AppError} not_found
 */
export async function explain(
  ctx: Ctx,
  accountId: number,
  deviceId: number | null,
  at: number | null,
): Promise<Explanation[]> {
  await accountById(ctx, accountId);
  const [account] = await devicesOfAccounts(ctx.db, accountId - 1, 1);
  const ids = account?.accountId === accountId ? account.deviceIds : [];
  if (deviceId !== null && !ids.includes(deviceId)) throw new AppError("not_found", "No such device");
  const periods = await periodsOf(ctx, accountId);
  const oldest = await oldestOf(ctx, accountId);
  const now = ctx.now();
  const one = (id: number | null, keeping: Keeping): Explanation => {
    const { scope, period, timeZone, floor } = keeping;
    const cutoff = cutoffAt(now, keeping);
    const first = id === null ? null : (oldest.get(id) ?? null);
    const end = (time: number) =>
      time < floor ? Math.min(now, endOf(time, period, timeZone)) : endOf(time, period, timeZone);
    return {
      ...{ deviceId: id, timeZone, scope, period, floor: floor === 0 ? null : floor, cutoff, oldest: first },
      endsAt: first === null ? null : end(first),
      at:
        at === null
          ? null
          : { endsAt: end(at), isPast: at < cutoff, secretUntil: dayOver(Math.floor(at / DAY_MS), period, timeZone) },
    };
  };
  if (deviceId !== null) return [one(deviceId, keepingFor(periods, deviceId))];
  return [one(null, periods.account), ...ids.map((id) => one(id, keepingFor(periods, id)))];
}
