import { existsSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AppError } from "../../src/errors.ts";
import { JOBS, listJobs, runCron, runJob } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { signUp } from "../../src/signup.ts";
import { listSessions } from "../../src/store/sessions.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  aSession,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

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

const DAY = 86_400_000;

/** How many rows each table has, beside those that the jobs themselves write. */
async function counts(): Promise<Record<string, number>> {
  const { rows } = await database.client.execute(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'job_runs'",
  );
  const found: Record<string, number> = {};
  for (const { name } of rows) {
    const { rows: count } = await database.client.execute(`SELECT count(*) FROM ${name}`);
    found[String(name)] = Number(count[0][0]);
  }
  return found;
}

const signUpAs = (email: string) =>
  signUp(aContext(base, { kind: "anonymous" }), { email, name: "Canary", mobile: null, language: "en" });

test("purge-unverified: a registration that nobody confirms is there on day 6 and has left no row on day 8", async () => {
  base.sendMail = null;
  const before = await counts();
  await signUpAs("canary@edge.test");
  await base.settled();
  const after = await counts();
  expect(after).toMatchObject({ accounts: 1, users: 1, tokens: 1, mails: 1 });
  base.at(NOON + 6 * DAY);
  for (const cron of ["7 * * * *", "*/10 * * * *"]) await runCron(base, cron);
  expect(await counts()).toMatchObject({ accounts: 1, users: 1, tokens: 1 });
  base.at(NOON + 8 * DAY);
  for (const cron of new Set(JOBS.map((job) => job.cron))) await runCron(base, cron);
  // Its secret goes one run after its rows.
  for (let run = 0; run < 2; run++) await runJob(base, "destroy-gone-accounts");
  expect(await counts()).toEqual(before);
});

test("purge-unverified keeps whose fresh link has not run out, and forgets them when it has", async () => {
  await signUpAs("canary@edge.test");
  await base.settled();
  base.at(NOON + 6 * DAY);
  await signUpAs("canary@edge.test");
  await base.settled();
  base.at(NOON + 8 * DAY);
  expect(await runJob(base, "purge-unverified")).toBe(0);
  base.at(NOON + 13 * DAY);
  expect(await runJob(base, "purge-unverified")).toBe(1);
  expect(await counts()).toMatchObject({ accounts: 0, users: 0 });
});

test("purge-unverified forgets who was invited and never came, and nobody else", async () => {
  const accountId = await anAccount(database.db);
  const old = { createdAt: NOON - 8 * DAY };
  const never = { emailVerifiedAt: null, passwordHash: null };
  await aUser(database.db, { accountId, role: "owner", ...old });
  await aUser(database.db, { accountId, role: "viewer", ...never, createdAt: NOON - 6 * DAY });
  const gone = await aUser(database.db, { accountId, role: "viewer", ...never, ...old });
  const staff = await aUser(database.db, { role: "support", ...never, ...old });
  const device = await aDevice(database.db, { accountId });
  await database.client.execute(`INSERT INTO user_devices (user_id, device_id) VALUES (${gone.id}, ${device.id})`);
  expect(await runJob(base, "purge-unverified")).toBe(2);
  const { rows } = await database.client.execute("SELECT id FROM users");
  expect(rows).toHaveLength(2);
  expect(rows.map((row) => row.id)).not.toContain(gone.id);
  expect(rows.map((row) => row.id)).not.toContain(staff.id);
  expect(await counts()).toMatchObject({ accounts: 1, devices: 1, user_devices: 0 });
});

test("purge-sessions forgets what is over and where older sessions came from", async () => {
  const user = await aUser(database.db, { role: "owner" });
  await aSession(base, user);
  await database.client.batch([
    `INSERT INTO tokens (kind, hash, user_id, created_at, expires_at) VALUES
      ('reset', 'a', ${user.id}, 0, ${NOON}), ('reset', 'b', ${user.id}, 0, ${NOON + 1})`,
    `INSERT INTO throttles (key, failures, blocked_until, expires_at) VALUES ('a', 1, 0, ${NOON}), ('b', 1, 0, ${NOON + 1})`,
  ]);
  expect(await runJob(base, "purge-sessions")).toBe(2);
  expect(await counts()).toMatchObject({ sessions: 1, tokens: 1, throttles: 1 });
  const network = async () => (await listSessions(database.db, user.id, 0, 1))[0]?.network;
  expect(await network()).toBe("192.0.2.0/24");
  base.at(NOON + LIMITS.networkMs + 1);
  await database.client.execute(`UPDATE sessions SET expires_at = ${base.now() + 1}`);
  await runJob(base, "purge-sessions");
  expect(await network()).toBeNull();
  base.advance(1);
  await runJob(base, "purge-sessions");
  expect(await counts()).toMatchObject({ sessions: 0, tokens: 0, throttles: 0 });
});

test("purge-searches and purge-audit keep what is not old enough", async () => {
  const user = await aUser(database.db, { role: "owner" });
  const at = (ms: number) => [NOON - ms - 1, NOON - ms];
  await database.client.batch([
    ...at(LIMITS.searchesMs).map((time) => ({
      sql: "INSERT INTO searches (user_id, term, searched_at) VALUES (?, 'van', ?)",
      args: [user.id, time],
    })),
    ...at(LIMITS.auditMs).flatMap((time) => [
      { sql: "INSERT INTO audit (at, actor, action) VALUES (?, 'system', 'job.run')", args: [time] },
      {
        sql: "INSERT INTO looks (account_id, window_id, actor, what, at) VALUES (?, 1, 'staff', 'latest', ?)",
        args: [user.accountId, time],
      },
      {
        sql: "INSERT INTO support_windows (account_id, opened_at, expires_at) VALUES (?, 0, ?)",
        args: [user.accountId, time],
      },
      ...["revoked_at", "expires_at"].map((column) => ({
        sql: `INSERT INTO api_keys (account_id, scope, hash, created_at, ${column}) VALUES (?, 'read', ?, 1, ?)`,
        args: [user.accountId, `${column}${time}`, time],
      })),
    ]),
    {
      sql: "INSERT INTO api_keys (account_id, scope, hash, created_at) VALUES (?, 'read', 'works', 1)",
      args: [user.accountId],
    },
  ]);
  expect(await runJob(base, "purge-searches")).toBe(1);
  expect(await runJob(base, "purge-audit")).toBe(5);
  expect(await counts()).toMatchObject({ searches: 1, audit: 1, looks: 1, support_windows: 1, api_keys: 3 });
});

test("send-mail sends what waits", async () => {
  const { sendMail } = base;
  base.sendMail = null;
  await signUpAs("canary@edge.test");
  await base.settled();
  base.sendMail = sendMail;
  base.advance(5 * 60_000);
  expect(await runJob(base, "send-mail")).toBe(1);
  expect(base.sent).toMatchObject([{ to: "canary@edge.test" }]);
});
