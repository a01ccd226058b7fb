import { type Duplex, duplexPair } from "node:stream";
import { expect, test } from "vitest";
import { noFailPoint } from "../../bridge/failpoint.ts";
import { Intake } from "../../bridge/intake.ts";
import { LIMITS, type Limits } from "../../bridge/limits.ts";
import { type CloseReason, Metrics } from "../../bridge/metrics.ts";
import { type Peer, Peers } from "../../bridge/peers.ts";
import { Streams } from "../../bridge/streams.ts";
import { aFrame, aReply, imeiOf, numberOf, until } from "./frames.ts";

/** Streams on duplex pairs, a spool that only remembers, and a clock that stands still until it is set. */
function aSetUp(changes: Partial<Limits> = {}) {
  const limits = { ...LIMITS, ...changes };
  const metrics = new Metrics();
  const peers = new Peers(limits.imeisPerConnection);
  const clock = { now: 1_000_000 };
  const spooled: { connection: number; bytes: Uint8Array; receivedAt: number }[] = [];
  const spool = {
    congested: false,
    append(connection: number, _transport: number, receivedAt: number, bytes: Uint8Array) {
      return spooled.push({ connection, receivedAt, bytes: Buffer.from(bytes) });
    },
  };
  const intake = new Intake({ limits, metrics, peers, spool, now: () => clock.now, reach: noFailPoint });
  const streams = new Streams(intake);
  const connect = () => {
    const [ours, theirs] = duplexPair();
    const got: Buffer[] = [];
    theirs.on("data", (bytes: Buffer) => got.push(bytes)).on("error", () => {});
    streams.attach(ours);
    return { ours, theirs, received: () => Buffer.concat(got).toString("latin1") };
  };
  const closes = (reason: CloseReason): number => metrics.of("closes", reason);
  return { limits, metrics, peers, clock, spooled, streams, connect, closes };
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

async function send(to: Duplex, bytes: Uint8Array): Promise<void> {
  to.write(bytes);
  await settle();
}

test("Streams spools whole frames whatever the cut, and holds nothing for a connection between frames", async () => {
  const { spooled, connect, metrics } = aSetUp();
  const { theirs } = connect();
  const stream = Buffer.concat([aFrame(1), aFrame(2), aFrame(3)]);
  for (let at = 0; at < stream.length; at += 50) await send(theirs, stream.subarray(at, at + 50));
  expect(spooled.map(({ bytes }) => numberOf(bytes))).toEqual([1, 2, 3]);
  expect([metrics.count.framesRead, metrics.count.bytesSkipped]).toEqual([3, 0]);
});

test("Streams keeps two connections apart when both are in the middle of a frame", async () => {
  const { spooled, connect } = aSetUp();
  const a = connect();
  const b = connect();
  const [one, two] = [aFrame(1, imeiOf(1)), aFrame(2, imeiOf(2))];
  await send(a.theirs, one.subarray(0, 40));
  await send(b.theirs, two.subarray(0, 70));
  await send(a.theirs, one.subarray(40));
  await send(b.theirs, two.subarray(70));
  expect(spooled.map(({ bytes }) => numberOf(bytes))).toEqual([1, 2]);
  expect(spooled[0]?.connection).not.toBe(spooled[1]?.connection);
});

test("Streams closes a peer that sends garbage only, and no other", async () => {
  const { connect, closes, streams } = aSetUp({ garbageBytes: 1000 });
  const good = connect();
  await send(good.theirs, aFrame(1));
  const bad = connect();
  await send(bad.theirs, Buffer.alloc(900, "x"));
  expect(closes("garbage")).toBe(0);
  await send(bad.theirs, Buffer.alloc(200, "x"));
  expect([closes("garbage"), streams.size, bad.ours.destroyed, good.ours.destroyed]).toEqual([1, 1, true, false]);
});

test("Streams forgives garbage between good frames", async () => {
  const { connect, closes, spooled } = aSetUp({ garbageBytes: 1000 });
  const { theirs } = connect();
  for (let n = 1; n <= 10; n++) await send(theirs, Buffer.concat([Buffer.alloc(500, "x"), aFrame(n)]));
  expect([spooled.length, closes("garbage")]).toEqual([10, 0]);
});

test("Streams refuses a huge length at once and finds the frame behind it", async () => {
  const { connect, spooled, metrics } = aSetUp();
  const { theirs } = connect();
  await send(theirs, Buffer.concat([Buffer.from("$$A99999,990000000000001,AAA,"), aFrame(7)]));
  expect(spooled.map(({ bytes }) => numberOf(bytes))).toEqual([7]);
  expect(metrics.of("refused", "prefix") + metrics.of("refused", "length")).toBe(1);
});

test("Streams closes a peer that drips a frame, after the frame time", async () => {
  const { connect, clock, streams, closes, limits } = aSetUp();
  const { theirs } = connect();
  const frame = aFrame(1);
  for (let at = 0; at < 20; at++) {
    await send(theirs, frame.subarray(at, at + 1));
    clock.now += 5000;
  }
  streams.sweep();
  expect(closes("frame_time")).toBe(0);
  clock.now += limits.frameMs;
  streams.sweep();
  expect([closes("frame_time"), streams.size]).toEqual([1, 0]);
});

test("Streams hands on the frames that waited behind a damaged length instead of closing their sender", async () => {
  const { connect, clock, streams, spooled, limits } = aSetUp();
  const { theirs } = connect();
  const damaged = Buffer.from(
    Buffer.from(aFrame(1))
      .toString("latin1")
      .replace(/^\$\$A\d+/, "$$$$A9000"),
    "latin1",
  );
  await send(theirs, Buffer.concat([damaged, aFrame(2), aFrame(3)]));
  expect(spooled.length).toBe(0);
  clock.now += limits.frameMs + 1;
  streams.sweep();
  expect(spooled.map(({ bytes }) => numberOf(bytes))).toEqual([2, 3]);
  expect(streams.size).toBe(1);
});

test("Streams closes strangers soon, trackers after the idle time, and counts from the last good frame", async () => {
  const { connect, clock, streams, closes, limits } = aSetUp();
  connect();
  const tracker = connect();
  await send(tracker.theirs, aFrame(1));
  clock.now += limits.strangerMs + 1;
  streams.sweep();
  expect([closes("silent"), streams.size]).toEqual([1, 1]);
  clock.now += limits.idleMs - limits.strangerMs - 10;
  await send(tracker.theirs, aFrame(2));
  clock.now += limits.idleMs;
  streams.sweep();
  expect(closes("idle")).toBe(0);
  clock.now += 1;
  streams.sweep();
  expect([closes("idle"), streams.size]).toEqual([1, 0]);
});

test("Streams makes room for a newcomer by giving up the oldest stranger, never a tracker", async () => {
  const { connect, closes, streams } = aSetUp({ connections: 2 });
  const tracker = connect();
  await send(tracker.theirs, aFrame(1));
  const stranger = connect();
  const second = connect();
  await send(second.theirs, aFrame(2, imeiOf(2)));
  expect([closes("evicted"), stranger.ours.destroyed, tracker.ours.destroyed]).toEqual([1, true, false]);
  const third = connect();
  expect([closes("full"), third.ours.destroyed, streams.size]).toEqual([1, true, 2]);
});

test("Streams bounds what all connections together hold for unfinished frames; a normal one is left alone", async () => {
  const { connect, closes, spooled } = aSetUp({ unfinishedBytes: 20_000, unfinishedFairBytes: 1000 });
  const head = Buffer.concat([Buffer.from("$$A60000,990000000000001,AAA,"), Buffer.alloc(9000, "x")]);
  const tracker = connect();
  const frame = aFrame(1);
  await send(tracker.theirs, frame.subarray(0, 30));
  for (let n = 0; n < 4; n++) await send(connect().theirs, head);
  expect(closes("frame_bytes")).toBe(2);
  await send(tracker.theirs, frame.subarray(30));
  expect(spooled.length).toBe(1);
});

test("Streams closes a peer that does not read its replies", async () => {
  const { peers, closes, streams, connect } = aSetUp({ replyBytes: 500 });
  const { ours, theirs } = connect();
  theirs.pause();
  await send(theirs, aFrame(1));
  ours.cork();
  let sent = 0;
  while (sent < 1000 && peers.send(1, aReply(imeiOf(1)))) sent += 1;
  expect(sent).toBeLessThan(20);
  expect([closes("reply_backlog"), streams.size]).toEqual([1, 0]);
});

test("Streams answers a tracker that closed its side right after its frame, then closes", async () => {
  const { peers, connect, streams, closes } = aSetUp();
  const { theirs, received } = connect();
  theirs.end(aFrame(1));
  await settle();
  expect(streams.size).toBe(1);
  expect(peers.send(1, aReply(imeiOf(1)))).toBe(true);
  peers.answered(1);
  await until(() => streams.size === 0);
  expect(received()).toContain("AFF,1*");
  expect(closes("peer")).toBe(1);
});

test("Streams does not wait for ever for the answer to a tracker that closed its side", async () => {
  const { connect, streams, clock, limits } = aSetUp();
  connect().theirs.end(aFrame(1));
  await settle();
  clock.now += limits.lingerMs + 1;
  streams.sweep();
  expect(streams.size).toBe(0);
});

test("Streams reads nothing while paused, also from new connections, and blames nobody for the silence", async () => {
  const { connect, streams, spooled, clock, limits } = aSetUp();
  const old = connect();
  streams.pause();
  const fresh = connect();
  await send(old.theirs, aFrame(1));
  await send(fresh.theirs, aFrame(2));
  clock.now += limits.idleMs * 2;
  streams.sweep();
  expect([spooled.length, streams.size]).toEqual([0, 2]);
  streams.resume();
  await settle();
  streams.sweep();
  expect([spooled.length, streams.size]).toEqual([2, 2]);
});

test("Streams counts a connection that breaks as an error and forgets it", async () => {
  const { connect, streams, closes, peers } = aSetUp();
  const { ours, theirs } = connect();
  await send(theirs, aFrame(1));
  expect(peers.devices).toBe(1);
  ours.destroy(new Error("reset"));
  await settle();
  expect([closes("error"), streams.size, peers.devices]).toEqual([1, 0, 0]);
});

test("Peers.holder() is the newest connection of an IMEI, and the older one again once that is gone", async () => {
  const { connect, peers, clock } = aSetUp();
  const older = connect();
  await send(older.theirs, aFrame(1));
  const newer = connect();
  await send(newer.theirs, aFrame(2));
  await send(older.theirs, aFrame(3));
  expect(peers.holder(imeiOf(1), clock.now)).toBe(2);
  newer.ours.destroy();
  await settle();
  expect(peers.holder(imeiOf(1), clock.now)).toBeNull();
  await send(older.theirs, aFrame(4));
  expect(peers.holder(imeiOf(1), clock.now)).toBe(1);
});

test("Peers.holder() finds every tracker behind a gateway, up to the limit", async () => {
  const { connect, peers, clock } = aSetUp({ imeisPerConnection: 3 });
  const gateway = connect();
  for (let n = 1; n <= 6; n++) await send(gateway.theirs, aFrame(n, imeiOf(n)));
  expect([1, 2, 3, 4, 5, 6].map((n) => peers.holder(imeiOf(n), clock.now))).toEqual([1, 1, 1, 1, null, null]);
  gateway.theirs.destroy();
  gateway.ours.destroy();
  await settle();
  expect(peers.devices).toBe(0);
});

const aPeer = (id: number, connected: boolean): Peer => {
  return { id, connected, imei: null, others: null, send: () => true, answered: () => {}, reachable: () => true };
};

test("Peers.holder() goes by the latest frame between a connection and a UDP address, or two addresses", () => {
  const peers = new Peers(1);
  const imei = Buffer.from(imeiOf(1), "latin1");
  const [connection, address, moved] = [aPeer(1, true), aPeer(2, false), aPeer(3, false)];
  const heard = (peer: Peer) => {
    peers.bind(peer, imei, 0, imei.length);
    return peers.holder(imeiOf(1), 0);
  };
  expect([connection, address, connection, address, moved, address].map(heard)).toEqual([1, 2, 1, 2, 3, 2]);
});

test("Peers.nextId() begins again after the last u32 and skips ids that are in use", () => {
  const peers = new Peers(1, 2 ** 32 - 3);
  peers.add(aPeer(1, true));
  expect([peers.nextId(), peers.nextId(), peers.nextId()]).toEqual([2 ** 32 - 2, 2 ** 32 - 1, 2]);
});
