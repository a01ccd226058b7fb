import { afterEach, beforeEach, expect, test } from "vitest";
import { userByEmail } from "../../../src/store/users.ts";
import { aSession } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

const DAY = 86_400_000;
let api: Api;
beforeEach(async () => {
  api = await anApi();
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

const staff = async (): Promise<{ id: number; role: string }[]> =>
  ((await (await api.call("GET", "/v1/admin/staff", { key: api.admin })).json()) as { data: never[] }).data;
const idOf = async (role: string) => (await staff()).find((row) => row.role === role)!.id;

test("366 days on, nobody of the staff has rights; the admin token brings the last administrator back", async () => {
  const admin = await idOf("admin");
  api.base.advance(366 * DAY);
  const cookie = await aSession(api.base, { id: admin, accountId: null });
  for (const [method, path] of [
    ["GET", "/v1/admin/overview"],
    ["GET", "/v1/admin/accounts"],
    ["GET", "/v1/admin/staff"],
    ["GET", "/v1/admin/audit"],
    ["GET", `/v1/admin/accounts/${api.accountId}`],
  ] as const) {
    const problem = await expectProblem(await api.call(method, path, { cookie }), 403, "forbidden");
    expect(problem.detail).toMatch(/^Your training is not attested/);
  }
  expect((await api.call("GET", "/admin", { cookie })).status).toBe(403);
  const validUntil = new Date(api.base.now() + 300 * DAY).toISOString();
  const attested = await api.call("POST", `/v1/admin/staff/${admin}/training`, {
    key: api.admin,
    body: { validUntil },
  });
  expect(await attested.json()).toMatchObject({ trainingValidUntil: validUntil });
  expect((await api.call("GET", "/v1/admin/overview", { cookie })).status).toBe(200);
  const audit = (await (await api.call("GET", "/v1/admin/audit?limit=1", { key: api.admin })).json()) as {
    data: object[];
  };
  expect(audit.data[0]).toMatchObject({ action: "training.attested", actor: "admin_token", subject: `user ${admin}` });
});

test("somebody invited has no rights before their training is attested", async () => {
  const body = { email: "new@edge.test", role: "support" };
  const made = await api.call("POST", "/v1/admin/staff", { cookie: api.sessions.admin, body });
  const { id } = (await made.json()) as { id: number };
  const cookie = await aSession(api.base, { id, accountId: null });
  expect((await api.call("GET", "/v1/admin/overview", { cookie })).status).toBe(403);
  const validUntil = new Date(api.base.now() + DAY).toISOString();
  await api.call("POST", `/v1/admin/staff/${id}/training`, { cookie: api.sessions.admin, body: { validUntil } });
  expect((await api.call("GET", "/v1/admin/overview", { cookie })).status).toBe(200);
  await api.call("PATCH", `/v1/admin/staff/${id}`, { cookie: api.sessions.admin, body: { disabled: true } });
  await expectProblem(await api.call("GET", "/v1/admin/overview", { cookie }), 401, "unauthenticated");
});

test("finance sees addresses and no people, support people with masks, and no secret is in any answer", async () => {
  const path = `/v1/admin/accounts/${api.accountId}`;
  const of = async (cookie: string) =>
    (await (await api.call("GET", path, { cookie })).json()) as Record<string, unknown>;
  expect(await of(api.sessions.finance)).toMatchObject({ people: null, addresses: [] });
  const seen = await of(api.sessions.support);
  expect(seen.addresses).toBeNull();
  expect(JSON.stringify(seen)).not.toContain("edge.test");
  const unmasked = await api.call("POST", `${path}/unmask`, {
    cookie: api.sessions.support,
    body: { reason: "The customer called about it" },
  });
  const text = await unmasked.text();
  expect(text).toContain("@edge.test");
  expect(text).not.toMatch(/hash|secret|password/i);
});

test("a suspended account may read and may not change; resumed, it may", async () => {
  const path = `/v1/admin/accounts/${api.accountId}`;
  const change = () => api.call("POST", "/v1/devices", { key: api.write, body: {} });
  await api.call("POST", `${path}/suspend`, { key: api.admin, body: { reason: "Its bills are not paid" } });
  await expectProblem(await change(), 403, "suspended");
  expect((await api.call("GET", "/v1/devices", { key: api.write })).status).toBe(200);
  await api.call("POST", `${path}/resume`, { key: api.admin });
  await expectProblem(await change(), 400, "invalid");
});

test("the setup page makes the first administrator, once, and leads to the panel", async () => {
  await api.base.db.$client.execute({ sql: "DELETE FROM users WHERE role = 'admin'", args: [] });
  const made = await api.call("POST", "/v1/admin/setup-links", { key: api.admin });
  const { link } = (await made.json()) as { link: string };
  const path = new URL(link).pathname;
  expect(await (await api.call("GET", path)).text()).toContain('name="password"');
  const post = (password: string) =>
    api.call("POST", path, {
      body: new URLSearchParams({ act: "setup", email: "first@edge.test", password }),
      headers: { "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded" },
    });
  const wrong = await post("short");
  expect(wrong.status).toBe(400);
  expect(await wrong.text()).toContain('value="first@edge.test"');
  const right = await post("a long and good one");
  expect([right.status, right.headers.get("location")]).toEqual([303, "/admin"]);
  const cookie = right.headers.get("set-cookie")!.split(";")[0]!;
  expect((await api.call("GET", "/admin", { cookie })).status).toBe(200);
  expect((await userByEmail(api.base.db, "first@edge.test"))?.role).toBe("admin");
  expect(await (await api.call("GET", path)).text()).not.toContain('name="password"');
  expect((await post("a long and good one")).status).toBe(400);
});

test("what a bridge delivers shows in the overview", async () => {
  const { RequestWriter } = await import("../../../codec/envelope.ts");
  await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: new RequestWriter().finish() });
  await api.base.settled();
  const now = (await (await api.call("GET", "/v1/admin/overview", { key: api.admin })).json()) as { bridges: object[] };
  expect(now.bridges).toEqual([{ id: 0, name: null, lastSeenAt: new Date(api.base.now()).toISOString() }]);
});
