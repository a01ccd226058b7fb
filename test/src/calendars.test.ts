import { afterEach, beforeEach, expect, test } from "vitest";
import { calendarCoverage, changeCalendar, operatorCalendar } from "../../src/calendars.ts";
import type { Ctx } from "../../src/context.ts";
import { healthOf } from "../../src/health.ts";
import { LIMITS } from "../../src/limits.ts";
import { overview } from "../../src/overview.ts";
import { changeSettings } from "../../src/settings.ts";
import { listAudit } from "../../src/store/audit.ts";
import { aBase, aDatabase, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
const operator = (): Ctx => ({
  ...base,
  ...{ requestId: "test", principal: { kind: "admin" } },
  client: { origin: "https://edge.test", address: "-", userAgent: "" },
});
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(() => database.close());

const DAY = 86_400_000;
/** When the table that ships ends in Shanghai. */
const END = Date.parse("2027-01-01T00:00:00+08:00");

test("a calendar that ends in less than 60 days is told of, and the app goes on serving", async () => {
  base.at(END - LIMITS.calendarAheadMs);
  expect(await calendarCoverage(base)).toEqual({ coveredTo: "2026-12-31", short: false });
  base.advance(1);
  expect((await overview(operator())).calendar).toEqual({ coveredTo: "2026-12-31", short: true });
  const { reason, warnings } = await healthOf(base);
  expect([reason, warnings]).toEqual([null, ["calendar"]]);
  await changeCalendar(operator(), { days: [{ date: "2027-01-01", kind: "holiday" }], years: "2027" });
  base.advance(LIMITS.healthMs);
  expect((await healthOf(base)).warnings).toEqual([]);
  base.at(END + 400 * DAY);
  expect(await calendarCoverage(base)).toEqual({ coveredTo: null, short: true });
});

test("a calendar of no country is known for the years that the operator names", async () => {
  await changeSettings(operator(), { calendarCountry: "none", calendarZone: "Europe/Berlin" });
  expect(await calendarCoverage(base)).toEqual({ coveredTo: null, short: true });
  await changeSettings(operator(), { calendarYears: "2025-2026" });
  expect(await calendarCoverage(base)).toEqual({ coveredTo: "2026-12-31", short: false });
});

test("changeCalendar() adds days, changes and takes them away, and is recorded", async () => {
  const holiday = { date: "2027-02-06", kind: "holiday" as const };
  await changeCalendar(operator(), { days: [holiday, { date: "2027-02-07", kind: "work" }] });
  const before = await operatorCalendar(base);
  expect(before.own).toEqual([holiday, { date: "2027-02-07", kind: "work" }]);
  await changeCalendar(operator(), { days: [holiday] });
  expect((await operatorCalendar(base)).calendar.version).toBe(before.calendar.version);
  await changeCalendar(operator(), {
    days: [
      { ...holiday, kind: "work" },
      { date: "2027-02-07", kind: null },
    ],
  });
  const after = await operatorCalendar(base);
  expect(after.own).toEqual([{ ...holiday, kind: "work" }]);
  expect(after.calendar.version).not.toBe(before.calendar.version);
  const acts = await listAudit(base.db, null, Number.MAX_SAFE_INTEGER, 10);
  expect(acts.map(({ action, subject }) => [action, subject])).toEqual([
    ["calendar.changed", "calendar"],
    ["calendar.changed", "calendar"],
    ["calendar.changed", "calendar"],
  ]);
});

test.each(["2027-02-29", "2027-13-01", "27-01-01", "2027-1-1", "", "1999-01-01"])(
  "changeCalendar() refuses %j and changes nothing",
  async (date) => {
    const days = [
      { date: "2027-01-01", kind: "holiday" as const },
      { date, kind: "holiday" as const },
    ];
    await expect(changeCalendar(operator(), { days })).rejects.toMatchObject({ code: "invalid" });
    expect((await operatorCalendar(base)).own).toEqual([]);
  },
);

test("changeCalendar() keeps no more days than the limit", async () => {
  const from = Date.UTC(2030, 0);
  const some = (at: number) =>
    Array.from({ length: LIMITS.calendarChanges }, (_, i) => ({
      date: new Date(from + (at + i) * DAY).toISOString().slice(0, 10),
      kind: "holiday" as const,
    }));
  for (let at = 0; at < LIMITS.calendarDays; at += LIMITS.calendarChanges) {
    await changeCalendar(operator(), { days: some(at) });
  }
  await changeCalendar(operator(), { days: some(0) });
  const full = { code: "too_large" };
  await expect(changeCalendar(operator(), { days: some(LIMITS.calendarDays).slice(0, 1) })).rejects.toMatchObject(full);
  await expect(changeCalendar(operator(), { days: [...some(0), ...some(1)] })).rejects.toMatchObject(full);
  expect((await operatorCalendar(base)).own).toHaveLength(LIMITS.calendarDays);
});

test.each([
  ["calendarZone", ["Asia/Nowhere", "+08:00", ""], "America/New_York"],
  ["calendarCountry", ["DE", "cn", ""], "none"],
  ["calendarWeekend", ["0,6", "8", "6,6", "1,2,3,4,5,6,7", "6 7"], "5,6"],
  ["calendarYears", ["2027-2025", "2027-2099", "27", "all"], "2027-2028"],
] as const)("changeSettings() takes a good %s only", async (name, bad, good) => {
  for (const value of bad) {
    await expect(changeSettings(operator(), { [name]: value }), value).rejects.toMatchObject({ code: "invalid" });
  }
  await changeSettings(operator(), { [name]: good });
});
