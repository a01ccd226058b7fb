import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MODEL_NAMES } from "../../../codec/models.ts";
import { accounts } from "../../../src/store/schema.ts";
import { anImei } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(() => api.close());

interface Device {
  id: number;
  imei: string;
  name: string;
}

const post = (body: object, key = api.write) => api.call("POST", "/v1/devices", { key, body });
const aDevice = async (fields: object = {}) =>
  (await (await post({ imei: anImei(), name: "Van", ...fields })).json()) as Device;

test("POST /v1/devices answers 201 with the device, its path and its ETag", async () => {
  const imei = anImei();
  const response = await post({ imei, name: "  Van 1 ", model: "t366", clockOffsetMinutes: 120, confirmCce: true });
  expect(response.status).toBe(201);
  const device = (await response.json()) as Device;
  expect(device).toEqual({
    id: expect.any(Number),
    imei,
    name: "Van 1",
    model: "T366",
    clockOffsetMinutes: 120,
    confirmCce: true,
    suspendedSince: null,
    createdAt: "2026-03-01T12:00:00.000Z",
  });
  expect(response.headers.get("location")).toBe(`/v1/devices/${device.id}`);
  const read = await api.call("GET", `/v1/devices/${device.id}`, { key: api.read });
  expect(await read.json()).toEqual(device);
  expect(read.headers.get("etag")).toBe(response.headers.get("etag"));
});

test("POST /v1/devices fills what is left out", async () => {
  expect(await aDevice()).toMatchObject({ model: null, clockOffsetMinutes: 0, confirmCce: false });
});

test.each([
  [{}, "imei", "imei is required"],
  [{ imei: 353358017784062 }, "imei", "imei must be text"],
  [{ imei: "35335801778406" }, "imei", "imei must have 15 digits, this one has 14"],
  [{ imei: "3533580177840622" }, "imei", "imei must have 15 digits, this one has 16"],
  [{ imei: "35335801778406X" }, "imei", "imei must be digits only"],
  [{ imei: "353358017784063" }, "imei", "imei has a typing error: with these first 14 digits the last would be 2"],
  [{ imei: "353358017784062", name: "" }, "name", "name must have at least 1 character"],
  [{ imei: "353358017784062", name: "x".repeat(101) }, "name", "name must have at most 100 characters"],
  [{ imei: "353358017784062", name: "a\nb" }, "name", "name must not hold control characters"],
  [{ imei: "353358017784062", model: "Z9" }, "model", `model is not known; known are ${MODEL_NAMES.join(", ")}`],
  [
    { imei: "353358017784062", clockOffsetMinutes: 841 },
    "clockOffsetMinutes",
    "clockOffsetMinutes must be at most 840",
  ],
  [
    { imei: "353358017784062", clockOffsetMinutes: 0.5 },
    "clockOffsetMinutes",
    "clockOffsetMinutes must be a whole number",
  ],
  [{ imei: "353358017784062", confirmCce: 1 }, "confirmCce", "confirmCce must be true or false"],
])("POST /v1/devices refuses %j and says what is wrong", async (body, field, detail) => {
  const problem = await expectProblem(await post({ name: "Van", ...body }), 400, "invalid");
  expect(problem).toMatchObject({ field, detail });
});

test("POST /v1/devices is a conflict for an IMEI that any account has, in the same words", async () => {
  const { imei } = await aDevice();
  const own = await expectProblem(await post({ imei, name: "Again" }), 409, "conflict");
  const other = await expectProblem(await post({ imei, name: "Mine" }, api.stranger), 409, "conflict");
  expect(other.detail).toBe(own.detail);
  expect(own.field).toBe("imei");
});

test("GET /v1/devices pages by cursor and shows the account's own devices only", async () => {
  const { api: other, ids } = await withDevices(5);
  const seen: number[] = [];
  let cursor: string | null = "";
  let pages = 0;
  while (cursor !== null) {
    const path: string = `/v1/devices?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`;
    const page = (await (await other.call("GET", path, { key: other.read })).json()) as {
      data: Device[];
      nextCursor: string | null;
    };
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.nextCursor;
    pages += 1;
  }
  expect(seen).toEqual(ids);
  expect(pages).toBe(3);
  const strangers = await other.call("GET", "/v1/devices", { key: other.stranger });
  expect(await strangers.json()).toEqual({ data: [], nextCursor: null });
  other.close();
});

async function withDevices(count: number): Promise<{ api: Api; ids: number[] }> {
  const made = await anApi();
  const ids: number[] = [];
  for (let i = 0; i < count; i++) {
    const response = await made.call("POST", "/v1/devices", {
      key: made.write,
      body: { imei: anImei(), name: `${i}` },
    });
    ids.push(((await response.json()) as Device).id);
  }
  return { api: made, ids };
}

test.each(["limit=0", "limit=1001", "limit=x", "limit=1e2", "cursor=abc", "cursor=0"])(
  "GET /v1/devices?%s is 400 and names the parameter",
  async (query) => {
    const problem = await expectProblem(
      await api.call("GET", `/v1/devices?${query}`, { key: api.read }),
      400,
      "invalid",
    );
    expect(problem.field).toBe(query.split("=")[0]);
  },
);

test("PATCH /v1/devices/{id} changes what is given and nothing else", async () => {
  const device = await aDevice({ model: "T1" });
  const path = `/v1/devices/${device.id}`;
  const changed = await api.call("PATCH", path, { key: api.write, body: { name: "Other", model: null } });
  expect(changed.status).toBe(200);
  expect(await changed.json()).toEqual({ ...device, name: "Other", model: null });
  const none = await api.call("PATCH", path, { key: api.write, body: {} });
  expect(none.headers.get("etag")).toBe(changed.headers.get("etag"));
  const imei = await api.call("PATCH", path, { key: api.write, body: { imei: anImei() } });
  expect((await expectProblem(imei, 400, "invalid")).field).toBe("imei");
  const model = await api.call("PATCH", path, { key: api.write, body: { model: "Z9" } });
  expect((await expectProblem(model, 400, "invalid")).field).toBe("model");
});

test("ETag: 304 for what is known, 412 for a change of what has changed", async () => {
  const { id } = await aDevice();
  const path = `/v1/devices/${id}`;
  const first = (await api.call("GET", path, { key: api.read })).headers.get("etag")!;
  const known = { key: api.read, headers: { "If-None-Match": `W/"other", ${first}` } };
  const same = await api.call("GET", path, known);
  expect(same.status).toBe(304);
  expect(await same.text()).toBe("");
  expect(same.headers.get("etag")).toBe(first);

  const change = (name: string, etag: string) =>
    api.call("PATCH", path, { key: api.write, body: { name }, headers: { "If-Match": etag } });
  const second = await change("Second", first);
  expect(second.status).toBe(200);
  await expectProblem(await change("Third", first), 412, "precondition_failed");
  expect((await api.call("GET", path, known)).status).toBe(200);
  const remove = (etag: string) => api.call("DELETE", path, { key: api.write, headers: { "If-Match": etag } });
  await expectProblem(await remove(first), 412, "precondition_failed");
  expect((await remove(second.headers.get("etag")!)).status).toBe(204);
});

test("DELETE /v1/devices/{id} leaves nothing of the device, and its IMEI free", async () => {
  const { id, imei } = await aDevice();
  const path = `/v1/devices/${id}`;
  await api.call("POST", `${path}/commands`, { key: api.write, body: { code: "A10" } });
  expect((await api.call("DELETE", path, { key: api.write })).status).toBe(204);
  await expectProblem(await api.call("GET", path, { key: api.read }), 404, "not_found");
  await expectProblem(await api.call("DELETE", path, { key: api.write }), 404, "not_found");
  await expectProblem(await api.call("GET", `${path}/positions`, { key: api.read }), 404, "not_found");
  for (const table of ["devices WHERE id = ?", "positions WHERE device_id = ?", "commands WHERE device_id = ?"]) {
    const { rows } = await api.base.db.$client.execute({ sql: `SELECT count(*) FROM ${table}`, args: [id] });
    expect(rows[0]![0], table).toBe(0);
  }
  const again = await post({ imei, name: "Again" }, api.stranger);
  expect(again.status).toBe(201);
  expect(((await again.json()) as Device).id).toBeGreaterThan(id);
});

test("a suspended account changes no device and still may read and erase it", async () => {
  const { id } = await aDevice();
  const path = `/v1/devices/${id}`;
  const ofAccount = eq(accounts.id, api.accountId);
  await api.base.db.update(accounts).set({ state: "suspended" }).where(ofAccount);
  await expectProblem(await api.call("PATCH", path, { key: api.write, body: { name: "Other" } }), 403, "suspended");
  await expectProblem(await post({ imei: anImei(), name: "New" }), 403, "suspended");
  expect((await api.call("GET", path, { key: api.read })).status).toBe(200);
  expect((await api.call("DELETE", path, { key: api.write })).status).toBe(204);
  await api.base.db.update(accounts).set({ state: "active" }).where(ofAccount);
});

test("POST /v1/devices with a code that can be none is refused before it is tried", async () => {
  const response = await post({ imei: anImei(), name: "Van", code: "A".repeat(41) });
  const { field, detail } = await expectProblem(response, 400, "invalid");
  expect({ field, detail }).toEqual({ field: "code", detail: "code must have at most 40 characters" });
});
