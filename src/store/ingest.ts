import { type PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { encodeRow, recordBound } from "../../codec/record.ts";
import type { Db, Statement } from "./db.ts";

// A batch of positions goes to the database as two parameters however many there are: the records one after the other,
// and for each position a line of fields of fixed width, which SQL takes apart with substr. Numbers are decimal digits,
// because SQL has no other way from bytes to a number. In trials over 1,000 rows this took 5 ms, json_each over nested
// arrays 7 to 10, one statement per row 9, VALUES 30; and the packing makes no object per position.

/** Fields of a packed line in their order. Numbers are right-aligned and filled with zeros. */
const FIELDS = [
  { name: "account", width: 9 },
  { name: "device", width: 9 },
  { name: "fixTime", width: 13 },
  { name: "receivedAt", width: 13 },
  // Raw bytes, as they are stored.
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

/** Index after each field. */
const END = {} as Record<FieldName, number>;
/** The field of the line at `o` in SQL. */
const SQL = {} as Record<FieldName, string>;
let end = 0;
for (const { name, width } of FIELDS) {
  const bytes = `substr(?1, o + ${end}, ${width})`;
  SQL[name] = name === "digest" ? bytes : `CAST(${bytes} AS INTEGER)`;
  end += width;
  END[name] = end;
}
const LINES = `lines(o) AS (SELECT 1 WHERE length(?1) > 0 UNION ALL SELECT o + ${LINE} FROM lines WHERE o + ${LINE} < length(?1))`;

const MAX_ID = 999_999_999;
const MAX_EVENT = 99_999;
const RECEIVED_AT_WIDTH = 13;

const ZERO = 0x30;
const MINUS = 0x2d;
/** The two digits of each number below 100. */
const TENS = Uint8Array.from({ length: 100 }, (_, n) => ZERO + Math.floor(n / 10));
const ONES = Uint8Array.from({ length: 100 }, (_, n) => ZERO + (n % 10));

/** Packed positions. Views into their packer, good until it is reset. */
export interface PackedPositions {
  count: number;
  lines: Uint8Array;
  records: Uint8Array;
}

/** Packs rows of tables, for one batch at a time. */
export class PositionPacker {
  count = 0;
  #lines = new Uint8Array(1024 * LINE).fill(ZERO);
  #records = new Uint8Array(1024 * 96);
  #used = 0;
  #receivedAt = -1;

  reset(): void {
    // Only the digits that differ from zero are written.
    this.#lines.fill(ZERO, 0, this.count * LINE);
    this.count = 0;
    this.#used = 0;
    this.#receivedAt = -1;
  }

  /**
   * Adds row `row` of `table`.
   * @param fixTime Unix ms, from 2001 on
   * @param receivedAt Unix ms, from 2001 on
   * @param clock the tracker's clock was unusable
   */
  add(
    table: PositionTable,
    row: number,
    accountId: number,
    deviceId: number,
    fixTime: number,
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
    const lines = this.#lines;
    const i32 = table.i32;
    const base = row * STRIDE;
    writeNumber(lines, start + END.account, accountId);
    writeNumber(lines, start + END.device, deviceId);
    writeTime(lines, start + END.fixTime, fixTime);
    const received = start + END.receivedAt;
    // Most frames of a batch came in the same instant as the one before.
    if (receivedAt === this.#receivedAt) {
      for (let at = received - RECEIVED_AT_WIDTH; at < received; at++) lines[at] = lines[at - LINE];
    } else writeTime(lines, received, receivedAt);
    this.#receivedAt = receivedAt;
    writeInt32(lines, start + END.digest - 8, i32[base + SLOT.digestHi]);
    writeInt32(lines, start + END.digest - 4, i32[base + SLOT.digestLo]);
    if (clock) lines[start + END.clock - 1] = ZERO + 1;
    if (table.validAt(row)) lines[start + END.valid - 1] = ZERO + 1;
    const event = table.eventAt(row);
    if (event < 0) lines[start + END.valid] = MINUS;
    // A code of six digits is none of the protocol's; the record has it as it came.
    writeNumber(lines, start + END.event, Math.min(Math.abs(event), MAX_EVENT));
    writeNumber(lines, start + END.recordStart, from + 1);
    writeNumber(lines, start + END.recordLength, to - from);
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
      const grown = new Uint8Array(this.#lines.length * 2).fill(ZERO);
      grown.set(this.#lines);
      this.#lines = grown;
    }
    if (recordBytes > this.#records.length) {
      const grown = new Uint8Array(Math.max(this.#records.length * 2, recordBytes));
      grown.set(this.#records.subarray(0, this.#used));
      this.#records = grown;
    }
  }
}

/** Writes the digits of a whole number from 0 to 2^31 that end before `end`; what is left of them stays as it was. */
function writeNumber(out: Uint8Array, end: number, value: number): void {
  let at = end;
  let rest = value | 0;
  while (rest > 9) {
    const above = (rest / 100) | 0;
    const two = rest - above * 100;
    out[--at] = ONES[two];
    out[--at] = TENS[two];
    rest = above;
  }
  if (rest > 0) out[at - 1] = ZERO + rest;
}

/** Writes the 13 digits of a time in Unix ms, from 2001 to 2286. */
function writeTime(out: Uint8Array, end: number, time: number): void {
  const high = Math.floor(time / 1_000_000);
  const low = time - high * 1_000_000;
  writeNumber(out, end - 6, high);
  writeNumber(out, end, low);
}

function writeInt32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

/**
 * Stores positions that are not there yet, if the registry is still at `version`. The index cannot see one kind of
 * repetition: a stamp too far ahead to be used when it first came, and usable when it came again.
 */
export function insertStatement(packed: PackedPositions, version: number): Statement {
  return {
    sql: `WITH RECURSIVE ${LINES}
      INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
      SELECT ${SQL.account}, ${SQL.device}, ${SQL.fixTime}, ${SQL.digest}, ${SQL.receivedAt}, ${SQL.clock}, ${SQL.event}, ${SQL.valid},
        substr(?2, ${SQL.recordStart}, ${SQL.recordLength})
      FROM lines WHERE (SELECT version FROM registry) = ?3
        AND NOT EXISTS (SELECT 1 FROM positions p WHERE p.clock = 1 AND p.device_id = ${SQL.device} AND p.digest = ${SQL.digest})
      ON CONFLICT DO NOTHING`,
    args: [packed.lines, packed.records, version],
  };
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
