import type { InStatement } from "@libsql/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter } from "../../../codec/envelope.ts";
import { ROUTES } from "../../../src/http/app.ts";
import { LIMITS } from "../../../src/limits.ts";
import { hashPassword } from "../../../src/passwords.ts";
import { seal } from "../../../src/seal.ts";
import { settingsOf } from "../../../src/settings.ts";
import { listUsers, updateUser, userById } from "../../../src/store/users.ts";
import { toBase32 } from "../../../src/totp.ts";
import { anImei, aSession, aUser, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

// What somebody who means harm sends: each is refused, and leaves nothing behind.

const PASSWORD = "four words make one";

let api: Api;
beforeEach(async () => {
  api = await anApi();
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

const same = { "Sec-Fetch-Site": "same-origin" };
const form = (fields: Record<string, string>) => new URLSearchParams(fields);
const sql = async (statement: string, args: (string | number)[] = []) =>
  (await api.base.db.$client.execute({ sql: statement, args })).rows;
const failures = () => api.base.logged.filter((line) => !line.startsWith("info request"));

test("a form's act is one of the page's own, and no word of the language", async () => {
  for (const act of ["constructor", "__proto__", "hasOwnProperty", "toString", "valueOf"]) {
    const response = await api.call("POST", "/profile", { cookie: api.sessions.owner, body: form({ act }) });
    expect([response.status, act]).toEqual([400, act]);
    const page = await (await api.call("GET", `/login?done=${act.replaceAll("_", "")}`)).text();
    expect(page).not.toContain("native code");
  }
  expect(failures()).toEqual([]);
});

test("a text with NUL, or with half a character, is refused in every body and form", async () => {
  const { owner, admin } = api.sessions;
  for (const text of ["a\0b", "a\ud800", "\udc00b"]) {
    for (const [method, path, cookie, body] of [
      ["POST", "/v1/sessions", undefined, { email: `${text}@example.com`, password: "x" }],
      ["POST", "/v1/signups", undefined, { email: `${text}@example.com` }],
      ["PATCH", "/v1/me", owner, { name: text }],
      ["PATCH", "/v1/me/account", owner, { addresses: { billing: { line1: text, city: "x", country: "AT" } } }],
      ["POST", "/v1/me/email", owner, { email: `${text}@example.com` }],
      ["POST", "/v1/searches", owner, { term: text }],
      ["POST", "/v1/admin/staff", admin, { email: `${text}@example.com`, role: "admin" }],
      ["PATCH", "/v1/admin/settings", admin, { operatorName: text }],
    ] as const) {
      // Written as an escape: that is how half a character can travel.
      const json = JSON.stringify(body);
      const response = await api.call(method, path, { body: json, ...(cookie !== undefined && { cookie }) });
      const problem = await expectProblem(response, 400, "invalid");
      expect(problem.field, path).toMatch(/^(email|name|addresses\.billing\.line1|term|operatorName)$/);
    }
  }
  for (const [path, cookie, body] of [
    ["/login", undefined, "act=signIn&email=a%00%40example.com&password=x"],
    ["/signup", undefined, "act=signUp&email=a%00%40example.com"],
    ["/profile", owner, "act=saveName&name=a%00"],
  ] as const) {
    const options = cookie === undefined ? { headers: same } : { cookie };
    const response = await api.call("POST", path, { ...options, body: new URLSearchParams(body) });
    expect([response.status, path]).toEqual([400, path]);
  }
  expect(failures()).toEqual([]);
  const people = (await Promise.all([null, api.accountId].map((id) => listUsers(api.base.db, id, 0, 100)))).flat();
  expect(people.length).toBeGreaterThan(5);
  expect(people.filter(({ email, name }) => email.includes("example") || name !== null)).toEqual([]);
});

test("of two session cookies none counts, and none that is written oddly", async () => {
  const [own, planted] = [api.sessions.owner, api.sessions.strangerOwner];
  const [name, value] = own.split("=") as [string, string];
  const ask = async (Cookie: string) => (await api.call("GET", "/v1/me", { headers: { Cookie } })).status;
  for (const cookie of [own, `a=b; ${own}`, `${own};${own}`, `${name}=; ${own}`]) expect(await ask(cookie)).toBe(200);
  for (const cookie of [
    ...[`${planted}; ${own}`, `${own}; ${planted}`, `${name}=x; ${own}`, `${own}, ${planted}`],
    ...[`${name}="${value}"`, `${name} = ${value}`, `${name}=${value}=`, `session=${value}`, own.toLowerCase()],
  ]) {
    expect([await ask(cookie), cookie]).toEqual([401, cookie]);
  }
});

test("credentials of another kind do not open the door to other sites", async () => {
  const email = "ada@example.com";
  const passwordHash = await hashPassword(api.base, PASSWORD);
  await aUser(api.base.db, { role: "owner", email, passwordHash });
  for (const Authorization of ["Basic dTpw", "Bearer", "x"]) {
    const headers = { Authorization, "Sec-Fetch-Site": "cross-site", Origin: "https://evil.test" };
    const response = await api.call("POST", "/login", {
      headers,
      body: form({ act: "signIn", email, password: PASSWORD }),
    });
    expect([response.status, response.headers.getSetCookie()]).toEqual([403, []]);
    const json = await api.call("POST", "/v1/sessions", { headers, body: { email, password: PASSWORD } });
    await expectProblem(json, 403, "forbidden");
  }
});

test("an operator's session that was left open changes nothing of the platform without a fresh proof", async () => {
  api.base.advance(LIMITS.stepUpMs + 1);
  const cookie = api.sessions.admin;
  const empty = (await (await api.call("POST", "/v1/admin/accounts", { key: api.admin, body: { name: "x" } })).json())
    .id as number;
  for (const [method, path, body] of [
    ["POST", "/v1/admin/bridges", { name: "x" }],
    ["POST", `/v1/admin/accounts/${empty}/keys`, { scope: "write" }],
    ["PATCH", "/v1/admin/settings", { activation: "open" }],
    ["POST", "/v1/admin/brands", { hostname: "evil.test", name: "x" }],
  ] as const) {
    const response = await api.call(method, path, { cookie, body });
    await expectProblem(response, 401, "step_up_required");
  }
  for (const [path, fields] of [
    ["/admin", { act: "bridge", name: "x" }],
    ["/admin/settings", { act: "save", activation: "open" }],
    ["/admin/brands", { act: "create", hostname: "evil.test", name: "x" }],
  ] as const) {
    const response = await api.call("POST", path, { cookie, body: form(fields) });
    expect(response.headers.get("location")).toBe(`/prove?next=${encodeURIComponent(path)}`);
  }
  expect((await settingsOf(api.base)).activation).toBe("codes");
  expect(await sql("SELECT 1 FROM bridges")).toEqual([]);
  expect(await sql("SELECT 1 FROM brands")).toEqual([]);
});

test("of many activation codes at once no more are looked at than one by one, and of one account's only so many", async () => {
  await sql("UPDATE accounts SET privacy_accepted = 1, terms_accepted = 1");
  const imei = anImei();
  const code = "7KQ2MX4T9B";
  await api.call("POST", "/v1/admin/activations", { key: api.admin, body: { devices: [{ imei, code }] } });
  const add = (given: string, of = imei, cookie = api.sessions.owner) =>
    api.call("POST", "/v1/devices", { cookie, body: { imei: of, code: given, name: "x" } });
  const tries = Array.from({ length: 20 }, (_, i) => add(`WRONG${String(i).padStart(5, "0")}`));
  const statuses = (await Promise.all([...tries, add(code)])).map(({ status }) => status);
  expect(statuses.filter((status) => status === 404)).toHaveLength(LIMITS.throttles.activation.free);
  expect(statuses.at(-1)).toBe(429);
  // Right ones are not tries, also when they come all together.
  const devices = Array.from({ length: LIMITS.throttles.activationAccount.free + 5 }, () => ({ imei: anImei(), code }));
  await api.call("POST", "/v1/admin/activations", { key: api.admin, body: { devices } });
  const added = await Promise.all(devices.map((sold) => add(code, sold.imei)));
  expect(added.filter(({ status }) => status !== 201)).toEqual([]);
  // Other trackers, one try each: an account that goes through them is stopped, and others are not.
  let looked = 0;
  for (let i = 0; i < 60; i++) if ((await add("WRONG00000", anImei())).status === 404) looked++;
  expect(looked).toBeLessThan(LIMITS.throttles.activationAccount.free);
  expect((await add("WRONG00000", anImei())).status).toBe(429);
  expect((await add("WRONG00000", anImei(), api.sessions.strangerOwner)).status).toBe(404);
});

test("of many mails at once no more are sent to an address than one by one", async () => {
  const cookie = api.sessions.owner;
  const to = "many@example.com";
  const ask = () => api.call("POST", "/v1/me/email", { cookie, body: { email: to } });
  const statuses = (await Promise.all(Array.from({ length: 20 }, ask))).map(({ status }) => status);
  expect(statuses.filter((status) => status === 202)).toHaveLength(LIMITS.throttles.mail.free);
  await api.base.settled();
  expect(api.base.sent.filter((mail) => mail.to === to)).toHaveLength(LIMITS.throttles.mail.free);
});

test("securing an account ends what others were mailed for it: an invitation that the intruder sent opens nothing", async () => {
  const cookie = api.sessions.owner;
  const body = { email: "intruder@example.com", role: "owner" };
  expect((await api.call("POST", "/v1/users", { cookie, body })).status).toBe(202);
  await api.base.settled();
  const [, token] = /\/invite\/([\w-]{43})/.exec(api.base.sent.at(-1)!.text)!;
  expect((await api.call("GET", `/invite/${token}`)).status).toBe(200);
  expect((await api.call("POST", "/v1/me/secure", { cookie })).status).toBe(204);
  expect((await api.call("GET", `/invite/${token}`)).status).toBe(404);
  const joined = await api.call("POST", "/v1/invitations/accept", { body: { token, password: PASSWORD } });
  await expectProblem(joined, 404, "not_found");
});

test("who changed the address twice cannot take it back behind the one who took it back first", async () => {
  const owner = await aUser(api.base.db, { role: "owner", email: "ada@example.com", accountId: api.accountId });
  const cookie = await aSession(api.base, owner);
  const linkTo = async (to: string, path: string) => {
    await api.base.settled();
    const { text } = api.base.sent.findLast((mail) => mail.to === to)!;
    return new RegExp(`/${path}/[\\w-]{43}`).exec(text)![0];
  };
  const change = async (to: string) => {
    await api.call("POST", "/v1/me/email", { cookie, body: { email: to } });
    const path = await linkTo(to, "profile/email");
    expect((await api.call("POST", path, { cookie, body: form({ act: "confirm" }) })).status).toBe(303);
  };
  await change("first@evil.test");
  await change("second@evil.test");
  const [own, theirs] = [await linkTo("ada@example.com", "secure"), await linkTo("first@evil.test", "secure")];
  const secure = (path: string) => api.call("POST", path, { headers: same, body: form({ act: "secure" }) });
  // So that the address is not free to come back.
  expect((await api.call("POST", "/v1/signups", { body: { email: "ada@example.com" } })).status).toBe(202);
  expect((await secure(own)).status).toBe(200);
  await api.base.settled();
  expect(api.base.sent.at(-1)).toMatchObject({ to: "ada@example.com", text: expect.stringContaining("/reset/") });
  expect((await secure(theirs)).status).toBe(404);
  expect((await userById(api.base.db, owner.id))?.email).toBe("ada@example.com");
});

test("whoever has an address, asking with it runs the same statements before the answer", async () => {
  const client = api.base.db.$client;
  const [execute, batch] = [client.execute.bind(client), client.batch.bind(client)];
  let statements = 0;
  client.execute = ((...given: Parameters<typeof execute>) => {
    statements++;
    return execute(...given);
  }) as typeof client.execute;
  client.batch = ((...given: Parameters<typeof batch>) => {
    statements++;
    return batch(...given);
  }) as typeof client.batch;
  await aUser(api.base.db, { role: "owner", email: "ada@example.com" });
  await api.call("POST", "/v1/signups", { body: { email: "waiting@example.com" } });
  const cookie = api.sessions.owner;
  for (const [path, more] of [
    ["/v1/sessions", { password: "wrong" }],
    ["/v1/password-resets", {}],
    ["/v1/security-reports", {}],
    ["/v1/signups", {}],
    ["/v1/me/email", {}],
  ] as const) {
    const counts: number[] = [];
    for (const name of ["ada", "unknown", "waiting"]) {
      await api.base.settled();
      statements = 0;
      const options = { body: { ...more, email: `${name}@example.com` } };
      await api.call("POST", path, path.startsWith("/v1/me") ? { ...options, cookie } : options);
      counts.push(statements);
    }
    expect(new Set(counts).size, `${path} ${counts}`).toBe(1);
  }
});

/** Runs something right before the first statement that matches. */
function before(pattern: RegExp, work: () => Promise<unknown>): void {
  const client = api.base.db.$client;
  const execute = client.execute.bind(client) as (statement: InStatement) => ReturnType<typeof client.execute>;
  let done = false;
  client.execute = (async (statement: InStatement) => {
    if (!done && pattern.test(typeof statement === "string" ? statement : statement.sql)) {
      done = true;
      await work();
    }
    return execute(statement);
  }) as typeof client.execute;
}

test("a key that is made while its maker loses the right to it, or secures the account, does not outlive that", async () => {
  const { accountId } = api;
  const manager = await aUser(api.base.db, { role: "manager", accountId });
  const viewer = () => sql("UPDATE users SET role = 'viewer' WHERE id = ?", [manager.id]);
  const make = (cookie: string) => api.call("POST", "/v1/keys", { cookie, body: { name: "x", scope: "write" } });
  const cookie = await aSession(api.base, manager);
  before(/insert into "?api_keys/i, viewer);
  expect((await make(cookie)).status).toBe(403);
  const other = await aSession(api.base, await aUser(api.base.db, { role: "owner", accountId }));
  before(/insert into "?api_keys/i, () => api.call("POST", "/v1/me/secure", { cookie: other }));
  expect((await make(api.sessions.owner)).status).toBe(403);
  const keys = await sql("SELECT revoked_at IS NULL FROM api_keys WHERE made_by IS NOT NULL");
  expect(keys.map((row) => row[0])).toEqual([0, 0]);
});

test("who is signing in with a password, or changing it, while it ends, is not let in after that", async () => {
  const email = "ada@example.com";
  const passwordHash = await hashPassword(api.base, PASSWORD);
  const user = await aUser(api.base.db, { role: "owner", email, passwordHash, lastSignInAt: 1 });
  const own = await aSession(api.base, user);
  await aSession(api.base, user);
  const left = async () => (await sql("SELECT count(*) FROM sessions WHERE user_id = ?", [user.id]))[0]![0];
  const signIn = () => api.call("POST", "/v1/sessions", { body: { email, password: PASSWORD } });
  // The owner changes the password while somebody else is let in with the old one.
  const changed = { current: PASSWORD, password: `${PASSWORD} or more` };
  before(/insert into "?sessions/i, () => api.call("POST", "/v1/me/password", { cookie: own, body: changed }));
  const response = await signIn();
  expect([response.status, response.headers.getSetCookie()]).toEqual([401, []]);
  expect(await left()).toBe(1);
  // The owner secures the account while somebody else changes the password.
  await sql("UPDATE users SET password_hash = ? WHERE id = ?", [passwordHash, user.id]);
  const again = await aSession(api.base, user);
  before(/update "?users"? set "?password_hash/i, () => api.call("POST", "/v1/me/secure", { cookie: own }));
  expect((await api.call("POST", "/v1/me/password", { cookie: again, body: changed })).status).toBe(401);
  expect((await sql("SELECT password_hash FROM users WHERE id = ?", [user.id]))[0]![0]).toBeNull();
});

test("of many six-digit codes no more than the free ones are looked at, by whatever way they come", async () => {
  const email = "ada@example.com";
  const passwordHash = await hashPassword(api.base, PASSWORD);
  const user = await aUser(api.base.db, { role: "owner", email, passwordHash });
  const totpSecret = await seal(api.base, "totp", user.id, toBase32(api.base.random(20)));
  await updateUser(api.base.db, user.id, { totpSecret, totpSince: NOON });
  const tokens: string[] = [];
  for (let i = 0; i < 4; i++) {
    const response = await api.call("POST", "/v1/sessions", { body: { email, password: PASSWORD } });
    tokens.push(((await response.json()) as { token: string }).token);
  }
  const cookies = [await aSession(api.base, user), await aSession(api.base, user)];
  const codes = ["000000", "000001", "000002", "aaaa-bbbb-cccc-dddd", "000004"];
  const guesses = codes.flatMap((code) => [
    ...tokens.map((token) => api.call("POST", "/v1/sessions/second", { body: { token, code } })),
    ...cookies.map((cookie) => api.call("POST", "/v1/me/proof", { cookie, body: { password: PASSWORD, code } })),
    ...cookies.map((cookie) =>
      api.call("POST", "/prove", { cookie, body: form({ act: "prove", password: PASSWORD, code }) }),
    ),
  ]);
  const statuses = (await Promise.all(guesses)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 400)).toHaveLength(LIMITS.throttles.code.free);
  expect(statuses.filter((status) => ![400, 401, 429].includes(status))).toEqual([]);
});

test("who is limited to one device, and staff without a window, find nothing of another by any way of reading", async () => {
  const [mine, other] = [anImei(), anImei()];
  const make = async (imei: string, name: string) =>
    ((await (await api.call("POST", "/v1/devices", { key: api.write, body: { imei, name } })).json()) as { id: number })
      .id;
  const [a, b] = [await make(mine, "Mine"), await make(other, "CANARY")];
  const batch = new RequestWriter();
  for (const [imei, latitude] of [[mine, 1.5] as const, [other, 12.345678] as const]) {
    const report = { event: { code: 35 }, valid: true, latitude, longitude: 16.3, fixTime: NOON - 60_000 };
    batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report }));
  }
  await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
  const command = await api.call("POST", `/v1/devices/${b}/commands`, { key: api.write, body: { code: "A10" } });
  const commandId = ((await command.json()) as { id: number }).id;
  const { accountId } = api;
  const user = await aUser(api.base.db, { role: "manager", accountId, deviceLimited: 1 });
  await sql("INSERT INTO user_devices (user_id, device_id, may_edit) VALUES (?, ?, 0)", [user.id, a]);
  // One that is over opens nothing.
  await sql("INSERT INTO support_windows (account_id, opened_at, expires_at) VALUES (?, 0, ?)", [accountId, NOON - 1]);
  const cookie = await aSession(api.base, user);
  const made = await api.call("POST", "/v1/keys", { cookie, body: { name: "x", scope: "read" } });
  const { key } = (await made.json()) as { key: string };
  const callers = { manager: { cookie }, key: { key } };
  const staff = { admin: { cookie: api.sessions.admin }, support: { cookie: api.sessions.support } };
  let seen = 0;
  for (const [name, caller] of Object.entries({ ...callers, ...staff, token: { key: api.admin } })) {
    for (const { path } of ROUTES.filter(({ method }) => method === "GET")) {
      for (const [id, query] of [[a, ""] as const, [b, ""] as const, [b, "?format=csv"] as const]) {
        api.base.advance(100);
        const named = path.replace(/\{(\w+)\}/g, (_, part) =>
          String({ id, commandId, deviceId: b }[part as "id"] ?? 1),
        );
        const text = await (await api.call("GET", named + query, caller)).text();
        expect(text.includes("12.345678"), `${name} ${named}`).toBe(false);
        if (text.includes("1.5") && text.includes("16.3")) seen++;
        // The operator keeps the list of trackers, and not where they are.
        if (name in callers) expect(text.includes("CANARY") || text.includes(other), `${name} ${named}`).toBe(false);
      }
    }
  }
  expect(seen).toBeGreaterThan(10);
});
