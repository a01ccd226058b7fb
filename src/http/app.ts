import { Hono, type MiddlewareHandler } from "hono";
import { AppError } from "../errors.ts";
import { ADMIN } from "./admin.ts";
import { BRIDGE } from "./bridge.ts";
import { COMMANDS } from "./commands.ts";
import { DEVICES } from "./devices.ts";
import { docsOf } from "./docs.ts";
import { HttpError, problem } from "./errors.ts";
import { HEALTH } from "./health.ts";
import { MODELS } from "./models.ts";
import { OPERATIONS } from "./operations.ts";
import { POSITIONS } from "./positions.ts";
import type { Env, Route } from "./route.ts";
import { serve } from "./serve.ts";

const NOUNS = [DEVICES, MODELS, POSITIONS, COMMANDS, BRIDGE, ADMIN, OPERATIONS, HEALTH].flat();

/** Every route there is. /api/* stays free: it is reserved for compatibility with existing tracking clients. */
export const ROUTES: readonly Route[] = [...NOUNS, ...docsOf(NOUNS)];

/** On every response that does not say otherwise itself. No Access-Control-*: other origins are refused by default. */
const HEADERS = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "Strict-Transport-Security": "max-age=63072000",
  "X-Content-Type-Options": "nosniff",
} as const;

/** Gives each request its id, and each response its headers and one log line without personal data. */
const observe: MiddlewareHandler<Env> = async (c, next) => {
  const startedAt = c.env.now();
  const requestId = [...c.env.random(12)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  c.set("requestId", requestId);
  c.set("route", "none");
  c.set("headers", {});
  await next();
  const { headers, status } = c.res;
  for (const [name, value] of Object.entries(HEADERS)) if (!headers.has(name)) headers.set(name, value);
  for (const [name, value] of Object.entries(c.var.headers)) headers.set(name, value);
  headers.set("X-Request-Id", requestId);
  // Hono answers HEAD with the headers of GET: what would have been streamed must not start.
  if (c.req.raw.method === "HEAD") await c.res.body?.cancel();
  c.env.log.info("request", { requestId, route: c.var.route, status, ms: c.env.now() - startedAt });
};

/** Methods of a path that exists under other methods than the one asked for. */
const PATHS = new Map<string, { pattern: RegExp; methods: string[] }>();
for (const { path, method } of ROUTES) {
  const entry = PATHS.get(path) ?? { pattern: new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`), methods: [] };
  entry.methods.push(...(method === "GET" ? ["GET", "HEAD"] : [method]));
  PATHS.set(path, entry);
}

export const app = new Hono<Env>();
app.use(observe);
for (const route of ROUTES) app.on(route.method, route.path.replace(/\{(\w+)\}/g, ":$1"), serve(route));
app.notFound((c) => {
  const known = [...PATHS.values()].find(({ pattern }) => pattern.test(c.req.path));
  if (known === undefined) return problem(new AppError("not_found", "No such path"), c);
  const allow = known.methods.join(", ");
  return problem(new HttpError("method_not_allowed", `This path takes ${allow}`, { Allow: allow }), c);
});
app.onError(problem);
