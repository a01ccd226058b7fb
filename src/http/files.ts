import type { Base } from "../context.ts";
import { privacyDocument } from "../privacy.ts";
import { ASSETS, fingerprinted } from "../web/assets.ts";
import { ABOUT, CONVENTIONS } from "../web/docs/guide.ts";
import { type Guide, referencePage } from "../web/docs/page.ts";
import { STYLE as DOCS_STYLE } from "../web/docs/style.ts";
import { ROUTES } from "./app.ts";
import { DOCS_FILES, ORIGIN } from "./docs.ts";
import { PROBLEMS } from "./errors.ts";
import { openApi } from "./openapi.ts";
import { SCHEMAS } from "./schemas.ts";

// What the app serves and does not change while it runs is made here, once, and kept beside the Worker as its static
// assets: a tenth of the Worker's size would otherwise be what describes it. Imported by the build, by Deno and by tests.

/**
 * Every file by name: the API's description, the reference page, stylesheets, icons and islands.
 * @param bundled files that pages load and a bundler makes, by the name that a page uses
 */
export async function staticFiles(
  bundled: Readonly<Record<string, string>> = {},
): Promise<ReadonlyMap<string, string>> {
  const document = openApi(
    ROUTES.filter(({ page }) => page !== true),
    ORIGIN,
    SCHEMAS,
    ABOUT,
  );
  const guide: Guide = {
    documentPath: "/openapi.json",
    stylePath: "/docs/style.css",
    example: `curl ${ORIGIN}/v1/positions/latest -H "Authorization: Bearer $KEY"`,
    conventions: CONVENTIONS,
    problems: Object.entries(PROBLEMS).map(([code, { status, title }]) => ({ code, status, title })),
  };
  const files = new Map<string, string>([
    [DOCS_FILES.document, JSON.stringify(document)],
    [DOCS_FILES.page, String(await referencePage(document, guide))],
    [DOCS_FILES.style, DOCS_STYLE],
    [DOCS_FILES.privacy, JSON.stringify(privacyDocument())],
  ]);
  const names: Record<string, string> = {};
  const own = Object.entries(ASSETS).map(([name, { text }]) => [name, text] as const);
  for (const [name, text] of [...own, ...Object.entries(bundled)]) {
    names[name] = fingerprinted(name, text);
    files.set(names[name], text);
  }
  return files.set("manifest.json", JSON.stringify(names));
}

/**
 * `Base.asset` where the files are made in the process that serves them.
 * @param bundle makes those that a bundler makes; absent: there are none
 */
export function assetsInMemory(bundle?: () => Promise<Record<string, string>>): Base["asset"] {
  let files: ReadonlyMap<string, string> | undefined;
  return async (name) => {
    files ??= await staticFiles(await bundle?.());
    return files.get(name) ?? null;
  };
}
