import { createHash, scrypt } from "node:crypto";
import type { Base, Config, Db, Hasher, Mail, Secrets } from "../context.ts";
import { fieldsOf } from "../sealed-fields.ts";
import { consoleLog } from "./log.ts";

/** What outlives a request: everything of a Base but `defer`, which belongs to one. */
export type Shared = Omit<Base, "defer">;

const hash: Base["scrypt"] = (password, salt, { N, r, p }) =>
  new Promise((resolve, reject) => {
    // Node counts its own overhead into maxmem.
    scrypt(password, salt, 32, { N, r, p, maxmem: 256 * N * r }, (error, key) =>
      error === null ? resolve(new Uint8Array(key)) : reject(error),
    );
  });

/** `Base.sha256` of a platform with node:crypto. */
export function nodeSha256(): Hasher {
  const hash = createHash("sha256");
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    digest: () => hash.digest("hex"),
  };
}

const POOL_BYTES = 4096;

/** Random bytes, drawn many at a time: every seal takes twelve, and a call costs as much as sealing them. */
function pooledRandom(): Base["random"] {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  return (length) => {
    if (length > POOL_BYTES) return crypto.getRandomValues(new Uint8Array(length));
    if (used + length > POOL_BYTES) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    const bytes = pool.slice(used, used + length);
    // What was given away may be a secret.
    pool.fill(0, used, used + length);
    used += length;
    return bytes;
  };
}

/** The Base of a platform that has the Web's globals and node:crypto. */
export function sharedBase(
  db: Db,
  config: Config,
  sendMail: ((mail: Mail) => Promise<void>) | null,
  asset: Base["asset"],
  secrets: Secrets,
  telemetry: Base["telemetry"] = { region: "default", others: new Map() },
): Shared {
  const now = () => Date.now();
  const random = pooledRandom();
  const platform = { random, scrypt: hash, sha256: nodeSha256, asset };
  const shared = { db, telemetry, config, now, log: consoleLog(now), ...platform, sendMail, secrets };
  // It defers nothing.
  db.$fields = fieldsOf(withDefer(shared, () => undefined));
  return shared;
}

/** Adds `defer`. @param keepAlive keeps the platform from ending the request's work before `work` is done */
export function withDefer(shared: Shared, keepAlive: (work: Promise<unknown>) => void): Base {
  return {
    ...shared,
    defer: (work) => keepAlive(work.catch((error) => shared.log.error("deferred work failed", {}, error))),
  };
}

/** The answer of an installation that cannot serve; the log names the setting at fault. */
export function notConfigured(): Response {
  const body = { type: "about:blank", title: "Service Unavailable", status: 503, code: "unavailable" };
  return Response.json(body, { status: 503, headers: { "content-type": "application/problem+json" } });
}
