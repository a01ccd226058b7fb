import { and, desc, eq, gt, isNotNull, isNull, lt, lte, ne, sql } from "drizzle-orm";
import type { Db, Statement } from "./db.ts";
import { type IDENTITY_LEVELS, type RequestType, receipts, requests } from "./schema.ts";
import { liftWithRequestStatement, suspendStatement } from "./suspensions.ts";

export type RequestRow = typeof requests.$inferSelect;
export type IdentityLevel = (typeof IDENTITY_LEVELS)[number];

/** What is known of a request as it comes. */
export interface NewRequest {
  /** 128 random bits, base64url */
  name: string;
  type: RequestType;
  level: IdentityLevel;
  accountId: number;
  userId: number | null;
  /** JSON of an ErasureScope */
  scope: string;
  receivedAt: number;
  /** Since when the staff can decide whose it is. */
  evidenceAt?: number;
}

/** A scope that is the same whoever of the account asks for it. */
const SHARED = "('account', 'devices', 'range', 'tracks')";

/** A restriction is carried out at once: asked for twice is one that has not been lifted. */
const STILL_IN_FORCE = `d.type = 'restrict' AND EXISTS (SELECT 1 FROM suspensions s WHERE s.request_id = d.id)
  AND NOT EXISTS (SELECT 1 FROM suspensions s WHERE s.request_id = d.id AND s.lifted_at IS NOT NULL)`;

/** An open request for the same, of the row `r` or of these values. Of a correction the values are others each time. */
const same = (type: string, account: string, user: string, scope: string) =>
  `(d.closed_at IS NULL OR ${STILL_IN_FORCE}) AND d.state NOT IN ('identity_pending', 'partially_cleared') AND d.type <> 'correct' AND d.type = ${type} AND d.account_id = ${account}
    AND d.scope = ${scope} AND (d.user_id IS ${user} OR json_extract(d.scope, '$.kind') IN ${SHARED})`;

/** The name of an open request for the same; null: there is none. */
export async function openRequest(
  db: Db,
  { type, accountId, userId, scope }: Pick<NewRequest, "type" | "accountId" | "userId" | "scope">,
): Promise<string | null> {
  const { rows } = await db.$client.execute({
    sql: `SELECT d.name FROM requests d WHERE ${same("?1", "?2", "?3", "?4")} LIMIT 1`,
    args: [type, accountId, userId, scope],
  });
  return (rows[0]?.[0] as string | undefined) ?? null;
}

/**
 * Writes a request down; it counts only when it is verified.
 * @param day how many of a type one person may make, and since when they are counted. What a stranger asked for with
 *   their address is not theirs: it must not use up their day
 * @returns its id; null: this person has made too many
 */
export async function insertRequest(
  db: Db,
  { name, type, level, accountId, userId, scope, receivedAt, evidenceAt }: NewRequest,
  day: { since: number; limit: number },
): Promise<number | null> {
  const { rows } = await db.$client.execute({
    sql: `INSERT INTO requests (name, type, state, level, account_id, user_id, scope, received_at, evidence_at)
      SELECT ?1, ?2, 'identity_pending', ?3, ?4, ?5, ?6, ?7, ?8
      WHERE ?5 IS NULL OR (SELECT count(*) FROM requests
        WHERE account_id = ?4 AND user_id = ?5 AND type = ?2 AND level = 'V0' AND received_at > ?9) < ?10
      RETURNING id`,
    args: [name, type, level, accountId, userId, scope, receivedAt, evidenceAt ?? null, day.since, day.limit],
  });
  return (rows[0]?.[0] as number | undefined) ?? null;
}

/** Takes back what was written down and could not go on. */
export async function dropPending(db: Db, id: number): Promise<void> {
  await db.delete(requests).where(and(eq(requests.id, id), eq(requests.state, "identity_pending")));
}

/** When the oldest of those was made that count against this person's day. */
export async function firstOfDay(
  db: Db,
  { accountId, userId, type }: { accountId: number; userId: number; type: RequestType },
  since: number,
): Promise<number | null> {
  const { rows } = await db.$client.execute({
    sql: `SELECT min(received_at) FROM requests
      WHERE account_id = ? AND user_id = ? AND type = ? AND level = 'V0' AND received_at > ?`,
    args: [accountId, userId, type, since],
  });
  return (rows[0]?.[0] as number | null | undefined) ?? null;
}

export interface Verification {
  level: IdentityLevel;
  verifiedAt: number;
  deadline: number;
  calendar: string;
  uncertain: boolean;
}

/**
 * Says that it is known who asks: from now on it is carried out, and what a restriction or an objection is about is
 * suspended with it.
 * @returns false when it is no longer pending, or somebody asked for the same meanwhile
 */
export async function verifyRequest(
  db: Db,
  id: number,
  { level, verifiedAt, deadline, calendar, uncertain }: Verification,
): Promise<boolean> {
  const verified = {
    sql: `UPDATE requests AS r SET state = 'verified', level = ?2, verified_at = ?3, deadline = ?4, calendar = ?5,
        uncertain = ?6, alarmed = 0, counts_at = NULL
      WHERE id = ?1 AND state = 'identity_pending' AND closed_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM requests d WHERE ${same("r.type", "r.account_id", "r.user_id", "r.scope")})`,
    args: [id, level, verifiedAt, deadline, calendar, uncertain ? 1 : 0],
  };
  const [done] = await db.$client.batch([verified, suspendStatement("id", id)], "write");
  return done!.rowsAffected === 1;
}

// Corrections that nobody asked for by right: the platform's own requests, which only its engine sees.

const isOwn = sql`(${requests.type} = 'correct' AND ${requests.userId} IS NULL)`;
const isAsked = sql`NOT ${isOwn}`;

const OWN = "account_id = ?1 AND type = 'correct' AND user_id IS NULL AND closed_at IS NULL AND state = 'verified'";

/** Whether one is to be carried out later than a time. */
export async function hasOwnCorrection(db: Db, accountId: number, laterThan: number): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: `SELECT 1 FROM requests WHERE ${OWN} AND due_at > ?2 LIMIT 1`,
    args: [accountId, laterThan],
  });
  return rows.length > 0;
}

/** Writes one down, to be carried out at `dueAt`, unless there is one for then or later; none for an account that is frozen. */
export async function insertOwnCorrection(
  db: Db,
  accountId: number,
  own: { name: string; now: number; dueAt: number; deadline: number; calendar: string; uncertain: boolean },
): Promise<void> {
  await db.$client.execute({
    sql: `INSERT INTO requests (name, type, state, account_id, scope, received_at, verified_at, due_at, deadline, calendar, uncertain)
      SELECT ?3, 'correct', 'verified', id, '{"kind":"fields","fields":[]}', ?4, ?4, ?2, ?5, ?6, ?7 FROM accounts
      WHERE id = ?1 AND frozen_at IS NULL AND NOT EXISTS (SELECT 1 FROM requests WHERE ${OWN} AND due_at >= ?2)`,
    args: [accountId, own.dueAt, own.name, own.now, own.deadline, own.calendar, own.uncertain ? 1 : 0],
  });
}

/** @param userId whose it must be; null: anybody's of the account */
export async function requestByName(
  db: Db,
  accountId: number,
  userId: number | null,
  name: string,
): Promise<RequestRow | null> {
  const [row] = await db
    .select()
    .from(requests)
    .where(
      and(
        eq(requests.accountId, accountId),
        eq(requests.name, name),
        isAsked,
        userId === null ? undefined : eq(requests.userId, userId),
      ),
    );
  return row ?? null;
}

/** Newest first. @param userId whose; null: everybody's of the account. @param before the last id of the page before */
export function listRequests(
  db: Db,
  accountId: number,
  userId: number | null,
  before: number,
  limit: number,
): Promise<RequestRow[]> {
  return db
    .select()
    .from(requests)
    .where(
      and(
        eq(requests.accountId, accountId),
        lt(requests.id, before),
        isAsked,
        userId === null ? undefined : eq(requests.userId, userId),
      ),
    )
    .orderBy(desc(requests.id))
    .limit(limit);
}

/**
 * Takes a request back while nothing has been done for it, as for a correction it has; what it suspended goes on.
 * @returns false: it is too late
 */
export async function cancelRequest(db: Db, accountId: number, id: number, now: number): Promise<boolean> {
  const cancelled = {
    sql: `UPDATE requests SET state = 'revoked', closed_at = ?3, counts_at = NULL
      WHERE id = ?2 AND account_id = ?1 AND closed_at IS NULL AND (state = 'identity_pending'
        OR (state = 'verified' AND type <> 'correct' AND NOT (via_subject = 1 AND level = 'V2')))`,
    args: [accountId, id, now],
  };
  // Who asked for it through a link has not taken it back: it waits for an answer again, in the time that is left.
  const reopened = {
    sql: `UPDATE subject_requests SET state = 'open', request_name = NULL, answered_at = NULL, answered_by = NULL
      WHERE account_id = ?1 AND request_name = (SELECT name FROM requests WHERE id = ?2 AND state = 'revoked')`,
    args: [accountId, id],
  };
  const lifted = liftWithRequestStatement(id, "revoked", now);
  const [done] = await db.$client.batch([cancelled, lifted, reopened], "write");
  return done!.rowsAffected === 1;
}

/**
 * Ends a request that people or one call carry out; what is refused suspends nothing any more. What an erasure or
 * a correction has come to, only the engine says, and a restriction that is in force is nobody's to refuse.
 */
export async function closeRequest(db: Db, id: number, state: "cleared" | "denied", now: number): Promise<boolean> {
  const refusable = `(state = 'identity_pending' OR type NOT IN ('erase', 'correct')
    AND NOT (type = 'restrict' AND EXISTS (SELECT 1 FROM suspensions WHERE request_id = requests.id)))`;
  const open = state === "denied" ? refusable : "type NOT IN ('erase', 'correct') AND state = 'verified'";
  const closed = {
    sql: `UPDATE requests SET state = ?2, closed_at = ?3, counts_at = NULL WHERE id = ?1 AND closed_at IS NULL AND ${open}`,
    args: [id, state, now],
  };
  const [done] = await db.$client.batch([closed, liftWithRequestStatement(id, "denied", now)], "write");
  return done!.rowsAffected === 1;
}

/** Restrictions that are in force, and whose call did not come to its end. */
export function unfinishedRestrictions(db: Db, verifiedBefore: number, limit: number): Promise<RequestRow[]> {
  const suspends = sql`EXISTS (SELECT 1 FROM suspensions WHERE request_id = ${requests.id})`;
  return db
    .select()
    .from(requests)
    .where(
      and(
        isNull(requests.closedAt),
        eq(requests.type, "restrict"),
        eq(requests.state, "verified"),
        lte(requests.verifiedAt, verifiedBefore),
        suspends,
      ),
    )
    .limit(limit);
}

/** People and devices of an account: what goes with it. */
export async function sizeOf(db: Db, accountId: number): Promise<{ people: number; devices: number }> {
  const { rows } = await db.$client.execute({
    sql: `SELECT (SELECT count(*) FROM users WHERE account_id = ?1),
      (SELECT count(*) FROM devices WHERE account_id = ?1 AND deleting_at IS NULL)`,
    args: [accountId],
  });
  return { people: Number(rows[0]![0]), devices: Number(rows[0]![1]) };
}

// Who cannot sign in.

/** Whom a link was mailed to. */
export interface Asker {
  userId: number;
  accountId: number;
  language: string;
}

/**
 * Writes down what an address asks for, if somebody has confirmed it: the statements are the same for any address.
 * @param hash of the link's token
 * @returns null: nobody of an account has it, or has asked too often today
 */
export async function insertAsked(
  db: Db,
  asked: { email: string; name: string; type: RequestType; scope: string; hash: string; now: number },
  day: { since: number; limit: number },
): Promise<Asker | null> {
  const { email, name, type, scope, hash, now } = asked;
  const statements: Statement[] = [
    {
      sql: `INSERT INTO requests (name, type, state, level, account_id, user_id, scope, received_at, hash)
        SELECT ?2, ?3, 'identity_pending', 'V1', u.account_id, u.id, ?4, ?5, ?6 FROM users u
        WHERE u.email_index = ?1 AND u.email_verified_at IS NOT NULL AND u.disabled_at IS NULL AND u.account_id IS NOT NULL
          AND (SELECT count(*) FROM requests
            WHERE account_id = u.account_id AND user_id = u.id AND level <> 'V0' AND received_at > ?7) < ?8`,
      args: [await db.$fields.index("email", email), name, type, scope, now, hash, day.since, day.limit],
    },
    {
      sql: `SELECT u.id, u.account_id, u.language FROM requests r JOIN users u ON u.id = r.user_id WHERE r.hash = ?`,
      args: [hash],
    },
  ];
  const row = (await db.$client.batch(statements, "write")).at(-1)?.rows[0];
  return row === undefined
    ? null
    : { userId: row[0] as number, accountId: row[1] as number, language: row[2] as string };
}

/** @param hash of its link's token */
export async function requestOfHash(db: Db, hash: string): Promise<RequestRow | null> {
  const [row] = await db.select().from(requests).where(eq(requests.hash, hash));
  return row ?? null;
}

/** By its name alone, whoever's: for a link that carries a proof, and for the staff. */
export async function requestNamed(db: Db, name: string): Promise<RequestRow | null> {
  const [row] = await db.select().from(requests).where(eq(requests.name, name));
  return row ?? null;
}

/** Counts a wrong code. */
export async function countWrong(db: Db, id: number): Promise<void> {
  await db
    .update(requests)
    .set({ attempts: sql`${requests.attempts} + 1` })
    .where(eq(requests.id, id));
}

/** Leaves the decision whose it is to the staff. @returns false when they have it already, or it is decided */
export async function askStaff(db: Db, id: number, at: number, deadline: number): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE requests SET level = 'V2', evidence_at = ?2, deadline = ?3
      WHERE id = ?1 AND state = 'identity_pending' AND evidence_at IS NULL AND counts_at IS NULL`,
    args: [id, at, deadline],
  });
  return rowsAffected === 1;
}

/** Until when the staff have to decide whose it is. */
export async function setDeadline(db: Db, id: number, deadline: number): Promise<void> {
  await db
    .update(requests)
    .set({ deadline })
    .where(and(eq(requests.id, id), eq(requests.state, "identity_pending")));
}

/** Has it count from a time on. @returns false when that was said already, or it is decided */
export async function announceRequest(db: Db, id: number, level: IdentityLevel, countsAt: number): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE requests SET level = ?2, counts_at = ?3
      WHERE id = ?1 AND state = 'identity_pending' AND counts_at IS NULL`,
    args: [id, level, countsAt],
  });
  return rowsAffected === 1;
}

/** One of the staff says that it is them. @returns who has said so by now, in the order of their ids */
export async function confirmRequest(db: Db, requestId: number, staffId: number, at: number): Promise<number[]> {
  const results = await db.$client.batch(
    [
      {
        sql: `INSERT INTO request_confirmations (request_id, staff_id, at) SELECT id, ?2, ?3 FROM requests
          WHERE id = ?1 AND state = 'identity_pending' AND evidence_at IS NOT NULL ON CONFLICT DO NOTHING`,
        args: [requestId, staffId, at],
      },
      {
        sql: "SELECT staff_id FROM request_confirmations WHERE request_id = ? ORDER BY staff_id",
        args: [requestId],
      },
    ],
    "write",
  );
  return results[1]!.rows.map((row) => Number(row[0]));
}

export async function confirmationsOf(db: Db, requestId: number): Promise<{ staffId: number; at: number }[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT staff_id, at FROM request_confirmations WHERE request_id = ? ORDER BY at, staff_id",
    args: [requestId],
  });
  return rows.map((row) => ({ staffId: Number(row[0]), at: Number(row[1]) }));
}

/** Everybody's, newest first, for the operator. @param openOnly what nobody has ended */
export function listAll(db: Db, openOnly: boolean, before: number, limit: number): Promise<RequestRow[]> {
  return db
    .select()
    .from(requests)
    .where(and(lt(requests.id, before), isAsked, openOnly ? isNull(requests.closedAt) : undefined))
    .orderBy(desc(requests.id))
    .limit(limit);
}

/** By their names. */
export async function requestsNamed(db: Db, names: readonly string[]): Promise<Map<string, RequestRow>> {
  const named = sql`${requests.name} IN (SELECT value FROM json_each(${JSON.stringify(names)}))`;
  return new Map((await db.select().from(requests).where(named)).map((row) => [row.name, row]));
}

/**
 * Has a request count that did before the database was restored: as it was made, or as a row that waits yet.
 * @returns 1 when it did not count
 */
export async function expectRequest(
  db: Db,
  { name, type, accountId, userId, scope, receivedAt, ...verification }: Omit<NewRequest, "level"> & Verification,
): Promise<number> {
  const { level, verifiedAt, deadline, calendar, uncertain } = verification;
  const counts = {
    sql: `INSERT INTO requests (name, type, state, level, account_id, user_id, scope, received_at, verified_at, deadline, calendar, uncertain)
      VALUES (?1, ?2, 'verified', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
      ON CONFLICT (name) DO UPDATE SET state = 'verified', level = ?3, verified_at = ?8, deadline = ?9, calendar = ?10,
        uncertain = ?11, alarmed = 0, counts_at = NULL
      WHERE state = 'identity_pending' AND closed_at IS NULL`,
    args: [
      ...[name, type, level, accountId, userId, scope, receivedAt],
      ...[verifiedAt, deadline, calendar, uncertain ? 1 : 0],
    ],
  };
  const results = await db.$client.batch([counts, suspendStatement("name", name)], "write");
  return results[0]!.rowsAffected;
}

// The clock.

/** Announced requests whose time has come. */
export function dueNotices(db: Db, now: number, limit: number): Promise<RequestRow[]> {
  return db
    .select()
    .from(requests)
    .where(and(eq(requests.state, "identity_pending"), isNull(requests.closedAt), lte(requests.countsAt, now)))
    .orderBy(requests.countsAt)
    .limit(limit);
}

/** Open requests with a deadline of which more of the time is over than was told: half of it, four fifths, all. */
export async function latecomers(db: Db, now: number, limit: number): Promise<(RequestRow & { percent: number })[]> {
  const start = sql`coalesce(${requests.verifiedAt}, ${requests.evidenceAt})`;
  const gone = sql`(${now} - ${start}) * 100 / max(1, ${requests.deadline} - ${start})`;
  const percent = sql<number>`CASE WHEN ${gone} >= 100 THEN 100 WHEN ${gone} >= 80 THEN 80 WHEN ${gone} >= 50 THEN 50 ELSE 0 END`;
  const rows = await db
    .select({ row: requests, percent })
    .from(requests)
    .where(
      and(
        isNull(requests.closedAt),
        // All that may go has gone: what stays has an end of its own.
        ne(requests.state, "partially_cleared"),
        isNotNull(requests.deadline),
        sql`${percent} > ${requests.alarmed}`,
      ),
    )
    .orderBy(requests.deadline)
    .limit(limit);
  return rows.map(({ row, percent }) => ({ ...row, percent }));
}

/** Whether the ledger says this of a request. */
export async function hasEntry(db: Db, type: string, name: string): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: "SELECT 1 FROM ledger WHERE type = ? AND json_extract(entry, '$.request') = ? LIMIT 1",
    args: [type, name],
  });
  return rows.length > 0;
}

/** @returns false when it was told already */
export async function markAlarmed(db: Db, id: number, percent: number): Promise<boolean> {
  const { rowsAffected } = await db
    .update(requests)
    .set({ alarmed: percent })
    .where(and(eq(requests.id, id), lt(requests.alarmed, percent)));
  return rowsAffected === 1;
}

/** Ends what nobody has verified for too long. @returns rows */
export async function expireRequests(db: Db, receivedBefore: number, now: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE requests SET state = 'expired', closed_at = ?2, hash = NULL, counts_at = NULL WHERE id IN (
      SELECT id FROM requests WHERE closed_at IS NULL AND state = 'identity_pending'
        AND coalesce(counts_at, evidence_at, received_at) <= ?1 LIMIT ?3)`,
    args: [receivedBefore, now, limit],
  });
  return rowsAffected;
}

/** Begins to wait for a proof. @returns false when the request is not the staff's to decide, or it is waited for already */
export async function askProof(
  db: Db,
  id: number,
  { at, after, since }: { at: number; after: number; since: number },
): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE requests SET proof_asked_at = ?2, proof_after = ?3
      WHERE id = ?1 AND state = 'identity_pending' AND evidence_at IS NOT NULL AND proof_seen_at IS NULL
        AND (proof_asked_at IS NULL OR proof_asked_at <= ?4)`,
    args: [id, at, after, since],
  });
  return rowsAffected === 1;
}

/** Writes down that the proof was given. */
export async function noteProof(db: Db, id: number, askedAt: number, seenAt: number): Promise<void> {
  await db
    .update(requests)
    .set({ proofSeenAt: seenAt })
    .where(and(eq(requests.id, id), eq(requests.proofAskedAt, askedAt), isNull(requests.proofSeenAt)));
}

/** Requests of which a proof is waited for that was asked for since then. */
export function proofsWaited(db: Db, since: number, limit: number): Promise<RequestRow[]> {
  return db
    .select()
    .from(requests)
    .where(and(isNull(requests.closedAt), gt(requests.proofAskedAt, since), isNull(requests.proofSeenAt)))
    .limit(limit);
}

/** Forgets how it was found out who asked, with what the staff wrote about it; not what was decided, and why. @returns rows */
export async function forgetEvidence(db: Db, closedBefore: number, limit: number): Promise<number> {
  const closed = "SELECT id FROM requests WHERE closed_at <= ?1";
  const decided = `${closed} AND evidence_at IS NOT NULL ORDER BY id LIMIT ?2`;
  const results = await db.$client.batch(
    [
      {
        sql: `UPDATE audit SET reason = NULL WHERE id IN (SELECT a.id FROM requests r CROSS JOIN audit a
          ON a.account_id = r.account_id AND a.subject = 'request ' || r.id
          WHERE r.id IN (${decided}) AND a.action IN ('request.made', 'request.confirmed') AND a.reason IS NOT NULL)`,
        args: [closedBefore, limit],
      },
      { sql: `UPDATE requests SET evidence_at = NULL WHERE id IN (${decided})`, args: [closedBefore, limit] },
      {
        sql: `DELETE FROM request_confirmations WHERE rowid IN (
          SELECT rowid FROM request_confirmations WHERE request_id IN (${closed}) LIMIT ?2)`,
        args: [closedBefore, limit],
      },
      {
        sql: `UPDATE requests SET hash = NULL, attempts = 0, proof_asked_at = NULL, proof_after = NULL, proof_seen_at = NULL
          WHERE id IN (${closed} AND (hash IS NOT NULL OR attempts > 0 OR proof_asked_at IS NOT NULL) LIMIT ?2)`,
        args: [closedBefore, limit],
      },
    ],
    "write",
  );
  return results.reduce((sum, { rowsAffected }) => sum + rowsAffected, 0);
}

/** Deletes requests that ended before, with their journals and receipts. @returns rows */
export async function purgeRequests(db: Db, closedBefore: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE closed_at <= ? LIMIT ?)",
    args: [closedBefore, limit],
  });
  return rowsAffected;
}

/** The receipt of a request, by its name alone. @returns null: there is no such request, or it has none yet */
export async function receiptNamed(db: Db, name: string): Promise<string | null> {
  const [row] = await db
    .select({ body: receipts.body })
    .from(receipts)
    .innerJoin(requests, eq(requests.id, receipts.requestId))
    .where(eq(requests.name, name));
  return row?.body ?? null;
}
