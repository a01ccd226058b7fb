import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listActions } from "../../src/audit.ts";
import type { Ctx, UserPrincipal } from "../../src/context.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { askByMail } from "../../src/identity.ts";
import { LIMITS } from "../../src/limits.ts";
import { cancelToken, requestOfCancel } from "../../src/request-mails.ts";
import { checkScope, OWN_FIELDS, REQUEST_TYPES } from "../../src/request-scope.ts";
import { watchRequests } from "../../src/request-watch.ts";
import {
  cancelRequest,
  denyRequest,
  listRequests,
  makeRequest,
  publicReceipt,
  requestOf,
  resolveRequest,
} from "../../src/requests.ts";
import { userById } from "../../src/store/users.ts";
import { LANGUAGES } from "../../src/text/index.ts";
import { makeToken } from "../../src/tokens.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

const NEWEST = Number.MAX_SAFE_INTEGER;
let database: TestDatabase;
let base: TestBase;
let accountId: number;
let owner: { id: number; email: string };

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(base.db);
  owner = await aUser(base.db, { role: "owner", accountId });
});
afterEach(async () => {
  await base.settled();
  database.close();
});

/** Signed in, and has just proved who they are. */
const as = (userId: number, more: Partial<UserPrincipal> = {}, of = accountId): Ctx =>
  aContext(base, asUser(of, userId, { provedAt: base.now(), ...more }));
const me = (more: Partial<UserPrincipal> = {}) => as(owner.id, more);
const staff = async (role: "privacy" | "admin" | "support" = "privacy") => {
  const { id } = await aUser(base.db, { role });
  const person = { userId: id, sessionId: 9, provedAt: base.now(), secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  return aContext(base, { kind: "staff", role, trained: true, ...person, ...taste });
};
const sql = (text: string, args: (string | number)[] = []) => database.client.execute({ sql: text, args });
const entries = async () =>
  (await sql("SELECT type, entry FROM ledger ORDER BY seq")).rows.map((row) => ({
    type: row.type,
    ...(JSON.parse(String(row.entry)) as { request: string; scopeClass: string }),
  }));
const mails = () => base.sent.map(({ to, subject }) => `${to} ${subject}`);
const link = (n = -1) => /https:\/\/edge\.test\/privacy\/\w+\/([\w-]+)/.exec(base.sent.at(n)!.text)![1]!;

const ERASE = { type: "erase", scope: { kind: "account" } } as const;

describe("makeRequest()", () => {
  test("of who is signed in and has proved it is verified at once, with a deadline, in the ledger, and told to every owner", async () => {
    const other = await aUser(base.db, { role: "owner", accountId, language: "zh" });
    await aUser(base.db, { role: "owner" });
    const { request, download } = await makeRequest(me(), ERASE);
    await base.settled();
    expect(request).toMatchObject({
      type: "erase",
      state: "verified",
      level: "V0",
      verifiedAt: NOON,
      userId: owner.id,
    });
    expect(request.name).toMatch(/^[\w-]{22}$/);
    expect(request.deadline).toBeGreaterThan(NOON);
    expect(request.calendar).not.toBe("");
    expect(download).toBeNull();
    const [entry, ...more] = await entries();
    expect(entry).toMatchObject({ type: "verified", request: request.name, scopeClass: "account" });
    expect(more).toEqual([]);
    expect(mails()).toEqual([
      `${owner.email} Your request: Delete: the whole account`,
      `${other.email} 您的请求：删除：整个账户`,
    ]);
  });

  test("tells the address that was changed within the last days, too", async () => {
    await sql("UPDATE users SET email_verified_at = 1");
    await makeToken(base, "report", { userId: owner.id, payload: "old@edge.test", lifeMs: LIMITS.takeBackMs });
    await makeRequest(me(), ERASE);
    await base.settled();
    expect(base.sent.map(({ to }) => to).toSorted()).toEqual(["old@edge.test", owner.email].toSorted());
  });

  test("needs a fresh proof of who asks", async () => {
    const stale = me({ provedAt: base.now() - LIMITS.stepUpMs });
    for (const type of REQUEST_TYPES) {
      await expect(makeRequest(stale, { type, scope: { kind: "account" } })).rejects.toMatchObject({
        code: "step_up_required",
      });
    }
    expect(await listRequests(me(), NEWEST, 9)).toEqual([]);
    expect(await entries()).toEqual([]);
  });

  test("refuses the same twice with the name of the open one, also when another owner asks, and not what is different", async () => {
    const other = await aUser(base.db, { role: "owner", accountId });
    const { request } = await makeRequest(me(), ERASE);
    for (const ctx of [me(), as(other.id)]) {
      await expect(makeRequest(ctx, ERASE)).rejects.toMatchObject({
        code: "conflict",
        more: { request: request.name },
      });
    }
    await makeRequest(me(), { type: "erase", scope: { kind: "categories", categories: ["other", "log"] } });
    await expect(
      makeRequest(me(), { type: "erase", scope: { kind: "categories", categories: ["log", "other", "log"] } }),
    ).rejects.toMatchObject({ code: "conflict" });
    // Of oneself, the same words of somebody else are another request.
    await makeRequest(as(other.id), { type: "erase", scope: { kind: "categories", categories: ["log", "other"] } });
    await cancelRequest(me(), await requestOf(me(), request.name));
    await makeRequest(as(other.id), ERASE);
  });

  test("of two at once, one is made", async () => {
    const results = await Promise.allSettled([makeRequest(me(), ERASE), makeRequest(me(), ERASE)]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect((await sql("SELECT count(*) AS n FROM requests WHERE state = 'verified'")).rows[0]!.n).toBe(1);
    expect((await sql("SELECT count(*) AS n FROM requests")).rows[0]!.n).toBe(1);
  });

  test("takes three of a type a day from one person, and says when the next is possible", async () => {
    const own = (name: "profile" | "log" | "other") => ({ kind: "categories" as const, categories: [name] });
    for (const name of ["profile", "log", "other"] as const) {
      await makeRequest(me(), { type: "object", scope: own(name) });
      base.advance(3_600_000);
    }
    const more = { type: "object", scope: { kind: "account" } } as const;
    await expect(makeRequest(me(), more)).rejects.toMatchObject({ code: "rate_limited", retryAfterS: 21 * 3600 });
    // Nobody is kept from deleting by what else they asked for.
    await makeRequest(me(), ERASE);
    const other = await aUser(base.db, { role: "owner", accountId });
    await makeRequest(as(other.id), more);
    base.advance(21 * 3_600_000);
    await makeRequest(me(), { type: "object", scope: { kind: "tracks" } });
  });

  test("is not kept from it by what a stranger asks for with the same address", async () => {
    for (let i = 0; i < 5; i++)
      await askByMail(aContext(base, { kind: "anonymous" }), { email: owner.email, ...ERASE });
    expect((await makeRequest(me(), ERASE)).request.state).toBe("verified");
  });

  test("of an access or an export gives the export at once and is over", async () => {
    for (const type of ["access", "export"] as const) {
      const { request, download } = await makeRequest(me(), { type });
      expect(request).toMatchObject({ state: "cleared", closedAt: NOON });
      expect(download).toMatch(/^https:\/\/edge\.test\/v1\/exports\/[\w-]{43}$/);
    }
    await base.settled();
    expect(mails()).toEqual(Array(2).fill(`${owner.email} Done as you asked`));
    expect((await entries()).map(({ type }) => type)).toEqual(["verified", "exported", "verified", "exported"]);
  });

  test("of a correction changes what it names by the rules of the profile, and keeps names and no values", async () => {
    const { request } = await makeRequest(me(), {
      type: "correct",
      correction: { profile: { name: "Kim Right" }, account: { paymentMode: "transfer" } },
    });
    expect(request).toMatchObject({
      state: "verified",
      scope: '{"kind":"fields","fields":["accounts.paymentMode","users.name"]}',
    });
    expect((await userById(base.db, owner.id))!.name).toBe("Kim Right");
    // The engine goes on with it.
    expect((await entries()).map(({ type }) => type)).toEqual(["verified"]);
    await base.settled();
    expect(mails()).toEqual([`${owner.email} Done as you asked`]);
    const { rows } = await sql("SELECT * FROM requests");
    expect(JSON.stringify(rows)).not.toContain("Kim");
  });

  test("of a correction that the rules refuse leaves nothing behind", async () => {
    const wrong = makeRequest(me(), { type: "correct", correction: { profile: { timeZone: "Nowhere/Land" } } });
    await expect(wrong).rejects.toMatchObject({ code: "invalid", field: "timeZone" });
    await expect(makeRequest(me(), { type: "correct" })).rejects.toMatchObject({ field: "correction" });
    const both = makeRequest(me(), {
      type: "correct",
      scope: { kind: "account" },
      correction: { profile: { name: "K" } },
    });
    await expect(both).rejects.toMatchObject({ field: "scope" });
    const viewer = await aUser(base.db, { role: "viewer", accountId });
    const accounts = makeRequest(as(viewer.id, { role: "viewer" }), {
      type: "correct",
      correction: { account: { paymentMode: "transfer" } },
    });
    await expect(accounts).rejects.toMatchObject({ code: "forbidden", field: "correction.account" });
    expect(await entries()).toEqual([]);
    expect((await sql("SELECT count(*) AS n FROM requests")).rows[0]!.n).toBe(0);
  });
});

describe("checkScope()", () => {
  const FROM = NOON - 86_400_000;
  const check = (who: Partial<UserPrincipal>, type: "erase" | "access", scope: ErasureScope) =>
    checkScope(base, asUser(accountId, owner.id, who) as UserPrincipal, type, scope);

  test("lets owners ask for everything, managers for devices, viewers for what is about themselves", async () => {
    const { id } = await aDevice(base.db, { accountId });
    const all: ErasureScope[] = [
      { kind: "account" },
      { kind: "tracks" },
      { kind: "devices", devices: [id] },
      { kind: "range", device: id, from: FROM, to: NOON },
      { kind: "categories", categories: ["profile"] },
      { kind: "fields", fields: ["users.name"] },
      { kind: "fields", fields: ["accounts.paymentMode"] },
    ];
    const allowed = async (role: UserPrincipal["role"], type: "erase" | "access") => {
      const results = await Promise.all(
        all.map((scope) =>
          check({ role }, type, scope).then(
            () => "+",
            () => "-",
          ),
        ),
      );
      return results.join("");
    };
    expect(await allowed("owner", "erase")).toBe("+++++++");
    expect(await allowed("manager", "erase")).toBe("--++++-");
    expect(await allowed("viewer", "erase")).toBe("----++-");
    expect(await allowed("viewer", "access")).toBe("++++++-");
  });

  test("a device of another account is as one that there is not; one that is only to be seen is refused", async () => {
    const mine = await aDevice(base.db, { accountId });
    const seen = await aDevice(base.db, { accountId });
    const foreign = await aDevice(base.db);
    const refusals = await Promise.all(
      [foreign.id, 999_999].map((id) =>
        check({}, "erase", { kind: "devices", devices: [mine.id, id] }).catch((error: unknown) => error),
      ),
    );
    expect(refusals[0]).toMatchObject({ code: "invalid", field: "scope.devices" });
    expect(refusals[1]).toEqual(refusals[0]);
    const range = check({}, "erase", { kind: "range", device: foreign.id, from: FROM, to: NOON });
    await expect(range).rejects.toMatchObject({ code: "invalid", field: "scope.device" });
    const limited = { role: "manager", devices: [mine.id, seen.id], editable: [mine.id] } as const;
    await check(limited, "erase", { kind: "devices", devices: [mine.id] });
    await check(limited, "access", { kind: "devices", devices: [seen.id] });
    await expect(check(limited, "erase", { kind: "devices", devices: [seen.id] })).rejects.toMatchObject({
      code: "forbidden",
    });
    const hidden = await aDevice(base.db, { accountId });
    await expect(check(limited, "erase", { kind: "devices", devices: [hidden.id] })).rejects.toMatchObject({
      field: "scope.devices",
    });
  });

  test("names the field that is wrong", async () => {
    const { id } = await aDevice(base.db, { accountId });
    const wrong: [ErasureScope, string][] = [
      [{ kind: "devices", devices: [] }, "scope.devices"],
      [{ kind: "range", device: id, from: NOON, to: NOON }, "scope.to"],
      [{ kind: "range", device: id, from: NOON + 1, to: NOON + 2 }, "scope.from"],
      [{ kind: "categories", categories: [] }, "scope.categories"],
      [{ kind: "categories", categories: ["location"] }, "scope.categories"],
      [{ kind: "categories", categories: ["profile", "account"] }, "scope.categories"],
      [{ kind: "fields", fields: [] }, "scope.fields"],
      [{ kind: "fields", fields: ["users.email"] }, "scope.fields"],
      [{ kind: "fields", fields: ["users.name", "users.passwordHash"] }, "scope.fields"],
    ];
    for (const [scope, field] of wrong) await expect(check({}, "erase", scope)).rejects.toMatchObject({ field });
  });

  test("the fields are those that the data map lets be empty", () => {
    expect(Object.keys(OWN_FIELDS)).toEqual(
      expect.arrayContaining(["users.name", "users.mobile", "accounts.paymentMode"]),
    );
    for (const field of ["users.email", "users.passwordHash"]) expect(OWN_FIELDS[field]).toBeUndefined();
    for (const { text } of Object.values(LANGUAGES)) {
      expect(Object.keys(OWN_FIELDS).filter((name) => text.requests.fields[name] === undefined)).toEqual([]);
    }
  });
});

describe("requests of others", () => {
  test("of another account there are none; of the own account an owner sees everybody's, others theirs", async () => {
    const viewer = await aUser(base.db, { role: "viewer", accountId });
    const stranger = await aUser(base.db, { role: "owner" });
    const { request } = await makeRequest(me(), ERASE);
    const own = await makeRequest(as(viewer.id, { role: "viewer" }), {
      type: "erase",
      scope: { kind: "fields", fields: ["users.name"] },
    });
    const names = async (ctx: Ctx) => (await listRequests(ctx, NEWEST, 9)).map(({ name }) => name);
    expect(await names(me())).toEqual([own.request.name, request.name]);
    expect(await names(as(viewer.id, { role: "viewer" }))).toEqual([own.request.name]);
    const other = as(stranger.id, {}, stranger.accountId!);
    expect(await names(other)).toEqual([]);
    for (const ctx of [other, as(viewer.id, { role: "viewer" })]) {
      await expect(requestOf(ctx, request.name)).rejects.toMatchObject({ code: "not_found" });
    }
  });
});

describe("cancelling", () => {
  test("cancelRequest() works until something has been done for it; after that it is a conflict", async () => {
    const { request } = await makeRequest(me(), ERASE);
    await cancelRequest(me(), request);
    expect(await requestOf(me(), request.name)).toMatchObject({ state: "revoked", closedAt: NOON });
    await expect(cancelRequest(me(), request)).rejects.toMatchObject({ code: "conflict" });
    const again = (await makeRequest(me(), ERASE)).request;
    for (const state of ["frozen", "shredding", "purging", "scrubbing", "propagating", "verifying", "cleared"]) {
      await sql("UPDATE requests SET state = ? WHERE id = ?", [state, again.id]);
      await expect(cancelRequest(me(), again)).rejects.toMatchObject({ code: "conflict" });
      expect((await requestOf(me(), again.name)).state).toBe(state);
    }
    expect((await entries()).map(({ type }) => type)).toEqual(["verified", "revoked", "verified"]);
  });

  test("the mailed link names its request and works for whoever has it; an altered one is none", async () => {
    const { request } = await makeRequest(me(), ERASE);
    await base.settled();
    const token = link();
    const nobody = aContext(base, { kind: "anonymous" });
    expect((await requestOfCancel(nobody, token)).name).toBe(request.name);
    expect(await cancelToken(nobody, request.name)).toBe(token);
    const other = "A".repeat(22) + token.slice(22);
    for (const wrong of [`${token.slice(0, -1)}${token.endsWith("0") ? "1" : "0"}`, other, request.name, ""]) {
      await expect(requestOfCancel(nobody, wrong)).rejects.toMatchObject({ code: "not_found" });
    }
  });
});

describe("the operator", () => {
  test("denyRequest() ends what cannot be verified and what has no ground, and never a verified erasure", async () => {
    const ctx = await staff();
    const { request } = await makeRequest(me(), ERASE);
    const reason = "Nothing of it is processed here";
    await expect(denyRequest(ctx, request, reason)).rejects.toMatchObject({ code: "conflict" });
    const object = (await makeRequest(me(), { type: "object", scope: { kind: "account" } })).request;
    await expect(denyRequest(ctx, object, "no")).rejects.toMatchObject({ field: "reason" });
    await base.settled();
    base.sent.length = 0;
    await denyRequest(ctx, object, reason);
    await base.settled();
    expect((await requestOf(me(), object.name)).state).toBe("denied");
    expect(base.sent.map(({ text }) => text.includes(reason))).toEqual([true]);
    const [act] = await listActions(base, accountId, NEWEST, 1);
    expect(act).toMatchObject({ action: "request.denied", reason, accountId });
  });

  test("resolveRequest() ends an objection, and says nothing about an erasure", async () => {
    const ctx = await staff();
    const erasure = (await makeRequest(me(), ERASE)).request;
    const objection = (await makeRequest(me(), { type: "object", scope: { kind: "tracks" } })).request;
    await resolveRequest(ctx, objection, "Nothing is read for statistics");
    await expect(resolveRequest(ctx, erasure, "It is all gone, believe me")).rejects.toMatchObject({
      code: "conflict",
    });
    expect((await requestOf(me(), objection.name)).state).toBe("cleared");
    expect((await requestOf(me(), erasure.name)).state).toBe("verified");
  });
});

describe("watchRequests()", () => {
  const told = () => base.logged.filter((line) => /request\.(clock|late)/.test(line)).map((line) => line.split(" ")[1]);

  test("tells of half, four fifths and all of the time once each, and writes a miss into the ledger", async () => {
    await aUser(base.db, { role: "support" });
    const privacy = await aUser(base.db, { role: "privacy" });
    const { request } = await makeRequest(me(), ERASE);
    await base.settled();
    const span = request.deadline! - NOON;
    for (const [part, events] of [
      [0.49, []],
      [0.5, ["request.clock"]],
      [0.79, ["request.clock"]],
      [0.8, ["request.clock", "request.clock"]],
      [0.99, ["request.clock", "request.clock"]],
      [1, ["request.clock", "request.clock", "request.late"]],
      [1.5, ["request.clock", "request.clock", "request.late"]],
    ] as const) {
      base.at(NOON + Math.ceil(span * part));
      await watchRequests(base);
      expect(told()).toEqual(events);
    }
    await base.settled();
    expect(mails().filter((mail) => mail.startsWith(privacy.email))).toEqual([
      `${privacy.email} A request has used 50 % of its time`,
      `${privacy.email} A request has used 80 % of its time`,
      `${privacy.email} A request is late`,
    ]);
    expect((await entries()).map(({ type, request: name }) => [type, name])).toEqual([
      ["verified", request.name],
      ["deadline_missed", request.name],
    ]);
  });

  test("a miss that was written and not marked is not written twice", async () => {
    const { request } = await makeRequest(me(), ERASE);
    base.at(request.deadline!);
    await watchRequests(base);
    await sql("UPDATE requests SET alarmed = 80");
    await watchRequests(base);
    expect((await entries()).map(({ type }) => type)).toEqual(["verified", "deadline_missed"]);
  });

  test("says nothing of what is over, and forgets it after its period", async () => {
    const { request } = await makeRequest(me(), ERASE);
    await sql("UPDATE requests SET hash = 'abc', attempts = 3");
    await sql("INSERT INTO receipts (request_id, at, body) VALUES (?, 1, '{}')", [request.id]);
    await cancelRequest(me(), request);
    base.at(NOON + LIMITS.requestEvidenceMs);
    await watchRequests(base);
    expect(told()).toEqual([]);
    expect((await sql("SELECT hash, attempts FROM requests")).rows[0]).toMatchObject({ hash: null, attempts: 0 });
    expect(await publicReceipt(base, request.name)).toBe("{}");
    base.at(NOON + LIMITS.requestsMs);
    await watchRequests(base);
    expect((await sql("SELECT count(*) AS n FROM requests")).rows[0]!.n).toBe(0);
    await expect(publicReceipt(base, request.name)).rejects.toMatchObject({ code: "not_found" });
  });
});
