import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { type Client, createClient } from "@libsql/client";
import type { SecretCopy, Secrets } from "../context.ts";
import { fileUrl } from "./config.ts";

/** Files of the copies in their folder. */
const FILES = ["keys-a.db", "keys-b.db", "keys-escrow.db"] as const;

/**
 * No write-ahead log: what is overwritten or deleted would stay in it. With a rollback journal, which goes with each
 * change, and `secure_delete`, which writes zeros over what is freed, nothing of it is left in the files. `synchronous`
 * is EXTRA, so that a journal that was removed does not come back with the power, and what was destroyed with it.
 */
const PRAGMAS = ["busy_timeout=10000", "journal_mode=DELETE", "synchronous=EXTRA", "secure_delete=ON"];
const TABLE = "CREATE TABLE IF NOT EXISTS objects (name TEXT PRIMARY KEY, version TEXT NOT NULL, bytes BLOB NOT NULL)";

/**
 * The key store in files: for Deno and tests.
 * @param folder made if it is not there; null: in memory
 */
export function fileSecrets(folder: string | null): Secrets & { close(): void } {
  const [a, b, escrow] = FILES.map((name) => new FileCopy(folder === null ? null : `${folder}/${name}`));
  const close = () => {
    for (const copy of [a, b, escrow]) copy.close();
  };
  return { copies: [a, b], escrow, close };
}

interface Statement {
  sql: string;
  args: (string | Uint8Array)[];
}

interface Put {
  name: string;
  bytes: Uint8Array;
  expected: string | null;
}

function putStatement({ name, bytes, expected }: Put): Statement {
  // A version never comes back, so that a writer cannot take another's object for the one that it read.
  const version = crypto.randomUUID();
  if (expected === null) {
    return {
      sql: "INSERT INTO objects (name, version, bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      args: [name, version, bytes],
    };
  }
  return {
    sql: "UPDATE objects SET version = ?, bytes = ? WHERE name = ? AND version = ?",
    args: [version, bytes, name, expected],
  };
}

interface Write {
  statement: Statement;
  resolve(done: boolean): void;
  reject(error: unknown): void;
}

/** Single writes that come within this time of the first are committed with it. */
const TOGETHER_MS = 1;

/** One copy, opened when it is first used. */
class FileCopy implements SecretCopy {
  readonly #path: string | null;
  #opening: Promise<Client> | null = null;
  readonly #waiting: Write[] = [];

  constructor(path: string | null) {
    this.#path = path;
  }

  async get(name: string): Promise<{ bytes: Uint8Array; version: string } | null> {
    const { rows } = await this.#run("SELECT bytes, version FROM objects WHERE name = ?", [name]);
    if (rows.length === 0) return null;
    return { bytes: new Uint8Array(rows[0].bytes as ArrayBuffer), version: String(rows[0].version) };
  }

  put(name: string, bytes: Uint8Array, expected: string | null): Promise<boolean> {
    return this.#write(putStatement({ name, bytes, expected }));
  }

  async getAll(names: readonly string[]): Promise<({ bytes: Uint8Array; version: string } | null)[]> {
    const { rows } = await this.#run(
      "SELECT name, bytes, version FROM objects WHERE name IN (SELECT value FROM json_each(?))",
      [JSON.stringify(names)],
    );
    const found = new Map(
      rows.map(({ name, bytes, version }) => [
        String(name),
        { bytes: new Uint8Array(bytes as ArrayBuffer), version: String(version) },
      ]),
    );
    return names.map((name) => found.get(name) ?? null);
  }

  /** One transaction, at once. */
  putAll(writes: readonly Put[]): Promise<boolean[]> {
    return this.#commit(writes.map(putStatement));
  }

  async delete(name: string): Promise<void> {
    await this.#write({ sql: "DELETE FROM objects WHERE name = ?", args: [name] });
  }

  async list(prefix: string): Promise<string[]> {
    const { rows } = await this.#run("SELECT name FROM objects WHERE substr(name, 1, length(?)) = ? ORDER BY name", [
      prefix,
      prefix,
    ]);
    return rows.map((row) => String(row.name));
  }

  close(): void {
    void this.#opening?.then((client) => client.close());
    this.#opening = null;
  }

  #write(statement: Statement): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ statement, resolve, reject });
      if (this.#waiting.length === 1) setTimeout(() => void this.#flush(), TOGETHER_MS);
    });
  }

  async #flush(): Promise<void> {
    const writes = this.#waiting.splice(0);
    try {
      const done = await this.#commit(writes.map(({ statement }) => statement));
      for (const [i, { resolve }] of writes.entries()) resolve(done[i]);
    } catch (error) {
      for (const { reject } of writes) reject(error);
    }
  }

  /** Which of the statements found what they change. */
  async #commit(statements: Statement[]): Promise<boolean[]> {
    await this.#assertErasing();
    const results = await (await this.#client()).batch(statements, "write");
    return results.map(({ rowsAffected }) => rowsAffected === 1);
  }

  async #run(sql: string, args: string[]) {
    return (await this.#client()).execute(sql, args);
  }

  /** A pragma belongs to a connection, and a driver may open another one behind our back. */
  async #assertErasing(): Promise<void> {
    const client = await this.#client();
    const { rows: erasing } = await client.execute("PRAGMA secure_delete");
    const { rows: journal } = await client.execute("PRAGMA journal_mode");
    const mode = this.#path === null ? "memory" : "delete";
    if (Number(erasing[0][0]) === 1 && journal[0][0] === mode) return;
    throw new Error("Cannot change a key store: its connection would keep what is erased");
  }

  #client(): Promise<Client> {
    this.#opening ??= open(this.#path).catch((error) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }
}

async function open(path: string | null): Promise<Client> {
  if (path !== null) {
    makeFolder(dirname(path));
    // Before SQLite makes it, readable by its owner only; the journal takes the same rights.
    closeSync(openSync(path, "a", 0o600));
    chmodSync(path, 0o600);
  }
  const client = createClient({ url: path === null ? ":memory:" : fileUrl(path), concurrency: 1 });
  try {
    for (const pragma of PRAGMAS) await client.execute(`PRAGMA ${pragma}`);
    await client.execute(TABLE);
    return client;
  } catch (error) {
    client.close();
    throw error;
  }
}

function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}
