import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeAff } from "../../../codec/encode.ts";
import { ENVELOPE_LIMITS, OUTCOMES, RequestWriter, readResponse } from "../../../codec/envelope.ts";
import { encodeFrame, parseFrame } from "../../../codec/frame.ts";
import { anImei, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
let imei: string;
let device: string;
beforeAll(async () => {
  api = await anApi();
  imei = anImei();
  const made = await api.call("POST", "/v1/devices", { key: api.write, body: { imei, name: "Van" } });
  device = made.headers.get("location")!;
});
afterAll(() => api.close());

const post = (body: unknown, headers: Record<string, string> = {}) =>
  api.call("POST", "/v1/bridge/frames", { key: api.bridge, body, headers });

const deliver = async (batch: RequestWriter) => {
  const response = await post(batch.finish());
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/octet-stream");
  return readResponse(new Uint8Array(await response.arrayBuffer()));
};

const aReport = (identifier: string, sender = imei) =>
  encodeAff({
    identifier,
    imei: sender,
    remaining: 1,
    report: { event: { code: 1 }, fixTime: NOON - 1000, valid: true, latitude: 48.2, longitude: 16.3 },
  });

test("POST /v1/bridge/frames answers with an outcome per frame and the reply bytes of what is stored", async () => {
  const batch = new RequestWriter();
  batch.frame(7, 0, NOON, aReport("Q"));
  batch.frame(8, 0, NOON, aReport("R", anImei()));
  batch.frame(9, 0, NOON, new TextEncoder().encode("$$nonsense\r\n"));
  const { frames } = await deliver(batch);
  expect(frames.map(({ outcome }) => outcome)).toEqual([OUTCOMES.stored, OUTCOMES.unknown_device, OUTCOMES.invalid]);
  const reply = parseFrame(frames[0]!.reply!);
  expect(reply).toMatchObject({ direction: "down", identifier: "Q", imei, type: "AFF" });
  const unclaimed = await api.call("GET", "/v1/admin/unclaimed", { key: api.admin });
  expect(unclaimed.status).toBe(200);
});

test("a command goes down with the next poll of the bridge that claims it, and its reply makes it acked", async () => {
  const queued = await api.call("POST", `${device}/commands`, {
    key: api.write,
    body: { code: "C03", arguments: { mode: 1 } },
  });
  const path = queued.headers.get("location")!;
  const command = async () =>
    (await (await api.call("GET", path, { key: api.read })).json()) as Record<string, unknown> & { id: number };

  const { offers } = await deliver(new RequestWriter());
  expect(offers).toEqual([{ commandId: (await command()).id, imei }]);
  const claim = new RequestWriter();
  claim.claim(offers[0]!.commandId, 7);
  api.base.advance(1000);
  const { downlinks } = await deliver(claim);
  expect(downlinks).toHaveLength(1);
  const frame = parseFrame(downlinks[0]!.bytes);
  expect(frame).toMatchObject({ direction: "down", imei, type: "C03" });
  const sentAt = new Date(NOON + 1000).toISOString();
  expect(await command()).toMatchObject({ state: "sent", sentAt, answeredAt: null });

  const { identifier } = frame;
  const answer = new RequestWriter();
  answer.frame(7, 0, NOON + 2000, encodeFrame({ direction: "up", identifier, imei, type: "C03", content: "OK" }));
  await deliver(answer);
  expect(await command()).toMatchObject({ state: "acked", sentAt, reply: "OK" });
  expect((await command()).answeredAt).not.toBeNull();
});

test("a body that is no envelope is 400, and one above the limit 413, declared or not", async () => {
  await expectProblem(await post("nonsense"), 400, "invalid");
  await expectProblem(await post(new Uint8Array(0)), 400, "invalid");
  const huge = new Uint8Array(ENVELOPE_LIMITS.bodyBytes + 1);
  await expectProblem(await post(huge), 413, "too_large");
  await expectProblem(await post("x", { "Content-Length": String(huge.length) }), 413, "too_large");
});
