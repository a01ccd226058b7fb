import { TOTP } from "otpauth";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listActions } from "../../src/audit.ts";
import type { Ctx, StaffRole } from "../../src/context.ts";
import {
  askByMail,
  askForAccount,
  confirmIdentity,
  LOCKED_OUT_TYPES,
  leaveToStaff,
  pendingRequest,
  verifyByCode,
} from "../../src/identity.ts";
import { LIMITS } from "../../src/limits.ts";
import { requestOfCancel } from "../../src/request-mails.ts";
import { watchRequests } from "../../src/request-watch.ts";
import { anyRequest, cancelRequest, denyRequest } from "../../src/requests.ts";
import { confirmTotp, startTotp } from "../../src/second-factor.ts";
import { updateUser } from "../../src/store/users.ts";
import { makeToken } from "../../src/tokens.ts";
import {
  aBase,
  aContext,
  aDatabase,
  anAccount,
  aSession,
  asUser,
  aUser,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { workOf } from "./work.ts";

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let owner: { id: number; email: string };
let codes: string[];
let totp: TOTP;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(base.db);
  owner = await aUser(base.db, { role: "owner", accountId });
  ({ codes, totp } = await withCodes(owner.id));
  base.sent.length = 0;
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const nobody = () => aContext(base, { kind: "anonymous" });
const sql = (text: string, args: (string | number)[] = []) => database.client.execute({ sql: text, args });
const state = async () => (await sql("SELECT state, level, attempts, verified_at FROM requests")).rows[0];
const ledger = async () => (await sql("SELECT type FROM ledger ORDER BY seq")).rows.map(({ type }) => type);

/** Sets an authenticator app up. */
async function withCodes(id: number) {
  await aSession(base, { id, accountId });
  const ctx = aContext(base, asUser(accountId, id));
  const { secret } = await startTotp(ctx);
  const totp = new TOTP({ secret });
  const codes = await confirmTotp(ctx, totp.generate({ timestamp: base.now() }));
  await base.settled();
  return { codes, totp };
}

async function staff(role: StaffRole = "privacy", proved = true): Promise<Ctx> {
  const { id } = await aUser(base.db, { role });
  const provedAt = proved ? base.now() : base.now() - LIMITS.stepUpMs;
  const person = { userId: id, sessionId: 9, provedAt, secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  return aContext(base, { kind: "staff", role, trained: true, ...person, ...taste });
}

const ask = { type: "erase", scope: { kind: "account" } } as const;
const tokenIn = (text: string) => /\/privacy\/\w+\/([\w-]+)/.exec(text)![1]!;

/** The token of a mailed link. */
async function mailed(email = owner.email, what: Parameters<typeof askByMail>[1] = { email, ...ask }): Promise<string> {
  base.sent.length = 0;
  await askByMail(nobody(), { ...what, email });
  await base.settled();
  expect(base.sent.map(({ to }) => to)).toEqual([email]);
  return tokenIn(base.sent[0]!.text);
}

test("how it was found out who asked is forgotten 30 days after the end, with what the staff wrote about it", async () => {
  const asked = {
    accountId,
    type: "restrict",
    scope: { kind: "account" },
    reason: "Order 4711, by telephone",
  } as const;
  const kept = await askForAccount(await staff(), asked);
  const row = await askForAccount(await staff(), { ...asked, type: "erase" });
  await confirmIdentity(await staff(), row, "Knows the order number 4711");
  await denyRequest(await staff(), row, "Could not say what is on the invoice");
  const reasons = async () =>
    (await listActions(base, accountId, Number.MAX_SAFE_INTEGER, 20)).map((act) => act.reason);
  const of = async () => (await reasons()).filter((reason) => reason !== null).toSorted();
  const all = [asked.reason, asked.reason, "Could not say what is on the invoice", "Knows the order number 4711"];
  base.advance(LIMITS.requestEvidenceMs - 1);
  await watchRequests(base);
  expect(await of()).toEqual(all.toSorted());
  // The other one has ended meanwhile, too late.
  expect((await anyRequest(base, kept.name)).state).toBe("expired");
  base.advance(1);
  await watchRequests(base);
  // The decision and its reason stay, and whatever is about the other one.
  expect(await of()).toEqual([asked.reason, "Could not say what is on the invoice"].toSorted());
  expect((await sql("SELECT count(*) AS n FROM request_confirmations")).rows[0]!.n).toBe(0);
  expect(await anyRequest(base, row.name)).toMatchObject({ state: "denied", level: "V2", evidenceAt: null });
});

test("askByMail() does the same for an address that nobody has, and writes to nobody", async () => {
  const gone = await aUser(base.db, { role: "owner", accountId, disabledAt: 1 });
  const fresh = await aUser(base.db, { role: "owner", accountId, emailVerifiedAt: null });
  const clerk = await aUser(base.db, { role: "privacy" });
  const work = (email: string) => workOf(nobody(), (ctx) => askByMail(ctx, { email, ...ask }));
  const known = await work(owner.email);
  await base.settled();
  expect(base.sent.map(({ to }) => to)).toEqual([owner.email]);
  base.sent.length = 0;
  for (const email of ["nobody@edge.test", gone.email, fresh.email, clerk.email])
    expect(await work(email)).toEqual(known);
  await base.settled();
  expect(base.sent).toEqual([]);
  expect((await sql("SELECT count(*) AS n FROM requests")).rows[0]!.n).toBe(1);
});

test("askByMail() keeps no address and no token, and mails no more than the limits allow", async () => {
  const token = await mailed();
  const { rows } = await sql("SELECT * FROM requests");
  expect(JSON.stringify(rows)).not.toContain(token);
  expect(JSON.stringify(rows)).not.toContain("@");
  for (let i = 0; i < 10; i++) await askByMail(nobody(), { email: owner.email, ...ask });
  await base.settled();
  expect((await sql("SELECT count(*) AS n FROM requests")).rows[0]!.n).toBe(LIMITS.requestsADay);
  expect(base.sent).toHaveLength(LIMITS.requestsADay);
});

test("an unverified request changes nothing: not with the link alone, and after a week it ends", async () => {
  const token = await mailed();
  const before = (await sql("SELECT * FROM accounts")).rows;
  await pendingRequest(nobody(), token);
  await watchRequests(base);
  expect(await state()).toMatchObject({ state: "identity_pending", verified_at: null });
  expect((await sql("SELECT * FROM accounts")).rows).toEqual(before);
  expect(await ledger()).toEqual([]);
  base.advance(LIMITS.requestPendingMs - 1);
  await watchRequests(base);
  expect((await state())!.state).toBe("identity_pending");
  base.advance(1);
  await watchRequests(base);
  expect((await state())!.state).toBe("expired");
  await expect(pendingRequest(nobody(), token)).rejects.toMatchObject({ code: "not_found" });
});

test("verifyByCode() takes the mailed link and a code, and tells every owner", async () => {
  const other = await aUser(base.db, { role: "owner", accountId });
  for (const code of [codes[0]!, ""]) {
    const token = await mailed();
    // The step of the first code was used when the app was set up.
    base.advance(60_000);
    const request = await verifyByCode(nobody(), token, code || totp.generate({ timestamp: base.now() }));
    expect(request).toMatchObject({ state: "verified", level: "V1", verifiedAt: base.now() });
    await base.settled();
    expect(base.sent.slice(1).map(({ to }) => to)).toEqual([owner.email, other.email]);
    const row = await requestOfCancel(nobody(), tokenIn(base.sent.at(-1)!.text));
    await cancelRequest(nobody(), row);
  }
  expect(await ledger()).toEqual(["verified", "revoked", "verified", "revoked"]);
});

test("a link that was used is a conflict for good; one that is too old or unknown is none", async () => {
  const token = await mailed();
  await verifyByCode(nobody(), token, codes[0]!);
  for (const code of [codes[1]!, "wrong"]) {
    await expect(verifyByCode(nobody(), token, code)).rejects.toMatchObject({ code: "conflict" });
    await expect(leaveToStaff(nobody(), token)).rejects.toMatchObject({ code: "conflict" });
  }
  base.advance(2 * LIMITS.requestLinkMs);
  await expect(verifyByCode(nobody(), token, codes[1]!)).rejects.toMatchObject({ code: "conflict" });
  await sql("UPDATE requests SET state = 'cleared', closed_at = 1");
  const late = await mailed();
  base.advance(LIMITS.requestLinkMs);
  await expect(verifyByCode(nobody(), late, codes[1]!)).rejects.toMatchObject({ code: "not_found" });
  await expect(verifyByCode(nobody(), "x".repeat(43), codes[1]!)).rejects.toMatchObject({ code: "not_found" });
});

test("five wrong codes lock for an hour, whatever link they come with, and the right one does not open it", async () => {
  const tokens = [await mailed(), await mailed()];
  for (let i = 0; i < 5; i++) {
    await expect(verifyByCode(nobody(), tokens[i % 2]!, "000000")).rejects.toMatchObject({
      code: "invalid",
      field: "code",
    });
  }
  for (const token of tokens) {
    await expect(verifyByCode(nobody(), token, codes[0]!)).rejects.toMatchObject({
      code: "rate_limited",
      retryAfterS: 3600,
    });
  }
  base.advance(3_599_000);
  await expect(verifyByCode(nobody(), tokens[0]!, codes[0]!)).rejects.toMatchObject({ code: "rate_limited" });
  expect((await sql("SELECT sum(attempts) AS n FROM requests")).rows[0]!.n).toBe(5);
  base.advance(1000);
  const fresh = await mailed();
  await verifyByCode(nobody(), fresh, codes[0]!);
});

test("a code of somebody else, a used one and none open nothing", async () => {
  const other = await aUser(base.db, { role: "owner", accountId });
  const theirs = await withCodes(other.id);
  const token = await mailed();
  for (const code of [theirs.codes[0]!, "", " "]) {
    await expect(verifyByCode(nobody(), token, code)).rejects.toMatchObject({ field: "code" });
  }
  const plain = await aUser(base.db, { role: "owner", accountId });
  await expect(verifyByCode(nobody(), await mailed(plain.email), codes[0]!)).rejects.toMatchObject({ field: "code" });
  expect(await ledger()).toEqual([]);
});

test("a viewer cannot erase the account, also with both proofs; what is about themself they can", async () => {
  const viewer = await aUser(base.db, { role: "viewer", accountId });
  const own = await withCodes(viewer.id);
  const token = await mailed(viewer.email);
  await expect(verifyByCode(nobody(), token, own.codes[0]!)).rejects.toMatchObject({ code: "forbidden" });
  await expect(leaveToStaff(nobody(), token)).rejects.toMatchObject({ code: "forbidden" });
  const scope = { kind: "categories" as const, categories: ["other" as const] };
  const small = await mailed(viewer.email, { email: viewer.email, type: "erase", scope });
  expect(await verifyByCode(nobody(), small, own.codes[0]!)).toMatchObject({ state: "verified" });
});

test("who was removed or changed their address lately does not get through with a code", async () => {
  const token = await mailed();
  await makeToken(base, "report", { userId: owner.id, payload: "old@edge.test", lifeMs: LIMITS.takeBackMs });
  await expect(verifyByCode(nobody(), token, codes[0]!)).rejects.toMatchObject({ code: "forbidden" });
  await updateUser(base.db, owner.id, { disabledAt: 1 });
  await expect(verifyByCode(nobody(), token, codes[1]!)).rejects.toMatchObject({ code: "not_found" });
  expect(await ledger()).toEqual([]);
});

test("of two who use one link at once, one is let through", async () => {
  const token = await mailed();
  const results = await Promise.allSettled(codes.slice(0, 2).map((code) => verifyByCode(nobody(), token, code)));
  expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
});

const REASON = "Knows the order number 4711";

test("without a code two of the staff decide, everybody concerned is told, and a day later it counts", async () => {
  const other = await aUser(base.db, { role: "owner", accountId });
  await leaveToStaff(nobody(), await mailed());
  const { name } = (await sql("SELECT name FROM requests")).rows[0] as unknown as { name: string };
  const row = () => anyRequest(base, name);
  expect(await row()).toMatchObject({ state: "identity_pending", level: "V2" });
  expect((await row()).deadline).toBeGreaterThan(base.now());
  const first = await staff();
  base.sent.length = 0;
  expect(await confirmIdentity(first, await row(), REASON)).toEqual({ another: true });
  await expect(confirmIdentity(first, await row(), REASON)).rejects.toMatchObject({ code: "conflict" });
  await base.settled();
  expect(base.sent).toEqual([]);
  base.advance(48 * 3_600_000);
  await watchRequests(base);
  expect((await row()).state).toBe("identity_pending");
  const again = await staff("admin");
  expect(await confirmIdentity(again, await row(), REASON)).toEqual({ another: false });
  await base.settled();
  const told = base.sent.filter(({ subject }) => subject.startsWith("In a day"));
  expect(told.map(({ to }) => to)).toEqual([owner.email, other.email]);
  base.advance(LIMITS.requestNoticeMs - 1);
  await watchRequests(base);
  expect((await row()).state).toBe("identity_pending");
  expect((await ledger()).includes("verified")).toBe(false);
  base.advance(1);
  await watchRequests(base);
  expect(await row()).toMatchObject({ state: "verified", level: "V2", verifiedAt: base.now() });
  expect((await ledger()).filter((type) => type === "verified")).toHaveLength(1);
});

test("who hears of it cancels it with the link, and it never counts", async () => {
  await leaveToStaff(nobody(), await mailed());
  const { name } = (await sql("SELECT name FROM requests")).rows[0] as unknown as { name: string };
  for (const ctx of [await staff(), await staff()]) await confirmIdentity(ctx, await anyRequest(base, name), REASON);
  await base.settled();
  await cancelRequest(nobody(), await requestOfCancel(nobody(), tokenIn(base.sent.at(-1)!.text)));
  base.advance(2 * LIMITS.requestNoticeMs);
  await watchRequests(base);
  expect((await state())!.state).toBe("revoked");
  expect(await ledger()).toEqual([]);
});

test("confirmIdentity() is for staff who have proved who they are, with a reason, and only where it is theirs to decide", async () => {
  await mailed();
  const { name } = (await sql("SELECT name FROM requests")).rows[0] as unknown as { name: string };
  const row = await anyRequest(base, name);
  const ctx = await staff();
  await expect(confirmIdentity(ctx, row, REASON)).rejects.toMatchObject({ code: "conflict" });
  await sql("UPDATE requests SET evidence_at = 1");
  await expect(confirmIdentity(ctx, row, "short")).rejects.toMatchObject({ field: "reason" });
  await expect(confirmIdentity(await staff("privacy", false), row, REASON)).rejects.toMatchObject({
    code: "step_up_required",
  });
  await expect(confirmIdentity(aContext(base, { kind: "admin" }), row, REASON)).rejects.toMatchObject({
    code: "forbidden",
  });
  const customer = aContext(base, asUser(accountId, owner.id, { provedAt: base.now() }));
  await expect(confirmIdentity(customer, row, REASON)).rejects.toMatchObject({ code: "forbidden" });
  expect((await sql("SELECT count(*) AS n FROM request_confirmations")).rows[0]!.n).toBe(0);
});

test("askForAccount() writes down what somebody without a channel asks for; it takes two more to count", async () => {
  const ctx = await staff();
  const unknown = askForAccount(ctx, { accountId: 999_999, ...ask, reason: REASON });
  await expect(unknown).rejects.toMatchObject({ field: "accountId" });
  const scope = { kind: "categories" as const, categories: ["other" as const] };
  const ofNobody = askForAccount(ctx, { accountId, type: "erase", scope, reason: REASON });
  await expect(ofNobody).rejects.toMatchObject({ field: "scope" });
  const token = aContext(base, { kind: "admin" });
  await expect(askForAccount(token, { accountId, ...ask, reason: REASON })).rejects.toMatchObject({
    code: "forbidden",
  });
  const row = await askForAccount(ctx, { accountId, ...ask, reason: REASON });
  expect(row).toMatchObject({ state: "identity_pending", level: "V2", userId: null });
  base.advance(2 * LIMITS.requestNoticeMs);
  await watchRequests(base);
  expect((await anyRequest(base, row.name)).state).toBe("identity_pending");
  expect((await sql("SELECT count(*) AS n FROM request_confirmations")).rows[0]!.n).toBe(0);
});

test("a copy of the data is not to be had without signing in", () => {
  expect(LOCKED_OUT_TYPES).toEqual(["erase", "restrict", "object"]);
});
