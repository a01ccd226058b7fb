import { and, desc, eq, gt, isNull, lt, lte, or, type SQL, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import type { NewRequest } from "./requests.ts";
import {
  accounts,
  devices,
  type RequestState,
  requests,
  type SUBJECT_REQUEST_TYPES,
  subjectLinks,
  subjectRequests,
} from "./schema.ts";

export type SubjectLink = Omit<typeof subjectLinks.$inferSelect, "hash">;
export type SubjectRequestType = (typeof SUBJECT_REQUEST_TYPES)[number];

/** What was asked with a link, of which device, and how far the request is that carries it out. */
export type SubjectRequest = typeof subjectRequests.$inferSelect & {
  deviceId: number;
  carriedOut: RequestState | null;
};

const { hash: _, ...LINK } = {
  ...{ id: subjectLinks.id, accountId: subjectLinks.accountId, deviceId: subjectLinks.deviceId },
  ...{ hash: subjectLinks.hash, fromTime: subjectLinks.fromTime, toTime: subjectLinks.toTime },
  ...{ showsTrack: subjectLinks.showsTrack, madeBy: subjectLinks.madeBy, createdAt: subjectLinks.createdAt },
  ...{ expiresAt: subjectLinks.expiresAt, revokedAt: subjectLinks.revokedAt },
};

const IN_FORCE = "revoked_at IS NULL AND expires_at > ?1";

/** @returns null when the device has `most` links in force, or there is no such device */
export async function insertLink(
  db: Db,
  accountId: number,
  link: Pick<SubjectLink, "deviceId" | "fromTime" | "toTime" | "madeBy" | "createdAt" | "expiresAt"> & {
    hash: string;
    showsTrack: boolean;
  },
  most: number,
): Promise<number | null> {
  const { deviceId, hash, fromTime, toTime, showsTrack, madeBy, createdAt, expiresAt } = link;
  const { rows } = await db.$client.execute({
    sql: `INSERT INTO subject_links (created_at, account_id, device_id, hash, from_time, to_time, shows_track, made_by, expires_at)
      SELECT ?1, account_id, id, ?4, ?5, ?6, ?7, ?8, ?9 FROM devices
      WHERE id = ?3 AND account_id = ?2 AND deleting_at IS NULL
        AND (SELECT count(*) FROM subject_links WHERE account_id = ?2 AND device_id = ?3 AND ${IN_FORCE}) < ?10
      RETURNING id`,
    args: [createdAt, accountId, deviceId, hash, fromTime, toTime, showsTrack ? 1 : 0, madeBy, expiresAt, most],
  });
  return rows[0] === undefined ? null : Number(rows[0][0]);
}

/** Newest first. */
export function linksOfDevice(db: Db, accountId: number, deviceId: number): Promise<SubjectLink[]> {
  return db
    .select(LINK)
    .from(subjectLinks)
    .where(and(eq(subjectLinks.accountId, accountId), eq(subjectLinks.deviceId, deviceId)))
    .orderBy(desc(subjectLinks.id));
}

export async function linkById(db: Db, accountId: number, deviceId: number, id: number): Promise<SubjectLink | null> {
  const which = and(
    eq(subjectLinks.accountId, accountId),
    eq(subjectLinks.deviceId, deviceId),
    eq(subjectLinks.id, id),
  );
  const [row] = await db.select(LINK).from(subjectLinks).where(which);
  return row ?? null;
}

/** Ends a link; what was asked with it stays asked. @returns false when it was ended before */
export async function revokeLink(db: Db, accountId: number, id: number, now: number): Promise<boolean> {
  const { rowsAffected } = await db
    .update(subjectLinks)
    .set({ revokedAt: now })
    .where(and(eq(subjectLinks.accountId, accountId), eq(subjectLinks.id, id), isNull(subjectLinks.revokedAt)));
  return rowsAffected === 1;
}

const asked = sql`EXISTS (SELECT 1 FROM ${subjectRequests} WHERE ${subjectRequests.linkId} = ${subjectLinks.id})`;

/**
 * The link with this hash, while it is in force or something was asked with it, of a device that is there and an account
 * that is not being erased.
 */
export async function linkOfHash(db: Db, hash: string, now: number): Promise<SubjectLink | null> {
  const inForce = and(isNull(subjectLinks.revokedAt), gt(subjectLinks.expiresAt, now));
  const [row] = await db
    .select(LINK)
    .from(subjectLinks)
    .innerJoin(devices, eq(devices.id, subjectLinks.deviceId))
    .innerJoin(accounts, eq(accounts.id, subjectLinks.accountId))
    .where(and(eq(subjectLinks.hash, hash), isNull(devices.deletingAt), isNull(accounts.frozenAt), or(inForce, asked)));
  return row ?? null;
}

/** What is held of a device's commands of a time. */
export async function commandsWithin(
  db: Db,
  accountId: number,
  { deviceId, fromTime, toTime }: Pick<SubjectLink, "deviceId" | "fromTime" | "toTime">,
): Promise<{ records: number; oldest: number | null; newest: number | null }> {
  const { rows } = await db.$client.execute({
    sql: `SELECT count(*), min(created_at), max(created_at) FROM commands
      WHERE account_id = ? AND device_id = ? AND created_at >= ? AND created_at < ?`,
    args: [accountId, deviceId, fromTime, toTime],
  });
  const [records, oldest, newest] = [rows[0]![0], rows[0]![1], rows[0]![2]] as [number, number | null, number | null];
  return { records, oldest, newest };
}

/**
 * Writes down what is asked with a link that is in force.
 * @param day how much may be asked with one link, and since when it is counted
 * @returns null: the same waits for an answer already, or too much was asked
 */
export async function insertSubjectRequest(
  db: Db,
  accountId: number,
  request: Pick<SubjectRequest, "linkId" | "name" | "type" | "fromTime" | "toTime" | "askedAt" | "answerBy">,
  day: { since: number; limit: number },
): Promise<number | null> {
  const { linkId, name, type, fromTime, toTime, askedAt, answerBy } = request;
  const { rows } = await db.$client.execute({
    sql: `INSERT INTO subject_requests (asked_at, account_id, link_id, name, type, from_time, to_time, answer_by, state)
      SELECT ?1, account_id, id, ?4, ?5, ?6, ?7, ?8, 'open' FROM subject_links l
      WHERE account_id = ?2 AND id = ?3 AND ${IN_FORCE}
        AND (SELECT count(*) FROM subject_requests WHERE link_id = ?3 AND asked_at > ?9) < ?10
        AND NOT EXISTS (SELECT 1 FROM subject_requests WHERE link_id = ?3 AND state = 'open' AND type = ?5
          AND from_time = ?6 AND to_time = ?7)
      RETURNING id`,
    args: [askedAt, accountId, linkId, name, type, fromTime, toTime, answerBy, day.since, day.limit],
  });
  return rows[0] === undefined ? null : Number(rows[0][0]);
}

/** When the oldest of those was made that count against a link's day. */
export async function firstAskedSince(db: Db, accountId: number, linkId: number, since: number): Promise<number[]> {
  const rows = await db
    .select({ askedAt: subjectRequests.askedAt })
    .from(subjectRequests)
    .where(
      and(
        eq(subjectRequests.accountId, accountId),
        eq(subjectRequests.linkId, linkId),
        gt(subjectRequests.askedAt, since),
      ),
    )
    .orderBy(subjectRequests.askedAt);
  return rows.map(({ askedAt }) => askedAt);
}

const read = (db: Db, where: SQL | undefined, order: SQL, limit: number): Promise<SubjectRequest[]> =>
  db
    .select({ row: subjectRequests, deviceId: subjectLinks.deviceId, carriedOut: requests.state })
    .from(subjectRequests)
    .innerJoin(subjectLinks, eq(subjectLinks.id, subjectRequests.linkId))
    .leftJoin(requests, eq(requests.name, subjectRequests.requestName))
    .where(where)
    .orderBy(order)
    .limit(limit)
    .then((rows) => rows.map(({ row, ...more }) => ({ ...row, ...more })));

const newest = desc(subjectRequests.id);
const ofAccount = (accountId: number) => eq(subjectRequests.accountId, accountId);

/** What was asked with a link, newest first. */
export const requestsOfLink = (db: Db, accountId: number, linkId: number, limit: number) =>
  read(db, and(ofAccount(accountId), eq(subjectRequests.linkId, linkId)), newest, limit);

/** What was asked of an account, newest first. @param of of these devices only; null: of all */
export function listSubjectRequests(
  db: Db,
  accountId: number,
  of: readonly number[] | null,
  before: number,
  limit: number,
): Promise<SubjectRequest[]> {
  const among = sql`${subjectLinks.deviceId} IN (SELECT value FROM json_each(${JSON.stringify(of)}))`;
  return read(
    db,
    and(ofAccount(accountId), lt(subjectRequests.id, before), of === null ? undefined : among),
    newest,
    limit,
  );
}

/** @param accountId null: whoever's, for the staff */
export async function subjectRequestNamed(
  db: Db,
  accountId: number | null,
  name: string,
): Promise<SubjectRequest | null> {
  const own = accountId === null ? undefined : ofAccount(accountId);
  return (await read(db, and(eq(subjectRequests.name, name), own), newest, 1))[0] ?? null;
}

/** What the customers left to the staff, newest first. */
export const listEscalated = (db: Db, before: number, limit: number) =>
  read(db, and(sql`${subjectRequests.escalatedAt} IS NOT NULL`, lt(subjectRequests.id, before)), newest, limit);

export interface Answer {
  by: "customer" | "staff";
  at: number;
  reason: string | null;
}

/** A request by its name, and what it is made of; null: it is open already. */
export interface CarriedOut {
  name: string;
  make: (Pick<NewRequest, "level" | "scope"> & { countsAt: number }) | null;
}

/**
 * Says yes. What carries it out is written down in the same moment, and verified a little later by whoever comes first: the
 * caller, or the job.
 * @param request null: people do what was asked for
 * @returns false when it was answered before
 */
export async function acceptRequest(
  db: Db,
  accountId: number,
  id: number,
  { by, at, reason }: Answer,
  request: CarriedOut | null,
): Promise<boolean> {
  const results = await db.$client.batch(
    [
      {
        sql: `UPDATE subject_requests SET state = 'accepted', answered_by = ?3, answered_at = ?4, reason = ?5, request_name = ?6
          WHERE account_id = ?1 AND id = ?2 AND state = 'open'`,
        args: [accountId, id, by, at, reason, request?.name ?? null],
      },
      ...(request?.make != null
        ? [
            {
              sql: `INSERT INTO requests (name, type, state, level, account_id, scope, received_at, counts_at, via_subject)
                SELECT ?3, 'erase', 'identity_pending', ?4, account_id, ?5, asked_at, ?6, 1 FROM subject_requests
                WHERE account_id = ?1 AND id = ?2 AND request_name = ?3`,
              args: [accountId, id, request.name, request.make.level, request.make.scope, request.make.countsAt],
            },
          ]
        : []),
    ],
    "write",
  );
  return results[0]!.rowsAffected === 1;
}

/** Says no. @returns false when it was answered before */
export async function refuseRequest(
  db: Db,
  accountId: number,
  id: number,
  { by, at, reason }: Answer,
): Promise<boolean> {
  const { rowsAffected } = await db
    .update(subjectRequests)
    .set({ state: "refused", answeredBy: by, answeredAt: at, reason })
    .where(and(ofAccount(accountId), eq(subjectRequests.id, id), eq(subjectRequests.state, "open")));
  return rowsAffected === 1;
}

// The clock.

/** What the customers have not answered in time, and is nobody's yet. */
export const unanswered = (db: Db, now: number, limit: number) =>
  read(
    db,
    and(eq(subjectRequests.state, "open"), isNull(subjectRequests.escalatedAt), lte(subjectRequests.answerBy, now)),
    sql`${subjectRequests.answerBy}`,
    limit,
  );

/** Leaves it to the staff. @returns false when it is theirs already, or was answered */
export async function escalate(db: Db, id: number, at: number, staffBy: number): Promise<boolean> {
  const { rowsAffected } = await db
    .update(subjectRequests)
    .set({ escalatedAt: at, staffBy })
    .where(and(eq(subjectRequests.id, id), eq(subjectRequests.state, "open"), isNull(subjectRequests.escalatedAt)));
  return rowsAffected === 1;
}

/** Of the staff's, those of whose time more is over than they were told of: half of it, four fifths, all. */
export async function lateForStaff(
  db: Db,
  now: number,
  limit: number,
): Promise<(SubjectRequest & { percent: number })[]> {
  const { escalatedAt, staffBy, alarmed, state } = subjectRequests;
  const gone = sql`(${now} - ${escalatedAt}) * 100 / max(1, ${staffBy} - ${escalatedAt})`;
  const step = sql`CASE WHEN ${gone} >= 100 THEN 100 WHEN ${gone} >= 80 THEN 80 WHEN ${gone} >= 50 THEN 50 ELSE 0 END`;
  const rows = await read(
    db,
    and(eq(state, "open"), sql`${escalatedAt} IS NOT NULL AND ${step} > ${alarmed}`),
    sql`${staffBy}`,
    limit,
  );
  return rows.map((row) => {
    const part = ((now - row.escalatedAt!) * 100) / Math.max(1, row.staffBy! - row.escalatedAt!);
    return { ...row, percent: part >= 100 ? 100 : part >= 80 ? 80 : 50 };
  });
}

/** @returns false when they were told already */
export async function markSubjectAlarmed(db: Db, id: number, percent: number): Promise<boolean> {
  const { rowsAffected } = await db
    .update(subjectRequests)
    .set({ alarmed: percent })
    .where(and(eq(subjectRequests.id, id), lt(subjectRequests.alarmed, percent)));
  return rowsAffected === 1;
}

/** Forgets links that are over, when what was asked with them was answered before `answeredBefore`. @returns rows */
export async function purgeSubjects(db: Db, now: number, answeredBefore: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: `DELETE FROM subject_links WHERE id IN (SELECT l.id FROM subject_links l
      WHERE (l.expires_at <= ?1 OR l.revoked_at IS NOT NULL) AND NOT EXISTS (SELECT 1 FROM subject_requests r
        WHERE r.link_id = l.id AND (r.state = 'open' OR r.answered_at > ?2)) LIMIT ?3)`,
    args: [now, answeredBefore, limit],
  });
  return rowsAffected;
}
