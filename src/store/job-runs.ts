import { and, desc, eq, inArray, lt, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { jobRuns } from "./schema.ts";

export type JobRun = typeof jobRuns.$inferSelect;

export async function startJobRun(db: Db, name: string, startedAt: number): Promise<number> {
  const [row] = await db.insert(jobRuns).values({ name, startedAt, state: "running" }).returning({ id: jobRuns.id });
  return row.id;
}

export async function endJobRun(
  db: Db,
  id: number,
  end: { finishedAt: number; state: "done" | "failed"; changed: number; error: string | null },
): Promise<void> {
  await db.update(jobRuns).set(end).where(eq(jobRuns.id, id));
}

/** The last run of each of these jobs that has run. */
export function lastJobRuns(db: Db, names: readonly string[]): Promise<JobRun[]> {
  const last = db
    .select({ id: sql<number>`max(${jobRuns.id})` })
    .from(jobRuns)
    .where(inArray(jobRuns.name, [...names]))
    .groupBy(jobRuns.name);
  return db.select().from(jobRuns).where(inArray(jobRuns.id, last)).orderBy(desc(jobRuns.id));
}

/** When the last run of a job that ended well began, and when the database was made. Unix ms; null: never. */
export async function lastGoodRun(
  db: Db,
  name: string,
): Promise<{ lastGoodAt: number | null; installedAt: number | null }> {
  const { rows } = await db.$client.execute({
    sql: `SELECT (SELECT started_at FROM job_runs WHERE name = ? AND state = 'done' ORDER BY id DESC LIMIT 1),
      (SELECT min(applied_at) FROM migrations)`,
    args: [name],
  });
  return { lastGoodAt: rows[0]![0] as number | null, installedAt: rows[0]![1] as number | null };
}

/** Removes runs that began before a time; the last run of each job stays. @returns how many */
export async function purgeJobRuns(db: Db, before: number): Promise<number> {
  const newer = sql`EXISTS (SELECT 1 FROM job_runs AS later WHERE later.name = ${jobRuns.name} AND later.id > ${jobRuns.id})`;
  const { rowsAffected } = await db.delete(jobRuns).where(and(lt(jobRuns.startedAt, before), newer));
  return rowsAffected;
}
