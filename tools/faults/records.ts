import { seeded } from "./random.ts";

/**
 * What one report says, in the integers of the wire. The oracle compares what the database gives back with these numbers,
 * so nothing here or in frames.ts is shared with codec/: a mistake made twice would hide itself.
 */
export interface Report {
  event: number;
  latitudeE6: number;
  longitudeE6: number;
  /** Seconds since 2000-01-01 UTC. */
  timeS: number;
  valid: boolean;
  satellites: number;
  gsmSignal: number;
  speedKmh: number;
  courseDeg: number;
  hdopTenths: number;
  altitudeM: number;
  /** The record's number in its device's sequence: what makes it unique and findable. */
  odometerM: number;
  runtimeS: number;
  mcc: number;
  mnc: number;
  lac: number;
  cid: number;
  inputs: number;
  outputs: number;
  /** Hundredths of a volt, as models of the T3xx family send them. */
  ad1Centi: number;
  batteryCenti: number;
  supplyCenti: number;
  geofence: number;
}

export const FRAME_KINDS = ["CCC", "AFF", "CCE", "AAA"] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

/** Milliseconds from the Unix epoch to the trackers' own, 2000-01-01 UTC. */
const TRACKER_EPOCH_MS = Date.UTC(2000, 0, 1);

/** Events without side data of their own: any of them may stand in any frame. */
const EVENTS = [1, 9, 17, 22, 31, 32, 33, 35, 36, 41, 42, 129] as const;

/** In this share of the records the bytes of a frame's head ("$$A99,") stand in the middle of the binary payload. */
const HEAD_INSIDE = 0.02;

/** Four records share three seconds: equal fix times must neither collide nor swap. */
const RECORDS_PER_SECOND = 4 / 3;

/** The report number `sequence` of a device: a pure function, so the ledger need not keep the values in memory. */
export function reportOf(seed: number, imei: string, sequence: number, baseMs: number): Report {
  const random = seeded(seed + sequence, imei);
  const report: Report = {
    event: random.pick(EVENTS),
    latitudeE6: random.int(-89_999_999, 89_999_999),
    longitudeE6: random.int(-179_999_999, 179_999_999),
    timeS: Math.floor((baseMs - TRACKER_EPOCH_MS) / 1000) + Math.floor(sequence / RECORDS_PER_SECOND),
    valid: random.chance(0.95),
    satellites: random.int(0, 38),
    gsmSignal: random.int(0, 31),
    speedKmh: random.int(0, 220),
    courseDeg: random.int(0, 359),
    hdopTenths: random.int(5, 999),
    altitudeM: random.int(-420, 8848),
    odometerM: sequence,
    runtimeS: random.int(0, 0xffffffff),
    mcc: random.int(200, 799),
    mnc: random.int(0, 99),
    lac: random.int(1, 0xffff),
    cid: random.int(1, 0xffff),
    inputs: random.int(0, 255),
    outputs: random.int(0, 255),
    ad1Centi: random.int(0, 3000),
    batteryCenti: random.int(300, 430),
    supplyCenti: random.int(900, 2900),
    geofence: random.int(0, 255),
  };
  if (random.chance(HEAD_INSIDE)) {
    report.runtimeS = 0x39412424;
    report.mcc = 0x2c39;
  }
  return report;
}

/** The fix time of a report, Unix milliseconds. */
export function fixTimeOf(report: Report): number {
  return TRACKER_EPOCH_MS + report.timeS * 1000;
}

/** A report as the API must show it, or one of its frame kinds cannot carry it: names and units of the JSON. */
export function expectedOf(kind: FrameKind, report: Report): Record<string, unknown> {
  const shown: Record<string, unknown> = {
    event: report.event,
    fixTime: fixTimeOf(report),
    valid: report.valid,
    latitude: report.latitudeE6 / 1e6,
    longitude: report.longitudeE6 / 1e6,
    satellites: report.satellites,
    gsmSignal: report.gsmSignal,
    speedKmh: report.speedKmh,
    courseDeg: report.courseDeg,
    hdop: report.hdopTenths / 10,
    altitudeM: report.altitudeM,
    odometerM: report.odometerM,
    runtimeS: report.runtimeS,
    "cell.mcc": report.mcc,
    "cell.mnc": report.mnc,
    "cell.lac": report.lac,
    "cell.cid": report.cid,
    inputs: report.inputs,
    outputs: report.outputs,
    "analogV.1": report.ad1Centi / 100,
    batteryV: report.batteryCenti / 100,
    supplyV: report.supplyCenti / 100,
  };
  if (kind === "CCC" || kind === "CCE") shown.geofence = report.geofence;
  return shown;
}
