import { afterEach, beforeEach, expect, test } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { insertLimits } from "../../../src/store/members.ts";
import { aDevice, aSession, aUser, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
beforeEach(async () => {
  api = await anApi();
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

const asOwner = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { cookie: api.sessions.owner, ...(body !== undefined && { body }) });
const make = async (body: object = {}, cookie = api.sessions.owner) =>
  (await api.call("POST", "/v1/keys", { cookie, body: { name: "Dashboard", scope: "read", ...body } })).json();

test("POST /v1/keys shows the key once; its list never does", async () => {
  const { key, ...row } = await make({ expiresAt: "2026-04-01T00:00:00+02:00" });
  expect(key).toMatch(/^eph_[\w-]{43}$/);
  expect(row).toMatchObject({
    name: "Dashboard",
    scope: "read",
    expiresAt: "2026-03-31T22:00:00.000Z",
    deviceLimited: false,
    devices: [],
    madeBy: expect.any(Number),
  });
  const text = await (await asOwner("GET", "/v1/keys")).text();
  expect(text).not.toContain(key);
  expect(text).not.toContain("hash");
  expect(JSON.parse(text).data.at(-1)).toEqual(row);
});

test("a key sees its devices only, and is refused when its time is over", async () => {
  const one = await aDevice(api.base.db, { accountId: api.accountId });
  const two = await aDevice(api.base.db, { accountId: api.accountId });
  const expiresAt = new Date(NOON + 60_000).toISOString();
  const { key } = await make({ deviceLimited: true, devices: [one.id], expiresAt });
  expect((await api.call("GET", `/v1/devices/${one.id}`, { key })).status).toBe(200);
  await expectProblem(await api.call("GET", `/v1/devices/${two.id}`, { key }), 404, "not_found");
  api.base.advance(60_000);
  await expectProblem(await api.call("GET", `/v1/devices/${one.id}`, { key }), 401, "unauthenticated");
});

test("a manager who is limited makes keys for their own devices only", async () => {
  const one = await aDevice(api.base.db, { accountId: api.accountId });
  const two = await aDevice(api.base.db, { accountId: api.accountId });
  const user = await aUser(api.base.db, { role: "manager", accountId: api.accountId, deviceLimited: 1 });
  await insertLimits(api.base.db, api.accountId, user.id, [{ id: one.id, mayEdit: false }]);
  const cookie = await aSession(api.base, user);
  expect(await make({}, cookie)).toMatchObject({ deviceLimited: true, devices: [one.id] });
  expect(await make({ devices: [two.id] }, cookie)).toMatchObject({ code: "not_found", detail: "No such device" });
  expect(await make({ scope: "write" }, cookie)).toMatchObject({ code: "forbidden", field: "scope" });
  const page = await (await api.call("GET", "/keys/new", { cookie })).text();
  expect(page).toContain(`value="${one.id}"`);
  expect(page).not.toContain(`value="${two.id}"`);
});

test("making a key asks for a fresh proof; revoking does not, in any standing", async () => {
  const { id, key } = await make();
  api.base.advance(LIMITS.stepUpMs);
  const body = { name: "Late", scope: "read" };
  await expectProblem(await asOwner("POST", "/v1/keys", body), 401, "step_up_required");
  await api.base.db.$client.execute(`UPDATE accounts SET state = 'suspended' WHERE id = ${api.accountId}`);
  await expectProblem(await asOwner("POST", "/v1/keys", body), 403, "suspended");
  expect((await asOwner("DELETE", `/v1/keys/${id}`)).status).toBe(204);
  await expectProblem(await api.call("GET", "/v1/devices", { key }), 401, "unauthenticated");
  await expectProblem(await asOwner("DELETE", `/v1/keys/${id}`), 404, "not_found");
});

test("POST /v1/keys refuses a time that is over and a time that is none", async () => {
  for (const expiresAt of ["2026-02-28T00:00:00Z", "tomorrow", 5]) {
    const body = { name: "Late", scope: "read", expiresAt };
    const problem = await expectProblem(await asOwner("POST", "/v1/keys", body), 400, "invalid");
    expect(problem.field).toBe("expiresAt");
  }
});

const post = (path: string, fields: Record<string, string>) =>
  api.call("POST", path, { cookie: api.sessions.owner, body: new URLSearchParams(fields) });

test("/keys/new shows the key once, /keys lists and revokes it", async () => {
  const fields = { act: "make", name: "<Wall>", scope: "write", expiresAt: "30", deviceLimited: "" };
  const made = await post("/keys/new", fields);
  const html = await made.text();
  const key = /eph_[\w-]{43}/.exec(html)![0];
  expect(made.headers.get("cache-control")).toBe("no-store");
  expect((await api.call("GET", "/v1/devices", { key })).status).toBe(200);
  const list = await (await asOwner("GET", "/keys")).text();
  expect(list).toContain("&lt;Wall&gt;");
  expect(list).not.toContain(key);
  const [last] = ((await (await asOwner("GET", "/v1/keys")).json()) as { data: { id: number }[] }).data.slice(-1);
  expect((await post("/keys", { act: "revoke", id: String(last!.id) })).headers.get("location")).toBe(
    "/keys?done=revoked",
  );
  await expectProblem(await api.call("GET", "/v1/devices", { key }), 401, "unauthenticated");
  expect((await post("/keys", { act: "revoke", id: "nonsense" })).status).toBe(404);
});

test("/keys/new keeps what was chosen beside an error", async () => {
  const { id } = await aDevice(api.base.db, { accountId: api.accountId });
  const fields = { act: "make", name: "", scope: "write", expiresAt: "", deviceLimited: "yes", devices: String(id) };
  const response = await post("/keys/new", fields);
  expect(response.status).toBe(400);
  const html = await response.text();
  expect(html).toContain(`value="${id}" checked`);
  expect(html).toContain('<option value="write" selected>');
  expect(html).toContain('<option value="" selected>');
});
