import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { FAIL_POINTS } from "../../bridge/failpoint.ts";
import { aFolder, later, stopAll } from "./a-bridge.ts";
import { FakeEdge } from "./fake-edge.ts";
import { aFrame, imeiOf } from "./frames.ts";
import { seeded } from "./memory-files.ts";

afterEach(stopAll);

const MAIN = join(dirname(fileURLToPath(import.meta.url)), "../../bridge/main.ts");

async function startChild(env: Record<string, string>) {
  const child: ChildProcess = spawn(process.execPath, [MAIN], { env, stdio: ["ignore", "pipe", "pipe"] });
  const errors: string[] = [];
  child.stderr!.on("data", (bytes) => errors.push(String(bytes)));
  const exit = once(child, "exit") as Promise<[number | null, string | null]>;
  later(() => child.kill("SIGKILL"));
  let line = "";
  await new Promise<void>((resolve) => {
    child.stdout!.on("data", (bytes) => {
      line += bytes;
      if (line.includes("\n")) resolve();
    });
    child.once("exit", () => resolve());
  });
  return { child, exit, errors, line, port: Number(/tcp=(\d+)/.exec(line)?.[1]) };
}

/** A tracker in confirmation mode: sends everything that was not answered again on each new connection. */
class ConfirmingTracker {
  readonly imei: string;
  sent = 0;
  readonly acked = new Set<number>();
  constructor(imei: string) {
    this.imei = imei;
  }

  /** Sends until the connection or the bridge ends, or `last` was answered. */
  async run(port: number, last: number): Promise<void> {
    const socket = connect({ port, host: "127.0.0.1" });
    let text = "";
    const acked = (): boolean => this.acked.size >= last;
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      const whole = text.lastIndexOf("\n") + 1;
      for (const match of text.slice(0, whole).matchAll(/AFF,(\d+)\*/g)) this.acked.add(Number(match[1]));
      text = text.slice(whole);
      if (acked()) socket.end();
      else if (this.acked.size >= this.sent - 50) sendMore();
    });
    const sendMore = (): void => {
      const until = Math.min(last, this.sent + 200);
      while (this.sent < until) socket.write(aFrame(++this.sent, this.imei, 600));
    };
    socket.on("connect", () => {
      for (let n = 1; n <= this.sent; n++) if (!this.acked.has(n)) socket.write(aFrame(n, this.imei, 600));
      sendMore();
    });
    await new Promise((resolve) => socket.once("close", resolve));
  }
}

test("bridge, killed at each station of a frame's way, loses, invents, alters and reorders nothing", async () => {
  const seed = Number(process.env.SEED ?? 20261123);
  const random = seeded(seed);
  const edge = await new FakeEdge().listen();
  later(() => edge.close());
  const env = {
    EDGE_URL: edge.url.href,
    BRIDGE_TOKEN: "token",
    BRIDGE_HOST: "127.0.0.1",
    BRIDGE_PORT: "0",
    METRICS_PORT: "0",
    SPOOL_DIR: await aFolder(),
    SPOOL_SEGMENT_BYTES: String(1024 * 1024),
    SPOOL_BYTES: String(16 * 1024 * 1024),
  };
  const trackers = [1, 2, 3].map((n) => new ConfirmingTracker(imeiOf(n)));
  for (const point of Object.keys(FAIL_POINTS)) {
    const count = "IJ".includes(point) ? 1 : 1 + Math.floor(random() * 8);
    const run = await startChild({ ...env, BRIDGE_FAILPOINT: `${point}:${count}` });
    expect(run.line, run.errors.join("")).toContain("bridge listening");
    const trackersDone = Promise.all(trackers.map((tracker) => tracker.run(run.port, tracker.sent + 10_000)));
    const [, signal] = await run.exit;
    expect(signal, `station ${point}, seed ${seed}`).toBe("SIGKILL");
    await trackersDone;
  }
  const run = await startChild(env);
  await Promise.all(trackers.map((tracker) => tracker.run(run.port, tracker.sent)));
  run.child.kill("SIGTERM");
  expect(await run.exit).toEqual([0, null]);

  for (const tracker of trackers) {
    const numbers = edge.stored
      .map(({ bytes }) => Buffer.from(bytes).toString("latin1").split(","))
      .filter((fields) => fields[1] === tracker.imei)
      .map((fields) => Number(fields[14]));
    expect(numbers, `seed ${seed}`).toEqual(Array.from({ length: tracker.sent }, (_, at) => at + 1));
    expect(tracker.acked.size).toBe(tracker.sent);
  }
  const sent = new Set(
    trackers.flatMap(({ imei, sent }) =>
      Array.from({ length: sent }, (_, at) => Buffer.from(aFrame(at + 1, imei, 600)).toString("latin1")),
    ),
  );
  expect(edge.stored.every(({ bytes }) => sent.has(Buffer.from(bytes).toString("latin1")))).toBe(true);
});

test("bridge says which setting is bad, and exits with 2", async () => {
  const run = await startChild({ EDGE_URL: "http://127.0.0.1:1", BRIDGE_TOKEN: "x", BRIDGE_PORT: "many" });
  expect(await run.exit).toEqual([2, null]);
  expect(run.errors.join("")).toMatch(/^Cannot start the bridge: BRIDGE_PORT must be .* not "many"\n$/);
});
