import { afterEach, beforeEach, expect, test } from "vitest";
import type { Ctx, Principal } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import { closeWindow, listLooks, listWindows, lookInto, openWindow, windowOf } from "../../src/support.ts";
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

const MINUTE = 60_000;
const ALL = Number.MAX_SAFE_INTEGER;

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let owner: Ctx;
let staff: Ctx;
let staffId: number;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  owner = aContext(base, asUser(accountId, (await aUser(database.db, { role: "owner", accountId })).id));
  staffId = (await aUser(database.db, { role: "support" })).id;
  const { kind: _, accountId: __, ...person } = asUser(0, staffId) as Extract<Principal, { kind: "user" }>;
  staff = aContext(base, { ...person, kind: "staff", role: "support", trained: true });
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const refused = { code: "forbidden", message: expect.stringMatching(/^No window is open/) };
const actions = async () =>
  (await database.client.execute("SELECT actor, action, account_id, subject FROM audit ORDER BY id")).rows.map((row) =>
    Array.from({ length: 4 }, (_, i) => row[i]).join(" "),
  );

test("lookInto() refuses without a window and records the try where the customer sees it", async () => {
  const { id } = await aDevice(database.db, { accountId });
  await expect(lookInto(staff, accountId, id, "track")).rejects.toMatchObject(refused);
  await expect(lookInto(aContext(base, { kind: "admin" }), accountId, null, "latest")).rejects.toMatchObject(refused);
  expect(await listLooks(owner, ALL, 10)).toEqual([]);
  expect(await actions()).toEqual([
    `staff look.refused ${accountId} device ${id}`,
    `admin_token look.refused ${accountId} `,
  ]);
});

test("lookInto() writes the look down, gives a context that may only read, and is refused when the time is over", async () => {
  const { id } = await aDevice(database.db, { accountId });
  const window = await openWindow(owner, 60);
  const { principal } = await lookInto(staff, accountId, id, "track");
  expect(principal).toMatchObject({ kind: "key", accountId, scope: "read", keyId: 0 });
  base.advance(60 * MINUTE - 1);
  await lookInto(aContext(base, { kind: "admin" }), accountId, null, "latest");
  base.advance(1);
  await expect(lookInto(staff, accountId, id, "track")).rejects.toMatchObject(refused);
  const common = { windowId: window.id };
  expect(await listLooks(owner, ALL, 10)).toMatchObject([
    { ...common, actor: "admin_token", staffId: null, staffRole: null, deviceId: null, what: "latest" },
    { ...common, actor: "staff", staffId, staffRole: "support", deviceId: id, what: "track", at: NOON },
  ]);
});

test("a window is of one account and ends when an owner closes it", async () => {
  const { id } = await openWindow(owner, 60);
  const stranger = await anAccount(database.db);
  await expect(lookInto(staff, stranger, null, "latest")).rejects.toMatchObject(refused);
  const other = aContext(base, asUser(stranger, 1));
  await expect(windowOf(other, id)).rejects.toMatchObject({ code: "not_found" });
  await closeWindow(other, id);
  await lookInto(staff, accountId, null, "latest");
  await closeWindow(owner, id);
  await closeWindow(owner, id);
  await expect(lookInto(staff, accountId, null, "latest")).rejects.toMatchObject(refused);
  expect(await listLooks(other, ALL, 10)).toEqual([]);
  expect(await listWindows(other, ALL, 10)).toEqual([]);
  expect((await actions()).filter((line) => line.includes("window"))).toEqual([
    `user window.opened ${accountId} window ${id}`,
    `user window.closed ${accountId} window ${id}`,
  ]);
});

test("openWindow() takes 15 minutes to a day, one at a time, and tells the other owners", async () => {
  const other = await aUser(database.db, { role: "owner", accountId, language: "zh", timeZone: "Asia/Shanghai" });
  await aUser(database.db, { role: "manager", accountId });
  await aUser(database.db, { role: "owner", accountId, emailVerifiedAt: null });
  for (const minutes of [0, LIMITS.windowMinMinutes - 1, LIMITS.windowMaxMinutes + 1, 15.5, Number.NaN]) {
    await expect(openWindow(owner, minutes)).rejects.toMatchObject({ code: "invalid", field: "minutes" });
  }
  await openWindow(owner, 15);
  await expect(openWindow(owner, 60)).rejects.toMatchObject({ code: "conflict" });
  await base.settled();
  expect(base.sent.map(({ to }) => to)).toEqual([other.email]);
  // 12:15 UTC
  expect(base.sent[0]?.text).toContain("20:15");
  expect(base.sent[0]?.text).toContain("https://edge.test/support");
  base.advance(15 * MINUTE);
  expect(await openWindow(owner, LIMITS.windowMaxMinutes)).toMatchObject({ closedAt: null });
});

test("who is limited to some devices sees the looks at these and at all", async () => {
  const [one, two] = [await aDevice(database.db, { accountId }), await aDevice(database.db, { accountId })];
  await openWindow(owner, 60);
  for (const device of [one.id, two.id, null]) await lookInto(staff, accountId, device, "track");
  const viewer = aContext(base, asUser(accountId, 1, { role: "viewer", devices: [two.id], editable: [] }));
  expect((await listLooks(viewer, ALL, 10)).map(({ deviceId }) => deviceId)).toEqual([null, two.id]);
});
