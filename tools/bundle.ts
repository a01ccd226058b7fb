import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeAssets } from "./assets.ts";

const ROOT = join(import.meta.dirname, "..");
const CACHE = join(ROOT, "node_modules", ".cache", "ephemeris");
/** Everything that the bundle is made of. */
const SOURCES = [
  "src",
  "codec",
  "client",
  "wrangler.toml",
  "package-lock.json",
  "tsconfig.base.json",
  "tsconfig.worker.json",
];

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

/** The Worker as wrangler bundles it: the one module, and the folder of its static assets. */
export interface BuiltWorker {
  script: string;
  assets: string;
}

/** The Worker as it is deployed, built again only when a source has changed. */
export async function buildWorker(): Promise<BuiltWorker> {
  const folder = join(CACHE, `worker-${hashOfSources()}`);
  const built = { script: join(folder, "workers.js"), assets: join(folder, "assets") };
  if (existsSync(built.script)) return built;
  mkdirSync(CACHE, { recursive: true });
  const draft = `${folder}.${process.pid}.new`;
  await wrangler(["deploy", "--dry-run", "--outdir", draft]);
  await writeAssets(join(draft, "assets"));
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
  return built;
}

/** A copy of the built Worker in a folder, which stays as it is whatever is built meanwhile. */
export async function copyWorker(folder: string): Promise<BuiltWorker> {
  const built = await buildWorker();
  const copy = { script: join(folder, "worker.js"), assets: join(folder, "assets") };
  writeFileSync(copy.script, readFileSync(built.script), { mode: 0o600 });
  rmSync(copy.assets, { recursive: true, force: true });
  cpSync(built.assets, copy.assets, { recursive: true });
  return copy;
}

function wrangler(args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const command = join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");
    const child = spawn(process.execPath, [command, ...args], {
      cwd: ROOT,
      // wrangler.toml's build command finds the Node that runs this.
      env: { ...process.env, ...OFFLINE, PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
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
