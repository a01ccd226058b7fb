import { Buffer } from "node:buffer";
import type { FrameKind, Report } from "./records.ts";

/** Bytes of a record in a CCC frame. */
const CCC_RECORD = 52;

/** Most reports that each kind of frame carries, as real trackers fill them. */
export const MOST_REPORTS = { CCC: 18, AFF: 1, AAA: 1, CCE: 6 } as const satisfies Record<FrameKind, number>;

/** The data identifiers that trackers step through: 0x41 to 0x7A. */
export function identifierOf(counter: number): string {
  return String.fromCharCode(65 + (counter % 58));
}

function sealed(head: string, identifier: string, imei: string, type: string, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(`,${imei},${type},`, "latin1"), content, Buffer.from("*")]);
  const start = Buffer.concat([Buffer.from(`${head}${identifier}${body.length + 4}`, "latin1"), body]);
  let sum = 0;
  for (const byte of start) sum += byte;
  const check = (sum & 255).toString(16).toUpperCase().padStart(2, "0");
  return Buffer.concat([start, Buffer.from(`${check}\r\n`, "latin1")]);
}

function stamp(report: Report): string {
  const iso = new Date(Date.UTC(2000, 0, 1) + report.timeS * 1000).toISOString();
  return iso.replace(/[-:TZ]/g, "").slice(2, 14);
}

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, "0");

function text(report: Report): string {
  return [
    report.event,
    (report.latitudeE6 / 1e6).toFixed(6),
    (report.longitudeE6 / 1e6).toFixed(6),
    stamp(report),
    report.valid ? "A" : "V",
    report.satellites,
    report.gsmSignal,
    report.speedKmh,
    report.courseDeg,
    (report.hdopTenths / 10).toFixed(1),
    report.altitudeM,
    report.odometerM,
    report.runtimeS,
    `${report.mcc}|${report.mnc}|${hex(report.lac, 4)}|${hex(report.cid, 4)}`,
    hex(report.inputs, 2) + hex(report.outputs, 2),
    `${hex(report.ad1Centi, 4)}|||${hex(report.batteryCenti, 4)}|${hex(report.supplyCenti, 4)}`,
  ].join(",");
}

/** Content of a CCC frame: layout id, record length, records still cached, then the records; little-endian. */
function compressed(reports: readonly Report[], remaining: number): Buffer {
  const out = Buffer.alloc(8 + reports.length * CCC_RECORD);
  out.writeUInt16BE(0x0201, 0);
  out.writeUInt16LE(CCC_RECORD, 2);
  out.writeUInt32LE(remaining, 4);
  reports.forEach((report, index) => {
    const at = 8 + index * CCC_RECORD;
    out.writeUInt8(report.event, at);
    out.writeInt32LE(report.latitudeE6, at + 1);
    out.writeInt32LE(report.longitudeE6, at + 5);
    out.writeUInt32LE(report.timeS, at + 9);
    out.writeUInt8(report.valid ? 1 : 0, at + 13);
    out.writeUInt8(report.satellites, at + 14);
    out.writeUInt8(report.gsmSignal, at + 15);
    out.writeUInt16LE(report.speedKmh, at + 16);
    out.writeUInt16LE(report.courseDeg, at + 18);
    out.writeUInt16LE(report.hdopTenths, at + 20);
    out.writeInt16LE(report.altitudeM, at + 22);
    out.writeUInt32LE(report.odometerM, at + 24);
    out.writeUInt32LE(report.runtimeS, at + 28);
    out.writeUInt16LE(report.mcc, at + 32);
    out.writeUInt16LE(report.mnc, at + 34);
    out.writeUInt16LE(report.lac, at + 36);
    out.writeUInt16LE(report.cid, at + 38);
    out.writeUInt8(report.inputs, at + 40);
    out.writeUInt8(report.outputs, at + 41);
    out.writeUInt16LE(report.ad1Centi, at + 42);
    out.writeUInt16LE(report.batteryCenti, at + 44);
    out.writeUInt16LE(report.supplyCenti, at + 46);
    out.writeUInt32LE(report.geofence, at + 48);
  });
  return out;
}

/** CCE parameters by the width of their values: id, value. The cell (0x0E) is the one of free length. */
const CCE_GROUPS = {
  1: (r: Report) => [
    [0x01, r.event],
    [0x05, r.valid ? 1 : 0],
    [0x06, r.satellites],
    [0x07, r.gsmSignal],
    [0x14, r.outputs],
    [0x15, r.inputs],
    [0x1b, r.geofence],
  ],
  2: (r: Report) => [
    [0x08, r.speedKmh],
    [0x09, r.courseDeg],
    [0x0a, r.hdopTenths],
    [0x0b, r.altitudeM & 0xffff],
    [0x16, r.ad1Centi],
    [0x19, r.batteryCenti],
    [0x1a, r.supplyCenti],
  ],
  4: (r: Report) => [
    [0x02, r.latitudeE6 >>> 0],
    [0x03, r.longitudeE6 >>> 0],
    [0x04, r.timeS],
    [0x0c, r.odometerM],
    [0x0d, r.runtimeS],
  ],
} as const;

function packet(report: Report): Buffer {
  const bytes: number[] = [];
  let parameters = 1;
  for (const [width, group] of Object.entries(CCE_GROUPS)) {
    const entries = group(report);
    parameters += entries.length;
    bytes.push(entries.length);
    for (const [id, value] of entries) {
      bytes.push(id!);
      for (let shift = 0; shift < Number(width); shift++) bytes.push(Math.floor(value! / 256 ** shift) & 255);
    }
  }
  const cell = Buffer.alloc(12);
  cell.writeUInt16LE(report.mcc, 0);
  cell.writeUInt16LE(report.mnc, 2);
  cell.writeUInt16LE(report.lac, 4);
  cell.writeUInt32LE(report.cid, 6);
  const head = Buffer.alloc(4);
  head.writeUInt16LE(bytes.length + 2 + 3 + cell.length, 0);
  head.writeUInt16LE(parameters, 2);
  return Buffer.concat([head, Buffer.from(bytes), Buffer.from([1, 0x0e, cell.length]), cell]);
}

function selfDescribing(reports: readonly Report[], remaining: number): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt32LE(remaining, 0);
  head.writeUInt16LE(reports.length, 4);
  return Buffer.concat([head, ...reports.map(packet)]);
}

/**
 * One whole uplink frame. Its own encoder, apart from codec/: see records.ts.
 * @param remaining records still cached in the tracker; goes into the frame but is no part of a record
 */
export function frameOf(
  kind: FrameKind,
  identifier: string,
  imei: string,
  reports: readonly Report[],
  remaining: number,
): Buffer {
  const content = {
    CCC: () => compressed(reports, remaining),
    CCE: () => selfDescribing(reports, remaining),
    AAA: () => Buffer.from(text(reports[0]!), "latin1"),
    AFF: () => Buffer.from(`${hex(remaining & 0xffff, 4)},${text(reports[0]!)}`, "latin1"),
  }[kind]();
  return sealed("$$", identifier, imei, kind, content);
}

/** A platform's reply as the tracker reads it: text between `@@` and CR LF. */
export interface Reply {
  identifier: string;
  imei: string;
  type: string;
  content: string;
}

/** Reads one downlink line (without CR LF); null when head, length or checksum is wrong. */
export function readReply(line: Buffer): Reply | null {
  const found = /^@@([A-z])(\d{1,4}),([0-9]+),([0-9A-Z]{3}),(.*)\*([0-9A-F]{2})$/s.exec(line.toString("latin1"));
  if (found === null) return null;
  const [, identifier, length, imei, type, content, check] = found as unknown as string[];
  let sum = 0;
  for (const byte of line.subarray(0, line.length - 2)) sum += byte;
  const declared = Number(length);
  const actual = line.length + 2 - 3 - length!.length;
  if (declared !== actual || (sum & 255) !== Number.parseInt(check!, 16)) return null;
  return { identifier: identifier!, imei: imei!, type: type!, content: content! };
}
