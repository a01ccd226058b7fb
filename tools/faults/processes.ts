import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { LIMITS } from "./limits.ts";

const WATCH = new URL("../parent-watch.ts", import.meta.url).href;

export interface Program {
  name: string;
  arguments: readonly string[];
  env: Record<string, string>;
  /** The line on stdout that says the program can be used; its groups are what the harness wants to know. */
  ready: RegExp;
  /** File that takes all the output of all its runs. */
  log: string;
}

/** A program of ours that is started, killed and started again. One process at a time. */
export class Restartable {
  readonly program: Program;
  #process: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  #expected = false;
  /** Ends that nobody asked for, in words. */
  readonly crashes: string[] = [];

  constructor(program: Program) {
    this.program = program;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get running(): boolean {
    return this.#process !== null;
  }

  /**
   * Starts the program and waits for its ready line.
   * @param doomed it may end by itself, even before that line: a fail-point is armed
   * @returns the line's groups and the time it took, ms
   * @throws when it ends or stays silent instead
   */
  async start(
    env: Record<string, string> = {},
    doomed = false,
  ): Promise<{ groups: Record<string, string>; ms: number }> {
    if (this.#process !== null) throw new Error(`Cannot start ${this.program.name}: it is running`);
    const startedAt = performance.now();
    this.#expected = doomed;
    // Its standard input ends with this process, whatever way, and it with it.
    const child = spawn(process.execPath, ["--import", WATCH, ...this.program.arguments], {
      env: { ...process.env, NODE_OPTIONS: "", ...this.program.env, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#process = child;
    const log = createWriteStream(this.program.log, { flags: "a" });
    let out = "";
    const ready = new Promise<Record<string, string>>((resolve, reject) => {
      child.stdout!.on("data", (chunk: Buffer) => {
        log.write(chunk);
        if (out.length > 65_536) return;
        out += chunk.toString("latin1");
        const found = this.program.ready.exec(out);
        if (found !== null) resolve({ ...found.groups });
      });
      child.stderr!.pipe(log, { end: false });
      child.once("exit", () => {
        if (doomed) resolve({});
        else reject(new Error(`Cannot start ${this.program.name}: it ended; see its log`));
      });
    });
    ready.catch(() => {});
    this.#exited = once(child, "exit").then(([code, signal]) => {
      this.#process = null;
      log.end();
      if (!this.#expected) this.crashes.push(`${this.program.name} ended by itself (${signal ?? code})`);
    });
    const late = sleep(LIMITS.processMs, null, { ref: false });
    const groups = await Promise.race([ready, late]);
    if (groups === null) {
      await this.kill();
      throw new Error(`Cannot start ${this.program.name}: not ready after ${LIMITS.processMs} ms`);
    }
    return { groups, ms: performance.now() - startedAt };
  }

  /** @returns whether the process ended within the time */
  async ended(ms: number): Promise<boolean> {
    const done = this.#exited.then(() => true);
    return Promise.race([done, sleep(ms, false, { ref: false })]);
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.#expected = true;
    this.#process?.kill(signal);
    if (!(await this.ended(LIMITS.processMs))) {
      this.#process?.kill("SIGKILL");
      await this.#exited;
    }
  }
}

/** Open file descriptors of a process. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Ids of the processes that a process has started. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
  );
}

/** Waits until the condition holds. @returns whether it did in time */
export async function eventually(ms: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const end = performance.now() + ms;
  for (;;) {
    if (await condition()) return true;
    if (performance.now() > end) return false;
    await sleep(LIMITS.pollMs);
  }
}

/** The samples of a Prometheus text page: name with labels as written, value. */
export function readMetrics(page: string): Map<string, number> {
  const metrics = new Map<string, number>();
  for (const line of page.split("\n")) {
    const found = /^([a-z_:][\w:]*(?:\{[^}]*\})?) (\S+)/i.exec(line);
    if (found !== null) metrics.set(found[1]!, Number(found[2]));
  }
  return metrics;
}
