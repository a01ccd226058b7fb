import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Principal } from "../../src/context.ts";
import type { AppError } from "../../src/errors.ts";
import { changeGroup, createGroup, groupOf, listGroups, removeGroup } from "../../src/groups.ts";
import { LIMITS } from "../../src/limits.ts";
import { cutoffOf, cutoffsAt, periodsOf } from "../../src/periods.ts";
import { changeRetention, type RetentionChange, retentionOf } from "../../src/retention-settings.ts";
import type { TestBase, TestDatabase } from "../database.ts";
import { aBase, aContext, aDatabase, aDevice, anAccount, asKey, asUser, aUser, NOON } from "../database.ts";
import { settled, stored } from "../stored.ts";

const DAY = 86_400_000;

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let userId: number;
let devices: number[];
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  userId = (await aUser(database.db, { role: "owner", accountId })).id;
  devices = [];
  for (let i = 0; i < 3; i++) devices.push((await aDevice(database.db, { accountId })).id);
});
afterEach(() => database.close());

const ctx = (more: Parameters<typeof asUser>[2] = {}) => aContext(base, asUser(accountId, userId, more));
const run = (sql: string) => database.client.execute(sql);

/** What a refusal says, the confirmation of it too. */
async function refusal(work: Promise<unknown>): Promise<AppError> {
  return work.then(
    () => {
      throw new Error("It was done");
    },
    (error: AppError) => error,
  );
}
const codeOf = async (work: Promise<unknown>) => (await refusal(work)).code;

/** Makes a change, confirmed where it must be. */
async function done(change: RetentionChange): Promise<void> {
  try {
    await changeRetention(ctx({ provedAt: base.now() }), change);
  } catch (error) {
    const { code, more } = error as AppError;
    if (code !== "confirmation_required") throw error;
    await changeRetention(ctx({ provedAt: base.now() }), change, String(more.confirm));
  }
}

async function cutoffs(): Promise<number[]> {
  return devices.map(cutoffsAt(base.now(), await periodsOf(base, accountId)));
}
const acts = async () =>
  (await run("SELECT action, subject FROM audit ORDER BY id")).rows.map((row) => `${row.action} ${row.subject}`);

test("a shorter period says first what goes, and does nothing until that is confirmed", async () => {
  const [one, two] = devices as [number, number];
  await stored(base, { id: one, accountId }, [
    { fixTime: NOON - 8 * DAY },
    { fixTime: NOON - 7 * DAY - 1000 },
    { fixTime: NOON - 7 * DAY },
    // Stamped ahead of when it was received: counted from the receipt.
    { fixTime: NOON - 30 * DAY + 72_000_000, receivedAt: NOON - 30 * DAY },
  ]);
  await stored(base, { id: two, accountId }, [{ fixTime: NOON - 9 * DAY }, { fixTime: NOON }]);
  const change = { account: { days: 7 } };
  const before = await cutoffs();
  const { code, more } = await refusal(changeRetention(ctx(), change));
  expect(code).toBe("confirmation_required");
  expect(more).toMatchObject({
    positions: 4,
    oldest: new Date(NOON - 30 * DAY).toISOString(),
    devices: [
      { deviceId: one, positions: 3, oldest: new Date(NOON - 30 * DAY).toISOString() },
      { deviceId: two, positions: 1, oldest: new Date(NOON - 9 * DAY).toISOString() },
    ],
  });
  // The same when it has settled.
  expect(await settled(base)).toBe(6);
  const { confirm, ...again } = (await refusal(changeRetention(ctx(), change))).more;
  expect({ ...again, confirm: more.confirm }).toEqual(more);
  expect(await cutoffs()).toEqual(before);
  expect(await acts()).toEqual([]);
  await changeRetention(ctx(), change, String(confirm));
  expect(await cutoffs()).toEqual(devices.map(() => NOON - 7 * DAY));
  expect(await acts()).toEqual([`retention.shortened account ${accountId}`]);
});

test("a confirmation is good for its change, of its settings, for a quarter of an hour", async () => {
  const seven = { account: { days: 7 } };
  const confirm = String((await refusal(changeRetention(ctx(), seven))).more.confirm);
  const again = "confirmation_required";
  expect(await codeOf(changeRetention(ctx(), { account: { days: 6 } }, confirm))).toBe(again);
  expect(await codeOf(changeRetention(ctx(), { devices: [{ id: devices[0]!, days: 7 }] }, confirm))).toBe(again);
  expect(
    await codeOf(
      changeRetention(
        ctx(),
        seven,
        confirm.replace(/.$/, (last) => (last === "a" ? "b" : "a")),
      ),
    ),
  ).toBe(again);
  expect(await codeOf(changeRetention(ctx(), seven, confirm.replace(/^./, "z")))).toBe(again);
  const other = await anAccount(database.db);
  await aDevice(database.db, { accountId: other });
  expect(await codeOf(changeRetention(aContext(base, asUser(other, userId)), seven, confirm))).toBe(again);
  base.advance(LIMITS.stepUpMs + 1);
  expect(await codeOf(changeRetention(ctx({ provedAt: base.now() }), seven, confirm))).toBe(again);
  base.at(NOON);
  await done({ devices: [{ id: devices[0]!, days: 400 }] });
  expect(await codeOf(changeRetention(ctx(), seven, confirm))).toBe(again);
});

test("a shorter period needs a fresh proof, a longer one does not", async () => {
  const stale = ctx({ provedAt: NOON - LIMITS.stepUpMs });
  expect(await codeOf(changeRetention(stale, { account: { days: 7 } }))).toBe("step_up_required");
  await changeRetention(stale, { account: { days: 400 } });
  expect((await retentionOf(ctx())).days).toBe(400);
  expect(await acts()).toEqual([`retention.lengthened account ${accountId}`]);
});

test("a longer period brings nothing back: what was over stays closed, for each device by itself", async () => {
  const [one, two, three] = devices as [number, number, number];
  await done({ account: { days: 10 }, devices: [{ id: two, days: 20 }] });
  base.advance(5 * DAY);
  const before = await cutoffs();
  await done({ account: { days: 100 }, devices: [{ id: two, days: 200 }] });
  expect(await cutoffs()).toEqual(before);
  base.advance(89 * DAY);
  expect(await cutoffs()).toEqual(before);
  base.advance(2 * DAY);
  // Its own period has come up to what was over.
  expect((await cutoffs())[0]).toBe(base.now() - 100 * DAY);
  expect((await cutoffs())[1]).toBe(before[1]);
  const { devices: told } = await retentionOf(ctx());
  expect(told.map(({ id, scope }) => [id, scope])).toEqual([
    [one, "account"],
    [two, `device:${two}`],
    [three, "account"],
  ]);
});

test("whatever is set in whatever order, no cutoff ever goes back", async () => {
  const days = fc.option(fc.integer({ min: 1, max: 120 }), { nil: null });
  const groups = [(await createGroup(ctx(), "A", null)).id, (await createGroup(ctx(), "B", 30)).id];
  const step = fc.record(
    {
      account: fc.record({ days }),
      timeZone: fc.constantFrom("UTC", "Europe/Berlin", "Pacific/Apia", "America/New_York"),
      groups: fc.tuple(fc.constantFrom(...groups), days).map(([id, value]) => [{ id, days: value }]),
      devices: fc
        .tuple(fc.constantFrom(...devices), days, fc.constantFrom(null, ...groups))
        .map(([id, value, groupId]) => [{ id, days: value, groupId }]),
      wait: fc.integer({ min: 0, max: 40 * DAY }),
    },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
      let before = await cutoffs();
      for (const { wait = 0, ...change } of steps) {
        base.advance(wait);
        const waited = await cutoffs();
        await done(change);
        const after = await cutoffs();
        for (const i of devices.keys()) {
          expect(waited[i]).toBeGreaterThanOrEqual(before[i]!);
          expect(after[i]).toBeGreaterThanOrEqual(waited[i]!);
        }
        before = after;
      }
    }),
    { numRuns: 60 },
  );
});

describe("groups", () => {
  test("hold devices that are kept alike; leaving one, and removing it, is a change of period", async () => {
    const [one, two] = devices as [number, number];
    const group = await createGroup(ctx(), "Trucks", 30);
    const { code, more } = await refusal(changeGroup(ctx(), group, { devices: [one, two] }));
    expect(code).toBe("confirmation_required");
    await changeGroup(ctx(), group, { devices: [one, two] }, String(more.confirm));
    expect((await cutoffs()).slice(0, 2)).toEqual([NOON - 30 * DAY, NOON - 30 * DAY]);
    expect((await retentionOf(ctx())).groups).toEqual([{ id: group.id, name: "Trucks", days: 30, devices: 2 }]);
    await changeGroup(ctx(), group, { name: "Lorries", devices: [two] });
    await removeGroup(ctx(), group);
    expect(await listGroups(ctx(), 0, 9)).toEqual([]);
    // Longer again, and nothing comes back.
    expect((await cutoffs()).slice(0, 2)).toEqual([NOON - 30 * DAY, NOON - 30 * DAY]);
    expect(await acts()).toEqual([
      `group.created group ${group.id}`,
      `retention.shortened device ${one}`,
      `retention.shortened device ${two}`,
      `retention.lengthened device ${one}`,
      `group.changed group ${group.id}`,
      `retention.lengthened device ${two}`,
      `group.removed group ${group.id}`,
    ]);
  });

  test("a group that keeps longer than the account is confirmed when it is removed", async () => {
    const group = await createGroup(ctx(), "Archive", 400);
    await done({ devices: [{ id: devices[0]!, groupId: group.id }] });
    const { code, more } = await refusal(removeGroup(ctx(), group));
    expect(code).toBe("confirmation_required");
    await removeGroup(ctx(), group, String(more.confirm));
    expect(await codeOf(groupOf(ctx(), group.id))).toBe("not_found");
  });

  test("an account has so many at most, and those of another are not found", async () => {
    const stranger = await anAccount(database.db);
    const theirs = await createGroup(aContext(base, asKey(stranger, "write")), "Theirs", null);
    expect(await codeOf(groupOf(ctx(), theirs.id))).toBe("not_found");
    expect(await codeOf(changeRetention(ctx(), { groups: [{ id: theirs.id, days: 1 }] }))).toBe("not_found");
    expect(await codeOf(changeRetention(ctx(), { devices: [{ id: devices[0]!, groupId: theirs.id }] }))).toBe(
      "not_found",
    );
    for (let i = 0; i < LIMITS.groupsPerAccount; i++) await createGroup(ctx(), "G", null);
    expect(await codeOf(createGroup(ctx(), "G", null))).toBe("conflict");
  });

  test("what another period decides about from now on is marked, to be sealed anew", async () => {
    const group = await createGroup(ctx(), "Trucks", null);
    const marked = async () =>
      (await run("SELECT id FROM devices WHERE rescoped_at IS NOT NULL")).rows.map(({ id }) => id);
    await done({ devices: [{ id: devices[0]!, groupId: group.id }] });
    expect(await marked()).toEqual([]);
    await done({ groups: [{ id: group.id, days: 200 }] });
    expect(await marked()).toEqual([devices[0]]);
  });
});

describe("who may", () => {
  test("someone of some devices sets those alone, and sees no more", async () => {
    const [one, two] = devices as [number, number];
    const group = await createGroup(ctx(), "Trucks", null);
    const some: Principal = asUser(accountId, userId, { role: "manager", devices: [one, two], editable: [one] });
    const limited = aContext(base, some);
    await changeRetention(limited, { devices: [{ id: one, days: 400 }] });
    expect(await codeOf(changeRetention(limited, { devices: [{ id: two, days: 400 }] }))).toBe("forbidden");
    expect(await codeOf(changeRetention(limited, { devices: [{ id: devices[2]!, days: 400 }] }))).toBe("not_found");
    for (const change of [
      { account: { days: 400 } },
      { timeZone: "Europe/Berlin" },
      { groups: [{ id: group.id, days: 400 }] },
      { devices: [{ id: one, groupId: group.id }] },
      { removeGroup: group.id },
    ]) {
      expect(await codeOf(changeRetention(limited, change)), JSON.stringify(change)).toBe("forbidden");
    }
    expect(await codeOf(createGroup(limited, "Mine", null))).toBe("forbidden");
    expect(await codeOf(groupOf(limited, group.id))).toBe("not_found");
    expect(await listGroups(limited, 0, 9)).toEqual([]);
    const seen = await retentionOf(limited);
    expect([seen.devices.map(({ id }) => id), seen.groups, seen.purges]).toEqual([[one, two], [], []]);
  });

  test("a device of another account is not found", async () => {
    const stranger = await aDevice(database.db);
    expect(await codeOf(changeRetention(ctx(), { devices: [{ id: stranger.id, days: 1 }] }))).toBe("not_found");
  });
});

test("of two changes at once one is done and the other refused, each whole", async () => {
  const one = { account: { days: 400 }, devices: [{ id: devices[0]!, days: 500 }] };
  const two = { account: { days: 600 }, devices: [{ id: devices[0]!, days: 700 }] };
  const results = await Promise.allSettled([changeRetention(ctx(), one), changeRetention(ctx(), two)]);
  expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  const refused = results.find((result) => result.status === "rejected")?.reason as AppError;
  expect(refused.code).toBe("conflict");
  const { days, devices: told } = await retentionOf(ctx());
  expect([
    [400, 500],
    [600, 700],
  ]).toContainEqual([days, told[0]!.days]);
  expect((await acts()).length).toBe(2);
});

test("retentionOf() tells the oldest position of each device and when it goes", async () => {
  const [one, two] = devices as [number, number];
  await stored(base, { id: one, accountId }, [{ fixTime: NOON - 20 * DAY }, { fixTime: NOON }]);
  await done({ account: { days: 30 }, timeZone: "Europe/Berlin" });
  const told = await retentionOf(ctx());
  expect(told.timeZone).toBe("Europe/Berlin");
  expect(told.devices[0]).toMatchObject({ oldest: NOON - 20 * DAY, endsAt: NOON + 10 * DAY + 1 });
  expect(told.devices[1]).toMatchObject({ id: two, oldest: null, endsAt: null });
  await settled(base);
  expect((await retentionOf(ctx())).devices).toEqual(told.devices);
  expect(cutoffOf(NOON + 10 * DAY + 1, { days: 30 }, "Europe/Berlin")).toBe(NOON - 20 * DAY + 1);
  // Closed by a floor: over now, whatever the longer period would give.
  await done({ account: { days: 10 } });
  await done({ account: { days: 30 } });
  expect((await retentionOf(ctx())).devices[0]!.endsAt).toBe(NOON);
});

test("a zone that is none is refused, and nothing that changes nothing is recorded", async () => {
  const { code, field } = await refusal(changeRetention(ctx(), { timeZone: "Nowhere" }));
  expect([code, field]).toEqual(["invalid", "timeZone"]);
  await changeRetention(ctx(), {
    account: { days: null },
    timeZone: "UTC",
    devices: [{ id: devices[0]!, days: null }],
  });
  expect(await acts()).toEqual([]);
});
