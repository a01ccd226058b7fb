import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { LogFile } from "./log-file.ts";

const LIMITS = {
  /** First wait before a dead child is started again; doubles up to the longest. */
  backoffMs: 100,
  backoffMaxMs: 10_000,
  /** A child that lived this long has recovered: the next wait is short again. */
  steadyMs: 30_000,
  readyMs: 60_000,
  /** A child that does not end on SIGTERM is killed after this, unless its own limit says otherwise. */
  stopMs: 20_000,
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
  readonly #log: LogFile;
  #process: ChildProcess | undefined;
  #ready: Promise<void> = Promise.reject(new Error("not started"));
  #ended: Promise<void> = Promise.resolve();
  #stopping = false;
  #served = false;
  #backoffMs = LIMITS.backoffMs;
  #tail: string[] = [];

  constructor(spec: ChildSpec) {
    this.#spec = spec;
    this.#ready.catch(() => undefined);
    this.#log = new LogFile(spec.logDir, spec.name);
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
    await this.#log.close();
  }

  #spawn(): void {
    const { name, command, args, onMessage } = this.#spec;
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
    const ready = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    this.#ready = ready.promise;
    this.#ended = ended.promise;
    this.#ready.catch(() => undefined);
    const timer = setTimeout(() => {
      this.#tail.push(`It was not ready after ${LIMITS.readyMs / 1000} s.`);
      child.kill("SIGKILL");
    }, LIMITS.readyMs);
    this.#read(child.stdout, (line) => {
      const match = line.match(this.#spec.ready);
      if (match === null) return;
      clearTimeout(timer);
      this.#spec.onReady?.(match);
      this.#served = true;
      ready.resolve();
    });
    this.#read(child.stderr, (line) => {
      this.#tail.push(line);
      if (this.#tail.length > LIMITS.tailLines) this.#tail.shift();
    });
    let over = false;
    const end = (how: string) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      ready.reject(new Error([`Cannot start ${name}: it ended (${how}).`, ...this.#tail].join("\n  ")));
      this.#process = undefined;
      this.#spec.onGone?.();
      void this.#succeed(startedAt, how);
      ended.resolve();
    };
    child.once("error", ({ message }) => end(message));
    child.once("close", (code, signal) => end(signal ?? `exit code ${code}`));
  }

  #read(stream: Readable | null, hear: (line: string) => void): void {
    if (stream === null) return;
    createInterface({ input: stream }).on("line", (line) => {
      hear(line);
      this.#log.write(line);
    });
  }

  /** Starts the successor of one that has ended. One that has never served is not tried again. */
  async #succeed(startedAt: number, how: string): Promise<void> {
    if (this.#stopping || !this.#served) return;
    const { name, report } = this.#spec;
    this.#ready = Promise.reject(new Error(`${name} has ended`));
    this.#ready.catch(() => undefined);
    report([`${name} ended (${how}) and is started again.`, ...this.#tail].join("\n  "));
    if (Date.now() - startedAt > LIMITS.steadyMs) this.#backoffMs = LIMITS.backoffMs;
    await wait(this.#backoffMs);
    this.#backoffMs = Math.min(Math.max(this.#backoffMs * 2, LIMITS.backoffMs), LIMITS.backoffMaxMs);
    if (this.#stopping) return;
    this.#spawn();
    this.#ready.then(
      () => this.onRestart?.(),
      () => undefined,
    );
  }
}
