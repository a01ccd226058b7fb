import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Miniflare } from "miniflare";
import { expect, test } from "vitest";
import { inDeno } from "../../tools/launch.ts";
import { transcript } from "./transcript.ts";

const here = import.meta.dirname;
const expected = transcript();

test("the transcript covers all frames", () => {
  expect(expected.split("\n").length).toBeGreaterThan(40 * 4 * 2);
});

test("the codec writes and reads the same in workerd", { timeout: 30_000 }, async () => {
  const script = (path: string) =>
    ({ type: "esm", contents: stripTypeScriptTypes(readFileSync(join(here, "../..", path), "utf8")) }) as const;
  const codec = readdirSync(join(here, "../../codec")).filter((file) => file.endsWith(".ts"));
  const contents =
    'import { transcript } from "./test/runtime/transcript.ts";\nexport default { fetch: () => new Response(transcript()) };';
  const worker = new Miniflare({
    cf: false,
    telemetry: { enabled: false },
    workers: [
      {
        config: {
          name: "codec",
          compatibilityDate: "2026-10-20",
          manifest: {
            mainModule: "main.js",
            modules: {
              "main.js": { type: "esm", contents },
              "test/runtime/transcript.ts": script("test/runtime/transcript.ts"),
              ...Object.fromEntries(codec.map((file) => [`codec/${file}`, script(`codec/${file}`)])),
            },
          },
        },
      },
    ],
  });
  try {
    const response = await worker.dispatchFetch("http://localhost/");
    expect(await response.text()).toBe(expected);
  } finally {
    await worker.dispose();
  }
});

test("the codec writes and reads the same in Deno", { timeout: 30_000 }, async () => {
  const main = `import { transcript } from ${JSON.stringify(pathToFileURL(join(here, "transcript.ts")).href)}; console.log(transcript());`;
  const { stdout } = await promisify(execFile)(inDeno("").command, ["eval", "--ext=ts", main], {
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" },
    maxBuffer: 64 * 1024 * 1024,
  });
  expect(stdout.trimEnd()).toBe(expected);
});
