import type { Db, Statement } from "./db.ts";

/** What is known of an address after somebody asked for something with it. */
export interface AddressRow {
  userId: number;
  verified: boolean;
  disabled: boolean;
  language: string;
  /** null: the operator's staff */
  account: { id: number; name: string; state: string } | null;
}

export interface Registration {
  /** Reserved: the account's if it is made. */
  accountId: number;
  email: string;
  name: string | null;
  mobile: string | null;
  language: string;
  accountName: string;
  /** of the link's token */
  hash: string;
  now: number;
  expiresAt: number;
}

const ASKED = (index: string): Statement => ({
  sql: `SELECT u.id, u.email_verified_at IS NOT NULL, u.disabled_at IS NOT NULL, u.language, a.id, a.name, a.state
    FROM users u LEFT JOIN accounts a ON a.id = u.account_id WHERE u.email_index = ?`,
  args: [index],
});

/**
 * Takes up an address that signs up. The statements are the same whoever has it: a new one gets an account and its
 * owner, one that nobody confirmed a new link in place of older ones, any other nothing.
 */
export async function registerAddress(db: Db, registration: Registration): Promise<AddressRow | null> {
  const { accountId, email, name, mobile, language, accountName, hash, now, expiresAt } = registration;
  const account = await db.$fields.seal("accounts", accountId, { name: accountName });
  const user = await db.$fields.seal("users", accountId, { email, name, mobile });
  const index = user.emailIndex ?? "";
  const isNew = "WHERE NOT EXISTS (SELECT 1 FROM users WHERE email_index = ?)";
  const unconfirmed = "u.email_index = ? AND u.email_verified_at IS NULL AND u.disabled_at IS NULL";
  return asked(db, [
    {
      sql: `INSERT INTO accounts (id, name, name_index, created_at, state, privacy_accepted, terms_accepted)
        SELECT ?, ?, ?, ?, 'unverified', 0, 0 ${isNew}`,
      args: [accountId, account.name, account.nameIndex ?? null, now, index],
    },
    {
      sql: `INSERT INTO users (account_id, role, email, email_index, name, mobile, language, created_at)
        SELECT ?, 'owner', ?, ?, ?, ?, ?, ? ${isNew}`,
      args: [accountId, user.email, index, user.name, user.mobile, language, now, index],
    },
    {
      sql: `DELETE FROM tokens WHERE kind IN ('signup', 'invite') AND user_id = (SELECT u.id FROM users u WHERE ${unconfirmed})`,
      args: [index],
    },
    {
      sql: `INSERT INTO tokens (kind, hash, user_id, created_at, expires_at)
        SELECT CASE a.state WHEN 'unverified' THEN 'signup' ELSE 'invite' END, ?, u.id, ?, ?
        FROM users u LEFT JOIN accounts a ON a.id = u.account_id WHERE ${unconfirmed}`,
      args: [hash, now, expiresAt, index],
    },
    ASKED(index),
  ]);
}

/**
 * Makes a link's token for an address that can sign in; that of a reset takes the place of older ones. The statements are
 * the same for any address.
 */
export async function insertLinkToken(
  db: Db,
  kind: "reset" | "report",
  { email, hash, now, expiresAt }: { email: string; hash: string; now: number; expiresAt: number },
): Promise<AddressRow | null> {
  const index = await db.$fields.index("email", email);
  const known = "u.email_index = ? AND u.email_verified_at IS NOT NULL AND u.disabled_at IS NULL";
  const older: Statement = {
    sql: `DELETE FROM tokens WHERE kind = 'reset' AND user_id = (SELECT u.id FROM users u WHERE ${known})`,
    args: [index],
  };
  return asked(db, [
    ...(kind === "reset" ? [older] : []),
    {
      sql: `INSERT INTO tokens (kind, hash, user_id, created_at, expires_at) SELECT ?, ?, u.id, ?, ? FROM users u WHERE ${known}`,
      args: [kind, hash, now, expiresAt, index],
    },
    ASKED(index),
  ]);
}

/** Forgets a registration or an invitation of an address that nobody has confirmed. */
export async function forgetUnconfirmed(db: Db, email: string): Promise<void> {
  const account = `SELECT a.id FROM accounts a JOIN users u ON u.account_id = a.id
    WHERE a.state = 'unverified' AND u.email_index = ? AND u.email_verified_at IS NULL`;
  const args = [await db.$fields.index("email", email)];
  await db.$client.batch(
    [
      { sql: `DELETE FROM audit WHERE account_id IN (${account})`, args },
      { sql: `DELETE FROM accounts WHERE id IN (${account})`, args },
      { sql: "DELETE FROM users WHERE email_index = ? AND email_verified_at IS NULL", args },
    ],
    "write",
  );
}

async function asked(db: Db, statements: Statement[]): Promise<AddressRow | null> {
  const row = (await db.$client.batch(statements, "write")).at(-1)?.rows[0];
  if (row === undefined) return null;
  const account = { id: row[4] as number, name: row[5] as string, state: row[6] as string };
  const [opened] = await db.$fields.open("accounts", [account], account.id);
  return {
    userId: row[0] as number,
    verified: row[1] === 1,
    disabled: row[2] === 1,
    language: row[3] as string,
    account: row[4] === null ? null : opened!,
  };
}

const OF_TOKEN = "(SELECT user_id FROM tokens WHERE hash = ? AND kind = ? AND expires_at > ?)";

/**
 * Uses up the link of a sign-up or an invitation: the address is confirmed, the password set, a new account active.
 * @param hash of the token
 * @returns false when the token is not valid, used or over: of two that come at once, one gets true
 */
export async function joinWithToken(
  db: Db,
  kind: "signup" | "invite",
  hash: string,
  {
    accountId,
    passwordHash,
    name,
    now,
  }: {
    /** Of the user; null: the operator's staff */
    accountId: number | null;
    passwordHash: string;
    name: string | null;
    now: number;
  },
): Promise<boolean> {
  const token = [hash, kind, now];
  const sealed = await db.$fields.seal("users", accountId, { name });
  const [joined] = await db.$client.batch(
    [
      {
        sql: `UPDATE users SET email_verified_at = ?, password_hash = ?, name = coalesce(?, name), last_sign_in_at = ?
          WHERE id = ${OF_TOKEN} AND email_verified_at IS NULL AND disabled_at IS NULL`,
        args: [now, passwordHash, sealed.name, now, ...token],
      },
      {
        sql: `UPDATE accounts SET state = 'active' WHERE state = 'unverified' AND id = (SELECT account_id FROM users WHERE id = ${OF_TOKEN})`,
        args: token,
      },
      { sql: `DELETE FROM tokens WHERE kind IN ('signup', 'invite') AND user_id = ${OF_TOKEN}`, args: token },
    ],
    "write",
  );
  return joined!.rowsAffected === 1;
}

/**
 * Uses up the link of a reset: the password is set, and every session and every other token of the user ends.
 * @returns false when the token is not valid, used or over
 */
export async function resetWithToken(db: Db, hash: string, passwordHash: string, now: number): Promise<boolean> {
  const token = [hash, "reset", now];
  const [reset] = await db.$client.batch(
    [
      {
        sql: `UPDATE users SET password_hash = ? WHERE id = ${OF_TOKEN} AND disabled_at IS NULL`,
        args: [passwordHash, ...token],
      },
      { sql: `DELETE FROM sessions WHERE user_id = ${OF_TOKEN}`, args: token },
      // As in factors.ts: a link that secures the account stays.
      { sql: `DELETE FROM tokens WHERE kind <> 'report' AND user_id = ${OF_TOKEN}`, args: token },
    ],
    "write",
  );
  return reset!.rowsAffected === 1;
}
