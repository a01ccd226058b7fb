import { afterEach, beforeEach, expect, test } from "vitest";
import type { Ctx } from "../../src/context.ts";
import { currentDocuments } from "../../src/documents.ts";
import { app } from "../../src/http/app.ts";
import { LIMITS } from "../../src/limits.ts";
import { join, joiningOf, requireEmail, requireMobile, signUp } from "../../src/signup.ts";
import { accountById } from "../../src/store/accounts.ts";
import { updateUser, userByEmail, userById } from "../../src/store/users.ts";
import { makeToken } from "../../src/tokens.ts";
import { aBase, aContext, aDatabase, anAccount, aUser, NOON, type TestBase, type TestDatabase } from "../database.ts";
import { workOf } from "./work.ts";

const PASSWORD = "four words make one";
const ANONYMOUS = { kind: "anonymous" } as const;

let database: TestDatabase;
let base: TestBase;
let ctx: Ctx;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  ctx = aContext(base, ANONYMOUS);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const accepting = async () =>
  (await currentDocuments(base, "en")).map(({ kind, version, sha256, language }) => ({
    kind,
    version,
    sha256,
    language,
  }));

/** The token in the newest mail. */
async function linkOf(path: string): Promise<string> {
  await base.settled();
  const found = new RegExp(`https://edge\\.test/${path}/([\\w-]{43})`).exec(base.sent.at(-1)?.text ?? "");
  if (found === null) throw new Error(`No link to /${path} in the newest mail`);
  return found[1]!;
}

/** Every value of every row, by table, beside what the platform keeps for itself. */
async function everything(): Promise<Record<string, Record<string, unknown>[]>> {
  const { rows: tables } = await database.client.execute(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT IN ('migrations', 'registry')",
  );
  const found: Record<string, Record<string, unknown>[]> = {};
  for (const [name] of tables.map((row) => [row[0] as string])) {
    found[name!] = (await database.client.execute(`SELECT * FROM ${name}`)).rows.map((row) => ({ ...row }));
  }
  return found;
}

/** "table.column" of what is there and was not: neither null nor as the column's default has it. */
async function written(before: Awaited<ReturnType<typeof everything>>): Promise<string[]> {
  const names = new Set<string>();
  for (const [table, rows] of Object.entries(await everything())) {
    const { rows: columns } = await database.client.execute(
      `SELECT name, dflt_value FROM pragma_table_info('${table}')`,
    );
    for (const row of rows) {
      const old = before[table]?.find((each) => (each.id ?? each.key) === (row.id ?? row.key));
      for (const { name, dflt_value } of columns as unknown as { name: string; dflt_value: string | null }[]) {
        const value = row[name];
        const usual = old === undefined ? dflt_value?.replaceAll("'", "") : old[name];
        if (value !== null && String(value) !== String(usual)) names.add(`${table}.${name}`);
      }
    }
  }
  return [...names].sort();
}

test("signUp() with an address alone writes exactly the declared columns, and so does join()", async () => {
  const before = await everything();
  await signUp(ctx, { email: "Ada@Example.com" });
  const token = await linkOf("confirm");
  expect(await written(before)).toEqual(
    [
      "accounts.created_at",
      "accounts.id",
      "accounts.name",
      "accounts.name_index",
      "accounts.privacy_accepted",
      "accounts.state",
      "accounts.terms_accepted",
      // Its own number, which is taken now: a job forgets it.
      "gone_accounts.id",
      "throttles.blocked_until",
      "throttles.expires_at",
      "throttles.failures",
      "throttles.key",
      "tokens.created_at",
      "tokens.expires_at",
      "tokens.hash",
      "tokens.id",
      "tokens.kind",
      "tokens.user_id",
      "users.account_id",
      "users.created_at",
      "users.email",
      "users.email_index",
      "users.id",
      "users.role",
    ].filter((name) => !/_throttle/.test(name)),
  );
  const between = await everything();
  const [account, user] = [between.accounts![0]!, between.users![0]!];
  expect(account).toMatchObject({ state: "unverified", privacy_accepted: 0, terms_accepted: 0 });
  expect(await accountById(base.db, Number(account.id))).toMatchObject({ name: "My account" });
  expect(user).toMatchObject({ role: "owner", email_verified_at: null, password_hash: null });
  expect(await userById(base.db, Number(user.id))).toMatchObject({ email: "ada@example.com" });
  base.advance(1000);
  await join(ctx, "signup", { token, password: PASSWORD, accept: await accepting() });
  expect(await written(between)).toEqual([
    "acceptances.accepted_at",
    "acceptances.account_id",
    "acceptances.document_id",
    "acceptances.id",
    "acceptances.kind",
    "acceptances.language",
    "acceptances.sha256",
    "acceptances.user_id",
    "acceptances.version",
    "accounts.privacy_accepted",
    "accounts.state",
    "accounts.terms_accepted",
    "audit.account_id",
    "audit.action",
    "audit.actor",
    "audit.actor_id",
    "audit.at",
    "audit.id",
    "audit.subject",
    "sessions.created_at",
    "sessions.expires_at",
    "sessions.hash",
    "sessions.id",
    "sessions.last_seen_at",
    "sessions.network",
    "sessions.proved_at",
    "sessions.user_id",
    "users.email_verified_at",
    "users.last_sign_in_at",
    "users.password_hash",
  ]);
  const after = await everything();
  expect(after.accounts).toMatchObject([{ state: "active", privacy_accepted: 1, terms_accepted: 1 }]);
  expect(after.tokens).toEqual([]);
  expect(after.audit?.map(({ actor, action }) => `${actor} ${action}`)).toEqual([
    ...["user document.accepted", "user document.accepted", "user account.created", "user session.opened"],
  ]);
});

test("a sign-up with everything that can be given writes these columns more and no other, by the API and by the page", async () => {
  const columns = async (sent: (email: string, more: object) => Promise<Response>, email: string, more: object) => {
    const before = await everything();
    expect((await sent(email, more)).status).toBeLessThan(300);
    await base.settled();
    return (await written(before)).filter((name) => !name.startsWith("throttles."));
  };
  const headers = { "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json" };
  const byApi = async (email: string, more: object) =>
    app.fetch(
      new Request("https://edge.test/v1/signups", {
        method: "POST",
        headers,
        body: JSON.stringify({ email, ...more }),
      }),
      base,
    );
  const byPage = async (email: string, more: object) =>
    app.fetch(
      new Request("https://edge.test/signup", {
        method: "POST",
        headers: { ...headers, "Content-Type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ act: "signUp", email, name: "", mobile: "", ...more }),
      }),
      base,
    );
  const given = { name: "Ada", mobile: "+49 170 1234567" };
  const least = await columns(byApi, "a@edge.test", {});
  expect(await columns(byPage, "b@edge.test", {})).toEqual(least);
  const most = await columns(byApi, "c@edge.test", given);
  expect(most.filter((name) => !least.includes(name))).toEqual(["users.mobile", "users.name"]);
  expect(await columns(byPage, "d@edge.test", given)).toEqual(most);
});

test("signUp() keeps the name and the mobile number that were given, and names the account after the person", async () => {
  await signUp(ctx, { email: "ada@example.com", name: " Ada ", mobile: "0049 170 123-4567", language: "zh" });
  const user = (await userByEmail(base.db, "ada@example.com"))!;
  expect(user).toMatchObject({ name: "Ada", mobile: "+491701234567", mobileVerifiedAt: null, language: "zh" });
  expect(await accountById(base.db, user.accountId!)).toMatchObject({ name: "Ada" });
  await linkOf("confirm");
  expect(base.sent[0]!.subject).not.toMatch(/[a-z]/i);
});

test("signUp() does the same work for an unknown, a waiting and a known address, and answers nothing", async () => {
  await aUser(base.db, { role: "owner", email: "known@example.com" });
  const work = [];
  for (const email of ["new@example.com", "new@example.com", "known@example.com"]) {
    work.push(await workOf(ctx, async (each) => expect(await signUp(each, { email })).toBeUndefined()));
    await base.settled();
  }
  expect(work[0]!.length).toBeGreaterThan(5);
  expect(work[1]).toEqual(work[0]);
  expect(work[2]).toEqual(work[0]);
  expect(base.sent.map(({ to, subject }) => [to, subject])).toEqual([
    ["new@example.com", "Confirm your address"],
    ["new@example.com", "Confirm your address"],
    ["known@example.com", "You have an account already"],
  ]);
  expect(base.sent[2]!.text).toContain("https://edge.test/login");
  expect(base.sent[2]!.text).not.toContain("/confirm/");
});

test("signUp() again sends a fresh link, ends the older one and overwrites nothing", async () => {
  await signUp(ctx, { email: "ada@example.com", name: "Ada" });
  const first = await linkOf("confirm");
  const { accounts, users } = await everything();
  base.advance(60_000);
  await signUp(ctx, { email: "ada@example.com", name: "Mallory", mobile: "+491701234567", language: "zh" });
  const second = await linkOf("confirm");
  expect(await everything()).toMatchObject({ accounts, users });
  await expect(joiningOf(ctx, "signup", first)).rejects.toMatchObject({ code: "not_found" });
  expect((await joiningOf(ctx, "signup", second)).user.email).toBe("ada@example.com");
});

test("signUp() sends five mails an hour to one address at most, and its answer does not say so", async () => {
  for (let i = 0; i < 8; i++) await signUp(ctx, { email: "ada@example.com" });
  await base.settled();
  expect(base.sent).toHaveLength(5);
  base.advance(3_600_001);
  await signUp(ctx, { email: "ada@example.com" });
  await base.settled();
  expect(base.sent).toHaveLength(6);
});

test("signUp() of somebody who was invited sends the invitation again, and makes no account", async () => {
  const accountId = await anAccount(base.db, { name: "Acme" });
  const invited = { emailVerifiedAt: null, email: "bob@example.com" };
  const { id } = await aUser(base.db, { role: "viewer", accountId, ...invited });
  const older = await makeToken(base, "invite", { userId: id, lifeMs: LIMITS.signupLinkMs });
  await signUp(ctx, { email: "bob@example.com", name: "Mallory" });
  const token = await linkOf("invite");
  expect((await everything()).accounts).toHaveLength(1);
  await expect(joiningOf(ctx, "invite", older)).rejects.toMatchObject({ code: "not_found" });
  const { user } = await join(ctx, "invite", { token, password: PASSWORD, name: "Bob", accept: [] });
  expect(user.role).toBe("viewer");
  expect(await userByEmail(base.db, "bob@example.com")).toMatchObject({
    name: "Bob",
    emailVerifiedAt: NOON,
    accountId,
  });
  expect((await everything()).audit).toMatchObject([
    { action: "user.joined", account_id: accountId },
    { action: "session.opened", account_id: null },
  ]);
});

test("nobody can set a password for an address before its owner has the link", async () => {
  await signUp(ctx, { email: "victim@example.com", name: "Mallory" });
  expect(await userByEmail(base.db, "victim@example.com")).toMatchObject({ passwordHash: null, emailVerifiedAt: null });
  expect((await everything()).sessions).toEqual([]);
});

test("join() leaves the link as it is when the password or the acceptance is wrong", async () => {
  await signUp(ctx, { email: "ada@example.com" });
  const token = await linkOf("confirm");
  const accept = await accepting();
  const [privacy, terms] = accept as [(typeof accept)[0], (typeof accept)[0]];
  const altered = { ...privacy, sha256: "0".repeat(64) };
  for (const [given, problem] of [
    [
      { password: "short", accept },
      { code: "invalid", field: "password" },
    ],
    [
      { password: "ada@example.com", accept },
      { code: "invalid", field: "password" },
    ],
    [
      { password: PASSWORD, accept: [] },
      { code: "invalid", field: "accept" },
    ],
    [
      { password: PASSWORD, accept: [privacy] },
      { code: "invalid", field: "accept" },
    ],
    [{ password: PASSWORD, accept: [altered, terms] }, { code: "conflict" }],
  ] as const) {
    await expect(join(ctx, "signup", { token, ...given })).rejects.toMatchObject(problem);
  }
  expect((await everything()).acceptances).toEqual([]);
  await join(ctx, "signup", { token, password: PASSWORD, accept });
  expect((await everything()).sessions).toHaveLength(1);
});

test("join() lets one of two in that come at once with one link, and nobody later", async () => {
  await signUp(ctx, { email: "ada@example.com" });
  const given = { token: await linkOf("confirm"), password: PASSWORD, accept: await accepting() };
  const both = await Promise.allSettled([join(ctx, "signup", given), join(ctx, "signup", given)]);
  expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  await expect(join(ctx, "signup", given)).rejects.toMatchObject({ code: "not_found", message: /^No such link/ });
  expect((await everything()).sessions).toHaveLength(1);
});

test("join() refuses a link of another kind, one that is over, and one of somebody who was disabled", async () => {
  await signUp(ctx, { email: "ada@example.com" });
  const token = await linkOf("confirm");
  const given = { token, password: PASSWORD, accept: [] };
  await expect(join(ctx, "invite", given)).rejects.toMatchObject({ code: "not_found" });
  base.advance(LIMITS.signupLinkMs);
  await expect(join(ctx, "signup", given)).rejects.toMatchObject({ code: "not_found" });
  base.at(NOON);
  const user = (await userByEmail(base.db, "ada@example.com"))!;
  await updateUser(base.db, user.id, { disabledAt: NOON });
  await expect(join(ctx, "signup", given)).rejects.toMatchObject({ code: "not_found" });
});

test("join() of a member records their own acceptance where the account is one that accepts", async () => {
  const accountId = await anAccount(base.db);
  await database.client.execute("UPDATE accounts SET privacy_accepted = 1, terms_accepted = 1");
  const { id } = await aUser(base.db, { role: "viewer", accountId, emailVerifiedAt: null });
  const token = await makeToken(base, "invite", { userId: id, lifeMs: 1000 });
  const given = { token, password: PASSWORD };
  await expect(join(ctx, "invite", { ...given, accept: [] })).rejects.toMatchObject({ field: "accept" });
  await join(ctx, "invite", { ...given, accept: await accepting() });
  expect((await everything()).acceptances).toMatchObject([{ user_id: id }, { user_id: id }]);
});

test("requireEmail() takes addresses as people write them, and nothing that could end a header or name a second one", () => {
  for (const [typed, email] of [
    [" Ada@Example.COM ", "ada@example.com"],
    ["a.b+c@sub.example.co.uk", "a.b+c@sub.example.co.uk"],
    ["用户@例子.公司", "用户@例子.公司"],
    ["o'brien@example.com", "o'brien@example.com"],
  ] as const) {
    expect(requireEmail(typed)).toBe(email);
  }
  for (const typed of [
    "",
    "ada",
    "ada@",
    "@example.com",
    "ada@example",
    "ada@@example.com",
    "ada@example..com",
    "ada example@example.com",
    "ada@exa mple.com",
    "ada@example.com\r\nBcc: eve@example.com",
    "ada\n@example.com",
    "ada@example.com\u2028eve@example.com",
    "ada\0@example.com",
    "ada@example.com,eve@example.com",
    "ada@example.com;eve@example.com",
    "Ada <ada@example.com>",
    `${"a".repeat(60)}@${"b".repeat(60)}.${"c".repeat(60)}.${"d".repeat(60)}.${"e".repeat(60)}`,
  ]) {
    expect(() => requireEmail(typed), JSON.stringify(typed)).toThrow(/^email must be an e-mail address/);
  }
});

test("requireMobile() wants the country code", () => {
  expect(requireMobile("+86 139 1234 5678")).toBe("+8613912345678");
  for (const typed of ["", "0170 1234567", "+49", "+49x1701234567", "+0491701234567", "+1234567890123456"]) {
    expect(() => requireMobile(typed)).toThrow(/^mobile must be/);
  }
});
