import { fileURLToPath } from "node:url";

/** The folder that the bundle is made in: this repository. */
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const ENTRIES = { "unseal.js": "client/browser.ts", "receipt.js": "client/receipt-page.ts" } as const;

/**
 * Files for browsers that must be made of several modules, by the name that pages use: what opens sealed tracks, and what
 * checks receipts. Made by the build, and by Deno when a page first asks. Loads the bundler only then.
 */
export async function clientBundle(): Promise<Record<string, string>> {
  const { build } = await import("esbuild");
  const files = Object.entries(ENTRIES).map(async ([name, entry]) => {
    const { outputFiles } = await build({
      absWorkingDir: ROOT,
      entryPoints: [entry],
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      target: "es2022",
      legalComments: "none",
      write: false,
    });
    return [name, outputFiles[0]?.text ?? ""] as const;
  });
  return Object.fromEntries(await Promise.all(files));
}
