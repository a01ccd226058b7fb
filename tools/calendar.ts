import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import chineseDays from "chinese-days";
import * as chineseWorkday from "chinese-workday";
import Holidays from "date-holidays";

// Makes calendars, here and never at the edge. `--write` makes the table of the PRC that ships, from two libraries that
// must agree on every day; `--country DE --years 2026-2028` prints the public holidays of another country, for
// `admin calendar load`. Those do not ship: they are adapted from Wikipedia and licensed CC BY-SA 3.0, which an operator
// may well use and this product's source should not carry; and whoever runs a platform there must look at them anyway.

const DAY_MS = 86_400_000;
const SOURCES = "chinese-days 1.5.7 and chinese-workday 1.16.1";
export const YEARS = [2024, 2025, 2026] as const;

export interface YearTable {
  holidays: string;
  work: string;
  sha256: string;
}

const iso = (day: number) => new Date(day * DAY_MS).toISOString().slice(0, 10);
const daysOf = (year: number) => {
  const first = Date.UTC(year, 0, 1) / DAY_MS;
  return Array.from({ length: Date.UTC(year + 1, 0, 1) / DAY_MS - first }, (_, i) => first + i);
};

/** "0501-0505 0619": days of a year as months and days, those in a row as from and to. */
function ranges(days: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const day of days) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === day - 1) last[1] = day;
    else parts.push([day, day]);
  }
  const short = (day: number) => iso(day).slice(5).replace("-", "");
  return parts.map(([from, to]) => (from === to ? short(from) : `${short(from)}-${short(to)}`)).join(" ");
}

/** A year of the PRC. @throws {Error} on a day that the libraries do not agree about */
export function prcYear(year: number): YearTable {
  const holidays: number[] = [];
  const work: number[] = [];
  for (const day of daysOf(year)) {
    const date = iso(day);
    const weekend = new Date(day * DAY_MS).getUTCDay() % 6 === 0;
    // Days of a holiday that are Saturday or Sunday count too: another weekend may be set.
    const named = chineseDays.getDayDetail(date);
    const one = named.work ? (weekend ? "work" : "") : named.name.includes(",") ? "holiday" : "";
    const festival = chineseWorkday.getFestival(date);
    const other = chineseWorkday.isWorkday(date) ? (weekend ? "work" : "") : festival === "周末" ? "" : "holiday";
    if (one !== other) throw new Error(`Cannot tell ${date}: chinese-days has "${one}", chinese-workday "${other}"`);
    if (one === "holiday") holidays.push(day);
    if (one === "work") work.push(day);
  }
  // A library that does not know a year says that it has none.
  if (holidays.length < 7 || work.length === 0) throw new Error(`Cannot make ${year}: the libraries do not know it`);
  const table = { holidays: ranges(holidays), work: ranges(work) };
  return { ...table, sha256: createHash("sha256").update(`CN ${year}|${table.holidays}|${table.work}`).digest("hex") };
}

/** The shipped table as a source file. */
export function prcSource(): string {
  const years = YEARS.map((year) => {
    const { holidays, work, sha256 } = prcYear(year);
    return `  ${year}: {\n    holidays: "${holidays}",\n    work: "${work}",\n    sha256: "${sha256}",\n  },\n`;
  });
  return `// Holidays and make-up working days of the PRC, from ${SOURCES}, which agree on every day.
// Made by \`node tools/calendar.ts --write\`, never by hand: a test makes it again and compares.
export const CN = {
${years.join("")}} as const;
`;
}

/**
 * Public holidays of a country that are off for the whole day everywhere in it, as the lines that \`admin calendar load\`
 * reads. Nothing of a single region: to leave out a holiday makes a deadline earlier, never later.
 */
export function countryLines(country: string, years: readonly number[]): string[] {
  const calendar = new Holidays(country);
  // In UTC the date is the day, whatever the zone of the machine.
  const rows = years.flatMap((year) => calendar.getHolidays(year).filter(({ type }) => type === "public"));
  if (rows.length === 0) throw new Error(`Cannot make a calendar of ${country}: date-holidays knows no such country`);
  const whole = rows.filter(({ start, end }) => end.getTime() - start.getTime() >= 23 * 3_600_000);
  const days = new Map<string, string>();
  for (const { date, start, end, name } of whole) {
    const first = Date.parse(date.slice(0, 10)) / DAY_MS;
    const count = Math.max(1, Math.round((end.getTime() - start.getTime()) / DAY_MS));
    for (let i = 0; i < count; i++) days.set(iso(first + i), name);
  }
  return [...days]
    .filter(([date]) => years.includes(Number(date.slice(0, 4))))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([date, name]) => `${date},holiday # ${name}`);
}

/** @returns the years of "2026" or "2026-2028", or null */
export function yearsIn(text: string): number[] | null {
  const [, from, to = from] = /^(20\d\d)(?:-(20\d\d))?$/.exec(text) ?? [];
  const count = Number(to) - Number(from) + 1;
  return from === undefined || count < 1 || count > 20
    ? null
    : Array.from({ length: count }, (_, i) => Number(from) + i);
}

const USAGE = `Usage: npm run -s calendar -- --country <code> --years <from>[-<to>]

Prints the public holidays of a country, two letters such as DE, for: npm run -s admin -- calendar load`;

if (import.meta.main) {
  try {
    const text = { type: "string" as const };
    const options = { country: text, years: text, write: { type: "boolean" as const } };
    const { values } = parseArgs({ options });
    if (values.write === true) {
      writeFileSync(new URL("../src/calendar/cn.ts", import.meta.url), prcSource());
    } else {
      const years = yearsIn(values.years ?? "");
      if (values.country === undefined || years === null) throw new Error(USAGE);
      if (values.country === "CN") throw new Error("The PRC ships with the platform: setting calendarCountry CN.");
      console.log(`# ${values.country} ${values.years}, from date-holidays 3.37.0, after Wikipedia, CC BY-SA 3.0.`);
      console.log("# Look through it: days of single regions are left out, and years to come may change.");
      console.log(countryLines(values.country, years).join("\n"));
    }
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
  }
}
