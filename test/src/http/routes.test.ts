import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter, readResponse } from "../../../codec/envelope.ts";
import { ACCESS } from "../../../src/access.ts";
import { app, ROUTES } from "../../../src/http/app.ts";
import type { Route } from "../../../src/http/route.ts";
import { LIMITS } from "../../../src/limits.ts";
import { anImei, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

/** What the rows name: objects of the first account, made before the walk. */
interface Things {
  device: number;
  command: number;
  account: number;
  /** made for each use, as the row that uses them ends them */
  key: () => Promise<number>;
  bridge: () => Promise<number>;
  spareDevice: () => Promise<number>;
}

interface Row {
  path: (things: Things) => string | Promise<string>;
  body?: () => unknown;
  status: number;
  /** names an object of an account: a stranger gets 404 whatever they send */
  owned?: true;
}

const at = (path: string) => () => path;
const ofDevice = (rest: string) => (things: Things) => `/v1/devices/${things.device}${rest}`;

/** One valid request for every route. A route without a row fails the test below. */
const ROWS: Record<string, Row> = {
  "POST /v1/devices": { path: at("/v1/devices"), body: () => ({ imei: anImei(), name: "Van" }), status: 201 },
  "GET /v1/devices": { path: at("/v1/devices"), status: 200 },
  "GET /v1/devices/{id}": { path: ofDevice(""), status: 200, owned: true },
  "PATCH /v1/devices/{id}": { path: ofDevice(""), body: () => ({ name: "Other" }), status: 200, owned: true },
  "DELETE /v1/devices/{id}": {
    path: async (things) => `/v1/devices/${await things.spareDevice()}`,
    status: 204,
    owned: true,
  },
  "GET /v1/models": { path: at("/v1/models"), status: 200 },
  "GET /v1/devices/{id}/positions": { path: ofDevice("/positions"), status: 200, owned: true },
  "GET /v1/devices/{id}/events": { path: ofDevice("/events"), status: 200, owned: true },
  "GET /v1/positions/latest": { path: at("/v1/positions/latest"), status: 200 },
  "GET /v1/positions/feed": { path: at("/v1/positions/feed"), status: 200 },
  "GET /v1/commands/types": { path: at("/v1/commands/types"), status: 200 },
  "POST /v1/devices/{id}/commands": {
    path: ofDevice("/commands"),
    body: () => ({ code: "A12", arguments: { intervalS: 60 } }),
    status: 201,
    owned: true,
  },
  "GET /v1/devices/{id}/commands": { path: ofDevice("/commands"), status: 200, owned: true },
  "GET /v1/devices/{id}/commands/{commandId}": {
    path: (things) => `/v1/devices/${things.device}/commands/${things.command}`,
    status: 200,
    owned: true,
  },
  "POST /v1/bridge/frames": { path: at("/v1/bridge/frames"), body: () => new RequestWriter().finish(), status: 200 },
  "POST /v1/admin/accounts": { path: at("/v1/admin/accounts"), body: () => ({ name: "New" }), status: 201 },
  "GET /v1/admin/accounts": { path: at("/v1/admin/accounts"), status: 200 },
  "POST /v1/admin/accounts/{id}/keys": {
    path: (things) => `/v1/admin/accounts/${things.account}/keys`,
    body: () => ({ scope: "read", name: "Dashboard" }),
    status: 201,
  },
  "GET /v1/admin/accounts/{id}/keys": { path: (things) => `/v1/admin/accounts/${things.account}/keys`, status: 200 },
  "DELETE /v1/admin/keys/{id}": { path: async (things) => `/v1/admin/keys/${await things.key()}`, status: 204 },
  "POST /v1/admin/bridges": { path: at("/v1/admin/bridges"), body: () => ({ name: "Bridge 2" }), status: 201 },
  "GET /v1/admin/bridges": { path: at("/v1/admin/bridges"), status: 200 },
  "DELETE /v1/admin/bridges/{id}": {
    path: async (things) => `/v1/admin/bridges/${await things.bridge()}`,
    status: 204,
  },
  "GET /v1/admin/devices": { path: at("/v1/admin/devices"), status: 200 },
  "GET /v1/admin/unclaimed": { path: at("/v1/admin/unclaimed"), status: 200 },
  "GET /v1/admin/jobs": { path: at("/v1/admin/jobs"), status: 200 },
  "POST /v1/admin/jobs/{name}/run": { path: at("/v1/admin/jobs/retention/run"), status: 200 },
  "GET /healthz": { path: at("/healthz"), status: 200 },
  "GET /openapi.json": { path: at("/openapi.json"), status: 200 },
  "GET /docs": { path: at("/docs"), status: 200 },
  "GET /docs/style.css": { path: at("/docs/style.css"), status: 200 },
};

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
      device,
      account: api.accountId,
      command: await idOf(await api.call("POST", `/v1/devices/${device}/commands`, { key: api.write, body: command })),
      key: () => make(`/v1/admin/accounts/${api.accountId}/keys`, { scope: "read" }, api.admin),
      bridge: () => make("/v1/admin/bridges", {}, api.admin),
      spareDevice: () => make("/v1/devices", { imei: anImei() }, api.write),
    };
  });
  afterAll(() => api.close());

  /** The token that the route asks for. */
  const keyFor = (route: Route) =>
    ({ public: undefined, bridge: api.bridge, admin: api.admin, read: api.read, write: api.write })[route.access];

  const call = async (route: Route, key: string | undefined, change: { query?: string; body?: unknown } = {}) => {
    const row = ROWS[nameOf(route)]!;
    const path = (await row.path(things)) + (change.query ?? "");
    const body = "body" in change ? change.body : row.body?.();
    return api.call(route.method, path, {
      ...(key === undefined ? {} : { key }),
      ...(body === undefined ? {} : { body }),
    });
  };

  const each = (title: string, which: (route: Route) => boolean, check: (route: Route) => Promise<void>) =>
    test.each(ROUTES.filter(which).map((route) => [nameOf(route), route] as const))(`%s ${title}`, (_, route) =>
      check(route),
    );

  each(
    "answers as it declares",
    () => true,
    async (route) => {
      const { status } = ROWS[nameOf(route)]!;
      const response = await call(route, keyFor(route));
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
      const key = keyFor(route);
      const path = await ROWS[nameOf(route)]!.path(things);
      const response = await api.call("HEAD", path, key === undefined ? {} : { key });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe("");
    },
  );

  each(
    "is 401 without credentials and with wrong ones",
    (route) => route.access !== "public",
    async (route) => {
      for (const key of [undefined, "eph_wrong", "epb_wrong", "wrong", `${keyFor(route)}x`]) {
        const response = await call(route, key);
        expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
        await expectProblem(response, 401, "unauthenticated");
      }
    },
  );

  each(
    "is 403 for every other kind of caller",
    (route) => route.access !== "public",
    async (route) => {
      const { kind, needs } = ACCESS[route.access];
      for (const [other, key] of Object.entries({ key: api.write, admin: api.admin, bridge: api.bridge })) {
        if (other === kind) continue;
        const problem = await expectProblem(await call(route, key), 403, "forbidden");
        expect(problem.detail).toBe(`This needs ${needs}`);
      }
    },
  );

  each(
    "is 403 for a key that may only read",
    (route) => route.access === "write",
    async (route) => {
      const problem = await expectProblem(await call(route, api.read), 403, "forbidden");
      expect(problem.detail).toContain("may only read");
    },
  );

  each(
    "is 404 for another account, whatever it sends",
    (route) => ROWS[nameOf(route)]?.owned === true,
    async (route) => {
      const problem = await expectProblem(await call(route, api.stranger), 404, "not_found");
      expect(problem.detail).toMatch(/^No such (device|command)$/);
      if (route.body !== undefined) {
        await expectProblem(await call(route, api.stranger, { body: { nonsense: 1 } }), 404, "not_found");
      }
    },
  );

  test("a route that names a thing of an account is marked so in its row", () => {
    const named = ROUTES.filter(({ access, params }) => ACCESS[access].kind === "key" && params !== undefined);
    expect(named.map(nameOf)).toEqual(named.filter((route) => ROWS[nameOf(route)]?.owned).map(nameOf));
  });

  each(
    "is 404 for a path that can name nothing",
    (route) => route.path.includes("{id}"),
    async (route) => {
      for (const id of ["0", "-1", "1.5", "abc", "99999999999999999999", "999999", "1%20", "%00"]) {
        const path = route.path.replace("{id}", id).replace("{commandId}", "1");
        const body = ROWS[nameOf(route)]?.body?.();
        const options = { key: keyFor(route)!, ...(body === undefined ? {} : { body }) };
        await expectProblem(await api.call(route.method, path, options), 404, "not_found");
      }
    },
  );

  each(
    "is 400 for a query parameter that it does not know, or knows once",
    (route) => route.unlimited !== true,
    async (route) => {
      await expectProblem(await call(route, keyFor(route), { query: "?unheard=secret" }), 400, "invalid");
      await expectProblem(await call(route, keyFor(route), { query: "?limit=1&limit=2" }), 400, "invalid");
    },
  );

  each(
    "is 400 for a wrong body, names the field and repeats no value, and 413 for a huge one",
    (route) => route.body !== undefined,
    async (route) => {
      const key = keyFor(route);
      await expectProblem(await call(route, key, { body: '{"secret' }), 400, "invalid");
      await expectProblem(await call(route, key, { body: "[]" }), 400, "invalid");
      const body = { ...(ROWS[nameOf(route)]?.body?.() as object), unheard: "secret" };
      const problem = await expectProblem(await call(route, key, { body }), 400, "invalid");
      expect(problem.field).toBe("unheard");
      expect(JSON.stringify(problem)).not.toContain("secret");
      const huge = JSON.stringify({ name: "x".repeat(LIMITS.jsonBodyBytes) });
      await expectProblem(await call(route, key, { body: huge }), 413, "too_large");
    },
  );

  each(
    "is 405 with Allow for a method that it does not know",
    () => true,
    async (route) => {
      const path = await ROWS[nameOf(route)]!.path(things);
      for (const method of ["PUT", "OPTIONS"]) {
        const response = await api.call(method, path);
        expect(response.headers.get("allow")?.split(", ")).toContain(route.method);
        await expectProblem(response, 405, "method_not_allowed");
      }
    },
  );

  test("an unknown path is a 404 problem, with credentials or without", async () => {
    for (const path of ["/", "/v1", "/v1/devices/", "/api/session", "/v1/devices/1/unheard"]) {
      await expectProblem(await api.call("GET", path), 404, "not_found");
      await expectProblem(await api.call("GET", path, { key: api.write }), 404, "not_found");
    }
  });

  test("the log of all this holds ids only: no IMEI, coordinate, token or submitted value", () => {
    expect(api.base.logged.length).toBeGreaterThan(100);
    for (const line of api.base.logged) {
      expect(line).toMatch(/^info (request|job\.done) \{/);
      const fields = line.replace(/"requestId":"[0-9a-f]{24}"/, "");
      expect(fields).not.toMatch(/\d{15}|48\.2|16\.3|secret|eph_|Bearer/);
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
