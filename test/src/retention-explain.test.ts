import { afterEach, beforeEach, expect, test } from "vitest";
import type { AppError } from "../../src/errors.ts";
import { healthOf } from "../../src/health.ts";
import { runJob } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { overview } from "../../src/overview.ts";
import { dueNow, explain } from "../../src/retention-explain.ts";
import { purgeExpired } from "../../src/retention-run.ts";
import { changeRetention, type RetentionChange } from "../../src/retention-settings.ts";
import { retentionHealth } from "../../src/retention-watch.ts";
import type { TestBase, TestDatabase } from "../database.ts";
import { aBase, aContext, aDatabase, aDevice, asUser, aUser, NOON } from "../database.ts";
import { settled, stored } from "../stored.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  await database.client.execute(`UPDATE migrations SET applied_at = ${NOON}`);
});
afterEach(() => database.close());

const operator = () => aContext(base, { kind: "admin" });

async function change(accountId: number, settings: RetentionChange): Promise<void> {
  const { id } = await aUser(database.db, { role: "owner", accountId });
  const ctx = aContext(base, asUser(accountId, id, { provedAt: base.now() }));
  const confirm = await changeRetention(ctx, settings).then(
    () => undefined,
    (error: AppError) => String(error.more.confirm),
  );
  if (confirm !== undefined) await changeRetention(ctx, settings, confirm);
}

test("dueNow() tells what the next run deletes, since when it is due, and deletes nothing", async () => {
  const first = await aDevice(database.db);
  const second = await aDevice(database.db);
  const third = await aDevice(database.db);
  for (const device of [first, second, third]) {
    await stored(base, device, [{ fixTime: NOON - 60 * DAY }, { fixTime: NOON - 50 * DAY }, { fixTime: NOON }]);
    await settled(base);
  }
  expect(await dueNow(operator(), 0, 10)).toEqual({ due: [], next: null });
  await change(first.accountId, { account: { days: 55 } });
  await change(third.accountId, { account: { days: 61 } });
  base.advance(2 * DAY);
  const due = [
    { accountId: first.accountId, positions: 1, oldest: NOON - 60 * DAY, since: NOON },
    { accountId: third.accountId, positions: 1, oldest: NOON - 60 * DAY, since: NOON + DAY + 1 },
  ];
  expect(await dueNow(operator(), 0, 10)).toEqual({ due, next: null });
  const page = await dueNow(operator(), 0, 1);
  expect(page).toEqual({ due: [due[0]], next: first.accountId });
  expect(await dueNow(operator(), first.accountId, 1)).toEqual({ due: [due[1]], next: third.accountId });
  const { rows } = await database.client.execute("SELECT sum(positions) FROM segments");
  expect(rows[0]![0]).toBe(9);
  expect(await purgeExpired(base)).toBe(2);
  expect((await dueNow(operator(), 0, 10)).due).toEqual([]);
});

test("explain() says whose period decides, and what becomes of a position of a time", async () => {
  const device = await aDevice(database.db);
  const other = await aDevice(database.db, { accountId: device.accountId });
  await stored(base, device, [{ fixTime: NOON - 5 * DAY }]);
  await change(device.accountId, { timeZone: "Europe/Berlin", devices: [{ id: device.id, days: 10 }] });
  const at = NOON - 11 * DAY;
  const [account, ...devices] = await explain(operator(), device.accountId, null, at);
  expect(account).toMatchObject({ deviceId: null, scope: "account", period: { months: 3 }, floor: null, oldest: null });
  expect(account!.at).toMatchObject({ isPast: false });
  expect(devices.map(({ deviceId, scope }) => [deviceId, scope])).toEqual([
    [device.id, `device:${device.id}`],
    [other.id, "account"],
  ]);
  expect(devices[0]).toEqual({
    ...{ deviceId: device.id, timeZone: "Europe/Berlin", scope: `device:${device.id}`, period: { days: 10 } },
    ...{ floor: null, cutoff: NOON - 10 * DAY, oldest: NOON - 5 * DAY, endsAt: NOON + 5 * DAY + 1 },
    at: { endsAt: NOON - DAY + 1, isPast: true, secretUntil: Math.floor(NOON / DAY) * DAY },
  });
  // Over when the period was made longer, and so it stays.
  await change(device.accountId, { devices: [{ id: device.id, days: 100 }] });
  const [longer] = await explain(operator(), device.accountId, device.id, at);
  expect(longer).toMatchObject({ floor: NOON - 10 * DAY, cutoff: NOON - 10 * DAY, at: { isPast: true, endsAt: NOON } });
});

test("explain() knows no account or device that is not there", async () => {
  const device = await aDevice(database.db);
  const stranger = await aDevice(database.db);
  for (const [account, id] of [
    [999, null],
    [device.accountId, stranger.id],
  ] as const) {
    await expect(explain(operator(), account, id, null)).rejects.toMatchObject({ code: "not_found" });
  }
});

test("retention that has not ended well for two hours is told of, and no longer when it has", async () => {
  const state = async () => {
    const { warnings } = await healthOf(base);
    const { retention } = await overview(operator());
    expect(retention).toEqual(await retentionHealth(base));
    expect(warnings).toEqual(retention.late ? ["retention"] : []);
    return retention;
  };
  // From the beginning of the installation, before any run.
  base.at(NOON + LIMITS.retentionLateMs);
  expect(await state()).toEqual({ lastGoodAt: null, lagMs: LIMITS.retentionLateMs, late: false });
  base.advance(2000);
  expect((await state()).late).toBe(true);
  const { execute } = database.client;
  database.client.execute = (async (...args: Parameters<typeof execute>) => {
    const [statement] = args;
    if (JSON.stringify(statement).includes("secure_delete")) return { rows: [[0]] };
    return execute.apply(database.client, args);
  }) as unknown as typeof execute;
  await expect(runJob(base, "retention")).rejects.toThrow("secure_delete");
  base.advance(2000);
  // A run that failed is none.
  expect(await state()).toMatchObject({ lastGoodAt: null, late: true });
  database.client.execute = execute;
  await runJob(base, "retention");
  const ran = base.now();
  base.advance(2000);
  expect(await state()).toEqual({ lastGoodAt: ran, lagMs: 2000, late: false });
  base.advance(LIMITS.retentionLateMs);
  expect((await state()).late).toBe(true);
});
