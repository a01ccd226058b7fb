import { bits, EPOCH_MS, FLAGS, SLOT, SOURCES, STRIDE } from "../codec/columns.ts";
import { EVENTS, eventOf } from "../codec/events.ts";
import { isoTime } from "../codec/iso-time.ts";
import { SCALES, type Scale, scaleLike, type Volts } from "../codec/models.ts";
import { positionAt } from "../codec/position.ts";
import type { StoredPositions } from "../codec/stored.ts";
import { storedPosition } from "../codec/stored-position.ts";
import { DayText, JsonBytes, type Piece, pieceOf } from "./json-bytes.ts";
import { LIMITS } from "./limits.ts";

// JSON written straight from the columns, as bytes: making an object of each position and stringifying it takes many times
// as long. What is rare (text that says more than its column, tails) takes the way over the object.

/** Columns that are fields by themselves, in the order of POSITION_FIELDS: `per` divides as in COLUMNS. */
const FIELDS = [
  { slot: SLOT.latitudeE6, name: "latitude", per: 1e6 },
  { slot: SLOT.longitudeE6, name: "longitude", per: 1e6 },
  { slot: SLOT.satellites, name: "satellites", per: 1 },
  { slot: SLOT.gsmSignal, name: "gsmSignal", per: 1 },
  { slot: SLOT.speedMilli, name: "speedKmh", per: 1000 },
  { slot: SLOT.courseMilli, name: "courseDeg", per: 1000 },
  { slot: SLOT.hdopMilli, name: "hdop", per: 1000 },
  { slot: SLOT.altitudeMilli, name: "altitudeM", per: 1000 },
  { slot: SLOT.odometerM, name: "odometerM", per: 1 },
  { slot: SLOT.runtimeS, name: "runtimeS", per: 1 },
] as const;
const FIELD_SLOTS = Int32Array.from(FIELDS, ({ slot }) => slot);
const FIELD_PERS = Int32Array.from(FIELDS, ({ per }) => per);
const FIELD_HEADS = FIELDS.map(({ name }) => pieceOf(`,"${name}":`));
const COORDINATES = bits("latitudeE6", "longitudeE6");

/** Analog inputs other than battery (4) and supply (5), in the order in which JSON lists such keys. */
const ANALOG_INPUTS = [1, 2, 3, 6, 7, 8] as const;
const FIRST_ANALOG_HEADS = ANALOG_INPUTS.map((input) => pieceOf(`,"analogV":{"${input}":`));
const ANALOG_HEADS = ANALOG_INPUTS.map((input) => pieceOf(`,"${input}":`));
const ANALOG_BITS = bits("ad1", "ad2", "ad3", "ad6", "ad7", "ad8");
const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const EVENT = SLOT.event;
const TIME = SLOT.timeS;
const AD1 = SLOT.ad1;
const AD4 = SLOT.ad4;
const AD5 = SLOT.ad5;
const FUEL = SLOT.fuelCenti;
const GEOFENCE = SLOT.geofence;
const SYSTEM_FLAGS = SLOT.systemFlags;
const RX_LEVEL = SLOT.rxLevel;
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;
const BIT = {
  event: bits("event"),
  time: bits("timeS"),
  cell: bits("mccMnc"),
  lac: bits("lac"),
  cid: bits("cid"),
  inputs: bits("inputs"),
  outputs: bits("outputs"),
  battery: bits("ad4"),
  supply: bits("ad5"),
  fuel: bits("fuelCenti"),
  geofence: bits("geofence"),
  systemFlags: bits("systemFlags"),
  rxLevel: bits("rxLevel"),
};
/** Of each scale the analog inputs without a unit, which are readings. */
const RAW_BITS = SCALES.map(
  ({ analog, battery, supply }: Scale) =>
    (analog === null ? ANALOG_BITS : 0) | (battery === null ? BIT.battery : 0) | (supply === null ? BIT.supply : 0),
);
const CCC = SOURCES.indexOf("CCC");

const HEAD = {
  id: pieceOf('{"id":'),
  deviceId: pieceOf(',"deviceId":'),
  receivedAt: pieceOf(',"receivedAt":"'),
  event: pieceOf('","event":'),
  fixTime: pieceOf(',"fixTime":"'),
  valid: pieceOf('","valid":true'),
  invalid: pieceOf('","valid":false'),
  inputs: pieceOf(',"inputs":'),
  outputs: pieceOf(',"outputs":'),
  battery: pieceOf(',"batteryV":'),
  supply: pieceOf(',"supplyV":'),
  fuel: pieceOf(',"fuelPercent":'),
  geofence: pieceOf(',"geofence":'),
  comma: pieceOf(","),
  close: pieceOf("}"),
};
const EVENT_PIECES = new Map(EVENTS.map(({ code }) => [code as number, pieceOf(JSON.stringify(eventOf(code)))]));

/** More than a row takes without its event and what is rare, with every number as long as it can be. */
const ROW_BYTES = 1024;
const out = new JsonBytes();
const received = new DayText();
const fixed = new DayText();

/**
 * JSON of rows `order[from..to)` as an array, UTF-8: `JSON.stringify()` of what `storedPosition()` gives for them.
 * @param before goes before it, and `after` behind it
 */
export function positionsJson(
  stored: StoredPositions,
  order: Uint32Array | readonly number[],
  from = 0,
  to: number = order.length,
  before = "",
  after = "",
): Uint8Array<ArrayBuffer> {
  out.at = 0;
  volts.end = 0;
  out.text(`${before}[`);
  for (let n = from; n < to; n++) {
    if (n > from) out.piece(HEAD.comma);
    writePosition(stored, order[n]);
  }
  out.text(`]${after}`);
  return out.take(LIMITS.jsonMemoryBytes);
}

const decoder = new TextDecoder();

/** JSON of one row, as text. */
export function positionJson(stored: StoredPositions, row: number): string {
  return decoder.decode(positionsJson(stored, [row])).slice(1, -1);
}

function writePosition(stored: StoredPositions, row: number): void {
  const { i32 } = stored.table;
  const base = row * STRIDE;
  const mask = i32[base + MASK];
  const flags = i32[base + FLAGS_SLOT];
  out.reserve(ROW_BYTES);
  if ((flags & FLAGS.exact) !== 0) {
    out.text(JSON.stringify(storedPosition(stored, row)));
    return;
  }
  const code = (mask & BIT.event) === 0 ? 0 : i32[base + EVENT];
  out.piece(HEAD.id);
  out.whole(stored.ids[row]);
  out.piece(HEAD.deviceId);
  out.whole(stored.deviceIds[row]);
  out.piece(HEAD.receivedAt);
  out.time(stored.receivedAt[row], received);
  out.piece(HEAD.event);
  const event = EVENT_PIECES.get(code);
  if (event === undefined) out.text(JSON.stringify(eventOf(code)));
  else out.piece(event);
  out.reserve(ROW_BYTES);
  out.piece(HEAD.fixTime);
  out.time(stored.fixTimeAt(row), fixed);
  out.piece((flags & FLAGS.valid) === 0 ? HEAD.invalid : HEAD.valid);
  const shown = (flags & FLAGS.outOfRange) === 0 ? mask : mask & ~COORDINATES;
  for (let field = 0; field < FIELD_SLOTS.length; field++) {
    const slot = FIELD_SLOTS[field];
    if ((shown & (1 << (slot - 1))) === 0) continue;
    const value = i32[base + slot];
    const per = FIELD_PERS[field];
    out.piece(FIELD_HEADS[field]);
    if (per === 1) out.whole(value >>> 0);
    else if (per === 1000) out.thousandths(value);
    else out.millionths(value);
  }
  if ((mask & BIT.cell) !== 0) out.piece(cellPiece(i32, base, mask));
  if ((mask & BIT.inputs) !== 0) writeWhole(HEAD.inputs, i32[base + SLOT.inputs] >>> 0);
  if ((mask & BIT.outputs) !== 0) writeWhole(HEAD.outputs, i32[base + SLOT.outputs] >>> 0);
  writeVolts(i32, base, mask, flags);
  writeRare(stored, row, base, mask, flags, code);
  out.piece(HEAD.close);
}

function writeWhole(head: Piece, value: number): void {
  out.piece(head);
  out.whole(value);
}

// A device stays with a cell and its volts for a while, and has few events: their texts are kept for the next row.
const cell = { network: -1, lac: -1, cid: -1, bits: -1, piece: pieceOf("") };

function cellPiece(i32: Int32Array, base: number, mask: number): Piece {
  const network = i32[base + SLOT.mccMnc];
  const lac = i32[base + SLOT.lac];
  const cid = i32[base + SLOT.cid];
  const present = mask & (BIT.lac | BIT.cid);
  if (network !== cell.network || lac !== cell.lac || cid !== cell.cid || present !== cell.bits) {
    Object.assign(cell, { network, lac, cid, bits: present });
    const area = (present & BIT.lac) === 0 ? "" : `,"lac":${lac >>> 0}`;
    const id = (present & BIT.cid) === 0 ? "" : `,"cid":${cid >>> 0}`;
    cell.piece = pieceOf(`,"cell":{"mcc":${network >>> 16},"mnc":${network & 0xffff}${area}${id}}`);
  }
  return cell.piece;
}

/** Where the volts of the last row with other ones are, and what they are of; none are kept when `end` is 0. */
const volts = { start: 0, end: 0, bits: 0, flags: 0, base: 0 };

function writeVolts(i32: Int32Array, base: number, mask: number, flags: number): void {
  const present = mask & (ANALOG_BITS | BIT.battery | BIT.supply);
  if (present === 0) return;
  if (volts.end > 0 && present === volts.bits && flags === volts.flags) {
    let n = 0;
    while (n < 8 && i32[base + AD1 + n] === i32[volts.base + AD1 + n]) n++;
    if (n === 8) {
      out.again(volts.start, volts.end);
      return;
    }
  }
  volts.start = out.at;
  const row = (flags >>> FLAGS.scaleShift) & 0xff;
  const scale: Scale = row === 0 ? scaleLike((mask & BIT.battery) === 0 ? undefined : i32[base + AD4]) : SCALES[row];
  if ((mask & ANALOG_BITS) !== 0 && scale.analog !== null) {
    let heads = FIRST_ANALOG_HEADS;
    for (let n = 0; n < ANALOG_INPUTS.length; n++) {
      const slot = AD1 + ANALOG_INPUTS[n] - 1;
      if ((mask & (1 << (slot - 1))) === 0) continue;
      out.piece(heads[n]);
      out.thousandths(milliVolts(scale.analog, i32[base + slot] >>> 0));
      heads = ANALOG_HEADS;
    }
    out.piece(HEAD.close);
  }
  if ((mask & BIT.battery) !== 0 && scale.battery !== null) {
    out.piece(HEAD.battery);
    out.thousandths(milliVolts(scale.battery, i32[base + AD4]));
  }
  if ((mask & BIT.supply) !== 0 && scale.supply !== null) {
    out.piece(HEAD.supply);
    out.thousandths(milliVolts(scale.supply, i32[base + AD5]));
  }
  volts.end = out.at;
  volts.bits = present;
  volts.flags = flags;
  volts.base = base;
}

// As voltsOf(), which divides by 1000 in the end.
function milliVolts(scale: Volts, raw: number): number {
  return Math.round((raw * scale.times * 1000) / scale.per);
}

// What the last row with a tail said, the tail, and the other numbers that it depended on.
const rare = { tail: new Uint8Array(0), key: new Float64Array(8).fill(-1), piece: pieceOf("") };

// fuelPercent, temperaturesC, driverId, pictureName, geofence, readings
function writeRare(
  stored: StoredPositions,
  row: number,
  base: number,
  mask: number,
  flags: number,
  code: number,
): void {
  const { i32, tail } = stored.table;
  const length = i32[base + TAIL_LENGTH];
  const late = stored.clock[row] !== 0 && (mask & BIT.time) !== 0;
  // These depend on columns that change from row to row.
  const own = (flags & FLAGS.outOfRange) !== 0 || (mask & RAW_BITS[(flags >>> FLAGS.scaleShift) & 0xff]) !== 0;
  // The last word of a CCC record may be something else than a geo-fence.
  const word = (mask & BIT.geofence) !== 0 && flags >>> FLAGS.sourceShift === CCC;
  if (length === 0 && !own && !word) {
    writePlainRare(i32, base, mask, late);
    return;
  }
  if (own || late) {
    out.text(interpretedText(stored, row, late));
    out.reserve(ROW_BYTES);
    return;
  }
  const { key } = rare;
  const start = i32[base + TAIL_START];
  let same =
    key[0] === length &&
    key[1] === mask &&
    key[2] === flags &&
    key[3] === code &&
    ((mask & BIT.fuel) === 0 || key[4] === i32[base + FUEL]) &&
    ((mask & BIT.geofence) === 0 || key[5] === i32[base + GEOFENCE]) &&
    ((mask & BIT.systemFlags) === 0 || key[6] === i32[base + SYSTEM_FLAGS]) &&
    ((mask & BIT.rxLevel) === 0 || key[7] === i32[base + RX_LEVEL]);
  for (let i = 0; same && i < length; i++) same = tail[start + i] === rare.tail[i];
  if (same) {
    writeRarePiece();
    return;
  }
  key.set([length, mask, flags, code, i32[base + FUEL], i32[base + GEOFENCE]]);
  key.set([i32[base + SYSTEM_FLAGS], i32[base + RX_LEVEL]], 6);
  rare.tail = tail.slice(start, start + length);
  rare.piece = pieceOf(interpretedText(stored, row, false));
  writeRarePiece();
}

function writeRarePiece(): void {
  out.reserve(rare.piece.length + ROW_BYTES);
  out.piece(rare.piece);
}

function writePlainRare(i32: Int32Array, base: number, mask: number, late: boolean): void {
  const level = (mask & BIT.rxLevel) === 0 ? 0 : i32[base + RX_LEVEL];
  if ((mask & BIT.fuel) !== 0) {
    out.piece(HEAD.fuel);
    out.thousandths(i32[base + FUEL] * 10);
  }
  if ((mask & BIT.geofence) !== 0) writeWhole(HEAD.geofence, i32[base + GEOFENCE] >>> 0);
  if (!late && level === 0 && (mask & BIT.systemFlags) === 0) return;
  let text = ',"readings":{';
  let before = "";
  if ((mask & BIT.systemFlags) !== 0) {
    text += `"systemFlags":${i32[base + SYSTEM_FLAGS] >>> 0}`;
    before = ",";
  }
  if (level !== 0) {
    text += `${before}"rxLevelDbm":${level}`;
    before = ",";
  }
  if (late) text += `${before}"deviceTime":"${isoTime(EPOCH_MS + (i32[base + TIME] >>> 0) * 1000)}"`;
  out.text(`${text}}`);
  out.reserve(ROW_BYTES);
}

function interpretedText(stored: StoredPositions, row: number, late: boolean): string {
  const { fuelPercent, temperaturesC, driverId, pictureName, geofence, readings, fixTime } = positionAt(
    stored.table,
    row,
  );
  const said = late && fixTime !== undefined ? { ...readings, deviceTime: isoTime(fixTime) } : readings;
  const text = JSON.stringify({ fuelPercent, temperaturesC, driverId, pictureName, geofence, readings: said });
  return text === "{}" ? "" : `,${text.slice(1, -1)}`;
}
