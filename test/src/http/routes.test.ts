import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter, readResponse } from "../../../codec/envelope.ts";
import { app, ROUTES } from "../../../src/http/app.ts";
import type { Route } from "../../../src/http/route.ts";
import { LIMITS } from "../../../src/limits.ts";
import { anImei, NOON } from "../../database.ts";
import { type Api, aKeyRow, anApi, type CallOptions, expectProblem } from "./api.ts";
import { ROWS } from "./rows/index.ts";
import { CALLERS, type Caller, type Things } from "./rows/row.ts";

const nameOf = (route: Route) => `${route.method} ${route.path}`;

test("every registered route is declared, and has a row here", () => {
  const declared = ROUTES.map(nameOf);
  expect(declared.toSorted()).toEqual(Object.keys(ROWS).toSorted());
  const registered = app.routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
  expect(registered).toEqual(declared);
});

test("no route lies under /api, which is reserved", () => {
  expect(ROUTES.filter(({ path }) => path.startsWith("/api"))).toEqual([]);
});

describe("each route", () => {
  let api: Api;
  let things: Things;

  beforeAll(async () => {
    api = await anApi();
    const idOf = async (response: Response) => ((await response.json()) as { id: number }).id;
    const make = async (path: string, body: object, key: string) =>
      idOf(await api.call("POST", path, { key, body: { name: "Thing", ...body } }));
    const imei = anImei();
    const device = await make("/v1/devices", { imei }, api.write);
    const fix = { valid: true, latitude: 48.2, longitude: 16.3, fixTime: NOON - 60_000 };
    const batch = new RequestWriter();
    for (const code of [35, 1])
      batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report: { event: { code }, ...fix } }));
    const delivered = await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
    expect(readResponse(new Uint8Array(await delivered.arrayBuffer())).frames).toHaveLength(2);
    const command = { code: "A10" };
    things = {
      api,
      imei,
      device,
      account: api.accountId,
      command: await idOf(await api.call("POST", `/v1/devices/${device}/commands`, { key: api.write, body: command })),
      key: () => aKeyRow(api.base, api.accountId),
      bridge: () => make("/v1/admin/bridges", {}, api.admin),
      spareDevice: () => make("/v1/devices", { imei: anImei() }, api.write),
    };
    for (const table of KEPT) await sql(`CREATE TEMP TABLE kept_${table} AS SELECT * FROM ${table}`);
  });
  afterAll(async () => {
    await api.base.settled();
    api.close();
  });

  /** The credentials of a caller. */
  const as = (caller: Caller): CallOptions => {
    const tokens = { readKey: api.read, writeKey: api.write, bridge: api.bridge, adminToken: api.admin };
    if (caller === "nobody") return {};
    return caller in tokens
      ? { key: tokens[caller as keyof typeof tokens] }
      : { cookie: api.sessions[caller as keyof typeof api.sessions] };
  };
  const callerOf = (route: Route): Caller => {
    const { as: named, who } = ROWS[nameOf(route)]!;
    return named ?? who[0]!;
  };

  const call = async (route: Route, caller: CallOptions, change: { query?: string; body?: unknown } = {}) => {
    const row = ROWS[nameOf(route)]!;
    // The walk is longer than the limit of one caller allows at one moment, and than a proof of identity is good for.
    api.base.advance(100);
    await sql(`UPDATE sessions SET proved_at = ${api.base.now()}`);
    const path = (await row.path(things)) + (change.query ?? "");
    const body = "body" in change ? change.body : await row.body?.(things);
    const sent = route.form === true && body !== undefined ? new URLSearchParams(body as Record<string, string>) : body;
    // Everybody from an address of their own: this is not about the limit of one address.
    const headers = { "CF-Connecting-IP": `2001:db8::${(++calls).toString(16)}`, ...caller.headers };
    const options = { ...caller, headers, ...(sent === undefined ? {} : { body: sent }) };
    const response = await api.call(route.method, path, options);
    if (row.ends === true) {
      for (const table of KEPT) await sql(`INSERT OR REPLACE INTO ${table} SELECT * FROM kept_${table}`);
      await sql("DELETE FROM suspensions WHERE kind = 'legislation'");
      await sql("UPDATE accounts SET privacy_accepted = NULL, terms_accepted = NULL, state = 'active'");
    }
    return response;
  };
  let calls = 0;
  const KEPT = ["sessions", "api_keys"];
  const sql = (statement: string) => api.base.db.$client.execute(statement);
  /** A page answers people by sending them to sign in, a route of the API with a problem. */
  const isRefused = (route: Route, response: Response) =>
    [401, 403].includes(response.status) ||
    (route.page === true &&
      response.status === 303 &&
      /^\/(login|prove)\b(?!\?done=)/.test(response.headers.get("location") ?? ""));

  const each = (title: string, which: (route: Route) => boolean, check: (route: Route) => Promise<void>) =>
    test.each(ROUTES.filter(which).map((route) => [nameOf(route), route] as const))(`%s ${title}`, (_, route) =>
      check(route),
    );

  each(
    "answers as it declares",
    () => true,
    async (route) => {
      const { status } = ROWS[nameOf(route)]!;
      const response = await call(route, as(callerOf(route)));
      expect(response.status, await response.clone().text()).toBe(status);
      const answer = route.answers[status];
      expect(answer).toBeDefined();
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f]{24}$/);
      expect(response.headers.has("access-control-allow-origin")).toBe(false);
      for (const header of answer?.headers ?? []) expect(response.headers.has(header), header).toBe(true);
      if (answer?.schema !== undefined) v.parse(strictly(answer.schema), await response.json());
      if (route.unlimited !== true) expect(response.headers.get("ratelimit")).toMatch(/^"\w+";r=\d+;t=\d+$/);
    },
  );

  each(
    "answers HEAD like GET, without a body",
    (route) => route.method === "GET",
    async (route) => {
      const path = await ROWS[nameOf(route)]!.path(things);
      const response = await api.call("HEAD", path, as(callerOf(route)));
      expect(response.status).toBe(ROWS[nameOf(route)]!.status);
      expect(await response.text()).toBe("");
    },
  );

  each(
    "is for those whom its row names, and refuses everybody else",
    () => true,
    async (route) => {
      const { who } = ROWS[nameOf(route)]!;
      const let_in: Caller[] = [];
      for (const caller of CALLERS) {
        const response = await call(route, as(caller));
        if (!isRefused(route, response)) let_in.push(caller);
        else if (route.page !== true) expect((await response.json()).code).toMatch(/^(unauthenticated|forbidden)$/);
      }
      expect(let_in.toSorted()).toEqual([...who].toSorted());
    },
  );

  each(
    "is refused with wrong credentials",
    (route) => route.access !== "public",
    async (route) => {
      for (const wrong of [
        ...["eph_wrong", "epb_wrong", "eps_wrong", "wrong", `${api.admin}x`].map((key) => ({ key })),
        ...["wrong", "eps_wrong"].map((cookie) => ({ cookie: `__Host-session=${cookie}` })),
      ]) {
        const response = await call(route, wrong);
        expect(isRefused(route, response)).toBe(true);
        if (route.page === true) continue;
        expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
        await expectProblem(response, 401, "unauthenticated");
      }
    },
  );

  each(
    "is refused when another site makes a browser ask",
    (route) => route.method !== "GET",
    async (route) => {
      for (const caller of ["owner", "admin"] as const) {
        const cookie = api.sessions[caller];
        for (const headers of [
          { "Sec-Fetch-Site": "cross-site" },
          { "Sec-Fetch-Site": "same-site" },
          { "Sec-Fetch-Site": "same-origin", Origin: "https://evil.test" },
          { "Sec-Fetch-Site": "none", Origin: "null" },
        ]) {
          const response = await call(route, { cookie, headers });
          expect(response.status).toBe(403);
        }
      }
    },
  );

  each(
    "is 404 for another account, whatever it sends",
    (route) => ROWS[nameOf(route)]?.owned === true,
    async (route) => {
      const { who } = ROWS[nameOf(route)]!;
      const strangers: CallOptions[] = [
        ...(who.includes("writeKey") ? [{ key: api.stranger }] : []),
        ...(who.includes("owner") ? [{ cookie: api.sessions.strangerOwner }] : []),
      ];
      expect(strangers.length).toBeGreaterThan(0);
      for (const stranger of strangers) {
        const response = await call(route, stranger);
        expect(response.status).toBe(404);
        if (route.page === true) continue;
        const problem = await expectProblem(response, 404, "not_found");
        expect(problem.detail).toMatch(/^No such /);
        if (route.body !== undefined) {
          await expectProblem(await call(route, stranger, { body: { nonsense: 1 } }), 404, "not_found");
        }
      }
    },
  );

  test("a route that names a thing of an account is marked so in its row", () => {
    const ofAccounts: readonly string[] = ["read", "write", "customer", "owner", "manager"];
    const named = ROUTES.filter(
      (route) =>
        ofAccounts.includes(route.access) && route.params !== undefined && ROWS[nameOf(route)]?.shared !== true,
    );
    expect(named.map(nameOf)).toEqual(named.filter((route) => ROWS[nameOf(route)]?.owned).map(nameOf));
  });

  each(
    "is 404 for a path that can name nothing",
    (route) => route.path.includes("{id}") && ROWS[nameOf(route)]?.who.length !== 0,
    async (route) => {
      for (const id of ["0", "-1", "1.5", "abc", "99999999999999999999", "999999", "1%20", "%00"]) {
        const path = route.path.replace("{id}", id).replace("{commandId}", "1");
        const body = await ROWS[nameOf(route)]?.body?.(things);
        const sent =
          route.form === true && body !== undefined ? new URLSearchParams(body as Record<string, string>) : body;
        const options = { ...as(callerOf(route)), ...(sent === undefined ? {} : { body: sent }) };
        expect((await api.call(route.method, path, options)).status).toBe(404);
      }
    },
  );

  each(
    "is 400 for a query parameter that it does not know, or knows once",
    (route) => route.unlimited !== true,
    async (route) => {
      for (const query of ["?unheard=secret", "?limit=1&limit=2"]) {
        const response = await call(route, as(callerOf(route)), { query });
        expect(response.status).toBe(400);
        if (route.page !== true) await expectProblem(response, 400, "invalid");
      }
    },
  );

  each(
    "is 400 for a wrong body, names the field and repeats no value, and 413 for a huge one",
    (route) => route.body !== undefined,
    async (route) => {
      const key = as(callerOf(route));
      await expectProblem(await call(route, key, { body: '{"secret' }), 400, "invalid");
      await expectProblem(await call(route, key, { body: "[]" }), 400, "invalid");
      const body = { ...((await ROWS[nameOf(route)]?.body?.(things)) as object), unheard: "secret" };
      const problem = await expectProblem(await call(route, key, { body }), 400, "invalid");
      expect(problem.field).toBe("unheard");
      expect(JSON.stringify(problem)).not.toContain("secret");
      const huge = JSON.stringify({ name: "x".repeat(route.jsonBytes ?? LIMITS.jsonBodyBytes) });
      await expectProblem(await call(route, key, { body: huge }), 413, "too_large");
    },
  );

  each(
    "is 405 with Allow for a method that it does not know",
    () => true,
    async (route) => {
      const path = await ROWS[nameOf(route)]!.path(things);
      const known = ROUTES.filter((other) => other.path === route.path).map((other) => other.method);
      for (const method of ["PUT", "OPTIONS"].filter((name) => !known.includes(name as never))) {
        const response = await api.call(method, path);
        expect(response.headers.get("allow")?.split(", ")).toContain(route.method);
        await expectProblem(response, 405, "method_not_allowed");
      }
    },
  );

  test("an unknown path is a 404 problem, with credentials or without", async () => {
    for (const path of ["/v1", "/v1/devices/", "/api/session", "/v1/devices/1/unheard"]) {
      await expectProblem(await api.call("GET", path), 404, "not_found");
      await expectProblem(await api.call("GET", path, { key: api.write }), 404, "not_found");
    }
  });

  test("the log of all this holds ids only: no IMEI, coordinate, token or submitted value", () => {
    expect(api.base.logged.length).toBeGreaterThan(100);
    for (const line of api.base.logged) {
      expect(line).toMatch(/^info (request|job\.done|move\.switched) \{/);
      const fields = line.replace(/"requestId":"[0-9a-f]{24}"/, "");
      expect(fields).not.toMatch(/\d{15}|48\.2|16\.3|secret|ep[hbs]_|Bearer|@/);
      expect(fields).not.toContain(api.admin);
    }
    const requests = api.base.logged.filter((line) => line.startsWith("info request "));
    for (const line of requests) {
      expect(Object.keys(JSON.parse(line.slice("info request ".length)))).toEqual([
        "requestId",
        "route",
        "status",
        "ms",
      ]);
    }
  });
});

/** The same schema, refusing fields that it does not declare: what a route answers is what it says it answers. */
function strictly(schema: v.GenericSchema): v.GenericSchema {
  const { type, entries, item, wrapped } = schema as unknown as {
    type: string;
    entries?: Record<string, v.GenericSchema>;
    item?: v.GenericSchema;
    wrapped?: v.GenericSchema;
  };
  if (type === "object" && entries !== undefined) {
    return v.strictObject(Object.fromEntries(Object.entries(entries).map(([key, entry]) => [key, strictly(entry)])));
  }
  if (type === "array" && item !== undefined) return v.array(strictly(item));
  if (type === "nullable" && wrapped !== undefined && !("pipe" in schema)) return v.nullable(strictly(wrapped));
  return schema;
}
