import { createDecipheriv, hkdfSync } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import {
  accountHashKey,
  accountKey,
  blindKey,
  destroyAccount,
  destroyDays,
  destroyDaysOf,
  destroyDevice,
  destroyDeviceSecret,
  destroyInboxKeys,
  inboxKey,
  newInboxKey,
  openingKeys,
  rotateDevice,
  type SealingKey,
  sealingKeys,
} from "../../src/vault.ts";
import { aDatabase, NOON, type TestBase, type TestDatabase } from "../database.ts";
import { anIsolate, KeyPlaces, opens } from "./key-places.ts";

const ACCOUNT = 7;
const DAY = 20_513;

let database: TestDatabase;
let places: KeyPlaces;
let one: TestBase;
let other: TestBase;
beforeAll(async () => {
  database = await aDatabase();
});
afterAll(() => database.close());
beforeEach(() => {
  places = new KeyPlaces();
  one = anIsolate(database.db, places);
  other = anIsolate(database.db, places);
});

const wish = (deviceId: number, day = DAY, scope = "account") => ({ deviceId, day, scope });
async function sealing(base: TestBase, ...wishes: ReturnType<typeof wish>[]): Promise<SealingKey[]> {
  const keys = await sealingKeys(base, ACCOUNT, wishes);
  return keys.map((key) => key ?? expect.fail("There is no key"));
}
const kids = (keys: readonly SealingKey[]) => keys.map(({ dayKid, deviceKid }) => [dayKid, deviceKid]);

test("sealingKeys() makes what is missing in one write of each copy, and finds it again elsewhere", async () => {
  const wishes = [wish(1), wish(2), wish(1, DAY + 1), wish(1, DAY, "device:1"), wish(2, DAY, "group:5"), wish(1)];
  const made = await sealing(one, ...wishes);
  expect(places.count("put", "account/7")).toBe(2);
  expect(kids(await sealing(other, ...wishes))).toEqual(kids(made));
  expect(kids(await sealing(one, ...wishes))).toEqual(kids(made));
  expect(places.count("put", "account/7")).toBe(2);
  // Two devices and four days, each with a kid of its own.
  const all = kids(made).flat();
  expect(new Set(all).size).toBe(6);
  for (const kid of all) expect(Number.isSafeInteger(kid) && kid >= 0 && kid < 2 ** 48).toBe(true);
  for (const [i, key] of made.entries()) expect(await opens(other, ACCOUNT, wishes[i].deviceId, key)).toBe(true);
});

test("a key is HKDF-SHA-256 of the day's and the device's secret", async () => {
  const [{ dayKid, deviceKid, key }] = await sealing(one, wish(1));
  const { secrets } = (await places.opened(one, "b", "account/7"))!;
  const secretOf = (kid: number) => secrets.find((secret) => secret.kid === kid)!.bytes;
  const material = Buffer.concat([secretOf(dayKid), secretOf(deviceKid)]);
  const raw = Buffer.from(hkdfSync("sha256", material, Buffer.alloc(32), "pos|v1", 32));
  const iv = Buffer.alloc(12, 3);
  const sealed = Buffer.from(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, Buffer.from("a position")));
  const decipher = createDecipheriv("aes-256-gcm", raw, iv).setAuthTag(sealed.subarray(-16));
  expect(decipher.update(sealed.subarray(0, -16)).toString() + decipher.final().toString()).toBe("a position");
});

test("openingKeys() of 1,000 keys of an account reads its object once, and then not at all", async () => {
  const wishes = Array.from({ length: 1000 }, (_, i) => wish(i % 40, DAY + Math.floor(i / 40)));
  const made = await sealing(one, ...wishes);
  const wanted = made.map(({ dayKid, deviceKid }, i) => ({ deviceId: wishes[i].deviceId, dayKid, deviceKid }));
  places.calls.length = 0;
  expect((await openingKeys(other, ACCOUNT, wanted)).filter((key) => key !== null)).toHaveLength(1000);
  expect(places.count("get", "account/7")).toBe(1);
  // That nothing was destroyed is looked up in both copies and, as there is no list yet, the escrow.
  expect(places.calls.filter(({ name }) => name !== "account/7").every(({ name }) => name === "shreds")).toBe(true);
  places.calls.length = 0;
  await openingKeys(other, ACCOUNT, wanted);
  expect(places.calls).toEqual([]);
});

test("openingKeys() gives no key to another device, nor for kids of the wrong kind or of another account", async () => {
  const [{ dayKid, deviceKid }] = await sealing(one, wish(1), wish(2));
  await sealingKeys(one, 8, [wish(1)]);
  expect(
    await openingKeys(one, ACCOUNT, [
      { deviceId: 2, dayKid, deviceKid },
      { deviceId: 1, dayKid: deviceKid, deviceKid: dayKid },
      { deviceId: 1, dayKid, deviceKid: dayKid },
    ]),
  ).toEqual([null, null, null]);
  expect(await openingKeys(one, 8, [{ deviceId: 1, dayKid, deviceKid }])).toEqual([null]);
  expect(await openingKeys(one, 9, [{ deviceId: 1, dayKid, deviceKid }])).toEqual([null]);
});

test("a secret that another isolate made is found at once, by one look at both copies", async () => {
  const [first] = await sealing(one, wish(1));
  expect(await opens(other, ACCOUNT, 1, first)).toBe(true);
  const [second] = await sealing(one, wish(1, DAY + 1));
  places.calls.length = 0;
  expect(await opens(other, ACCOUNT, 1, second)).toBe(true);
  expect(places.count("get", "account/7")).toBe(2);
});

test("kids that are gone are not looked for again and again, however many rows carry them", async () => {
  const made = await sealing(one, ...Array.from({ length: 50 }, (_, i) => wish(1, DAY + i)));
  await sealing(one, wish(1, DAY + 60));
  await destroyDays(one, ACCOUNT, "account", DAY + 60);
  const wanted = made.map(({ dayKid, deviceKid }) => ({ deviceId: 1, dayKid, deviceKid }));
  await openingKeys(other, ACCOUNT, wanted.slice(0, 1));
  places.calls.length = 0;
  for (let i = 0; i < 5; i++) {
    expect(new Set(await openingKeys(other, ACCOUNT, wanted))).toEqual(new Set([null]));
  }
  expect(places.count("get", "account/7")).toBe(2);
  // Nor are they after something else was read anew.
  const [added] = await sealing(one, wish(3));
  expect(await opens(other, ACCOUNT, 3, added)).toBe(true);
  places.calls.length = 0;
  await openingKeys(other, ACCOUNT, wanted);
  expect(places.count("get", "account/7")).toBe(0);
  other.advance(LIMITS.vaultAbsentMs);
  await openingKeys(other, ACCOUNT, wanted);
  expect(places.count("get", "account/7")).toBe(2);
});

test("destroyDays() destroys the days of one scope that are over: here at once, elsewhere within a minute", async () => {
  const wishes = [wish(1, DAY - 2), wish(2, DAY - 1), wish(1, DAY), wish(1, DAY - 2, "device:1")];
  const made = await sealing(one, ...wishes);
  for (const [i, key] of made.entries()) expect(await opens(other, ACCOUNT, wishes[i].deviceId, key)).toBe(true);
  const gone = await destroyDays(one, ACCOUNT, "account", DAY);
  expect(new Set(gone)).toEqual(new Set([made[0].dayKid, made[1].dayKid]));
  const readable = async (base: TestBase) =>
    Promise.all(made.map((key, i) => opens(base, ACCOUNT, wishes[i].deviceId, key)));
  expect(await readable(one)).toEqual([false, false, true, true]);
  expect(await readable(anIsolate(database.db, places))).toEqual([false, false, true, true]);
  other.advance(LIMITS.shredEveryMs - 1);
  expect(await readable(other)).toEqual([true, true, true, true]);
  other.advance(1);
  expect(await readable(other)).toEqual([false, false, true, true]);
  // What is sealed for such a day from now on, is so under another secret.
  expect((await sealing(one, wishes[0]))[0].dayKid).not.toBe(made[0].dayKid);
  for (const label of ["a", "b", "escrow"] as const) {
    const left = (await places.opened(one, label, "account/7"))!.secrets.map(({ kid }) => kid);
    for (const kid of gone) expect(left).not.toContain(kid);
  }
});

test("destroyDaysOf() tells of the days of many accounts at once, and of nothing when there is nothing", async () => {
  for (let id = 1; id <= 20; id++) await sealingKeys(one, id, [wish(1), wish(1, DAY, "group:1"), wish(1, DAY + 1)]);
  places.calls.length = 0;
  const scopes = [
    { scope: "account", beforeDay: DAY + 1 },
    { scope: "group:1", beforeDay: DAY + 1 },
  ];
  const accounts = Array.from({ length: 20 }, (_, i) => ({ accountId: i + 1, scopes }));
  expect((await destroyDaysOf(one, accounts)).map((gone) => gone.length)).toEqual(Array(20).fill(2));
  expect(places.count("put", "shreds")).toBe(3);
  expect(places.count("put", "account/1")).toBe(3);
  places.calls.length = 0;
  expect((await destroyDaysOf(one, accounts)).flat()).toEqual([]);
  expect(places.count("put")).toBe(0);
});

test("destroyDaysOf() comes to its end for the others where one account's secrets cannot be reached", async () => {
  for (const id of [1, 2, 3]) await sealingKeys(one, id, [wish(1), wish(1, DAY + 1)]);
  for (const label of ["a", "b"] as const) await places.garble(label, "account/2");
  const accounts = [1, 2, 3].map((accountId) => ({ accountId, scopes: [{ scope: "account", beforeDay: DAY + 1 }] }));
  await expect(destroyDaysOf(one, accounts)).rejects.toMatchObject({ code: "unavailable" });
  const listed = (await places.opened(one, "escrow", "shreds"))!.shreds!.list.map(({ name }) => name);
  expect(listed.sort()).toEqual(["account/1", "account/3"]);
  for (const id of [1, 3]) {
    const left = (await places.opened(one, "escrow", `account/${id}`))!.secrets.filter(({ kind }) => kind === "day");
    expect(left.map(({ of }) => of)).toEqual([DAY + 1]);
  }
});

test("destroyDevice() is for ever", async () => {
  const [first, own, second] = await sealing(one, wish(1), wish(1, DAY, "device:1"), wish(2));
  const gone = await destroyDevice(one, ACCOUNT, 1);
  expect(new Set(gone)).toEqual(new Set([first.deviceKid, own.dayKid]));
  expect(await destroyDevice(one, ACCOUNT, 1)).toEqual([]);
  for (const base of [one, anIsolate(database.db, places)]) {
    const keys = await sealingKeys(base, ACCOUNT, [wish(1), wish(2), wish(1, DAY + 1)]);
    expect(keys.map((key) => key !== null)).toEqual([false, true, false]);
    expect(await opens(base, ACCOUNT, 1, first)).toBe(false);
    expect(await opens(base, ACCOUNT, 2, second)).toBe(true);
    expect(await rotateDevice(base, ACCOUNT, 1)).toBe(null);
  }
  // One that never had a secret gets none either.
  expect(await destroyDevice(one, ACCOUNT, 3)).toEqual([]);
  expect(await sealingKeys(anIsolate(database.db, places), ACCOUNT, [wish(3)])).toEqual([null]);
});

test("destroyAccount() leaves nothing, and nothing is made there again", async () => {
  const [first] = await sealing(one, wish(1), wish(2));
  await accountKey(one, ACCOUNT, "profile", { make: true });
  expect(await destroyAccount(one, ACCOUNT)).toHaveLength(4);
  expect(await destroyAccount(one, ACCOUNT)).toEqual([]);
  for (const base of [one, anIsolate(database.db, places)]) {
    expect(await sealingKeys(base, ACCOUNT, [wish(1), wish(9)])).toEqual([null, null]);
    expect(await opens(base, ACCOUNT, 1, first)).toBe(false);
    expect(await accountKey(base, ACCOUNT, "profile", { make: true })).toBe(null);
    expect(await rotateDevice(base, ACCOUNT, 2)).toBe(null);
  }
  for (const label of ["a", "b", "escrow"] as const) {
    expect(await places.opened(one, label, "account/7")).toMatchObject({ gone: true, secrets: [] });
  }
  // Also one that never had a key.
  await destroyAccount(one, 12);
  expect(await sealingKeys(other, 12, [wish(1)])).toEqual([null]);
});

test("rotateDevice() seals with a new secret; the old one opens until it is destroyed", async () => {
  const [before] = await sealing(one, wish(1));
  await sealing(other, wish(1));
  const { kid, oldKids } = (await rotateDevice(one, ACCOUNT, 1))!;
  expect(oldKids).toEqual([before.deviceKid]);
  const [after] = await sealing(one, wish(1));
  expect([after.deviceKid, after.dayKid]).toEqual([kid, before.dayKid]);
  other.advance(LIMITS.shredEveryMs);
  expect((await sealing(other, wish(1)))[0].deviceKid).toBe(kid);
  expect(await opens(other, ACCOUNT, 1, before)).toBe(true);
  expect(await destroyDeviceSecret(one, ACCOUNT, before.deviceKid)).toEqual([before.deviceKid]);
  expect([await opens(one, ACCOUNT, 1, before), await opens(one, ACCOUNT, 1, after)]).toEqual([false, true]);
});

test("accountKey() is another for each purpose and account, and made only when asked for", async () => {
  const iv = new Uint8Array(12);
  const sealed = async (key: CryptoKey | null) =>
    key && Buffer.from(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, iv)).toString("hex");
  expect(await accountKey(one, 1, "name")).toBe(null);
  const made = await sealed(await accountKey(one, 1, "name", { make: true }));
  expect(await sealed(await accountKey(other, 1, "name"))).toBe(made);
  expect(await sealed(await accountKey(other, 1, "name", { make: true }))).toBe(made);
  const others = [await accountKey(one, 1, "mobile"), await accountKey(one, 2, "name", { make: true })];
  expect(new Set([made, ...(await Promise.all(others.map(sealed)))]).size).toBe(3);
  const hash = await accountHashKey(one, 1, "name");
  expect(hash?.algorithm).toMatchObject({ name: "HMAC", hash: { name: "SHA-256" } });
  expect(await accountHashKey(one, 3, "name")).toBe(null);
});

test("an account's secret that another isolate made is found although this one had looked", async () => {
  await sealing(one, wish(1));
  expect(await accountKey(other, ACCOUNT, "name")).toBe(null);
  await accountKey(one, ACCOUNT, "name", { make: true });
  other.advance(LIMITS.vaultAbsentMs);
  expect(await accountKey(other, ACCOUNT, "name")).not.toBe(null);
});

test("blindKey() is one for the installation, and in the escrow from the start", async () => {
  const tag = async (base: TestBase) =>
    Buffer.from(await crypto.subtle.sign("HMAC", await blindKey(base), Buffer.from("353358017784062"))).toString("hex");
  const [a, b] = await Promise.all([tag(one), tag(other)]);
  expect([a, await tag(anIsolate(database.db, places))]).toEqual([b, b]);
  expect((await places.opened(one, "escrow", "pepper"))?.secrets).toHaveLength(1);
});

test("destroyInboxKeys() takes no key that may still be used", async () => {
  const first = await newInboxKey(one, "eu1");
  expect(await inboxKey(other, "eu1", first)).not.toBe(null);
  expect(await inboxKey(other, "us1", first)).toBe(null);
  const later = (ms: number) => {
    for (const base of [one, other]) base.advance(ms);
  };
  later(LIMITS.inboxKeyMs);
  const second = await newInboxKey(other, "eu1");
  expect(second).not.toBe(first);
  expect(await inboxKey(one, "eu1", second)).not.toBe(null);
  // What the first one sealed may be on its way still.
  expect(await destroyInboxKeys(one, "eu1", [])).toEqual([]);
  later(LIMITS.inboxKeyGraceMs);
  expect(await destroyInboxKeys(one, "eu1", [first])).toEqual([]);
  expect(await destroyInboxKeys(one, "eu1", [])).toEqual([first]);
  expect(await inboxKey(one, "eu1", first)).toBe(null);
  expect(await inboxKey(other, "eu1", second)).not.toBe(null);
  other.advance(LIMITS.shredEveryMs);
  expect(await inboxKey(other, "eu1", first)).toBe(null);
});

test("twenty isolates that make secrets at once lose none", async () => {
  const isolates = Array.from({ length: 20 }, () => anIsolate(database.db, places));
  const made = await Promise.all(
    isolates.map((base, i) => sealing(base, wish(100 + i), wish(1, DAY + (i % 4)), wish(100 + i, DAY + i))),
  );
  const wishes = isolates.map((_, i) => [wish(100 + i), wish(1, DAY + (i % 4)), wish(100 + i, DAY + i)]);
  const reader = anIsolate(database.db, places);
  for (const [i, keys] of made.entries()) {
    for (const [j, key] of keys.entries()) expect(await opens(reader, ACCOUNT, wishes[i][j].deviceId, key)).toBe(true);
  }
  // Of what several wanted, all were given the same.
  expect(new Set(made.map((keys) => keys[1].deviceKid)).size).toBe(1);
  expect((await places.opened(one, "a", "account/7"))?.secrets).toHaveLength(21 + 20);
});

test("a destruction and a new secret at once: the one is gone, the other is there", async () => {
  const [old] = await sealing(one, wish(1, DAY - 1), wish(1));
  const [[added]] = await Promise.all([
    sealing(other, wish(2)),
    destroyDays(one, ACCOUNT, "account", DAY),
    destroyDevice(anIsolate(database.db, places), ACCOUNT, 3),
  ]);
  const reader = anIsolate(database.db, places);
  expect([await opens(reader, ACCOUNT, 1, old), await opens(reader, ACCOUNT, 2, added)]).toEqual([false, true]);
  expect(await sealingKeys(reader, ACCOUNT, [wish(3)])).toEqual([null]);
});

test("what was read, or derived, before a destruction is not remembered after it", async () => {
  const [key, later] = await sealing(one, wish(1, DAY - 2), wish(1, DAY - 1));
  const warm = async () => {
    const base = anIsolate(database.db, places);
    await sealingKeys(base, 8, [wish(1)]);
    return base;
  };
  const reader = await warm();
  // It has read the object of before when the destruction happens, in the same isolate.
  places.meanwhile = () => destroyDays(reader, ACCOUNT, "account", DAY - 1);
  await opens(reader, ACCOUNT, 1, key);
  expect(await opens(reader, ACCOUNT, 1, key)).toBe(false);

  const deriving = await warm();
  const { deriveKey } = crypto.subtle;
  const spy = vi.spyOn(crypto.subtle, "deriveKey").mockImplementationOnce(async (...args) => {
    await destroyDays(deriving, ACCOUNT, "account", DAY);
    return deriveKey.apply(crypto.subtle, args as never);
  });
  await opens(deriving, ACCOUNT, 1, later);
  spy.mockRestore();
  expect(await opens(deriving, ACCOUNT, 1, later)).toBe(false);
});

test("nothing is given out that may have been destroyed: without the list there is no key after a minute", async () => {
  const [key] = await sealing(one, wish(1));
  expect(await opens(other, ACCOUNT, 1, key)).toBe(true);
  places.left = 0;
  other.advance(LIMITS.shredEveryMs - 1);
  expect(await opens(other, ACCOUNT, 1, key)).toBe(true);
  other.advance(1);
  await expect(opens(other, ACCOUNT, 1, key)).rejects.toThrow();
  places.left = Number.POSITIVE_INFINITY;
  expect(await opens(other, ACCOUNT, 1, key)).toBe(true);
});

test("an isolate that missed part of the list forgets everything", async () => {
  const [key] = await sealing(one, wish(1, DAY - 1));
  expect(await opens(other, ACCOUNT, 1, key)).toBe(true);
  await destroyDays(one, ACCOUNT, "account", DAY);
  // By when the list is read again, this destruction is not on it any more.
  one.at(NOON + LIMITS.shredsMs + 1);
  await destroyDevice(one, 8, 1);
  await destroyDevice(one, 8, 2);
  expect((await places.opened(one, "a", "shreds"))?.shreds?.list).toHaveLength(2);
  other.advance(LIMITS.shredEveryMs);
  expect(await opens(other, ACCOUNT, 1, key)).toBe(false);
});
