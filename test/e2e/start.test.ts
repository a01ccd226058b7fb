import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bytesOf } from "../../codec/bytes.ts";
import { parseFrame } from "../../codec/frame.ts";
import { buildWorker } from "../../tools/bundle.ts";
import { readRunning, startOf } from "../../tools/data-dir.ts";
import { Tracker } from "./tracker.ts";

const folder = mkdtempSync(join(tmpdir(), "ephemeris-start-"));
const DATA_DIR = join(folder, "data");
const env = {
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  DATA_DIR,
  PORT: "0",
  BRIDGE_PORT: "0",
  BRIDGE_HOST: "127.0.0.1",
};
const started: Started[] = [];

interface Started {
  child: ChildProcess;
  /** Resolves to what it printed once that contains `text`. */
  printed(text: string): Promise<string>;
  ended: Promise<number | null>;
}

/** `npm start` or one of its relatives, as a person types it. */
function npm(args: string[], more: Record<string, string> = {}): Started {
  const child = spawn("npm", args, { env: { ...env, ...more }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  const one: Started = {
    child,
    async printed(text) {
      for (const deadline = Date.now() + 60_000; !output.includes(text); await wait(20)) {
        if (Date.now() > deadline || child.exitCode !== null) throw new Error(`never printed ${text}:\n${output}`);
      }
      return output;
    },
    ended: new Promise((resolve) => child.once("close", resolve)),
  };
  started.push(one);
  return one;
}

/** What a command printed, whatever its end. */
async function run(command: string, args: string[], more: Record<string, string> = {}) {
  const options = { env: { ...env, ...more } };
  return promisify(execFile)(command, args, options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }) as { code: number; stdout: string; stderr: string },
  );
}
const start = (more: Record<string, string> = {}) => run(process.execPath, ["tools/start.ts"], more);
const admin = (...args: string[]) => run("npm", ["run", "-s", "admin", "--", ...args]);

/** The processes of the platform that runs on the folder, the supervisor first. */
function processes(dataDir = DATA_DIR): number[] {
  const running = readRunning(dataDir);
  return running === null ? [] : [running.pid, ...running.children.map(({ pid }) => pid)];
}
async function allGone(pids: number[], ms: number): Promise<number[]> {
  const alive = () => pids.filter((pid) => startOf(pid) !== null);
  for (const deadline = Date.now() + ms; alive().length > 0 && Date.now() < deadline; ) await wait(20);
  return alive();
}

let taken: Server;
beforeAll(async () => {
  await buildWorker();
  taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
}, 60_000);
afterAll(async () => {
  for (const { child, ended } of started) {
    child.kill("SIGKILL");
    await ended;
  }
  await allGone(processes(), 20_000);
  taken.close();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

test("npm start refuses a bad setting with a sentence that names it, and creates nothing", {
  timeout: 60_000,
}, async () => {
  const port = String((taken.address() as { port: number }).port);
  const cases: [Record<string, string>, RegExp][] = [
    [{ PORT: "http" }, /^PORT must be a whole number .*\.\n$/],
    [{ BRIDGE_PORT: "70000" }, /^BRIDGE_PORT must be a whole number .*\.\n$/],
    [{ DATABASE_URL: "nowhere" }, /^DATABASE_URL must be a .*\.\n$/],
    [{ DATA_DIR: join(process.cwd(), "package.json") }, /^DATA_DIR must be a folder .*\.\n$/],
    [{ PORT: port }, new RegExp(`^PORT ${port} on 127.0.0.1 is in use by another program; .*\\.\\n$`)],
    [{ BRIDGE_PORT: port }, new RegExp(`^BRIDGE_PORT ${port} on 127.0.0.1 is in use by another program; .*\\.\\n$`)],
    [{ HOST: "192.0.2.1" }, /^PORT 0 on 192.0.2.1 cannot be opened: this machine does not have that address\.\n$/],
  ];
  for (const [more, sentence] of cases) {
    const { code, stdout, stderr } = await start(more);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(sentence);
  }
  expect(existsSync(DATA_DIR)).toBe(false);
  expect((await run(process.execPath, ["tools/start.ts", "--runtime", "bun"])).stderr).toBe(
    "--runtime must be workerd or deno.\n",
  );
});

test("the admin CLI says how to start a platform when none runs", async () => {
  const { code, stderr } = await admin("account", "list");
  expect([code, stderr]).toEqual([
    1,
    `No platform runs with DATA_DIR ${DATA_DIR}; start it with: DATA_DIR=${DATA_DIR} npm start\n`,
  ]);
});

test("npm start prints where everything is and lines that work, and no secret", { timeout: 90_000 }, async () => {
  const { printed } = npm(["start"]);
  const output = await printed("Ctrl-C stops everything");
  const running = readRunning(DATA_DIR);
  expect(running).not.toBeNull();
  for (const where of [
    `${running?.url}/v1`,
    running?.url.replace("127.0.0.1", "localhost"),
    `${running?.url}/docs`,
    `${running?.url}/healthz`,
    running?.metricsUrl,
    DATA_DIR,
  ]) {
    expect(output).toContain(where);
  }
  const secrets: string[] = Object.values(JSON.parse(readFileSync(join(DATA_DIR, "secrets.json"), "utf8")));
  const logs = ["libsqld", "edge", "bridge"].map((name) => readFileSync(join(DATA_DIR, "logs", `${name}.log`), "utf8"));
  for (const secret of secrets) for (const text of [output, ...logs]) expect(text).not.toContain(secret);
  for (const path of ["secrets.json", "main.db", "platform.json", "logs/edge.log"]) {
    expect([path, statSync(join(DATA_DIR, path)).mode & 0o077]).toEqual([path, 0]);
  }

  // The lines to type, typed.
  expect(output).toContain(`DATA_DIR=${DATA_DIR} npm run -s admin -- account create --name Acme`);
  expect((await admin("account", "create", "--name", "Acme", "--json")).stdout).toBe('{"accountId":1}\n');
  const made = JSON.parse((await admin("key", "create", "--account", "1", "--scope", "write", "--json")).stdout);
  expect(made).toEqual({ keyId: 1, key: expect.stringMatching(/^\S{20,}$/) });
  const curl = output.split("\n").filter((line) => line.startsWith("curl"));
  expect(curl).toHaveLength(2);
  const headers = { authorization: `Bearer ${made.key}`, "content-type": "application/json" };
  const body = curl[0].match(/-d '(.*)'$/)?.[1] ?? "";
  expect((await fetch(`${running?.url}/v1/devices`, { method: "POST", headers, body })).status).toBe(201);
  const [, text, port] = output.match(/^printf '(.*)\\r\\n' \| nc -w 1 127.0.0.1 (\d+)$/m) ?? [];
  const frame = bytesOf(`${text}\r\n`);
  expect(parseFrame(frame)).toMatchObject({ type: "AAA", checksumOk: true });
  const tracker = new Tracker(Number(port));
  tracker.send(frame);
  let latest = "";
  for (let i = 0; i < 200 && !latest.includes("fixTime"); i++, await wait(50)) {
    latest = await fetch(curl[1].match(/http\S+/)?.[0] ?? "", { headers }).then((response) => response.text());
  }
  expect(JSON.parse(latest).data).toMatchObject([{ latitude: 48.208354, longitude: 16.372504 }]);
  tracker.close();
});

test("a second npm start on the same data is refused with a sentence, and the first goes on", async () => {
  const { code, stderr } = await start();
  const supervisor = readRunning(DATA_DIR)?.pid;
  expect([code, stderr]).toEqual([
    1,
    `DATA_DIR ${DATA_DIR} is in use by another Ephemeris (process ${supervisor}); stop that one or set another folder.\n`,
  ]);
  expect((await fetch(`${readRunning(DATA_DIR)?.url}/healthz`)).status).toBe(200);
});

test("SIGTERM to npm start ends every child", { timeout: 60_000 }, async () => {
  const pids = processes();
  expect(pids).toHaveLength(5);
  started[0].child.kill("SIGTERM");
  await started[0].ended;
  expect(await allGone(pids, 20_000)).toEqual([]);
  expect(readRunning(DATA_DIR)).toBeNull();
});

test("when the supervisor and the host of workerd are killed, nothing is left and the data is whole", {
  timeout: 90_000,
}, async () => {
  const first = npm(["start"]);
  expect(await first.printed("Ctrl-C stops everything")).not.toContain("Next, in a second terminal");
  const [supervisor, ...children] = processes();
  const host = readRunning(DATA_DIR)?.children.find(({ name }) => name === "edge")?.pid ?? 0;
  const workerd = readRunning(DATA_DIR)?.children.find(({ name }) => name === "workerd")?.pid ?? 0;
  process.kill(supervisor, "SIGKILL");
  process.kill(host, "SIGKILL");
  // Nobody is left who could end workerd: the next start does.
  expect(await allGone(children, 5_000)).toEqual([workerd]);
  const second = npm(["start"]);
  await second.printed("Ctrl-C stops everything");
  expect(startOf(workerd)).toBeNull();
  // The operator reads names with a mask.
  expect((await admin("device", "list")).stdout).toMatch(/^1 .*\bV\*\*\* .*T366/m);
  const pids = processes();
  process.kill(pids[0], "SIGINT");
  await second.ended;
  expect(await allGone(pids, 20_000)).toEqual([]);
});

test("npm run demo moves at once, and one command removes it", { timeout: 90_000 }, async () => {
  const demo = npm(["run", "demo"]);
  const output = await demo.printed("Ctrl-C stops everything");
  const [, url, authorization] = output.match(/^curl -s (\S+) -H 'Authorization: (Bearer \S+)'$/m) ?? [];
  let data: { fixTime: string }[] = [];
  for (let i = 0; i < 300 && data.length < 25; i++, await wait(50)) {
    data = ((await (await fetch(url, { headers: { authorization } })).json()) as { data: typeof data }).data;
  }
  expect(data).toHaveLength(25);
  const dir = join(DATA_DIR, "demo");
  const pids = processes(dir);
  const remove = () => run("npm", ["-s", "run", "demo", "--", "--remove"]);
  expect((await remove()).stderr).toMatch(/^DATA_DIR .* is in use/);
  process.kill(pids[0], "SIGINT");
  await demo.ended;
  expect(await allGone(pids, 20_000)).toEqual([]);
  expect((await remove()).stdout).toBe("The demonstration is removed.\n");
  expect(existsSync(dir)).toBe(false);
  expect((await remove()).stdout).toBe("There is no demonstration.\n");
});
