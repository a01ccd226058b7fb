import { EPOCH_MS, type PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { encodeRow, recordBound } from "../../codec/record.ts";
import type { Db, Statement } from "./db.ts";

// A batch of positions goes to the database as two parameters however many there are: the records one after the other,
// and for each position a line of fields of fixed width, which SQL takes apart with substr. Numbers are decimal digits,
// because SQL has no other way from bytes to a number. In trials over 1,000 rows this took 5 ms, json_each over nested
// arrays 7 to 10, one statement per row 9, VALUES 30; and the packing makes no object per position.

/** Fields of a packed line in their order, filled with zeros on the left; `digest` is raw bytes, as it is stored. */
const FIELDS = [
  { name: "account", width: 8 },
  { name: "device", width: 8 },
  { name: "fixTime", width: 14 },
  { name: "receivedAt", width: 14 },
  { name: "digest", width: 8 },
  { name: "clock", width: 1 },
  { name: "valid", width: 1 },
  // With its sign: bridged frames carry -1.
  { name: "event", width: 6 },
  // Of the record: place from 1, and bytes.
  { name: "recordStart", width: 8 },
  { name: "recordLength", width: 6 },
] as const;

type FieldName = (typeof FIELDS)[number]["name"];

const LINE: number = FIELDS.reduce((sum, field) => sum + field.width, 0);

/** Index of each field in its line. */
const AT = {} as Record<FieldName, number>;
/** The field of the line at `o` in SQL. */
const SQL = {} as Record<FieldName, string>;
let place = 0;
for (const { name, width } of FIELDS) {
  const bytes = `substr(?1, o + ${place}, ${width})`;
  SQL[name] = name === "digest" ? bytes : `CAST(${bytes} AS INTEGER)`;
  AT[name] = place;
  place += width;
}
const LINES = `lines(o) AS (SELECT 1 WHERE length(?1) > 0 UNION ALL SELECT o + ${LINE} FROM lines WHERE o + ${LINE} < length(?1))`;

// Named one by one: a property of a table that was built by a loop costs a lookup each time.
const { account: ACCOUNT, device: DEVICE, fixTime: FIX_TIME, receivedAt: RECEIVED_AT, digest: DIGEST } = AT;
const { clock: CLOCK, valid: VALID, event: EVENT, recordStart: RECORD_START, recordLength: RECORD_LENGTH } = AT;
const { timeS: TIME, digestHi: DIGEST_HIGH, digestLo: DIGEST_LOW } = SLOT;

const MAX_ID = 99_999_999;
const MAX_EVENT = 99_999;
const MINUS = 0x2d;
const ZERO = 0x30;
/** The two digits of each number below 100. */
const PAIRS = Uint16Array.from({ length: 100 }, (_, n) => ((ZERO + Math.floor(n / 10)) << 8) | (ZERO + (n % 10)));

/** Packed positions. Views into their packer, good until it is reset. */
export interface PackedPositions {
  count: number;
  lines: Uint8Array;
  records: Uint8Array;
}

/** Packs rows of tables, for one batch at a time. */
export class PositionPacker {
  count = 0;
  #lines = new Uint8Array(1024 * LINE);
  #view = new DataView(this.#lines.buffer);
  #records = new Uint8Array(1024 * 96);
  #used = 0;

  reset(): void {
    this.count = 0;
    this.#used = 0;
  }

  /**
   * Adds row `row` of `table`.
   * @param receivedAt Unix ms, to 2286
   * @param clock the tracker's clock was unusable: the position is placed at the receive time
   */
  add(
    table: PositionTable,
    row: number,
    accountId: number,
    deviceId: number,
    receivedAt: number,
    clock: boolean,
  ): void {
    if (accountId > MAX_ID || deviceId > MAX_ID) throw new RangeError(`Cannot pack position: an id is above ${MAX_ID}`);
    const start = this.count * LINE;
    const from = this.#used;
    this.#reserve(start + LINE, from + recordBound(table, row));
    const to = encodeRow(table, row, this.#records, from);
    this.#used = to;
    this.count += 1;
    writeLine(this.#view, start, table, row, accountId, deviceId, receivedAt, clock, from, to);
  }

  packed(): PackedPositions {
    return {
      count: this.count,
      lines: this.#lines.subarray(0, this.count * LINE),
      records: this.#records.subarray(0, this.#used),
    };
  }

  #reserve(lineBytes: number, recordBytes: number): void {
    if (lineBytes > this.#lines.length) {
      const grown = new Uint8Array(this.#lines.length * 2);
      grown.set(this.#lines);
      this.#lines = grown;
      this.#view = new DataView(grown.buffer);
    }
    if (recordBytes > this.#records.length) {
      const grown = new Uint8Array(Math.max(this.#records.length * 2, recordBytes));
      grown.set(this.#records.subarray(0, this.#used));
      this.#records = grown;
    }
  }
}

// A function of its own, so that the compiler has room to put what it calls into it.
function writeLine(
  view: DataView,
  start: number,
  table: PositionTable,
  row: number,
  accountId: number,
  deviceId: number,
  receivedAt: number,
  clock: boolean,
  from: number,
  to: number,
): void {
  const i32 = table.i32;
  const base = row * STRIDE;
  write8(view, start + ACCOUNT, accountId);
  write8(view, start + DEVICE, deviceId);
  if (clock) writeTime(view, start + FIX_TIME, receivedAt);
  else writeSeconds(view, start + FIX_TIME, EPOCH_S + (i32[base + TIME] >>> 0));
  writeTime(view, start + RECEIVED_AT, receivedAt);
  view.setInt32(start + DIGEST, i32[base + DIGEST_HIGH]);
  view.setInt32(start + DIGEST + 4, i32[base + DIGEST_LOW]);
  view.setUint8(start + CLOCK, clock ? ZERO + 1 : ZERO);
  view.setUint8(start + VALID, table.validAt(row) ? ZERO + 1 : ZERO);
  // A code of six digits is none of the protocol's; the record has it as it came.
  const event = table.eventAt(row);
  write6(view, start + EVENT, Math.min(Math.abs(event), MAX_EVENT));
  if (event < 0) view.setUint8(start + EVENT, MINUS);
  write8(view, start + RECORD_START, from + 1);
  write6(view, start + RECORD_LENGTH, to - from);
}

const EPOCH_S = EPOCH_MS / 1000;

// Fixed widths without a branch: loops over the digits that there are took a third longer.

function write8(view: DataView, at: number, value: number): void {
  const high = (value / 10_000) | 0;
  const low = value - high * 10_000;
  const a = (high / 100) | 0;
  const b = (low / 100) | 0;
  view.setUint16(at, PAIRS[a]);
  view.setUint16(at + 2, PAIRS[high - a * 100]);
  view.setUint16(at + 4, PAIRS[b]);
  view.setUint16(at + 6, PAIRS[low - b * 100]);
}

function write6(view: DataView, at: number, value: number): void {
  const high = (value / 10_000) | 0;
  const low = value - high * 10_000;
  const b = (low / 100) | 0;
  view.setUint16(at, PAIRS[high]);
  view.setUint16(at + 2, PAIRS[b]);
  view.setUint16(at + 4, PAIRS[low - b * 100]);
}

function writeTime(view: DataView, at: number, time: number): void {
  const high = Math.floor(time / 1_000_000);
  write8(view, at, high);
  write6(view, at + 8, time - high * 1_000_000);
}

function writeSeconds(view: DataView, at: number, seconds: number): void {
  const high = (seconds / 1000) | 0;
  write8(view, at, high);
  write6(view, at + 8, (seconds - high * 1000) * 1000);
}

const INSERT = `WITH RECURSIVE ${LINES}
  INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
  SELECT ${SQL.account}, ${SQL.device}, ${SQL.fixTime}, ${SQL.digest}, ${SQL.receivedAt}, ${SQL.clock}, ${SQL.event}, ${SQL.valid},
    substr(?2, ${SQL.recordStart}, ${SQL.recordLength})
  FROM lines WHERE (SELECT version FROM registry) = ?3
    AND NOT EXISTS (SELECT 1 FROM positions p WHERE p.clock = 1 AND p.device_id = ${SQL.device} AND p.digest = ${SQL.digest})
  ON CONFLICT DO NOTHING`;

/**
 * Stores positions that are not there yet, if the registry is still at `version`. The index cannot see one kind of
 * repetition: a stamp too far ahead to be used when it first came, and usable when it came again.
 */
export function insertStatement(packed: PackedPositions, version: number): Statement {
  return { sql: INSERT, args: [packed.lines, packed.records, version] };
}

/**
 * Takes the newest of the last `count` positions over into `latest`. By the earlier of fix and receive time: a fix that
 * is stamped in the future must not block those that follow.
 */
export function latestStatement(count: number): Statement {
  return {
    sql: `INSERT INTO latest (device_id, position_id, fix_time, received_at, clock, record)
      SELECT device_id, id, fix_time, received_at, clock, record FROM positions
      WHERE id > (SELECT max(id) FROM positions) - ? AND valid = 1
      ON CONFLICT (device_id) DO UPDATE SET position_id = excluded.position_id, fix_time = excluded.fix_time,
        received_at = excluded.received_at, clock = excluded.clock, record = excluded.record
      WHERE min(excluded.fix_time, excluded.received_at) > min(latest.fix_time, latest.received_at)
        OR (min(excluded.fix_time, excluded.received_at) = min(latest.fix_time, latest.received_at)
          AND excluded.position_id > latest.position_id)
        OR (latest.clock = 1 AND excluded.clock = 0 AND excluded.received_at >= latest.received_at)`,
    args: [count],
  };
}

/**
 * Which of the packed positions an insert stored, the others being there already.
 * @param inserted how many, of which `lastId` was the last
 * @returns a byte for each: 1 stored, 0 there before or twice in this batch
 */
export async function storedRows(
  db: Db,
  packed: PackedPositions,
  inserted: number,
  lastId: number,
): Promise<Uint8Array> {
  const stored = new Uint8Array(packed.count);
  if (inserted === 0) return stored;
  // One writer at a time: the rows of one statement are the last ones up to its last id.
  const { rows } = await db.$client.execute({
    sql: `WITH RECURSIVE ${LINES}
      SELECT min((o - 1) / ${LINE}) FROM lines
      JOIN positions p ON p.device_id = ${SQL.device} AND p.fix_time = ${SQL.fixTime} AND p.digest = ${SQL.digest}
      WHERE p.id <= ?2 AND p.id >= (SELECT min(id) FROM (SELECT id FROM positions WHERE id <= ?2 ORDER BY id DESC LIMIT ?3))
      GROUP BY p.id`,
    args: [packed.lines, lastId, inserted],
  });
  for (const row of rows) stored[Number(row[0])] = 1;
  return stored;
}
