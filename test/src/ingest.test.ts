import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bytesOf, latin1 } from "../../codec/bytes.ts";
import { encodeCommand } from "../../codec/commands.ts";
import { encodeAaa, encodeAff, encodeCcc, encodeCce, type Report } from "../../codec/encode.ts";
import { OUTCOME_NAMES, RequestWriter, readResponse } from "../../codec/envelope.ts";
import { CodecError } from "../../codec/errors.ts";
import { encodeFrame } from "../../codec/frame.ts";
import type { Ctx } from "../../src/context.ts";
import { ingest } from "../../src/ingest.ts";
import { LIMITS } from "../../src/limits.ts";
import { history, latest } from "../../src/positions.ts";
import { commandById, insertCommand } from "../../src/store/commands.ts";
import { changeKey, readSettlement, takeLease } from "../../src/store/inbox.ts";
import { listUnclaimed } from "../../src/unclaimed.ts";
import { newInboxKey } from "../../src/vault.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anImei,
  asKey,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled } from "../stored.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;

let database: TestDatabase;
let base: TestBase;
let device: { id: number; accountId: number; imei: string };

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  device = await aDevice(database.db, { model: "T366" });
});
afterEach(() => database.close());

const ownerOf = ({ accountId }: { accountId: number }): Ctx => aContext(base, asKey(accountId));
const trackOf = async (owned: { id: number; accountId: number }) => (await history(ownerOf(owned), owned.id)).data;

function report(minute: number, more: Partial<Report> = {}): Report {
  return {
    event: { code: 35 },
    fixTime: NOON + minute * MINUTE,
    valid: true,
    latitude: 22.513015,
    longitude: 114.057235,
    ...more,
  };
}
const aaa = (minute = 0, more: Partial<Report> = {}, identifier = "A", imei = device.imei) =>
  encodeAaa({ identifier, imei, report: report(minute, more) });
const ccc = (minutes: number[], identifier = "B") =>
  encodeCcc({ identifier, imei: device.imei, reports: minutes.map((minute) => report(minute)) });
const frame = (type: string, content?: string, identifier = "C", imei = device.imei) =>
  encodeFrame({ direction: "up", identifier, imei, type, ...(content === undefined ? {} : { content }) });

interface Sent {
  frames?: (Uint8Array | [bytes: Uint8Array, receivedAt: number])[];
  claims?: [commandId: number, connection: number][];
  releases?: number[];
  bridgeId?: number;
}

async function send({ frames = [], claims = [], releases = [], bridgeId = 0 }: Sent = {}) {
  const request = new RequestWriter();
  for (const release of releases) request.release(release);
  for (const entry of frames) {
    const [bytes, receivedAt] = Array.isArray(entry) ? entry : [entry, base.now()];
    request.frame(7, 0, receivedAt, bytes);
  }
  for (const [commandId, connection] of claims) request.claim(commandId, connection);
  const response = readResponse(await ingest(base, bridgeId, request.finish().slice()));
  await base.settled();
  return {
    outcomes: response.frames.map(({ outcome }) => OUTCOME_NAMES[outcome]),
    replies: response.frames.map(({ reply }) => latin1(reply)),
    downlinks: response.downlinks.map(({ bytes, ...rest }) => ({ ...rest, bytes: latin1(bytes) })),
    offers: response.offers,
  };
}

/** Positions that segments hold once everything is settled. */
const count = () => settled(base);

/** Counts the round trips of `work`. */
async function trips(work: () => Promise<unknown>): Promise<number> {
  const { batch, execute } = database.client;
  let calls = 0;
  database.client.batch = (...args) => {
    calls += 1;
    return batch.apply(database.client, args);
  };
  database.client.execute = ((...args: [never]) => {
    calls += 1;
    return execute.apply(database.client, args);
  }) as typeof execute;
  await work();
  Object.assign(database.client, { batch, execute });
  return calls;
}

describe("positions", () => {
  test("of every type of report are stored and can be read, the tracker's acknowledgement comes with it", async () => {
    const { outcomes, replies } = await send({
      frames: [
        aaa(0),
        encodeAff({ identifier: "h", imei: device.imei, report: report(1), remaining: 4 }),
        ccc([2, 3, 4], "G"),
        encodeCce({ identifier: "Y", imei: device.imei, reports: [report(5), report(6)] }),
      ],
    });
    expect(outcomes).toEqual(["stored", "stored", "stored", "stored"]);
    const answer = (identifier: string, type: string, content: string) =>
      latin1(encodeFrame({ direction: "down", identifier, imei: device.imei, type, content }));
    expect(replies).toEqual(["", answer("h", "AFF", "1"), answer("G", "CCC", "3"), ""]);
    const track = await trackOf(device);
    expect(track.map((position) => (Date.parse(position.fixTime) - NOON) / MINUTE)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    for (const position of track) {
      expect(position).toMatchObject({ deviceId: device.id, latitude: 22.513015, longitude: 114.057235, valid: true });
      expect(position.receivedAt).toBe(new Date(NOON).toISOString());
    }
    const newest = (await latest(ownerOf(device))).data[0];
    expect(newest.fixTime).toBe(new Date(NOON + 6 * MINUTE).toISOString());
  });

  test("cost one round trip a batch, however many devices and frames, once the devices are known", async () => {
    const devices = await Promise.all(Array.from({ length: 50 }, () => aDevice(database.db)));
    const batch = (minute: number) => devices.map(({ imei }) => aaa(minute, {}, "A", imei));
    await send({ frames: [aaa(0)] });
    expect(await trips(() => send({ frames: batch(0) }))).toBe(2);
    expect(await trips(() => send({ frames: batch(1) }))).toBe(1);
    expect(await count()).toBe(101);
  });

  test("delivered again are duplicates, acknowledged again and stored once, also eight times at once", async () => {
    const frames = [aaa(0), ccc([1, 2])];
    const first = await send({ frames });
    const again = await Promise.all(Array.from({ length: 8 }, () => send({ frames })));
    for (const { outcomes, replies } of again) {
      expect(outcomes).toEqual(["duplicate", "duplicate"]);
      expect(replies).toEqual(first.replies);
    }
    expect(await count()).toBe(3);
  });

  test("sent again in other frames are the same positions, whatever the frame around them", async () => {
    await send({ frames: [ccc([0, 1, 2])] });
    const { outcomes, replies } = await send({ frames: [ccc([2, 3], "X"), ccc([0, 1], "Z"), aaa(9), aaa(9, {}, "Q")] });
    // What comes twice within a batch is found when it is settled.
    expect(outcomes).toEqual(["stored", "duplicate", "stored", "stored"]);
    expect(replies[0]).toContain(",CCC,2*");
    expect(await trackOf(device)).toHaveLength(5);
    expect(await count()).toBe(5);
  });

  test("of one moment that differ are all kept", async () => {
    await send({ frames: [aaa(0), aaa(0, { event: { code: 1 } }), aaa(0, { latitude: 22.5 })] });
    expect(await count()).toBe(3);
  });

  test("that arrive in any order and days late end in the same track", async () => {
    const minutes = [5, 1, 4, -7 * 1440, 3, 2];
    for (const minute of minutes) await send({ frames: [aaa(minute)] });
    const track = await trackOf(device);
    expect(track.map((position) => (Date.parse(position.fixTime) - NOON) / MINUTE)).toEqual([-10080, 1, 2, 3, 4, 5]);
  });

  test("use the voltages of the device's model and the offset of its clock, at once after a change", async () => {
    await send({ frames: [aaa(0, { batteryV: 4.1 })] });
    await database.client.execute("UPDATE devices SET clock_offset_minutes = 480");
    await send({ frames: [[aaa(480 + 1), NOON + MINUTE]] });
    const track = await trackOf(device);
    expect(track[1].fixTime).toBe(new Date(NOON + MINUTE).toISOString());
    expect(track[0].batteryV).toBeGreaterThan(0);
  });
});

describe("a frame that fails costs only itself", () => {
  test("when it is damaged, not an uplink, or holds nothing that can be read", async () => {
    const damaged = aaa(1);
    damaged[damaged.length - 4] ^= 1;
    const broken: Uint8Array[] = [
      damaged,
      new Uint8Array(0),
      bytesOf("garbage"),
      aaa(2).subarray(0, 40),
      new Uint8Array([...aaa(3), 0]),
      new Uint8Array([...aaa(4), ...aaa(5)]),
      encodeFrame({ direction: "down", identifier: "A", imei: device.imei, type: "AAA", content: "35" }),
      frame("AAA", "35,north,east"),
      frame("CCC", "\u0001"),
    ];
    const { outcomes, replies } = await send({ frames: [aaa(0), ...broken, aaa(6)] });
    expect(outcomes).toEqual(["stored", ...broken.map(() => "invalid"), "stored"]);
    expect(replies.join("")).toBe("");
    expect(await count()).toBe(2);
  });

  test("however it is damaged: its neighbours are stored, and only a right frame is", async () => {
    const types = [aaa(1), ccc([2, 3]), encodeCce({ identifier: "Y", imei: device.imei, reports: [report(4)] })];
    let minute = 100;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...types),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }),
        fc.option(fc.nat(), { nil: undefined }),
        async (right, changes, cut) => {
          const damaged = right.slice();
          for (const [at, value] of changes) damaged[at % damaged.length] = value;
          const frames = [aaa(minute++), damaged.subarray(0, cut === undefined ? undefined : cut % damaged.length)];
          const { outcomes } = await send({ frames: [...frames, aaa(minute++)] });
          expect([outcomes[0], outcomes[2]]).toEqual(["stored", "stored"]);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("but an envelope that cannot be read is refused whole", async () => {
    await expect(ingest(base, 0, bytesOf("EPB0\u0000\u0000\u0000\u0000"))).rejects.toThrow(CodecError);
    const request = new RequestWriter();
    request.frame(1, 0, NOON, aaa(0));
    const cut = request.finish().slice(0, -1);
    await expect(ingest(base, 0, cut)).rejects.toThrow(CodecError);
    expect(await count()).toBe(0);
  });

  test("pictures and firmware exchanges are understood and not kept", async () => {
    const { outcomes } = await send({ frames: [frame("D00", "a.jpg,10,0,abc"), frame("FC1", "1"), frame("AAC", "1")] });
    expect(outcomes).toEqual(["refused", "refused", "stored"]);
  });
});

describe("unknown devices", () => {
  test("are not stored and not answered; an operator sees the IMEI", async () => {
    const imei = anImei();
    const stranger = encodeCcc({ identifier: "A", imei, reports: [report(0)] });
    const { outcomes, replies } = await send({
      frames: [stranger, aaa(0), stranger, frame("AAC", "1", "z", "12345678")],
    });
    expect(outcomes).toEqual(["unknown_device", "stored", "unknown_device", "unknown_device"]);
    expect(replies.join("")).toBe("");
    expect(await count()).toBe(1);
    expect((await listUnclaimed(base)).map(({ imei, frames }) => [imei, frames]).sort()).toEqual(
      [
        ["12345678", 1],
        [imei, 2],
      ].sort(),
    );
  });

  test("cost no round trip of their own once they are known to be unknown", async () => {
    const frames = [aaa(0, {}, "A", anImei()), aaa(0, {}, "A", "123456789012345")];
    await send({ frames });
    expect(await trips(() => send({ frames }))).toBe(1);
  });

  test("are stored from the moment they are registered", async () => {
    const imei = anImei();
    expect((await send({ frames: [aaa(0, {}, "A", imei)] })).outcomes).toEqual(["unknown_device"]);
    await aDevice(database.db, { imei });
    expect((await send({ frames: [aaa(0, {}, "A", imei)] })).outcomes).toEqual(["stored"]);
  });
});

describe("changes of devices and bridges", () => {
  test("a device that is removed is unknown at once, and registered again its track begins anew", async () => {
    await send({ frames: [aaa(0)] });
    await database.client.execute("UPDATE devices SET deleting_at = 1");
    expect((await send({ frames: [aaa(1)] })).outcomes).toEqual(["unknown_device"]);
    const again = await aDevice(database.db, { imei: device.imei });
    expect((await send({ frames: [aaa(0), aaa(2)] })).outcomes).toEqual(["stored", "stored"]);
    expect(await trackOf(again)).toHaveLength(2);
  });

  test("what waited in a spool while the IMEI was another device's is not shown to its new owner", async () => {
    await database.client.execute("UPDATE devices SET deleting_at = 1");
    base.advance(10 * MINUTE);
    const next = await aDevice(database.db, { imei: device.imei, createdAt: base.now() });
    const { outcomes, replies } = await send({
      frames: [
        [aaa(0), NOON],
        [ccc([1]), base.now() - LIMITS.registeredSkewMs - 1],
        [aaa(2), base.now() - LIMITS.registeredSkewMs],
      ],
    });
    expect(outcomes).toEqual(["unknown_device", "unknown_device", "stored"]);
    expect(replies.join("")).toBe("");
    expect(await trackOf(next)).toHaveLength(1);
    expect(await listUnclaimed(base)).toEqual([]);
  });

  test("a bridge that was revoked stores nothing more", async () => {
    await database.client.execute("INSERT INTO bridges (id, name, hash, created_at) VALUES (5, 'b', 'h', 1)");
    await send({ frames: [aaa(0)], bridgeId: 5 });
    await database.client.execute("UPDATE bridges SET revoked_at = 1");
    const refused = expect.objectContaining({ code: "unauthenticated" });
    await expect(send({ frames: [aaa(1)], bridgeId: 5 })).rejects.toEqual(refused);
    await expect(send({ bridgeId: 5 })).rejects.toEqual(refused);
    await expect(send({ bridgeId: 6, frames: [aaa(1, {}, "A", anImei())] })).rejects.toEqual(refused);
    expect(await count()).toBe(1);
  });

  test("while a batch is under way make it start again, and give up rather than store by an old registry", async () => {
    await send({ frames: [aaa(0)] });
    const { batch } = database.client;
    let changes = 1;
    database.client.batch = async (...args) => {
      if (changes-- > 0) await database.client.execute("UPDATE devices SET confirm_cce = 1 - confirm_cce");
      return batch.apply(database.client, args);
    };
    expect((await send({ frames: [aaa(1)] })).outcomes).toEqual(["stored"]);
    changes = 1000;
    await expect(send({ frames: [aaa(2)] })).rejects.toEqual(expect.objectContaining({ code: "unavailable" }));
    database.client.batch = batch;
    expect(await count()).toBe(2);
  });

  test("that change nothing which ingest must know leave the registry as it is", async () => {
    const version = async () => (await database.client.execute("SELECT version FROM registry")).rows[0][0];
    await send({ frames: [aaa(0)] });
    const before = await version();
    await database.client.execute("UPDATE devices SET name = 'Other', model = model, deleting_at = NULL");
    expect(await version()).toBe(before);
    await database.client.execute("UPDATE devices SET clock_offset_minutes = 60");
    expect(await version()).not.toBe(before);
  });

  test("a database that fails stores nothing and the same batch is stored later", async () => {
    const { batch } = database.client;
    database.client.batch = () => Promise.reject(new Error("SQLITE_BUSY"));
    await expect(send({ frames: [ccc([0, 1])] })).rejects.toThrow("SQLITE_BUSY");
    // The write is done, but its answer is lost.
    database.client.batch = async (...args) => {
      await batch.apply(database.client, args);
      if (args[1] === "write") throw new Error("connection lost");
      return batch.apply(database.client, args);
    };
    await expect(send({ frames: [ccc([0, 1])] })).rejects.toThrow("connection lost");
    database.client.batch = batch;
    const { outcomes, replies } = await send({ frames: [ccc([0, 1])] });
    // This isolate does not know that the first write was done; whoever reads sees it once.
    expect([outcomes, (await trackOf(device)).length, await count()]).toEqual([["stored"], 2, 2]);
    expect(replies[0]).toContain(",CCC,2*");
  });
});

describe("clocks", () => {
  const stamps: [name: string, fixTime: number, usable: boolean][] = [
    ["2000", Date.UTC(2000, 0, 1), false],
    ["the end of 2009", LIMITS.fixTimeMinMs - 1000, false],
    ["2010", LIMITS.fixTimeMinMs, true],
    ["a day ahead", NOON + DAY, true],
    ["more than a day ahead", NOON + DAY + 1000, false],
    ["2080", Date.UTC(2080, 0, 1), false],
  ];
  for (const [name, fixTime, usable] of stamps) {
    test(`a fix of ${name} is placed at ${usable ? "that time" : "the receive time, and what the tracker said is kept"}`, async () => {
      const frames = [encodeAaa({ identifier: "A", imei: device.imei, report: report(0, { fixTime }) })];
      await send({ frames });
      base.advance(MINUTE);
      expect((await send({ frames })).outcomes).toEqual(["duplicate"]);
      const [position] = await trackOf(device);
      const said = new Date(fixTime).toISOString();
      expect(position.fixTime).toBe(usable ? said : new Date(NOON).toISOString());
      expect(position.readings?.deviceTime).toBe(usable ? undefined : said);
    });
  }

  test("a report without a readable time is placed at the receive time", async () => {
    const content = latin1(aaa(0))
      .replace(/^.*?AAA,/, "")
      .replace(/\*..\r\n$/, "");
    const fields = content.split(",");
    fields[3] = "000000000000";
    await send({ frames: [frame("AAA", fields.join(","))] });
    expect((await trackOf(device))[0].fixTime).toBe(new Date(NOON).toISOString());
  });

  test("a bridge's clock that is ahead, wild or not a number gives way to ours", async () => {
    const wild = [NOON + 3_600_000, 0, Number.NaN, Number.POSITIVE_INFINITY, -1];
    await send({ frames: wild.map((receivedAt, i) => [aaa(i), receivedAt] as [Uint8Array, number]) });
    await send({ frames: [[aaa(10), NOON - MINUTE + 0.75]] });
    const received = (await trackOf(device)).map((position) => Date.parse(position.receivedAt));
    expect(received).toEqual([...wild.map(() => NOON), NOON - MINUTE]);
  });
});

describe("commands", () => {
  async function queue(code: string, identifier: string, args: Record<string, unknown> = {}, ttl = 10 * MINUTE) {
    const command = { imei: device.imei, identifier, code, arguments: args };
    const { id } = await insertCommand(database.db, device.accountId, {
      deviceId: device.id,
      code,
      arguments: args,
      identifier,
      frame: encodeCommand(command),
      createdAt: base.now(),
      expiresAt: base.now() + ttl,
    });
    return { id, bytes: latin1(encodeCommand(command)) };
  }
  const stateOf = async (id: number) =>
    commandById(database.db, { accountId: device.accountId, devices: null }, device.id, id, base.now());

  test("are offered in every answer, claimed once, and acknowledged by the tracker's reply", async () => {
    const { id, bytes } = await queue("A11", "S", { intervalMin: 10 });
    expect((await send()).offers).toEqual([{ commandId: id, imei: device.imei }]);
    expect((await send({ frames: [aaa(0)] })).offers).toHaveLength(1);
    const claimed = await send({ claims: [[id, 3]] });
    expect(claimed.downlinks).toEqual([{ commandId: id, connection: 3, bytes }]);
    expect(claimed.offers).toEqual([]);
    expect((await send({ claims: [[id, 4]] })).downlinks).toEqual([]);
    expect(await stateOf(id)).toMatchObject({ state: "sent", sentAt: NOON });
    base.advance(2000);
    expect((await send({ frames: [frame("A11", "OK", "S")] })).outcomes).toEqual(["stored"]);
    expect(await stateOf(id)).toMatchObject({ state: "acked", answeredAt: NOON + 2000, reply: "OK" });
  });

  test("are not claimed by a try whose positions are not stored, as the inbox has another key", async () => {
    const { id } = await queue("A11", "S", { intervalMin: 10 });
    await send({ frames: [aaa(0)] });
    const other = { ...base, config: { ...base.config } };
    const { kid } = await readSettlement(database.db);
    await changeKey(database.db, kid, await newInboxKey(other, "main"), NOON);
    const { secrets } = base;
    const away = { get: () => Promise.reject(new Error("the key store is away")) };
    const copies = secrets.copies.map((copy) => Object.assign(Object.create(copy), away));
    Object.assign(base, { secrets: { ...secrets, copies } });
    await expect(send({ frames: [aaa(1)], claims: [[id, 3]] })).rejects.toThrow();
    Object.assign(base, { secrets });
    expect((await send({ frames: [aaa(1)], claims: [[id, 3]] })).downlinks).toHaveLength(1);
  });

  test("that were released are offered again, in their time", async () => {
    const { id } = await queue("E91", "W");
    await send({ claims: [[id, 3]] });
    expect((await send({ releases: [id] })).offers).toHaveLength(1);
    const again = await send({ releases: [id], claims: [[id, 9]] });
    expect(again.downlinks.map(({ connection }) => connection)).toEqual([9]);
    await send({ releases: [id] });
    base.advance(10 * MINUTE);
    const late = await send({ claims: [[id, 3]] });
    expect([late.downlinks, late.offers]).toEqual([[], []]);
    expect(await stateOf(id)).toMatchObject({ state: "expired" });
  });

  test("locate now is answered by a position with event 34, text or binary, whose place is not copied", async () => {
    for (const [identifier, answer] of [
      ["Q", aaa(1, { event: { code: 34 } }, "Q")],
      ["R", encodeCce({ identifier: "k", imei: device.imei, reports: [report(2, { event: { code: 34 } })] })],
    ] as const) {
      const { id } = await queue("A10", identifier);
      await send({ claims: [[id, 3]] });
      await send({ frames: [aaa(0)] });
      expect(await stateOf(id)).toMatchObject({ state: "sent" });
      base.advance(1000);
      expect((await send({ frames: [answer] })).outcomes).toEqual(["stored"]);
      expect(await stateOf(id)).toMatchObject({ state: "acked", reply: null });
    }
  });

  test("that the tracker refuses are refused, with its words", async () => {
    const { id } = await queue("A12", "V", { intervalS: 60 });
    await send({ claims: [[id, 3]] });
    await send({ frames: [frame("A12", "ERROR\u0007", "V")] });
    expect(await stateOf(id)).toMatchObject({ state: "refused", reply: "ERROR?" });
  });

  test("are told apart by identifier; a reply under another one means the oldest", async () => {
    const [first, second] = [await queue("A14", "a", { distanceM: 1 }), await queue("A14", "b", { distanceM: 2 })];
    await send({
      claims: [
        [first.id, 3],
        [second.id, 3],
      ],
    });
    await send({ frames: [frame("A14", "OK", "b")] });
    expect([(await stateOf(first.id))?.state, (await stateOf(second.id))?.state]).toEqual(["sent", "acked"]);
    base.advance(1000);
    await send({ frames: [frame("A14", "OK", "x")] });
    expect((await stateOf(first.id))?.state).toBe("acked");
  });

  test("are not answered by what the tracker sent before them, nor by another tracker", async () => {
    const { id } = await queue("A11", "S", { intervalMin: 10 });
    await send({ claims: [[id, 3]] });
    const other = await aDevice(database.db);
    await send({ frames: [[frame("A11", "OK", "S"), NOON - LIMITS.replySkewMs - 1]] });
    await send({ frames: [frame("A11", "OK", "S", other.imei)] });
    expect(await stateOf(id)).toMatchObject({ state: "sent" });
  });

  test("of a bridge that was revoked are not given to it", async () => {
    const { id } = await queue("E91", "W");
    await database.client.execute("INSERT INTO bridges (id, name, hash, created_at) VALUES (5, 'b', 'h', 1)");
    await send({ bridgeId: 5 });
    await database.client.execute("UPDATE bridges SET revoked_at = 1");
    await expect(send({ bridgeId: 5, claims: [[id, 1]] })).rejects.toThrow();
    expect(await stateOf(id)).toMatchObject({ state: "queued" });
  });
});

test("a device that repeats its CCE until it is confirmed is confirmed, when it is set so", async () => {
  const cce = encodeCce({ identifier: "P", imei: device.imei, reports: [report(0), report(1)] });
  expect((await send({ frames: [cce] })).replies).toEqual([""]);
  await database.client.execute("UPDATE devices SET confirm_cce = 1");
  expect((await send({ frames: [cce] })).replies[0]).toContain(",CFF,2*");
});

test("batches of several requests at once do not mix", async () => {
  const devices = await Promise.all(Array.from({ length: 20 }, () => aDevice(database.db)));
  await Promise.all(
    devices.map(({ imei }, i) =>
      send({ frames: Array.from({ length: 30 }, (_, minute) => aaa(minute, { latitude: i }, "A", imei)) }),
    ),
  );
  for (const [i, owned] of devices.entries()) {
    const track = await trackOf(owned);
    expect(track).toHaveLength(30);
    expect(new Set(track.map((position) => position.latitude))).toEqual(new Set([i]));
  }
});

test("nothing that is logged names an IMEI, a place or a token", async () => {
  await send({ frames: [aaa(0), aaa(0, {}, "A", anImei()), bytesOf("$$garbage")] });
  expect(base.logged.join("\n")).not.toMatch(/\d{15}|22\.5|114\.0|token-of/);
});

describe("while much waits to be merged", () => {
  const { mergeBatches, inboxBatches, inboxWaits, inboxWaitMs } = LIMITS;
  beforeEach(() => {
    Object.assign(LIMITS, { mergeBatches: 2, inboxBatches: 2, inboxWaits: 3, inboxWaitMs: 20 });
  });
  afterEach(() => {
    Object.assign(LIMITS, { mergeBatches, inboxBatches, inboxWaits, inboxWaitMs });
  });
  const frame = (minute: number) => {
    const request = new RequestWriter();
    request.frame(7, 0, base.now(), aaa(minute));
    return request.finish().slice();
  };

  test("the answer comes when it is merged", async () => {
    const { merged: before } = await readSettlement(base.db);
    for (let minute = 0; minute < 5; minute++) {
      await ingest(base, 0, frame(minute));
      const { merged } = await readSettlement(base.db);
      expect(merged - before).toBeGreaterThanOrEqual(minute + 1 - LIMITS.inboxBatches);
    }
    expect(await count()).toBe(5);
  });

  test("and when nobody merges it comes all the same, and nothing is lost", async () => {
    const { merged } = await readSettlement(base.db);
    await takeLease(base.db, 1, base.now(), base.now() + DAY);
    for (let minute = 0; minute < 4; minute++) await ingest(base, 0, frame(minute));
    expect((await readSettlement(base.db)).merged).toBe(merged);
    expect(base.logged.filter((line) => line.startsWith("warn inbox.behind"))).toHaveLength(2);
    await takeLease(base.db, 1, base.now(), 0);
    expect(await count()).toBe(4);
  });
});
