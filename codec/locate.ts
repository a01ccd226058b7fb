import { checksum, HEX_VALUE, viewOf } from "./bytes.ts";
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

const IMEI_DIGITS = 15;
const USUAL_LENGTH = 1 + IMEI_DIGITS + 1 + 3 + TERMINATOR_BYTES;
const USUAL_FRAME_BYTES = 2 + 1 + 2 + USUAL_LENGTH;

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
  if (sums === null && to - from >= USUAL_FRAME_BYTES && locateUsual(buf, from, to, at, maxFrameBytes)) return ok;
  at.start = from;
  at.end = 0;
  at.contentEnd = 0;
  at.lengthOff = 0;
  const status = locateHead(buf, from, to, at, maxFrameBytes);
  const end = at.end;
  if (status !== ok) return status;
  if (end <= to && isTerminator(buf, end - TERMINATOR_BYTES)) {
    const star = end - TERMINATOR_BYTES;
    const sum = sums === null ? checksum(buf, from, star + 1) : sums.sum(buf, from, star + 1);
    at.contentEnd = star;
    if (sum === (HEX_VALUE[buf[star + 1]] << 4) + HEX_VALUE[buf[star + 2]]) return ok;
    at.faultAt = star + 1;
    return badChecksum;
  }
  return locateNear(buf, from, to, at, maxFrameBytes, sums);
}

// The usual frame, a right one from a tracker with an IMEI of 15 digits, takes half the time without a look at `to`
// before each byte. False for every other: the careful way below decides what it is.
function locateUsual(buf: Uint8Array, from: number, to: number, at: FrameBounds, maxFrameBytes: number): boolean {
  if (buf[from] !== DOLLAR || buf[from + 1] !== DOLLAR || buf[from + 2] < 0x41 || buf[from + 2] > 0x7a) return false;
  let comma = from + 3;
  let length = 0;
  for (const stop = comma + FRAME_LIMITS.lengthDigits; comma < stop; comma++) {
    const digit = buf[comma] - DIGIT_0;
    if (digit < 0 || digit > 9) break;
    length = length * 10 + digit;
  }
  const end = comma + length;
  if (buf[comma] !== COMMA || end > to || length < USUAL_LENGTH || end - from > maxFrameBytes) return false;
  const imeiEnd = comma + 1 + IMEI_DIGITS;
  const view = viewOf(buf);
  if (buf[imeiEnd] !== COMMA || !isGenuineImei(view, comma + 1)) return false;
  if ((ALPHANUMERIC[buf[imeiEnd + 1]] & ALPHANUMERIC[buf[imeiEnd + 2]] & ALPHANUMERIC[buf[imeiEnd + 3]]) === 0) {
    return false;
  }
  const star = end - TERMINATOR_BYTES;
  const tail = view.getInt32(star + 1, true);
  const high = HEX_VALUE[tail & 255];
  const low = HEX_VALUE[(tail >>> 8) & 255];
  if (buf[star] !== STAR || tail >>> 16 !== 0x0a0d || (high | low) < 0) return false;
  at.start = from;
  at.end = end;
  at.comma = comma;
  at.imeiStart = comma + 1;
  at.imeiEnd = imeiEnd;
  at.typeStart = imeiEnd + 1;
  at.contentStart = buf[imeiEnd + 4] === COMMA ? imeiEnd + 5 : imeiEnd + 4;
  at.contentEnd = star;
  at.lengthOff = 0;
  return checksum(buf, from, star + 1) === ((high << 4) | low);
}

// Head, length, IMEI and type. `at.end` becomes the declared end as soon as the length is known.
function locateHead(buf: Uint8Array, from: number, to: number, at: FrameBounds, maxFrameBytes: number): FrameStatus {
  if (from >= to) return fault(at, from, needMore);
  const head = buf[from];
  if (head !== DOLLAR && head !== AT) return fault(at, from, prefix);
  if (from + 1 >= to) return fault(at, to, needMore);
  if (buf[from + 1] !== head) return fault(at, from + 1, prefix);
  let i = from + 2;
  if (i >= to) return fault(at, to, needMore);
  if (buf[i] < 0x41 || buf[i] > 0x7a) return fault(at, i, prefix);

  i++;
  let length = 0;
  for (const stop = Math.min(to, i + FRAME_LIMITS.lengthDigits); i < stop; i++) {
    const digit = buf[i] - DIGIT_0;
    if (digit < 0 || digit > 9) break;
    length = length * 10 + digit;
  }
  if (i >= to) return fault(at, to, needMore);
  if (i === from + 3) return fault(at, i, prefix);
  if (buf[i] !== COMMA) return fault(at, i, badLength);
  at.comma = i;
  at.end = i + length;
  if (length < SHORTEST_LENGTH - FRAME_LIMITS.lengthWindow || length > FRAME_LIMITS.length) {
    return fault(at, from + 3, badLength);
  }
  if (at.end - from > maxFrameBytes) return fault(at, from + 3, badLength);

  i++;
  at.imeiStart = i;
  if (i + IMEI_DIGITS < to && buf[i + IMEI_DIGITS] === COMMA && isGenuineImei(viewOf(buf), i)) {
    i += IMEI_DIGITS;
  } else {
    for (const stop = Math.min(to, i + FRAME_LIMITS.imeiBytes); i < stop; i++) if (ALPHANUMERIC[buf[i]] === 0) break;
    if (i >= to) return fault(at, to, needMore);
    if (buf[i] !== COMMA || i === at.imeiStart) return fault(at, i, badValue);
  }
  at.imeiEnd = i;

  at.typeStart = i + 1;
  for (let k = 1; k <= 3; k++) {
    if (i + k >= to) return fault(at, to, needMore);
    if (ALPHANUMERIC[buf[i + k]] === 0) return fault(at, i + k, badType);
  }
  i += 4;
  if (i >= to) return fault(at, to, needMore);
  // T622: a parameter-table number 0, 1 or 2 may stand before the type of a command (`0D73`).
  if (head === AT && ALPHANUMERIC[buf[i]] === 1 && buf[i - 3] >= DIGIT_0 && buf[i - 3] <= DIGIT_0 + 2) {
    if (i + 1 >= to) return fault(at, to, needMore);
    if (buf[i + 1] === COMMA || buf[i + 1] === STAR) {
      at.typeStart++;
      i++;
    }
  }
  at.contentStart = buf[i] === COMMA ? i + 1 : i;
  return ok;
}

function fault(at: FrameBounds, offset: number, status: FrameStatus): FrameStatus {
  at.faultAt = offset;
  return status;
}

// Fifteen digits, four at a time: a digit has 3 in its upper half and still has it after 6 is added.
function isGenuineImei(view: DataView, start: number): boolean {
  const a = view.getInt32(start, true);
  const b = view.getInt32(start + 4, true);
  const c = view.getInt32(start + 8, true);
  const d = view.getInt32(start + 11, true);
  const upper = a & (a + 0x06060606) & b & (b + 0x06060606) & c & (c + 0x06060606) & d & (d + 0x06060606);
  return ((upper | a | b | c | d) & 0xf0f0f0f0) === 0x30303030 && (upper & 0x30303030) === 0x30303030;
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
    sum = sums === null ? sum + checksum(buf, summed, star + 1) : sums.sum(buf, from, star + 1);
    summed = star + 1;
    at.contentEnd = star;
    if ((sum & 255) !== (HEX_VALUE[buf[star + 1]] << 4) + HEX_VALUE[buf[star + 2]]) continue;
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
