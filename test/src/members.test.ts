import { afterEach, beforeEach, expect, test } from "vitest";
import { tokenHash } from "../../src/access.ts";
import type { Ctx } from "../../src/context.ts";
import { createOwnKey } from "../../src/keys.ts";
import { LIMITS } from "../../src/limits.ts";
import { changeMember, inviteAgain, inviteMember, listMembers, memberOf, removeMember } from "../../src/members.ts";
import { keyById } from "../../src/store/keys.ts";
import { sessionOfHash } from "../../src/store/sessions.ts";
import { readToken } from "../../src/tokens.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  aSession,
  aSessionRow,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let ownerId: number;
let ctx: Ctx;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  ownerId = (await aUser(database.db, { role: "owner", accountId })).id;
  ctx = aContext(base, asUser(accountId, ownerId));
  await aSessionRow(database.db, ownerId);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const rights = (more: object = {}) => ({ role: "viewer" as const, deviceLimited: false, devices: [], ...more });
const linkIn = (text = "") => /https:\/\/edge\.test\/invite\/([\w-]{43})/.exec(text)?.[1] ?? "";
const actions = async () =>
  (await database.client.execute("SELECT action, subject FROM audit ORDER BY id")).rows.map(
    (row) => `${row[0]} ${row[1]}`,
  );

test("inviteMember() lists them as invited and mails a link that stands for them", async () => {
  const { id: device } = await aDevice(database.db, { accountId });
  const devices = [{ id: device, mayEdit: true }];
  await inviteMember(ctx, { email: " New@Edge.Test", ...rights({ role: "manager", deviceLimited: true, devices }) });
  await base.settled();
  const [, member] = await listMembers(ctx, 0, 10);
  expect(member).toMatchObject({
    email: "new@edge.test",
    role: "manager",
    state: "invited",
    deviceLimited: true,
    devices,
  });
  expect(base.sent.map(({ to }) => to)).toEqual(["new@edge.test"]);
  expect(await readToken(base, "invite", linkIn(base.sent[0]?.text))).toMatchObject({ userId: member!.id });
  expect(await actions()).toEqual([`user.invited user ${member!.id}`]);
});

test("inviteMember() tells nobody that an address is known elsewhere, and mails it nothing", async () => {
  const stranger = await aUser(database.db, { role: "owner", email: "known@edge.test" });
  await expect(inviteMember(ctx, { email: "KNOWN@edge.test", ...rights() })).resolves.toBeUndefined();
  await base.settled();
  expect(base.sent).toEqual([]);
  expect(await actions()).toEqual([]);
  expect((await listMembers(ctx, 0, 10)).map(({ id }) => id)).toEqual([ownerId]);
  expect((await database.client.execute(`SELECT account_id FROM users WHERE id = ${stranger.id}`)).rows[0]![0]).toBe(
    stranger.accountId,
  );
});

test("inviteMember() refuses a member of the account, a foreign device and limits for an owner", async () => {
  const { id: foreign } = await aDevice(database.db);
  await inviteMember(ctx, { email: "new@edge.test", ...rights() });
  const invite = (more: object) => inviteMember(ctx, { email: "other@edge.test", ...rights(more) });
  await expect(inviteMember(ctx, { email: "new@edge.test", ...rights() })).rejects.toMatchObject({ code: "conflict" });
  await expect(invite({ deviceLimited: true, devices: [{ id: foreign, mayEdit: false }] })).rejects.toMatchObject({
    code: "not_found",
    message: "No such device",
  });
  await expect(invite({ role: "owner", deviceLimited: true })).rejects.toMatchObject({ field: "deviceLimited" });
  await expect(invite({ devices: [{ id: foreign, mayEdit: false }] })).rejects.toMatchObject({ field: "devices" });
  await expect(inviteMember(ctx, { email: "no address", ...rights() })).rejects.toMatchObject({ field: "email" });
  expect(await listMembers(ctx, 0, 10)).toHaveLength(2);
});

test("inviteMember() is refused after many invitations, known addresses counted like unknown ones", async () => {
  const { email } = await aUser(database.db, { role: "owner" });
  for (let i = 0; i < LIMITS.throttles.invite.free; i++) {
    await inviteMember(ctx, { email: i < 3 ? email : `new${i}@edge.test`, ...rights() });
  }
  await expect(inviteMember(ctx, { email: "last@edge.test", ...rights() })).rejects.toMatchObject({
    code: "rate_limited",
  });
});

test("inviteAgain() makes a new link and ends the old one; who has come is not invited again", async () => {
  await inviteMember(ctx, { email: "new@edge.test", ...rights() });
  const [owner, member] = await listMembers(ctx, 0, 10);
  await inviteAgain(ctx, member!);
  await base.settled();
  const [first, second] = base.sent.map(({ text }) => linkIn(text));
  expect(await readToken(base, "invite", first!)).toBeNull();
  expect(await readToken(base, "invite", second!)).toMatchObject({ userId: member!.id });
  await expect(inviteAgain(ctx, owner!)).rejects.toMatchObject({ code: "conflict" });
});

test("changeMember() and removeMember() keep the last owner who can sign in", async () => {
  await aUser(database.db, { role: "owner", accountId, emailVerifiedAt: null });
  await aUser(database.db, { role: "owner", accountId, disabledAt: NOON });
  await aUser(database.db, { role: "owner" });
  const owner = await memberOf(ctx, ownerId);
  await expect(changeMember(ctx, owner, { role: "manager" })).rejects.toMatchObject({
    code: "conflict",
    field: "role",
  });
  await expect(removeMember(ctx, ownerId)).rejects.toMatchObject({ code: "conflict" });
  expect((await memberOf(ctx, ownerId)).role).toBe("owner");
  await aUser(database.db, { role: "owner", accountId });
  expect(await changeMember(ctx, owner, { role: "manager" })).toMatchObject({ role: "manager" });
});

test("changeMember() replaces limits, and lifts them from who becomes an owner", async () => {
  const [one, two] = [await aDevice(database.db, { accountId }), await aDevice(database.db, { accountId })];
  const { id } = await aUser(database.db, { role: "viewer", accountId });
  const limit = (...devices: { id: number; mayEdit: boolean }[]) => ({ deviceLimited: true, devices });
  const change = async (rights: object) => changeMember(ctx, await memberOf(ctx, id), rights);
  expect((await change(limit({ id: one.id, mayEdit: true }))).devices).toEqual([{ id: one.id, mayEdit: true }]);
  expect((await change({ role: "manager" })).devices).toEqual([{ id: one.id, mayEdit: true }]);
  expect((await change(limit({ id: two.id, mayEdit: false }))).devices).toEqual([{ id: two.id, mayEdit: false }]);
  expect(await change({ role: "owner" })).toMatchObject({ deviceLimited: false, devices: [] });
  await expect(change({ deviceLimited: true })).rejects.toMatchObject({ field: "deviceLimited" });
  expect((await database.client.execute("SELECT count(*) FROM user_devices")).rows[0]![0]).toBe(0);
});

test("changeMember() holds from the next request on", async () => {
  const user = await aUser(database.db, { role: "manager", accountId });
  const { id: device } = await aDevice(database.db, { accountId });
  const hash = await tokenHash((await aSession(base, user)).split("=")[1]!);
  await changeMember(ctx, await memberOf(ctx, user.id), {
    role: "viewer",
    deviceLimited: true,
    devices: [{ id: device, mayEdit: false }],
  });
  expect(await sessionOfHash(database.db, hash, NOON)).toMatchObject({
    role: "viewer",
    devices: [device],
    editable: [],
  });
});

test("changeMember() revokes keys that could do more than their maker, and only those", async () => {
  const [one, two] = [await aDevice(database.db, { accountId }), await aDevice(database.db, { accountId })];
  const { id } = await aUser(database.db, { role: "manager", accountId });
  const manager = aContext(base, asUser(accountId, id, { role: "manager" }));
  const make = async (scope: "read" | "write", devices: number[] | null) =>
    (await createOwnKey(manager, { scope, devices })).id;
  const within = await make("read", [one.id]);
  const beyond = [await make("read", null), await make("read", [one.id, two.id]), await make("write", [one.id])];
  const owners = (await createOwnKey(ctx, { scope: "write" })).id;
  const works = async (key: number) => (await keyById(database.db, accountId, key))?.revokedAt === null;
  await changeMember(ctx, await memberOf(ctx, id), { deviceLimited: true, devices: [{ id: one.id, mayEdit: false }] });
  expect(await Promise.all([within, owners, ...beyond].map(works))).toEqual([true, true, false, false, false]);
  await changeMember(ctx, await memberOf(ctx, id), { role: "viewer" });
  expect(await Promise.all([within, owners].map(works))).toEqual([false, true]);
  expect((await actions()).filter((line) => line.startsWith("key.revoked"))).toHaveLength(4);
});

test("removeMember() ends sessions, keys and invitations, and nobody else's", async () => {
  const user = await aUser(database.db, { role: "manager", accountId });
  const hash = await tokenHash((await aSession(base, user)).split("=")[1]!);
  const key = await createOwnKey(aContext(base, asUser(accountId, user.id, { role: "manager" })), { scope: "read" });
  const kept = await createOwnKey(ctx, { scope: "read" });
  await removeMember(ctx, user.id);
  expect(await sessionOfHash(database.db, hash, NOON)).toBeNull();
  expect(await keyById(database.db, accountId, key.id)).toMatchObject({ revokedAt: NOON, madeBy: null });
  expect(await keyById(database.db, accountId, kept.id)).toMatchObject({ revokedAt: null });
  await expect(removeMember(ctx, user.id)).rejects.toMatchObject({ code: "not_found", message: "No such user" });
});

test("a user of another account, and staff, are no members", async () => {
  const stranger = await aUser(database.db, { role: "viewer" });
  const staff = await aUser(database.db, { role: "support" });
  for (const { id } of [stranger, staff]) {
    await expect(memberOf(ctx, id)).rejects.toMatchObject({ code: "not_found" });
    await expect(removeMember(ctx, id)).rejects.toMatchObject({ code: "not_found" });
  }
  expect((await database.client.execute("SELECT count(*) FROM users")).rows[0]![0]).toBe(3);
});
