import { checksum, HEX_VALUE } from "./bytes.ts";
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
  /** Bytes from the first head byte to the comma at the latest: head 2, identifier 1, digits 5. */
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
  /** After LF. With `needMore`: the declared end, or 0 while the length is not known. */
  end: number;
  /** The comma after the length. */
  comma: number;
  imeiStart: number;
  imeiEnd: number;
  /** Of the three bytes; one past `imeiEnd + 1` when a parameter-table digit stands before them. */
  typeStart: number;
  contentStart: number;
  /** Of the closing `*`. */
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

/** Sums of stretches of the searched array, for a caller that asks for many overlapping ones. */
export interface Sums {
  /** Sum modulo 256 of `bytes[start..end)`. */
  sum(bytes: Uint8Array, start: number, end: number): number;
}

const { ok, needMore, prefix, length: badLength, checksum: badChecksum, type: badType, value: badValue } = FRAME_STATUS;
const DOLLAR = 0x24;
const STAR = 0x2a;
const COMMA = 0x2c;
const DIGIT_0 = 0x30;
const AT = 0x40;
const CR = 0x0d;
const LF = 0x0a;

// `*hh` CR LF, and what a frame without content has before it: `,` IMEI `,` TYPE.
const TERMINATOR_BYTES = 5;
const SHORTEST_LENGTH = 1 + 1 + 1 + 3 + TERMINATOR_BYTES;

const ALPHANUMERIC = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[0-9A-Za-z]/.test(String.fromCharCode(byte)) ? 1 : 0,
);

/**
 * Finds the frame that starts at `from`, reading no byte at or after `to`, and fills `at`. Never throws or allocates.
 *
 * The frame must end in `*hh` CR LF where its length says. When it does not, it may end up to
 * `FRAME_LIMITS.lengthWindow` bytes before or after, if the checksum is right there (field devices miscount by one
 * or two). When nothing has arrived after such an early end, it is taken at once: waiting for the declared end
 * would hold the frame back until the tracker sends its next one.
 * @param sums in place of direct summing
 * @returns `needMore` when the bytes so far are the beginning of a possible frame
 */
export function locateFrame(
  buf: Uint8Array,
  from: number,
  to: number,
  at: FrameBounds,
  maxFrameBytes: number = FRAME_LIMITS.frameBytes,
  sums: Sums | null = null,
): FrameStatus {
  at.start = from;
  at.end = 0;
  const status = locateHead(buf, from, to, at, maxFrameBytes);
  const end = at.end;
  if (status !== ok) return status;
  if (end <= to && isTerminator(buf, end - TERMINATOR_BYTES)) {
    const star = end - TERMINATOR_BYTES;
    const sum = sums === null ? checksum(buf, from, star + 1) : sums.sum(buf, from, star + 1);
    at.contentEnd = star;
    at.lengthOff = 0;
    if (sum === (HEX_VALUE[buf[star + 1]] << 4) + HEX_VALUE[buf[star + 2]]) return ok;
    at.faultAt = star + 1;
    return badChecksum;
  }
  return locateNear(buf, from, to, at, maxFrameBytes, sums);
}

// Head, length, IMEI and type. `at.end` becomes the declared end as soon as the length is known.
function locateHead(buf: Uint8Array, from: number, to: number, at: FrameBounds, maxFrameBytes: number): FrameStatus {
  at.faultAt = from;
  if (from >= to) return needMore;
  const head = buf[from];
  if (head !== DOLLAR && head !== AT) return prefix;
  if (from + 1 >= to) return needMore;
  if (buf[from + 1] !== head) return prefix;
  let i = from + 2;
  if (i >= to) return needMore;
  if (buf[i] < 0x41 || buf[i] > 0x7a) return prefix;

  i++;
  let length = 0;
  const digitsStart = i;
  const digitsStop = i + FRAME_LIMITS.lengthDigits;
  for (; i < to && i < digitsStop; i++) {
    const digit = buf[i] - DIGIT_0;
    if (digit < 0 || digit > 9) break;
    length = length * 10 + digit;
  }
  at.faultAt = i;
  if (i >= to) return needMore;
  if (buf[i] !== COMMA || i === digitsStart) return badLength;
  const comma = i;
  at.comma = comma;
  at.faultAt = digitsStart;
  if (length < SHORTEST_LENGTH - FRAME_LIMITS.lengthWindow || length > FRAME_LIMITS.length) return badLength;
  if (comma + length - from > maxFrameBytes) return badLength;
  at.end = comma + length;

  i++;
  at.imeiStart = i;
  const imeiStop = i + FRAME_LIMITS.imeiBytes;
  while (i < to && i < imeiStop && ALPHANUMERIC[buf[i]] === 1) i++;
  at.faultAt = i;
  if (i >= to) return needMore;
  if (buf[i] !== COMMA || i === comma + 1) return badValue;
  at.imeiEnd = i;

  i++;
  at.typeStart = i;
  const typeEnd = i + 3;
  for (; i < typeEnd; i++) {
    at.faultAt = i;
    if (i >= to) return needMore;
    if (ALPHANUMERIC[buf[i]] === 0) return badType;
  }
  at.faultAt = i;
  if (i >= to) return needMore;
  // T622: a parameter-table number 0, 1 or 2 may stand before the type of a command (`0D73`).
  if (head === AT && ALPHANUMERIC[buf[i]] === 1 && buf[typeEnd - 3] >= DIGIT_0 && buf[typeEnd - 3] <= DIGIT_0 + 2) {
    if (i + 1 >= to) return needMore;
    if (buf[i + 1] === COMMA || buf[i + 1] === STAR) {
      at.typeStart++;
      i++;
    }
  }
  at.contentStart = buf[i] === COMMA ? i + 1 : i;
  return ok;
}

// The end is not where the length says, or not there yet.
function locateNear(
  buf: Uint8Array,
  from: number,
  to: number,
  at: FrameBounds,
  maxFrameBytes: number,
  sums: Sums | null,
): FrameStatus {
  const declared = at.end;
  const lastEnd = Math.min(declared + FRAME_LIMITS.lengthWindow, from + maxFrameBytes);
  // While the declared end is still to come, only an end with nothing after it counts.
  const firstEnd = declared <= to ? declared - FRAME_LIMITS.lengthWindow : to;
  let end = Math.max(firstEnd, at.contentStart + TERMINATOR_BYTES, declared - FRAME_LIMITS.lengthWindow);
  let sum = 0;
  let summed = from;
  for (const stop = Math.min(to, lastEnd); end <= stop; end++) {
    const star = end - TERMINATOR_BYTES;
    if (!isTerminator(buf, star)) continue;
    sum += sums === null ? checksum(buf, summed, star + 1) : sums.sum(buf, summed, star + 1);
    summed = star + 1;
    if ((sum & 255) !== (HEX_VALUE[buf[star + 1]] << 4) + HEX_VALUE[buf[star + 2]]) continue;
    at.contentEnd = star;
    at.lengthOff = end - declared;
    at.end = end;
    return ok;
  }
  at.faultAt = declared - TERMINATOR_BYTES;
  return to < lastEnd ? needMore : badLength;
}

function isTerminator(buf: Uint8Array, star: number): boolean {
  return (
    buf[star + 4] === LF &&
    buf[star + 3] === CR &&
    buf[star] === STAR &&
    HEX_VALUE[buf[star + 1]] >= 0 &&
    HEX_VALUE[buf[star + 2]] >= 0
  );
}
