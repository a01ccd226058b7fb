import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { JOBS } from "../../src/jobs.ts";
import { Child, type ChildSpec } from "../../tools/child.ts";
import { cronMatches } from "../../tools/crons.ts";
import { clearRunning, endOrphans, lockDataDir, readRunning, startOf, writeRunning } from "../../tools/data-dir.ts";
import { inNode } from "../../tools/launch.ts";
import { claimPort } from "../../tools/ports.ts";

const folder = mkdtempSync(join(tmpdir(), "ephemeris-platform-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A child that runs `code` in Node, and what was reported about it. */
function aChild(code: string, more: Partial<ChildSpec> = {}): { child: Child; reported: string[]; readies: string[] } {
  const script = join(mkdtempSync(join(folder, "child-")), "main.mjs");
  writeFileSync(script, code);
  const reported: string[] = [];
  const readies: string[] = [];
  const watch = inNode("tools/parent-watch.ts").args.slice(0, 2);
  const child = new Child({
    name: "sample",
    command: process.execPath,
    args: [...watch, script],
    env: () => ({ ...process.env }),
    ready: /^ready (\d+)$/,
    onReady: ([, pid]) => readies.push(pid),
    logDir: join(folder, "logs"),
    report: (line) => reported.push(line),
    ...more,
  });
  return { child, reported, readies };
}
const SERVING = "console.log('ready', process.pid); setInterval(() => {}, 1000);";

test("Child.start() resolves when the child serves, and stop() waits for its end", async () => {
  const { child, reported, readies } = aChild(SERVING);
  await child.start();
  const pid = child.pid ?? 0;
  expect(readies).toEqual([String(pid)]);
  await child.stop();
  expect([startOf(pid), child.pid, reported]).toEqual([null, undefined, []]);
  expect(readFileSync(join(folder, "logs", "sample.log"), "utf8")).toContain(`ready ${pid}`);
});

test("Child.start() rejects with the last words of a child that ends before it serves", async () => {
  const { child, reported } = aChild("console.error('no such thing'); process.exit(3)");
  await expect(child.start()).rejects.toThrow("Cannot start sample: it ended (exit code 3).\n  no such thing");
  await child.stop();
  const absent = aChild("", { command: join(folder, "absent") });
  await expect(absent.child.start()).rejects.toThrow("ENOENT");
  await absent.child.stop();
  expect([...reported, ...absent.reported]).toEqual([]);
});

test("a child that dies is started again, ever later, until it is stopped", async () => {
  const { child, reported, readies } = aChild(
    "console.log('ready', Date.now()); setTimeout(() => process.exit(7), 30);",
  );
  await child.start();
  while (readies.length < 4) await wait(5);
  await child.stop();
  const count = readies.length;
  expect(reported[0]).toBe("sample ended (exit code 7) and is started again.");
  // By the children's own clocks: a busy machine can only make the waits longer.
  const gaps = readies.slice(1).map((at, n) => Number(at) - Number(readies[n]));
  expect(gaps[0]).toBeGreaterThanOrEqual(100);
  expect(gaps[1]).toBeGreaterThanOrEqual(200);
  expect(gaps[2]).toBeGreaterThanOrEqual(400);
  await wait(1000);
  expect(readies.length).toBe(count);
});

test("Child.restart() waits for the successor, which starts at once", async () => {
  const { child, readies } = aChild(SERVING);
  await child.start();
  for (let n = 2; n < 5; n++) {
    await child.restart("SIGKILL");
    expect([readies.length, readies.at(-1)]).toEqual([n, String(child.pid)]);
  }
  await child.stop();
});

test("a child that ignores SIGTERM is killed", async () => {
  const { child } = aChild(`process.on("SIGTERM", () => {}); ${SERVING}`, { stopMs: 100 });
  await child.start();
  const pid = child.pid ?? 0;
  await child.stop();
  expect(startOf(pid)).toBeNull();
});

test("a child ends by itself when its supervisor is killed", { timeout: 30_000 }, async () => {
  // A supervisor of its own, whose child in turn writes its process id.
  const inner = join(folder, "inner.mjs");
  writeFileSync(inner, SERVING);
  const supervisor = aChild(`
    import { spawn } from "node:child_process";
    const child = spawn(process.execPath, ${JSON.stringify([...inNode("x").args.slice(0, 2), inner])}, { detached: true, stdio: ["pipe", "pipe", "inherit"] });
    child.stdout.on("data", (data) => process.stdout.write(data));
    setInterval(() => {}, 1000);
  `);
  await supervisor.child.start();
  const pid = Number(supervisor.readies[0]);
  expect(startOf(pid)).not.toBeNull();
  process.kill(supervisor.child.pid ?? 0, "SIGKILL");
  for (let i = 0; i < 500 && startOf(pid) !== null; i++) await wait(10);
  expect(startOf(pid)).toBeNull();
  await supervisor.child.stop();
});

test("lockDataDir() lets one in, and the next after it", () => {
  const dir = mkdtempSync(join(folder, "locked-"));
  const { release } = lockDataDir(dir);
  expect(() => lockDataDir(dir)).toThrow(/^DATA_DIR .* is in use by another Ephemeris; /);
  writeRunning(dir, { pid: 4711, url: "", bridgePort: 0, metricsUrl: "", children: [] });
  expect(() => lockDataDir(dir)).toThrow("(process 4711)");
  release();
  lockDataDir(dir).release();
});

test("endOrphans() ends what a killed supervisor left, and nothing that only has the same process id", async () => {
  const dir = join(folder, "orphans");
  mkdirSync(dir);
  const [orphan, stranger] = [aChild(SERVING), aChild(SERVING)];
  await Promise.all([orphan.child.start(), stranger.child.start()]);
  const { pid = 0 } = orphan.child;
  const left = [
    { name: "edge", pid, started: startOf(pid) },
    { name: "bridge", pid: stranger.child.pid ?? 0, started: "1" },
  ];
  writeRunning(dir, { pid: 1, url: "", bridgePort: 0, metricsUrl: "", children: left });
  await endOrphans(dir);
  expect(startOf(pid)).toBeNull();
  expect(startOf(stranger.child.pid ?? 0)).not.toBeNull();
  expect(readRunning(dir)).toBeNull();
  clearRunning(dir);
  await Promise.all([orphan.child.stop(), stranger.child.stop()]);
});

test("claimPort() names the setting whose port is taken, and finds a free one for 0", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await expect(claimPort("PORT", "127.0.0.1", port)).rejects.toThrow(`PORT ${port} on 127.0.0.1 is in use`);
  const free = await claimPort("BRIDGE_PORT", "127.0.0.1", 0, true);
  expect(await claimPort("BRIDGE_PORT", "127.0.0.1", free, true)).toBe(free);
  server.close();
});

test("cronMatches() reads the five fields in UTC", () => {
  // A Sunday.
  const at = (time: string) => Date.parse(`2026-03-01T${time}:00Z`);
  const cases: [string, string, boolean][] = [
    ["* * * * *", "12:00", true],
    ["*/10 * * * *", "12:20", true],
    ["*/10 * * * *", "12:25", false],
    ["7 * * * *", "12:07", true],
    ["0 0 1 3 *", "00:00", true],
    ["0 0 2 3 *", "00:00", false],
    ["5-20/5,59 * * * *", "12:15", true],
    ["5-20/5,59 * * * *", "12:25", false],
    ["5-20/5,59 * * * *", "12:59", true],
    ["0 6 * * 0", "06:00", true],
    ["0 6 * * 7", "06:00", true],
    ["0 6 * * 1-5", "06:00", false],
    ["0 6 15 * 7", "06:00", true],
    ["0 6 15 * 1", "06:00", false],
  ];
  for (const [cron, time, expected] of cases)
    expect([cron, time, cronMatches(cron, at(time))]).toEqual([cron, time, expected]);
  expect(() => cronMatches("60m * * * *", 0)).toThrow("Cannot read cron field");
  // Each job has a minute on a normal day.
  for (const { cron } of JOBS) {
    const day = Array.from({ length: 1440 }, (_, minute) => cronMatches(cron, Date.UTC(2026, 2, 3) + minute * 60_000));
    expect([cron, day.some(Boolean)]).toEqual([cron, true]);
  }
});
