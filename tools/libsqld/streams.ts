import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { Connection, isBusy } from "./connection.ts";
import { errorOf, HranaError, holds } from "./hrana.ts";

/** Every limit of streams. */
const LIMITS = {
  /** Characters of one statement's result. */
  resultChars: 32 * 1024 * 1024,
  /** Streams open at once, each with a connection of its own while it lives. */
  streams: 128,
  /** Connections kept open for the next stream. */
  idleConnections: 8,
  /** A stream that nobody asks for anything is closed, what it began is rolled back (Turso: the same). */
  idleStreamMs: 10_000,
  /** A transaction holds the one write lock: it ends or is rolled back (Turso: the same). */
  transactionMs: 5_000,
  /** What is left of that after an answer, at least: a statement may have taken longer, and its commit is on the way. */
  commitMs: 1_000,
  /** How long a statement waits for the write lock; longer than any transaction may hold it. */
  busyMs: 8_000,
  /** The lock may also be held by another program, which tells nobody when it is done. */
  busyRetryMs: 20,
  storedSql: 1_000,
};

interface Stream {
  connection: Connection;
  stored: Map<number, string>;
  /** Unix ms when the open transaction was first seen, 0 outside of one. */
  transactionSince: number;
  timer?: NodeJS.Timeout;
}

interface StreamRequest {
  type?: unknown;
  stmt?: { sql?: unknown; sql_id?: unknown; args?: unknown; named_args?: unknown };
  batch?: { steps?: unknown };
  sql?: unknown;
  sql_id?: unknown;
}

/** Writers that found the lock taken, in the order they came. */
class Line {
  readonly #waiting: (() => void)[] = [];
  get empty(): boolean {
    return this.#waiting.length === 0;
  }
  /** Waits at the end of the line, or at its head for one that has been called too early. */
  async turn(head: boolean): Promise<void> {
    const called = new Promise<void>((resolve) => {
      if (head) this.#waiting.unshift(resolve);
      else this.#waiting.push(resolve);
    });
    void wait(LIMITS.busyRetryMs, undefined, { ref: false }).then(() => this.next());
    await called;
  }
  next(): void {
    this.#waiting.shift()?.();
  }
}

/** The file, its connections and its streams. */
export class Streams {
  readonly #path: string;
  readonly #schema = { version: 0 };
  readonly #idle: Connection[] = [];
  readonly #open = new Set<Stream>();
  readonly #batons = new Map<string, Stream>();
  readonly #line = new Line();

  constructor(path: string) {
    this.#path = path;
    this.#idle.push(new Connection(path, this.#schema));
  }

  /** Answers one pipeline. `gone` tells that the client has hung up: nothing more is started for it. */
  async pipeline(body: { baton?: unknown; requests?: unknown }, gone: () => boolean): Promise<string> {
    if (!Array.isArray(body.requests)) throw new HranaError("PROTO_ERROR", "requests must be a list");
    const stream = await this.#take(body.baton);
    let closed = false;
    const results: string[] = [];
    try {
      for (const request of body.requests as StreamRequest[]) {
        try {
          if (closed) throw new HranaError("STREAM_CLOSED", "The stream was closed");
          if (gone()) throw new HranaError("CLIENT_GONE", "The client has hung up");
          closed = request?.type === "close";
          results.push(`{"type":"ok","response":${await this.#answer(stream, request, gone)}}`);
        } catch (error) {
          results.push(`{"type":"error","error":${JSON.stringify(errorOf(error))}}`);
        }
      }
    } finally {
      if (closed || gone()) this.#close(stream);
    }
    const baton = closed || gone() ? null : this.#keep(stream);
    this.#line.next();
    return `{"baton":${JSON.stringify(baton)},"base_url":null,"results":[${results.join(",")}]}`;
  }

  close(): void {
    for (const stream of this.#open) this.#close(stream);
    const last = this.#idle.pop();
    for (const connection of this.#idle) connection.close();
    try {
      last?.execute("PRAGMA wal_checkpoint(TRUNCATE)", {}, LIMITS.resultChars);
    } catch {
      // Somebody else reads the file: the log is checkpointed at the next opportunity.
    }
    last?.close();
  }

  async #take(baton: unknown): Promise<Stream> {
    if (typeof baton === "string") {
      const stream = this.#batons.get(baton);
      if (stream === undefined) throw new HranaError("STREAM_EXPIRED", "The stream has expired or its baton was used");
      this.#batons.delete(baton);
      clearTimeout(stream.timer);
      return stream;
    }
    if (this.#open.size >= LIMITS.streams) throw new HranaError("STREAM_LIMIT", "Too many streams are open");
    const connection = this.#idle.pop() ?? (await this.#whenFree(() => new Connection(this.#path, this.#schema)));
    const stream = { connection, stored: new Map<number, string>(), transactionSince: 0 };
    this.#open.add(stream);
    return stream;
  }

  #keep(stream: Stream): string {
    const baton = randomBytes(16).toString("base64url");
    this.#batons.set(baton, stream);
    let ms = LIMITS.idleStreamMs;
    if (!stream.connection.inTransaction) stream.transactionSince = 0;
    else {
      stream.transactionSince ||= Date.now();
      ms = Math.max(LIMITS.commitMs, stream.transactionSince + LIMITS.transactionMs - Date.now());
    }
    stream.timer = setTimeout(() => {
      this.#batons.delete(baton);
      this.#close(stream);
      this.#line.next();
    }, ms).unref();
    return baton;
  }

  #close(stream: Stream): void {
    if (!this.#open.delete(stream)) return;
    const { connection } = stream;
    try {
      connection.rollback();
      if (connection.reusable && this.#idle.length < LIMITS.idleConnections) this.#idle.push(connection);
      else connection.close();
    } catch {
      connection.close();
    }
  }

  async #answer(stream: Stream, request: StreamRequest, gone: () => boolean): Promise<string> {
    const { type, sql_id: id } = request ?? {};
    if (type === "close") return '{"type":"close"}';
    if (type === "execute") {
      return `{"type":"execute","result":${await this.#execute(stream, request.stmt ?? {}, gone)}}`;
    }
    if (type === "batch") return `{"type":"batch","result":${await this.#batch(stream, request.batch?.steps, gone)}}`;
    if (type === "sequence") {
      const text = sqlOf(stream, request);
      await this.#whenFree(() => stream.connection.sequence(text), gone);
      return '{"type":"sequence"}';
    }
    if (type === "store_sql" && Number.isInteger(id) && typeof request.sql === "string") {
      if (stream.stored.size >= LIMITS.storedSql) throw new HranaError("SQL_STORE_FULL", "Too many stored statements");
      stream.stored.set(id as number, request.sql);
      return '{"type":"store_sql"}';
    }
    if (type === "close_sql") {
      stream.stored.delete(id as number);
      return '{"type":"close_sql"}';
    }
    if (type === "get_autocommit") {
      return `{"type":"get_autocommit","is_autocommit":${!stream.connection.inTransaction}}`;
    }
    throw new HranaError("PROTO_ERROR", `Unknown request ${JSON.stringify(type)}`);
  }

  async #batch(stream: Stream, steps: unknown, gone: () => boolean): Promise<string> {
    if (!Array.isArray(steps)) throw new HranaError("PROTO_ERROR", "steps must be a list");
    const outcome: (boolean | null)[] = [];
    const results: string[] = [];
    const errors: string[] = [];
    for (const step of steps as { condition?: unknown; stmt?: StreamRequest["stmt"] }[]) {
      let result = "null";
      let error = "null";
      let ok: boolean | null = null;
      if (holds(step?.condition, outcome, () => !stream.connection.inTransaction)) {
        try {
          const answer = this.#execute(stream, step?.stmt ?? {}, gone);
          result = typeof answer === "string" ? answer : await answer;
          ok = true;
        } catch (cause) {
          error = JSON.stringify(errorOf(cause));
          ok = false;
        }
      }
      outcome.push(ok);
      results.push(result);
      errors.push(error);
    }
    return `{"step_results":[${results.join(",")}],"step_errors":[${errors.join(",")}]}`;
  }

  /** One statement: at once where it can be, so that a batch does not yield between its steps. */
  #execute(stream: Stream, stmt: NonNullable<StreamRequest["stmt"]>, gone: () => boolean): string | Promise<string> {
    const { connection } = stream;
    const text = sqlOf(stream, stmt);
    const run = () => connection.execute(text, stmt, LIMITS.resultChars);
    if (!this.#line.empty && !connection.inTransaction && !connection.onlyReads(text)) {
      return this.#line.turn(false).then(() => this.#whenFree(run, gone));
    }
    try {
      return run();
    } catch (error) {
      if (!isBusy(error)) throw error;
      return this.#line.turn(false).then(() => this.#whenFree(run, gone));
    }
  }

  async #whenFree<T>(run: () => T, gone: () => boolean = () => false): Promise<T> {
    const deadline = Date.now() + LIMITS.busyMs;
    for (;;) {
      if (gone()) throw new HranaError("CLIENT_GONE", "The client has hung up");
      try {
        return run();
      } catch (error) {
        if (!isBusy(error) || Date.now() >= deadline) throw error;
      }
      await this.#line.turn(true);
    }
  }
}

function sqlOf(stream: Stream, from: { sql?: unknown; sql_id?: unknown }): string {
  if (typeof from.sql === "string") return from.sql;
  const stored = stream.stored.get(from.sql_id as number);
  if (stored === undefined) throw new HranaError("SQL_NOT_FOUND", `No SQL is stored as ${from.sql_id}`);
  return stored;
}
