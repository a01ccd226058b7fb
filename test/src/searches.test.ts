import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { purgeSearches } from "../../src/searches.ts";
import { aDevice, anImei, aSession, aUser } from "../database.ts";
import { type Api, anApi, expectProblem } from "./http/api.ts";

let api: Api;
let cookie: string;
beforeAll(async () => {
  api = await anApi();
  cookie = await aSession(api.base, await aUser(api.base.db, { role: "owner", accountId: api.accountId }));
});
afterAll(() => api.close());

const find = async (term: string, as = cookie) => {
  const response = await api.call("POST", "/v1/searches", { cookie: as, body: { term } });
  expect(response.status).toBe(200);
  return ((await response.json()) as { data: { id: number; name: string }[] }).data;
};
const kept = async () =>
  ((await (await api.call("GET", "/v1/me/searches", { cookie })).json()) as { data: { term: string }[] }).data.map(
    ({ term }) => term,
  );

test("search() finds by a part of name or IMEI, within the account, and takes wildcards as they are written", async () => {
  const van = await aDevice(api.base.db, { accountId: api.accountId, name: "Blue van 100%" });
  const car = await aDevice(api.base.db, { accountId: api.accountId, name: "Car_7\\x" });
  await aDevice(api.base.db, { accountId: api.strangerId, name: "Blue van of another" });
  const ids = async (term: string) => (await find(term)).map(({ id }) => id);
  expect(await ids("blue VAN")).toEqual([van.id]);
  expect(await ids(car.imei.slice(3, 15))).toEqual([car.id]);
  expect(await ids(car.imei)).toEqual([car.id]);
  expect(await ids("100%")).toEqual([van.id]);
  expect(await ids("%")).toEqual([van.id]);
  expect(await ids("_")).toEqual([car.id]);
  expect(await ids("\\")).toEqual([car.id]);
  expect(await ids("' OR 1=1 --")).toEqual([]);
  const viewer = await aUser(api.base.db, { role: "viewer", accountId: api.accountId, deviceLimited: 1 });
  await api.base.db.$client.execute({
    sql: "INSERT INTO user_devices (user_id, device_id) VALUES (?, ?)",
    args: [viewer.id, car.id],
  });
  expect((await find("%7", await aSession(api.base, viewer))).length).toBe(0);
  expect((await find("3", await aSession(api.base, viewer))).map(({ id }) => id)).toEqual([car.id]);
});

test("a term is kept only while the history is on, listed, deleted, and forgotten after 30 days", async () => {
  await find("canary off");
  expect(await kept()).toEqual([]);
  await api.call("PATCH", "/v1/me", { cookie, body: { searchHistory: true } });
  await find("canary one");
  await find("canary two");
  expect(await kept()).toEqual(["canary two", "canary one"]);
  const imei = anImei();
  await find(imei);
  for (const card of ["4111 1111 1111 1111", "4111.1111.1111.1111", "378282246310005"]) await find(card);
  expect(await kept()).toEqual([imei, "canary two", "canary one"]);
  expect((await api.call("DELETE", "/v1/me/searches", { cookie })).status).toBe(204);
  expect(await kept()).toEqual([]);
  await find("canary three");
  expect(await purgeSearches(api.base)).toBe(0);
  api.base.advance(LIMITS.searchesMs + 1000);
  expect(await purgeSearches(api.base)).toBe(1);
  expect(api.base.logged.join("\n")).not.toContain("canary");
});

test("a term must be something to look for", async () => {
  const session = await aSession(api.base, await aUser(api.base.db, { role: "owner", accountId: api.accountId }));
  for (const term of ["", "   ", "a\nb", "x".repeat(101)]) {
    const response = await api.call("POST", "/v1/searches", { cookie: session, body: { term } });
    expect((await expectProblem(response, 400, "invalid")).field).toBe("term");
  }
});
