import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter } from "../../../codec/envelope.ts";
import { carryOut } from "../../../src/erasure.ts";
import { LIMITS } from "../../../src/limits.ts";
import { watchRequests } from "../../../src/request-watch.ts";
import { anImei, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

const DAY = 86_400_000;
let api: Api;
let device: number;
beforeAll(async () => {
  api = await anApi();
  const imei = anImei();
  const made = await api.call("POST", "/v1/devices", { key: api.write, body: { imei, name: "Anna's van" } });
  device = ((await made.json()) as { id: number }).id;
  const batch = new RequestWriter();
  for (let i = 0; i < 5; i++) {
    const report = { event: { code: 35 }, valid: true, latitude: 48.123457, longitude: 16.765432 };
    const fixTime = NOON - DAY - i * 60_000;
    batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report: { ...report, fixTime } }));
  }
  await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
});
afterAll(async () => {
  await api.base.settled();
  api.close();
});

const post = (path: string, fields: Record<string, string>, cookie?: string) =>
  api.call("POST", path, {
    ...(cookie === undefined ? { headers: { "Sec-Fetch-Site": "same-origin" } } : { cookie }),
    body: new URLSearchParams(fields),
  });
const page = async (path: string, cookie?: string) =>
  (await api.call("GET", path, cookie === undefined ? {} : { cookie })).text();
const proved = () => api.base.db.$client.execute(`UPDATE sessions SET proved_at = ${api.base.now()}`);

/** A link of the owner's, made on the page of the device. @returns its path */
async function aLink(more: Record<string, string> = {}): Promise<string> {
  const fields = { act: "make", from: "2026-02-27T00:00", to: "2026-03-01T00:00", expiresAt: "", ...more };
  const text = await (await post(`/devices/${device}/subjects`, fields, api.sessions.owner)).text();
  return /https:\/\/edge\.test(\/subject\/[\w-]{43})/.exec(text)![1]!;
}

test("a link is made, used without signing in, answered and followed to its receipt, all on pages", async () => {
  const link = await aLink();
  const before = await page(link);
  expect(before).toContain("What is held about you");
  expect(before).toMatch(/data-label="How many"><div>5</);
  // Whoever has it learns neither where the van was nor what it is called, nor whose it is.
  expect(before).not.toMatch(/48\.1|16\.7|Anna|Acme|353358/);

  const wrong = await post(link, { act: "ask", type: "erase", from: "2026-02-26T23:59", to: "" });
  expect(wrong.status).toBe(400);
  expect(await wrong.text()).toContain("This is before the time that this link is about.");

  const sent = await (await post(link, { act: "ask", type: "erase", from: "", to: "" })).text();
  expect(sent).toContain("It is noted. Keep this link");
  const list = await page(`/devices/${device}/subjects`, api.sessions.manager);
  const path = /href="(\/subject-requests\/[\w-]{22})"/.exec(list)![1]!;
  expect((await api.call("GET", path, { cookie: api.sessions.strangerOwner })).status).toBe(404);
  await proved();
  expect((await post(path, { act: "accept", reason: "" }, api.sessions.manager)).status).toBe(303);
  for (let i = 0; i < 20; i++) {
    await carryOut(api.base);
    api.base.advance(60_000);
  }
  const after = await page(link);
  expect(after).toMatch(/data-label="How many"><div>0</);
  const receipt = /href="(\/receipts\/[\w-]{22})"/.exec(after)![1]!;
  expect(await page(receipt)).toContain("VD");
});

test("a no and its reason are under the link, in the language of whoever reads it", async () => {
  const link = await aLink();
  await post(link, { act: "ask", type: "object", from: "", to: "" });
  const { data } = (await (await api.call("GET", "/v1/subject-requests", { cookie: api.sessions.owner })).json()) as {
    data: { name: string; deviceId: number }[];
  };
  expect(data[0]!.deviceId).toBe(device);
  await proved();
  const path = `/subject-requests/${data[0]!.name}`;
  const short = await post(path, { act: "refuse", reason: "no" }, api.sessions.owner);
  expect(short.status).toBe(400);
  expect(await short.text()).toContain('value="no"');
  await post(path, { act: "refuse", reason: "The van was not yours <that day>" }, api.sessions.owner);
  const text = await page(`${link}?lang=zh`);
  expect(text).toContain("已拒绝");
  expect(text).toContain("The van was not yours &lt;that day&gt;");
});

test("after ten days it is on the staff's page, and whoever has the link sees with whom it is", async () => {
  const link = await aLink();
  await post(link, { act: "ask", type: "erase", from: "", to: "2026-02-28T00:00" });
  expect(await page(link)).toContain("with whoever runs the tracker");
  api.base.advance(LIMITS.subjectAnswerMs);
  await watchRequests(api.base);
  expect(await page(link)).toContain("with the operator’s staff");
  const cookie = api.sessions.privacy;
  await api.base.db.$client.execute(
    `UPDATE sessions SET last_seen_at = ${api.base.now()}, expires_at = ${api.base.now() + DAY}`,
  );
  const path = /href="(\/admin\/subject-requests\/[\w-]{22})"/.exec(await page("/admin/subject-requests", cookie))![1]!;
  const shown = await page(path, cookie);
  expect(shown).not.toMatch(/Anna|Acme|353358/);
  await proved();
  expect((await post(path, { act: "accept", reason: "They showed the roster of that day" }, cookie)).status).toBe(303);
  expect(await page(link)).toContain("They showed the roster of that day");
});

test("tokens that are unknown, over or ended are answered alike", async () => {
  const ended = await aLink();
  const { data } = (await (
    await api.call("GET", `/v1/devices/${device}/subject-links`, { cookie: api.sessions.owner })
  ).json()) as { data: { id: number }[] };
  const path = `/v1/devices/${device}/subject-links/${data[0]!.id}`;
  expect((await api.call("DELETE", path, { cookie: api.sessions.owner })).status).toBe(204);
  const over = await aLink({ expiresAt: "2026-03-20T00:00" });
  api.base.advance(20 * DAY);
  const answers = [];
  for (const token of ["x".repeat(43), ended.slice(9), over.slice(9)]) {
    const response = await api.call("GET", `/v1/subject/${token}`);
    const { requestId: _, ...problem } = await expectProblem(response, 404, "not_found");
    answers.push(problem);
    await expectProblem(
      await api.call("POST", `/v1/subject/${token}/requests`, { body: { type: "erase" } }),
      404,
      "not_found",
    );
    await expectProblem(await api.call("GET", `/v1/subject/${token}/positions`), 404, "not_found");
  }
  expect(new Set(answers.map((each) => JSON.stringify(each))).size).toBe(1);
});
