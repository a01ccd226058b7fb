import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import { ACCESS } from "./map/access.ts";
import { ACCOUNT } from "./map/account.ts";
import { OPERATION } from "./map/operation.ts";
import { RIGHTS } from "./map/rights.ts";
import { TRACKS } from "./map/tracks.ts";
import type * as schema from "./schema.ts";

// The data map: what every table and column says about a person, what it is for, how long it stays, what an erasure does
// to it and where it is in an export. What is held, exported, erased and published about it follows from here; nothing
// lists it a second time. What is stored outside of the database is in elsewhere.ts.

/**
 * How a column is treated. none: says nothing about anyone. personal: about a person, alone or with other columns.
 * sensitive: whereabouts. pseudonymous: an id or a keyed hash that stands for a person. secret: opens something; it
 * never leaves the database.
 */
export const CLASSES = ["none", "personal", "sensitive", "pseudonymous", "secret"] as const;
export type Class = (typeof CLASSES)[number];

/** The statement's kinds of data (clause 4): 4a account, 4b device, location and log, 4c profile, 4d other; and the operation. */
export const CATEGORIES = ["account", "device", "location", "log", "profile", "other", "operation"] as const;
export type Category = (typeof CATEGORIES)[number];

/** What for; their words are in src/privacy-words.ts. */
// biome-ignore format: a list
export const PURPOSES = [
  "account", "access", "orders", "activation", "consent", "tracking", "control", "residence", "mail", "personalisation",
  "support", "accountability", "rights", "holds", "publishing", "operation",
] as const;
export type Purpose = (typeof PURPOSES)[number];

/** How long; the same. */
// biome-ignore format: a list
export const RETENTIONS = [
  "account", "user", "device", "group", "positions", "commands", "purges", "wrapped", "sold", "keys", "sessions", "links",
  "mails", "answers", "searches", "recent", "audit", "looks", "unclaimed", "requests", "kept", "tombstones", "suspensions", "exportLinks", "subjectLinks", "silenced",
  "untilShredded", "holds", "held", "obligations", "ledger", "broken", "jobRuns", "published", "operator", "shreds", "spool", "outbox", "logs", "browser",
] as const;
export type Retention = (typeof RETENTIONS)[number];

/**
 * What an erasure of an account does to a table's rows. root: the row that others hang on. cascade: they go with what they
 * refer to, by the database. engine: nothing refers, code deletes them. time: they cannot be found by person, and are
 * over soon. keep: they stay for their period. operator: they are about no customer.
 */
export type Erase = "root" | "cascade" | "engine" | `time: ${string}` | `keep: ${string}` | "operator";

/** Beside class and category: its person may change it, have it emptied, or both; or it is emptied with another column. */
type Mark = "" | " correctable" | " emptiable" | " optional" | ` with ${string}`;

/** A table as those see it who take whatever map they are given. */
export interface MappedTable {
  /** Whose the rows are: `account`, `user` and `device` by a column of that name, `platform` nobody's. */
  of: "account" | "user" | "device" | "platform";
  purpose: Purpose;
  retain: Retention;
  erase: Erase;
  /** Its file in an export; several may be one. "no: " and why not. */
  exportAs: string;
  /** An account that lives does without these rows, when its person wants them gone. */
  optional?: true;
  columns: Readonly<Record<string, `${Class} ${Category}${Mark}`>>;
}
export type Mapped = Readonly<Record<string, MappedTable>>;

type Tables = { [K in keyof typeof schema as (typeof schema)[K] extends SQLiteTable ? K : never]: (typeof schema)[K] };
export type DataMap = {
  [T in keyof Tables]: MappedTable & { columns: { [C in keyof Tables[T]["_"]["columns"]]: string } };
};

/**
 * Every column of every table. A column of schema.ts without a row here does not compile; a test compares with the
 * catalogue of the migrated database.
 */
export const DATA_MAP = { ...ACCOUNT, ...TRACKS, ...ACCESS, ...RIGHTS, ...OPERATION } as const satisfies DataMap;

/** A column's entry. */
export interface Described {
  class: Class;
  category: Category;
  /** The person may replace it. */
  correctable: boolean;
  /** The person may have it emptied: to NULL, or to its default. */
  emptiable: boolean;
  /** It is emptied with this column of its table. */
  with: string | null;
}

export function describe(entry: string): Described {
  const [cls, category, mark = "", other = null] = entry.split(" ");
  return {
    class: cls as Class,
    category: category as Category,
    correctable: mark === "correctable" || mark === "optional",
    emptiable: mark === "emptiable" || mark === "optional",
    with: mark === "with" ? other : null,
  };
}

/** Whether a column's values are in the export of their table: not what says nothing, and nothing that opens something. */
export const isExported = (entry: string): boolean => !/^(none|secret)\b/.test(entry);

/** The file of a table in an export; null: it has none. */
export const exportOf = ({ exportAs }: Pick<MappedTable, "exportAs">): string | null =>
  exportAs.startsWith("no: ") ? null : exportAs;

/** What an erasure does, without its reason. */
export const eraseOf = ({ erase }: Pick<MappedTable, "erase">) =>
  erase.split(":")[0] as "root" | "cascade" | "engine" | "time" | "keep" | "operator";
