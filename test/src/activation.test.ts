import { eq } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createDevice,
  listActivations,
  loadActivations,
  loadActivationsCsv,
  needsCode,
  removeActivation,
} from "../../src/activation.ts";
import type { Ctx } from "../../src/context.ts";
import { changeDevice, deleteDevice } from "../../src/devices.ts";
import type { AppError } from "../../src/errors.ts";
import { LIMITS } from "../../src/limits.ts";
import { feed, history, latest } from "../../src/positions.ts";
import { purgeActivations } from "../../src/retention.ts";
import { accounts, activations, audit, devices, mails, positions } from "../../src/store/schema.ts";
import { writeSetting } from "../../src/store/settings.ts";
import { aBase, aContext, aDatabase, anAccount, anImei, asKey, aUser, NOON, type TestBase } from "../database.ts";

let base: TestBase;
let close: () => void;
let customer: Ctx;
let other: Ctx;
let operator: Ctx;

/** A caller of an account that signed up itself. */
async function signedUp(name: string): Promise<Ctx> {
  const accountId = await anAccount(base.db, { name });
  await base.db.update(accounts).set({ privacyAccepted: 1, termsAccepted: 1 }).where(eq(accounts.id, accountId));
  await aUser(base.db, { role: "owner", accountId, email: `${name}@edge.test` });
  return aContext(base, asKey(accountId, "write"));
}

beforeEach(async () => {
  const database = await aDatabase();
  base = aBase(database.db);
  close = database.close;
  customer = await signedUp("customer");
  other = await signedUp("other");
  operator = aContext(base, { kind: "admin" });
});
afterEach(() => close());

const accountOf = (ctx: Ctx) => (ctx.principal as { accountId: number }).accountId;
const settings = { name: "Van", model: null, clockOffsetMinutes: 0, confirmCce: false };
const add = (ctx: Ctx, imei: string, code?: string) => createDevice(ctx, { ...settings, imei, code });
/** What a refusal says, whole. */
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => null,
    ({ code, message, field }: AppError) => ({ code, message, field }),
  );
const WRONG = { code: "not_found", message: "No such tracker, or the code is wrong", field: "code" };

async function sold(imei = anImei(), model: string | null = null): Promise<{ imei: string; code: string }> {
  const [made] = await loadActivations(operator, [{ imei, model }]);
  return made as { imei: string; code: string };
}

describe("createDevice()", () => {
  test("takes the code that came with the tracker, once", async () => {
    const { imei, code } = await sold(anImei(), "t366");
    const device = await add(customer, imei, code);
    expect(device).toMatchObject({ imei, model: "T366", accountId: accountOf(customer) });
    const [row] = await listActivations(operator, 0, 10);
    expect(row).toMatchObject({ imei, activatedAt: NOON, accountId: accountOf(customer) });
    const again = { code: "conflict", message: "You have activated this tracker already", field: "imei" };
    expect(await refusal(add(customer, imei, code))).toEqual(again);
    // What was stored about the sale goes with the device, and the code with it.
    await deleteDevice(customer, device.id);
    expect(await listActivations(operator, 0, 10)).toEqual([]);
    expect(await refusal(add(customer, imei, code))).toEqual(WRONG);
    expect(await refusal(add(other, imei, code))).toEqual(WRONG);
  });

  test("a sale that was loaded again stays when the device of the one before goes", async () => {
    const { imei, code } = await sold();
    const device = await add(other, imei, code);
    const resold = await sold(imei);
    await deleteDevice(other, device.id);
    expect(await add(customer, imei, resold.code)).toMatchObject({ imei });
  });

  test("takes a code however it is typed", async () => {
    const imei = anImei();
    await loadActivations(operator, [{ imei, code: "1O0L-ab cd" }]);
    expect(await add(customer, imei, " i00 1ABCD-")).toMatchObject({ imei });
  });

  test("answers alike to a wrong code, another account's tracker and one that nobody sold", async () => {
    const { imei, code } = await sold();
    const elsewhere = await sold();
    expect(await refusal(add(customer, imei, "22222-22222"))).toEqual(WRONG);
    expect(await refusal(add(customer, imei, elsewhere.code))).toEqual(WRONG);
    expect(await refusal(add(customer, anImei(), code))).toEqual(WRONG);
    await add(other, imei, code);
    expect(await refusal(add(customer, imei, code))).toEqual(WRONG);
    await loadActivations(operator, [{ imei, code: "NEW-CODE-99" }]);
    expect(await refusal(add(customer, imei, "NEW-CODE-99"))).toEqual(WRONG);
    expect(await base.db.select().from(devices)).toHaveLength(1);
  });

  test("gives a tracker to one of two that come at once", async () => {
    const { imei, code } = await sold();
    const outcomes = await Promise.allSettled([add(customer, imei, code), add(other, imei, code)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect(await base.db.select().from(devices)).toHaveLength(1);
  });

  test("leaves the code unused when the tracker cannot be made", async () => {
    const { imei, code } = await sold();
    await writeSetting(base.db, "activation", "open", NOON);
    const { id } = await add(other, imei);
    expect(await refusal(add(customer, imei, code))).toEqual(WRONG);
    await deleteDevice(other, id);
    expect(await add(customer, imei, code)).toMatchObject({ imei });
  });

  test("refuses after five wrong codes in an hour, the right one too, and tells the owner once", async () => {
    const { imei, code } = await sold();
    await add(other, imei, code);
    for (let i = 0; i < 5; i++) expect(await refusal(add(customer, imei, "WRONG-CODE"))).toEqual(WRONG);
    const blocked = await add(customer, imei, code).catch((error: AppError) => error);
    expect(blocked).toMatchObject({ code: "rate_limited", retryAfterS: 3600 });
    await base.settled();
    expect(base.sent).toHaveLength(1);
    expect(base.sent[0]).toMatchObject({ to: "other@edge.test" });
    expect(base.sent[0]!.text).toContain(imei.slice(-4));
    expect(base.sent[0]!.text).not.toContain(imei);
    base.advance(3_600_001);
    expect(await refusal(add(customer, imei, "WRONG-CODE"))).toEqual(WRONG);
    await base.settled();
    expect(base.sent).toHaveLength(1);
  });

  test("counts wrong codes for a tracker that nobody sold in the same way, and tells nobody", async () => {
    const imei = anImei();
    for (let i = 0; i < 5; i++) expect(await refusal(add(customer, imei, "WRONG-CODE"))).toEqual(WRONG);
    expect(await refusal(add(customer, imei, "WRONG-CODE"))).toMatchObject({ code: "rate_limited" });
    await base.settled();
    expect(base.sent).toEqual([]);
    expect(await base.db.select().from(mails)).toEqual([]);
  });

  test("wants a code of accounts that signed up, not of the operator's own, and of nobody where it is open", async () => {
    const integrator = aContext(base, asKey(await anAccount(base.db), "write"));
    expect(await needsCode(customer)).toBe(true);
    expect(await needsCode(integrator)).toBe(false);
    expect(await refusal(add(customer, anImei()))).toMatchObject({ code: "invalid", field: "code" });
    const imei = anImei();
    expect(await add(integrator, imei)).toMatchObject({ imei });
    await writeSetting(base.db, "activation", "open", NOON);
    expect(await needsCode(customer)).toBe(false);
    expect(await refusal(add(customer, imei))).toMatchObject({ code: "conflict", field: "imei" });
    expect(await add(customer, anImei())).toMatchObject({ accountId: accountOf(customer) });
    // Who gives a code wants it looked at.
    expect(await refusal(add(customer, anImei(), "WRONG-CODE"))).toEqual(WRONG);
  });

  test("gives the new owner of a tracker none of its past, also while that is still being removed", async () => {
    const { imei, code } = await sold();
    const before = await add(other, imei, code);
    const row = { accountId: before.accountId, deviceId: before.id, receivedAt: NOON, clock: 0, event: 35, valid: 1 };
    const digest = new Uint8Array(8);
    await base.db.insert(positions).values({ ...row, fixTime: NOON, digest, record: new Uint8Array(1) });
    await base.db.update(devices).set({ deletingAt: NOON }).where(eq(devices.id, before.id));
    const resold = await sold(imei);
    expect(await refusal(add(customer, imei, code))).toEqual(WRONG);
    const now = await add(customer, imei, resold.code);
    expect(now.id).toBeGreaterThan(before.id);
    expect(await base.db.select().from(positions)).toHaveLength(1);
    expect((await history(customer, now.id)).data).toEqual([]);
    expect((await latest(customer)).data).toEqual([]);
    expect((await feed(customer)).data).toEqual([]);
    expect(await refusal(history(customer, before.id))).toMatchObject({ code: "not_found" });
  });
});

describe("loadActivations()", () => {
  test("makes codes without characters that look alike, and stores none", async () => {
    const list = Array.from({ length: 20 }, () => ({ imei: anImei() }));
    const made = await loadActivations(operator, list);
    expect(made.map(({ imei }) => imei)).toEqual(list.map(({ imei }) => imei));
    for (const { code } of made) expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}$/);
    const stored = JSON.stringify(await base.db.select().from(activations));
    for (const { code } of made) expect(stored).not.toContain(code!.replace("-", ""));
    expect(new Set((await base.db.select().from(activations)).map(({ codeHash }) => codeHash)).size).toBe(20);
    expect(JSON.stringify(await listActivations(operator, 0, 100))).not.toMatch(/code/i);
  });

  test.each([
    [[{ imei: "1" }], "devices.0.imei"],
    [[{ imei: "353358017784062" }, { imei: "353358017784062" }], "devices.1.imei"],
    [[{ imei: "353358017784062", code: "12" }], "devices.0.code"],
    [[{ imei: "353358017784062", model: "Z9" }], "devices.0.model"],
    [[{ imei: "353358017784062", firmware: "a\u0000" }], "devices.0.firmware"],
    [
      [{ imei: "353358017784062", orderReference: "4111 1111 1111 1111" }],
      "devices.0.orderReference",
      "pan_not_accepted",
    ],
    [
      [{ imei: "353358017784062", firmware: "4111 1111", orderReference: "1111 1111" }],
      "devices.0.firmware",
      "pan_not_accepted",
    ],
  ])("refuses %j, and loads nothing", async (list, field, code = "invalid") => {
    expect(await refusal(loadActivations(operator, list))).toMatchObject({ code, field });
    expect(await base.db.select().from(activations)).toEqual([]);
  });

  test("purgeActivations() forgets what nobody activated in three years, and nothing else", async () => {
    const { imei, code } = await sold();
    await add(customer, imei, code);
    const { imei: shelved } = await sold();
    base.at(NOON + LIMITS.activationMs);
    const { imei: fresh } = await sold();
    expect(await purgeActivations(base)).toBe(0);
    base.advance(1);
    expect(await purgeActivations(base)).toBe(1);
    expect((await listActivations(operator, 0, 10)).map((row) => row.imei).toSorted()).toEqual(
      [imei, fresh].toSorted(),
    );
    expect(shelved).not.toBe(fresh);
  });

  test("what is sold is forgotten with the account", async () => {
    const { imei, code } = await sold();
    await add(customer, imei, code);
    await base.db.delete(accounts).where(eq(accounts.id, accountOf(customer)));
    expect(await listActivations(operator, 0, 10)).toEqual([]);
  });

  test("removeActivation() ends the code and leaves the device", async () => {
    const { imei, code } = await sold();
    await removeActivation(operator, imei);
    expect(await refusal(add(customer, imei, code))).toEqual(WRONG);
    expect(await refusal(removeActivation(operator, imei))).toMatchObject({ code: "not_found" });
  });

  test("every act is recorded, without a value", async () => {
    const { imei, code } = await sold();
    const device = await add(customer, imei, code);
    await changeDevice(customer, device, { name: "Bus" });
    await deleteDevice(customer, device.id);
    const rows = await base.db.select().from(audit);
    expect(rows.map(({ action, subject }) => [action, subject])).toEqual([
      ["activation.loaded", "1 tracker"],
      ["activation.used", `device ${device.id}`],
      ["device.created", `device ${device.id}`],
      ["device.changed", `device ${device.id}`],
      ["device.removed", `device ${device.id}`],
    ]);
    expect(rows.slice(1).every(({ accountId }) => accountId === accountOf(customer))).toBe(true);
  });
});

describe("loadActivationsCsv()", () => {
  test("reads quotes, blank lines, a mark at the start and any order of columns", async () => {
    const [first, second] = [anImei(), anImei()];
    const csv = `\ufefforder,IMEI,model,code\r\n"A ""1"", B",${first},t366,\r\n\r\n,${second},,ABCD-EFGH\r\n`;
    expect(await loadActivationsCsv(operator, csv)).toEqual([
      { imei: first, code: expect.any(String) },
      { imei: second, code: null },
    ]);
    expect(await listActivations(operator, 0, 10)).toMatchObject([
      { imei: first, orderReference: 'A "1", B', model: "T366" },
      { imei: second, orderReference: null, model: null },
    ]);
  });

  test.each([
    ["", "Line 1, the column imei is missing"],
    ["model\nT366", "Line 1, the column imei is missing"],
    ["imei,colour\n1,2", "Line 1, column 2"],
    ["imei,imei\n1,2", "Line 1, column 2"],
    ["imei,model\n353358017784062", "Line 2 has 1 columns, the first line has 2"],
    ["imei\n\n353358017784062\n353358017784063", "Line 4, column imei: has a typing error"],
    ["imei,model\n353358017784062,Z9", "Line 2, column model: is not known"],
    ['imei,order\n"353358017784062","a\nb"', "Line 2, column order: must be at most"],
    ['imei,model\n353358017784062,"T366\n"\n1,', "Line 4, column imei: must have 15 digits"],
    ["imei,order\n353358017784062,a\u0001", "Line 2, column order: must be at most"],
    [`imei\n${"353358017784062\n".repeat(1001)}`, "The list has more than 1000 trackers"],
  ])("refuses %j and says where", async (csv, message) => {
    const refused = await refusal(loadActivationsCsv(operator, csv));
    expect(refused?.code).toBe("invalid");
    expect(refused?.message).toContain(message);
    expect(await base.db.select().from(activations)).toEqual([]);
  });
});
