import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { toBase64Url } from "../../client/base64.ts";
import { newKeyFile } from "../../client/key-file.ts";
import type { Ctx } from "../../src/context.ts";
import {
  addCustomerKey,
  customerKeyOf,
  isSealed,
  listCustomerKeys,
  type NewCustomerKey,
  revokeCustomerKey,
} from "../../src/customer-keys.ts";
import { LIMITS } from "../../src/limits.ts";
import { keysInUse } from "../../src/store/customer-keys.ts";
import { lookInto } from "../../src/support.ts";
import { aBase, aContext, aDatabase, anAccount, asUser, aUser, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let owner: Ctx;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  const user = await aUser(database.db, { role: "owner", accountId, email: "owner@edge.test" });
  owner = aContext(base, asUser(accountId, user.id));
});
afterEach(async () => {
  await base.settled();
  database.close();
});

async function aKey(more: Partial<NewCustomerKey> = {}): Promise<NewCustomerKey> {
  const { publicKey, check } = await newKeyFile(base.now());
  return { kind: "everyday", publicKey, check, lostKeyIsFinal: true, ...more };
}

const subjects = async () => {
  await base.settled();
  return base.sent.splice(0).map(({ to, subject }) => `${to}: ${subject}`);
};

describe("addCustomerKey()", () => {
  test("keeps the public key, records the act and tells every owner", async () => {
    await aUser(database.db, { role: "owner", accountId, email: "second@edge.test" });
    await aUser(database.db, { role: "manager", accountId });
    const key = await aKey();
    const row = await addCustomerKey(owner, key);
    expect(toBase64Url(row.publicKey)).toBe(key.publicKey);
    expect(await isSealed(base, accountId)).toBe(true);
    expect(await isSealed(base, accountId + 1)).toBe(false);
    const { rows } = await database.client.execute("SELECT action, subject FROM audit");
    expect(rows.map((each) => [each.action, each.subject])).toEqual([["sealing.added", `sealing key ${row.id}`]]);
    expect((await subjects()).toSorted()).toEqual([
      "owner@edge.test: Positions are sealed to a new key",
      "second@edge.test: Positions are sealed to a new key",
    ]);
  });

  test("takes one key of each kind, and no key twice", async () => {
    const first = await aKey();
    await addCustomerKey(owner, first);
    await expect(addCustomerKey(owner, await aKey())).rejects.toMatchObject({ code: "conflict" });
    await expect(addCustomerKey(owner, { ...first, kind: "offline" })).rejects.toMatchObject({ code: "conflict" });
    await addCustomerKey(owner, await aKey({ kind: "offline" }));
    expect((await keysInUse(database.db, [accountId])).get(accountId)).toHaveLength(2);
  });

  const hex = (text: string) => toBase64Url(Uint8Array.from(text.match(/../g)!, (pair) => Number.parseInt(pair, 16)));
  const ZEROS = "00".repeat(31);
  // The points of small order, as RFC 7748 and https://cr.yp.to/ecdh.html list them: everybody would open what is sealed
  // to them. Then numbers that are another way of writing a key.
  test.each([
    ["all zero", hex(`00${ZEROS}`)],
    ["1", hex(`01${ZEROS}`)],
    ["of order 8", hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")],
    ["of order 8", hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")],
    ["p - 1", hex(`ec${"ff".repeat(30)}7f`)],
    ["p", hex(`ed${"ff".repeat(30)}7f`)],
    ["p + 1", hex(`ee${"ff".repeat(30)}7f`)],
    ["2^256 - 1", hex("ff".repeat(32))],
    ["with the bit that no key has", hex(`09${"00".repeat(30)}80`)],
    ["31 bytes", hex("09".repeat(31))],
    ["33 bytes", hex("09".repeat(33))],
    ["empty", ""],
    ["no base64url", "not a key !"],
  ])("refuses a public key that is %s", async (_, publicKey) => {
    const refused = addCustomerKey(owner, await aKey({ publicKey }));
    await expect(refused).rejects.toMatchObject({ code: "invalid", field: "publicKey" });
    expect(await listCustomerKeys(owner)).toEqual([]);
  });

  test("refuses who does not have the key's file, or did not say that a lost key is final", async () => {
    const { check } = await newKeyFile(0);
    await expect(addCustomerKey(owner, await aKey({ check }))).rejects.toMatchObject({ field: "check" });
    await expect(addCustomerKey(owner, await aKey({ check: "" }))).rejects.toMatchObject({ field: "check" });
    const unread = addCustomerKey(owner, await aKey({ lostKeyIsFinal: false }));
    await expect(unread).rejects.toMatchObject({ field: "lostKeyIsFinal" });
    const typed = await aKey();
    await addCustomerKey(owner, { ...typed, check: ` ${typed.check.toUpperCase().replace("-", " ")}` });
  });

  test("asks for a fresh proof, and so does revoking", async () => {
    const { id } = await addCustomerKey(owner, await aKey());
    base.advance(LIMITS.stepUpMs);
    const later = { ...owner, now: base.now };
    await expect(addCustomerKey(later, await aKey({ kind: "offline" }))).rejects.toMatchObject({
      code: "step_up_required",
    });
    await expect(revokeCustomerKey(later, id)).rejects.toMatchObject({ code: "step_up_required" });
  });
});

describe("revokeCustomerKey()", () => {
  test("ends sealing to it at once, and sealing at all with the last one", async () => {
    const everyday = await addCustomerKey(owner, await aKey());
    const offline = await addCustomerKey(owner, await aKey({ kind: "offline" }));
    await subjects();
    await revokeCustomerKey(owner, everyday.id);
    const left = (await keysInUse(database.db, [accountId])).get(accountId);
    expect(left?.map(({ id }) => id)).toEqual([offline.id]);
    expect(await subjects()).toEqual(["owner@edge.test: A sealing key was revoked"]);
    await revokeCustomerKey(owner, offline.id);
    expect(await isSealed(base, accountId)).toBe(false);
    expect(await subjects()).toEqual(["owner@edge.test: Positions are no longer sealed to your key"]);
    expect((await listCustomerKeys(owner)).map(({ revokedAt }) => revokedAt)).toEqual([base.now(), base.now()]);
    await expect(revokeCustomerKey(owner, offline.id)).rejects.toMatchObject({ code: "not_found" });
    await addCustomerKey(owner, await aKey());
  });

  test("does not find a key of another account", async () => {
    const { id } = await addCustomerKey(owner, await aKey());
    const strangerId = await anAccount(database.db);
    const stranger = aContext(base, asUser(strangerId, (await aUser(database.db, { role: "owner" })).id));
    await expect(customerKeyOf(stranger, id)).rejects.toMatchObject({ code: "not_found" });
    await expect(revokeCustomerKey(stranger, id)).rejects.toMatchObject({ code: "not_found" });
    expect(await listCustomerKeys(stranger)).toEqual([]);
  });
});

test("lookInto() lets nobody of the operator in, window or not, and writes that it was tried", async () => {
  const now = base.now();
  await database.client.execute({
    sql: "INSERT INTO support_windows (account_id, opened_at, expires_at) VALUES (?, ?, ?)",
    args: [accountId, now, now + 3_600_000],
  });
  const admin = aContext(base, { kind: "admin" });
  await lookInto(admin, accountId, null, "latest");
  await addCustomerKey(owner, await aKey());
  await expect(lookInto(admin, accountId, null, "latest")).rejects.toMatchObject({ code: "sealed" });
  const { rows } = await database.client.execute("SELECT count(*) FROM looks");
  expect(rows[0]![0]).toBe(1);
  const refused = await database.client.execute("SELECT account_id FROM audit WHERE action = 'look.refused'");
  expect(refused.rows.map((row) => row.account_id)).toEqual([accountId]);
});

test("keysInUse() gives the keys of just the accounts that have some", async () => {
  const otherId = await anAccount(database.db);
  const { publicKey } = await addCustomerKey(owner, await aKey());
  const found = await keysInUse(database.db, [otherId, accountId]);
  expect([...found.keys()]).toEqual([accountId]);
  expect(toBase64Url(found.get(accountId)![0]!.publicKey)).toBe(toBase64Url(publicKey));
});
