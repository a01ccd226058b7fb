import { bytesOf, type Db } from "./db.ts";
import type { Holder } from "./held.ts";
import { ROWS_AN_ACCOUNT } from "./newest.ts";
import type { RequestState, RequestStep, RequestType } from "./schema.ts";

// What the engine of erasures keeps in the database. Each change of a request names the holder of its lease and the
// state that it goes on from, so that a runner that was slow changes nothing.

/** States in which there is something to do for the engine. */
const RUNNING =
  "('verified', 'frozen', 'shredding', 'purging', 'scrubbing', 'propagating', 'verifying', 'partially_cleared')";

/** A request as the engine works on it. */
export interface Erasure {
  id: number;
  name: string;
  type: RequestType;
  state: RequestState;
  accountId: number;
  userId: number | null;
  /** JSON, src/erasure-scope.ts. */
  scope: string;
  receivedAt: number;
  verifiedAt: number;
  /** How surely it was known who asked. */
  level: string | null;
  deadline: number | null;
  calendar: string | null;
  frozenAt: number | null;
  failures: number;
}

const COLUMNS =
  "id, name, state, account_id, user_id, scope, verified_at, deadline, calendar, frozen_at, failures, received_at, CASE via_subject WHEN 1 THEN 'VD' ELSE level END, type";

function erasureOf(row: ArrayLike<unknown>): Erasure {
  const orNull = (value: unknown) => (value === null ? null : Number(value));
  return {
    id: Number(row[0]),
    name: String(row[1]),
    state: row[2] as RequestState,
    accountId: Number(row[3]),
    userId: orNull(row[4]),
    scope: String(row[5]),
    verifiedAt: Number(row[6]),
    deadline: orNull(row[7]),
    calendar: row[8] === null ? null : String(row[8]),
    frozenAt: orNull(row[9]),
    failures: Number(row[10]),
    receivedAt: Number(row[11]),
    level: row[12] === null ? null : String(row[12]),
    type: row[13] as RequestType,
  };
}

/** Of an account parts go one after the other: each seals what is left under another secret, a minute after it made it. */
const PARTS = "('fields', 'categories')";
const IN_TURN = `(scope ->> '$.kind' NOT IN ${PARTS} OR state NOT IN ('verified', 'partially_cleared') OR NOT EXISTS (
  SELECT 1 FROM requests o WHERE o.account_id = requests.account_id AND o.id <> requests.id AND o.closed_at IS NULL
    AND o.type IN ('erase', 'correct') AND o.state IN ${RUNNING} AND o.scope ->> '$.kind' IN ${PARTS}
    AND (o.state NOT IN ('verified', 'partially_cleared') OR (o.held_until > ?2 AND o.held_until <= ?3) OR (o.id < requests.id AND o.due_at <= ?2))))`;

/**
 * Takes the lease of the due erasure, or correction, that is to be frozen, or whose deadline is nearest. Leases and tries
 * that are farther away than any that is given now are of a clock that was set back since: nobody waits for those.
 * @param until when the lease ends
 * @param latest when a try that failed now would be due again
 * @returns null: none is due, or all are being worked on
 */
export async function takeErasure(
  db: Db,
  holder: number,
  now: number,
  until: number,
  latest: number,
): Promise<Erasure | null> {
  const { rows } = await db.$client.execute({
    sql: `UPDATE requests SET holder = ?1, held_until = ?3 WHERE id = (
        SELECT id FROM requests WHERE closed_at IS NULL AND type IN ('erase', 'correct') AND state IN ${RUNNING}
          AND (due_at <= ?2 OR (due_at > ?4 AND state <> 'partially_cleared' AND NOT (type = 'correct' AND state = 'verified')))
          AND (held_until <= ?2 OR held_until > ?3) AND ${IN_TURN} ORDER BY state <> 'verified', coalesce(deadline, 0), id LIMIT 1)
      RETURNING ${COLUMNS}`,
    args: [holder, now, until, latest],
  });
  return rows[0] === undefined ? null : erasureOf(rows[0]);
}

/** Keeps the lease. @returns false when it is somebody else's by now */
export async function keepErasure(db: Db, id: number, holder: number, until: number): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: "UPDATE requests SET held_until = ?3 WHERE id = ?1 AND holder = ?2",
    args: [id, holder, until],
  });
  return rowsAffected === 1;
}

/**
 * Goes on to another state. @returns false when somebody else has, or when something is to be shredded that has to be
 * copied first: a hold was confirmed since `keptAt`
 */
export async function advanceErasure(
  db: Db,
  change: { id: number; holder: number; from: RequestState; to: RequestState; at: number; keptAt?: number | undefined },
): Promise<boolean> {
  const { id, holder, from, to, at, keptAt = null } = change;
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE requests SET state = ?4, due_at = 0,
        frozen_at = CASE WHEN ?4 = 'frozen' THEN ?5 ELSE frozen_at END,
        closed_at = CASE WHEN ?4 = 'cleared' THEN ?5 END
      WHERE id = ?1 AND holder = ?2 AND state = ?3 AND NOT EXISTS (SELECT 1 FROM legal_holds h
        WHERE ?4 = 'shredding' AND h.account_id = requests.account_id AND h.confirmed_at >= ?6
          AND h.released_at IS NULL AND h.expires_at > ?5)`,
    args: [id, holder, from, to, at, keptAt],
  });
  return rowsAffected === 1;
}

/** Gives the lease back, to be taken again at `dueAt`. */
export async function releaseErasure(
  db: Db,
  id: number,
  holder: number,
  dueAt: number,
  failed: boolean,
): Promise<void> {
  await db.$client.execute({
    sql: `UPDATE requests SET held_until = 0, due_at = ?3, failures = failures + ?4 WHERE id = ?1 AND holder = ?2`,
    args: [id, holder, dueAt, failed ? 1 : 0],
  });
}

export interface Step {
  store: string;
  step: RequestStep;
  at: number;
  rows: number;
  bytes: number;
  ok: boolean;
  kids: readonly number[];
}

const KID_BYTES = 6;

function kidsIn(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.length / KID_BYTES }, (_, i) =>
    bytes.subarray(i * KID_BYTES, (i + 1) * KID_BYTES).reduce((kid, byte) => kid * 256 + byte, 0),
  );
}

function bytesOfKids(kids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(kids.length * KID_BYTES);
  for (const [i, kid] of kids.entries()) {
    for (let at = KID_BYTES - 1, rest = kid; at >= 0; at--, rest = Math.floor(rest / 256))
      bytes[i * KID_BYTES + at] = rest % 256;
  }
  return bytes;
}

export async function addStep(
  db: Db,
  requestId: number,
  { store, step, at, rows, bytes, ok, kids }: Step,
): Promise<void> {
  await db.$client.execute({
    sql: "INSERT INTO request_steps (request_id, store, step, at, rows, bytes, ok, kids) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    args: [requestId, store, step, at, rows, bytes, ok ? 1 : 0, kids.length === 0 ? null : bytesOfKids(kids)],
  });
}

/** The journal of a request, in the order of what happened. */
export async function stepsOf(db: Db, requestId: number): Promise<Step[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT store, step, at, rows, bytes, ok, kids FROM request_steps WHERE request_id = ? ORDER BY id",
    args: [requestId],
  });
  return rows.map((row) => ({
    store: String(row[0]),
    step: row[1] as RequestStep,
    at: Number(row[2]),
    rows: Number(row[3]),
    bytes: Number(row[4]),
    ok: Number(row[5]) === 1,
    kids: row[6] === null ? [] : kidsIn(bytesOf(row[6])),
  }));
}

/** Entries of the ledger that name a request. */
export async function entriesOfRequest(db: Db, name: string): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT seq FROM ledger WHERE entry ->> '$.request' = ? ORDER BY seq",
    args: [name],
  });
  return rows.map((row) => Number(row[0]));
}

export async function saveReceipt(db: Db, requestId: number, at: number, body: string): Promise<void> {
  await db.$client.execute({
    sql: "INSERT INTO receipts (request_id, at, body) VALUES (?, ?, ?) ON CONFLICT (request_id) DO UPDATE SET at = excluded.at, body = excluded.body",
    args: [requestId, at, body],
  });
}

/**
 * From now on nobody reads an account and nothing is taken for it: sessions, keys, links and waiting mails end, its people
 * cannot sign in, and its devices are marked. Freezing it again changes nothing.
 */
export async function freezeAccount(db: Db, accountId: number, now: number): Promise<void> {
  const people = "(SELECT id FROM users WHERE account_id = ?1)";
  const of = [accountId];
  const at = [accountId, now];
  await db.$client.batch(
    [
      { sql: "UPDATE accounts SET state = 'closing', frozen_at = ?2 WHERE id = ?1 AND frozen_at IS NULL", args: at },
      { sql: "UPDATE devices SET deleting_at = ?2 WHERE account_id = ?1 AND deleting_at IS NULL", args: at },
      { sql: "UPDATE users SET disabled_at = ?2 WHERE account_id = ?1 AND disabled_at IS NULL", args: at },
      { sql: "UPDATE api_keys SET revoked_at = ?2 WHERE account_id = ?1 AND revoked_at IS NULL", args: at },
      { sql: `DELETE FROM sessions WHERE user_id IN ${people}`, args: of },
      { sql: `DELETE FROM tokens WHERE user_id IN ${people}`, args: of },
      { sql: `DELETE FROM mails WHERE user_id IN ${people}`, args: of },
      { sql: "DELETE FROM export_links WHERE account_id = ?1", args: of },
      { sql: "DELETE FROM subject_links WHERE account_id = ?1", args: of },
    ],
    "write",
  );
}

/** The same of some devices of an account. */
export async function freezeDevices(db: Db, accountId: number, devices: readonly number[], now: number): Promise<void> {
  await db.$client.execute({
    sql: `UPDATE devices SET deleting_at = ?3 WHERE account_id = ?1 AND deleting_at IS NULL
      AND id IN (SELECT value FROM json_each(?2))`,
    args: [accountId, JSON.stringify(devices), now],
  });
}

/** Trackers of an account, or some of them, that are there yet. */
export async function trackersOf(
  db: Db,
  accountId: number,
  devices: readonly number[] | null,
): Promise<{ id: number; imei: string; confirmCce: boolean }[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT id, imei, confirm_cce FROM devices WHERE account_id = ?1
      AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2))) ORDER BY id`,
    args: [accountId, devices === null ? null : JSON.stringify(devices)],
  });
  const sealed = rows.map((row) => ({ id: Number(row[0]), imei: String(row[1]), confirmCce: Number(row[2]) === 1 }));
  // What nobody can open any more is empty.
  return (await db.$fields.open("devices", sealed, accountId)).filter(({ imei }) => imei !== "");
}

/** Of some devices those that are another account's. The number of one that is gone never comes back. */
export async function devicesOfOthers(db: Db, accountId: number, devices: readonly number[]): Promise<Set<number>> {
  const { rows } = await db.$client.execute({
    sql: "SELECT id FROM devices WHERE account_id <> ?1 AND id IN (SELECT value FROM json_each(?2))",
    args: [accountId, JSON.stringify(devices)],
  });
  return new Set(rows.map((row) => Number(row[0])));
}

/** How much of an account, or of some of its devices, lies in a database with tracks. */
export async function tracksLeft(
  db: Db,
  accountId: number,
  devices: readonly number[] | null,
): Promise<{ segments: number; bytes: number; beside: number }> {
  const { rows } = await db.$client.execute({
    sql: `SELECT count(*), coalesce(sum(length(sealed)), 0),
        (SELECT count(*) FROM wrapped_secrets WHERE account_id = ?1 AND ?2 IS NULL)
          + (SELECT count(*) FROM newest WHERE ?2 IS NULL AND id >= ?1 * ${ROWS_AN_ACCOUNT} AND id < (?1 + 1) * ${ROWS_AN_ACCOUNT})
      FROM segments WHERE account_id = ?1 AND (?2 IS NULL OR device_id IN (SELECT value FROM json_each(?2)))`,
    args: [accountId, devices === null ? null : JSON.stringify(devices)],
  });
  return { segments: Number(rows[0]![0]), bytes: Number(rows[0]![1]), beside: Number(rows[0]![2]) };
}

/** Deletes at most `limit` of the tracks of an account that is frozen. @returns segments, and their bytes */
export async function deleteTracks(db: Db, accountId: number, limit: number): Promise<{ rows: number; bytes: number }> {
  const some = "SELECT id FROM segments WHERE account_id = ?1 LIMIT ?2";
  const [bytes, gone] = await db.$client.batch(
    [
      { sql: `SELECT coalesce(sum(length(sealed)), 0) FROM segments WHERE id IN (${some})`, args: [accountId, limit] },
      { sql: `DELETE FROM segments WHERE id IN (${some})`, args: [accountId, limit] },
    ],
    "write",
  );
  return { rows: gone!.rowsAffected, bytes: Number(bytes!.rows[0]![0]) };
}

/** Deletes what else a database with tracks has of an account. */
export async function deleteOfTracks(db: Db, accountId: number): Promise<number> {
  const results = await db.$client.batch(
    [
      {
        sql: "DELETE FROM newest WHERE id >= ? AND id < ?",
        args: [accountId * ROWS_AN_ACCOUNT, (accountId + 1) * ROWS_AN_ACCOUNT],
      },
      { sql: "DELETE FROM wrapped_secrets WHERE account_id = ?", args: [accountId] },
      { sql: "DELETE FROM residents WHERE account_id = ?", args: [accountId] },
    ],
    "write",
  );
  return results.reduce((sum, { rowsAffected }) => sum + rowsAffected, 0);
}

/** Deletes at most `limit` rows that an earlier version stored one by one. */
export async function deleteOldRows(db: Db, accountId: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM positions WHERE rowid IN (SELECT rowid FROM positions WHERE account_id = ? LIMIT ?)",
    args: [accountId, limit],
  });
  return rowsAffected;
}

/** Deletes an account that is frozen, with everything that refers to it. @returns false when it is gone already */
export async function deleteAccount(db: Db, accountId: number): Promise<boolean> {
  const results = await db.$client.batch(
    [
      {
        sql: `DELETE FROM activations WHERE (imei_index, account_id) IN (SELECT imei_index, account_id FROM devices WHERE account_id = ?1)
          OR account_id = ?1`,
        args: [accountId],
      },
      { sql: "DELETE FROM devices WHERE account_id = ?1 AND deleting_at IS NOT NULL", args: [accountId] },
      { sql: "DELETE FROM accounts WHERE id = ?1 AND frozen_at IS NOT NULL", args: [accountId] },
    ],
    "write",
  );
  return results.at(-1)!.rowsAffected > 0;
}

/** Counts by the schema that is there, so that a table which is added is counted. */
async function countAll(
  db: Db,
  tables: readonly { table: string; condition: string }[],
  arg: number | string,
): Promise<number> {
  const each = tables.map(({ table, condition }) => `SELECT count(*) AS n FROM ${table} WHERE ${condition}`);
  const { rows } = await db.$client.execute({ sql: `SELECT sum(n) FROM (${each.join(" UNION ALL ")})`, args: [arg] });
  return Number(rows[0]![0]);
}

/** Rows of the control database that go with some devices. */
export async function recordsOfDevices(db: Db, devices: readonly number[]): Promise<number> {
  const { rows } = await db.$client.execute(
    `SELECT m.name, f."from" FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
      WHERE m.type = 'table' AND f."table" = 'devices' AND f.on_delete = 'CASCADE'`,
  );
  const among = (column: unknown) => `${column} IN (SELECT value FROM json_each(?1))`;
  const naming = rows.map((row) => ({ table: String(row[0]), condition: among(row[1]) }));
  return countAll(db, [{ table: "devices", condition: among("id") }, ...naming], JSON.stringify(devices));
}

/** A person of an account, as what is held about them is looked up. Null: there is no such person. */
export async function holderOf(db: Db, accountId: number, userId: number): Promise<Holder | null> {
  const { rows } = await db.$client.execute({
    sql: `SELECT role, device_limited, (SELECT json_group_array(device_id) FROM user_devices WHERE user_id = u.id)
      FROM users u WHERE id = ? AND account_id = ?`,
    args: [userId, accountId],
  });
  if (rows[0] === undefined) return null;
  const devices = rows[0][1] === 1 ? (JSON.parse(String(rows[0][2])) as number[]) : null;
  return { userId, accountId, devices, wholeAccount: rows[0][0] !== "viewer" && devices === null };
}
