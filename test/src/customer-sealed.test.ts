import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { toBase64Url } from "../../client/base64.ts";
import { keyFileText, newKeyFile, type OpeningKey, readKeyFile } from "../../client/key-file.ts";
import { openTrack, readAnswer } from "../../client/track.ts";
import type { Ctx } from "../../src/context.ts";
import { addCustomerKey, type KeyKind, listCustomerKeys, revokeCustomerKey } from "../../src/customer-keys.ts";
import { forgetHalves } from "../../src/customer-sealed.ts";
import { LIMITS } from "../../src/limits.ts";
import { events, exportTrack, extentOf, feed, history, latest, type StoredPosition } from "../../src/positions.ts";
import { asAnswer, MEDIA_TYPES } from "../../src/sealed-answer.ts";
import { settle, settleAndTidy } from "../../src/settle.ts";
import { deleteUnusedWrapped } from "../../src/store/wrapped.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { destroyDays, destroyDevice, openingKeys } from "../../src/vault.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  asKey,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { type PositionSpec, settled, stored } from "../stored.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let device: { id: number; accountId: number };
let owner: Ctx;
let ctx: Ctx;
let key: OpeningKey;

async function register(kind: KeyKind = "everyday"): Promise<OpeningKey & { id: number }> {
  const file = await newKeyFile(base.now());
  const { id } = await addCustomerKey(owner, { kind, ...file, lostKeyIsFinal: true });
  return { ...(await readKeyFile(keyFileText(file))), id };
}

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  device = await aDevice(database.db, { accountId });
  const user = await aUser(database.db, { role: "owner", accountId });
  owner = aContext(base, asUser(accountId, user.id));
  ctx = aContext(base, asKey(accountId));
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const at = (minute: number, more: PositionSpec = {}): PositionSpec => ({ fixTime: NOON + minute * MINUTE, ...more });
const minutes = (data: readonly { fixTime: string }[]) =>
  data.map(({ fixTime }) => (Date.parse(fixTime) - NOON) / MINUTE);
/** Another isolate, with nothing in its memory. */
function elsewhere(): TestBase {
  return { ...base, config: { ...base.config } };
}
const settle_ = (where: TestBase = base) => settle(where, mainTelemetry(where), { all: true });

/** What the customer's own program makes of an answer. */
async function opened(read: Promise<{ mediaType: string; json: Uint8Array }>, with_ = key) {
  const { mediaType, json } = await read;
  const answer = readAnswer(new TextDecoder().decode(json));
  return { mediaType, answer, ...(await openTrack(answer, with_)) };
}
const track = (window: Parameters<typeof history>[2] = {}, with_ = key) =>
  opened(history(ctx, device.id, window, asAnswer(ctx)), with_);

const json = (value: unknown) => JSON.parse(JSON.stringify(value));

describe("positions of an account with a sealing key", () => {
  test("are given open while they wait and sealed once they are settled, the same after opening", async () => {
    key = await register();
    await stored(base, device, [at(0), at(2, { event: 1 }), at(1, { latitudeE6: -22_513_015 })]);
    const waiting = await track();
    expect(waiting.mediaType).toBe(MEDIA_TYPES.open);
    expect(minutes(waiting.positions)).toEqual([0, 1, 2]);

    await settled(base);
    const sealed = await track();
    expect(sealed.mediaType).toBe(MEDIA_TYPES.sealed);
    expect(sealed.answer.data).toEqual([]);
    expect(sealed.unopened).toEqual([]);
    expect(json(sealed.positions)).toEqual(json(waiting.positions));

    await stored(base, device, [at(3)]);
    const both = await track();
    expect(minutes(both.answer.data)).toEqual([3]);
    expect(minutes(both.positions)).toEqual([0, 1, 2, 3]);
  });

  test("open with each of the keys, and with no other", async () => {
    key = await register();
    const offline = await register("offline");
    await stored(base, device, [at(0), at(1)]);
    await settled(base);
    expect((await track()).positions).toHaveLength(2);
    expect((await track({}, offline)).positions).toHaveLength(2);
    const lost = await readKeyFile(keyFileText(await newKeyFile(0)));
    expect(await track({}, lost)).toMatchObject({ positions: [], unopened: [{ why: /was not wrapped to this key/ }] });
  });

  test("are not sealed to a key that was revoked, nor at all after the last", async () => {
    const everyday = await register();
    key = everyday;
    const offline = await register("offline");
    await stored(base, device, [at(0)]);
    await settled(base);
    await revokeCustomerKey(owner, everyday.id);
    await stored(base, device, [at(1)]);
    await settled(base);
    const { positions, unopened } = await track();
    expect(minutes(positions)).toEqual([0]);
    expect(unopened).toHaveLength(1);
    expect(minutes((await track({}, offline)).positions)).toEqual([0, 1]);

    await revokeCustomerKey(owner, offline.id);
    await stored(base, device, [at(2)]);
    await settled(base);
    const mixed = await track({}, offline);
    expect(minutes(mixed.answer.data)).toEqual([2]);
    expect(minutes(mixed.positions)).toEqual([0, 1, 2]);
  });

  test("that were stored before stay as they are", async () => {
    await stored(base, device, [at(0)]);
    await settled(base);
    key = await register();
    await stored(base, device, [at(1)]);
    await settled(base);
    const { answer, positions } = await track();
    expect(minutes(answer.data)).toEqual([0]);
    expect(minutes(positions)).toEqual([0, 1]);
  });

  test("of other accounts are not touched", async () => {
    key = await register();
    const other = await aDevice(database.db);
    await stored(base, other, [at(0)]);
    await stored(base, device, [at(0)]);
    await settled(base);
    const theirs = await history(aContext(base, asKey(other.accountId)), other.id);
    expect(minutes(theirs.data)).toEqual([0]);
    const { rows } = await database.client.execute("SELECT account_id, customer_kid IS NULL AS own FROM segments");
    expect(rows.map((row) => [row.account_id, row.own]).toSorted()).toEqual(
      [
        [accountId, 0],
        [other.accountId, 1],
      ].toSorted(),
    );
  });

  test("are added to a segment for as long as the settler remembers its key, and by no other", async () => {
    key = await register();
    const segments = async () => (await database.client.execute("SELECT positions FROM segments ORDER BY id")).rows;
    await stored(base, device, [at(0)]);
    await settle_();
    await stored(base, device, [at(1)]);
    await settle_();
    expect((await segments()).map((row) => row.positions)).toEqual([2]);
    await stored(base, device, [at(2)]);
    await settle_(elsewhere());
    expect((await segments()).map((row) => row.positions)).toEqual([2, 1]);
    base.advance(LIMITS.customerHalfMs);
    await stored(base, device, [at(11)]);
    await settle_();
    expect((await segments()).map((row) => row.positions)).toEqual([2, 1, 1]);
    expect(minutes((await track()).positions)).toEqual([0, 1, 2, 11]);
    const { rows } = await database.client.execute("SELECT count(DISTINCT kid) FROM wrapped_secrets");
    expect(rows[0]![0]).toBe(3);
  });

  test("are seen once when a record comes again after it was settled", async () => {
    key = await register();
    const again = at(0, { record: 77 });
    await stored(base, device, [again, at(1)]);
    await settle_(elsewhere());
    await stored(base, device, [again]);
    expect(minutes((await track()).positions)).toEqual([0, 1]);
    await settle_(elsewhere());
    const { positions, answer } = await track();
    expect(answer.segments).toHaveLength(2);
    expect(minutes(positions)).toEqual([0, 1]);
  });

  test("are not in the memory or the key store of the platform once the settler forgot them", async () => {
    key = await register();
    await stored(base, device, [at(0)]);
    await settle_();
    const { answer } = await track();
    const [{ share, ...segment }] = answer.segments as [(typeof answer.segments)[0]];
    // The keys that the key store has open nothing of it.
    const [ours] = await openingKeys(base, accountId, [segment]);
    expect(ours).not.toBeNull();
    const sealed = Buffer.from(segment.sealed, "base64");
    const iv = sealed.subarray(0, 12);
    await expect(crypto.subtle.decrypt({ name: "AES-GCM", iv }, ours!, sealed.subarray(12))).rejects.toThrow();
    expect(share).toHaveLength(44);
  });
});

describe("a stretch that is sealed", () => {
  /** Three days of a device, settled hour by hour by different isolates. */
  async function threeDays(): Promise<void> {
    for (let hour = 0; hour < 72; hour += 6) {
      const specs = Array.from({ length: 12 }, (_, n) => at(hour * 60 + n * 5, { event: n === 3 ? 17 : 35 }));
      base.at(NOON + (hour + 1) * 60 * MINUTE);
      await stored(base, device, specs);
      await settle_(elsewhere());
    }
  }
  const all = Array.from({ length: 12 }, (_, part) => Array.from({ length: 12 }, (_, n) => part * 360 + n * 5)).flat();

  test("is cut to what was asked for, in either order, page by page", async () => {
    key = await register();
    await threeDays();
    expect(minutes((await track({ limit: 1000 })).positions)).toEqual(all);
    const [from, to] = [NOON + 365 * MINUTE, NOON + 1500 * MINUTE];
    const within = all.filter((minute) => minute >= 365 && minute < 1500);
    expect(minutes((await track({ from, to })).positions)).toEqual(within);
    expect(minutes((await track({ from, to, order: "desc" })).positions)).toEqual(within.toReversed());

    for (const order of ["asc", "desc"] as const) {
      const seen: number[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        const page = await track({ limit: 10, order, cursor });
        seen.push(...minutes(page.positions));
        cursor = page.nextCursor ?? undefined;
        pages += 1;
      } while (cursor !== undefined);
      expect(seen, order).toEqual(order === "asc" ? all : all.toReversed());
      expect(pages, order).toBeGreaterThan(3);
    }
  });

  test("gives its events, its latest fix and its feed in the same way", async () => {
    key = await register();
    await threeDays();
    const alarms = await opened(events(ctx, device.id, { limit: 1000 }, asAnswer(ctx)));
    expect(minutes(alarms.positions)).toEqual(all.filter((_, n) => n % 12 === 3));
    const newest = await opened(latest(ctx, {}, asAnswer(ctx)));
    expect(newest.answer).toMatchObject({ data: [], segments: [], fixes: [{ deviceId: device.id }] });
    expect(minutes(newest.positions)).toEqual([all.at(-1)]);

    const seen: StoredPosition[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < 50; page++) {
      const next = await opened(feed(ctx, { limit: 10, cursor }, asAnswer(ctx)));
      seen.push(...next.positions);
      if (next.nextCursor === cursor) break;
      cursor = next.nextCursor ?? undefined;
    }
    expect(minutes(seen)).toEqual(all);
    await stored(base, device, [at(5000)]);
    await settle_(elsewhere());
    expect(minutes((await opened(feed(ctx, { cursor }, asAnswer(ctx)))).positions)).toEqual([5000]);
  });

  test("has its newest fix where it belongs whatever arrives late", async () => {
    key = await register();
    const newestOf = async () => minutes((await opened(latest(ctx, {}, asAnswer(ctx)))).positions);
    await stored(base, device, [at(10)]);
    await settle_(elsewhere());
    await stored(base, device, [at(5)]);
    expect(await newestOf()).toEqual([10]);
    await settle_(elsewhere());
    expect(await newestOf()).toEqual([10]);
    await stored(base, device, [at(11)]);
    expect(await newestOf()).toEqual([11]);
    await settle_(elsewhere());
    expect(await newestOf()).toEqual([11]);
  });

  test("is refused as a file, which only the customer could write", async () => {
    key = await register();
    await stored(base, device, [at(0)]);
    const whole = await exportTrack(ctx, { ...device, name: "Van" }, {}, "csv");
    await whole.body.cancel();
    await settle_();
    await expect(exportTrack(ctx, { ...device, name: "Van" }, {}, "csv")).rejects.toMatchObject({ code: "sealed" });
    const before = await exportTrack(ctx, { ...device, name: "Van" }, { to: NOON }, "csv");
    await before.body.cancel();
  });

  test("is counted without being opened", async () => {
    key = await register();
    await threeDays();
    expect(await extentOf(ctx, device.id)).toEqual({
      positions: 144,
      from: NOON,
      to: NOON + all.at(-1)! * MINUTE,
    });
  });
});

test("the customer's half is forgotten within minutes, also when nothing comes any more", async () => {
  key = await register();
  await stored(base, device, [at(-1)]);
  await settle_();
  base.advance(LIMITS.customerHalfMs);
  await settleAndTidy(base);
  expect(forgetHalves(base)).toBe(0);
});

describe("a sealed track is gone when its time is over", () => {
  test("for the customer too, from every copy, as soon as our half is destroyed", async () => {
    key = await register();
    await stored(base, device, [at(0)]);
    await settle_();
    base.at(NOON + DAY);
    await stored(base, device, [at(1440)]);
    await settle_();
    expect(minutes((await track()).positions)).toEqual([0, 1440]);
    await destroyDays(base, accountId, "account", Math.floor((NOON + DAY) / DAY));
    const { positions, answer } = await track();
    expect(minutes(positions)).toEqual([1440]);
    expect(answer.segments).toHaveLength(1);
    await destroyDevice(base, accountId, device.id);
    expect((await track()).positions).toEqual([]);
  });

  test("what opened only that goes with it", async () => {
    key = await register();
    await register("offline");
    await stored(base, device, [at(0)]);
    await settle_();
    expect(await deleteUnusedWrapped(database.db, 100)).toBe(0);
    await database.client.execute("DELETE FROM segments");
    expect(await deleteUnusedWrapped(database.db, 1)).toBe(1);
    expect(await deleteUnusedWrapped(database.db, 100)).toBe(1);
    expect(await deleteUnusedWrapped(database.db, 100)).toBe(0);
  });

  test("positions past their period are not shown from a segment that holds others", async () => {
    key = await register();
    await stored(base, device, [at(0), at(30)]);
    await settle_();
    base.at(Date.UTC(2026, 5, 1, 12, 10));
    expect(minutes((await track()).positions)).toEqual([30]);
  });
});

test("nothing that is stored holds the secret, the private key or a coordinate", async () => {
  key = await register();
  const latitudeE6 = 48_208_354;
  await stored(base, device, [at(0, { latitudeE6 })]);
  await settle_();
  const [registered] = await listCustomerKeys(owner);
  expect(toBase64Url(registered!.publicKey)).toBe(toBase64Url(key.publicKey));
  const { rows: tables } = await database.client.execute("SELECT name FROM sqlite_schema WHERE type = 'table'");
  const needles = [48.208354, -48.208354].flatMap((degrees) => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(degrees);
    return [bytes, Buffer.from(bytes).reverse()];
  });
  needles.push(Buffer.from(Int32Array.of(latitudeE6).buffer), Buffer.from("48208354"), Buffer.from("48.208354"));
  for (const { name } of tables) {
    const { rows } = await database.client.execute(`SELECT * FROM "${name}"`);
    for (const row of rows) {
      for (const value of Object.values(row)) {
        const bytes = value instanceof ArrayBuffer ? Buffer.from(value) : Buffer.from(String(value));
        for (const needle of needles) expect(bytes.includes(needle), `${name}`).toBe(false);
      }
    }
  }
});
