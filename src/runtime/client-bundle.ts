import { fileURLToPath } from "node:url";

/** The folder that the bundle is made in: this repository. */
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/**
 * Files for browsers that must be made of several modules, by the name that pages use: the client that opens sealed
 * tracks. Made by the build, and by Deno when a page first asks. Loads the bundler only then.
 */
export async function clientBundle(): Promise<Record<string, string>> {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["client/browser.ts"],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    write: false,
  });
  return { "unseal.js": outputFiles[0]?.text ?? "" };
}
