import type { Db } from "./store/db.ts";
import type { CUSTOMER_ROLES, STAFF_ROLES } from "./store/schema.ts";

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
  /** Root keys of before, newest first: they still open what has not been wrapped anew. */
  oldRootKeys: readonly string[];
  /** Where customers reach the API, without a slash at the end; absent: the request's own origin. */
  publicUrl?: string;
  /** Calendar months that a position is kept. */
  retentionMonths: number;
  /** The port that trackers reach the bridge on, unless the operator sets another. */
  trackerPort: number;
  /** The sender of mails: an address, or "Name <address>". */
  mailFrom: string;
}

/** A mail as a platform's adapter sends it: plain text and the same as HTML. */
export interface Mail {
  from: string;
  to: string;
  subject: string;
  text: string;
  html: string;
}

/** A place that keeps small objects and no history of them: what is overwritten or deleted is gone. */
export interface SecretCopy {
  /** Reads what was written last, by whoever. Throws when the place does not answer; null only when there is none. */
  get(name: string): Promise<{ bytes: Uint8Array; version: string } | null>;
  /** Writes if the object is still at `expected` (null: if there is none). False when it is not. */
  put(name: string, bytes: Uint8Array, expected: string | null): Promise<boolean>;
  /** The same for several objects, where one read or one write of them costs less: in their order, each by itself. */
  getAll?(names: readonly string[]): Promise<({ bytes: Uint8Array; version: string } | null)[]>;
  putAll?(writes: readonly { name: string; bytes: Uint8Array; expected: string | null }[]): Promise<boolean[]>;
  delete(name: string): Promise<void>;
  /** Names that begin with `prefix`, in order. */
  list(prefix: string): Promise<string[]>;
}

/** Where the secrets of the key store are (src/vault.ts): two live copies, and one to restore both from. */
export interface Secrets {
  copies: readonly [SecretCopy, SecretCopy];
  escrow: SecretCopy;
}

/** Cost of scrypt: N is a power of two, r the block size, p the parallelisation (RFC 7914). */
export interface ScryptCost {
  N: number;
  r: number;
  p: number;
}

export interface Hasher {
  update(bytes: Uint8Array | string): void;
  /** In hex; nothing can be added afterwards. */
  digest(): string;
}

/** What the platform gives the app. Also Hono's env: `app.fetch(request, base)`. */
export interface Base {
  db: Db;
  /** Where `db` is, and the databases for tracks of accounts that are placed elsewhere, by name: src/telemetry.ts. */
  telemetry: { region: string; others: ReadonlyMap<string, { db: Db; region: string }> };
  /** Unix ms. */
  now(): number;
  log: Log;
  config: Config;
  /** Work that may end after the response (`waitUntil`). Its failure is logged, never thrown. */
  defer(work: Promise<unknown>): void;
  /** Cryptographically random bytes. */
  random(length: number): Uint8Array;
  /** scrypt as the platform has it natively; 32 bytes. */
  scrypt(password: Uint8Array, salt: Uint8Array, cost: ScryptCost): Promise<Uint8Array>;
  /** SHA-256 of what comes piece by piece, which the Web's own cannot do. */
  sha256(): Hasher;
  /** A file made by src/http/files.ts: the API's description, stylesheets, islands. Null: there is none of that name. */
  asset(name: string): Promise<string | null>;
  /** Hands a mail to whoever delivers it. Throws when it was not taken. Null: this installation has nobody who does. */
  sendMail: ((mail: Mail) => Promise<void>) | null;
  /** The key store's places. */
  secrets: Secrets;
}

export type Scope = "read" | "write";
export type CustomerRole = (typeof CUSTOMER_ROLES)[number];
export type StaffRole = (typeof STAFF_ROLES)[number];
export type Role = CustomerRole | StaffRole;

/**
 * What an account may do beside its rights. good: everything. unaccepted: a statement in force waits for acceptance.
 * suspended, closing: the operator or the customer stopped it. Rights (read, export, correct, erase) hold in each.
 */
export type Standing = "good" | "unaccepted" | "suspended" | "closing";

/** Who is signed in, and how surely. */
export interface Person {
  userId: number;
  sessionId: number;
  /** When they last proved who they are, Unix ms. */
  provedAt: number;
  /** A second factor or a passkey was used. */
  secondFactor: boolean;
  /** How they want to be shown things. */
  language: string;
  units: "metric" | "imperial";
  /** IANA name */
  timeZone: string;
}

export type Principal =
  | {
      kind: "key";
      accountId: number;
      keyId: number;
      scope: Scope;
      /** Ids of the only devices that exist for it; null: all of the account's. */
      devices: readonly number[] | null;
      /** Of `devices`, those that are not suspended; absent: all of them. */
      readable?: readonly number[];
      /** Everything of the account is suspended: nothing is for it. */
      suspended?: true;
      standing: Standing;
    }
  | ({
      kind: "user";
      accountId: number;
      role: CustomerRole;
      devices: readonly number[] | null;
      /** Of `devices`, those that the role may also change; null: all of them. */
      editable: readonly number[] | null;
      standing: Standing;
    } & Person)
  | ({
      kind: "staff";
      role: StaffRole;
      /** The training is attested and has not run out: without it there are no staff rights. */
      trained: boolean;
    } & Person)
  | { kind: "admin" }
  | { kind: "bridge"; bridgeId: number }
  | { kind: "job" }
  | { kind: "anonymous" };

export type UserPrincipal = Extract<Principal, { kind: "user" }>;

/** Where a request came from. */
export interface Client {
  /** Scheme, host and port that the browser asked: https://example.com */
  origin: string;
  /** The address, or "-" where the platform does not tell. */
  address: string;
  userAgent: string;
}

/** What a rule takes first: the platform, the request it serves and on whose behalf. */
export interface Ctx extends Base {
  requestId: string;
  principal: Principal;
  client: Client;
}
