import { createClient } from "@libsql/client/http";
import { drizzle } from "drizzle-orm/libsql/http";
import type { Base, Db } from "../context.ts";
import { app } from "../http/app.ts";
import { runCron } from "../jobs.ts";
import * as schema from "../store/schema.ts";
import { notConfigured, type Shared, sharedBase, withDefer } from "./base.ts";
import { ConfigError, readConfig } from "./config.ts";
import { type EmailBinding, mailer } from "./mail.ts";
import { r2Secrets } from "./secrets-r2.ts";

let shared: Shared | undefined;

/** Files from the static assets that wrangler.toml names. */
function assetsOf(assets: Fetcher): Base["asset"] {
  return async (name) => {
    const response = await assets.fetch(`https://assets/${name}`);
    return response.ok ? response.text() : null;
  };
}

/** Once per isolate: building the drizzle instance costs more than most requests. */
function open(env: Record<string, unknown>): Shared {
  if (shared !== undefined) return shared;
  const { config, databaseUrl, databaseToken, mainRegion, databases, ...mail } = readConfig(env);
  // The client's own queue would start a request's statement in whichever other request ends first, and workerd cancels
  // work that belongs to a request which is over.
  const limits = { concurrency: Number.POSITIVE_INFINITY };
  const connect = (url: string, token: string | undefined) => {
    const client = createClient(token === undefined ? { url, ...limits } : { url, authToken: token, ...limits });
    return drizzle(client, { schema }) as Db;
  };
  const others = new Map(
    Object.entries(databases).map(([name, { url, token, region }]) => [name, { db: connect(url, token), region }]),
  );
  const email: EmailBinding | undefined = env.EMAIL as SendEmail | undefined;
  const sendMail = mailer({ ...mail, email });
  shared = sharedBase(
    connect(databaseUrl, databaseToken),
    config,
    sendMail,
    assetsOf(env.ASSETS as Fetcher),
    r2Secrets(env),
    { region: mainRegion, others },
  );
  return shared;
}

export default {
  async fetch(request, env, context): Promise<Response> {
    try {
      const base = withDefer(open(env), (work) => context.waitUntil(work));
      return await app.fetch(request, base);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      console.error(JSON.stringify({ level: "error", event: "not configured", message: error.message }));
      return notConfigured();
    }
  },

  async scheduled(controller, env, context): Promise<void> {
    const base = withDefer(open(env), (work) => context.waitUntil(work));
    await runCron(base, controller.cron);
  },
} satisfies ExportedHandler<Record<string, unknown>>;
