import { afterEach, beforeEach, expect, test } from "vitest";
import { authenticateSession } from "../../src/access.ts";
import { finishSetup, isSetupOpen, makeSetupLink } from "../../src/setup.ts";
import { userByEmail } from "../../src/store/users.ts";
import { aBase, aContext, aDatabase, aUser, NOON, type TestBase, type TestDatabase } from "../database.ts";

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
const nobody = () => aContext(base, { kind: "anonymous" });
const first = { email: "First@Edge.test", name: null, password: "a long and good one", language: "en" };
const aLink = async () => (await makeSetupLink(token())).link.split("/").at(-1)!;

test("a setup link makes the first administrator, trained for a year and signed in, once", async () => {
  const link = await aLink();
  const opened = await finishSetup(nobody(), link, first);
  const caller = await authenticateSession(base, opened.cookie);
  expect(caller?.principal).toMatchObject({ kind: "staff", role: "admin", trained: true });
  base.advance(365 * DAY);
  expect(await isSetupOpen(nobody(), link)).toBe(false);
  await expect(finishSetup(nobody(), link, first)).rejects.toMatchObject({ code: "invalid" });
  await expect(makeSetupLink(token())).rejects.toMatchObject({ code: "conflict" });
  const { rows } = await base.db.$client.execute({
    sql: "SELECT action, actor, training_valid_until FROM audit, users WHERE action <> 'session.opened'",
    args: [],
  });
  expect([...Array(3).keys()].map((i) => rows[0]![i])).toEqual(["setup.done", "staff", NOON + 365 * DAY]);
  expect(await userByEmail(base.db, "first@edge.test")).toMatchObject({
    role: "admin",
    trainingValidUntil: NOON + 365 * DAY,
  });
});

test("a wrong form does not use the link up", async () => {
  const link = await aLink();
  for (const [wrong, field] of [
    [{ ...first, email: "first" }, "email"],
    [{ ...first, password: "short" }, "password"],
    [{ ...first, password: "first@edge.test" }, "password"],
  ] as const) {
    await expect(finishSetup(nobody(), link, wrong)).rejects.toMatchObject({ code: "invalid", field });
  }
  await aUser(base.db, { role: "owner", email: "first@edge.test" });
  await expect(finishSetup(nobody(), link, first)).rejects.toMatchObject({ code: "conflict", field: "email" });
  await finishSetup(nobody(), link, { ...first, email: "second@edge.test" });
});

test("a newer link ends the older one, a week ends each, and of two at once one wins", async () => {
  const old = await aLink();
  const link = await aLink();
  expect(await isSetupOpen(nobody(), old)).toBe(false);
  const both = await Promise.allSettled([
    finishSetup(nobody(), link, first),
    finishSetup(nobody(), link, { ...first, email: "second@edge.test" }),
  ]);
  expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
});

test("a link is over after a week, and only the admin token makes one", async () => {
  const link = await aLink();
  base.advance(7 * DAY);
  expect(await isSetupOpen(nobody(), link)).toBe(false);
  await expect(makeSetupLink(nobody())).rejects.toMatchObject({ code: "forbidden" });
});
