import { bits, COLUMNS, EPOCH_MS, FLAGS, PositionTable, SLOT, STRIDE } from "./columns.ts";

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const TIME = SLOT.timeS;
const TIME_BIT = bits("timeS");
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;
const COLUMN_COUNT = COLUMNS.length;
/** The scale belongs to what is known of the tracker, not to the record. */
const RECORD_FLAGS = ~(0xff << FLAGS.scaleShift);

/** Rows of positions with what the store adds to each. Row n of `table` belongs to element n of each column. */
export class StoredPositions {
  readonly table: PositionTable;
  /** Position ids, or indexes within a batch before the batch has an id. */
  ids: Float64Array;
  deviceIds: Float64Array;
  /** 0 to 1023 in the inbox, 0 in a segment. */
  buckets: Uint16Array;
  /** Unix ms. */
  receivedAt: Float64Array;
  /** 1: the tracker's clock was unusable, and the fix time is the receive time. */
  clock: Uint8Array;

  constructor(rows = 64) {
    const capacity = Math.max(rows, 1);
    this.table = new PositionTable(capacity);
    this.ids = new Float64Array(capacity);
    this.deviceIds = new Float64Array(capacity);
    this.buckets = new Uint16Array(capacity);
    this.receivedAt = new Float64Array(capacity);
    this.clock = new Uint8Array(capacity);
  }

  get count(): number {
    return this.table.count;
  }

  /** Forgets all rows and keeps the memory. */
  reset(): void {
    this.table.reset();
  }

  /** Makes room for `rows` more; the columns may be other arrays afterwards. */
  reserve(rows: number): void {
    this.table.reserveRows(rows);
    const needed = this.table.count + rows;
    const capacity = this.ids.length;
    if (needed <= capacity) return;
    const size = Math.max(capacity * 2, needed);
    this.ids = grown(this.ids, new Float64Array(size));
    this.deviceIds = grown(this.deviceIds, new Float64Array(size));
    this.buckets = grown(this.buckets, new Uint16Array(size));
    this.receivedAt = grown(this.receivedAt, new Float64Array(size));
    this.clock = grown(this.clock, new Uint8Array(size));
  }

  /** Copies row `row` of `table`, its numbers and its tail. */
  add(
    table: PositionTable,
    row: number,
    id: number,
    deviceId: number,
    bucket: number,
    receivedAt: number,
    clock: boolean,
  ): void {
    const to = this.table.count;
    if (to === this.ids.length || to === this.table.capacity) this.reserve(1);
    this.ids[to] = id;
    this.deviceIds[to] = deviceId;
    this.buckets[to] = bucket;
    this.receivedAt[to] = receivedAt;
    this.clock[to] = clock ? 1 : 0;
    copyRow(this.table, table, row);
  }

  /** Copies a row of another StoredPositions, or of this one. */
  addFrom(from: StoredPositions, row: number): void {
    const { ids, deviceIds, buckets, receivedAt, clock } = from;
    this.add(from.table, row, ids[row], deviceIds[row], buckets[row], receivedAt[row], clock[row] !== 0);
  }

  /** Unix ms: the record's own time, or the receive time when the clock was unusable or the record has none. */
  fixTimeAt(row: number): number {
    const { i32 } = this.table;
    const base = row * STRIDE;
    if (this.clock[row] !== 0 || (i32[base + MASK] & TIME_BIT) === 0) return this.receivedAt[row];
    return EPOCH_MS + (i32[base + TIME] >>> 0) * 1000;
  }
}

/** Whether two rows hold the same record: mask, columns that are present, flags without the scale, and tail. */
export function sameRecord(a: StoredPositions, rowA: number, b: StoredPositions, rowB: number): boolean {
  const x = a.table.i32;
  const y = b.table.i32;
  const atX = rowA * STRIDE;
  const atY = rowB * STRIDE;
  const mask = x[atX + MASK];
  const length = x[atX + TAIL_LENGTH];
  if (mask !== y[atY + MASK] || length !== y[atY + TAIL_LENGTH]) return false;
  if (((x[atX + FLAGS_SLOT] ^ y[atY + FLAGS_SLOT]) & RECORD_FLAGS) !== 0) return false;
  for (let column = 0; column < COLUMN_COUNT; column++) {
    if (x[atX + 1 + column] !== y[atY + 1 + column] && (mask & (1 << column)) !== 0) return false;
  }
  const tailX = a.table.tail;
  const tailY = b.table.tail;
  const startX = x[atX + TAIL_START];
  const startY = y[atY + TAIL_START];
  for (let i = 0; i < length; i++) if (tailX[startX + i] !== tailY[startY + i]) return false;
  return true;
}

function grown<T extends Float64Array | Uint16Array | Uint8Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

function copyRow(to: PositionTable, from: PositionTable, row: number): void {
  const target = to.addRow();
  const source = row * STRIDE;
  const fromI32 = from.i32;
  const toI32 = to.i32;
  for (let slot = 0; slot < STRIDE; slot++) toI32[target + slot] = fromI32[source + slot];
  const length = fromI32[source + TAIL_LENGTH];
  toI32[target + TAIL_START] = to.tailUsed;
  if (length === 0) return;
  const start = fromI32[source + TAIL_START];
  to.reserveTail(length);
  const fromTail = from.tail;
  const toTail = to.tail;
  const at = to.tailUsed;
  for (let i = 0; i < length; i++) toTail[at + i] = fromTail[start + i];
  to.tailUsed = at + length;
}
