import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { Client, InArgs, InStatement, ResultSet } from "@libsql/client";

/** Bytes of a frame of the write-ahead log around its page (SQLite file format 4.2). */
const FRAME_HEAD = 24;

/**
 * Counts what is written to a database's write-ahead log, across checkpoints, from the log's index (SQLite WAL-mode
 * file format 2.1): how many frames the log has, and a number that changes when it begins anew.
 */
export class LogMeter {
  #shm: number;
  #bytes = new Uint8Array(48);
  #head = new DataView(this.#bytes.buffer);
  #frames = 0;
  #salt = 0;
  /** Bytes since the meter was made or reset. */
  bytes = 0;

  /** @param path of the database, in WAL mode and written to at least once */
  constructor(path: string) {
    this.#shm = openSync(`${path}-shm`, "r");
    this.read();
    this.reset();
  }

  /** Call it at least once between two checkpoints, best after each transaction. */
  read(): number {
    readSync(this.#shm, this.#bytes, 0, 48, 0);
    const frames = this.#head.getUint32(16, true);
    const salt = this.#head.getUint32(32, true);
    const pageBytes = this.#head.getUint16(14, true);
    const grown = salt === this.#salt ? frames - this.#frames : frames;
    this.bytes += grown * (pageBytes + FRAME_HEAD);
    this.#frames = frames;
    this.#salt = salt;
    return this.bytes;
  }

  reset(): void {
    this.read();
    this.bytes = 0;
  }

  close(): void {
    closeSync(this.#shm);
  }
}

/** Rows that statements wrote, by table. */
export type RowsWritten = Map<string, { inserted: number; updated: number; deleted: number }>;

const WRITE =
  /^\s*(?:WITH\b[\s\S]*?\)\s*)?(INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)/i;

/** What a statement writes to; null when it only reads. */
function targetOf(
  statement: InStatement,
): { kind: "inserted" | "updated" | "deleted"; table: string; replaces: boolean } | null {
  const [, verb, table] = WRITE.exec(typeof statement === "string" ? statement : statement.sql) ?? [];
  if (verb === undefined || table === undefined) return null;
  const first = verb.slice(0, 6).toUpperCase();
  return {
    kind: first === "UPDATE" ? "updated" : first === "DELETE" ? "deleted" : "inserted",
    table,
    replaces: /REPLACE/i.test(verb),
  };
}

/** Rows changed so far, without those that REPLACE deleted: they show in the number of rows. */
const countsOf = (table: string | undefined) =>
  `SELECT total_changes(), ${table === undefined ? 0 : `(SELECT count(*) FROM ${table})`}`;

/** A client of one connection that knows how long the engine was busy with each call, and what it wrote. */
export class MeteredClient {
  /** How long each call held the engine, ms: a batch is one call, nothing gets in between. */
  readonly held: number[] = [];
  /** Null while rows are not counted; counting costs time. */
  rows: RowsWritten | null = null;
  /** Runs before each call. */
  before: () => Promise<unknown> = async () => {};
  readonly client: Client;
  /** The same client with the meter in it. */
  readonly metered: Client;

  constructor(client: Client) {
    this.client = client;
    const own = {
      execute: (statement: InStatement, args?: InArgs) =>
        this.#timed(async () => {
          const whole = typeof statement === "string" ? { sql: statement, args: args ?? [] } : statement;
          if (this.rows === null || targetOf(whole) === null) return client.execute(whole);
          return (await this.#counted([whole], "write"))[0]!;
        }),
      batch: (statements: InStatement[], mode?: "write" | "read" | "deferred") =>
        this.#timed(() => (this.rows === null ? client.batch(statements, mode) : this.#counted(statements, mode))),
    };
    this.metered = new Proxy(client, {
      get: (target, name) => {
        if (name === "execute" || name === "batch") return own[name];
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  async #timed<T extends ResultSet | ResultSet[]>(call: () => Promise<T>): Promise<T> {
    await this.before();
    const start = performance.now();
    try {
      return await call();
    } finally {
      this.held.push(performance.now() - start);
    }
  }

  /** Runs statements with what they changed between them. */
  async #counted(statements: InStatement[], mode?: "write" | "read" | "deferred"): Promise<ResultSet[]> {
    const targets = statements.map(targetOf);
    const between = (n: number) => countsOf(targets[n]?.replaces === true ? targets[n].table : undefined);
    const all = await this.client.batch(
      statements.flatMap((statement, n) => [between(n), statement, between(n)]),
      mode,
    );
    const count = (result: number, column: number) => Number(all[result]!.rows[0]![column]);
    for (const [n, target] of targets.entries()) {
      const changed = count(3 * n + 2, 0) - count(3 * n, 0);
      if (changed === 0) continue;
      if (target === null) throw new Error(`Cannot tell what this writes to: ${JSON.stringify(statements[n])}`);
      const grown = count(3 * n + 2, 1) - count(3 * n, 1);
      const of = this.rows!.get(target.table) ?? { inserted: 0, updated: 0, deleted: 0 };
      of[target.kind] += changed;
      // A row that was replaced was deleted too; one that ON CONFLICT updated was not.
      if (target.replaces) of.deleted += changed - grown;
      this.rows!.set(target.table, of);
    }
    return all.filter((_, n) => n % 3 === 1);
  }
}

/** Rows of each table that were written, of all kinds, and entries of its indexes with them. */
export async function entriesWritten(client: Client, written: RowsWritten) {
  const found = [];
  for (const [table, { inserted, updated, deleted }] of written) {
    const count = Number((await client.execute(`SELECT count(*) FROM ${table}`)).rows[0]![0]);
    const indexes = await client.execute({
      sql: "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
      args: [table],
    });
    // Of an index over some of the rows only: as many of those written as of those that are there.
    let share = 0;
    for (const row of indexes.rows) {
      const condition = /\sWHERE\s([\s\S]*)$/i.exec(String(row[0]))?.[1];
      if (condition === undefined) share += 1;
      else if (count > 0) {
        const of = await client.execute(`SELECT count(*) FROM ${table} WHERE ${condition}`);
        share += Number(of.rows[0]![0]) / count;
      }
    }
    const rows = inserted + updated + deleted;
    // An update that moves an entry takes one away and puts one in.
    found.push({ table, inserted, updated, deleted, rows, entries: (inserted + 2 * updated + deleted) * share });
  }
  return found;
}

/** Bytes of a database: of its file, and of the pages in it that hold something. */
export async function databaseBytes(client: Client, path: string): Promise<{ file: number; used: number }> {
  await client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  const pragma = async (name: string) => Number((await client.execute(`PRAGMA ${name}`)).rows[0]![0]);
  const used = ((await pragma("page_count")) - (await pragma("freelist_count"))) * (await pragma("page_size"));
  return { file: statSync(path).size, used };
}
