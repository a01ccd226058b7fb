import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { partOf } from "../../src/inbox.ts";
import { runJob } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { goOn, moveTracks } from "../../src/move.ts";
import { extentOf, feed, history, latest } from "../../src/positions.ts";
import { removeDevice } from "../../src/retention.ts";
import { RUNS_A_PART } from "../../src/store/inbox.ts";
import { openPlacements, placementsOf } from "../../src/store/placements.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  asKey,
  type TestBase,
  type TestDatabase,
  withElsewhere,
} from "../database.ts";
import { deliver, MINUTE, place, reportOf, rowsOf } from "../regions.ts";
import { settled } from "../stored.ts";

let main: TestDatabase;
let eu: TestDatabase;
let us: TestDatabase;
let base: TestBase;
let device: { id: number; accountId: number; imei: string };
let other: { id: number; accountId: number; imei: string };

beforeEach(async () => {
  main = await aDatabase();
  base = aBase(main.db);
  eu = await withElsewhere(main.db, "eu");
  us = await withElsewhere(main.db, "us");
  device = await aDevice(main.db, { model: "T366" });
  other = await aDevice(main.db);
});
afterEach(() => {
  for (const each of [eu, us, main]) each.close();
});

const named = (name: string) => ({ main, eu, us })[name]!;
const ctxOf = ({ accountId }: { accountId: number }) => aContext(base, asKey(accountId));
const stateOf = async () => (await placementsOf(main.db, device.accountId, 1))[0]?.state;

/** Everything that reads show of the device. */
async function shown() {
  const ctx = ctxOf(device);
  const { data } = await history(ctx, device.id, { limit: 1000 });
  const arrived = (await feed(ctx, { limit: 1000 })).data;
  return { data, arrived, latest: (await latest(ctx)).data, extent: await extentOf(ctx, device.id) };
}

/** Runs the job until the move is over. */
async function end(): Promise<void> {
  for (let runs = 0; (await stateOf()) !== "done"; runs++) {
    if (runs > 20) throw new Error(`The move does not end: ${base.logged.slice(-3)}`);
    await moveTracks(base).catch(() => undefined);
    base.advance(MINUTE);
  }
}

const send = (minutes: readonly number[], to = device) =>
  deliver(
    base,
    minutes.map((minute) => reportOf(to.imei, minute)),
  );

/** Repeats a delivery as a bridge does. */
async function sendAsBridge(minutes: readonly number[]): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    const done = await send(minutes).catch((error) => {
      if (error.code !== "unavailable") throw error;
      return null;
    });
    if (done !== null) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error("Nothing is taken any more");
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n);

/** Rows of a database that are of the device's account. */
async function left({ client }: TestDatabase): Promise<number> {
  let rows = 0;
  for (const table of ["segments", "newest", "wrapped_secrets", "residents"]) {
    const sql = `SELECT count(*) FROM ${table} WHERE account_id = ?`;
    rows += Number((await client.execute({ sql, args: [device.accountId] })).rows[0]![0]);
  }
  return rows;
}

/** Rows that wait, or waited, for the device's part to be settled. */
async function chunksOf({ client }: TestDatabase): Promise<number> {
  const part = partOf(device.accountId);
  const { rows } = await client.execute({
    sql: "SELECT (SELECT count(*) FROM inbox WHERE id <= (SELECT merged FROM settlement)) + (SELECT count(*) FROM runs WHERE id / ? = ?)",
    args: [RUNS_A_PART, part],
  });
  return Number(rows[0]![0]);
}

const WAYS = [
  ["main", "eu"],
  ["eu", "main"],
  ["eu", "us"],
] as const;

describe.each(WAYS)("a move from %s to %s", (from, to) => {
  beforeEach(async () => {
    if (from === "main") return;
    await place(base, device.accountId, from);
    await end();
  });

  test("changes nothing that can be read, and leaves nothing at the source", async () => {
    await send([...range(0, 300), 20_000]);
    await settled(base);
    await send(range(300, 320));
    await send([1, 2], other);
    const before = await shown();
    expect(before.data).toHaveLength(321);
    await place(base, device.accountId, to);
    expect(await shown()).toEqual(before);
    expect(await stateOf()).toBe("erasing");
    await end();
    expect(await shown()).toEqual(before);
    expect(await left(named(from))).toBe(0);
    // Nor in what waited to be settled, of which only the others' may be there.
    expect(await chunksOf(named(from))).toBe(0);
    const [placement] = await placementsOf(main.db, device.accountId, 1);
    expect(placement).toMatchObject({ fromDatabase: from, toDatabase: to, state: "done" });
    expect(placement!.finishedAt).toBeGreaterThanOrEqual(placement!.switchedAt! + LIMITS.moveGraceMs);
    // The others are where they were.
    expect((await history(ctxOf(other), other.id)).data).toHaveLength(2);
  });

  test("lets a cursor of the feed go on: what came before it is not given again, what comes is", async () => {
    const ctx = ctxOf(device);
    await send(range(0, 5));
    const first = await feed(ctx, { limit: 3 });
    const second = await feed(ctx, { cursor: first.nextCursor });
    // The source's inbox goes on while the move ends.
    await send([1, 2, 3], other);
    const seen = await feed(ctx, { cursor: second.nextCursor });
    await place(base, device.accountId, to);
    await send(range(5, 8));
    const third = await feed(ctx, { cursor: seen.nextCursor });
    expect(third.data).toHaveLength(3);
    expect((await feed(ctx, { cursor: first.nextCursor })).data).toHaveLength(5);
    await settled(base);
    expect((await feed(ctx, { cursor: seen.nextCursor })).data).toEqual(third.data);
  });

  test("under load loses nothing, stores nothing twice and shows everything all the time", async () => {
    await send(range(0, 200));
    await settled(base);
    let moving = true;
    let told = 200;
    const given: number[] = [];
    const load = (async () => {
      while (moving) {
        await sendAsBridge([told, told + 1]);
        told += 2;
      }
    })();
    const ctx = ctxOf(device);
    let cursor: string | undefined;
    const readFeed = async () => {
      const page = await feed(ctx, { limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      given.push(...page.data.map(({ id }) => id));
      cursor = page.nextCursor;
    };
    const reading = (async () => {
      while (moving) {
        const atLeast = told;
        const { data } = await history(ctx, device.id, { limit: 1000 });
        expect(data.length).toBeGreaterThanOrEqual(atLeast);
        await readFeed();
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    const jobs = (async () => {
      while (moving) {
        await runJob(base, "settle");
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    const noted = (work: Promise<void>) => work.finally(() => (moving = false));
    const works = [load, reading, jobs].map(noted);
    await place(base, device.accountId, to);
    for (let runs = 0; (await stateOf()) !== "done" && runs < 200; runs++) {
      await Promise.all([moveTracks(base).catch(() => 0), moveTracks(base).catch(() => 0)]);
      base.advance(10_000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    moving = false;
    await Promise.all(works);
    await readFeed();
    expect(await stateOf()).toBe("done");
    const { data } = await history(ctxOf(device), device.id, { limit: 1000 });
    expect(data).toHaveLength(told);
    expect(new Set(given).size).toBe(given.length);
    expect(given.toSorted((a, b) => a - b)).toEqual(data.map(({ id }) => id).toSorted((a, b) => a - b));
    await settled(base);
    expect((await history(ctxOf(device), device.id, { limit: 1000 })).data).toEqual(data);
    expect(await left(named(from))).toBe(0);
  }, 60_000);

  test("stopped at any statement goes on and ends the same, while trackers send", async () => {
    await send(range(0, 130));
    await settled(base);
    let sent = 130;
    for (let stopAt = 1; ; stopAt++) {
      const [origin, target] = stopAt % 2 === 1 ? [from, to] : [to, from];
      await send([sent++]);
      const stop = stopping([main, eu, us], stopAt);
      await place(base, device.accountId, target).catch(() => undefined);
      const stopped = stop();
      expect((await shown()).data, `stopped at ${stopAt}`).toHaveLength(sent);
      // Where it held, trackers wait for the job.
      await moveTracks(base);
      await sendAsBridge([sent++]);
      expect((await shown()).data, `gone on from ${stopAt}`).toHaveLength(sent);
      if ((await placementsOf(main.db, device.accountId, 1))[0]?.toDatabase !== target)
        await place(base, device.accountId, target);
      await end();
      expect((await shown()).data).toHaveLength(sent);
      expect(await left(named(origin))).toBe(0);
      if (!stopped) {
        expect(stopAt).toBeGreaterThan(15);
        break;
      }
    }
    await settled(base);
    expect((await shown()).data).toHaveLength(sent);
  }, 120_000);
});

/** Ends the program at a statement: it and all that follow fail. @returns takes it back, and tells whether it came to that */
function stopping(databases: readonly TestDatabase[], at: number): () => boolean {
  let calls = 0;
  const undo = databases.map(({ client }) => {
    const { batch, execute } = client;
    const counted =
      (run: (...args: never[]) => Promise<unknown>) =>
      (...args: never[]) =>
        ++calls >= at ? Promise.reject(new Error("stopped")) : run.apply(client, args);
    Object.assign(client, { batch: counted(batch as never), execute: counted(execute as never) });
    return () => Object.assign(client, { batch, execute });
  });
  return () => {
    for (const each of undo) each();
    return calls >= at;
  };
}

test("a mover that was slow writes nothing where the move has gone on without it", async () => {
  await send(range(0, 100));
  await settled(base);
  await place(base, device.accountId, "eu");
  const [placement] = await openPlacements(main.db, 1);
  const slow = { ...placement!, state: "copying" as const, copiedId: null };
  await send(range(100, 120));
  await settled(base);
  await expect(goOn(base, slow)).rejects.toThrow("another mover has gone on");
  expect((await shown()).data).toHaveLength(120);
  await end();
  await expect(goOn(base, slow)).rejects.toThrow();
  await goOn(base, { ...slow, state: "erasing" });
  expect((await shown()).data).toHaveLength(120);
  expect((await send([120])).outcomes).toEqual(["stored"]);
});

test("while a move holds, its account waits and the others do not; what does not end is taken back", async () => {
  await send(range(0, 3));
  const { batch } = eu.client;
  let outcome: unknown;
  // The other database fails when the last of it is copied.
  eu.client.batch = async (...args) => {
    if ((await stateOf()) !== "holding") return batch.apply(eu.client, args);
    outcome ??= await send([3]).catch(({ code, retryAfterS }) => ({ code, retryAfterS }));
    expect((await send([1], other)).outcomes).toEqual(["stored"]);
    expect((await shown()).data).toHaveLength(3);
    throw new Error("down");
  };
  await place(base, device.accountId, "eu");
  eu.client.batch = batch;
  expect(outcome).toEqual({ code: "unavailable", retryAfterS: 1 });
  expect(await stateOf()).toBe("copying");
  expect((await send([3])).outcomes).toEqual(["stored"]);
  await end();
  expect((await shown()).data).toHaveLength(4);
  expect((await rowsOf(eu)).residents).toBe(1);
});

test("a device that is removed while its tracks are copied is nowhere in the end", async () => {
  await send(range(0, 100));
  await settled(base);
  const { batch } = eu.client;
  eu.client.batch = () => Promise.reject(new Error("down"));
  await place(base, device.accountId, "eu");
  expect(await stateOf()).toBe("copying");
  await main.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [device.id] });
  expect(await removeDevice(base, device.id)).toBe(false);
  eu.client.batch = batch;
  await end();
  for (let runs = 0; runs < 3; runs++) await runJob(base, "finish-removals");
  expect(await left(main)).toBe(0);
  expect(await rowsOf(eu)).toMatchObject({ segments: 0, newest: 0, residents: 1 });
});

test("keys that were wrapped to the customer go with what they open", async () => {
  await send(range(0, 5));
  await settled(base);
  await main.client.execute("UPDATE segments SET customer_kid = 77");
  for (const kid of [77, 78]) {
    await main.client.execute({
      sql: "INSERT INTO wrapped_secrets VALUES (?, ?, 1, 20000, zeroblob(80))",
      args: [device.accountId, kid],
    });
  }
  await place(base, device.accountId, "eu");
  await end();
  expect((await eu.client.execute("SELECT kid FROM wrapped_secrets")).rows.map((row) => row[0])).toEqual([77]);
  expect(await left(main)).toBe(0);
});
