// Many connections in the bridge. `npm run bench:connections`; takes about 30 seconds, loopback only.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeFrame } from "../codec/frame.ts";
import {
  aReport,
  BridgeProcess,
  benchFolder,
  FastEdge,
  imeiOf,
  needFiles,
  openFleet,
  percentile,
  printTable,
} from "./bridge-run.ts";

const CONNECTIONS = 10_000;
const KIB = 1024;
const REPLY = encodeFrame({ direction: "down", identifier: "A", imei: imeiOf(0), type: "AFF", content: "1" });

needFiles(CONNECTIONS + 200);
const folder = benchFolder();
const edge = new FastEdge();
edge.reply = () => REPLY;
const bridge = await new BridgeProcess(await edge.listen(), folder.path).ready();

async function allGone(sockets: Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy();
  while ((await bridge.metric("bridge_connections")) > 0) await sleep(50);
}

/** Held and identified: each has sent one frame and got its reply. */
async function heldRow(): Promise<string[]> {
  // The code is warm and its memory paid for before anything is counted.
  const first = await openFleet(bridge.port, 500, 100);
  for (const [n, socket] of first.entries()) socket.write(aReport(imeiOf(n), n));
  while (edge.frames < first.length) await sleep(20);
  await allGone(first);
  await sleep(1000);

  const before = bridge.rss();
  const sockets = await openFleet(bridge.port, CONNECTIONS, 200);
  const start = edge.frames;
  for (const [n, socket] of sockets.entries()) socket.write(aReport(imeiOf(n), n));
  while (edge.frames < start + CONNECTIONS) await sleep(20);
  await sleep(3000);
  const each = (bridge.rss() - before) / CONNECTIONS;
  const held = await bridge.metric("bridge_connections");
  const cpu = bridge.cpuSeconds();
  await sleep(5000);
  const idle = (bridge.cpuSeconds() - cpu) / 5;
  await allGone(sockets);
  return [
    `${CONNECTIONS} held, memory for each`,
    "<= 10 KiB",
    `${(each / KIB).toFixed(1)} KiB`,
    each <= 10 * KIB && held === CONNECTIONS ? "yes" : "NO",
    `${held} held; ${(before / 2 ** 20).toFixed(0)} MB before them; idle ${(idle * 100).toFixed(1)} % of a core`,
  ];
}

/** All connect in the same turn of the loop; each sends one frame and waits for its reply. */
async function stormRow(): Promise<string[]> {
  const waits = new Float64Array(CONNECTIONS);
  let failed = 0;
  const start = performance.now();
  const sockets: Socket[] = [];
  const serve = async (n: number): Promise<void> => {
    const socket = connect({ port: bridge.port, host: "127.0.0.1", noDelay: true });
    sockets.push(socket);
    socket.write(aReport(imeiOf(n), n));
    try {
      await once(socket, "data", { signal: AbortSignal.timeout(30_000) });
    } catch {
      failed += 1;
    }
    waits[n] = performance.now() - start;
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, n) => serve(n)));
  waits.sort();
  const all = waits.at(-1)! / 1000;
  await allGone(sockets);
  return [
    `${CONNECTIONS} connect at once, all answered`,
    "<= 5 s, none refused",
    `${all.toFixed(2)} s, ${failed} refused`,
    all <= 5 && failed === 0 ? "yes" : "NO",
    `p50 ${(percentile(waits, 0.5) / 1000).toFixed(2)} s, p99 ${(percentile(waits, 0.99) / 1000).toFixed(2)} s`,
  ];
}

printTable([["what", "target", "reached", "met", "beside it"], await heldRow(), await stormRow()]);
await bridge.stop();
edge.close();
folder.remove();
