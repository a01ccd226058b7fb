import { afterAll, beforeAll, expect, test } from "vitest";
import type { Principal } from "../../src/context.ts";
import { held, isTime } from "../../src/held.ts";
import { LIMITS } from "../../src/limits.ts";
import { heldTables } from "../../src/store/held.ts";
import { DATA_MAP } from "../../src/store/personal.ts";
import { idsOf } from "../../src/store/segments.ts";
import { zh } from "../../src/text/zh.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let user: Awaited<ReturnType<typeof aUser>>;
beforeAll(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  user = await aUser(database.db, { role: "owner", accountId });
});
afterAll(() => database.close());

const owner = (more: object = {}) =>
  aContext(base, {
    kind: "user",
    userId: user.id,
    accountId,
    role: "owner",
    devices: null,
    editable: null,
    standing: "good",
    ...more,
  } as never as Principal);

test("held() has every table of the data map that is anybody's", async () => {
  const { tables } = await held(owner());
  const expected = Object.entries(DATA_MAP).flatMap(([name, { of }]) => ((of as string) === "platform" ? [] : [name]));
  expect(tables.map(({ name }) => name)).toEqual(expected);
  const columns = tables.flatMap((table) =>
    [...table.columns, ...table.secret].map(({ name }) => `${table.name}.${name}`),
  );
  const said = Object.entries(DATA_MAP).flatMap(([name, { of, columns: all }]) =>
    (of as string) === "platform"
      ? []
      : Object.entries(all).flatMap(([column, described]) =>
          described.startsWith("none") ? [] : [`${name}.${column}`],
        ),
  );
  expect(columns.toSorted()).toEqual(said.toSorted());
});

test("what is held has names that people understand, for each column that is shown", async () => {
  const { tables } = await held(owner());
  const { columns, tables: titles } = zh.profile.held;
  const listed = tables.flatMap((table) => [...(table.values === null ? [] : table.columns), ...table.secret]);
  const without = listed.filter(({ name }) => !Object.hasOwn(columns, name)).map(({ name }) => name);
  expect(without).toEqual([]);
  expect(tables.filter(({ name }) => !Object.hasOwn(titles, name)).map(({ name }) => name)).toEqual([]);
});

test("held() counts what trackers sent, with its oldest and newest, within reach only", async () => {
  const seen = await aDevice(database.db, { accountId });
  const unseen = await aDevice(database.db, { accountId });
  const gone = await aDevice(database.db, { accountId });
  const foreign = await aDevice(database.db);
  const devices = [seen, unseen, gone, foreign];
  for (const [i, device] of devices.entries()) {
    const fixes = [1, 2, 3].map((back) => ({
      fixTime: NOON - back * 1000 - i * 100_000,
      receivedAt: NOON,
      record: back,
    }));
    await stored(base, device, fixes.slice(1));
    await settled(base);
    await stored(base, device, fixes);
  }
  await database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [gone.id] });
  const positions = async (more: object) => (await held(owner(more))).tables.find(({ name }) => name === "segments");
  // Of the newest that wait two were sent again.
  expect(await positions({})).toMatchObject({ rows: 6, values: null, oldest: NOON - 103_000, newest: NOON - 1000 });
  await settled(base);
  expect(await positions({})).toMatchObject({ rows: 6, values: null, oldest: NOON - 103_000, newest: NOON - 1000 });
  expect(await positions({ devices: [unseen.id, foreign.id] })).toMatchObject({ rows: 3, newest: NOON - 101_000 });
  const who = { userId: user.id, accountId, devices: null, wholeAccount: true };
  const counted = (await heldTables(base.db, who, 1, 4)).find(({ name }) => name === "segments");
  expect(counted?.rows).toBe(4);
});

test("held() shows the newest rows of a long table, and how many there are", async () => {
  for (let i = 0; i < 5; i++) {
    await database.client.execute({
      sql: "INSERT INTO searches (user_id, term, searched_at) VALUES (?, ?, ?)",
      args: [user.id, `term ${i}`, NOON + i],
    });
  }
  const who = { userId: user.id, accountId, devices: null, wholeAccount: true };
  const found = (await heldTables(base.db, who, 2, 100)).find(({ name }) => name === "searches");
  expect(found?.rows).toBe(5);
  expect(found?.values?.map((row) => row[2])).toEqual(["term 4", "term 3"]);
});

test("whoever is limited to some devices is shown what is about them and these devices", async () => {
  const { tables } = await held(owner({ role: "manager", devices: [] }));
  const shown = tables.filter(({ rows }) => rows > 0).map(({ name }) => name);
  expect(shown).toEqual(["users", "searches"]);
});

test("held() of a whole account takes less than 300 ms with many rows", async () => {
  const device = await aDevice(database.db, { accountId });
  await database.client.execute({
    sql: `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
      INSERT INTO segments (id, device_id, account_id, day_kid, device_kid, from_time, to_time, first_id, last_id, positions, alarms,
        clockless, sealed) SELECT ?2 + i, ?1, ?3, 1, 1, i, i, i, i, 192, 0, 0, zeroblob(2500) FROM n`,
    args: [device.id, idsOf(device.id)[0], accountId],
  });
  await held(owner());
  const before = performance.now();
  const { tables } = await held(owner());
  expect(performance.now() - before).toBeLessThan(300);
  expect(tables.find(({ name }) => name === "segments")?.rows).toBe(LIMITS.heldCount);
});

test("isTime() knows the columns that hold a time by their name", () => {
  for (const name of ["at", "createdAt", "totpSince", "trainingValidUntil", "fixTime"]) expect(isTime(name)).toBe(true);
  for (const name of ["id", "name", "state", "format", "openedBy", "deviceId"]) expect(isTime(name)).toBe(false);
});
