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

/** A reader of one analog channel, for field tables. */
export const channelOf = (channel: number) => (report: Partial<Report>) => channelVolts(report, channel);

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

export interface BinaryField<R> {
  readonly name: string;
  readonly size: 1 | 2 | 4;
  readonly signed?: true;
  readonly per: number;
  readonly of: (report: R) => number | undefined;
}

/** Range of a binary field and its wire number. */
export function binary(field: BinaryField<never>, value: number): number {
  const values = 256 ** field.size;
  return field.signed
    ? wire(field.name, value, field.per, -values / 2, values / 2 - 1)
    : wire(field.name, value, field.per, 0, values - 1);
}
