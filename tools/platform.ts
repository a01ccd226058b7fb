import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@libsql/client";
import { JOBS } from "../src/jobs.ts";
import { fileUrl } from "../src/runtime/config.ts";
import { readDatabases } from "../src/runtime/databases.ts";
import { viaSmtp } from "../src/runtime/smtp.ts";
import { writeAssets } from "./assets.ts";
import { copyWorker } from "./bundle.ts";
import { Child } from "./child.ts";
import { startCrons } from "./crons.ts";
import { clearRunning, endOrphans, lockDataDir, startOf, writeRunning } from "./data-dir.ts";
import { Edge, type Runtime } from "./edge.ts";
import { environment, inNode } from "./launch.ts";
import { applyMigrations, migrateOthers, seedDocuments } from "./migrate.ts";
import { type Outbox, startOutbox } from "./outbox.ts";
import { claimPort } from "./ports.ts";
import { makePrivateFolder, openSecrets, type Secrets } from "./secrets.ts";
import { SettingError, type Settings } from "./settings.ts";

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
  /** The page with the mails that were sent; null when a mail server takes them. */
  outboxUrl: string | null;
  dataDir: string;
  secrets: Secrets;
  runtime: Runtime;
  /** Process ids. `edge` is the process that runs the app; `workerd`, where there is one, is its child. */
  readonly children: Readonly<Partial<Record<ChildName | "workerd", number>>>;
  /** Ends one child, as an accident would (SIGKILL) or kindly, and waits until its successor serves. */
  restart(name: ChildName | "workerd", signal?: NodeJS.Signals): Promise<void>;
  /** Fires a cron trigger now and waits for its end. Only in workerd: Deno fires its own. */
  fireCron(cron: string): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Brings up the whole platform on this machine: database, migrations, app, crons, bridge. Every child is watched and
 * started again when it dies, and ends when this process does, whatever way.
 * @param options ports: 0 takes any free one
 * @throws {SettingError} when a setting cannot be used here; nothing is left running then
 */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const undo: (() => void | Promise<void>)[] = [];
  const undoAll = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return await start(options, undo, undoAll);
  } catch (error) {
    await undoAll();
    throw error;
  }
}

/** What the app on Deno serves beside itself: it may start no other program, such as a bundler. */
async function denoAssets(assets: string): Promise<{ script: undefined; assets: string }> {
  await writeAssets(assets);
  return { script: undefined, assets };
}

async function start(
  options: PlatformOptions,
  undo: (() => void | Promise<void>)[],
  stop: () => Promise<void>,
): Promise<Platform> {
  const { dataDir, runtime = "workerd", host = "127.0.0.1", bridgeHost = "0.0.0.0" } = options;
  const report = options.report ?? ((line: string) => console.error(line));
  const lock = () => {
    const { release } = lockDataDir(dataDir);
    undo.push(release);
  };
  const isNew = !existsSync(dataDir);
  if (!isNew) {
    lock();
    await endOrphans(dataDir);
  }
  const port = await claimPort("PORT", host, options.port ?? 8787);
  const bridgePort = await claimPort("BRIDGE_PORT", bridgeHost, options.bridgePort ?? 5020, true);
  makePrivateFolder(dataDir);
  if (isNew) lock();
  undo.push(() => clearRunning(dataDir));
  const secrets = openSecrets(dataDir);
  const common = { logDir: join(dataDir, "logs"), report };
  const children = new Map<ChildName, Child>();
  const run = async (name: ChildName, child: Child, started: () => Promise<void> = () => child.start()) => {
    children.set(name, child);
    undo.push(() => child.stop());
    await started();
  };

  // The bundle needs a core for two seconds: it is made while the database starts.
  const bundle = runtime === "workerd" ? copyWorker(dataDir) : denoAssets(join(dataDir, "assets"));
  bundle.catch(() => undefined);
  const database: { url: string; authToken?: string | undefined } = { url: fileUrl(join(dataDir, "main.db")) };
  if (options.databaseUrl !== undefined) {
    database.url = options.databaseUrl;
    database.authToken = options.databaseToken;
  } else if (runtime === "workerd") {
    const libsqld = libsqldChild(join(dataDir, "main.db"), secrets.databaseToken, common);
    await run("libsqld", libsqld.child);
    database.url = `http://127.0.0.1:${libsqld.port()}`;
    database.authToken = secrets.databaseToken;
  } else writeFileSync(join(dataDir, "main.db"), "", { flag: "a", mode: 0o600 });
  await migrate(database, report, options.databaseUrl !== undefined, options.retentionMonths ?? 3);
  await migrateOthers(readDatabases(options.telemetryDatabases)).catch(({ message }) => {
    throw new SettingError(`TELEMETRY_DATABASES cannot be used: ${message}.`);
  });

  const mail = await mailWay(options, runtime, dataDir);
  if (mail.outbox !== undefined) undo.push(mail.outbox.close);

  const keysDir = join(dataDir, "keys");
  makePrivateFolder(keysDir);
  const literal = host.includes(":") ? `[${host}]` : host;
  const url = `http://${/^(0\.0\.0\.0|::)$/.test(host) ? "127.0.0.1" : literal}:${port}`;
  const bindings = {
    DATABASE_URL: database.url,
    DATABASE_TOKEN: database.authToken,
    MAIN_REGION: options.mainRegion,
    TELEMETRY_DATABASES: options.telemetryDatabases,
    ADMIN_TOKEN: secrets.adminToken,
    BRIDGE_TOKEN: secrets.bridgeToken,
    ROOT_KEY: secrets.rootKey,
    KEYS_DIR: keysDir,
    PUBLIC_URL: options.publicUrl,
    TRACKER_PORT: String(bridgePort),
    RETENTION_MONTHS: String(options.retentionMonths ?? 3),
    MAIL_FROM: options.mailFrom,
    ...mail.bindings,
  };
  const edge = new Edge({ ...common, runtime, host, port, url, bindings, built: await bundle });
  await run("edge", edge.child, () => edge.start());
  if (runtime === "workerd") {
    const endCrons = startCrons(
      JOBS.map((job) => job.cron),
      (cron, time) => void edge.fireCron(cron, time).catch(({ message }) => stopping || report(message)),
    );
    let stopping = false;
    undo.push(() => {
      stopping = true;
      endCrons();
    });
  }
  const bridge = bridgeChild(
    {
      ...options.bridgeEnv,
      EDGE_URL: url,
      BRIDGE_TOKEN: secrets.bridgeToken,
      BRIDGE_PORT: String(bridgePort),
      BRIDGE_HOST: bridgeHost,
      SPOOL_DIR: join(dataDir, "spool"),
    },
    common,
  );
  // Ended before the app: it hands over what it holds while there is an answer.
  await run("bridge", bridge.child);

  const pids = () => {
    const all = [...children].map(([name, child]) => [name, child.pid] as const);
    return Object.fromEntries([...all, ["workerd", edge.workerd] as const].filter(([, pid]) => pid !== undefined));
  };
  const metricsUrl = `http://127.0.0.1:${bridge.metricsPort()}/metrics`;
  const announce = () => {
    const list = Object.entries<number | undefined>(pids()).flatMap(([name, pid]) =>
      pid === undefined ? [] : [{ name, pid, started: startOf(pid) }],
    );
    writeRunning(dataDir, { pid: process.pid, url, bridgePort, metricsUrl, children: list });
  };
  announce();
  for (const child of children.values()) child.onRestart = announce;
  return {
    url,
    bridgePort,
    metricsUrl,
    outboxUrl: options.smtpUrl === undefined ? (mail.outbox?.url ?? null) : null,
    dataDir,
    secrets,
    runtime,
    get children() {
      return pids();
    },
    async restart(name, signal = "SIGKILL") {
      if (name === "workerd") {
        await edge.restartWorkerd(signal);
        announce();
      } else await children.get(name)?.restart(signal);
      await edge.healthy();
    },
    fireCron: (cron) => edge.fireCron(cron),
    stop,
  };
}

/** How the app of this platform sends mails. workerd has no sockets for SMTP, so this process hands them on for it. */
async function mailWay(
  { smtpUrl }: PlatformOptions,
  runtime: Runtime,
  dataDir: string,
): Promise<{ outbox?: Outbox; bindings: Record<string, string> }> {
  if (smtpUrl !== undefined && runtime === "deno") return { bindings: { SMTP_URL: smtpUrl } };
  const outbox = await startOutbox(join(dataDir, "outbox"), smtpUrl === undefined ? undefined : viaSmtp(smtpUrl));
  return { outbox, bindings: { MAIL_OUTBOX_URL: outbox.postUrl, MAIL_OUTBOX_TOKEN: outbox.token } };
}

type Common = { logDir: string; report(line: string): void };

/** The database; it comes back on the port of its first start. */
function libsqldChild(path: string, token: string, common: Common): { child: Child; port(): number } {
  let port = 0;
  const child = new Child({
    ...common,
    ...inNode("tools/libsqld.ts"),
    name: "libsqld",
    env: () => environment({ LIBSQLD_PATH: path, LIBSQLD_TOKEN: token, LIBSQLD_PORT: String(port) }),
    ready: /^libsqld listening (\d+)$/,
    onReady: (match) => {
      port = Number(match[1]);
    },
  });
  return { child, port: () => port };
}

/** The bridge; its metrics come back on the port of its first start. */
function bridgeChild(env: Record<string, string>, common: Common): { child: Child; metricsPort(): number } {
  let port = 0;
  const child = new Child({
    ...common,
    ...inNode("bridge/main.ts"),
    name: "bridge",
    env: () => environment({ ...env, METRICS_PORT: String(port) }),
    ready: /^bridge listening .*\bmetrics=(\d+)/,
    onReady: (match) => {
      port = Number(match[1]);
    },
  });
  return { child, metricsPort: () => port };
}

async function migrate(
  { url, authToken }: { url: string; authToken?: string | undefined },
  report: (line: string) => void,
  outside: boolean,
  retentionMonths: number,
): Promise<void> {
  const client = createClient(authToken === undefined ? { url } : { url, authToken });
  try {
    const applied = await applyMigrations(client);
    await seedDocuments(client, { retentionMonths });
    if (applied.length > 0) report(`Migrations applied: ${applied.join(", ")}.`);
  } catch (error) {
    if (!outside) throw error;
    throw new SettingError(`DATABASE_URL or DATABASE_TOKEN cannot be used: ${(error as Error).message}.`);
  } finally {
    client.close();
  }
}
