import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter } from "../../../codec/envelope.ts";
import { ROUTES } from "../../../src/http/app.ts";
import type { Route } from "../../../src/http/route.ts";
import { aDevice, anImei, aSession, aUser, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";
import { ROWS } from "./rows/index.ts";

const MINUTE = 60_000;
const LATITUDE = 48.208354;

let api: Api;
let device: number;
let track: string;
let latest: string;

beforeEach(async () => {
  api = await anApi();
  const { id, imei } = await aDevice(api.base.db, { accountId: api.accountId });
  device = id;
  const batch = new RequestWriter();
  const fix = { valid: true, latitude: LATITUDE, longitude: 16.372504, fixTime: NOON - MINUTE };
  batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report: { event: { code: 35 }, ...fix } }));
  expect((await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() })).status).toBe(200);
  latest = `/v1/admin/accounts/${api.accountId}/positions/latest`;
  track = `/v1/admin/accounts/${api.accountId}/devices/${device}/positions`;
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

const asOwner = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { cookie: api.sessions.owner, ...(body !== undefined && { body }) });
const listed = async (path: string) => ((await (await asOwner("GET", path)).json()) as { data: object[] }).data;
const grant = async (minutes = 60) =>
  (await (await asOwner("POST", "/v1/support-windows", { minutes })).json()).id as number;
/** Everybody of the operator who may look, a session for each as it is now. */
const lookers = async () => [
  { key: api.admin },
  { cookie: await aSession(api.base, await aUser(api.base.db, { role: "support" })) },
  { cookie: await aSession(api.base, await aUser(api.base.db, { role: "admin" })) },
];

const isRefused = async () => {
  for (const caller of await lookers()) {
    for (const path of [latest, track]) {
      const problem = await expectProblem(await api.call("GET", path, caller), 403, "forbidden");
      expect(problem.detail).toMatch(/^No window is open/);
      expect(JSON.stringify(problem)).not.toContain("48.2");
    }
  }
};

test("staff see no location without a window: 403, and a row that the customer sees", async () => {
  await isRefused();
  expect(await listed("/v1/looks")).toEqual([]);
  const refused = (await listed("/v1/me/instructions")) as { action: string; actor: string }[];
  expect(refused.map(({ action, actor }) => `${actor} ${action}`)).toEqual(
    ["staff", "staff", "staff", "staff", "admin_token", "admin_token"].map((actor) => `${actor} look.refused`),
  );
});

test("staff see locations in a window of 60 minutes, each look is listed, and 61 minutes later they see none", async () => {
  const windowId = await grant();
  for (const caller of await lookers()) {
    for (const path of [latest, track]) {
      const { data } = await (await api.call("GET", path, caller)).json();
      expect(data).toMatchObject([{ deviceId: device, latitude: LATITUDE }]);
    }
  }
  const looks = await listed("/v1/looks");
  expect(looks).toHaveLength(6);
  const at = new Date(NOON).toISOString();
  const staff = { at, windowId, actor: "staff", staffId: expect.any(Number) };
  expect(looks.slice(0, 2)).toMatchObject([
    { ...staff, staffRole: "admin", deviceId: device, what: "track" },
    { ...staff, staffRole: "admin", deviceId: null, what: "latest" },
  ]);
  expect(looks.at(-1)).toMatchObject({ actor: "admin_token", staffId: null, what: "latest" });
  api.base.advance(61 * MINUTE);
  await isRefused();
  expect(await listed("/v1/looks")).toHaveLength(6);
});

test("a window that an owner closes is over at once, in every standing of the account", async () => {
  const id = await grant();
  await api.base.db.$client.execute(`UPDATE accounts SET state = 'suspended' WHERE id = ${api.accountId}`);
  expect((await api.call("GET", latest, { key: api.admin })).status).toBe(200);
  expect((await asOwner("DELETE", `/v1/support-windows/${id}`)).status).toBe(204);
  await isRefused();
  await expectProblem(await asOwner("POST", "/v1/support-windows", { minutes: 60 }), 403, "suspended");
  expect(await listed("/v1/support-windows")).toMatchObject([{ id, open: false, closedAt: expect.any(String) }]);
});

test("a window opens the account that granted it and no other", async () => {
  await grant();
  const foreign = await aDevice(api.base.db, { accountId: api.strangerId });
  const read = (path: string) => api.call("GET", path, { key: api.admin });
  await expectProblem(await read(`/v1/admin/accounts/${api.strangerId}/positions/latest`), 403, "forbidden");
  await expectProblem(
    await read(`/v1/admin/accounts/${api.accountId}/devices/${foreign.id}/positions`),
    404,
    "not_found",
  );
  await expectProblem(await read(`/v1/admin/accounts/${api.strangerId}/devices/${device}/positions`), 404, "not_found");
  await expectProblem(await read("/v1/admin/accounts/999/positions/latest"), 404, "not_found");
  expect(await listed("/v1/looks")).toEqual([]);
});

test("a look takes the window of a track, and refuses what no track takes before anything is written", async () => {
  await grant();
  const read = async (query: string) => api.call("GET", `${track}?${query}`, { key: api.admin });
  expect((await (await read("from=2026-03-01T11:00:00Z&order=desc&limit=1")).json()).data).toHaveLength(1);
  expect((await (await read("to=2026-03-01T11:00:00Z")).json()).data).toEqual([]);
  await expectProblem(await read("format=gpx"), 400, "invalid");
  expect(await listed("/v1/looks")).toHaveLength(2);
});

/** Every name of a field in a schema. */
function fieldsOf(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  const { entries = {}, item, wrapped, value, options, pipe } = schema as Record<string, object | undefined>;
  const inner = [item, wrapped, value, ...(Array.isArray(options) ? options : [])];
  if (Array.isArray(pipe)) inner.push(...pipe.filter((part) => part !== schema));
  return [...Object.keys(entries), ...[...Object.values(entries), ...inner].flatMap(fieldsOf)];
}

const OPERATORS: readonly string[] = ["admin", "support", "privacy", "finance", "staff"];
const INSIDE_A_WINDOW = [
  "/v1/admin/accounts/{id}/devices/{deviceId}/positions",
  "/v1/admin/accounts/{id}/positions/latest",
];

/** Here `positions` is how many there are. */
const COUNTED = ["/v1/admin/retention/due"];

test("no other route or page of the operator tells a location", async () => {
  const key = async () => 1;
  const imei = anImei();
  const things = { api, device, imei, command: 1, account: api.accountId, key, bridge: key, spareDevice: key };
  const reads = ROUTES.filter(({ method, access }) => method === "GET" && OPERATORS.includes(access));
  for (const { path } of reads.filter(({ path }) => !INSIDE_A_WINDOW.includes(path))) {
    const response = await api.call("GET", await ROWS[`GET ${path}`]!.path(things), { cookie: api.sessions.admin });
    expect(response.status, path).toBe(200);
    expect(await response.text(), path).not.toMatch(/48\.208|16\.372/);
  }
});

test("no other route of the operator declares a location in its answers", () => {
  const withLocation = (route: Route) =>
    Object.values(route.answers)
      .flatMap(({ schema, media }) => [schema, ...Object.values(media ?? {})])
      .flatMap(fieldsOf)
      .some((name) => /^(latitude|longitude|positions?|cell)$/.test(name));
  const found = ROUTES.filter(({ access }) => OPERATORS.includes(access)).filter(withLocation);
  expect(found.map(({ path }) => path).toSorted()).toEqual([...INSIDE_A_WINDOW, ...COUNTED]);
  expect(ROUTES.filter(withLocation).length).toBeGreaterThan(4);
});

test("GET /v1/me/instructions pages from the newest, and is the account's own", async () => {
  for (const minutes of [15, 30]) {
    await asOwner("DELETE", `/v1/support-windows/${await grant(minutes)}`);
  }
  const first = await (await asOwner("GET", "/v1/me/instructions?limit=3")).json();
  const rest = await (await asOwner("GET", `/v1/me/instructions?limit=3&cursor=${first.nextCursor}`)).json();
  const actions = [...first.data, ...rest.data].map(({ action }: { action: string }) => action);
  expect(actions).toEqual(["window.closed", "window.opened", "window.closed", "window.opened"]);
  const strangers = await api.call("GET", "/v1/me/instructions", { cookie: api.sessions.strangerOwner });
  expect((await strangers.json()).data).toEqual([]);
});

test("GET /v1/me/instructions names the person behind a key", async () => {
  const body = { name: "Dashboard", scope: "write" };
  const made = (await (await asOwner("POST", "/v1/keys", body)).json()) as { id: number; key: string; madeBy: number };
  await api.call("DELETE", `/v1/devices/${device}`, { key: made.key });
  await api.call("POST", "/v1/devices", { key: api.write, body: { imei: anImei(), name: "Van" } });
  const acts = (await listed("/v1/me/instructions")) as { actor: string; actorId: number; keyMadeBy: number | null }[];
  expect(acts).toMatchObject([
    { actor: "key", keyMadeBy: null, action: "device.created" },
    { actor: "key", actorId: made.id, keyMadeBy: made.madeBy, action: "device.removed", subject: `device ${device}` },
    { actor: "user", actorId: made.madeBy, keyMadeBy: null, action: "key.created" },
  ]);
});

test("/support says who looked and lets an owner open and end a window", async () => {
  const post = (fields: Record<string, string>, cookie = api.sessions.owner) =>
    api.call("POST", "/support", { cookie, body: new URLSearchParams(fields) });
  expect(await (await asOwner("GET", "/support")).text()).toContain("No staff can see your positions now.");
  expect((await post({ act: "open", minutes: "60" }, api.sessions.manager)).status).toBe(403);
  expect((await post({ act: "open", minutes: "60" })).headers.get("location")).toBe("/support?done=windowOpened");
  await api.call("GET", track, { key: api.admin });
  const html = await (await api.call("GET", "/support", { cookie: api.sessions.viewer })).text();
  expect(html).toContain("Staff can see your positions now, until");
  expect(html).toContain("operator&#39;s token");
  expect(html).not.toContain('value="close"');
  const [window] = (await listed("/v1/support-windows")) as { id: number }[];
  expect((await post({ act: "close", id: String(window!.id) })).headers.get("location")).toBe(
    "/support?done=windowClosed",
  );
  expect((await api.call("GET", track, { key: api.admin })).status).toBe(403);
});
