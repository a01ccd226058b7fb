import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Miniflare } from "miniflare";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { SecretCopy } from "../../src/context.ts";
import { ConfigError } from "../../src/runtime/config.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { type KeyBucket, r2Copy, r2Secrets } from "../../src/runtime/secrets-r2.ts";
import { sweepBlobs } from "../../tools/key-blobs.ts";

// Both adapters of the key store's places on what they adapt: libSQL files, and R2 in workerd.

const folder = mkdtempSync(join(tmpdir(), "ephemeris-secrets-"));
const running: Miniflare[] = [];
afterEach(async () => {
  for (const worker of running.splice(0)) await worker.dispose();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A source file and all that it imports, as modules of a Worker. */
function modulesOf(path: string, found: Record<string, { type: "esm"; contents: string }> = {}) {
  if (path in found) return found;
  const contents = stripTypeScriptTypes(readFileSync(path, "utf8"));
  found[path] = { type: "esm", contents };
  for (const [, target] of contents.matchAll(/from "(\.[^"]+)"/g)) modulesOf(join(dirname(path), target), found);
  return found;
}

const WORKER = `
import * as vault from "./src/vault.ts";
import { r2Secrets } from "./src/runtime/secrets-r2.ts";
const configs = new Map();
const quiet = () => undefined;
const isKey = (value) => value instanceof CryptoKey;
export default {
  async fetch(request, env) {
    const { isolate, at, rule, args, copy } = await request.json();
    const secrets = r2Secrets(env);
    const store = copy === undefined ? null : { a: secrets.copies[0], b: secrets.copies[1], escrow: secrets.escrow }[copy];
    if (store !== null) {
      const sent = rule === "put" ? [args[0], Uint8Array.from(args[1]), args[2]] : args;
      const result = (await store[rule](...sent)) ?? null;
      return Response.json(result?.bytes ? { ...result, bytes: [...result.bytes] } : result);
    }
    if (!configs.has(isolate)) configs.set(isolate, { rootKey: "5c".repeat(32), oldRootKeys: [] });
    const base = {
      config: configs.get(isolate), now: () => at, secrets,
      log: { info: quiet, warn: quiet, error: quiet },
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    };
    const result = await vault[rule](base, ...args);
    return new Response(JSON.stringify(result ?? null, (_, value) => (isKey(value) ? "key" : value)));
  },
};`;

async function aWorker(path: string) {
  const worker = new Miniflare({
    cf: false,
    telemetry: { enabled: false },
    resourcePersistencePath: path,
    workers: [
      {
        config: {
          name: "test",
          compatibilityDate: "2026-10-20",
          compatibilityFlags: ["nodejs_compat"],
          manifest: {
            mainModule: "main.js",
            modules: {
              "main.js": { type: "esm", contents: WORKER },
              ...modulesOf("src/vault.ts"),
              ...modulesOf("src/runtime/secrets-r2.ts"),
            },
          },
          env: {
            KEYS_A: { type: "r2", name: "keys_a" },
            KEYS_B: { type: "r2", name: "keys_b" },
            KEYS_ESCROW: { type: "r2", name: "keys_escrow" },
          },
        },
      },
    ],
  });
  running.push(worker);
  const url = String(await worker.ready);
  const ask = async (what: object) => {
    const response = await worker.dispatchFetch(url, { method: "POST", body: JSON.stringify(what) });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as never;
  };
  const copy = (label: string): SecretCopy => ({
    get: async (name) => {
      const found = (await ask({ copy: label, rule: "get", args: [name] })) as {
        bytes: number[];
        version: string;
      } | null;
      return found && { ...found, bytes: Uint8Array.from(found.bytes) };
    },
    put: (name, bytes, expected) => ask({ copy: label, rule: "put", args: [name, [...bytes], expected] }),
    delete: async (name) => void (await ask({ copy: label, rule: "delete", args: [name] })),
    list: (prefix) => ask({ copy: label, rule: "list", args: [prefix] }),
  });
  return {
    worker,
    copies: ["a", "b", "escrow"].map(copy),
    /** Runs a rule of the key store in an isolate's memory, at a time. */
    rule: (isolate: string, at: number, rule: string, ...args: unknown[]) => ask({ isolate, at, rule, args }),
  };
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const NAMES = ["account/1", "account/10", "account/2", "inbox/eu-1 %_'\u00fc", "pepper"];

describe.each([
  ["libSQL files", async (path: string) => fileSecrets(path).copies[0]],
  ["libSQL in memory", async () => fileSecrets(null).copies[0]],
  ["R2 in workerd", async (path: string) => (await aWorker(path)).copies[0]],
])("a copy in %s", (name, open) => {
  test("gives what was put, and writes only over what the writer has read", async () => {
    const path = join(folder, name);
    mkdirSync(path);
    const copy = await open(path);
    expect(await copy.get("pepper")).toBe(null);
    expect(await copy.put("pepper", bytesOf("one"), "never there")).toBe(false);
    expect(await copy.put("pepper", bytesOf("one"), null)).toBe(true);
    expect(await copy.put("pepper", bytesOf("two"), null)).toBe(false);
    const first = (await copy.get("pepper"))!;
    expect(Buffer.from(first.bytes).toString()).toBe("one");
    expect(await copy.put("pepper", bytesOf("two"), first.version)).toBe(true);
    expect(await copy.put("pepper", bytesOf("three"), first.version)).toBe(false);
    const second = (await copy.get("pepper"))!;
    expect([Buffer.from(second.bytes).toString(), second.version === first.version]).toEqual(["two", false]);
    // Large, and with every byte.
    const large = Uint8Array.from({ length: 200_000 }, (_, i) => i * 7);
    expect(await copy.put("account/1", large, null)).toBe(true);
    expect(Buffer.from((await copy.get("account/1"))!.bytes).equals(Buffer.from(large))).toBe(true);
    // Of many at once exactly one is the first.
    const raced = await Promise.all(NAMES.map((text) => copy.put("raced", bytesOf(text), null)));
    expect(raced.filter(Boolean)).toHaveLength(1);
    await copy.delete("raced");
    await copy.delete("raced");
    expect(await copy.get("raced")).toBe(null);
    for (const other of NAMES.slice(1, 4)) await copy.put(other, bytesOf(other), null);
    expect(await copy.list("")).toEqual(NAMES);
    expect(await copy.list("account/1")).toEqual(["account/1", "account/10"]);
    expect(await copy.list("inbox/eu-1 %")).toEqual([NAMES[3]]);
  });
});

const walk = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(path, entry.name)) : [join(path, entry.name)],
  );
/** Files in which a piece of some bytes is. */
const filesWith = (path: string, bytes: Uint8Array) =>
  walk(path).filter((file) => {
    const stored = readFileSync(file);
    for (let at = 0; at + 32 <= bytes.length; at += 61)
      if (stored.includes(Buffer.from(bytes.subarray(at, at + 32)))) return true;
    return false;
  });
const noise = (length: number) => new Uint8Array(randomBytes(length));

test("a libSQL file holds nothing of what was overwritten or deleted, and belongs to its owner alone", async () => {
  const path = join(folder, "erased");
  const secrets = fileSecrets(path);
  const [copy] = secrets.copies;
  for (const length of [40, 300, 5000, 70_000]) {
    const [first, second] = [noise(length), noise(Math.ceil(length / 3) + 32)];
    await copy.put("account/1", first, null);
    await copy.put("account/2", noise(900), null);
    expect(filesWith(path, first)).toHaveLength(1);
    await copy.put("account/1", second, (await copy.get("account/1"))!.version);
    expect(filesWith(path, first)).toEqual([]);
    expect(filesWith(path, second)).toHaveLength(1);
    await copy.delete("account/1");
    await copy.delete("account/2");
    expect(filesWith(path, second)).toEqual([]);
  }
  for (const file of walk(path)) expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  secrets.close();
});

test("two processes on the same files wait for each other", async () => {
  const path = join(folder, "shared");
  const [one, two] = [fileSecrets(path), fileSecrets(path)];
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, (_, i) => (i % 2 ? one : two).copies[0].put(`account/${i >> 1}`, noise(100), null)),
  );
  expect(outcomes.filter(Boolean)).toHaveLength(20);
  expect(await one.copies[0].list("")).toHaveLength(20);
  for (const secrets of [one, two]) secrets.close();
});

test("Miniflare's R2 holds nothing of what was overwritten or deleted, also when it was killed amid that", async () => {
  const path = join(folder, "r2");
  mkdirSync(path);
  const { copies, worker } = await aWorker(path);
  const [first, second, kept] = [noise(5000), noise(5000), noise(900)];
  await copies[0].put("account/1", first, null);
  await copies[1].put("account/1", kept, null);
  expect(filesWith(path, first)).toHaveLength(1);
  await copies[0].put("account/1", second, (await copies[0].get("account/1"))!.version);
  await expect.poll(() => filesWith(path, first)).toEqual([]);
  await copies[0].delete("account/1");
  await expect.poll(() => filesWith(path, second)).toEqual([]);
  await worker.dispose();
  running.length = 0;
  // What a workerd that was killed before it removed a file leaves behind.
  const orphan = join(path, "r2", "keys_a", "blobs", "0".repeat(80));
  writeFileSync(orphan, first);
  expect(sweepBlobs(path)).toBe(1);
  expect(filesWith(path, first)).toEqual([]);
  expect(filesWith(path, kept)).toHaveLength(1);
  expect(sweepBlobs(path)).toBe(0);
  const again = await aWorker(path);
  expect(Buffer.from((await again.copies[1].get("account/1"))!.bytes).equals(Buffer.from(kept))).toBe(true);
});

test("the key store in workerd: many requests at once, two memories, destruction within a minute", async () => {
  const path = join(folder, "vault");
  mkdirSync(path);
  const { rule } = await aWorker(path);
  const wish = (deviceId: number, day: number) => ({ deviceId, scope: "account", day });
  type Key = { dayKid: number; deviceKid: number; key: string } | null;
  // R2's own limit of a write a second aside, Miniflare takes them all: each request makes a device's secret.
  const made: Key[][] = await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      rule(i % 2 ? "one" : "two", 0, "sealingKeys", 7, [wish(i, 100), wish(1, 101)]),
    ),
  );
  expect(new Set(made.map((keys) => keys[1]!.dayKid)).size).toBe(1);
  const wanted = made.map((keys, i) => ({ deviceId: i, dayKid: keys[0]!.dayKid, deviceKid: keys[0]!.deviceKid }));
  const opened = () =>
    Promise.all(Array.from({ length: 20 }, (_, i) => rule(i % 2 ? "one" : "two", 0, "openingKeys", 7, wanted)));
  for (const keys of await opened()) expect(keys).toEqual(Array(12).fill("key"));
  expect(await rule("one", 0, "destroyDays", 7, "account", 101)).toEqual([made[0][0]!.dayKid]);
  expect(await rule("one", 0, "openingKeys", 7, wanted)).toEqual(Array(12).fill(null));
  expect(await rule("two", 59_999, "openingKeys", 7, wanted)).toEqual(Array(12).fill("key"));
  expect(await rule("two", 60_000, "openingKeys", 7, wanted)).toEqual(Array(12).fill(null));
  expect(await rule("one", 0, "destroyAccount", 7)).toHaveLength(13);
  expect(await rule("three", 0, "sealingKeys", 7, [wish(1, 101)])).toEqual([null]);
}, 60_000);

describe("R2 that fails", () => {
  const failing = (failures: number, stores: boolean): { bucket: KeyBucket; calls: () => number } => {
    let calls = 0;
    let stored: Uint8Array | null = null;
    const call = (act: () => void) => {
      if (++calls > failures) return act();
      if (stores) act();
      throw new Error("internal error");
    };
    const bucket: KeyBucket = {
      get: async () => {
        call(() => undefined);
        return stored && { etag: "e", arrayBuffer: async () => stored!.slice().buffer };
      },
      put: async (_, value) => {
        let taken = false;
        call(() => {
          taken = stored === null;
          stored ??= value;
        });
        return taken ? { etag: "e" } : null;
      },
      delete: async () => call(() => undefined),
      list: async () => {
        call(() => undefined);
        return { objects: [], truncated: false };
      },
    };
    return { bucket, calls: () => calls };
  };

  test("is tried again, and then it is 'unavailable': never 'there is none'", async () => {
    const once = r2Copy(failing(2, false).bucket, [1, 1]);
    expect(await once.put("pepper", noise(8), null)).toBe(true);
    const { bucket, calls } = failing(99, false);
    for (const act of [
      (copy: SecretCopy) => copy.get("pepper"),
      (copy: SecretCopy) => copy.put("pepper", noise(8), null),
      (copy: SecretCopy) => copy.delete("pepper"),
      (copy: SecretCopy) => copy.list(""),
    ]) {
      await expect(act(r2Copy(bucket, [1, 1]))).rejects.toMatchObject({ code: "unavailable", retryAfterS: 2 });
    }
    expect(calls()).toBe(12);
  });

  test("after it had stored: the second try sees that it was ours", async () => {
    expect(await r2Copy(failing(1, true).bucket, [1]).put("pepper", noise(8), null)).toBe(true);
  });

  test("r2Secrets() names the buckets that are not bound", () => {
    const bound = { KEYS_A: failing(0, false).bucket, KEYS_ESCROW: "a text" };
    expect(() => r2Secrets(bound)).toThrow(new ConfigError("KEYS_B, KEYS_ESCROW must be R2 buckets, and are missing"));
  });
});

test("a list of R2 goes on where a page ends", async () => {
  const names = ["b", "a", "c"];
  const bucket = {
    list: async ({ cursor }: { cursor?: string }) => {
      const at = Number(cursor ?? 0);
      return { objects: [{ key: names[at] }], truncated: at < 2, cursor: String(at + 1) };
    },
  } as unknown as KeyBucket;
  expect(await r2Copy(bucket).list("")).toEqual(["a", "b", "c"]);
});
