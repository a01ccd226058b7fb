import type { Db, Statement } from "./db.ts";
import { bytesOf } from "./db.ts";
import { LAST_BATCH } from "./inbox.ts";
import { ROWS_AN_ACCOUNT } from "./newest.ts";
import { headColumns, headOf, idsOf, SEGMENTS_A_DAY, type SegmentHead } from "./segments.ts";

// In a database with tracks: which accounts live there, and what a move copies and erases. Each statement that writes has
// a condition on the move (?1 the account, ?2 the move) in the same transaction: a mover that was slow, or is a second
// one, writes nothing where the move has gone on without it.

/** One side of a move. */
export interface Side {
  db: Db;
  main: boolean;
}

/** Tracks may be copied to there. */
export const mayCopy = ({ main }: Side): string =>
  main
    ? "EXISTS (SELECT 1 FROM placements WHERE account_id = ?1 AND id = ?2 AND state IN ('copying', 'holding'))"
    : "EXISTS (SELECT 1 FROM residents WHERE account_id = ?1 AND placement = ?2 AND state = 'coming')";

/** What was left of them there may be erased. */
const mayErase = ({ main }: Side): string =>
  main
    ? "EXISTS (SELECT 1 FROM placements WHERE account_id = ?1 AND id = ?2 AND state = 'erasing')"
    : "EXISTS (SELECT 1 FROM residents WHERE account_id = ?1 AND placement = ?2 AND state = 'leaving')";

/** What the database says that it is; null: the one with the accounts, or one that was never prepared. */
export async function residenceOf(db: Db): Promise<{ name: string; region: string } | null> {
  const { rows } = await db.$client.execute("SELECT name, region FROM residence");
  return rows[0] === undefined ? null : { name: String(rows[0][0]), region: String(rows[0][1]) };
}

async function changed({ db }: Side, statement: Statement): Promise<number> {
  return (await db.$client.execute(statement)).rowsAffected;
}

/** Lets tracks be copied to a database. */
export async function welcome(to: Side, accountId: number, move: number): Promise<void> {
  if (to.main) return;
  await changed(to, {
    sql: "INSERT INTO residents (account_id, placement, state) VALUES (?, ?, 'coming') ON CONFLICT DO NOTHING",
    args: [accountId, move],
  });
}

/** From now on a database takes nothing for an account. The one with the accounts hears it by the registry's version. */
export async function close(from: Side, accountId: number, move: number): Promise<void> {
  if (from.main) return;
  await changed(from, {
    sql: "UPDATE residents SET state = 'leaving', placement = ?2 WHERE account_id = ?1 AND placement <= ?2",
    args: [accountId, move],
  });
}

/** Takes that back. */
export async function reopen(from: Side, accountId: number, move: number): Promise<void> {
  if (from.main) return;
  await changed(from, {
    sql: "UPDATE residents SET state = 'here' WHERE account_id = ? AND placement = ? AND state = 'leaving'",
    args: [accountId, move],
  });
}

/** From now on a database takes what is new of an account, and no copies any more. */
export async function settleIn(to: Side, accountId: number, move: number): Promise<void> {
  if (to.main) return;
  await changed(to, {
    sql: "UPDATE residents SET state = 'here' WHERE account_id = ? AND placement = ? AND state = 'coming'",
    args: [accountId, move],
  });
}

/** Forgets that the account lived there. */
export async function forget(from: Side, accountId: number, move: number): Promise<void> {
  if (from.main) return;
  await changed(from, {
    sql: "DELETE FROM residents WHERE account_id = ? AND placement = ? AND state = 'leaving'",
    args: [accountId, move],
  });
}

const [FROM, TO] = idsOf(1);

/** The days (segment id / SEGMENTS_A_DAY) of which these devices have segments. */
export async function daysOfDevices({ db }: Side, deviceIds: readonly number[]): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT DISTINCT s.id / ${SEGMENTS_A_DAY} FROM json_each(?) j CROSS JOIN segments s
      ON s.id >= j.value * ${TO - FROM} AND s.id < (j.value + 1) * ${TO - FROM}`,
    args: [JSON.stringify(deviceIds)],
  });
  return rows.map((row) => Number(row[0]));
}

/** The days of which something of the account came after a position's id. */
export async function daysSince({ db }: Side, accountId: number, after: number): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT DISTINCT id / ${SEGMENTS_A_DAY} FROM segments WHERE account_id = ? AND last_id > ?`,
    args: [accountId, after],
  });
  return rows.map((row) => Number(row[0]));
}

/** The highest device of an account that has segments there; 0: none. */
export async function lastDevice({ db }: Side, accountId: number): Promise<number> {
  const { rows } = await db.$client.execute({
    sql: "SELECT coalesce(max(device_id), 0) FROM segments WHERE account_id = ?",
    args: [accountId],
  });
  return Number(rows[0]![0]);
}

/** The segments of an account of some days, without their positions. */
export async function headsOfDays({ db }: Side, accountId: number, days: readonly number[]): Promise<SegmentHead[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT ${headColumns} FROM json_each(?) j CROSS JOIN segments s
      ON s.id >= j.value * ${SEGMENTS_A_DAY} AND s.id < (j.value + 1) * ${SEGMENTS_A_DAY} WHERE s.account_id = ?`,
    args: [JSON.stringify(days), accountId],
  });
  return rows.map((row) => headOf(row));
}

/** Deletes copies of segments that are not at the source any more. @param condition of the same transaction */
export function deleteCopiesStatement(ids: readonly number[], condition: string, args: readonly [number, number]) {
  return {
    sql: `DELETE FROM segments WHERE id IN (SELECT value FROM json_each(?3)) AND ${condition}`,
    args: [...args, JSON.stringify(ids)],
  };
}

/** No two ids of one segment lie further apart than `span`: reads of the feed count on it. */
export function spanStatement(span: number): Statement {
  return { sql: "UPDATE settlement SET span = max(span, ?1) WHERE span < ?1", args: [span] };
}

/** Some of the rows of newest fixes of an account, by id. */
export async function newestRowsOf(
  { db }: Side,
  accountId: number,
  after: number,
  limit: number,
): Promise<{ id: number; accountId: number; fixes: Uint8Array }[]> {
  const first = Math.max(after + 1, accountId * ROWS_AN_ACCOUNT);
  const { rows } = await db.$client.execute({
    sql: "SELECT id, fixes FROM newest WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
    args: [first, (accountId + 1) * ROWS_AN_ACCOUNT, limit],
  });
  return rows.map((row) => ({ id: Number(row[0]), accountId, fixes: bytesOf(row[1]) }));
}

/** Deletes copies of rows of newest fixes that are not at the source any more. */
export function deleteOtherNewestStatement(
  accountId: number,
  ids: readonly number[],
  condition: string,
  args: readonly [number, number],
): Statement {
  return {
    sql: `DELETE FROM newest WHERE id >= ?3 AND id < ?4 AND id NOT IN (SELECT value FROM json_each(?5)) AND ${condition}`,
    args: [...args, accountId * ROWS_AN_ACCOUNT, (accountId + 1) * ROWS_AN_ACCOUNT, JSON.stringify(ids)],
  };
}

/** Makes the next batch of an inbox have an id above this one. Ids of positions are made of these. */
export async function raiseBatches({ db }: Side, batch: number): Promise<void> {
  await db.$client.batch(
    [
      {
        sql: "UPDATE settlement SET merged = ?1 WHERE merged < ?1 AND NOT EXISTS (SELECT 1 FROM inbox WHERE id > merged)",
        args: [batch],
      },
      // While others wait, with a batch that has nothing in it.
      {
        sql: `INSERT INTO inbox (id, positions, received_at, kid, nonce, shift, directory, chunks)
          SELECT ?1, 0, 0, 0, zeroblob(8), 8, '', x'' WHERE ?1 > ${LAST_BATCH}`,
        args: [batch],
      },
    ],
    "write",
  );
}

/** Erases at most `limit` rows of each kind of what a move left at its source. @returns rows */
export async function eraseLeft(from: Side, accountId: number, move: number, limit: number): Promise<number> {
  const args = [accountId, move, limit];
  const rows = (table: string) =>
    `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE account_id = ?1 LIMIT ?3) AND ${mayErase(from)}`;
  const newest = `DELETE FROM newest WHERE id IN (SELECT id FROM newest
    WHERE id >= ?1 * ${ROWS_AN_ACCOUNT} AND id < (?1 + 1) * ${ROWS_AN_ACCOUNT} LIMIT ?3) AND ${mayErase(from)}`;
  const results = await from.db.$client.batch(
    [
      { sql: rows("segments"), args },
      { sql: rows("wrapped_secrets"), args },
      { sql: newest, args },
    ],
    "write",
  );
  return results.reduce((sum, { rowsAffected }) => sum + rowsAffected, 0);
}
