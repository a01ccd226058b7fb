import { CLEARING_CODES, type SentCommand } from "./commands.ts";
import type { Db } from "./db.ts";
import type { CommandState } from "./schema.ts";

// Commands that delete what a tracker of a marked device holds, and what an erasure has heard of them.

/** Whether any bridge delivered since a time. */
export async function bridgeSeenSince(db: Db, since: number): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: "SELECT EXISTS (SELECT 1 FROM bridge_seen WHERE last_seen_at >= ?)",
    args: [since],
  });
  return rows[0]![0] === 1;
}

export interface ClearingCommand {
  deviceId: number;
  code: string;
  /** JSON */
  arguments: string;
  identifier: string;
  frame: Uint8Array;
}

/** Queues them for devices of an account that are marked, each once. */
export async function insertClearing(
  db: Db,
  accountId: number,
  commands: readonly ClearingCommand[],
  now: number,
  expiresAt: number,
): Promise<void> {
  const sealed = await db.$fields.sealAll("commands", accountId, commands);
  await db.$client.batch(
    sealed.map(({ deviceId, code, arguments: given, identifier, frame }) => ({
      sql: `INSERT INTO commands (device_id, account_id, code, arguments, identifier, frame, state, created_at, expires_at)
        SELECT d.id, d.account_id, ?3, ?4, ?5, ?6, 'queued', max(?7, d.deleting_at), ?8
        FROM devices d WHERE d.id = ?1 AND d.account_id = ?2 AND d.deleting_at IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM commands c WHERE c.device_id = d.id AND c.code = ?3 AND c.created_at >= d.deleting_at)`,
      args: [deviceId, accountId, code, given, identifier, frame, now, expiresAt],
    })),
    "write",
  );
}

const OF_MARKED = `d.deleting_at IS NOT NULL AND c.code IN (${CLEARING_CODES}) AND c.created_at >= d.deleting_at`;

/** Whether one of a device, queued since a time, may still be taken or answered. */
export async function isClearing(db: Db, deviceId: number, since: number): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: `SELECT EXISTS (SELECT 1 FROM commands c JOIN devices d ON d.id = c.device_id
      WHERE c.device_id = ? AND c.state IN ('queued', 'sent') AND c.created_at > ? AND ${OF_MARKED})`,
    args: [deviceId, since],
  });
  return rows[0]![0] === 1;
}

/** How far those of an account's marked devices are, or of some of them. */
export async function countClearing(
  db: Db,
  accountId: number,
  devices: readonly number[] | null,
): Promise<{ code: string; state: CommandState; count: number }[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT c.code, c.state, count(*) FROM devices d CROSS JOIN commands c ON c.device_id = d.id
      WHERE d.account_id = ?1 AND (?2 IS NULL OR d.id IN (SELECT value FROM json_each(?2))) AND ${OF_MARKED}
      GROUP BY c.code, c.state`,
    args: [accountId, devices === null ? null : JSON.stringify(devices)],
  });
  return rows.map((row) => ({ code: String(row[0]), state: row[1] as CommandState, count: Number(row[2]) }));
}

/** Those that these trackers may answer, oldest first. The devices are marked, so that they are found by IMEI alone. */
export async function clearingSent(
  db: Db,
  imeis: readonly string[],
  sentSince: number,
): Promise<(SentCommand & { imei: string })[]> {
  const indexes = await db.$fields.indexAll("imei", imeis);
  const { rows } = await db.$client.execute({
    sql: `SELECT c.id, c.device_id, c.code, c.identifier, c.sent_at, c.account_id, d.imei_index
      FROM devices d CROSS JOIN commands c ON c.device_id = d.id
      WHERE d.imei_index IN (SELECT value FROM json_each(?)) AND c.state = 'sent' AND c.sent_at > ? AND ${OF_MARKED}
      ORDER BY c.id`,
    args: [JSON.stringify(indexes), sentSince],
  });
  return rows.map((row) => ({
    id: Number(row[0]),
    deviceId: Number(row[1]),
    code: String(row[2]),
    identifier: String(row[3]),
    sentAt: Number(row[4]),
    accountId: Number(row[5]),
    imei: imeis[indexes.indexOf(String(row[6]))]!,
  }));
}

/** What an erasure's trackers said, in numbers of them. */
export interface Said {
  trackers: number;
  /** Not told, because of a hold. */
  held?: number;
  /** By the command's code. waiting: of those that were told, no bridge has taken it so far. */
  said: Record<string, { told: number; confirmed: number; refused: number; waiting: number }>;
}

/** Null: nobody was told yet. */
export async function saidOf(db: Db, requestId: number): Promise<Said | null> {
  const { rows } = await db.$client.execute({ sql: "SELECT trackers FROM requests WHERE id = ?", args: [requestId] });
  const text = rows[0]?.[0];
  return typeof text === "string" ? (JSON.parse(text) as Said) : null;
}

export async function saveSaid(db: Db, requestId: number, said: Said): Promise<void> {
  await db.$client.execute({
    sql: "UPDATE requests SET trackers = ? WHERE id = ?",
    args: [JSON.stringify(said), requestId],
  });
}
