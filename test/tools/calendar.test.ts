import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { CN } from "../../src/calendar/cn.ts";
import { countryLines, prcSource, prcYear, YEARS, yearsIn } from "../../tools/calendar.ts";

test("src/calendar/cn.ts is what both libraries say (node tools/calendar.ts --write makes it)", () => {
  expect(readFileSync(new URL("../../src/calendar/cn.ts", import.meta.url), "utf8")).toBe(prcSource());
  expect(Object.keys(CN).map(Number)).toEqual([...YEARS]);
  for (const [year, { holidays, work, sha256 }] of Object.entries(CN)) {
    expect(createHash("sha256").update(`CN ${year}|${holidays}|${work}`).digest("hex")).toBe(sha256);
  }
});

test("prcYear() makes no year that the libraries do not have, or do not agree about", () => {
  expect(() => prcYear(2027)).toThrow("Cannot make 2027: the libraries do not know it");
  expect(() => prcYear(2023)).toThrow(/^Cannot tell 2023-01-03/);
});

test("the versions that the table names are those that are installed", () => {
  const { devDependencies } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const named = ["chinese-days", "chinese-workday"].map((name) => `${name} ${devDependencies[name]}`).join(" and ");
  expect(prcSource()).toContain(named);
  expect(readFileSync(new URL("../../tools/calendar.ts", import.meta.url), "utf8")).toContain(
    `date-holidays ${devDependencies["date-holidays"]}`,
  );
});

test("countryLines() lists public holidays of the whole country, several days of one each", () => {
  const german = countryLines("DE", [2026, 2027]);
  expect(german).toContain("2026-05-14,holiday # Christi Himmelfahrt");
  expect(german.filter((line) => line.startsWith("2026"))).toHaveLength(9);
  // Half days and days of one region are left out: without them a deadline is earlier.
  expect(german.join()).not.toMatch(/12-24|12-31|Fronleichnam/);
  expect(countryLines("SA", [2026]).filter((line) => /2026-03-(19|20|21|22),/.test(line))).toHaveLength(4);
  expect(() => countryLines("XX", [2026])).toThrow("no such country");
});

test.each([
  ["2026", [2026]],
  ["2026-2028", [2026, 2027, 2028]],
  ["2028-2026", null],
  ["26", null],
])("yearsIn(%s)", (text, years) => {
  expect(yearsIn(text)).toEqual(years);
});
