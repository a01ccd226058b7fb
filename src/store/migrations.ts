import type { Db } from "./db.ts";
import { migrations } from "./schema.ts";

/** The files of migrations/ that this code needs; test/src/health.test.ts compares. */
export const MIGRATIONS = [
  "0001_main_job",
  "0002_people",
  "0003_track_store",
  "0004_retention",
  "0005_sealed_people",
  "0006_customer_keys",
  "0007_regions",
  "0008_broken",
  "0009_gone_accounts",
  "0010_lighter_inbox",
  "0011_rights",
  "0012_ranges",
  "0013_request_review",
  "0014_held",
  "0015_hold_reviews",
  "0016_suspensions",
  "0017_trackers_told",
  "0018_subject_links",
  "0019_device_proof",
  "0020_commands_of_account",
  "0021_copies_beside_keys",
] as const;

/** Names of the migrations that the database has, without ".sql"; none in a database without any table. */
export async function appliedMigrations(db: Db): Promise<string[]> {
  const { rows: tables } = await db.$client.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'");
  if (tables.length === 0) return [];
  const rows = await db.select({ name: migrations.name }).from(migrations);
  return rows.map(({ name }) => name.replace(/\.sql$/, ""));
}
