import { bits, EPOCH_MS, FLAGS, type PositionTable, SLOT, STRIDE } from "./columns.ts";
import { type Event, eventOf } from "./events.ts";
import type { Rare, Reading } from "./meaning.ts";
import { SCALES, type Scale, scaleLike, voltsOf } from "./models.ts";
import { type Exact, exactFields, interpret } from "./readings.ts";

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
const MCC_MNC = SLOT.mccMnc;
const LAC = SLOT.lac;
const CID = SLOT.cid;
const AD1 = SLOT.ad1;
const AD4 = SLOT.ad4;
const AD5 = SLOT.ad5;
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;

const MCC_MNC_BIT = bits("mccMnc");
const LAC_BIT = bits("lac");
const CID_BIT = bits("cid");
const AD4_BIT = bits("ad4");
const AD5_BIT = bits("ad5");
/** Analog inputs other than battery (4) and supply (5). */
const ANALOG_INPUTS = [1, 2, 3, 6, 7, 8] as const;

const NO_BYTES = new Uint8Array(0);

// Decimals that the column cuts off may lead over the pole or the date line by a few centimetres: the column is right then.
const within = (degrees: number | undefined, limit: number): number | undefined =>
  degrees !== undefined && Math.abs(degrees) > limit ? undefined : degrees;

/**
 * One position report in the units of the API. What the report does not carry is undefined. It is a row of a table,
 * copied: making one costs less than decoding it, and each field is worked out when it is read. Made by `positionAt`,
 * `decodePositions` and `decodeRecord`; stands on its own, whatever happens to the table.
 */
export class Position {
  // The row's numbers by SLOT, from the mask to the flags, and its tail.
  private readonly row: readonly number[];
  private readonly tail: Uint8Array;

  constructor(row: readonly number[], tail: Uint8Array) {
    this.row = row;
    this.tail = tail;
  }

  /** What made the tracker report; code 0 when the report names no event. */
  get event(): Event {
    return eventOf(number(this.row, SLOT.event, 1) ?? 0);
  }

  /** When the receiver took the position, Unix ms UTC; undefined when the report's clock cannot be read. */
  get fixTime(): number | undefined {
    const seconds = number(this.row, SLOT.timeS, 1);
    return seconds === undefined ? undefined : EPOCH_MS + (seconds >>> 0) * 1000;
  }

  /** The receiver had a fix. Without one, the coordinates are the last known ones. */
  get valid(): boolean {
    return (this.row[FLAGS_SLOT] & FLAGS.valid) !== 0;
  }

  /** Degrees WGS 84, north positive. */
  get latitude(): number | undefined {
    if ((this.row[FLAGS_SLOT] & FLAGS.outOfRange) !== 0) return undefined;
    const column = number(this.row, SLOT.latitudeE6, 1e6);
    return within(exactOf(this, this.row, this.tail)?.latitude, 90) ?? column;
  }

  /** Degrees WGS 84, east positive. */
  get longitude(): number | undefined {
    if ((this.row[FLAGS_SLOT] & FLAGS.outOfRange) !== 0) return undefined;
    const column = number(this.row, SLOT.longitudeE6, 1e6);
    return within(exactOf(this, this.row, this.tail)?.longitude, 180) ?? column;
  }

  get satellites(): number | undefined {
    return exactOf(this, this.row, this.tail)?.satellites ?? unsigned(this.row, SLOT.satellites);
  }

  /** CSQ, 0 to 31. */
  get gsmSignal(): number | undefined {
    return exactOf(this, this.row, this.tail)?.gsmSignal ?? unsigned(this.row, SLOT.gsmSignal);
  }

  get speedKmh(): number | undefined {
    return exactOf(this, this.row, this.tail)?.speedKmh ?? number(this.row, SLOT.speedMilli, 1000);
  }

  /** Degrees from true north. */
  get courseDeg(): number | undefined {
    return exactOf(this, this.row, this.tail)?.courseDeg ?? number(this.row, SLOT.courseMilli, 1000);
  }

  get hdop(): number | undefined {
    return exactOf(this, this.row, this.tail)?.hdop ?? number(this.row, SLOT.hdopMilli, 1000);
  }

  get altitudeM(): number | undefined {
    return exactOf(this, this.row, this.tail)?.altitudeM ?? number(this.row, SLOT.altitudeMilli, 1000);
  }

  /** Metres counted by the tracker. */
  get odometerM(): number | undefined {
    return exactOf(this, this.row, this.tail)?.odometerM ?? unsigned(this.row, SLOT.odometerM);
  }

  /** Running time in seconds counted by the tracker. */
  get runtimeS(): number | undefined {
    return exactOf(this, this.row, this.tail)?.runtimeS ?? unsigned(this.row, SLOT.runtimeS);
  }

  /** Current base station; all zero when there is no network. */
  get cell(): Cell | undefined {
    const row = this.row;
    const mask = row[MASK];
    if ((mask & MCC_MNC_BIT) === 0) return undefined;
    const cell = { mcc: row[MCC_MNC] >>> 16, mnc: row[MCC_MNC] & 0xffff };
    const lac = { lac: row[LAC] >>> 0 };
    const cid = { cid: row[CID] >>> 0 };
    return { ...cell, ...((mask & LAC_BIT) === 0 ? {} : lac), ...((mask & CID_BIT) === 0 ? {} : cid) };
  }

  /** Bit 0 is input 1. */
  get inputs(): number | undefined {
    return unsigned(this.row, SLOT.inputs);
  }

  /** Bit 0 is output 1. */
  get outputs(): number | undefined {
    return unsigned(this.row, SLOT.outputs);
  }

  /** Volts at the analog inputs by number, three decimals. Battery and supply have names of their own. */
  get analogV(): Readonly<Record<string, number>> | undefined {
    const { analog } = scaleOfRow(this.row);
    const volts: Record<string, number> = { ...exactOf(this, this.row, this.tail)?.analogV };
    for (const input of ANALOG_INPUTS) {
      const raw = unsigned(this.row, AD1 + input - 1);
      const value = raw === undefined ? undefined : voltsOf(analog, raw);
      if (value !== undefined) volts[input] ??= value;
    }
    return Object.keys(volts).length === 0 ? undefined : volts;
  }

  /** Volts, three decimals. */
  get batteryV(): number | undefined {
    const row = this.row;
    const exact = exactOf(this, this.row, this.tail)?.batteryV;
    return exact ?? ((row[MASK] & AD4_BIT) === 0 ? undefined : voltsOf(scaleOfRow(row).battery, row[AD4]));
  }

  /** Volts of the external supply, three decimals. */
  get supplyV(): number | undefined {
    const row = this.row;
    const exact = exactOf(this, this.row, this.tail)?.supplyV;
    return exact ?? ((row[MASK] & AD5_BIT) === 0 ? undefined : voltsOf(scaleOfRow(row).supply, row[AD5]));
  }

  get fuelPercent(): number | undefined {
    return rareOf(this, this.row, this.tail).fuelPercent;
  }

  /** °C by sensor number. An absent sensor (number 0 at 85.00 °C) is left out. */
  get temperaturesC(): Readonly<Record<string, number>> | undefined {
    return rareOf(this, this.row, this.tail).temperaturesC;
  }

  /** Card, key or magnetic stripe that a driver presented. */
  get driverId(): string | undefined {
    return rareOf(this, this.row, this.tail).driverId;
  }

  get pictureName(): string | undefined {
    return rareOf(this, this.row, this.tail).pictureName;
  }

  /** Number of the geo-fence, 0 for none. */
  get geofence(): number | undefined {
    return rareOf(this, this.row, this.tail).geofence;
  }

  /** Everything else, by its name in the tables of the codec; what has no name as hex or text under its wire id. */
  get readings(): Readonly<Record<string, Reading>> | undefined {
    return rareOf(this, this.row, this.tail).readings;
  }

  /** Appends the row that this position was read from, the reverse of `positionAt`; returns the row number. */
  appendTo(table: PositionTable): number {
    const number = table.count;
    const base = table.addRow();
    const { i32 } = table;
    const { row, tail } = this;
    i32.fill(0, base, base + STRIDE);
    i32.set(row, base);
    table.reserveTail(tail.length);
    i32[base + TAIL_START] = table.tailUsed;
    i32[base + TAIL_LENGTH] = tail.length;
    table.tail.set(tail, table.tailUsed);
    table.tailUsed += tail.length;
    return number;
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
  const { i32 } = table;
  const base = row * STRIDE;
  const length = i32[base + TAIL_LENGTH];
  const start = i32[base + TAIL_START];
  // An array literal: the same numbers in a typed array would cost ten times as much.
  return new Position(
    [
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
      i32[base + 30],
    ],
    length === 0 ? NO_BYTES : table.tail.slice(start, start + length),
  );
}

// What has been worked out for the position that was read last: its fields are read together. Beside it and not in it:
// a position with private fields takes half as long again to make, two positions with the same row stay equal, and a
// WeakMap costs more than what it saves.
const last: { rareOf: Position | null; rare: Rare | undefined; exactOf: Position | null; exact: Exact | undefined } = {
  rareOf: null,
  rare: undefined,
  exactOf: null,
  exact: undefined,
};

function rareOf(position: Position, row: readonly number[], tail: Uint8Array): Rare {
  if (last.rareOf === position && last.rare !== undefined) return last.rare;
  last.rare = interpret(row, tail);
  last.rareOf = position;
  return last.rare;
}

// Few reports have text fields that say more than their columns.
function exactOf(position: Position, row: readonly number[], tail: Uint8Array): Exact | undefined {
  if ((row[FLAGS_SLOT] & FLAGS.exact) === 0) return undefined;
  if (last.exactOf === position) return last.exact;
  last.exact = exactFields(tail);
  last.exactOf = position;
  return last.exact;
}

function number(row: readonly number[], slot: number, per: number): number | undefined {
  return (row[MASK] & (1 << (slot - 1))) === 0 ? undefined : row[slot] / per;
}

function unsigned(row: readonly number[], slot: number): number | undefined {
  return (row[MASK] & (1 << (slot - 1))) === 0 ? undefined : row[slot] >>> 0;
}

function scaleOfRow(row: readonly number[]): Scale {
  const scale = (row[FLAGS_SLOT] >>> FLAGS.scaleShift) & 0xff;
  return scale === 0 ? scaleLike((row[MASK] & AD4_BIT) === 0 ? undefined : row[AD4]) : SCALES[scale];
}
