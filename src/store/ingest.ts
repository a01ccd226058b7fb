import { type PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { encodeRow, recordBound } from "../../codec/record.ts";
import type { Db, Statement } from "./db.ts";

// A batch of positions goes to the database as two parameters however many there are: the records one after the other,
// and for each position a line of decimal numbers of fixed width, which SQL takes apart with substr and CAST. In
// trials over 1,000 rows this took 5 ms, json_each over nested arrays 7 to 10, one statement per row 9, VALUES 30;
// and the packing makes no object per position.

/** Numbers of a packed line in their order, right-aligned and filled with zeros. */
const FIELDS = [
  { name: "account", width: 10 },
  { name: "device", width: 10 },
  { name: "fixTime", width: 13 },
  { name: "digestHigh", width: 10 },
  { name: "digestLow", width: 10 },
  { name: "receivedAt", width: 13 },
  { name: "clock", width: 1 },
  { name: "valid", width: 1 },
  // With its sign: bridged frames carry -1.
  { name: "event", width: 11 },
  // Of the record: place from 1, and bytes.
  { name: "recordStart", width: 8 },
  { name: "recordLength", width: 6 },
] as const;

type FieldName = (typeof FIELDS)[number]["name"];

const LINE = FIELDS.reduce((sum, field) => sum + field.width, 0);

/** Index after the last digit of each field. */
const END = {} as Record<FieldName, number>;
/** The field of the line at `o` as an SQL number. */
const SQL = {} as Record<FieldName, string>;
let end = 0;
for (const { name, width } of FIELDS) {
  SQL[name] = `CAST(substr(?1, o + ${end}, ${width}) AS INTEGER)`;
  end += width;
  END[name] = end;
}
const DIGEST = `(${SQL.digestHigh} << 32 | ${SQL.digestLow})`;
const LINES = `lines(o) AS (SELECT 1 WHERE length(?1) > 0 UNION ALL SELECT o + ${LINE} FROM lines WHERE o + ${LINE} < length(?1))`;

const ZERO = 0x30;
const MINUS = 0x2d;

/** Positions that were packed: parameters that belong to the statement alone. */
export interface PackedPositions {
  count: number;
  lines: Uint8Array;
  records: Uint8Array;
}

/** Packs rows of a table. Used again for each batch; `finish()` hands out copies. */
export class PositionPacker {
  count = 0;
  #lines = new Uint8Array(1024 * LINE).fill(ZERO);
  #records = new Uint8Array(1024 * 96);
  #used = 0;

  reset(): void {
    // Only the digits that differ from zero are written.
    this.#lines.fill(ZERO, 0, this.count * LINE);
    this.count = 0;
    this.#used = 0;
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
    const start = this.count * LINE;
    const from = this.#used;
    this.#reserve(start + LINE, from + recordBound(table, row));
    const records = this.#records;
    const to = encodeRow(table, row, records, from);
    this.#used = to;
    this.count += 1;
    const lines = this.#lines;
    const i32 = table.i32;
    const base = row * STRIDE;
    writeNumber(lines, start + END.account, accountId);
    writeNumber(lines, start + END.device, deviceId);
    writeNumber(lines, start + END.fixTime, fixTime);
    writeNumber(lines, start + END.digestHigh, i32[base + SLOT.digestHi] >>> 0);
    writeNumber(lines, start + END.digestLow, i32[base + SLOT.digestLo] >>> 0);
    writeNumber(lines, start + END.receivedAt, receivedAt);
    if (clock) lines[start + END.clock - 1] = ZERO + 1;
    if (table.validAt(row)) lines[start + END.valid - 1] = ZERO + 1;
    const event = table.eventAt(row);
    if (event < 0) lines[start + END.valid] = MINUS;
    writeNumber(lines, start + END.event, Math.abs(event));
    writeNumber(lines, start + END.recordStart, from + 1);
    writeNumber(lines, start + END.recordLength, to - from);
  }

  finish(): PackedPositions {
    return {
      count: this.count,
      lines: this.#lines.slice(0, this.count * LINE),
      records: this.#records.slice(0, this.#used),
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

/** Writes the digits of a whole number >= 0 that end before `end`. What is left of them stays as it was. */
function writeNumber(out: Uint8Array, end: number, value: number): void {
  let at = end;
  let rest = value;
  if (rest > 999_999_999) {
    // Six digits at a time: the remainder then fits the integer arithmetic below.
    const high = Math.floor(rest / 1_000_000);
    let low = rest - high * 1_000_000;
    for (at -= 6, rest = high; low > 0; ) {
      const tens = (low / 10) | 0;
      out[--end] = ZERO + low - tens * 10;
      low = tens;
    }
  }
  for (let small = rest | 0; small > 0; ) {
    const tens = (small / 10) | 0;
    out[--at] = ZERO + small - tens * 10;
    small = tens;
  }
}

/**
 * Stores positions that are not there yet, if the registry is still at `version`. The index cannot see one kind of
 * repetition: a stamp too far ahead to be used when it first came, and usable when it came again.
 */
export function insertStatement(packed: PackedPositions, version: number): Statement {
  return {
    sql: `WITH RECURSIVE ${LINES}
      INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
      SELECT ${SQL.account}, ${SQL.device}, ${SQL.fixTime}, ${DIGEST}, ${SQL.receivedAt}, ${SQL.clock}, ${SQL.event}, ${SQL.valid},
        substr(?2, ${SQL.recordStart}, ${SQL.recordLength})
      FROM lines WHERE (SELECT version FROM registry) = ?3
        AND NOT EXISTS (SELECT 1 FROM positions p WHERE p.clock = 1 AND p.device_id = ${SQL.device} AND p.digest = ${DIGEST})
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
      JOIN positions p ON p.device_id = ${SQL.device} AND p.fix_time = ${SQL.fixTime} AND p.digest = ${DIGEST}
      WHERE p.id <= ?2 AND p.id >= (SELECT min(id) FROM (SELECT id FROM positions WHERE id <= ?2 ORDER BY id DESC LIMIT ?3))
      GROUP BY p.id`,
    args: [packed.lines, lastId, inserted],
  });
  for (const row of rows) stored[Number(row[0])] = 1;
  return stored;
}
