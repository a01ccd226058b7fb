import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterEach, expect, test } from "vitest";
import { startBridge } from "../../bridge/bridge.ts";
import { nodeFiles } from "../../bridge/files.ts";
import { SpoolInUseError } from "../../bridge/lock.ts";
import { noLog } from "../../bridge/log.ts";
import { aBridge, aFolder, aTracker, later, stopAll } from "./a-bridge.ts";
import { status } from "./fake-edge.ts";
import { aFrame, imeiOf, numberOf, until } from "./frames.ts";

afterEach(stopAll);

function aUdpTracker(port: number) {
  const socket = createSocket("udp4");
  const got: string[] = [];
  socket.on("message", (bytes) => got.push(bytes.toString("latin1")));
  later(() => socket.close());
  return { send: (bytes: Uint8Array) => socket.send(bytes, port, "127.0.0.1"), got };
}

test("startBridge() takes UDP on the TCP port number and answers to the sender's address", async () => {
  const { bridge, edge } = await aBridge();
  expect(bridge.ports.udp).toBe(bridge.ports.tcp);
  const one = aUdpTracker(bridge.ports.udp);
  const two = aUdpTracker(bridge.ports.udp);
  one.send(aFrame(1, imeiOf(1)));
  two.send(aFrame(2, imeiOf(2)));
  await until(() => one.got.length === 1 && two.got.length === 1);
  expect(one.got[0]).toContain(`${imeiOf(1)},AFF,1*`);
  expect(two.got[0]).toContain(`${imeiOf(2)},AFF,2*`);
  expect(edge.stored.map(({ transport }) => transport)).toEqual([1, 1]);
});

test("Datagrams that are garbage or cut off are counted, leave no entry behind, and hurt nobody", async () => {
  const { bridge, edge, metrics } = await aBridge();
  const one = aUdpTracker(bridge.ports.udp);
  one.send(Buffer.from("hello"));
  one.send(aFrame(1).subarray(0, 50));
  one.send(Buffer.concat([aFrame(2), aFrame(3)]));
  await until(() => edge.stored.length === 2);
  expect(metrics.count.datagrams).toBe(3);
  expect(metrics.count.bytesSkipped).toBe(55);
  expect(metrics.text()).toContain("bridge_udp_peers 1\n");
});

test("Commands reach a UDP tracker at its last address, and not when that is too old", async () => {
  const { bridge, edge } = await aBridge({ limits: { udpPeerMs: 150 } });
  const one = aUdpTracker(bridge.ports.udp);
  one.send(aFrame(1));
  await until(() => one.got.length === 1);
  edge.commands.set(1, Buffer.from("@@to-udp"));
  edge.offers = [{ commandId: 1, imei: imeiOf(1) }];
  await until(() => one.got.includes("@@to-udp"));
  await new Promise((resolve) => setTimeout(resolve, 200));
  edge.commands.set(2, Buffer.from("@@too-late"));
  edge.offers = [{ commandId: 2, imei: imeiOf(1) }];
  const polls = edge.requests.length;
  await until(() => edge.requests.length > polls + 3);
  expect(one.got).not.toContain("@@too-late");
});

const hasOpenssl = (() => {
  try {
    execFileSync("openssl", ["version"]);
    return true;
  } catch {
    return false;
  }
})();
if (!hasOpenssl) console.warn("The TLS test is skipped: there is no openssl to make a certificate with");

test.skipIf(!hasOpenssl)("startBridge() takes TLS on its own port when it has a certificate", async () => {
  const folder = await aFolder();
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const subject = ["-subj", "/CN=localhost", "-days", "1"];
  execFileSync("openssl", ["req", "-x509", "-nodes", ...curve, ...subject, "-keyout", key, "-out", cert], {
    stdio: "ignore",
  });
  const { bridge, edge } = await aBridge({ tls: { port: 0, cert: readFileSync(cert), key: readFileSync(key) } });
  const socket = connectTls({
    port: bridge.ports.tls!,
    host: "127.0.0.1",
    ca: readFileSync(cert),
    checkServerIdentity: () => undefined,
  });
  let received = "";
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1");
  });
  later(() => socket.destroy());
  socket.write(aFrame(5));
  await until(() => received.includes("AFF,5*"));
  expect(edge.numbers).toEqual([5]);
  // A plain client on the TLS port is closed and does no harm.
  const plain = await aTracker(bridge.ports.tls!);
  plain.socket.write(aFrame(6));
  await until(() => plain.closed());
  socket.write(aFrame(7));
  await until(() => edge.numbers.includes(7));
});

async function get(port: number, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, text: await response.text() };
}

test("GET /metrics is Prometheus text about everything that happened, and names no device, place or address", async () => {
  const { bridge, edge, tracker } = await aBridge();
  const one = await tracker();
  one.socket.write(Buffer.concat([Buffer.from("garbage"), aFrame(1), aFrame(2)]));
  await until(() => edge.stored.length === 2 && bridge.spool.backlog === 0);
  const bad = Buffer.from(aFrame(3));
  bad[50]! ^= 1;
  one.socket.write(bad);
  await until(() => bridge.metrics.of("refused", "checksum") === 1);
  const { text } = await get(bridge.ports.metrics, "/metrics");
  const lines = text.trimEnd().split("\n");
  for (const line of lines) {
    expect(line).toMatch(/^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[A-Za-z0-9_+.]+"\})? [0-9.e+-]+)$/);
  }
  for (const expected of [
    "bridge_connections 1",
    "bridge_frames_read_total 2",
    "bridge_frames_spooled_total 2",
    "bridge_frames_delivered_total 2",
    'bridge_frame_outcomes_total{outcome="stored"} 2',
    'bridge_frames_refused_total{code="checksum"} 1',
    'bridge_connections_closed_total{reason="garbage"} 0',
    "bridge_spool_backlog_frames 0",
    "bridge_spool_segments 1",
    "bridge_spool_held 0",
    "bridge_spool_oldest_age_seconds 0",
  ]) {
    expect(lines).toContain(expected);
  }
  expect(text).toMatch(/^bridge_spool_sync_seconds_count [1-9]/m);
  expect(text).not.toMatch(/9900000000|1\.2345|103\.98|127\.0\.0\.1/);
});

test("GET /healthz is 200 while frames can be taken in, whatever the edge does, and 503 while the disk refuses them", async () => {
  let full = false;
  const files = {
    ...nodeFiles,
    async open(path: string, create: boolean) {
      const file = await nodeFiles.open(path, create);
      const refuse = () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" }));
      return { ...file, write: (bytes: Uint8Array, offset: number) => (full ? refuse() : file.write(bytes, offset)) };
    },
  };
  const { bridge, edge, tracker, metrics } = await aBridge({ parts: { files } });
  const { metrics: port } = bridge.ports;
  edge.misbehave = () => status(500);
  await until(() => metrics.of("edgeErrors", "server") > 0);
  expect(await get(port, "/healthz")).toEqual({
    status: 200,
    text: '{"ok":true,"spool":"writing","edge":"failing"}\n',
  });
  edge.misbehave = () => null;
  full = true;
  const one = await tracker();
  one.socket.write(aFrame(1));
  await until(() => bridge.spool.held === "ENOSPC");
  expect(await get(port, "/healthz")).toMatchObject({ status: 503 });
  expect(metrics.of("diskErrors", "ENOSPC")).toBeGreaterThan(0);
  // Nothing more is read from sockets meanwhile; nothing is lost after.
  one.socket.write(aFrame(2));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(metrics.count.framesRead).toBe(1);
  full = false;
  await until(() => edge.stored.length === 2);
  expect(await get(port, "/healthz")).toMatchObject({ status: 200 });
  expect((await get(port, "/")).status).toBe(404);
});

test("startBridge() leaves sockets unread when the spool is full, and loses nothing", async () => {
  const limits = { segmentBytes: 128 * 1024, spoolBytes: 256 * 1024, pendingBytes: 64 * 1024 };
  const { bridge, edge, tracker, metrics, lines } = await aBridge({ limits });
  edge.misbehave = (entries) => (entries.length > 0 ? status(503) : null);
  const one = await tracker();
  const total = 12_000;
  for (let n = 1; n <= total; n++) one.socket.write(aFrame(n));
  await until(() => bridge.spool.held === "SPOOL_FULL");
  const read = metrics.count.framesRead;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(metrics.count.framesRead).toBe(read);
  expect(read).toBeLessThan(total);
  expect(bridge.spool.fileBytes).toBe(limits.spoolBytes);
  edge.misbehave = () => null;
  await until(() => edge.stored.length === total, 15_000);
  expect(edge.numbers).toEqual(Array.from({ length: total }, (_, at) => at + 1));
  expect(lines.filter(({ message }) => message.includes("sockets are")).length).toBeGreaterThanOrEqual(2);
});

test("startBridge() serves trackers unhurt next to garbage, huge lengths, drips and a storm of connections", async () => {
  const { bridge, edge, tracker, metrics } = await aBridge({
    limits: { frameMs: 100, sweepMs: 20, garbageBytes: 2000 },
  });
  const drips = await Promise.all(Array.from({ length: 50 }, tracker));
  for (const { socket } of drips) socket.write("$$A200,9900");
  const noisy = await Promise.all(Array.from({ length: 20 }, tracker));
  for (const { socket } of noisy) socket.write(Buffer.alloc(300_000, "$$A9999,"));
  const storm = Promise.all(Array.from({ length: 500 }, tracker));
  const good = await tracker();
  const start = performance.now();
  for (let n = 1; n <= 20; n++) good.socket.write(aFrame(n));
  await until(() => good.received().includes("AFF,20*"));
  expect(performance.now() - start).toBeLessThan(1000);
  for (const { socket } of await storm) socket.end();
  await until(() => bridge.streams.size === 1);
  expect(metrics.of("closes", "frame_time")).toBe(50);
  expect(metrics.of("closes", "garbage")).toBe(20);
  expect(edge.stored.length).toBe(20);
});

test("Bridge.stop() puts what it read on the disk, delivers it while the edge answers, and keeps the rest", async () => {
  const { edge, tracker, metrics, stop, folder } = await aBridge({ limits: { batchMs: 200 } });
  const one = await tracker();
  one.socket.write(Buffer.concat([1, 2, 3].map((n) => aFrame(n))));
  await until(() => metrics.count.framesRead === 3);
  await stop();
  expect(edge.numbers).toEqual([1, 2, 3]);
  await until(() => one.closed());
  expect(one.received()).toContain("AFF,3*");

  edge.misbehave = (entries) => (entries.length > 0 ? status(500) : null);
  const second = await aBridge({ folder, edge });
  (await second.tracker()).socket.write(aFrame(4));
  await until(() => second.metrics.count.framesRead === 1);
  await second.stop();
  edge.misbehave = () => null;
  const third = await aBridge({ folder, edge });
  await until(() => edge.numbers.includes(4));
  expect(third.metrics.count.framesDelivered).toBe(1);
  expect(edge.duplicates).toBe(0);
});

test("startBridge() refuses a spool folder that another bridge uses, and a port that is taken", async () => {
  const { config, bridge } = await aBridge();
  await expect(startBridge(config, { log: noLog })).rejects.toThrow(SpoolInUseError);
  const folder = await aFolder();
  const taken = { ...config, spoolFolder: folder, port: bridge.ports.tcp };
  await expect(startBridge(taken, { log: noLog })).rejects.toThrow(/EADDRINUSE/);
  // Everything was closed again: the folder is free.
  const other = await aBridge({ folder });
  expect(existsSync(folder)).toBe(true);
  await other.stop();
});

test("startBridge() writes its spool readable by the owner only", async () => {
  const { folder, tracker, edge } = await aBridge();
  (await tracker()).socket.write(aFrame(1));
  await until(() => edge.stored.length === 1);
  const modes = execFileSync("stat", ["-c", "%a", ...execFileSync("ls", [folder]).toString().trim().split("\n")], {
    cwd: folder,
  });
  expect(new Set(modes.toString().trim().split("\n"))).toEqual(new Set(["600"]));
  expect(numberOf(edge.stored[0]!.bytes)).toBe(1);
});
