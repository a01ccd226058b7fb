import type { Context } from "hono";
import type * as v from "valibot";
import type { OpenApiDocument } from "../web/docs/document.ts";
import { ABOUT, CONVENTIONS } from "../web/docs/guide.ts";
import { type Guide, referencePage } from "../web/docs/page.ts";
import { STYLE } from "../web/docs/style.ts";
import { AccountJson, ApiKeyJson, BridgeJson } from "./admin.ts";
import { CommandJson, CommandTypeJson } from "./commands.ts";
import { DeviceJson } from "./devices.ts";
import { PROBLEMS } from "./errors.ts";
import { ModelJson } from "./models.ts";
import { openApi } from "./openapi.ts";
import { JobJson } from "./operations.ts";
import { PositionJson } from "./positions.ts";
import { type Env, type Route, route } from "./route.ts";

/** The objects of the API, under the names that the document gives them. */
const SCHEMAS: Record<string, v.GenericSchema> = {
  Device: DeviceJson,
  Position: PositionJson,
  Command: CommandJson,
  CommandType: CommandTypeJson,
  Model: ModelJson,
  Account: AccountJson,
  ApiKey: ApiKeyJson,
  Bridge: BridgeJson,
  Job: JobJson,
};

const PATHS = { document: "/openapi.json", page: "/docs", style: "/docs/style.css" } as const;

const tag = "Service";

/** The OpenAPI document and the reference page of all routes, these included. */
export function docsOf(others: readonly Route[]): readonly Route[] {
  const documents = new Map<string, OpenApiDocument>();
  const documentFor = (c: Context<Env>): OpenApiDocument => {
    const origin = c.env.config.publicUrl ?? new URL(c.req.url).origin;
    let document = documents.get(origin);
    if (document === undefined) {
      document = openApi([...others, ...routes], origin, SCHEMAS, ABOUT);
      // The Host header is the client's to choose: only so many are remembered.
      if (documents.size < 4) documents.set(origin, document);
    }
    return document;
  };
  const routes: readonly Route[] = [
    route({
      method: "GET",
      path: PATHS.document,
      access: "public",
      tag,
      summary: "Read this API's OpenAPI 3.1 document",
      answers: { 200: { description: "The document", media: { "application/json": null } } },
      handle: ({ c }) => c.json(documentFor(c)),
    }),
    route({
      method: "GET",
      path: PATHS.page,
      access: "public",
      tag,
      summary: "Read the API reference as a page",
      answers: {
        200: { description: "The page; it needs no script and nothing from elsewhere", media: { "text/html": null } },
      },
      handle: async ({ c }) => {
        const document = documentFor(c);
        const guide: Guide = {
          documentPath: PATHS.document,
          stylePath: PATHS.style,
          example: `curl ${document.servers[0]!.url}/v1/positions/latest -H "Authorization: Bearer $KEY"`,
          conventions: CONVENTIONS,
          problems: Object.entries(PROBLEMS).map(([code, { status, title }]) => ({ code, status, title })),
        };
        return c.html(await referencePage(document, guide), 200, {
          "Content-Security-Policy":
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
          "Cache-Control": "no-cache",
        });
      },
    }),
    route({
      method: "GET",
      path: PATHS.style,
      access: "public",
      tag,
      summary: "The stylesheet of the reference page",
      answers: { 200: { description: "CSS", media: { "text/css": null } } },
      handle: ({ c }) => c.body(STYLE, 200, { "Content-Type": "text/css; charset=utf-8", "Cache-Control": "no-cache" }),
    }),
  ];
  return routes;
}
