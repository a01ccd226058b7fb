import { bytesOf } from "./bytes.ts";
import { CodecError } from "./errors.ts";
import { encodeFrame } from "./frame.ts";
import {
  type BinaryField,
  binary,
  channelOf,
  putInteger,
  type Report,
  type Sender,
  temperatures,
  U8,
  U16,
  U32,
  wire,
  wireText,
  wireTime,
} from "./report.ts";

/** A CCE parameter as raw bytes, for what a report has no name for. */
export interface RawParameter {
  /** `0x08`, or two bytes with the prefix (`FE`, `F8`) first: `0xfe31`. */
  readonly id: number;
  readonly bytes: Uint8Array;
  /** Group on the wire; by default that of the length. A short value may also travel in group `n`. */
  readonly group?: CceGroup;
}

/** CCE sorts parameters by the size of their values; `n` is any size, with a length byte. */
export type CceGroup = 1 | 2 | 4 | "n";

/** A packet: what of a report is there, and any further parameters. */
export type CceReport = Partial<Report> & { readonly parameters?: readonly RawParameter[] };

const isWideEvent = ({ event }: CceReport) => event !== undefined && event.code > U8;

/** Parameters of a CCE packet that a report fills, as the trackers order them. Source: T366, T633L and MDVR, CCE. */
const CCE_FIELDS: readonly (BinaryField<CceReport> & { readonly id: number })[] = [
  { id: 0x01, name: "event", size: 1, per: 1, of: (r) => (isWideEvent(r) ? undefined : r.event?.code) },
  { id: 0x05, name: "valid", size: 1, per: 1, of: (r) => (r.valid === undefined ? undefined : Number(r.valid)) },
  { id: 0x06, name: "satellites", size: 1, per: 1, of: (r) => r.satellites },
  { id: 0x07, name: "gsmSignal", size: 1, per: 1, of: (r) => r.gsmSignal },
  { id: 0x14, name: "outputs", size: 1, per: 1, of: (r) => r.outputs },
  { id: 0x15, name: "inputs", size: 1, per: 1, of: (r) => ((r.inputs ?? 0) <= U8 ? r.inputs : undefined) },
  { id: 0x1b, name: "geofence", size: 1, per: 1, of: (r) => r.geofence },
  { id: 0x08, name: "speedKmh", size: 2, per: 1, of: (r) => r.speedKmh },
  { id: 0x09, name: "courseDeg", size: 2, per: 1, of: (r) => r.courseDeg },
  { id: 0x0a, name: "hdop", size: 2, per: 10, of: (r) => r.hdop },
  { id: 0x0b, name: "altitudeM", size: 2, signed: true, per: 1, of: (r) => r.altitudeM },
  { id: 0x16, name: "analog channel 1", size: 2, per: 100, of: channelOf(1) },
  { id: 0x17, name: "analog channel 2", size: 2, per: 100, of: channelOf(2) },
  { id: 0x18, name: "analog channel 3", size: 2, per: 100, of: channelOf(3) },
  { id: 0x19, name: "batteryV", size: 2, per: 100, of: channelOf(4) },
  { id: 0x1a, name: "supplyV", size: 2, per: 100, of: channelOf(5) },
  { id: 0x29, name: "fuelPercent", size: 2, per: 100, of: (r) => r.fuelPercent },
  { id: 0x40, name: "event", size: 2, per: 1, of: (r) => (isWideEvent(r) ? r.event?.code : undefined) },
  { id: 0x41, name: "analog channel 6", size: 2, per: 100, of: channelOf(6) },
  { id: 0x02, name: "latitude", size: 4, signed: true, per: 1e6, of: (r) => r.latitude },
  { id: 0x03, name: "longitude", size: 4, signed: true, per: 1e6, of: (r) => r.longitude },
  {
    id: 0x04,
    name: "fixTime",
    size: 4,
    per: 1,
    of: (r) => (r.fixTime === undefined ? undefined : wireTime(r.fixTime)),
  },
  { id: 0x0c, name: "odometerM", size: 4, per: 1, of: (r) => r.odometerM },
  { id: 0x0d, name: "runtimeS", size: 4, per: 1, of: (r) => r.runtimeS },
  {
    id: 0x25,
    name: "driverId",
    size: 4,
    per: 1,
    of: (r) => (r.driverId === undefined ? undefined : Number(r.driverId)),
  },
  { id: 0x42, name: "inputs", size: 4, per: 1, of: (r) => ((r.inputs ?? 0) > U8 ? r.inputs : undefined) },
];

/** n-byte parameters that a report fills. Source: T366 and MDVR, CCE. */
const CCE_CELL_ID = 0x0e;
const CCE_TEMPERATURES = { firstId: 0x2a, sensors: 8 } as const;
const CCE_PICTURE = 0x44;

/** Groups in the order of the wire, and the bytes that announce a two-byte id. */
const CCE_GROUPS = [1, 2, 4, "n"] as const satisfies readonly CceGroup[];
const CCE_ID_PREFIXES = [0xfe, 0xf8];

function fail(what: string, why: string): CodecError {
  return new CodecError("value", 0, `Cannot encode ${what}: ${why}`);
}

const nameOf = (id: number) => `parameter ${id.toString(16).toUpperCase()}`;

interface Parameter {
  readonly id: number;
  readonly group: CceGroup;
  readonly bytes: Uint8Array;
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

function wideParameters(report: CceReport): Parameter[] {
  const found: Parameter[] = [];
  const { cell, pictureName } = report;
  if (cell !== undefined) {
    const bytes = integers(
      [2, wire("cell.mcc", cell.mcc, 1, 0, U16)],
      [2, wire("cell.mnc", cell.mnc, 1, 0, U16)],
      [2, wire("cell.lac", cell.lac ?? 0, 1, 0, U16)],
      [4, wire("cell.cid", cell.cid ?? 0, 1, 0, U32)],
      [2, 0],
    );
    found.push({ id: CCE_CELL_ID, group: "n", bytes });
  }
  for (const [at, [sensor, hundredths]] of temperatures(report).entries()) {
    if (at >= CCE_TEMPERATURES.sensors) throw fail("report", "it has more than 8 temperature sensors");
    found.push({ id: CCE_TEMPERATURES.firstId + at, group: "n", bytes: integers([1, sensor], [2, hundredths]) });
  }
  if (pictureName !== undefined) {
    found.push({ id: CCE_PICTURE, group: "n", bytes: bytesOf(wireText("pictureName", pictureName)) });
  }
  return found;
}

function groupOf({ id, bytes, group }: RawParameter): CceGroup {
  const size = bytes.length;
  if (group === undefined) return size === 1 || size === 2 || size === 4 ? size : "n";
  if (group !== "n" && group !== size) {
    throw fail(nameOf(id), `it has ${size} bytes, its group has ${group}`);
  }
  return group;
}

function parametersOf(report: CceReport): Parameter[] {
  const found: Parameter[] = [];
  for (const field of CCE_FIELDS) {
    const value = field.of(report);
    if (value === undefined) continue;
    found.push({ id: field.id, group: field.size, bytes: integers([field.size, binary(field, value)]) });
  }
  found.push(...wideParameters(report));
  for (const raw of report.parameters ?? []) found.push({ id: raw.id, group: groupOf(raw), bytes: raw.bytes });
  return found;
}

function idBytes(id: number): number[] {
  if (id <= U8 && !CCE_ID_PREFIXES.includes(id)) return [id];
  if (CCE_ID_PREFIXES.includes(id >> 8)) return [id >> 8, id & U8];
  throw fail(nameOf(id), "a two-byte id begins with FE or F8");
}

/** Length of the rest, number of parameters, then per group: count, and id, (length,) value of each. */
function packet(report: CceReport): number[] {
  const parameters = parametersOf(report);
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
  const length = bytes.length - 2;
  bytes[0] = length & U8;
  bytes[1] = wire("packet length", length, 1, 0, U16) >> 8;
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
