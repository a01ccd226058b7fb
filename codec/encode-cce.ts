import { bytesOf } from "./bytes.ts";
import { CCE_GROUPS, CCE_PREFIXES, type CceGroup, PARAMETERS } from "./cce-parameters.ts";
import { CodecError } from "./errors.ts";
import { encodeFrame } from "./frame.ts";
import {
  putInteger,
  REPORTED,
  type Report,
  type Reported,
  rangeOfBytes,
  type Sender,
  temperatures,
  U8,
  U16,
  U32,
  wire,
  wireText,
} from "./report.ts";

/** A CCE parameter as raw bytes, for what a report has no name for. */
export interface RawParameter {
  /** `0x08`, or two bytes with the prefix (`FE`, `F8`) first: `0xfe31`. */
  readonly id: number;
  readonly bytes: Uint8Array;
  /** Group on the wire; by default that of the length. A short value may also travel in group `n`. */
  readonly group?: CceGroup;
}

/** A packet: what of a report is there, and any further parameters. */
export type CceReport = Partial<Report> & { readonly parameters?: readonly RawParameter[] };

type Parameter = Required<RawParameter>;

/** A number of a report and the parameters that can carry it; the first that is wide enough does. */
interface Source extends Omit<Reported, "per"> {
  readonly places: { readonly id: number; readonly size: 1 | 2 | 4; readonly per: number; readonly range: Range }[];
}
type Range = readonly [min: number, max: number];

/** Parameters that are more than one number, or no number. Source: T366, T633L and MDVR, CCE. */
const FIX_STATUS = { id: 0x05, size: 1, per: 1, range: rangeOfBytes(1, false) } as const;
const CELL_ID = 0x0e;
const TEMPERATURES = { firstId: 0x2a, sensors: 8 } as const;
const CARD_TEXT_ID = 0x39;
const PICTURE_NAME_ID = 0x44;

const CARD_NUMBER = /^\d{1,10}$/;

function reading({ name, per }: { readonly name: string; readonly per: number }): Reported {
  const of = (report: Partial<Report>) => {
    if (name === "driverCardNumber" && report.driverId !== undefined) return cardNumber(report.driverId);
    const value = report.readings?.[name];
    return typeof value === "number" ? value : undefined;
  };
  return { name, per, of };
}

/** A card that is a 32-bit number travels as one, any other as text. */
function cardNumber(driverId: string): number | undefined {
  return CARD_NUMBER.test(driverId) && Number(driverId) <= U32 ? Number(driverId) : undefined;
}

// The table of the decoder, read the other way: columns are what a report has fields for, names are its readings.
function sources(): Source[] {
  const found = new Map<string, Source>([
    [
      "valid",
      { name: "valid", of: (r) => (r.valid === undefined ? undefined : Number(r.valid)), places: [FIX_STATUS] },
    ],
  ]);
  for (const parameter of PARAMETERS) {
    if ("structure" in parameter) continue;
    const { id, group: size } = parameter;
    const range = rangeOfBytes(size, "signed" in parameter);
    const { name, of, per } = "column" in parameter ? REPORTED[parameter.column] : reading(parameter);
    const place = { id, size, range, per: "times" in parameter ? per / parameter.times : per };
    const source = found.get(name);
    if (source === undefined) found.set(name, { name, of, places: [place] });
    else source.places.push(place);
  }
  return [...found.values()];
}

const SOURCES = sources();

function numbers(report: CceReport): Parameter[] {
  const found: Parameter[] = [];
  for (const { name, of, places } of SOURCES) {
    const value = of(report);
    if (value === undefined) continue;
    const fits = ({ per, range }: Source["places"][number]) => value * per >= range[0] && value * per <= range[1];
    const { id, size, per, range } = places.find(fits) ?? places[places.length - 1];
    found.push({ id, group: size, bytes: integers([size, wire(name, value, per, ...range)]) });
  }
  // Trackers send each group in the order of its ids.
  return found.sort((a, b) => a.id - b.id);
}

function others(report: CceReport): Parameter[] {
  const found: Parameter[] = [];
  const { cell, driverId, pictureName } = report;
  const add = (id: number, bytes: Uint8Array) => found.push({ id, group: "n", bytes });
  if (cell !== undefined) add(CELL_ID, cellBytes(cell, report.readings?.rxLevelDbm));
  for (const [at, [sensor, hundredths]] of temperatures(report).entries()) {
    if (at >= TEMPERATURES.sensors) throw fail("report", `it has more than ${TEMPERATURES.sensors} temperatures`);
    add(TEMPERATURES.firstId + at, integers([1, sensor], [2, hundredths]));
  }
  if (driverId !== undefined && cardNumber(driverId) === undefined) add(CARD_TEXT_ID, bytesOf(driverId));
  if (pictureName !== undefined) add(PICTURE_NAME_ID, bytesOf(wireText("pictureName", pictureName)));
  return found;
}

function cellBytes({ mcc, mnc, lac = 0, cid = 0 }: NonNullable<Report["cell"]>, level: unknown): Uint8Array {
  return integers(
    [2, wire("cell.mcc", mcc, 1, 0, U16)],
    [2, wire("cell.mnc", mnc, 1, 0, U16)],
    [2, wire("cell.lac", lac, 1, 0, U16)],
    [4, wire("cell.cid", cid, 1, 0, U32)],
    [2, typeof level === "number" ? wire("rxLevelDbm", level, 1, ...rangeOfBytes(2, true)) : 0],
  );
}

function raw({ id, bytes, group }: RawParameter): Parameter {
  const size = bytes.length;
  if (group === undefined) return { id, bytes, group: size === 1 || size === 2 || size === 4 ? size : "n" };
  if (group !== "n" && group !== size) throw fail(nameOf(id), `it has ${size} bytes, its group has ${group}`);
  return { id, bytes, group };
}

function integers(...parts: readonly (readonly [size: number, value: number])[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, [size]) => sum + size, 0));
  let at = 0;
  for (const [size, value] of parts) {
    putInteger(bytes, at, size, value);
    at += size;
  }
  return bytes;
}

function fail(what: string, why: string): CodecError {
  return new CodecError("value", 0, `Cannot encode ${what}: ${why}`);
}

const nameOf = (id: number) => `parameter ${id.toString(16).toUpperCase()}`;

function idBytes(id: number): number[] {
  if (id <= U8 && !CCE_PREFIXES.includes(id)) return [id];
  if (CCE_PREFIXES.includes(id >> 8)) return [id >> 8, id & U8];
  throw fail(nameOf(id), "a two-byte id begins with FE or F8");
}

/** Length of the rest, number of parameters, then per group: count, and id, (length,) value of each. */
function packet(report: CceReport): number[] {
  const parameters = [...numbers(report), ...others(report), ...(report.parameters ?? []).map(raw)];
  const bytes = [0, 0, parameters.length & U8, parameters.length >> 8];
  for (const group of CCE_GROUPS) {
    const members = parameters.filter((parameter) => parameter.group === group);
    if (members.length > U8) throw fail("report", `${members.length} parameters in one group`);
    bytes.push(members.length);
    for (const member of members) {
      const size = member.bytes.length;
      if (size > U8) throw fail(nameOf(member.id), `it has ${size} bytes, 255 are the most`);
      bytes.push(...idBytes(member.id));
      if (group === "n") bytes.push(size);
      for (const byte of member.bytes) bytes.push(byte);
    }
  }
  const length = wire("packet length", bytes.length - 2, 1, 0, U16);
  bytes[0] = length & U8;
  bytes[1] = length >> 8;
  return bytes;
}

/**
 * Encodes self-describing packets, one per report.
 * @param message.remaining records that the tracker still holds (the number of reports by default)
 * @throws {CodecError} `value` naming the field or parameter that does not fit the wire, `length` when the frame is too long
 * Source: Meitrack T366, T633L and MDVR GPRS protocols, CCE.
 */
export function encodeCce(
  message: Sender & { readonly reports: readonly CceReport[]; readonly remaining?: number },
): Uint8Array {
  const { identifier, imei, reports, remaining = reports.length } = message;
  const head = integers([4, wire("remaining", remaining, 1, 0, U32)], [2, wire("reports", reports.length, 1, 0, U16)]);
  const packets = reports.map(packet);
  const content = new Uint8Array(packets.reduce((sum, bytes) => sum + bytes.length, head.length));
  content.set(head);
  let at = head.length;
  for (const bytes of packets) {
    content.set(bytes, at);
    at += bytes.length;
  }
  return encodeFrame({ direction: "up", identifier, imei, type: "CCE", content });
}
