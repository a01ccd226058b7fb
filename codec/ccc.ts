import { hash64, viewOf } from "./bytes.ts";
import {
  bits,
  type ColumnName,
  type DecodeOptions,
  FLAGS,
  type PositionTable,
  SLOT,
  SOURCES,
  TAIL,
  toUtc,
} from "./columns.ts";
import { CodecError } from "./errors.ts";
import { HUNDREDTHS } from "./models.ts";

/** A field of a CCC record: little-endian, `size` bytes, column = value * times. */
export interface CccField {
  readonly offset: number;
  readonly size: 1 | 2 | 4;
  readonly signed?: true;
  readonly column: ColumnName;
  readonly times: number;
}

/**
 * Fields of a CCC record. The byte at 13 is the fix status (1 valid); MCC and MNC (32, 34) share a column.
 * Source: Meitrack T622 GPRS protocol, CCC.
 */
export const CCC_FIELDS = [
  { offset: 0, size: 1, column: "event", times: 1 },
  { offset: 1, size: 4, signed: true, column: "latitudeE6", times: 1 },
  { offset: 5, size: 4, signed: true, column: "longitudeE6", times: 1 },
  { offset: 9, size: 4, column: "timeS", times: 1 },
  { offset: 14, size: 1, column: "satellites", times: 1 },
  { offset: 15, size: 1, column: "gsmSignal", times: 1 },
  { offset: 16, size: 2, column: "speedMilli", times: 1000 },
  { offset: 18, size: 2, column: "courseMilli", times: 1000 },
  { offset: 20, size: 2, column: "hdopMilli", times: 100 },
  { offset: 22, size: 2, signed: true, column: "altitudeMilli", times: 1000 },
  { offset: 24, size: 4, column: "odometerM", times: 1 },
  { offset: 28, size: 4, column: "runtimeS", times: 1 },
  { offset: 32, size: 4, column: "mccMnc", times: 1 },
  { offset: 36, size: 2, column: "lac", times: 1 },
  { offset: 38, size: 2, column: "cid", times: 1 },
  { offset: 40, size: 1, column: "inputs", times: 1 },
  { offset: 41, size: 1, column: "outputs", times: 1 },
  { offset: 42, size: 2, column: "ad1", times: 1 },
  { offset: 44, size: 2, column: "ad4", times: 1 },
  { offset: 46, size: 2, column: "ad5", times: 1 },
  { offset: 48, size: 4, column: "geofence", times: 1 },
] as const satisfies readonly CccField[];

/** Sizes in bytes. */
const HEADER = 8;
const RECORD = 52;
/** Event and coordinates: less than that is no position. */
const SHORTEST_RECORD = 9;
const STATUS_OFFSET = 13;

const VALID = FLAGS.valid | FLAGS.saidValid;
const SAID_VALID = FLAGS.saidValid;
const OUT_OF_RANGE = FLAGS.outOfRange;
const SOURCE_AND_SCALE = (SOURCES.indexOf("CCC") << FLAGS.sourceShift) | (HUNDREDTHS << FLAGS.scaleShift);

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const LATITUDE = SLOT.latitudeE6;
const LONGITUDE = SLOT.longitudeE6;
const TIME = SLOT.timeS;
const DIGEST = SLOT.digestHi;
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;
const SOURCE_FRAME = SLOT.sourceFrame;

// Columns of a record of each length: those whose field ends within it.
const MASK_OF_LENGTH = Int32Array.from({ length: RECORD + 1 }, (_, length) =>
  CCC_FIELDS.filter((field) => field.offset + field.size <= length).reduce(
    (mask, { column }) => mask | bits(column),
    0,
  ),
);

// Bytes that these columns and the status take of a record of each length.
const USED_OF_LENGTH = Uint8Array.from({ length: RECORD + 1 }, (_, length) => {
  const ends = CCC_FIELDS.map((field) => field.offset + field.size).filter((end) => end <= length);
  return Math.max(length > STATUS_OFFSET ? STATUS_OFFSET + 1 : 0, ...ends);
});

/** Records still cached by the tracker, those in the frame included; a hint. 0 when the content is too short. */
export function cccRemaining(buf: Uint8Array, start: number, end: number): number {
  return end - start < HEADER ? 0 : viewOf(buf).getUint32(start + 4, true);
}

/**
 * Reads the content of a CCC frame, one row for each record. The declared record length is the stride: fields beyond
 * a shorter one are absent, bytes beyond the fields are kept in the row's tail.
 * @param start index after `CCC,`
 * @param end index of the closing `*`
 * @returns number of records
 * @throws {CodecError} `truncated` when there is no room for the header or one record, `value` for a record length
 *   that leaves no position; the table is as before
 * Source: Meitrack T622 GPRS protocol, CCC. Two bytes layout (02 01), u16 record length, u32 remaining, records.
 */
export function decodeCcc(
  table: PositionTable,
  buf: Uint8Array,
  start: number,
  end: number,
  options: DecodeOptions,
): number {
  if (end - start < HEADER) {
    throw new CodecError("truncated", end, `Cannot read CCC: its header has ${end - start} bytes, expected ${HEADER}`);
  }
  const stride = buf[start + 2] | (buf[start + 3] << 8);
  if (stride < SHORTEST_RECORD) {
    throw new CodecError("value", start + 2, `Cannot read CCC: a record of ${stride} bytes holds no position`);
  }
  const records = Math.floor((end - start - HEADER) / stride);
  if (records === 0 && end - start > HEADER) {
    const left = end - start - HEADER;
    throw new CodecError("truncated", end, `Cannot read CCC: its record has ${left} bytes, expected ${stride}`);
  }
  const plain = stride === RECORD && buf[start] === 2 && buf[start + 1] === 1;
  const view = viewOf(buf);
  const offset = options.offsetS ?? 0;
  const sourceFrame = options.sourceFrame ?? 0;
  let at = start + HEADER;
  for (let record = 0; record < records; record++, at += stride) {
    const tailStart = table.tailUsed;
    const base = table.addRow();
    const i32 = table.i32;
    if (stride >= RECORD) {
      readFields(i32, base, view, at);
    } else {
      readShort(i32, base, view, at, stride);
    }
    const latitude = i32[base + LATITUDE];
    const longitude = i32[base + LONGITUDE];
    const status = stride > STATUS_OFFSET ? view.getUint8(at + STATUS_OFFSET) : 0;
    let flags = SOURCE_AND_SCALE;
    if (latitude > 90e6 || latitude < -90e6 || longitude > 180e6 || longitude < -180e6) {
      flags |= status === 1 ? OUT_OF_RANGE | SAID_VALID : OUT_OF_RANGE;
    } else if (status === 1) {
      flags |= VALID;
    }
    if (!plain || status > 1) keepOddities(table, buf, start, at, stride, status);
    if (offset !== 0) i32[base + TIME] = toUtc(i32[base + TIME], offset);
    i32[base + FLAGS_SLOT] = flags;
    hash64(buf, at, at + stride, i32, base + DIGEST);
    i32[base + TAIL_START] = tailStart;
    i32[base + TAIL_LENGTH] = table.tailUsed - tailStart;
    i32[base + SOURCE_FRAME] = sourceFrame;
  }
  if (at < end && records > 0) table.addToLastTail(TAIL.frameRest, buf, at, end);
  return records;
}

// Inside a function for the sake of its constants: of those of a module a bundler makes variables, which V8 loads anew
// at each use. That costs the Worker an eighth of the time.
const readFields = (() => {
  const MASK = SLOT.mask;
  const EVENT = SLOT.event;
  const LATITUDE = SLOT.latitudeE6;
  const LONGITUDE = SLOT.longitudeE6;
  const TIME = SLOT.timeS;
  const SATELLITES = SLOT.satellites;
  const GSM = SLOT.gsmSignal;
  const SPEED = SLOT.speedMilli;
  const COURSE = SLOT.courseMilli;
  const HDOP = SLOT.hdopMilli;
  const ALTITUDE = SLOT.altitudeMilli;
  const ODOMETER = SLOT.odometerM;
  const RUNTIME = SLOT.runtimeS;
  const MCC_MNC = SLOT.mccMnc;
  const LAC = SLOT.lac;
  const CID = SLOT.cid;
  const INPUTS = SLOT.inputs;
  const OUTPUTS = SLOT.outputs;
  const AD1 = SLOT.ad1;
  const AD4 = SLOT.ad4;
  const AD5 = SLOT.ad5;
  const GEOFENCE = SLOT.geofence;
  const ALL = MASK_OF_LENGTH[RECORD];

  return function readFields(i32: Int32Array, base: number, view: DataView, at: number): void {
    i32[base + MASK] = ALL;
    i32[base + EVENT] = view.getUint8(at);
    i32[base + LATITUDE] = view.getInt32(at + 1, true);
    i32[base + LONGITUDE] = view.getInt32(at + 5, true);
    i32[base + TIME] = view.getInt32(at + 9, true);
    i32[base + SATELLITES] = view.getUint8(at + 14);
    i32[base + GSM] = view.getUint8(at + 15);
    i32[base + SPEED] = view.getUint16(at + 16, true) * 1000;
    i32[base + COURSE] = view.getUint16(at + 18, true) * 1000;
    i32[base + HDOP] = view.getUint16(at + 20, true) * 100;
    i32[base + ALTITUDE] = view.getInt16(at + 22, true) * 1000;
    i32[base + ODOMETER] = view.getInt32(at + 24, true);
    i32[base + RUNTIME] = view.getInt32(at + 28, true);
    i32[base + MCC_MNC] = (view.getUint16(at + 32, true) << 16) | view.getUint16(at + 34, true);
    i32[base + LAC] = view.getUint16(at + 36, true);
    i32[base + CID] = view.getUint16(at + 38, true);
    i32[base + INPUTS] = view.getUint8(at + 40);
    i32[base + OUTPUTS] = view.getUint8(at + 41);
    i32[base + AD1] = view.getUint16(at + 42, true);
    i32[base + AD4] = view.getUint16(at + 44, true);
    i32[base + AD5] = view.getUint16(at + 46, true);
    i32[base + GEOFENCE] = view.getInt32(at + 48, true);
  };
})();

// A record that ends before the last field, by the table. The field after the last whole one is kept as bytes.
function readShort(i32: Int32Array, base: number, view: DataView, at: number, stride: number): void {
  i32[base + MASK] = MASK_OF_LENGTH[stride];
  for (const { offset, size, column, times, ...field } of CCC_FIELDS) {
    if (offset + size > stride) continue;
    const from = at + offset;
    let value = 0;
    if (column === "mccMnc") value = (view.getUint16(from, true) << 16) | view.getUint16(from + 2, true);
    else if (size === 4) value = view.getInt32(from, true);
    else if (size === 1) value = view.getUint8(from);
    else value = "signed" in field ? view.getInt16(from, true) : view.getUint16(from, true);
    i32[base + SLOT[column]] = value * times;
  }
}

// What a row of columns has no place for: another layout, bytes after the last field, an unknown status.
function keepOddities(
  table: PositionTable,
  buf: Uint8Array,
  start: number,
  at: number,
  stride: number,
  status: number,
): void {
  if (buf[start] !== 2 || buf[start + 1] !== 1) table.addTail(TAIL.cccLayout, buf, start, start + 2);
  if (status > 1) table.addTail(TAIL.cccStatus, buf, at + STATUS_OFFSET, at + STATUS_OFFSET + 1);
  const used = USED_OF_LENGTH[Math.min(stride, RECORD)];
  if (stride > used) table.addTail(TAIL.cccExtra, buf, at + used, at + stride);
}
