import * as v from "valibot";
import {
  type BrandTextKind,
  brandById,
  changeBrand,
  createBrand,
  deleteBrand,
  listBrands,
  setBrandText,
  textsOfBrands,
} from "../../../brands.ts";
import type { Ctx } from "../../../context.ts";
import { type DocumentKind, documentText, listDocuments, publishVersion } from "../../../documents.ts";
import { AppError } from "../../../errors.ts";
import { LANGUAGES } from "../../../text/index.ts";
import { BRAND_TEXT_KINDS, brandPage, brandsPage, type Draft, documentsPage } from "../../../web/admin/publishing.ts";
import { page, typed } from "../../page.ts";
import type { Route } from "../../route.ts";
import { parse } from "../../validate.ts";
import { ById, type Cursor, cursor, dayIn, listed, state } from "./panel.ts";

const BRANDS = page<undefined, Cursor>({
  path: "/admin/brands",
  access: "admin",
  summary: "Brands",
  query: cursor,
  show: async (call) =>
    brandsPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listBrands(call.ctx, after, limit)),
      state(call),
    ),
  acts: {
    create: async ({ ctx, form }) => {
      const brand = await createBrand(ctx, typed(form, "hostname"), { name: typed(form, "name") });
      return `/admin/brands/${brand.id}?done=saved`;
    },
  },
});

const BRAND = page({
  path: "/admin/brands/{id}",
  access: "admin",
  summary: "A brand",
  params: ById,
  find: (ctx, { id }) => brandById(ctx, id),
  show: async (call) => brandPage(call.view, call.object, await textsOfBrands(call.ctx, [call.object.id]), state(call)),
  acts: {
    save: async ({ ctx, object, form }) => {
      const { logo } = form;
      await changeBrand(ctx, object.id, {
        name: typed(form, "name"),
        accent: typed(form, "accent").trim() || null,
        ...(typeof logo === "object" && logo.bytes.length > 0
          ? { logo: logo.bytes }
          : typed(form, "noLogo") === "on" && { logo: null }),
      });
      return `/admin/brands/${object.id}?done=saved`;
    },
    texts: async ({ ctx, object, form, view }) => {
      const stored = await textsOfBrands(ctx, [object.id]);
      const at = (kind: BrandTextKind, language: string) => {
        const name = `${kind}.${language}`;
        const [url, body] = [typed(form, `${name}.url`).trim(), typed(form, `${name}.body`).trim()];
        return { name, url, body };
      };
      const all = BRAND_TEXT_KINDS.flatMap((kind) =>
        Object.keys(LANGUAGES).map((language) => ({ kind, language, ...at(kind, language) })),
      );
      const twice = all.find(({ url, body }) => url !== "" && body !== "");
      if (twice !== undefined) throw new AppError("invalid", view.t.admin.brands.both, { field: `${twice.name}.url` });
      for (const { kind, language, name, url, body } of all) {
        const was = stored.find((row) => row.kind === kind && row.language === language);
        if ((was?.url ?? "") === url && (was?.body ?? "").trim() === body) continue;
        await setBrandText(ctx, object, kind, language, url !== "" ? { url } : body !== "" ? { body } : null).catch(
          (error: unknown) => {
            if (!(error instanceof AppError)) throw error;
            throw new AppError(error.code, error.message, { field: `${name}.${error.field ?? "url"}` });
          },
        );
      }
      return `/admin/brands/${object.id}?done=saved`;
    },
    remove: async ({ ctx, object }) => {
      await deleteBrand(ctx, object.id);
      return "/admin/brands?done=removed";
    },
  },
});

const LEGAL = v.picklist(["privacy", "terms"]);

/** The text in force, to begin from. */
async function draftFrom(ctx: Ctx, kind: "privacy" | "terms"): Promise<Draft> {
  const texts: Record<string, { title: string; body: string }> = {};
  for (const language of Object.keys(LANGUAGES)) {
    const text = await documentText(ctx, { kind, product: "", region: "" }, null, language).catch(() => null);
    if (text !== null && text.language === language) texts[language] = { title: text.title, body: text.body };
  }
  return { kind, texts };
}

const DOCUMENTS = page<undefined, Cursor & { from?: "privacy" | "terms" }>({
  path: "/admin/documents",
  access: "privacy",
  summary: "Statement, terms and notices",
  query: { ...cursor, from: v.optional(LEGAL) },
  show: async (call) =>
    documentsPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listDocuments(call.ctx, after, limit)),
      call.query.from === undefined ? null : await draftFrom(call.ctx, call.query.from),
      state(call),
    ),
  acts: {
    publish: async ({ ctx, form }) => {
      const { kind } = parse(v.object({ kind: v.picklist(["privacy", "terms", "notice"]) }), {
        kind: typed(form, "kind"),
      });
      const texts = Object.keys(LANGUAGES)
        .map((language) => ({
          language,
          title: typed(form, `${language}.title`).trim(),
          body: typed(form, `${language}.body`),
        }))
        .filter(({ title, body }) => title !== "" || body.trim() !== "");
      for (const { language, title, body } of texts) {
        for (const [part, value] of Object.entries({ title, body })) {
          if (value.trim() === "")
            throw new AppError("invalid", `${part} must not be empty`, { field: `${language}.${part}` });
        }
      }
      const effectiveAt = dayIn(form, "effectiveAt");
      await publishVersion(ctx, {
        kind: kind as DocumentKind,
        product: typed(form, "product").trim(),
        region: typed(form, "region").trim(),
        texts,
        material: typed(form, "material") === "on",
        effectiveAt,
      }).catch((error: unknown) => {
        if (!(error instanceof AppError) || error.field !== "texts") throw error;
        throw new AppError(error.code, error.message, { field: "en.body" });
      });
      return "/admin/documents?done=saved";
    },
  },
});

export const PUBLISHING_PAGES: readonly Route[] = [BRANDS, BRAND, DOCUMENTS].flat();
