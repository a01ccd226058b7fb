import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { keyFileText, newKeyFile, type OpeningKey, readKeyFile } from "../../client/key-file.ts";
import { openTrack, readAnswer } from "../../client/track.ts";
import { StoredPositions } from "../../codec/segment.ts";
import { addCustomerKey } from "../../src/customer-keys.ts";
import { RANGE } from "../../src/erasers/range.ts";
import { carryOut } from "../../src/erasure.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { latestOf } from "../../src/latest.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { asAnswer } from "../../src/sealed-answer.ts";
import { openFixes, openSegments } from "../../src/segments.ts";
import { readFixes } from "../../src/store/newest.ts";
import { headColumns, segmentRows } from "../../src/store/segments.ts";
import type { ErasureJob } from "../../src/store-eraser.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { trackOf } from "../../src/track.ts";
import { destroyDays, destroyDevice, deviceKids, secretsLeft } from "../../src/vault.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  asKey,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";
import { send } from "./track-model.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

let database: TestDatabase;
let base: TestBase;
let device: Device;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  device = await aDevice(database.db, { createdAt: NOON - 90 * DAY });
});
afterEach(() => database.close());

type Device = Awaited<ReturnType<typeof aDevice>>;

/** A request that is frozen now. */
async function asked(scope: ErasureScope, { accountId }: Device = device): Promise<ErasureJob> {
  const { rows } = await database.client.execute({
    sql: `INSERT INTO requests (name, type, state, account_id, scope, received_at)
      VALUES (hex(randomblob(11)), 'erase', 'shredding', ?, ?, ?) RETURNING id, name`,
    args: [accountId, JSON.stringify(scope), base.now()],
  });
  const [id, name] = [Number(rows[0]![0]), String(rows[0]![1])];
  return { id, name, accountId, userId: null, scope, frozenAt: base.now() };
}

/** Carries it out as the engine does, a turn a minute. @returns what went, and the secrets that did */
async function carriedOut(job: ErasureJob, turns = 8) {
  const total = { rows: 0, bytes: 0, kids: [] as number[] };
  await RANGE.shred!(base, job);
  for (let turn = 0; turn < turns; turn++) {
    const { rows, bytes, done, kids = [] } = await RANGE.purge(base, job, { left: 2000 });
    total.rows += rows;
    total.bytes += bytes;
    total.kids.push(...kids);
    if (done && (await RANGE.verify(base, job)).found === 0) return total;
    base.advance(MINUTE);
  }
  throw new Error(`It does not end: ${JSON.stringify(await RANGE.verify(base, job))}`);
}

const range = (from: number, to: number, of = device): ErasureScope => ({ kind: "range", device: of.id, from, to });

async function track({ id, accountId }: Device = device): Promise<number[]> {
  const all = { from: 0, to: LIMITS.timeMs, descending: false, after: null, limit: 10_000 };
  const { stored, rows } = (await trackOf(base, { accountId, devices: null }, id, all))!;
  return rows.map((row) => stored.fixTimeAt(row)).toSorted((a, b) => a - b);
}

async function newest({ id, accountId }: Device = device): Promise<number[]> {
  const { stored, rows } = await latestOf(base, { accountId, devices: [id] }, 0, 10);
  return rows.map((row) => stored.fixTimeAt(row));
}

/** What of a copy of the database's tracks opens with every secret that is left. */
async function copied() {
  const { rows } = await database.client.execute(`SELECT ${headColumns}, s.sealed FROM segments s`);
  const segments = segmentRows(rows);
  const fixes = (await database.client.execute("SELECT account_id, fixes FROM newest")).rows.flatMap((row) =>
    readFixes(row[1]).map((fix) => ({ accountId: Number(row[0]), fix })),
  );
  return async (of: Device): Promise<number[]> => {
    // Without anything that an isolate remembers.
    const fresh = aBase(database.db, { now: base.now() });
    const into = new StoredPositions();
    const telemetry = mainTelemetry(fresh);
    const theirs = segments.filter(({ deviceId }) => deviceId === of.id);
    await openSegments(fresh, telemetry, of.accountId, theirs, into);
    const own = fixes.filter(({ fix, accountId }) => accountId === of.accountId && fix.deviceId === of.id);
    const of1 = own.map(({ fix }) => fix);
    await openFixes(fresh, telemetry, of.accountId, of1, into);
    return Array.from({ length: into.count }, (_, row) => into.fixTimeAt(row));
  };
}

const times = (from: number, to: number, step: number) =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);

async function sent(fixes: readonly number[], of: Device = device): Promise<void> {
  await stored(
    base,
    of,
    fixes.map((fixTime) => ({ fixTime })),
  );
}

test("exactly the stretch is gone: of the track, of the newest fix, and of a copy that was made before", async () => {
  const other = await aDevice(database.db, { accountId: device.accountId, createdAt: NOON - 90 * DAY });
  const all = times(NOON - 2 * DAY, NOON, 3 * MINUTE);
  await sent(all);
  await sent(all, other);
  await settled(base);
  const open = await copied();
  expect(await open(device)).toHaveLength(all.length + 1);
  const [from, to] = [NOON - 20 * HOUR + 1000, NOON - 10 * HOUR];
  const job = await asked(range(from, to));
  const gone = await carriedOut(job);
  const kept = all.filter((time) => time < from || time >= to);
  expect(gone.rows).toBe(all.length - kept.length);
  expect(gone.kids).toHaveLength(1);
  expect(await track()).toEqual(kept);
  expect(await newest()).toEqual([kept.at(-1)]);
  expect(await track(other)).toEqual(all);
  // The old copy: nothing of the device, as all of it was sealed under the secret that went; all of the other one.
  expect(await open(device)).toEqual([]);
  expect((await open(other)).length).toBe(all.length + 1);
  // What stays opens from the database as it is now.
  const now = await copied();
  expect((await now(device)).length).toBe(kept.length + 1);
  expect((await deviceKids(base, device.accountId, device.id)).live).toHaveLength(1);
});

test("the stretch is gone for readers at the first turn, and the old secret no sooner than others have the new one", async () => {
  await sent(times(NOON - DAY, NOON, 10 * MINUTE));
  await settled(base);
  const job = await asked(range(NOON - HOUR, NOON));
  await RANGE.shred!(base, job);
  const first = await RANGE.purge(base, job, { left: 2000 });
  expect(first).toMatchObject({ done: false, kids: [] });
  expect(await track()).toEqual(times(NOON - DAY, NOON - HOUR, 10 * MINUTE));
  expect((await RANGE.verify(base, job)).evidence).toMatchObject({ positions: 0, newest: 0, waiting: 0, oldKeys: 1 });
  base.advance(LIMITS.shredEveryMs - 1);
  expect((await RANGE.purge(base, job, { left: 2000 })).done).toBe(false);
  base.advance(1);
  const last = await RANGE.purge(base, job, { left: 2000 });
  expect(last.done).toBe(true);
  expect(last.kids).toHaveLength(1);
  expect((await RANGE.verify(base, job)).found).toBe(0);
});

test("what waits to be settled goes too, and what comes late or again is confirmed and never stored", async () => {
  const record = (number: number, deviceTime: number) => {
    const keeping = { scope: "account", period: { months: 3 }, timeZone: "UTC", floor: 0 } as const;
    return { device: { ...device, keeping }, number, deviceTime, event: 35, valid: true };
  };
  const before = record(1, NOON - 3 * HOUR);
  const inside = [record(2, NOON - 2 * HOUR), record(3, NOON - 110 * MINUTE)];
  await send(
    base,
    [...inside, before].map((each) => ({ record: each, receivedAt: NOON })),
  );
  const job = await asked(range(NOON - 2 * HOUR, NOON - HOUR));
  await carriedOut(job);
  expect(await track()).toEqual([before.deviceTime]);
  // Again, late ones of the stretch, one at its first and one at its last moment, and what is not of it.
  const late = [...inside, record(4, NOON - 90 * MINUTE), record(5, NOON - HOUR - 1000)];
  const fresh = [record(6, NOON - HOUR), record(7, NOON - 2 * HOUR - 1000)];
  const sendings = [...late, ...fresh].map((each) => ({ record: each, receivedAt: base.now() }));
  const outcomes = await send(base, sendings);
  expect(outcomes.every((outcome) => outcome <= 1)).toBe(true);
  const kept = [before, ...fresh].map(({ deviceTime }) => deviceTime).toSorted((a, b) => a - b);
  expect(await track()).toEqual(kept);
  await settled(base);
  expect(await track()).toEqual(kept);
  expect((await RANGE.verify(base, job)).found).toBe(0);
});

test("what is in the inbox already when nothing of it may be taken is dropped by settling", async () => {
  const job = await asked(range(NOON - 2 * HOUR, NOON - HOUR));
  await RANGE.shred!(base, job);
  // As a bridge's delivery to a database without the registry may be, behind the tombstone.
  await sent([NOON - 90 * MINUTE, NOON - 30 * MINUTE]);
  expect((await RANGE.verify(base, job)).evidence).toMatchObject({ waiting: 1 });
  await settled(base);
  expect(await track()).toEqual([NOON - 30 * MINUTE]);
});

test("a stretch that ends in the future takes nothing that comes after the request", async () => {
  await sent(times(NOON - HOUR, NOON, MINUTE));
  const job = await asked(range(NOON - 30 * MINUTE, NOON + DAY));
  base.advance(1000);
  await sent([NOON + 1000]);
  await carriedOut(job);
  await sent([base.now()]);
  await settled(base);
  expect(await track()).toEqual([...times(NOON - HOUR, NOON - 30 * MINUTE, MINUTE), NOON + 1000, base.now()]);
  expect(await newest()).toEqual([base.now()]);
});

test("tracks: everything that the account's devices sent is gone, they stay and go on", async () => {
  const other = await aDevice(database.db, { accountId: device.accountId, createdAt: NOON - 90 * DAY });
  const stranger = await aDevice(database.db, { createdAt: NOON - 90 * DAY });
  const all = times(NOON - 2 * DAY, NOON, 10 * MINUTE);
  for (const each of [device, other, stranger]) await sent(all, each);
  await settled(base);
  await sent([NOON], other);
  const open = await copied();
  const job = await asked({ kind: "tracks" });
  const { kids } = await carriedOut(job);
  expect(kids).toHaveLength(2);
  for (const each of [device, other]) {
    expect(await track(each)).toEqual([]);
    expect(await newest(each)).toEqual([]);
    expect(await open(each)).toEqual([]);
  }
  expect(await track(stranger)).toEqual(all);
  expect((await open(stranger)).length).toBe(all.length + 1);
  base.advance(MINUTE);
  await sent([base.now()]);
  await settled(base);
  expect(await track()).toEqual([base.now()]);
});

test("another account's device is not touched, whatever the scope says", async () => {
  const stranger = await aDevice(database.db, { createdAt: NOON - 90 * DAY });
  await sent([NOON - HOUR], stranger);
  await settled(base);
  const job = await asked(range(0, NOON, stranger));
  await carriedOut(job);
  expect(await track(stranger)).toEqual([NOON - HOUR]);
  expect((await database.client.execute("SELECT count(*) FROM tombstones")).rows[0]![0]).toBe(0);
});

test("two requests about one device at a time: both stretches are gone, and one secret is left", async () => {
  const all = times(NOON - DAY, NOON, 5 * MINUTE);
  await sent(all);
  await settled(base);
  const open = await copied();
  const a = await asked(range(NOON - 20 * HOUR, NOON - 15 * HOUR));
  const b = await asked(range(NOON - 10 * HOUR, NOON - 5 * HOUR));
  await RANGE.shred!(base, a);
  base.advance(30_000);
  await RANGE.shred!(base, b);
  for (let turn = 0; turn < 4; turn++) {
    for (const job of [a, b]) await RANGE.purge(base, job, { left: 2000 });
    base.advance(MINUTE);
  }
  for (const job of [a, b]) expect((await RANGE.verify(base, job)).found).toBe(0);
  const isKept = (time: number) =>
    (time < NOON - 20 * HOUR || time >= NOON - 15 * HOUR) && (time < NOON - 10 * HOUR || time >= NOON - 5 * HOUR);
  expect(await track()).toEqual(all.filter(isKept));
  expect(await open(device)).toEqual([]);
  expect((await deviceKids(base, device.accountId, device.id)).live).toHaveLength(1);
});

test("the engine carries it out to its receipt: the keys that went are in it, and nothing is held", async () => {
  const all = times(NOON - DAY, NOON, 10 * MINUTE);
  await sent(all);
  await settled(base);
  const { id } = await asked(range(NOON - HOUR, NOON));
  await database.client.execute({
    sql: "UPDATE requests SET state = 'verified', level = 'V0', verified_at = ?1, deadline = ?1 + 86400000 WHERE id = ?2",
    args: [NOON, id],
  });
  let runs = 0;
  for (let cleared = 0; cleared === 0 && runs < 5; runs++) {
    cleared = await carryOut(base);
    expect(await track()).toEqual(all.filter((time) => time < NOON - HOUR));
    base.advance(MINUTE);
  }
  expect(runs).toBe(2);
  const { rows } = await database.client.execute("SELECT body FROM receipts");
  const receipt = JSON.parse(String(rows[0]![0]));
  expect(JSON.stringify(receipt)).toContain('"keysDestroyed":1');
});

describe("of an account with a sealing key", () => {
  const registered = async () => {
    const user = await aUser(database.db, { role: "owner", accountId: device.accountId });
    const file = await newKeyFile(base.now());
    const owner = aContext(base, asUser(device.accountId, user.id, { provedAt: base.now() }));
    await addCustomerKey(owner, { kind: "everyday", ...file, lostKeyIsFinal: true });
    return readKeyFile(keyFileText(file));
  };
  /** The whole track as the customer's own program opens it. */
  const theirs = async (key: OpeningKey) => {
    const ctx = aContext(base, asKey(device.accountId));
    const window = { from: 0, to: LIMITS.timeMs, limit: LIMITS.pageMax };
    const { json } = await history(ctx, device.id, window, asAnswer(ctx));
    const { positions, unopened } = await openTrack(readAnswer(new TextDecoder().decode(json)), key);
    expect(unopened).toEqual([]);
    return positions.map(({ fixTime }) => Date.parse(fixTime)).toSorted((a, b) => a - b);
  };
  const stretches = async () =>
    (await database.client.execute("SELECT from_time, to_time FROM segments ORDER BY from_time")).rows.map((row) => [
      Number(row[0]),
      Number(row[1]),
    ]);

  test("segments that reach into the stretch go whole, and of the secret stays what the others need", async () => {
    const key = await registered();
    const all = times(NOON - 6 * HOUR, NOON, MINUTE);
    await sent(all);
    await settled(base);
    expect(await theirs(key)).toEqual(all);
    const before = await stretches();
    const [from, to] = [NOON - 4 * HOUR, NOON - 2 * HOUR];
    const job = await asked(range(from, to));
    const { kids } = await carriedOut(job);
    const after = await stretches();
    expect(after).toEqual(before.filter(([first, last]) => last! < from || first! >= to));
    expect(after.length).toBeGreaterThan(2);
    const lost = before.filter(([first, last]) => last! >= from && first! < to);
    expect(lost[0]![0]).toBeGreaterThan(from - LIMITS.closedSegmentMs);
    expect(lost.at(-1)![1]).toBeLessThan(to + LIMITS.closedSegmentMs);
    expect(kids).toHaveLength(1);
    expect(await RANGE.verify(base, job)).toMatchObject({ found: 0, evidence: { halvesForCustomer: 1, oldKeys: 0 } });
    const kept = all.filter((time) => after.some(([first, last]) => time >= first! && time <= last!));
    expect(await theirs(key)).toEqual(kept);
    // Another stretch later, and what came since.
    await sent(times(NOON, NOON + HOUR, MINUTE));
    base.advance(HOUR);
    await settled(base);
    await carriedOut(await asked(range(NOON - 5 * HOUR, NOON - 4.5 * HOUR)));
    const rest = await theirs(key);
    expect(rest.filter((time) => time >= NOON - 2 * HOUR + LIMITS.closedSegmentMs)).toHaveLength(130);
    expect(rest.some((time) => time >= NOON - 5 * HOUR && time < NOON - 4.5 * HOUR)).toBe(false);
    expect((await deviceKids(base, device.accountId, device.id)).live).toHaveLength(1);
  });

  test("what was stored before the key was registered opens in no copy of before, though what came after it stays", async () => {
    const before = times(NOON - 2 * DAY, NOON - 6 * HOUR, 10 * MINUTE);
    await sent(before);
    await settled(base);
    const open = await copied();
    expect(await open(device)).toHaveLength(before.length + 1);
    const key = await registered();
    const after = times(NOON - 6 * HOUR, NOON, 10 * MINUTE);
    await sent(after);
    await settled(base);
    const job = await asked(range(NOON - DAY, NOON - 8 * HOUR));
    expect((await carriedOut(job)).kids).toHaveLength(1);
    expect(await open(device)).toEqual([]);
    const rest = [...before.filter((time) => time < NOON - DAY || time >= NOON - 8 * HOUR), ...after];
    expect(await theirs(key)).toEqual(rest);
  });

  test("what stays of a secret goes with its day, and with the device", async () => {
    const key = await registered();
    await sent(times(NOON - DAY, NOON, 10 * MINUTE));
    await settled(base);
    await carriedOut(await asked(range(NOON - 3 * HOUR, NOON - 2 * HOUR)));
    const halves = async () => (await deviceKids(base, device.accountId, device.id)).halves;
    expect(await halves()).toBe(2);
    const today = Math.floor(NOON / DAY);
    // The day's secret, and what stayed of the device's for it.
    expect(await destroyDays(base, device.accountId, "account", today)).toHaveLength(2);
    expect(await halves()).toBe(1);
    expect((await theirs(key)).every((time) => time >= today * DAY)).toBe(true);
    await destroyDevice(base, device.accountId, device.id);
    expect(await halves()).toBe(0);
    expect(await secretsLeft(base, device.accountId, [device.id])).toBe(0);
    expect(await theirs(key)).toEqual([]);
  });

  test("tracks: nothing of it is left, and no old secret either", async () => {
    await registered();
    await sent(times(NOON - 6 * HOUR, NOON, MINUTE));
    await settled(base);
    const job = await asked({ kind: "tracks" });
    expect((await carriedOut(job)).kids).toHaveLength(1);
    expect(await stretches()).toEqual([]);
    expect(await newest()).toEqual([]);
  });
});

describe("stopped anywhere", () => {
  /** The program ends at a statement or an access to the key store: that one and all that follow fail. */
  function stopping(at: number): () => boolean {
    let calls = 0;
    const client = database.client;
    const { batch, execute } = client;
    const counted =
      (owner: object, run: (...args: never[]) => unknown) =>
      (...args: never[]) =>
        ++calls >= at ? Promise.reject(new Error("stopped")) : run.apply(owner, args);
    Object.assign(client, { batch: counted(client, batch as never), execute: counted(client, execute as never) });
    const { copies, escrow } = base.secrets;
    const puts = [...copies, escrow].map((place) => {
      const { put, putAll } = place;
      Object.assign(place, { put: counted(place, put as never) });
      if (putAll !== undefined) Object.assign(place, { putAll: counted(place, putAll as never) });
      return () => Object.assign(place, { put, putAll });
    });
    return () => {
      Object.assign(client, { batch, execute });
      for (const undo of puts) undo();
      return calls >= at;
    };
  }

  test("at every statement of a range erasure it goes on and ends the same, while the tracker sends", async () => {
    let stopAt = 1;
    for (let ended = false; !ended; stopAt++) {
      const own = await aDevice(database.db, { createdAt: NOON - 90 * DAY });
      const now = base.now();
      const all = times(now - 5 * HOUR, now, 10 * MINUTE);
      await sent(all, own);
      await settled(base);
      const open = await copied();
      const job = await asked(range(now - 3 * HOUR, now - HOUR, own), own);
      const stop = stopping(stopAt);
      await carriedOut(job).catch(() => undefined);
      ended = !stop();
      // Whoever held the lease is gone.
      base.advance(LIMITS.settleLeaseMs);
      await sent([now + MINUTE], own);
      await carriedOut(job);
      const kept = [...all.filter((time) => time < now - 3 * HOUR || time >= now - HOUR), now + MINUTE];
      await settled(base);
      expect(await track(own), `stopped at ${stopAt}`).toEqual(kept);
      expect(await newest(own), `stopped at ${stopAt}`).toEqual([now + MINUTE]);
      expect(await open(own), `stopped at ${stopAt}`).toEqual([]);
      expect((await deviceKids(base, own.accountId, own.id)).live).toHaveLength(1);
    }
    expect(stopAt).toBeGreaterThan(30);
  }, 300_000);
});

test("random tracks, stretches, late frames and settlings: as a list has it", async () => {
  let seed = 20_261_123;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const own = [device, await aDevice(database.db, { accountId: device.accountId, createdAt: NOON - 90 * DAY })];
  const model = new Map<Device, number[]>(own.map((each) => [each, []]));
  const erased = new Map<Device, { from: number; to: number; before: number }[]>(own.map((each) => [each, []]));
  const isErased = (of: Device, fix: number) =>
    erased.get(of)!.some(({ from, to, before }) => fix >= from && fix < to && fix < before);
  const used = new Set<number>();
  for (let round = 0; round < 12; round++) {
    for (const each of own) {
      const fixes = new Set<number>();
      const late = random(3) === 0;
      for (let n = 0; n < 60; n++) {
        const fix = Math.floor((base.now() - random(late ? 3 * DAY : 2 * HOUR)) / 1000) * 1000;
        if (!used.has(fix)) fixes.add(fix);
        used.add(fix);
      }
      await sent([...fixes], each);
      model.get(each)!.push(...[...fixes].filter((fix) => !isErased(each, fix)));
    }
    if (random(2) === 0) await settled(base);
    const of = own[random(2)]!;
    const from = base.now() - random(2 * DAY);
    const stretch = { from, to: from + random(DAY), before: base.now() + 1 };
    const job = await asked(range(stretch.from, stretch.to, of));
    erased.get(of)!.push(stretch);
    model.set(
      of,
      model.get(of)!.filter((fix) => !isErased(of, fix)),
    );
    await carriedOut(job);
    await settled(base);
    for (const each of own) {
      const expected = model.get(each)!.toSorted((a, b) => a - b);
      expect(await track(each), `round ${round}`).toEqual(expected);
    }
    base.advance(random(4) * HOUR);
  }
}, 120_000);
