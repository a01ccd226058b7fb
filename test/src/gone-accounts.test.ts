import { afterEach, beforeEach, expect, test } from "vitest";
import { destroyGoneAccounts } from "../../src/gone-accounts.ts";
import { LIMITS } from "../../src/limits.ts";
import { purgeUnconfirmed } from "../../src/retention.ts";
import { signUp } from "../../src/signup.ts";
import { insertAccount, reserveAccountId } from "../../src/store/accounts.ts";
import { userByEmail } from "../../src/store/users.ts";
import { accountKey } from "../../src/vault.ts";
import { aBase, aContext, aDatabase, anAccount, NOON, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const has = async (accountId: number) => (await accountKey(base, accountId, "fields")) !== null;
const left = async () => (await database.client.execute("SELECT id, seen FROM gone_accounts")).rows.length;

test("destroyGoneAccounts() destroys the secret of an account that is gone, and of no other", async () => {
  const [gone, stays] = [await anAccount(database.db), await anAccount(database.db)];
  // Both were reserved once, which is forgotten as they are there.
  expect(await destroyGoneAccounts(base)).toBe(0);
  const [row] = (await database.client.execute(`SELECT name FROM accounts WHERE id = ${gone}`)).rows;
  await database.client.execute(`DELETE FROM accounts WHERE id = ${gone}`);
  // A copy of before, in which its row is still there.
  const copy = { id: gone, name: String(row!.name) };
  expect(await base.db.$fields.open("accounts", [copy], gone)).toMatchObject([{ name: "Acme" }]);
  expect(await destroyGoneAccounts(base)).toBe(0);
  expect(await destroyGoneAccounts(base)).toBe(1);
  expect(await base.db.$fields.open("accounts", [copy], gone)).toMatchObject([{ name: "" }]);
  expect([await has(gone), await has(stays), await left()]).toEqual([false, true, 0]);
});

test("a number that is reserved keeps its secret until it is used, also when the job comes between", async () => {
  const id = await reserveAccountId(database.db);
  await base.db.$fields.seal("accounts", id, { name: "Acme" });
  expect(await destroyGoneAccounts(base)).toBe(0);
  expect(await has(id)).toBe(true);
  expect(await destroyGoneAccounts(base)).toBe(1);
  expect(await has(id)).toBe(false);
  await insertAccount(database.db, { name: "Next", createdAt: NOON });
  expect(await destroyGoneAccounts(base)).toBe(0);
});

test("a sign-up of an address that is known leaves no secret, and one that nobody confirms none after its week", async () => {
  const ctx = aContext(base, { kind: "anonymous" });
  await signUp(ctx, { email: "ada@example.com" });
  await signUp(ctx, { email: "ada@example.com" });
  const { accountId } = (await userByEmail(database.db, "ada@example.com"))!;
  await destroyGoneAccounts(base);
  expect(await destroyGoneAccounts(base)).toBe(1);
  expect(await has(accountId!)).toBe(true);
  base.advance(LIMITS.unverifiedMs + 1);
  expect(await purgeUnconfirmed(base)).toBe(1);
  await destroyGoneAccounts(base);
  expect(await destroyGoneAccounts(base)).toBe(1);
  expect([await has(accountId!), await left()]).toEqual([false, 0]);
});
