import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import type { PeriodRow } from "./store/periods.ts";
import { readAccountPeriods, readPeriodsOfAll } from "./store/periods.ts";
import { firstAt, firstWall, lastAt, monthsAfter, monthsBefore, wallAt } from "./time-zones.ts";

// How long a position is kept. Periods are counted on the calendar of the account's time zone, months and days alike:
// a position of 9:30 is kept until 9:30 on its last day, whatever the clocks do in between. Where clocks jump over that
// time or show it twice, or the last month has no such day, the position is kept until the latest moment that could be
// meant. So nothing goes early; what goes late for it is an hour at a change of the clocks, and within the last day of
// a month that is too short.

/** Calendar months or calendar days, in the time zone of the account. */
export type Period = { readonly months: number } | { readonly days: number };

const DAY_MS = 86_400_000;

/**
 * The time that a position's period is counted from: its fix, unless that cannot be right; then when it was received.
 * @param fixTime Unix ms, as are all times here
 */
export function retentionTime(fixTime: number, receivedAt: number): number {
  const plausible = fixTime >= receivedAt - LIMITS.fixPlausibleMs && fixTime <= receivedAt + LIMITS.fixPlausibleAheadMs;
  return plausible ? fixTime : receivedAt;
}

/**
 * The first instant at which a position is past its period: the millisecond after the last one of it.
 * @param retentionTime see `retentionTime()`
 */
export function endOf(retentionTime: number, period: Period, timeZone: string): number {
  const wall = wallAt(timeZone, retentionTime);
  const end = "months" in period ? monthsAfter(wall, period.months) : wall + period.days * DAY_MS;
  return lastAt(timeZone, end) + 1;
}

/**
 * What is past its period now: a position is exactly if its retention time lies before this. `endOf` and this agree to
 * the millisecond.
 */
export function cutoffOf(now: number, period: Period, timeZone: string): number {
  const wall = firstWall(timeZone, now);
  const begin = "months" in period ? monthsBefore(wall, period.months) : wall - period.days * DAY_MS;
  return firstAt(timeZone, begin);
}

/**
 * The instant from which everything of a UTC day is past its period, and its keys can go.
 * @param day days since 1970 of retention times
 */
export function dayOver(day: number, period: Period, timeZone: string): number {
  return endOf((day + 1) * DAY_MS - 1, period, timeZone);
}

/** The first UTC day of which something may not be past a cutoff: the days before it are over. */
export const firstDayKept = (cutoff: number): number => Math.floor(cutoff / DAY_MS);

/** How long positions of a device are kept, and what says so. */
export interface Keeping {
  /** Whose period it is: "device:<id>", "group:<id>" or "account". Secrets of a day are kept by it. */
  scope: string;
  period: Period;
  /** IANA name */
  timeZone: string;
  /** Positions before it had ended when the period was made longer, and stay unreadable. */
  floor: number;
}

/** Positions whose retention time lies before this must not be read, and are deleted. */
export const cutoffAt = (now: number, { period, timeZone, floor }: Keeping): number =>
  Math.max(cutoffOf(now, period, timeZone), floor);

/** @param months the period of accounts that have chosen none */
export function keepingOf(row: PeriodRow, months: number): Keeping {
  const { deviceId, timeZone, floor } = row;
  const own = (scope: string, days: number) => ({ scope, period: { days }, timeZone, floor });
  if (row.deviceDays !== null) return own(`device:${deviceId}`, row.deviceDays);
  if (row.groupDays !== null) return own(`group:${row.groupId}`, row.groupDays);
  if (row.accountDays !== null) return own("account", row.accountDays);
  return { scope: "account", period: { months }, timeZone, floor };
}

/** The periods of all devices of an account. */
export interface Periods {
  account: Keeping;
  /** Of the devices that differ from the account. */
  devices: ReadonlyMap<number, Keeping>;
}

/** @param rows of `accountPeriodsStatement()`: the account's first */
export function periodsFrom(rows: readonly PeriodRow[], months: number): Periods {
  const [account, ...devices] = rows;
  if (account === undefined) throw new Error("Cannot tell periods: there is no such account");
  return {
    account: keepingOf(account, months),
    devices: new Map(devices.map((row) => [row.deviceId, keepingOf(row, months)])),
  };
}

/** Reads the periods of an account's devices, in one statement. */
export async function periodsOf(ctx: Base, accountId: number): Promise<Periods> {
  return periodsFrom(await readAccountPeriods(ctx.db, accountId), ctx.config.retentionMonths);
}

/** The same of several accounts, in one round trip. */
export async function periodsOfAll(ctx: Base, accountIds: readonly number[]): Promise<Periods[]> {
  const rows = await readPeriodsOfAll(ctx.db, accountIds);
  return rows.map((ofAccount) => periodsFrom(ofAccount, ctx.config.retentionMonths));
}

export const keepingFor = ({ account, devices }: Periods, deviceId: number): Keeping =>
  devices.get(deviceId) ?? account;

/** Cutoffs of an account's devices at one moment; each zone and period is worked out once. */
export function cutoffsAt(now: number, periods: Periods): (deviceId: number) => number {
  const known = new Map<string, number>();
  return (deviceId) => {
    const { period, timeZone, floor } = keepingFor(periods, deviceId);
    const key = "months" in period ? `m${period.months}` : `d${period.days}`;
    let cutoff = known.get(key);
    if (cutoff === undefined) {
      cutoff = cutoffOf(now, period, timeZone);
      known.set(key, cutoff);
    }
    return Math.max(cutoff, floor);
  };
}
