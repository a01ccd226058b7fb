import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { staticFiles } from "../src/http/files.ts";
import { clientBundle } from "../src/runtime/client-bundle.ts";

/** Writes the Worker's static assets into a folder, in place of what was there. */
export async function writeAssets(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of await staticFiles(await clientBundle())) writeFileSync(join(folder, name), text);
}

// wrangler.toml runs this before each build.
if (import.meta.main) await writeAssets(join(import.meta.dirname, "..", "dist", "assets"));
