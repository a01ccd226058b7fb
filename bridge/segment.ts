import { crc32 } from "node:zlib";

/*
 * A segment is a file of records, each behind a header, padded to 8 bytes; little-endian. What follows the last record
 * is zero. The file name carries the segment's number and its salt, a random start value of every checksum in it, so
 * that nothing a stranger puts into a frame can pass for a record.
 *
 *   0 u32 magic      8 u32 frame length     16 f64 sequence      32 u8 transport, 7 bytes zero
 *   4 u32 crc        12 u32 connection      24 f64 receivedAt    40 frame bytes
 *
 * The checksum covers everything after itself up to the end of the frame.
 */
export const HEADER_BYTES = 40;
const MAGIC = 0x52504531;
const MAGIC_BYTES = Buffer.from([0x31, 0x45, 0x50, 0x52]);
const NAME = /^(\d{10})-([0-9a-f]{8})\.segment$/;

/** One spooled frame. `bytes` is a view; `end` is the offset in the segment just after the record. */
export interface SpoolRecord {
  sequence: number;
  connection: number;
  transport: number;
  /** Unix ms */
  receivedAt: number;
  bytes: Uint8Array;
  end: number;
}

export function segmentName(number: number, salt: number): string {
  return `${String(number).padStart(10, "0")}-${salt.toString(16).padStart(8, "0")}.segment`;
}

/** @returns null when `name` is not a segment's */
export function parseSegmentName(name: string): { number: number; salt: number } | null {
  const match = NAME.exec(name);
  return match === null ? null : { number: Number(match[1]), salt: Number.parseInt(match[2] ?? "", 16) };
}

const padded = (length: number): number => (length + 7) & ~7;

/** @returns bytes that a frame of `length` bytes takes in a segment */
export function recordBytes(length: number): number {
  return HEADER_BYTES + padded(length);
}

/** Writes one record without its checksum, which needs the salt of the segment it will land in. @returns its end */
export function writeRecord(into: Buffer, at: number, record: Omit<SpoolRecord, "end">): number {
  const length = record.bytes.length;
  const end = at + recordBytes(length);
  into.writeUInt32LE(MAGIC, at);
  into.writeUInt32LE(length, at + 8);
  into.writeUInt32LE(record.connection, at + 12);
  into.writeDoubleLE(record.sequence, at + 16);
  into.writeDoubleLE(record.receivedAt, at + 24);
  into.writeDoubleLE(0, at + 32);
  into[at + 32] = record.transport;
  into.set(record.bytes, at + HEADER_BYTES);
  into.fill(0, at + HEADER_BYTES + length, end);
  return end;
}

/** Fills in the checksums of a run of records for a segment with this salt. */
export function sealRecords(group: Buffer, salt: number): void {
  for (let at = 0; at < group.length; ) {
    const length = group.readUInt32LE(at + 8);
    group.writeUInt32LE(crc32(group.subarray(at + 8, at + HEADER_BYTES + length), salt), at + 4);
    at += recordBytes(length);
  }
}

/**
 * Reads one record where nothing can be damaged, such as a group that is still in memory.
 * @param base offset in the segment of `from[0]`
 */
export function readRecord(from: Buffer, at: number, base: number): SpoolRecord {
  const length = from.readUInt32LE(at + 8);
  return {
    connection: from.readUInt32LE(at + 12),
    sequence: from.readDoubleLE(at + 16),
    receivedAt: from.readDoubleLE(at + 24),
    transport: from[at + 32] ?? 0,
    bytes: from.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length),
    end: base + at + recordBytes(length),
  };
}

export interface Scan {
  /** From the file; starts at offset `base` of the segment. */
  bytes: Buffer;
  base: number;
  salt: number;
  /** True when the segment ends where `bytes` ends: a record that is cut off there is damaged, not unfinished. */
  last: boolean;
  /** Longest frame that can be in a segment. */
  frameBytes: number;
  /** @returns false to stop before this record */
  record(record: SpoolRecord): boolean;
  /** A stretch that is not a record, or not any more: a torn write, or bits that flipped on the disk. */
  damage(bytes: Uint8Array): void;
}

/** @returns `bytes` without the zeros at its end */
function withoutZeros(bytes: Buffer): Buffer {
  // Comparing with itself shifted by one runs in native code, at memory speed.
  const allZero = bytes[0] === 0 && bytes.subarray(1).equals(bytes.subarray(0, bytes.length - 1));
  if (allZero) return bytes.subarray(0, 0);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, end);
}

/**
 * Walks the records in a piece of a segment. What is neither a record nor zero is reported as damage, and the walk goes
 * on at the next good record.
 * @returns offset in the segment up to which everything was seen
 */
export function scanRecords(scan: Scan): number {
  const { bytes, base, salt, last, frameBytes } = scan;
  let at = 0;
  // Start of the bytes skipped since the last good record.
  let skipped = -1;
  const reportSkipped = (end: number): void => {
    if (skipped < 0) return;
    const piece = withoutZeros(bytes.subarray(skipped, end));
    skipped = -1;
    if (piece.length > 0) scan.damage(piece);
  };
  while (at < bytes.length) {
    const found = bytes.indexOf(MAGIC_BYTES, at);
    if (found !== at && skipped < 0) skipped = at;
    if (found < 0) {
      // The magic may be cut in two by the end of the piece.
      at = last ? bytes.length : Math.max(at, bytes.length - MAGIC_BYTES.length + 1);
      break;
    }
    at = found;
    const headerThere = at + HEADER_BYTES <= bytes.length;
    const length = headerThere ? bytes.readUInt32LE(at + 8) : 0;
    const whole = headerThere && at + recordBytes(length) <= bytes.length;
    if (!whole && !last && length <= frameBytes) break;
    if (
      whole &&
      length <= frameBytes &&
      crc32(bytes.subarray(at + 8, at + HEADER_BYTES + length), salt) === bytes.readUInt32LE(at + 4)
    ) {
      reportSkipped(at);
      const record = readRecord(bytes, at, base);
      if (!scan.record(record)) return base + at;
      at = record.end - base;
    } else {
      if (skipped < 0) skipped = at;
      at += 1;
    }
  }
  reportSkipped(at);
  return base + at;
}
