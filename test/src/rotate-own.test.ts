import { afterEach, beforeEach, expect, test } from "vitest";
import { sealAnew } from "../../src/rotate-own.ts";
import { userById } from "../../src/store/users.ts";
import { makeToken, readToken } from "../../src/tokens.ts";
import { destroyOldOwnSecrets, ownSecretsOf, rotateOwnSecret } from "../../src/vault.ts";
import { aBase, aDatabase, aDevice, anAccount, aUser, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(() => database.close());

const dump = async () => {
  const of = async (sql: string) =>
    (await database.client.execute(sql)).rows.map((row) => Array.from({ length: row.length }, (_, i) => row[i]));
  return {
    users: await of("SELECT id, email, name, mobile FROM users ORDER BY id"),
    devices: await of("SELECT id, imei, name FROM devices"),
  };
};

test("sealAnew() leaves nothing under the old secret, and everything readable as it was", async () => {
  const [accountId, other] = [await anAccount(database.db), await anAccount(database.db)];
  const user = await aUser(database.db, { accountId, role: "owner" });
  const theirs = await aUser(database.db, { accountId: other, role: "owner" });
  const device = await aDevice(database.db, { accountId, name: "Van" });
  const link = await makeToken(base, "reset", { userId: user.id, payload: "somebody@example.com", lifeMs: 3_600_000 });
  const before = { user: await userById(database.db, user.id), theirs: await userById(database.db, theirs.id) };
  const stored = await dump();

  expect(await rotateOwnSecret(base, accountId)).toBe(true);
  // Under the old secret, and readable while there are two.
  expect(await userById(database.db, user.id)).toEqual(before.user);
  expect(await ownSecretsOf(base, accountId)).toBe(2);
  const { rows, kids } = await sealAnew(base, accountId);
  expect(rows).toBeGreaterThan(3);
  expect(kids).toHaveLength(1);
  expect(await ownSecretsOf(base, accountId)).toBe(1);

  expect(await userById(database.db, user.id)).toEqual(before.user);
  expect(await userById(database.db, theirs.id)).toEqual(before.theirs);
  expect((await readToken(base, "reset", link))?.payload).toBe("somebody@example.com");
  const now = await dump();
  expect(now.users.find(([id]) => id === theirs.id)).toEqual(stored.users.find(([id]) => id === theirs.id));
  const [own, was] = [now, stored].map(({ users }) => users.find(([id]) => id === user.id)!);
  for (const [i, value] of was!.entries()) if (i > 0 && value !== null) expect(own![i]).not.toBe(value);
  expect(now.devices[0]![1]).not.toBe(stored.devices[0]![1]);

  // What a copy of the database from before holds opens no more.
  await database.client.execute({ sql: "UPDATE users SET email = ? WHERE id = ?", args: [was![1] as string, user.id] });
  expect((await userById(database.db, user.id))?.email).toBe("");
  expect(device.id).toBeGreaterThan(0);
});

test("sealAnew() that stopped half-way goes on, and an erased account gets no other secret", async () => {
  const accountId = await anAccount(database.db);
  const user = await aUser(database.db, { accountId, role: "owner" });
  const before = await userById(database.db, user.id);
  await rotateOwnSecret(base, accountId);
  const { batch } = database.client;
  let writes = 0;
  Object.assign(database.client, {
    batch: (...args: Parameters<typeof batch>) =>
      ++writes > 1 ? Promise.reject(new Error("stopped")) : batch.apply(database.client, args),
  });
  await expect(sealAnew(base, accountId)).rejects.toThrow();
  Object.assign(database.client, { batch });
  expect(await userById(database.db, user.id)).toEqual(before);
  // What was done is not done again: of two rows one is left.
  expect(await sealAnew(base, accountId)).toMatchObject({ rows: 1, kids: [expect.any(Number)], done: true });
  expect(await userById(database.db, user.id)).toEqual(before);
  expect(await destroyOldOwnSecrets(base, accountId)).toEqual([]);
  expect(await rotateOwnSecret(base, 987_654)).toBe(false);
});

test("sealAnew() ends when its time is over and destroys nothing before all is done", async () => {
  const accountId = await anAccount(database.db);
  const user = await aUser(database.db, { accountId, role: "owner" });
  await rotateOwnSecret(base, accountId);
  expect(await sealAnew(base, accountId, base.now())).toEqual({ rows: 0, kids: [], done: false });
  expect(await ownSecretsOf(base, accountId)).toBe(2);
  const { execute } = database.client;
  Object.assign(database.client, {
    execute: (statement: string) => {
      base.advance(1000);
      return execute.call(database.client, statement);
    },
  });
  for (let run = 0; run < 99 && !(await sealAnew(base, accountId, base.now() + 20_000)).done; run++);
  Object.assign(database.client, { execute });
  expect(await ownSecretsOf(base, accountId)).toBe(1);
  expect(await userById(database.db, user.id)).toMatchObject({ email: user.email });
});
