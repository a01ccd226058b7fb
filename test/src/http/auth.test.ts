import { TOTP } from "otpauth";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { app } from "../../../src/http/app.ts";
import { safeNext } from "../../../src/http/browser.ts";
import { hashPassword } from "../../../src/passwords.ts";
import { seal } from "../../../src/seal.ts";
import { updateUser } from "../../../src/store/users.ts";
import { toBase32 } from "../../../src/totp.ts";
import { aSession, aUser, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

const PASSWORD = "four words make one";
const EMAIL = "ada@example.com";

let api: Api;
let user: Awaited<ReturnType<typeof aUser>>;

beforeEach(async () => {
  api = await anApi();
  const passwordHash = await hashPassword(api.base, PASSWORD);
  user = await aUser(api.base.db, { role: "owner", email: EMAIL, passwordHash });
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

const post = (path: string, fields: Record<string, string>, cookie?: string) =>
  api.call("POST", path, {
    body: new URLSearchParams(fields),
    ...(cookie === undefined ? { headers: { "Sec-Fetch-Site": "same-origin" } } : { cookie }),
  });
/** What the browser would send after this answer. */
const cookiesOf = (response: Response) =>
  response.headers
    .getSetCookie()
    .map((each) => each.split(";")[0]!)
    .filter((each) => !each.endsWith("="))
    .join("; ");
const ask = async (path: string, cookie?: string) =>
  (await api.call("GET", path, cookie === undefined ? {} : { cookie })).text();
const linkIn = async (path: string) => {
  await api.base.settled();
  return new RegExp(`https://edge\\.test(/${path}/[\\w-]{43})`).exec(api.base.sent.at(-1)!.text)![1]!;
};
/** The values of a page's hidden fields of a name, as a browser would send them. */
const hiddenOf = (page: string, name: string) =>
  [...page.matchAll(new RegExp(`name="${name}" value="([^"]*)"`, "g"))].map(([, value]) => value!);

describe("the pages of a sign-up", () => {
  test("lead from the address over the mail to a session, with one box for each text and none ticked", async () => {
    const first = await post("/signup", { act: "signUp", email: "new@example.com", name: "", mobile: "" });
    expect(first.status).toBe(200);
    expect(await first.text()).toContain("Look into your mail");
    const path = await linkIn("confirm");
    const page = await ask(path);
    expect(page).toContain("new@example.com");
    expect(page).not.toMatch(/ checked/);
    expect(page.match(/type="checkbox"/g)).toHaveLength(2);
    expect(page).toContain('href="/legal/privacy/1"');
    const form = new URLSearchParams({ act: "confirm", password: PASSWORD });
    for (const value of hiddenOf(page, "sha256")) form.append("sha256", value);
    const headers = { "Sec-Fetch-Site": "same-origin" };
    const refused = await api.call("POST", path, { body: form, headers });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain('href="#f-accept_privacy"');
    form.append("accept_privacy", "on");
    form.append("accept_terms", "on");
    form.set("password", "short");
    const short = await api.call("POST", path, { body: form, headers });
    const again = await short.text();
    expect(again).toContain('id="f-password-error"');
    expect(again).not.toContain('value="short"');
    form.set("password", PASSWORD);
    const done = await api.call("POST", path, { body: form, headers });
    expect([done.status, done.headers.get("location")]).toEqual([303, "/"]);
    const home = await api.call("GET", "/", { cookie: cookiesOf(done) });
    expect(home.headers.get("location")).toBe("/devices");
    const gone = await api.call("GET", path);
    expect(gone.status).toBe(404);
    expect(await gone.text()).toContain('href="/signup"');
  });

  test("refuse a text that is not the one in force", async () => {
    await post("/signup", { act: "signUp", email: "new@example.com" });
    const path = await linkIn("confirm");
    const sha256 = hiddenOf(await ask(path), "sha256").map((each) =>
      each.replace(/.$/, (end) => (end === "0" ? "1" : "0")),
    );
    const fields = { act: "confirm", password: PASSWORD, accept_privacy: "on", accept_terms: "on" };
    const response = await post(path, { ...fields, sha256: sha256.join(" ") });
    expect(response.status).toBe(409);
    expect(await response.text()).toContain("The text was changed in the meantime");
  });

  test("say in Chinese what is wrong, at the field, and keep what was typed", async () => {
    const response = await post("/signup?lang=zh", { act: "signUp", email: "nobody", name: "Ada" });
    const page = await response.text();
    expect(response.status).toBe(400);
    expect(page).toContain("请输入电子邮箱");
    expect(page).toContain('value="Ada"');
    expect(page).not.toContain("email must be");
  });

  test("keep a header from being written into a mail", async () => {
    const response = await post("/signup", { act: "signUp", email: "a@example.com\r\nBcc: b@example.com" });
    expect(response.status).toBe(400);
    await api.base.settled();
    expect(api.base.sent).toEqual([]);
  });
});

test("asking for a link answers alike for every address: status, headers and body", async () => {
  await api.call("POST", "/v1/signups", { body: { email: "waiting@example.com" } });
  const plain = (response: Response) =>
    [...response.headers].filter(([name]) => !/^(x-request-id|ratelimit)/.test(name));
  for (const path of ["/v1/signups", "/v1/password-resets"]) {
    const seen = [];
    for (const email of [EMAIL, "unknown@example.com", "waiting@example.com"]) {
      for (let i = 0; i < 7; i++) {
        const response = await api.call("POST", path, { body: { email } });
        seen.push(JSON.stringify([response.status, plain(response), await response.text()]));
      }
    }
    expect(new Set(seen).size).toBe(1);
    expect(seen[0]).toContain("202");
  }
});

test("a wrong password and an unknown address answer alike, by API and on the page", async () => {
  const problems = [];
  const pages = [];
  for (const email of [EMAIL, "unknown@example.com"]) {
    const response = await api.call("POST", "/v1/sessions", { body: { email, password: "wrong" } });
    const { requestId, ...problem } = await expectProblem(response, 401, "unauthenticated");
    expect(response.headers.getSetCookie()).toEqual([]);
    problems.push(problem);
    const page = await post("/login", { act: "signIn", email, password: "wrong" });
    expect(page.status).toBe(400);
    pages.push((await page.text()).replaceAll(email, ""));
  }
  expect(problems[0]).toEqual(problems[1]);
  expect(pages[0]).toBe(pages[1]);
  expect(pages[0]).toContain('id="f-password-error"');
});

test("after ten wrong passwords the answer is 429 with Retry-After, by API and on the page", async () => {
  for (let i = 0; i < 10; i++) {
    await api.call("POST", "/v1/sessions", { body: { email: EMAIL, password: "wrong" } });
  }
  const response = await api.call("POST", "/v1/sessions", { body: { email: EMAIL, password: PASSWORD } });
  await expectProblem(response, 429, "rate_limited");
  expect(response.headers.get("retry-after")).toBe("60");
  const page = await post("/login", { act: "signIn", email: EMAIL, password: PASSWORD });
  expect([page.status, page.headers.get("retry-after")]).toEqual([429, "60"]);
  expect(await page.text()).toContain("Wait 1 minute, then try again.");
});

test("signing in by API sets the cookie, and the body holds no token", async () => {
  const response = await api.call("POST", "/v1/sessions", { body: { email: EMAIL, password: PASSWORD } });
  expect(response.status).toBe(201);
  const [cookie] = response.headers.getSetCookie();
  expect(cookie).toMatch(/^__Host-session=eps_[\w-]{43}; Path=\/; Secure; SameSite=Lax; Max-Age=2592000; HttpOnly$/);
  const body = await response.text();
  expect(body).not.toContain("eps_");
  expect(JSON.parse(body)).toEqual({
    user: { id: user.id, role: "owner" },
    expiresAt: new Date(NOON + 30 * 86_400_000).toISOString(),
  });
});

test("a session that was planted before signing in is not taken over", async () => {
  const planted = await aSession(api.base, user);
  for (const cookie of ["__Host-session=eps_planted", planted]) {
    const response = await post("/login", { act: "signIn", email: EMAIL, password: PASSWORD }, cookie);
    expect(response.status).toBe(303);
    expect(cookiesOf(response)).toMatch(/^__Host-session=eps_/);
    expect(cookiesOf(response)).not.toBe(cookie);
  }
  const unknown = await api.call("GET", "/v1/sessions", { cookie: "__Host-session=eps_planted" });
  await expectProblem(unknown, 401, "unauthenticated");
});

test("signing in goes on to one of our own pages, whatever the link said", async () => {
  const table: Record<string, string> = {
    "/devices": "/devices",
    "/devices/12": "/devices/12",
    "//evil.test": "/",
    "/\\evil.test": "/",
    "https://evil.test": "/",
    "javascript:alert(1)": "/",
    "/%2f%2fevil.test": "/",
    "/\tevil.test": "/",
    "/a@evil.test": "/",
    "/devices?next=//evil.test": "/",
    "/devices\r\nSet-Cookie: a=b": "/",
    "": "/",
    evil: "/",
  };
  for (const [next, to] of Object.entries(table)) {
    expect(safeNext(next)).toBe(to);
    const fields = { act: "signIn", email: EMAIL, password: PASSWORD };
    const response = await post(`/login?next=${encodeURIComponent(next)}`, fields);
    expect([response.status, response.headers.get("location"), next]).toEqual([303, to, next]);
  }
});

test("a second factor stands between the password and the session, on the pages and by API", async () => {
  const secret = toBase32(api.base.random(20));
  await updateUser(api.base.db, user.id, {
    totpSecret: await seal(api.base, "totp", user.id, secret),
    totpSince: NOON,
  });
  const codeNow = () => new TOTP({ secret }).generate({ timestamp: api.base.now() });
  const first = await post("/login?next=/devices/3", { act: "signIn", email: EMAIL, password: PASSWORD });
  expect(first.headers.get("location")).toBe("/login/second?next=%2Fdevices%2F3");
  const waiting = cookiesOf(first);
  expect(first.headers.getSetCookie()).toEqual([
    expect.stringMatching(/^__Host-signin=[\w-]{43}; Path=\/; Secure; SameSite=Lax; Max-Age=600; HttpOnly$/),
  ]);
  expect(await ask("/login/second", waiting)).toContain('autocomplete="one-time-code"');
  expect(await ask("/login/second")).toContain("Begin again");
  expect((await post("/login/second", { act: "second", code: "000000" }, waiting)).status).toBe(400);
  const second = await post("/login/second?next=/devices/3", { act: "second", code: codeNow() }, waiting);
  expect(second.headers.get("location")).toBe("/devices/3");
  expect(cookiesOf(second)).toMatch(/^__Host-session=eps_[\w-]{43}$/);
  expect(second.headers.getSetCookie().at(-1)).toMatch(/^__Host-signin=; .*Max-Age=0/);

  api.base.advance(60_000);
  const response = await api.call("POST", "/v1/sessions", { body: { email: EMAIL, password: PASSWORD } });
  expect([response.status, response.headers.getSetCookie()]).toEqual([202, []]);
  const { secondFactor, token } = (await response.json()) as { secondFactor: string[]; token: string };
  expect(secondFactor).toEqual(["totp", "recovery"]);
  const opened = await api.call("POST", "/v1/sessions/second", { body: { token, code: codeNow() } });
  expect(opened.status).toBe(201);
  expect((await api.call("GET", "/v1/sessions", { cookie: cookiesOf(opened) })).status).toBe(200);
});

test("people see and end their own sessions, and nobody else's", async () => {
  const [here, there] = [await aSession(api.base, user), await aSession(api.base, user)];
  const list = async (cookie: string) => {
    const response = await api.call("GET", "/v1/sessions", { cookie });
    return ((await response.json()) as { data: { id: number; current: boolean; network: string }[] }).data;
  };
  const before = await list(here);
  expect(before.map(({ current }) => current)).toEqual([false, true]);
  expect(before[0]!.network).toBe("192.0.2.0/24");
  const [other] = await list(api.sessions.strangerOwner);
  await expectProblem(await api.call("DELETE", `/v1/sessions/${other!.id}`, { cookie: here }), 404, "not_found");
  expect((await api.call("DELETE", `/v1/sessions/${before[0]!.id}`, { cookie: here })).status).toBe(204);
  await expectProblem(await api.call("GET", "/v1/sessions", { cookie: there }), 401, "unauthenticated");
  const third = await aSession(api.base, user);
  expect((await api.call("DELETE", "/v1/sessions", { cookie: here })).status).toBe(204);
  await expectProblem(await api.call("GET", "/v1/sessions", { cookie: third }), 401, "unauthenticated");
  const ended = await api.call("DELETE", "/v1/sessions/current", { cookie: here });
  expect(ended.headers.getSetCookie()[0]).toMatch(/^__Host-session=; .*Max-Age=0/);
  await expectProblem(await api.call("GET", "/v1/sessions", { cookie: here }), 401, "unauthenticated");
});

test("signing out ends the session and takes the cookie, also in an account that is suspended", async () => {
  await api.base.db.$client.execute("UPDATE accounts SET state = 'suspended'");
  const cookie = await aSession(api.base, user);
  const response = await post("/logout", { act: "signOut" }, cookie);
  expect([response.status, response.headers.get("location")]).toEqual([303, "/login?done=signedOut"]);
  expect(response.headers.getSetCookie()[0]).toMatch(/^__Host-session=; .*Max-Age=0/);
  expect((await api.call("GET", "/", { cookie })).headers.get("location")).toBe("/login");
});

test("/ sends everybody to their first page", async () => {
  const to = async (cookie?: string) =>
    (await api.call("GET", "/", cookie === undefined ? {} : { cookie })).headers.get("location");
  expect(await to()).toBe("/login");
  expect(await to(api.sessions.viewer)).toBe("/devices");
  expect(await to(api.sessions.finance)).toBe("/admin");
});

test("the pages of a reset lead to a new password, and not to a session", async () => {
  const asked = await post("/forgot", { act: "forgot", email: EMAIL });
  expect(await asked.text()).toContain("Look into your mail");
  const path = await linkIn("reset");
  expect(await ask(path)).toContain('autocomplete="new-password"');
  const done = await post(path, { act: "reset", password: "another good one" });
  expect([done.headers.get("location"), done.headers.getSetCookie()]).toEqual(["/login?done=passwordReset", []]);
  expect(await ask("/login?done=passwordReset")).toContain("Your password is changed");
  const gone = await api.call("GET", path);
  expect(gone.status).toBe(404);
  expect(await gone.text()).toContain('href="/forgot"');
  const old = await api.call("POST", "/v1/sessions", { body: { email: EMAIL, password: PASSWORD } });
  await expectProblem(old, 401, "unauthenticated");
});

test("an address, a name or a token never stands in the log", async () => {
  await post("/signup", { act: "signUp", email: "canary@example.com", name: "Canary" });
  const path = await linkIn("confirm");
  await ask(path);
  await post("/login", { act: "signIn", email: "canary@example.com", password: "canary" });
  await post("/forgot", { act: "forgot", email: "canary@example.com" });
  await api.base.settled();
  const log = api.base.logged.join("\n");
  expect(log).not.toMatch(/canary|192\.0\.2/i);
  expect(log).not.toContain(path.split("/")[2]);
});

test("/login says so where a browser would keep no sign-in", async () => {
  const base = { ...api.base, config: { ...api.base.config } };
  delete base.config.publicUrl;
  for (const [origin, warns] of [
    ["http://tracks.example", true],
    ["http://192.0.2.9:8787", true],
    ["https://tracks.example", false],
    ["http://127.0.0.1:8787", false],
    ["http://localhost:8787", false],
    ["http://a.localhost:8787", false],
  ] as const) {
    const page = await (await app.fetch(new Request(`${origin}/login`), base)).text();
    expect([origin, page.includes("without encryption (http)")]).toEqual([origin, warns]);
  }
});
