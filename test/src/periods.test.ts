import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  cutoffAt,
  cutoffOf,
  cutoffsAt,
  dayOver,
  endOf,
  firstDayKept,
  keepingFor,
  keepingOf,
  type Period,
  periodsOf,
  retentionTime,
} from "../../src/periods.ts";
import { devicePeriodStatement, periodRow } from "../../src/store/periods.ts";
import { aBase, aDatabase, aDevice, anAccount, NOON, type TestDatabase } from "../database.ts";

const DAY = 86_400_000;
const HOUR = 3_600_000;

const ZONES = [
  ...["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Shanghai"],
  ...["America/Sao_Paulo", "Asia/Tehran", "Africa/Casablanca", "Pacific/Apia", "Pacific/Chatham"],
];

/** What the clocks of a zone show, read from Intl by another way than the code's, as if it were UTC. */
function clock(zone: string, time: number): number {
  const parts = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  const seconds = Date.parse(`${parts.format(time).replace(" ", "T")}Z`);
  return seconds + (((time % 1000) + 1000) % 1000);
}

/** The plain rule: the same time of the calendar day so many months or days on, or of the month's last day. */
function plainEnd(wall: number, period: Period): number {
  if ("days" in period) return wall + period.days * DAY;
  const date = new Date(wall);
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + period.months + 1, 0));
  const day = Math.min(date.getUTCDate(), last.getUTCDate());
  return Date.UTC(last.getUTCFullYear(), last.getUTCMonth(), day) + (((wall % DAY) + DAY) % DAY);
}

const times = fc.oneof(
  fc.integer({ min: Date.UTC(2010, 0), max: Date.UTC(2040, 0) }),
  // Around the hours at which clocks change, and at the ends of months.
  fc
    .tuple(fc.integer({ min: 2010, max: 2039 }), fc.integer({ min: 0, max: 11 }), fc.integer({ min: -72, max: 72 }))
    .chain(([year, month, hours]) =>
      fc.integer({ min: -2, max: HOUR + 2 }).map((ms) => Date.UTC(year, month + 1, 1) + hours * HOUR + ms),
    ),
  fc
    .tuple(
      fc.constantFrom(Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25), Date.UTC(2026, 2, 8), Date.UTC(2026, 10, 1)),
      fc.integer({ min: -12 * 4, max: 36 * 4 }),
      fc.integer({ min: -1, max: 1 }),
    )
    .map(([day, quarters, ms]) => day + quarters * 900_000 + ms),
);
const periods: fc.Arbitrary<Period> = fc.oneof(
  fc.integer({ min: 1, max: 3650 }).map((days) => ({ days })),
  fc.constantFrom({ days: 371 }, { days: 364 }, { days: 1 }),
  fc.integer({ min: 1, max: 120 }).map((months) => ({ months })),
  fc.constant({ months: 3 }),
);
const zones = fc.constantFrom(...ZONES);
const RUNS = { numRuns: 3000 };

describe("endOf() and cutoffOf()", () => {
  test("agree to the millisecond, whatever the moment", () => {
    fc.assert(
      fc.property(times, periods, zones, fc.integer({ min: -26 * HOUR, max: 26 * HOUR }), (time, period, zone, by) => {
        const end = endOf(time, period, zone);
        for (const now of [end - 1, end, end + by]) {
          expect(time < cutoffOf(now, period, zone), `${new Date(now).toISOString()}`).toBe(end <= now);
        }
        // From the other side: what lies just before and just at a cutoff.
        const now = end + by;
        const cutoff = cutoffOf(now, period, zone);
        expect(endOf(cutoff, period, zone)).toBeGreaterThan(now);
        expect(endOf(cutoff - 1, period, zone)).toBeLessThanOrEqual(now);
      }),
      RUNS,
    );
  });

  test("never end a period before the clocks of the zone show its end", () => {
    fc.assert(
      fc.property(times, periods, zones, (time, period, zone) => {
        const plain = plainEnd(clock(zone, time), period);
        const last = endOf(time, period, zone) - 1;
        expect(clock(zone, last)).toBeGreaterThanOrEqual(plain);
        // Nor much later: an hour where clocks change, the rest of the day at the end of a month that is too short.
        const isCut = "months" in period && new Date(plain).getUTCDate() !== new Date(clock(zone, time)).getUTCDate();
        const slack = (isCut ? DAY : 0) + 2 * HOUR;
        if (zone !== "Pacific/Apia") expect(clock(zone, last) - plain).toBeLessThanOrEqual(slack);
      }),
      RUNS,
    );
  });

  test("keep the order: what is younger never goes first", () => {
    fc.assert(
      fc.property(times, fc.integer({ min: 0, max: 3 * DAY }), periods, zones, (time, more, period, zone) => {
        expect(endOf(time + more, period, zone)).toBeGreaterThanOrEqual(endOf(time, period, zone));
        expect(cutoffOf(time + more, period, zone)).toBeGreaterThanOrEqual(cutoffOf(time, period, zone));
      }),
      RUNS,
    );
  });

  const cases: [zone: string, from: string, period: Period, last: string, why: string][] = [
    ["UTC", "2026-08-23T09:59:00Z", { months: 3 }, "2026-11-23T09:59:00Z", "the same time three months on"],
    ["UTC", "2026-05-30T12:00:00Z", { months: 3 }, "2026-08-30T12:00:00Z", "the same day where there is one"],
    ["UTC", "2025-11-28T08:00:00Z", { months: 3 }, "2026-02-28T08:00:00Z", "the last day that February has"],
    ["UTC", "2025-11-30T08:00:00Z", { months: 3 }, "2026-02-28T23:59:59.999Z", "the whole last day of February"],
    ["UTC", "2027-11-30T08:00:00Z", { months: 3 }, "2028-02-29T23:59:59.999Z", "a leap year's 29th"],
    ["UTC", "2027-11-29T08:00:00Z", { months: 3 }, "2028-02-29T08:00:00Z", "which some 29ths have"],
    ["UTC", "2025-12-01T00:00:00Z", { months: 3 }, "2026-03-01T00:00:00Z", "the next month begins in its own"],
    ["UTC", "2024-02-29T06:00:00Z", { months: 12 }, "2025-02-28T23:59:59.999Z", "a leap day"],
    ["UTC", "2024-02-29T06:00:00Z", { days: 1 }, "2024-03-01T06:00:00Z", "a leap day, by days"],
    ["Europe/Berlin", "2026-03-28T11:00:00Z", { days: 1 }, "2026-03-29T10:00:00Z", "a day of 23 hours"],
    ["Europe/Berlin", "2026-10-24T10:00:00Z", { days: 1 }, "2026-10-25T11:00:00Z", "a day of 25 hours"],
    ["Europe/Berlin", "2026-03-28T01:30:00Z", { days: 1 }, "2026-03-29T01:30:00Z", "2:30 that is jumped over: 3:30"],
    ["Europe/Berlin", "2026-10-24T00:30:00Z", { days: 1 }, "2026-10-25T01:30:00Z", "2:30 that comes twice: the second"],
    ["Europe/Berlin", "2026-10-25T01:30:00Z", { days: 1 }, "2026-10-26T01:59:59.999Z", "from the second 2:30"],
    ["Europe/Berlin", "2025-12-29T01:30:00Z", { months: 3 }, "2026-03-29T01:30:00Z", "2:30 on the day it is not there"],
    ["America/New_York", "2026-08-01T05:30:00Z", { months: 3 }, "2026-11-01T06:30:00Z", "1:30 that comes twice"],
    ["Australia/Lord_Howe", "2026-04-03T14:45:00Z", { days: 1 }, "2026-04-04T15:15:00Z", "half an hour back"],
    ["Asia/Kolkata", "2026-11-29T18:30:00Z", { months: 3 }, "2027-02-28T18:29:59.999Z", "30 November there already"],
    ["Asia/Shanghai", "2026-08-31T15:59:59Z", { months: 3 }, "2026-11-30T15:59:59.999Z", "31 August there still"],
    ["Asia/Shanghai", "2026-08-31T16:00:00Z", { months: 3 }, "2026-11-30T16:00:00Z", "1 September there already"],
  ];
  for (const [zone, from, period, last, why] of cases) {
    test(`${JSON.stringify(period)} from ${from} in ${zone}: ${why}`, () => {
      expect(new Date(endOf(Date.parse(from), period, zone) - 1).toISOString()).toBe(new Date(last).toISOString());
    });
  }

  test("purge at ten what was due at 9:59 and not what is due at 10:01, and an hour later that too", () => {
    const due = (at: string) => cutoffOf(Date.parse(at), { months: 3 }, "UTC");
    const [early, late] = [Date.parse("2026-08-23T09:59:00Z"), Date.parse("2026-08-23T10:01:00Z")];
    expect([early, late].map((time) => time < due("2026-11-23T10:00:00Z"))).toEqual([true, false]);
    expect([early, late].map((time) => time < due("2026-11-23T11:00:00Z"))).toEqual([true, true]);
  });

  test("take UTC for a zone that this runtime does not know", () => {
    expect(endOf(NOON, { days: 1 }, "Mars/Olympus_Mons")).toBe(NOON + DAY + 1);
  });

  test("cost a request next to nothing", () => {
    const begin = performance.now();
    for (let i = 0; i < 2000; i++) cutoffOf(NOON + i * 60_000, { months: 3 }, "Europe/Berlin");
    expect(performance.now() - begin).toBeLessThan(1000);
  });
});

test("dayOver() is when the last millisecond of a UTC day is past its period; firstDayKept() tells the same", () => {
  fc.assert(
    fc.property(times, periods, zones, (time, period, zone) => {
      const day = Math.floor(time / DAY);
      const over = dayOver(day, period, zone);
      expect(firstDayKept(cutoffOf(over, period, zone))).toBeGreaterThan(day);
      expect(firstDayKept(cutoffOf(over - 1, period, zone))).toBeLessThanOrEqual(day);
    }),
    RUNS,
  );
});

test("retentionTime() is the fix unless that cannot be right", () => {
  const received = NOON;
  expect(retentionTime(received - 400 * DAY, received)).toBe(received - 400 * DAY);
  expect(retentionTime(received - 400 * DAY - 1, received)).toBe(received);
  expect(retentionTime(received + 600_000, received)).toBe(received + 600_000);
  expect(retentionTime(received + 600_001, received)).toBe(received);
  expect(retentionTime(Date.UTC(2036, 1, 7), received)).toBe(received);
});

describe("periods of devices", () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await aDatabase();
  });
  afterEach(() => database.close());

  const run = (sql: string) => database.client.execute(sql);

  test("the most specific wins: device, group, account, installation", async () => {
    const base = aBase(database.db);
    const accountId = await anAccount(database.db);
    const ids: number[] = [];
    for (let i = 0; i < 4; i++) ids.push((await aDevice(database.db, { accountId })).id);
    const [plain, grouped, own, other] = ids as [number, number, number, number];
    await run("INSERT INTO device_groups (account_id, name, retention_days, created_at) VALUES (1, 'Trucks', 60, 1)");
    await run("INSERT INTO device_groups (account_id, name, created_at) VALUES (1, 'Vans', 1)");
    await run(`UPDATE devices SET group_id = 1 WHERE id IN (${grouped}, ${own})`);
    await run(`UPDATE devices SET group_id = 2 WHERE id = ${other}`);
    await run(`UPDATE devices SET retention_days = 7 WHERE id = ${own}`);
    const told = async () => {
      const periods = await periodsOf(base, accountId);
      return ids.map((id) => {
        const { scope, period } = keepingFor(periods, id);
        return [scope, period];
      });
    };
    expect(await told()).toEqual([
      ["account", { months: 3 }],
      ["group:1", { days: 60 }],
      [`device:${own}`, { days: 7 }],
      ["account", { months: 3 }],
    ]);
    await run("UPDATE accounts SET retention_days = 400, time_zone = 'Asia/Shanghai'");
    await run("UPDATE device_groups SET retention_days = NULL");
    expect((await told()).map(([scope]) => scope)).toEqual(["account", "account", `device:${own}`, "account"]);
    const periods = await periodsOf(base, accountId);
    expect(keepingFor(periods, plain)).toEqual({
      ...{ scope: "account", period: { days: 400 }, timeZone: "Asia/Shanghai", floor: 0 },
    });
  });

  test("a floor keeps closed what was over, for its device alone", async () => {
    const base = aBase(database.db);
    const device = await aDevice(database.db);
    const other = await aDevice(database.db, { accountId: device.accountId });
    await run(`UPDATE devices SET retention_floor = ${NOON - DAY} WHERE id = ${device.id}`);
    const periods = await periodsOf(base, device.accountId);
    const cutoff = cutoffsAt(NOON, periods);
    expect(cutoff(device.id)).toBe(NOON - DAY);
    expect(cutoff(other.id)).toBe(cutoffOf(NOON, { months: 3 }, "UTC"));
    expect(cutoffAt(NOON, keepingFor(periods, device.id))).toBe(cutoff(device.id));
  });

  test("one device's period comes with whether the account has it", async () => {
    const device = await aDevice(database.db);
    const stranger = await anAccount(database.db);
    const read = async (accountId: number) => {
      const [found] = await database.client.batch([devicePeriodStatement(accountId, device.id)], "read");
      return found!.rows.map((row) => keepingOf(periodRow(row), 3));
    };
    await run(`UPDATE devices SET retention_days = 9 WHERE id = ${device.id}`);
    expect(await read(device.accountId)).toEqual([
      { scope: `device:${device.id}`, period: { days: 9 }, timeZone: "UTC", floor: 0 },
    ]);
    expect(await read(stranger)).toEqual([]);
    await run("UPDATE devices SET deleting_at = 1");
    expect(await read(device.accountId)).toEqual([]);
    expect((await periodsOf(aBase(database.db), device.accountId)).devices.size).toBe(0);
  });

  test("a period of no days, or of more than ten years, is not stored", async () => {
    const { id } = await aDevice(database.db);
    for (const days of [0, -1, 3651]) {
      for (const table of ["devices", "accounts"]) {
        await expect(run(`UPDATE ${table} SET retention_days = ${days} WHERE id = ${id}`)).rejects.toThrow();
      }
    }
  });
});
