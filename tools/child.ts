import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, renameSync, statSync, type WriteStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";

const LIMITS = {
  /** First wait before a dead child is started again; doubles up to the longest. */
  backoffMs: 100,
  backoffMaxMs: 10_000,
  /** A child that lived this long has recovered: the next wait is short again. */
  steadyMs: 30_000,
  readyMs: 60_000,
  /** A child that does not end on SIGTERM is killed after this, unless its own limit says otherwise. */
  stopMs: 20_000,
  logBytes: 20 * 1024 * 1024,
  /** Last lines of a child that are shown when it fails. */
  tailLines: 12,
};

export interface ChildSpec {
  name: string;
  command: string;
  args: readonly string[];
  /** Evaluated at each start, so that a restart can keep the port of the first one. */
  env(): Record<string, string | undefined>;
  /** The line on standard output that says it serves. */
  ready: RegExp;
  /** Called at each start, with what `ready` matched. */
  onReady?(match: RegExpMatchArray): void;
  /** Opens a channel for messages. */
  onMessage?(message: unknown): void;
  /** Called each time it has ended, whatever the reason. */
  onGone?(): void;
  /** How long it may take to end on SIGTERM before it is killed. */
  stopMs?: number;
  logDir: string;
  /** What a person should know: it ended, it is started again. */
  report(line: string): void;
}

/** A process that is started, watched, started again when it dies, and ended with its supervisor. */
export class Child {
  /** Called when a successor serves. */
  onRestart: (() => void) | undefined;
  readonly #spec: ChildSpec;
  readonly #log: WriteStream;
  #process: ChildProcess | undefined;
  #ready: Promise<void> = Promise.reject(new Error("not started"));
  #ended: Promise<void> = Promise.resolve();
  #stopping = false;
  #backoffMs = LIMITS.backoffMs;
  #tail: string[] = [];

  constructor(spec: ChildSpec) {
    this.#spec = spec;
    this.#ready.catch(() => undefined);
    mkdirSync(spec.logDir, { recursive: true, mode: 0o700 });
    const path = join(spec.logDir, `${spec.name}.log`);
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LIMITS.logBytes) renameSync(path, `${path}.1`);
    this.#log = createWriteStream(path, { flags: "a", mode: 0o600 });
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Resolves when it serves; after a failure, when its successor does. */
  async ready(): Promise<void> {
    const deadline = Date.now() + LIMITS.readyMs;
    for (;;) {
      try {
        return await this.#ready;
      } catch (error) {
        if (this.#stopping || Date.now() > deadline) throw error;
        await wait(50);
      }
    }
  }

  /** Starts it for the first time. Rejects with its last words when it ends before it serves. */
  async start(): Promise<void> {
    this.#spawn();
    await this.#ready;
  }

  send(message: object): void {
    this.#process?.send?.(message);
  }

  /** Ends the present process; the watch starts the next one at once. Resolves when that serves. */
  async restart(signal: NodeJS.Signals): Promise<void> {
    const ended = this.#ended;
    this.#backoffMs = 0;
    this.#process?.kill(signal);
    await ended;
    await this.ready();
  }

  /** Ends it for good and waits until it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#process;
    if (child !== undefined) {
      const timer = setTimeout(() => child.kill("SIGKILL"), this.#spec.stopMs ?? LIMITS.stopMs);
      child.kill("SIGTERM");
      await this.#ended;
      clearTimeout(timer);
    }
    await new Promise<void>((resolve) => this.#log.end(resolve));
  }

  #spawn(): void {
    const { command, args, name, onMessage } = this.#spec;
    const startedAt = Date.now();
    // A process group of its own: Ctrl-C in the terminal must reach the supervisor only, which ends them in order.
    const child = spawn(command, args, {
      detached: true,
      env: this.#spec.env(),
      stdio: onMessage === undefined ? ["pipe", "pipe", "pipe"] : ["pipe", "pipe", "pipe", "ipc"],
    });
    this.#process = child;
    this.#tail = [];
    child.stdin?.on("error", () => undefined);
    if (onMessage !== undefined) child.on("message", onMessage);
    this.#ready = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`Cannot start ${name}: it was not ready after ${LIMITS.readyMs / 1000} s`));
        child.kill("SIGKILL");
      }, LIMITS.readyMs);
      const fail = () => {
        clearTimeout(timer);
        reject(new Error(`Cannot start ${name}:\n${this.#tail.join("\n")}`));
      };
      child.once("error", fail);
      child.once("close", fail);
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
        const match = line.match(this.#spec.ready);
        if (match !== null) {
          clearTimeout(timer);
          this.#spec.onReady?.(match);
          resolve();
        }
        this.#write(line);
      });
    });
    this.#ready.catch(() => undefined);
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on("line", (line) => {
      this.#tail.push(line);
      if (this.#tail.length > LIMITS.tailLines) this.#tail.shift();
      this.#write(line);
    });
    this.#ended = new Promise((resolve) => {
      child.once("error", () => resolve());
      child.once("close", () => resolve());
    });
    child.once("close", (code, signal) => void this.#gone(startedAt, code, signal));
  }

  #write(line: string): void {
    if (!this.#log.writableEnded) this.#log.write(`${line}\n`);
  }

  async #gone(startedAt: number, code: number | null, signal: string | null): Promise<void> {
    this.#process = undefined;
    this.#spec.onGone?.();
    this.#ready = Promise.reject(new Error(`${this.#spec.name} has ended`));
    this.#ready.catch(() => undefined);
    if (this.#stopping) return;
    const how = signal ?? `exit code ${code}`;
    this.#spec.report([`${this.#spec.name} ended (${how}) and is started again.`, ...this.#tail].join("\n  "));
    if (Date.now() - startedAt > LIMITS.steadyMs) this.#backoffMs = LIMITS.backoffMs;
    await wait(this.#backoffMs);
    this.#backoffMs = Math.min(Math.max(this.#backoffMs, LIMITS.backoffMs / 2) * 2, LIMITS.backoffMaxMs);
    if (this.#stopping) return;
    this.#spawn();
    this.#ready.then(
      () => this.onRestart?.(),
      () => undefined,
    );
  }
}
