import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { anImei } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(() => api.close());

const create = (key: string, body: object, token = api.write) =>
  api.call("POST", "/v1/devices", { key: token, body, headers: { "Idempotency-Key": key } });

const countDevices = async () =>
  (await api.base.db.$client.execute({ sql: "SELECT count(*) FROM devices", args: [] })).rows[0]![0];

test("the same Idempotency-Key and body give the same answer and do nothing again", async () => {
  const body = { imei: anImei(), name: "Once" };
  const first = await create("key-1", body);
  const before = await countDevices();
  const second = await create("key-1", body);
  expect(second.status).toBe(201);
  expect(await second.text()).toBe(await first.text());
  for (const header of ["location", "etag", "content-type"]) {
    expect(second.headers.get(header)).toBe(first.headers.get(header));
  }
  expect(first.headers.has("idempotent-replayed")).toBe(false);
  expect(second.headers.get("idempotent-replayed")).toBe("true");
  expect(second.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
  expect(await countDevices()).toBe(before);
});

test("the same Idempotency-Key with another body or path is a conflict", async () => {
  const imei = anImei();
  const device = (await (await create("key-2", { imei, name: "A" })).json()) as { id: number };
  const other = await expectProblem(await create("key-2", { imei, name: "B" }), 409, "conflict");
  expect(other.field).toBe("Idempotency-Key");
  const path = `/v1/devices/${device.id}/commands`;
  const options = { key: api.write, body: { imei, name: "A" }, headers: { "Idempotency-Key": "key-2" } };
  await expectProblem(await api.call("POST", path, options), 400, "invalid");
});

test("an Idempotency-Key belongs to its account", async () => {
  const first = await create("key-3", { imei: anImei(), name: "Mine" });
  const second = await create("key-3", { imei: anImei(), name: "Theirs" }, api.stranger);
  expect([first.status, second.status]).toEqual([201, 201]);
});

test("a request that failed gives its Idempotency-Key back", async () => {
  const imei = anImei();
  await expectProblem(await create("key-4", { imei, name: "Wrong", model: "Z9" }), 400, "invalid");
  expect((await create("key-4", { imei, name: "Right" })).status).toBe(201);
});

test("two requests at once with one Idempotency-Key do one thing", async () => {
  const body = { imei: anImei(), name: "Twice" };
  const answers = await Promise.all([create("key-5", body), create("key-5", body), create("key-5", body)]);
  const statuses = answers.map(({ status }) => status);
  expect(statuses).toContain(201);
  for (const status of statuses) expect([201, 409]).toContain(status);
  const bodies = await Promise.all(answers.filter(({ status }) => status === 201).map((answer) => answer.text()));
  expect(new Set(bodies).size).toBe(1);
});

test("a request that never ended keeps its Idempotency-Key: nothing fires twice", async () => {
  const body = { imei: anImei(), name: "Lost" };
  await create("key-6", body);
  const lost = "UPDATE idempotency_keys SET status = NULL, response = NULL";
  await api.base.db.$client.execute({ sql: lost, args: [] });
  const problem = await expectProblem(await create("key-6", body), 409, "conflict");
  expect(problem.detail).toContain("no answer kept");
});

/** A database that loses its answer to statements that begin like `start`, before or after it did what they say. */
function losing(start: string, when: "before" | "after", code: string): () => void {
  const { $client: client } = api.base.db;
  const { execute } = client;
  client.execute = async (statement: string | { sql: string }) => {
    const hit = typeof statement !== "string" && statement.sql.startsWith(start);
    const failed = () => Object.assign(new Error("fetch failed"), { code });
    if (hit && when === "before") throw failed();
    const result = await execute.call(client, statement as never);
    if (hit) throw failed();
    return result;
  };
  return () => {
    client.execute = execute;
  };
}

test("a request whose end is not known keeps its Idempotency-Key: nothing fires twice", async () => {
  const imei = anImei();
  const { id } = (await (await create("key-10", { imei, name: "Lost answer" })).json()) as { id: number };
  const order = () =>
    api.call("POST", `/v1/devices/${id}/commands`, {
      key: api.write,
      body: { code: "A10" },
      headers: { "Idempotency-Key": "key-11" },
    });
  const heal = losing('insert into "commands"', "after", "HRANA_WEBSOCKET_ERROR");
  expect((await order()).status).toBe(503);
  heal();
  const problem = await expectProblem(await order(), 409, "conflict");
  expect(problem.detail).toContain("look whether it was carried out");
  const { data } = (await (await api.call("GET", `/v1/devices/${id}/commands`, { key: api.read })).json()) as {
    data: unknown[];
  };
  expect(data).toHaveLength(1);
});

test("a request that the database refused gives its Idempotency-Key back", async () => {
  const body = { imei: anImei(), name: "Busy" };
  const heal = losing('insert into "devices"', "before", "SQLITE_BUSY");
  expect((await create("key-12", body)).status).toBe(503);
  heal();
  expect((await create("key-12", body)).status).toBe(201);
});

test("a deleted device is not in any kept answer, and a late repetition does not bring it back", async () => {
  const body = { imei: anImei(), name: "Gone" };
  const { id } = (await (await create("key-9", body)).json()) as { id: number };
  await api.call("DELETE", `/v1/devices/${id}`, { key: api.write });
  const { rows } = await api.base.db.$client.execute({ sql: "SELECT response FROM idempotency_keys", args: [] });
  expect(JSON.stringify(rows)).not.toContain(body.imei);
  await expectProblem(await create("key-9", body), 409, "conflict");
});

test("an Idempotency-Key is free again when its time is over", async () => {
  await create("key-7", { imei: anImei(), name: "Old" });
  api.base.advance(LIMITS.idempotencyMs);
  expect((await create("key-7", { imei: anImei(), name: "New" })).status).toBe(201);
});

test.each(["", " ", "a b", "ü", "x".repeat(LIMITS.idempotencyKeyCharacters + 1)])(
  "an Idempotency-Key %j is refused",
  async (key) => {
    const body = { imei: anImei(), name: "Bad key" };
    const problem = await expectProblem(await create(encodeURI(key) === key ? key : `${key}`, body), 400, "invalid");
    expect(problem.field).toBe("Idempotency-Key");
  },
);

test("a route that does not keep answers refuses an Idempotency-Key instead of ignoring it", async () => {
  const options = { key: api.admin, body: { name: "New" }, headers: { "Idempotency-Key": "key-8" } };
  const problem = await expectProblem(await api.call("POST", "/v1/admin/accounts", options), 400, "invalid");
  expect(problem.field).toBe("Idempotency-Key");
});

test("an Idempotency-Key is stored as a keyed hash: it can hold anything", async () => {
  expect((await create("order-4111111111111111", { imei: anImei(), name: "Paid" })).status).toBe(201);
  const { rows } = await api.base.db.$client.execute("SELECT key FROM idempotency_keys");
  expect(rows.length).toBeGreaterThan(0);
  for (const { key } of rows) expect(key).toMatch(/^[0-9a-f]{64}$/);
});
