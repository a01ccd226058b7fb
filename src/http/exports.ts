import * as v from "valibot";
import {
  createExport,
  download,
  EXPORT_CATEGORIES,
  type Export,
  type ExportScope,
  exportOf,
  exportOfToken,
  listExports,
  revokeExport,
} from "../exports.ts";
import { LIMITS } from "../limits.ts";
import { Id, iso, isoOrNull, MaybeTime, PathId, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const When = (description: string) =>
  v.pipe(Time, v.description(description), v.examples(["2026-03-01T12:00:00.000Z"]));

/** Also the form of the page. */
export const NewExport = v.strictObject({
  devices: v.exactOptional(
    v.pipe(v.array(Id), v.minLength(1), v.maxLength(LIMITS.devicesPerLimit), v.description("Only these devices")),
  ),
  from: v.exactOptional(When("First fix time of the tracks")),
  to: v.exactOptional(When("End of the fix times, not included")),
  categories: v.exactOptional(
    v.pipe(
      v.array(v.picklist(EXPORT_CATEGORIES)),
      v.minLength(1),
      v.maxLength(EXPORT_CATEGORIES.length),
      v.description("Only these kinds of data; the tracks are location"),
    ),
  ),
});

/** Times as the rules have them. */
export function scopeOf({ from, to, ...given }: v.InferOutput<typeof NewExport>): ExportScope {
  return {
    ...given,
    ...(from !== undefined && { from: Date.parse(from) }),
    ...(to !== undefined && { to: Date.parse(to) }),
  };
}

const ExportJson = v.object({
  id: Id,
  scope: v.pipe(NewExport, v.description("What was asked for; empty: everything")),
  createdAt: Time,
  expiresAt: Time,
  fetchedAt: v.pipe(MaybeTime, v.description("When it was fetched last")),
});

function exportJson({ id, scope, createdAt, expiresAt, fetchedAt }: Export): v.InferOutput<typeof ExportJson> {
  const { devices, from, to, categories } = scope;
  return {
    id,
    scope: {
      ...(devices !== undefined && { devices: [...devices] }),
      ...(from !== undefined && { from: iso(from) }),
      ...(to !== undefined && { to: iso(to) }),
      ...(categories !== undefined && { categories: [...categories] as typeof EXPORT_CATEGORIES }),
    },
    createdAt: iso(createdAt),
    expiresAt: iso(expiresAt),
    fetchedAt: isoOrNull(fetchedAt),
  };
}

const tag = "Exports";

export const EXPORT_ROUTES: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/me/exports",
    access: "customer",
    right: true,
    stepUp: true,
    tag,
    summary: "Export everything that is held about you",
    description:
      "Of owners and managers the whole account; of others what is about them and their devices. An empty object asks " +
      "for everything. The link is shown this once; it holds for 72 hours, and only with your own session.",
    body: NewExport,
    answers: {
      201: {
        description: "Where to fetch it",
        schema: v.object({ url: v.pipe(v.string(), v.url()), expiresAt: Time }),
      },
    },
    handle: async ({ c, ctx, body }) => {
      const { url, expiresAt } = await createExport(ctx, scopeOf(body));
      return c.json({ url, expiresAt: iso(expiresAt) }, 201);
    },
  }),
  route({
    method: "GET",
    path: "/v1/me/exports",
    access: "customer",
    tag,
    summary: "List your exports that can be fetched",
    answers: { 200: { description: "Newest first", schema: v.object({ data: v.array(ExportJson) }) } },
    handle: async ({ c, ctx }) => c.json({ data: (await listExports(ctx)).map(exportJson) }),
  }),
  route({
    method: "DELETE",
    path: "/v1/me/exports/{id}",
    access: "customer",
    right: true,
    tag,
    summary: "Revoke an export",
    description: "Its link ends at once, and whoever is fetching it gets no more.",
    params: v.object({ id: PathId }),
    find: (ctx, { id }) => exportOf(ctx, id),
    answers: { 204: { description: "It is over" } },
    handle: async ({ c, ctx, object }) => {
      await revokeExport(ctx, object.id);
      return c.body(null, 204);
    },
  }),
  route({
    method: "GET",
    path: "/v1/exports/{token}",
    access: "customer",
    tag,
    summary: "Fetch an export",
    description:
      "A ZIP, made while it is fetched: JSON Lines and CSV of each table, tracks also as GPX and GeoJSON, and manifest.json " +
      "with rows, bytes and SHA-256 of each file. Where a sealing key is registered, the whole of it is encrypted to that " +
      "key: npm run -s unseal opens it. The link alone opens nothing: to anybody but the person who asked for it there is " +
      "no such export.",
    params: v.object({ token: v.pipe(v.string(), v.regex(/^[\w-]{43}$/)) }),
    find: (ctx, { token }) => exportOfToken(ctx, token),
    answers: {
      200: {
        description: "The export, streamed",
        media: { "application/zip": null, "application/vnd.ephemeris.sealed": null },
        headers: ["Content-Disposition"],
      },
    },
    handle: async ({ ctx, object }) => {
      const { fileName, mediaType, body } = await download(ctx, object);
      const headers = { "Content-Type": mediaType, "Content-Disposition": `attachment; filename="${fileName}"` };
      return new Response(body, { headers });
    },
  }),
];
