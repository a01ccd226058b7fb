import type { Context } from "hono";
import { AppError } from "../errors.ts";
import { type Env, type Route, route } from "./route.ts";

/** Names of the files that src/http/files.ts makes for the routes below and for privacy.ts. */
export const DOCS_FILES = {
  document: "openapi.json",
  page: "docs.html",
  style: "docs.css",
  privacy: "privacy.json",
} as const;

/** Stands in those files where the origin of the API belongs. */
export const ORIGIN = "https://origin.invalid";

const tag = "Service";

async function fileFor(c: Context<Env>, name: string): Promise<string> {
  const text = await c.env.asset(name);
  if (text === null) throw new AppError("not_found", "No such file");
  return text.replaceAll(ORIGIN, c.env.config.publicUrl ?? new URL(c.req.url).origin);
}

/** The OpenAPI document and the reference page of all routes, these included. */
export const DOCS: readonly Route[] = [
  route({
    method: "GET",
    path: "/openapi.json",
    access: "public",
    tag,
    summary: "Read this API's OpenAPI 3.1 document",
    answers: { 200: { description: "The document", media: { "application/json": null } } },
    handle: async ({ c }) => c.body(await fileFor(c, DOCS_FILES.document), 200, { "Content-Type": "application/json" }),
  }),
  route({
    method: "GET",
    path: "/docs",
    access: "public",
    tag,
    summary: "Read the API reference as a page",
    answers: {
      200: { description: "The page; it needs no script and nothing from elsewhere", media: { "text/html": null } },
    },
    handle: async ({ c }) =>
      c.html(await fileFor(c, DOCS_FILES.page), 200, {
        "Content-Security-Policy":
          "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-cache",
      }),
  }),
  route({
    method: "GET",
    path: "/docs/style.css",
    access: "public",
    tag,
    summary: "The stylesheet of the reference page",
    answers: { 200: { description: "CSS", media: { "text/css": null } } },
    handle: async ({ c }) =>
      c.body(await fileFor(c, DOCS_FILES.style), 200, {
        "Content-Type": "text/css; charset=utf-8",
        "Cache-Control": "no-cache",
      }),
  }),
];
