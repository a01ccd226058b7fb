import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import { newToken } from "../../src/access.ts";
import { insertKey } from "../../src/store/keys.ts";
import { userDevices } from "../../src/store/schema.ts";
import { anImei, aSession, aUser, NOON } from "../database.ts";
import { type Api, anApi, type CallOptions } from "./http/api.ts";

// Every route about devices, tried by a caller who sees everything, one who sees device A alone, and one who sees none.

let api: Api;
let a: number;
let b: number;
let commandOfB: number;
const callers: Record<string, CallOptions> = {};

/** A caller limited to some devices; for a user also with which of them may be changed. */
async function limited(devices: number[], mayEdit = true): Promise<{ user: CallOptions; key: CallOptions }> {
  const { db } = api.base;
  const user = await aUser(db, { role: "manager", accountId: api.accountId, deviceLimited: 1 });
  const { token, hash } = await newToken(api.base, "key");
  await insertKey(db, api.accountId, { scope: "write", hash, createdAt: NOON }, devices);
  for (const deviceId of devices) {
    await db.insert(userDevices).values({ userId: user.id, deviceId, mayEdit: mayEdit ? 1 : 0 });
  }
  return { user: { cookie: await aSession(api.base, user) }, key: { key: token } };
}

async function ofAccount(): Promise<number> {
  const response = await api.call("POST", "/v1/devices", { key: api.write, body: { imei: anImei(), name: "Van" } });
  return ((await response.json()) as { id: number }).id;
}

beforeAll(async () => {
  api = await anApi();
  const imeis = [anImei(), anImei()];
  const make = async (path: string, body: object) =>
    ((await (await api.call("POST", path, { key: api.write, body })).json()) as { id: number }).id;
  a = await make("/v1/devices", { imei: imeis[0], name: "A" });
  b = await make("/v1/devices", { imei: imeis[1], name: "B" });
  commandOfB = await make(`/v1/devices/${b}/commands`, { code: "A10" });
  const batch = new RequestWriter();
  for (const [i, imei] of imeis.entries()) {
    const report = { event: { code: 35 }, valid: true, latitude: 48, longitude: 16, fixTime: NOON - 60_000 - i * 1000 };
    batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report }));
  }
  await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
  const edit = await limited([a]);
  const view = await limited([a], false);
  const none = await limited([]);
  Object.assign(callers, {
    "unlimited user": { cookie: api.sessions.manager },
    "unlimited key": { key: api.write },
    "user of A": edit.user,
    "key of A": edit.key,
    "user who sees A": view.user,
    "user of nothing": none.user,
    "key of nothing": none.key,
  });
});
afterAll(() => api.close());

/** What each caller gets of device A and of device B. */
const REACH: Record<string, { a: boolean; b: boolean; edit: boolean; adds: boolean }> = {
  "unlimited user": { a: true, b: true, edit: true, adds: true },
  "unlimited key": { a: true, b: true, edit: true, adds: true },
  "user of A": { a: true, b: false, edit: true, adds: false },
  "key of A": { a: true, b: false, edit: true, adds: false },
  "user who sees A": { a: true, b: false, edit: false, adds: false },
  "user of nothing": { a: false, b: false, edit: false, adds: false },
  "key of nothing": { a: false, b: false, edit: false, adds: false },
};

const EXPORTS = ["geojson", "ndjson", "csv", "gpx"].map((format) => `/positions?format=${format}`);
const READS = ["", "/positions", ...EXPORTS, "/events", "/commands", "/setup"];
const CHANGES = [
  { method: "PATCH", rest: "", body: { name: "Other" }, status: 200 },
  { method: "POST", rest: "/commands", body: { code: "A10" }, status: 201 },
];

describe.each(Object.entries(REACH))("%s", (name, { a: seesA, b: seesB, edit, adds }) => {
  const call = (method: string, path: string, body?: object) =>
    api.call(method, path, { ...callers[name], ...(body && { body }) });
  const visible = () => [...(seesA ? [a] : []), ...(seesB ? [b] : [])];

  test.each(READS)("GET /v1/devices/{id}%s shows what is within reach and nothing else", async (rest) => {
    expect((await call("GET", `/v1/devices/${a}${rest}`)).status).toBe(seesA ? 200 : 404);
    expect((await call("GET", `/v1/devices/${b}${rest}`)).status).toBe(seesB ? 200 : 404);
  });

  test("a command is not found where its device is not", async () => {
    expect((await call("GET", `/v1/devices/${b}/commands/${commandOfB}`)).status).toBe(seesB ? 200 : 404);
    expect((await call("GET", `/v1/devices/${a}/commands/${commandOfB}`)).status).toBe(404);
  });

  test.each(CHANGES)("$method /v1/devices/{id}$rest", async ({ method, rest, body, status }) => {
    const expected = (sees: boolean) => (sees ? (edit ? status : 403) : 404);
    expect((await call(method, `/v1/devices/${a}${rest}`, body)).status).toBe(expected(seesA));
    expect((await call(method, `/v1/devices/${b}${rest}`, body)).status).toBe(expected(seesB));
  });

  test("DELETE /v1/devices/{id}", async () => {
    const spare = `/v1/devices/${await ofAccount()}`;
    expect((await call("DELETE", spare)).status).toBe(adds ? 204 : 404);
    if (!adds) await api.call("DELETE", spare, { key: api.write });
    if (seesA && !edit) expect((await call("DELETE", `/v1/devices/${a}`)).status).toBe(403);
  });

  test("lists, latest and feed hold what is within reach", async () => {
    const list = async (path: string) =>
      ((await (await call("GET", path)).json()) as { data: { id: number; deviceId: number }[] }).data;
    expect((await list("/v1/devices")).map(({ id }) => id)).toEqual(visible());
    expect((await list("/v1/positions/latest")).map(({ deviceId }) => deviceId)).toEqual(visible());
    expect((await list("/v1/positions/feed")).map(({ deviceId }) => deviceId)).toEqual(visible());
  });

  test("POST /v1/devices is for who may see them all", async () => {
    const response = await call("POST", "/v1/devices", { imei: anImei(), name: "New" });
    expect(response.status).toBe(adds ? 201 : 403);
    const { id, detail } = (await response.json()) as { id: number; detail: string };
    if (adds) await api.call("DELETE", `/v1/devices/${id}`, { key: api.write });
    else expect(detail).toContain("limited to some devices");
  });

  test("the feed's cursor goes on behind what is not theirs", async () => {
    const page = async (cursor: string) =>
      (await (await call("GET", `/v1/positions/feed${cursor}`)).json()) as { data: unknown[]; nextCursor: string };
    const { nextCursor } = await page("");
    expect(await page(`?cursor=${nextCursor}`)).toEqual({ data: [], nextCursor });
    const all = await api.call("GET", "/v1/positions/feed", { key: api.write });
    expect(await all.json()).toMatchObject({ nextCursor });
  });
});
