import { afterEach, beforeEach, expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { bury, purgeTombstones, syncSince } from "../../src/tombstones.ts";
import { aBase, aContext, aDatabase, aDevice, asKey, NOON, type TestBase, type TestDatabase } from "../database.ts";

const DAY = 86_400_000;

let database: TestDatabase;
let base: TestBase;
let mine: Awaited<ReturnType<typeof aDevice>>;
let second: Awaited<ReturnType<typeof aDevice>>;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  mine = await aDevice(database.db);
  second = await aDevice(database.db, { accountId: mine.accountId });
});
afterEach(() => database.close());

const sync = (since: string | null, limit = 100, devices: readonly number[] | null = null) => {
  const key = asKey(mine.accountId);
  return syncSince(aContext(base, { ...key, devices } as typeof key), since, limit);
};

test("without a cursor there is nothing to drop and a cursor to begin with; with it what was erased since", async () => {
  await bury(base, mine.accountId, mine.id, 1, 2);
  const start = await sync(null);
  expect(start).toMatchObject({ rows: [], more: false });
  await bury(base, mine.accountId, mine.id, NOON - DAY, NOON, NOON);
  await bury(base, mine.accountId, second.id, null, null);
  const next = await sync(start.cursor);
  expect(next.rows).toMatchObject([
    { deviceId: mine.id, from: NOON - DAY, to: NOON, before: NOON, at: NOON },
    { deviceId: second.id, from: null, to: null, before: null },
  ]);
  expect((await sync(next.cursor)).rows).toEqual([]);
  expect((await sync(start.cursor)).rows).toHaveLength(2);
});

test("bury() a second time says nothing new", async () => {
  const start = await sync(null);
  for (let i = 0; i < 3; i++) await bury(base, mine.accountId, mine.id, 1, 2, 3);
  for (let i = 0; i < 3; i++) await bury(base, mine.accountId, mine.id, null, null);
  expect((await sync(start.cursor)).rows).toHaveLength(2);
});

test("nobody sees what was erased of another account, or of devices out of reach", async () => {
  const start = await sync(null);
  const other = await aDevice(database.db);
  await bury(base, other.accountId, other.id, 1, 2);
  // The account of one, the device of the other: of no use to either.
  await bury(base, mine.accountId, mine.id, 1, 2);
  await bury(base, mine.accountId, second.id, 1, 2);
  expect((await sync(start.cursor)).rows.map(({ deviceId }) => deviceId)).toEqual([mine.id, second.id]);
  expect((await sync(start.cursor, 100, [second.id])).rows.map(({ deviceId }) => deviceId)).toEqual([second.id]);
  expect((await sync(start.cursor, 100, [])).rows).toEqual([]);
});

test("pages follow one another without a gap", async () => {
  let { cursor } = await sync(null);
  for (let i = 0; i < 7; i++) await bury(base, mine.accountId, mine.id, i, i + 1);
  const seen: (number | null)[] = [];
  for (let more = true; more; ) {
    const page = await sync(cursor, 3);
    seen.push(...page.rows.map(({ from }) => from));
    ({ cursor, more } = page);
  }
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test("a cursor is taken for 100 days and no tombstone goes that one may not know; then 410", async () => {
  const { cursor } = await sync(null);
  await bury(base, mine.accountId, mine.id, 1, 2);
  base.at(NOON + LIMITS.tombstonesMs);
  expect(await purgeTombstones(base)).toBe(0);
  expect((await sync(cursor)).rows).toHaveLength(1);
  base.advance(1);
  await expect(sync(cursor)).rejects.toMatchObject({ code: "gone", status: 410 });
  base.advance(DAY);
  expect(await purgeTombstones(base)).toBe(1);
});

test("the cursor in the middle of a list is as old as what is left", async () => {
  const start = await sync(null);
  for (let i = 0; i < 4; i++) await bury(base, mine.accountId, mine.id, i, i + 1);
  base.advance(50 * DAY);
  const { cursor } = await sync(start.cursor, 2);
  base.at(NOON + LIMITS.tombstonesMs + 1);
  await expect(sync(cursor, 2)).rejects.toMatchObject({ code: "gone" });
});

test("what is no cursor is refused", async () => {
  for (const since of ["", "x", "1", "-1.5", "1.2.3", `${"9".repeat(16)}.1`]) {
    await expect(sync(since), since).rejects.toMatchObject({ code: "invalid", field: "since" });
  }
});
