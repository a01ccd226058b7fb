import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "@libsql/client";
import { WAITING_IN_RUNS } from "../../src/store/inbox.ts";
import { type BuiltWorker, copyWorker, OFFLINE } from "../bundle.ts";
import { applyMigrations } from "../migrate.ts";
import { claimPort } from "../ports.ts";
import { openSecrets } from "../secrets.ts";
import { Api } from "./api.ts";
import { imeiOf } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { childrenOf, eventually, Restartable, readMetrics } from "./processes.ts";
import { type Fault, FaultProxy, pass } from "./proxy.ts";
import { type Random, seeded } from "./random.ts";
import type { RowResult } from "./trial.ts";

const entry = (name: string): string => new URL(name, import.meta.url).pathname;

/** A day, ms. */
const DAY_MS = 86_400_000;

/** What the harness reads from the bridge's metrics page, under its own names. */
const METRICS = {
  /** Frames in the spool that the edge has not answered yet, and bytes on their way there. */
  backlog: /^bridge_spool_backlog_frames$/,
  unsynced: /^bridge_spool_unsynced_bytes$/,
  /** Frames set aside because the edge refuses them. */
  parked: /^bridge_frames_parked_total\{reason="rejected"\}$/,
  /** Stretches of the spool that are no record any more. */
  damaged: /^bridge_frames_parked_total\{reason="damaged"\}$/,
  /** Resident memory of the bridge, bytes. */
  memory: /^process_resident_memory_bytes$/,
  /** Connections that the bridge closed for a reason of its own. */
  closed: /^bridge_connections_closed_total\{reason="(?!peer|error|stopping)/,
} as const;

/**
 * The platform with every joint exposed: libsqld, a proxy before it, the edge app in workerd, a proxy before it, and the
 * bridge; each process can be killed and started again on its port.
 */
export class World {
  readonly seed: number;
  /** Fix time of the first record of every device, Unix ms: two days ago, at midnight UTC. */
  readonly baseMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - 2 * DAY_MS;
  readonly folder: string;
  readonly ledger: Ledger;
  readonly pass: Fault = pass;
  readonly libsqld: Restartable;
  readonly runtime: Restartable;
  readonly bridge: Restartable;
  readonly database: FaultProxy;
  readonly edge: FaultProxy;
  readonly sql: Client;
  readonly api: Api;
  readonly bridgePort: number;
  readonly databasePath: string;
  readonly spoolFolder: string;
  /** Where the feed goes on: everything before it is judged. */
  cursor: string | null = null;
  /** Limits of the bridge's table that its next start takes instead of its own. */
  bridgeLimits: Record<string, number> = {};
  #metricsPort = 0;
  readonly #imeis: Random;

  constructor(parts: {
    seed: number;
    folder: string;
    /** The bundled Worker. */
    worker: BuiltWorker;
    ports: { database: number; runtime: number; bridge: number };
    database: { proxy: FaultProxy; url: string };
    edge: { proxy: FaultProxy; url: string };
  }) {
    const { seed, folder, worker, ports, database, edge } = parts;
    const secrets = openSecrets(folder);
    this.seed = seed;
    this.#imeis = seeded(seed, "devices that come and go");
    this.folder = folder;
    this.ledger = new Ledger(folder);
    this.database = database.proxy;
    this.edge = edge.proxy;
    this.bridgePort = ports.bridge;
    this.databasePath = join(folder, "main.db");
    this.spoolFolder = join(folder, "spool");
    this.api = new Api(`http://127.0.0.1:${ports.runtime}`, secrets.adminToken);
    this.sql = createClient({
      url: `http://127.0.0.1:${ports.database}`,
      authToken: secrets.databaseToken,
      concurrency: 8,
    });
    this.libsqld = new Restartable({
      name: "libsqld",
      arguments: [entry("../libsqld.ts")],
      env: {
        LIBSQLD_PATH: this.databasePath,
        LIBSQLD_PORT: String(ports.database),
        LIBSQLD_TOKEN: secrets.databaseToken,
      },
      ready: /libsqld listening/,
      log: join(folder, "libsqld.log"),
    });
    this.runtime = new Restartable({
      name: "edge runtime",
      arguments: [entry("../worker-host.ts")],
      env: {
        ...OFFLINE,
        WORKER_SCRIPT: worker.script,
        ASSETS_DIR: worker.assets,
        PORT: String(ports.runtime),
        DATABASE_URL: database.url,
        DATABASE_TOKEN: secrets.databaseToken,
        ADMIN_TOKEN: secrets.adminToken,
        BRIDGE_TOKEN: secrets.bridgeToken,
        ROOT_KEY: secrets.rootKey,
        KEYS_DIR: join(folder, "keys"),
      },
      ready: /worker listening/,
      log: join(folder, "runtime.log"),
    });
    this.bridge = new Restartable({
      name: "bridge",
      arguments: [entry("./bridge.ts")],
      env: {
        EDGE_URL: edge.url,
        BRIDGE_TOKEN: secrets.bridgeToken,
        BRIDGE_HOST: "127.0.0.1",
        BRIDGE_PORT: String(ports.bridge),
        SPOOL_DIR: this.spoolFolder,
        METRICS_PORT: "0",
      },
      ready: /bridge listening tcp=(?<tcp>\d+) udp=(?<udp>\d+) metrics=(?<metrics>\d+)/,
      log: join(folder, "bridge.log"),
    });
  }

  /** Starts everything on an empty database and opens an account. */
  async open(): Promise<void> {
    await this.libsqld.start();
    await applyMigrations(this.sql);
    await this.runtime.start();
    await this.startBridge();
    await this.api.openAccount();
  }

  /** Makes the bridge run with these limits; those that it does not name are its own. */
  async limitBridge(limits: Record<string, number>): Promise<void> {
    if (JSON.stringify(limits) === JSON.stringify(this.bridgeLimits)) return;
    this.bridgeLimits = limits;
    await this.bridge.kill("SIGTERM");
    await this.startBridge();
  }

  /**
   * @param failpoint where it is to end by itself, as BRIDGE_FAILPOINT says it
   * @returns time until the bridge accepts connections, ms
   */
  async startBridge(failpoint: string | null = null): Promise<number> {
    const env = { BRIDGE_LIMITS: JSON.stringify(this.bridgeLimits), BRIDGE_FAILPOINT: failpoint ?? "" };
    const { groups, ms } = await this.bridge.start(env, failpoint !== null);
    this.#metricsPort = Number(groups.metrics);
    return ms;
  }

  /** Ends workerd as an accident would; its host starts the next one. Resolves when that serves. */
  async killRuntime(): Promise<void> {
    for (const pid of childrenOf(this.runtime.pid!)) process.kill(pid, "SIGKILL");
    await eventually(LIMITS.processMs, () => this.api.healthy());
  }

  /** Ends the host, too, and starts another. */
  async killRuntimeHost(): Promise<void> {
    const children = childrenOf(this.runtime.pid!);
    await this.runtime.kill();
    for (const pid of children) process.kill(pid, "SIGKILL");
    await this.runtime.start();
    await eventually(LIMITS.processMs, () => this.api.healthy());
  }

  /** Ends all faults: proxies pass, every process runs. */
  async heal(): Promise<void> {
    this.edge.fault = pass;
    this.database.fault = pass;
    for (const each of [this.libsqld, this.runtime]) if (!each.running) await each.start();
    if (!this.bridge.running) await this.startBridge();
    await eventually(LIMITS.processMs, () => this.api.healthy());
  }

  /**
   * Has the platform move whatever waits into segments: it does so when a device is removed, whose positions may be among
   * it.
   * @throws when it was ended meanwhile
   */
  async settle(): Promise<void> {
    const id = await this.api.createDevice(imeiOf(this.#imeis, 0));
    await this.api.removeDevice(id);
  }

  /** The same until nothing waits any more. @returns whether that was reached */
  async settleAll(): Promise<boolean> {
    await this.settle();
    return eventually(LIMITS.drainMs, async () => {
      const { rows } = await this.sql.execute(
        `SELECT (SELECT count(*) FROM inbox WHERE id > (SELECT merged FROM settlement)) + ${WAITING_IN_RUNS} AS n`,
      );
      if (Number(rows[0]?.n) === 0) return true;
      // The lease of a settler that was killed runs out.
      await this.sql.execute("UPDATE settlement SET held_until = 0");
      await this.settle();
      return false;
    });
  }

  /** One line of the schedule file. */
  schedule(words: string): void {
    appendFileSync(join(this.folder, "schedule.txt"), `${Math.round(performance.now())} ${words}\n`);
  }

  /** Sum of the bridge's samples under one of our names; a sample that does not exist yet is 0. */
  async metric(name: keyof typeof METRICS): Promise<number> {
    const page = await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`, {
      signal: AbortSignal.timeout(LIMITS.requestTimeoutMs),
    });
    let sum = 0;
    for (const [sample, value] of readMetrics(await page.text())) if (METRICS[name].test(sample)) sum += value;
    return sum;
  }

  backlog(): Promise<number> {
    return this.metric("backlog");
  }

  /** Whether the bridge has handed over everything that it ever read. */
  async drained(): Promise<boolean> {
    for (let looks = 0; looks < 2; looks++) {
      if ((await this.backlog()) > 0 || (await this.metric("unsynced")) > 0) return false;
      await sleep(LIMITS.pollMs);
    }
    return true;
  }

  closed(): Promise<number> {
    return this.metric("closed");
  }

  /** Processes that ended by themselves since the last call. */
  crashes(): string[] {
    return [this.libsqld, this.runtime, this.bridge].flatMap(({ crashes }) => crashes.splice(0));
  }

  /** After the last row: the database's own check, and whether every row of it belongs to a row of the matrix. */
  async checkDatabase(results: readonly RowResult[]): Promise<string[]> {
    const problems: string[] = [];
    const { rows: check } = await this.sql.execute("PRAGMA integrity_check");
    const verdict = String(Object.values(check[0] ?? {})[0]);
    if (verdict !== "ok") problems.push(`integrity_check: ${verdict}`);
    const { rows } = await this.sql.execute("SELECT coalesce(sum(positions), 0) AS stored FROM segments");
    const stored = results.reduce((sum, result) => sum + result.stored, 0);
    if (Number(rows[0]?.stored) !== stored) problems.push(`${rows[0]?.stored} positions stored, ${stored} judged`);
    return problems;
  }

  async close(): Promise<void> {
    for (const each of [this.bridge, this.runtime, this.libsqld]) await each.kill("SIGTERM");
    this.sql.close();
    await this.edge.close();
    await this.database.close();
    this.ledger.close();
  }
}

/** Brings up the whole platform in a folder of its own. */
export async function openWorld(seed: number, folder: string): Promise<World> {
  mkdirSync(folder, { recursive: true });
  const ports = {
    database: await claimPort("libsqld", "127.0.0.1", 0),
    runtime: await claimPort("edge", "127.0.0.1", 0),
    bridge: await claimPort("bridge", "127.0.0.1", 0, true),
  };
  const database = new FaultProxy(`http://127.0.0.1:${ports.database}`);
  const edge = new FaultProxy(`http://127.0.0.1:${ports.runtime}`);
  // A copy: whoever builds newer sources meanwhile removes the old bundle, and this run starts it again and again.
  const worker = await copyWorker(folder);
  const world = new World({
    seed,
    folder,
    worker,
    ports,
    database: { proxy: database, url: await database.listen() },
    edge: { proxy: edge, url: await edge.listen() },
  });
  try {
    await world.open();
  } catch (error) {
    await world.close();
    throw error;
  }
  return world;
}
