import { and, desc, eq, isNull, lt, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { type looks, supportWindows } from "./schema.ts";

export type WindowRow = typeof supportWindows.$inferSelect;

/** What the operator read: the newest position of each device, a device's track, or what is kept for a legal reason. */
export type Look = "latest" | "track" | "held";

export interface LookRow {
  id: number;
  /** 0: none was needed, as a law or an order let them. */
  windowId: number;
  actor: "admin_token" | "staff";
  staffId: number | null;
  /** What the staff member's role is now; null when they are gone. */
  staffRole: string | null;
  /** null: all devices */
  deviceId: number | null;
  what: Look;
  /** Unix ms */
  at: number;
}

const OPEN = "account_id = ? AND closed_at IS NULL AND expires_at > ?";

/** @returns null when one is open already */
export async function insertWindow(
  db: Db,
  accountId: number,
  { openedBy, openedAt, expiresAt }: Pick<WindowRow, "openedBy" | "openedAt" | "expiresAt">,
): Promise<number | null> {
  const { rows } = await db.$client.execute({
    sql: `INSERT INTO support_windows (account_id, opened_by, opened_at, expires_at)
      SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM support_windows WHERE ${OPEN}) RETURNING id`,
    args: [accountId, openedBy, openedAt, expiresAt, accountId, openedAt],
  });
  return (rows[0]?.[0] as number | undefined) ?? null;
}

export async function windowById(db: Db, accountId: number, id: number): Promise<WindowRow | null> {
  const [row] = await db
    .select()
    .from(supportWindows)
    .where(and(eq(supportWindows.accountId, accountId), eq(supportWindows.id, id)));
  return row ?? null;
}

/** Newest first. @param before the last id of the page before */
export function listWindows(db: Db, accountId: number, before: number, limit: number): Promise<WindowRow[]> {
  return db
    .select()
    .from(supportWindows)
    .where(and(eq(supportWindows.accountId, accountId), lt(supportWindows.id, before)))
    .orderBy(desc(supportWindows.id))
    .limit(limit);
}

/** @returns false when it was closed already, or is over */
export async function closeWindow(db: Db, accountId: number, id: number, now: number): Promise<boolean> {
  const closed = await db
    .update(supportWindows)
    .set({ closedAt: now })
    .where(
      and(
        eq(supportWindows.id, id),
        eq(supportWindows.accountId, accountId),
        isNull(supportWindows.closedAt),
        sql`${supportWindows.expiresAt} > ${now}`,
      ),
    )
    .returning({ id: supportWindows.id });
  return closed.length > 0;
}

/** Writes a look down, if a window of the account is open: one statement, so that there is no look without its row. */
export async function insertLook(
  db: Db,
  accountId: number,
  { actor, staffId, deviceId, what, at }: Omit<typeof looks.$inferInsert, "id" | "accountId" | "windowId">,
): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `INSERT INTO looks (account_id, window_id, actor, staff_id, device_id, what, at)
      SELECT account_id, id, ?, ?, ?, ?, ? FROM support_windows WHERE ${OPEN} AND opened_at <= ? ORDER BY id DESC LIMIT 1`,
    args: [actor, staffId ?? null, deviceId ?? null, what, at, accountId, at, at],
  });
  return rowsAffected === 1;
}

/** Writes down that staff read what is kept of an account, if it is there to be told. */
export async function insertHeldLook(db: Db, accountId: number, staffId: number, at: number): Promise<void> {
  await db.$client.execute({
    sql: `INSERT INTO looks (account_id, window_id, actor, staff_id, what, at)
      SELECT id, 0, 'staff', ?2, 'held', ?3 FROM accounts WHERE id = ?1`,
    args: [accountId, staffId, at],
  });
}

/** Newest first. @param devices whose looks are shown, beside those at all devices; null: every device's */
export async function listLooks(
  db: Db,
  { accountId, devices }: { accountId: number; devices: readonly number[] | null },
  before: number,
  limit: number,
): Promise<LookRow[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT l.id, l.window_id, l.actor, l.staff_id, u.role, l.device_id, l.what, l.at
      FROM looks l LEFT JOIN users u ON u.id = l.staff_id AND u.account_id IS NULL
      WHERE l.account_id = ? AND l.id < ?
        AND (? IS NULL OR l.device_id IS NULL OR l.device_id IN (SELECT value FROM json_each(?)))
      ORDER BY l.id DESC LIMIT ?`,
    args: [accountId, before, devices === null ? null : 1, devices === null ? "[]" : JSON.stringify(devices), limit],
  });
  return rows.map((row) => ({
    id: row[0] as number,
    windowId: row[1] as number,
    actor: row[2] as LookRow["actor"],
    staffId: row[3] as number | null,
    staffRole: row[4] as string | null,
    deviceId: row[5] as number | null,
    what: row[6] as Look,
    at: row[7] as number,
  }));
}
