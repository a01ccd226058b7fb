import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listActions } from "../../src/audit.ts";
import type { Ctx, StaffRole } from "../../src/context.ts";
import { healthOf } from "../../src/health.ts";
import { grantLegal, isLegal, legalStaff } from "../../src/legal.ts";
import {
  confirmHold,
  dueReviews,
  type Hold,
  holdNamed,
  holdState,
  listHolds,
  type NewHold,
  openHoldsOf,
  placeHold,
  releaseHold,
  remindOfHolds,
  reviewHold,
} from "../../src/legal-holds.ts";
import { LIMITS } from "../../src/limits.ts";
import { staffById } from "../../src/staff.ts";
import * as store from "../../src/store/legal-holds.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

const DAY = 86_400_000;
const NEWEST = Number.MAX_SAFE_INTEGER;
const WHY = "The court asks for it until it has decided";
let database: TestDatabase;
let base: TestBase;
let accountId: number;
let one: Ctx;
let other: Ctx;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(base.db);
  one = await staff("privacy");
  other = await staff("admin");
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const sql = (text: string, args: (string | number | null)[] = []) => database.client.execute({ sql: text, args });

/** One of the staff, who may handle what is kept for a legal reason until a time. */
async function staff(role: StaffRole, legalUntil: number | null = NOON + 30 * DAY): Promise<Ctx> {
  const { id } = await aUser(base.db, { role });
  await sql("UPDATE users SET legal_until = ? WHERE id = ?", [legalUntil, id]);
  const person = { userId: id, sessionId: 9, provedAt: base.now(), secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  return aContext(base, { kind: "staff", role, trained: true, ...person, ...taste });
}
const idOf = ({ principal }: Ctx) => (principal.kind === "staff" ? principal.userId : 0);
const tired = (ctx: Ctx): Ctx => ({
  ...ctx,
  principal: { ...ctx.principal, provedAt: NOON - LIMITS.stepUpMs } as never,
});

const asked = (change: Partial<NewHold> = {}): NewHold => ({
  ...{ accountId, scope: { kind: "account" }, basis: "court_order", reference: "2026/AZ-17" },
  ...{ reviewAt: NOON + 90 * DAY, expiresAt: NOON + 365 * DAY },
  ...change,
});
const confirmed = async (change: Partial<NewHold> = {}): Promise<Hold> =>
  confirmHold(other, await placeHold(one, asked(change)));
const erasure = (state: string, more: { type?: string; account?: number; closedAt?: number } = {}) =>
  sql(
    `INSERT INTO requests (name, type, state, account_id, scope, received_at, closed_at)
      VALUES (?, ?, ?, ?, '{"kind":"account"}', ?, ?)`,
    [`${state}${more.type ?? ""}`, more.type ?? "erase", state, more.account ?? accountId, NOON, more.closedAt ?? null],
  );
const entries = async () =>
  (await sql("SELECT entry FROM ledger ORDER BY seq")).rows.map((row) => JSON.parse(String(row.entry)) as object);
const acts = async () => (await listActions(base, null, NEWEST, 99)).map(({ action }) => action).toReversed();

describe("placeHold()", () => {
  test("writes it down, and it counts for nothing before somebody else has confirmed it", async () => {
    const hold = await placeHold(one, asked());
    expect(hold).toMatchObject({
      ...{ accountId, basis: "court_order", reference: "2026/AZ-17", scope: '{"kind":"account"}' },
      ...{ placedBy: idOf(one), placedAt: NOON, confirmedBy: null, confirmedAt: null, releasedAt: null },
    });
    expect(hold.name).toMatch(/^[\w-]{22}$/);
    expect(holdState(hold, NOON)).toBe("placed");
    expect(await entries()).toEqual([]);
    expect(await acts()).toEqual(["hold.placed"]);
  });

  test("is for administrators and privacy staff whose time for it is not over, who have just proved who they are", async () => {
    const never = await staff("privacy", null);
    const late = await staff("admin", NOON);
    const support = await staff("support");
    const finance = await staff("finance");
    for (const ctx of [never, late, support, finance, aContext(base, { kind: "admin" }), aContext(base)]) {
      await expect(placeHold(ctx, asked())).rejects.toMatchObject({ code: "forbidden" });
    }
    await expect(placeHold(tired(one), asked())).rejects.toMatchObject({ code: "step_up_required" });
    await sql("UPDATE users SET training_valid_until = ? WHERE id = ?", [NOON, idOf(one)]);
    await expect(placeHold(one, asked())).rejects.toMatchObject({ code: "forbidden" });
    expect((await sql("SELECT 1 FROM legal_holds")).rows).toEqual([]);
  });

  test("stops with the grant: what was there a moment ago does not count", async () => {
    await placeHold(one, asked());
    base.at(NOON + 30 * DAY);
    await expect(placeHold(one, asked())).rejects.toMatchObject({ code: "forbidden" });
  });

  test.each([
    ["no account", () => ({ accountId: 99_999 }), "accountId"],
    ["a name in place of a file number", () => ({ reference: "Ada Lovelace" }), "reference"],
    ["small letters", () => ({ reference: "az-17" }), "reference"],
    ["no file number", () => ({ reference: "" }), "reference"],
    ["one that is too long", () => ({ reference: "A".repeat(41) }), "reference"],
    ["an end that is past", () => ({ expiresAt: NOON }), "expiresAt"],
    ["an end more than three years ahead", () => ({ expiresAt: NOON + 1097 * DAY }), "expiresAt"],
    ["no end", () => ({ expiresAt: Number.NaN }), "expiresAt"],
    ["no review", () => ({ reviewAt: Number.NaN }), "reviewAt"],
    ["a review more than 180 days ahead", () => ({ reviewAt: NOON + 181 * DAY }), "reviewAt"],
    ["a review after the end", () => ({ expiresAt: NOON + 5 * DAY, reviewAt: NOON + 6 * DAY }), "reviewAt"],
    ["no device", () => ({ scope: { kind: "devices" as const, devices: [] } }), "scope.devices"],
    [
      "a stretch that ends before it begins",
      () => ({ scope: { kind: "range", device: 1, from: 9, to: 8 } }),
      "scope.to",
    ],
    ["what cannot be held", () => ({ scope: { kind: "fields", fields: ["users.name"] } }), "scope"],
  ])("refuses %s, naming the field", async (_, change, field) => {
    await expect(placeHold(one, asked(change() as Partial<NewHold>))).rejects.toMatchObject({ code: "invalid", field });
  });

  test("refuses a device of another account, and takes those of the account in one form", async () => {
    const [mine, more] = [await aDevice(base.db, { accountId }), await aDevice(base.db, { accountId })];
    const theirs = await aDevice(base.db);
    for (const [scope, field] of [
      [{ kind: "devices", devices: [mine.id, theirs.id] }, "scope.devices"],
      [{ kind: "range", device: theirs.id, from: NOON - DAY, to: NOON }, "scope.device"],
    ] as const) {
      await expect(placeHold(one, asked({ scope: scope as never }))).rejects.toMatchObject({
        code: "invalid",
        field,
        message: `${field} must name devices of that account`,
      });
    }
    const hold = await placeHold(one, asked({ scope: { kind: "devices", devices: [more.id, mine.id, more.id] } }));
    expect(JSON.parse(hold.scope)).toEqual({ kind: "devices", devices: [mine.id, more.id] });
  });
});

describe("confirmHold()", () => {
  test("makes it count, with the ledger saying so in fixed words", async () => {
    const hold = await confirmed();
    expect(hold).toMatchObject({ confirmedBy: idOf(other), confirmedAt: NOON });
    expect(holdState(hold, NOON)).toBe("in_force");
    const [entry, ...more] = await entries();
    expect(entry).toMatchObject({ type: "held", scopeClass: "account", actorRole: "admin", result: "done" });
    expect(JSON.stringify(entry)).not.toContain("AZ-17");
    expect(more).toEqual([]);
    expect(await acts()).toEqual(["hold.placed", "hold.confirmed"]);
  });

  test("is not for who placed it, even in the database", async () => {
    const hold = await placeHold(one, asked());
    await expect(confirmHold(one, hold)).rejects.toMatchObject({ code: "forbidden" });
    expect(await store.confirmHold(base.db, hold.id, idOf(one), NOON)).toBe(false);
    await expect(
      sql("UPDATE legal_holds SET confirmed_by = placed_by, confirmed_at = 1 WHERE id = ?", [hold.id]),
    ).rejects.toThrow(/CHECK/);
    expect(await entries()).toEqual([]);
  });

  test("is not for who has no grant, whose grant is over, or who has not just proved who they are", async () => {
    const hold = await placeHold(one, asked());
    for (const ctx of [await staff("privacy", null), await staff("admin", NOON), aContext(base, { kind: "admin" })]) {
      await expect(confirmHold(ctx, hold)).rejects.toMatchObject({ code: "forbidden" });
    }
    await expect(confirmHold(tired(other), hold)).rejects.toMatchObject({ code: "step_up_required" });
    expect(holdState(await holdNamed(base, hold.name), NOON)).toBe("placed");
  });

  test.each(["shredding", "purging", "scrubbing", "propagating", "verifying"])(
    "comes too late for an erasure in state %s, and changes nothing",
    async (state) => {
      const hold = await placeHold(one, asked());
      await erasure(state);
      await expect(confirmHold(other, hold)).rejects.toMatchObject({
        code: "conflict",
        message: "An erasure of this account has begun to destroy: it is too late to keep anything from it",
      });
      expect(await store.confirmHold(base.db, hold.id, idOf(other), NOON)).toBe(false);
      expect(holdState(await holdNamed(base, hold.name), NOON)).toBe("placed");
      expect(await entries()).toEqual([]);
    },
  );

  test("is in time before that, after an erasure that is over, and beside those of other accounts", async () => {
    await erasure("verified");
    await erasure("frozen");
    await erasure("purging", { type: "object" });
    await erasure("verifying", { closedAt: NOON });
    await erasure("shredding", { account: await anAccount(base.db) });
    expect(holdState(await confirmed(), NOON)).toBe("in_force");
  });

  test("refuses it twice, of an account that is gone, and when it is over", async () => {
    const hold = await placeHold(one, asked());
    await confirmHold(other, hold);
    await expect(confirmHold(other, await holdNamed(base, hold.name))).rejects.toMatchObject({ code: "conflict" });
    const short = await placeHold(one, asked({ expiresAt: NOON + DAY, reviewAt: NOON + DAY }));
    const gone = await placeHold(one, asked({ accountId: await anAccount(base.db) }));
    await sql("DELETE FROM accounts WHERE id = ?", [gone.accountId]);
    await expect(confirmHold(other, gone)).rejects.toMatchObject({
      code: "conflict",
      message: "This account is gone: there is nothing left to keep",
    });
    base.at(NOON + DAY);
    await expect(
      confirmHold({ ...other, principal: { ...other.principal, provedAt: base.now() } as never }, short),
    ).rejects.toMatchObject({ code: "conflict", message: "This hold is over: it stays as it is" });
  });

  test("of two at once, one counts", async () => {
    const hold = await placeHold(one, asked());
    const third = await staff("privacy");
    const results = await Promise.allSettled([confirmHold(other, hold), confirmHold(third, hold)]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  });
});

describe("reviewHold() and releaseHold()", () => {
  test("extend the review with a reason, and not beyond 180 days or its end", async () => {
    const hold = await confirmed({ expiresAt: NOON + 120 * DAY });
    expect(await reviewHold(one, hold, NOON + 110 * DAY, WHY)).toMatchObject({ reviewAt: NOON + 110 * DAY });
    for (const at of [NOON, NOON + 121 * DAY, NOON + 181 * DAY]) {
      await expect(reviewHold(one, hold, at, WHY)).rejects.toMatchObject({ code: "invalid", field: "reviewAt" });
    }
    await expect(reviewHold(one, hold, NOON + DAY, "short")).rejects.toMatchObject({ field: "reason" });
    await expect(reviewHold(await staff("privacy", null), hold, NOON + DAY, WHY)).rejects.toMatchObject({
      code: "forbidden",
    });
    const [act] = await listActions(base, null, NEWEST, 1);
    expect(act).toMatchObject({ action: "hold.reviewed", subject: `hold ${hold.id}`, reason: WHY });
  });

  test("end it at once by one person with a reason, that stays readable when the account is gone", async () => {
    const hold = await confirmed();
    await sql("DELETE FROM accounts WHERE id = ?", [accountId]);
    await expect(releaseHold(one, hold, "no")).rejects.toMatchObject({ field: "reason" });
    await expect(releaseHold(await staff("privacy", null), hold, WHY)).rejects.toMatchObject({ code: "forbidden" });
    await expect(releaseHold(tired(one), hold, WHY)).rejects.toMatchObject({ code: "step_up_required" });
    const released = await releaseHold(one, hold, WHY);
    expect(released).toMatchObject({ releasedBy: idOf(one), releasedAt: NOON });
    expect(holdState(released, NOON)).toBe("released");
    const [act] = await listActions(base, null, NEWEST, 1);
    expect(act).toMatchObject({ action: "hold.released", accountId: null, reason: WHY });
    for (const again of [() => releaseHold(one, released, WHY), () => reviewHold(one, released, NOON + DAY, WHY)]) {
      await expect(again()).rejects.toMatchObject({ code: "conflict" });
    }
  });
});

describe("a hold whose review is due", () => {
  test("goes on, warns, and the legal staff are told once a week, until it is reviewed or over", async () => {
    const hold = await confirmed({ reviewAt: NOON + DAY });
    await placeHold(one, asked({ reviewAt: NOON + DAY }));
    await staff("privacy", NOON + DAY);
    expect(await remindOfHolds(base)).toBe(0);
    expect((await healthOf(base)).warnings).not.toContain("holds");
    base.at(NOON + DAY);
    expect(holdState(await holdNamed(base, hold.name), base.now())).toBe("in_force");
    expect(await dueReviews(base)).toBe(1);
    expect((await healthOf(base)).warnings).toContain("holds");
    base.sent.length = 0;
    expect(await Promise.all([remindOfHolds(base), remindOfHolds(base)]).then((n) => n.toSorted())).toEqual([0, 1]);
    await base.settled();
    expect(base.sent.map(({ subject }) => subject)).toEqual(["A hold is to be reviewed", "A hold is to be reviewed"]);
    expect(base.sent[0]!.text).toContain("https://edge.test/admin/holds");
    base.advance(LIMITS.holdTellMs - 1);
    expect(await remindOfHolds(base)).toBe(0);
    base.advance(1);
    expect(await remindOfHolds(base)).toBe(1);
    const now = { ...one, principal: { ...one.principal, provedAt: base.now() } as never };
    await reviewHold(now, hold, base.now() + DAY, WHY);
    expect(await dueReviews(base)).toBe(0);
    base.advance(DAY);
    expect(await remindOfHolds(base)).toBe(1);
    base.at(NOON + 365 * DAY);
    expect(holdState(await holdNamed(base, hold.name), base.now())).toBe("expired");
    expect(await dueReviews(base)).toBe(0);
  });
});

test("listHolds() and openHoldsOf() give the newest first, and of what is open what is neither released nor over", async () => {
  const first = await confirmed();
  const second = await placeHold(one, asked({ accountId: await anAccount(base.db) }));
  const third = await confirmed();
  await releaseHold(one, third, WHY);
  const names = async (openOnly: boolean, before = NEWEST, limit = 9) =>
    (await listHolds(base, openOnly, before, limit)).map(({ name }) => name);
  expect(await names(false)).toEqual([third.name, second.name, first.name]);
  expect(await names(false, third.id, 1)).toEqual([second.name]);
  expect(await names(true)).toEqual([second.name, first.name]);
  expect((await openHoldsOf(base, accountId)).map(({ name }) => name)).toEqual([first.name]);
  await expect(holdNamed(base, "x".repeat(22))).rejects.toMatchObject({ code: "not_found" });
});

describe("grantLegal()", () => {
  test("lets administrators and privacy staff, for a year at most, with a reason that is written down", async () => {
    const member = await staffById(other, idOf(await staff("privacy", null)));
    const until = NOON + 366 * DAY;
    expect(await grantLegal(other, member, until, WHY)).toMatchObject({ id: member.id, legalUntil: until });
    expect((await listActions(base, null, NEWEST, 1))[0]).toMatchObject({
      ...{ action: "legal.granted", subject: `user ${member.id}`, reason: WHY, actorId: idOf(other) },
    });
    expect((await legalStaff(other)).map(({ id }) => id)).toContain(member.id);
    for (const bad of [NOON, until + 1, Number.NaN]) {
      await expect(grantLegal(other, member, bad, WHY)).rejects.toMatchObject({ code: "invalid", field: "until" });
    }
    await expect(grantLegal(other, member, until, "")).rejects.toMatchObject({ field: "reason" });
    await expect(grantLegal(tired(other), member, until, WHY)).rejects.toMatchObject({ code: "step_up_required" });
    expect(await grantLegal(other, member, null, WHY)).toMatchObject({ legalUntil: null });
  });

  test("is not for oneself, and not for support or finance", async () => {
    const self = await staffById(other, idOf(other));
    await expect(grantLegal(other, self, NOON + DAY, WHY)).rejects.toMatchObject({ code: "forbidden" });
    for (const role of ["support", "finance"] as const) {
      const member = await staffById(other, idOf(await staff(role, null)));
      await expect(grantLegal(other, member, NOON + DAY, WHY)).rejects.toMatchObject({
        code: "invalid",
        field: "until",
      });
    }
    // One's own can be given up.
    expect(await grantLegal(other, self, null, WHY)).toMatchObject({ legalUntil: null });
    expect(await isLegal(other)).toBe(false);
  });

  test("does not outlast the role that it was given for", async () => {
    await sql("UPDATE users SET role = 'support' WHERE id = ?", [idOf(one)]);
    expect(await isLegal(one)).toBe(false);
  });
});
