import { type ConversionConfig, toJsonSchema, toJsonSchemaDefs } from "@valibot/to-json-schema";
import * as v from "valibot";
import { ACCESS, type Access, type AccessRow } from "../access.ts";
import { LIMITS } from "../limits.ts";
import type { JsonSchema, OpenApiDocument, Operation, Parameter, ResponseObject } from "../web/docs/document.ts";
import { SESSION_COOKIE } from "./browser.ts";
import { PROBLEMS, type ProblemCode } from "./errors.ts";
import type { Answer, Route } from "./route.ts";

const Problem = v.looseObject({
  type: v.pipe(v.string(), v.url(), v.description("Where this code is explained")),
  title: v.string(),
  status: v.pipe(v.number(), v.integer()),
  detail: v.pipe(v.string(), v.description("What is wrong with this request")),
  code: v.picklist(Object.keys(PROBLEMS)),
  requestId: v.pipe(v.string(), v.description("Name it when you ask for help")),
  field: v.optional(v.pipe(v.string(), v.description("The field at fault"))),
});

/** What each access needs, as OpenAPI says it: one of these. */
function securityOf(access: Access): Record<string, string[]>[] {
  const row: AccessRow = ACCESS[access];
  return [
    ...(row.scope === undefined ? [] : [{ apiKey: [row.scope] }]),
    ...(row.bridge === undefined ? [] : [{ bridgeToken: [] }]),
    ...(row.adminToken === undefined ? [] : [{ adminToken: [] }]),
    ...(row.roles === undefined ? [] : [{ session: [...row.roles] }]),
  ];
}

const bearer = (description: string) => ({ type: "http" as const, scheme: "bearer" as const, description });
const text = (description: string) => ({ description, schema: { type: "string" } });

const RESPONSE_HEADERS = {
  Location: text("Path of the new object"),
  ETag: text("Send it back as If-None-Match to read again, or as If-Match to change only what you have seen"),
  "Content-Disposition": text("A name for the file"),
};

/**
 * Describes routes as OpenAPI 3.1, from the same valibot schemas that check their input.
 * @param url where the API is reached, without a slash at the end
 * @param schemas answers and bodies that get a name of their own
 */
export function openApi(
  routes: readonly Route[],
  url: string,
  schemas: Readonly<Record<string, v.GenericSchema>>,
  about: { title: string; version: string; description: string; tags: { name: string; description: string }[] },
): OpenApiDocument {
  const definitions = { ...schemas, Problem };
  const config: ConversionConfig = {
    target: "draft-2020-12",
    typeMode: "input",
    definitions,
    ignoreActions: ["check", "trim"],
    overrideRef: ({ referenceId }) => `#/components/schemas/${referenceId}`,
  };
  const convert = (schema: v.GenericSchema): JsonSchema => {
    const { $schema, $defs, ...json } = toJsonSchema(schema, config);
    return json as JsonSchema;
  };
  const { tags, ...info } = about;
  const paths: OpenApiDocument["paths"] = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    paths[route.path]![route.method.toLowerCase()] = operation(route, convert);
  }
  return {
    openapi: "3.1.0",
    info,
    servers: [{ url }],
    tags,
    paths,
    components: {
      schemas: toJsonSchemaDefs(definitions, config) as Record<string, JsonSchema>,
      responses: Object.fromEntries(Object.keys(PROBLEMS).map((code) => [code, problemResponse(code as ProblemCode)])),
      headers: RESPONSE_HEADERS,
      securitySchemes: {
        apiKey: bearer("an API key; scopes read and write"),
        adminToken: bearer("the admin token"),
        bridgeToken: bearer(ACCESS.bridge.needs),
        session: {
          type: "apiKey",
          in: "cookie",
          name: SESSION_COOKIE,
          description: "The cookie of a signed-in person; the roles are those that may",
        },
      },
    },
  };
}

type Convert = (schema: v.GenericSchema) => JsonSchema;

function operation(route: Route, convert: Convert): Operation {
  const parameters = parametersOf(route, convert);
  const body = bodyOf(route, convert);
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    security: securityOf(route.access),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, answer]) => [status, response(answer, convert)]),
      ),
      ...(route.etag === true && route.method === "GET" ? { 304: { description: "You have it as it is" } } : {}),
      ...Object.fromEntries(
        problemsOf(route).map((code) => [PROBLEMS[code].status, { $ref: `#/components/responses/${code}` }]),
      ),
    },
  };
}

/** GET /v1/devices/{id}/positions is getDevicesIdPositions. */
function operationId({ method, path }: Route): string {
  const words = path.replace(/^\/v1/, "").split(/\W+/).filter(Boolean);
  return method.toLowerCase() + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join("");
}

/** The errors that a route can answer with, from what it declares. */
function problemsOf(route: Route): ProblemCode[] {
  const codes: ProblemCode[] = ["invalid"];
  if (route.stepUp === true) codes.push("step_up_required");
  if (route.access !== "public") codes.push("unauthenticated", "forbidden");
  if (route.params !== undefined) codes.push("not_found");
  if (route.confirmed === true) codes.push("confirmation_required");
  else if (route.method !== "GET" && route.body !== undefined) codes.push("conflict");
  if (route.refusesSealed === true) codes.push("sealed");
  if (route.etag === true && route.method !== "GET") codes.push("precondition_failed");
  if (route.body !== undefined || route.binary !== undefined) codes.push("too_large");
  if (route.body !== undefined) codes.push("pan_not_accepted");
  if (route.problems !== undefined) codes.push(...route.problems);
  if (route.unlimited !== true) codes.push("rate_limited");
  codes.push("internal", "unavailable");
  return codes;
}

function problemResponse(code: ProblemCode): ResponseObject {
  const content = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
  return { description: PROBLEMS[code].title, content };
}

function parametersOf(route: Route, convert: Convert): Parameter[] {
  const found: Parameter[] = [];
  for (const [schema, place] of [
    [route.params, "path"],
    [route.query, "query"],
  ] as const) {
    if (schema === undefined) continue;
    const { properties = {}, required = [] } = convert(schema);
    for (const [name, { description, ...rest }] of Object.entries(properties)) {
      // Given as text, meant as a number: `v.metadata` made the type so, the default is still as it is written.
      if (rest.type === "integer" && typeof rest.default === "string") rest.default = Number(rest.default);
      found.push({
        name,
        in: place,
        required: required.includes(name),
        ...(description === undefined ? {} : { description }),
        schema: rest,
      });
    }
  }
  if (route.idempotent === true) {
    found.push({
      name: "Idempotency-Key",
      in: "header",
      required: false,
      description: "A repeated request with the same key gets the first answer and does nothing again",
      schema: { type: "string", minLength: 1, maxLength: LIMITS.idempotencyKeyCharacters },
    });
  }
  return found;
}

function bodyOf(route: Route, convert: Convert): Operation["requestBody"] {
  if (route.body !== undefined) {
    return { required: true, content: { "application/json": { schema: convert(route.body) } } };
  }
  if (route.binary === undefined) return undefined;
  const { mediaType, description } = route.binary;
  return { required: true, description, content: { [mediaType]: { schema: {} } } };
}

function response(answer: Answer, convert: Convert): ResponseObject {
  const media = Object.entries(answer.media ?? {});
  const content = Object.fromEntries([
    ...(answer.schema === undefined ? [] : [["application/json", { schema: convert(answer.schema) }]]),
    ...media.map(([type, schema]) => [type, { schema: schema === null ? {} : convert(schema) }]),
  ]);
  const headers = Object.fromEntries(
    (answer.headers ?? []).map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
  return {
    description: answer.description,
    ...(answer.headers === undefined ? {} : { headers }),
    ...(Object.keys(content).length === 0 ? {} : { content }),
  };
}
