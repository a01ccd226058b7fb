/** One number of a position as the wire counts it. `per` divides: column / per is the value in `unit`. */
export interface Column {
  readonly name: string;
  /** Two's complement in 32 bits; otherwise the column is read as an unsigned 32-bit number. */
  readonly signed: boolean;
  readonly per: number;
  readonly unit: string;
  readonly source: string;
}

/**
 * The columns of a position, each of which a report may lack. Row order is slot order, presence bit and order in a
 * stored record, so rows are only ever appended. Sources are clauses of the Meitrack GPRS protocol: AAA fields by
 * number, CCC by offset, CCE by parameter.
 */
export const COLUMNS = [
  { name: "event", signed: true, per: 1, unit: "code", source: "AAA 1, CCC 0, CCE 01 and 40" },
  { name: "latitudeE6", signed: true, per: 1e6, unit: "°", source: "AAA 2, CCC 1, CCE 02" },
  { name: "longitudeE6", signed: true, per: 1e6, unit: "°", source: "AAA 3, CCC 5, CCE 03" },
  { name: "timeS", signed: false, per: 1, unit: "s since 2000-01-01 UTC", source: "AAA 4, CCC 9, CCE 04" },
  { name: "satellites", signed: false, per: 1, unit: "", source: "AAA 6, CCC 14, CCE 06" },
  { name: "gsmSignal", signed: false, per: 1, unit: "CSQ", source: "AAA 7, CCC 15, CCE 07" },
  { name: "speedMilli", signed: true, per: 1000, unit: "km/h", source: "AAA 8, CCC 16, CCE 08" },
  { name: "courseMilli", signed: true, per: 1000, unit: "°", source: "AAA 9, CCC 18, CCE 09" },
  { name: "hdopMilli", signed: true, per: 1000, unit: "", source: "AAA 10, CCC 20, CCE 0A" },
  { name: "altitudeMilli", signed: true, per: 1000, unit: "m", source: "AAA 11, CCC 22, CCE 0B" },
  { name: "odometerM", signed: false, per: 1, unit: "m", source: "AAA 12, CCC 24, CCE 0C" },
  { name: "runtimeS", signed: false, per: 1, unit: "s", source: "AAA 13, CCC 28, CCE 0D" },
  { name: "mccMnc", signed: false, per: 1, unit: "MCC << 16 | MNC", source: "AAA 14, CCC 32, CCE 0E" },
  { name: "lac", signed: false, per: 1, unit: "", source: "AAA 14, CCC 36, CCE 0E" },
  { name: "cid", signed: false, per: 1, unit: "", source: "AAA 14, CCC 38, CCE 0E" },
  { name: "rxLevel", signed: true, per: 1, unit: "dBm", source: "CCE 0E" },
  { name: "inputs", signed: false, per: 1, unit: "bit 0 = input 1", source: "AAA 15, CCC 40, CCE 15 and 42" },
  { name: "outputs", signed: false, per: 1, unit: "bit 0 = output 1", source: "AAA 15, CCC 41, CCE 14" },
  { name: "ad1", signed: false, per: 1, unit: "raw, see models", source: "AAA 16, CCC 42, CCE 16" },
  { name: "ad2", signed: false, per: 1, unit: "raw, see models", source: "AAA 16, CCE 17" },
  { name: "ad3", signed: false, per: 1, unit: "raw, see models", source: "AAA 16, CCE 18" },
  { name: "ad4", signed: false, per: 1, unit: "raw, see models", source: "battery: AAA 16, CCC 44, CCE 19" },
  { name: "ad5", signed: false, per: 1, unit: "raw, see models", source: "supply: AAA 16, CCC 46, CCE 1A" },
  { name: "ad6", signed: false, per: 1, unit: "raw, see models", source: "AAA 16, CCE 41" },
  { name: "ad7", signed: false, per: 1, unit: "raw, see models", source: "AAA 16" },
  { name: "ad8", signed: false, per: 1, unit: "raw, see models", source: "AAA 16" },
  { name: "fuelCenti", signed: false, per: 100, unit: "%", source: "CCE 29" },
  { name: "geofence", signed: false, per: 1, unit: "number, or what the event says", source: "CCC 48, CCE 1B" },
  { name: "systemFlags", signed: false, per: 1, unit: "bits, see SYSTEM_FLAGS", source: "CCE 1C" },
] as const satisfies readonly Column[];

export type ColumnName = (typeof COLUMNS)[number]["name"];

/** Every number of a row that is not a column. They follow the columns in this order. */
const BOOKKEEPING = ["flags", "digestHi", "digestLo", "tailStart", "tailLength", "sourceFrame"] as const;

type SlotName = "mask" | ColumnName | (typeof BOOKKEEPING)[number];

/** Index of each number within a row. `mask` has bit n set when the column in row n of COLUMNS is present. */
export const SLOT = Object.fromEntries(
  ["mask", ...COLUMNS.map((column) => column.name), ...BOOKKEEPING].map((name, slot) => [name, slot]),
) as Readonly<Record<SlotName, number>>;

/** Numbers in a row. */
export const STRIDE: number = 1 + COLUMNS.length + BOOKKEEPING.length;

/** Mask of the presence bits of these columns. */
export function bits(...names: ColumnName[]): number {
  return names.reduce((mask, name) => mask | (1 << (SLOT[name] - 1)), 0);
}

/** What the `flags` number holds. */
export const FLAGS = {
  /** The receiver had a fix and the coordinates are on Earth. */
  valid: 1,
  /** The tracker said that it had a fix. */
  saidValid: 2,
  /** A text field that did not fit its column is in the tail and goes before the column. */
  exact: 4,
  /** Latitude beyond ±90 or longitude beyond ±180: kept, but not coordinates. */
  outOfRange: 8,
  /** 8 bits: row of SCALES. */
  scaleShift: 8,
  /** 4 bits: row of SOURCES. */
  sourceShift: 16,
} as const;

/** The report that a position came from. */
export const SOURCES = ["AAA", "AFF", "CCC", "CCE"] as const;

/**
 * Keys of tail entries. AAA text fields have their number (1 to 17; 17 is everything from field 17 on, as one text);
 * CCE parameters have cceGroup times 1, 2, 3 (4-byte values) or 4 (n-byte values) plus their id.
 */
export const TAIL = {
  aaaRest: 17,
  /** Bytes of a CCC record beyond the fields. */
  cccExtra: 0x100,
  /** First two bytes of CCC content when they are not 02 01. */
  cccLayout: 0x101,
  /** Bytes of a CCE packet after its last readable parameter. */
  cceRest: 0x102,
  /** Bytes of a frame after its last record; kept with that record. */
  frameRest: 0x103,
  /** Fix status byte of a CCC record when it is neither 0 nor 1. */
  cccStatus: 0x104,
  cceGroup: 0x10000,
} as const;

/** Unix ms of 2000-01-01 UTC, where the binary reports begin to count. */
export const EPOCH_MS = 946_684_800_000;

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const EVENT = SLOT.event;
const TIME = SLOT.timeS;
const TIME_BIT = bits("timeS");
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;

/**
 * Positions as rows of numbers: row n is `i32[n * STRIDE ..]`, indexed by SLOT. Decoders append to it without making
 * an object per position. What has no column is in the row's stretch of `tail`, as a run of
 * {varint key, varint length, raw wire bytes} (keys: TAIL), so that decoding loses nothing; its meaning is worked out
 * when a Position is read.
 */
export class PositionTable {
  i32: Int32Array;
  tail: Uint8Array;
  /** The same bytes as `tail`. */
  tailView: DataView;
  count = 0;
  tailUsed = 0;

  constructor(rows = 64, tailBytes = rows * 32) {
    this.i32 = new Int32Array(Math.max(rows, 1) * STRIDE);
    this.tail = new Uint8Array(Math.max(tailBytes, 64));
    this.tailView = new DataView(this.tail.buffer);
  }

  /** Rows that fit without growing. */
  get capacity(): number {
    return this.i32.length / STRIDE;
  }

  /** Forgets all rows and keeps the memory. */
  reset(): void {
    this.count = 0;
    this.tailUsed = 0;
  }

  /** Appends a row and returns its index into `i32`, which may be another array than before. The row holds old numbers. */
  addRow(): number {
    const base = this.count * STRIDE;
    if (base === this.i32.length) this.reserveRows(1);
    this.count++;
    return base;
  }

  /** Makes room for `rows` more; `i32` may be another array afterwards. */
  reserveRows(rows: number): void {
    const needed = (this.count + rows) * STRIDE;
    if (needed <= this.i32.length) return;
    const grown = new Int32Array(Math.max(this.i32.length * 2, needed));
    grown.set(this.i32.subarray(0, this.count * STRIDE));
    this.i32 = grown;
  }

  /** Makes room for `bytes` more in `tail`, which may be another array afterwards. */
  reserveTail(bytes: number): void {
    const needed = this.tailUsed + bytes;
    if (needed <= this.tail.length) return;
    const grown = new Uint8Array(Math.max(this.tail.length * 2, needed));
    grown.set(this.tail.subarray(0, this.tailUsed));
    this.tail = grown;
    this.tailView = new DataView(grown.buffer);
  }

  /** Appends an entry with `bytes[start..end)` to the tail of the row that is being written. */
  addTail(key: number, bytes: Uint8Array, start: number, end: number): void {
    this.reserveTail(10 + end - start);
    const tail = this.tail;
    const at = writeVarint(tail, writeVarint(tail, this.tailUsed, key), end - start);
    // A view for set() would be garbage; most entries are short.
    for (let i = start; i < end; i++) tail[at + i - start] = bytes[i];
    this.tailUsed = at + end - start;
  }

  /** Appends an entry to the tail of the last row, which is complete. */
  addToLastTail(key: number, bytes: Uint8Array, start: number, end: number): void {
    const base = (this.count - 1) * STRIDE;
    this.addTail(key, bytes, start, end);
    this.i32[base + TAIL_LENGTH] = this.tailUsed - this.i32[base + TAIL_START];
  }

  /** Drops all rows from `count` on, with their tails: what a decoder does before it throws. */
  truncate(count: number, tailUsed: number): void {
    this.count = count;
    this.tailUsed = tailUsed;
  }

  /** Event code of a row, 0 when it has none. */
  eventAt(row: number): number {
    const base = row * STRIDE;
    return (this.i32[base + MASK] & 1) !== 0 ? this.i32[base + EVENT] : 0;
  }

  /** Unix ms (UTC) at which the receiver took the position, null when the report has no readable time. */
  fixTimeAt(row: number): number | null {
    const base = row * STRIDE;
    if ((this.i32[base + MASK] & TIME_BIT) === 0) return null;
    return EPOCH_MS + (this.i32[base + TIME] >>> 0) * 1000;
  }

  /** Whether the receiver had a fix. */
  validAt(row: number): boolean {
    return (this.i32[row * STRIDE + FLAGS_SLOT] & FLAGS.valid) !== 0;
  }

  /** A copy of a row's tail. */
  tailAt(row: number): Uint8Array {
    const base = row * STRIDE;
    const length = this.i32[base + TAIL_LENGTH];
    if (length === 0) return NO_BYTES;
    const start = this.i32[base + TAIL_START];
    return this.tail.slice(start, start + length);
  }
}

const NO_BYTES = new Uint8Array(0);

/**
 * A `timeS` column of a clock that is ahead of UTC. A clock that would then be before 2000 or after 2136 is not set
 * and stays as it is.
 */
export function toUtc(timeS: number, offsetS: number): number {
  const shifted = (timeS >>> 0) - offsetS;
  return shifted >= 0 && shifted <= 0xffffffff ? shifted | 0 : timeS;
}

/** Writes an unsigned 32-bit number, seven bits a byte, low bits first; returns the index after it (1 to 5 bytes). */
export function writeVarint(out: Uint8Array, at: number, value: number): number {
  let rest = value >>> 0;
  let i = at;
  while (rest > 0x7f) {
    out[i++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[i++] = rest;
  return i;
}

/**
 * Calls `visit` for each entry of a tail with the stretch of its bytes.
 * @returns false when the run is cut or malformed; the entries before have been visited
 */
export function visitTail(
  tail: Uint8Array,
  start: number,
  end: number,
  visit: (key: number, start: number, end: number) => void,
): boolean {
  let i = start;
  while (i < end) {
    let key = 0;
    let length = 0;
    for (let part = 0; part < 2; part++) {
      let value = 0;
      let shift = 0;
      let byte = 0x80;
      while (byte > 0x7f) {
        if (i >= end || shift > 28) return false;
        byte = tail[i++];
        value += (byte & 0x7f) * 2 ** shift;
        shift += 7;
      }
      if (part === 0) key = value;
      else length = value;
    }
    if (length > end - i) return false;
    visit(key, i, i + length);
    i += length;
  }
  return true;
}

/** What a decoder needs to know besides the bytes. */
export interface DecodeOptions {
  /** Row of SCALES for analog values, see `scaleOf()`; 0 when the model is not known. */
  readonly scale: number;
  /** Seconds by which the tracker's clock is ahead of UTC (command B36). */
  readonly offsetS?: number;
  /** The caller's number of the frame, kept with each of its rows. */
  readonly sourceFrame?: number;
}
