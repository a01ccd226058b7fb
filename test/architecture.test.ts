import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Who may import whom. The first row whose `from` matches a file decides; `may` lists path prefixes (of files in this
 * repository) and package names. A prefix that ends in "!" allows a type-only import.
 */
const RULES: readonly { from: RegExp; may: readonly string[] }[] = [
  { from: /^codec\//, may: ["codec/"] },
  // What a customer's own programs are made of: it opens what is sealed to a key, and knows nothing of the platform.
  { from: /^client\//, may: ["client/", "codec/", "@hpke/core"] },
  {
    from: /^src\/store\//,
    may: ["src/store/", "src/errors.ts", "src/limits.ts", "codec/", "drizzle-orm", "@libsql/client!"],
  },
  { from: /^src\/text\//, may: ["src/text/"] },
  // Tables that tools/calendar.ts makes: what it makes them from stays out of the app.
  { from: /^src\/calendar\//, may: [] },
  {
    from: /^src\/http\//,
    may: [
      "src/http/",
      "src/web/",
      "src/text/",
      "src/[^/]+\\.ts$",
      "codec/",
      "hono",
      "valibot",
      "@valibot/to-json-schema",
    ],
  },
  {
    from: /^src\/web\//,
    may: [
      "src/web/",
      "src/text/",
      "src/http/page.ts!",
      "src/http/route.ts!",
      "src/[^/]+\\.ts$",
      "codec/",
      "hono",
      "uqr",
    ],
  },
  {
    from: /^src\/runtime\//,
    may: [
      "src/",
      "codec/",
      "@libsql/client",
      "drizzle-orm",
      "hono",
      "nodemailer",
      "esbuild",
      "node:crypto",
      "node:fs",
      "node:url",
      "node:path",
    ],
  },
  {
    // The stores that an erasure goes through are rules, a file each.
    from: /^src\/(erasers\/)?[^/]+\.ts$/,
    may: ["src/(erasers/)?[^/]+\\.ts$", "src/calendar/", "src/store/", "src/text/", "codec/", "client/", "diff"],
  },
  {
    from: /^bridge\//,
    may: [
      "bridge/",
      "codec/frame.ts",
      "codec/bytes.ts",
      "codec/errors.ts",
      "codec/locate.ts",
      "codec/reader.ts",
      "codec/envelope.ts",
      "node:",
    ],
  },
  { from: /^(tools|bench|test)\//, may: [""] },
];

/** What a rule file in src/ may not touch, even without an import: the platform is `ctx`, and lives in src/runtime. */
const PLATFORM_GLOBALS = /\b(Deno\.|process\.|caches\.|Date\.now\(|globalThis\.)/;

function sources(folder: string): string[] {
  const path = join(ROOT, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|tsx)$/.test(name))
    .map((name) => `${folder}/${name}`);
}

function importsOf(text: string): { target: string; typeOnly: boolean }[] {
  const found: { target: string; typeOnly: boolean }[] = [];
  const pattern =
    /(?:^|\n)\s*(import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;
  for (const match of text.matchAll(pattern)) {
    found.push({ target: match[3] ?? match[4] ?? "", typeOnly: match[2] !== undefined });
  }
  return found;
}

function allowed(file: string, target: string, typeOnly: boolean, may: readonly string[]): boolean {
  const path = target.startsWith(".") ? relative(ROOT, resolve(ROOT, dirname(file), target)) : target;
  return may.some((entry) => {
    const typeRow = entry.endsWith("!");
    const prefix = typeRow ? entry.slice(0, -1) : entry;
    if (typeRow && !typeOnly) return false;
    if (prefix.endsWith("$")) return new RegExp(`^${prefix}`).test(path);
    return (
      prefix === "" ||
      path === prefix ||
      path.startsWith(prefix.endsWith("/") || prefix.endsWith(":") ? prefix : `${prefix}/`)
    );
  });
}

const files = ["codec", "client", "src", "bridge", "tools", "bench"].flatMap(sources);

test("the architecture table covers every source file", () => {
  expect(files.length).toBeGreaterThan(0);
  expect(files.filter((file) => !RULES.some((rule) => rule.from.test(file)))).toEqual([]);
});

test("every import is allowed by the architecture table", () => {
  const refused: string[] = [];
  for (const file of files) {
    const rule = RULES.find((row) => row.from.test(file));
    if (rule === undefined) continue;
    for (const { target, typeOnly } of importsOf(readFileSync(join(ROOT, file), "utf8"))) {
      if (!allowed(file, target, typeOnly, rule.may)) refused.push(`${file} imports ${target}`);
    }
  }
  expect(refused).toEqual([]);
});

test("only src/runtime touches platform globals, and codec/ has no clock", () => {
  const touched = files
    .filter((file) => /^(codec|client|src)\//.test(file) && !file.startsWith("src/runtime/"))
    .filter((file) =>
      PLATFORM_GLOBALS.test(readFileSync(join(ROOT, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "")),
    );
  expect(touched).toEqual([]);
});

test("no file in codec/ or client/ names a Node global", () => {
  const named = files
    .filter((file) => /^(codec|client)\//.test(file))
    .filter((file) =>
      /\b(Buffer|process|require|__dirname)\b/.test(
        readFileSync(join(ROOT, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, ""),
      ),
    );
  expect(named).toEqual([]);
});
