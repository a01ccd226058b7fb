import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Client, createClient } from "@libsql/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { startLibsqld } from "../../tools/libsqld.ts";
import { applyMigrations, MIGRATIONS_DIR, seedDocuments, TEMPLATES_DIR } from "../../tools/migrate.ts";

const folder = mkdtempSync(join(tmpdir(), "migrate-"));
let next = 0;
let server: Awaited<ReturnType<typeof startLibsqld>>;

/** A folder with these migrations. */
function files(migrations: Record<string, string>): string {
  const dir = mkdtempSync(join(folder, "sql-"));
  for (const [name, sql] of Object.entries(migrations)) writeFileSync(join(dir, name), sql);
  return dir;
}

/** An empty database, once in a file and once behind HTTP. */
const databases: [string, () => Promise<{ client: Client; done(): Promise<void> }>][] = [
  [
    "a file",
    async () => {
      const client = createClient({ url: `file:${join(folder, `${next++}.db`)}` });
      return { client, done: async () => client.close() };
    },
  ],
  [
    "libsqld",
    async () => {
      const own = await startLibsqld({ path: join(folder, `${next++}.db`), port: 0, token: "t" });
      const client = createClient({ url: own.url, authToken: "t" });
      return {
        client,
        async done() {
          client.close();
          await own.close();
        },
      };
    },
  ],
];

const tables = async (client: Client) =>
  (await client.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")).rows.map(
    (row) => row.name,
  );

beforeAll(async () => {
  server = await startLibsqld({ path: join(folder, "cli.db"), port: 0, token: "t" });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

test.each(databases)("applyMigrations() applies all in order to %s, and a second run does no harm", async (_, open) => {
  const { client, done } = await open();
  const dir = files({
    "0002_b.sql": "-- needs a\nINSERT INTO a VALUES (2);",
    "0001_a.sql":
      "CREATE TABLE a (n); CREATE TABLE log (n); CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO log VALUES (new.n); END;",
  });
  expect(await applyMigrations(client, dir)).toEqual(["0001_a", "0002_b"]);
  expect(await applyMigrations(client, dir)).toEqual([]);
  expect((await client.execute("SELECT n FROM log")).rows).toHaveLength(1);
  await done();
});

test.each(databases)("applyMigrations() applies one that was merged late to %s", async (_, open) => {
  const { client, done } = await open();
  await applyMigrations(client, files({ "0001_a.sql": "CREATE TABLE a (n)", "0003_c.sql": "CREATE TABLE c (n)" }));
  const late = { "0001_a.sql": "no SQL", "0002_b.sql": "CREATE TABLE b (n)", "0003_c.sql": "no SQL" };
  expect(await applyMigrations(client, files(late))).toEqual(["0002_b"]);
  expect(await tables(client)).toEqual(["a", "b", "c", "migrations"]);
  await done();
});

test.each(databases)("applyMigrations() leaves nothing of one that fails on %s", async (_, open) => {
  const { client, done } = await open();
  const dir = files({
    "0001_a.sql": "CREATE TABLE a (n)",
    "0002_b.sql": "CREATE TABLE b (n); INSERT INTO nothing VALUES (1)",
  });
  await expect(applyMigrations(client, dir)).rejects.toThrow("Cannot apply migration 0002_b");
  expect(await tables(client)).toEqual(["a", "migrations"]);
  await expect(applyMigrations(client, files({ "1.sql": "" }))).rejects.toThrow("1.sql is not named like");
  await done();
});

test("applyMigrations() by two runners at once applies each migration once", async () => {
  const own = await startLibsqld({ path: join(folder, "race.db"), port: 0, token: "t" });
  const dir = files({ "0001_a.sql": "CREATE TABLE a (n)", "0002_b.sql": "INSERT INTO a VALUES (1)" });
  const clients = Array.from({ length: 4 }, () => createClient({ url: own.url, authToken: "t" }));
  const applied = await Promise.all(clients.map((client) => applyMigrations(client, dir)));
  expect(applied.flat().sort()).toEqual(["0001_a", "0002_b"]);
  expect((await clients[0].execute("SELECT n FROM a")).rows).toHaveLength(1);
  for (const client of clients) client.close();
  await own.close();
});

test("the product's own migrations apply to an empty database, twice", async () => {
  const { client, done } = await databases[1][1]();
  const dir = mkdtempSync(join(folder, "own-"));
  cpSync(MIGRATIONS_DIR, dir, { recursive: true });
  expect((await applyMigrations(client, dir)).length).toBeGreaterThan(0);
  expect(await applyMigrations(client)).toEqual([]);
  expect((await client.execute("PRAGMA integrity_check")).rows[0][0]).toBe("ok");
  await done();
});

test.each(databases)("seedDocuments() publishes the templates once in %s, also by two runners", async (_, open) => {
  const { client, done } = await open();
  await applyMigrations(client);
  await client.execute("INSERT INTO settings VALUES ('operatorName', 'Acme Tracking', 0)");
  const seeded = await Promise.all([
    seedDocuments(client, { now: 5, retentionMonths: 6 }),
    seedDocuments(client, { now: 6 }),
  ]);
  expect(seeded.toSorted()).toEqual([0, 4]);
  expect(await seedDocuments(client)).toBe(0);
  const { rows } = await client.execute("SELECT * FROM documents ORDER BY kind, language");
  expect(
    rows.map(({ kind, language, version, material, template }) => [kind, language, version, material, template]),
  ).toEqual([
    ["privacy", "en", 1, 1, 1],
    ["privacy", "zh", 1, 1, 1],
    ["terms", "en", 1, 1, 1],
    ["terms", "zh", 1, 1, 1],
  ]);
  for (const { body, sha256, effective_at, published_at } of rows) {
    expect(createHash("sha256").update(String(body)).digest("hex")).toBe(sha256);
    expect(body).toContain("Acme Tracking");
    expect(body).not.toMatch(/[{}]/);
    expect(effective_at).toBe(published_at);
  }
  await expect(client.execute("UPDATE documents SET body = 'other'")).rejects.toThrow("never changed");
  await done();
});

test("seedDocuments() adds nothing to a database where the operator published", async () => {
  const { client, done } = await databases[0][1]();
  await applyMigrations(client);
  await client.execute(
    `INSERT INTO documents (kind, version, language, title, body, sha256, material, published_at, effective_at)
     VALUES ('terms', 1, 'en', 'T', 'B', 'h', 1, 0, 0)`,
  );
  expect(await seedDocuments(client)).toBe(0);
  await done();
});

test("the templates say on top that they are templates, and leave nothing to fill that the product does not know", () => {
  const names = readdirSync(TEMPLATES_DIR).sort();
  expect(names).toEqual(["privacy.en.md", "privacy.zh.md", "terms.en.md", "terms.zh.md"]);
  for (const name of names) {
    const text = readFileSync(join(TEMPLATES_DIR, name), "utf8");
    expect(text).toMatch(/^> \*\*(Template\.|模板。)\*\*/);
    expect([...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, key]) => key)).toEqual(
      expect.arrayContaining(["operatorName", "contactEmail", "governingLaw", "retentionMonths"]),
    );
  }
});

test("the templates name the periods that the product keeps", () => {
  const DAY = 86_400_000;
  const { sessionMs, networkMs, unverifiedMs, searchesMs, auditMs, securityActsMs, idempotencyMs, activationMs } =
    LIMITS;
  // In words: a day for a mail that cannot be sent, and for an IMEI that nobody has.
  expect([LIMITS.mailMs, LIMITS.unclaimedMs, LIMITS.recentDevices]).toEqual([DAY, DAY, 10]);
  for (const [language, days, years, hours] of [
    ["en", "days", "years", "hours"],
    ["zh", "天", "年", "小时"],
  ]) {
    const text = readFileSync(join(TEMPLATES_DIR, `privacy.${language}.md`), "utf8");
    for (const ms of [sessionMs, networkMs, unverifiedMs, searchesMs]) expect(text).toContain(`${ms / DAY} ${days}`);
    expect(text).toContain(`| ${auditMs / (365 * DAY)} ${years} |`);
    expect(text).toContain(`| ${securityActsMs / DAY} ${days} |`);
    expect(text).toContain(`| ${idempotencyMs / 3_600_000} ${hours} |`);
    expect(text).toMatch(
      new RegExp(`(not|无人).*${activationMs / (365 * DAY)} ${years}|${activationMs / (365 * DAY)} ${years} if nobody`),
    );
  }
});

test("npm run migrate says what it did, and which setting is missing", async () => {
  const run = (env: Record<string, string>) =>
    promisify(execFile)(process.execPath, ["tools/migrate.ts"], { env: { PATH: process.env.PATH, ...env } });
  expect((await run({ DATABASE_URL: server.url, DATABASE_TOKEN: "t" })).stdout).toMatch(/^Applied 0001_main_job/);
  expect((await run({ DATABASE_URL: server.url, DATABASE_TOKEN: "t" })).stdout).toBe("The database is up to date.\n");
  await expect(run({})).rejects.toMatchObject({ stderr: expect.stringMatching(/^DATABASE_URL must name/) });
  // The statement that it publishes would say "NaN months".
  await expect(run({ DATABASE_URL: "file::memory:", RETENTION_MONTHS: "six" })).rejects.toMatchObject({
    stderr: expect.stringMatching(/^RETENTION_MONTHS must be a whole number from 1 to 120\n/),
  });
  await expect(run({ DATABASE_URL: server.url, DATABASE_TOKEN: "wrong" })).rejects.toMatchObject({
    stderr: expect.stringMatching(/^Cannot migrate: .*token/),
  });
});

test("npm run migrate prepares every database with tracks, and finds out one that is another", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-"));
  const url = (name: string) => `file:${join(folder, name)}.db`;
  const run = (databases: object) =>
    promisify(execFile)(process.execPath, ["tools/migrate.ts"], {
      env: { PATH: process.env.PATH, DATABASE_URL: url("main"), TELEMETRY_DATABASES: JSON.stringify(databases) },
    });
  const eu = { url: url("eu"), region: "EU" };
  expect((await run({ eu })).stdout).toMatch(/\nApplied to eu too\.\n$/);
  expect((await run({ eu })).stdout).toBe("The database is up to date.\n");
  await expect(run({ us: { ...eu, region: "US" } })).rejects.toMatchObject({
    stderr: expect.stringContaining("The database us (US) of TELEMETRY_DATABASES says that it is eu (EU)"),
  });
  const main = createClient({ url: url("main") });
  await main.execute("INSERT INTO accounts (name, created_at) VALUES ('Acme', 1)");
  main.close();
  await expect(run({ other: { url: url("main"), region: "EU" } })).rejects.toMatchObject({
    stderr: expect.stringContaining("The database other of TELEMETRY_DATABASES is one with accounts"),
  });
  rmSync(folder, { recursive: true });
});
