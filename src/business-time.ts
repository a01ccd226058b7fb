import { type Calendar, calendarOf } from "./calendars.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { firstAt, leastWallFrom } from "./time-zones.ts";

// One business day, counted so that no reading of "one business day" ends earlier than ours. Wall times are as in
// time-zones.ts: what the clocks of the operator's zone show, as if it were UTC.

const DAY_MS = 86_400_000;

/** How a deadline was found: from a working day to the same time of the next one, or from a day off to its end. */
export type Rule = "same-time-next-working-day" | "end-of-next-working-day";

export interface Deadline {
  /** Unix ms */
  deadline: number;
  rule: Rule;
  calendarVersion: string;
  /** A year of it is not in the calendar: weekends alone were taken for days off, so that it is never late for that. */
  uncertain: boolean;
}

/** The day of a wall time, counted from 1970. */
const dayOf = (wall: number) => Math.floor(wall / DAY_MS);
const yearOf = (day: number) => new Date(day * DAY_MS).getUTCFullYear();

/** Whether a day is worked on. @param day counted from 1970 */
export function isWorkingDay(day: number, { days, weekend }: Calendar): boolean {
  const kind = days.get(day);
  // 1 January 1970 was a Thursday.
  return kind === undefined ? !weekend.has(((((day + 3) % 7) + 7) % 7) + 1) : kind === "work";
}

function nextWorkingDay(day: number, calendar: Calendar): number {
  const last = day + LIMITS.daysOffInRow;
  let next = day + 1;
  while (next < last && !isWorkingDay(next, calendar)) next++;
  return next;
}

/**
 * When one business day after a moment is over. A wall time that clocks jump over is the moment of the jump; of one that
 * comes twice it is the first, and what began in the first pass of such an hour counts from the hour's beginning: so no
 * later moment ever has an earlier deadline.
 * @param verifiedAt Unix ms
 */
export function deadline(verifiedAt: number, calendar: Calendar): Deadline {
  const wall = leastWallFrom(calendar.zone, verifiedAt);
  const day = dayOf(wall);
  const next = nextWorkingDay(day, calendar);
  const works = isWorkingDay(day, calendar);
  const end = works ? wall + (next - day) * DAY_MS : (next + 1) * DAY_MS;
  let uncertain = false;
  for (let year = yearOf(day); year <= yearOf(next); year++) uncertain ||= !calendar.years.has(year);
  return {
    deadline: firstAt(calendar.zone, end),
    rule: works ? "same-time-next-working-day" : "end-of-next-working-day",
    calendarVersion: calendar.version,
    uncertain,
  };
}

/**
 * The reading of the PRC Civil Code, Articles 201 and 203, to show beside ours: the first day is not counted, and the
 * time ends at 24:00 of the next working day. Never before `deadline()`.
 */
export function statutoryDeadline(verifiedAt: number, calendar: Calendar): number {
  const day = dayOf(leastWallFrom(calendar.zone, verifiedAt));
  return firstAt(calendar.zone, (nextWorkingDay(day, calendar) + 1) * DAY_MS);
}

/** `deadline()` by the operator's calendar as it is now. What was promised by it stays when the calendar changes. */
export async function deadlineOf(ctx: Base, verifiedAt: number): Promise<Deadline> {
  return deadline(verifiedAt, await calendarOf(ctx));
}

/** Both readings, to be shown. */
export async function deadlineWithStatutory(ctx: Base, verifiedAt: number): Promise<Deadline & { statutory: number }> {
  const calendar = await calendarOf(ctx);
  return { ...deadline(verifiedAt, calendar), statutory: statutoryDeadline(verifiedAt, calendar) };
}
