import { eq } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter } from "../../../codec/envelope.ts";
import { listAccounts } from "../../../src/store/accounts.ts";
import { accounts, users } from "../../../src/store/schema.ts";
import { anAccount, anImei, aSession, aUser, NOON } from "../../database.ts";
import { type Api, aKey, anApi, expectProblem } from "./api.ts";

let api: Api;
/** Of an account that signed up itself. */
let key: string;
let cookie: string;
let rival: string;
beforeAll(async () => {
  api = await anApi();
  for (const name of ["Customer", "Rival"]) {
    const accountId = await anAccount(api.base.db, { name });
    await api.base.db.update(accounts).set({ privacyAccepted: 1, termsAccepted: 1 }).where(eq(accounts.id, accountId));
    if (name === "Rival") rival = await aKey(api.base, accountId, "write");
    else {
      key = await aKey(api.base, accountId, "write");
      cookie = await aSession(api.base, await aUser(api.base.db, { role: "owner", accountId }));
    }
  }
});
afterAll(() => api.close());
beforeEach(() => {
  api.base.logged.length = 0;
});

const load = async (body: object) => {
  const response = await api.call("POST", "/v1/admin/activations", { key: api.admin, body });
  expect(response.status).toBe(201);
  return ((await response.json()) as { data: { imei: string; code: string }[] }).data;
};
const add = (imei: string, code: string, as = key) =>
  api.call("POST", "/v1/devices", { key: as, body: { imei, code, name: "Van" } });

test("an activation works once, and answers alike to whoever has no right to it", async () => {
  const [{ imei, code }] = (await load({ devices: [{ imei: anImei() }] })) as [{ imei: string; code: string }];
  const bodies: unknown[] = [];
  const refuse = async (response: Response) => {
    const { requestId: _, ...body } = await expectProblem(response, 404, "not_found");
    bodies.push(body);
  };
  await refuse(await add(imei, "AAAAA-AAAAA"));
  await refuse(await add(anImei(), code));
  expect((await add(imei, code)).status).toBe(201);
  await expectProblem(await add(imei, code), 409, "conflict");
  await refuse(await add(imei, code, rival));
  await refuse(await add(imei, "AAAAA-AAAAA", rival));
  for (const body of bodies) expect(body).toEqual(bodies[0]);
});

test("five wrong codes are the last for an hour: 429 with Retry-After", async () => {
  const imei = anImei();
  for (let i = 0; i < 5; i++) await expectProblem(await add(imei, "AAAAA-AAAAA"), 404, "not_found");
  const response = await add(imei, "AAAAA-AAAAA", rival);
  expect(response.headers.get("retry-after")).toBe("3600");
  await expectProblem(response, 429, "rate_limited");
});

test("a list comes as CSV too, and never shows a code again", async () => {
  const imei = anImei();
  const csv = `imei,model,order\n${imei},T366,Order 7\n`;
  const response = await api.call("POST", "/v1/admin/activations/csv", { key: api.admin, body: csv });
  expect(response.status).toBe(201);
  const { data } = (await response.json()) as { data: { imei: string; code: string }[] };
  expect(data).toEqual([{ imei, code: expect.stringMatching(/^[0-9A-Z]{5}-[0-9A-Z]{5}$/) }]);
  const list = await api.call("GET", "/v1/admin/activations?limit=1000", { key: api.admin });
  const text = await list.text();
  expect(text).toContain(imei);
  expect(text).not.toContain(data[0]!.code);
  expect(text).not.toMatch(/hash/i);
});

test("a wrong list is 400 with line and column, one that is no text too, a huge one 413", async () => {
  const send = (body: string | Uint8Array) => api.call("POST", "/v1/admin/activations/csv", { key: api.admin, body });
  const { detail } = await expectProblem(await send("imei\n123"), 400, "invalid");
  expect(detail).toBe("Line 2, column imei: must have 15 digits, this one has 3");
  await expectProblem(await send(new Uint8Array([0xff, 0xfe, 0x41])), 400, "invalid");
  await expectProblem(await send("x".repeat(300_000)), 413, "too_large");
});

test("the list pages by cursor, which holds no IMEI", async () => {
  await load({ devices: Array.from({ length: 3 }, () => ({ imei: anImei() })) });
  const seen: string[] = [];
  let cursor = "";
  do {
    const path = `/v1/admin/activations?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`;
    const page = (await (await api.call("GET", path, { key: api.admin })).json()) as {
      data: { imei: string }[];
      nextCursor: string | null;
    };
    seen.push(...page.data.map(({ imei }) => imei));
    cursor = page.nextCursor ?? "";
    expect(cursor).not.toMatch(/\d{15}/);
  } while (cursor !== "");
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.length).toBeGreaterThanOrEqual(3);
});

test("a label is a drawing without a style of its own", async () => {
  const body = { imei: anImei(), code: "7KQ2M-X4T9B" };
  const response = await api.call("POST", "/v1/admin/activations/label", { key: api.admin, body });
  expect(response.headers.get("content-type")).toBe("image/svg+xml");
  const svg = await response.text();
  expect(svg).toMatch(/^<svg /);
  expect(svg).not.toMatch(/style|script|href/);
});

describe("pages", () => {
  const get = (path: string, as = cookie) => api.call("GET", path, { cookie: as });
  const post = (path: string, fields: Record<string, string>, as = cookie) =>
    api.call("POST", path, { cookie: as, body: new URLSearchParams(fields) });

  async function added(): Promise<{ id: number; imei: string }> {
    const [{ imei, code }] = (await load({ devices: [{ imei: anImei(), model: "T366" }] })) as [
      { imei: string; code: string },
    ];
    const fields = {
      act: "add",
      imei: ` ${imei.slice(0, 8)} ${imei.slice(8)}`,
      code: code.toLowerCase(),
      name: "Van 1",
    };
    const response = await post("/devices/new", fields);
    expect(response.status).toBe(303);
    const to = response.headers.get("location")!;
    expect(to).toMatch(/^\/devices\/\d+\?done=added$/);
    return { id: Number(/\d+/.exec(to)![0]), imei };
  }

  test("an empty list teaches the next step", async () => {
    const newcomer = await aUser(api.base.db, { role: "owner" });
    const page = await (await get("/devices", await aSession(api.base, newcomer))).text();
    expect(page).toContain("No tracker yet");
    expect(page).toContain('href="/devices/new"');
  });

  test("a tracker is added, found in the list and shown with what it said last", async () => {
    const { id, imei } = await added();
    expect(await (await get("/devices")).text()).toContain("no position yet");
    expect(await (await get(`/devices/${id}`)).text()).toContain("Nothing has come from this tracker yet");
    const batch = new RequestWriter();
    const report = {
      event: { code: 35 },
      valid: true,
      latitude: 48.2,
      longitude: 16.3,
      fixTime: NOON - 60_000,
      speedKmh: 50,
    };
    batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report }));
    await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
    expect(await (await get("/devices")).text()).toContain("48.200000, 16.300000");
    const page = await (await get(`/devices/${id}`)).text();
    expect(page).toContain("48.200000, 16.300000");
    expect(page).toContain("50 km/h");
    await api.base.db.update(users).set({ units: "imperial" });
    expect(await (await get(`/devices/${id}`)).text()).toContain("31 mph");
    await api.base.db.update(users).set({ units: "metric" });
    expect(page).toContain("2026-03-01T11:59:00.000Z");
    const file = /href="([^"]+format=gpx)"/.exec(page)![1]!;
    expect((await get(file)).headers.get("content-type")).toBe("application/gpx+xml");
    const removal = await (await get(`/devices/${id}/remove`)).text();
    expect(removal).toContain("1 position of March 1, 2026 will be erased today");
  });

  test("everything is shown in the person's language", async () => {
    const { id } = await added();
    const page = await (await get(`/devices/${id}?lang=zh`)).text();
    expect(page).toContain("告诉它向哪里上报");
    expect(page).toMatch(/<html lang="zh"/);
  });

  test("a wrong code is said at its field, and what was typed is kept", async () => {
    const imei = anImei();
    const response = await post("/devices/new", { act: "add", imei, code: "AAAAA-AAAAA", name: "Van <1>" });
    expect(response.status).toBe(404);
    const page = await response.text();
    expect(page).toContain("No such tracker, or the code is wrong.");
    expect(page).toContain('href="#f-code"');
    expect(page).toContain(`value="${imei}"`);
    expect(page).toContain("Van &lt;1&gt;");
  });

  test("the lines for the tracker are shown with their QR codes, and what was typed is in no address", async () => {
    const { id } = await added();
    const fields = { act: "setUp", apn: "internet", mobile: "+43 660 1234567", intervalS: "30" };
    const response = await post(`/devices/${id}`, fields);
    expect(response.status).toBe(200);
    const page = await response.text();
    expect(page).toContain("0000,A21,1,edge.test,5020,internet,,");
    expect(page).toContain("0000,A12,3");
    expect(page.match(/<svg [^>]*class="qr" role="img"/g)).toHaveLength(2);
    expect(page).not.toMatch(/ style=|\?apn=/);
    const wrong = await post(`/devices/${id}`, { ...fields, intervalS: "7" });
    expect(wrong.status).toBe(400);
    expect(await wrong.text()).toContain('href="#f-intervalS"');
  });

  test("settings are saved, and refused to a viewer and to who may only see the device", async () => {
    const { id } = await added();
    const fields = { act: "save", name: "Bus", model: "T1", clockOffsetMinutes: "60", confirmCce: "on" };
    const saved = await post(`/devices/${id}`, fields);
    expect(saved.headers.get("location")).toBe(`/devices/${id}?done=saved`);
    const device = await (await api.call("GET", `/v1/devices/${id}`, { key })).json();
    expect(device).toMatchObject({ name: "Bus", model: "T1", clockOffsetMinutes: 60, confirmCce: true });
    const wrong = await post(`/devices/${id}`, { ...fields, clockOffsetMinutes: "1.5" });
    expect(await wrong.text()).toContain('href="#f-clockOffsetMinutes"');
    const [owned] = await listAccounts(api.base.db, 0, 1, "Customer");
    const viewer = await aSession(api.base, await aUser(api.base.db, { role: "viewer", accountId: owned!.id }));
    expect((await post(`/devices/${id}`, fields, viewer)).status).toBe(403);
    const seen = await (await get(`/devices/${id}`, viewer)).text();
    expect(seen).toContain("You can see this tracker and not change it");
    expect(seen).not.toContain("/remove");
  });

  test("a removal says what goes, wants a fresh proof, and is done", async () => {
    const { id } = await added();
    const page = await (await get(`/devices/${id}/remove`)).text();
    expect(page).toContain("Remove Van 1");
    expect(page).toContain("It has sent no positions");
    api.base.advance(16 * 60_000);
    const stale = await post(`/devices/${id}/remove`, { act: "remove" });
    expect(stale.headers.get("location")).toMatch(/^\/prove\?next=/);
    await expectProblem(await api.call("DELETE", `/v1/devices/${id}`, { cookie }), 401, "step_up_required");
    api.base.at(NOON);
    const response = await post(`/devices/${id}/remove`, { act: "remove" });
    expect(response.headers.get("location")).toBe("/devices?done=removed");
    expect((await get(`/devices/${id}`)).status).toBe(404);
  });
});

test("no log line of all this holds an IMEI or a code", async () => {
  const [{ imei, code }] = (await load({ devices: [{ imei: anImei() }] })) as [{ imei: string; code: string }];
  await add(imei, "AAAAA-AAAAA");
  await add(imei, code);
  expect(api.base.logged.length).toBeGreaterThan(0);
  for (const line of api.base.logged) expect(line.replace(/"requestId":"\w+"/, "")).not.toMatch(/\d{15}|[0-9A-Z]{5}-/);
});
