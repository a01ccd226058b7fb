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

const PEOPLE = "SELECT id FROM users WHERE account_id = ?1";
/** By an index, where the account of a row is not a column of it, or no index begins with that. */
const WHERE: { readonly [T in SealedTable]?: string } = {
  sessions: `user_id IN (${PEOPLE})`,
  passkeys: `user_id IN (${PEOPLE})`,
  searches: `user_id IN (${PEOPLE})`,
  commands: "device_id IN (SELECT id FROM devices WHERE account_id = ?1)",
};

/** The rows of an account in a table with sealed columns, by number; none of what is no account's. */
export async function sealedIds(db: Db, table: SealedTable, accountId: number): Promise<number[]> {
  const { account } = SEALED[table];
  if (account === "NULL") return [];
  const { rows } = await db.$client.execute({
    sql: `SELECT rowid FROM ${sqlName(table)} WHERE ${WHERE[table] ?? `${account} = ?1`}`,
    args: [accountId],
  });
  return rows.map((row) => Number(row[0])).sort((a, b) => a - b);
}

/** Those of these rows that are there and the account's yet. */
export async function sealedRows(
  db: Db,
  table: SealedTable,
  accountId: number,
  ids: readonly number[],
): Promise<SealedRow[]> {
  const names = Object.keys(SEALED[table].columns);
  const columns = names.map((name) => columnsIn(table)[name]!.name);
  const { rows } = await db.$client.execute({
    sql: `SELECT rowid, ${columns.join(", ")} FROM ${sqlName(table)}
      WHERE rowid IN (SELECT value FROM json_each(?)) AND ${SEALED[table].account} = ? ORDER BY rowid`,
    args: [JSON.stringify(ids), accountId],
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

/** Puts values in the place of those that were read, unless somebody changed one. @returns rows that were changed */
export async function replaceRows(
  db: Db,
  table: SealedTable,
  rows: readonly { row: SealedRow; anew: Readonly<Record<string, unknown>> }[],
): Promise<number> {
  const named = columnsIn(table);
  const statements = rows.flatMap(({ row: { rowid, values }, anew }) => {
    const [to, from] = [Object.entries(anew), Object.entries(values)];
    if (to.length === 0) return [];
    const set = to.map(([name]) => `${named[name]!.name} = ?`).join(", ");
    const was = from.map(([name]) => ` AND ${named[name]!.name} IS ?`).join("");
    return {
      sql: `UPDATE ${sqlName(table)} SET ${set} WHERE rowid = ?${was}`,
      args: [...to.map(([, value]) => value), rowid, ...from.map(([, value]) => value)] as InValue[],
    };
  });
  if (statements.length === 0) return 0;
  const results = await db.$client.batch(statements, "write");
  return results.reduce((sum, { rowsAffected }) => sum + rowsAffected, 0);
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
