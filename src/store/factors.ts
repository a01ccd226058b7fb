import { and, eq, isNotNull, isNull, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { recoveryCodes, users } from "./schema.ts";

/** Keeps a secret that is being set up; it is not in force. @returns false when one is in force already */
export async function setPendingTotp(db: Db, userId: number, sealed: string): Promise<boolean> {
  const set = await db
    .update(users)
    .set({ totpSecret: sealed, totpLastStep: null })
    .where(and(eq(users.id, userId), isNull(users.totpSince)))
    .returning({ id: users.id });
  return set.length > 0;
}

/**
 * Puts a pending secret in force, with new recovery codes.
 * @param sealed the secret that was confirmed: another one that was set up meanwhile stays pending
 * @returns false when it is not the pending one
 */
export async function confirmTotp(
  db: Db,
  userId: number,
  { sealed, step, now, hashes }: { sealed: string; step: number; now: number; hashes: readonly string[] },
): Promise<boolean> {
  const pending = "EXISTS (SELECT 1 FROM users WHERE id = ? AND totp_secret = ? AND totp_since IS NULL)";
  const which = [userId, sealed];
  const results = await db.$client.batch(
    [
      { sql: `DELETE FROM recovery_codes WHERE user_id = ? AND ${pending}`, args: [userId, ...which] },
      {
        sql: `INSERT INTO recovery_codes (user_id, hash) SELECT ?, value FROM json_each(?) WHERE ${pending}`,
        args: [userId, JSON.stringify(hashes), ...which],
      },
      {
        sql: "UPDATE users SET totp_since = ?, totp_last_step = ? WHERE id = ? AND totp_secret = ? AND totp_since IS NULL",
        args: [now, step, ...which],
      },
    ],
    "write",
  );
  return results[2]!.rowsAffected === 1;
}

/** Writes that a step's code was used. @returns false when it, or a later one, was used before */
export async function useTotpStep(db: Db, userId: number, step: number): Promise<boolean> {
  const used = await db
    .update(users)
    .set({ totpLastStep: step })
    .where(and(eq(users.id, userId), isNotNull(users.totpSince), sql`coalesce(${users.totpLastStep}, -1) < ${step}`))
    .returning({ id: users.id });
  return used.length > 0;
}

/** Uses a recovery code up: of two that come at once, one gets it. @returns false when there is no such code */
export async function useRecoveryCode(db: Db, userId: number, hash: string): Promise<boolean> {
  const used = await db
    .delete(recoveryCodes)
    .where(and(eq(recoveryCodes.userId, userId), eq(recoveryCodes.hash, hash)))
    .returning({ hash: recoveryCodes.hash });
  return used.length > 0;
}

export function countRecoveryCodes(db: Db, userId: number): Promise<number> {
  return db.$count(recoveryCodes, eq(recoveryCodes.userId, userId));
}

/** Removes the secret, pending or in force, and its recovery codes. @returns whether one was in force */
export async function removeTotp(db: Db, userId: number): Promise<boolean> {
  const results = await db.$client.batch(
    [
      { sql: "DELETE FROM recovery_codes WHERE user_id = ?", args: [userId] },
      {
        sql: "UPDATE users SET totp_secret = NULL, totp_since = NULL, totp_last_step = NULL WHERE id = ? AND totp_since IS NOT NULL",
        args: [userId],
      },
      {
        sql: "UPDATE users SET totp_secret = NULL, totp_last_step = NULL WHERE id = ? AND totp_since IS NULL",
        args: [userId],
      },
    ],
    "write",
  );
  return results[1]!.rowsAffected === 1;
}

/** Removes every second factor of a user, and ends their sessions: whoever has one proved it with a factor that is gone. */
export async function removeAllFactors(db: Db, userId: number): Promise<void> {
  await db.$client.batch(
    [
      { sql: "DELETE FROM recovery_codes WHERE user_id = ?", args: [userId] },
      { sql: "DELETE FROM passkeys WHERE user_id = ?", args: [userId] },
      { sql: "DELETE FROM sessions WHERE user_id = ?", args: [userId] },
      {
        sql: "UPDATE users SET totp_secret = NULL, totp_since = NULL, totp_last_step = NULL WHERE id = ?",
        args: [userId],
      },
    ],
    "write",
  );
}

/**
 * Ends everything that opens a user's account but their older second factors: sessions, open links, the password, the
 * API keys that they made, an authenticator app that is only being set up, and what was added since a time.
 * @param ownedAccountId the account that they own: also every key, every user's sessions and open links, invitations too,
 *   and support's window end; else null
 */
export async function endEverything(
  db: Db,
  { userId, ownedAccountId, now, since }: { userId: number; ownedAccountId: number | null; now: number; since: number },
): Promise<void> {
  await db.$client.batch(
    [
      {
        sql: "DELETE FROM sessions WHERE user_id = ? OR user_id IN (SELECT id FROM users WHERE account_id = ?)",
        args: [userId, ownedAccountId],
      },
      {
        // A link that secures an account stays: a stranger inside must not be able to take it away.
        sql: `DELETE FROM tokens WHERE kind <> 'report'
          AND (user_id = ? OR user_id IN (SELECT id FROM users WHERE account_id = ?))`,
        args: [userId, ownedAccountId],
      },
      {
        sql: `DELETE FROM recovery_codes WHERE user_id = ?
          AND EXISTS (SELECT 1 FROM users u WHERE u.id = user_id AND u.totp_since > ?)`,
        args: [userId, since],
      },
      {
        sql: `UPDATE users SET totp_secret = NULL, totp_since = NULL, totp_last_step = NULL
          WHERE id = ? AND (totp_since IS NULL OR totp_since > ?)`,
        args: [userId, since],
      },
      { sql: "DELETE FROM passkeys WHERE user_id = ? AND created_at > ?", args: [userId, since] },
      { sql: "UPDATE users SET password_hash = NULL WHERE id = ?", args: [userId] },
      {
        sql: "UPDATE api_keys SET revoked_at = ? WHERE revoked_at IS NULL AND (made_by = ? OR account_id = ?)",
        args: [now, userId, ownedAccountId],
      },
      {
        sql: "UPDATE support_windows SET closed_at = ? WHERE account_id = ? AND closed_at IS NULL AND expires_at > ?",
        args: [now, ownedAccountId, now],
      },
    ],
    "write",
  );
}
