import { AppError } from "./errors.ts";
import { CUSTOMER_ROLES, STAFF_ROLES } from "./store/schema.ts";

// What an entry of the ledger may say: words of these lists, numbers, digests, and names that are random. There is no free
// text in it, so that nothing about a person can get into what is never deleted.

export const LEDGER_TYPES = [
  "verified",
  "denied",
  "revoked",
  "expired",
  "frozen",
  "shredded",
  "purged",
  "cleared",
  "partially_cleared",
  "held",
  "hold_released",
  "deadline_missed",
  "exported",
  "corrected",
  "restricted",
  "resumed",
  "retention_run",
  "disclosure",
  "incident",
  "measure_change",
  "statement_published",
  "restore_replayed",
  "key_rotated",
] as const;
export type LedgerType = (typeof LEDGER_TYPES)[number];

/** The kinds of ErasureScope, and the installation as a whole. */
export const SCOPE_CLASSES = ["account", "devices", "range", "tracks", "categories", "fields", "installation"] as const;
export type ScopeClass = (typeof SCOPE_CLASSES)[number];

export const LEDGER_RESULTS = ["done", "partial", "failed", "late", "refused"] as const;
export type LedgerResult = (typeof LEDGER_RESULTS)[number];

export const ACTOR_ROLES = [...CUSTOMER_ROLES, ...STAFF_ROLES, "admin_token", "key", "job", "anonymous"] as const;
export type ActorRole = (typeof ACTOR_ROLES)[number];

/** Stores that data is erased from (StoreEraser.name), and what a restore repairs. */
export const LEDGER_STORES = [
  "tracks",
  "records",
  "keys",
  "range",
  "exports",
  "mails",
  "sessions",
  "trackers",
  "tombstones",
  "silenced",
  "accounts",
  "devices",
  "segments",
  "newest",
  "wrapped",
  "inbox",
  "fields",
] as const;

export interface LedgerStore {
  /** One of LEDGER_STORES. */
  name: string;
  /** What was there, and what of it went: rows or keys. */
  found: number;
  erased: number;
  /** It was looked at afterwards, and was clean. */
  ok: boolean;
}

export interface LedgerFields {
  /** Public name of the request: 128 random bits, base64url. */
  request?: string | null;
  /** Ids of keys that were destroyed. */
  kids?: readonly number[];
  scopeClass?: ScopeClass | null;
  stores?: readonly LedgerStore[];
  result?: LedgerResult | null;
  /** Version of the calendar that a deadline was worked out with. */
  calendar?: string | null;
  actorRole?: ActorRole | null;
}

const REQUEST_NAME = /^[A-Za-z0-9_-]{22}$/;
/** A version: short, and without a space. */
const CALENDAR = /^[a-z0-9][a-z0-9.:+-]{0,63}$/i;

/** @throws {AppError} internal for what an entry may not say: it is a mistake of whoever appends */
export function requireWords(type: LedgerType, fields: LedgerFields): void {
  const { request = null, scopeClass = null, stores = [], result = null, calendar = null, actorRole = null } = fields;
  const of = (list: readonly string[], word: string | null) => word === null || list.includes(word);
  const isCount = (n: number) => Number.isSafeInteger(n) && n >= 0;
  const isGood =
    of(LEDGER_TYPES, type) &&
    of(SCOPE_CLASSES, scopeClass) &&
    of(LEDGER_RESULTS, result) &&
    of(ACTOR_ROLES, actorRole) &&
    stores.every(({ name, found, erased }) => of(LEDGER_STORES, name) && isCount(found) && isCount(erased)) &&
    (request === null || REQUEST_NAME.test(request)) &&
    (calendar === null || CALENDAR.test(calendar));
  if (!isGood) throw new AppError("internal", "Cannot append to the ledger: it has no such word");
}
