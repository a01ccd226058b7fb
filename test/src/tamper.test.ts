import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Ctx } from "../../src/context.ts";
import { runJob } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { extentOf, feed, history, latest } from "../../src/positions.ts";
import { settle } from "../../src/settle.ts";
import { WAITING_IN_RUNS } from "../../src/store/inbox.ts";
import { readFixes, writeFixes } from "../../src/store/newest.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { aBase, aContext, aDatabase, aDevice, asKey, NOON, type TestBase, type TestDatabase } from "../database.ts";
import { stored } from "../stored.ts";

// Somebody who can write to the database with tracks, and has no key: what they move or change is refused and named, and
// everything else is served as before.

const MINUTE = 60_000;
const DAY = 86_400_000;
const HOURS = [0, 1, 2, 3];

type Device = Awaited<ReturnType<typeof aDevice>>;

let database: TestDatabase;
let base: TestBase;
/** Two of one account, and one of another. */
let first: Device;
let second: Device;
let foreign: Device;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  first = await aDevice(database.db, { createdAt: 0 });
  second = await aDevice(database.db, { accountId: first.accountId, createdAt: 0 });
  foreign = await aDevice(database.db, { createdAt: 0 });
  for (const device of [first, second, foreign]) {
    for (const day of [2, 1, 0]) {
      const begin = NOON - day * DAY;
      await stored(
        base,
        device,
        HOURS.map((hour) => ({ fixTime: begin + hour * MINUTE, event: hour === 1 ? 1 : 35 })),
      );
    }
  }
});
afterEach(() => database.close());

const sql = (statement: string, args: (number | string | Uint8Array)[] = []) =>
  database.client.execute(statement, args);
const settled = () => settle(base, mainTelemetry(base), { all: true });
const ownerOf = ({ accountId }: Device): Ctx => aContext(base, asKey(accountId));
/** Days before NOON, of each position that is shown. */
async function days(device: Device): Promise<number[]> {
  const { data } = await history(ownerOf(device), device.id, { limit: 1000 });
  return data.map(({ fixTime }) => Math.floor((NOON - Date.parse(fixTime) + 3 * MINUTE) / DAY));
}
const ofDays = (...shown: number[]) => shown.flatMap((day) => HOURS.map(() => day));
const ALL = ofDays(2, 1, 0);

async function segmentsOf(device: Device) {
  const { rows } = await sql("SELECT id, day_kid, device_kid, sealed FROM segments WHERE device_id = ? ORDER BY id", [
    device.id,
  ]);
  return rows.map((row) => ({
    id: Number(row.id),
    dayKid: Number(row.day_kid),
    deviceKid: Number(row.device_kid),
    sealed: new Uint8Array(row.sealed as ArrayBuffer),
  }));
}

/** What was counted: kind and thing. */
async function counted(): Promise<string[]> {
  await base.settled();
  const { rows } = await sql("SELECT kind, thing FROM broken ORDER BY kind, thing");
  return rows.map((row) => `${row.kind} ${row.thing}`);
}
const named = (event: string, thing: string) =>
  base.logged.some((line) => line.startsWith(`error ${event}`) && line.includes(thing));

describe("a segment", () => {
  /** Changes of the first device's segment of yesterday. */
  const CHANGES: Record<string, (id: number) => Promise<unknown>> = {
    "with the blob of another device's": async (id) => {
      const [, other] = await segmentsOf(second);
      return sql("UPDATE segments SET sealed = ? WHERE id = ?", [other!.sealed, id]);
    },
    "with the blob of another day's": async (id) => {
      const [other] = await segmentsOf(first);
      return sql("UPDATE segments SET sealed = ? WHERE id = ?", [other!.sealed, id]);
    },
    "with the blob of another account's": async (id) => {
      const [, other] = await segmentsOf(foreign);
      return sql("UPDATE segments SET sealed = ? WHERE id = ?", [other!.sealed, id]);
    },
    "with blob and key ids of another device's": async (id) => {
      const [, other] = await segmentsOf(second);
      return sql("UPDATE segments SET sealed = ?, day_kid = ?, device_kid = ? WHERE id = ?", [
        other!.sealed,
        other!.dayKid,
        other!.deviceKid,
        id,
      ]);
    },
    "with the day's key of another day": async (id) => {
      const [other] = await segmentsOf(first);
      return sql("UPDATE segments SET day_kid = ? WHERE id = ?", [other!.dayKid, id]);
    },
    "with a day's key that nobody has": (id) => sql("UPDATE segments SET day_kid = 77 WHERE id = ?", [id]),
    "with the key of another device": async (id) => {
      const [other] = await segmentsOf(second);
      return sql("UPDATE segments SET device_kid = ? WHERE id = ?", [other!.deviceKid, id]);
    },
    "with a device's key that nobody has": (id) => sql("UPDATE segments SET device_kid = 77 WHERE id = ?", [id]),
    "cut short": (id) => sql("UPDATE segments SET sealed = substr(sealed, 1, 40) WHERE id = ?", [id]),
    "with nothing in it": (id) => sql("UPDATE segments SET sealed = x'' WHERE id = ?", [id]),
    "with more in it": (id) => sql("UPDATE segments SET sealed = CAST(sealed || x'00' AS BLOB) WHERE id = ?", [id]),
    ...Object.fromEntries(
      [
        "from_time",
        "to_time",
        "first_id",
        "last_id",
        "positions",
        "alarms",
        "clockless",
        "account_id",
        "device_id",
      ].map((column) => [
        `with another ${column}`,
        (id: number) => sql(`UPDATE segments SET ${column} = ${column} + 1 WHERE id = ?`, [id]),
      ]),
    ),
    "with a due_from": (id) => sql("UPDATE segments SET due_from = from_time + 1 WHERE id = ?", [id]),
    "with a due_to": (id) => sql("UPDATE segments SET due_to = to_time + 1 WHERE id = ?", [id]),
    "with the name of a customer's key": (id) => sql("UPDATE segments SET customer_kid = 5 WHERE id = ?", [id]),
  };

  for (const [name, change] of Object.entries(CHANGES)) {
    test(`${name} is refused, named and counted; the rest is served, and settling goes on`, async () => {
      await settled();
      const [, { id }] = (await segmentsOf(first)) as [unknown, { id: number }];
      await change(id);
      expect(await days(first)).toEqual(ofDays(2, 0));
      expect(await days(second)).toEqual(ALL);
      expect(await days(foreign)).toEqual(ALL);
      // One that claims to be the customer's, or whose account is another one, is not tried with our keys.
      if (!name.includes("customer")) {
        expect(named("segment.broken", `"segment":${id}`)).toBe(true);
        expect(await counted()).toEqual([`segment ${id}`]);
      }
      // More of the same day, and the day after.
      await stored(base, first, [{ fixTime: NOON - DAY + 50 * MINUTE }, { fixTime: NOON + 5 * MINUTE }]);
      base.advance(10 * MINUTE);
      await settled();
      expect((await sql(`SELECT ${WAITING_IN_RUNS}`)).rows[0]![0]).toBe(0);
      expect(await days(first)).toEqual([...ofDays(2), 0, ...ofDays(0), -1]);
      expect(await days(second)).toEqual(ALL);
      const { data } = await feed(ownerOf(first), { limit: 1000 });
      expect(data.length).toBe(ALL.length * 2 - HOURS.length + 2);
    });
  }

  test("moved to a free place of another device, or of another account, is refused there", async () => {
    await settled();
    const [, { id }] = (await segmentsOf(first)) as [unknown, { id: number }];
    for (const [n, device] of [second, foreign].entries()) {
      const [, theirs] = await segmentsOf(device);
      await sql(
        `INSERT INTO segments SELECT ?, ?, ?, day_kid, device_kid, from_time, to_time, due_from, due_to, first_id + ${n + 1}000000, last_id + ${n + 1}000000,
          positions, alarms, clockless, sealed, customer_kid FROM segments WHERE id = ?`,
        [theirs!.id + 1, device.id, device.accountId, id],
      );
      expect(await days(device)).toEqual(ALL);
      expect(named("segment.broken", `"segment":${theirs!.id + 1}`)).toBe(true);
    }
  });

  test("is refused whichever of its bits is flipped", async () => {
    await settled();
    const [, { id, sealed }] = (await segmentsOf(first)) as [unknown, { id: number; sealed: Uint8Array }];
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = sealed.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      await sql("UPDATE segments SET sealed = ? WHERE id = ?", [flipped, id]);
      expect([bit, await days(first)]).toEqual([bit, ofDays(2, 0)]);
    }
    expect(await counted()).toEqual([`segment ${id}`]);
    await sql("UPDATE segments SET sealed = ? WHERE id = ?", [sealed, id]);
    expect(await days(first)).toEqual(ALL);
    console.log(`${sealed.length * 8} bits of a segment flipped, one after the other: refused each time`);
  });

  test("that does not open is not counted among the positions that can be shown in part", async () => {
    await settled();
    const [, { id }] = (await segmentsOf(first)) as [unknown, { id: number }];
    await sql("UPDATE segments SET sealed = zeroblob(60) WHERE id = ?", [id]);
    // A window that begins within it.
    const window = { from: NOON - DAY + MINUTE };
    expect((await history(ownerOf(first), first.id, window)).data).toHaveLength(HOURS.length);
    expect((await extentOf(ownerOf(first), first.id)).positions).toBe(ALL.length);
  });
});

test("segments that do not open, however many, do not keep retention from the others", async () => {
  const devices: Device[] = [];
  for (let n = 0; n < LIMITS.rewriteSegments + 5; n++) {
    const device = await aDevice(database.db, { accountId: foreign.accountId, createdAt: 0 });
    await stored(
      base,
      device,
      [0, 120, 180].map((minute) => ({ fixTime: NOON + minute * MINUTE })),
    );
    devices.push(device);
  }
  base.advance(5 * 60 * MINUTE);
  await settled();
  await sql("UPDATE accounts SET retention_days = 1 WHERE id = ?", [foreign.accountId]);
  const ids = (await Promise.all(devices.map(segmentsOf))).map(([segment]) => segment!.id);
  await sql("UPDATE segments SET sealed = zeroblob(60) WHERE id IN (SELECT value FROM json_each(?))", [
    JSON.stringify(ids.slice(0, LIMITS.rewriteSegments)),
  ]);
  // The first position of each is past its period, the others are not.
  base.at(NOON + DAY + 60 * MINUTE);
  await runJob(base, "retention");
  const { rows } = await sql("SELECT id, positions FROM segments WHERE device_id >= ? ORDER BY id", [devices[0]!.id]);
  expect(rows.map((row) => row.positions)).toEqual(ids.map((_, n) => (n < LIMITS.rewriteSegments ? 3 : 2)));
  // What cannot be cut goes when all of it is over.
  base.at(NOON + DAY + 190 * MINUTE);
  await runJob(base, "retention");
  expect((await sql("SELECT count(*) FROM segments WHERE device_id >= ?", [devices[0]!.id])).rows[0]![0]).toBe(0);
});

describe("a newest fix", () => {
  const CHANGES: Record<string, (fixes: ReturnType<typeof readFixes>) => void> = {
    "with the blob of another device's": (fixes) => {
      [fixes[0]!.sealed, fixes[1]!.sealed] = [fixes[1]!.sealed, fixes[0]!.sealed];
    },
    "under the name of another device": (fixes) => {
      [fixes[0]!.deviceId, fixes[1]!.deviceId] = [fixes[1]!.deviceId, fixes[0]!.deviceId];
    },
    "with another time": (fixes) => {
      for (const fix of fixes) fix.due += 1;
    },
    "with a key that nobody has": (fixes) => {
      for (const fix of fixes) fix.dayKid = 77;
    },
    "with a flipped bit": (fixes) => {
      for (const fix of fixes) {
        fix.sealed = fix.sealed.slice();
        fix.sealed[20]! ^= 1;
      }
    },
  };
  for (const [name, change] of Object.entries(CHANGES)) {
    test(`${name} is refused, named and counted; others are shown, and it comes back with the next`, async () => {
      await settled();
      const { rows } = await sql("SELECT id, fixes FROM newest WHERE account_id = ?", [first.accountId]);
      const fixes = readFixes(rows[0]!.fixes).map((fix) => ({ ...fix }));
      expect(fixes).toHaveLength(2);
      change(fixes);
      await sql("UPDATE newest SET fixes = ? WHERE id = ?", [writeFixes(fixes), Number(rows[0]!.id)]);
      const shown = async (device: Device) => (await latest(ownerOf(device))).data.map(({ deviceId }) => deviceId);
      expect(await shown(first)).toEqual([]);
      expect(await shown(foreign)).toEqual([foreign.id]);
      expect(await counted()).toEqual([`newest ${first.id}`, `newest ${second.id}`]);
      for (const { id } of [first, second]) expect(named("newest.broken", `"device":${id}`)).toBe(true);
      base.advance(20 * MINUTE);
      await stored(base, first, [{ fixTime: NOON + 15 * MINUTE }]);
      expect(await shown(first)).toEqual([first.id]);
      await settled();
      expect(await shown(first)).toEqual([first.id]);
      expect(await days(first)).toHaveLength(ALL.length + 1);
    });
  }
});

for (const table of ["inbox", "runs"] as const) {
  describe(`a row of ${table}`, () => {
    const ROWS = `SELECT id FROM ${table} ORDER BY id`;
    const CHANGES: Record<string, (ids: number[]) => Promise<unknown>> = {
      "with the chunks of another": ([id, other]) =>
        sql(
          `UPDATE ${table} SET chunks = o.chunks, directory = o.directory FROM (SELECT chunks, directory FROM ${table} WHERE id = ?) o WHERE id = ?`,
          [other!, id!],
        ),
      "with chunks, nonce and directory of another": ([id, other]) =>
        sql(
          `UPDATE ${table} SET chunks = o.chunks, directory = o.directory, nonce = o.nonce
            FROM (SELECT chunks, directory, nonce FROM ${table} WHERE id = ?) o WHERE id = ?`,
          [other!, id!],
        ),
      "with a flipped bit": async ([id]) => {
        const { rows } = await sql(`SELECT chunks FROM ${table} WHERE id = ?`, [id!]);
        const chunks = new Uint8Array(rows[0]!.chunks as ArrayBuffer).slice();
        chunks[chunks.length - 3]! ^= 16;
        return sql(`UPDATE ${table} SET chunks = ? WHERE id = ?`, [chunks, id!]);
      },
      "with another nonce": ([id]) => sql(`UPDATE ${table} SET nonce = x'0102030405060708' WHERE id = ?`, [id!]),
      "with a key that nobody has": ([id]) => sql(`UPDATE ${table} SET kid = 77 WHERE id = ?`, [id!]),
      "with a directory of zeros": ([id]) =>
        sql(
          `UPDATE ${table} SET directory = replace(hex(zeroblob(length(directory) / 2 + 1)), '00', '00') WHERE id = ?`,
          [id!],
        ),
    };
    for (const [name, change] of Object.entries(CHANGES)) {
      test(`${name} gives nothing that is not there; the rest is served and settled`, async () => {
        if (table === "runs") {
          const merge = () => settle(base, mainTelemetry(base), { all: true, settle: false });
          await merge();
          // A second run of the same part: it comes next to the first one.
          await stored(base, first, [{ fixTime: NOON - 2 * DAY + 20 * MINUTE }]);
          await merge();
        }
        const { rows } = await sql(ROWS);
        await change(rows.map((row) => Number(row.id)));
        const before = await days(first);
        const lost = [first, second, foreign].map(() => 0);
        const check = async () => {
          for (const [n, device] of [first, second, foreign].entries()) {
            const shown = await days(device);
            // No position is shown twice, nor one of somebody else.
            const { data } = await history(ownerOf(device), device.id, { limit: 1000 });
            expect(new Set(data.map(({ odometerM }) => odometerM)).size).toBe(data.length);
            lost[n] = ALL.length - shown.length;
          }
        };
        await check();
        const missing = [...lost];
        expect(missing.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(0);
        await settled();
        await check();
        expect(lost).toEqual(missing);
        expect(await days(first)).toEqual(before);
        if (missing.some((count) => count > 0) && !name.includes("directory of zeros")) {
          expect((await counted()).length).toBeGreaterThan(0);
          expect(base.logged.some((line) => line.startsWith("error inbox.broken"))).toBe(true);
        }
        await stored(base, first, [{ fixTime: NOON + 5 * MINUTE }]);
        base.advance(10 * MINUTE);
        await settled();
        expect(await days(first)).toEqual([...before, -1]);
      });
    }
  });
}
