import { afterAll, beforeAll, expect, test } from "vitest";
import { RequestWriter } from "../../../codec/envelope.ts";
import { JOBS } from "../../../src/jobs.ts";
import { LIMITS } from "../../../src/limits.ts";
import { anAccount, anImei, aUser } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(() => api.close());

const post = async <T>(path: string, body: object): Promise<T> => {
  const response = await api.call("POST", path, { key: api.admin, body });
  expect(response.status).toBe(201);
  return (await response.json()) as T;
};
const list = async <T>(path: string): Promise<T[]> => {
  const response = await api.call("GET", path, { key: api.admin });
  expect(response.status).toBe(200);
  return ((await response.json()) as { data: T[] }).data;
};

test("an account opened and a key made by the operator are enough to use the API", async () => {
  const account = await post<{ id: number; name: string }>("/v1/admin/accounts", { name: "Fleet" });
  expect(account).toEqual({
    id: expect.any(Number),
    name: "Fleet",
    createdAt: "2026-03-01T12:00:00.000Z",
    state: "active",
    users: 0,
    devices: 0,
  });
  const made = await post<{ id: number; key: string; scope: string }>(`/v1/admin/accounts/${account.id}/keys`, {
    scope: "write",
  });
  expect(made.key).toMatch(/^eph_[\w-]{43}$/);
  const body = { imei: anImei(), name: "Van" };
  expect((await api.call("POST", "/v1/devices", { key: made.key, body })).status).toBe(201);
});

test("the operator makes no key for an account that has an owner", async () => {
  const options = { key: api.admin, body: { scope: "read" } };
  await expectProblem(await api.call("POST", `/v1/admin/accounts/${api.accountId}/keys`, options), 409, "conflict");
  const cookie = api.sessions.admin;
  const asPerson = { cookie, body: { scope: "read" } };
  await expectProblem(await api.call("POST", `/v1/admin/accounts/${api.accountId}/keys`, asPerson), 409, "conflict");
});

test("a key is shown once: no list has it, and only its hash is stored", async () => {
  const path = `/v1/admin/accounts/${await anAccount(api.base.db)}/keys`;
  const { key, ...made } = await post<{ id: number; key: string }>(path, { scope: "read", name: "Screen" });
  const keys = await list<{ id: number }>(path);
  expect(keys.find(({ id }) => id === made.id)).toEqual(made);
  expect(JSON.stringify(keys)).not.toContain(key.slice(4));
  const { rows } = await api.base.db.$client.execute({ sql: "SELECT * FROM api_keys", args: [] });
  expect(JSON.stringify(rows)).not.toContain(key.slice(4));
});

test("a revoked key is refused from the next request on", async () => {
  const path = `/v1/admin/accounts/${await anAccount(api.base.db)}/keys`;
  const made = await post<{ id: number; key: string }>(path, { scope: "read" });
  const read = () => api.call("GET", "/v1/devices", { key: made.key });
  expect((await read()).status).toBe(200);
  expect((await api.call("DELETE", `/v1/admin/keys/${made.id}`, { key: api.admin })).status).toBe(204);
  await expectProblem(await read(), 401, "unauthenticated");
  await expectProblem(await api.call("DELETE", `/v1/admin/keys/${made.id}`, { key: api.admin }), 404, "not_found");
  const keys = await list<{ id: number; revokedAt: string | null }>(path);
  expect(keys.find(({ id }) => id === made.id)?.revokedAt).toBe("2026-03-01T12:00:00.000Z");
});

test("the last use of a key is noted, at most every few minutes", async () => {
  const path = `/v1/admin/accounts/${await anAccount(api.base.db)}/keys`;
  const made = await post<{ id: number; key: string }>(path, { scope: "read" });
  const use = async () => {
    await api.call("GET", "/v1/devices", { key: made.key });
    await api.base.settled();
    const keys = await list<{ id: number; lastUsedAt: string | null }>(path);
    return keys.find(({ id }) => id === made.id)?.lastUsedAt;
  };
  const start = api.base.now();
  expect(await use()).toBe(new Date(start).toISOString());
  api.base.advance(LIMITS.keyUsedEveryMs - 1);
  expect(await use()).toBe(new Date(start).toISOString());
  api.base.advance(1);
  expect(await use()).toBe(new Date(start + LIMITS.keyUsedEveryMs).toISOString());
  api.base.at(start);
});

test("a registered bridge may deliver until it is revoked", async () => {
  const made = await post<{ id: number; token: string }>("/v1/admin/bridges", { name: "Second" });
  expect(made.token).toMatch(/^epb_[\w-]{43}$/);
  const poll = () => api.call("POST", "/v1/bridge/frames", { key: made.token, body: new RequestWriter().finish() });
  expect((await poll()).status).toBe(200);
  const nonsense = await api.call("POST", "/v1/bridge/frames", { key: made.token, body: "nonsense" });
  await expectProblem(nonsense, 400, "invalid");
  expect((await api.call("DELETE", `/v1/admin/bridges/${made.id}`, { key: api.admin })).status).toBe(204);
  await expectProblem(await poll(), 401, "unauthenticated");
  expect(JSON.stringify(await list("/v1/admin/bridges"))).not.toContain(made.token.slice(4));
});

test("POST /v1/admin/accounts/find finds by number, whole name and whole address, and shows nothing else of them", async () => {
  const id = await anAccount(api.base.db, { name: "Fleet of Ærø Ltd" });
  await aUser(api.base.db, { role: "viewer", accountId: id, email: "ada@fleet.test" });
  const find = async (term: string) => {
    const response = await api.call("POST", "/v1/admin/accounts/find", { key: api.admin, body: { term } });
    expect(response.status).toBe(200);
    return ((await response.json()) as { data: { id: number }[] }).data.map((row) => row.id);
  };
  for (const term of [String(id), "Fleet of Ærø Ltd", "  fleet  of ærø LTD ", "Ada@Fleet.test"]) {
    expect([term, await find(term)]).toEqual([term, [id]]);
  }
  for (const term of ["Fleet of", "ada@fleet", "%", "fleet.test", `${id}x`])
    expect([term, await find(term)]).toEqual([term, []]);
});

test("GET /v1/admin/devices lists the devices of all accounts with their account", async () => {
  for (const key of [api.write, api.stranger]) {
    await api.call("POST", "/v1/devices", { key, body: { imei: anImei(), name: "Van" } });
  }
  const devices = await list<{ accountId: number }>("/v1/admin/devices");
  expect(new Set(devices.map(({ accountId }) => accountId))).toContain(api.accountId);
  expect(new Set(devices.map(({ accountId }) => accountId))).toContain(api.strangerId);
});

test("lists of the operator page by cursor", async () => {
  for (const name of ["A", "B", "C"]) await post("/v1/admin/accounts", { name });
  const first = await api.call("GET", "/v1/admin/accounts?limit=2", { key: api.admin });
  const { data, nextCursor } = (await first.json()) as { data: { id: number }[]; nextCursor: string };
  const rest = await list<{ id: number }>(`/v1/admin/accounts?cursor=${nextCursor}`);
  expect(rest[0]!.id).toBeGreaterThan(data[1]!.id);
});

test("a key for an account that does not exist is 404", async () => {
  const options = { key: api.admin, body: { scope: "read" } };
  await expectProblem(await api.call("POST", "/v1/admin/accounts/999/keys", options), 404, "not_found");
});

test("jobs are listed and run by name", async () => {
  const response = await api.call("POST", "/v1/admin/jobs/retention/run", { key: api.admin });
  expect(await response.json()).toEqual({ name: "retention", changed: 0 });
  const jobs = await list<{ name: string; lastRun: { state: string } | null }>("/v1/admin/jobs");
  expect(jobs.map(({ name }) => name)).toEqual(JOBS.map(({ name }) => name));
  expect(jobs.find(({ name }) => name === "retention")?.lastRun?.state).toBe("done");
  await expectProblem(await api.call("POST", "/v1/admin/jobs/nothing/run", { key: api.admin }), 404, "not_found");
});
