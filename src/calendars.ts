import { requireProof } from "./access.ts";
import { record } from "./audit.ts";
import { CN } from "./calendar/cn.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { sha256Of } from "./publishing.ts";
import { changeSettings, type Settings, settingsOf, yearsOf } from "./settings.ts";
import { type CalendarDay, listCalendarDays, writeCalendarDays } from "./store/calendar.ts";
import { firstAt, leastWallFrom } from "./time-zones.ts";

export type { CalendarDay } from "./store/calendar.ts";

const DAY_MS = 86_400_000;

/** The operator's working days. */
export interface Calendar {
  /** IANA name */
  zone: string;
  /** Days of the week that are off: 1 is Monday, 7 Sunday. */
  weekend: ReadonlySet<number>;
  /** Days that are otherwise than their day of the week says, counted from 1970. */
  days: ReadonlyMap<number, CalendarDay["kind"]>;
  /** Years that are known; of others only the days of the week are. */
  years: ReadonlySet<number>;
  /** Names all of the above: CN-2026-<16 hex digits>. It goes into receipts. */
  version: string;
}

export type CalendarSettings = Pick<Settings, "calendarZone" | "calendarCountry" | "calendarWeekend" | "calendarYears">;

const PUBLISHED: Readonly<
  Record<string, Readonly<Record<string, { holidays: string; work: string; sha256: string }>>>
> = { CN, none: {} };

const dayOf = (date: string) => Date.parse(date) / DAY_MS;

/** Days of "0501-0505 0619". */
function* daysIn(year: string, ranges: string): Iterable<number> {
  for (const range of ranges.split(" ")) {
    const [from = "", to = from] = range.split("-");
    const day = (text: string) => dayOf(`${year}-${text.slice(0, 2)}-${text.slice(2)}`);
    for (let at = day(from); at <= day(to); at++) yield at;
  }
}

/** @param own days of the operator; they go before the published ones */
export async function calendarFrom(settings: CalendarSettings, own: readonly CalendarDay[]): Promise<Calendar> {
  const { calendarZone: zone, calendarCountry: country } = settings;
  const published = Object.entries(PUBLISHED[country] ?? {});
  const days = new Map<number, CalendarDay["kind"]>();
  for (const [year, { holidays, work }] of published) {
    for (const day of daysIn(year, holidays)) days.set(day, "holiday");
    for (const day of daysIn(year, work)) days.set(day, "work");
  }
  for (const { date, kind } of own) days.set(dayOf(date), kind);
  const years = new Set([...published.map(([year]) => Number(year)), ...yearsOf(settings.calendarYears)]);
  const weekend = settings.calendarWeekend.split(",").filter(Boolean).sort();
  const all = [zone, weekend, published.map(([, { sha256 }]) => sha256), [...years].sort(), own.map(textOf).sort()];
  const last = published.length === 0 ? "own" : `${country}-${published.at(-1)?.[0]}`;
  const version = `${last}-${(await sha256Of(JSON.stringify(all))).slice(0, 16)}`;
  return { zone, weekend: new Set(weekend.map(Number)), days, years, version };
}
const textOf = ({ date, kind }: CalendarDay) => `${date} ${kind}`;

/** The operator's calendar as it is now. */
export async function calendarOf(base: Base): Promise<Calendar> {
  return calendarFrom(await settingsOf(base), await listCalendarDays(base.db));
}

/** How far ahead the working days are known. */
export interface Coverage {
  /** The last day that is, 2026-12-31; null: not even today. */
  coveredTo: string | null;
  /** Too little for what may be promised: somebody must bring the next year. */
  short: boolean;
}

export function coverageOf({ zone, years }: Calendar, now: number): Coverage {
  let year = new Date(leastWallFrom(zone, now)).getUTCFullYear();
  if (!years.has(year)) return { coveredTo: null, short: true };
  while (years.has(year)) year++;
  const end = firstAt(zone, Date.UTC(year, 0, 1));
  return { coveredTo: `${year - 1}-12-31`, short: end < now + LIMITS.calendarAheadMs };
}

export const calendarCoverage = async (base: Base): Promise<Coverage> => coverageOf(await calendarOf(base), base.now());

/** The calendar, what is known of it, and the operator's own days in order. */
export interface OperatorCalendar extends Coverage {
  calendar: Calendar;
  country: string;
  own: CalendarDay[];
  /** Of which those are complete: "2027-2028", or nothing. */
  ownYears: string;
}

export async function operatorCalendar(ctx: Base): Promise<OperatorCalendar> {
  const settings = await settingsOf(ctx);
  const own = await listCalendarDays(ctx.db);
  const calendar = await calendarFrom(settings, own);
  return {
    calendar,
    country: settings.calendarCountry,
    own,
    ownYears: settings.calendarYears,
    ...coverageOf(calendar, ctx.now()),
  };
}

export interface CalendarChange {
  /** Null takes a day away. */
  days?: readonly { date: string; kind: CalendarDay["kind"] | null }[] | undefined;
  /** Of which the own days are complete then: the setting calendarYears. */
  years?: string | undefined;
}

const isDate = (date: string) =>
  /^20\d\d-\d\d-\d\d$/.test(date) && new Date(Date.parse(date) || 0).toISOString().startsWith(date);

/**
 * Changes the operator's own days. Deadlines that were set stay as they are.
 * @throws {AppError} invalid, too_large; step_up_required
 */
export async function changeCalendar(ctx: Ctx, { days = [], years }: CalendarChange): Promise<void> {
  requireProof(ctx);
  const wrong = days.find(({ date }) => !isDate(date));
  if (wrong !== undefined) throw new AppError("invalid", "must be a day such as 2027-01-01", { field: "date" });
  if (days.length > LIMITS.calendarChanges) {
    throw new AppError("too_large", `A change has at most ${LIMITS.calendarChanges} days`);
  }
  const changes = new Map(days.map(({ date, kind }) => [date, kind]));
  const kept = (await listCalendarDays(ctx.db)).filter(({ date }) => !changes.has(date)).length;
  const added = [...changes.values()].filter((kind) => kind !== null).length;
  if (kept + added > LIMITS.calendarDays) {
    throw new AppError("too_large", `A calendar has at most ${LIMITS.calendarDays} days of its own`);
  }
  // The years last: until their days are there they are not known.
  if (changes.size > 0) {
    await writeCalendarDays(ctx.db, changes, ctx.now());
    await record(ctx, "calendar.changed", { subject: "calendar" });
  }
  if (years !== undefined) await changeSettings(ctx, { calendarYears: years });
}
