import { and, desc, eq, isNotNull, lt, ne, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { sessions } from "./schema.ts";
import { ACCOUNT_STANDING, type Admitted, admittedOf } from "./standing.ts";
import { accountOfUser } from "./users.ts";

export type SessionRow = Omit<typeof sessions.$inferSelect, "hash">;

const VISIBLE = {
  id: sessions.id,
  userId: sessions.userId,
  createdAt: sessions.createdAt,
  lastSeenAt: sessions.lastSeenAt,
  expiresAt: sessions.expiresAt,
  provedAt: sessions.provedAt,
  secondFactor: sessions.secondFactor,
  browser: sessions.browser,
  network: sessions.network,
};

export interface AdmittedSession extends Admitted {
  sessionId: number;
  userId: number;
  /** null: the operator's staff */
  accountId: number | null;
  role: string;
  lastSeenAt: number;
  provedAt: number;
  secondFactor: boolean;
  trainingValidUntil: number | null;
  language: string;
  units: "metric" | "imperial";
  timeZone: string;
  /** Of `devices`, those that may be changed; null: all. */
  editable: readonly number[] | null;
}

export async function insertSession(db: Db, session: typeof sessions.$inferInsert): Promise<SessionRow> {
  const account = await accountOfUser(db, session.userId);
  const sealed = await db.$fields.seal("sessions", account, session);
  const rows = await db.insert(sessions).values(sealed).returning(VISIBLE);
  return (await db.$fields.open("sessions", rows, account))[0]!;
}

/** The session with this hash, who it belongs to and what that account may do, unless it is over. */
export async function sessionOfHash(db: Db, hash: string, now: number): Promise<AdmittedSession | null> {
  const limits = (more: string) =>
    `CASE u.device_limited WHEN 1 THEN (SELECT json_group_array(device_id) FROM user_devices WHERE user_id = u.id${more}) END`;
  const { rows } = await db.$client.execute({
    sql: `SELECT s.id, u.id, u.account_id, u.role, s.last_seen_at, s.proved_at, s.second_factor, u.training_valid_until,
        CASE WHEN u.account_id IS NULL THEN 'good' ELSE ${ACCOUNT_STANDING} END, ${limits("")}, ${limits(" AND may_edit = 1")},
        u.language, u.units, u.time_zone
      FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN accounts a ON a.id = u.account_id
      WHERE s.hash = ? AND s.expires_at > ? AND u.disabled_at IS NULL`,
    args: [now, now, hash, now],
  });
  const [row] = rows;
  if (row === undefined) return null;
  return {
    sessionId: row[0] as number,
    userId: row[1] as number,
    accountId: row[2] as number | null,
    role: row[3] as string,
    lastSeenAt: row[4] as number,
    provedAt: row[5] as number,
    secondFactor: row[6] === 1,
    trainingValidUntil: row[7] as number | null,
    ...admittedOf(row[8], row[9]),
    language: row[11] as string,
    units: row[12] as "metric" | "imperial",
    timeZone: row[13] as string,
    editable: row[10] === null ? null : (JSON.parse(row[10] as string) as number[]),
  };
}

/** Writes that a session was used. */
export async function markSessionSeen(db: Db, id: number, now: number): Promise<void> {
  await db.update(sessions).set({ lastSeenAt: now }).where(eq(sessions.id, id));
}

/** Writes that the person proved again who they are. */
export async function markSessionProved(db: Db, userId: number, id: number, now: number, secondFactor: boolean) {
  await db
    .update(sessions)
    .set({ provedAt: now, ...(secondFactor && { secondFactor: 1 }) })
    .where(and(eq(sessions.id, id), eq(sessions.userId, userId)));
}

/** Sessions of a user that are not over, newest first. */
export async function listSessions(db: Db, userId: number, now: number, limit: number): Promise<SessionRow[]> {
  const rows = await db
    .select(VISIBLE)
    .from(sessions)
    .where(and(eq(sessions.userId, userId), sql`${sessions.expiresAt} > ${now}`))
    .orderBy(desc(sessions.id))
    .limit(limit);
  return db.$fields.open("sessions", rows, await accountOfUser(db, userId));
}

/** @returns false when the user has no such session */
export async function deleteSession(db: Db, userId: number, id: number): Promise<boolean> {
  const gone = await db
    .delete(sessions)
    .where(and(eq(sessions.id, id), eq(sessions.userId, userId)))
    .returning({ id: sessions.id });
  return gone.length > 0;
}

/** Ends all sessions of a user. @param except one that stays, or null */
export async function deleteSessions(db: Db, userId: number, except: number | null): Promise<number> {
  const gone = await db
    .delete(sessions)
    .where(and(eq(sessions.userId, userId), except === null ? undefined : ne(sessions.id, except)))
    .returning({ id: sessions.id });
  return gone.length;
}

/** Ends the oldest sessions of a user beyond `keep`. */
export async function deleteSurplusSessions(db: Db, userId: number, keep: number): Promise<void> {
  await db.delete(sessions).where(
    sql`${sessions.userId} = ${userId} AND ${sessions.id} NOT IN (
      SELECT id FROM sessions WHERE user_id = ${userId} ORDER BY id DESC LIMIT ${keep})`,
  );
}

/** Forgets sessions that are over. @returns rows */
export async function purgeSessions(db: Db, now: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?)",
    args: [now, limit],
  });
  return rowsAffected;
}

/** Forgets the networks of sessions that began before a time. @returns rows */
export async function forgetNetworks(db: Db, before: number): Promise<number> {
  const changed = await db
    .update(sessions)
    .set({ network: null })
    .where(and(isNotNull(sessions.network), lt(sessions.createdAt, before)))
    .returning({ id: sessions.id });
  return changed.length;
}
