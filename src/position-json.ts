import { bits, EPOCH_MS, FLAGS, SLOT, SOURCES, STRIDE } from "../codec/columns.ts";
import { EVENTS, eventOf } from "../codec/events.ts";
import { isoTime } from "../codec/iso-time.ts";
import { SCALES, type Scale, scaleLike, type Volts } from "../codec/models.ts";
import { positionAt } from "../codec/position.ts";
import type { StoredPositions } from "../codec/stored.ts";
import { storedPosition } from "../codec/stored-position.ts";

// JSON written straight from the columns: making an object of each position and stringifying it takes several times as
// long. What is rare (text that says more than its column, tails) takes the way over the object.

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
const FIELD_HEADS = FIELDS.map(({ name }) => `,"${name}":`);
const COORDINATES = bits("latitudeE6", "longitudeE6");

/** Analog inputs other than battery (4) and supply (5), in the order in which JSON lists such keys. */
const ANALOG_INPUTS = [1, 2, 3, 6, 7, 8] as const;
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

const SMALL = Array.from({ length: 1000 }, (_, n) => String(n));
const DIGITS_3 = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, "0"));
/** `.5` of 500, nothing of 0. */
const FRACTIONS = DIGITS_3.map((digits) => `.${digits}`.replace(/\.?0+$/, ""));
const POINT_DIGITS_3 = DIGITS_3.map((digits) => `.${digits}`);
const TRIMMED_3 = DIGITS_3.map((digits) => digits.replace(/0+$/, ""));
const EVENT_TEXTS = new Map(EVENTS.map(({ code }) => [code as number, JSON.stringify(eventOf(code))]));

/** JSON of rows `order[from..to)` as an array: `JSON.stringify()` of what `storedPosition()` gives for them. */
export function positionsJson(
  stored: StoredPositions,
  order: Uint32Array | readonly number[],
  from = 0,
  to: number = order.length,
): string {
  let text = "[";
  for (let n = from; n < to; n++) text += (n === from ? "" : ",") + positionJson(stored, order[n]);
  return `${text}]`;
}

/** JSON of a row: `JSON.stringify()` of what `storedPosition()` gives for it. */
export function positionJson(stored: StoredPositions, row: number): string {
  const { i32 } = stored.table;
  const base = row * STRIDE;
  const mask = i32[base + MASK];
  const flags = i32[base + FLAGS_SLOT];
  if ((flags & FLAGS.exact) !== 0) return JSON.stringify(storedPosition(stored, row));
  const code = (mask & BIT.event) === 0 ? 0 : i32[base + EVENT];
  let text = `{"id":${whole(stored.ids[row])},"deviceId":${whole(stored.deviceIds[row])},"receivedAt":"`;
  text += isoTime(stored.receivedAt[row]);
  text += `","event":${EVENT_TEXTS.get(code) ?? JSON.stringify(eventOf(code))},"fixTime":"`;
  text += isoTime(stored.fixTimeAt(row));
  text += (flags & FLAGS.valid) === 0 ? '","valid":false' : '","valid":true';
  const shown = (flags & FLAGS.outOfRange) === 0 ? mask : mask & ~COORDINATES;
  for (let field = 0; field < FIELD_SLOTS.length; field++) {
    const slot = FIELD_SLOTS[field];
    if ((shown & (1 << (slot - 1))) === 0) continue;
    const value = i32[base + slot];
    const per = FIELD_PERS[field];
    text +=
      FIELD_HEADS[field] + (per === 1 ? whole(value >>> 0) : per === 1000 ? thousandths(value) : millionths(value));
  }
  if ((mask & BIT.cell) !== 0) text += cellText(i32, base, mask);
  if ((mask & BIT.inputs) !== 0) text += `,"inputs":${whole(i32[base + SLOT.inputs] >>> 0)}`;
  if ((mask & BIT.outputs) !== 0) text += `,"outputs":${whole(i32[base + SLOT.outputs] >>> 0)}`;
  text += voltsText(i32, base, mask, flags);
  return `${text + rareText(stored, row, base, mask, flags, code)}}`;
}

// Numbers are put together from the texts of up to three digits: V8 takes several times as long for a number that it
// has not written before.
function whole(value: number): string {
  if (value < 1000) return value >= 0 ? SMALL[value] : `${value}`;
  const thousands = Math.floor(value / 1000);
  const rest = DIGITS_3[value - thousands * 1000];
  return thousands < 1000 ? SMALL[thousands] + rest : whole(thousands) + rest;
}

// As the quotient is written: it is the double nearest to these digits, and they are few enough to be its shortest.
function thousandths(value: number): string {
  if (value < 0) return `-${thousandths(-value)}`;
  const units = Math.floor(value / 1000);
  return whole(units) + FRACTIONS[value - units * 1000];
}

function millionths(value: number): string {
  if (value < 0) return `-${millionths(-value)}`;
  const units = Math.floor(value / 1e6);
  const rest = value - units * 1e6;
  const high = Math.floor(rest / 1000);
  const low = rest - high * 1000;
  return low === 0 ? whole(units) + FRACTIONS[high] : whole(units) + POINT_DIGITS_3[high] + TRIMMED_3[low];
}

// A device stays with a cell and its volts for a while, and has few events: their texts are kept for the next row.
const cell = { network: -1, lac: -1, cid: -1, bits: -1, text: "" };

function cellText(i32: Int32Array, base: number, mask: number): string {
  const network = i32[base + SLOT.mccMnc];
  const lac = i32[base + SLOT.lac];
  const cid = i32[base + SLOT.cid];
  const present = mask & (BIT.lac | BIT.cid);
  if (network !== cell.network || lac !== cell.lac || cid !== cell.cid || present !== cell.bits) {
    Object.assign(cell, { network, lac, cid, bits: present });
    const area = (present & BIT.lac) === 0 ? "" : `,"lac":${lac >>> 0}`;
    const id = (present & BIT.cid) === 0 ? "" : `,"cid":${cid >>> 0}`;
    cell.text = `,"cell":{"mcc":${network >>> 16},"mnc":${network & 0xffff}${area}${id}}`;
  }
  return cell.text;
}

function voltsText(i32: Int32Array, base: number, mask: number, flags: number): string {
  const row = (flags >>> FLAGS.scaleShift) & 0xff;
  const scale: Scale = row === 0 ? scaleLike((mask & BIT.battery) === 0 ? undefined : i32[base + AD4]) : SCALES[row];
  let text = "";
  if ((mask & ANALOG_BITS) !== 0 && scale.analog !== null) {
    let before = ',"analogV":{"';
    for (let n = 0; n < ANALOG_INPUTS.length; n++) {
      const input = ANALOG_INPUTS[n];
      if ((mask & (1 << (AD1 + input - 2))) === 0) continue;
      text += `${before}${input}":${volts(scale.analog, i32[base + AD1 + input - 1] >>> 0)}`;
      before = ',"';
    }
    text += "}";
  }
  if ((mask & BIT.battery) !== 0 && scale.battery !== null) {
    text += `,"batteryV":${volts(scale.battery, i32[base + AD4])}`;
  }
  if ((mask & BIT.supply) !== 0 && scale.supply !== null) {
    text += `,"supplyV":${volts(scale.supply, i32[base + AD5])}`;
  }
  return text;
}

// As voltsOf(), which divides by 1000 in the end.
function volts(scale: Volts, raw: number): string {
  return thousandths(Math.round((raw * scale.times * 1000) / scale.per));
}

// What the last row with a tail said, the tail, and the other numbers that it depended on.
const rare = { tail: new Uint8Array(0), key: new Float64Array(8).fill(-1), text: "" };

// fuelPercent, temperaturesC, driverId, pictureName, geofence, readings
function rareText(
  stored: StoredPositions,
  row: number,
  base: number,
  mask: number,
  flags: number,
  code: number,
): string {
  const { i32, tail } = stored.table;
  const length = i32[base + TAIL_LENGTH];
  const late = stored.clock[row] !== 0 && (mask & BIT.time) !== 0;
  // These depend on columns that change from row to row.
  const own = (flags & FLAGS.outOfRange) !== 0 || (mask & RAW_BITS[(flags >>> FLAGS.scaleShift) & 0xff]) !== 0;
  // The last word of a CCC record may be something else than a geo-fence.
  const word = (mask & BIT.geofence) !== 0 && flags >>> FLAGS.sourceShift === CCC;
  if (length === 0 && !own && !word) return plainRareText(i32, base, mask, late);
  if (own || late) return interpretedText(stored, row, late);
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
  if (same) return rare.text;
  key.set([length, mask, flags, code, i32[base + FUEL], i32[base + GEOFENCE]]);
  key.set([i32[base + SYSTEM_FLAGS], i32[base + RX_LEVEL]], 6);
  rare.tail = tail.slice(start, start + length);
  rare.text = interpretedText(stored, row, false);
  return rare.text;
}

function plainRareText(i32: Int32Array, base: number, mask: number, late: boolean): string {
  const level = (mask & BIT.rxLevel) === 0 ? 0 : i32[base + RX_LEVEL];
  let text = (mask & BIT.fuel) === 0 ? "" : `,"fuelPercent":${thousandths(i32[base + FUEL] * 10)}`;
  if ((mask & BIT.geofence) !== 0) text += `,"geofence":${i32[base + GEOFENCE] >>> 0}`;
  if (!late && level === 0 && (mask & BIT.systemFlags) === 0) return text;
  let before = ',"readings":{';
  if ((mask & BIT.systemFlags) !== 0) {
    text += `${before}"systemFlags":${i32[base + SYSTEM_FLAGS] >>> 0}`;
    before = ",";
  }
  if (level !== 0) {
    text += `${before}"rxLevelDbm":${level}`;
    before = ",";
  }
  if (late) text += `${before}"deviceTime":"${isoTime(EPOCH_MS + (i32[base + TIME] >>> 0) * 1000)}"`;
  return `${text}}`;
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
