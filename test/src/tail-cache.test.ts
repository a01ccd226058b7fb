import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type OpenedRow, partOf } from "../../src/inbox.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { settle } from "../../src/settle.ts";
import { TailCache, tailCacheOf } from "../../src/tail-cache.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { destroyInboxKeys } from "../../src/vault.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  asKey,
  NOON,
  type TestBase,
  type TestDatabase,
  withElsewhere,
} from "../database.ts";
import { deliver, place, reportOf } from "../regions.ts";
import { stored } from "../stored.ts";

const MINUTE = 60_000;
const device = { id: 1, accountId: 1 };

let database: TestDatabase;
let base: TestBase;
/** The isolate that reads. */
let reader: TestBase;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  reader = aBase(database.db);
  await aDevice(database.db);
});
afterEach(() => {
  vi.restoreAllMocks();
  database.close();
});

const fixes = async (of = device) =>
  (await history(aContext(reader, asKey(of.accountId)), of.id)).data.map(({ fixTime }) => Date.parse(fixTime) - NOON);
const send = (minute: number) => stored(base, device, [{ fixTime: NOON + minute * MINUTE }]);

test("what waits is opened once, and what came since is there", async () => {
  for (const minute of [0, 1, 2]) await send(minute);
  expect(await fixes()).toEqual([0, MINUTE, 2 * MINUTE]);
  const decrypt = vi.spyOn(crypto.subtle, "decrypt");
  const opened = () =>
    decrypt.mock.calls.filter(([algorithm]) => {
      const { additionalData } = algorithm as AesGcmParams;
      return additionalData !== undefined && new TextDecoder().decode(additionalData).startsWith("inbox|");
    }).length;
  expect(await fixes()).toEqual([0, MINUTE, 2 * MINUTE]);
  expect(opened()).toBe(0);
  await send(3);
  expect(await fixes()).toEqual([0, MINUTE, 2 * MINUTE, 3 * MINUTE]);
  expect(opened()).toBe(1);
});

test("what is settled meanwhile is forgotten, and read where it is", async () => {
  await send(0);
  await fixes();
  expect(tailCacheOf(reader).bytes).toBeGreaterThan(0);
  await settle(base, mainTelemetry(base), { all: true, settle: false });
  expect(await fixes()).toEqual([0]);
  expect(await fixes()).toEqual([0]);
  await settle(base, mainTelemetry(base), { all: true });
  expect(await fixes()).toEqual([0]);
  expect(tailCacheOf(reader).bytes).toBe(0);
});

test("what was sealed under a key that was destroyed is not given out of memory a minute later", async () => {
  await send(0);
  expect(await fixes()).toEqual([0]);
  base.advance(LIMITS.inboxKeyMs + LIMITS.inboxKeyGraceMs + MINUTE);
  expect(await destroyInboxKeys(base, "main", [])).toHaveLength(1);
  reader.advance(LIMITS.shredEveryMs);
  expect(await fixes()).toEqual([]);
  expect(reader.logged.some((line) => line.startsWith("error inbox.broken"))).toBe(true);
  expect(tailCacheOf(reader).bytes).toBe(0);
});

test("a row that is another one under the same name is read", async () => {
  await send(0);
  await fixes();
  // As where the database was restored, and went on from there.
  const { rows } = await database.client.execute("DELETE FROM inbox RETURNING id");
  await send(5);
  await database.client.execute({ sql: "UPDATE inbox SET id = ?", args: [rows[0]!.id as number] });
  expect(await fixes()).toEqual([5 * MINUTE]);
});

test("rows of two databases with the same names do not mix", async () => {
  const eu = await withElsewhere(database.db, "eu");
  // Whoever is of the same part has the same buckets.
  let accountId = await anAccount(database.db);
  while (partOf(accountId) !== partOf(device.accountId)) accountId = await anAccount(database.db);
  const there = await aDevice(database.db, { accountId });
  await place(base, accountId, "eu");
  reader = aBase(database.db);
  await send(1);
  await deliver(base, [reportOf(there.imei, 2)]);
  for (let times = 0; times < 2; times++) {
    expect(await fixes()).toEqual([MINUTE]);
    expect(await fixes(there)).toEqual([2 * MINUTE]);
  }
  eu.close();
});

describe("TailCache", () => {
  const rowsOf = (bytes: number, ...names: string[]): ReadonlyMap<string, OpenedRow> =>
    new Map(
      names.map((name) => {
        const chunks = [{ number: 0, plain: new Uint8Array(bytes) }];
        return [name, { kid: 1, nonce: new Uint8Array(8), shift: 4, key: null, chunks }];
      }),
    );
  const scope = (chunk: number, database = "main") => ({ database, first: chunk * 16 + 3, last: chunk * 16 + 3 });
  const namesIn = (cache: TailCache, chunk: number, now: number) => [...cache.rows(scope(chunk), now).keys()];

  test("keeps so many bytes, and drops what was not read for longest first", () => {
    const cache = new TailCache();
    const third = Math.floor(LIMITS.tailCacheBytes / 3) - 1000;
    for (const [now, chunk] of [1, 2, 1, 3, 4].entries()) cache.keep(scope(chunk), rowsOf(third, "batch 1"), now);
    expect([1, 2, 3, 4].map((chunk) => namesIn(cache, chunk, 5).length)).toEqual([1, 0, 1, 1]);
    expect(cache.bytes).toBeLessThanOrEqual(LIMITS.tailCacheBytes);
    cache.keep(scope(5), rowsOf(LIMITS.tailCacheBytes, "batch 1"), 6);
    expect(cache.bytes).toBe(0);
  });

  test("forgets what is settled, and what is not read for as long as destructions may take to be seen", () => {
    const cache = new TailCache();
    cache.keep(scope(1), rowsOf(10, "batch 1", "batch 2", "run   7"), 0);
    cache.keep(scope(2), rowsOf(10, "batch 1"), 0);
    cache.keep(scope(1), rowsOf(10, "batch 2", "batch 3"), 1);
    expect([1, 2].map((chunk) => namesIn(cache, chunk, 2))).toEqual([["batch 2", "batch 3"], ["batch 1"]]);
    expect(cache.rows({ database: "eu", first: 19, last: 19 }, 2).size).toBe(0);
    cache.keep(scope(1), cache.rows(scope(1), 3), LIMITS.shredEveryMs);
    expect(namesIn(cache, 3, LIMITS.shredEveryMs + 2)).toEqual([]);
    expect([1, 2].map((chunk) => namesIn(cache, chunk, LIMITS.shredEveryMs + 3).length)).toEqual([2, 0]);
    cache.rows(scope(3), 3 * LIMITS.shredEveryMs);
    expect(cache.bytes).toBe(0);
  });

  test("gives all buckets of a chunk the same row", () => {
    const cache = new TailCache();
    cache.keep({ database: "main", first: 16, last: 16 }, rowsOf(10, "batch 1"), 0);
    expect([...cache.rows({ database: "main", first: 31, last: 31 }, 0).keys()]).toEqual(["batch 1"]);
    expect(cache.rows({ database: "main", first: 31, last: 32 }, 0).size).toBe(0);
  });
});
