import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const CACHE = join(ROOT, "node_modules", ".cache", "ephemeris");
/** Everything that the bundle is made of. */
const SOURCES = ["src", "codec", "wrangler.toml", "package-lock.json", "tsconfig.base.json", "tsconfig.worker.json"];

/** Keeps wrangler from the network and from the user's home. */
export const OFFLINE = {
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
} as const;

function hashOfSources(): string {
  const hash = createHash("sha256");
  for (const source of SOURCES) {
    const path = join(ROOT, source);
    const files = source.includes(".")
      ? [path]
      : readdirSync(path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name))
          .sort();
    for (const file of files) hash.update(`${file}\0`).update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex").slice(0, 16);
}

/**
 * The Worker as wrangler bundles it for production, built again only when a source has changed.
 * @returns path of the one module
 */
export async function buildWorker(): Promise<string> {
  const folder = join(CACHE, `worker-${hashOfSources()}`);
  const script = join(folder, "workers.js");
  if (existsSync(script)) return script;
  mkdirSync(CACHE, { recursive: true });
  const draft = `${folder}.${process.pid}.new`;
  await wrangler(["deploy", "--dry-run", "--outdir", draft]);
  try {
    renameSync(draft, folder);
  } catch {
    // Another process was faster with the same sources.
    rmSync(draft, { recursive: true, force: true });
  }
  for (const old of readdirSync(CACHE)) {
    if (/^worker-[0-9a-f]{16}$/.test(old) && join(CACHE, old) !== folder) {
      rmSync(join(CACHE, old), { recursive: true, force: true });
    }
  }
  return script;
}

function wrangler(args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const command = join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");
    const child = spawn(process.execPath, [command, ...args], {
      cwd: ROOT,
      env: { ...process.env, ...OFFLINE },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`Cannot bundle the Worker:\n${output}`));
    });
  });
}
