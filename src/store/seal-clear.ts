import type { InValue } from "@libsql/client";
import { getTableColumns } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { bytesOf, type Db, type Statement } from "./db.ts";
import * as schema from "./schema.ts";
import { SEALED, type SealedTable } from "./sealed.ts";

// What was stored before fields were sealed. The statements are put together from names of the schema, never from input.

/** The row of `settings` that says how far it is; it has a name that no setting can have. None: everything is sealed. */
const STATE = "seal clear fields";

/** lookups: what is looked up may lie open yet, so nobody is served. A time: when to look once more. */
export type ClearState = "lookups" | "rest" | number;

export async function clearState(db: Db): Promise<ClearState | null> {
  const { rows } = await db.$client.execute({ sql: "SELECT value FROM settings WHERE name = ?", args: [STATE] });
  const value = rows[0]?.[0];
  if (value === undefined) return null;
  return value === "lookups" || value === "rest" ? value : Number(value);
}

/** Goes on from one state to the next; null: it is over. Does nothing where another one has been there. */
export async function goOn(db: Db, from: ClearState, to: ClearState | null): Promise<void> {
  const at = "WHERE name = ? AND value = ?";
  const where = [STATE, String(from)];
  await db.$client.execute(
    to === null
      ? { sql: `DELETE FROM settings ${at}`, args: where }
      : { sql: `UPDATE settings SET value = ? ${at}`, args: [String(to), ...where] },
  );
}

/** A row with values that lie open. */
export interface ClearRow {
  rowid: number;
  account: number | null;
  /** By column as schema.ts names it. */
  values: Record<string, string | Uint8Array>;
}

const TABLES = schema as unknown as { readonly [T in SealedTable]: (typeof schema)[T] };
const tableOf = (table: SealedTable) => TABLES[table];

/** SQL names of the sealed columns of a table, by their names in schema.ts. */
function columnsOf(table: SealedTable): [name: string, sql: string][] {
  const named = getTableColumns(tableOf(table)) as unknown as Record<string, { name: string }>;
  return Object.keys(SEALED[table].columns).map((name) => [name, named[name]!.name]);
}

/** A sealed value begins with the byte 1, text or not. */
const isClear = (column: string) => `substr(CAST(${column} AS BLOB), 1, 1) <> x'01'`;

/** The next rows in which something lies open. @param after the last rowid of the page before */
export async function clearRows(db: Db, table: SealedTable, after: number, limit: number): Promise<ClearRow[]> {
  const columns = columnsOf(table);
  const shown = columns.map(([, column]) => `CASE WHEN ${isClear(column)} THEN ${column} END`);
  const { rows } = await db.$client.execute({
    sql: `SELECT rowid, ${SEALED[table].account}, ${shown.join(", ")} FROM ${getTableConfig(tableOf(table)).name}
      WHERE rowid > ? AND (${columns.map(([, column]) => isClear(column)).join(" OR ")}) ORDER BY rowid LIMIT ?`,
    args: [after, limit],
  });
  return rows.map((row) => {
    const values: ClearRow["values"] = {};
    for (const [i, [name]] of columns.entries()) {
      const value = row[i + 2];
      if (value !== null) values[name] = typeof value === "string" ? value : bytesOf(value);
    }
    return { rowid: Number(row[0]), account: row[1] as number | null, values };
  });
}

/** Puts the sealed values of rows in the place of the clear ones that they were made of. @returns rows changed */
export async function replaceClear(
  db: Db,
  table: SealedTable,
  rows: readonly { row: ClearRow; sealed: Record<string, unknown> }[],
): Promise<number> {
  const named = getTableColumns(tableOf(table)) as unknown as Record<string, { name: string }>;
  const statements = rows.map(({ row, sealed }): Statement => {
    const [to, from] = [Object.entries(sealed), Object.entries(row.values)];
    const sql = `UPDATE OR IGNORE ${getTableConfig(tableOf(table)).name}
      SET ${to.map(([name]) => `${named[name]!.name} = ?`).join(", ")}
      WHERE rowid = ? AND ${from.map(([name]) => `${named[name]!.name} IS ?`).join(" AND ")}`;
    const args = [...to.map(([, value]) => value), row.rowid, ...from.map(([, value]) => value)];
    return { sql, args: args as InValue[] };
  });
  const results = await db.$client.batch(statements, "write");
  return results.reduce((sum, { rowsAffected }) => sum + rowsAffected, 0);
}
