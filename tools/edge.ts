import { setTimeout as wait } from "node:timers/promises";
import { type BuiltWorker, OFFLINE } from "./bundle.ts";
import { Child, type ChildSpec } from "./child.ts";
import { environment, inDeno, inNode } from "./launch.ts";

export type Runtime = "workerd" | "deno";

/** How long the app may take to its first healthy answer. */
const HEALTHY_MS = 60_000;

export interface EdgeOptions extends Pick<ChildSpec, "logDir" | "report"> {
  runtime: Runtime;
  host: string;
  port: number;
  /** Where it is reached, without a slash at the end. */
  url: string;
  /** The app's own bindings or variables. */
  bindings: Record<string, string | undefined>;
  /** The bundled Worker, which Deno has none of, and the files that are served beside the app. */
  built: { script: BuiltWorker["script"] | undefined; assets: BuiltWorker["assets"] };
}

/** The process that runs the app: a host of workerd, or Deno. */
export class Edge {
  readonly child: Child;
  readonly #url: string;
  readonly #firing = new Map<number, { resolve(): void; reject(error: Error): void }>();
  #workerd: number | undefined;
  #nextFiring = 1;

  constructor({ runtime, host, port, url, bindings, built, logDir, report }: EdgeOptions) {
    this.#url = url;
    const env = {
      ...OFFLINE,
      ...bindings,
      HOST: host,
      PORT: String(port),
      WORKER_SCRIPT: built.script,
      ASSETS_DIR: built.assets,
      DENO_NO_UPDATE_CHECK: "1",
    };
    this.child = new Child({
      name: "edge",
      ...(runtime === "deno" ? inDeno("src/runtime/deno.ts") : inNode("tools/worker-host.ts")),
      env: () => environment(env),
      ready: /^(?:worker|edge) listening \d+$/,
      ...(runtime === "workerd" && { onMessage: (message: unknown) => this.#hear(message) }),
      onGone: () => this.#gone(),
      logDir,
      report,
    });
  }

  /** The process id of workerd, a child of the host. */
  get workerd(): number | undefined {
    return this.#workerd;
  }

  async start(): Promise<void> {
    await this.child.start();
    await this.healthy();
  }

  /** Waits until the app can serve. */
  async healthy(): Promise<void> {
    const deadline = Date.now() + HEALTHY_MS;
    for (let reason = "no answer"; ; ) {
      try {
        const response = await fetch(`${this.#url}/healthz`, { signal: AbortSignal.timeout(5_000) });
        if (response.ok) return;
        reason = await response.text();
      } catch {
        // Not listening yet, or just killed.
      }
      if (Date.now() > deadline) throw new Error(`The app does not get healthy: ${reason}`);
      await wait(50);
    }
  }

  /** Ends workerd under its host, which starts it again. */
  async restartWorkerd(signal: NodeJS.Signals): Promise<void> {
    const old = this.#workerd;
    if (old === undefined) throw new Error("Cannot restart workerd: it does not run here");
    process.kill(old, signal);
    while (this.#workerd === old || this.#workerd === undefined) await wait(20);
    await this.healthy();
  }

  /** Fires a cron trigger in workerd and waits for its end. */
  fireCron(cron: string, scheduledTime = Date.now()): Promise<void> {
    if (this.child.pid === undefined) return Promise.reject(new Error("The edge process is not running"));
    return new Promise((resolve, reject) => {
      const id = this.#nextFiring++;
      this.#firing.set(id, { resolve, reject });
      this.child.send({ cron, scheduledTime, id });
    });
  }

  #hear(message: unknown): void {
    const { workerd, id, outcome } = message as { workerd?: number | null; id?: number; outcome?: string };
    if (workerd !== undefined) this.#workerd = workerd ?? undefined;
    if (id === undefined) return;
    if (outcome === "ok") this.#firing.get(id)?.resolve();
    else this.#firing.get(id)?.reject(new Error(`The cron trigger failed: ${outcome}`));
    this.#firing.delete(id);
  }

  #gone(): void {
    for (const { reject } of this.#firing.values()) reject(new Error("The edge process has ended"));
    this.#firing.clear();
    if (this.#workerd === undefined) return;
    try {
      // A host that was killed could not end it.
      process.kill(this.#workerd, "SIGKILL");
    } catch {
      // It is gone, as it should be.
    }
    this.#workerd = undefined;
  }
}
