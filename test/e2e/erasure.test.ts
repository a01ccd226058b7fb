import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import Database from "libsql";
import { afterAll, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { LIMITS } from "../../src/limits.ts";
import type { Runtime } from "../../tools/edge.ts";
import { type Platform, startPlatform } from "../../tools/platform.ts";
import { type Canary, found, scan } from "../../tools/residue.ts";
import { type Customer, signUp, until } from "./customer.ts";
import { storedOf } from "./stored-bytes.ts";
import { nextImei, Tracker } from "./tracker.ts";

// An erasure as a person asks for it, carried out by the platform as it runs: afterwards nothing of them is in any of its
// files, neither what they and their trackers said nor what was made of it and stored, sealed as it is. Somebody else's
// account is beside it, and stays.

const folder = mkdtempSync(join(tmpdir(), "ephemeris-erasure-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PASSWORD = "nineteen canaries sing";
const REPORTS = 500;
const STEP_MS = 30_000;

/** Somebody whose every value is their own. */
const aPerson = (word: string, place: readonly [number, number]) => ({
  email: `${word}.canary@edge.test`,
  name: `Žofie ${word}wood`,
  mobile: `+43660${word.length}234567`,
  city: `${word}ville Süd`,
  line1: `${word}gasse 77/3`,
  account: `${word} Freight 8841`,
  group: `${word} vans 5512`,
  term: `${word} search 9917`,
  colleague: `colleague.${word}.4471@edge.test`,
  device: `${word} Kanarienvogel`,
  order: `${word} order 6630`,
  driver: `DRV${word.toUpperCase()}`,
  place,
  imeis: Array.from({ length: 3 }, () => nextImei()),
  spare: nextImei(),
});
type Person = ReturnType<typeof aPerson>;

const valuesOf = ({ place, imeis, spare, ...texts }: Person): Canary[] => [
  { name: "latitude", value: { coordinate: place[0] } },
  { name: "longitude", value: { coordinate: place[1] } },
  ...[...imeis, spare].map((imei, n) => ({ name: `imei ${n}`, value: { digits: imei } })),
  ...Object.entries(texts).map(([name, text]) => ({ name, value: { text } })),
];

/** All files but the mails that were delivered: here they are kept for the person to read. */
const placesOf = (dataDir: string) =>
  readdirSync(dataDir)
    .filter((name) => name !== "outbox")
    .map((name) => join(dataDir, name));

function look(dataDir: string, canaries: readonly Canary[]) {
  const residue = scan(placesOf(dataDir), canaries);
  const hits = found(residue, canaries);
  return {
    ...residue,
    canaries: new Set(hits.map(({ canary }) => canary)),
    where: [...new Set(hits.map(({ canary, form, file }) => `${canary}, ${form}: ${file.slice(dataDir.length)}`))],
  };
}

/** Everything that somebody reads about themselves. */
const SHOWN = ["/v1/me", "/v1/devices", "/v1/groups", "/v1/users", "/v1/me/searches", "/v1/requests", "/v1/me/exports"];
async function reading(customer: Customer, devices: readonly number[]) {
  const paths = [
    ...SHOWN,
    ...devices.flatMap((id) => [`/v1/devices/${id}/positions?limit=1000`, `/v1/devices/${id}/commands`]),
  ];
  const read: Record<string, unknown> = {};
  for (const path of paths) read[path] = await customer.read(path);
  return read;
}

for (const runtime of ["workerd", "deno"] as const satisfies readonly Runtime[]) {
  test(`${runtime}: an account that is erased over HTTP leaves no byte in any file, and another one leaves all`, {
    timeout: 420_000,
  }, async () => {
    const dataDir = join(folder, runtime);
    const gone = aPerson("siskin", [22.513015, 114.057235]);
    const stays = aPerson("wryneck", [-33.918861, 18.4233]);
    const platform = await startPlatform({
      ...{ dataDir, runtime, port: 0, bridgePort: 0, bridgeHost: "127.0.0.1", report: () => undefined },
      bridgeEnv: { SPOOL_AGE_S: "2", SPOOL_SEGMENT_BYTES: "1048576" },
    });
    let ended = false;
    let canaries: readonly Canary[] = [];
    try {
      const [leaver, other] = [
        await signUp(platform, { ...gone, password: PASSWORD }),
        await signUp(platform, { ...stays, password: PASSWORD }),
      ];
      const [devices, others] = [await fill(platform, leaver, gone), await fill(platform, other, stays)];
      // And some that waits.
      await drive(platform, [gone, stays], 40, REPORTS);
      await come(leaver, devices, REPORTS + 39);
      await come(other, others, REPORTS + 39);

      // What the bridge holds while the app does not answer, and a copy of everything as it is in that moment.
      const stopped = [platform.children.workerd ?? platform.children.edge!];
      process.kill(stopped[0]!, "SIGSTOP");
      await drive(platform, [gone], 20, REPORTS + 40);
      const spool = join(dataDir, "spool");
      await until("the spool has it on the disk", () => scan([spool], valuesOf(gone)).hits.length > 0, 10_000);
      const before = join(folder, `${runtime}-before`);
      for (const name of ["libsqld", "edge"] as const)
        if (platform.children[name] !== undefined) stopped.push(platform.children[name]);
      for (const pid of stopped.slice(1)) process.kill(pid, "SIGSTOP");
      cpSync(dataDir, before, { recursive: true });
      for (const pid of stopped.toReversed()) process.kill(pid, "SIGCONT");

      const accountIds = [await accountOf(leaver), await accountOf(other)] as const;
      const [own, theirs] = accountIds.map((id) => storedOf(before, id));
      const shared = new Set(theirs!.map(({ value }) => JSON.stringify(value)));
      const pieces = [...own!.filter(({ value }) => !shared.has(JSON.stringify(value))), ...storedOf(before, null)];
      canaries = [...valuesOf(gone), ...pieces];
      const seen = look(before, canaries);
      expect(seen.where.some((line) => line.includes("/spool/"))).toBe(true);
      expect(pieces.filter(({ name }) => !seen.canaries.has(name))).toEqual([]);
      const tables = new Set(pieces.map(({ name }) => name.split(" ")[0]));
      for (const table of [
        "users",
        "accounts",
        "devices",
        "segments",
        "inbox",
        "newest",
        "commands",
        "sessions",
        "export_links",
        "searches",
        "addresses",
        "keys",
      ])
        expect([table, tables.has(table)]).toEqual([table, true]);

      await until("the bridge has handed over what it held", () => scan([spool], valuesOf(gone)).hits.length === 0);
      const control = await reading(other, others);
      // It is too long ago that they proved who they are.
      const db = new Database(join(dataDir, "main.db"));
      db.exec("PRAGMA busy_timeout = 10000");
      db.prepare("UPDATE sessions SET proved_at = proved_at - ?").run([LIMITS.stepUpMs]);
      db.close();
      const erase = { type: "erase", scope: { kind: "account" } };
      expect(await (await leaver.send("POST", "/v1/requests", erase, 401)).json()).toMatchObject({
        code: "step_up_required",
      });
      await leaver.send("POST", "/v1/me/proof", { password: PASSWORD });
      const asked = Date.now();
      const { name } = (await (await leaver.send("POST", "/v1/requests", erase)).json()) as { name: string };

      // Trackers know nothing of it.
      const sending = (async () => {
        for (let n = 0; !ended; n++, await wait(1000)) await drive(platform, [gone], 1, REPORTS + 100 + n);
      })();
      try {
        await until(
          "the erasure is carried out",
          async () => (await fetch(`${platform.url}/v1/receipts/${name}`)).status === 200,
          240_000,
        );
      } finally {
        ended = true;
        await sending;
      }
      console.log(`${runtime}: cleared ${((Date.now() - asked) / 1000).toFixed(1)} s after it was asked for`);
      await leaver.send("GET", "/v1/me", undefined, 401);
      await until(
        "the bridge has handed over what came meanwhile",
        () => scan([spool], valuesOf(gone)).hits.length === 0,
      );

      expectNothing(`${runtime}, running`, dataDir, canaries);
      expect(await reading(other, others)).toEqual(control);
      // The scanner still finds what is somebody else's.
      expect(look(dataDir, theirs!).hits.length).toBeGreaterThan(50);
    } finally {
      ended = true;
      await platform.stop();
    }
    expectNothing(`${runtime}, ended`, dataDir, canaries);
  });
}

function expectNothing(when: string, dataDir: string, canaries: readonly Canary[]): void {
  const { where, files, bytes } = look(dataDir, canaries);
  expect([when, where]).toEqual([when, []]);
  console.log(`${when}: ${files} files, ${bytes} bytes, ${canaries.length} values: nothing`);
}

const accountOf = async (customer: Customer) =>
  ((await customer.read("/v1/me")) as { account: { id: number } }).account.id;

interface Positions {
  data: { odometerM: number }[];
}

interface Activations {
  data: { imei: string; code: string }[];
}

async function admin(platform: Platform, path: string, body: object): Promise<Response> {
  const response = await fetch(platform.url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${platform.secrets.adminToken}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect([path, response.status < 300]).toEqual([path, true]);
  return response;
}

/** Everything that an account can hold. @returns its devices */
async function fill(platform: Platform, customer: Customer, person: Person): Promise<number[]> {
  const { send } = customer;
  const address = { recipient: person.name, line1: person.line1, city: person.city, postcode: "1070", country: "AT" };
  await send("PATCH", "/v1/me/account", { name: person.account, addresses: { shipping: address, billing: address } });
  await send("PATCH", "/v1/me", { searchHistory: true });
  await send("POST", "/v1/groups", { name: person.group });
  await send("POST", "/v1/searches", { term: person.term });
  await send("POST", "/v1/users", { email: person.colleague, role: "viewer" });
  await send("POST", "/v1/keys", { name: person.account, scope: "write" });
  await send("POST", "/v1/sessions", { email: person.email, password: PASSWORD });
  const { url } = (await (await send("POST", "/v1/me/exports", {})).json()) as { url: string };
  await (await send("GET", new URL(url).pathname)).arrayBuffer();
  const sold = [...person.imeis, person.spare].map((imei) => ({ imei, model: "T366", orderReference: person.order }));
  const { data } = (await (await admin(platform, "/v1/admin/activations", { devices: sold })).json()) as Activations;
  const devices: number[] = [];
  for (const imei of person.imeis) {
    const code = data.find((row) => row.imei === imei)?.code;
    const body = { imei, code, name: `${person.device} ${devices.length}`, model: "T366" };
    const { id } = (await (await send("POST", "/v1/devices", body)).json()) as { id: number };
    devices.push(id);
  }
  await drive(platform, [person], REPORTS, 0);
  await come(customer, devices, REPORTS - 1);
  // Until they are that many, positions wait; the removal of a device settles whatever does.
  const spare = { imei: person.spare, code: data.find((row) => row.imei === person.spare)?.code, name: person.device };
  const { id } = (await (await send("POST", "/v1/devices", { ...spare, model: "T366" })).json()) as { id: number };
  await send("DELETE", `/v1/devices/${id}`);
  await send("POST", `/v1/devices/${devices[0]}/commands`, { code: "E91" });
  return devices;
}

/** Waits until the report of that number is the last of each device. */
async function come(customer: Customer, devices: readonly number[], number: number): Promise<void> {
  for (const id of devices) {
    await until(`report ${number} has come`, async () => {
      const { data } = (await customer.read(`/v1/devices/${id}/positions?limit=1&order=desc`)) as Positions;
      return data[0]?.odometerM === number;
    });
  }
}

/** Reports of every tracker, numbered from `first`. */
async function drive(platform: Platform, people: readonly Person[], count: number, first: number): Promise<void> {
  const tracker = new Tracker(platform.bridgePort);
  const begin = Math.floor(Date.now() / 1000) * 1000 - (REPORTS + 1000) * STEP_MS;
  for (let n = first; n < first + count; n++) {
    for (const { imeis, place, driver } of people) {
      for (const imei of imeis) {
        const report = {
          ...{ event: { code: n % 50 === 1 ? 1 : 37 }, fixTime: begin + n * STEP_MS, valid: true, odometerM: n },
          ...{ latitude: place[0], longitude: place[1], driverId: driver },
        };
        tracker.send(encodeAaa({ identifier: "A", imei, report, model: "T366" }));
      }
    }
    if (n % 20 === 0) await wait(1);
  }
  await wait(200);
  tracker.close();
}
