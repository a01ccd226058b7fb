import { afterAll, beforeAll, expect, test } from "vitest";
import { aDevice, aSession, aUser, NOON } from "../../database.ts";
import { stored } from "../../stored.ts";
import { type Api, anApi } from "./api.ts";

const DAY = 86_400_000;

let api: Api;
let cookie: string;
let device: number;
beforeAll(async () => {
  api = await anApi();
  cookie = await aSession(api.base, await aUser(api.base.db, { role: "owner", accountId: api.accountId }));
  ({ id: device } = await aDevice(api.base.db, { accountId: api.accountId, name: "Van 1" }));
  const fixes = Array.from({ length: 1204 }, (_, i) => ({ fixTime: NOON - 40 * DAY + i * 1000 }));
  await stored(api.base, { id: device, accountId: api.accountId }, [...fixes, { fixTime: NOON }]);
});
afterAll(() => api.close());

const put = async (body: object) => {
  const response = await api.call("PUT", "/v1/me/retention", { cookie, body });
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what is tested
  return { status: response.status, body: (await response.json()) as any };
};

test("PUT /v1/me/retention shows what a shorter period deletes, and does it when that is confirmed", async () => {
  const change = { timeZone: "Europe/Vienna", account: { days: 30 } };
  const asked = await put(change);
  expect([asked.status, asked.body.code, asked.body.positions]).toEqual([409, "confirmation_required", 1204]);
  expect(asked.body.oldest).toBe(new Date(NOON - 40 * DAY).toISOString());
  expect(asked.body.devices).toEqual([{ deviceId: device, positions: 1204, oldest: asked.body.oldest }]);
  const done = await put({ ...change, confirm: asked.body.confirm });
  expect(done.status).toBe(200);
  expect(done.body).toMatchObject({
    timeZone: "Europe/Vienna",
    default: { months: 3 },
    account: { days: 30 },
    devices: [{ id: device, scope: "account", period: { days: 30 }, days: null, groupId: null }],
  });
  const longer = await put({ account: { days: 90 } });
  expect([longer.status, longer.body.account.days]).toEqual([200, 90]);
});

test("PUT /v1/me/retention names what is wrong", async () => {
  for (const [body, field] of [
    [{ account: { days: 0 } }, "account.days"],
    [{ account: { days: 3651 } }, "account.days"],
    [{ account: { days: 1.5 } }, "account.days"],
    [{ account: {} }, "account.days"],
    [{ timeZone: "+01:00" }, "timeZone"],
    [{ devices: [{ id: device, days: "7" }] }, "devices.0.days"],
    [{ category: "location" }, "category"],
  ] as const) {
    const { status, body: problem } = await put(body);
    expect([status, problem.field], JSON.stringify(body)).toEqual([400, field]);
  }
});

test("a group is made, filled, renamed and deleted with a key", async () => {
  const call = async (method: string, path: string, body?: object) => {
    const response = await api.call(method, path, { key: api.write, ...(body && { body }) });
    return { status: response.status, body: response.status === 204 ? null : await response.json() };
  };
  const made = await call("POST", "/v1/groups", { name: "Vans", days: 5 });
  expect([made.status, made.body.days]).toEqual([201, 5]);
  const path = `/v1/groups/${made.body.id}`;
  const refused = await call("PATCH", path, { devices: [device] });
  expect([refused.status, refused.body.code]).toEqual([409, "confirmation_required"]);
  const filled = await call("PATCH", path, { devices: [device], confirm: refused.body.confirm });
  expect(filled.body).toMatchObject({ name: "Vans", days: 5, devices: [device] });
  expect((await call("PATCH", path, { name: "Trucks" })).body.name).toBe("Trucks");
  expect((await call("GET", "/v1/groups")).body.data.map(({ name }: { name: string }) => name)).toEqual(["Trucks"]);
  expect((await call("DELETE", path)).status).toBe(204);
  expect((await call("GET", path)).status).toBe(404);
});

test("deleting a group whose devices are then kept for less long is confirmed in the query", async () => {
  const { id } = await (
    await api.call("POST", "/v1/groups", { key: api.write, body: { name: "Archive", days: 3650 } })
  ).json();
  await api.call("PATCH", `/v1/groups/${id}`, { key: api.write, body: { devices: [device] } });
  const refused = await api.call("DELETE", `/v1/groups/${id}`, { key: api.write });
  expect(refused.status).toBe(409);
  const { confirm } = await refused.json();
  expect((await api.call("DELETE", `/v1/groups/${id}?confirm=${confirm}`, { key: api.write })).status).toBe(204);
});

const said = async (path: string, form?: Record<string, string>) => {
  const options = { cookie, ...(form && { body: new URLSearchParams(form) }) };
  const response = await api.call(form === undefined ? "GET" : "POST", path, options);
  const text = (await response.text()).replaceAll("&quot;", '"');
  return { status: response.status, to: response.headers.get("location"), text };
};

test("the page shows the oldest position and when it goes, and takes a shorter period in two steps", async () => {
  const { id } = await aDevice(api.base.db, { accountId: api.accountId, name: "Van 2" });
  const fixes = Array.from({ length: 1100 }, (_, i) => ({ fixTime: NOON - 20 * DAY + i * 1000 }));
  await stored(api.base, { id, accountId: api.accountId }, fixes);
  const page = await said("/profile/retention?lang=en");
  expect(page.text).toMatch(/Van 2<\/a>.*?90 days.*?Feb 9, 2026.*?May 10, 2026/s);
  const path = `/profile/retention/devices/${id}`;
  const preview = await said(`${path}?lang=en`, { act: "save", days: "7", groupId: "" });
  expect(preview.status).toBe(200);
  expect(preview.text).toContain("1,100 positions, the oldest of February 9, 2026, will be deleted within the hour");
  expect(preview.text).toContain("From now on positions are kept for 7 days.");
  const fields = Object.fromEntries(
    [...preview.text.matchAll(/type="hidden" name="(\w+)" value="([^"]*)"/g)].map(([, name, value]) => [name!, value!]),
  );
  expect(fields.days).toBe("7");
  const done = await said(path, { ...fields, act: "save" });
  expect([done.status, done.to]).toEqual([303, "/profile/retention?done=saved"]);
  expect((await said("/profile/retention?lang=zh")).text).toContain("7 天");
  const chinese = await said(`${path}?lang=zh`, { act: "save", days: "6", groupId: "" });
  expect(chinese.text).toContain("目前没有需要删除的位置");
});

test("who may only see is shown no way to change", async () => {
  const response = await api.call("GET", "/profile/retention", { cookie: api.sessions.viewer });
  const text = await response.text();
  expect(text).toContain("Van 1");
  expect(text).not.toContain("/profile/retention/");
});
