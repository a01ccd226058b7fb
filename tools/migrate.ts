import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, createClient, LibsqlError } from "@libsql/client";
import { fillPlaceholders, sha256Of } from "../src/publishing.ts";
import { BINDINGS } from "../src/runtime/config.ts";
import { readDatabases, type TelemetryDatabase } from "../src/runtime/databases.ts";
import { SETTINGS } from "../src/settings.ts";

/** The folder with the numbered SQL files. */
export const MIGRATIONS_DIR = join(import.meta.dirname, "..", "migrations");
/** The statement and the terms that the product ships, as <kind>.<language>.md. */
export const TEMPLATES_DIR = join(import.meta.dirname, "..", "templates");

/**
 * Applies every migration that the database does not have yet, in order of their numbers, each in one transaction. The
 * migration's row is inserted first in it, so that of two runners one waits and then finds the row. One that was merged
 * late is applied too.
 * @returns names of those applied now, without ".sql"
 */
export async function applyMigrations(client: Client, dir: string = MIGRATIONS_DIR): Promise<string[]> {
  await client.execute(
    "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
  );
  const { rows } = await client.execute("SELECT name FROM migrations");
  const known = new Set(rows.map((row) => row.name));
  const applied: string[] = [];
  for (const file of readdirSync(dir).sort()) {
    const name = /^(\d{4}_\w+)\.sql$/.exec(file)?.[1];
    if (name === undefined) throw new Error(`Cannot migrate: ${file} is not named like 0001_its_effect.sql`);
    if (!known.has(name) && (await apply(client, name, readFileSync(join(dir, file), "utf8")))) applied.push(name);
  }
  return applied;
}

/** False when another runner was first. */
async function apply(client: Client, name: string, sql: string): Promise<boolean> {
  const transaction = await client.transaction("write");
  try {
    const { rowsAffected } = await transaction.execute({
      sql: "INSERT INTO migrations (name, applied_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
      args: [name, Date.now()],
    });
    if (rowsAffected === 0) return false;
    await transaction.executeMultiple(sql);
    await transaction.commit();
    return true;
  } catch (cause) {
    throw new Error(`Cannot apply migration ${name}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  } finally {
    transaction.close();
  }
}

/**
 * Writes into a database with tracks which one it is, so that one that was mistaken for another is found out.
 * @throws when it is another, or the one with the accounts
 */
export async function nameDatabase(client: Client, name: string, region: string): Promise<void> {
  const [, found] = await client.batch(
    [
      {
        sql: `INSERT INTO residence (id, name, region) SELECT 1, ?, ? WHERE NOT EXISTS (SELECT 1 FROM accounts)
          ON CONFLICT DO NOTHING`,
        args: [name, region],
      },
      { sql: "SELECT name, region FROM residence", args: [] },
    ],
    "write",
  );
  const row = found!.rows[0];
  if (row === undefined) throw new Error(`The database ${name} of TELEMETRY_DATABASES is one with accounts`);
  if (row[0] !== name || row[1] !== region) {
    throw new Error(`The database ${name} (${region}) of TELEMETRY_DATABASES says that it is ${row[0]} (${row[1]})`);
  }
}

/** Migrates and names every database with tracks. @returns the names of those that something was applied to */
export async function migrateOthers(databases: Record<string, TelemetryDatabase>): Promise<string[]> {
  const changed: string[] = [];
  for (const [name, { url, token, region }] of Object.entries(databases)) {
    const client = createClient(token === undefined ? { url } : { url, authToken: token });
    try {
      if ((await applyMigrations(client)).length > 0) changed.push(name);
      await nameDatabase(client, name, region);
    } catch (cause) {
      throw new Error(`Database ${name}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    } finally {
      client.close();
    }
  }
  return changed;
}

const TITLES: Readonly<Record<string, string>> = {
  "privacy.en": "Privacy statement",
  "privacy.zh": "隐私声明",
  "terms.en": "Terms of use",
  "terms.zh": "服务条款",
};

/**
 * Publishes the templates as version 1 where nothing was ever published, marked as templates: sign-up needs a text to
 * accept. Their placeholders are filled with the settings that the database has. One statement, so that of two runners
 * one finds the other's rows.
 * @returns texts published now
 */
export async function seedDocuments(
  client: Client,
  { now = Date.now(), retentionMonths = 3 }: { now?: number; retentionMonths?: number } = {},
): Promise<number> {
  const { rows } = await client.execute("SELECT name, value FROM settings");
  const set = new Map(rows.map((row) => [String(row.name), String(row.value)]));
  const value = (name: "operatorName" | "contactEmail" | "governingLaw") => set.get(name) ?? SETTINGS[name].default;
  const values = {
    operatorName: value("operatorName"),
    contactEmail: value("contactEmail"),
    governingLaw: value("governingLaw"),
    retentionMonths,
  };
  const texts = await Promise.all(
    Object.entries(TITLES).map(async ([name, title]) => {
      const [kind, language = "en"] = name.split(".");
      const body = fillPlaceholders(readFileSync(join(TEMPLATES_DIR, `${name}.md`), "utf8"), language, values);
      return { kind, language, title, body, sha256: await sha256Of(body) };
    }),
  );
  const { rowsAffected } = await client.execute({
    sql: `INSERT INTO documents (kind, version, language, title, body, sha256, material, template, published_at, effective_at)
          SELECT value ->> 'kind', 1, value ->> 'language', value ->> 'title', value ->> 'body', value ->> 'sha256', 1, 1, ?1, ?1
          FROM json_each(?2) WHERE NOT EXISTS (SELECT 1 FROM documents)`,
    args: [now, JSON.stringify(texts)],
  });
  return rowsAffected;
}

if (import.meta.main) {
  const { DATABASE_URL: url = "", DATABASE_TOKEN: authToken = "", RETENTION_MONTHS: months = "" } = process.env;
  try {
    if (url === "")
      throw new Error("DATABASE_URL must name the database, such as libsql://name.turso.io or file:main.db");
    const { pattern, must, default: usual } = BINDINGS.RETENTION_MONTHS;
    if (!pattern.test(months || usual)) throw new Error(`RETENTION_MONTHS must be ${must}`);
    const databases = readDatabases(process.env.TELEMETRY_DATABASES);
    const client = createClient(authToken === "" ? { url } : { url, authToken });
    const applied = await applyMigrations(client);
    await seedDocuments(client, { retentionMonths: Number(months || usual) });
    client.close();
    const others = await migrateOthers(databases);
    console.log(applied.length === 0 ? "The database is up to date." : `Applied ${applied.join(", ")}.`);
    if (others.length > 0) console.log(`Applied to ${others.join(", ")} too.`);
  } catch (error) {
    console.error(error instanceof LibsqlError ? `Cannot migrate: ${error.message}` : (error as Error).message);
    process.exitCode = 1;
  }
}
