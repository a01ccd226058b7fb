import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { keyFileText, newKeyFile, readKeyFile } from "../../client/key-file.ts";
import { openTrack, readAnswer } from "../../client/track.ts";
import { addCustomerKey } from "../../src/customer-keys.ts";
import type { AppError } from "../../src/errors.ts";
import { changeGroup, createGroup, removeGroup } from "../../src/groups.ts";
import { LIMITS } from "../../src/limits.ts";
import { history, latest } from "../../src/positions.ts";
import { purgeExpired } from "../../src/retention-run.ts";
import { changeRetention, type RetentionChange, retentionOf } from "../../src/retention-settings.ts";
import { asAnswer } from "../../src/sealed-answer.ts";
import { openingKeys } from "../../src/vault.ts";
import type { TestBase, TestDatabase } from "../database.ts";
import { aBase, aContext, aDatabase, aDevice, anAccount, asUser, aUser, NOON } from "../database.ts";
import { type PositionSpec, settled, stored } from "../stored.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let userId: number;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  userId = (await aUser(database.db, { role: "owner", accountId })).id;
});
afterEach(() => database.close());

const ctx = () => aContext(base, asUser(accountId, userId, { provedAt: base.now() }));
const run = (sql: string) => database.client.execute(sql);
const device = async () => (await aDevice(database.db, { accountId })).id;
const put = async (id: number, specs: readonly PositionSpec[]) => {
  await stored(base, { id, accountId }, specs);
  await settled(base);
};
const seen = async (id: number) =>
  (await history(ctx(), id, { limit: 1000 })).data.map(({ fixTime }) => Date.parse(fixTime));
/** Positions whose bytes are there, readable or not. */
const held = async () => Number((await run("SELECT coalesce(sum(positions), 0) FROM segments")).rows[0]![0]);

async function done(change: RetentionChange): Promise<void> {
  await confirmed((confirm) => changeRetention(ctx(), change, confirm));
}
async function confirmed<T>(act: (confirm?: string) => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const { code, more } = error as AppError;
    if (code !== "confirmation_required") throw error;
    return act(String(more.confirm));
  }
}

/** Whether what is sealed of a device can still be opened, segment by segment. */
async function opens(id: number): Promise<boolean[]> {
  const { rows } = await run(`SELECT device_id, day_kid, device_kid FROM segments WHERE device_id = ${id} ORDER BY id`);
  const wanted = rows.map((row) => ({
    ...{ deviceId: Number(row[0]), dayKid: Number(row[1]), deviceKid: Number(row[2]) },
  }));
  return (await openingKeys(base, accountId, wanted)).map((key) => key !== null);
}

describe("purgeExpired()", () => {
  test("leaves nothing readable past its period, to the second, and takes the bytes within the hour", async () => {
    const id = await device();
    const early = Date.parse("2026-08-23T09:59:00Z");
    const late = Date.parse("2026-08-23T10:01:00Z");
    base.at(Date.parse("2026-08-23T10:05:00Z"));
    await put(id, [{ fixTime: early }, { fixTime: late }]);
    const at = (time: string) => base.at(Date.parse(time));
    at("2026-11-23T09:59:00Z");
    expect(await seen(id)).toEqual([early, late]);
    base.advance(1);
    expect(await seen(id)).toEqual([late]);
    at("2026-11-23T10:00:00Z");
    await purgeExpired(base);
    expect(await seen(id)).toEqual([late]);
    at("2026-11-23T10:58:59Z");
    await purgeExpired(base);
    expect([await seen(id), await held()]).toEqual([[], 0]);
  });

  test("goes by what each device is kept by, and counts what it deleted by day", async () => {
    const [plain, own, grouped] = [await device(), await device(), await device()];
    const group = await createGroup(ctx(), "Vans", 30);
    await done({
      devices: [
        { id: own, days: 7 },
        { id: grouped, groupId: group.id },
      ],
    });
    for (const id of [plain, own, grouped]) {
      await put(
        id,
        [6, 20, 60].map((days) => ({ fixTime: NOON - days * DAY, receivedAt: NOON - days * DAY })),
      );
    }
    // What was past its period when it came is never stored.
    expect(await held()).toBe(3 + 1 + 2);
    base.advance(2 * DAY);
    expect(await purgeExpired(base)).toBe(1);
    base.advance(30 * DAY);
    expect(await purgeExpired(base)).toBe(3);
    const { purges } = await retentionOf(ctx());
    expect(purges).toEqual([
      { day: Math.floor(base.now() / DAY), positions: 3 },
      { day: Math.floor(NOON / DAY) + 2, positions: 1 },
    ]);
    expect(await purgeExpired(base)).toBe(0);
    expect((await retentionOf(ctx())).purges).toEqual(purges);
    base.advance((LIMITS.purgesDays + 1) * DAY);
    await purgeExpired(base);
    expect((await retentionOf(ctx())).purges.map(({ positions }) => positions)).toEqual([2]);
  });

  test("takes commands with the positions of their device", async () => {
    const [one, two] = [await device(), await device()];
    for (const id of [one, two]) {
      await run(`INSERT INTO commands (device_id, account_id, code, arguments, identifier, frame, state, created_at, expires_at)
        VALUES (${id}, ${accountId}, 'A10', '{}', 'A', x'00', 'sent', ${NOON - 9 * DAY}, ${NOON - 9 * DAY})`);
    }
    await done({ devices: [{ id: one, days: 7 }] });
    expect(await purgeExpired(base)).toBe(1);
    expect((await run("SELECT device_id FROM commands")).rows.map((row) => row[0])).toEqual([two]);
  });

  test("destroys the secrets of days that are over, of those that a longer period would keep too", async () => {
    const id = await device();
    await done({ account: { days: 7 } });
    await put(id, [{ fixTime: NOON - 6 * DAY }, { fixTime: NOON }]);
    expect(await opens(id)).toEqual([true, true]);
    const copy = await run("SELECT device_id, day_kid, device_kid FROM segments ORDER BY id");
    const [old] = copy.rows;
    base.advance(2.5 * DAY);
    await done({ account: { days: 300 } });
    await purgeExpired(base);
    expect([await held(), await opens(id)]).toEqual([1, [true]]);
    const gone = { deviceId: Number(old![0]), dayKid: Number(old![1]), deviceKid: Number(old![2]) };
    expect(await openingKeys(base, accountId, [gone])).toEqual([null]);
  });

  test("forgets floors that decide nothing any more", async () => {
    const id = await device();
    await done({ account: { days: 7 } });
    await done({ account: { days: 9 } });
    const floor = async () => Number((await run(`SELECT retention_floor FROM devices WHERE id = ${id}`)).rows[0]![0]);
    await purgeExpired(base);
    expect(await floor()).toBe(NOON - 7 * DAY);
    base.advance(2 * DAY);
    await purgeExpired(base);
    expect(await floor()).toBe(0);
  });

  test("is the same when it is stopped, repeated and overlapped", async () => {
    const ids = [await device(), await device()];
    for (const id of ids)
      await put(id, [{ fixTime: NOON - 80 * DAY }, { fixTime: NOON - 79 * DAY }, { fixTime: NOON }]);
    base.advance(20 * DAY);
    for (let calls = 1; calls < 12; calls++) {
      let left = calls;
      const { execute, batch } = database.client;
      const stopping = <A extends unknown[], R>(call: (...args: A) => R) =>
        ((...args: A) => {
          if (left-- <= 0) throw new Error("stopped");
          return call.apply(database.client, args);
        }) as typeof call;
      Object.assign(database.client, { execute: stopping(execute), batch: stopping(batch) });
      await purgeExpired(base).catch((error: Error) => {
        expect(`${error.message} ${(error.cause as Error | undefined)?.message}`).toContain("stopped");
      });
      Object.assign(database.client, { execute, batch });
      for (const id of ids) expect(await seen(id)).toEqual([NOON]);
    }
    await Promise.all([purgeExpired(base), purgeExpired(base)]);
    expect(await held()).toBe(2);
    expect((await retentionOf(ctx())).purges.reduce((sum, { positions }) => sum + positions, 0)).toBeLessThanOrEqual(4);
  });

  test("says so when its share does not suffice, and goes on in the next run", async () => {
    const id = await device();
    await put(id, [{ fixTime: NOON - 80 * DAY }]);
    base.advance(20 * DAY);
    const share = LIMITS.deleteStatements;
    Object.assign(LIMITS, { deleteStatements: 1 });
    try {
      await expect(purgeExpired(base)).rejects.toThrow("in one run");
    } finally {
      Object.assign(LIMITS, { deleteStatements: share });
    }
    await purgeExpired(base);
    expect(await held()).toBe(0);
  });
});

describe("when another period begins to decide about a device", () => {
  const fixes = [80, 40, 1].map((days) => ({ fixTime: NOON - days * DAY }));
  const times = fixes.map(({ fixTime }) => fixTime);

  test("what it sent before is kept as long as that one says, and what others sent is not", async () => {
    const [kept, other] = [await device(), await device()];
    for (const id of [kept, other]) await put(id, fixes);
    await done({ devices: [{ id: kept, days: 400 }] });
    base.advance(HOUR);
    await purgeExpired(base);
    expect((await run("SELECT count(*) FROM devices WHERE rescoped_at IS NOT NULL")).rows[0]![0]).toBe(0);
    base.advance(200 * DAY);
    await purgeExpired(base);
    expect(await seen(kept)).toEqual(times);
    expect((await latest(ctx())).data.map(({ deviceId }) => deviceId)).toEqual([kept]);
    expect([await seen(other), await held()]).toEqual([[], 3]);
    base.advance(400 * DAY);
    await purgeExpired(base);
    expect([await seen(kept), await held()]).toEqual([[], 0]);
  });

  test("no secret goes that it needs before it is sealed anew, however late that is", async () => {
    const kept = await device();
    await put(kept, fixes);
    await done({ devices: [{ id: kept, days: 400 }] });
    base.advance(200 * DAY);
    const share = LIMITS.resealSegments;
    const statements = LIMITS.deleteStatements;
    // The share of the first runs is used up by other things.
    Object.assign(LIMITS, { resealSegments: 1, deleteStatements: 3 });
    try {
      for (let runs = 0; runs < 3; runs++) await purgeExpired(base).catch(() => undefined);
    } finally {
      Object.assign(LIMITS, { resealSegments: share, deleteStatements: statements });
    }
    expect(await seen(kept)).toEqual(times);
    await purgeExpired(base);
    expect(await seen(kept)).toEqual(times);
  });

  test("into a group and out of it, and when the group is removed", async () => {
    const id = await device();
    await put(id, fixes);
    const group = await createGroup(ctx(), "Archive", 400);
    await changeGroup(ctx(), group, { devices: [id] });
    base.advance(HOUR);
    await purgeExpired(base);
    const { rows } = await run("SELECT device_id, day_kid, device_kid FROM segments ORDER BY id");
    base.advance(100 * DAY);
    await purgeExpired(base);
    expect(await seen(id)).toEqual(times);
    await confirmed((confirm) => removeGroup(ctx(), group, confirm));
    base.advance(HOUR);
    await purgeExpired(base);
    expect([await seen(id), await held()]).toEqual([[], 0]);
    // Nothing of the group's secrets is left either.
    const before = rows.map((row) => ({
      ...{ deviceId: Number(row[0]), dayKid: Number(row[1]), deviceKid: Number(row[2]) },
    }));
    expect(await openingKeys(base, accountId, before)).toEqual([null, null, null]);
  });

  test("what is sealed to a key of the customer stays under its secrets, which are kept for as long as it needs them", async () => {
    const file = await newKeyFile(base.now());
    await addCustomerKey(ctx(), { kind: "everyday", ...file, lostKeyIsFinal: true });
    const key = await readKeyFile(keyFileText(file));
    const [kept, other] = [await device(), await device()];
    for (const id of [kept, other]) await put(id, fixes);
    await done({ devices: [{ id: kept, days: 400 }] });
    base.advance(200 * DAY);
    await purgeExpired(base);
    const { json } = await history(ctx(), kept, {}, asAnswer(ctx()));
    const { positions, unopened } = await openTrack(readAnswer(new TextDecoder().decode(json)), key);
    expect([positions.length, unopened]).toEqual([3, []]);
    expect(await held()).toBe(3);
    base.advance(400 * DAY);
    await purgeExpired(base);
    await purgeExpired(base);
    expect([await held(), await opens(kept)]).toEqual([0, []]);
    expect((await run("SELECT count(*) FROM devices WHERE rescoped_at IS NOT NULL")).rows[0]![0]).toBe(0);
  });
});
