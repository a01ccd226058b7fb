import type { ColumnName } from "./columns.ts";
import { CodecError } from "./errors.ts";
import type { Volts } from "./models.ts";

/**
 * What a tracker reports, in the names and units of `Position`: degrees, km/h, metres, volts, Unix ms. A position that
 * was decoded is a report. Fields that are left out are left empty in AAA, zero in CCC and not sent in CCE; fields that
 * a type has no place for are not sent.
 */
export interface Report {
  readonly event: { readonly code: number };
  readonly fixTime: number;
  readonly valid: boolean;
  readonly latitude: number;
  readonly longitude: number;
  readonly satellites?: number | undefined;
  readonly gsmSignal?: number | undefined;
  readonly speedKmh?: number | undefined;
  readonly courseDeg?: number | undefined;
  readonly hdop?: number | undefined;
  readonly altitudeM?: number | undefined;
  readonly odometerM?: number | undefined;
  readonly runtimeS?: number | undefined;
  readonly cell?:
    | { readonly mcc: number; readonly mnc: number; readonly lac?: number; readonly cid?: number }
    | undefined;
  readonly inputs?: number | undefined;
  readonly outputs?: number | undefined;
  readonly analogV?: Readonly<Record<string, number>> | undefined;
  readonly batteryV?: number | undefined;
  readonly supplyV?: number | undefined;
  readonly fuelPercent?: number | undefined;
  readonly temperaturesC?: Readonly<Record<string, number>> | undefined;
  readonly driverId?: string | undefined;
  readonly pictureName?: string | undefined;
  readonly geofence?: number | undefined;
  /** Sent where the type has a place of that name: CCE parameters of one number, and in AAA what fields 18 to 23 hold. */
  readonly readings?: Readonly<Record<string, unknown>> | undefined;
}

/** Whose message it is: the head of every uplink. */
export interface Sender {
  /** One character, `A` to `z`. */
  readonly identifier: string;
  readonly imei: string;
}

export const U8 = 0xff;
export const U16 = 0xffff;
export const U32 = 0xffffffff;
const EPOCH_2000_MS = 946_684_800_000;

export function refuse(name: string, value: unknown, why: string): CodecError {
  return new CodecError("value", 0, `Cannot encode report: ${name} is ${value}, ${why}`);
}

/** The wire number of a value: `value * per`, which must be whole and in range, so that nothing is rounded in silence. */
export function wire(name: string, value: number, per: number, min: number, max: number): number {
  const raw = Math.round(value * per);
  if (raw / per !== value) throw refuse(name, value, per === 1 ? "not a whole number" : `not in steps of 1/${per}`);
  if (raw < min || raw > max) throw refuse(name, value, `not from ${min / per} to ${max / per}`);
  return raw;
}

/** Seconds since 2000-01-01 UTC. */
export function wireTime(fixTime: number): number {
  if (fixTime % 1000 !== 0) throw refuse("fixTime", fixTime, "not a whole second");
  return wire("fixTime", (fixTime - EPOCH_2000_MS) / 1000, 1, 0, U32);
}

/** Reports give volts rounded to millivolts, so the nearest step of the tracker's converter is meant. */
export function wireVolts(name: string, volts: number, scale: Volts | null): number {
  if (scale === null) throw refuse(name, volts, "which this model does not report in volts");
  const raw = Math.round((volts * scale.per) / scale.times);
  if (!(raw >= 0 && raw <= U16)) throw refuse(name, volts, `not from 0 to ${(U16 * scale.times) / scale.per}`);
  return raw;
}

export function wireText(name: string, text: string): string {
  if (/[^\x20-\x7e]|,/.test(text)) throw refuse(name, JSON.stringify(text), "with a comma or a control character");
  return text;
}

export function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}

/** Volts of an analog channel 1 to 8; channel 4 is the battery and 5 the supply. */
export function channelVolts(report: Partial<Report>, channel: number): number | undefined {
  if (channel === 4) return report.batteryV;
  if (channel === 5) return report.supplyV;
  return report.analogV?.[channel];
}

export function channelName(channel: number): string {
  return channel === 4 ? "batteryV" : channel === 5 ? "supplyV" : `analog channel ${channel}`;
}

/** What of a report goes into a binary number: `of` times `per` is the number in its finest steps. */
export interface Reported {
  readonly name: string;
  readonly per: number;
  readonly of: (report: Partial<Report>) => number | undefined;
}

const channel = (n: number): Reported => ({ name: channelName(n), per: 100, of: (r) => channelVolts(r, n) });

/** The columns that binary reports carry as one number each, in the units of a report; volts in hundredths. */
export const REPORTED = {
  event: { name: "event", per: 1, of: (r) => r.event?.code },
  latitudeE6: { name: "latitude", per: 1e6, of: (r) => r.latitude },
  longitudeE6: { name: "longitude", per: 1e6, of: (r) => r.longitude },
  timeS: { name: "fixTime", per: 1, of: (r) => (r.fixTime === undefined ? undefined : wireTime(r.fixTime)) },
  satellites: { name: "satellites", per: 1, of: (r) => r.satellites },
  gsmSignal: { name: "gsmSignal", per: 1, of: (r) => r.gsmSignal },
  speedMilli: { name: "speedKmh", per: 1000, of: (r) => r.speedKmh },
  courseMilli: { name: "courseDeg", per: 1000, of: (r) => r.courseDeg },
  hdopMilli: { name: "hdop", per: 1000, of: (r) => r.hdop },
  altitudeMilli: { name: "altitudeM", per: 1000, of: (r) => r.altitudeM },
  odometerM: { name: "odometerM", per: 1, of: (r) => r.odometerM },
  runtimeS: { name: "runtimeS", per: 1, of: (r) => r.runtimeS },
  lac: { name: "cell.lac", per: 1, of: (r) => r.cell?.lac },
  cid: { name: "cell.cid", per: 1, of: (r) => r.cell?.cid },
  inputs: { name: "inputs", per: 1, of: (r) => r.inputs },
  outputs: { name: "outputs", per: 1, of: (r) => r.outputs },
  ad1: channel(1),
  ad2: channel(2),
  ad3: channel(3),
  ad4: channel(4),
  ad5: channel(5),
  ad6: channel(6),
  ad7: channel(7),
  ad8: channel(8),
  fuelCenti: { name: "fuelPercent", per: 100, of: (r) => r.fuelPercent },
  geofence: { name: "geofence", per: 1, of: (r) => r.geofence },
  systemFlags: {
    name: "systemFlags",
    per: 1,
    of: (r) => (typeof r.readings?.systemFlags === "number" ? r.readings.systemFlags : undefined),
  },
} as const satisfies Partial<Record<ColumnName, Reported>>;

export function temperatures(report: Partial<Report>): [sensor: number, hundredths: number][] {
  return Object.entries(report.temperaturesC ?? {}).map(([sensor, celsius]) => [
    wire("temperature sensor", Number(sensor), 1, 0, U8),
    wire(`temperature of sensor ${sensor}`, celsius, 100, -32768, 32767),
  ]);
}

/** Little-endian, two's complement. */
export function putInteger(bytes: Uint8Array, at: number, size: number, value: number): void {
  for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) bytes[at + i] = rest & U8;
}

/** Lowest and highest number of so many bytes. */
export function rangeOfBytes(size: number, signed: boolean): readonly [min: number, max: number] {
  const values = 256 ** size;
  return signed ? [-values / 2, values / 2 - 1] : [0, values - 1];
}
