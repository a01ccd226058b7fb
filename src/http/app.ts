import { Hono, type MiddlewareHandler } from "hono";
import { authenticateSession } from "../access.ts";
import { AppError } from "../errors.ts";
import { requireCurrent } from "../restore.ts";
import { ACTIVATION } from "./activation.ts";
import { ADMIN } from "./admin.ts";
import { ASSET_ROUTES } from "./assets.ts";
import { AUDIT } from "./audit.ts";
import { BRANDS } from "./brands.ts";
import { BRIDGE } from "./bridge.ts";
import { clientOf, sessionCookieOf } from "./browser.ts";
import { CALENDAR } from "./calendar.ts";
import { COMMANDS } from "./commands.ts";
import { DEVICES } from "./devices.ts";
import { DOCS } from "./docs.ts";
import { DOCUMENTS } from "./documents.ts";
import { HttpError, problem } from "./errors.ts";
import { EXPORT_ROUTES } from "./exports.ts";
import { HEALTH } from "./health.ts";
import { HOLDS } from "./holds.ts";
import { IMPORT } from "./import.ts";
import { KEPT } from "./kept.ts";
import { KEYS } from "./keys.ts";
import { LEDGER } from "./ledger.ts";
import { ME } from "./me.ts";
import { MODELS } from "./models.ts";
import { OPERATIONS } from "./operations.ts";
import { OVERVIEW } from "./overview.ts";
import { pageProblem } from "./page.ts";
import { ADMIN_PAGES } from "./pages/admin.ts";
import { AUTH_PAGES } from "./pages/auth.ts";
import { DEVICES_PAGES } from "./pages/devices.ts";
import { EXPORT_PAGES } from "./pages/exports.ts";
import { KEPT_PAGES } from "./pages/kept.ts";
import { LEGAL_PAGES } from "./pages/legal.ts";
import { PEOPLE_PAGES } from "./pages/people.ts";
import { PROFILE_PAGES } from "./pages/profile.ts";
import { REQUESTS_PAGES } from "./pages/requests.ts";
import { RETENTION_PAGES } from "./pages/retention.ts";
import { SEALING_PAGES } from "./pages/sealing.ts";
import { SECURITY_PAGES } from "./pages/security.ts";
import { SUBJECTS_PAGES } from "./pages/subjects.ts";
import { POSITIONS } from "./positions.ts";
import { PRIVACY } from "./privacy.ts";
import { REQUESTS } from "./requests.ts";
import { RETENTION } from "./retention.ts";
import { RETENTION_ADMIN } from "./retention-admin.ts";
import type { Env, Route } from "./route.ts";
import { SEALING_KEYS } from "./sealing-keys.ts";
import { SECURITY } from "./security.ts";
import { serve } from "./serve.ts";
import { SESSIONS } from "./sessions.ts";
import { SETTINGS } from "./settings.ts";
import { SIGNUP } from "./signup.ts";
import { STAFF } from "./staff.ts";
import { SUBJECTS } from "./subjects.ts";
import { SUPPORT } from "./support.ts";
import { SUSPENSIONS } from "./suspensions.ts";
import { SYNC } from "./sync.ts";
import { USERS } from "./users.ts";
import { viewOf } from "./view.ts";

const API = [
  // SECURITY before SESSIONS, whose /v1/sessions/{id} would take "passkey" for an id.
  [
    SIGNUP,
    SECURITY,
    SESSIONS,
    ME,
    REQUESTS,
    SUSPENSIONS,
    EXPORT_ROUTES,
    RETENTION,
    KEPT,
    SEALING_KEYS,
    DOCUMENTS,
    USERS,
    KEYS,
    SUPPORT,
  ],
  [DEVICES, ACTIVATION, MODELS, POSITIONS, SYNC, COMMANDS, SUBJECTS, BRIDGE],
  [
    ADMIN,
    HOLDS,
    IMPORT,
    STAFF,
    BRANDS,
    SETTINGS,
    CALENDAR,
    AUDIT,
    OVERVIEW,
    RETENTION_ADMIN,
    OPERATIONS,
    LEDGER,
    HEALTH,
  ],
].flat(2);

const PAGES = [
  [
    AUTH_PAGES,
    SECURITY_PAGES,
    LEGAL_PAGES,
    DEVICES_PAGES,
    PEOPLE_PAGES,
    PROFILE_PAGES,
    EXPORT_PAGES,
    SEALING_PAGES,
    REQUESTS_PAGES,
    RETENTION_PAGES,
    SUBJECTS_PAGES,
    KEPT_PAGES,
    ADMIN_PAGES,
    ASSET_ROUTES,
  ],
].flat(2);

/** Every route there is. /api/* stays free: it is reserved for compatibility with existing tracking clients. */
export const ROUTES: readonly Route[] = [...API, ...DOCS, ...PRIVACY, ...PAGES];

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
  c.set("page", null);
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
// Before anything is looked up, so that nobody is told of what was erased.
app.use(async (c, next) => {
  await requireCurrent(c.env);
  await next();
});
for (const route of ROUTES) app.on(route.method, route.path.replace(/\{(\w+)\}/g, ":$1"), serve(route));
app.notFound(async (c) => {
  const known = [...PATHS.values()].find(({ pattern }) => pattern.test(c.req.path));
  if (known === undefined) {
    const error = new AppError("not_found", "No such path");
    const forPeople = !/^\/(v1|api)\b/.test(c.req.path) && (c.req.header("accept") ?? "").includes("text/html");
    if (!forPeople) return problem(error, c);
    const cookie = sessionCookieOf(c);
    const caller = cookie === undefined ? null : await authenticateSession(c.env, cookie);
    return pageProblem(error, c, await viewOf(c, clientOf(c), caller?.principal ?? null));
  }
  const allow = known.methods.join(", ");
  return problem(new HttpError("method_not_allowed", `This path takes ${allow}`, { Allow: allow }), c);
});
app.onError((error, c) => (c.var.page === null ? problem(error, c) : pageProblem(error, c, c.var.page)));
