import type { Client } from "@libsql/client";
import type { PositionTable } from "../codec/columns.ts";
import { decodeRecordInto } from "../codec/record.ts";
import { LINES, type RowPacker, SQL } from "./store/row-pack.ts";

// The baseline of `bench:store`: positions as rows, the way this product stored them before it had segments. One row a
// position in the order of arrival, found by five indexes; a row a device for the newest fix. Not sealed.

/** The tables with their indexes as they were; `devices` has what the statements ask of it. */
const SCHEMA = [
  "CREATE TABLE devices (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, deleting_at INTEGER) STRICT",
  `CREATE TABLE positions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    fix_time INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 8),
    received_at INTEGER NOT NULL,
    clock INTEGER NOT NULL CHECK (clock IN (0, 1)),
    event INTEGER NOT NULL,
    valid INTEGER NOT NULL CHECK (valid IN (0, 1)),
    record BLOB NOT NULL
  ) STRICT`,
  "CREATE UNIQUE INDEX positions_of_device ON positions (device_id, fix_time, digest)",
  "CREATE UNIQUE INDEX positions_without_clock ON positions (device_id, digest) WHERE clock = 1",
  "CREATE INDEX positions_of_account ON positions (account_id, id)",
  "CREATE INDEX positions_events ON positions (device_id, fix_time) WHERE event NOT IN (31, 32, 33, 34, 35)",
  "CREATE INDEX positions_ahead ON positions (received_at) WHERE fix_time > received_at",
  `CREATE TABLE latest (
    device_id INTEGER PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    position_id INTEGER NOT NULL,
    fix_time INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    clock INTEGER NOT NULL,
    record BLOB NOT NULL
  ) STRICT`,
] as const;

const INSERT = `WITH RECURSIVE ${LINES}
  INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
  SELECT ${SQL.account}, ${SQL.device}, ${SQL.fixTime}, ${SQL.digest}, ${SQL.receivedAt}, ${SQL.clock}, ${SQL.event}, ${SQL.valid},
    substr(?2, ${SQL.recordStart}, ${SQL.recordLength})
  FROM lines
  WHERE NOT EXISTS (SELECT 1 FROM positions p WHERE p.clock = 1 AND p.device_id = ${SQL.device} AND p.digest = ${SQL.digest})
  ON CONFLICT DO NOTHING`;

/** The newest of the last positions of the table. */
const TAKE_LATEST = `INSERT INTO latest (device_id, position_id, fix_time, received_at, clock, record)
  SELECT device_id, id, fix_time, received_at, clock, record FROM positions
  WHERE id > (SELECT max(id) FROM positions) - ? AND valid = 1
  ON CONFLICT (device_id) DO UPDATE SET position_id = excluded.position_id, fix_time = excluded.fix_time,
    received_at = excluded.received_at, clock = excluded.clock, record = excluded.record
  WHERE min(excluded.fix_time, excluded.received_at) > min(latest.fix_time, latest.received_at)
    OR (min(excluded.fix_time, excluded.received_at) = min(latest.fix_time, latest.received_at)
      AND excluded.position_id > latest.position_id)
    OR (latest.clock = 1 AND excluded.clock = 0 AND excluded.received_at >= latest.received_at)`;

// A page comes as one text: a thousand rows of six values each would cost both sides several times as much.
const packed = (order: string) =>
  `group_concat(id || ',' || device_id || ',' || fix_time || ',' || received_at || ',' || clock || ',' || hex(record), ';' ORDER BY ${order})`;

const TRACK = `SELECT EXISTS (SELECT 1 FROM devices WHERE id = ?1 AND account_id = ?2 AND deleting_at IS NULL), ${packed("fix_time, id")}
  FROM (SELECT id, device_id, fix_time, received_at, clock, record FROM positions
    WHERE device_id = ?1 AND account_id = ?2 AND fix_time >= ?3 AND fix_time < ?4
    ORDER BY fix_time, id LIMIT ?5)`;

const LATEST = `SELECT ${packed("device_id")} FROM (
  SELECT l.position_id AS id, l.device_id, l.fix_time, l.received_at, l.clock, l.record
  FROM devices d JOIN latest l ON l.device_id = d.id
  WHERE d.account_id = ? AND d.deleting_at IS NULL ORDER BY d.id LIMIT ?)`;

// Device by device along its index, so that no step reads the whole table.
const DELETE_BEFORE = `DELETE FROM positions WHERE id IN (
  SELECT p.id FROM devices d CROSS JOIN positions p ON p.device_id = d.id AND p.fix_time < ? LIMIT ?)`;

const DELETE_OF_DEVICE = "DELETE FROM positions WHERE id IN (SELECT id FROM positions WHERE device_id = ? LIMIT ?)";

/** Rows that one statement of a purge or an erasure deletes at most. */
const DELETE_ROWS = 1000;

/** Makes the tables, and devices that belong to these accounts. @param accountIds of device n + 1 */
export async function createRowStore(client: Client, accountIds: readonly number[]): Promise<void> {
  await client.batch([...SCHEMA], "write");
  const list = JSON.stringify(accountIds);
  const sql = "INSERT INTO devices (id, account_id) SELECT key + 1, value FROM json_each(?)";
  await client.batch([{ sql, args: [list] }], "write");
}

/** Stores what is not there yet and takes over the newest. */
export async function insertRows(client: Client, { lines, records, count }: RowPacker): Promise<void> {
  const insert = { sql: INSERT, args: [lines, records] };
  await client.batch([insert, { sql: TAKE_LATEST, args: [count] }], "write");
}

/** A stretch of a device's track, decoded. Appends to `into`. @returns positions */
export async function readTrack(
  client: Client,
  into: PositionTable,
  { accountId, deviceId, from, to }: { accountId: number; deviceId: number; from: number; to: number },
): Promise<number> {
  const { rows } = await client.execute({ sql: TRACK, args: [deviceId, accountId, from, to, 1_000_000] });
  return decodePacked(rows[0][1], into);
}

/** The newest valid fix of each device of an account, decoded. @returns positions */
export async function readLatest(client: Client, into: PositionTable, accountId: number): Promise<number> {
  const { rows } = await client.execute({ sql: LATEST, args: [accountId, 1_000_000] });
  return decodePacked(rows[0][0], into);
}

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const hexValue = (code: number) => (code < 0x41 ? code - 0x30 : code - 0x37);

/** @param text what `packed` gave: null without a row */
function decodePacked(text: unknown, into: PositionTable): number {
  if (typeof text !== "string") return 0;
  const bytes = new Uint8Array(text.length >> 1);
  const numbers = [0, 0, 0, 0, 0];
  let found = 0;
  for (let at = 0; at < text.length; at++) {
    for (let column = 0; column < numbers.length; column++) {
      let value = 0;
      for (let code = text.charCodeAt(at); code !== COMMA; code = text.charCodeAt(++at))
        value = value * 10 + code - 0x30;
      numbers[column] = value;
      at++;
    }
    let used = 0;
    for (; at < text.length && text.charCodeAt(at) !== SEMICOLON; at += 2) {
      bytes[used++] = (hexValue(text.charCodeAt(at)) << 4) | hexValue(text.charCodeAt(at + 1));
    }
    decodeRecordInto(into, bytes, 0, used);
    found += 1;
  }
  return found;
}

/** Deletes a bounded number of positions whose fix is older. Call it until it says 0. @returns positions deleted */
export async function deleteRowsBefore(client: Client, before: number): Promise<number> {
  return (await client.execute({ sql: DELETE_BEFORE, args: [before, DELETE_ROWS] })).rowsAffected;
}

/** Deletes a device with all that it stored, in bounded steps. @returns positions deleted */
export async function deleteRowsOfDevice(client: Client, deviceId: number): Promise<number> {
  let total = 0;
  for (let deleted = DELETE_ROWS; deleted === DELETE_ROWS; total += deleted) {
    deleted = (await client.execute({ sql: DELETE_OF_DEVICE, args: [deviceId, DELETE_ROWS] })).rowsAffected;
  }
  const args = [deviceId];
  await client.batch(
    [
      { sql: "DELETE FROM latest WHERE device_id = ?", args },
      { sql: "DELETE FROM devices WHERE id = ?", args },
    ],
    "write",
  );
  return total;
}
