import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Client, createClient } from "@libsql/client/web";
import Database from "libsql";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Connection, isBusy } from "../../tools/libsqld/connection.ts";
import { HranaError, readSql, readValue } from "../../tools/libsqld/hrana.ts";
import { startLibsqld } from "../../tools/libsqld.ts";

const TOKEN = "a-token-of-the-test";
const folder = mkdtempSync(join(tmpdir(), "libsqld-"));
const path = join(folder, "main.db");
let server: Awaited<ReturnType<typeof startLibsqld>>;
let client: Client;

beforeAll(async () => {
  server = await startLibsqld({ path, port: 0, token: TOKEN });
});
beforeEach(async () => {
  client = createClient({ url: server.url, authToken: TOKEN, intMode: "bigint" });
  await client.executeMultiple(
    "DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS item;" +
      "CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, n INTEGER, x REAL, b BLOB) STRICT;" +
      "CREATE TABLE child (item_id INTEGER NOT NULL REFERENCES item (id));",
  );
});
afterEach(() => client.close());
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A pipeline as bytes on the wire, for what the client would never send. */
async function pipeline(requests: unknown[], extra: object = {}) {
  const response = await fetch(`${server.url}/v2/pipeline`, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ requests, ...extra }),
  });
  return { status: response.status, body: await response.json() };
}

const execute = (sql: string, args: unknown[] = []) => ({ type: "execute", stmt: { sql, args, want_rows: true } });

test("libsqld gives every kind of value back as it was bound", async () => {
  const blob = crypto.getRandomValues(new Uint8Array(5000));
  const rows = [
    ["plain", 1n, 0.1, blob],
    ['ünï\u{1f600}"\\\n', 9223372036854775807n, -1.5e300, new Uint8Array(0)],
    ["", -9223372036854775808n, 0, null],
    [null, null, null, null],
  ];
  const inserted = await client.batch(
    rows.map((args) => ({ sql: "INSERT INTO item (name, n, x, b) VALUES (?, ?, ?, ?)", args })),
    "write",
  );
  expect(inserted.map((result) => [result.rowsAffected, result.lastInsertRowid])).toEqual([
    [1, 1n],
    [1, 2n],
    [1, 3n],
    [1, 4n],
  ]);
  const read = await client.execute("SELECT name, n, x, b FROM item ORDER BY id");
  expect(read.columns).toEqual(["name", "n", "x", "b"]);
  expect(read.columnTypes).toEqual(["TEXT", "INTEGER", "REAL", "BLOB"]);
  const plain = (value: unknown) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value);
  expect(read.rows.map((row) => [0, 1, 2, 3].map((i) => plain(row[i])))).toEqual(rows);
  const special = await client.execute("SELECT 9e999, -9e999, 1.0, 2 = 2");
  expect([0, 1, 2, 3].map((i) => special.rows[0][i])).toEqual([Infinity, -Infinity, 1, 1n]);
});

test("libsqld counts changed rows, also with RETURNING", async () => {
  const made = await client.execute("INSERT INTO item (name) VALUES ('a'), ('b'), ('c') RETURNING id, name");
  expect([made.rowsAffected, made.lastInsertRowid, made.rows.length]).toEqual([3, 3n, 3]);
  expect((await client.execute("UPDATE item SET n = 1 WHERE id > 1")).rowsAffected).toBe(2);
  expect((await client.execute("SELECT * FROM item")).rowsAffected).toBe(0);
});

test("libsqld binds by name, by number and pads absent arguments with NULL", async () => {
  const named = await client.execute({ sql: "SELECT :a, @b, $c, ?, :a", args: { a: 1n, $c: "c" } });
  expect([0, 1, 2, 3, 4].map((i) => named.rows[0][i])).toEqual([1n, null, "c", null, 1n]);
  const numbered = await client.execute({ sql: "SELECT ?2, ?1", args: [1n, 2n] });
  expect([numbered.rows[0][0], numbered.rows[0][1]]).toEqual([2n, 1n]);
  // The engine would keep the second argument of the run before.
  const sql = "SELECT ?, ?";
  await client.execute({ sql, args: ["a", "b"] });
  const padded = await client.execute({ sql, args: ["a"] });
  expect(padded.rows[0][1]).toBeNull();
  await expect(client.execute({ sql, args: [1, 2, 3] })).rejects.toMatchObject({ code: "ARGS_INVALID" });
  await expect(client.execute({ sql: "SELECT :a", args: { b: 1 } })).rejects.toMatchObject({ code: "ARGS_INVALID" });
});

test("libsqld answers errors with SQLite's primary code and stays usable", async () => {
  const code = (sql: string) => client.execute(sql).then(String, (error) => error.code);
  expect(await code("SELEC 1")).toBe("SQLITE_ERROR");
  expect(await code("SELECT * FROM nothing")).toBe("SQLITE_ERROR");
  expect(await code("INSERT INTO item (name) VALUES ('x'), ('x')")).toBe("SQLITE_CONSTRAINT");
  expect(await code("INSERT INTO child VALUES (99)")).toBe("SQLITE_CONSTRAINT");
  expect(await code("INSERT INTO item (n) VALUES ('text')")).toBe("SQLITE_CONSTRAINT");
  expect(await code("SELECT abs(value) FROM json_each('[1, -9223372036854775808]')")).toBe("SQLITE_ERROR");
  expect(await code("ATTACH 'other.db' AS other")).toBe("SQLITE_AUTH");
  expect(await code("")).toBe("SQL_NO_STATEMENT");
  expect(await code("-- nothing; here")).toBe("SQL_NO_STATEMENT");
  expect(await code("SELECT 1; DELETE FROM item")).toBe("SQL_MANY_STATEMENTS");
  await expect(client.execute("INSERT INTO item (id, name) VALUES (1, 'y'), (1, 'z')")).rejects.toThrow(
    "SQLite error: UNIQUE constraint failed: item.id",
  );
  expect((await client.execute("SELECT count(*) FROM item")).rows[0][0]).toBe(0n);
});

test("libsqld refuses values that the engine cannot take, and lives on", async () => {
  const bad: unknown[] = [
    undefined,
    null,
    5,
    [],
    {},
    { type: "bool", value: true },
    { type: "integer", value: 5 },
    { type: "integer", value: "9223372036854775808" },
    { type: "integer", value: "0x10" },
    { type: "float", value: "1" },
    { type: "float", value: null },
    { type: "text", value: 5 },
    { type: "text", value: "a\0b" },
    { type: "blob", base64: "****" },
    { type: "blob", base64: { length: 4 } },
  ];
  for (const value of bad) {
    const { body } = await pipeline([execute("SELECT ?", [value])]);
    expect([value, body.results[0].error?.code]).toEqual([value, "ARGS_INVALID"]);
  }
  for (const requests of [[null], [5], [{ type: "what" }], [{ type: "execute" }], [{ type: "batch", batch: {} }]]) {
    const { status, body } = await pipeline(requests);
    expect([status, body.results[0].type]).toEqual([200, "error"]);
  }
  expect((await pipeline([{ type: "batch", batch: { steps: [null, { stmt: null }] } }])).status).toBe(200);
  expect((await client.execute("SELECT 1")).rows[0][0]).toBe(1n);
});

test("readSql() numbers parameters as SQLite does and looks into no string or comment", () => {
  const cases: [string, string, number][] = [
    ["select ?, ?2, ?, :a, :a, @a", "SELECT", 5],
    [" /* ? ; */ insert into \"a?b\" values ('?''?', [?], `?`, ?) -- ?", "INSERT", 1],
    ["select a$b, data->>'$.x' from t;  -- end", "SELECT", 0],
    ["CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END;", "CREATE", 0],
  ];
  for (const [text, verb, parameters] of cases)
    expect({ text, ...readSql(text) }).toMatchObject({ text, verb, parameters });
  expect(() => readSql("select 1;;select 2")).toThrow(HranaError);
  expect(readValue({ type: "blob", base64: "AQI" })).toEqual(Buffer.from([1, 2]));
});

test("batch() is one transaction: a failing statement leaves nothing", async () => {
  await expect(
    client.batch(["INSERT INTO item (name) VALUES ('a')", "INSERT INTO item (name) VALUES ('a')"], "write"),
  ).rejects.toMatchObject({ code: "SQLITE_CONSTRAINT" });
  expect((await client.execute("SELECT count(*) FROM item")).rows[0][0]).toBe(0n);
  await client.migrate(["CREATE TABLE IF NOT EXISTS extra (a)", "DROP TABLE extra"]);
  expect((await client.execute("PRAGMA foreign_keys")).rows[0][0]).toBe(1n);
});

test("transaction() holds over several requests, rolls back and commits", async () => {
  const kept = await client.transaction("write");
  await kept.execute({ sql: "INSERT INTO item (name) VALUES (?)", args: ["kept"] });
  expect((await client.execute("SELECT count(*) FROM item")).rows[0][0]).toBe(0n);
  expect((await kept.execute("SELECT count(*) FROM item")).rows[0][0]).toBe(1n);
  await kept.commit();
  const dropped = await client.transaction("write");
  await dropped.execute("DELETE FROM item");
  await dropped.rollback();
  const forgotten = await client.transaction("write");
  await forgotten.execute("DELETE FROM item");
  forgotten.close();
  expect((await client.execute("SELECT name FROM item")).rows[0][0]).toBe("kept");
});

test("concurrent interactive transactions and writers are serialised, none fails and none overtakes for long", async () => {
  await client.execute("INSERT INTO item (id, n) VALUES (1, 0)");
  const served: number[] = [];
  const add = async (worker: number) => {
    const own = createClient({ url: server.url, authToken: TOKEN });
    for (let i = 0; i < 5; i++) {
      const transaction = await own.transaction("write");
      const { rows } = await transaction.execute("SELECT n FROM item WHERE id = 1");
      await transaction.execute({ sql: "UPDATE item SET n = ? WHERE id = 1", args: [Number(rows[0][0]) + 1] });
      await transaction.commit();
      await own.execute("UPDATE item SET n = n + 1 WHERE id = 1");
      served.push(worker);
    }
    own.close();
  };
  await Promise.all(Array.from({ length: 8 }, (_, worker) => add(worker)));
  expect((await client.execute("SELECT n FROM item")).rows[0][0]).toBe(80n);
  // Everybody has had a turn before anybody is done.
  expect(new Set(served.slice(0, 32)).size).toBe(8);
});

test("a deferred transaction whose snapshot is too old gets SQLITE_BUSY at once", async () => {
  await client.execute("INSERT INTO item (id, n) VALUES (1, 0)");
  const stale = await client.transaction("deferred");
  await stale.execute("SELECT n FROM item");
  await client.execute("UPDATE item SET n = 1");
  const started = performance.now();
  await expect(stale.execute("UPDATE item SET n = 2")).rejects.toMatchObject({ code: "SQLITE_BUSY" });
  expect(performance.now() - started).toBeLessThan(1000);
  stale.close();
});

test("a transaction that is forgotten is rolled back and frees the writers", { timeout: 20_000 }, async () => {
  const forgotten = await client.transaction("write");
  await forgotten.execute("INSERT INTO item (name) VALUES ('never')");
  await client.execute("INSERT INTO item (name) VALUES ('waited')");
  await expect(forgotten.commit()).rejects.toMatchObject({ code: "STREAM_EXPIRED" });
  expect((await client.execute("SELECT name FROM item")).rows.map((row) => row[0])).toEqual(["waited"]);
});

test("a writer waits for another program that holds the lock", async () => {
  const other = new Database(path);
  other.exec("BEGIN IMMEDIATE");
  const waiting = client.execute("INSERT INTO item (name) VALUES ('after')");
  await wait(100);
  other.exec("COMMIT");
  other.close();
  expect((await waiting).rowsAffected).toBe(1);
});

test("Connection.execute() that found the lock taken leaves no lock of its own behind", () => {
  const file = join(folder, "busy.db");
  const schema = { version: 0 };
  const [holder, other] = [new Connection(file, schema), new Connection(file, schema)];
  const on = (connection: Connection, sql: string) => connection.execute(sql, {}, 1e6);
  on(holder, "CREATE TABLE t (n INTEGER)");
  const begun = [
    "INSERT INTO t VALUES (1)",
    "INSERT INTO t VALUES (1) RETURNING n",
    "BEGIN IMMEDIATE",
    "CREATE TABLE u (n)",
  ];
  for (const sql of begun) {
    on(holder, "BEGIN IMMEDIATE");
    let refused: unknown;
    try {
      on(other, sql);
    } catch (error) {
      refused = error;
    }
    expect([sql, isBusy(refused), other.inTransaction]).toEqual([sql, true, false]);
    on(holder, "INSERT INTO t VALUES (2)");
    on(holder, "COMMIT");
    // 0: not blocked; an old snapshot would make it 1.
    expect(on(holder, "PRAGMA wal_checkpoint(TRUNCATE)")).toContain('"rows":[[{"type":"integer","value":"0"}');
    on(other, "INSERT INTO t VALUES (3)");
  }
  expect(on(holder, "SELECT count(*) FROM t")).toContain('"value":"8"');
  holder.close();
  other.close();
});

test("a changed table is seen by statements prepared before, on every connection", async () => {
  const transaction = await client.transaction("read");
  await transaction.execute("SELECT * FROM item");
  await transaction.rollback();
  expect((await client.execute("SELECT * FROM item")).columns).toHaveLength(5);
  await client.execute("ALTER TABLE item ADD COLUMN more TEXT");
  const [one, two] = await Promise.all([
    client.execute("SELECT * FROM item"),
    client.batch(["SELECT * FROM item"], "read"),
  ]);
  expect([one.columns.at(-1), two[0].columns.at(-1)]).toEqual(["more", "more"]);
  await client.execute("DROP TABLE item");
});

test("Connection.execute() knows the columns of a table whose change was committed late or taken back", () => {
  const schema = { version: 0 };
  const [own, other] = [0, 1].map(() => new Connection(join(folder, "columns.db"), schema));
  const on = (connection: Connection, sql: string) => JSON.parse(connection.execute(sql, {}, 1e6));
  const columns = (connection: Connection) => on(connection, "SELECT * FROM t").cols.length;
  on(own, "CREATE TABLE t (a)");
  on(own, "BEGIN IMMEDIATE");
  on(own, "ALTER TABLE t ADD COLUMN b");
  expect([columns(own), columns(other)]).toEqual([2, 1]);
  on(own, "COMMIT");
  expect([columns(own), columns(other)]).toEqual([2, 2]);
  for (const end of [() => on(own, "ROLLBACK"), () => own.rollback()]) {
    on(own, "BEGIN IMMEDIATE");
    on(own, "ALTER TABLE t ADD COLUMN c");
    expect([columns(own), columns(other)]).toEqual([3, 2]);
    end();
    expect([columns(own), columns(other)]).toEqual([2, 2]);
  }
  own.close();
  other.close();
});

test("a setting that a stream changes does not reach the next one", async () => {
  const transaction = await client.transaction("read");
  await transaction.execute("SELECT 1");
  await transaction.executeMultiple("PRAGMA cache_size=17");
  await transaction.rollback();
  for (let i = 0; i < 3; i++) {
    const values = await client.batch([
      "PRAGMA foreign_keys",
      "PRAGMA secure_delete",
      "PRAGMA synchronous",
      "PRAGMA cache_size",
    ]);
    expect(values.map((value) => value.rows[0][0])).toEqual([1n, 1n, 2n, -16384n]);
  }
});

test("a baton serves once, and a wrong one is refused", async () => {
  const first = await pipeline([execute("SELECT 1")]);
  const second = await pipeline([execute("SELECT 2")], { baton: first.body.baton });
  expect(second.status).toBe(200);
  const again = await pipeline([execute("SELECT 3")], { baton: first.body.baton });
  expect([again.status, again.body.code]).toEqual([400, "STREAM_EXPIRED"]);
  expect((await pipeline([{ type: "close" }], { baton: second.body.baton })).body.baton).toBeNull();
});

test("streams are limited in number, bodies in size, and everything needs the token", async () => {
  const batons: string[] = [];
  for (;;) {
    const { status, body } = await pipeline([execute("SELECT 1")]);
    if (status !== 200) {
      expect(body.code).toBe("STREAM_LIMIT");
      break;
    }
    batons.push(body.baton);
    expect(batons.length).toBeLessThan(200);
  }
  for (const baton of batons) await pipeline([{ type: "close" }], { baton });
  expect((await pipeline([execute("SELECT 1"), { type: "close" }])).status).toBe(200);

  const post = (init: RequestInit) =>
    fetch(`${server.url}/v2/pipeline`, { method: "POST", ...init }).then((r) => r.status);
  const authorization = `Bearer ${TOKEN}`;
  expect(await post({ headers: { authorization }, body: " ".repeat(33 * 1024 * 1024) })).toBe(413);
  expect(await post({ headers: { authorization }, body: "{" })).toBe(400);
  expect(await post({ headers: { authorization }, body: "null" })).toBe(400);
  expect(await post({ body: "{}" })).toBe(401);
  const stranger = createClient({ url: server.url, authToken: "a-token-of-the-tesT" });
  await expect(stranger.execute("SELECT 1")).rejects.toMatchObject({ code: "AUTH_JWT_INVALID" });
  expect((await fetch(`${server.url}/v2`)).status).toBe(200);
  expect((await fetch(`${server.url}/v2/other`, { headers: { authorization } })).status).toBe(404);
});

test("a big packed batch goes through in one statement", async () => {
  const rows = 20_000;
  const packed = JSON.stringify(Array.from({ length: rows }, (_, i) => [`name ${i}`, i]));
  const result = await client.execute({
    sql: "INSERT INTO item (name, n) SELECT value ->> 0, value ->> 1 FROM json_each(?)",
    args: [packed],
  });
  expect(result.rowsAffected).toBe(rows);
  expect((await client.execute("SELECT name, n FROM item ORDER BY id")).rows).toHaveLength(rows);
});

test("what was committed is there after kill -9 and a restart", { timeout: 30_000 }, async () => {
  const env = { ...process.env, LIBSQLD_PATH: join(folder, "killed.db"), LIBSQLD_TOKEN: TOKEN };
  const start = async (): Promise<[ChildProcess, Client]> => {
    const child = spawn(process.execPath, ["tools/libsqld.ts"], { env, stdio: ["ignore", "pipe", "inherit"] });
    const line = await new Promise<string>((resolve) => child.stdout?.once("data", (data) => resolve(String(data))));
    return [
      child,
      createClient({ url: `http://127.0.0.1:${line.match(/^libsqld listening (\d+)\n$/)?.[1]}`, authToken: TOKEN }),
    ];
  };
  const ended = (child: ChildProcess) => new Promise((resolve) => child.once("exit", resolve));
  let [child, own] = await start();
  await own.execute("CREATE TABLE t (n INTEGER)");
  let committed = 0;
  for (let round = 0; round < 3; round++) {
    const killed = wait(60).then(() => child.kill("SIGKILL"));
    const gone = ended(child);
    for (;;) {
      try {
        await own.execute({ sql: "INSERT INTO t VALUES (?)", args: [committed] });
        committed++;
      } catch {
        break;
      }
    }
    await Promise.all([killed, gone]);
    own.close();
    [child, own] = await start();
    const { rows } = await own.execute("SELECT count(*) AS n FROM t");
    // One more than known when the kill came between the commit and its answer.
    expect(Number(rows[0].n) - committed).toBeOneOf([0, 1]);
    committed = Number(rows[0].n);
  }
  expect(committed).toBeGreaterThan(3);
  own.close();
  const gone = ended(child);
  child.kill("SIGTERM");
  expect(await gone).toBe(0);
});
