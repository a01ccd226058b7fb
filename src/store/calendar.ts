import { asc } from "drizzle-orm";
import type { Db } from "./db.ts";
import { calendarDays } from "./schema.ts";

/** A day that the operator's calendar has beside the published ones. */
export interface CalendarDay {
  /** 2027-01-01 */
  date: string;
  kind: "holiday" | "work";
}

/** Of the whole installation: the days are the operator's and about no account. */
export function listCalendarDays(db: Db): Promise<CalendarDay[]> {
  const { date, kind } = calendarDays;
  return db.select({ date, kind }).from(calendarDays).orderBy(asc(date));
}

/** Writes days, all or none. @param days null takes one away */
export async function writeCalendarDays(
  db: Db,
  days: ReadonlyMap<string, CalendarDay["kind"] | null>,
  now: number,
): Promise<void> {
  await db.$client.batch(
    [...days].map(([date, kind]) =>
      kind === null
        ? { sql: "DELETE FROM calendar_days WHERE date = ?", args: [date] }
        : {
            sql: `INSERT INTO calendar_days (date, kind, added_at) VALUES (?, ?, ?)
                  ON CONFLICT (date) DO UPDATE SET kind = excluded.kind, added_at = excluded.added_at`,
            args: [date, kind, now],
          },
    ),
    "write",
  );
}
