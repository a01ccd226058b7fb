// The bridge's spool and its throughput. `npm run bench:bridge`; takes about 90 seconds, loopback only.
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { noFailPoint } from "../bridge/failpoint.ts";
import { nodeFiles } from "../bridge/files.ts";
import { LIMITS } from "../bridge/limits.ts";
import { Spool } from "../bridge/spool.ts";
import {
  aReport,
  BridgeProcess,
  benchFolder,
  FastEdge,
  imeiOf,
  median,
  needFiles,
  openFleet,
  percentile,
  printTable,
  settleDisk,
} from "./bridge-run.ts";

const RUNS = 5;
const RUN_MS = 2500;
const RATES = [1000, 5000];
const FRAME_BYTES = 200;
const CONNECTIONS = 10_000;
const SUSTAINED_MS = 10_000;

/** Something that makes frames durable; `durable` is told how many more are on the disk. */
interface Store {
  append(frame: Uint8Array): void;
  close(): Promise<void>;
}
type MakeStore = (folder: string, durable: (frames: number) => void) => Promise<Store>;

const spool: MakeStore = async (folder, durable) => {
  const nothing = () => {};
  const made = await Spool.open({
    folder,
    files: nodeFiles,
    limits: LIMITS,
    now: Date.now,
    reach: noFailPoint,
    events: { durable, pressure: nothing, damaged: nothing, diskError: nothing, deleted: nothing },
  });
  return { append: (frame) => made.append(1, 0, Date.now(), frame), close: () => made.close() };
};

/** What the spool is measured against: a file that grows, with one fdatasync for whatever queued meanwhile. */
const growingFile: MakeStore = async (folder, durable) => {
  const file = await open(join(folder, "growing"), "w");
  let queue: Uint8Array[] = [];
  let running: Promise<void> | null = null;
  const commit = async (): Promise<void> => {
    while (queue.length > 0) {
      const group = queue;
      queue = [];
      await file.write(Buffer.concat(group));
      await file.datasync();
      durable(group.length);
    }
    running = null;
  };
  return {
    append(frame) {
      queue.push(Buffer.from(frame));
      running ??= commit();
    },
    async close() {
      await running;
      await file.close();
    },
  };
};

/** @returns sorted ms from append to being on the disk, of every frame */
async function latencies(make: MakeStore, rate: number): Promise<Float64Array> {
  const total = Math.floor((rate * RUN_MS) / 1000);
  const times = new Float64Array(total);
  let sent = 0;
  let done = 0;
  const folder = benchFolder();
  const store = await make(folder.path, (frames) => {
    const now = performance.now();
    for (let n = 0; n < frames; n++) times[done + n] = now - times[done + n]!;
    done += frames;
  });
  const frame = new Uint8Array(FRAME_BYTES).fill(7);
  settleDisk();
  const start = performance.now();
  while (sent < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - start) * rate) / 1000));
    for (; sent < due; sent++) {
      times[sent] = performance.now();
      store.append(frame);
    }
    await sleep(1);
  }
  while (done < total) await sleep(1);
  await store.close();
  folder.remove();
  return times.sort();
}

async function spoolRows(): Promise<string[][]> {
  const rows: string[][] = [];
  for (const rate of RATES) {
    const runs = { spool: [] as Float64Array[], growing: [] as Float64Array[] };
    for (let run = 0; run < RUNS; run++) {
      runs.spool.push(await latencies(spool, rate));
      runs.growing.push(await latencies(growingFile, rate));
    }
    for (const [name, share, target] of [
      ["p50", 0.5, 1],
      ["p99", 0.99, 8],
    ] as const) {
      const of = (sets: Float64Array[]) => median(sets.map((sorted) => percentile(sorted, share)));
      const spread = runs.spool.map((sorted) => percentile(sorted, share).toFixed(2)).join(" ");
      rows.push([
        `frame on disk, ${rate}/s, ${name}`,
        `<= ${target} ms`,
        `${of(runs.spool).toFixed(2)} ms`,
        of(runs.spool) <= target ? "yes" : "NO",
        `growing file ${of(runs.growing).toFixed(2)} ms; runs ${spread}`,
      ]);
    }
  }
  return rows;
}

/** One frame per connection under way at most, so that every frame is a read of its own. */
async function throughputRow(): Promise<string[]> {
  needFiles(CONNECTIONS + 200);
  const folder = benchFolder();
  const edge = new FastEdge();
  const bridge = await new BridgeProcess(await edge.listen(), folder.path).ready();
  const sockets = await openFleet(bridge.port, CONNECTIONS, 200);
  const reports = sockets.map((_, n) => aReport(imeiOf(n), n));
  let sent = 0;
  let stopped = false;
  const pump = async (): Promise<void> => {
    while (!stopped) {
      const until = Math.min(edge.frames + CONNECTIONS, sent + 500);
      for (; sent < until; sent++) sockets[sent % CONNECTIONS]!.write(reports[sent % CONNECTIONS]!);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const pumping = pump();
  await sleep(3000);
  const before = { frames: edge.frames, cpu: bridge.cpuSeconds(), at: performance.now() };
  await sleep(SUSTAINED_MS);
  const seconds = (performance.now() - before.at) / 1000;
  const rate = (edge.frames - before.frames) / seconds;
  const cpu = (bridge.cpuSeconds() - before.cpu) / seconds;
  const rss = bridge.rss();
  stopped = true;
  await pumping;
  for (const end = Date.now() + 10_000; edge.frames < sent && Date.now() < end; ) await sleep(20);
  const spooled = await bridge.metric("bridge_frames_spooled_total");
  for (const socket of sockets) socket.destroy();
  await bridge.stop();
  edge.close();
  folder.remove();
  return [
    `sustained, ${CONNECTIONS} connections, spool on`,
    ">= 20000 frames/s",
    `${Math.round(rate)} frames/s`,
    rate >= 20_000 && spooled === sent && edge.frames === sent ? "yes" : "NO",
    `sent ${sent}, on disk ${spooled}, answered ${edge.frames}; bridge ${(cpu * 100).toFixed(0)} % of a core, ${Math.round(rss / 2 ** 20)} MB`,
  ];
}

const rows = [["what", "target", "reached", "met", "beside it"], ...(await spoolRows()), await throughputRow()];
printTable(rows);
