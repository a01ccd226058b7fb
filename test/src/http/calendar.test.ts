import { afterAll, beforeAll, expect, test } from "vitest";
import { type Api, anApi } from "./api.ts";

let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(async () => {
  await api.base.settled();
  api.close();
});

const get = async (path: string) => (await api.call("GET", path, { cookie: api.sessions.privacy })).json();
const read = async (role: "admin" | "privacy") =>
  (await api.call("GET", "/admin/calendar", { cookie: api.sessions[role] })).text();
const post = (fields: Record<string, string>) =>
  api.call("POST", "/admin/calendar", { cookie: api.sessions.admin, body: new URLSearchParams(fields) });

test("GET /v1/admin/calendar says what deadlines are counted on, PATCH changes the operator's own days", async () => {
  expect(await get("/v1/admin/calendar")).toEqual({
    ...{ zone: "Asia/Shanghai", country: "CN", weekend: [6, 7], years: [2024, 2025, 2026] },
    ...{ version: expect.stringMatching(/^CN-2026-[0-9a-f]{16}$/), coveredTo: "2026-12-31" },
    ...{ short: false, days: [] },
  });
  const days = [{ date: "2026-02-16", kind: "work" }];
  const patch = (body: unknown) => api.call("PATCH", "/v1/admin/calendar", { cookie: api.sessions.admin, body });
  expect(await (await patch({ days, years: "2027" })).json()).toMatchObject({ days, years: [2024, 2025, 2026, 2027] });
  // The day itself, and not after the nine days that are published.
  expect(await get("/v1/admin/calendar/deadline?verified=2026-02-14T16:00:00%2B08:00")).toEqual({
    ...{ deadline: "2026-02-16T08:00:00.000Z", rule: "same-time-next-working-day", uncertain: false },
    ...{ calendarVersion: expect.any(String), statutoryDeadline: "2026-02-16T16:00:00.000Z" },
  });
  for (const body of [
    { days: [{ date: "2026-02-30", kind: "work" }] },
    { days: [{ date: "2026-02-16", kind: "half" }] },
    { years: "soon" },
    { days: Array.from({ length: 501 }, () => ({ date: "2026-02-16", kind: null })) },
  ]) {
    expect((await patch(body)).status, JSON.stringify(body).slice(0, 60)).toBe(400);
  }
  expect(await (await patch({ days: [{ date: "2026-02-16", kind: null }], years: "" })).json()).toMatchObject({
    ...{ days: [], years: [2024, 2025, 2026] },
  });
});

test("the page adds a day, names the years and takes the day away; privacy staff only look", async () => {
  expect((await post({ act: "add", date: "2027-01-01", kind: "holiday" })).status).toBe(303);
  expect((await post({ act: "years", calendarYears: "2027" })).status).toBe(303);
  const text = await read("admin");
  expect(text).toContain("2027-01-01");
  expect(text).toContain("2024, 2025, 2026, 2027");
  expect(text).toContain("Saturday, Sunday");
  expect(await read("privacy")).not.toMatch(/value="(add|remove|years)"/);
  const bad = await post({ act: "years", calendarYears: "soon" });
  expect([bad.status, (await bad.text()).includes('href="#f-calendarYears"')]).toEqual([400, true]);
  expect((await post({ act: "add", date: "2027-02-30", kind: "holiday" })).status).toBe(400);
  expect((await post({ act: "remove", date: "2027-01-01" })).status).toBe(303);
  expect(await read("admin")).not.toContain("2027-01-01");
});

test("the overview warns of a calendar that ends soon", async () => {
  const overview = async () => (await api.call("GET", "/admin", { cookie: api.sessions.admin })).text();
  await post({ act: "years", calendarYears: "" });
  expect(await overview()).not.toContain('/admin/calendar">Bring');
  const set = (calendarCountry: string) =>
    api.call("PATCH", "/v1/admin/settings", { cookie: api.sessions.admin, body: { calendarCountry } });
  await set("none");
  expect(await overview()).toContain("Working days of this year are not known");
  await set("CN");
  api.base.at(Date.parse("2026-11-23T12:00:00Z"));
  const answer = await (await api.call("GET", "/v1/admin/overview", { key: api.admin })).json();
  expect(answer).toMatchObject({ calendar: { coveredTo: "2026-12-31", short: true } });
  const health = await api.call("GET", "/healthz");
  expect([health.status, await health.json()]).toMatchObject([200, { warnings: expect.arrayContaining(["calendar"]) }]);
});
