import * as v from "valibot";
import { deadlineWithStatutory } from "../business-time.ts";
import { changeCalendar, operatorCalendar } from "../calendars.ts";
import type { Ctx } from "../context.ts";
import { LIMITS } from "../limits.ts";
import { iso, queryTime, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const Day = v.pipe(v.string(), v.isoDate("must be a day such as 2027-01-01"), v.examples(["2027-01-01"]));
const Kind = v.picklist(["holiday", "work"]);

const CalendarJson = v.object({
  zone: v.pipe(v.string(), v.description("Where its days begin: the setting calendarZone")),
  country: v.pipe(v.string(), v.description("Whose published days it has")),
  weekend: v.pipe(v.array(v.pipe(v.number(), v.integer())), v.description("Days off of the week: 1 is Monday")),
  years: v.pipe(v.array(v.pipe(v.number(), v.integer())), v.description("That are known; of others only weekends are")),
  version: v.pipe(v.string(), v.description("Names all of this, in receipts too")),
  coveredTo: v.pipe(v.nullable(v.string()), v.description("The last day that is known; null: not even today")),
  short: v.pipe(v.boolean(), v.description("That is less than 60 days ahead: somebody must bring the next year")),
  days: v.pipe(
    v.array(v.object({ date: Day, kind: Kind })),
    v.description("The operator's own, which go before the published ones"),
  ),
});

async function calendarJson(ctx: Ctx) {
  const { calendar, country, own, coveredTo, short } = await operatorCalendar(ctx);
  const { zone, weekend, years, version } = calendar;
  return {
    ...{ zone, country, weekend: [...weekend], years: [...years].sort((a, b) => a - b), version },
    ...{ coveredTo, short, days: own },
  };
}

const DeadlineJson = v.object({
  deadline: v.pipe(Time, v.description("One business day after; no reading of that ends earlier")),
  rule: v.picklist(["same-time-next-working-day", "end-of-next-working-day"]),
  calendarVersion: v.string(),
  uncertain: v.pipe(
    v.boolean(),
    v.description("A year of it is not known, and weekends alone were taken for days off"),
  ),
  statutoryDeadline: v.pipe(Time, v.description("By Articles 201 and 203 of the PRC Civil Code; for comparison")),
});

const tag = "Administration";

export const CALENDAR: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/calendar",
    access: "privacy",
    tag,
    summary: "Read the calendar that deadlines of requests are counted on",
    answers: { 200: { description: "The calendar", schema: CalendarJson } },
    handle: async ({ c, ctx }) => c.json(await calendarJson(ctx)),
  }),
  route({
    method: "PATCH",
    path: "/v1/admin/calendar",
    access: "admin",
    tag,
    stepUp: true,
    summary: "Add days to the calendar, or take them away",
    description:
      "The operator's own days off and make-up working days. Zone, country and weekend are settings. Deadlines that were set stay as they are.",
    body: v.strictObject({
      days: v.optional(
        v.pipe(
          v.array(v.strictObject({ date: Day, kind: v.nullable(Kind) })),
          v.maxLength(LIMITS.calendarChanges),
          v.description("A kind of null takes the day away"),
        ),
      ),
      years: v.optional(
        v.pipe(v.string(), v.description("Of which every day off is known then: 2027, 2027-2028 or nothing")),
      ),
    }),
    answers: { 200: { description: "The calendar as it is now", schema: CalendarJson } },
    handle: async ({ c, ctx, body }) => {
      await changeCalendar(ctx, body);
      return c.json(await calendarJson(ctx));
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/calendar/deadline",
    access: "privacy",
    tag,
    summary: "Ask when what was verified at a moment is due",
    query: v.strictObject({ verified: queryTime("When the person was verified") }),
    answers: { 200: { description: "The deadline, and why", schema: DeadlineJson } },
    handle: async ({ c, ctx, query }) => {
      const { deadline, statutory, ...rest } = await deadlineWithStatutory(ctx, query.verified);
      return c.json({ deadline: iso(deadline), ...rest, statutoryDeadline: iso(statutory) });
    },
  }),
];
