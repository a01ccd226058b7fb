import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Ctx, Principal } from "../../src/context.ts";
import {
  askedEmail,
  askForEmail,
  changeAccount,
  changeMobile,
  changeProfile,
  confirmEmail,
  noteDeviceSeen,
  profileOf,
  recentDevices,
} from "../../src/profile.ts";
import { servicesOf } from "../../src/requirements.ts";
import { secureAccount, secureByLink } from "../../src/secure.ts";
import { userById } from "../../src/store/users.ts";
import { LANGUAGES } from "../../src/text/index.ts";
import { makeToken, readToken } from "../../src/tokens.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDatabaseFile,
  aDevice,
  anAccount,
  aUser,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let user: Awaited<ReturnType<typeof aUser>>;
let ctx: Ctx;

const as = (who: { id: number; accountId: number | null; role: string }, more: object = {}): Ctx =>
  aContext(base, {
    kind: who.accountId === null ? "staff" : "user",
    userId: who.id,
    sessionId: 1,
    provedAt: base.now(),
    secondFactor: false,
    language: "en",
    units: "metric",
    timeZone: "UTC",
    role: who.role,
    accountId: who.accountId,
    devices: null,
    editable: null,
    standing: "good",
    trained: true,
    ...more,
  } as never as Principal);

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  user = await aUser(database.db, { role: "owner", accountId });
  ctx = as(user);
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const count = async (table: string) =>
  Number((await database.client.execute(`SELECT count(*) FROM ${table}`)).rows[0]![0]);
/** The token of the last mail's link. */
const linked = async () => {
  await base.settled();
  return /\/profile\/email\/([\w-]+)/.exec(base.sent.at(-1)?.text ?? "")?.[1] ?? "";
};

describe("changeProfile()", () => {
  test("changes what is given and nothing else, and null clears", async () => {
    await changeProfile(ctx, { name: "Kim", timeZone: "Asia/Shanghai" });
    expect((await profileOf(ctx)).user).toMatchObject({ name: "Kim", timeZone: "Asia/Shanghai", units: "metric" });
    await changeProfile(ctx, { name: null });
    expect((await profileOf(ctx)).user).toMatchObject({ name: null, timeZone: "Asia/Shanghai" });
    await changeProfile(ctx, {});
    expect(await count("audit")).toBe(2);
  });

  test.each(["Mars/Olympus", "+02:00", "", "UTC; DROP", "Europe/Vienna ", "x".repeat(200)])(
    "refuses the time zone %j",
    async (timeZone) => {
      await expect(changeProfile(ctx, { timeZone })).rejects.toMatchObject({ code: "invalid", field: "timeZone" });
    },
  );

  test("takes what a preference had collected away when it is switched off", async () => {
    const device = await aDevice(database.db, { accountId });
    await changeProfile(ctx, { personalisation: true, searchHistory: true });
    await noteDeviceSeen(ctx, device.id);
    await database.client.execute({
      sql: "INSERT INTO searches (user_id, term, searched_at) VALUES (?, 'x', 1)",
      args: [user.id],
    });
    await changeProfile(ctx, { searchHistory: false });
    expect([await count("searches"), await count("recent_devices")]).toEqual([0, 1]);
    await changeProfile(ctx, { personalisation: false });
    expect(await count("recent_devices")).toBe(0);
  });
});

test("a name that was corrected or cleared is in no file of the database any more", async () => {
  const file = await aDatabaseFile();
  const usual = base;
  try {
    await file.client.execute("PRAGMA secure_delete = ON");
    base = aBase(file.db);
    const who = await aUser(file.db, { role: "owner", name: "Canary The First" });
    const own = as(who);
    await changeProfile(own, { name: "Canary The Second" });
    await changeAccount(own, { addresses: { shipping: anAddress("Canary Lane 1") } });
    await changeProfile(own, { name: null });
    await changeAccount(own, { addresses: { shipping: null } });
    await base.settled();
    for (const path of [file.path, `${file.path}-wal`]) {
      const bytes = readFileSync(path).toString("latin1");
      expect(bytes.includes("Canary"), path).toBe(false);
    }
  } finally {
    base = usual;
    file.close();
  }
});

const anAddress = (line1: string) => ({
  recipient: null,
  line1,
  line2: null,
  city: "Town",
  region: null,
  postcode: null,
  country: "AT",
});

test("changeAccount() keeps one address of each kind, and removes it", async () => {
  await changeAccount(ctx, {
    paymentMode: "invoice",
    addresses: { shipping: anAddress("A"), billing: anAddress("B") },
  });
  await changeAccount(ctx, { addresses: { shipping: anAddress("C") } });
  expect((await profileOf(ctx)).account).toMatchObject({
    paymentMode: "invoice",
    addresses: [{ line1: "B" }, { line1: "C" }],
  });
  await changeAccount(ctx, { paymentMode: null, addresses: { shipping: null } });
  expect((await profileOf(ctx)).account).toMatchObject({ paymentMode: null, addresses: [{ line1: "B" }] });
  const viewer = await aUser(database.db, { role: "viewer", accountId });
  expect((await profileOf(as(viewer))).account).toMatchObject({ paymentMode: null, addresses: [] });
});

describe("a new e-mail address", () => {
  test("is used once it is confirmed, and the old one is told", async () => {
    await askForEmail(ctx, " New@Edge.test ");
    expect((await profileOf(ctx)).user.email).toBe(user.email);
    const token = await linked();
    expect(base.sent.map(({ to }) => to)).toEqual(["new@edge.test"]);
    await makeToken(base, "reset", { userId: user.id, lifeMs: 1000 });
    expect(await askedEmail(ctx, token)).toBe("new@edge.test");
    await confirmEmail(ctx, token);
    await base.settled();
    expect((await profileOf(ctx)).user.email).toBe("new@edge.test");
    expect(base.sent.map(({ to }) => to)).toEqual(["new@edge.test", user.email]);
    // A reset link in the old mailbox opens nothing any more; this link worked once.
    const { rows } = await database.client.execute("SELECT kind FROM tokens");
    expect(rows.map(({ kind }) => kind)).toEqual(["report"]);
    await expect(confirmEmail(ctx, token)).rejects.toMatchObject({ code: "not_found" });
  });

  test("can be taken back from the old one, whatever the stranger who changed it did since", async () => {
    await askForEmail(ctx, "thief@edge.test");
    await confirmEmail(ctx, await linked());
    await base.settled();
    const back = /\/secure\/([\w-]+)/.exec(base.sent.at(-1)!.text)![1]!;
    await secureAccount(ctx);
    await secureByLink(aContext(base, { kind: "anonymous" }), back);
    await base.settled();
    expect(await userById(database.db, user.id)).toMatchObject({ email: user.email, passwordHash: null });
    expect(base.sent.at(-1)).toMatchObject({ to: user.email });
    await expect(secureByLink(aContext(base, { kind: "anonymous" }), back)).rejects.toMatchObject({
      code: "not_found",
    });
  });

  test("that is somebody's gets no mail, and the answer is the same", async () => {
    const other = await aUser(database.db, { role: "owner" });
    expect(await askForEmail(ctx, other.email.toUpperCase())).toBeUndefined();
    await base.settled();
    expect(base.sent).toEqual([]);
  });

  test("that became somebody's in between is refused", async () => {
    await askForEmail(ctx, "race@edge.test");
    const token = await linked();
    await aUser(database.db, { role: "owner", email: "race@edge.test" });
    await expect(confirmEmail(ctx, token)).rejects.toMatchObject({ code: "conflict" });
    expect((await profileOf(ctx)).user.email).toBe(user.email);
  });

  test("is confirmed by the person who asked, not by whoever reads the mail, and only by the last link", async () => {
    await askForEmail(ctx, "one@edge.test");
    const first = await linked();
    await askForEmail(ctx, "two@edge.test");
    const second = await linked();
    const stranger = as(await aUser(database.db, { role: "owner" }));
    await expect(confirmEmail(stranger, second)).rejects.toMatchObject({ code: "not_found" });
    await expect(confirmEmail(ctx, first)).rejects.toMatchObject({ code: "not_found" });
    base.advance(25 * 3_600_000);
    await expect(confirmEmail(ctx, second)).rejects.toMatchObject({ code: "not_found" });
    expect(await readToken(base, "email", second)).toBeNull();
  });

  test.each(["nobody", "a@b", "a b@edge.test", "a@edge.test\r\nBcc: x@edge.test", ""])("refuses %j", async (email) => {
    await expect(askForEmail(ctx, email)).rejects.toMatchObject({ code: "invalid", field: "email" });
  });

  test("cannot be asked for without end: strangers would get the mails", async () => {
    for (let i = 0; i < 6; i++) await askForEmail(ctx, `to${i}@edge.test`).catch(() => undefined);
    await expect(askForEmail(ctx, "to9@edge.test")).rejects.toMatchObject({ code: "rate_limited" });
  });
});

test("changeMobile() stores the number unconfirmed, tells the e-mail address, and clears", async () => {
  await changeMobile(ctx, "+43 (660) 000-0000");
  expect((await profileOf(ctx)).user).toMatchObject({ mobile: "+436600000000", mobileVerifiedAt: null });
  await base.settled();
  expect(base.sent.map(({ to }) => to)).toEqual([user.email]);
  await changeMobile(ctx, null);
  expect((await profileOf(ctx)).user.mobile).toBeNull();
  for (const wrong of ["0660 000", "+0123456789", "+4111111111111111", "call me"]) {
    await expect(changeMobile(ctx, wrong)).rejects.toMatchObject({ code: "invalid", field: "mobile" });
  }
});

describe("recent devices", () => {
  test("are noted only with personalisation on, only the account's own, the newest ten", async () => {
    const devices = [];
    for (let i = 0; i < 12; i++) devices.push((await aDevice(database.db, { accountId })).id);
    await noteDeviceSeen(ctx, devices[0]!);
    expect(await count("recent_devices")).toBe(0);
    await changeProfile(ctx, { personalisation: true });
    for (const id of devices) {
      base.advance(1000);
      await noteDeviceSeen(ctx, id);
    }
    await noteDeviceSeen(ctx, (await aDevice(database.db)).id);
    expect((await recentDevices(ctx)).map(({ id }) => id)).toEqual(devices.toReversed().slice(0, 10));
    expect(
      (await recentDevices({ ...ctx, principal: { ...ctx.principal, devices: [devices[5]] } as never })).map(
        ({ id }) => id,
      ),
    ).toEqual([devices[5]]);
  });
});

test("every text about a loss is there in every language, and only services that exist need something", () => {
  for (const { text } of Object.values(LANGUAGES)) {
    for (const loss of Object.values(text.profile.losses)) expect(loss.length).toBeGreaterThan(5);
  }
  expect(servicesOf("email")).toEqual(["account", "notices"]);
  expect(servicesOf("mobile")).toEqual([]);
  expect(servicesOf("searchHistory")).toEqual(["recentSearches"]);
});
