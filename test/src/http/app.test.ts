import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { aDatabase } from "../../database.ts";
import { type Api, aKey, anApi, expectProblem } from "./api.ts";

let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(() => api.close());

test("a caller who asks too often gets 429 and the time to wait; another caller does not notice", async () => {
  const busy = await aKey(api.base, api.accountId, "read");
  const { requests, windowS } = LIMITS.rate.key;
  for (let i = 0; i < requests; i++) await api.call("GET", "/v1/models", { key: busy });
  const refused = await api.call("GET", "/v1/models", { key: busy });
  expect(refused.headers.get("retry-after")).toBe(String(windowS));
  expect(refused.headers.get("ratelimit")).toBe(`"key";r=0;t=${windowS}`);
  expect(refused.headers.get("ratelimit-policy")).toBe(`"key";q=${requests};w=${windowS}`);
  await expectProblem(refused, 429, "rate_limited");
  expect((await api.call("GET", "/v1/models", { key: api.read })).status).toBe(200);
  api.base.advance(windowS * 1000);
  expect((await api.call("GET", "/v1/models", { key: busy })).status).toBe(200);
});

test("wrong tokens are counted by address, and do not lock out who has a right one", async () => {
  const headers = { "CF-Connecting-IP": "192.0.2.7" };
  const { requests } = LIMITS.rate.public;
  for (let i = 0; i < requests; i++) await api.call("GET", "/v1/models", { key: `eph_${i}`, headers });
  await expectProblem(await api.call("GET", "/v1/models", { key: "eph_x", headers }), 429, "rate_limited");
  expect((await api.call("GET", "/v1/models", { key: api.read, headers })).status).toBe(200);
  expect((await api.call("GET", "/healthz", { headers })).status).toBe(200);
});

test("an error that isn't ours is logged with its cause and tells the client nothing", async () => {
  const broken = await anApi();
  const failure = new Error("imei 353358017784062 is secret");
  const { db } = broken.base;
  broken.base.db = new Proxy(db, {
    get: (target, name) => {
      if (name === "insert") throw failure;
      return Reflect.get(target, name);
    },
  });
  const body = { name: "New" };
  const response = await broken.call("POST", "/v1/admin/accounts", { key: broken.admin, body });
  const problem = await expectProblem(response, 500, "internal");
  expect(JSON.stringify(problem)).not.toMatch(/secret|3533|Error|\.ts/);
  expect(broken.base.logged.join()).toContain(`error request.failed {"requestId":"${problem.requestId}"`);
  broken.close();
});

test("a database that does not answer is 503 with Retry-After, on every route and on /healthz with the reason", async () => {
  const broken = await anApi();
  const unreachable = Object.assign(new TypeError("fetch failed"), {
    cause: Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }),
  });
  broken.base.db = new Proxy(broken.base.db, {
    get: (target, name) => {
      if (name === "select" || name === "insert") throw unreachable;
      return Reflect.get(target, name);
    },
  });
  const response = await broken.call("GET", "/v1/devices", { key: broken.read });
  expect(response.headers.get("retry-after")).toBe("2");
  await expectProblem(response, 503, "unavailable");
  const health = await expectProblem(await broken.call("GET", "/healthz"), 503, "unavailable");
  expect(health.detail).toBe("The database cannot be read");
  broken.close();
});

test("/healthz is 503 and names the migration that is missing, and 200 again once it is there", async () => {
  const { db, client, close } = await aDatabase();
  const other = await anApi();
  other.base.db = db;
  expect((await other.call("GET", "/healthz")).status).toBe(200);
  const { rows } = await client.execute("SELECT name, applied_at FROM migrations ORDER BY name LIMIT 1");
  const { name, applied_at } = rows[0]!;
  await client.execute({ sql: "DELETE FROM migrations WHERE name = ?", args: [name!] });
  other.base.advance(LIMITS.healthMs);
  const missing = await expectProblem(await other.call("GET", "/healthz"), 503, "unavailable");
  expect(missing.detail).toBe(`Migrations are missing: ${name}`);
  await client.execute({ sql: "INSERT INTO migrations VALUES (?, ?)", args: [name!, applied_at!] });
  other.base.advance(LIMITS.healthMs);
  expect(await (await other.call("GET", "/healthz")).json()).toEqual({ status: "ok" });
  close();
  other.close();
});

test("a request that takes no query parameters names the one that it got", async () => {
  const problem = await expectProblem(await api.call("GET", "/v1/models?brand=1", { key: api.read }), 400, "invalid");
  expect(problem.field).toBe("brand");
});

test("credentials are read as RFC 6750 writes them and in no other place", async () => {
  for (const [authorization, status] of [
    [`Bearer ${api.read}`, 200],
    [`bearer  ${api.read}`, 200],
    [`Basic ${api.read}`, 401],
    [api.read, 401],
    [`Bearer ${api.read} x`, 401],
    ["Bearer ", 401],
    [`Bearer ${"x".repeat(600)}`, 401],
  ] as const) {
    const response = await api.call("GET", "/v1/models", { headers: { Authorization: authorization } });
    expect(response.status, authorization).toBe(status);
  }
  expect((await api.call("GET", `/v1/models?access_token=${api.read}`)).status).toBe(401);
  expect((await api.call("GET", "/v1/models", { headers: { Cookie: `key=${api.read}` } })).status).toBe(401);
});
