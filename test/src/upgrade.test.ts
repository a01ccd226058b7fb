import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodePositions } from "../../codec/decode.ts";
import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import { encodeRecord } from "../../codec/record.ts";
import type { Ctx } from "../../src/context.ts";
import { ingest } from "../../src/ingest.ts";
import { runJob } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { extentOf, feed, history, latest, type StoredPosition } from "../../src/positions.ts";
import { settle } from "../../src/settle.ts";
import type { Db } from "../../src/store/db.ts";
import * as schema from "../../src/store/schema.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { applyMigrations, MIGRATIONS_DIR, seedDocuments } from "../../tools/migrate.ts";
import { aBase, aContext, anImei, asKey, NOON, type TestBase } from "../database.ts";

// A database of the version that stored positions row by row, and what its upgrade must leave as it was.

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** A position as the earlier version stored it. */
interface Old {
  id: number;
  device: number;
  /** What the tracker said, and when it was received. */
  deviceTime: number;
  receivedAt: number;
  clock: boolean;
  number: number;
  event: number;
}

const IMEIS = [anImei(), anImei(), anImei()];
const ACCOUNTS = [1, 1, 2];
/** More than one step moves, with ids that three devices share. */
const OLD: Old[] = Array.from({ length: LIMITS.convertRows + 300 }, (_, i) => {
  const clock = i % 400 === 399;
  // Some came late.
  const receivedAt = NOON - 4 * DAY + i * 30_000;
  const deviceTime = clock
    ? Date.UTC(2009, 1, 15) + i * 1000
    : i % 50 === 49
      ? receivedAt - 2 * DAY
      : receivedAt - 5000;
  return {
    id: 7 + i,
    device: i % 9 === 8 ? 3 : (i % 9) % 4 === 3 ? 2 : 1,
    deviceTime,
    receivedAt,
    clock,
    number: i,
    event: i % 7 === 0 ? 9 : 35,
  };
});

const frameOf = ({ device, deviceTime, number, event }: Old) =>
  encodeAaa({
    identifier: "A",
    imei: IMEIS[device - 1]!,
    report: {
      event: { code: event },
      valid: number % 11 !== 0,
      latitude: (480_000 + number) / 1e4,
      longitude: (160_000 - number) / 1e4,
      fixTime: deviceTime,
      odometerM: number,
      speedKmh: number % 120,
      cell: { mcc: 232, mnc: 1, lac: number % 60_000, cid: 7 },
    },
  });
function remembered<T>(work: (old: Old) => T): (old: Old) => T {
  const known = new Map<Old, T>();
  return (old) => {
    const found = known.get(old) ?? work(old);
    known.set(old, found);
    return found;
  };
}
const positionOf = remembered((old) => decodePositions(frameOf(old), {})[0]!);
/** One line of a position, whatever the order of its fields. */
const line = (position: object): string =>
  JSON.stringify(position, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)))
      : value,
  );
const fixTimeOf = ({ clock, deviceTime, receivedAt }: Old) => (clock ? receivedAt : deviceTime);
const iso = (time: number) => new Date(time).toISOString();

/** As the API showed it. */
const shown = remembered((old) => {
  const json = JSON.parse(JSON.stringify(positionOf(old)));
  if (old.clock) json.readings = { ...json.readings, deviceTime: iso(old.deviceTime) };
  const { id, device: deviceId, receivedAt } = old;
  return line({ ...json, id, deviceId, receivedAt: iso(receivedAt), fixTime: iso(fixTimeOf(old)) });
});

let client: Client;
let base: TestBase;
let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "ephemeris-"));
  for (const name of ["0001_main_job.sql", "0002_people.sql"])
    copyFileSync(join(MIGRATIONS_DIR, name), join(folder, name));
  client = createClient({ url: ":memory:" });
  await client.execute("PRAGMA secure_delete = ON");
  await applyMigrations(client, folder);
  await seedDocuments(client, { now: NOON - 9 * DAY });
  const rows = OLD.map((old) => ({
    sql: `INSERT INTO positions (id, account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
      VALUES (?, ?, ?, ?, CAST(printf('%08d', ?) AS BLOB), ?, ?, ?, ?, ?)`,
    args: [
      ...[old.id, ACCOUNTS[old.device - 1]!, old.device, fixTimeOf(old), old.number, old.receivedAt, Number(old.clock)],
      ...[old.event, Number(positionOf(old).valid), encodeRecord(positionOf(old))],
    ],
  }));
  await client.batch(
    [
      "INSERT INTO accounts (id, name, created_at) VALUES (1, 'Acme', 1), (2, 'Other', 1)",
      ...IMEIS.map((imei, i) => ({
        sql: "INSERT INTO devices (id, account_id, imei, name, created_at) VALUES (?, ?, ?, 'Van', 1)",
        args: [i + 1, ACCOUNTS[i]!, imei],
      })),
      ...rows,
      `INSERT INTO latest SELECT device_id, id, fix_time, received_at, clock, record FROM positions p WHERE id = (
        SELECT id FROM positions WHERE device_id = p.device_id AND valid = 1 ORDER BY min(fix_time, received_at) DESC LIMIT 1)`,
    ],
    "write",
  );
  await applyMigrations(client);
  base = aBase(drizzle(client, { schema }) as Db);
  // IMEIs are stored clear until this has run.
  await runJob(base, "seal-clear-fields");
});
afterEach(() => {
  client.close();
  rmSync(folder, { recursive: true });
});

const number = async (sql: string) => Number((await client.execute(sql)).rows[0]![0]);
const ctxOf = (accountId: number): Ctx => aContext(base, asKey(accountId));
const cursorAfter = (id: number) => btoa(String(id)).replaceAll("=", "");

async function pages(read: (cursor?: string) => Promise<{ data: StoredPosition[]; nextCursor: string | null }>) {
  const data: StoredPosition[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await read(cursor);
    data.push(...page.data);
    if (page.nextCursor === null || page.nextCursor === cursor) return data;
    cursor = page.nextCursor;
  }
}
const historyOf = (device: number) =>
  pages((cursor) => history(ctxOf(ACCOUNTS[device - 1]!), device, { limit: 1000, ...(cursor && { cursor }) }));
const feedOf = (accountId: number, after?: number) =>
  pages((cursor = after === undefined ? undefined : cursorAfter(after)) =>
    feed(ctxOf(accountId), { limit: 1000, ...(cursor && { cursor }) }),
  );

const byFix = (a: Old, b: Old) => fixTimeOf(a) - fixTimeOf(b) || a.id - b.id;
const tracked = (device: number) => OLD.filter((old) => old.device === device).toSorted(byFix);
const ofAccount = (accountId: number) => OLD.filter(({ device }) => ACCOUNTS[device - 1] === accountId);

/** Everything can be read as it could before the upgrade. */
async function isAsBefore(): Promise<void> {
  expect(await number("SELECT count(*) FROM positions")).toBe(0);
  for (const device of [1, 2, 3]) {
    expect((await historyOf(device)).map(line)).toEqual(tracked(device).map(shown));
    expect(await extentOf(ctxOf(ACCOUNTS[device - 1]!), device)).toEqual({
      positions: tracked(device).length,
      from: fixTimeOf(tracked(device)[0]!),
      to: fixTimeOf(tracked(device).at(-1)!),
    });
  }
  const middle = OLD[3000]!.id;
  for (const accountId of [1, 2]) {
    expect((await feedOf(accountId)).map(line)).toEqual(ofAccount(accountId).map(shown));
    // A reader that had stopped in between goes on where it was.
    const rest = ofAccount(accountId).filter(({ id }) => id > middle);
    expect((await feedOf(accountId, middle)).map(line)).toEqual(rest.map(shown));
  }
  const newest = [1, 2, 3].map((device) =>
    tracked(device).findLast((old) => positionOf(old).valid && !old.clock && old.receivedAt - old.deviceTime < DAY),
  );
  const { data } = await latest(ctxOf(1));
  const other = await latest(ctxOf(2));
  expect([...data, ...other.data].map(line)).toEqual(newest.map((old) => shown(old!)));
}

test("after an upgrade history, newest fixes and feed are as they were, with their ids, and old cursors go on", async () => {
  expect(await runJob(base, "convert-positions")).toBe(OLD.length);
  await isAsBefore();
  expect(await runJob(base, "convert-positions")).toBe(0);
  await isAsBefore();
  expect(await number("SELECT sum(positions) FROM segments")).toBe(OLD.length);
  expect(base.logged.filter((line) => line.includes("broken"))).toEqual([]);
});

/** What comes from a bridge. */
async function send(olds: readonly Old[], at: number): Promise<void> {
  const request = new RequestWriter();
  for (const old of olds) request.frame(1, 0, at, frameOf(old));
  const now = base.now();
  base.at(at);
  await ingest(base, 0, request.finish());
  await base.settled();
  base.at(now);
}

test("what comes after the upgrade has ids beyond those of before, and what is sent again is not there twice", async () => {
  const fresh = { ...OLD[0]!, deviceTime: NOON - 1000, receivedAt: NOON, number: 90_000 };
  await send([fresh, OLD[100]!, OLD.find(({ clock }) => clock)!], NOON);
  await runJob(base, "convert-positions");
  await settle(base, mainTelemetry(base), { all: true });
  await send([OLD[200]!], NOON);
  const track = await historyOf(1);
  const last = OLD.at(-1)!.id;
  expect(track.filter(({ id }) => id > last).map(({ odometerM }) => odometerM)).toEqual([90_000]);
  expect(track.filter(({ id }) => id <= last).map(line)).toEqual(tracked(1).map(shown));
  await settle(base, mainTelemetry(base), { all: true });
  expect((await historyOf(1)).map(line)).toEqual(track.map(line));
});

/** Makes the next writes fail or be overtaken. @param harm gets the number of the write and does it, or not */
function harmed(harm: (write: () => Promise<unknown>, n: number) => Promise<unknown>): () => void {
  const batch = client.batch.bind(client);
  let n = 0;
  client.batch = (async (...args: Parameters<typeof batch>) => {
    const isMove = args[0].some(
      (statement) =>
        typeof statement === "object" && "sql" in statement && statement.sql.startsWith("DELETE FROM positions"),
    );
    return isMove ? harm(() => batch(...args), ++n) : batch(...args);
  }) as typeof batch;
  return () => {
    client.batch = batch;
  };
}

test.each([
  ["before a step is written", false],
  ["after it is written", true],
])("stopped %s, the next run goes on and nothing is there twice", async (_, written) => {
  const heal = harmed(async (write, n) => {
    if (n !== 2) return write();
    if (written) await write();
    throw new Error("killed");
  });
  await expect(runJob(base, "convert-positions")).rejects.toThrow("killed");
  heal();
  const left = await number("SELECT count(*) FROM positions");
  expect([left > 0, left < OLD.length]).toEqual([true, true]);
  await runJob(base, "convert-positions");
  await isAsBefore();
});

test("a reader of the feed who goes on while old positions move misses none of them, nor what comes meanwhile", async () => {
  const middle = OLD[3000]!.id;
  const got: number[] = [];
  let cursor = cursorAfter(middle);
  const follow = async () => {
    for (;;) {
      const page = await feed(ctxOf(1), { limit: 1000, cursor });
      if (page.data.length === 0 && page.nextCursor === cursor) return;
      got.push(...page.data.map(({ id }) => id));
      cursor = page.nextCursor;
    }
  };
  const fresh = (number: number) => ({ ...OLD[0]!, deviceTime: NOON - 1000, receivedAt: NOON, number });
  await send([fresh(90_000)], NOON);
  await follow();
  const heal = harmed(async (write, n) => {
    if (n > 1) throw new Error("killed");
    return write();
  });
  await expect(runJob(base, "convert-positions")).rejects.toThrow("killed");
  heal();
  await send([fresh(90_001)], NOON);
  await settle(base, mainTelemetry(base), { all: true });
  await follow();
  await runJob(base, "convert-positions");
  await follow();
  const old = ofAccount(1).filter(({ id }) => id > middle);
  expect(got.slice(0, -2)).toEqual(old.map(({ id }) => id));
  expect(got.length).toBe(old.length + 2);
  expect(got).toEqual(got.toSorted((a, b) => a - b));
});

test("two that move at the same time do no harm to one another", async () => {
  await Promise.all([runJob(base, "convert-positions"), runJob(base, "convert-positions")]);
  await runJob(base, "convert-positions");
  await isAsBefore();
});
