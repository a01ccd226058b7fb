import Database from "libsql";
import { type Bound, HranaError, readArguments, readSql, type Sql, writeColumns, writeResult } from "./hrana.ts";

const LIMITS = {
  /** Prepared statements kept by a connection. */
  statements: 200,
  /** Longer statements are prepared each time: they are multi-row inserts that hardly repeat. */
  cachedSqlChars: 20_000,
  /** Page cache of a connection. */
  cacheKiB: 16_384,
  /** A write-ahead log that grew (a long reader, a big purge) is cut back to this at the next checkpoint. */
  walBytes: 64 * 1024 * 1024,
};

/**
 * What every connection has. `timeout: 0` and no busy handler: waiting inside the engine would stop the only thread, and
 * with it the stream that holds the lock.
 */
const PRAGMAS = [
  "journal_mode=WAL",
  "synchronous=FULL",
  "foreign_keys=ON",
  "secure_delete=ON",
  `cache_size=-${LIMITS.cacheKiB}`,
  `journal_size_limit=${LIMITS.walBytes}`,
];

/** Run by `exec`, which always finalises: a BEGIN that found the lock taken must not stay half done. */
const TRANSACTION = new Set(["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"]);
const DDL = new Set(["CREATE", "ALTER", "DROP", "REINDEX", "VACUUM", "PRAGMA"]);
const READS = new Set(["SELECT", "VALUES", "EXPLAIN"]);
const HARMLESS_PRAGMA =
  /^\s*PRAGMA\s+(\w+\.)?(wal_checkpoint|optimize|incremental_vacuum|integrity_check|quick_check)\b/i;

interface Prepared {
  sql: Sql;
  statement: Database.Statement<[Bound[]]>;
  columns: string;
}

const BUSY = 5;
const BUSY_SNAPSHOT = 517;
const rawCode = (error: unknown) => (error as { rawCode?: number }).rawCode ?? 0;

/** SQLite refuses because somebody else writes; waiting helps, unless our own snapshot is too old already. */
export function isBusy(error: unknown): boolean {
  return (rawCode(error) & 0xff) === BUSY && rawCode(error) !== BUSY_SNAPSHOT;
}

/** One connection of the engine to the file, with its prepared statements. It binds arrays of checked values and nothing else. */
export class Connection {
  /** False once a stream has changed settings that the next user of the connection must not inherit. */
  reusable = true;
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Prepared>();
  readonly #schema: { version: number };
  #schemaSeen: number;
  /** The open transaction has changed the schema: its end is a change once more, for others or back again. */
  #altering = false;

  /** @param schema one object for all connections of a file: a change by one drops the statements of all */
  constructor(path: string, schema: { version: number }) {
    this.#db = new Database(path, { timeout: 0 });
    this.#schema = schema;
    this.#schemaSeen = schema.version;
    try {
      for (const pragma of PRAGMAS) this.#db.exec(`PRAGMA ${pragma}`);
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  get inTransaction(): boolean {
    return this.#db.open && this.#db.inTransaction;
  }

  /**
   * Runs one statement of a Hrana request.
   * @returns the result as JSON text
   * @throws {HranaError} for what the protocol forbids, the engine's error for the rest
   */
  execute(text: string, stmt: { args?: unknown; named_args?: unknown }, maxChars: number): string {
    const { sql, statement, columns } = this.#prepare(text);
    const bound = readArguments(stmt, sql);
    try {
      if (TRANSACTION.has(sql.verb)) {
        this.#db.exec(text);
        this.#ended();
        return writeResult("[]", [], () => ({ changes: 0, rowid: null }), maxChars);
      }
      if (!statement.reader) {
        const { changes, lastInsertRowid } = statement.run(bound);
        return writeResult("[]", [], () => ({ changes, rowid: lastInsertRowid }), maxChars);
      }
      const rows = statement.iterate(bound) as Iterable<readonly unknown[]>;
      return writeResult(columns, rows, () => this.#changes(sql), maxChars);
    } catch (error) {
      if ((rawCode(error) & 0xff) === BUSY && !TRANSACTION.has(sql.verb)) this.#reset(statement, bound);
      throw error;
    } finally {
      if (DDL.has(sql.verb)) this.#altered(text, sql.verb);
    }
  }

  /** Runs several statements that take no arguments and whose rows nobody wants. */
  sequence(text: string): void {
    try {
      this.#db.exec(text);
    } finally {
      this.#altered(text, "");
    }
  }

  /** True when the statement cannot need the write lock; only the order of waiting depends on it. */
  onlyReads(text: string): boolean {
    return READS.has(this.#prepare(text).sql.verb);
  }

  rollback(): void {
    if (this.inTransaction) this.#db.exec("ROLLBACK");
    this.#ended();
  }

  close(): void {
    this.#statements.clear();
    if (this.#db.open) this.#db.close();
  }

  #prepare(text: string): Prepared {
    if (this.#schemaSeen !== this.#schema.version) {
      // The engine notices another connection's change when a statement runs, and columns are asked for before that.
      this.#db.exec("SELECT 1 FROM sqlite_schema LIMIT 1");
      this.#statements.clear();
      this.#schemaSeen = this.#schema.version;
    }
    const known = this.#statements.get(text);
    if (known !== undefined) {
      this.#statements.delete(text);
      this.#statements.set(text, known);
      return known;
    }
    const sql = readSql(text);
    if (sql.verb === "ATTACH" || sql.verb === "DETACH") {
      throw new HranaError("SQLITE_AUTH", `${sql.verb} is not allowed`);
    }
    const statement = this.#db.prepare<[Bound[]]>(text).safeIntegers(true);
    const columns = statement.reader ? writeColumns(statement.raw(true).columns()) : "[]";
    const prepared = { sql, statement, columns };
    if (text.length <= LIMITS.cachedSqlChars) {
      this.#statements.set(text, prepared);
      if (this.#statements.size > LIMITS.statements) {
        for (const oldest of this.#statements.keys()) {
          this.#statements.delete(oldest);
          break;
        }
      }
    }
    return prepared;
  }

  /**
   * A statement that found the lock taken stays half done and holds its snapshot; the engine offers no reset, but does one
   * before each run. This run ends at once, because nothing may be written.
   */
  #reset(statement: Prepared["statement"], bound: Bound[]): void {
    this.#db.exec("PRAGMA query_only=ON");
    try {
      if (statement.reader) for (const _ of statement.iterate(bound));
      else statement.run(bound);
    } catch {
      // SQLITE_READONLY, as intended.
    } finally {
      this.#db.exec("PRAGMA query_only=OFF");
    }
  }

  #changes({ verb }: Sql): { changes: number | bigint; rowid: number | bigint | null } {
    if (READS.has(verb) || DDL.has(verb)) return { changes: 0, rowid: null };
    const { statement } = this.#prepare("SELECT changes(), last_insert_rowid()");
    const [[changes, rowid]] = [...(statement.iterate([]) as Iterable<[bigint, bigint]>)];
    return { changes, rowid };
  }

  #ended(): void {
    if (!this.#altering) return;
    this.#schema.version++;
    this.#altering = this.inTransaction;
  }

  #altered(text: string, verb: string): void {
    this.#schema.version++;
    this.#altering = this.inTransaction;
    if (/\bPRAGMA\b|\bTEMP(ORARY)?\b/i.test(text) && !(verb === "PRAGMA" && HARMLESS_PRAGMA.test(text))) {
      this.reusable = false;
    }
  }
}
