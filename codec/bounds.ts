import type { CodecErrorCode } from "./errors.ts";

// A frame, both directions (`$$` up from the tracker, `@@` down to it):
//
//   $$ I LEN , IMEI , TYPE [, content] * hh CR LF
//            |<------------ LEN bytes ---------->|
//   |<----- checksum covers ---------->|
//
// Source: Meitrack GPRS protocol, packet format.

/** Every bound on a frame. */
export const FRAME_LIMITS = {
  /** Digits of the length field. */
  lengthDigits: 5,
  /** Largest value of the length field: bytes from the first comma to LF, both included. */
  length: 65_535,
  /** Index at which the comma after the length stands at the latest: head 2, identifier 1, digits 5. */
  headerScan: 8,
  /** Bytes of the longest frame. */
  frameBytes: 65_543,
  /** Bytes of the IMEI field, which holds 15 digits in genuine frames and serials in bridged ones. */
  imeiBytes: 20,
  /** Bytes by which the end may miss the declared one, in either direction, when the checksum is right. */
  lengthWindow: 8,
} as const;

/** What `locateFrame` found. */
export const FRAME_STATUS = { ok: 0, needMore: 1, prefix: 2, length: 3, checksum: 4, type: 5, value: 6 } as const;
export type FrameStatus = (typeof FRAME_STATUS)[keyof typeof FRAME_STATUS];

const STATUS_CODES: readonly CodecErrorCode[] = [
  "truncated",
  "truncated",
  "prefix",
  "length",
  "checksum",
  "type",
  "value",
];

/** Error code of a status other than `ok`. */
export function statusCode(status: FrameStatus): CodecErrorCode {
  return STATUS_CODES[status];
}

/** Where the parts of a frame are, as indexes into the searched array. */
export interface FrameBounds {
  start: number;
  /** After LF. When the search failed: the declared end, or 0 if there is no head with a length. */
  end: number;
  /** The comma after the length. */
  comma: number;
  imeiStart: number;
  imeiEnd: number;
  /** Of the three bytes; one past `imeiEnd + 1` when a parameter-table digit stands before them. */
  typeStart: number;
  contentStart: number;
  /** Of the closing `*`. When the search failed: of the last `*` up to which bytes were summed in vain, or 0. */
  contentEnd: number;
  /** Actual minus declared length; 0 in a right frame. */
  lengthOff: number;
  /** Where the search failed. Only set when it did. */
  faultAt: number;
}

/** Bounds to hand to `locateFrame` again and again. */
export function newBounds(): FrameBounds {
  return {
    start: 0,
    end: 0,
    comma: 0,
    imeiStart: 0,
    imeiEnd: 0,
    typeStart: 0,
    contentStart: 0,
    contentEnd: 0,
    lengthOff: 0,
    faultAt: 0,
  };
}
