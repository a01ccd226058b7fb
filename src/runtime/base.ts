import type { Base, Config, Db } from "../context.ts";
import { consoleLog } from "./log.ts";

/** What outlives a request: everything of a Base but `defer`, which belongs to one. */
export type Shared = Omit<Base, "defer">;

/** The Base of a platform that has the Web's globals. */
export function sharedBase(db: Db, config: Config): Shared {
  const now = () => Date.now();
  return { db, config, now, log: consoleLog(now), random: (length) => crypto.getRandomValues(new Uint8Array(length)) };
}

/** Adds `defer`. @param keepAlive keeps the platform from ending the request's work before `work` is done */
export function withDefer(shared: Shared, keepAlive: (work: Promise<unknown>) => void): Base {
  return {
    ...shared,
    defer: (work) => keepAlive(work.catch((error) => shared.log.error("deferred work failed", {}, error))),
  };
}

/** The answer of an installation that cannot serve; the log names the setting at fault. */
export function notConfigured(): Response {
  const body = { type: "about:blank", title: "Service Unavailable", status: 503, code: "unavailable" };
  return Response.json(body, { status: 503, headers: { "content-type": "application/problem+json" } });
}
