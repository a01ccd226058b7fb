import { afterEach, beforeEach, expect, test } from "vitest";
import { RequestWriter, readResponse } from "../../codec/envelope.ts";
import { encodeFrame } from "../../codec/frame.ts";
import { ingest } from "../../src/ingest.ts";
import { LIMITS } from "../../src/limits.ts";
import { clearedTracker, clearTracker, isOver } from "../../src/tracker-erasure.ts";
import { aBase, aDatabase, aDevice, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let device: Awaited<ReturnType<typeof aDevice>>;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  device = await aDevice(database.db);
});
afterEach(() => database.close());

const NO_COMMAND = { phones: "unknown", listeners: "unknown", cards: "unknown", pictures: "unknown" };
const cleared = () => clearedTracker(base, device.accountId, device.id);
const clear = () => clearTracker(base, device.accountId, device.id);

/** An exchange as a bridge makes it. */
async function exchanged(frames: readonly Uint8Array[], claims: readonly number[] = []) {
  const request = new RequestWriter();
  for (const frame of frames) request.frame(1, 0, base.now(), frame);
  for (const id of claims) request.claim(id, 1);
  const response = readResponse(await ingest(base, 0, request.finish().slice()));
  await base.settled();
  return response;
}
const heartbeat = () => encodeFrame({ direction: "up", identifier: "A", imei: device.imei, type: "AAC", content: "" });

test("a tracker that is there is told to delete its cache, and says that it has", async () => {
  expect(await clear()).toEqual({ cache: "waiting", ...NO_COMMAND });
  const { offers } = await exchanged([heartbeat()]);
  expect(offers).toMatchObject([{ imei: device.imei }]);
  const { downlinks } = await exchanged([], [offers[0]!.commandId]);
  const text = new TextDecoder("latin1").decode(downlinks[0]!.bytes);
  expect(text).toContain(`${device.imei},F09,3*`);
  expect(isOver(await cleared())).toBe(false);
  expect(await cleared()).toMatchObject({ cache: "sent" });
  const identifier = text[2]!;
  await exchanged([encodeFrame({ direction: "up", identifier, imei: device.imei, type: "F09", content: "OK" })]);
  expect(await cleared()).toEqual({ cache: "confirmed", ...NO_COMMAND });
  expect(isOver(await cleared())).toBe(true);
});

test("one that is silent was offline, soon", async () => {
  await clear();
  base.advance(LIMITS.clearTtlMs);
  expect(await cleared()).toMatchObject({ cache: "offline" });
  expect(isOver(await cleared())).toBe(true);
});

test("asked again nothing is queued twice", async () => {
  for (let i = 0; i < 3; i++) await clear();
  expect((await database.client.execute("SELECT count(*) FROM commands")).rows[0]![0]).toBe(1);
});

test("a device of another account, or one that is marked, is told nothing", async () => {
  const other = await aDevice(database.db);
  await clearTracker(base, other.accountId, device.id);
  await database.client.execute(`UPDATE devices SET deleting_at = 1 WHERE id = ${device.id}`);
  expect(await clear()).toMatchObject({ cache: "offline" });
  expect((await database.client.execute("SELECT count(*) FROM commands")).rows[0]![0]).toBe(0);
});
