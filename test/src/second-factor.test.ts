import { TOTP } from "otpauth";
import { afterEach, beforeEach, expect, test } from "vitest";
import { authenticateSession } from "../../src/access.ts";
import type { Ctx } from "../../src/context.ts";
import {
  checkSecondFactor,
  confirmTotp,
  countRecoveryCodes,
  pendingTotp,
  removeTotp,
  startTotp,
} from "../../src/second-factor.ts";
import { userById } from "../../src/store/users.ts";
import { aBase, aContext, aDatabase, aSession, aUser, NOON, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let cookie: string;
let userId: number;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  const user = await aUser(database.db, { role: "viewer" });
  userId = user.id;
  cookie = (await aSession(base, user)).split("=")[1]!;
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const signedIn = async (): Promise<Ctx> => aContext(base, (await authenticateSession(base, cookie))!.principal);
const codeOf = (secret: string, timestamp = base.now()) => new TOTP({ secret }).generate({ timestamp });

async function inForce(): Promise<{ secret: string; recovery: string[] }> {
  const { secret } = await startTotp(await signedIn());
  return { secret, recovery: await confirmTotp(await signedIn(), codeOf(secret)) };
}

test("startTotp() changes nothing at sign-in until its code is confirmed", async () => {
  const { secret, uri } = await startTotp(await signedIn());
  expect(uri).toContain(secret);
  expect(await pendingTotp(await signedIn())).toEqual({ secret, uri });
  expect(await checkSecondFactor(await signedIn(), userId, codeOf(secret))).toBe(false);
  const user = (await userById(base.db, userId))!;
  expect(user.totpSince).toBeNull();
  expect(user.totpSecret).not.toContain(secret);
});

test("confirmTotp() takes the right code only, gives ten recovery codes, and marks this session", async () => {
  const { secret } = await startTotp(await signedIn());
  await expect(confirmTotp(await signedIn(), "000000")).rejects.toMatchObject({ code: "invalid", field: "code" });
  base.advance(60_000);
  const recovery = await confirmTotp(await signedIn(), codeOf(secret));
  expect(new Set(recovery).size).toBe(10);
  for (const code of recovery) expect(code).toMatch(/^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/);
  const { principal } = await signedIn();
  expect(principal).toMatchObject({ secondFactor: true, provedAt: NOON });
  await expect(confirmTotp(await signedIn(), codeOf(secret))).rejects.toMatchObject({ code: "conflict" });
  await expect(startTotp(await signedIn())).rejects.toMatchObject({ code: "conflict" });
});

test("checkSecondFactor() takes a code once, also when it comes twice at the same moment", async () => {
  const { secret } = await inForce();
  expect(await checkSecondFactor(await signedIn(), userId, codeOf(secret))).toBe(false);
  base.advance(30_000);
  const code = codeOf(secret);
  const ctx = await signedIn();
  const tries = await Promise.all([1, 2, 3].map(() => checkSecondFactor(ctx, userId, code)));
  expect(tries.filter(Boolean)).toHaveLength(1);
  expect(await checkSecondFactor(ctx, userId, codeOf(secret, base.now() - 30_000))).toBe(false);
  base.advance(30_000);
  expect(await checkSecondFactor(ctx, userId, ` ${codeOf(secret).slice(0, 3)} ${codeOf(secret).slice(3)} `)).toBe(true);
});

test("checkSecondFactor() takes each recovery code once, however it is typed", async () => {
  const { recovery } = await inForce();
  const ctx = await signedIn();
  expect(await checkSecondFactor(ctx, userId, recovery[0]!)).toBe(true);
  expect(await checkSecondFactor(ctx, userId, recovery[0]!)).toBe(false);
  expect(await checkSecondFactor(ctx, userId, recovery[1]!.toUpperCase().replaceAll("-", " "))).toBe(true);
  expect(await countRecoveryCodes(ctx)).toBe(8);
  const other = await aUser(base.db, { role: "viewer" });
  expect(await checkSecondFactor(ctx, other.id, recovery[2]!)).toBe(false);
  expect(await checkSecondFactor(ctx, 999_999, recovery[2]!)).toBe(false);
});

test("checkSecondFactor() stops guessing: after five wrong codes also the right one waits", async () => {
  const { secret } = await inForce();
  base.advance(60_000);
  const ctx = await signedIn();
  for (let i = 0; i < 5; i++) expect(await checkSecondFactor(ctx, userId, "000000")).toBe(false);
  await expect(checkSecondFactor(ctx, userId, codeOf(secret))).rejects.toMatchObject({ code: "rate_limited" });
  base.advance(5 * 60_000);
  expect(await checkSecondFactor(ctx, userId, codeOf(secret))).toBe(true);
});

test("checkSecondFactor() looks at five codes only, also when fifty come at the same moment", async () => {
  const { secret } = await inForce();
  base.advance(60_000);
  const ctx = await signedIn();
  const right = codeOf(secret);
  const guesses = [
    ...Array.from({ length: 49 }, (_, i) => String(i).padStart(6, "0")).filter((code) => code !== right),
    right,
  ];
  const results = await Promise.allSettled(guesses.map((code) => checkSecondFactor(ctx, userId, code)));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
  expect(results.at(-1)).toMatchObject({ status: "rejected", reason: { code: "rate_limited" } });
  base.advance(5 * 60_000);
  const next = await Promise.allSettled([1, 2, 3].map(() => checkSecondFactor(ctx, userId, "000000")));
  expect(next.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

test("removeTotp() ends the app and its recovery codes", async () => {
  const { secret, recovery } = await inForce();
  base.advance(30_000);
  await removeTotp(await signedIn());
  expect(await checkSecondFactor(await signedIn(), userId, codeOf(secret))).toBe(false);
  expect(await checkSecondFactor(await signedIn(), userId, recovery[0]!)).toBe(false);
  expect(await countRecoveryCodes(await signedIn())).toBe(0);
  await expect(removeTotp(await signedIn())).rejects.toMatchObject({ code: "not_found" });
  await startTotp(await signedIn());
  await removeTotp(await signedIn());
  expect(await pendingTotp(await signedIn())).toBeNull();
});

test("adding and removing an authenticator app is told by mail and recorded", async () => {
  await inForce();
  await removeTotp(await signedIn());
  await base.settled();
  expect(base.sent).toHaveLength(2);
  const { rows } = await database.client.execute(
    "SELECT action, actor, actor_id, subject FROM audit WHERE action <> 'session.opened' ORDER BY id",
  );
  expect(rows.map((row) => [...Object.values(row)])).toEqual([
    ["factor.added", "user", userId, `user ${userId}`],
    ["factor.removed", "user", userId, `user ${userId}`],
  ]);
});
