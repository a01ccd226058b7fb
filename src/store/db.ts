import type { Client, InValue } from "@libsql/client";
import type { LibSQLDatabase } from "drizzle-orm/libsql/driver-core";
import type * as schema from "./schema.ts";
import type { Fields } from "./sealed.ts";

/**
 * The database: drizzle for plain reads and writes, `$client` for statements that drizzle cannot express, `$fields` for
 * what is stored sealed (sealed.ts). Made only by src/runtime and by the test helper.
 */
export type Db = LibSQLDatabase<typeof schema> & { $client: Client; $fields: Fields };

export type { ResultSet } from "@libsql/client";

/**
 * One statement for `$client.execute` or `$client.batch`. The arguments are always an array: the libsql binding ends
 * the whole process when a lone buffer is bound (tursodatabase/libsql-js 114).
 */
export interface Statement {
  sql: string;
  args: InValue[];
}

/** Bytes of a BLOB column: native libsql gives an ArrayBuffer, libSQL over HTTP too. */
export function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw new TypeError("Cannot read BLOB: the column holds no bytes");
}
