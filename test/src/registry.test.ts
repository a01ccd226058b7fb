import { afterEach, beforeEach, expect, test } from "vitest";
import { scaleOf } from "../../codec/models.ts";
import { bucketOf } from "../../src/inbox.ts";
import { LIMITS } from "../../src/limits.ts";
import { bridgeOf, NO_DEVICE, NOT_READ, Registry, registryOf } from "../../src/registry.ts";
import { readRegistry } from "../../src/store/registry.ts";
import { aBase, aDatabase, aDevice, anImei, NOON, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(() => database.close());

const encoder = new TextEncoder();

function find(registry: Registry, imei: string): number {
  const bytes = encoder.encode(`,${imei},`);
  return registry.find(bytes, 1, bytes.length - 1);
}

async function learned(registry: Registry, imeis: string[]) {
  registry.learn(await readRegistry(database.db, 0, imeis), imeis);
}

test("Registry.find() gives a device that was read, with what ingest needs of it", async () => {
  const device = await aDevice(database.db, { model: "T366", clockOffsetMinutes: 480, confirmCce: 1 });
  const registry = new Registry();
  expect(find(registry, device.imei)).toBe(NOT_READ);
  await learned(registry, [device.imei]);
  expect(registry.devices[find(registry, device.imei)]).toEqual({
    ...device,
    clockOffsetMinutes: 480,
    confirmCce: true,
    collection: 0,
    database: null,
    held: false,
    erased: null,
    suspended: null,
    createdAt: NOON,
    scale: scaleOf("T366"),
    offsetS: 8 * 3600,
    bucket: bucketOf(device.accountId, device.id),
  });
});

test("Registry.find() remembers which IMEIs belong to nobody, and never asks for what cannot be registered", async () => {
  const registry = new Registry();
  const unknown = anImei();
  await learned(registry, [unknown]);
  expect(find(registry, unknown)).toBe(NO_DEVICE);
  for (const imei of ["", "1", "35335801778406", "3533580177840620", "35335801778406X", "ABCDEFGHIJKLMNO"]) {
    expect(find(registry, imei), imei).toBe(NO_DEVICE);
  }
});

test("Registry.find() keeps many IMEIs apart, leading zeros included", () => {
  const registry = new Registry();
  const imeis = Array.from({ length: 20_000 }, (_, i) => String(i * 7919).padStart(15, "0"));
  const devices = imeis.map((imei, id) => ({
    id,
    accountId: 1,
    imei,
    model: null,
    clockOffsetMinutes: 0,
    confirmCce: false,
    collection: 0,
    database: null,
    held: false,
    createdAt: NOON,
    erased: null,
    suspended: null,
  }));
  registry.learn({ version: 1, bridgeId: 0, bridge: true, silenced: false, devices }, imeis);
  for (const [id, imei] of imeis.entries()) expect(registry.devices[find(registry, imei)].id).toBe(id);
  expect(find(registry, "000000000000001")).toBe(NOT_READ);
});

test("Registry.learn() begins again with another version, and when it holds too much", () => {
  const registry = new Registry();
  const imei = anImei();
  registry.learn({ version: 1, bridgeId: 0, bridge: true, silenced: false, devices: [] }, [imei]);
  registry.learn({ version: 2, bridgeId: 0, bridge: true, silenced: false, devices: [] }, []);
  expect(find(registry, imei)).toBe(NOT_READ);
  const many = Array.from({ length: LIMITS.registryEntries + 1 }, (_, i) => String(i).padStart(15, "0"));
  registry.learn({ version: 2, bridgeId: 0, bridge: true, silenced: false, devices: [] }, many);
  expect(find(registry, many[0])).toBe(NO_DEVICE);
  registry.learn({ version: 2, bridgeId: 0, bridge: true, silenced: false, devices: [] }, [imei]);
  expect([find(registry, many[0]), find(registry, imei)]).toEqual([NOT_READ, NO_DEVICE]);
});

test("readRegistry() leaves out a device that is being removed", async () => {
  const device = await aDevice(database.db);
  await database.client.execute("UPDATE devices SET deleting_at = 1");
  expect((await readRegistry(database.db, 0, [device.imei])).devices).toEqual([]);
});

test("readRegistry() says whether the bridge still may deliver", async () => {
  await database.client.execute("INSERT INTO bridges (id, name, hash, created_at) VALUES (1, 'b', 'h', 1)");
  expect((await readRegistry(database.db, 0, [])).bridge).toBe(true);
  expect((await readRegistry(database.db, 1, [])).bridge).toBe(true);
  expect((await readRegistry(database.db, 2, [])).bridge).toBe(false);
  await database.client.execute("UPDATE bridges SET revoked_at = 2");
  expect((await readRegistry(database.db, 1, [])).bridge).toBe(false);
});

test("bridgeOf() reads a bridge once per registry version", async () => {
  await database.client.execute("INSERT INTO bridges (id, name, hash, created_at) VALUES (7, 'b', 'h', 1)");
  expect(await bridgeOf(base, "h")).toBe(7);
  expect(await bridgeOf(base, "nobody's")).toBeNull();
  const execute = database.client.execute.bind(database.client);
  database.client.execute = () => Promise.reject(new Error("not again"));
  expect(await bridgeOf(base, "h")).toBe(7);
  database.client.execute = execute;
  await database.client.execute("UPDATE bridges SET revoked_at = 2");
  registryOf(base).learn(await readRegistry(database.db, 0, []), []);
  expect(await bridgeOf(base, "h")).toBeNull();
});
