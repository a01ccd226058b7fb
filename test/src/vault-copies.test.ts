import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AppError } from "../../src/errors.ts";
import { LIMITS } from "../../src/limits.ts";
import {
  accountKey,
  blindKey,
  checkKeys,
  destroyAccount,
  destroyDays,
  destroyDaysOf,
  destroyDevice,
  destroyOldOwnSecrets,
  newInboxKey,
  openingKeys,
  refreshEscrow,
  restoreFromEscrow,
  rewrap,
  rotateOwnSecret,
  type SealingKey,
  sealingKeys,
} from "../../src/vault.ts";
import { wrap } from "../../src/vault-object.ts";
import { aDatabase, type TestBase, type TestDatabase } from "../database.ts";
import { anIsolate, KeyPlaces, opens } from "./key-places.ts";

const ACCOUNT = 7;
const NAME = "account/7";
const DAY = 20_513;
const LABELS = ["a", "b", "escrow"] as const;

let database: TestDatabase;
let places: KeyPlaces;
let base: TestBase;
beforeAll(async () => {
  database = await aDatabase();
});
afterAll(() => database.close());
beforeEach(() => {
  places = new KeyPlaces();
  base = anIsolate(database.db, places);
});
const fresh = (settings?: Parameters<typeof anIsolate>[2]) => anIsolate(database.db, places, settings);

const wish = (deviceId: number, day = DAY) => ({ deviceId, day, scope: "account" });
async function sealing(on: TestBase, ...wishes: ReturnType<typeof wish>[]): Promise<SealingKey[]> {
  return (await sealingKeys(on, ACCOUNT, wishes)).map((key) => key ?? expect.fail("There is no key"));
}
const unavailable = expect.objectContaining({ code: "unavailable" }) as AppError;

describe.each(["a", "b"] as const)("copy %s", (label) => {
  test.each([
    ["lost", (name: string) => places.of(label).delete(name)],
    ["garbled", (name: string) => places.garble(label, name)],
    ["emptied", (name: string) => places.replace(label, name, new Uint8Array())],
  ])("%s in the middle of use loses nothing, and is healed", async (_, harm) => {
    const [first] = await sealing(base, wish(1), wish(2));
    await blindKey(base);
    const tag = async (on: TestBase) =>
      Buffer.from(await crypto.subtle.sign("HMAC", await blindKey(on), new Uint8Array(1))).toString("hex");
    const before = await tag(base);
    await destroyDevice(base, ACCOUNT, 2);
    for (const name of [NAME, "pepper", "shreds"]) await harm(name);
    const reader = fresh();
    expect([await opens(reader, ACCOUNT, 1, first), await tag(reader)]).toEqual([true, before]);
    const [again, erased] = await sealingKeys(reader, ACCOUNT, [wish(1), wish(2)]);
    expect([again?.deviceKid, erased]).toEqual([first.deviceKid, null]);
    const healed = await places.opened(base, label, NAME);
    expect(healed).toEqual(await places.opened(base, label === "a" ? "b" : "a", NAME));
    // And a change begun by somebody who had noticed nothing goes on from it.
    await harm(NAME);
    const [, added] = await sealing(base, wish(1), wish(3));
    expect(await opens(fresh(), ACCOUNT, 3, added)).toBe(true);
    expect(await opens(fresh(), ACCOUNT, 1, first)).toBe(true);
  });
});

test("a copy of before, put back, brings no destroyed secret back", async () => {
  const [gone, kept] = await sealing(base, wish(1, DAY - 1), wish(1));
  const old = (await places.of("a").get(NAME))!.bytes;
  await destroyDays(base, ACCOUNT, "account", DAY);
  await places.replace("a", NAME, old);
  for (const reader of [fresh(), fresh()]) {
    expect([await opens(reader, ACCOUNT, 1, gone), await opens(reader, ACCOUNT, 1, kept)]).toEqual([false, true]);
  }
  await sealing(fresh(), wish(2));
  const left = (await places.opened(base, "a", NAME))!.secrets.map(({ kid }) => kid);
  expect(left).not.toContain(gone.dayKid);
});

test("of two copies the one that has more is true", async () => {
  const [first] = await sealing(base, wish(1));
  const old = (await places.of("a").get(NAME))!.bytes;
  const [, second] = await sealing(base, wish(1), wish(2));
  await places.replace("a", NAME, old);
  const reader = fresh();
  expect([await opens(reader, ACCOUNT, 1, first), await opens(reader, ACCOUNT, 2, second)]).toEqual([true, true]);
  expect(await places.opened(base, "a", NAME)).toEqual(await places.opened(base, "b", NAME));
  await places.replace("a", NAME, old);
  const [again] = await sealing(fresh(), wish(2));
  expect(again.deviceKid).toBe(second.deviceKid);
});

test("a destruction tells of the kids of one before it that did not come to its end", async () => {
  const [first, second] = await sealing(base, wish(1, DAY - 2), wish(1, DAY - 1));
  places.calls.length = 0;
  await destroyDays(base, ACCOUNT, "account", DAY - 5);
  // Past the writes of both copies.
  places.left = places.calls.length + 3;
  await expect(destroyDays(base, ACCOUNT, "account", DAY - 1)).rejects.toThrow();
  places.left = Number.POSITIVE_INFINITY;
  const left = (await places.opened(base, "a", NAME))!.secrets.map(({ kid }) => kid);
  expect(left).not.toContain(first.dayKid);
  expect(await places.opened(base, "a", "shreds")).toBe(null);
  expect(await destroyDays(base, ACCOUNT, "account", DAY)).toEqual([first.dayKid, second.dayKid]);
});

test("both copies lost: no key and no 'destroyed' either, until the escrow has brought them back", async () => {
  const [first] = await sealing(base, wish(1), wish(2));
  await accountKey(base, 8, "name", { make: true });
  await blindKey(base);
  await newInboxKey(base, "eu1");
  expect(await refreshEscrow(base)).toBe(3);
  await destroyDevice(base, ACCOUNT, 2);
  for (const label of ["a", "b"] as const) {
    for (const name of await places.of(label).list("")) await places.of(label).delete(name);
  }
  const reader = fresh();
  await expect(opens(reader, ACCOUNT, 1, first)).rejects.toEqual(unavailable);
  await expect(sealingKeys(reader, ACCOUNT, [wish(1)])).rejects.toEqual(unavailable);
  await expect(accountKey(reader, 8, "name", { make: true })).rejects.toEqual(unavailable);
  await expect(blindKey(reader)).rejects.toEqual(unavailable);
  await expect(newInboxKey(reader, "eu1")).rejects.toEqual(unavailable);
  await expect(destroyDevice(reader, ACCOUNT, 1)).rejects.toEqual(unavailable);
  expect(await restoreFromEscrow(reader)).toBe(5);
  expect(await restoreFromEscrow(reader)).toBe(0);
  for (const on of [reader, fresh()]) {
    expect(await opens(on, ACCOUNT, 1, first)).toBe(true);
    expect((await sealingKeys(on, ACCOUNT, [wish(1), wish(2)])).map((key) => key !== null)).toEqual([true, false]);
    expect(await accountKey(on, 8, "name")).not.toBe(null);
  }
  // An isolate that kept running learns of it too.
  base.advance(LIMITS.shredEveryMs);
  expect(await opens(base, ACCOUNT, 1, first)).toBe(true);
});

test("restoreFromEscrow() keeps back what the list says is destroyed, whatever the escrow holds", async () => {
  const [gone, kept, erased] = await sealing(base, wish(1, DAY - 1), wish(1), wish(2));
  await accountKey(base, 8, "name", { make: true });
  await refreshEscrow(base);
  const old = [];
  for (const name of [NAME, "account/8"]) old.push([name, (await places.of("escrow").get(name))!.bytes] as const);
  await destroyDays(base, ACCOUNT, "account", DAY);
  await destroyDevice(base, ACCOUNT, 2);
  await destroyAccount(base, 8);
  // The escrow comes from a backup that nobody should have made.
  for (const [name, bytes] of old) {
    await places.replace("escrow", name, bytes);
    for (const label of ["a", "b"] as const) await places.of(label).delete(name);
  }
  await restoreFromEscrow(base);
  const reader = fresh();
  expect(await opens(reader, ACCOUNT, 1, gone)).toBe(false);
  expect(await opens(reader, ACCOUNT, 1, kept)).toBe(true);
  expect(await opens(reader, ACCOUNT, 2, erased)).toBe(false);
  expect(await sealingKeys(reader, ACCOUNT, [wish(2)])).toEqual([null]);
  expect(await accountKey(reader, 8, "name", { make: true })).toBe(null);
  for (const label of LABELS) {
    const left = (await places.opened(base, label, NAME))!.secrets.map(({ kid }) => kid);
    expect(left).not.toContain(gone.dayKid);
    expect(left).not.toContain(erased.deviceKid);
  }
});

test("restoreFromEscrow() takes an account that got another secret of its own for none that was erased", async () => {
  const [kept] = await sealing(base, wish(1));
  await accountKey(base, ACCOUNT, "name", { make: true });
  await refreshEscrow(base);
  const { bytes } = (await places.of("escrow").get(NAME))!;
  expect(await rotateOwnSecret(base, ACCOUNT)).toBe(true);
  expect(await destroyOldOwnSecrets(base, ACCOUNT)).toHaveLength(1);
  await places.replace("escrow", NAME, bytes);
  for (const label of ["a", "b"] as const) await places.of(label).delete(NAME);
  await restoreFromEscrow(base);
  const reader = fresh();
  expect(await opens(reader, ACCOUNT, 1, kept)).toBe(true);
  expect(await accountKey(reader, ACCOUNT, "name")).toBe(null);
  expect(await accountKey(reader, ACCOUNT, "name", { make: true })).not.toBe(null);
});

test("refreshEscrow() is done once a day, in steps, and takes in what changed", async () => {
  for (let id = 1; id <= 5; id++) await accountKey(base, id, "name", { make: true });
  expect(await refreshEscrow(base)).toBe(5);
  await accountKey(base, 6, "name", { make: true });
  base.advance(LIMITS.escrowMs - 1);
  expect(await refreshEscrow(base)).toBe(0);
  expect((await checkKeys(base)).escrowAt).toBe(base.now() - LIMITS.escrowMs + 1);
  base.advance(1);
  expect(await refreshEscrow(base)).toBe(1);
  expect(await places.opened(base, "escrow", "account/6")).toEqual(await places.opened(base, "a", "account/6"));
});

describe.each([
  ["one by one", false],
  ["several at once", true],
])("in places that are read and written %s", (_, together) => {
  test("a destruction stopped after any of its calls is completed by the next, and its kids are told", async () => {
    let stopped = 0;
    for (let left = 0; ; left++) {
      places = new KeyPlaces(undefined, together);
      const writer = fresh();
      const [gone, kept] = await sealing(writer, wish(1, DAY - 1), wish(1));
      await refreshEscrow(writer);
      const watching = fresh();
      expect(await opens(watching, ACCOUNT, 1, gone)).toBe(true);
      places.left = left;
      const first = await destroyDays(writer, ACCOUNT, "account", DAY).catch((error: Error) => error);
      places.left = Number.POSITIVE_INFINITY;
      if (!(first instanceof Error)) {
        expect(first).toEqual([gone.dayKid]);
        break;
      }
      stopped++;
      const wasListed = (await places.opened(base, "a", "shreds")) !== null;
      const told = await destroyDays(fresh(), ACCOUNT, "account", DAY);
      if (!wasListed) expect(told).toEqual([gone.dayKid]);
      for (const label of LABELS) {
        const left = (await places.opened(base, label, NAME))!.secrets.map(({ kid }) => kid);
        expect(left).toContain(kept.dayKid);
        expect(left).not.toContain(gone.dayKid);
        const listed = (await places.opened(base, label, "shreds"))!.shreds!.list.flatMap(({ kids }) => kids);
        expect(listed).toEqual([gone.dayKid]);
      }
      watching.advance(LIMITS.shredEveryMs);
      expect(await opens(watching, ACCOUNT, 1, gone)).toBe(false);
      expect(await opens(watching, ACCOUNT, 1, kept)).toBe(true);
    }
    expect(stopped).toBeGreaterThan(10);
  });

  test("a new secret stopped after any of its calls is either not used, or in both copies when it is", async () => {
    let stopped = 0;
    for (let left = 0; ; left++) {
      places = new KeyPlaces(undefined, together);
      const writer = fresh();
      const [first] = await sealing(writer, wish(1));
      places.left = left;
      const result = await sealing(writer, wish(2)).catch((error: Error) => error);
      places.left = Number.POSITIVE_INFINITY;
      const [used] = await sealing(fresh(), wish(2));
      await places.of("a").delete(NAME);
      expect(await opens(fresh(), ACCOUNT, 2, used)).toBe(true);
      expect(await opens(fresh(), ACCOUNT, 1, first)).toBe(true);
      if (!(result instanceof Error)) {
        expect(used.deviceKid).toBe(result[0].deviceKid);
        break;
      }
      stopped++;
    }
    expect(stopped).toBe(4);
  });

  test("a destruction for many accounts stopped after any of its calls is completed by the next, for each", async () => {
    const ids = [1, 2, 3];
    const over = ids.map((accountId) => ({ accountId, scopes: [{ scope: "account", beforeDay: DAY }] }));
    let stopped = 0;
    for (let left = 0; ; left++) {
      places = new KeyPlaces(undefined, together);
      const writer = fresh();
      const gone: number[] = [];
      for (const id of ids) gone.push((await sealingKeys(writer, id, [wish(1, DAY - 1), wish(1)]))[0]!.dayKid);
      places.left = left;
      const first = await destroyDaysOf(writer, over).catch((error: Error) => error);
      places.left = Number.POSITIVE_INFINITY;
      await destroyDaysOf(fresh(), over);
      for (const label of LABELS) {
        for (const id of ids) {
          const days = (await places.opened(base, label, `account/${id}`))!.secrets.filter(
            ({ kind }) => kind === "day",
          );
          expect(days.map(({ of }) => of)).toEqual([DAY]);
        }
        const listed = (await places.opened(base, label, "shreds"))!.shreds!.list.flatMap(({ kids }) => kids);
        expect(listed.sort()).toEqual([...gone].sort());
      }
      if (!(first instanceof Error)) break;
      stopped++;
    }
    expect(stopped).toBeGreaterThan(10);
  });

  test("what somebody else changes amid a destruction for many accounts is not lost", async () => {
    places = new KeyPlaces(undefined, together);
    const ids = [1, 2, 3];
    for (const id of ids) await sealingKeys(fresh(), id, [wish(1, DAY - 1)]);
    const writer = fresh();
    await accountKey(writer, 9, "name");
    let added: Awaited<ReturnType<typeof sealingKeys>> = [];
    const scopes = [{ scope: "account", beforeDay: DAY }];
    // After the list was read in both copies and the escrow, amid the reading of the accounts.
    let reads = 4;
    const inTurn = async () => {
      if (--reads > 0) places.meanwhile = inTurn;
      else added = await sealingKeys(fresh(), 2, [wish(2)]);
    };
    places.meanwhile = inTurn;
    const gone = await destroyDaysOf(
      writer,
      ids.map((accountId) => ({ accountId, scopes })),
    );
    expect(gone.map((kids) => kids.length)).toEqual([1, 1, 1]);
    expect(added[0]).not.toBe(null);
    const { dayKid, deviceKid } = added[0]!;
    const kids = (await places.opened(base, "b", "account/2"))!.secrets.map(({ kid }) => kid);
    expect(kids).toEqual(expect.arrayContaining([dayKid, deviceKid]));
    expect(kids).not.toContain(gone[1][0]);
    expect(await places.opened(base, "escrow", "account/2")).toEqual(await places.opened(base, "a", "account/2"));
  });
});

test("changes that are asked for together are written together, and none is lost", async () => {
  places = new KeyPlaces(undefined, true);
  const writer = fresh();
  await accountKey(writer, 9, "name");
  places.calls.length = 0;
  const accounts = Array.from({ length: 50 }, (_, n) => n + 1);
  await Promise.all(accounts.map((id) => sealingKeys(writer, id, [wish(id)])));
  expect(places.count("put")).toBe(2);
  // And of one account more than a change may be tried.
  const devices = Array.from({ length: 60 }, (_, n) => n + 100);
  const made = await Promise.all(devices.map((id) => sealingKeys(writer, ACCOUNT, [wish(id)])));
  const reader = fresh();
  for (const [n, [key]] of made.entries()) expect(await opens(reader, ACCOUNT, devices[n], key!)).toBe(true);
  places.left = 1;
  const failed = await Promise.allSettled(accounts.map((id) => sealingKeys(writer, id, [wish(id, DAY + 1)])));
  expect(failed.every(({ status }) => status === "rejected")).toBe(true);
  places.left = Number.POSITIVE_INFINITY;
  expect(await sealingKeys(writer, 1, [wish(1, DAY + 1)])).not.toContain(null);
});

test("a copy does not open in the place of another, nor under another name", async () => {
  const [key] = await sealing(base, wish(1));
  await sealingKeys(base, 8, [wish(1)]);
  await refreshEscrow(base);
  const bytes = (await places.of("a").get(NAME))!.bytes;
  for (const label of ["b", "escrow"] as const) {
    await places.replace(label, NAME, bytes);
    expect(await places.opened(base, label, NAME)).toBe(null);
  }
  await places.replace("a", "account/8", bytes);
  expect(await places.opened(base, "a", "account/8")).toBe(null);
  const { dayKid, deviceKid } = key;
  expect(await openingKeys(fresh(), 8, [{ deviceId: 1, dayKid, deviceKid }])).toEqual([null]);
});

describe("another root key", () => {
  const OLD = "00".repeat(32);
  const NEW = "a7".repeat(32);
  const withKeys = (rootKey: string, ...oldRootKeys: string[]): TestBase => {
    const isolate = fresh();
    return { ...isolate, config: { ...isolate.config, rootKey, oldRootKeys } };
  };

  test("rewrap() wraps every copy anew; until then the old key opens, and after it is needed no more", async () => {
    const [key] = await sealing(base, wish(1));
    await accountKey(base, 8, "name", { make: true });
    await destroyDevice(base, 8, 4);
    await refreshEscrow(base);
    const both = withKeys(NEW, "b1".repeat(32), OLD);
    expect(await opens(both, ACCOUNT, 1, key)).toBe(true);
    await sealing(both, wish(2));
    expect(await checkKeys(both)).toMatchObject({ objects: 3, oldRootKey: 7, foreign: 0 });
    // What the change above wrote is under the new key already: two of ten copies.
    expect(await rewrap(both)).toBe(8);
    expect(await rewrap(both)).toBe(0);
    const after = withKeys(NEW);
    expect(await checkKeys(after)).toMatchObject({ oldRootKey: 0, foreign: 0, missing: 0, damaged: 0, behind: 0 });
    expect(await opens(after, ACCOUNT, 1, key)).toBe(true);
    expect(await sealingKeys(after, 8, [wish(4)])).toEqual([null]);
    for (const label of ["a", "b"] as const) await places.of(label).delete(NAME);
    await expect(opens(withKeys(NEW), ACCOUNT, 1, key)).rejects.toEqual(unavailable);
    expect(await restoreFromEscrow(after)).toBe(1);
    expect(await opens(withKeys(NEW), ACCOUNT, 1, key)).toBe(true);
  });

  test("what it wrapped is neither read, nor taken for lost, nor written over", async () => {
    const [key] = await sealing(base, wish(1));
    await refreshEscrow(base);
    await destroyDays(base, ACCOUNT, "account", DAY - 5);
    const stored = async () => Promise.all(LABELS.map(async (label) => (await places.of(label).get(NAME))?.version));
    const before = await stored();
    const wrong = withKeys(NEW);
    await expect(opens(wrong, ACCOUNT, 1, key)).rejects.toEqual(unavailable);
    await expect(sealingKeys(wrong, ACCOUNT, [wish(2)])).rejects.toEqual(unavailable);
    await expect(destroyDevice(wrong, ACCOUNT, 1)).rejects.toEqual(unavailable);
    await expect(destroyAccount(wrong, ACCOUNT)).rejects.toEqual(unavailable);
    await expect(restoreFromEscrow(wrong)).rejects.toEqual(unavailable);
    wrong.advance(LIMITS.escrowMs);
    await expect(refreshEscrow(wrong)).rejects.toEqual(unavailable);
    expect(await rewrap(wrong)).toBe(0);
    expect(await checkKeys(wrong)).toMatchObject({ objects: 1, foreign: 3 });
    expect(await stored()).toEqual(before);
  });

  test("a third copy that cannot be judged keeps a destruction from being done, and stays as it is", async () => {
    const [key] = await sealing(base, wish(1, DAY - 1));
    const stranger = withKeys(NEW);
    await places.replace("escrow", NAME, await wrap(stranger, "escrow", NAME, (await places.opened(base, "a", NAME))!));
    const { version } = (await places.of("escrow").get(NAME))!;
    await expect(destroyDays(base, ACCOUNT, "account", DAY)).rejects.toEqual(unavailable);
    expect((await places.of("escrow").get(NAME))?.version).toBe(version);
    // With both keys it is completed.
    expect(await destroyDays(withKeys(OLD, NEW), ACCOUNT, "account", DAY)).toEqual([key.dayKid]);
  });

  test("half done, an isolate with either configuration reads what it can and breaks nothing", async () => {
    const [key] = await sealing(base, wish(1));
    // Copy A is under the new key already, B not yet.
    const both = withKeys(NEW, OLD);
    await rewrap(both);
    const a = (await places.of("a").get(NAME))!.bytes;
    const oldOnly = withKeys(OLD);
    await expect(opens(oldOnly, ACCOUNT, 1, key)).rejects.toEqual(unavailable);
    await sealing(base, wish(1)).catch(() => undefined);
    expect((await places.of("a").get(NAME))!.bytes).toEqual(a);
    expect(await opens(withKeys(NEW), ACCOUNT, 1, key)).toBe(true);
  });
});

test("no log line of the key store shows a secret", async () => {
  await sealing(base, wish(1));
  const { secrets } = (await places.opened(base, "a", NAME))!;
  await places.garble("a", NAME);
  const reader = fresh();
  await sealing(reader, wish(1));
  expect(reader.logged).toEqual(['warn vault.healed {"copy":"a","state":"damaged"}']);
  for (const { bytes } of secrets) expect(reader.logged.join()).not.toContain(Buffer.from(bytes).toString("hex"));
});
