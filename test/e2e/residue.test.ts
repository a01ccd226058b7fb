import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "@libsql/client";
import { afterAll, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import type { Runtime } from "../../tools/edge.ts";
import { type Platform, startPlatform } from "../../tools/platform.ts";
import { byForm, type Canary, found, scan } from "../../tools/residue.ts";
import { needlesOf } from "../../tools/residue-forms.ts";
import { signUp, until } from "./customer.ts";
import { nextImei, Tracker } from "./tracker.ts";

// The whole platform with values that can be found again wherever they lie. What people and trackers send must be in no
// file of it: neither while it runs nor when it has ended.

const folder = mkdtempSync(join(tmpdir(), "ephemeris-residue-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DEVICES = 50;
/** Of each device: more than what an isolate appends before it settles in all, so that every place is looked at. */
const REPORTS = 1400;
/** Positions repeat these coordinates thousands of times, so that the shortest forms are told from chance. */
const PLACES = [
  [22.513015, 114.057235],
  [-33.918861, 18.4233],
  [64.146582, -21.942635],
  [-54.801912, -68.302951],
] as const;

const imeis = Array.from({ length: DEVICES }, () => nextImei());
const strangers = [nextImei(), nextImei()];
const driverOf = (device: number) => `DRVCANARY${1000 + device}`;
const deviceName = (device: number) => `Kanarienvogel Ω${2000 + device}`;
const PERSON = {
  email: "Zaunkoenig.Canary@Edge.Test",
  name: "Žofie Canarywood",
  mobile: "+436601234567",
  city: "Canaryville Süd",
  line1: "Zilpzalpgasse 77/3",
  account: "Canary Freight 8841",
  group: "Canary vans 5512",
  term: "canary search 9917",
  order: "Order canary 6630",
  colleague: "colleague.canary.4471@edge.test",
};

const CANARIES: readonly Canary[] = [
  ...PLACES.flatMap(([latitude, longitude], place) => [
    { name: `latitude ${place}`, value: { coordinate: latitude } },
    { name: `longitude ${place}`, value: { coordinate: longitude } },
  ]),
  ...imeis.map((imei, device) => ({ name: `imei ${device}`, value: { digits: imei } })),
  ...strangers.map((imei, n) => ({ name: `imei of nobody ${n}`, value: { digits: imei } })),
  ...imeis.map((_, device) => ({ name: `driver ${device}`, value: { text: driverOf(device) } })),
  ...imeis.map((_, device) => ({ name: `device name ${device}`, value: { text: deviceName(device) } })),
  ...Object.entries(PERSON).map(([name, text]) => ({ name, value: { text } })),
  { name: "email, small", value: { text: PERSON.email.toLowerCase() } },
  { name: "mobile, digits", value: { digits: PERSON.mobile.slice(1) } },
];

/** Mails that nobody takes away are kept for the person to read: they are the delivery, and not a copy. */
const isMail = (path: string) => /[/\\]outbox([/\\]|$)/.test(path);
const places = (dataDir: string) =>
  readdirSync(dataDir)
    .map((name) => join(dataDir, name))
    .filter((path) => !isMail(path));

function expectNothing(when: string, dataDir: string): void {
  const residue = scan(places(dataDir), CANARIES);
  const hits = found(residue, CANARIES);
  const where = [
    ...new Set(
      hits.map(({ canary, form, file }) => `${canary.replace(/\d+$/, "n")}, ${form}: ${file.slice(dataDir.length)}`),
    ),
  ];
  expect([when, where, byForm(hits)]).toEqual([when, [], {}]);
  console.log(`${when}: ${residue.files} files, ${residue.bytes} bytes, ${needlesOf(CANARIES).length} forms: nothing`);
}

for (const runtime of ["workerd", "deno"] as const satisfies readonly Runtime[]) {
  test(`${runtime}: no value that people or trackers sent is in a file of the platform`, {
    timeout: 300_000,
  }, async () => {
    const dataDir = join(folder, runtime);
    const options = {
      dataDir,
      runtime,
      port: 0,
      bridgePort: 0,
      bridgeHost: "127.0.0.1",
      bridgeEnv: { SPOOL_AGE_S: "2", SPOOL_SEGMENT_BYTES: "1048576" },
      report: () => undefined,
    };
    const platform = await startPlatform(options);
    try {
      const key = await aPerson(platform);
      const ids = await theirDevices(platform, key);
      await reports(platform);
      await until("everything has come", async () => {
        const counts = await Promise.all(ids.map((id) => lastOdometer(platform, key, id)));
        return counts.every((odometer) => odometer === REPORTS - 1);
      });
      const spool = [join(dataDir, "spool")];
      await until("what was delivered has left the spool", async () => scan(spool, CANARIES).hits.length === 0);
      const [position] = (await get(platform, key, `/v1/devices/${ids[0]}/positions?limit=1`)).data;
      expect([position.latitude, position.longitude, position.driverId]).toEqual([...PLACES[0], driverOf(0)]);
      expectNothing(`${runtime}, running`, dataDir);
      // Whatever a job writes, too.
      for (const job of ["settle", "retention", "refresh-escrow", "seal-clear-fields", "purge-sessions"]) {
        const run = await call(platform, platform.secrets.adminToken, "POST", `/v1/admin/jobs/${job}/run`, {});
        expect([job, run.status]).toEqual([job, 200]);
      }
      expectNothing(`${runtime}, after its jobs`, dataDir);
    } finally {
      await platform.stop();
    }
    expectNothing(`${runtime}, ended`, dataDir);
    // Positions were in every place that they pass through.
    const client = createClient({ url: `file:${join(dataDir, "main.db")}` });
    for (const table of ["inbox", "segments", "newest"]) {
      const { rows } = await client.execute(`SELECT count(*) FROM ${table}`);
      expect([table, Number(rows[0]![0]) > 0]).toEqual([table, true]);
    }
    client.close();
    // The scanner would have found them there.
    const control = join(dataDir, "control");
    writeFileSync(control, Buffer.concat(needlesOf(CANARIES).map(({ bytes }) => Buffer.concat([bytes, bytes]))));
    const planted = found(scan([control], CANARIES), CANARIES);
    const missed = needlesOf(CANARIES).filter(
      ({ canary, form }) => !planted.some((hit) => hit.canary === canary && hit.form === form),
    );
    expect(missed).toEqual([]);
  });
}

async function call(platform: Platform, token: string, method: string, path: string, body?: object) {
  return fetch(platform.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

const get = async (platform: Platform, token: string, path: string) =>
  (await call(platform, token, "GET", path)).json();

/** Somebody signs up and fills everything in. @returns an API key of theirs */
async function aPerson(platform: Platform): Promise<string> {
  const { email, name, mobile } = PERSON;
  const { send } = await signUp(platform, { email, name, mobile, password: "nineteen canaries sing" });
  const address = { recipient: PERSON.name, line1: PERSON.line1, city: PERSON.city, postcode: "1070", country: "AT" };
  await send("PATCH", "/v1/me/account", { name: PERSON.account, addresses: { shipping: address, billing: address } });
  await send("PATCH", "/v1/me", { searchHistory: true });
  await send("POST", "/v1/groups", { name: PERSON.group });
  await send("POST", "/v1/searches", { term: PERSON.term });
  await send("POST", "/v1/users", { email: PERSON.colleague, role: "viewer" });
  const { key } = await (await send("POST", "/v1/keys", { name: "integration", scope: "write" })).json();
  return key;
}

/** The trackers are loaded as sold and activated. */
async function theirDevices(platform: Platform, key: string): Promise<number[]> {
  const sold = imeis.map((imei) => ({ imei, model: "T366", orderReference: PERSON.order }));
  const loaded = await call(platform, platform.secrets.adminToken, "POST", "/v1/admin/activations", { devices: sold });
  expect(loaded.status).toBe(201);
  const { data } = (await loaded.json()) as { data: { imei: string; code: string }[] };
  const ids: number[] = [];
  for (const [device, imei] of imeis.entries()) {
    const { code } = data.find((row) => row.imei === imei)!;
    const body = { imei, code, name: deviceName(device), model: "T366" };
    const response = await call(platform, key, "POST", "/v1/devices", body);
    expect([response.status, response.ok ? "" : await response.text()]).toEqual([201, ""]);
    ids.push((await response.json()).id);
  }
  return ids;
}

/** Sends everything over a few connections. */
async function reports(platform: Platform): Promise<void> {
  const trackers = Array.from({ length: 5 }, () => new Tracker(platform.bridgePort));
  const begin = Math.floor(Date.now() / 1000) * 1000 - REPORTS * 10_000;
  for (let n = 0; n < REPORTS; n++) {
    for (const [device, imei] of imeis.entries()) {
      const [latitude, longitude] = PLACES[(device + n) % PLACES.length]!;
      // The first is what the test reads back.
      const at = n === 0 ? PLACES[0] : ([latitude, longitude] as const);
      const report = {
        ...{ event: { code: n % 50 === 1 ? 1 : 37 }, fixTime: begin + n * 10_000, valid: true },
        ...{ latitude: at[0], longitude: at[1], odometerM: n, driverId: driverOf(device) },
      };
      trackers[device % trackers.length]!.send(encodeAaa({ identifier: "A", imei, report, model: "T366" }));
    }
    if (n % 20 === 0) await wait(1);
  }
  for (const imei of strangers) {
    const report = {
      event: { code: 35 },
      fixTime: begin,
      valid: true,
      latitude: PLACES[0][0],
      longitude: PLACES[0][1],
    };
    trackers[0]!.send(encodeAaa({ identifier: "A", imei, report }));
  }
  await wait(1000);
  for (const tracker of trackers) tracker.close();
}

async function lastOdometer(platform: Platform, key: string, id: number): Promise<number | undefined> {
  const { data } = await get(platform, key, `/v1/devices/${id}/positions?limit=1&order=desc`);
  return data[0]?.odometerM;
}
