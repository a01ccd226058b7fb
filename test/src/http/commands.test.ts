import { afterAll, beforeAll, expect, test } from "vitest";
import { COMMANDS } from "../../../codec/commands.ts";
import { parseFrame } from "../../../codec/frame.ts";
import { LIMITS } from "../../../src/limits.ts";
import { anImei, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
let imei: string;
let path: string;
beforeAll(async () => {
  api = await anApi();
  imei = anImei();
  const made = await api.call("POST", "/v1/devices", { key: api.write, body: { imei, name: "Van" } });
  path = `/v1/devices/${((await made.json()) as { id: number }).id}/commands`;
});
afterAll(() => api.close());

interface Command {
  id: number;
  state: string;
  createdAt: string;
  expiresAt: string;
}

const queue = (body: object) => api.call("POST", path, { key: api.write, body });
const countCommands = async () =>
  (await api.base.db.$client.execute({ sql: "SELECT count(*) FROM commands", args: [] })).rows[0]![0];

test("POST commands queues the frame that the tracker will get, and answers with the command", async () => {
  const response = await queue({ code: "C01", arguments: { speedKmh: 20, outputs: "12222" }, ttlSeconds: 60 });
  expect(response.status).toBe(201);
  const command = (await response.json()) as Command;
  expect(command).toEqual({
    id: expect.any(Number),
    deviceId: expect.any(Number),
    code: "C01",
    name: "outputs",
    arguments: { speedKmh: 20, outputs: "12222" },
    state: "queued",
    createdAt: new Date(NOON).toISOString(),
    expiresAt: new Date(NOON + 60_000).toISOString(),
    sentAt: null,
    answeredAt: null,
    reply: null,
  });
  expect(response.headers.get("location")).toBe(`${path}/${command.id}`);
  const { rows } = await api.base.db.$client.execute({
    sql: "SELECT frame FROM commands WHERE id = ?",
    args: [command.id],
  });
  const sealed = new Uint8Array(rows[0]![0] as ArrayBuffer);
  expect(Buffer.from(sealed).toString("latin1")).not.toContain(imei);
  const [opened] = await api.base.db.$fields.open("commands", [{ frame: sealed }], api.accountId);
  const frame = parseFrame(opened!.frame);
  expect({ ...frame, content: new TextDecoder().decode(frame.content) }).toMatchObject({
    direction: "down",
    imei,
    type: "C01",
    content: "20,12222",
  });
});

test.each([
  [{}, "code", /^code is required|^code must be one of A10/],
  [{ code: "Z99" }, "code", /^code must be one of A10, A11/],
  [{ code: "A12" }, "arguments", /^arguments is required/],
  [{ code: "A12", arguments: {} }, "arguments.intervalS", /is required/],
  [{ code: "A12", arguments: { intervalS: "60" } }, "arguments.intervalS", /must be a number/],
  [{ code: "A12", arguments: { intervalS: 655360 } }, "arguments.intervalS", /must be at most 655350/],
  [{ code: "A12", arguments: { intervalS: -10 } }, "arguments.intervalS", /must be at least 0/],
  [{ code: "A12", arguments: { intervalS: 65 } }, "arguments.intervalS", /must be a multiple of 10/],
  [{ code: "A12", arguments: { intervalS: 60, spare: 1 } }, "arguments.spare", /is not a field/],
  [{ code: "A10", arguments: { spare: 1 } }, "arguments.spare", /is not a field/],
  [{ code: "C03", arguments: { mode: 2 } }, "arguments.mode", /must be one of 0, 1/],
  [{ code: "C01", arguments: { speedKmh: 0, outputs: "1222" } }, "arguments.outputs", /5 characters/],
  [{ code: "C01", arguments: { speedKmh: 0, outputs: "1222,1" } }, "arguments.outputs", /5 characters/],
  [{ code: "C01", arguments: { speedKmh: 0, outputs: "12\r\n2" } }, "arguments.outputs", /characters out of "012"/],
  [{ code: "A10", ttlSeconds: 5 }, "ttlSeconds", /must be at least 10/],
  [{ code: "A10", ttlSeconds: 1e9 }, "ttlSeconds", /must be at most/],
])("POST commands refuses %j before anything is queued", async (body, field, detail) => {
  const before = await countCommands();
  const problem = await expectProblem(await queue(body), 400, "invalid");
  expect(problem.field).toBe(field);
  expect(problem.detail).toMatch(detail);
  expect(await countCommands()).toBe(before);
});

test("POST commands with the same Idempotency-Key queues once", async () => {
  const options = { key: api.write, body: { code: "A10" }, headers: { "Idempotency-Key": "cut-1" } };
  const before = Number(await countCommands());
  const [first, second] = [await api.call("POST", path, options), await api.call("POST", path, options)];
  expect(await second.json()).toEqual(await first.json());
  expect(await countCommands()).toBe(before + 1);
});

test("a command expires by the clock, whether or not the job has run", async () => {
  const { id } = (await (await queue({ code: "A10" })).json()) as Command;
  const state = async () =>
    ((await (await api.call("GET", `${path}/${id}`, { key: api.read })).json()) as Command).state;
  api.base.advance(LIMITS.commandTtlS * 1000 - 1);
  expect(await state()).toBe("queued");
  api.base.advance(1);
  expect(await state()).toBe("expired");
  const list = (await (await api.call("GET", path, { key: api.read })).json()) as { data: Command[] };
  expect(list.data.find((command) => command.id === id)?.state).toBe("expired");
});

test("GET commands lists the newest first and pages by cursor", async () => {
  for (let i = 0; i < 3; i++) await queue({ code: "E91" });
  const page = async (query: string) =>
    (await (await api.call("GET", `${path}?limit=2${query}`, { key: api.read })).json()) as {
      data: Command[];
      nextCursor: string;
    };
  const first = await page("");
  const second = await page(`&cursor=${first.nextCursor}`);
  const ids = [...first.data, ...second.data].map(({ id }) => id);
  expect(ids).toEqual(ids.toSorted((a, b) => b - a));
  expect(new Set(ids).size).toBe(4);
});

test("GET a command is 404 under another device", async () => {
  const { id } = (await (await queue({ code: "A10" })).json()) as Command;
  const made = await api.call("POST", "/v1/devices", { key: api.write, body: { imei: anImei(), name: "Other" } });
  const other = ((await made.json()) as { id: number }).id;
  const response = await api.call("GET", `/v1/devices/${other}/commands/${id}`, { key: api.read });
  await expectProblem(response, 404, "not_found");
});

test("commands that are under way have different identifiers, and are bounded", async () => {
  const made = await api.call("POST", "/v1/devices", { key: api.write, body: { imei: anImei(), name: "Busy" } });
  const { id } = (await made.json()) as { id: number };
  const send = () => api.call("POST", `/v1/devices/${id}/commands`, { key: api.write, body: { code: "A10" } });
  for (let i = 0; i < LIMITS.commandsOpenPerDevice; i++) expect((await send()).status).toBe(201);
  await expectProblem(await send(), 409, "conflict");
  const { rows } = await api.base.db.$client.execute({
    sql: "SELECT count(DISTINCT identifier), count(*) FROM commands WHERE device_id = ?",
    args: [id],
  });
  expect([...Object.values(rows[0]!)]).toEqual([LIMITS.commandsOpenPerDevice, LIMITS.commandsOpenPerDevice]);
});

test("GET /v1/commands/types lists the whole table in words", async () => {
  const response = await api.call("GET", "/v1/commands/types", { key: api.read });
  const { data } = (await response.json()) as { data: { code: string; danger: string | null }[] };
  expect(data.map(({ code }) => code)).toEqual(COMMANDS.map(({ code }) => code));
  expect(data.find(({ code }) => code === "C01")?.danger).toMatch(/engine/);
});

test("a dangerous command of a signed-in person needs a fresh proof; a harmless one and a key's do not", async () => {
  const dangerous = { code: "C01", arguments: { speedKmh: 20, outputs: "12222" } };
  const cookie = api.sessions.manager;
  expect((await api.call("POST", path, { cookie, body: dangerous })).status).toBe(201);
  const start = api.base.now();
  api.base.advance(LIMITS.stepUpMs);
  await expectProblem(await api.call("POST", path, { cookie, body: dangerous }), 401, "step_up_required");
  expect((await api.call("POST", path, { cookie, body: { code: "A10" } })).status).toBe(201);
  expect((await api.call("POST", path, { key: api.write, body: dangerous })).status).toBe(201);
  api.base.at(start);
});
