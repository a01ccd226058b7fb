// How long reads take over HTTP. `npm run bench:query`; takes about a minute, loopback only.
import { encodeCcc } from "../codec/encode.ts";
import { RequestWriter } from "../codec/envelope.ts";
import { type Platform, startPlatform } from "../tools/platform.ts";
import { benchFolder, percentile, printTable, settleDisk } from "./bridge-run.ts";
import { cpuMs } from "./cpu.ts";
import { aReport, deliver, imeiOf, registerDevices } from "./prepared.ts";

const DEVICES = 100;
const DAYS = 10;
/** Of a device. */
const POSITIONS_A_DAY = 1000;
const RECORDS_A_FRAME = 25;
const FRAMES_A_BATCH = 200;
const REQUESTS = 500;
const WARM_UP = 50;

const DAY_MS = 86_400_000;
const from = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAYS * DAY_MS;
const STEP_S = Math.floor(DAY_MS / 1000 / POSITIONS_A_DAY);

/** Everything that a device sends in a day, all devices one after the other, as bridges deliver it. */
async function fill(platform: Platform): Promise<void> {
  const frames = POSITIONS_A_DAY / RECORDS_A_FRAME;
  let request = new RequestWriter(1 << 20);
  const send = async () => {
    await deliver(platform, request.finish());
    request = new RequestWriter(1 << 20);
  };
  for (let day = 0; day < DAYS; day++) {
    for (let frame = 0; frame < frames; frame++) {
      for (let device = 0; device < DEVICES; device++) {
        const first = frame * RECORDS_A_FRAME;
        const midnight = from + day * DAY_MS;
        const reports = Array.from({ length: RECORDS_A_FRAME }, (_, i) => aReport(device, first + i, midnight, STEP_S));
        request.frame(device, 0, Date.now(), encodeCcc({ identifier: "A", imei: imeiOf(device), reports }));
        if (request.count === FRAMES_A_BATCH) await send();
      }
    }
  }
  if (request.count > 0) await send();
}

const iso = (time: number) => new Date(time).toISOString();
const device = (ids: readonly number[], n: number) => ids[(n * 37) % DEVICES];
const window = (n: number) => {
  const start = from + ((n * 7) % DAYS) * DAY_MS;
  return `from=${iso(start)}&to=${iso(start + DAY_MS)}`;
};

interface Read {
  name: string;
  path(ids: readonly number[], n: number): string;
  /** Positions that each answer must have. */
  positions: number;
  requests: number;
}

const READS: readonly Read[] = [
  {
    name: "history, one device, one day, JSON",
    path: (ids, n) => `/v1/devices/${device(ids, n)}/positions?${window(n)}&limit=1000`,
    positions: POSITIONS_A_DAY,
    requests: REQUESTS,
  },
  {
    name: "history, a page of 100",
    path: (ids, n) => `/v1/devices/${device(ids, n)}/positions?${window(n)}`,
    positions: 100,
    requests: REQUESTS,
  },
  {
    name: "events of one day",
    path: (ids, n) => `/v1/devices/${device(ids, n)}/events?${window(n)}`,
    positions: POSITIONS_A_DAY / 50,
    requests: REQUESTS,
  },
  { name: "latest of 100 devices", path: () => "/v1/positions/latest", positions: DEVICES, requests: REQUESTS },
  {
    name: "NDJSON export of ten days",
    path: (ids, n) => `/v1/devices/${device(ids, n)}/positions?format=ndjson`,
    positions: POSITIONS_A_DAY * DAYS,
    requests: 40,
  },
];

const folder = benchFolder();
try {
  const platform = await startPlatform({ dataDir: folder.path, port: 0, bridgePort: 0, bridgeHost: "127.0.0.1" });
  try {
    const { ids, get } = await registerDevices(platform, new Array<number>(DEVICES).fill(0));
    await fill(platform);
    settleDisk();
    const rows = [["request", "positions", "KB", "p50 ms", "p99 ms", "worker CPU ms"]];
    for (const { name, path, positions, requests } of READS) {
      const sample = await get(0, path(ids, 0));
      const found = sample.match(/"fixTime"/g)?.length;
      if (found !== positions) throw new Error(`${name}: ${found} positions instead of ${positions}`);
      for (let n = 0; n < Math.min(WARM_UP, requests); n++) await get(0, path(ids, n));
      const workerd = platform.children.workerd as number;
      const before = cpuMs(workerd);
      const times: number[] = [];
      for (let n = 0; n < requests; n++) {
        const start = performance.now();
        await get(0, path(ids, n));
        times.push(performance.now() - start);
      }
      times.sort((a, b) => a - b);
      rows.push([
        name,
        String(positions),
        (sample.length / 1000).toFixed(0),
        percentile(times, 0.5).toFixed(1),
        percentile(times, 0.99).toFixed(1),
        ((cpuMs(workerd) - before) / requests).toFixed(1),
      ]);
    }
    console.log(
      `${DEVICES} devices with ${DAYS} days of ${POSITIONS_A_DAY} positions, one request at a time, workerd.\n`,
    );
    printTable(rows);
  } finally {
    await platform.stop();
  }
} finally {
  folder.remove();
}
