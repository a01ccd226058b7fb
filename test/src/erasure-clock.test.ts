import { afterEach, beforeEach, expect, test } from "vitest";
import type { SecretCopy } from "../../src/context.ts";
import { carryOut } from "../../src/erasure.ts";
import { runCron } from "../../src/jobs.ts";
import { verifyLedger } from "../../src/ledger-verify.ts";
import { LIMITS } from "../../src/limits.ts";
import { makeRequest, publicReceipt } from "../../src/requests.ts";
import { secretsLeft } from "../../src/vault.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  asUser,
  aUser,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";

// Erasures when two crons run at once, when a place does not answer for an hour and more, and when the clock jumps.

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
let database: TestDatabase;
let base: TestBase;
let accountId: number;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  await aUser(base.db, { role: "privacy" });
  accountId = await anAccount(base.db);
  const device = await aDevice(base.db, { accountId });
  await stored(base, device, [{ fixTime: base.now() - MINUTE }]);
  await settled(base);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

/** An erasure as who is signed in asks for it. */
async function ask(): Promise<{ id: number; name: string; deadline: number }> {
  const user = await aUser(base.db, { role: "owner", accountId });
  const ctx = aContext(base, asUser(accountId, user.id, { provedAt: base.now() }));
  const { request } = await makeRequest(ctx, { type: "erase", scope: { kind: "account" } });
  return { id: request.id, name: request.name, deadline: request.deadline! };
}

const row = async (id: number) =>
  (
    await base.db.$client.execute({
      sql: "SELECT state, closed_at, failures, due_at, held_until, holder FROM requests WHERE id = ?",
      args: [id],
    })
  ).rows[0]! as unknown as Record<"closed_at" | "failures" | "due_at" | "held_until" | "holder", number> & {
    state: string;
  };
const entries = async () =>
  (await base.db.$client.execute("SELECT type, entry FROM ledger ORDER BY seq")).rows.map(
    ({ type, entry }) => [type, JSON.parse(String(entry)).result] as const,
  );
const typed = async (wanted: string) => (await entries()).filter(([type]) => type === wanted);
const told = () =>
  base.logged.flatMap((line) => {
    const percent = /request\.(?:clock|late) .*"percent":(\d+)/.exec(line)?.[1];
    return percent === undefined ? [] : [Number(percent)];
  });

/** Until it is taken back, one place of the key store takes nothing. */
function failing(): () => void {
  const copy = base.secrets.copies[1];
  const { put, putAll } = copy;
  const fail = () => Promise.reject(new Error("It does not answer"));
  Object.assign(copy, { put: fail, ...(putAll === undefined ? {} : { putAll: fail }) });
  return () => Object.assign(copy, { put, ...(putAll === undefined ? {} : { putAll }) } satisfies Partial<SecretCopy>);
}

test("two crons at once carry an erasure out once, and tell of it once", async () => {
  const { id, name } = await ask();
  await Promise.all([runCron(base, "* * * * *"), runCron(Object.assign(aBase(base.db), {}), "* * * * *")]);
  for (let run = 0; run < 5 && (await row(id)).closed_at === null; run++) {
    base.advance(LIMITS.erasureLeaseMs);
    await Promise.all([runCron(base, "* * * * *"), runCron(aBase(base.db, { now: base.now() }), "* * * * *")]);
  }
  expect(await row(id)).toMatchObject({ state: "cleared" });
  expect((await entries()).map(([type]) => type)).toEqual(["verified", "frozen", "shredded", "cleared"]);
  expect((await verifyLedger(base)).faults).toEqual([]);
  expect(JSON.parse(await publicReceipt(base, name))).toMatchObject({ result: "done" });
});

test("a place that fails for an hour: tried again in rising steps, told of at half and four fifths, never cleared meanwhile", async () => {
  const { id, deadline } = await ask();
  const back = failing();
  const begin = base.now();
  const tries: number[] = [];
  for (let minute = 0; minute <= 60; minute++) {
    const { failures } = await row(id);
    await carryOut(base);
    const now = await row(id);
    if (now.failures > failures) tries.push(minute);
    expect(now.closed_at).toBe(null);
    expect(now.due_at - base.now()).toBeLessThanOrEqual(LIMITS.erasureRetryMaxMs);
    base.advance(MINUTE);
  }
  // Each waits twice as long as the one before, and none longer than ten minutes.
  const gaps = tries.slice(1).map((minute, i) => minute - tries[i]!);
  expect(gaps).toEqual(gaps.toSorted((a, b) => a - b));
  expect([Math.max(...gaps), tries.length]).toEqual([10, expect.toSatisfy((n: number) => n >= 8 && n <= 16)]);
  for (const part of [0.5, 0.8]) {
    base.at(begin + Math.ceil((deadline - begin) * part));
    for (let cron = 0; cron < 2; cron++) await runCron(base, "* * * * *");
    expect((await row(id)).closed_at).toBe(null);
  }
  expect(told()).toEqual([50, 80]);
  back();
  base.advance(LIMITS.erasureRetryMaxMs);
  await runCron(base, "* * * * *");
  expect(await row(id)).toMatchObject({ state: "cleared" });
  expect(await secretsLeft(base, accountId, null)).toBe(0);
  expect(await typed("cleared")).toEqual([["cleared", "done"]]);
  expect(await typed("deadline_missed")).toEqual([]);
});

test("a missed deadline is written once, by two crons too; the receipt is late, and nobody edits it away", async () => {
  const { id, name, deadline } = await ask();
  // Nothing is erased on a connection that leaves bytes behind; the ledger can be written.
  await base.db.$client.execute("PRAGMA secure_delete = OFF");
  await carryOut(base);
  expect((await row(id)).state).toBe("purging");
  base.at(deadline);
  const other = aBase(base.db, { now: deadline });
  await Promise.all([runCron(base, "* * * * *"), runCron(other, "* * * * *")]);
  await runCron(base, "* * * * *");
  expect(await typed("deadline_missed")).toEqual([["deadline_missed", "late"]]);
  await base.db.$client.execute("PRAGMA secure_delete = ON");
  base.at(deadline + DAY);
  await runCron(base, "* * * * *");
  expect(await row(id)).toMatchObject({ state: "cleared" });
  expect(await typed("cleared")).toEqual([["cleared", "late"]]);
  expect(JSON.parse(await publicReceipt(base, name))).toMatchObject({ result: "late" });

  const { $client } = base.db;
  const missed = "FROM ledger WHERE type = 'deadline_missed'";
  await expect($client.execute("UPDATE ledger SET entry = '{}' WHERE type = 'deadline_missed'")).rejects.toThrow();
  await expect(
    $client.execute(`INSERT OR REPLACE INTO ledger SELECT seq, at, type, '{}', hash ${missed}`),
  ).resolves.toBeDefined();
  expect((await verifyLedger(base)).faults.map(({ what }) => what)).toEqual(
    expect.arrayContaining(["entry", "mirror"]),
  );
  await $client.execute(`DELETE ${missed}`);
  expect((await verifyLedger(base)).faults.map(({ what }) => what)).toEqual(
    expect.arrayContaining(["missing", "chain"]),
  );
});

test("a clock that is set back or ahead amid an erasure leaves it where it is, and lets it go on", async () => {
  for (const jumpMs of [-DAY, -10 * MINUTE, DAY, 40 * DAY]) {
    const { id, deadline } = await ask();
    const back = failing();
    await carryOut(base);
    expect((await row(id)).state).toBe("frozen");
    // A runner that was stopped holds its lease by the clock of before.
    await base.db.$client.execute({
      sql: "UPDATE requests SET holder = 7, held_until = ? WHERE id = ?",
      args: [base.now() + LIMITS.erasureLeaseMs, id],
    });
    back();
    const before = base.now();
    base.at(before + jumpMs);
    for (let minute = 0; minute < 15 && (await row(id)).closed_at === null; minute++) {
      await carryOut(base);
      base.advance(MINUTE);
    }
    expect([jumpMs, (await row(id)).state]).toEqual([jumpMs, "cleared"]);
    const { rows } = await base.db.$client.execute({ sql: "SELECT deadline FROM requests WHERE id = ?", args: [id] });
    expect(rows[0]![0]).toBe(deadline);
    expect((await typed("cleared")).at(-1)).toEqual(["cleared", before + jumpMs > deadline ? "late" : "done"]);
    expect((await verifyLedger(base)).faults).toEqual([]);
    base.at(before + Math.max(0, jumpMs) + DAY);
    accountId = await anAccount(base.db);
  }
});
