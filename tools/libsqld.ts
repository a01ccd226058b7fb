import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { Connection, isBusy } from "./connection.ts";
import { errorOf, HranaError, holds } from "./hrana.ts";

/** Every limit of the server. */
const LIMITS = {
  bodyBytes: 32 * 1024 * 1024,
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
class Streams {
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
      ms = Math.max(0, stream.transactionSince + LIMITS.transactionMs - Date.now());
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

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LIMITS.bodyBytes) throw new HranaError("BODY_TOO_LARGE", `More than ${LIMITS.bodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function send(response: ServerResponse, status: number, body: string): void {
  // The body of a refused request is not read to its end: the connection cannot be used again.
  if (status === 413) response.setHeader("connection", "close");
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

/**
 * The `libsql` engine on one file behind Hrana 2 over HTTP (`POST /v2/pipeline`, JSON), on loopback: what
 * `@libsql/client/web` speaks to Turso or libsql-server it speaks to this too.
 * @param options `port` 0 takes any free one; `token` is the bearer token that every pipeline must carry
 * Source: libsql/docs/HTTP_V2_SPEC.md and HRANA_3_SPEC.md of tursodatabase/libsql.
 */
export async function startLibsqld(options: { path: string; port: number; token: string }) {
  const streams = new Streams(options.path);
  const digest = (text: string) => createHash("sha256").update(text).digest();
  const expected = digest(`Bearer ${options.token}`);
  const server = createServer(async (request, response) => {
    try {
      if (request.method === "GET" && (request.url === "/v2" || request.url === "/health")) {
        return send(response, 200, "{}");
      }
      if (!timingSafeEqual(digest(request.headers.authorization ?? ""), expected)) {
        return send(response, 401, '{"message":"The bearer token is missing or wrong","code":"AUTH_JWT_INVALID"}');
      }
      if (request.method !== "POST" || request.url !== "/v2/pipeline") {
        return send(response, 404, '{"message":"No such endpoint","code":"NOT_FOUND"}');
      }
      let body: Parameters<Streams["pipeline"]>[0];
      try {
        body = JSON.parse(await readBody(request)) ?? {};
      } catch (error) {
        if (error instanceof HranaError) throw error;
        throw new HranaError("PROTO_ERROR", "The body is not JSON");
      }
      send(response, 200, await streams.pipeline(body, () => response.destroyed));
    } catch (error) {
      const answer = errorOf(error);
      send(
        response,
        answer.code === "BODY_TOO_LARGE" ? 413 : answer.code === "INTERNAL_ERROR" ? 500 : 400,
        JSON.stringify(answer),
      );
    }
  });
  // The client decides when an idle connection ends: closing it here would race with its next request.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", 1024, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async close(): Promise<void> {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      streams.close();
    },
  };
}

if (import.meta.main) {
  const { LIBSQLD_PATH: path = "", LIBSQLD_PORT: port = "0", LIBSQLD_TOKEN: token = "" } = process.env;
  if (path === "" || token === "") throw new Error("Cannot start libsqld: LIBSQLD_PATH and LIBSQLD_TOKEN must be set");
  const server = await startLibsqld({ path, port: Number(port), token });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => void server.close().then(() => process.exit(0)));
  }
  console.log(`libsqld listening ${server.port}`);
}
