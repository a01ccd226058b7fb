import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, expect, test } from "vitest";

// RFC 8032, section 7.1, test 1, in every runtime: receipts that one signs must be good in the others.
const SECRET = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const SAID = {
  publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  signature:
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  good: true,
  bad: false,
};

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ephemeris-ed25519-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const entry = `
  import { fromHex, toHex } from "./client/hex.ts";
  import { isSigned } from "./client/receipt.ts";
  import { ed25519Of } from "./src/ed25519.ts";
  export async function tell() {
    const { privateKey, publicKey } = await ed25519Of(fromHex("${SECRET}", 32));
    const signature = toHex(new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, new Uint8Array(0))));
    const [good, bad] = [await isSigned(publicKey, signature, ""), await isSigned(publicKey, signature, "x")];
    return { publicKey: toHex(publicKey), signature, good, bad };
  }
  export default { fetch: async () => Response.json(await tell()) };`;
let script: string;

beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: root, loader: "ts" },
    bundle: true,
    format: "esm",
    write: false,
  });
  script = outputFiles[0]!.text;
  writeFileSync(join(folder, "tell.mjs"), script);
  writeFileSync(
    join(folder, "main.mjs"),
    'import { tell } from "./tell.mjs"; console.log(JSON.stringify(await tell()));',
  );
});

const run = (command: string, ...args: string[]) =>
  JSON.parse(execFileSync(command, [...args, join(folder, "main.mjs")], { encoding: "utf8" }));

test("Ed25519 keys and signatures are those of RFC 8032 in Node", () => {
  expect(run(process.execPath)).toEqual(SAID);
});

test("Ed25519 keys and signatures are those of RFC 8032 in Deno", () => {
  expect(run(join(root, "node_modules", ".bin", "deno"), "run", "--no-config", "--quiet")).toEqual(SAID);
});

test("Ed25519 keys and signatures are those of RFC 8032 in workerd", async () => {
  const worker = new Miniflare({
    cf: false,
    telemetry: { enabled: false },
    workers: [
      {
        config: {
          name: "test",
          compatibilityDate: "2026-10-20",
          manifest: { mainModule: "w.js", modules: { "w.js": { type: "esm", contents: script } } },
        },
      },
    ],
  });
  try {
    expect(await (await worker.dispatchFetch("http://test/")).json()).toEqual(SAID);
  } finally {
    await worker.dispose();
  }
});
