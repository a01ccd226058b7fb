import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createClient } from "@libsql/client";
import { JOBS } from "../src/jobs.ts";
import { buildWorker, OFFLINE } from "./bundle.ts";
import { Child, type ChildSpec } from "./child.ts";
import { startCrons } from "./crons.ts";
import { clearRunning, endOrphans, lockDataDir, startOf, writeRunning } from "./data-dir.ts";
import { applyMigrations } from "./migrate.ts";
import { claimPort } from "./ports.ts";
import { makePrivateFolder, openSecrets, type Secrets } from "./secrets.ts";
import type { Settings } from "./settings.ts";

const ROOT = join(import.meta.dirname, "..");
const tool = (path: string) => join(ROOT, path);
const PRELOAD = pathToFileURL(tool("tools/parent-watch.ts")).href;
/** How long the app may take from its first byte to a healthy answer. */
const HEALTHY_MS = 60_000;

export type Runtime = "workerd" | "deno";
export type ChildName = "libsqld" | "edge" | "bridge";

export interface PlatformOptions extends Partial<Omit<Settings, "dataDir">> {
  dataDir: string;
  runtime?: Runtime;
  /** Added to the bridge's environment: TLS, spool size, fail points. */
  bridgeEnv?: Record<string, string>;
  /** Hears what a person should know, a line each; absent: standard error. */
  report?: (line: string) => void;
}

export interface Platform {
  /** Of the API, without a slash at the end. */
  url: string;
  bridgePort: number;
  metricsUrl: string;
  dataDir: string;
  secrets: Secrets;
  runtime: Runtime;
  /** Process ids. `edge` is the process that runs the app; `workerd`, where there is one, its own child. */
  readonly children: Readonly<Partial<Record<ChildName | "workerd", number>>>;
  /** Ends one child as an accident would (SIGKILL), or kindly, and waits until its successor serves. */
  restart(name: ChildName | "workerd", signal?: NodeJS.Signals): Promise<void>;
  /** Fires a cron trigger now (workerd; Deno fires its own) and waits for its end. */
  fireCron(cron: string): Promise<void>;
  stop(): Promise<void>;
}

/** The environment of a child: ours without what it has no business with. */
function environment(own: Record<string, string | undefined>): Record<string, string | undefined> {
  const { NODE_OPTIONS, DATABASE_TOKEN, ADMIN_TOKEN, ROOT_KEY, BRIDGE_TOKEN, ...rest } = process.env;
  return { ...rest, ...own };
}

const node = (script: string): Pick<ChildSpec, "command" | "args"> => ({
  command: process.execPath,
  args: ["--import", PRELOAD, tool(script)],
});

const deno = (script: string): Pick<ChildSpec, "command" | "args"> => {
  const allow = ["net", "env", "read", "write", "ffi", "sys"].map((what) => `--allow-${what}`);
  return {
    command: denoBinary(),
    args: ["run", "--no-prompt", "--cached-only", ...allow, "--preload", tool("tools/parent-watch.ts"), tool(script)],
  };
};

/** Where npm ran no install scripts, the package fetches the binary out of its platform package at the first use. */
function denoBinary(): string {
  const binary = tool("node_modules/deno/deno");
  return existsSync(binary) ? binary : createRequire(import.meta.url)("deno/install_api.cjs").runInstall();
}

/**
 * Brings up the whole platform on this machine: database, migrations, app, crons, bridge. Every child is watched and
 * started again when it dies, and ends when this process does, whatever way.
 * @param options ports: 0 takes any free one
 * @throws {SettingError} when a setting cannot be used here; nothing is left behind then
 */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const { dataDir, runtime = "workerd", host = "127.0.0.1", bridgeHost = "0.0.0.0" } = options;
  const report = options.report ?? ((line: string) => console.error(line));
  let lock = existsSync(dataDir) ? lockDataDir(dataDir) : undefined;
  const children: Partial<Record<ChildName, Child>> = {};
  const stops: (() => void)[] = [];
  try {
    if (lock !== undefined) await endOrphans(dataDir);
    const port = await claimPort("PORT", host, options.port ?? 8787);
    const bridgePort = await claimPort("BRIDGE_PORT", bridgeHost, options.bridgePort ?? 5020, true);
    const databasePort = await claimPort("PORT", "127.0.0.1", 0);
    makePrivateFolder(dataDir);
    lock ??= lockDataDir(dataDir);
    const secrets = openSecrets(dataDir);
    const logDir = join(dataDir, "logs");
    const common = { logDir, report };
    const url = `http://${/^(0\.0\.0\.0|::)$/.test(host) ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host}:${port}`;
    const path = join(dataDir, "main.db");
    const outside = options.databaseUrl !== undefined;
    const remote = { url: options.databaseUrl ?? `http://127.0.0.1:${databasePort}`, authToken: options.databaseToken };
    if (!outside) remote.authToken = secrets.databaseToken;

    // The bundle needs a core for two seconds: it is made while the database starts.
    const script = runtime === "workerd" ? buildWorker() : Promise.resolve("");
    script.catch(() => undefined);
    if (runtime === "workerd" && !outside) {
      children.libsqld = new Child({
        ...common,
        ...node("tools/libsqld.ts"),
        name: "libsqld",
        env: () =>
          environment({
            LIBSQLD_PATH: path,
            LIBSQLD_PORT: String(databasePort),
            LIBSQLD_TOKEN: secrets.databaseToken,
          }),
        ready: /^libsqld listening (\d+)$/,
        onReady: () => undefined,
      });
      await children.libsqld.start();
    }
    const database = runtime === "deno" && !outside ? { url: `file:${path}` } : remote;
    const client = createClient(
      database.url.startsWith("file:") || remote.authToken === undefined
        ? { url: database.url }
        : { url: database.url, authToken: remote.authToken },
    );
    const applied = await applyMigrations(client).finally(() => client.close());
    if (applied.length > 0) report(`Migrations applied: ${applied.join(", ")}.`);

    let workerd: number | undefined;
    let nextCron = 1;
    const fired = new Map<number, { resolve(): void; reject(error: Error): void }>();
    const bindings = {
      DATABASE_URL: database.url,
      DATABASE_TOKEN: database === remote ? remote.authToken : undefined,
      ADMIN_TOKEN: secrets.adminToken,
      BRIDGE_TOKEN: secrets.bridgeToken,
      ROOT_KEY: secrets.rootKey,
      PUBLIC_URL: options.publicUrl,
      RETENTION_MONTHS: String(options.retentionMonths ?? 3),
    };
    const workerScript = await script;
    children.edge = new Child({
      ...common,
      ...(runtime === "deno" ? deno("src/runtime/deno.ts") : node("tools/worker-host.ts")),
      name: "edge",
      env: () => environment({ ...OFFLINE, ...bindings, HOST: host, PORT: String(port), WORKER_SCRIPT: workerScript }),
      ready: /^(?:worker|edge) listening (\d+)$/,
      onReady: () => undefined,
      ...(runtime === "workerd" && {
        onMessage(message: unknown) {
          const { workerd: pid, id, outcome } = message as { workerd?: number | null; id?: number; outcome?: string };
          if (pid !== undefined) workerd = pid ?? undefined;
          if (id === undefined) return;
          if (outcome === "ok") fired.get(id)?.resolve();
          else fired.get(id)?.reject(new Error(`The cron trigger failed: ${outcome}`));
          fired.delete(id);
        },
        onGone() {
          // Killed outright, the host could not end it.
          if (workerd !== undefined) tryKill(workerd);
          workerd = undefined;
          for (const { reject } of fired.values()) reject(new Error("The edge process ended"));
          fired.clear();
        },
      }),
    });
    await children.edge.start();
    await healthy(url);

    let metricsPort = 0;
    children.bridge = new Child({
      ...common,
      ...node("bridge/main.ts"),
      name: "bridge",
      env: () =>
        environment({
          ...options.bridgeEnv,
          EDGE_URL: url,
          BRIDGE_TOKEN: secrets.bridgeToken,
          BRIDGE_PORT: String(bridgePort),
          BRIDGE_HOST: bridgeHost,
          SPOOL_DIR: join(dataDir, "spool"),
          METRICS_PORT: String(metricsPort),
        }),
      ready: /^bridge listening .*\bmetrics=(\d+)/,
      onReady: (match) => {
        metricsPort = Number(match[1]);
      },
    });
    await children.bridge.start();

    const fireCron = (cron: string, time = Date.now()) =>
      new Promise<void>((resolve, reject) => {
        const id = nextCron++;
        fired.set(id, { resolve, reject });
        children.edge?.send({ cron, scheduledTime: time, id });
      });
    if (runtime === "workerd") {
      const crons = JOBS.map((job) => job.cron);
      stops.push(startCrons(crons, (cron, time) => void fireCron(cron, time).catch((error) => report(error.message))));
    }
    const pids = () => {
      const all = Object.entries(children).map(([name, child]) => [name, child.pid] as const);
      return Object.fromEntries([...all, ["workerd", workerd] as const].filter(([, pid]) => pid !== undefined));
    };
    const metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
    const announce = () => {
      const list = Object.entries(pids()).map(([name, pid]) => ({
        name,
        pid: pid as number,
        started: startOf(pid as number),
      }));
      writeRunning(dataDir, { pid: process.pid, url, bridgePort, metricsUrl, children: list });
    };
    announce();
    for (const child of Object.values(children)) child.onRestart = announce;
    const held = lock;
    return {
      url,
      bridgePort,
      metricsUrl,
      dataDir,
      secrets,
      runtime,
      get children() {
        return pids();
      },
      async restart(name, signal = "SIGKILL") {
        if (name === "workerd") {
          const old = workerd;
          if (old === undefined) throw new Error("Cannot restart workerd: this platform has none");
          process.kill(old, signal);
          while (workerd === old || workerd === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
          announce();
        } else await children[name]?.restart(signal);
        await healthy(url);
      },
      fireCron,
      async stop() {
        for (const end of stops) end();
        await stopAll(children);
        clearRunning(dataDir);
        held.release();
      },
    };
  } catch (error) {
    for (const end of stops) end();
    await stopAll(children);
    lock?.release();
    throw error;
  }
}

/** The bridge first: it hands over what it holds while the app still answers. */
async function stopAll(children: Partial<Record<ChildName, Child>>): Promise<void> {
  for (const name of ["bridge", "edge", "libsqld"] as const) await children[name]?.stop();
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

async function healthy(url: string): Promise<void> {
  const deadline = Date.now() + HEALTHY_MS;
  for (;;) {
    let reason = "no answer";
    try {
      const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000) });
      if (response.ok) return;
      reason = await response.text();
    } catch {
      // Not listening yet, or just killed.
    }
    if (Date.now() > deadline) throw new Error(`The app does not get healthy: ${reason}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
