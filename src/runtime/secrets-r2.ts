import type { SecretCopy, Secrets } from "../context.ts";
import { AppError } from "../errors.ts";
import { ConfigError } from "./config.ts";

/** The part of an R2 bucket that is used here. */
export interface KeyBucket {
  get(key: string): Promise<{ etag: string; arrayBuffer(): Promise<ArrayBuffer> } | null>;
  put(
    key: string,
    value: Uint8Array,
    options: { onlyIf: { etagMatches: string } | { etagDoesNotMatch: string } },
  ): Promise<{ etag: string } | null>;
  delete(key: string): Promise<void>;
  list(options: { prefix: string; cursor?: string }): Promise<{
    objects: readonly { key: string }[];
    truncated: boolean;
    cursor?: string;
  }>;
}

/** Bindings of the buckets: two live copies and the escrow. */
export const KEY_BUCKETS = ["KEYS_A", "KEYS_B", "KEYS_ESCROW"] as const;

/** Waits between the tries of one call. R2 takes one write a second of the same object. */
const RETRY_MS = [150, 1100, 2200] as const;

/** @throws {ConfigError} naming the buckets that are not bound */
export function r2Secrets(env: Readonly<Record<string, unknown>>): Secrets {
  const missing = KEY_BUCKETS.filter(
    (name) => typeof (env[name] as Partial<KeyBucket> | undefined)?.put !== "function",
  );
  if (missing.length > 0) throw new ConfigError(`${missing.join(", ")} must be R2 buckets, and are missing`);
  const [a, b, escrow] = KEY_BUCKETS.map((name) => r2Copy(env[name] as KeyBucket));
  return { copies: [a, b], escrow };
}

/** A bucket as a copy of the key store. Its etag is a digest of what is stored, and no object is stored twice. */
export function r2Copy(bucket: KeyBucket, waitsMs: readonly number[] = RETRY_MS): SecretCopy {
  const call = <T>(work: () => Promise<T>) => retried(work, waitsMs);
  return {
    get: (name) =>
      call(async () => {
        const found = await bucket.get(name);
        return found === null ? null : { bytes: new Uint8Array(await found.arrayBuffer()), version: found.etag };
      }),
    put: (name, bytes, expected) => {
      let tries = 0;
      return call(async () => {
        tries++;
        const onlyIf = expected === null ? { etagDoesNotMatch: "*" } : { etagMatches: expected };
        if ((await bucket.put(name, bytes, { onlyIf })) !== null) return true;
        // A try that seemed to fail may have been stored all the same.
        return tries > 1 && sameBytes(await (await bucket.get(name))?.arrayBuffer(), bytes);
      });
    },
    delete: (name) => call(() => bucket.delete(name)),
    list: async (prefix) => {
      const names: string[] = [];
      for (let cursor: string | undefined; ; ) {
        const options = cursor === undefined ? { prefix } : { prefix, cursor };
        const page = await call(() => bucket.list(options));
        names.push(...page.objects.map(({ key }) => key));
        if (!page.truncated || page.cursor === undefined) return names.sort();
        cursor = page.cursor;
      }
    },
  };
}

function sameBytes(stored: ArrayBuffer | undefined, bytes: Uint8Array): boolean {
  if (stored?.byteLength !== bytes.length) return false;
  const read = new Uint8Array(stored);
  return bytes.every((byte, i) => byte === read[i]);
}

async function retried<T>(work: () => Promise<T>, waitsMs: readonly number[]): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (cause) {
      const waitMs = waitsMs[attempt];
      if (waitMs === undefined) {
        throw new AppError("unavailable", "The key store does not answer; try again", { retryAfterS: 2, cause });
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs * (0.75 + Math.random() / 2)));
    }
  }
}
