import { afterEach, beforeEach, expect, test } from "vitest";
import { JOBS } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { nextDue, noteBridge, overview, runJobNow } from "../../src/overview.ts";
import { insertBridge } from "../../src/store/bridges.ts";
import { cronMatches } from "../../tools/crons.ts";
import { aBase, aContext, aDatabase, aDevice, aUser, NOON, type TestBase, type TestDatabase } from "../database.ts";

const MINUTE = 60_000;
let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(async () => {
  await base.settled();
  database.close();
});
const ctx = () => aContext(base, { kind: "admin" });

test("nextDue() is the next minute that the cron of each job names", () => {
  for (const cron of new Set(JOBS.map((job) => job.cron))) {
    for (let after = NOON + 1; after < NOON + 86_400_000; after += 11 * MINUTE) {
      let due = Math.floor(after / MINUTE) * MINUTE + MINUTE;
      while (!cronMatches(cron, due)) due += MINUTE;
      expect(nextDue(cron, after), cron).toBe(due);
    }
  }
});

test("overview() counts, and says how late a job is", async () => {
  const device = await aDevice(base.db);
  await aUser(base.db, { role: "owner", accountId: device.accountId });
  const soon = await aUser(base.db, { role: "support", trainingValidUntil: NOON + 86_400_000 });
  await aUser(base.db, { role: "admin" });
  await runJobNow(ctx(), "retention");
  base.advance(3 * 3_600_000);
  const now = await overview(ctx());
  expect(now).toMatchObject({ accounts: 1, users: 1, staff: 2, devices: 1, positionsPerS: 0, canSendMail: true });
  expect(now.training).toEqual([{ userId: soon.id, validUntil: NOON + 86_400_000 }]);
  // Ran at 12:00, was due at 12:07, now it is 15:00.
  expect(now.jobs.find(({ name }) => name === "retention")?.lateMs).toBe(173 * MINUTE);
  expect(now.jobs.find(({ name }) => name === "expire-commands")?.lateMs).toBeNull();
});

test("overview() takes the rate from what came in the last five minutes", async () => {
  const { id, accountId } = await aDevice(base.db);
  const insert = (n: number, receivedAt: number) =>
    base.db.$client.execute({
      sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
        SELECT ?, ?, ? + i, unhex(printf('%016x', i)), ?, 0, 35, 1, x'00' FROM n`,
      args: [n, accountId, id, receivedAt, receivedAt],
    });
  await insert(600, NOON - 6 * MINUTE);
  await insert(900, NOON - 4 * MINUTE);
  expect((await overview(ctx())).positionsPerS).toBe(3);
  // Faster than is counted: the newest ones and the time that they took.
  await insert(LIMITS.ratePositions, NOON - 10_000);
  expect((await overview(ctx())).positionsPerS).toBe(LIMITS.ratePositions / 10);
});

test("noteBridge() writes the last delivery of each bridge at most once a minute", async () => {
  const { id } = await insertBridge(base.db, { name: "North", hash: "x", createdAt: NOON });
  const seen = async () => {
    await base.settled();
    return (await overview(ctx())).bridges.map(({ lastSeenAt }) => lastSeenAt);
  };
  expect(await seen()).toEqual([null, null]);
  noteBridge(base, 0);
  noteBridge(base, id);
  expect(await seen()).toEqual([NOON, NOON]);
  base.advance(LIMITS.bridgeSeenEveryMs - 1);
  noteBridge(base, 0);
  expect(await seen()).toEqual([NOON, NOON]);
  base.advance(1);
  noteBridge(base, 0);
  expect(await seen()).toEqual([NOON + LIMITS.bridgeSeenEveryMs, NOON]);
});
