import type { Context, Handler } from "hono";
import type * as v from "valibot";
import { authenticate, type Caller, requireKind, requireScope, tokenHash } from "../access.ts";
import type { Ctx, Principal } from "../context.ts";
import { AppError } from "../errors.ts";
import { once } from "../idempotency.ts";
import { LIMITS } from "../limits.ts";
import { readJson } from "./body.ts";
import { charge, type RateRow } from "./ratelimit.ts";
import type { Env, Route } from "./route.ts";
import { parse, queryOf, refusedParameter } from "./validate.ts";

/**
 * Makes a handler of a declared route: who calls, within which limit, about what, allowed or not, with which input.
 * The order is the promise: what the path names is looked up for the caller's account before its scope or input is
 * looked at, so a stranger's object is 404 whatever else is wrong.
 */
export function serve(route: Route): Handler<Env> {
  return async (c) => {
    c.set("route", `${route.method} ${route.path}`);
    const principal = await principalOf(c, route);
    const ctx: Ctx = { ...c.env, requestId: c.var.requestId, principal };
    const params = route.params === undefined ? undefined : pathParams(route.params, c.req.param());
    const object = await route.find?.(ctx, params);
    requireScope(route.access, principal);
    const query = parseQuery(route, c.req.url);
    const key = c.req.header("idempotency-key");
    if (key !== undefined && route.method === "POST" && route.idempotent !== true) {
      throw new AppError("invalid", "This request does not take an Idempotency-Key", { field: "Idempotency-Key" });
    }
    const handle = (body: unknown) => route.handle({ c, ctx, params, query, body, object } as never);
    if (route.body === undefined) return handle(undefined);
    const { value, bytes } = await readJson(c.req.raw, LIMITS.jsonBodyBytes);
    const body = parse(route.body, value);
    if (key === undefined || route.idempotent !== true) return handle(body);
    const hash = await tokenHash(`${route.method} ${new URL(c.req.url).pathname}\n${new TextDecoder().decode(bytes)}`);
    const answer = await once(ctx, key, hash, async () => keep(await handle(body)));
    const headers = answer.repeated ? { ...answer.headers, "Idempotent-Replayed": "true" } : answer.headers;
    return new Response(answer.body, { status: answer.status, headers });
  };
}

async function keep(response: Response) {
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

const BEARER = /^Bearer +([\x21-\x7e]{1,512})$/i;

async function principalOf(c: Context<Env>, route: Route): Promise<Principal> {
  if (route.access === "public") {
    if (route.unlimited !== true) count(c, "public", address(c));
    return { kind: "anonymous" };
  }
  const token = BEARER.exec(c.req.header("authorization") ?? "")?.[1];
  const caller: Caller | null = token === undefined ? null : await authenticate(c.env, token);
  if (caller === null) {
    count(c, "public", address(c));
    const why = token === undefined ? "Send a token: Authorization: Bearer ..." : "This token is not valid, or revoked";
    throw new AppError("unauthenticated", why);
  }
  count(c, caller.principal.kind, caller.mark);
  requireKind(route.access, caller.principal);
  return caller.principal;
}

function count(c: Context<Env>, row: RateRow, who: string): void {
  const { headers, retryAfterS } = charge(row, who, c.env.now());
  c.set("headers", headers);
  if (retryAfterS === null) return;
  const { requests, windowS } = LIMITS.rate[row];
  throw new AppError("rate_limited", `More than ${requests} requests in ${windowS} s`, { retryAfterS });
}

/** Where a request without a valid token comes from, as far as the platform tells. */
const address = (c: Context<Env>) => c.req.header("cf-connecting-ip") ?? "-";

/** A path that names no possible object is not a wrong input: nothing is there. */
function pathParams(schema: v.GenericSchema, given: Record<string, string>): unknown {
  try {
    return parse(schema, given);
  } catch {
    throw new AppError("not_found", "No such path");
  }
}

function parseQuery(route: Route, url: string): unknown {
  const given = queryOf(url);
  if (route.query !== undefined) return parse(route.query, given);
  const [name] = Object.keys(given);
  if (name !== undefined) throw refusedParameter(name, "is not a parameter of this request");
  return undefined;
}
