import { TOTP } from "otpauth";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { authenticateSession } from "../../../src/access.ts";
import { LIMITS } from "../../../src/limits.ts";
import { hashPassword } from "../../../src/passwords.ts";
import { updateUser, userById } from "../../../src/store/users.ts";
import { aSession } from "../../database.ts";
import { aSoftKey } from "../authenticator.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

const PASSWORD = "four plain words here";
let api: Api;
let userId: number;
/** of the owner, whom these tests are about */
let cookie: string;

beforeEach(async () => {
  api = await anApi();
  cookie = api.sessions.owner;
  const caller = await authenticateSession(api.base, cookie.split("=")[1]!);
  userId = (caller!.principal as { userId: number }).userId;
  await updateUser(api.base.db, userId, { passwordHash: await hashPassword(api.base, PASSWORD) });
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

const post = (path: string, body?: unknown, as: string | undefined = cookie) =>
  api.call("POST", path, { ...(as !== "" && { cookie: as }), ...(body !== undefined && { body }) });
const submit = (path: string, fields: Record<string, string>, as: string | undefined = cookie) =>
  post(path, new URLSearchParams(fields), as);
const json = async <T>(response: Response) => (await response.json()) as T;
const me = async () => (await userById(api.base.db, userId))!;
/** Time goes by until the session's proof is too old. */
const later = () => api.base.advance(LIMITS.stepUpMs);
const newCookie = (response: Response) => response.headers.get("set-cookie")!.split(";")[0]!;
/** Characters that HTML escapes do not occur in what these look for. */
const pageOf = async (response: Response, status = 200) => {
  expect(response.status).toBe(status);
  const text = await response.text();
  expect(text).not.toMatch(/ style=|<style|<script(?! type="module" src="\/assets\/)|\son\w+=|undefined|\[object/);
  return text;
};

async function aPasskey() {
  const options = await json<{ challenge: string; user: { id: string } }>(await post("/v1/me/passkeys/options"));
  const key = aSoftKey();
  const { attestationObject: _, ...body } = key.register(options.challenge);
  const added = await json<{ id: number }>(await post("/v1/me/passkeys", { ...body, name: "Laptop" }));
  return { ...key, passkeyId: added.id, userHandle: options.user.id };
}

test("a passkey signs in without an address, as both factors, with a cookie like a password's", async () => {
  const key = await aPasskey();
  const { challenge } = await json<{ challenge: string }>(await post("/v1/sessions/passkey/options", undefined, ""));
  const response = await post("/v1/sessions/passkey", key.assert(challenge, { userHandle: key.userHandle }), "");
  expect(response.status).toBe(201);
  expect(response.headers.get("set-cookie")).toMatch(
    /^__Host-session=eps_[\w-]{43}; Path=\/; Secure; SameSite=Lax; Max-Age=\d+; HttpOnly$/,
  );
  expect(await json(response)).toMatchObject({ user: { id: userId, role: "owner" } });
  const { data } = await json<{ data: { current: boolean; secondFactor: boolean }[] }>(
    await api.call("GET", "/v1/sessions", { cookie: newCookie(response) }),
  );
  expect(data.find(({ current }) => current)).toMatchObject({ secondFactor: true });
});

test("an assertion of another site's page is refused, whatever else is right", async () => {
  const key = await aPasskey();
  for (const whims of [{ origin: "https://edge.test.evil.test" }, { rpId: "evil.test" }, { crossOrigin: true }]) {
    const { challenge } = await json<{ challenge: string }>(await post("/v1/sessions/passkey/options", undefined, ""));
    const answer = key.assert(challenge, { userHandle: key.userHandle, ...whims });
    await expectProblem(await post("/v1/sessions/passkey", answer, ""), 400, "invalid");
  }
});

test("nonsense in place of a passkey is the sender's error, never ours", async () => {
  const good = aSoftKey().assert("x");
  for (const field of Object.keys(good)) {
    for (const value of ["", "A", "AAAA", "é", "=", "A".repeat(5000), 5, null, {}, []]) {
      const response = await post("/v1/sessions/passkey", { ...good, [field]: value }, "");
      await expectProblem(response, 400, "invalid");
    }
  }
});

describe("with a stolen session, whose owner proved long ago who they are", () => {
  test("no factor can be added or removed, and nothing is changed", async () => {
    const key = await aPasskey();
    const { secret } = await json<{ secret: string }>(await post("/v1/me/totp"));
    await post("/v1/me/totp/confirm", { code: new TOTP({ secret }).generate({ timestamp: api.base.now() }) });
    later();
    for (const [method, path] of [
      ["POST", "/v1/me/totp"],
      ["DELETE", "/v1/me/totp"],
      ["POST", "/v1/me/passkeys/options"],
      ["DELETE", `/v1/me/passkeys/${key.passkeyId}`],
    ] as const) {
      await expectProblem(await api.call(method, path, { cookie }), 401, "step_up_required");
    }
    for (const fields of [
      { act: "startTotp" },
      { act: "removeTotp" },
      { act: "removePasskey", id: String(key.passkeyId) },
    ]) {
      const response = await submit("/security", fields);
      expect([response.status, response.headers.get("location")]).toEqual([303, "/prove?next=%2Fsecurity"]);
    }
    expect((await me()).totpSince).not.toBeNull();
    const { data } = await json<{ data: unknown[] }>(await api.call("GET", "/v1/me/passkeys", { cookie }));
    expect(data).toHaveLength(1);
  });

  test("the password stays, and guessing it or a code is stopped", async () => {
    later();
    const before = (await me()).passwordHash;
    for (let i = 0; i < 10; i++) {
      await expectProblem(
        await post("/v1/me/password", { current: `guess ${i}`, password: "my own words" }),
        400,
        "invalid",
      );
    }
    const response = await post("/v1/me/password", { current: PASSWORD, password: "my own words" });
    await expectProblem(response, 429, "rate_limited");
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    await expectProblem(await post("/v1/me/proof", { password: PASSWORD }), 429, "rate_limited");
    expect((await me()).passwordHash).toBe(before);
  });

  test("a secret that waits for its first code is not shown", async () => {
    const { secret } = await json<{ secret: string }>(await post("/v1/me/totp"));
    expect(await pageOf(await api.call("GET", "/security", { cookie }))).toContain(secret);
    later();
    expect(await pageOf(await api.call("GET", "/security", { cookie }))).not.toContain(secret);
    const wrong = await submit("/security", { act: "confirmTotp", code: "000000" });
    expect(await pageOf(wrong, 400)).not.toContain(secret);
  });
});

test("the page sets up an authenticator app without a script, from the QR code to the recovery codes", async () => {
  const started = await submit("/security", { act: "startTotp" });
  expect([started.status, started.headers.get("location")]).toEqual([303, "/security#totp"]);
  const page = await pageOf(await api.call("GET", "/security", { cookie }));
  expect(page).toMatch(/<svg [^>]*class="qr" role="img" aria-label="QR code/);
  const secret = /<code>([A-Z2-7]{32})<\/code>/.exec(page)![1]!;
  const wrong = await pageOf(await submit("/security", { act: "confirmTotp", code: "000000" }), 400);
  expect(wrong).toContain('id="f-code-error"');
  const code = new TOTP({ secret }).generate({ timestamp: api.base.now() });
  const shown = await pageOf(await submit("/security", { act: "confirmTotp", code }));
  const codes = shown.match(/[a-z2-7]{4}(-[a-z2-7]{4}){3}/g)!;
  expect(codes).toHaveLength(LIMITS.recoveryCodes);
  expect(await pageOf(await api.call("GET", "/security", { cookie }))).not.toContain(codes[0]);
});

test("/prove takes the password and goes on to one of our own pages only", async () => {
  later();
  const wrong = await pageOf(await submit("/prove?next=/keys", { act: "prove", password: "wrong" }), 400);
  expect(wrong).toContain("The password is not right");
  expect(wrong).not.toContain('value="wrong"');
  for (const [next, to] of [
    ["/keys", "/keys"],
    ["https://evil.test", "/"],
    ["//evil.test", "/"],
    ["/\\evil.test", "/"],
  ] as const) {
    const response = await submit(`/prove?next=${encodeURIComponent(next)}`, { act: "prove", password: PASSWORD });
    expect([response.status, response.headers.get("location")]).toEqual([303, to]);
  }
  expect((await api.call("POST", "/v1/me/totp", { cookie })).status).toBe(200);
});

test("“secure my account” works on the very next request, from the page and from the API", async () => {
  const other = await aSession(api.base, { id: userId, accountId: api.accountId });
  const response = await submit("/security", { act: "secure" });
  expect(response.status).toBe(303);
  expect(response.headers.get("set-cookie")).toMatch(/^__Host-session=; .*Max-Age=0/);
  for (const over of [cookie, other, api.sessions.viewer]) {
    await expectProblem(await api.call("GET", "/v1/me/passkeys", { cookie: over }), 401, "unauthenticated");
  }
  await expectProblem(await api.call("GET", "/v1/devices", { key: api.write }), 401, "unauthenticated");
  expect((await api.call("GET", "/v1/devices", { key: api.stranger })).status).toBe(200);
  expect((await me()).passwordHash).toBeNull();
});

test("a report answers alike for every address, and its link shows one button that works once", async () => {
  const { email } = await me();
  const answers: string[] = [];
  for (const address of [email, "nobody@edge.test"]) {
    const response = await post("/v1/security-reports", { email: address }, "");
    answers.push(`${response.status} ${await response.text()}`);
    answers.push((await pageOf(await submit("/secure", { act: "send", email: address }, ""))).replaceAll(address, ""));
  }
  expect(answers.slice(0, 2)).toEqual(answers.slice(2));
  await api.base.settled();
  const path = /https:\/\/edge\.test(\/secure\/[\w-]{43})/.exec(api.base.sent[0]!.text)![1]!;
  expect(await pageOf(await api.call("GET", path))).toContain('value="secure"');
  expect((await api.call("GET", "/v1/me/passkeys", { cookie })).status).toBe(200);
  await pageOf(await submit(path, { act: "secure" }, ""));
  await expectProblem(await api.call("GET", "/v1/me/passkeys", { cookie }), 401, "unauthenticated");
  expect((await submit(path, { act: "secure" }, "")).status).toBe(404);
  expect((await api.call("GET", path)).status).toBe(404);
});

test("the page lists sessions and ends one, all others, or its own", async () => {
  const other = await aSession(api.base, { id: userId, accountId: api.accountId });
  const page = await pageOf(await api.call("GET", "/security", { cookie }));
  expect(page).toContain("this one");
  const ids = [...page.matchAll(/name="id" value="(\d+)"/g)].map(([, id]) => id!);
  expect(ids).toHaveLength(2);
  const stranger = await submit("/security", { act: "end", id: ids[0]! }, api.sessions.strangerOwner);
  expect(stranger.status).toBe(404);
  await submit("/security", { act: "end", id: ids[0]! });
  expect((await api.call("GET", "/v1/sessions", { cookie: other })).status).toBe(401);
  const own = await submit("/security", { act: "end", id: ids[1]! });
  expect(own.headers.get("location")).toBe("/login?done=signedOut");
  expect((await api.call("GET", "/v1/sessions", { cookie })).status).toBe(401);
});

test("the pages speak Chinese, also about what is wrong", async () => {
  const zh = { cookie: `${cookie}; __Host-language=zh` };
  await updateUser(api.base.db, userId, { language: "zh" });
  expect(await pageOf(await api.call("GET", "/security", zh))).toContain("保护我的账户");
  const body = new URLSearchParams({ act: "changePassword", current: "wrong", password: "some other words" });
  expect(await pageOf(await api.call("POST", "/security", { ...zh, body }), 400)).toContain("密码不正确");
});
