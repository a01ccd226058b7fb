import type { Db } from "./db.ts";

async function changed(db: Db, sql: string, args: number[]): Promise<number> {
  return (await db.$client.execute({ sql, args })).rowsAffected;
}

// Each of these deletes at most `limit` rows and says how many. Called until it says fewer than `limit`, it is done;
// stopped in between, the next call goes on where it ended.

/** Whose device it was that is being removed; null: it is not, or it is gone. */
export async function accountOfMarked(db: Db, deviceId: number): Promise<number | null> {
  const { rows } = await db.$client.execute({
    sql: "SELECT account_id FROM devices WHERE id = ? AND deleting_at IS NOT NULL",
    args: [deviceId],
  });
  return rows[0] === undefined ? null : Number(rows[0][0]);
}

/** The last step of a removal, when the track is erased. Does nothing unless the device is marked. */
export async function deleteMarkedDevice(db: Db, deviceId: number): Promise<boolean> {
  const gone = `IN (SELECT id FROM devices WHERE id = ? AND deleting_at IS NOT NULL)`;
  const results = await db.$client.batch(
    [
      {
        // What the operator noted of its sale, unless it was sold once more since.
        sql: `DELETE FROM activations WHERE (imei_index, account_id) IN (SELECT imei_index, account_id FROM devices WHERE id ${gone})
          AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.imei_index = activations.imei_index AND d.deleting_at IS NULL)`,
        args: [deviceId],
      },
      { sql: `DELETE FROM positions WHERE device_id ${gone}`, args: [deviceId] },
      { sql: `DELETE FROM commands WHERE device_id ${gone}`, args: [deviceId] },
      { sql: `DELETE FROM user_devices WHERE device_id ${gone}`, args: [deviceId] },
      { sql: `DELETE FROM key_devices WHERE device_id ${gone}`, args: [deviceId] },
      { sql: `DELETE FROM recent_devices WHERE device_id ${gone}`, args: [deviceId] },
      { sql: `DELETE FROM devices WHERE id ${gone}`, args: [deviceId] },
    ],
    "write",
  );
  return results.at(-1)!.rowsAffected > 0;
}

/** An erasure carries it out, with its own steps. */
const BY_REQUEST = `EXISTS (SELECT 1 FROM requests r WHERE r.account_id = devices.account_id AND r.type = 'erase'
  AND r.closed_at IS NULL AND r.state NOT IN ('identity_pending', 'partially_cleared') AND (r.scope ->> '$.kind' = 'account'
    OR EXISTS (SELECT 1 FROM json_each(r.scope, '$.devices') WHERE value = devices.id)))`;

/** Devices whose removal began and has not ended, oldest first. */
export async function markedDevices(db: Db, limit: number): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT id FROM devices WHERE deleting_at IS NOT NULL AND NOT ${BY_REQUEST} ORDER BY deleting_at LIMIT ?`,
    args: [limit],
  });
  return rows.map((row) => Number(row[0]));
}

export function deleteIdempotencyKeysExpiredBefore(db: Db, before: number, limit: number): Promise<number> {
  return changed(
    db,
    `DELETE FROM idempotency_keys WHERE (account_id, key) IN (
      SELECT account_id, key FROM idempotency_keys WHERE expires_at <= ? LIMIT ?)`,
    [before, limit],
  );
}

/** Sold trackers that were loaded before a time, and that nobody has activated. */
export function deleteActivationsBefore(db: Db, before: number, limit: number): Promise<number> {
  return changed(
    db,
    `DELETE FROM activations WHERE imei IN (
      SELECT imei FROM activations WHERE loaded_at < ? AND activated_at IS NULL ORDER BY loaded_at LIMIT ?)`,
    [before, limit],
  );
}

/** A link that a person was sent and may still follow. */
const WAITING =
  "EXISTS (SELECT 1 FROM tokens t WHERE t.user_id = u.id AND t.kind IN ('signup', 'invite') AND t.expires_at > ?)";

/**
 * Deletes registrations that nobody confirmed and people who were invited and never came, with everything of theirs, what
 * was recorded about the registration too. Who was sent a fresh link has the time that it says.
 * @param before made earlier than that
 * @returns accounts and users
 */
export async function deleteUnconfirmed(db: Db, before: number, now: number, limit: number): Promise<number> {
  const accounts = `SELECT a.id FROM accounts a WHERE a.state = 'unverified' AND a.created_at < ?
    AND NOT EXISTS (SELECT 1 FROM users u WHERE u.account_id = a.id AND ${WAITING}) ORDER BY a.id LIMIT ?`;
  const users = `SELECT u.id FROM users u WHERE u.email_verified_at IS NULL AND u.password_hash IS NULL
    AND u.last_sign_in_at IS NULL AND u.created_at < ? AND NOT ${WAITING}
    AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = u.account_id AND a.state = 'unverified') LIMIT ?`;
  const args = [before, now, limit];
  const results = await db.$client.batch(
    [
      { sql: `DELETE FROM audit WHERE account_id IN (${accounts})`, args },
      { sql: `DELETE FROM users WHERE account_id IN (${accounts})`, args },
      { sql: `DELETE FROM accounts WHERE id IN (${accounts})`, args },
      { sql: `DELETE FROM users WHERE id IN (${users})`, args },
    ],
    "write",
  );
  return results[2]!.rowsAffected + results[3]!.rowsAffected;
}

// What the operator and the account did, and who looked, oldest first.

export function deleteAuditBefore(db: Db, before: number, limit: number): Promise<number> {
  return changed(db, "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? LIMIT ?)", [before, limit]);
}

/** Keys that were revoked or expired before a time. Until then the record of acts names who made them. */
export function deleteKeysBefore(db: Db, before: number, limit: number): Promise<number> {
  const sql = `DELETE FROM api_keys WHERE id IN (
    SELECT id FROM api_keys WHERE min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at)) < ? LIMIT ?)`;
  return changed(db, sql, [before, limit]);
}

/** Forgets who signed in and out before a time. */
export function deleteSessionActsBefore(db: Db, before: number, limit: number): Promise<number> {
  const sql = `DELETE FROM audit WHERE id IN (
    SELECT id FROM audit WHERE action IN ('session.opened', 'session.ended') AND at < ? LIMIT ?)`;
  return changed(db, sql, [before, limit]);
}

export function deleteLooksBefore(db: Db, before: number, limit: number): Promise<number> {
  return changed(db, "DELETE FROM looks WHERE id IN (SELECT id FROM looks WHERE at < ? LIMIT ?)", [before, limit]);
}

/** Windows that ended before a time. */
export function deleteWindowsBefore(db: Db, before: number, limit: number): Promise<number> {
  return changed(
    db,
    "DELETE FROM support_windows WHERE id IN (SELECT id FROM support_windows WHERE min(expires_at, coalesce(closed_at, expires_at)) < ? LIMIT ?)",
    [before, limit],
  );
}
