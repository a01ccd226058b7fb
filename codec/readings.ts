import { AAA_FIELDS } from "./aaa-fields.ts";
import { readAaaRest } from "./aaa-rest.ts";
import { latin1, toHex } from "./bytes.ts";
import { CCE_GROUPS, type CceGroup, PARAMETERS, type Parameter } from "./cce-parameters.ts";
import { readStructure, trimNul } from "./cce-structures.ts";
import { bits, FLAGS, SLOT, SOURCES, TAIL, visitTail } from "./columns.ts";
import { addReading, addTemperature, type Rare } from "./meaning.ts";
import { SCALES, type Scale } from "./models.ts";

/** What raw text fields say more exactly than their columns, in the names of `Position`. */
export interface Exact {
  latitude?: number;
  longitude?: number;
  satellites?: number;
  gsmSignal?: number;
  speedKmh?: number;
  courseDeg?: number;
  hdop?: number;
  altitudeM?: number;
  odometerM?: number;
  runtimeS?: number;
  /** Decimal volts. */
  analogV?: Record<string, number>;
  batteryV?: number;
  supplyV?: number;
}

const MASK = SLOT.mask;
const EVENT = SLOT.event;
const AD1 = SLOT.ad1;
const AD_COUNT = 8;
const BIT = {
  event: bits("event"),
  latitude: bits("latitudeE6"),
  longitude: bits("longitudeE6"),
  rxLevel: bits("rxLevel"),
  fuel: bits("fuelCenti"),
  geofence: bits("geofence"),
  systemFlags: bits("systemFlags"),
};

const NUMBER = /^[+-]?\d+(\.\d*)?([eE][+-]?\d{1,2})?$/;
const DECIMAL_VOLTS = /^\d+\.\d*$/;

/** Order of the values in an analog field of decimal volts, `4.33|12.96|1.92|2.72|2.69`, as captured. */
const DECIMAL_VOLT_NAMES = ["batteryV", "supplyV", "rtcBatteryV", "processorV", "gpsV"];

const PARAMETER_BY_KEY = new Map<number, Parameter>(
  PARAMETERS.map((parameter) => [keyOf(parameter.group, parameter.id), parameter]),
);

function keyOf(group: CceGroup, id: number): number {
  return TAIL.cceGroup * (CCE_GROUPS.indexOf(group) + 1) + id;
}

/** What the raw text fields in a tail say more exactly than the columns. Never throws. */
export function exactFields(tail: Uint8Array): Exact {
  const exact: Record<string, unknown> = {};
  visitTail(tail, 0, tail.length, (key, start, end) => {
    const field = AAA_FIELDS[key - 1];
    if (field === undefined) return;
    const text = latin1(tail, start, end);
    if ("places" in field) {
      const value = exactNumber(text);
      if (value !== undefined) exact[field.name] = value;
    } else if (field.name === "analog") {
      const { batteryV, supplyV, analogV } = decimalVolts(text);
      Object.assign(exact, { batteryV, supplyV, analogV });
    }
  });
  return exact;
}

function exactNumber(text: string): number | undefined {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

// With a dot in the first value the field lists battery and supply first. With a dot elsewhere (bridges write that)
// only that value is in volts and the places are the usual ones.
function decimalVolts(text: string): Exact & { other: Record<string, number>; complete: boolean } {
  const exact: Exact = {};
  const other: Record<string, number> = {};
  const values = text.split("|");
  const ownOrder = DECIMAL_VOLTS.test(values[0]);
  for (const [index, value] of values.entries()) {
    if (!DECIMAL_VOLTS.test(value)) continue;
    const name = ownOrder ? DECIMAL_VOLT_NAMES[index] : ["", "", "", "batteryV", "supplyV"][index];
    if (name === "batteryV" || name === "supplyV") exact[name] = Number(value);
    else if (name) other[name] = Number(value);
    else if (!ownOrder && index < AD_COUNT) exact.analogV = { ...exact.analogV, [index + 1]: Number(value) };
  }
  const complete =
    ownOrder && values.length <= DECIMAL_VOLT_NAMES.length && values.every((value) => DECIMAL_VOLTS.test(value));
  return { ...exact, other, complete };
}

/**
 * Works out what the rare fields of a row mean: columns that depend on the event or the model, and the whole tail.
 * Never throws; what it cannot read stays in the readings as text or hex.
 * @param row the row's numbers by SLOT, from the mask to the flags
 */
export function interpret(row: readonly number[], tail: Uint8Array): Rare {
  const rare: Rare = {};
  readColumns(row, rare);
  const event = eventIn(row);
  let card: string | null = null;
  visitTail(tail, 0, tail.length, (key, start, end) => {
    if (key < TAIL.aaaRest) readOddText(key, latin1(tail, start, end), rare);
    else if (key === TAIL.aaaRest) readAaaRest(latin1(tail, start, end), event, rare);
    else if (key < TAIL.cceGroup) {
      // The card field of the T633L is longer than it says: what is left of the packet belongs to it.
      if (key === TAIL.cceRest && card !== null && rare.driverId === card) {
        rare.driverId = trimNul(card + latin1(tail, start, end));
      } else {
        const name = REST_NAMES[key] ?? `tail.${key.toString(16)}`;
        addReading(rare, name, toHex(tail.subarray(start, end)), name);
      }
    } else {
      readParameter(key, tail.slice(start, end), rare);
      card = key === CARD_KEY && rare.driverId !== undefined ? rare.driverId : null;
    }
  });
  return rare;
}

const CARD_KEY = keyOf("n", 0x39);

const REST_NAMES: Readonly<Record<number, string>> = {
  [TAIL.cccExtra]: "ccc.extra",
  [TAIL.cccLayout]: "ccc.layout",
  [TAIL.cccStatus]: "ccc.status",
  [TAIL.cceRest]: "cce.rest",
  [TAIL.frameRest]: "frame.rest",
};

/** What the last word of a CCC record says, by event; a geo-fence number for the others. Source: T622 CCC, offset 48. */
const CCC_ASSIST: Readonly<Record<number, string>> = {
  37: "driverCardNumber",
  50: "temperatureSensor",
  51: "temperatureSensor",
  58: "theftSource",
};

// 0 when there is none: a column that is absent may hold anything.
function eventIn(row: readonly number[]): number {
  return (row[MASK] & BIT.event) === 0 ? 0 : row[EVENT];
}

function readColumns(row: readonly number[], rare: Rare): void {
  const mask = row[MASK];
  const flags = row[SLOT.flags];
  if ((mask & BIT.fuel) !== 0) rare.fuelPercent = row[SLOT.fuelCenti] / 100;
  if ((mask & BIT.geofence) !== 0) {
    const value = row[SLOT.geofence] >>> 0;
    const name = SOURCES[flags >>> FLAGS.sourceShift] === "CCC" ? CCC_ASSIST[eventIn(row)] : undefined;
    if (name === undefined) rare.geofence = value;
    else addReading(rare, name, value, name);
    if (name === "driverCardNumber") rare.driverId = String(value);
  }
  if ((mask & BIT.systemFlags) !== 0) addReading(rare, "systemFlags", row[SLOT.systemFlags] >>> 0, "");
  if ((mask & BIT.rxLevel) !== 0 && row[SLOT.rxLevel] !== 0) addReading(rare, "rxLevelDbm", row[SLOT.rxLevel], "");
  if ((flags & FLAGS.outOfRange) !== 0) {
    if ((mask & BIT.latitude) !== 0) addReading(rare, "deviceLatitude", row[SLOT.latitudeE6] / 1e6, "");
    if ((mask & BIT.longitude) !== 0) addReading(rare, "deviceLongitude", row[SLOT.longitudeE6] / 1e6, "");
  }
  const raw: Record<string, number> = {};
  const scale: Scale = SCALES[(flags >>> FLAGS.scaleShift) & 0xff];
  for (let input = 1; input <= AD_COUNT; input++) {
    const slot = AD1 + input - 1;
    const volts = input === 4 ? scale.battery : input === 5 ? scale.supply : scale.analog;
    if (volts === null && (mask & (1 << (slot - 1))) !== 0) raw[input] = row[slot];
  }
  if (Object.keys(raw).length > 0) addReading(rare, "analogRaw", raw, "");
}

function readOddText(key: number, text: string, rare: Rare): void {
  const field = AAA_FIELDS[key - 1];
  const name = `aaa.${key}`;
  if (field?.name === "time") addReading(rare, "deviceTime", text, name);
  else if (field?.name === "analog") {
    const { other, complete } = decimalVolts(text);
    for (const [reading, volts] of Object.entries(other)) addReading(rare, reading, volts, name);
    if (!complete) addReading(rare, name, text, name);
  } else if (field === undefined || !("places" in field) || exactNumber(text) === undefined) {
    addReading(rare, name, text, name);
  }
}

function readParameter(key: number, bytes: Uint8Array, rare: Rare): void {
  const group = CCE_GROUPS[(key >>> 16) - 1] ?? key >>> 16;
  const raw = `cce.${group}.${(key & 0xffff).toString(16).padStart(2, "0")}`;
  const parameter = PARAMETER_BY_KEY.get(key);
  if (parameter !== undefined && "structure" in parameter) {
    const meaning = readStructure(parameter.structure, parameter.id, bytes);
    if (meaning !== null && merge(rare, meaning, raw)) return;
  } else if (parameter !== undefined && "name" in parameter && bytes.length === parameter.group) {
    const value = integer(bytes, parameter.signed === true);
    if (parameter.name === "driverCardNumber") rare.driverId ??= String(value);
    addReading(rare, parameter.name, value / parameter.per, raw);
    return;
  }
  addReading(rare, raw, toHex(bytes), raw);
}

// Adds what one parameter means; false when part of it has its place taken, so that the bytes must stay.
function merge(rare: Rare, more: Rare, raw: string): boolean {
  let whole = true;
  for (const [sensor, degrees] of Object.entries(more.temperaturesC ?? {})) {
    whole = addTemperature(rare, Number(sensor), degrees) && whole;
  }
  for (const name of ["driverId", "pictureName"] as const) {
    const value = more[name];
    if (value === undefined) continue;
    if (rare[name] === undefined) rare[name] = value;
    else if (rare[name] !== value) whole = false;
  }
  for (const [name, value] of Object.entries(more.readings ?? {})) addReading(rare, name, value, raw);
  return whole;
}

// Low byte first.
function integer(bytes: Uint8Array, signed: boolean): number {
  let value = 0;
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256 + bytes[i];
  const range = 256 ** bytes.length;
  return signed && value >= range / 2 ? value - range : value;
}
