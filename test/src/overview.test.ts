import { afterEach, beforeEach, expect, test } from "vitest";
import { JOBS } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { nextDue, noteBridge, overview, runJobNow } from "../../src/overview.ts";
import { insertBridge } from "../../src/store/bridges.ts";
import { LAST_BATCH } from "../../src/store/inbox.ts";
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
  // Ran at 12:00, was due at 12:10, now it is 15:00.
  expect(now.jobs.find(({ name }) => name === "retention")?.lateMs).toBe(170 * MINUTE);
  expect(now.jobs.find(({ name }) => name === "expire-commands")?.lateMs).toBeNull();
});

test("overview() takes the rate from what came in the last five minutes", async () => {
  const insert = (batches: number, receivedAt: number) =>
    base.db.$client.execute({
      sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO inbox (id, positions, received_at, kid, nonce, shift, directory, chunks)
        SELECT ${LAST_BATCH} + i, 100, ?, 1, x'0000000000000000', 10, '00000000000000', x'' FROM n`,
      args: [batches, receivedAt],
    });
  const rate = async () => (await overview(ctx())).positionsPerS;
  await insert(6, NOON - 6 * MINUTE);
  await insert(9, NOON - 4 * MINUTE);
  expect(await rate()).toBe(3);
  // Faster than is counted: the newest ones and the time that they took.
  await insert(1, NOON - 10_000);
  await insert(LIMITS.rateBatches - 1, NOON - 5_000);
  expect(await rate()).toBe((LIMITS.rateBatches - 1) * 10);
  // Of what was settled and deleted since nothing is known: counted is what came after the first that is there.
  await base.db.$client.execute(`UPDATE settlement SET merged = ${LAST_BATCH}`);
  await base.db.$client.execute("DELETE FROM inbox");
  expect(await rate()).toBe(0);
  await insert(1, NOON - 60_000);
  expect(await rate()).toBe(0);
  await insert(3, NOON - 40_000);
  expect(await rate()).toBe(5);
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
