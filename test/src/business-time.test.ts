import chineseDays from "chinese-days";
import * as chineseWorkday from "chinese-workday";
import fc from "fast-check";
import { expect, test } from "vitest";
import { deadline, deadlineOf, isWorkingDay, statutoryDeadline } from "../../src/business-time.ts";
import { type Calendar, type CalendarDay, type CalendarSettings, calendarFrom } from "../../src/calendars.ts";
import { LIMITS } from "../../src/limits.ts";
import { writeCalendarDays } from "../../src/store/calendar.ts";
import { writeSetting } from "../../src/store/settings.ts";
import { aBase, aDatabase } from "../database.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const PRC: CalendarSettings = {
  ...{ calendarZone: "Asia/Shanghai", calendarCountry: "CN", calendarWeekend: "6,7", calendarYears: "" },
};
const calendarOf = (settings: Partial<CalendarSettings> = {}, own: readonly CalendarDay[] = []) =>
  calendarFrom({ ...PRC, ...settings }, own);
const prc = await calendarOf();

const shanghai = (wall: string) => Date.parse(`${wall}:00+08:00`);

test.each([
  ["2026-02-13T16:00", "2026-02-14T16:00", "a make-up Saturday is a working day"],
  ["2026-02-14T16:00", "2026-02-24T16:00", "the same time after nine days off"],
  ["2026-02-20T10:00", "2026-02-25T00:00", "the end of the working day after a day off"],
  ["2026-09-30T15:00", "2026-10-08T15:00", "after the golden week"],
  ["2026-09-19T12:00", "2026-09-21T00:00", "a make-up Sunday"],
  ["2026-01-04T09:00", "2026-01-05T09:00", "from a make-up Sunday"],
  ["2026-11-23T00:00", "2026-11-24T00:00", "the first moment of a day belongs to it"],
  ["2026-11-21T00:00", "2026-11-24T00:00", "and that of a day off too"],
])("deadline() of %s in Shanghai is %s: %s", (verified, due) => {
  const found = deadline(shanghai(verified), prc);
  const works = isWorkingDay(Date.parse(verified.slice(0, 10)) / DAY, prc);
  expect(found).toEqual({
    deadline: shanghai(due),
    rule: works ? "same-time-next-working-day" : "end-of-next-working-day",
    calendarVersion: prc.version,
    uncertain: false,
  });
});

test("deadline() takes only weekends for days off in a year that is not known, and says so", () => {
  // Thursday the 31st: 1 January 2027 is a holiday, and no calendar has it yet.
  expect(deadline(shanghai("2026-12-31T10:00"), prc)).toMatchObject({
    ...{ deadline: shanghai("2027-01-01T10:00"), uncertain: true },
  });
  expect(deadline(shanghai("2027-01-01T10:00"), prc)).toMatchObject({
    ...{ deadline: shanghai("2027-01-04T10:00"), uncertain: true },
  });
  expect(deadline(shanghai("2026-12-30T10:00"), prc)).toMatchObject({ uncertain: false });
  expect(deadline(shanghai("2023-12-31T10:00"), prc)).toMatchObject({ uncertain: true });
});

test("deadline() is never later for holidays that are not known", () => {
  const unknown: Calendar = { ...prc, days: new Map([...prc.days].filter(([, kind]) => kind === "work")) };
  fc.assert(
    fc.property(fc.integer({ min: Date.UTC(2024, 0), max: Date.UTC(2027, 0) }), (time) => {
      expect(deadline(time, unknown).deadline).toBeLessThanOrEqual(deadline(time, prc).deadline);
    }),
    { numRuns: 2000 },
  );
});

test("deadline() follows clocks that are put forward and back", async () => {
  const inZone = (calendarZone: string) =>
    calendarOf({ calendarZone, calendarCountry: "none", calendarWeekend: "", calendarYears: "2026" });
  const berlin = await inZone("Europe/Berlin");
  const due = (verified: string, calendar: Calendar) =>
    new Date(deadline(Date.parse(verified), calendar).deadline).toISOString();
  // 29 March: 2:00 becomes 3:00, so 2:30 is the moment of the jump, and 3:00 comes after no other time.
  expect(due("2026-03-28T02:30:00+01:00", berlin)).toBe("2026-03-29T01:00:00.000Z");
  expect(due("2026-03-28T03:00:00+01:00", berlin)).toBe("2026-03-29T01:00:00.000Z");
  expect(due("2026-03-28T16:00:00+01:00", berlin)).toBe("2026-03-29T14:00:00.000Z");
  // 25 October: 3:00 becomes 2:00, and 2:30 is the first of the two.
  expect(due("2026-10-24T02:30:00+02:00", berlin)).toBe("2026-10-25T00:30:00.000Z");
  // What began in either of the two hours.
  expect(due("2026-10-25T02:30:00+02:00", berlin)).toBe("2026-10-26T01:00:00.000Z");
  expect(due("2026-10-25T02:30:00+01:00", berlin)).toBe("2026-10-26T01:30:00.000Z");
  // Saturday off, and midnight of the Sunday does not exist in Beirut: the day before ends with the jump.
  const beirut = await calendarOf({
    ...{ calendarZone: "Asia/Beirut", calendarCountry: "none", calendarWeekend: "5", calendarYears: "2026" },
  });
  expect(due("2026-03-27T12:00:00+02:00", beirut)).toBe("2026-03-28T22:00:00.000Z");
});

test("deadline() knows other weekends and days of the operator's own, which go first", async () => {
  const friday = await calendarOf({ calendarWeekend: "5,6", calendarCountry: "none", calendarYears: "2026" });
  expect(deadline(shanghai("2026-11-26T10:00"), friday).deadline).toBe(shanghai("2026-11-29T10:00"));
  const sunday = await calendarOf({ calendarWeekend: "7" });
  expect(deadline(shanghai("2026-11-27T10:00"), sunday).deadline).toBe(shanghai("2026-11-28T10:00"));
  // Days of a holiday that fall on a Saturday are holidays where Saturdays are worked.
  expect(deadline(shanghai("2026-10-02T10:00"), sunday).deadline).toBe(shanghai("2026-10-09T00:00"));
  const own = await calendarOf({}, [
    { date: "2026-10-08", kind: "holiday" },
    { date: "2026-10-03", kind: "work" },
  ]);
  expect(deadline(shanghai("2026-10-03T10:00"), own).deadline).toBe(shanghai("2026-10-09T10:00"));
  expect(deadline(shanghai("2026-10-01T10:00"), own).deadline).toBe(shanghai("2026-10-04T00:00"));
});

test("deadline() ends although a calendar has no working day at all", async () => {
  const days = new Map(Array.from({ length: 400 }, (_, i) => [Date.UTC(2026, 0) / DAY + i, "holiday" as const]));
  expect(deadline(shanghai("2026-03-01T10:00"), { ...prc, days }).deadline).toBe(
    shanghai("2026-03-02T00:00") + LIMITS.daysOffInRow * DAY,
  );
});

test("statutoryDeadline() is the end of the next working day, never before the other", () => {
  expect(statutoryDeadline(shanghai("2026-02-13T16:00"), prc)).toBe(shanghai("2026-02-15T00:00"));
  expect(statutoryDeadline(shanghai("2026-02-20T10:00"), prc)).toBe(shanghai("2026-02-25T00:00"));
});

test("deadline() agrees with both libraries on 2,000 moments of 2024 to 2026", () => {
  const at = (day: number) => new Date(day * DAY).toISOString().slice(0, 10);
  const oracles = [(date: string) => chineseDays.isWorkday(date), (date: string) => chineseWorkday.isWorkday(date)];
  // The last days of 2026 reach into a year that the libraries do not have.
  const [from, to] = [shanghai("2024-01-01T00:00"), shanghai("2026-12-31T00:00")];
  // Steps that share no factor with a day, so that every day and every hour comes.
  const rows = Array.from(
    { length: 2000 },
    (_, i) => from + Math.floor(((to - from) / 2000) * i) + ((i * 7919) % 1000),
  );
  for (const isWorkday of oracles) {
    const wrong = rows.filter((time) => {
      // Shanghai is eight hours ahead, and its clocks stand still.
      const wall = time + 8 * HOUR;
      const day = Math.floor(wall / DAY);
      let next = day + 1;
      while (!isWorkday(at(next))) next++;
      const due = (isWorkday(at(day)) ? wall + (next - day) * DAY : (next + 1) * DAY) - 8 * HOUR;
      const found = deadline(time, prc);
      return found.deadline !== due || found.uncertain || found.deadline > statutoryDeadline(time, prc);
    });
    expect(wrong.map((time) => new Date(time).toISOString())).toEqual([]);
  }
});

const ZONES = [
  ...["Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe"],
  ...["America/Havana", "America/Santiago", "Asia/Beirut", "Africa/Cairo", "Africa/Casablanca", "Pacific/Chatham"],
];
const year = { min: Date.UTC(2026, 0) / DAY, max: Date.UTC(2027, 0) / DAY };
const calendars: fc.Arbitrary<Calendar> = fc.record({
  zone: fc.constantFrom(...ZONES),
  weekend: fc.subarray([1, 2, 3, 4, 5, 6, 7], { maxLength: 4 }).map((days) => new Set(days)),
  days: fc
    .array(fc.tuple(fc.integer(year), fc.constantFrom<CalendarDay["kind"]>("holiday", "work")), { maxLength: 120 })
    .map((days) => new Map(days)),
  years: fc.constant(new Set([2026])),
  version: fc.constant("test"),
});
/** The hours of 2026 in which the clocks of a zone are changed. */
function changesOf(timeZone: string): number[] {
  const format = new Intl.DateTimeFormat("en", { timeZone, timeZoneName: "longOffset" });
  const offset = (time: number) => format.formatToParts(time).find(({ type }) => type === "timeZoneName")?.value;
  const hours = Array.from({ length: 365 * 24 }, (_, i) => Date.UTC(2026, 0) + i * HOUR);
  return hours.filter((time) => offset(time) !== offset(time + HOUR));
}
const CHANGES = new Map(ZONES.map((zone) => [zone, changesOf(zone)]));
/** Anywhere in the year, and around the hours at which clocks change, there or a day later. */
const timesIn = (zone: string) => {
  const anywhere = fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2027, 0) });
  const changes = CHANGES.get(zone) ?? [];
  if (changes.length === 0) return anywhere;
  const near = fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: 0, max: 3 }), fc.integer({ min: -2 * HOUR, max: 3 * HOUR }))
    .map(([change, days, ms]) => change - days * DAY + ms);
  return fc.oneof(anywhere, near);
};
const cases = calendars.chain((calendar) =>
  fc.record({
    calendar: fc.constant(calendar),
    time: timesIn(calendar.zone),
    more: fc.oneof(fc.integer({ min: 0, max: 5 * DAY }), fc.integer({ min: 0, max: 2 * HOUR })),
    extra: fc.integer(year),
  }),
);
/** What the clocks show, read by another way than the code's: the days since 1970. */
const dayAt = (zone: string, time: number) =>
  Date.parse(new Intl.DateTimeFormat("sv-SE", { timeZone: zone }).format(time)) / DAY;

test("deadline() of 10,000 calendars and moments: later, ends with a working day, and moves only the way it may", () => {
  fc.assert(
    fc.property(cases, ({ calendar, time, more, extra }) => {
      const due = deadline(time, calendar).deadline;
      expect(due).toBeGreaterThan(time);
      expect(deadline(time + more, calendar).deadline).toBeGreaterThanOrEqual(due);
      expect(due).toBeLessThanOrEqual(statutoryDeadline(time, calendar));
      const ends = [dayAt(calendar.zone, due), dayAt(calendar.zone, due - 1)];
      expect(ends.some((day) => isWorkingDay(day, calendar))).toBe(true);
      const but = (kind: CalendarDay["kind"]) => ({ ...calendar, days: new Map([...calendar.days, [extra, kind]]) });
      expect(deadline(time, but("holiday")).deadline).toBeGreaterThanOrEqual(due);
      expect(deadline(time, but("work")).deadline).toBeLessThanOrEqual(due);
    }),
    { numRuns: 10_000 },
  );
}, 120_000);

test("deadlineOf() reads the operator's settings and days as they are now", async () => {
  const database = await aDatabase();
  const base = aBase(database.db);
  const before = await deadlineOf(base, shanghai("2026-02-13T16:00"));
  expect(before).toEqual(deadline(shanghai("2026-02-13T16:00"), prc));
  await writeSetting(base.db, "calendarYears", "2027-2028", base.now());
  await writeCalendarDays(base.db, new Map([["2027-01-01", "holiday"]]), base.now());
  const after = await deadlineOf(base, shanghai("2026-12-31T10:00"));
  expect(after).toMatchObject({ deadline: shanghai("2027-01-04T10:00"), uncertain: false });
  expect(after.calendarVersion).toMatch(/^CN-2026-[0-9a-f]{16}$/);
  expect(after.calendarVersion).not.toBe(before.calendarVersion);
  await writeSetting(base.db, "calendarCountry", "none", base.now());
  expect((await deadlineOf(base, shanghai("2027-02-01T10:00"))).calendarVersion).toMatch(/^own-[0-9a-f]{16}$/);
  database.close();
});
