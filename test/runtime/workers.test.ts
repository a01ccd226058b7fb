import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { createClient } from "@libsql/client";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { KEY_BUCKETS } from "../../src/runtime/secrets-r2.ts";
import { type BuiltWorker, buildWorker } from "../../tools/bundle.ts";
import { startLibsqld } from "../../tools/libsqld.ts";
import { applyMigrations } from "../../tools/migrate.ts";

// The bundle of production in workerd.

const folder = mkdtempSync(join(tmpdir(), "ephemeris-workers-"));
const ADMIN_TOKEN = "a".repeat(43);
let database: Awaited<ReturnType<typeof startLibsqld>>;
let built: BuiltWorker;
const running: Miniflare[] = [];

beforeAll(async () => {
  built = await buildWorker();
  database = await startLibsqld({ path: join(folder, "main.db"), port: 0, token: "t" });
  const client = createClient({ url: database.url, authToken: "t" });
  await applyMigrations(client);
  client.close();
}, 60_000);
afterAll(async () => {
  for (const worker of running) await worker.dispose();
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

async function aWorker(
  more: Record<string, string | undefined> = {},
  buckets: readonly string[] = KEY_BUCKETS,
): Promise<{ url: string; worker: Miniflare; logged: string[] }> {
  const bindings = {
    DATABASE_URL: database.url,
    DATABASE_TOKEN: "t",
    ADMIN_TOKEN,
    BRIDGE_TOKEN: "b".repeat(43),
    ROOT_KEY: "0f".repeat(32),
    ...more,
  };
  const logged: string[] = [];
  const env = Object.entries(bindings).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, { type: "text" as const, value }]],
  );
  const worker = new Miniflare({
    cf: false,
    telemetry: { enabled: false },
    handleStructuredLogs: ({ message }: { message: string }) => logged.push(message),
    workers: [
      {
        config: {
          name: "test",
          compatibilityDate: "2026-10-20",
          compatibilityFlags: ["nodejs_compat"],
          manifest: {
            mainModule: "w.js",
            modules: { "w.js": { type: "esm", contents: readFileSync(built.script, "utf8") } },
          },
          env: {
            ...Object.fromEntries(env),
            ...Object.fromEntries(buckets.map((name) => [name, { type: "r2" as const, name: name.toLowerCase() }])),
            ASSETS: { type: "assets" },
          },
          assets: { directory: built.assets, hasUserWorker: true, runWorkerFirst: true, htmlHandling: "none" },
        },
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
      },
    ],
  });
  running.push(worker);
  return { url: (await worker.unsafeGetDirectURL()).origin, worker, logged };
}

const asAdmin = { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } };

test("the Worker grows no further than it has: a start costs what must be loaded", () => {
  // The goal is 150 KiB. README.md says what it is now and what it is made of: it grew by the track store, the key store,
  // retention, HPKE (7 KiB) and what people ask for by right, with the texts of its pages in two languages; the first
  // request may need each.
  expect(gzipSync(readFileSync(built.script)).length).toBeLessThan(430 * 1024);
});

test("fetch() serves the app, also many requests at once on one isolate", async () => {
  const { url } = await aWorker();
  // The clock is the machine's, and the calendar that ships ends some day.
  const { warnings = [], ...health } = (await (await fetch(`${url}/healthz`)).json()) as { warnings?: string[] };
  expect([health, warnings.filter((warning) => warning !== "calendar")]).toEqual([{ status: "ok" }, []]);
  const made = await fetch(`${url}/v1/admin/accounts`, {
    method: "POST",
    headers: { ...asAdmin.headers, "content-type": "application/json" },
    body: '{"name":"Acme"}',
  });
  expect(made.status).toBe(201);
  const answers = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const response = await fetch(`${url}/v1/admin/accounts`, asAdmin);
      return [response.status, ((await response.json()) as { data: unknown[] }).data.length];
    }),
  );
  expect(new Set(answers.map(String))).toEqual(new Set(["200,1"]));
});

test("scheduled() runs the jobs of the cron that fired", async () => {
  const { url, worker } = await aWorker();
  const { outcome } = await (await worker.getWorker()).scheduled({ cron: "7 * * * *", scheduledTime: new Date() });
  expect(outcome).toBe("ok");
  const { data } = (await (await fetch(`${url}/v1/admin/jobs`, asAdmin)).json()) as {
    data: { name: string; cron: string; lastRun: { state: string } | null }[];
  };
  const ran = data.filter(({ lastRun }) => lastRun !== null);
  expect(ran.length).toBeGreaterThan(0);
  for (const { cron, lastRun } of ran) expect([cron, lastRun?.state]).toEqual(["7 * * * *", "done"]);
});

test("a missing or bad binding is 503 for the caller and named in the log", async () => {
  const { url, logged } = await aWorker({ ROOT_KEY: undefined });
  const response = await fetch(`${url}/healthz`);
  expect([response.status, response.headers.get("content-type")]).toEqual([503, "application/problem+json"]);
  expect(await response.json()).toEqual({
    type: "about:blank",
    title: "Service Unavailable",
    status: 503,
    code: "unavailable",
  });
  await vi.waitFor(() => expect(logged.join("\n")).toContain("ROOT_KEY must be 32 bytes in hex, and is missing"));
});

test("a bucket that is not bound is 503 for the caller and named in the log", async () => {
  const { url, logged } = await aWorker({}, ["KEYS_A"]);
  expect((await fetch(`${url}/healthz`)).status).toBe(503);
  await vi.waitFor(() =>
    expect(logged.join("\n")).toContain("KEYS_B, KEYS_ESCROW must be R2 buckets, and are missing"),
  );
});

test("a database that does not answer is 503 with a reason", async () => {
  const { url } = await aWorker({ DATABASE_URL: "http://127.0.0.1:1" });
  const response = await fetch(`${url}/healthz`);
  expect(response.status).toBe(503);
  expect(JSON.stringify(await response.json())).toContain("database");
});
