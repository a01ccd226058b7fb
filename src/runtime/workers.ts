import { createClient } from "@libsql/client/http";
import { drizzle } from "drizzle-orm/libsql/http";
import type { Db } from "../context.ts";
import { app } from "../http/app.ts";
import { runCron } from "../jobs.ts";
import * as schema from "../store/schema.ts";
import { notConfigured, type Shared, sharedBase, withDefer } from "./base.ts";
import { ConfigError, readConfig } from "./config.ts";

let shared: Shared | undefined;

/** Once per isolate: building the drizzle instance costs more than most requests. */
function open(env: Record<string, unknown>): Shared {
  if (shared !== undefined) return shared;
  const { config, databaseUrl: url, databaseToken: authToken } = readConfig(env);
  // The client's own queue would start a request's statement in whichever other request ends first, and workerd cancels
  // work that belongs to a request which is over.
  const limits = { concurrency: Number.POSITIVE_INFINITY };
  const client = createClient(authToken === undefined ? { url, ...limits } : { url, authToken, ...limits });
  shared = sharedBase(drizzle(client, { schema }) as Db, config, null);
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
