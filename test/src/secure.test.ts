import { TOTP } from "otpauth";
import { afterEach, beforeEach, expect, test } from "vitest";
import { authenticate, authenticateSession, newToken } from "../../src/access.ts";
import type { Ctx } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import { hashPassword, isPassword } from "../../src/passwords.ts";
import { changePassword, prove } from "../../src/proof.ts";
import { confirmTotp, startTotp } from "../../src/second-factor.ts";
import { askToSecure, listSecurityActs, secureAccount, secureByLink } from "../../src/secure.ts";
import { countRecoveryCodes } from "../../src/store/factors.ts";
import { insertKey } from "../../src/store/keys.ts";
import { insertPasskey, listPasskeys } from "../../src/store/passkeys.ts";
import { updateUser, userById } from "../../src/store/users.ts";
import { makeToken, readToken } from "../../src/tokens.ts";
import {
  aBase,
  aContext,
  aDatabase,
  anAccount,
  aSession,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

const PASSWORD = "four plain words here";
let database: TestDatabase;
let base: TestBase;
let accountId: number;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(base.db);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

async function person(role: "owner" | "manager" | "viewer" | "support" = "owner", of: number | undefined = accountId) {
  const passwordHash = await hashPassword(base, PASSWORD);
  const user = await aUser(base.db, { role, passwordHash, ...(role !== "support" && { accountId: of }) });
  const session = async () => (await aSession(base, user)).split("=")[1]!;
  return { ...user, session, cookie: await session() };
}
const as = async (cookie: string): Promise<Ctx> => aContext(base, (await authenticateSession(base, cookie))!.principal);
const works = async (cookie: string) => (await authenticateSession(base, cookie)) !== null;
async function aKey(of: number, madeBy: number | null): Promise<string> {
  const { token, hash } = await newToken(base, "key");
  await insertKey(base.db, of, { scope: "read", hash, createdAt: NOON, madeBy });
  return token;
}
const nobody = () => aContext(base, { kind: "anonymous" });

test("secureAccount() of an owner ends all that opens the account, and nothing of another account", async () => {
  const owner = await person();
  const viewer = await person("viewer");
  const stranger = await person("owner", await anAccount(base.db));
  const second = await owner.session();
  const keys = [await aKey(accountId, null), await aKey(accountId, viewer.id)];
  const foreign = await aKey(stranger.accountId!, null);
  const link = await makeToken(base, "email", { userId: owner.id, lifeMs: 60_000 });
  for (const of of [accountId, stranger.accountId!]) {
    await database.client.execute({
      sql: "INSERT INTO support_windows (account_id, opened_by, opened_at, expires_at) VALUES (?, NULL, ?, ?)",
      args: [of, NOON, NOON + 60_000],
    });
  }
  await secureAccount(await as(owner.cookie));
  for (const cookie of [owner.cookie, second, viewer.cookie]) expect(await works(cookie)).toBe(false);
  for (const key of keys) expect(await authenticate(base, key)).toBeNull();
  expect(await readToken(base, "email", link)).toBeNull();
  expect((await userById(base.db, owner.id))!.passwordHash).toBeNull();
  expect((await userById(base.db, viewer.id))!.passwordHash).not.toBeNull();
  expect(await works(stranger.cookie)).toBe(true);
  expect(await authenticate(base, foreign)).not.toBeNull();
  const { rows } = await database.client.execute("SELECT closed_at FROM support_windows ORDER BY id");
  expect(rows.map((row) => row.closed_at)).toEqual([NOON, null]);
});

test("secureAccount() of another user ends what is theirs, their keys too, and leaves the others alone", async () => {
  const owner = await person();
  const manager = await person("manager");
  const [theirs, other] = [await aKey(accountId, manager.id), await aKey(accountId, owner.id)];
  await secureAccount(await as(manager.cookie));
  expect(await works(manager.cookie)).toBe(false);
  expect(await authenticate(base, theirs)).toBeNull();
  expect(await works(owner.cookie)).toBe(true);
  expect(await authenticate(base, other)).not.toBeNull();
  const staff = await person("support");
  await secureAccount(await as(staff.cookie));
  expect(await works(staff.cookie)).toBe(false);
  expect(await works(owner.cookie)).toBe(true);
});

test("securing drops what an intruder may have added in the last three days, and keeps what is older", async () => {
  const owner = await person();
  const begin = async () => {
    const { secret } = await startTotp(await as(owner.cookie));
    return confirmTotp(await as(owner.cookie), new TOTP({ secret }).generate({ timestamp: base.now() }));
  };
  const passkey = (credentialId: string) =>
    insertPasskey(base.db, {
      ...{ userId: owner.id, credentialId, algorithm: -7, publicKey: new Uint8Array(1), signCount: 0, name: "x" },
      createdAt: base.now(),
    });
  await passkey("old");
  base.advance(LIMITS.takeBackMs);
  await passkey("new");
  await begin();
  await secureAccount(await as(owner.cookie));
  expect((await listPasskeys(base.db, owner.id, 10)).map(({ credentialId }) => credentialId)).toEqual(["old"]);
  expect(await userById(base.db, owner.id)).toMatchObject({ totpSecret: null, totpSince: null, totpLastStep: null });
  expect(await countRecoveryCodes(base.db, owner.id)).toBe(0);
});

test("securing keeps a second factor in force, drops one that was begun, and mails a link to a new password", async () => {
  const owner = await person();
  const { secret } = await startTotp(await as(owner.cookie));
  await confirmTotp(await as(owner.cookie), new TOTP({ secret }).generate({ timestamp: NOON }));
  base.advance(LIMITS.takeBackMs);
  const viewer = await person("viewer");
  await startTotp(await as(viewer.cookie));
  const again = await viewer.session();
  await secureAccount(await as(again));
  await secureAccount(await as(owner.cookie));
  expect((await userById(base.db, owner.id))!.totpSince).toBe(NOON);
  expect((await userById(base.db, viewer.id))!.totpSecret).toBeNull();
  await base.settled();
  const mail = base.sent.findLast(({ to }) => to === owner.email)!;
  const token = /https:\/\/edge\.test\/reset\/([\w-]{43})/.exec(mail.text)![1]!;
  expect((await readToken(base, "reset", token))!.userId).toBe(owner.id);
  const { rows } = await database.client.execute(
    "SELECT actor, actor_id, subject FROM audit WHERE action = 'account.secured'",
  );
  expect(rows.map((row) => [row.actor, row.actor_id, row.subject])).toEqual([
    ["user", viewer.id, `user ${viewer.id}`],
    ["user", owner.id, `user ${owner.id}`],
  ]);
});

test("askToSecure() mails a link that works once to whom it knows, and nobody else", async () => {
  const owner = await person();
  await askToSecure(nobody(), "nobody@edge.test");
  await askToSecure(nobody(), ` ${owner.email.toUpperCase()} `);
  await base.settled();
  expect(base.sent).toHaveLength(1);
  const token = /https:\/\/edge\.test\/secure\/([\w-]{43})/.exec(base.sent[0]!.text)![1]!;
  expect(await works(owner.cookie)).toBe(true);
  await secureByLink(nobody(), token);
  expect(await works(owner.cookie)).toBe(false);
  await expect(secureByLink(nobody(), token)).rejects.toMatchObject({ code: "not_found" });
  await expect(askToSecure(nobody(), "no address\r\nBcc: all@edge.test")).rejects.toMatchObject({
    code: "invalid",
    field: "email",
  });
});

test("askToSecure() sends no flood: after the free mails an address gets no more for a while", async () => {
  const owner = await person();
  for (let i = 0; i < 12; i++) await askToSecure(nobody(), owner.email);
  await base.settled();
  expect(base.sent.length).toBeLessThanOrEqual(5);
});

test("prove() takes the password, and with an authenticator app its code as well", async () => {
  const owner = await person();
  base.advance(20 * 60_000);
  await expect(prove(await as(owner.cookie), {})).rejects.toMatchObject({ code: "invalid", field: "password" });
  await expect(prove(await as(owner.cookie), { password: "wrong" })).rejects.toMatchObject({ field: "password" });
  await prove(await as(owner.cookie), { password: PASSWORD });
  expect((await as(owner.cookie)).principal).toMatchObject({ provedAt: base.now(), secondFactor: false });
  const { secret } = await startTotp(await as(owner.cookie));
  await confirmTotp(await as(owner.cookie), new TOTP({ secret }).generate({ timestamp: base.now() }));
  base.advance(20 * 60_000);
  await expect(prove(await as(owner.cookie), { password: PASSWORD })).rejects.toMatchObject({ field: "code" });
  const code = new TOTP({ secret }).generate({ timestamp: base.now() });
  await expect(prove(await as(owner.cookie), { code })).rejects.toMatchObject({ field: "password" });
  await prove(await as(owner.cookie), { password: PASSWORD, code });
  expect((await as(owner.cookie)).principal).toMatchObject({ provedAt: base.now(), secondFactor: true });
});

test("prove() and changePassword() stop guessing like sign-in does", async () => {
  const owner = await person();
  for (let i = 0; i < 10; i++) {
    const tried =
      i % 2 === 0
        ? prove(await as(owner.cookie), { password: "wrong" })
        : changePassword(await as(owner.cookie), { current: "wrong", password: "some other words" });
    await expect(tried).rejects.toMatchObject({ code: "invalid" });
  }
  await expect(prove(await as(owner.cookie), { password: PASSWORD })).rejects.toMatchObject({ code: "rate_limited" });
});

test("changePassword() asks for the present one, ends the other sessions and open reset links, and tells", async () => {
  const owner = await person();
  const other = await owner.session();
  const link = await makeToken(base, "reset", { userId: owner.id, lifeMs: 60_000 });
  const ctx = await as(owner.cookie);
  const next = "quite another sentence";
  await expect(changePassword(ctx, { password: next })).rejects.toMatchObject({ field: "current" });
  await expect(changePassword(ctx, { current: PASSWORD, password: "short" })).rejects.toMatchObject({
    field: "password",
  });
  expect(await works(other)).toBe(true);
  await changePassword(ctx, { current: PASSWORD, password: next });
  expect(await isPassword(base, next, (await userById(base.db, owner.id))!.passwordHash)).toBe(true);
  expect([await works(owner.cookie), await works(other)]).toEqual([true, false]);
  expect(await readToken(base, "reset", link)).toBeNull();
  await base.settled();
  expect(base.sent).toHaveLength(1);
  const acts = await listSecurityActs(await as(owner.cookie), ["password.changed", "factor.added"]);
  expect(acts.map(({ action }) => action)).toEqual(["password.changed"]);
});

test("changePassword() of who has none needs a fresh proof in its place", async () => {
  const owner = await person();
  await updateUser(base.db, owner.id, { passwordHash: null });
  base.advance(20 * 60_000);
  const ctx = await as(owner.cookie);
  await expect(changePassword(ctx, { password: "quite another sentence" })).rejects.toMatchObject({
    code: "step_up_required",
  });
  base.at(NOON);
  await changePassword(await as(owner.cookie), { password: "quite another sentence" });
});

test("listSecurityActs() shows a person's own, of the last 30 days, and nobody else's", async () => {
  const owner = await person();
  const viewer = await person("viewer");
  await startTotp(await as(viewer.cookie));
  await changePassword(await as(owner.cookie), { current: PASSWORD, password: "quite another sentence" });
  expect(await listSecurityActs(await as(viewer.cookie), ["password.changed"])).toEqual([]);
  base.advance(31 * 86_400_000);
  const later = await owner.session();
  expect(await listSecurityActs(await as(later), ["password.changed"])).toEqual([]);
});
