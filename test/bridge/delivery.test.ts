import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { RequestEntry } from "../../codec/envelope.ts";
import { aBridge, stopAll } from "./a-bridge.ts";
import { FakeEdge, type Misbehaviour, status } from "./fake-edge.ts";
import { aFrame, imeiOf, numberOf, until } from "./frames.ts";

afterEach(stopAll);

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);
const hasFrames = (entries: RequestEntry[]): boolean => entries.some((entry) => entry.kind === "frame");
const frames = (first: number, last: number, imei?: string): Buffer =>
  Buffer.concat(upTo(last - first + 1).map((n) => aFrame(first + n - 1, imei)));

test("Delivery takes frames to the edge in order and writes its replies to the connection they came from", async () => {
  const { edge, tracker, metrics, bridge } = await aBridge();
  const [one, two] = [await tracker(), await tracker()];
  one.socket.write(frames(1, 20, imeiOf(1)));
  two.socket.write(frames(101, 103, imeiOf(2)));
  await until(() => metrics.count.repliesSent === 23);
  expect(edge.numbers.filter((n) => n <= 20)).toEqual(upTo(20));
  await until(() => two.received().includes("AFF,103*"));
  expect(one.received()).toContain("AFF,20*");
  expect(one.received()).not.toContain(imeiOf(2));
  expect([metrics.of("outcomes", "stored"), metrics.count.framesDelivered, bridge.spool.backlog]).toEqual([23, 23, 0]);
});

test("Delivery writes no reply before the edge has answered", async () => {
  const { edge, tracker } = await aBridge();
  let answer: (() => void) | null = null;
  edge.misbehave = (entries) =>
    hasFrames(entries)
      ? (_request, response) => {
          answer = () => response.end(edge.take(entries));
        }
      : null;
  const one = await tracker();
  one.socket.write(aFrame(1));
  await until(() => answer !== null);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(one.received()).toBe("");
  answer!();
  await until(() => one.received().includes("AFF,1*"));
});

test("Delivery tells the edge connection, transport and receive time", async () => {
  const { edge, tracker } = await aBridge();
  const before = Date.now();
  (await tracker()).socket.write(aFrame(1));
  await until(() => edge.stored.length === 1);
  expect(edge.stored[0]).toMatchObject({ connection: 1, transport: 0 });
  expect(edge.stored[0]!.receivedAt).toBeGreaterThanOrEqual(before);
  expect(edge.stored[0]!.receivedAt).toBeLessThanOrEqual(Date.now());
});

const half: Misbehaviour = (request, response) => {
  response.writeHead(200, { "content-length": 1000 }).write("EPR1");
  setTimeout(() => request.socket.destroy(), 5);
};
const TROUBLE: [string, string, (edge: FakeEdge, entries: RequestEntry[]) => Misbehaviour][] = [
  ["500", "server", () => status(500)],
  ["503", "server", () => status(503)],
  ["408", "server", () => status(408)],
  ["429", "busy", () => status(429)],
  ["401", "unauthorized", () => status(401)],
  ["403", "unauthorized", () => status(403)],
  ["404", "unexpected", () => status(404)],
  ["a cut connection", "interrupted", () => (request) => request.socket.destroy()],
  ["no answer at all", "timeout", () => () => {}],
  ["half an answer", "interrupted", () => half],
  ["an answer that is none", "answer", () => (_request, response) => response.end("<html>hello</html>")],
  ["an answer for fewer frames", "answer", (edge) => (_request, response) => response.end(edge.take([]))],
  [
    "a lost answer after storing",
    "interrupted",
    (edge, entries) => (request) => {
      edge.take(entries);
      request.socket.destroy();
    },
  ],
];
test.each(TROUBLE)("Delivery loses, repeats and reorders nothing through %s", async (_name, kind, trouble) => {
  const { edge, tracker, metrics, bridge } = await aBridge({ limits: { requestMs: 40, batchFrames: 20 } });
  let left = 4;
  edge.misbehave = (entries) => (hasFrames(entries) && left-- > 0 ? trouble(edge, entries) : null);
  const one = await tracker();
  for (let n = 1; n <= 60; n += 10) {
    one.socket.write(frames(n, n + 9));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await until(() => edge.stored.length === 60 && bridge.spool.backlog === 0);
  expect(edge.numbers).toEqual(upTo(60));
  expect(metrics.of("edgeErrors", kind)).toBeGreaterThanOrEqual(3);
  expect(metrics.of("parked", "rejected")).toBe(0);
  await until(() => one.received().includes("AFF,60*"));
});

test("Delivery keeps frames while nothing listens at the edge's address, and delivers when it is back", async () => {
  const edge = await new FakeEdge().listen();
  const port = Number(edge.url.port);
  await edge.close();
  const { tracker, bridge, metrics } = await aBridge({ edge });
  const one = await tracker();
  one.socket.write(frames(1, 30));
  await until(() => metrics.of("edgeErrors", "network") >= 3);
  expect(bridge.spool.backlog).toBe(30);
  const back = await new FakeEdge().listen(port);
  await until(() => back.stored.length === 30);
  expect(back.numbers).toEqual(upTo(30));
  await back.close();
});

test("Delivery waits longer after each failure, with jitter, and as long as Retry-After says", async () => {
  const { edge, tracker } = await aBridge({ limits: { backoffMs: 20, backoffMaxMs: 80, pollMs: 60_000 } });
  edge.misbehave = (_entries, nth) => (nth <= 6 ? status(503) : nth === 7 ? status(429, { "retry-after": "1" }) : null);
  (await tracker()).socket.write(aFrame(1));
  await until(() => edge.stored.length === 1);
  const waits = edge.times.slice(1).map((time, at) => time - edge.times[at]!);
  const least = [10, 20, 40, 40, 40, 40];
  // The first request is the poll at the start, which has no frame in it.
  for (const [at, ms] of least.entries()) expect(waits[at]).toBeGreaterThanOrEqual(ms - 2);
  for (const ms of waits.slice(0, 5)) expect(ms).toBeLessThan(150);
  expect(waits[6]).toBeGreaterThanOrEqual(998);
});

test("Delivery finds the one frame the edge does not accept, sets it aside and delivers all others", async () => {
  for (const code of [400, 413, 422]) {
    const { edge, tracker, metrics, bridge, folder, stop } = await aBridge();
    const isPoison = (entry: RequestEntry) => entry.kind === "frame" && [17, 18, 90].includes(numberOf(entry.bytes));
    edge.misbehave = (entries) => (entries.some(isPoison) ? status(code) : null);
    (await tracker()).socket.write(frames(1, 100));
    await until(() => bridge.spool.backlog === 0 && edge.stored.length >= 97);
    expect(edge.numbers).toEqual(upTo(100).filter((n) => ![17, 18, 90].includes(n)));
    expect(metrics.of("parked", "rejected")).toBe(3);
    const parked = (await readFile(join(folder, "parked.ndjson"), "utf8")).trim().split("\n");
    const first = JSON.parse(parked[0]!);
    expect(first).toMatchObject({ reason: "rejected", status: code, transport: 0 });
    expect(numberOf(Buffer.from(first.bytes, "hex"))).toBe(17);
    await stop();
  }
});

test("Delivery sets nothing aside when the edge refuses even an empty request", async () => {
  const { edge, tracker, metrics, bridge } = await aBridge();
  edge.misbehave = () => status(400);
  (await tracker()).socket.write(frames(1, 5));
  await until(() => metrics.of("edgeErrors", "rejected") > 12);
  expect([metrics.of("parked", "rejected"), bridge.spool.backlog]).toEqual([0, 5]);
  edge.misbehave = () => null;
  await until(() => edge.stored.length === 5);
});

test("Delivery sets nothing aside when the edge gets well just after it refused a frame", async () => {
  const { edge, tracker, metrics } = await aBridge();
  let well = false;
  edge.misbehave = (entries) => {
    if (well) return null;
    well = entries.filter(({ kind }) => kind === "frame").length === 1;
    return status(400);
  };
  (await tracker()).socket.write(frames(1, 5));
  await until(() => edge.stored.length + metrics.of("parked", "rejected") === 5);
  expect(edge.numbers).toEqual(upTo(5));
});

test("Delivery makes a batch smaller that is too much for one request, and sets nothing aside", async () => {
  const { edge, tracker, metrics } = await aBridge({ limits: { requestMs: 20 } });
  edge.misbehave = (entries) => (entries.length > 6 ? () => {} : null);
  (await tracker()).socket.write(frames(1, 60));
  await until(() => edge.stored.length === 60, 10_000);
  expect(edge.numbers).toEqual(upTo(60));
  expect(metrics.of("parked", "rejected")).toBe(0);
  expect(metrics.count.requestsSplit).toBeGreaterThanOrEqual(3);
});

test("Delivery keeps no more frames and bytes in a batch than the limits say", async () => {
  const { edge, tracker } = await aBridge({ limits: { batchFrames: 8, batchBytes: 1000 } });
  (await tracker()).socket.write(frames(1, 200));
  await until(() => edge.stored.length === 200);
  const sizes = edge.requests.map((entries) => entries.filter((entry) => entry.kind === "frame").length);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(8);
  for (const entries of edge.requests) {
    expect(entries.reduce((sum, entry) => sum + (entry.kind === "frame" ? entry.bytes.length : 0), 0)).toBeLessThan(
      1001,
    );
  }
});

test("Delivery after a restart gives connection 0 for older frames and drops their replies", async () => {
  const { edge, folder, stop, tracker, metrics } = await aBridge();
  edge.misbehave = (entries) => (hasFrames(entries) ? status(503) : null);
  (await tracker()).socket.write(frames(1, 3));
  await until(() => metrics.count.framesSpooled === 3);
  await stop();
  const second = await aBridge({ folder, edge });
  edge.misbehave = () => null;
  const stranger = await second.tracker();
  stranger.socket.write(aFrame(4, imeiOf(2)));
  await until(() => edge.stored.length === 4 && second.metrics.count.repliesSent === 1);
  expect(edge.stored.map(({ connection }) => connection)).toEqual([0, 0, 0, 1]);
  expect(second.metrics.count.repliesDropped).toBe(3);
  await until(() => stranger.received().includes("AFF,4*"));
  expect(stranger.received()).not.toContain(imeiOf(1));
});

test("Delivery drops the reply for a connection that closed meanwhile", async () => {
  const { edge, tracker, metrics, bridge } = await aBridge();
  let answer: (() => void) | null = null;
  edge.misbehave = (entries) =>
    hasFrames(entries)
      ? (_request, response) => {
          answer = () => response.end(edge.take(entries));
        }
      : null;
  const one = await tracker();
  one.socket.write(aFrame(1));
  await until(() => answer !== null);
  one.socket.resetAndDestroy();
  await until(() => bridge.streams.size === 0);
  answer!();
  await until(() => metrics.count.repliesDropped === 1);
});

test("Commands are claimed for a tracker that is connected here and written to its newest connection", async () => {
  const { edge, tracker, metrics } = await aBridge();
  const old = await tracker();
  old.socket.write(aFrame(1));
  await until(() => edge.stored.length === 1);
  const newest = await tracker();
  newest.socket.write(aFrame(2));
  await until(() => edge.stored.length === 2);
  edge.commands.set(77, Buffer.from("@@command-bytes"));
  edge.offers = [
    { commandId: 77, imei: imeiOf(1) },
    { commandId: 78, imei: imeiOf(9) },
  ];
  await until(() => newest.received().includes("@@command-bytes"));
  expect(old.received()).not.toContain("@@command-bytes");
  const claims = edge.requests.flat().filter((entry) => entry.kind === "claim");
  expect(claims).toEqual([{ kind: "claim", commandId: 77, connection: 2 }]);
  expect(metrics.count.commandsSent).toBe(1);
});

test("Commands whose connection closed before a byte was written are given back", async () => {
  const { edge, tracker, bridge } = await aBridge();
  const one = await tracker();
  one.socket.write(aFrame(1));
  await until(() => edge.stored.length === 1);
  edge.commands.set(5, Buffer.from("@@never"));
  edge.offers = [{ commandId: 5, imei: imeiOf(1) }];
  edge.misbehave = (entries) =>
    entries.some((entry) => entry.kind === "claim")
      ? (_request, response) => {
          one.socket.resetAndDestroy();
          until(() => bridge.streams.size === 0).then(() => response.end(edge.take(entries)));
        }
      : null;
  await until(() => edge.released.length > 0);
  expect(edge.released).toEqual([5]);
});

test("Commands claimed in a request that failed are claimed again, or given back when the connection is gone", async () => {
  const { edge, tracker } = await aBridge();
  const one = await tracker();
  one.socket.write(aFrame(1));
  await until(() => edge.stored.length === 1);
  edge.commands.set(6, Buffer.from("@@second-try"));
  edge.offers = [{ commandId: 6, imei: imeiOf(1) }];
  let failing = 2;
  edge.misbehave = (entries) => (entries.some((entry) => entry.kind === "claim") && failing-- > 0 ? status(500) : null);
  await until(() => one.received().includes("@@second-try"));

  edge.offers = [{ commandId: 7, imei: imeiOf(1) }];
  edge.misbehave = (entries) => {
    if (!entries.some((entry) => entry.kind === "claim")) return null;
    one.socket.resetAndDestroy();
    return status(500);
  };
  await until(() => edge.released.length > 0);
  expect(edge.released).toEqual([7]);
});

test("Delivery asks for commands when it is idle", async () => {
  const { edge } = await aBridge({ limits: { pollMs: 20 } });
  await until(() => edge.requests.length >= 4);
  expect(edge.requests.flat()).toEqual([]);
});
