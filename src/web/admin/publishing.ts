import { html } from "hono/html";
import type { BrandHead, BrandTextRow } from "../../brands.ts";
import type { DocumentHead } from "../../documents.ts";
import { LANGUAGES } from "../../text/index.ts";
import type { Html, PageView } from "../frame.ts";
import { button, card, checkbox, field, form, pill, table, time } from "../parts.ts";
import { type Listed, type PanelState, pager, panel } from "./panel.ts";

export function brandsPage(view: PageView, list: Listed<BrandHead>, state: PanelState): Html {
  const t = view.t.admin.brands;
  return panel(view, {
    ...state,
    area: "brands",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.brands!,
      [t.hostname, t.name, t.accent],
      list.rows.map((row) => [
        html`<a href="/admin/brands/${row.id}">${row.hostname}</a>`,
        row.name,
        row.accent ?? "–",
      ]),
      t.none,
    )}${pager(view, "/admin/brands", list)}${card(
      t.add,
      form(
        html`${field({ name: "hostname", label: t.hostname, hint: t.hostnameHint, maxlength: 253 }, state)}${field(
          { name: "name", label: t.name, maxlength: 60 },
          state,
        )}${button("create", t.add)}`,
      ),
    )}`,
  });
}

export const BRAND_TEXT_KINDS = ["privacy", "terms"] as const;

export function brandPage(view: PageView, brand: BrandHead, texts: readonly BrandTextRow[], state: PanelState): Html {
  const t = view.t.admin.brands;
  const of = (kind: string, language: string) => texts.find((row) => row.kind === kind && row.language === language);
  return panel(view, {
    ...state,
    area: "brands",
    title: brand.hostname,
    body: html`${card(
      t.look,
      form(
        html`${field({ name: "name", label: t.name, value: brand.name, maxlength: 60 }, state)}${field(
          {
            name: "accent",
            label: t.accent,
            hint: t.accentHint,
            value: brand.accent,
            maxlength: 7,
            optional: view.t.common.optional,
          },
          state,
        )}${field({ name: "logo", label: t.logo, hint: t.logoHint, type: "file", accept: "image/png,image/jpeg,image/webp" }, state)}${
          brand.logoType === null ? "" : checkbox({ name: "noLogo", label: t.noLogo }, state)
        }${button("save", view.t.common.save)}`,
        { files: true },
      ),
    )}${card(
      t.texts,
      form(
        html`<p>${t.textsHint}</p>${BRAND_TEXT_KINDS.flatMap((kind) =>
          Object.entries(LANGUAGES).map(
            ([language, { name }]) =>
              html`<h3>${view.t.admin.documents.kinds[kind]}, ${name}</h3>${field(
                { name: `${kind}.${language}.url`, label: t.url, type: "url", value: of(kind, language)?.url ?? null },
                state,
              )}${field(
                {
                  name: `${kind}.${language}.body`,
                  label: t.body,
                  rows: 4,
                  lang: language,
                  value: of(kind, language)?.body ?? null,
                },
                state,
              )}`,
          ),
        )}${button("texts", view.t.common.save)}`,
      ),
    )}<div class="actions">${form(button("remove", t.remove, "danger"))}</div>`,
  });
}

/** Fields of the form that publishes, filled with a text that there is. */
export interface Draft {
  kind: string;
  texts: Readonly<Record<string, { title: string; body: string }>>;
}

export function documentsPage(
  view: PageView,
  list: Listed<DocumentHead>,
  draft: Draft | null,
  state: PanelState,
): Html {
  const t = view.t.admin.documents;
  const { optional } = view.t.common;
  return panel(view, {
    ...state,
    area: "documents",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.documents!,
      [t.kind, t.version, t.title, t.published, t.effective, ""],
      list.rows.map((row) => [
        html`${t.kinds[row.kind]}${row.product === "" ? "" : ` (${row.product}${row.region === "" ? "" : `, ${row.region}`})`}`,
        row.kind === "notice"
          ? `${row.version} ${row.language}`
          : html`<a href="/legal/${row.kind}/${row.version}?lang=${row.language}">${row.version} ${row.language}</a>`,
        row.title,
        time(view, row.publishedAt),
        time(view, row.effectiveAt),
        html`${row.template === 1 ? pill("warn", t.template) : ""} ${row.material === 1 ? pill("info", t.material) : ""}`,
      ]),
      t.none,
    )}${pager(view, "/admin/documents", list)}${card(
      t.publish,
      form(
        html`<p>${t.start} <a href="?from=privacy#publish">${t.kinds.privacy}</a>, <a href="?from=terms#publish">${t.kinds.terms}</a></p>${field(
          { name: "kind", label: t.kind, value: draft?.kind ?? "privacy", choices: Object.entries(t.kinds) },
          state,
        )}${field({ name: "product", label: t.product, optional: t.noticeOnly, maxlength: 100 }, state)}${field(
          { name: "region", label: t.region, optional: t.noticeOnly, maxlength: 100 },
          state,
        )}${Object.entries(LANGUAGES).map(
          ([language, { name }]) =>
            html`<h3>${name}</h3>${field(
              {
                name: `${language}.title`,
                label: t.title,
                lang: language,
                maxlength: 200,
                value: draft?.texts[language]?.title ?? null,
              },
              state,
            )}${field(
              {
                name: `${language}.body`,
                label: t.body,
                hint: t.bodyHint,
                rows: 12,
                lang: language,
                value: draft?.texts[language]?.body ?? null,
              },
              state,
            )}`,
        )}${checkbox({ name: "material", label: t.isMaterial, hint: t.materialHint }, state)}${field(
          { name: "effectiveAt", label: t.effectiveAt, hint: t.effectiveHint, type: "date", optional },
          state,
        )}${button("publish", t.publish)}`,
      ),
      { id: "publish" },
    )}`,
  });
}
