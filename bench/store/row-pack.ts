import { EPOCH_MS, type PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { encodeRow, recordBound } from "../../codec/record.ts";

// A batch for the row store is two parameters however many positions there are: the records one after the other, and
// for each position a line of fields of fixed width in decimal digits, which SQL takes apart with substr. Of the ways to
// insert rows that were tried (json_each, VALUES, a statement a row) this one was the fastest.

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

export const LINE: number = FIELDS.reduce((sum, field) => sum + field.width, 0);

/** Index of each field in its line. */
const AT = {} as Record<FieldName, number>;
/** The field of the line at `o` in SQL. */
export const SQL = {} as Record<FieldName, string>;
let place = 0;
for (const { name, width } of FIELDS) {
  const bytes = `substr(?1, o + ${place}, ${width})`;
  SQL[name] = name === "digest" ? bytes : `CAST(${bytes} AS INTEGER)`;
  AT[name] = place;
  place += width;
}

/** The lines of ?1 as a table of one column, where each begins. */
export const LINES = `lines(o) AS (SELECT 1 WHERE length(?1) > 0 UNION ALL SELECT o + ${LINE} FROM lines WHERE o + ${LINE} < length(?1))`;

// Named one by one: a property of a table that was built by a loop costs a lookup each time.
const { account: ACCOUNT, device: DEVICE, fixTime: FIX_TIME, receivedAt: RECEIVED_AT, digest: DIGEST } = AT;
const { clock: CLOCK, valid: VALID, event: EVENT, recordStart: RECORD_START, recordLength: RECORD_LENGTH } = AT;
const { timeS: TIME, digestHi: DIGEST_HIGH, digestLo: DIGEST_LOW } = SLOT;

const MAX_EVENT = 99_999;
const MINUS = 0x2d;
const ZERO = 0x30;
const EPOCH_S = EPOCH_MS / 1000;
/** The two digits of each number below 100. */
const PAIRS = Uint16Array.from({ length: 100 }, (_, n) => ((ZERO + Math.floor(n / 10)) << 8) | (ZERO + (n % 10)));

/** Packs rows of tables, for one batch at a time. */
export class RowPacker {
  count = 0;
  #lines = new Uint8Array(1024 * LINE);
  #view = new DataView(this.#lines.buffer);
  #records = new Uint8Array(1024 * 96);
  #used = 0;

  reset(): void {
    this.count = 0;
    this.#used = 0;
  }

  /** Adds row `row` of `table`, whose clock is usable. */
  add(table: PositionTable, row: number, accountId: number, deviceId: number, receivedAt: number): void {
    const start = this.count * LINE;
    const from = this.#used;
    this.#reserve(start + LINE, from + recordBound(table, row));
    const to = encodeRow(table, row, this.#records, from);
    this.#used = to;
    this.count += 1;
    writeLine(this.#view, start, table, row, accountId, deviceId, receivedAt, from, to);
  }

  get lines(): Uint8Array {
    return this.#lines.subarray(0, this.count * LINE);
  }

  get records(): Uint8Array {
    return this.#records.subarray(0, this.#used);
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
  from: number,
  to: number,
): void {
  const i32 = table.i32;
  const base = row * STRIDE;
  write8(view, start + ACCOUNT, accountId);
  write8(view, start + DEVICE, deviceId);
  writeSeconds(view, start + FIX_TIME, EPOCH_S + (i32[base + TIME] >>> 0));
  writeTime(view, start + RECEIVED_AT, receivedAt);
  view.setInt32(start + DIGEST, i32[base + DIGEST_HIGH]);
  view.setInt32(start + DIGEST + 4, i32[base + DIGEST_LOW]);
  view.setUint8(start + CLOCK, ZERO);
  view.setUint8(start + VALID, table.validAt(row) ? ZERO + 1 : ZERO);
  const event = table.eventAt(row);
  write6(view, start + EVENT, Math.min(Math.abs(event), MAX_EVENT));
  if (event < 0) view.setUint8(start + EVENT, MINUS);
  write8(view, start + RECORD_START, from + 1);
  write6(view, start + RECORD_LENGTH, to - from);
}

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
