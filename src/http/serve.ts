import type { Context, Handler } from "hono";
import type * as v from "valibot";
import {
  ACCESS,
  authenticate,
  authenticateSession,
  type Caller,
  requireGoodStanding,
  requireKind,
  requireProof,
  requireRight,
  tokenHash,
} from "../access.ts";
import { requireNoCardNumbers } from "../card-numbers.ts";
import type { Client, Ctx, Principal } from "../context.ts";
import { AppError } from "../errors.ts";
import { once } from "../idempotency.ts";
import { LIMITS } from "../limits.ts";
import { requireLookups } from "../seal-clear.ts";
import { readJson } from "./body.ts";
import { clientOf, requireSameOrigin, sessionCookieOf } from "./browser.ts";
import { readForm } from "./form.ts";
import { charge, type RateRow } from "./ratelimit.ts";
import type { Env, Form, Route } from "./route.ts";
import { parse, queryOf, refusedParameter, requireWholeTexts } from "./validate.ts";
import { viewOf } from "./view.ts";

/**
 * Makes a handler of a declared route: who calls, within which limit, about what, allowed or not, with which input.
 * The order is the promise: what the path names is looked up for the caller's account before its scope or input is
 * looked at, so a stranger's object is 404 whatever else is wrong.
 */
export function serve(route: Route): Handler<Env> {
  return async (c) => {
    c.set("route", `${route.method} ${route.path}`);
    if (route.unlimited !== true) await requireLookups(c.env);
    const client = clientOf(c);
    if (route.page === true) c.set("page", await viewOf(c, client, null));
    const principal = await principalOf(c, route, client);
    // Before anything is refused: a page that says so has the person's own navigation.
    if (route.page === true && principal.kind !== "anonymous") c.set("page", await viewOf(c, client, principal));
    requireKind(route.access, principal);
    const ctx: Ctx = { ...c.env, requestId: c.var.requestId, principal, client };
    const params = route.params === undefined ? undefined : pathParams(route.params, c.req.param());
    const answer = (object: unknown) => answerTo(c, route, ctx, params, object);
    if (route.findsItself !== true) return answer(await route.find?.(ctx, params));
    try {
      return await answer(undefined);
    } catch (error) {
      await route.find?.(ctx, params);
      throw error;
    }
  };
}

async function answerTo(c: Context<Env>, route: Route, ctx: Ctx, params: unknown, object: unknown): Promise<Response> {
  const { principal } = ctx;
  requireRight(route.access, principal);
  if (route.right !== true && changes(route)) requireGoodStanding(principal);
  if (route.stepUp === true) requireProof(ctx);
  const query = parseQuery(route, c.req.url);
  const key = c.req.header("idempotency-key");
  if (key !== undefined && route.method === "POST" && route.idempotent !== true) {
    throw new AppError("invalid", "This request does not take an Idempotency-Key", { field: "Idempotency-Key" });
  }
  const form: Form = route.form === true ? await readForm(c.req.raw, LIMITS.formBytes) : {};
  const handle = (body: unknown) => route.handle({ c, ctx, params, query, body, form, object } as never);
  if (route.body === undefined) return handle(undefined);
  const { value, bytes } = await readJson(c.req.raw, route.jsonBytes ?? LIMITS.jsonBodyBytes);
  const body = parse(route.body, value);
  requireWholeTexts(value);
  requireNoCardNumbers(value);
  if (key === undefined || route.idempotent !== true) return handle(body);
  const hash = await tokenHash(`${route.method} ${new URL(c.req.url).pathname}\n${new TextDecoder().decode(bytes)}`);
  const answer = await once(ctx, key, hash, async () => keep(await handle(body)));
  const headers = answer.repeated ? { ...answer.headers, "Idempotent-Replayed": "true" } : answer.headers;
  return new Response(answer.body, { status: answer.status, headers });
}

/** Reading is a right in every standing; so is what `right` marks. A page that only shows is reading. */
const changes = (route: Route) => route.method !== "GET";

async function keep(response: Response) {
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

const BEARER = /^Bearer +([\x21-\x7e]{1,512})$/i;

async function principalOf(c: Context<Env>, route: Route, client: Client): Promise<Principal> {
  const authorization = c.req.header("authorization");
  const cookie = authorization === undefined ? sessionCookieOf(c) : undefined;
  const token = BEARER.exec(authorization ?? "")?.[1];
  // A token in a header is nothing that another site can make a browser send; a cookie, a form or a password is.
  if (route.method !== "GET" && token === undefined) requireSameOrigin(c, client, cookie !== undefined);
  if (route.access === "public") {
    if (route.unlimited !== true) count(c, "public", client.address);
    return { kind: "anonymous" };
  }
  let caller: Caller | null = null;
  if (token !== undefined) caller = await authenticate(c.env, token);
  else if (cookie !== undefined && "roles" in ACCESS[route.access]) caller = await authenticateSession(c.env, cookie);
  if (caller === null) {
    count(c, "public", client.address);
    if (cookie !== undefined) throw new AppError("unauthenticated", "This session is over: sign in again");
    const why = token === undefined ? "Send a token: Authorization: Bearer ..." : "This token is not valid, or revoked";
    throw new AppError("unauthenticated", why);
  }
  count(c, caller.principal.kind, caller.mark);
  return caller.principal;
}

function count(c: Context<Env>, row: RateRow, who: string): void {
  const { headers, retryAfterS } = charge(row, who, c.env.now());
  c.set("headers", headers);
  if (retryAfterS === null) return;
  const { requests, windowS } = LIMITS.rate[row];
  throw new AppError("rate_limited", `More than ${requests} requests in ${windowS} s`, { retryAfterS });
}

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
