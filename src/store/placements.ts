import { and, asc, desc, eq, ne } from "drizzle-orm";
import type { Db } from "./db.ts";
import { placements } from "./schema.ts";

// In the database with the accounts: where the tracks of each are, and the moves of them. migrations/0007_regions.sql
// says what the states mean. Every change names the state that it expects, so that of two movers one does nothing.

export type PlacementRow = typeof placements.$inferSelect;

/** The database with an account's tracks; null: this one. */
export async function databaseOf(db: Db, accountId: number): Promise<string | null> {
  const { rows } = await db.$client.execute({ sql: "SELECT telemetry FROM accounts WHERE id = ?", args: [accountId] });
  return rows[0] === undefined || rows[0][0] === null ? null : String(rows[0][0]);
}

/** How far the move of an account's tracks is; null: there is none under way. */
export async function moveOf(db: Db, accountId: number): Promise<PlacementRow["state"] | null> {
  const { rows } = await db.$client.execute({
    sql: "SELECT state FROM placements WHERE account_id = ? AND state <> 'done'",
    args: [accountId],
  });
  return rows[0] === undefined ? null : (String(rows[0][0]) as PlacementRow["state"]);
}

/**
 * Begins a move.
 * @returns null when the account is not where it was thought to be, or is being moved already
 */
export async function insertPlacement(
  db: Db,
  row: Pick<
    PlacementRow,
    "accountId" | "fromDatabase" | "fromRegion" | "toDatabase" | "toRegion" | "actor" | "actorId" | "reason" | "at"
  >,
): Promise<PlacementRow | null> {
  const { reason } = await db.$fields.seal("placements", row.accountId, { reason: row.reason });
  const { rows } = await db.$client.execute({
    sql: `INSERT INTO placements (account_id, from_database, from_region, to_database, to_region, actor, actor_id, reason, at, state)
      SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, 'copying' WHERE EXISTS (
        SELECT 1 FROM accounts a WHERE a.id = ? AND coalesce(a.telemetry, 'main') = ?)
      ON CONFLICT DO NOTHING RETURNING id`,
    args: [
      row.accountId,
      row.fromDatabase,
      row.fromRegion,
      row.toDatabase,
      row.toRegion,
      row.actor,
      row.actorId,
      reason,
      row.at,
      row.accountId,
      row.fromDatabase,
    ],
  });
  return rows[0] === undefined ? null : placementById(db, Number(rows[0][0]));
}

const opened = (db: Db, rows: readonly PlacementRow[]) => db.$fields.open("placements", rows, (row) => row.accountId);

export async function placementById(db: Db, id: number): Promise<PlacementRow | null> {
  return (await opened(db, await db.select().from(placements).where(eq(placements.id, id))))[0] ?? null;
}

/** Moves that are not over, the oldest first. Their reasons stay sealed. */
export function openPlacements(db: Db, limit: number): Promise<PlacementRow[]> {
  return db.select().from(placements).where(ne(placements.state, "done")).orderBy(asc(placements.id)).limit(limit);
}

/** Every placement of an account, the newest first. */
export async function placementsOf(db: Db, accountId: number, limit: number): Promise<PlacementRow[]> {
  const rows = await db
    .select()
    .from(placements)
    .where(eq(placements.accountId, accountId))
    .orderBy(desc(placements.id))
    .limit(limit);
  return opened(db, rows);
}

/** Takes a move from one state to another. @returns false when it is in a third one */
export async function changePlacement(
  db: Db,
  id: number,
  from: PlacementRow["state"],
  change: Partial<Pick<PlacementRow, "state" | "copiedId" | "finishedAt">>,
): Promise<boolean> {
  const changed = await db
    .update(placements)
    .set(change)
    .where(and(eq(placements.id, id), eq(placements.state, from)))
    .returning({ id: placements.id });
  return changed.length > 0;
}

/**
 * The moment of a move: from now on everything new goes to the other database, and is read there. That the account's
 * devices are sealed as their periods have it is looked at once more, as that may have changed while they were copied.
 * @returns false when it is not holding any more
 */
export async function switchPlacement(db: Db, { id, accountId, toDatabase }: PlacementRow, now: number) {
  const holding = "EXISTS (SELECT 1 FROM placements WHERE id = ? AND state = 'holding')";
  const [switched] = await db.$client.batch(
    [
      {
        sql: `UPDATE accounts SET telemetry = ? WHERE id = ? AND ${holding}`,
        args: [toDatabase === "main" ? null : toDatabase, accountId, id],
      },
      { sql: `UPDATE devices SET rescoped_at = ? WHERE account_id = ? AND ${holding}`, args: [now, accountId, id] },
      {
        sql: "UPDATE placements SET state = 'erasing', switched_at = ? WHERE id = ? AND state = 'holding'",
        args: [now, id],
      },
    ],
    "write",
  );
  return switched!.rowsAffected === 1;
}

/** Devices of an account that are not being removed, by id. */
export async function devicesToMove(db: Db, accountId: number): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT id FROM devices WHERE account_id = ? AND deleting_at IS NULL ORDER BY id",
    args: [accountId],
  });
  return rows.map((row) => Number(row[0]));
}

/** Whether positions of an account wait to be put into segments that an earlier version stored row by row. */
export async function hasPlainRows(db: Db, accountId: number): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: "SELECT 1 FROM devices d WHERE d.account_id = ? AND EXISTS (SELECT 1 FROM positions p WHERE p.device_id = d.id)",
    args: [accountId],
  });
  return rows.length > 0;
}
