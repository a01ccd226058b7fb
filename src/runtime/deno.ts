import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql";
import type { Base, Db } from "../context.ts";
import { app } from "../http/app.ts";
import { assetsInMemory } from "../http/files.ts";
import { JOBS, runCron } from "../jobs.ts";
import * as schema from "../store/schema.ts";
import { clientAddress } from "./address.ts";
import { sharedBase, withDefer } from "./base.ts";
import { clientBundle } from "./client-bundle.ts";
import { ConfigError, fileUrl, readConfig } from "./config.ts";
import { mailer } from "./mail.ts";
import { fileSecrets } from "./secrets-file.ts";

/** The part of Deno's API that is used here. */
declare const Deno: {
  env: { toObject(): Record<string, string> };
  exit(code: number): never;
  cron(name: string, schedule: string, handler: () => Promise<void>): Promise<void>;
  addSignalListener(signal: "SIGTERM" | "SIGINT", handler: () => void): void;
  serve(
    options: { hostname: string; port: number; onListen(address: { port: number }): void; onError(): Response },
    handler: (request: Request, info: { remoteAddr: { hostname?: string } }) => Response | Promise<Response>,
  ): { shutdown(): Promise<void> };
};

/** A stop waits this long for requests that are being answered. */
const STOP_MS = 10_000;

/**
 * Set on the connection once: its single connection serves every statement, so the app must not use interactive
 * transactions (a batch is one call and cannot be interrupted). Another program on the file, such as a backup, may make
 * it wait.
 */
const PRAGMAS = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "busy_timeout=5000"];

/** Opens a database, a file as this process must. */
async function connect(url: string, authToken: string | undefined): Promise<Db> {
  const embedded = url.startsWith("file:");
  const client = createClient({
    url,
    concurrency: embedded ? 1 : Number.POSITIVE_INFINITY,
    ...(authToken !== undefined && { authToken }),
  });
  if (embedded) for (const pragma of PRAGMAS) await client.execute(`PRAGMA ${pragma}`);
  return drizzle(client, { schema }) as Db;
}

/** Where the bundler is not there, or may not run, the page that opens sealed tracks says so; everything else works. */
async function bundled(): Promise<Record<string, string>> {
  try {
    return await clientBundle();
  } catch (error) {
    console.error(`Cannot bundle the client for browsers: ${error instanceof Error ? error.message : error}`);
    return {};
  }
}

/** `Base.asset` of files that `tools/assets.ts` wrote. */
function assetsInFolder(folder: string): Base["asset"] {
  return (name) => readFile(join(folder, basename(name)), "utf8").catch(() => null);
}

async function openBase(env: Record<string, string>): Promise<{ base: Base; close(): Promise<void> }> {
  const file = env.DATABASE_PATH ? { DATABASE_URL: fileUrl(env.DATABASE_PATH) } : {};
  const { config, databaseUrl, databaseToken, mainRegion, databases, ...mail } = readConfig({ ...env, ...file });
  const db = await connect(databaseUrl, databaseToken);
  const others = new Map<string, { db: Db; region: string }>();
  for (const [name, { url, token, region }] of Object.entries(databases)) {
    others.set(name, { db: await connect(url, token), region });
  }
  const pending = new Set<Promise<unknown>>();
  // A library of some size, loaded where it is used.
  const smtp = mail.smtpUrl === undefined ? undefined : (await import("./smtp.ts")).viaSmtp;
  const sendMail = mailer({ ...mail, smtp });
  const secrets = fileSecrets(keysDir(env, databaseUrl));
  // A folder that cannot be used is found now, and not by the first who sends a position.
  for (const copy of [...secrets.copies, secrets.escrow]) await copy.list("");
  const telemetry = { region: mainRegion, others };
  const asset = env.ASSETS_DIR ? assetsInFolder(env.ASSETS_DIR) : assetsInMemory(bundled);
  const base = withDefer(sharedBase(db, config, sendMail, asset, secrets, telemetry), (work) => {
    pending.add(work);
    void work.finally(() => pending.delete(work));
  });
  const close = async () => {
    await Promise.allSettled(pending);
    for (const each of [db, ...[...others.values()].map((other) => other.db)]) each.$client.close();
    secrets.close();
  };
  return { base, close };
}

/**
 * The folder of the key store: KEYS_DIR, or the one of the database file.
 * @throws {ConfigError}
 */
function keysDir(env: Record<string, string>, databaseUrl: string): string {
  if (env.KEYS_DIR) return env.KEYS_DIR;
  if (!databaseUrl.startsWith("file:")) {
    throw new ConfigError("KEYS_DIR must be a folder for the key store, and is missing");
  }
  const path = decodeURIComponent(databaseUrl.slice("file:".length).replace(/[?#].*$/, ""));
  return path.includes("/") ? path.replace(/\/[^/]*$/, "") || "/" : ".";
}

async function main(): Promise<void> {
  const env = Deno.env.toObject();
  const { base, close } = await openBase(env);
  const server = Deno.serve(
    {
      hostname: env.HOST || "127.0.0.1",
      port: Number(env.PORT || 8787),
      onListen: ({ port }) => console.log(`edge listening ${port}`),
      onError: () => new Response(null, { status: 500 }),
    },
    (request, { remoteAddr }) => {
      // The header that Cloudflare sets; a client must not choose the address that its requests are counted under.
      const headers = new Headers(request.headers);
      const peer = remoteAddr.hostname ?? "-";
      headers.set("cf-connecting-ip", clientAddress(headers, peer, env.CLIENT_ADDRESS_HEADER || undefined));
      return app.fetch(new Request(request, { headers }), base);
    },
  );
  for (const [n, cron] of [...new Set(JOBS.map((job) => job.cron))].entries()) {
    void Deno.cron(`jobs-${n}`, cron, () => runCron(base, cron));
  }
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    const late = new Promise((resolve) => setTimeout(resolve, STOP_MS));
    await Promise.race([server.shutdown().then(close), late]);
    Deno.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => void stop());
}

main().catch((error) => {
  console.error(error instanceof ConfigError ? error.message : error);
  Deno.exit(1);
});
