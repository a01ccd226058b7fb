import { existsSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AppError } from "../../src/errors.ts";
import { JOBS, listJobs, runCron, runJob } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { aBase, aDatabase, aDevice, NOON, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(() => database.close());

test("JOBS and the cron triggers of wrangler.toml are the same", (context) => {
  const file = new URL("../../wrangler.toml", import.meta.url);
  if (!existsSync(file)) return context.skip("there is no wrangler.toml to compare with");
  const crons = /^crons\s*=\s*\[([^\]]*)\]/m.exec(readFileSync(file, "utf8"))?.[1] ?? "";
  const triggers = [...crons.matchAll(/"([^"]+)"/g)].map((match) => match[1]);
  expect(triggers.sort()).toEqual([...new Set<string>(JOBS.map((job) => job.cron))].sort());
});

test("JOBS fit the five cron triggers of a free account, and names are unique", () => {
  expect(new Set(JOBS.map((job) => job.cron)).size).toBeLessThanOrEqual(5);
  expect(new Set(JOBS.map((job) => job.name)).size).toBe(JOBS.length);
});

for (const job of JOBS) {
  test(`runJob("${job.name}") is recorded, and running it twice at once does no harm`, async () => {
    await Promise.all([runJob(base, job.name), runJob(base, job.name)]);
    const status = (await listJobs(base)).find((row) => row.name === job.name);
    expect(status).toMatchObject({ cron: job.cron, lastRun: { state: "done", startedAt: NOON, finishedAt: NOON } });
  });
}

test("runJob() refuses a name that is not in the table", async () => {
  await expect(runJob(base, "nonesuch")).rejects.toThrow(AppError);
});

test("runJob() records and logs a failure without its message, and throws it", async () => {
  await database.client.execute("DROP TABLE unclaimed");
  await expect(runJob(base, "purge-unclaimed")).rejects.toThrow();
  const status = (await listJobs(base)).find((row) => row.name === "purge-unclaimed");
  expect(status?.lastRun).toMatchObject({ state: "failed" });
  expect(status?.lastRun?.error).not.toContain("unclaimed");
  expect(base.logged.filter((line) => line.startsWith("error job.failed"))).toHaveLength(1);
});

test("runCron() runs the jobs of that trigger only, and goes on after one that fails", async () => {
  await database.client.execute("DROP TABLE unclaimed");
  await runCron(base, "*/10 * * * *");
  const runs = (await listJobs(base)).map((job) => [job.name, job.lastRun?.state]);
  expect(runs).toEqual(
    JOBS.map((job) => [
      job.name,
      job.cron !== "*/10 * * * *" ? undefined : job.name === "purge-unclaimed" ? "failed" : "done",
    ]),
  );
});

test("expire-commands marks only queued commands whose time is over", async () => {
  const device = await aDevice(database.db);
  const values = [
    ["queued", NOON, "expired"],
    ["queued", NOON + 1, "queued"],
    ["sent", NOON - 1, "sent"],
  ] as const;
  for (const [state, expiresAt] of values) {
    await database.client.execute({
      sql: `INSERT INTO commands (device_id, account_id, code, arguments, identifier, frame, state, created_at, expires_at)
        VALUES (?, ?, 'A10', '{}', 'A', x'00', ?, ?, ?)`,
      args: [device.id, device.accountId, state, NOON, expiresAt],
    });
  }
  expect(await runJob(base, "expire-commands")).toBe(1);
  const { rows } = await database.client.execute("SELECT state FROM commands ORDER BY id");
  expect(rows.map((row) => row.state)).toEqual(values.map((row) => row[2]));
});

test("purge-job-runs keeps the last run of each job however old it is", async () => {
  await runJob(base, "retention");
  await runJob(base, "retention");
  base.advance(LIMITS.jobRunsMs + 1);
  await runJob(base, "purge-job-runs");
  const { rows } = await database.client.execute("SELECT name FROM job_runs ORDER BY id");
  expect(rows.map((row) => row.name)).toEqual(["retention", "purge-job-runs"]);
});
