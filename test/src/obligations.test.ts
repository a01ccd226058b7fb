import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listActions } from "../../src/audit.ts";
import type { Ctx } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import {
  addObligation,
  agreeToObligation,
  endObligation,
  isInForce,
  type NewObligation,
  needsAgreement,
  obligationById,
  obligationsOf,
  ownObligation,
  ownObligations,
  purgeObligations,
} from "../../src/obligations.ts";
import {
  aBase,
  aContext,
  aDatabase,
  anAccount,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

const DAY = 86_400_000;
const NEWEST = Number.MAX_SAFE_INTEGER;
let database: TestDatabase;
let base: TestBase;
let accountId: number;
let finance: Ctx;
let owner: Ctx;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(base.db);
  const { id } = await aUser(base.db, { role: "finance" });
  const person = { userId: id, sessionId: 9, provedAt: NOON, secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  finance = aContext(base, { kind: "staff", role: "finance", trained: true, ...person, ...taste });
  owner = aContext(base, asUser(accountId, (await aUser(base.db, { role: "owner", accountId })).id));
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const asked = (change: Partial<NewObligation> = {}): NewObligation => ({
  ...{
    kind: "order",
    basis: "tax_law",
    details: "Invoice R-77 of 2026-03-01, 3 trackers",
    expiresAt: NOON + 1096 * DAY,
  },
  ...change,
});
const tired = (ctx: Ctx): Ctx => ({
  ...ctx,
  principal: { ...ctx.principal, provedAt: NOON - LIMITS.stepUpMs } as never,
});

describe("addObligation()", () => {
  test("writes down what is kept, why and until when; what is kept lies sealed", async () => {
    const row = await addObligation(finance, accountId, asked());
    expect(row).toMatchObject({ ...asked(), accountId, createdAt: NOON, acknowledgedAt: null });
    expect(isInForce(row, NOON)).toBe(true);
    const { rows } = await database.client.execute("SELECT details, created_by FROM obligations");
    expect(String(rows[0]!.details)).not.toContain("R-77");
    expect(rows[0]!.created_by).toBe(row.createdBy);
    expect((await listActions(base, accountId, NEWEST, 1))[0]).toMatchObject({
      ...{ action: "obligation.created", subject: `obligation ${row.id}` },
    });
  });

  test.each([
    ["no ground", { basis: undefined }, "invalid", "basis"],
    ["a ground that is none", { basis: "because" }, "invalid", "basis"],
    ["a kind that is none", { kind: "favour" }, "invalid", "kind"],
    ["no end", { expiresAt: undefined }, "invalid", "expiresAt"],
    ["an end that is past", { expiresAt: NOON }, "invalid", "expiresAt"],
    ["an end more than ten years ahead", { expiresAt: NOON + 3654 * DAY }, "invalid", "expiresAt"],
    ["nothing that is kept", { details: "  " }, "invalid", "details"],
    ["too much of it", { details: "x".repeat(4001) }, "invalid", "details"],
    ["control characters", { details: "a\u0007" }, "invalid", "details"],
    ["a card number", { details: "Paid with 4111 1111 1111 1111" }, "pan_not_accepted", "details"],
  ])("refuses %s, naming the field", async (_, change, code, field) => {
    await expect(addObligation(finance, accountId, asked(change as never))).rejects.toMatchObject({ code, field });
    expect((await database.client.execute("SELECT 1 FROM obligations")).rows).toEqual([]);
  });

  test("needs a fresh proof of who does it", async () => {
    await expect(addObligation(tired(finance), accountId, asked())).rejects.toMatchObject({ code: "step_up_required" });
  });
});

describe("an extension", () => {
  test("keeps nothing before the customer has agreed to it", async () => {
    const row = await addObligation(finance, accountId, asked({ kind: "extension", basis: "contract" }));
    expect(row.acknowledgedAt).toBeNull();
    expect(needsAgreement(row)).toBe(true);
    expect(isInForce(row, NOON)).toBe(false);
    await expect(agreeToObligation(tired(owner), row)).rejects.toMatchObject({ code: "step_up_required" });
    const agreed = await agreeToObligation(owner, row);
    expect(agreed.acknowledgedAt).toBe(NOON);
    expect(isInForce(agreed, NOON)).toBe(true);
    expect(isInForce(agreed, agreed.expiresAt)).toBe(false);
    await expect(agreeToObligation(owner, row)).rejects.toMatchObject({ code: "conflict" });
  });

  test("alone asks for agreement, and not when it is over", async () => {
    const order = await addObligation(finance, accountId, asked());
    await expect(agreeToObligation(owner, order)).rejects.toMatchObject({ code: "conflict" });
    const late = await addObligation(finance, accountId, asked({ kind: "extension", expiresAt: NOON + DAY }));
    base.at(NOON + DAY);
    const now = { ...owner, principal: { ...owner.principal, provedAt: base.now() } as never };
    await expect(agreeToObligation(now, late)).rejects.toMatchObject({ code: "conflict" });
  });
});

test("obligations are seen by their own account alone, in clear words", async () => {
  const mine = await addObligation(finance, accountId, asked());
  const otherId = await anAccount(base.db);
  const theirs = await addObligation(finance, otherId, asked({ details: "Something else" }));
  expect(await ownObligations(owner, NEWEST, 9)).toEqual([mine]);
  expect(await obligationsOf(finance, otherId, NEWEST, 9)).toEqual([theirs]);
  expect(await ownObligation(owner, mine.id)).toEqual(mine);
  await expect(ownObligation(owner, theirs.id)).rejects.toMatchObject({ code: "not_found" });
  await expect(obligationById(finance, accountId, theirs.id)).rejects.toMatchObject({ code: "not_found" });
});

test("endObligation() ends it at once with a reason that the customer reads, and purgeObligations() forgets it", async () => {
  const [paid, owed] = [
    await addObligation(finance, accountId, asked()),
    await addObligation(finance, accountId, asked()),
  ];
  await expect(endObligation(finance, paid, "no")).rejects.toMatchObject({ field: "reason" });
  expect(await purgeObligations(base)).toBe(0);
  await endObligation(finance, paid, "The invoice was cancelled");
  expect((await listActions(base, accountId, NEWEST, 1))[0]).toMatchObject({
    ...{ action: "obligation.ended", reason: "The invoice was cancelled" },
  });
  await expect(endObligation(finance, paid, "The invoice was cancelled")).rejects.toMatchObject({ code: "conflict" });
  expect(await purgeObligations(base)).toBe(1);
  expect(await ownObligations(owner, NEWEST, 9)).toEqual([owed]);
  base.at(owed.expiresAt - 1);
  expect(await purgeObligations(base)).toBe(0);
  base.at(owed.expiresAt);
  expect(await purgeObligations(base)).toBe(1);
});
