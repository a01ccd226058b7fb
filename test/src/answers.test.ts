import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeCommand } from "../../codec/commands.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import { encodeFrame } from "../../codec/frame.ts";
import { ingest } from "../../src/ingest.ts";
import { commandById, insertCommand } from "../../src/store/commands.ts";
import { aBase, aDatabase, aDevice, NOON, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let device: { id: number; accountId: number; imei: string };
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  device = await aDevice(database.db);
});
afterEach(() => database.close());

/** A command that a bridge has taken down to the device. */
async function sent(identifier: string): Promise<number> {
  const { id: deviceId, accountId, imei } = device;
  const command = { code: "C01", arguments: { speedKmh: 0, outputs: "12222" } };
  const { id } = await insertCommand(database.db, accountId, {
    deviceId,
    ...command,
    identifier,
    frame: encodeCommand({ imei, identifier, ...command }),
    createdAt: NOON,
    expiresAt: NOON + 60_000,
  });
  const request = new RequestWriter();
  request.claim(id, 7);
  await ingest(base, 0, request.finish());
  return id;
}

/** Delivers the replies of one moment, as one request of the bridge. */
async function reply(receivedAt: number, ...identifiers: string[]): Promise<void> {
  const request = new RequestWriter();
  for (const identifier of identifiers) {
    const bytes = encodeFrame({ direction: "up", identifier, imei: device.imei, type: "C01", content: "OK" });
    request.frame(7, 0, receivedAt, bytes);
  }
  await ingest(base, 0, request.finish());
}

const states = (...ids: number[]) => {
  const reach = { accountId: device.accountId, devices: null };
  return Promise.all(ids.map(async (id) => (await commandById(database.db, reach, device.id, id, NOON))?.state));
};

test("answersOf() takes a reply that is delivered again for no other command's", async () => {
  for (const identifier of ["a", "x"]) {
    const [first, second] = [await sent("a"), await sent("b")];
    base.advance(5000);
    await reply(base.now(), identifier);
    await reply(base.now(), identifier);
    expect(await states(first, second)).toEqual(["acked", "sent"]);
    base.advance(5000);
    await reply(base.now(), "b");
    expect(await states(second)).toEqual(["acked"]);
  }
});

test("answersOf() gives each of two replies of one moment to its command, in one request or in two", async () => {
  const commands = [await sent("a"), await sent("b"), await sent("c"), await sent("d")];
  await reply(NOON, "x", "y");
  expect(await states(...commands)).toEqual(["acked", "acked", "sent", "sent"]);
  base.advance(1000);
  await reply(NOON + 1000, "c");
  await reply(NOON + 1000, "d");
  expect(await states(...commands)).toEqual(["acked", "acked", "acked", "acked"]);
});
