import { afterEach, beforeEach, expect, test } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { aDevice, aSession, aUser } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
beforeEach(async () => {
  api = await anApi();
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

interface Member {
  id: number;
  email: string;
  role: string;
  state: string;
  devices: { id: number; mayEdit: boolean }[];
}
const asOwner = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { cookie: api.sessions.owner, ...(body !== undefined && { body }) });
const members = async () => ((await (await asOwner("GET", "/v1/users")).json()) as { data: Member[] }).data;
const member = (spec: object = {}) => aUser(api.base.db, { role: "viewer", accountId: api.accountId, ...spec });

test("POST /v1/users answers alike for a new address and one that is known elsewhere", async () => {
  const known = await aUser(api.base.db, { role: "owner", accountId: api.strangerId });
  const answers = [];
  for (const email of ["new@edge.test", known.email]) {
    const response = await asOwner("POST", "/v1/users", { email, role: "viewer" });
    answers.push([response.status, await response.text()]);
  }
  expect(answers[0]).toEqual([202, '{"status":"invited"}']);
  expect(answers[1]).toEqual(answers[0]);
  await api.base.settled();
  expect(api.base.sent.map(({ to }) => to)).toEqual(["new@edge.test"]);
  expect((await members()).filter(({ state }) => state === "invited").map(({ email }) => email)).toEqual([
    "new@edge.test",
  ]);
});

test("GET /v1/users pages, and shows nothing secret", async () => {
  await aUser(api.base.db, { role: "viewer", accountId: api.accountId, passwordHash: "canary", totpSecret: "canary" });
  const first = await (await asOwner("GET", "/v1/users?limit=3")).json();
  expect(first.data).toHaveLength(3);
  const text = await (await asOwner("GET", `/v1/users?cursor=${first.nextCursor}`)).text();
  expect(JSON.parse(text).data).toHaveLength(1);
  expect(text).not.toMatch(/canary|password|totp|hash/i);
});

test("PATCH /v1/users/{id} changes what a session may do on its next request", async () => {
  const { id: device } = await aDevice(api.base.db, { accountId: api.accountId });
  const user = await member({ role: "manager" });
  const cookie = await aSession(api.base, user);
  expect((await api.call("GET", `/v1/devices/${device}`, { cookie })).status).toBe(200);
  const changed = await asOwner("PATCH", `/v1/users/${user.id}`, { deviceLimited: true, devices: [] });
  expect(await changed.json()).toMatchObject({ role: "manager", deviceLimited: true, devices: [] });
  expect((await api.call("GET", `/v1/devices/${device}`, { cookie })).status).toBe(404);
  await asOwner("PATCH", `/v1/users/${user.id}`, { devices: [{ id: device }] });
  expect((await api.call("GET", `/v1/devices/${device}`, { cookie })).status).toBe(200);
  await expectProblem(
    await api.call("PATCH", `/v1/devices/${device}`, { cookie, body: { name: "Mine" } }),
    403,
    "forbidden",
  );
});

test("DELETE /v1/users/{id} ends their session and their keys; 409 for the last owner", async () => {
  const user = await member({ role: "manager" });
  const cookie = await aSession(api.base, user);
  const { key } = await (await api.call("POST", "/v1/keys", { cookie, body: { name: "Mine", scope: "read" } })).json();
  expect((await api.call("GET", "/v1/devices", { key })).status).toBe(200);
  expect((await asOwner("DELETE", `/v1/users/${user.id}`)).status).toBe(204);
  await expectProblem(await api.call("GET", "/v1/devices", { key }), 401, "unauthenticated");
  await expectProblem(await api.call("GET", "/v1/devices", { cookie }), 401, "unauthenticated");
  const self = (await members()).find(({ role }) => role === "owner")!;
  const problem = await expectProblem(await asOwner("DELETE", `/v1/users/${self.id}`), 409, "conflict");
  expect(problem.detail).toContain("make somebody else an owner first");
});

test("changing, inviting and removing ask for a fresh proof", async () => {
  const { id } = await member();
  api.base.advance(LIMITS.stepUpMs);
  for (const [method, path, body] of [
    ["POST", "/v1/users", { email: "new@edge.test", role: "owner" }],
    ["PATCH", `/v1/users/${id}`, { role: "owner" }],
    ["DELETE", `/v1/users/${id}`, undefined],
  ] as const) {
    await expectProblem(await asOwner(method, path, body), 401, "step_up_required");
  }
  expect((await members()).find((row) => row.id === id)?.role).toBe("viewer");
});

test("a suspended account can remove people and invite nobody", async () => {
  await api.base.db.$client.execute(`UPDATE accounts SET state = 'suspended' WHERE id = ${api.accountId}`);
  const { id } = await member();
  await expectProblem(await asOwner("POST", "/v1/users", { email: "new@edge.test", role: "viewer" }), 403, "suspended");
  await expectProblem(await asOwner("PATCH", `/v1/users/${id}`, { role: "owner" }), 403, "suspended");
  expect((await asOwner("DELETE", `/v1/users/${id}`)).status).toBe(204);
});

const post = (path: string, fields: Record<string, string>) =>
  api.call("POST", path, { cookie: api.sessions.owner, body: new URLSearchParams(fields) });

test("/people/{id} saves role and devices, keeps what was typed beside an error, and removes", async () => {
  const one = await aDevice(api.base.db, { accountId: api.accountId, name: "<Van>" });
  const user = await member({ name: '"Mia" <b>' });
  const path = `/people/${user.id}`;
  const shown = await (await asOwner("GET", path)).text();
  expect(shown).toContain("&lt;Van&gt;");
  expect(shown).not.toContain("<b>");
  const fields = { act: "save", role: "manager", deviceLimited: "yes", [`device-${one.id}`]: "edit" };
  expect((await post(path, fields)).headers.get("location")).toBe("/people?done=saved");
  expect((await members()).find(({ id }) => id === user.id)).toMatchObject({
    role: "manager",
    devices: [{ id: one.id, mayEdit: true }],
  });
  const self = (await members()).find(({ role }) => role === "owner")!;
  const refused = await post(`/people/${self.id}`, { act: "save", role: "viewer" });
  expect(refused.status).toBe(409);
  expect(await refused.text()).toMatch(/aria-invalid="true"[\s\S]*<option value="viewer" selected>/);
  expect((await post(path, { act: "remove" })).headers.get("location")).toBe("/people?done=removed");
  expect((await asOwner("GET", path)).status).toBe(404);
});

test("/people/invite shows the address again when it is wrong", async () => {
  const response = await post("/people/invite", { act: "invite", email: "no address", role: "manager" });
  expect(response.status).toBe(400);
  const html = await response.text();
  expect(html).toContain('value="no address"');
  expect(html).toContain('<option value="manager" selected>');
  expect(html).toContain('href="#f-email"');
});

test("/people is in the language that was asked for", async () => {
  expect(await (await asOwner("GET", "/people?lang=zh")).text()).toContain("邀请成员");
});
