import { afterEach, beforeEach, expect, test } from "vitest";
import { authenticateSession } from "../../src/access.ts";
import type { Ctx } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import { hashPassword } from "../../src/passwords.ts";
import { seal } from "../../src/seal.ts";
import { openSession } from "../../src/sessions.ts";
import { askForReset, resetPassword, signIn, signInSecond } from "../../src/signin.ts";
import { updateUser, userById } from "../../src/store/users.ts";
import { makeToken } from "../../src/tokens.ts";
import { toBase32, totpCode } from "../../src/totp.ts";
import { aBase, aContext, aDatabase, aUser, NOON, type TestBase, type TestDatabase } from "../database.ts";
import { workOf } from "./work.ts";

const PASSWORD = "four words make one";
const EMAIL = "ada@example.com";
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";

let database: TestDatabase;
let base: TestBase;
let ctx: Ctx;
let userId: number;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  ctx = from(FIREFOX);
  userId = (await aUser(base.db, { role: "owner", email: EMAIL, passwordHash: await hashPassword(base, PASSWORD) })).id;
});
afterEach(async () => {
  await base.settled();
  database.close();
});

function from(userAgent: string, address = "192.0.2.7"): Ctx {
  return { ...aContext(base, { kind: "anonymous" }), client: { origin: "https://edge.test", address, userAgent } };
}

const given = (password: string, email = EMAIL) => ({ email, password });
const wrong = { code: "unauthenticated", message: "The e-mail address or the password is not right", field: undefined };
async function subjects(): Promise<string[]> {
  await base.settled();
  return base.sent.map(({ subject }) => subject);
}

async function opened(each: Ctx = ctx): Promise<string> {
  const outcome = await signIn(each, given(PASSWORD));
  if (!("opened" in outcome)) throw new Error("It waits for a second factor");
  return outcome.opened.cookie;
}

test("signIn() opens a session, and writes when", async () => {
  base.advance(5000);
  const caller = await authenticateSession(base, await opened());
  expect(caller!.principal).toMatchObject({ kind: "user", userId, secondFactor: false, provedAt: NOON + 5000 });
  expect((await userById(base.db, userId))!.lastSignInAt).toBe(NOON + 5000);
});

test("signIn() takes an address as it is typed: case and spaces do not matter", async () => {
  expect(await signIn(ctx, given(PASSWORD, ` ${EMAIL.toUpperCase()} `))).toHaveProperty("opened");
});

test("signIn() answers alike and works alike for whatever is wrong", async () => {
  await aUser(base.db, { role: "viewer", email: "none@example.com" });
  const passwordHash = await hashPassword(base, PASSWORD);
  await aUser(base.db, { role: "viewer", email: "gone@example.com", passwordHash, disabledAt: NOON });
  const work: string[][] = [];
  for (const [email, password] of [
    [EMAIL, "not the password"],
    ["unknown@example.com", PASSWORD],
    ["none@example.com", ""],
    ["gone@example.com", PASSWORD],
    ["no address at all", PASSWORD],
  ] as const) {
    work.push(await workOf(ctx, (each) => expect(signIn(each, given(password, email))).rejects.toMatchObject(wrong)));
  }
  expect(work[0]!.filter((each) => each.startsWith("scrypt"))).toHaveLength(1);
  expect(work[0]).toHaveLength(3);
  for (const each of work) expect(each).toEqual(work[0]);
});

test("signIn() after ten wrong passwords waits, for twice as long each time, with one mail; for anybody's address", async () => {
  for (const email of [EMAIL, "unknown@example.com"]) {
    for (let i = 0; i < 10; i++) await expect(signIn(ctx, given("wrong", email))).rejects.toMatchObject(wrong);
    await base.settled();
    let waitS = LIMITS.throttles.password.blockMs / 1000;
    for (let round = 0; round < 4; round++) {
      const blocked = { code: "rate_limited", retryAfterS: waitS };
      // The right password does not help while it is blocked, and costs no scrypt.
      const work = await workOf(ctx, (each) =>
        expect(signIn(each, given(PASSWORD, email))).rejects.toMatchObject(blocked),
      );
      expect(work.filter((each) => each.startsWith("scrypt"))).toEqual([]);
      base.advance(waitS * 1000);
      await expect(signIn(ctx, given("wrong", email))).rejects.toMatchObject(wrong);
      await base.settled();
      waitS *= 2;
    }
    expect(await subjects()).toEqual(["Too many wrong sign-ins"]);
    base.advance(LIMITS.throttles.password.blockMaxMs);
  }
  expect(base.sent[0]!.to).toBe(EMAIL);
  await opened();
});

test("signIn() forgets the wrong passwords once it was right", async () => {
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 9; i++) await expect(signIn(ctx, given("wrong"))).rejects.toMatchObject(wrong);
    await opened();
  }
});

test("signIn() looks at no more passwords that come at once than at such that come one by one", async () => {
  const code = async () => signIn(ctx, given("wrong")).catch((error) => error.code as string);
  const codes = await Promise.all(Array.from({ length: 30 }, code));
  expect(codes.filter((each) => each === "unauthenticated")).toHaveLength(LIMITS.throttles.password.free);
  expect(codes.filter((each) => each === "rate_limited")).toHaveLength(30 - LIMITS.throttles.password.free);
  await expect(signIn(ctx, given(PASSWORD))).rejects.toMatchObject({ code: "rate_limited" });
  expect(await subjects()).toEqual(["Too many wrong sign-ins"]);
});

test("signIn() tells of a browser or a network that no session has, not of the first and not of a known one", async () => {
  await opened();
  expect(await subjects()).toEqual([]);
  await opened();
  expect(await subjects()).toEqual([]);
  await opened(from(CHROME));
  expect(await subjects()).toEqual(["A new sign-in to your account"]);
  expect(base.sent[0]!.text).toContain("Chrome, Windows");
  expect(base.sent[0]!.text).not.toContain("192.0.2");
  await opened(from(FIREFOX, "198.51.100.9"));
  expect(await subjects()).toHaveLength(2);
  await opened(from(FIREFOX, "198.51.100.77"));
  expect(await subjects()).toHaveLength(2);
});

async function withTotp(): Promise<string> {
  const secret = toBase32(base.random(20));
  await updateUser(base.db, userId, { totpSecret: await seal(base, "totp", userId, secret), totpSince: NOON });
  return secret;
}
const codeOf = (secret: string) => totpCode(secret, Math.floor(base.now() / 30_000));

async function pending(): Promise<string> {
  const outcome = await signIn(ctx, given(PASSWORD));
  if (!("pending" in outcome)) throw new Error("It waits for nothing");
  return outcome.pending;
}

test("signIn() with an authenticator app opens nothing before its code is shown", async () => {
  const secret = await withTotp();
  const token = await pending();
  expect((await database.client.execute("SELECT id FROM sessions")).rows).toEqual([]);
  expect((await userById(base.db, userId))!.lastSignInAt).toBeNull();
  const code = await codeOf(secret);
  const { opened } = await signInSecond(ctx, { token, code });
  expect((await authenticateSession(base, opened.cookie))!.principal).toMatchObject({ userId, secondFactor: true });
  await expect(signInSecond(ctx, { token, code })).rejects.toMatchObject({ code: "unauthenticated" });
  await expect(signInSecond(ctx, { token: await pending(), code })).rejects.toMatchObject({ field: "code" });
});

test("signInSecond() ends the sign-in after five wrong codes, after its time, and for somebody who was disabled", async () => {
  const secret = await withTotp();
  const token = await pending();
  for (let i = 0; i < 4; i++) {
    await expect(signInSecond(ctx, { token, code: "000000" })).rejects.toMatchObject({
      code: "invalid",
      field: "code",
    });
  }
  await expect(signInSecond(ctx, { token, code: "000000" })).rejects.toMatchObject({ code: "invalid", field: "code" });
  await expect(signInSecond(ctx, { token, code: await codeOf(secret) })).rejects.toMatchObject({
    code: "unauthenticated",
  });
  base.advance(3_600_000);
  const late = await pending();
  base.advance(LIMITS.pendingMs);
  const over = { code: "unauthenticated" };
  await expect(signInSecond(ctx, { token: late, code: await codeOf(secret) })).rejects.toMatchObject(over);
  const last = await pending();
  await updateUser(base.db, userId, { disabledAt: base.now() });
  await expect(signInSecond(ctx, { token: last, code: await codeOf(secret) })).rejects.toMatchObject(over);
});

test("a six-digit code cannot be found by trying: pending sign-ins of one person share their failures", async () => {
  const secret = await withTotp();
  let tried = 0;
  for (let i = 0; i < 20; i++) {
    const token = await pending();
    for (let j = 0; j < 5; j++) {
      const outcome = await signInSecond(ctx, { token, code: "000000" }).catch((error) => error.code as string);
      if (outcome === "invalid") tried++;
    }
  }
  expect(tried).toBeLessThanOrEqual(LIMITS.throttles.code.free);
  await expect(signInSecond(ctx, { token: await pending(), code: await codeOf(secret) })).rejects.toMatchObject({
    code: "rate_limited",
  });
});

async function resetLink(): Promise<string> {
  await askForReset(ctx, EMAIL);
  await base.settled();
  return /\/reset\/([\w-]{43})/.exec(base.sent.at(-1)!.text)![1]!;
}

test("askForReset() does the same work for every address, and writes only to those who can sign in", async () => {
  await aUser(base.db, { role: "viewer", email: "unverified@example.com", emailVerifiedAt: null });
  await aUser(base.db, { role: "viewer", email: "gone@example.com", disabledAt: NOON });
  const addresses = [EMAIL, "unknown@example.com", "unverified@example.com", "gone@example.com"];
  const work: string[][] = [];
  for (const email of addresses) {
    // What is told to the address is deferred: it runs when the answer is on its way.
    work.push((await workOf(ctx, (each) => askForReset(each, email))).filter((sql) => !sql.includes("mails")));
  }
  for (const each of work) expect(each).toEqual(work[0]);
  await base.settled();
  expect(base.sent.map(({ to }) => to)).toEqual([EMAIL]);
  for (let i = 0; i < 8; i++) await askForReset(ctx, EMAIL);
  await base.settled();
  expect(base.sent).toHaveLength(5);
});

test("resetPassword() sets the password, ends all sessions and links, keeps the second factor and signs nobody in", async () => {
  const secret = await withTotp();
  const session = await openSession(ctx, { id: userId, accountId: 1 }, { secondFactor: true });
  const waiting = await pending();
  const older = await resetLink();
  const token = await resetLink();
  await expect(resetPassword(ctx, { token: older, password: "another good one" })).rejects.toMatchObject({
    code: "not_found",
  });
  await expect(resetPassword(ctx, { token, password: "short" })).rejects.toMatchObject({ field: "password" });
  for (let i = 0; i < 10; i++) await signIn(ctx, given("wrong")).catch(() => {});
  await resetPassword(ctx, { token, password: "another good one" });
  expect(await authenticateSession(base, session.cookie)).toBeNull();
  expect((await database.client.execute("SELECT id FROM sessions")).rows).toEqual([]);
  await expect(signInSecond(ctx, { token: waiting, code: await codeOf(secret) })).rejects.toMatchObject({
    code: "unauthenticated",
  });
  await expect(resetPassword(ctx, { token, password: "a third good one" })).rejects.toMatchObject({
    code: "not_found",
  });
  await expect(signIn(ctx, given(PASSWORD))).rejects.toMatchObject(wrong);
  expect(await signIn(ctx, given("another good one"))).toHaveProperty("pending");
  const { rows } = await database.client.execute(
    "SELECT actor, actor_id, action FROM audit WHERE action <> 'session.opened'",
  );
  expect(rows.map((row) => ({ ...row }))).toEqual([{ actor: "user", actor_id: userId, action: "password.reset" }]);
  expect(await subjects()).toContain("Your password was changed");
});

test("resetPassword() with one link twice at once sets one password", async () => {
  const token = await resetLink();
  const both = await Promise.allSettled(
    ["the first password", "the other password"].map((password) => resetPassword(ctx, { token, password })),
  );
  expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
});

test("a reset link is over after an hour, and a token of another kind is none", async () => {
  const token = await resetLink();
  const other = await makeToken(base, "signup", { userId, lifeMs: 1000 });
  const gone = { code: "not_found" };
  await expect(resetPassword(ctx, { token: other, password: PASSWORD })).rejects.toMatchObject(gone);
  base.advance(LIMITS.resetLinkMs);
  await expect(resetPassword(ctx, { token, password: PASSWORD })).rejects.toMatchObject(gone);
});
