import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import type * as schema from "./schema.ts";

/** What texts are looked up by: of one purpose, the same text has the same blind index wherever it is. */
export type IndexPurpose = "email" | "imei" | "accountName" | "reply";

interface SealedColumn {
  /** It can be looked up: its blind index is in the column of this name and "Index". */
  index?: IndexPurpose;
  /** It opens something itself: bound to its row, and opened by `openOwn()` alone. */
  own?: true;
}

type Tables = { [K in keyof typeof schema as (typeof schema)[K] extends SQLiteTable ? K : never]: (typeof schema)[K] };
type Sealed = {
  [T in keyof Tables]?: {
    /** SQL: the account under whose secret the row is sealed. NULL: the operator's own. */
    account: string;
    columns: { [C in keyof Tables[T]["_"]["columns"]]?: SealedColumn };
  };
};

const OF_USER = "(SELECT u.account_id FROM users u WHERE u.id = user_id)";

/** Every column that never lies open: sealed with AES-256-GCM under the secret of its account (src/sealed-fields.ts). */
export const SEALED = {
  accounts: { account: "id", columns: { name: { index: "accountName" }, stateReason: {} } },
  users: {
    account: "account_id",
    columns: { email: { index: "email" }, name: {}, mobile: {}, totpSecret: { own: true } },
  },
  addresses: {
    account: "account_id",
    columns: { recipient: {}, line1: {}, line2: {}, city: {}, region: {}, postcode: {}, country: {} },
  },
  devices: { account: "account_id", columns: { imei: { index: "imei" }, name: {} } },
  deviceGroups: { account: "account_id", columns: { name: {} } },
  /** Until somebody activates it, a sold tracker is the operator's. */
  activations: { account: "account_id", columns: { imei: { index: "imei" }, orderReference: {} } },
  unclaimed: { account: "NULL", columns: { imei: { index: "imei" } } },
  commands: { account: "account_id", columns: { arguments: {}, frame: {}, reply: {} } },
  apiKeys: { account: "account_id", columns: { name: {} } },
  sessions: { account: OF_USER, columns: { browser: {}, network: {} } },
  passkeys: { account: OF_USER, columns: { name: {} } },
  searches: { account: OF_USER, columns: { term: {} } },
  audit: { account: "account_id", columns: { reason: {} } },
  obligations: { account: "account_id", columns: { details: {} } },
  placements: { account: "account_id", columns: { reason: {} } },
  idempotencyKeys: { account: "account_id", columns: { response: {} } },
} as const satisfies Sealed;

export type SealedTable = keyof typeof SEALED;
export type ColumnOf<T extends SealedTable> = keyof (typeof SEALED)[T]["columns"] & string;

/** The account of a row; null: the operator. */
export type Owner<R> = number | null | ((row: R) => number | null);
/** Blind indexes that `seal()` adds. */
export type Indexes = Partial<Record<"emailIndex" | "imeiIndex" | "nameIndex", string | null>>;

/**
 * Seals and opens what the table names. Store functions take and give clear values; only what they bind to a statement
 * is sealed.
 */
export interface Fields {
  /** Seals those values of a row that are to be, adding their blind indexes. The others stay as they are. */
  seal<R extends object>(table: SealedTable, account: number | null, row: R): Promise<R & Indexes>;
  /** The same for rows of one account. */
  sealAll<R extends object>(table: SealedTable, account: number | null, rows: readonly R[]): Promise<(R & Indexes)[]>;
  /**
   * Opens what is sealed in rows. What nobody can open any more, as its secret was destroyed, or what was altered or
   * moved, is "": it must not keep the others from being read.
   */
  open<R extends object>(table: SealedTable, rows: readonly R[], account: Owner<R>): Promise<R[]>;
  /** Seals a value that opens something itself, for the row with this id. */
  sealOwn<T extends SealedTable>(table: T, column: ColumnOf<T>, at: Place, value: string): Promise<string>;
  /** Opens it. @throws when it was altered, is another row's, or its secret was destroyed */
  openOwn<T extends SealedTable>(table: T, column: ColumnOf<T>, at: Place, sealed: string): Promise<string>;
  /** What a text is looked up by. */
  index(purpose: IndexPurpose, text: string): Promise<string>;
  indexAll(purpose: IndexPurpose, texts: readonly string[]): Promise<string[]>;
}

export interface Place {
  account: number | null;
  id: number;
}
