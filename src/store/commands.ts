import { and, desc, eq, gt, lt, or, sql } from "drizzle-orm";
import type { CommandCode } from "../../codec/commands.ts";
import { bytesOf, type Db, type Statement } from "./db.ts";
import { type Reach, within } from "./reach.ts";
import { type CommandState, commands } from "./schema.ts";
import { inForce } from "./suspensions.ts";

/** Commands that delete what a tracker holds: the only ones that a device gets which is being erased. */
export const CLEARING = ["F09"] as const satisfies readonly CommandCode[];
/** For SQL. */
export const CLEARING_CODES: string = CLEARING.map((code) => `'${code}'`).join(", ");

export interface CommandRow {
  id: number;
  deviceId: number;
  code: string;
  arguments: Record<string, unknown>;
  state: CommandState;
  /** Unix ms, as the other times. */
  createdAt: number;
  expiresAt: number;
  sentAt: number | null;
  answeredAt: number | null;
  reply: string | null;
}

/** A queued command whose time is over is expired for every reader, whether or not the job has come by. */
const stateAt = (now: number) =>
  sql<CommandState>`CASE WHEN ${commands.state} = 'queued' AND ${commands.expiresAt} <= ${now} THEN 'expired' ELSE ${commands.state} END`;

const columnsAt = (now: number) => ({
  id: commands.id,
  deviceId: commands.deviceId,
  code: commands.code,
  arguments: commands.arguments,
  state: stateAt(now),
  createdAt: commands.createdAt,
  expiresAt: commands.expiresAt,
  sentAt: commands.sentAt,
  answeredAt: commands.answeredAt,
  reply: commands.reply,
});

/** Rows as they are read, opened. */
async function opened(
  db: Db,
  accountId: number,
  rows: readonly (Omit<CommandRow, "arguments"> & { arguments: string })[],
): Promise<CommandRow[]> {
  const clear = await db.$fields.open("commands", rows, accountId);
  // Of an account that was erased there is nothing to parse.
  return clear.map((row) => ({ ...row, arguments: JSON.parse(row.arguments || "{}") as Record<string, unknown> }));
}

export async function insertCommand(
  db: Db,
  accountId: number,
  command: Pick<CommandRow, "deviceId" | "code" | "arguments" | "createdAt" | "expiresAt"> & {
    identifier: string;
    frame: Uint8Array;
  },
): Promise<CommandRow> {
  const clear = { ...command, arguments: JSON.stringify(command.arguments) };
  const sealed = await db.$fields.seal("commands", accountId, clear);
  const rows = await db
    .insert(commands)
    .values({ ...sealed, accountId, state: "queued" })
    .returning(columnsAt(command.createdAt));
  return (await opened(db, accountId, rows))[0]!;
}

export async function commandById(
  db: Db,
  reach: Reach,
  deviceId: number,
  id: number,
  now: number,
): Promise<CommandRow | null> {
  const rows = await db
    .select(columnsAt(now))
    .from(commands)
    .where(
      and(eq(commands.id, id), eq(commands.deviceId, deviceId), within(reach, commands.accountId, commands.deviceId)),
    );
  return (await opened(db, reach.accountId, rows))[0] ?? null;
}

/** Commands of a device, newest first. @param before the last id of the page before, or null for the first page */
export async function listCommands(
  db: Db,
  reach: Reach,
  deviceId: number,
  before: number | null,
  limit: number,
  now: number,
): Promise<CommandRow[]> {
  const rows = await db
    .select(columnsAt(now))
    .from(commands)
    .where(
      and(
        eq(commands.deviceId, deviceId),
        within(reach, commands.accountId, commands.deviceId),
        before === null ? undefined : lt(commands.id, before),
      ),
    )
    .orderBy(desc(commands.id))
    .limit(limit);
  return opened(db, reach.accountId, rows);
}

/**
 * What is still under way to a device: queued commands, and sent ones that may yet be answered.
 * @param sentSince sent before this they no longer count
 */
export function openCommands(
  db: Db,
  reach: Reach,
  deviceId: number,
  now: number,
  sentSince: number,
): Promise<{ id: number; code: string; identifier: string; state: CommandState }[]> {
  return db
    .select({ id: commands.id, code: commands.code, identifier: commands.identifier, state: commands.state })
    .from(commands)
    .where(
      and(
        eq(commands.deviceId, deviceId),
        within(reach, commands.accountId, commands.deviceId),
        or(
          and(eq(commands.state, "queued"), gt(commands.expiresAt, now)),
          and(eq(commands.state, "sent"), gt(commands.sentAt, sentSince)),
        ),
      ),
    )
    .orderBy(commands.id);
}

// The exchange with a bridge. Each of these is one statement of the batch that stores the frames, and acts only while
// `version` is the registry's: a revoked bridge gets nothing.

const AT_VERSION = "(SELECT version FROM registry) = ?";

/**
 * Of a device `d` that is suspended nothing. Of one that is marked, suspended or not, what it was told since, as long as
 * its tracker is nobody else's.
 */
const DELIVERABLE = `((d.deleting_at IS NULL AND NOT ${inForce("d.account_id", "d.id")}) OR (c.code IN (${CLEARING_CODES}) AND c.created_at >= d.deleting_at
  AND NOT EXISTS (SELECT 1 FROM devices o WHERE o.imei_index = d.imei_index AND o.deleting_at IS NULL)))`;

/** Puts back what a bridge claimed but could not write: it may be claimed again while its time lasts. */
export function releaseStatement(bridgeId: number, ids: readonly number[], version: number): Statement {
  return {
    sql: `UPDATE commands SET state = 'queued', sent_at = NULL, bridge_id = NULL
      WHERE id IN (SELECT value FROM json_each(?)) AND state = 'sent' AND bridge_id = ? AND ${AT_VERSION}`,
    args: [JSON.stringify(ids), bridgeId, version],
  };
}

/**
 * Gives each queued command to the first bridge that claims it. Rows for claimedFrames().
 * @param kid the key of the inbox that must be the one to use, as positions come with it; null: none do
 */
export function claimStatement(
  bridgeId: number,
  ids: readonly number[],
  { version, kid }: { version: number; kid: number | null },
  now: number,
): Statement {
  return {
    sql: `UPDATE commands AS c SET state = 'sent', sent_at = ?, bridge_id = ?
      WHERE id IN (SELECT value FROM json_each(?)) AND state = 'queued' AND expires_at > ? AND ${AT_VERSION}
        AND coalesce((SELECT kid FROM settlement) = ?, TRUE)
        AND EXISTS (SELECT 1 FROM devices d WHERE d.id = c.device_id AND ${DELIVERABLE})
      RETURNING id, frame, account_id`,
    args: [now, bridgeId, JSON.stringify(ids), now, version, kid],
  };
}

/** The rows of `claimStatement`, by command id. Without those of an account that was erased: nobody can open them. */
export async function claimedFrames(db: Db, rows: readonly ArrayLike<unknown>[]): Promise<Map<number, Uint8Array>> {
  const claimed = rows.map((row) => ({ id: Number(row[0]), frame: bytesOf(row[1]), accountId: Number(row[2]) }));
  const open = await db.$fields.open("commands", claimed, (row) => row.accountId);
  return new Map(open.flatMap(({ id, frame }) => (frame.length === 0 ? [] : [[id, frame]])));
}

/**
 * Queued commands in their time, the oldest of each device: a device gets its commands in order. With more devices
 * than `limit` the choice changes from call to call, so that silent devices cannot keep the others waiting.
 * Rows for openedOffers().
 */
export function offersStatement(now: number, limit: number): Statement {
  return {
    sql: `SELECT min(c.id), d.imei, d.account_id FROM commands c JOIN devices d ON d.id = c.device_id
      WHERE c.state = 'queued' AND c.expires_at > ? AND ${DELIVERABLE}
      GROUP BY c.device_id ORDER BY random() LIMIT ?`,
    args: [now, limit],
  };
}

/** The rows of `offersStatement`. */
export async function openedOffers(
  db: Db,
  rows: readonly ArrayLike<unknown>[],
): Promise<{ commandId: number; imei: string }[]> {
  const offers = rows.map((row) => ({ commandId: Number(row[0]), imei: String(row[1]), accountId: Number(row[2]) }));
  const opened = await db.$fields.open("devices", offers, (offer) => offer.accountId);
  return opened.map(({ commandId, imei }) => ({ commandId, imei }));
}

/** A command that waits for its reply. */
export interface SentCommand {
  id: number;
  deviceId: number;
  accountId: number;
  code: string;
  identifier: string;
  sentAt: number;
}

/** Sent commands of these devices that may still be answered, oldest first. */
export async function sentCommands(db: Db, deviceIds: readonly number[], sentSince: number): Promise<SentCommand[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT id, device_id, code, identifier, sent_at, account_id FROM commands
      WHERE state = 'sent' AND sent_at > ? AND device_id IN (SELECT value FROM json_each(?)) ORDER BY id`,
    args: [sentSince, JSON.stringify(deviceIds)],
  });
  return rows.map((row) => ({
    id: Number(row[0]),
    deviceId: Number(row[1]),
    code: String(row[2]),
    identifier: String(row[3]),
    sentAt: Number(row[4]),
    accountId: Number(row[5]),
  }));
}

export interface Answer {
  id: number;
  deviceId: number;
  accountId: number;
  state: "acked" | "refused";
  answeredAt: number;
  reply: string | null;
  /** The reply carries the command's own identifier; without it the command is only the oldest that it fits. */
  certain: boolean;
}

/**
 * Records the replies. A command that was answered meanwhile keeps its first answer. A reply that a bridge delivers
 * again, because it never heard that it was stored, answers nothing else: it has the words and the receive time of one
 * that another command has already. Words are told by a keyed hash, of which each device has its own.
 */
export async function answerStatement(db: Db, answers: readonly Answer[], version: number): Promise<Statement> {
  const { $fields } = db;
  const sealed = await Promise.all(
    answers.map(async (answer) => ({
      // Of a device that is being erased there are no words, and perhaps nothing to seal them under.
      ...(answer.reply === null ? answer : await $fields.seal("commands", answer.accountId, answer)),
      replyIndex: answer.reply === null ? null : await $fields.index("reply", `${answer.deviceId} ${answer.reply}`),
    })),
  );
  return {
    sql: `UPDATE commands SET state = a.value ->> 'state', answered_at = a.value ->> 'answeredAt', reply = a.value ->> 'reply',
        reply_index = a.value ->> 'replyIndex'
      FROM json_each(?) AS a
      WHERE commands.id = a.value ->> 'id' AND commands.state = 'sent' AND ${AT_VERSION}
        AND (a.value ->> 'certain' OR NOT EXISTS (SELECT 1 FROM commands AS answered
          WHERE answered.device_id = commands.device_id AND answered.code = commands.code
            AND answered.answered_at = a.value ->> 'answeredAt' AND answered.reply_index IS a.value ->> 'replyIndex'))`,
    args: [JSON.stringify(sealed), version],
  };
}

/** Marks queued commands whose time is over. @returns how many */
export async function expireCommands(db: Db, now: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: `UPDATE commands SET state = 'expired'
      WHERE id IN (SELECT id FROM commands WHERE state = 'queued' AND expires_at <= ? LIMIT ?)`,
    args: [now, limit],
  });
  return rowsAffected;
}

/** Removes commands of devices that were made and over before a time for each. @returns how many, `limit` at most */
export async function purgeCommands(
  db: Db,
  devices: readonly { deviceId: number; cutoff: number }[],
  limit: number,
): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: `DELETE FROM commands WHERE id IN (SELECT c.id FROM json_each(?) j CROSS JOIN commands c ON c.device_id = j.value ->> 0
      WHERE c.created_at < j.value ->> 1 AND c.expires_at < j.value ->> 1 LIMIT ?)`,
    args: [JSON.stringify(devices.map(({ deviceId, cutoff }) => [deviceId, cutoff])), limit],
  });
  return rowsAffected;
}
