import { afterEach, beforeEach, expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { flushUnclaimed, listUnclaimed, noteUnclaimed, purgeUnclaimed } from "../../src/unclaimed.ts";
import { aBase, aDatabase, aDevice, NOON, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(() => database.close());

async function written(): Promise<number> {
  const before = base.logged.length;
  let writes = 0;
  const defer = base.defer;
  base.defer = (work) => {
    writes += 1;
    defer(work);
  };
  flushUnclaimed(base);
  base.defer = defer;
  await base.settled();
  expect(base.logged.length).toBe(before);
  return writes;
}

test("noteUnclaimed() and flushUnclaimed() show an operator the IMEI, when it was seen and how often", async () => {
  noteUnclaimed(base, "353358017784062");
  noteUnclaimed(base, "353358017784062");
  expect(await written()).toBe(1);
  base.advance(LIMITS.unclaimedEveryMs);
  noteUnclaimed(base, "353358017784062");
  await written();
  expect(await listUnclaimed(base)).toEqual([
    { imei: "353358017784062", firstSeen: NOON, lastSeen: NOON + LIMITS.unclaimedEveryMs, frames: 3 },
  ]);
});

test("listUnclaimed() leaves out an IMEI that belongs to a device by now, until the device is gone", async () => {
  noteUnclaimed(base, "353358017784062");
  await written();
  const { id } = await aDevice(database.db, { imei: "353358017784062" });
  expect(await listUnclaimed(base)).toEqual([]);
  await database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [id] });
  expect(await listUnclaimed(base)).toHaveLength(1);
});

test("flushUnclaimed() writes an IMEI at most once a minute and anything at most once a second", async () => {
  noteUnclaimed(base, "353358017784062");
  expect(await written()).toBe(1);
  noteUnclaimed(base, "353358017784062");
  base.advance(LIMITS.unclaimedWriteMs);
  expect(await written()).toBe(0);
  noteUnclaimed(base, "353358017784070");
  expect(await written()).toBe(1);
  noteUnclaimed(base, "353358017784088");
  expect(await written()).toBe(0);
  base.advance(LIMITS.unclaimedWriteMs);
  expect(await written()).toBe(1);
  expect((await listUnclaimed(base)).map((row) => row.frames)).toEqual([1, 1, 1]);
});

test("flushUnclaimed() keeps the newest entries, however many IMEIs are invented", async () => {
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < LIMITS.unclaimed * 2; i++) noteUnclaimed(base, `${round}-${i}`);
    expect(await written()).toBe(1);
    base.advance(LIMITS.unclaimedEveryMs);
  }
  const listed = await listUnclaimed(base);
  expect(listed.filter(({ imei }) => imei.startsWith("2-"))).toHaveLength(LIMITS.unclaimed);
  expect(listed).toHaveLength(LIMITS.unclaimed);
});

test("listUnclaimed() and purgeUnclaimed() forget an IMEI a day after it was last seen", async () => {
  noteUnclaimed(base, "353358017784062");
  await written();
  base.advance(LIMITS.unclaimedMs);
  expect(await purgeUnclaimed(base)).toBe(0);
  base.advance(1);
  expect(await listUnclaimed(base)).toEqual([]);
  expect(await purgeUnclaimed(base)).toBe(1);
});
