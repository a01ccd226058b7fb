import { afterEach, beforeEach, expect, test } from "vitest";
import type { Principal } from "../../src/context.ts";
import { attestTraining, changeStaff, inviteStaff, removeStaff, staffById } from "../../src/staff.ts";
import { listSessions } from "../../src/store/sessions.ts";
import { userById } from "../../src/store/users.ts";
import { readToken } from "../../src/tokens.ts";
import { aBase, aContext, aDatabase, aSession, aUser, NOON, type TestBase, type TestDatabase } from "../database.ts";

const DAY = 86_400_000;
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

const token = () => aContext(base, { kind: "admin" });
const as = (userId: number, provedAt = NOON) =>
  aContext(base, { kind: "staff", role: "admin", trained: true, userId, provedAt } as Principal);
const anAdmin = () => aUser(base.db, { role: "admin" });
const actions = async () =>
  (await base.db.$client.execute({ sql: "SELECT action, actor, subject FROM audit ORDER BY id", args: [] })).rows.map(
    (row) => [row[0], row[1], row[2]],
  );

test("inviteStaff() makes a colleague without rights, and mails a link that only they get", async () => {
  const made = await inviteStaff(token(), { email: "New@Edge.test", role: "support", language: "zh" });
  expect(made).toMatchObject({ email: "new@edge.test", joined: false, trainingValidUntil: null, link: null });
  await base.settled();
  const link = /https:\/\/edge\.test\/invite\/([\w-]+)/.exec(base.sent[0]!.text)!;
  expect(base.sent[0]!.to).toBe("new@edge.test");
  expect(await readToken(base, "invite", link[1]!)).toMatchObject({ userId: made.id });
  expect(await actions()).toEqual([["staff.added", "admin_token", `user ${made.id}`]]);
  const again = inviteStaff(token(), { email: "new@edge.test", role: "admin", language: "en" });
  await expect(again).rejects.toMatchObject({ code: "conflict", field: "email" });
  const wrong = inviteStaff(token(), { email: "nobody", role: "admin", language: "en" });
  await expect(wrong).rejects.toMatchObject({ code: "invalid", field: "email" });
});

test("inviteStaff() gives the link to whoever invites where no mail can be sent", async () => {
  base.sendMail = null;
  const { link } = await inviteStaff(token(), { email: "new@edge.test", role: "admin", language: "en" });
  expect(link).toMatch(/^https:\/\/edge\.test\/invite\/[\w-]{43}$/);
});

test("changeStaff() disables: the sessions end, and it can be undone", async () => {
  const [one, other] = [await anAdmin(), await aUser(base.db, { role: "support" })];
  await aSession(base, other);
  const member = await staffById(as(one.id), other.id);
  const disabled = await changeStaff(as(one.id), member, { disabled: true });
  expect(disabled.disabledAt).toBe(NOON);
  expect(await listSessions(base.db, other.id, NOON, 10)).toEqual([]);
  expect((await changeStaff(as(one.id), disabled, { disabled: false })).disabledAt).toBeNull();
});

test("the last administrator who can act stays, whoever asks, unless it is the admin token", async () => {
  const [one, untrained, disabled] = [
    await anAdmin(),
    await aUser(base.db, { role: "admin", trainingValidUntil: NOON }),
    await aUser(base.db, { role: "admin", disabledAt: NOON }),
  ];
  const member = await staffById(token(), one.id);
  for (const change of [{ disabled: true }, { role: "support" as const }]) {
    await expect(changeStaff(as(one.id), member, change)).rejects.toMatchObject({ code: "conflict" });
  }
  await expect(removeStaff(as(one.id), member)).rejects.toMatchObject({ code: "conflict" });
  // Those who could not act anyway may go.
  await removeStaff(as(one.id), await staffById(token(), untrained.id));
  await removeStaff(as(one.id), await staffById(token(), disabled.id));
  const next = await anAdmin();
  await changeStaff(as(next.id), member, { role: "support" });
  await removeStaff(token(), await staffById(token(), next.id));
  expect(await userById(base.db, next.id)).toBeNull();
});

test("attestTraining() is for others, at most 366 days ahead, and with the admin token for anybody", async () => {
  const [one, other] = [await anAdmin(), await aUser(base.db, { role: "support", trainingValidUntil: null })];
  const [own, theirs] = [await staffById(token(), one.id), await staffById(token(), other.id)];
  await expect(attestTraining(as(one.id), own, NOON + DAY)).rejects.toMatchObject({ code: "forbidden" });
  for (const at of [NOON, NOON - DAY, NOON + 366 * DAY + 1]) {
    await expect(attestTraining(as(one.id), theirs, at)).rejects.toMatchObject({
      code: "invalid",
      field: "validUntil",
    });
  }
  expect((await attestTraining(as(one.id), theirs, NOON + 366 * DAY)).trainingValidUntil).toBe(NOON + 366 * DAY);
  await attestTraining(token(), own, NOON + DAY);
  expect(await actions()).toEqual([
    ["training.attested", "staff", `user ${other.id}`],
    ["training.attested", "admin_token", `user ${one.id}`],
  ]);
});

test("every act on the staff wants a proof of who asks", async () => {
  const [one, other] = [await anAdmin(), await anAdmin()];
  const late = as(one.id, NOON - 3_600_000);
  const member = await staffById(late, other.id);
  for (const act of [
    () => inviteStaff(late, { email: "new@edge.test", role: "admin", language: "en" }),
    () => changeStaff(late, member, { disabled: true }),
    () => removeStaff(late, member),
    () => attestTraining(late, member, NOON + DAY),
  ]) {
    await expect(act()).rejects.toMatchObject({ code: "step_up_required" });
  }
});

test("a customer's user is none of the staff", async () => {
  const owner = await aUser(base.db, { role: "owner" });
  await expect(staffById(token(), owner.id)).rejects.toMatchObject({ code: "not_found" });
});
