import { setTimeout as sleep } from "node:timers/promises";
import { encodeAaa, encodeCcc, encodeCce, type Report } from "../../codec/encode.ts";
import { OUTCOMES, RequestWriter, readResponse } from "../../codec/envelope.ts";
import { positionAt } from "../../codec/position.ts";
import { type Platform, startPlatform } from "../../tools/platform.ts";
import { benchFolder, percentile, printTable, settleDisk } from "../bridge-run.ts";
import { cpuMs } from "../cpu.ts";
import { deliver, imeiOf, MODEL, type Registered, registerDevices } from "../prepared.ts";
import { ShuffledFleet } from "./fleets.ts";

/** Account 0 has more devices than the others, and is the one that is read. */
const DEVICES = { all: 10_000, accounts: 1000, ofFirst: 100 } as const;
const RATE = 5000;
/** A bridge's delivery every so many ms, the next one also while the one before is under way. */
const EVERY_MS = 100;
const BATCH = (RATE * EVERY_MS) / 1000;
const READ_EVERY_MS = 50;
const GOALS = { p99: 50, visibleMs: 1000 } as const;
const HOUR_MS = 3_600_000;

/** Account of each device. */
const accountOf = Array.from({ length: DEVICES.all }, (_, n) =>
  n < DEVICES.ofFirst ? 0 : 1 + (n % (DEVICES.accounts - 1)),
);

interface Delivery {
  body: Uint8Array;
  /** Fix times of devices of account 0, by their number. */
  fixes: Map<number, number>;
}

const encode = (n: number, report: Report) => {
  const from = { identifier: "A", imei: imeiOf(n) };
  if (n % 3 === 0) return encodeAaa({ ...from, report, model: MODEL });
  return n % 3 === 1 ? encodeCcc({ ...from, reports: [report] }) : encodeCce({ ...from, reports: [report] });
};

/** Deliveries whose reports are made and received in the seconds to come. */
function prepare(count: number, fromMs: number): Delivery[] {
  // Each device reports every two seconds, which makes the rate.
  const fleet = new ShuffledFleet(accountOf, fromMs, DEVICES.all / RATE);
  return Array.from({ length: count }, (_, n) => {
    const { table, deviceIds } = fleet.next(BATCH);
    const request = new RequestWriter(BATCH * 160);
    const fixes = new Map<number, number>();
    for (const [row, deviceId] of deviceIds.entries()) {
      const report = positionAt(table, row);
      request.frame(deviceId, 0, fromMs + n * EVERY_MS, encode(deviceId - 1, report as Report));
      if (deviceId <= DEVICES.ofFirst && report.valid) fixes.set(deviceId - 1, report.fixTime as number);
    }
    return { body: request.finish().slice(), fixes };
  });
}

/** What must be seen, and since when: of each device that is read the newest fix whose delivery was answered. */
class Answered {
  readonly #newest = new Map<number, number>();
  /** Fixes that were answered and have not been seen yet, with the time of the answer. */
  #unseen: { device: number; fixTime: number; at: number }[] = [];
  /** From the answer to a delivery to the end of the first read that shows it, ms. */
  readonly ages: number[] = [];
  /** Reads that began after the answer and did not show it. */
  missed = 0;
  reads = 0;

  note(fixes: ReadonlyMap<number, number>): void {
    const at = performance.now();
    for (const [device, fixTime] of fixes) {
      if (fixTime <= (this.#newest.get(device) ?? 0)) continue;
      this.#newest.set(device, fixTime);
      this.#unseen.push({ device, fixTime, at });
    }
  }

  /** The device to look at next: of what was answered and has not been looked for, the newest. */
  target(): number {
    const last = this.#unseen.at(-1);
    this.#unseen = last === undefined ? [] : [last];
    return last?.device ?? 0;
  }

  /** @param newest fix time of the devices that were read */
  saw(newest: ReadonlyMap<number, number>, began: number): void {
    const now = performance.now();
    this.reads += 1;
    let missed = false;
    this.#unseen = this.#unseen.filter(({ device, fixTime, at }) => {
      const seen = newest.get(device);
      if (seen === undefined) return true;
      if (seen >= fixTime) this.ages.push(now - at);
      else if (at < began) missed = true;
      return seen < fixTime;
    });
    if (missed) this.missed += 1;
  }
}

interface Read {
  name: string;
  times: number[];
  answered: Answered;
  /** Runs it once. @returns newest fix by device number */
  once(): Promise<Map<number, number>>;
}

interface PositionBody {
  deviceId: number;
  fixTime: string;
}

function readsOf({ ids, get }: Registered): Read[] {
  const numbers = new Map(ids.map((id, n) => [id, n]));
  const latest = new Answered();
  const lastHour = new Answered();
  const newestOf = (data: readonly PositionBody[]) => {
    const newest = new Map<number, number>();
    for (const { deviceId, fixTime } of data) {
      const n = numbers.get(deviceId)!;
      newest.set(n, Math.max(newest.get(n) ?? 0, Date.parse(fixTime)));
    }
    return newest;
  };
  return [
    {
      name: `latest of an account with ${DEVICES.ofFirst} devices`,
      times: [],
      answered: latest,
      once: async () => newestOf(JSON.parse(await get(0, "/v1/positions/latest?limit=1000")).data),
    },
    {
      name: "a device's last hour, newest first",
      times: [],
      answered: lastHour,
      once: async () => {
        const id = ids[lastHour.target()]!;
        const from = new Date(Date.now() - HOUR_MS).toISOString();
        return newestOf(
          JSON.parse(await get(0, `/v1/devices/${id}/positions?from=${from}&order=desc&limit=1000`)).data,
        );
      },
    },
  ];
}

/** Reads at a steady pace until it is told to stop. */
async function keepReading(read: Read, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const began = performance.now();
    const newest = await read.once();
    read.times.push(performance.now() - began);
    read.answered.saw(newest, began);
    await sleep(Math.max(0, READ_EVERY_MS - (performance.now() - began)));
  }
}

/** Delivers on time. @returns ms that each delivery took */
async function keepWriting(
  platform: Platform,
  deliveries: readonly Delivery[],
  reads: readonly Read[],
): Promise<number[]> {
  const times: number[] = [];
  const under = new Set<Promise<void>>();
  const start = performance.now();
  const one = async ({ body, fixes }: Delivery) => {
    const from = performance.now();
    const answer = readResponse(await deliver(platform, body));
    times.push(performance.now() - from);
    if (answer.frames.some(({ outcome }) => outcome !== OUTCOMES.stored)) throw new Error("A frame was not stored");
    for (const { answered } of reads) answered.note(fixes);
  };
  for (const [n, delivery] of deliveries.entries()) {
    const wait = start + n * EVERY_MS - performance.now();
    if (wait > 0) await sleep(wait);
    const work = one(delivery).finally(() => under.delete(work));
    under.add(work);
  }
  await Promise.all(under);
  return times;
}

/** The whole platform with a fleet that writes, while an account of it is read over HTTP. */
export async function measureLive(_stores: unknown, { quick }: { quick: boolean }): Promise<void> {
  const seconds = quick ? 30 : 120;
  const folder = benchFolder();
  try {
    const platform = await startPlatform({ dataDir: folder.path, port: 0, bridgePort: 0, bridgeHost: "127.0.0.1" });
    try {
      const registered = await registerDevices(platform, accountOf);
      const deliveries = prepare((seconds * 1000) / EVERY_MS, Math.ceil(Date.now() / 1000) * 1000);
      settleDisk();
      const reads = readsOf(registered);
      let over = false;
      const names = ["workerd", "libsqld"] as const;
      const cpuOf = () => names.map((name) => cpuMs(platform.children[name] as number));
      const before = cpuOf();
      const reading = Promise.all(reads.map((read) => keepReading(read, () => over)));
      const began = performance.now();
      const writes = await keepWriting(platform, deliveries, reads);
      const elapsed = performance.now() - began;
      over = true;
      await reading;
      const cpu = cpuOf().map((ms, n) => `${names[n]} ${((100 * (ms - before[n]!)) / elapsed).toFixed(0)} %`);
      report(reads, writes, (deliveries.length * BATCH * 1000) / elapsed, cpu);
    } finally {
      await platform.stop();
    }
  } finally {
    folder.remove();
  }
}

function report(reads: readonly Read[], writes: number[], rate: number, cpu: readonly string[]): void {
  const sorted = (values: number[]) => values.sort((a, b) => a - b);
  console.log(
    `\nLive: ${DEVICES.all} devices of ${DEVICES.accounts} accounts write ${rate.toFixed(0)} positions/s while one account is read over HTTP.`,
  );
  console.log(`Processor, of one core: ${cpu.join(", ")}.\n`);
  sorted(writes);
  printTable([
    ["request", "times", "p50 ms", "p99 ms", "visible after p50 ms", "p99", "most", "reads that lacked one"],
    [
      `delivery of ${BATCH}`,
      String(writes.length),
      percentile(writes, 0.5).toFixed(1),
      percentile(writes, 0.99).toFixed(1),
      "",
      "",
      "",
      "",
    ],
    ...reads.map(({ name, times, answered: { ages, missed, reads: count } }) => {
      sorted(times);
      sorted(ages);
      return [
        name,
        String(times.length),
        percentile(times, 0.5).toFixed(1),
        percentile(times, 0.99).toFixed(1),
        percentile(ages, 0.5).toFixed(0),
        percentile(ages, 0.99).toFixed(0),
        ages.at(-1)!.toFixed(0),
        `${missed} of ${count}`,
      ];
    }),
  ]);
  console.log(
    `\nGoal: p99 under ${GOALS.p99} ms; visible within ${GOALS.visibleMs} ms, the wait for the next read included.`,
  );
}
