import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hashPassword } from "../../../src/passwords.ts";
import { makeToken } from "../../../src/tokens.ts";
import { aDevice, anImei, aSession, aUser } from "../../database.ts";
import { type Api, anApi } from "./api.ts";

let api: Api;
let owner: string;
let device: string;
let member: string;
let confirm: string;
const [mine, other] = [anImei(), anImei()];

beforeAll(async () => {
  api = await anApi();
  const { base, accountId } = api;
  const passwordHash = await hashPassword(base, "four words make one");
  const me = await aUser(base.db, { role: "owner", accountId, email: "ada@example.com", passwordHash });
  owner = await aSession(base, me);
  await base.db.$client.execute({ sql: "DELETE FROM users WHERE role = 'owner' AND id <> ?", args: [me.id] });
  const { id } = await aDevice(base.db, { accountId, imei: mine });
  device = `/devices/${id}`;
  await aDevice(base.db, { imei: other });
  member = `/people/${me.id}`;
  // As an account that signed up by itself, which adds trackers with their codes.
  await base.db.$client.execute("UPDATE accounts SET privacy_accepted = 1, terms_accepted = 1");
  const fresh = await aUser(base.db, { role: "owner", email: "new@example.com", emailVerifiedAt: null });
  confirm = `/confirm/${await makeToken(base, "signup", { userId: fresh.id, lifeMs: 60_000 })}`;
});
afterAll(async () => {
  await api.base.settled();
  api.close();
});

type Fields = Record<string, string>;
const LONG = "x".repeat(201);
const address = { "shipping.line1": "1 High St", "shipping.city": "Wien", "shipping.country": "AT" };
const wish = { act: "setUp", intervalS: "60" };

/** A form of a page, with something wrong in it. `owner` unless it is for anybody. */
const FORMS: readonly [path: () => string, form: Fields, words: { en?: string; anyone?: true }][] = [
  [() => "/signup", { act: "signUp", email: "nobody" }, { anyone: true, en: "Enter an e-mail address" }],
  [() => "/signup", { act: "signUp", email: "a@b.example", mobile: "12" }, { anyone: true }],
  [() => "/signup", { act: "signUp", email: "a@b.example", name: LONG }, { anyone: true, en: "“Name” must have" }],
  [() => "/signup", { act: "signUp", email: "a@b.example", name: "4111 1111 1111 1111" }, { anyone: true }],
  [() => "/signup", { act: "nothing" }, { anyone: true }],
  [() => "/login", { act: "signIn", email: "a@b.example", password: "wrong" }, { anyone: true }],
  [() => "/forgot", { act: "forgot", email: "" }, { anyone: true }],
  [() => "/secure", { act: "send", email: "" }, { anyone: true }],
  [
    () => confirm,
    { act: "confirm", password: "four words make one", sha256: `privacy:1:en:${"0".repeat(64)}` },
    { anyone: true },
  ],
  [
    () => confirm,
    { act: "confirm", password: "short" },
    { anyone: true, en: "“Choose a password” must have at least 10" },
  ],
  [() => confirm, { act: "confirm", password: LONG }, { anyone: true }],
  [() => confirm, { act: "confirm", password: "new@example.com" }, { anyone: true }],
  [() => confirm, { act: "confirm", password: "password123" }, { anyone: true }],
  [() => "/prove", { act: "prove", password: "wrong" }, {}],
  [() => "/security", { act: "changePassword", current: "wrong", password: "x" }, {}],
  [() => "/security", { act: "confirmTotp", code: "000000" }, {}],
  [() => "/security", { act: "removeTotp" }, {}],
  [() => "/security", { act: "removePasskey", id: "99" }, {}],
  [() => "/security", { act: "end", id: "99" }, {}],
  [() => "/profile", { act: "saveName", name: LONG }, { en: "“Name” must have at most 100 characters" }],
  [() => "/profile", { act: "saveName", name: "a\u0007b" }, {}],
  [() => "/profile", { act: "saveAccount", accountName: "" }, { en: "“Name of the account” must not be empty" }],
  [() => "/profile", { act: "save shipping", ...address, "shipping.line1": "" }, { en: "“Street and number”" }],
  [() => "/profile", { act: "save shipping", ...address, "shipping.city": LONG }, {}],
  [() => "/profile", { act: "save shipping", ...address, "shipping.city": "a\nb" }, {}],
  [() => "/profile", { act: "save shipping", ...address, "shipping.country": "Austria" }, {}],
  [() => "/profile", { act: "saveAccount", accountName: "4111 1111 1111 1111" }, { en: "“Name of the account” looks" }],
  [() => "/profile/email", { act: "ask", email: "ada@example.com" }, {}],
  [() => "/profile/email", { act: "ask", email: "ada" }, {}],
  [() => "/profile/mobile", { act: "save", mobile: "12" }, {}],
  [() => "/search", { act: "find", term: "" }, { en: "“Name or IMEI” must have" }],
  [() => "/devices/new", { act: "add", imei: "1x", code: "abcdef", name: "Van" }, { en: "“IMEI” must be digits" }],
  [() => "/devices/new", { act: "add", imei: "12", code: "abcdef", name: "Van" }, {}],
  [() => "/devices/new", { act: "add", imei: "353358010000009", code: "abcdef", name: "Van" }, {}],
  [() => "/devices/new", { act: "add", imei: anImei(), code: "", name: "Van" }, {}],
  [() => "/devices/new", { act: "add", imei: anImei(), code: "WRONG-CODE-22", name: "Van" }, {}],
  [() => "/devices/new", { act: "add", imei: mine, code: "WRONG-CODE-22", name: "Van" }, {}],
  [() => "/devices/new", { act: "add", imei: other, code: "WRONG-CODE-22", name: "Van" }, {}],
  [() => "/devices/new", { act: "add", imei: anImei(), code: "abcdef", name: "" }, { en: "“Name” must not be empty" }],
  [() => device, { act: "save", name: "", clockOffsetMinutes: "0" }, {}],
  [
    () => device,
    { act: "save", name: "Van", clockOffsetMinutes: "soon" },
    { en: "“Clock ahead of UTC, in minutes” must" },
  ],
  [() => device, { act: "save", name: "Van", clockOffsetMinutes: "9999" }, {}],
  [() => device, { act: "save", name: "Van", clockOffsetMinutes: "-9999" }, {}],
  [() => device, { ...wish, apn: "a b" }, {}],
  [() => device, { ...wish, intervalS: "7" }, {}],
  [() => device, { ...wish, smsPassword: "1" }, {}],
  [() => device, { ...wish, mobile: "me" }, {}],
  [() => "/profile/retention", { act: "addGroup", name: "" }, { en: "“Name of a new group” must not be empty" }],
  [() => "/profile/retention/account", { act: "save", days: "soon", timeZone: "UTC" }, { en: "“Days to keep” must" }],
  [() => "/profile/retention/account", { act: "save", days: "0", timeZone: "UTC" }, {}],
  [() => "/profile/retention/account", { act: "save", days: "3651", timeZone: "UTC" }, {}],
  [() => "/profile/retention/account", { act: "save", days: "", timeZone: "Nowhere" }, {}],
  [() => `/profile/retention${device}`, { act: "save", days: "1.5", groupId: "" }, {}],
  [() => `/profile/retention${device}`, { act: "save", days: "", groupId: "99" }, {}],
  [() => "/profile/collection", { act: "save", coordinates: "7" }, { en: "“Coordinates” must be exact" }],
  [() => "/people/invite", { act: "invite", email: "x", role: "viewer" }, {}],
  [() => "/people/invite", { act: "invite", email: "ada@example.com", role: "viewer" }, {}],
  [() => member, { act: "save", role: "viewer" }, {}],
  [() => member, { act: "again" }, {}],
  [() => "/keys/new", { act: "make", name: "", scope: "read" }, {}],
  [() => "/keys/new", { act: "make", name: "x", scope: "read", deviceLimited: "yes" }, {}],
  [() => "/keys", { act: "revoke", id: "99" }, {}],
  [() => "/support", { act: "open", minutes: "1" }, {}],
  [() => "/support", { act: "close", id: "99" }, {}],
];

/** What a page says is wrong, as text. */
async function saidBy(path: string, form: Fields, anyone: true | undefined): Promise<string> {
  const body = new URLSearchParams(form);
  const response = await api.call("POST", path, {
    body,
    ...(anyone ? { headers: { "Sec-Fetch-Site": "same-origin" } } : { cookie: owner }),
  });
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.status).toBeLessThan(500);
  const text = (await response.text()).replaceAll("&quot;", '"').replaceAll("&#39;", "'");
  const [, summary = ""] = /role="alert".*?<ul>(.*?)<\/ul>/s.exec(text) ?? [];
  return summary.replaceAll(/<[^>]*>/g, "").trim();
}

describe("what is wrong with a form is said", () => {
  test.each(FORMS.map(([path, form, words]) => [JSON.stringify(form).slice(0, 120), path, form, words] as const))(
    "in the language of the page, with the label of the field: %s",
    async (_name, path, form, { en, anyone }) => {
      await api.base.db.$client.execute("DELETE FROM throttles");
      const chinese = await saidBy(`${path()}?lang=zh`, form, anyone);
      expect(chinese).toMatch(/[\u4e00-\u9fff]/);
      expect(chinese.replaceAll(/name@example\.com|IMEI/g, "")).not.toMatch(/[A-Za-z]{4,}|[\ue000#%]/);
      const english = await saidBy(`${path()}?lang=en`, form, anyone);
      expect(english).not.toMatch(/[\ue000#%]|[a-z][A-Z]/);
      if (en !== undefined) expect(english).toContain(en);
    },
  );

  test("at the box that waits, of those that are on the page", async () => {
    const body = new URLSearchParams({ act: "accept", termsText: "2 en 00" });
    const response = await api.call("POST", "/accept?lang=zh", { body, cookie: owner });
    expect(await response.text()).toContain('<a href="#f-terms">请勾选您接受的内容。</a>');
  });

  test("with the time to wait after too many attempts", async () => {
    const form = { act: "signIn", email: "many@example.com", password: "wrong" };
    for (let tries = 0; tries < 12; tries++) await saidBy("/login", form, true);
    expect(await saidBy("/login?lang=zh", form, true)).toMatch(/请等待 \d+ 分钟后重试/);
    expect(await saidBy("/login", form, true)).toMatch(/Wait (1 minute|\d+ minutes)/);
  });

  test("by the page of the form: its address keeps the way back and drops what was done before", async () => {
    const page = async (path: string) => (await api.call("GET", path)).text();
    expect(await page("/login?next=%2Fkeys&lang=en&done=signedOut")).toContain(
      '<form method="post" action="/login?next=%2Fkeys&amp;lang=en" ',
    );
    expect(await page("/signup")).toContain('<form method="post" action="/signup" ');
    expect(await page(`/login?next=${encodeURIComponent('"><script>')}`)).not.toContain("<script>");
  });
});

describe("a page in place of another says", () => {
  const said = async (path: string, cookie: string) => {
    const text = await (await api.call("GET", path, { cookie, headers: { Accept: "text/html" } })).text();
    return text.slice(text.indexOf("<main"), text.indexOf("</main>")).replaceAll(/<[^>]*>/g, " ");
  };

  test("that a role does not allow it, and who can change that", async () => {
    const english = await said("/people", api.sessions.viewer);
    expect(english).toContain("Your role does not allow this.");
    expect(english).not.toMatch(/session|scope/);
    expect(await said("/people?lang=zh", api.sessions.viewer)).toContain("您的角色不允许此操作");
  });

  test("that nothing is there", async () => {
    expect(await said("/devices/999999?lang=zh", api.sessions.viewer)).toContain("没有此设备。");
    expect(await said("/nowhere?lang=zh", api.sessions.viewer)).toContain("请检查地址");
  });
});
