import { afterEach, beforeEach, expect, test } from "vitest";
import { authenticate } from "../../src/access.ts";
import type { UserPrincipal } from "../../src/context.ts";
import { createKey, createOwnKey, listKeys, listOwnKeys, ownKey, revokeKey, revokeOwnKey } from "../../src/keys.ts";
import { LIMITS } from "../../src/limits.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  aSessionRow,
  asKey,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let userId: number;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  userId = (await aUser(database.db, { role: "manager", accountId, name: "Mia" })).id;
  await aSessionRow(database.db, userId);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const as = (more: Partial<UserPrincipal> = {}) =>
  aContext(base, asUser(accountId, userId, { role: "manager", ...more }));
const device = async () => (await aDevice(database.db, { accountId })).id;
const actions = async () =>
  (await database.client.execute("SELECT actor, action, account_id, subject FROM audit ORDER BY id")).rows.map((row) =>
    Array.from({ length: 4 }, (_, i) => row[i]).join(" "),
  );

test("createOwnKey() makes a key that works until its time, is the maker's, and is recorded", async () => {
  const expiresAt = NOON + 60_000;
  const { key, ...row } = await createOwnKey(as(), { scope: "write", name: "Dashboard", expiresAt });
  expect(row).toMatchObject({ accountId, madeBy: userId, makerName: "Mia", expiresAt, devices: null, revokedAt: null });
  expect((await authenticate(base, key))?.principal).toMatchObject({
    kind: "key",
    accountId,
    scope: "write",
    devices: null,
  });
  await base.settled();
  base.at(expiresAt);
  expect(await authenticate(base, key)).toBeNull();
  expect(await actions()).toEqual([`user key.created ${accountId} key ${row.id}`]);
  expect(JSON.stringify((await database.client.execute("SELECT * FROM api_keys")).rows)).not.toContain(key);
});

test("createOwnKey() limits a key to devices that exist for its maker", async () => {
  const [one, two] = [await device(), await device()];
  const { id: foreign } = await aDevice(database.db);
  const limited = as({ devices: [one, two], editable: [one] });
  const other = await device();
  const made = await createOwnKey(limited, { scope: "write", devices: [one] });
  expect((await authenticate(base, made.key))?.principal).toMatchObject({ devices: [one] });
  expect((await createOwnKey(limited, { scope: "read" })).devices).toEqual([one, two]);
  for (const devices of [[other], [one, foreign], [foreign]]) {
    await expect(createOwnKey(limited, { scope: "read", devices })).rejects.toMatchObject({
      code: "not_found",
      message: "No such device",
    });
  }
  await expect(createOwnKey(as(), { scope: "read", devices: [foreign] })).rejects.toMatchObject({ code: "not_found" });
  await expect(createOwnKey(as(), { scope: "read", devices: [] })).rejects.toMatchObject({ field: "devices" });
});

test("createOwnKey() lets no key write to what its maker may only see", async () => {
  const [one, two] = [await device(), await device()];
  const limited = as({ devices: [one, two], editable: [one] });
  for (const devices of [undefined, [one, two], [two]]) {
    await expect(createOwnKey(limited, { scope: "write", devices })).rejects.toMatchObject({
      code: "forbidden",
      field: "scope",
    });
  }
  expect(await createOwnKey(limited, { scope: "read", devices: [two] })).toMatchObject({ scope: "read" });
});

test("keys make no keys, and viewers neither", async () => {
  for (const ctx of [aContext(base, asKey(accountId, "write")), as({ role: "viewer" }), aContext(base)]) {
    await expect(createOwnKey(ctx, { scope: "read" })).rejects.toMatchObject({ code: "forbidden" });
  }
  expect(await listKeys(aContext(base), accountId, 0, 10)).toEqual([]);
});

test("createKey() refuses a time that is over, and a key too many; those that ended make room", async () => {
  await expect(createKey(aContext(base), accountId, { scope: "read", expiresAt: NOON })).rejects.toMatchObject({
    field: "expiresAt",
  });
  await database.client.execute({
    sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
      INSERT INTO api_keys (account_id, scope, hash, created_at, expires_at) SELECT ?, 'read', 'h' || i, ?, ? FROM n`,
    args: [LIMITS.keysPerAccount, accountId, NOON, NOON + 1000],
  });
  await expect(createOwnKey(as(), { scope: "read" })).rejects.toMatchObject({ code: "conflict" });
  base.advance(1000);
  expect(await createOwnKey(as(), { scope: "read" })).toMatchObject({ scope: "read" });
});

test("revokeOwnKey() ends a key of the account at once, and no other's", async () => {
  const { id, key } = await createKey(aContext(base), accountId, { scope: "read" });
  const foreign = await createKey(aContext(base), await anAccount(database.db), { scope: "read" });
  await revokeOwnKey(as(), id);
  expect(await authenticate(base, key)).toBeNull();
  await expect(revokeOwnKey(as(), id)).rejects.toMatchObject({ code: "not_found" });
  await expect(revokeOwnKey(as(), foreign.id)).rejects.toMatchObject({ code: "not_found", message: "No such key" });
  expect(await authenticate(base, foreign.key)).not.toBeNull();
  await revokeKey(aContext(base, { kind: "admin" }), foreign.id);
  expect(await authenticate(base, foreign.key)).toBeNull();
  expect((await actions()).filter((line) => line.includes("revoked"))).toEqual([
    `user key.revoked ${accountId} key ${id}`,
    `admin_token key.revoked ${foreign.accountId} key ${foreign.id}`,
  ]);
});

test("who is limited to some devices sees and ends the keys that they made", async () => {
  const one = await device();
  const everything = await createKey(aContext(base), accountId, { scope: "write", name: "Everything" });
  const limited = as({ devices: [one], editable: [one] });
  const own = await createOwnKey(limited, { scope: "read" });
  expect((await listOwnKeys(limited, 0, 10)).map(({ id }) => id)).toEqual([own.id]);
  expect((await listOwnKeys(as(), 0, 10)).map(({ id }) => id)).toEqual([everything.id, own.id]);
  await expect(ownKey(limited, everything.id)).rejects.toMatchObject({ code: "not_found" });
  await expect(revokeOwnKey(limited, everything.id)).rejects.toMatchObject({ code: "not_found" });
  await revokeOwnKey(limited, own.id);
});
