import * as v from "valibot";
import {
  type BrandChange,
  type BrandHead,
  type BrandTextRow,
  brandById,
  brandFor,
  brandLogo,
  brandStyle,
  changeBrand,
  createBrand,
  deleteBrand,
  listBrands,
  setBrandText,
  textsOfBrands,
} from "../brands.ts";
import type { Ctx } from "../context.ts";
import { AppError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { Language, LegalKindField } from "./documents.ts";
import { Id, iso, ListQuery, listOf, PathId, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const Accent = v.pipe(
  v.nullable(v.string()),
  v.description(
    "#rrggbb with a contrast of 4.5:1 on white; it is adapted for the dark theme. null: the platform's own",
  ),
  v.examples(["#0b5f66"]),
);
const Logo = v.pipe(
  v.nullable(v.pipe(v.string(), v.maxLength(Math.ceil(LIMITS.logoBytes / 3) * 4))),
  v.description("PNG, JPEG or WebP of at most 64 KiB in base64; null: none"),
);

const BrandJson = v.object({
  id: Id,
  hostname: v.pipe(v.string(), v.examples(["tracking.example.com"])),
  name: v.string(),
  accent: v.nullable(v.string()),
  logoType: v.nullable(v.string()),
  texts: v.array(
    v.object({
      kind: LegalKindField,
      language: Language,
      url: v.nullable(v.string()),
      body: v.nullable(v.string()),
      sha256: v.string(),
      updatedAt: Time,
    }),
  ),
  createdAt: Time,
  updatedAt: Time,
});

function brandJson(brand: BrandHead, texts: readonly BrandTextRow[]): v.InferOutput<typeof BrandJson> {
  const { id, hostname, name, accent, logoType, createdAt, updatedAt } = brand;
  const own = texts.filter(({ brandId }) => brandId === id);
  return {
    ...{ id, hostname, name, accent, logoType },
    texts: own.map(({ kind, language, url, body, sha256, updatedAt }) => ({
      ...{ kind, language, url, body, sha256 },
      updatedAt: iso(updatedAt),
    })),
    createdAt: iso(createdAt),
    updatedAt: iso(updatedAt),
  };
}
const withTexts = async (ctx: Ctx, brand: BrandHead) => brandJson(brand, await textsOfBrands(ctx, [brand.id]));

/** @throws {AppError} invalid */
function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    throw new AppError("invalid", "logo must be base64", { field: "logo" });
  }
}

interface Sent {
  name?: string;
  accent?: string | null;
  logo?: string | null;
}
const changeOf = ({ logo, ...rest }: Sent): BrandChange => ({
  ...rest,
  ...(logo !== undefined && { logo: logo === null ? null : bytesOf(logo) }),
});

const BrandPath = v.object({ id: PathId });
const find = (ctx: Ctx, { id }: { id: number }) => brandById(ctx, id);
/** The brand whose hostname was asked for. */
export const brandHere = (ctx: Ctx) => brandFor(ctx, new URL(ctx.client.origin).hostname);

const tag = "Brands";
const access = "admin";

/** A browser may keep what a brand looks like for a few seconds: with `brandMs` that is less than a minute. */
const CACHE = "public, max-age=20";

export const BRANDS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/brands",
    access,
    tag,
    summary: "List brands by id",
    query: ListQuery,
    answers: { 200: { description: "One page of brands with their texts", schema: listOf(BrandJson) } },
    handle: async ({ c, ctx, query }) => {
      const brands = await listBrands(ctx, query.cursor ?? 0, query.limit + 1);
      const ids = brands.map(({ id }) => id);
      const texts = ids.length === 0 ? [] : await textsOfBrands(ctx, ids);
      return c.json(page(brands, query.limit, (brand) => brandJson(brand, texts)));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/brands",
    access,
    tag,
    stepUp: true,
    summary: "Give a hostname a brand",
    jsonBytes: 2 * LIMITS.logoBytes,
    body: v.strictObject({
      hostname: v.string(),
      name: v.string(),
      accent: v.exactOptional(Accent),
      logo: v.exactOptional(Logo),
    }),
    answers: { 201: { description: "The brand", schema: BrandJson } },
    handle: async ({ c, ctx, body: { hostname, name, ...rest } }) =>
      c.json(brandJson(await createBrand(ctx, hostname, { name, ...changeOf(rest) }), []), 201),
  }),
  route({
    method: "GET",
    path: "/v1/admin/brands/{id}",
    access,
    tag,
    summary: "Read a brand",
    params: BrandPath,
    find,
    answers: { 200: { description: "The brand with its texts", schema: BrandJson } },
    handle: async ({ c, ctx, object }) => c.json(await withTexts(ctx, object)),
  }),
  route({
    method: "PATCH",
    path: "/v1/admin/brands/{id}",
    access,
    tag,
    summary: "Change a brand",
    description: "Only the fields that are given. Pages show it within a minute.",
    params: BrandPath,
    find,
    jsonBytes: 2 * LIMITS.logoBytes,
    body: v.strictObject({
      name: v.exactOptional(v.string()),
      accent: v.exactOptional(Accent),
      logo: v.exactOptional(Logo),
    }),
    answers: { 200: { description: "The brand as it is now", schema: BrandJson } },
    handle: async ({ c, ctx, object, body }) =>
      c.json(await withTexts(ctx, await changeBrand(ctx, object.id, changeOf(body)))),
  }),
  route({
    method: "DELETE",
    path: "/v1/admin/brands/{id}",
    access,
    tag,
    stepUp: true,
    summary: "Remove a brand with its texts",
    params: BrandPath,
    find,
    answers: { 204: { description: "Gone; the hostname shows the platform's own" } },
    handle: async ({ c, ctx, object }) => {
      await deleteBrand(ctx, object.id);
      return c.body(null, 204);
    },
  }),
  route({
    method: "PATCH",
    path: "/v1/admin/brands/{id}/texts",
    access,
    tag,
    summary: "Set or clear a brand's own policy or terms",
    description:
      "In one language, as an https address or as Markdown; both null clears it. The sign-in page links to what is set, beside the platform's own statement and terms.",
    params: BrandPath,
    find,
    jsonBytes: 4 * LIMITS.documentBytes,
    body: v.strictObject({
      kind: LegalKindField,
      language: Language,
      url: v.exactOptional(v.nullable(v.string())),
      body: v.exactOptional(v.nullable(v.string())),
    }),
    answers: { 200: { description: "The brand with its texts", schema: BrandJson } },
    handle: async ({ c, ctx, object, body: { kind, language, url = null, body = null } }) => {
      if (url !== null && body !== null) {
        throw new AppError("invalid", "url and body cannot both be set", { field: "url" });
      }
      const text = url !== null ? { url } : body !== null ? { body } : null;
      await setBrandText(ctx, object, kind, language, text);
      return c.json(await withTexts(ctx, object));
    },
  }),
  route({
    method: "GET",
    path: "/brand.css",
    access: "public",
    tag: "Pages",
    page: true,
    summary: "The colours of the brand whose hostname is asked for",
    answers: { 200: { description: "A stylesheet, empty without a brand", media: { "text/css": null } } },
    handle: async ({ c, ctx }) =>
      c.body(brandStyle(await brandHere(ctx)), 200, {
        "Content-Type": "text/css; charset=utf-8",
        "Cache-Control": CACHE,
      }),
  }),
  route({
    method: "GET",
    path: "/brand/logo",
    access: "public",
    tag: "Pages",
    page: true,
    summary: "The logo of the brand whose hostname is asked for",
    answers: {
      200: { description: "An image", media: { "image/png": null, "image/jpeg": null, "image/webp": null } },
    },
    handle: async ({ c, ctx }) => {
      const { bytes, type } = await brandLogo(ctx, (await brandHere(ctx)).id);
      return c.body(bytes as Uint8Array<ArrayBuffer>, 200, { "Content-Type": type, "Cache-Control": CACHE });
    },
  }),
];
