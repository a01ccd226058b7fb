import { and, desc, eq, isNull, lt, or, type SQL, sql } from "drizzle-orm";
import type { Db, Statement } from "./db.ts";
import type { Reach } from "./reach.ts";
import { requests, type SuspensionKind, suspensions } from "./schema.ts";

export interface SuspensionRow {
  id: number;
  accountId: number;
  /** null: every device of the account, also one that comes later */
  deviceId: number | null;
  kind: SuspensionKind;
  /** Public name and state of the request that it was made for. */
  request: string | null;
  requestState: string | null;
  /** Who asked for it. */
  userId: number | null;
  /** Unix ms. */
  since: number;
  /** null: it is in force */
  liftedAt: number | null;
  liftedBy: number | null;
}

// Conditions and columns of other statements.

/** Whether a device is suspended now: a condition. @param account and `device`: columns */
export const inForce = (account: string, device: string): string => {
  const open = `SELECT 1 FROM suspensions s WHERE s.account_id = ${account} AND s.lifted_at IS NULL AND s.device_id`;
  // Each by the index, however many devices of an account are suspended.
  return `(EXISTS (${open} IS NULL) OR EXISTS (${open} = ${device}))`;
};

const OPEN_SINCE =
  "SELECT s.since FROM suspensions s WHERE s.account_id = devices.account_id AND s.lifted_at IS NULL AND s.device_id";
/** Since when a device of `devices` is suspended; NULL: it is not. */
export const SUSPENDED_SINCE: string = `(SELECT min(since) FROM (${OPEN_SINCE} IS NULL UNION ALL ${OPEN_SINCE} = devices.id))`;

/**
 * Of the account `a`: 1 when all of it is suspended; and ids of its devices that are not, as JSON. NULL: nothing of it is
 * suspended.
 */
export const ALL_SUSPENDED: string = `EXISTS (SELECT 1 FROM suspensions s
  WHERE s.account_id = a.id AND s.lifted_at IS NULL AND s.device_id IS NULL)`;
export const NOT_SUSPENDED: string = `CASE WHEN EXISTS (SELECT 1 FROM suspensions s WHERE s.account_id = a.id AND s.lifted_at IS NULL)
  THEN (SELECT json_group_array(d.id) FROM devices d
    WHERE d.account_id = a.id AND d.deleting_at IS NULL AND NOT ${inForce("d.account_id", "d.id")}) END`;

/** Times in which nothing of a device is taken: from, to (not included). */
export type Suspended = readonly (readonly [from: number, to: number])[];

/** Of `devices d`: those times, as JSON for suspendedOf(); NULL: none. */
export const SUSPENDED_COLUMN: string = `(SELECT json_group_array(json_array(s.since, s.lifted_at)) FROM suspensions s
  WHERE s.account_id = d.account_id AND (s.device_id IS NULL OR s.device_id = d.id) HAVING count(*) > 0)`;

export function suspendedOf(value: unknown): Suspended | null {
  if (value === null) return null;
  const all = JSON.parse(String(value)) as [number, number | null][];
  return all.map(([since, lifted]) => [since, lifted ?? Number.POSITIVE_INFINITY]);
}

export const isSuspended = (suspended: Suspended, at: number): boolean =>
  suspended.some(([from, to]) => at >= from && at < to);

// Of a request, in the transaction that changes it.

/** Suspends what a request that is verified by now is about, once. @param by its number or its name */
export function suspendStatement(by: "id" | "name", value: number | string): Statement {
  return {
    sql: `INSERT INTO suspensions (account_id, device_id, kind, request_id, since)
      SELECT r.account_id, d.id, CASE r.type WHEN 'restrict' THEN 'restricted' ELSE 'objected' END, r.id, r.verified_at
      FROM requests r JOIN accounts a ON a.id = r.account_id
      LEFT JOIN devices d ON d.account_id = r.account_id AND d.deleting_at IS NULL AND r.scope ->> '$.kind' = 'devices'
        AND d.id IN (SELECT value FROM json_each(r.scope, '$.devices'))
      WHERE r.${by} = ?1 AND r.type IN ('restrict', 'object') AND r.state = 'verified' AND r.closed_at IS NULL
        AND (r.scope ->> '$.kind' IN ('account', 'tracks') OR d.id IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM suspensions WHERE request_id = r.id)`,
    args: [value],
  };
}

/** Lets go on what a request has suspended that is in this state by now. */
export function liftWithRequestStatement(requestId: number, state: "revoked" | "denied", now: number): Statement {
  return {
    sql: `UPDATE suspensions SET lifted_at = max(since, ?3) WHERE request_id = ?1 AND lifted_at IS NULL
      AND (SELECT state FROM requests WHERE id = ?1) = ?2`,
    args: [requestId, state, now],
  };
}

/** Of some requests, by their names, those of which something is suspended now. */
export async function requestsInForce(db: Db, names: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.$client.execute({
    sql: `SELECT DISTINCT r.name FROM requests r JOIN suspensions s ON s.request_id = r.id
      WHERE s.lifted_at IS NULL AND r.name IN (SELECT value FROM json_each(?))`,
    args: [JSON.stringify(names)],
  });
  return new Set(rows.map((row) => String(row[0])));
}

// On its own.

/** Suspends everything of an account as the law has changed, unless it is already. @returns the id of what is in force */
export async function suspendTransfers(db: Db, accountId: number, now: number): Promise<number | null> {
  const results = await db.$client.batch(
    [
      {
        sql: `INSERT INTO suspensions (account_id, kind, since) SELECT id, 'legislation', ?2 FROM accounts WHERE id = ?1
          ON CONFLICT DO NOTHING`,
        args: [accountId, now],
      },
      {
        sql: "SELECT id FROM suspensions WHERE account_id = ? AND kind = 'legislation' AND lifted_at IS NULL",
        args: [accountId],
      },
    ],
    "write",
  );
  return (results[1]!.rows[0]?.[0] as number | undefined) ?? null;
}

const visible = (db: Db) =>
  db
    .select({
      id: suspensions.id,
      accountId: suspensions.accountId,
      deviceId: suspensions.deviceId,
      kind: suspensions.kind,
      request: requests.name,
      requestState: requests.state,
      userId: requests.userId,
      since: suspensions.since,
      liftedAt: suspensions.liftedAt,
      liftedBy: suspensions.liftedBy,
    })
    .from(suspensions)
    .leftJoin(requests, eq(requests.id, suspensions.requestId));

/** What is about a device within reach, or about all of the account. */
function within({ accountId, devices }: Reach): SQL | undefined {
  const ofAccount = eq(suspensions.accountId, accountId);
  if (devices === null) return ofAccount;
  const seen = sql`${suspensions.deviceId} IN (SELECT value FROM json_each(${JSON.stringify(devices)}))`;
  return and(ofAccount, or(isNull(suspensions.deviceId), seen));
}

export async function suspensionById(db: Db, reach: Reach, id: number): Promise<SuspensionRow | null> {
  const [row] = await visible(db).where(and(within(reach), eq(suspensions.id, id)));
  return row ?? null;
}

/** Newest first. @param before the last id of the page before */
export function listSuspensions(
  db: Db,
  reach: Reach,
  { inForceOnly, before, limit }: { inForceOnly: boolean; before: number; limit: number },
): Promise<SuspensionRow[]> {
  return visible(db)
    .where(and(within(reach), lt(suspensions.id, before), inForceOnly ? isNull(suspensions.liftedAt) : undefined))
    .orderBy(desc(suspensions.id))
    .limit(limit);
}

/** What a request has suspended, lifted or not. */
export function suspensionsOfRequest(db: Db, requestId: number): Promise<SuspensionRow[]> {
  return visible(db).where(eq(suspensions.requestId, requestId)).orderBy(suspensions.id);
}

/** Lets it go on. @returns false when it goes on already */
export async function liftSuspension(db: Db, accountId: number, id: number, by: number, now: number): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE suspensions SET lifted_at = max(since, ?4), lifted_by = ?3
      WHERE id = ?2 AND account_id = ?1 AND lifted_at IS NULL`,
    args: [accountId, id, by, now],
  });
  return rowsAffected === 1;
}

/** The devices of an account that are not suspended; null: nothing of it is. */
export async function notSuspended(db: Db, accountId: number): Promise<number[] | null> {
  const { rows } = await db.$client.execute({
    sql: `SELECT ${NOT_SUSPENDED} FROM accounts a WHERE a.id = ?`,
    args: [accountId],
  });
  const found = rows[0]?.[0] ?? null;
  return found === null ? null : (JSON.parse(String(found)) as number[]);
}

/** Forgets what was lifted before. @returns rows, `limit` at most */
export async function deleteSuspensionsLifted(db: Db, before: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM suspensions WHERE id IN (SELECT id FROM suspensions WHERE lifted_at <= ? ORDER BY lifted_at LIMIT ?)",
    args: [before, limit],
  });
  return rowsAffected;
}
