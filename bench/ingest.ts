// What storing frames costs: CPU of the Worker for prepared batches, and the whole platform under load.
// `npm run bench:ingest`; takes about two minutes, loopback only. `-- --only cpu` or `-- --only load` runs one of them,
// `-- --devices 10000 --accounts 1000` another fleet.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { encodeAaa, encodeCcc, encodeCce } from "../codec/encode.ts";
import { OUTCOMES, RequestWriter, readResponse } from "../codec/envelope.ts";
import { Fleet } from "../tools/fleet.ts";
import { type Platform, startPlatform } from "../tools/platform.ts";
import { benchFolder, median, needFiles, printTable, settleDisk } from "./bridge-run.ts";
import { startCodecWorker } from "./codec-worker.ts";
import { cpuMs, rssMb } from "./cpu.ts";
import { aReport, deliver, imeiOf, MODEL, registerDevices, StoredCount } from "./prepared.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    devices: { type: "string", default: "1000" },
    accounts: { type: "string", default: "1" },
  },
});
const CONNECTIONS = Number(values.devices);
const ACCOUNTS = Number(values.accounts);
/** New connections in a second: a thousand at once would be refused. */
const CONNECTS_PER_S = 1000;
/** Measured in turns, codec and app one after the other, so that whatever else the machine does meets both. */
const TURNS = 9;
const BATCHES_A_TURN = 20;
const WARM_UP = 60;
const CODEC_ROUNDS = 150;
const LOAD_WARM_MS = 5000;
const LOAD_MS = 30_000;
const DRAIN_MS = 60_000;

const started = Math.floor(Date.now() / 1000) * 1000;

type Kind = "AAA" | "CCE" | "CCC";
const RECORDS = { AAA: 1, CCE: 1, CCC: 18 } as const;
/** Types of frames as they come in turn. `mixed` has the shares of the captured frames: 29 AAA, 16 CCE, 2 CCC. */
const TYPES: Record<string, readonly Kind[]> = {
  AAA: ["AAA"],
  CCE: ["CCE"],
  mixed: [...Array<Kind>(29).fill("AAA"), ...Array<Kind>(16).fill("CCE"), "CCC", "CCC"],
};

let reports = 0;

/** An envelope with so many frames, one connection after the other, of positions that no other envelope has. */
function aBatch(types: readonly Kind[], frames: number): Uint8Array {
  const request = new RequestWriter(frames * 256);
  for (let n = 0; n < frames; n++) {
    const device = n % CONNECTIONS;
    const kind = types[n % types.length];
    const first = reports;
    if (device === CONNECTIONS - 1) reports += RECORDS.CCC;
    const all = Array.from({ length: RECORDS[kind] }, (_, i) => aReport(device, first + i, started - 86_400_000, 1));
    const from = { identifier: "A", imei: imeiOf(device) };
    const bytes =
      kind === "AAA"
        ? encodeAaa({ ...from, report: all[0], model: MODEL })
        : kind === "CCE"
          ? encodeCce({ ...from, reports: all })
          : encodeCcc({ ...from, reports: all });
    request.frame(device, 0, started, bytes);
  }
  return request.finish().slice();
}

async function post(platform: Platform, body: Uint8Array, check: boolean): Promise<void> {
  const answer = await deliver(platform, body);
  if (check && readResponse(answer).frames.some(({ outcome }) => outcome !== OUTCOMES.stored)) {
    throw new Error("A frame of a prepared batch was not stored");
  }
}

/** Answers whatever it is sent, `waitMs` later: the other end of the least that an app must do. */
async function startSink() {
  const sink = { url: "", waitMs: 0, close: () => server.close() };
  const server = createServer((request, response) => {
    request.resume().on("end", () => setTimeout(() => response.end("{}"), sink.waitMs));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  sink.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return sink;
}

async function measureCpu(platform: Platform): Promise<void> {
  const codec = await startCodecWorker();
  const sink = await startSink();
  const rows = [["frames", "a batch", "positions", "codec ms", "app ms", "app / codec", "two requests ms"]];
  for (const [name, types] of Object.entries(TYPES)) {
    for (const frames of name === "mixed" ? [1000, 5000] : [1000]) {
      const perThousand = 1000 / frames;
      const sample = aBatch(types, frames);
      const positions = await codec.decode(sample, CODEC_ROUNDS);
      for (let n = 0; n < WARM_UP * perThousand; n++) await post(platform, aBatch(types, frames), true);
      const workerd = platform.children.workerd;
      if (workerd === undefined) throw new Error("Cannot find the workerd process of the platform");
      const costs: { codec: number; app: number; floor: number }[] = [];
      for (let turn = 0; turn < TURNS; turn++) {
        const cpu = async (pid: number, times: number, work: (n: number) => Promise<unknown>) => {
          const before = cpuMs(pid);
          for (let n = 0; n < times; n++) await work(n);
          return ((cpuMs(pid) - before) / times) * perThousand;
        };
        const count = Math.ceil(BATCHES_A_TURN * perThousand);
        const bodies = Array.from({ length: count }, () => aBatch(types, frames));
        // As many bytes as the positions take on their way to the database, in base64.
        const bytes = positions * 180;
        const codecMs = await cpu(codec.pid, 1, () => codec.decode(sample, CODEC_ROUNDS));
        const start = performance.now();
        const app = await cpu(workerd, count, (n) => post(platform, bodies[n], false));
        sink.waitMs = (performance.now() - start) / count;
        costs.push({
          codec: codecMs / CODEC_ROUNDS,
          app,
          floor: await cpu(codec.pid, count, () => codec.relay(sample, bytes, sink.url)),
        });
      }
      const middle = (of: (cost: (typeof costs)[number]) => number) => median(costs.map(of));
      rows.push([
        name,
        String(frames),
        String(Math.round(positions * perThousand)),
        middle((cost) => cost.codec).toFixed(2),
        middle((cost) => cost.app).toFixed(2),
        middle((cost) => cost.app / cost.codec).toFixed(1),
        middle((cost) => cost.floor).toFixed(2),
      ]);
    }
  }
  sink.close();
  await codec.close();
  console.log("CPU of workerd for 1,000 frames: HTTP, token, check, decode, pack, database request, answer.");
  console.log("`codec` is check and decode alone in workerd; `two requests` is a Worker that does nothing else: it");
  console.log(
    "receives the same batch, sends as many bytes on as the database gets and waits as long for the answer.\n",
  );
  printTable(rows);
}

async function measureLoad(platform: Platform, stored: StoredCount): Promise<void> {
  const before = stored.read();
  const fleet = new Fleet({
    devices: CONNECTIONS,
    model: MODEL,
    port: platform.bridgePort,
    rate: Number.POSITIVE_INFINITY,
    connectsPerS: CONNECTS_PER_S,
    settleMs: DRAIN_MS,
  });
  const names = ["bridge", "workerd", "libsqld"] as const;
  const cpuOf = () => [...names.map((name) => cpuMs(platform.children[name] as number)), cpuMs(process.pid)];
  fleet.start();
  await sleep(LOAD_WARM_MS + (1000 * CONNECTIONS) / CONNECTS_PER_S);
  const from = { stored: stored.read(), at: performance.now(), cpu: cpuOf() };
  let bridgeMb = 0;
  while (performance.now() - from.at < LOAD_MS) {
    await sleep(200);
    bridgeMb = Math.max(bridgeMb, rssMb(platform.children.bridge as number));
  }
  const count = stored.read() - from.stored;
  const seconds = (performance.now() - from.at) / 1000;
  const cpu = cpuOf().map((ms, n) => ((ms - from.cpu[n]) / seconds / 10).toFixed(0));
  await fleet.stop();
  const { sent, connected, broken } = fleet.status();
  for (let waited = 0; stored.read() - before < sent && waited < DRAIN_MS; waited += 200) await sleep(200);
  const total = stored.read() - before;
  console.log(
    `\nThe whole platform and its load on this machine: ${CONNECTIONS} connections of ${ACCOUNTS} accounts, AAA, CCC and CCE in`,
  );
  console.log(`equal parts, one position a frame, as fast as they are taken. CPU in % of one core.\n`);
  printTable([
    ["positions/s", "sent", "stored", "sent = stored", "bridge RSS MB", ...names, "load"],
    [
      (count / seconds).toFixed(0),
      String(sent),
      String(total),
      sent === total ? "yes" : "NO",
      bridgeMb.toFixed(0),
      ...cpu,
    ],
  ]);
  if (sent !== total || broken > 0)
    throw new Error(`${sent} sent, ${total} stored, ${connected} connected, ${broken} broken`);
}

needFiles(CONNECTIONS * 2 + 200);
const folder = benchFolder();
try {
  settleDisk();
  const platform = await startPlatform({ dataDir: folder.path, port: 0, bridgePort: 0, bridgeHost: "127.0.0.1" });
  await registerDevices(
    platform,
    Array.from({ length: CONNECTIONS }, (_, n) => n % ACCOUNTS),
  );
  const stored = new StoredCount(platform);
  try {
    if (values.only !== "load") await measureCpu(platform);
    if (values.only !== "cpu") await measureLoad(platform, stored);
  } finally {
    stored.close();
    await platform.stop();
  }
} finally {
  folder.remove();
}
