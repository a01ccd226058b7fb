import type { Db } from "./store/db.ts";

export type { Db } from "./store/db.ts";

export type LogFields = Record<string, string | number | boolean | null | undefined>;

/** Structured log. An event name and ids; never an IMEI, a coordinate or a token. */
export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields, cause?: unknown): void;
}

export interface Config {
  adminToken: string;
  bridgeToken: string;
  /** 32 random bytes in hex from which other keys are derived. */
  rootKey: string;
  /** Where customers reach the API, without a slash at the end; absent: the request's own origin. */
  publicUrl?: string;
  /** Calendar months that a position is kept. */
  retentionMonths: number;
}

/** What the platform gives the app. Also Hono's env: `app.fetch(request, base)`. */
export interface Base {
  db: Db;
  /** Unix ms. */
  now(): number;
  log: Log;
  config: Config;
  /** Work that may end after the response (`waitUntil`). Its failure is logged, never thrown. */
  defer(work: Promise<unknown>): void;
  /** Cryptographically random bytes. */
  random(length: number): Uint8Array;
}

export type Scope = "read" | "write";

export type Principal =
  | { kind: "key"; accountId: number; keyId: number; scope: Scope }
  | { kind: "admin" }
  | { kind: "bridge"; bridgeId: number }
  | { kind: "job" }
  | { kind: "anonymous" };

/** What a rule takes first: the platform, the request it serves and on whose behalf. */
export interface Ctx extends Base {
  requestId: string;
  principal: Principal;
}
