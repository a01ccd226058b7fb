import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ChildSpec } from "./child.ts";

const ROOT = join(import.meta.dirname, "..");
const PARENT_WATCH = join(import.meta.dirname, "parent-watch.ts");

/** The environment of a child: ours without what it has no business with. */
export function environment(own: Record<string, string | undefined>): Record<string, string | undefined> {
  const { NODE_OPTIONS, DATABASE_TOKEN, ADMIN_TOKEN, ROOT_KEY, ROOT_KEY_OLD, BRIDGE_TOKEN, SMTP_URL, ...rest } =
    process.env;
  return { ...rest, ...own };
}

/** A script of this repository under the Node that runs now. */
export function inNode(script: string, ...args: string[]): Pick<ChildSpec, "command" | "args"> {
  return {
    command: process.execPath,
    args: ["--import", pathToFileURL(PARENT_WATCH).href, join(ROOT, script), ...args],
  };
}

/** A script of this repository under the Deno of node_modules; it cannot load anything that is not there. */
export function inDeno(script: string): Pick<ChildSpec, "command" | "args"> {
  const allow = ["net", "env", "read", "write", "ffi", "sys"].map((what) => `--allow-${what}`);
  return {
    command: denoBinary(),
    args: ["run", "--no-prompt", "--cached-only", ...allow, "--preload", PARENT_WATCH, join(ROOT, script)],
  };
}

/** Where npm ran no install scripts, the package fetches the binary out of its platform package at the first use. */
function denoBinary(): string {
  const binary = join(ROOT, "node_modules", "deno", "deno");
  return existsSync(binary) ? binary : createRequire(import.meta.url)("deno/install_api.cjs").runInstall();
}
