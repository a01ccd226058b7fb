import { getTableColumns } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { bytesOf, type Db, type Statement } from "./db.ts";
import type { LedgerRow } from "./ledger.ts";
import { ROWS_AN_ACCOUNT } from "./newest.ts";
import type { RequestState } from "./schema.ts";
import * as schema from "./schema.ts";
import { SEALED, type SealedTable } from "./sealed.ts";

// What src/restore.ts needs of a database that was put back as it was some time ago.

/** The next accounts that something in this database is of, by number. @param main accounts are in it */
export async function accountsHere(db: Db, main: boolean, after: number, limit: number): Promise<number[]> {
  // From one account to the next by the index, whatever each of them has.
  const each = (table: string) => `SELECT min(account_id) FROM ${table} WHERE account_id > ?1`;
  const walk = (name: string, table: string) => `${name} (id) AS (${each(table)} UNION ALL
      SELECT (SELECT min(t.account_id) FROM ${table} t WHERE t.account_id > ${name}.id) FROM ${name} WHERE id IS NOT NULL LIMIT ?2)`;
  const { rows } = await db.$client.execute({
    sql: `WITH RECURSIVE ${walk("s", "segments")}, ${walk("w", "wrapped_secrets")},
        n (id) AS (SELECT min(id) / ${ROWS_AN_ACCOUNT} FROM newest WHERE id >= (?1 + 1) * ${ROWS_AN_ACCOUNT} UNION ALL
          SELECT (SELECT min(t.id) / ${ROWS_AN_ACCOUNT} FROM newest t WHERE t.id >= (n.id + 1) * ${ROWS_AN_ACCOUNT}) FROM n WHERE id IS NOT NULL LIMIT ?2)
      SELECT id FROM s WHERE id IS NOT NULL UNION SELECT id FROM w WHERE id IS NOT NULL
      UNION SELECT id FROM n WHERE id IS NOT NULL
      ${main ? "UNION SELECT id FROM (SELECT id FROM accounts WHERE id > ?1 ORDER BY id LIMIT ?2)" : ""}
      ORDER BY 1 LIMIT ?2`,
    args: [after, limit],
  });
  return rows.map((row) => Number(row[0]));
}

/** Of some devices those that are still an account's. */
export async function devicesHere(db: Db, accountId: number, devices: readonly number[]): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT id FROM devices WHERE account_id = ? AND id IN (SELECT value FROM json_each(?)) ORDER BY id",
    args: [accountId, JSON.stringify(devices)],
  });
  return rows.map((row) => Number(row[0]));
}

/** Ids of the keys that an account's segments are sealed under. */
export async function segmentKids(db: Db, accountId: number): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT day_kid FROM segments WHERE account_id = ?1 UNION SELECT device_kid FROM segments WHERE account_id = ?1",
    args: [accountId],
  });
  return rows.map((row) => Number(row[0]));
}

/**
 * Deletes segments that are sealed under one of these keys.
 * @param kept "day device" of those that open to a key of the customer yet
 * @returns segments
 */
export async function deleteSegmentsUnder(
  db: Db,
  accountId: number,
  kids: readonly number[],
  kept: readonly string[],
  limit: number,
): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: `DELETE FROM segments WHERE id IN (SELECT id FROM segments WHERE account_id = ?1
      AND (day_kid IN (SELECT value FROM json_each(?2)) OR device_kid IN (SELECT value FROM json_each(?2)))
      AND NOT (customer_kid IS NOT NULL AND day_kid || ' ' || device_kid IN (SELECT value FROM json_each(?3))) LIMIT ?4)`,
    args: [accountId, JSON.stringify(kids), JSON.stringify(kept), limit],
  });
  return rowsAffected;
}

/** The rows of newest fixes of an account. */
export async function newestOf(db: Db, accountId: number): Promise<{ id: number; fixes: Uint8Array }[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT id, fixes FROM newest WHERE id >= ? AND id < ?",
    args: [accountId * ROWS_AN_ACCOUNT, (accountId + 1) * ROWS_AN_ACCOUNT],
  });
  return rows.map((row) => ({ id: Number(row[0]), fixes: bytesOf(row[1]) }));
}

/** Numbers that were given out since must not be given out again: what is known of them in the key store is theirs. */
export async function raiseSequences(
  db: Db,
  least: { accounts: number; devices: number; users?: number },
): Promise<void> {
  await db.$client.batch(
    Object.entries(least).flatMap(([table, seq]): Statement[] => [
      {
        sql: `INSERT INTO sqlite_sequence (name, seq) SELECT ?1, 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)`,
        args: [table],
      },
      { sql: "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1 AND seq < ?2", args: [table, seq] },
    ]),
    "write",
  );
}

/** Says of a request that it is over, unless it is known. */
export async function endRequest(db: Db, name: string, state: RequestState, at: number): Promise<void> {
  await db.$client.execute({
    sql: `UPDATE requests SET state = ?2, closed_at = ?3, hash = NULL, counts_at = NULL, holder = 0, held_until = 0
      WHERE name = ?1 AND closed_at IS NULL`,
    args: [name, state, at],
  });
}

/** Tables whose rows mean something without what was sealed in them; a row of any other goes with it. */
const STAYS: ReadonlySet<SealedTable> = new Set([
  "accounts",
  "users",
  "devices",
  "deviceGroups",
  "apiKeys",
  "passkeys",
  "activations",
]);

/** What is to become of a row in which these columns do not open: those that may are emptied. */
export function whatToEmpty(
  table: SealedTable,
  columns: readonly string[],
): { empty: string[]; fill: string[] } | "delete" {
  const named = getTableColumns((schema as never)[table]) as Record<string, { notNull: boolean }>;
  const fill = columns.filter((column) => named[column]!.notNull);
  if (fill.length > 0 && !STAYS.has(table)) return "delete";
  return { empty: columns.filter((column) => !named[column]!.notNull), fill };
}

export async function deleteSealedRow(db: Db, table: SealedTable, rowid: number): Promise<void> {
  const { name } = getTableConfig((schema as never)[table]);
  await db.$client.execute({ sql: `DELETE FROM ${name} WHERE rowid = ?`, args: [rowid] });
}

/** Blind indexes of emptied columns go with them where they may. */
export const indexesOf = (table: SealedTable, columns: readonly string[]): string[] =>
  columns.flatMap((column) => {
    const of = (SEALED[table].columns as Record<string, { index?: string }>)[column];
    const named = getTableColumns((schema as never)[table]) as Record<string, { notNull: boolean }>;
    return of?.index !== undefined && named[`${column}Index`]?.notNull === false ? [`${column}Index`] : [];
  });

export async function deleteText(db: Db, kind: "tokens" | "mails", id: number): Promise<void> {
  await db.$client.execute({ sql: `DELETE FROM ${kind} WHERE id = ?`, args: [id] });
}

/** How far a replay is, in a row of `settings` that has a name that no setting can have. It is restored with the rest. */
const PROGRESS = "replay ledger";
/** In a database with tracks: the ledger as it was when this database was last known to hold nothing that was erased. */
const MARK = "ledger size";

export const readProgress = (db: Db): Promise<string | null> => readRow(db, PROGRESS);
export const writeProgress = (db: Db, value: string, now: number): Promise<void> => writeRow(db, PROGRESS, value, now);
export const readMark = async (db: Db, name = ""): Promise<number> =>
  Number((await readRow(db, `${MARK}${name}`)) ?? 0);
/** Marks only rise: several may tell it at once. */
export async function writeMark(db: Db, size: number, now: number, name = ""): Promise<void> {
  await db.$client.execute({
    sql: `INSERT INTO settings (name, value, updated_at) VALUES (?, ?, ?)
      ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
      WHERE CAST(excluded.value AS INTEGER) > CAST(value AS INTEGER)`,
    args: [`${MARK}${name}`, String(size), now],
  });
}

async function readRow(db: Db, name: string): Promise<string | null> {
  const { rows } = await db.$client.execute({ sql: "SELECT value FROM settings WHERE name = ?", args: [name] });
  return rows[0] === undefined ? null : String(rows[0][0]);
}

async function writeRow(db: Db, name: string, value: string, now: number): Promise<void> {
  await db.$client.execute({
    sql: `INSERT INTO settings (name, value, updated_at) VALUES (?, ?, ?)
      ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
    args: [name, value, now],
  });
}

/** Puts entries back, each after the one before it. With `last` the replay is over, and forgotten. */
export async function putBack(db: Db, entries: readonly LedgerRow[], last: boolean): Promise<void> {
  await db.$client.batch(
    [
      ...entries.map(({ seq, at, type, entry, hash }) => ({
        sql: `INSERT INTO ledger (seq, at, type, entry, hash)
          SELECT ?, ?, ?, ?, ? WHERE (SELECT coalesce(max(seq), 0) FROM ledger) = ?`,
        args: [seq, at, type, entry, hash, seq - 1],
      })),
      ...(last ? [{ sql: "DELETE FROM settings WHERE name = ?", args: [PROGRESS] }] : []),
    ],
    "write",
  );
}

/** Forgets entries of a time that was undone, and the heads over them. @returns entries */
export async function forgetEntries(db: Db, from: number): Promise<number> {
  const results = await db.$client.batch(
    [
      { sql: "DELETE FROM ledger_heads WHERE size >= ?", args: [from] },
      { sql: "DELETE FROM ledger WHERE seq >= ?", args: [from] },
    ],
    "write",
  );
  return results[1]!.rowsAffected;
}
