import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { OUTCOME_NAMES, RequestWriter, readResponse } from "../../../codec/envelope.ts";
import { openWindow } from "../../../src/support.ts";
import { aContext, aDevice, asUser, aUser, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
let devices: { id: number; imei: string }[];
beforeEach(async () => {
  api = await anApi();
  const { accountId } = api;
  devices = [await aDevice(api.base.db, { accountId }), await aDevice(api.base.db, { accountId })];
  for (const { imei } of devices) expect(await send(imei)).toBe("stored");
  api.base.advance(1000);
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

let count = 0;
/** Delivers a report as the bridge does. @returns what became of it */
async function send(imei: string): Promise<string> {
  const now = api.base.now();
  const fix = { event: { code: 35 }, fixTime: now, valid: true, latitude: 48.2, longitude: 16.3, odometerM: count++ };
  const batch = new RequestWriter();
  batch.frame(1, 0, now, encodeAaa({ identifier: "A", imei, report: fix }));
  const answer = await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish().slice() });
  return OUTCOME_NAMES[readResponse(new Uint8Array(await answer.arrayBuffer())).frames[0]!.outcome]!;
}

type Json = Record<string, unknown> & { data: Record<string, unknown>[] };
const get = async (path: string, options: Parameters<Api["call"]>[2]) =>
  (await (await api.call("GET", path, options)).json()) as Json;
const ofOwner = () => ({ cookie: api.sessions.owner });
const ids = ({ data }: Json, name = "id") => data.map((row) => row[name]);
async function ask(type: "restrict" | "object", scope: object) {
  const made = await api.call("POST", "/v1/requests", { ...ofOwner(), body: { type, scope } });
  expect(made.status, await made.clone().text()).toBe(201);
  return (await made.json()) as { name: string; state: string };
}
const restrictFirst = () => ask("restrict", { kind: "devices", devices: [devices[0]!.id] });

describe("API keys", () => {
  test("do not see a device that is suspended, nor its positions; its people do, and the key the rest", async () => {
    const [suspended, other] = devices.map(({ id }) => id) as [number, number];
    await restrictFirst();
    for (const key of [api.read, api.write]) {
      for (const path of ["", "/positions", "/positions?format=csv", "/events", "/commands", "/setup"]) {
        const refused = await expectProblem(
          await api.call("GET", `/v1/devices/${suspended}${path}`, { key }),
          403,
          "suspended",
        );
        expect(refused.detail).toContain("only the account's own people");
        expect((await api.call("GET", `/v1/devices/${other}${path}`, { key })).status).toBe(200);
      }
      expect(ids(await get("/v1/devices", { key }))).toEqual([other]);
      expect(ids(await get("/v1/positions/latest", { key }), "deviceId")).toEqual([other]);
      expect(ids(await get("/v1/positions/feed", { key }), "deviceId")).toEqual([other]);
    }
    for (const [method, path, body] of [
      ["PATCH", "", { name: "Mine" }],
      ["DELETE", "", undefined],
      ["POST", "/commands", { code: "A10" }],
    ] as const) {
      const options = { key: api.write, ...(body === undefined ? {} : { body }) };
      await expectProblem(
        await api.call(method, `/v1/devices/${suspended}${path}`, options),
        ...([403, "suspended"] as const),
      );
    }
    for (const cookie of [api.sessions.owner, api.sessions.viewer]) {
      expect(ids(await get("/v1/devices", { cookie }))).toEqual([suspended, other]);
      expect((await get(`/v1/devices/${suspended}/positions`, { cookie })).data).toHaveLength(1);
      expect(await get(`/v1/devices/${suspended}`, { cookie })).toMatchObject({
        suspendedSince: new Date(NOON + 1000).toISOString(),
      });
    }
    // Another account's key learns nothing of it.
    await expectProblem(await api.call("GET", `/v1/devices/${suspended}`, { key: api.stranger }), 404, "not_found");
    const added = await api.call("POST", "/v1/devices", {
      key: api.write,
      body: { imei: "359999000000018", name: "New" },
    });
    expect(added.status).toBe(201);
  });

  test("are for nothing while all of the account is suspended, and again from when it goes on", async () => {
    const made = await api.call("POST", "/v1/me/suspend-transfers", ofOwner());
    const { id } = (await made.json()) as { id: number };
    for (const path of ["/v1/devices", "/v1/positions/latest", `/v1/devices/${devices[0]!.id}`, "/v1/models"]) {
      await expectProblem(await api.call("GET", path, { key: api.read }), 403, "suspended");
      expect((await api.call("GET", path, { key: api.stranger })).status).not.toBe(403);
      expect((await api.call("GET", path, ofOwner())).status).toBe(200);
    }
    expect((await api.call("DELETE", `/v1/me/suspensions/${id}`, ofOwner())).status).toBe(204);
    expect(ids(await get("/v1/positions/latest", { key: api.read }), "deviceId")).toEqual(
      devices.map((each) => each.id),
    );
  });

  test("learn also of what is suspended what they must drop", async () => {
    const { cursor } = (await get("/v1/sync", { key: api.read })) as unknown as { cursor: string };
    await restrictFirst();
    const { accountId } = api;
    await api.base.db.$client.execute({
      sql: "INSERT INTO tombstones (account_id, device_id, from_time, to_time, at) VALUES (?, ?, 1, 2, ?)",
      args: [accountId, devices[0]!.id, api.base.now()],
    });
    expect(ids(await get(`/v1/sync?since=${cursor}`, { key: api.read }), "deviceId")).toEqual([devices[0]!.id]);
  });
});

test("the operator's staff see nothing of it either, also where an owner lets them look", async () => {
  const { base, accountId } = api;
  const owner = await aUser(base.db, { role: "owner", accountId });
  await openWindow(aContext(base, asUser(accountId, owner.id)), 60);
  const path = `/v1/admin/accounts/${accountId}`;
  const track = `${path}/devices/${devices[0]!.id}/positions`;
  const cookie = api.sessions.support;
  expect((await api.call("GET", track, { cookie })).status).toBe(200);
  await restrictFirst();
  await expectProblem(await api.call("GET", track, { cookie }), 403, "suspended");
  expect(ids(await get(`${path}/positions/latest`, { cookie }), "deviceId")).toEqual([devices[1]!.id]);
  expect(await get(`${path}/suspensions`, { cookie })).toMatchObject({
    data: [{ deviceId: devices[0]!.id, kind: "restricted", liftedAt: null }],
  });
});

test("a restriction is in force with the answer to its request, and ends with the answer to its end", async () => {
  const { imei } = devices[0]!;
  expect(await restrictFirst()).toMatchObject({ state: "cleared" });
  expect(await send(imei)).toBe("unknown_device");
  const [row] = (await get("/v1/me/suspensions?inForce=true", ofOwner())).data;
  const path = `/v1/me/suspensions/${row!.id}`;
  expect((await api.call("DELETE", path, { cookie: api.sessions.strangerOwner })).status).toBe(404);
  for (const cookie of [api.sessions.manager, api.sessions.viewer]) {
    await expectProblem(await api.call("DELETE", path, { cookie }), 403, "forbidden");
  }
  expect(await send(imei)).toBe("unknown_device");
  api.base.advance(1000);
  expect((await api.call("DELETE", path, ofOwner())).status).toBe(204);
  api.base.advance(1000);
  expect(await send(imei)).toBe("stored");
  await expectProblem(await api.call("DELETE", path, ofOwner()), 409, "conflict");
  expect((await get("/v1/me/suspensions?inForce=true", ofOwner())).data).toEqual([]);
  expect(await get("/v1/me/suspensions", ofOwner())).toMatchObject({
    data: [{ id: row!.id, since: new Date(NOON + 1000).toISOString(), liftedAt: new Date(NOON + 2000).toISOString() }],
  });
});

describe("the pages", () => {
  const html = async (path: string, options: Parameters<Api["call"]>[2] = ofOwner()) =>
    (await api.call("GET", path, options)).text();
  const act = (fields: Record<string, string>, cookie = api.sessions.owner) =>
    api.call("POST", "/profile/requests", { cookie, body: new URLSearchParams(fields) });

  test("say what is suspended, in both languages, and have the button that lets it go on", async () => {
    const { id } = devices[0]!;
    expect(await html("/devices")).not.toContain("suspended");
    await restrictFirst();
    expect(await html("/devices")).toContain("suspended</span>");
    expect(await html(`/devices/${id}`)).toContain("Suspended since Mar 1, 2026");
    const chinese = { ...ofOwner(), headers: { "Sec-Fetch-Site": "same-origin", "Accept-Language": "zh" } };
    await api.base.db.$client.execute("UPDATE users SET language = 'zh'");
    expect(await html(`/devices/${id}`, chinese)).toContain("起暂停使用");
    expect(await html("/profile/requests", chinese)).toContain("已暂停使用的内容");
    await api.base.db.$client.execute("UPDATE users SET language = 'en'");
    expect(await html("/profile/requests")).toContain(`tracker ${id}`);
    const [row] = (await get("/v1/me/suspensions", ofOwner())).data;
    expect(await html("/profile/requests", { cookie: api.sessions.viewer })).not.toContain("Let it go on:");
    expect((await act({ act: "lift", id: String(row!.id) }, api.sessions.viewer)).status).toBe(403);
    expect((await act({ act: "lift", id: "x" })).status).toBe(404);
    api.base.advance(20 * 60_000);
    const stale = await act({ act: "lift", id: String(row!.id) });
    expect(stale.headers.get("location")).toBe("/prove?next=%2Fprofile%2Frequests");
    await api.base.db.$client.execute(`UPDATE sessions SET proved_at = ${api.base.now()}`);
    const done = await act({ act: "lift", id: String(row!.id) });
    expect(done.headers.get("location")).toBe("/profile/requests?done=resumed");
    expect(await html("/devices")).not.toContain("suspended</span>");
  });

  test("say at once what cannot be restricted alone, at the choice of it", async () => {
    for (const [scope, type] of [
      ["range", "restrict"],
      ["categories", "restrict"],
      ["fields", "restrict"],
      ["range", "object"],
    ] as const) {
      const body = new URLSearchParams({ act: "choose", type, scope });
      const answer = await api.call("POST", "/profile/requests/new", { ...ofOwner(), body });
      expect(answer.status).toBe(400);
      const page = await answer.text();
      expect(page).toMatch(/href="#f-scope">(Only the whole account|One cannot object)/);
      expect(page).toContain('<select id="f-scope"');
    }
    const body = new URLSearchParams({ act: "ask", email: "nobody@edge.test", type: "restrict", scope: "profile" });
    const answer = await api.call("POST", "/privacy/request", { body, headers: { "Sec-Fetch-Site": "same-origin" } });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain("Only the whole account");
  });

  test("let an owner stop everything, and show it to the operator", async () => {
    expect((await act({ act: "suspend" }, api.sessions.manager)).status).toBe(403);
    expect((await act({ act: "suspend" })).headers.get("location")).toBe("/profile/requests?done=suspended");
    const page = await html("/profile/requests");
    expect(page).toContain("all trackers");
    expect(page).toContain("as the law has changed");
    expect(page).not.toContain("Stop everything");
    expect(await html(`/admin/accounts/${api.accountId}`, { cookie: api.sessions.admin })).toContain("all trackers");
  });

  test("show the staff what an objection suspends while they decide it", async () => {
    const { name } = await ask("object", { kind: "tracks" });
    const page = await html(`/admin/requests/${name}`, { cookie: api.sessions.privacy });
    expect(page).toContain("until it is decided");
    expect(page).toContain("Upheld, it stays suspended");
    expect(await get(`/v1/admin/requests/${name}`, { key: api.admin })).toMatchObject({
      suspensions: [{ kind: "objected", deviceId: null, liftedAt: null }],
    });
  });
});
