import type { Db } from "./db.ts";
import type { HELD_REASONS } from "./schema.ts";

// Copies of what must be kept. They outlive their account, and nobody but src/held-parts.ts reads them.

export type HeldReason = (typeof HELD_REASONS)[number];

/** Why something of an account must be kept, now. */
export interface Grounds {
  /** Confirmed by two, neither released nor over. Scope: JSON. */
  holds: { id: number; basis: string; scope: string }[];
  /** Names of src/statutes.ts. */
  statutes: string[];
  obligations: { id: number; kind: string; basis: string; details: string; createdAt: number; expiresAt: number }[];
}

const ACTIVE = "confirmed_at IS NOT NULL AND released_at IS NULL AND expires_at > ?2";
/** An extension keeps nothing until the customer has agreed to it. */
const OWED = "expires_at > ?2 AND (kind <> 'extension' OR acknowledged_at IS NOT NULL)";

export async function groundsOf(db: Db, accountId: number, now: number): Promise<Grounds> {
  const args = [accountId, now];
  const [holds, statutes, obligations] = await db.$client.batch(
    [
      { sql: `SELECT id, basis, scope FROM legal_holds WHERE account_id = ?1 AND ${ACTIVE} ORDER BY id`, args },
      { sql: "SELECT profile FROM statutory_profiles WHERE account_id = ? ORDER BY profile", args: [accountId] },
      {
        sql: `SELECT id, kind, basis, details, created_at, expires_at FROM obligations
          WHERE account_id = ?1 AND ${OWED} ORDER BY id`,
        args,
      },
    ],
    "read",
  );
  const owed = obligations!.rows.map((row) => ({
    ...{ id: Number(row[0]), kind: String(row[1]), basis: String(row[2]), details: String(row[3]) },
    ...{ createdAt: Number(row[4]), expiresAt: Number(row[5]) },
  }));
  return {
    holds: holds!.rows.map((row) => ({ id: Number(row[0]), basis: String(row[1]), scope: String(row[2]) })),
    statutes: statutes!.rows.map((row) => String(row[0])),
    obligations: await db.$fields.open("obligations", owed, accountId),
  };
}

/** Of some accounts those of whose positions something must be kept. */
export async function accountsKept(db: Db, accountIds: readonly number[], now: number): Promise<Set<number>> {
  const { rows } = await db.$client.execute({
    sql: `SELECT value FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM legal_holds WHERE account_id = value AND ${ACTIVE})
      OR EXISTS (SELECT 1 FROM statutory_profiles WHERE account_id = value)`,
    args: [JSON.stringify(accountIds), now],
  });
  return new Set(rows.map((row) => Number(row[0])));
}

/** What a part is made for; together it is one part, however often it is begun. */
export interface PartOf {
  accountId: number;
  reason: HeldReason;
  basis: string;
  holdId: number;
  cause: string;
  item: number;
}

/** Writes a part down, or finds it as somebody began it. @returns its id, when it was begun, and whether it is whole */
export async function beginPart(
  db: Db,
  { accountId, reason, basis, holdId, cause, item }: PartOf,
  { requestId, until, at }: { requestId: number | null; until: number | null; at: number },
): Promise<{ id: number; madeAt: number; complete: boolean }> {
  const [, found] = await db.$client.batch(
    [
      {
        sql: `INSERT INTO held_parts (account_id, reason, basis, hold_id, cause, item, kid, request_id, until, made_at)
          VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT DO NOTHING`,
        args: [accountId, reason, basis, holdId, cause, item, requestId, until, at],
      },
      {
        sql: `SELECT id, made_at, complete_at IS NOT NULL FROM held_parts WHERE account_id = ? AND reason = ? AND basis = ?
          AND hold_id = ? AND cause = ? AND item = ?`,
        args: [accountId, reason, basis, holdId, cause, item],
      },
    ],
    "write",
  );
  const row = found!.rows[0]!;
  return { id: Number(row[0]), madeAt: Number(row[1]), complete: Number(row[2]) === 1 };
}

export async function endPart(
  db: Db,
  partId: number,
  { kid, bytes, at }: { kid: number; bytes: number; at: number },
): Promise<void> {
  await db.$client.execute({
    sql: "UPDATE held_parts SET kid = ?2, bytes = ?3, complete_at = ?4 WHERE id = ?1",
    args: [partId, kid, bytes, at],
  });
}

/** A whole part as it is kept beside the keys. */
export interface KeptPart extends Omit<PartOf, "accountId"> {
  id: number;
  /** The name of the erasure that it was made for. */
  request: string | null;
  kid: number;
  until: number | null;
  bytes: number;
  madeAt: number;
}

export interface HeldPart {
  id: number;
  accountId: number;
  reason: HeldReason;
  basis: string;
  holdId: number;
  kid: number;
  until: number | null;
  bytes: number;
  madeAt: number;
  cause: string;
}

const COLUMNS = "id, account_id, reason, basis, hold_id, kid, until, bytes, made_at, cause";
const partOf = (row: ArrayLike<unknown>): HeldPart => ({
  ...{ id: Number(row[0]), accountId: Number(row[1]), reason: row[2] as HeldReason, basis: String(row[3]) },
  ...{ holdId: Number(row[4]), kid: Number(row[5]), until: row[6] === null ? null : Number(row[6]) },
  ...{ bytes: Number(row[7]), madeAt: Number(row[8]), cause: String(row[9]) },
});

/** A whole part, whoever's: for staff. */
export async function partById(db: Db, id: number): Promise<HeldPart | null> {
  const { rows } = await db.$client.execute({
    sql: `SELECT ${COLUMNS} FROM held_parts WHERE id = ? AND complete_at IS NOT NULL`,
    args: [id],
  });
  return rows[0] === undefined ? null : partOf(rows[0]);
}

/** Whole parts, newest first. @param accountId null: of all accounts, for staff */
export async function listParts(db: Db, accountId: number | null, before: number, limit: number): Promise<HeldPart[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT ${COLUMNS} FROM held_parts WHERE (?1 IS NULL OR account_id = ?1) AND id < ?2
      AND complete_at IS NOT NULL ORDER BY id DESC LIMIT ?3`,
    args: [accountId, before, limit],
  });
  return rows.map(partOf);
}

/** What an erasure left because it must be kept. `until`: the last; null: as long as a hold that can be released. */
export interface HeldOf {
  reason: HeldReason;
  basis: string;
  parts: number;
  bytes: number;
  until: number | null;
}

/** What is kept of a request's erasure, and when the first of it goes by itself. */
export async function heldOfRequest(db: Db, requestId: number): Promise<{ held: HeldOf[]; next: number | null }> {
  const { rows } = await db.$client.execute({
    sql: `SELECT p.reason, p.basis, count(*), sum(p.bytes), max(coalesce(p.until, h.expires_at)),
        min(coalesce(p.until, h.expires_at))
      FROM held_parts p LEFT JOIN legal_holds h ON h.id = p.hold_id WHERE p.request_id = ?
      GROUP BY p.reason, p.basis ORDER BY p.reason, p.basis`,
    args: [requestId],
  });
  const next = Math.min(...rows.map((row) => Number(row[5])));
  return {
    held: rows.map((row) => ({
      ...{ reason: row[0] as HeldReason, basis: String(row[1]), parts: Number(row[2]), bytes: Number(row[3]) },
      until: row[4] === null ? null : Number(row[4]),
    })),
    next: Number.isFinite(next) ? next : null,
  };
}

/** Parts that nothing keeps any more. */
export async function partsOver(
  db: Db,
  now: number,
  limit: number,
): Promise<{ id: number; accountId: number; requestId: number | null }[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT p.id, p.account_id, p.request_id FROM held_parts p LEFT JOIN legal_holds h ON h.id = p.hold_id
      WHERE p.until <= ?1 OR (p.hold_id <> 0 AND (h.id IS NULL OR h.released_at IS NOT NULL OR h.expires_at <= ?1))
      ORDER BY p.account_id, p.id LIMIT ?2`,
    args: [now, limit],
  });
  return rows.map((row) => ({
    ...{ id: Number(row[0]), accountId: Number(row[1]) },
    requestId: row[2] === null ? null : Number(row[2]),
  }));
}

/**
 * Writes a whole part down again that a restored database does not know of, with its request as that is numbered there.
 * @returns false when another part has its number or its place
 */
export async function putPartBack(db: Db, accountId: number, part: KeptPart): Promise<boolean> {
  const { id, reason, basis, holdId, request, cause, item, kid, until, bytes, madeAt } = part;
  const { rowsAffected } = await db.$client.execute({
    sql: `INSERT INTO held_parts
        (id, account_id, reason, basis, hold_id, request_id, cause, item, kid, until, bytes, made_at, complete_at)
      SELECT ?1, ?2, ?3, ?4, ?5, r.id, CASE WHEN ?6 IS NULL THEN ?7 ELSE 'request:' || coalesce(r.id, -?1) END,
        ?8, ?9, ?10, ?11, ?12, ?12
      FROM (SELECT 1) LEFT JOIN requests r ON r.name = ?6 WHERE true
      ON CONFLICT (id) DO UPDATE SET request_id = excluded.request_id, cause = excluded.cause, kid = excluded.kid,
        bytes = excluded.bytes, complete_at = coalesce(complete_at, excluded.complete_at)
        WHERE account_id = excluded.account_id AND made_at = excluded.made_at
      ON CONFLICT DO NOTHING`,
    args: [id, accountId, reason, basis, holdId, request, cause, item, kid, until, bytes, madeAt],
  });
  return rowsAffected === 1;
}

/** Deletes parts, and has the requests that waited for them go on. @returns rows */
export async function deleteParts(db: Db, ids: readonly number[]): Promise<number> {
  const some = JSON.stringify(ids);
  const among = "IN (SELECT value FROM json_each(?1))";
  const results = await db.$client.batch(
    [
      {
        sql: `UPDATE requests SET due_at = 0 WHERE state = 'partially_cleared'
          AND id IN (SELECT request_id FROM held_parts WHERE id ${among})`,
        args: [some],
      },
      { sql: `DELETE FROM held_parts WHERE id ${among}`, args: [some] },
    ],
    "write",
  );
  return results[1]!.rowsAffected;
}

/** Days since 1970 of which an account has positions, in a database with tracks. @param devices null: all */
export async function daysOf(db: Db, accountId: number, devices: readonly number[] | null): Promise<number[]> {
  const some = "account_id = ?1 AND (?2 IS NULL OR device_id IN (SELECT value FROM json_each(?2)))";
  const { rows } = await db.$client.execute({
    sql: `SELECT from_time / 86400000 AS day FROM segments WHERE ${some}
      UNION SELECT to_time / 86400000 FROM segments WHERE ${some} ORDER BY day`,
    args: [accountId, devices === null ? null : JSON.stringify(devices)],
  });
  return rows.map((row) => Number(row[0]));
}

/** The name of a request, for the ledger. */
export async function nameOfRequest(db: Db, id: number): Promise<string | null> {
  const { rows } = await db.$client.execute({ sql: "SELECT name FROM requests WHERE id = ?", args: [id] });
  return (rows[0]?.[0] as string | undefined) ?? null;
}

/** Forgets holds that ended long ago and keep nothing. @returns rows */
export async function purgeHolds(db: Db, endedBefore: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: `DELETE FROM legal_holds WHERE id IN (SELECT id FROM legal_holds h
      WHERE min(coalesce(released_at, expires_at), expires_at) <= ?1
        AND NOT EXISTS (SELECT 1 FROM held_parts WHERE hold_id = h.id) LIMIT ?2)`,
    args: [endedBefore, limit],
  });
  return rowsAffected;
}
