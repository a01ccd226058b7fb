import type { InValue } from "@libsql/client";
import { getTableColumns } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { bytesOf, type Db } from "./db.ts";
import * as schema from "./schema.ts";
import { SEALED, type SealedTable } from "./sealed.ts";

// What is sealed under an account's own secret, wherever it is. The statements are put together from names of the schema,
// never from input.

const TABLES = schema as unknown as { readonly [T in SealedTable]: (typeof schema)[T] };
const sqlName = (table: SealedTable) => getTableConfig(TABLES[table]).name;
const columnsIn = (table: SealedTable) => getTableColumns(TABLES[table]) as unknown as Record<string, { name: string }>;

export interface SealedRow {
  rowid: number;
  /** By column as schema.ts names it; what is empty is left out. */
  values: Record<string, string | Uint8Array>;
}

/** The next rows of an account in a table with sealed columns. */
export async function sealedRows(
  db: Db,
  table: SealedTable,
  accountId: number,
  after: number,
  limit: number,
): Promise<SealedRow[]> {
  const names = Object.keys(SEALED[table].columns);
  const columns = names.map((name) => columnsIn(table)[name]!.name);
  const { rows } = await db.$client.execute({
    sql: `SELECT rowid, ${columns.join(", ")} FROM ${sqlName(table)}
      WHERE rowid > ? AND ${SEALED[table].account} = ? ORDER BY rowid LIMIT ?`,
    args: [after, accountId, limit],
  });
  return rows.map((row) => {
    const values: SealedRow["values"] = {};
    for (const [i, name] of names.entries()) {
      const value = row[i + 1];
      if (value !== null) values[name] = typeof value === "string" ? value : bytesOf(value);
    }
    return { rowid: Number(row[0]), values };
  });
}

/** Puts values in the place of those that were read, unless somebody changed one. */
export async function replaceRow(
  db: Db,
  table: SealedTable,
  { rowid, values }: SealedRow,
  anew: Record<string, unknown>,
): Promise<boolean> {
  const named = columnsIn(table);
  const [to, from] = [Object.entries(anew), Object.entries(values)];
  if (to.length === 0) return false;
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE ${sqlName(table)} SET ${to.map(([name]) => `${named[name]!.name} = ?`).join(", ")}
      WHERE rowid = ? AND ${from.map(([name]) => `${named[name]!.name} IS ?`).join(" AND ")}`,
    args: [...to.map(([, value]) => value), rowid, ...from.map(([, value]) => value)] as InValue[],
  });
  return rowsAffected === 1;
}

/** What links and waiting mails of an account's people stand for. */
export interface SealedText {
  kind: "tokens" | "mails";
  id: number;
  /** What it is bound to when it is sealed: src/tokens.ts, src/mail.ts. */
  bound: string;
  sealed: string;
}

export async function sealedTexts(db: Db, accountId: number): Promise<SealedText[]> {
  const people = "SELECT id FROM users WHERE account_id = ?1";
  const { rows } = await db.$client.execute({
    sql: `SELECT 'tokens', id, hash, sealed FROM tokens WHERE sealed IS NOT NULL AND user_id IN (${people})
      UNION ALL SELECT 'mails', id, kind, sealed FROM mails WHERE user_id IN (${people})`,
    args: [accountId],
  });
  return rows.map((row) => ({
    kind: row[0] as SealedText["kind"],
    id: Number(row[1]),
    bound: String(row[2]),
    sealed: String(row[3]),
  }));
}

export async function replaceText(
  db: Db,
  kind: SealedText["kind"],
  id: number,
  from: string,
  to: string,
): Promise<void> {
  const sql = `UPDATE ${kind} SET sealed = ?3 WHERE id = ?1 AND sealed = ?2`;
  await db.$client.execute({ sql, args: [id, from, to] });
}
