import { afterAll, beforeAll, expect, test } from "vitest";
import { COMMANDS } from "../../../codec/commands.ts";
import { ROUTES } from "../../../src/http/app.ts";
import type { OpenApiDocument, Operation } from "../../../src/web/docs/document.ts";
import { type Api, anApi } from "./api.ts";

let api: Api;
let document: OpenApiDocument;
beforeAll(async () => {
  api = await anApi();
  const response = await api.call("GET", "/openapi.json");
  expect(response.headers.get("content-type")).toMatch(/^application\/json/);
  document = (await response.json()) as OpenApiDocument;
});
afterAll(() => api.close());

const operations = (): [string, Operation][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  );

test("the document has every route and no other", () => {
  expect(document.openapi).toBe("3.1.0");
  expect(
    operations()
      .map(([name]) => name)
      .toSorted(),
  ).toEqual(
    ROUTES.filter(({ page }) => page !== true)
      .map(({ method, path }) => `${method} ${path}`)
      .toSorted(),
  );
});

test("every reference in the document resolves", () => {
  const references: string[] = [];
  JSON.stringify(document, (key, value) => {
    if (key === "$ref") references.push(value);
    return value;
  });
  expect(references.length).toBeGreaterThan(50);
  for (const reference of new Set(references)) {
    let found: unknown = document;
    for (const part of reference.replace(/^#\//, "").split("/")) found = (found as Record<string, unknown>)?.[part];
    expect(found, reference).toBeTypeOf("object");
  }
});

test("every operation has its own id, a known tag, a summary, and declares the parameters of its path", () => {
  const ids = operations().map(([, { operationId }]) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  const tags = document.tags.map(({ name }) => name);
  for (const [name, { tags: own, summary, parameters = [] }] of operations()) {
    expect(tags, name).toContain(own[0]);
    expect(summary.length, name).toBeGreaterThan(5);
    const declared = parameters.filter(({ in: place }) => place === "path").map((parameter) => parameter.name);
    expect(declared, name).toEqual([...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter));
    for (const parameter of parameters.filter(({ in: place }) => place === "path"))
      expect(parameter.required).toBe(true);
  }
});

test("what is not public asks for a scheme that the document defines, and says how it refuses", () => {
  for (const route of ROUTES.filter(({ page }) => page !== true)) {
    const operation = document.paths[route.path]![route.method.toLowerCase()]!;
    const schemes = operation.security.flatMap((entry) => Object.keys(entry));
    expect(schemes.length > 0, route.path).toBe(route.access !== "public");
    for (const scheme of schemes) expect(document.components.securitySchemes).toHaveProperty(scheme);
    if (route.access !== "public") {
      expect(operation.responses[401]).toEqual({ $ref: "#/components/responses/unauthenticated" });
      expect(operation.responses[403]).toEqual({ $ref: "#/components/responses/forbidden" });
    }
  }
});

test("schemas are those that validate: numbers in queries are integers, commands have a schema per row", () => {
  const positions = document.paths["/v1/devices/{id}/positions"]!.get!;
  const parameter = (name: string) => positions.parameters?.find((candidate) => candidate.name === name);
  expect(parameter("id")?.schema).toEqual({ type: "integer", minimum: 1 });
  expect(parameter("limit")?.schema).toMatchObject({ type: "integer", minimum: 1, maximum: 1000 });
  for (const { name, description } of positions.parameters ?? []) {
    if (name !== "id") expect(description, name).toBeDefined();
  }
  expect(parameter("from")?.schema).toMatchObject({ type: "string", format: "date-time" });
  expect(document.paths["/v1/devices"]!.get!.parameters?.find(({ name }) => name === "limit")?.schema.default).toBe(
    100,
  );
  const body = document.paths["/v1/devices/{id}/commands"]!.post!.requestBody!.content["application/json"]!.schema;
  expect(body.oneOf?.map((option) => option.properties?.code?.const)).toEqual(COMMANDS.map(({ code }) => code));
  expect(document.components.schemas.Device?.required).toContain("imei");
});

test("the document names the address that it was asked at, or the configured one", async () => {
  expect(document.servers).toEqual([{ url: "https://edge.test" }]);
  const before = api.base.config;
  api.base.config = { ...before, publicUrl: "https://tracks.example" };
  const other = (await (await api.call("GET", "/openapi.json")).json()) as OpenApiDocument;
  api.base.config = before;
  expect(other.servers).toEqual([{ url: "https://tracks.example" }]);
});
