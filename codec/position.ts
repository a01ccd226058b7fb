import { bits, EPOCH_MS, FLAGS, type PositionTable, SLOT, STRIDE } from "./columns.ts";
import { type Event, eventOf } from "./events.ts";
import type { Rare, Reading } from "./meaning.ts";
import { SCALES, type Scale, scaleLike, voltsOf } from "./models.ts";
import { exactFields, interpret } from "./readings.ts";

/** A base station; LAC and cell id are missing where the report leaves them out. */
export interface Cell {
  readonly mcc: number;
  readonly mnc: number;
  readonly lac?: number;
  readonly cid?: number;
}

/** A position as JSON: what a report does not carry is missing. */
export interface PositionJson {
  event: Event;
  /** ISO 8601, UTC, with milliseconds. */
  fixTime?: string;
  valid: boolean;
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
  cell?: Cell;
  inputs?: number;
  outputs?: number;
  analogV?: Readonly<Record<string, number>>;
  batteryV?: number;
  supplyV?: number;
  fuelPercent?: number;
  temperaturesC?: Readonly<Record<string, number>>;
  driverId?: string;
  pictureName?: string;
  geofence?: number;
  readings?: Readonly<Record<string, Reading>>;
}

/** The fields of PositionJson in the order in which they are written. */
export const POSITION_FIELDS = [
  "event",
  "fixTime",
  "valid",
  "latitude",
  "longitude",
  "satellites",
  "gsmSignal",
  "speedKmh",
  "courseDeg",
  "hdop",
  "altitudeM",
  "odometerM",
  "runtimeS",
  "cell",
  "inputs",
  "outputs",
  "analogV",
  "batteryV",
  "supplyV",
  "fuelPercent",
  "temperaturesC",
  "driverId",
  "pictureName",
  "geofence",
  "readings",
] as const satisfies readonly (keyof PositionJson)[];

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
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
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;

const EVENT_BIT = bits("event");
const LATITUDE_BIT = bits("latitudeE6");
const LONGITUDE_BIT = bits("longitudeE6");
const TIME_BIT = bits("timeS");
const SATELLITES_BIT = bits("satellites");
const GSM_BIT = bits("gsmSignal");
const SPEED_BIT = bits("speedMilli");
const COURSE_BIT = bits("courseMilli");
const HDOP_BIT = bits("hdopMilli");
const ALTITUDE_BIT = bits("altitudeMilli");
const ODOMETER_BIT = bits("odometerM");
const RUNTIME_BIT = bits("runtimeS");
const MCC_MNC_BIT = bits("mccMnc");
const LAC_BIT = bits("lac");
const CID_BIT = bits("cid");
const INPUTS_BIT = bits("inputs");
const OUTPUTS_BIT = bits("outputs");
const AD4_BIT = bits("ad4");
const AD5_BIT = bits("ad5");
/** Analog inputs other than battery (4) and supply (5). */
const ANALOG_INPUTS = [1, 2, 3, 6, 7, 8] as const;
const ANALOG_BITS = bits("ad1", "ad2", "ad3", "ad6", "ad7", "ad8");

const NO_BYTES = new Uint8Array(0);

/**
 * One position report in the units of the API. What the report does not carry is undefined. Numbers are there at
 * once; what few readers ask for (cell, analog inputs, temperatures, readings, ...) is worked out when first read.
 * Made by `positionAt`, `decodePositions` and `decodeRecord`; stands on its own, whatever happens to the table.
 */
export class Position {
  /** Code 0 when the report names no event. */
  readonly event: Event;
  /** When the receiver took the position, Unix ms UTC; undefined when the report's clock cannot be read. */
  readonly fixTime: number | undefined;
  /** The receiver had a fix. Without one, the coordinates are the last known ones. */
  readonly valid: boolean;
  /** Degrees WGS 84, north positive. */
  readonly latitude: number | undefined;
  /** Degrees WGS 84, east positive. */
  readonly longitude: number | undefined;
  readonly satellites: number | undefined;
  /** CSQ, 0 to 31. */
  readonly gsmSignal: number | undefined;
  readonly speedKmh: number | undefined;
  /** Degrees from true north. */
  readonly courseDeg: number | undefined;
  readonly hdop: number | undefined;
  readonly altitudeM: number | undefined;
  /** Metres counted by the tracker. */
  readonly odometerM: number | undefined;
  /** Running time in seconds counted by the tracker. */
  readonly runtimeS: number | undefined;
  /** Bit 0 is input 1. */
  readonly inputs: number | undefined;
  /** Bit 0 is output 1. */
  readonly outputs: number | undefined;
  /** Volts, three decimals. */
  readonly batteryV: number | undefined;
  /** Volts of the external supply, three decimals. */
  readonly supplyV: number | undefined;
  // The row's numbers from the mask to the flags, and its tail.
  readonly #row: readonly number[];
  readonly #tail: Uint8Array;
  #rare: Rare | undefined;

  constructor(i32: Int32Array, base: number, tail: Uint8Array) {
    // A literal: the same numbers in a typed array of this size would cost ten times as much.
    const row = [
      i32[base],
      i32[base + 1],
      i32[base + 2],
      i32[base + 3],
      i32[base + 4],
      i32[base + 5],
      i32[base + 6],
      i32[base + 7],
      i32[base + 8],
      i32[base + 9],
      i32[base + 10],
      i32[base + 11],
      i32[base + 12],
      i32[base + 13],
      i32[base + 14],
      i32[base + 15],
      i32[base + 16],
      i32[base + 17],
      i32[base + 18],
      i32[base + 19],
      i32[base + 20],
      i32[base + 21],
      i32[base + 22],
      i32[base + 23],
      i32[base + 24],
      i32[base + 25],
      i32[base + 26],
      i32[base + 27],
      i32[base + 28],
      i32[base + 29],
    ];
    const mask = row[MASK];
    const flags = row[FLAGS_SLOT];
    const onEarth = (flags & FLAGS.outOfRange) === 0;
    const exact = (flags & FLAGS.exact) === 0 ? undefined : exactFields(tail);
    this.event = eventOf((mask & EVENT_BIT) === 0 ? 0 : row[EVENT]);
    this.fixTime = (mask & TIME_BIT) === 0 ? undefined : EPOCH_MS + (row[TIME] >>> 0) * 1000;
    this.valid = (flags & FLAGS.valid) !== 0;
    this.latitude = onEarth ? (exact?.latitude ?? at(mask & LATITUDE_BIT, row[LATITUDE], 1e6)) : undefined;
    this.longitude = onEarth ? (exact?.longitude ?? at(mask & LONGITUDE_BIT, row[LONGITUDE], 1e6)) : undefined;
    this.satellites = exact?.satellites ?? at(mask & SATELLITES_BIT, row[SATELLITES] >>> 0, 1);
    this.gsmSignal = exact?.gsmSignal ?? at(mask & GSM_BIT, row[GSM] >>> 0, 1);
    this.speedKmh = exact?.speedKmh ?? at(mask & SPEED_BIT, row[SPEED], 1000);
    this.courseDeg = exact?.courseDeg ?? at(mask & COURSE_BIT, row[COURSE], 1000);
    this.hdop = exact?.hdop ?? at(mask & HDOP_BIT, row[HDOP], 1000);
    this.altitudeM = exact?.altitudeM ?? at(mask & ALTITUDE_BIT, row[ALTITUDE], 1000);
    this.odometerM = exact?.odometerM ?? at(mask & ODOMETER_BIT, row[ODOMETER] >>> 0, 1);
    this.runtimeS = exact?.runtimeS ?? at(mask & RUNTIME_BIT, row[RUNTIME] >>> 0, 1);
    this.inputs = at(mask & INPUTS_BIT, row[INPUTS] >>> 0, 1);
    this.outputs = at(mask & OUTPUTS_BIT, row[OUTPUTS] >>> 0, 1);
    const scale = scaleOfRow(row);
    this.batteryV = exact?.batteryV ?? ((mask & AD4_BIT) === 0 ? undefined : voltsOf(scale.battery, row[AD4]));
    this.supplyV = exact?.supplyV ?? ((mask & AD5_BIT) === 0 ? undefined : voltsOf(scale.supply, row[AD5]));
    this.#row = row;
    this.#tail = tail;
  }

  /** Current base station; all zero when there is no network. */
  get cell(): Cell | undefined {
    const row = this.#row;
    const mask = row[MASK];
    if ((mask & MCC_MNC_BIT) === 0) return undefined;
    return {
      mcc: row[MCC_MNC] >>> 16,
      mnc: row[MCC_MNC] & 0xffff,
      ...((mask & LAC_BIT) === 0 ? {} : { lac: row[LAC] >>> 0 }),
      ...((mask & CID_BIT) === 0 ? {} : { cid: row[CID] >>> 0 }),
    };
  }

  /** Volts at the analog inputs by number, three decimals. Battery and supply have names of their own. */
  get analogV(): Readonly<Record<string, number>> | undefined {
    const row = this.#row;
    const mask = row[MASK];
    const scale = scaleOfRow(row);
    const exact = (row[FLAGS_SLOT] & FLAGS.exact) === 0 ? undefined : exactFields(this.#tail).analogV;
    if (((mask & ANALOG_BITS) === 0 || scale.analog === null) && exact === undefined) return undefined;
    const analog: Record<string, number> = {};
    for (const input of ANALOG_INPUTS) {
      const slot = AD1 + input - 1;
      if ((mask & (1 << (slot - 1))) === 0) continue;
      const volts = voltsOf(scale.analog, row[slot]);
      if (volts !== undefined) analog[input] = volts;
    }
    return { ...analog, ...exact };
  }

  get fuelPercent(): number | undefined {
    return this.#interpreted().fuelPercent;
  }

  /** °C by sensor number. An absent sensor (number 0 at 85.00 °C) is left out. */
  get temperaturesC(): Readonly<Record<string, number>> | undefined {
    return this.#interpreted().temperaturesC;
  }

  /** Card, key or magnetic stripe that a driver presented. */
  get driverId(): string | undefined {
    return this.#interpreted().driverId;
  }

  get pictureName(): string | undefined {
    return this.#interpreted().pictureName;
  }

  /** Number of the geo-fence, 0 for none. */
  get geofence(): number | undefined {
    return this.#interpreted().geofence;
  }

  /** Everything else, by its name in the tables of the codec; what has no name as hex or text under its wire id. */
  get readings(): Readonly<Record<string, Reading>> | undefined {
    return this.#interpreted().readings;
  }

  #interpreted(): Rare {
    this.#rare ??= interpret(this.#row, this.#tail);
    return this.#rare;
  }

  /** Appends the row that this position was read from, the reverse of `positionAt`; returns the row number. */
  appendTo(table: PositionTable): number {
    const row = table.count;
    const base = table.addRow();
    const i32 = table.i32;
    i32.fill(0, base, base + STRIDE);
    for (let slot = 0; slot < this.#row.length; slot++) i32[base + slot] = this.#row[slot];
    table.reserveTail(this.#tail.length);
    i32[base + TAIL_START] = table.tailUsed;
    i32[base + TAIL_LENGTH] = this.#tail.length;
    table.tail.set(this.#tail, table.tailUsed);
    table.tailUsed += this.#tail.length;
    return row;
  }

  /** Plain JSON in the order of POSITION_FIELDS, without the fields that are undefined. */
  toJSON(): PositionJson {
    const json: Record<string, unknown> = {};
    for (const name of POSITION_FIELDS) {
      const value = this[name];
      if (value !== undefined) json[name] = value;
    }
    if (this.fixTime !== undefined) json.fixTime = new Date(this.fixTime).toISOString();
    return json as unknown as PositionJson;
  }
}

/** The position in one row. */
export function positionAt(table: PositionTable, row: number): Position {
  const base = row * STRIDE;
  const i32 = table.i32;
  const length = i32[base + TAIL_LENGTH];
  const start = i32[base + TAIL_START];
  return new Position(i32, base, length === 0 ? NO_BYTES : table.tail.slice(start, start + length));
}

function at(present: number, value: number, per: number): number | undefined {
  return present === 0 ? undefined : value / per;
}

function scaleOfRow(row: readonly number[]): Scale {
  const scale = (row[FLAGS_SLOT] >>> FLAGS.scaleShift) & 0xff;
  if (scale !== 0) return SCALES[scale];
  return scaleLike((row[MASK] & AD4_BIT) === 0 ? undefined : row[AD4]);
}
