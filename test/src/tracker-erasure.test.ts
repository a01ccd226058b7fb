import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { verifyReceipt } from "../../client/receipt.ts";
import { RequestWriter, readResponse } from "../../codec/envelope.ts";
import { encodeFrame } from "../../codec/frame.ts";
import { queueCommand } from "../../src/commands.ts";
import { deleteDevice, deviceOf } from "../../src/devices.ts";
import { carryOut } from "../../src/erasure.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { ingest } from "../../src/ingest.ts";
import { LIMITS } from "../../src/limits.ts";
import { finishRemovals } from "../../src/retention.ts";
import { markBridgeSeen } from "../../src/store/overview.ts";
import { destroyAccount } from "../../src/vault.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";
import { stopping } from "./stopping.ts";

type Device = Awaited<ReturnType<typeof aDevice>>;

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  // The clock stands still unless a test moves it: then a run waits for nobody.
  Object.assign(LIMITS, { clearPollMs: 10 });
});
afterEach(() => {
  Object.assign(LIMITS, { clearPollMs });
  database.close();
});
const { clearPollMs } = LIMITS;

const NO_COMMAND = (n: number) => ({
  phones: { unknown: n },
  listeners: { unknown: n },
  cards: { unknown: n },
  pictures: { unknown: n },
});

/** A device that a bridge holds the connection of. */
async function anOnlineDevice(spec: { accountId?: number } = {}, rests = true): Promise<Device> {
  const device = await aDevice(database.db, { ...spec, createdAt: base.now() - 3_600_000 });
  await stored(base, device, [{ fixTime: base.now() - 60_000 }]);
  if (rests) await settled(base);
  await markBridgeSeen(database.db, 0, base.now());
  return device;
}

/** An exchange as a bridge makes it. */
async function exchanged(frames: readonly Uint8Array[], claims: readonly number[] = []) {
  const request = new RequestWriter();
  for (const frame of frames) request.frame(1, 0, base.now(), frame);
  for (const id of claims) request.claim(id, 1);
  const response = readResponse(await ingest(base, 0, request.finish().slice()));
  await base.settled();
  return response;
}

const upOf = ({ imei }: Device, identifier: string, type: string, content: string) =>
  encodeFrame({ direction: "up", identifier, imei, type, content });

/** What is offered to a bridge, taken by it: the frames that it writes to its trackers. */
async function taken(): Promise<string[]> {
  const { offers } = await exchanged([]);
  const { downlinks } = await exchanged(
    [],
    offers.map(({ commandId }) => commandId),
  );
  return downlinks.map(({ bytes }) => new TextDecoder("latin1").decode(bytes));
}

let asked = 0;
async function ask(accountId: number, scope: ErasureScope): Promise<number> {
  const { lastInsertRowid } = await database.client.execute({
    sql: `INSERT INTO requests (name, type, state, level, account_id, scope, received_at, verified_at, deadline)
      VALUES (?, 'erase', 'verified', 'V0', ?, ?, ?, ?, ?)`,
    args: [
      `trackers-of-tests-${String(asked++).padStart(4, "0")}`,
      accountId,
      JSON.stringify(scope),
      NOON,
      NOON,
      NOON + 86_400_000,
    ],
  });
  return Number(lastInsertRowid);
}

async function placeHold(accountId: number, scope: ErasureScope): Promise<void> {
  await database.client.execute({
    sql: `INSERT INTO legal_holds (name, account_id, basis, reference, scope, placed_by, placed_at, confirmed_by,
      confirmed_at, review_at, expires_at) VALUES (?, ?, 'court_order', 'F-1/26', ?, 901, ?, 902, ?, ?, ?)`,
    args: [`hold-${accountId}`, accountId, JSON.stringify(scope), NOON, NOON, NOON + 86_400_000, NOON + 86_400_000],
  });
}

const value = async (sql: string, ...args: number[]) => (await database.client.execute({ sql, args })).rows[0]?.[0];
const stateOf = (id: number) => value("SELECT state FROM requests WHERE id = ?", id);

/** What its receipt says of the trackers. */
async function saidIn(id: number): Promise<unknown> {
  const body = String(await value("SELECT body FROM receipts WHERE request_id = ?", id));
  expect((await verifyReceipt(body)).ok).toBe(true);
  const { stores } = JSON.parse(body) as { stores: { name: string; evidence: unknown }[] };
  return stores.find(({ name }) => name === "trackers")?.evidence;
}

describe("the trackers of what is erased", () => {
  test("delete what they hold when they are there, and the receipt says who has", async () => {
    const device = await anOnlineDevice();
    const id = await ask(device.accountId, { kind: "account" });
    await carryOut(base);
    // It is closed already, and nothing that is destroyed comes back: the key that opens the command goes last.
    expect(await stateOf(id)).toBe("frozen");
    expect(await value("SELECT deleting_at FROM devices WHERE id = ?", device.id)).toBe(NOON);
    const [frame] = await taken();
    expect(frame).toContain(`${device.imei},F09,3*`);
    base.advance(2000);
    const { frames } = await exchanged([upOf(device, frame![2]!, "F09", "OK")]);
    expect(frames).toHaveLength(1);
    base.advance(LIMITS.erasureRetryMs);
    expect(await carryOut(base)).toBe(1);
    expect(await saidIn(id)).toEqual({ cache: { confirmed: 1 }, ...NO_COMMAND(1) });
    for (const table of ["commands", "devices", "unclaimed", "segments"])
      expect(await value(`SELECT count(*) FROM ${table}`), table).toBe(0);
  });

  test("are heard within the run that has told them", async () => {
    const device = await anOnlineDevice();
    const id = await ask(device.accountId, { kind: "account" });
    Object.assign(LIMITS, { clearPollMs: 20 });
    const began = Date.now();
    base.now = () => NOON + Date.now() - began;
    const heard = (async () => {
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const [frame] = await taken();
        if (frame !== undefined) return exchanged([upOf(device, frame[2]!, "F09", "OK")]);
      }
    })();
    expect(await carryOut(base)).toBe(1);
    await heard;
    expect(await saidIn(id)).toEqual({ cache: { confirmed: 1 }, ...NO_COMMAND(1) });
  });

  test("are told to delete it also when they are suspended, and nothing else", async () => {
    const { accountId } = await anOnlineDevice();
    await database.client.execute({
      sql: "INSERT INTO suspensions (account_id, kind, since) VALUES (?, 'legislation', ?)",
      args: [accountId, NOON],
    });
    await ask(accountId, { kind: "account" });
    await carryOut(base);
    expect((await taken()).map((frame) => frame.includes(",F09,"))).toEqual([true]);
  });

  test("are not waited for when they are silent for long, or no bridge is there", async () => {
    for (const isSilent of [true, false]) {
      const device = await anOnlineDevice();
      base.advance(isSilent ? LIMITS.clearOnlineMs : LIMITS.bridgeLatelyMs + 1);
      if (isSilent) await markBridgeSeen(database.db, 0, base.now());
      const id = await ask(device.accountId, { kind: "account" });
      expect(await carryOut(base)).toBe(1);
      expect(await saidIn(id)).toEqual({ cache: { offline: 1 }, ...NO_COMMAND(1) });
    }
  });

  test("that never answer, refuse or are not reached do not keep it from being done in time", async () => {
    const silent = await anOnlineDevice();
    const { accountId } = silent;
    const refusing = await anOnlineDevice({ accountId });
    const away = await anOnlineDevice({ accountId }, false);
    const parked = await aDevice(database.db, { accountId });
    const id = await ask(accountId, { kind: "account" });
    const others = await anOnlineDevice();
    await carryOut(base);
    const { offers } = await exchanged([]);
    expect(offers.map(({ imei }) => imei).sort()).toEqual([silent.imei, refusing.imei, away.imei].sort());
    const claims = offers.filter(({ imei }) => imei !== away.imei).map(({ commandId }) => commandId);
    const { downlinks } = await exchanged([], claims);
    const texts = downlinks.map(({ bytes }) => new TextDecoder("latin1").decode(bytes));
    const identifier = texts.find((text) => text.includes(refusing.imei))![2]!;
    await exchanged([upOf(refusing, identifier, "F09", "ERROR"), upOf(others, identifier, "F09", "OK")]);
    for (let waited = 0; waited < LIMITS.clearMs; waited += LIMITS.erasureRetryMs) {
      expect(await carryOut(base)).toBe(0);
      base.advance(LIMITS.erasureRetryMs);
    }
    expect(await carryOut(base)).toBe(1);
    const cache = { sent: 1, refused: 1, offline: 2 };
    expect(await saidIn(id)).toEqual({ cache, ...NO_COMMAND(4) });
    expect(await value("SELECT count(*) FROM devices WHERE id = ?", parked.id)).toBe(0);
  });

  test("are not told when they are under a hold, and the receipt says so", async () => {
    const held = await anOnlineDevice();
    const { accountId } = held;
    const other = await anOnlineDevice({ accountId });
    await placeHold(accountId, { kind: "range", device: held.id, from: NOON - 86_400_000, to: NOON });
    const id = await ask(accountId, { kind: "account" });
    await carryOut(base);
    const frames = await taken();
    expect(frames).toEqual([expect.stringContaining(`${other.imei},F09,3*`)]);
    await exchanged([upOf(other, frames[0]![2]!, "F09", "OK")]);
    base.advance(LIMITS.erasureRetryMs);
    await carryOut(base);
    expect(await stateOf(id)).toBe("partially_cleared");
    expect(await saidIn(id)).toEqual({ cache: { confirmed: 1, held: 1 }, ...NO_COMMAND(2) });
  });

  test("get no other command, and none when the tracker is somebody else's by now", async () => {
    const device = await anOnlineDevice();
    const ctx = aContext(base, asUser(device.accountId, (await aUser(database.db, { ...device, role: "owner" })).id));
    const command = { code: "A10", arguments: {}, ttlSeconds: 600 } as const;
    await queueCommand(ctx, await deviceOf(ctx, device.id), command);
    await ask(device.accountId, { kind: "devices", devices: [device.id] });
    await carryOut(base);
    expect((await exchanged([])).offers).toHaveLength(1);
    const next = await aDevice(database.db, { imei: device.imei });
    expect((await exchanged([])).offers).toEqual([]);
    const { rows } = await database.client.execute("SELECT id FROM commands WHERE code = 'F09'");
    expect((await exchanged([], [Number(rows[0]![0])])).downlinks).toEqual([]);
    await database.client.execute({ sql: "DELETE FROM devices WHERE id = ?", args: [next.id] });
    expect(await taken()).toEqual([expect.stringContaining("F09,3")]);
    expect(await value("SELECT state FROM commands WHERE code = 'A10'")).toBe("queued");
  });

  test("answer late: it is taken, kept by nobody, and costs nothing else of its batch", async () => {
    const device = await anOnlineDevice();
    const other = await anOnlineDevice();
    await ask(device.accountId, { kind: "account" });
    await carryOut(base);
    const [frame] = await taken();
    await destroyAccount(base, device.accountId);
    const heartbeat = upOf(other, "A", "AAC", "");
    const { frames } = await exchanged([upOf(device, frame![2]!, "F09", "OK"), heartbeat]);
    expect(frames).toHaveLength(2);
    const { rows } = await database.client.execute("SELECT state, reply, reply_index FROM commands");
    expect(rows.map((row) => Object.values(row))).toEqual([["acked", null, null]]);
    expect(await value("SELECT count(*) FROM unclaimed")).toBe(0);
  });

  test("are waited for no longer where the clock is set back", async () => {
    const device = await anOnlineDevice();
    await ask(device.accountId, { kind: "account" });
    expect(await carryOut(base)).toBe(0);
    base.at(NOON - 3_600_000);
    await database.client.execute("UPDATE requests SET due_at = 0, held_until = 0");
    expect(await carryOut(base)).toBe(1);
  });

  test("that cannot be told keep nothing from being erased", async () => {
    const device = await anOnlineDevice();
    await database.client.execute("DROP TABLE bridge_seen");
    const id = await ask(device.accountId, { kind: "account" });
    expect(await carryOut(base)).toBe(1);
    expect(base.logged.some((line) => line.startsWith("error tracker.untold"))).toBe(true);
    expect(await stateOf(id)).toBe("cleared");
  });

  test("are told once, wherever it stops", async () => {
    for (let stopAt = 1; ; stopAt++) {
      base.at(NOON);
      const device = await anOnlineDevice();
      const id = await ask(device.accountId, { kind: "account" });
      const stop = stopping(database, stopAt);
      await carryOut(base).catch(() => undefined);
      const stopped = stop();
      const frames: string[] = [];
      for (let run = 0; run < 10 && (await stateOf(id)) !== "cleared"; run++) {
        await carryOut(base);
        for (const frame of await taken()) {
          frames.push(frame);
          await exchanged([upOf(device, frame[2]!, "F09", "OK")]);
        }
        base.advance(LIMITS.erasureRetryMaxMs);
        await markBridgeSeen(database.db, 0, base.now());
      }
      expect(await stateOf(id), `stopped at ${stopAt}`).toBe("cleared");
      expect(frames.length).toBeLessThan(2);
      const { cache } = (await saidIn(id)) as { cache: Record<string, number> };
      expect([{ confirmed: 1 }, { offline: 1 }, { sent: 1 }]).toContainEqual(cache);
      if (!stopped) {
        expect(cache).toEqual({ confirmed: 1 });
        break;
      }
    }
  }, 120_000);
});

describe("deleteDevice()", () => {
  const removed = async (device: Device) => {
    const user = await aUser(database.db, { accountId: device.accountId, role: "owner" });
    await deleteDevice(aContext(base, asUser(device.accountId, user.id)), device.id);
  };
  const isThere = async ({ id }: Device) => (await value("SELECT count(*) FROM devices WHERE id = ?", id)) === 1;

  test("tells a tracker that is there; its row goes when that has answered", async () => {
    // What it sent waits in the inbox, as it mostly does.
    const device = await anOnlineDevice({}, false);
    await removed(device);
    // Its track is gone at once.
    expect(await value("SELECT count(*) FROM segments")).toBe(0);
    expect(await finishRemovals(base)).toBe(0);
    const [frame] = await taken();
    expect(frame).toContain("F09,3*");
    await exchanged([upOf(device, frame![2]!, "F09", "OK")]);
    expect(await isThere(device)).toBe(true);
    expect(await finishRemovals(base)).toBe(1);
    expect(await isThere(device)).toBe(false);
  });

  test("does not tell a tracker of which a hold keeps what it has sent", async () => {
    const device = await anOnlineDevice();
    await placeHold(device.accountId, { kind: "account" });
    await removed(device);
    expect(await taken()).toEqual([]);
    expect(await isThere(device)).toBe(false);
  });

  test("does not wait for one that is silent, nor long for one that does not answer", async () => {
    const silent = await aDevice(database.db);
    await removed(silent);
    expect(await isThere(silent)).toBe(false);
    const device = await anOnlineDevice();
    await removed(device);
    await taken();
    base.advance(LIMITS.clearMs);
    expect(await finishRemovals(base)).toBe(1);
    expect(await isThere(device)).toBe(false);
  });
});

test("finishRemovals() leaves the devices of an erasure to that", async () => {
  const device = await anOnlineDevice();
  const id = await ask(device.accountId, { kind: "devices", devices: [device.id] });
  await carryOut(base);
  base.advance(LIMITS.clearMs);
  expect(await finishRemovals(base)).toBe(0);
  expect(await carryOut(base)).toBe(1);
  expect(await stateOf(id)).toBe("cleared");
});
