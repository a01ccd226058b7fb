import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytesOf } from "../../codec/bytes.ts";
import { encodeAaa, encodeCcc, encodeCce } from "../../codec/encode.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import { encodeFrame } from "../../codec/frame.ts";
import { PROFILE_BITS } from "../../codec/profile-bits.ts";
import { collectionBits, collectionOf } from "../../src/collection.ts";
import { aDevice, aSession, aUser, NOON } from "../database.ts";
import { settled } from "../stored.ts";
import { type Api, anApi, expectProblem } from "./http/api.ts";

const MINUTE = 60_000;

let api: Api;
let cookie: string;
beforeAll(async () => {
  api = await anApi();
  cookie = await aSession(api.base, await aUser(api.base.db, { role: "owner", accountId: api.accountId }));
});
afterAll(async () => {
  await api.base.settled();
  api.close();
});

const NOTHING = { speed: false, cell: false, driver: false, coordinates: 2 } as const;
const EVERYTHING = { speed: true, cell: true, driver: true, coordinates: "exact" } as const;

const put = (body: object) => api.call("PUT", "/v1/me/collection", { cookie, body });

let minute = 0;

/** A frame of each kind with something that can be found again in every place that a profile can leave out. */
function frames(imei: string): Uint8Array[] {
  const fix = () => ({
    ...{ event: { code: 37 }, fixTime: NOON - 600 * MINUTE + minute++ * MINUTE, valid: true },
    ...{ latitude: 48.208174, longitude: 16.373819, speedKmh: 87, satellites: 9 },
    cell: { mcc: 262, mnc: 17, lac: 0x7a1b, cid: 0x5c3d },
  });
  const sender = { identifier: "A", imei };
  const text = bytesOf("CANARY-77");
  const parameters = [
    ...[0x39, 0x4b, 0x0e, 0xd7].map((id) => ({ id, bytes: text, group: "n" as const })),
    { id: 0x0f, bytes: bytesOf("CANARY-77abc") },
    { id: 0x1d, bytes: bytesOf("CANARY77") },
    { id: 0xf82e, bytes: bytesOf(`TTTT${"CANARY-7".repeat(3)}FFFFss`) },
    { id: 0x91, bytes: Uint8Array.of(87, 0) },
  ];
  const odd = `37,48.20817412345,16.37381998765,260301${String(1000 + minute++)}00,A,9,20,87CANARY-77,90,1.0,100,1,1,1|2|CANARY-77|4,0000,,CANARY-77,CANARY-77,3`;
  return [
    encodeAaa({ ...sender, report: { ...fix(), driverId: "CANARY-77" } }),
    encodeFrame({ ...sender, direction: "up", type: "AAA", content: odd }),
    encodeCcc({ ...sender, reports: [{ ...fix(), geofence: 0x5a17c3e9 }] }),
    encodeCce({ ...sender, reports: [{ ...fix(), parameters }] }),
  ];
}

async function deliver(imei: string): Promise<void> {
  const batch = new RequestWriter();
  for (const frame of frames(imei)) batch.frame(1, 0, NOON, frame);
  const response = await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
  expect(response.status).toBe(200);
}

/** Everything that can be read of a device, in every way there is. */
async function everything(id: number): Promise<string> {
  const texts: string[] = [];
  for (const path of [
    `/v1/devices/${id}/positions`,
    `/v1/devices/${id}/events`,
    ...["csv", "gpx", "geojson"].map((format) => `/v1/devices/${id}/positions?format=${format}`),
    "/v1/positions/latest",
    "/v1/positions/feed",
  ]) {
    const response = await api.call("GET", path, { key: api.read });
    expect(response.status, path).toBe(200);
    texts.push(await response.text());
  }
  return texts.join("\n");
}

/** Every value of every table. */
async function database(): Promise<string> {
  const { rows: tables } = await api.base.db.$client.execute("SELECT name FROM sqlite_schema WHERE type = 'table'");
  const dumps: string[] = [];
  for (const { name } of tables) {
    const { rows } = await api.base.db.$client.execute(`SELECT * FROM "${name}"`);
    for (const row of rows) {
      for (let at = 0; at in row; at++) {
        const value = row[at];
        dumps.push(value instanceof ArrayBuffer ? Buffer.from(value).toString("latin1") : String(value));
      }
    }
  }
  return dumps.join("\n");
}

const CANARY =
  /CANARY|43:?41:?4E:?41|48\.208|16\.373|20817|37381|1511506921|"speedKmh"|Speed"?:\s*87|"(cell|wifi|driverId)"/;

describe("what a profile leaves out", () => {
  test("is nowhere, whether it waits or has settled; without a profile it is found", async () => {
    const full = await aDevice(api.base.db, { accountId: api.accountId });
    await deliver(full.imei);
    const kept = await everything(full.id);
    for (const canary of [
      "CANARY-77",
      "43:41:4E:41:52:59",
      "43414E415259",
      "48.208",
      "16.373",
      "1511506921",
      '"speedKmh":87',
      '"cell"',
      '"wifi"',
    ]) {
      expect(kept).toContain(canary);
    }
    await api.base.db.$client.execute({ sql: "DELETE FROM devices WHERE id = ?", args: [full.id] });

    const { id, imei } = await aDevice(api.base.db, { accountId: api.accountId });
    expect((await put(NOTHING)).status).toBe(200);
    await deliver(imei);
    const waiting = await everything(id);
    expect(waiting).not.toMatch(CANARY);
    expect(JSON.parse(waiting.split("\n")[0]!).data).toHaveLength(4);
    expect(waiting).toContain('"latitude":48.21,"longitude":16.37');
    await settled(api.base);
    expect(await everything(id)).not.toMatch(CANARY);
    expect(await database()).not.toMatch(/CANARY|48\.208|16\.373/);
    expect(api.base.logged.join("\n")).not.toMatch(/CANARY|48\.2/);
  });

  test("is left out from the next frame on, and stored again from the next one after it is switched on", async () => {
    const { id, imei } = await aDevice(api.base.db, { accountId: api.accountId });
    const speeds = async () => {
      const response = await api.call("GET", `/v1/devices/${id}/positions`, { key: api.read });
      const { data } = (await response.json()) as { data: { speedKmh?: number }[] };
      return data.filter(({ speedKmh }) => speedKmh === 87).length;
    };
    for (const [profile, expected] of [
      [EVERYTHING, 3],
      [{ ...EVERYTHING, speed: false }, 3],
      [EVERYTHING, 6],
    ] as const) {
      await put(profile);
      await deliver(imei);
      expect(await speeds()).toBe(expected);
    }
  });

  test("is of one account: another one's positions are whole", async () => {
    await put(NOTHING);
    const stranger = await aDevice(api.base.db, { accountId: api.strangerId });
    await deliver(stranger.imei);
    const response = await api.call("GET", `/v1/devices/${stranger.id}/positions`, { key: api.stranger });
    expect(await response.text()).toContain('"speedKmh":87');
  });
});

test("collectionBits() and collectionOf() are each other's reverse", () => {
  for (let bits = 0; bits <= PROFILE_BITS; bits++) expect(collectionBits(collectionOf(bits))).toBe(bits);
  expect(collectionOf(0)).toEqual({ speed: true, cell: true, driver: true, decimals: null });
});

describe("PUT /v1/me/collection", () => {
  test("answers with what is kept, and refuses what is no profile", async () => {
    const profile = { speed: true, cell: false, driver: true, coordinates: 3 };
    expect(await (await put(profile)).json()).toEqual(profile);
    expect(await (await api.call("GET", "/v1/me/collection", { cookie })).json()).toEqual(profile);
    for (const [body, field] of [
      [{ ...profile, coordinates: 5 }, "coordinates"],
      [{ ...profile, coordinates: null }, "coordinates"],
      [{ ...profile, speed: 1 }, "speed"],
      [{ speed: true }, "cell"],
    ] as const) {
      expect((await expectProblem(await put(body), 400, "invalid")).field).toBe(field);
    }
    await expectProblem(
      await api.call("PUT", "/v1/me/collection", { cookie: api.sessions.viewer, body: EVERYTHING }),
      403,
      "forbidden",
    );
  });

  test("is recorded, once", async () => {
    await put(EVERYTHING);
    const acts = async () => {
      const { rows } = await api.base.db.$client.execute(
        "SELECT count(*) FROM audit WHERE action = 'collection.changed'",
      );
      return Number(rows[0]![0]);
    };
    const before = await acts();
    await put(NOTHING);
    await put(NOTHING);
    expect(await acts()).toBe(before + 1);
  });

  test("has a page in both languages", async () => {
    await put(EVERYTHING);
    const body = new URLSearchParams({ act: "save", driver: "on", coordinates: "4" });
    expect((await api.call("POST", "/profile/collection", { cookie, body })).status).toBe(303);
    const profile = { speed: false, cell: false, driver: true, coordinates: 4 };
    expect(await (await api.call("GET", "/v1/me/collection", { cookie })).json()).toEqual(profile);
    const chinese = await (await api.call("GET", "/profile/collection?lang=zh", { cookie })).text();
    expect(chinese).toContain("精确到约 10 米");
    const seen = await (await api.call("GET", "/profile/collection?lang=en", { cookie: api.sessions.viewer })).text();
    expect(seen).toContain("rounded to about 10 metres");
    expect(seen).not.toContain('<button class="primary"');
  });
});
