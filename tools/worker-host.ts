import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { Log, LogLevel, Miniflare, type WorkerdStructuredLog } from "miniflare";
import { BINDINGS } from "../src/runtime/config.ts";
import { KEY_BUCKETS } from "../src/runtime/secrets-r2.ts";
import { sweepBlobs } from "./key-blobs.ts";

/**
 * Child of the platform that runs the bundled Worker in workerd. Environment: WORKER_SCRIPT, ASSETS_DIR, HOST, PORT, KEYS_DIR (the folder
 * of the key store's buckets) and the Worker's own bindings. The Worker listens on a socket of its own: 14,000 empty requests a second on two cores, against 4,400
 * through Miniflare's entry. A message `{cron, scheduledTime, id}` fires a cron trigger and is answered.
 */

/** Ids of child processes, as far as the system tells: workerd is the only one. */
function workerdPid(): number | null {
  try {
    const [pid] = readdirSync("/proc/self/task").flatMap((task) =>
      readFileSync(`/proc/self/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean),
    );
    return pid === undefined ? null : Number(pid);
  } catch {
    return null;
  }
}

/** Miniflare starts a dead workerd again by itself; when that fails this process must end, so that it is started anew. */
class FatalLog extends Log {
  override error(error: Error): void {
    super.error(error);
    if ((error as { code?: unknown }).code === "ERR_RUNTIME_FAILURE") process.exit(1);
  }
}

const { WORKER_SCRIPT = "", ASSETS_DIR = "", HOST = "127.0.0.1", PORT = "0", KEYS_DIR } = process.env;
const bindings = Object.keys(BINDINGS).flatMap((name) => {
  const value = process.env[name];
  return value === undefined ? [] : [[name, { type: "text" as const, value }]];
});
const buckets = KEYS_DIR ? KEY_BUCKETS.map((name) => [name, { type: "r2" as const, name: name.toLowerCase() }]) : [];
if (KEYS_DIR) sweepBlobs(KEYS_DIR);
const miniflare = new Miniflare({
  ...(KEYS_DIR && { resourcePersistencePath: KEYS_DIR }),
  host: "127.0.0.1",
  port: 0,
  cf: false,
  telemetry: { enabled: false },
  log: new FatalLog(LogLevel.WARN),
  logRequests: false,
  handleStructuredLogs: ({ level, message }: WorkerdStructuredLog) =>
    level === "error" ? console.error(message) : console.log(message),
  unsafeHandleRuntimeRestart: () => void process.send?.({ workerd: workerdPid() }),
  workers: [
    {
      config: {
        name: "ephemeris",
        compatibilityDate: "2026-10-20",
        compatibilityFlags: ["nodejs_compat"],
        manifest: {
          mainModule: "workers.js",
          modules: { "workers.js": { type: "esm", contents: readFileSync(WORKER_SCRIPT, "utf8") } },
        },
        env: { ...Object.fromEntries(bindings), ...Object.fromEntries(buckets), ASSETS: { type: "assets" } },
        assets: { directory: ASSETS_DIR, hasUserWorker: true, runWorkerFirst: true, htmlHandling: "none" },
      },
      dev: { unsafeDirectSockets: [{ host: HOST, port: Number(PORT) }] },
    },
  ],
});

async function stop(): Promise<void> {
  const pid = workerdPid();
  await miniflare.dispose();
  // Collected here, it does not stay behind as a zombie.
  for (let i = 0; i < 200 && pid !== null && workerdPid() === pid; i++) await wait(5);
  process.exit(0);
}
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  // Miniflare's own handler would end this process before workerd has ended.
  process.removeAllListeners(signal);
  process.once(signal, () => void stop());
}

await miniflare.ready;
const url = await miniflare.unsafeGetDirectURL();
process.on("message", async ({ cron, scheduledTime, id }: { cron: string; scheduledTime: number; id: number }) => {
  try {
    const worker = await miniflare.getWorker();
    const { outcome } = await worker.scheduled({ cron, scheduledTime: new Date(scheduledTime) });
    process.send?.({ id, outcome });
  } catch (error) {
    process.send?.({ id, outcome: String(error) });
  }
});
process.send?.({ workerd: workerdPid() });
console.log(`worker listening ${url.port}`);
