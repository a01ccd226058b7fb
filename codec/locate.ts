import { FRAME_LIMITS, FRAME_STATUS, type FrameBounds, type FrameStatus } from "./bounds.ts";
import { checksum, HEX_VALUE, viewOf } from "./bytes.ts";
import { skipToHead } from "./resync.ts";

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
const SHORTEST_DECLARED = 1 + 1 + 1 + 3 + TERMINATOR_BYTES - FRAME_LIMITS.lengthWindow;

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
  const status = locateHead(buf, from, to, at, maxFrameBytes, null);
  return status === ok ? locateEnd(buf, to, at, maxFrameBytes, sums) : status;
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

/** Counts the heads with a length that go on wrongly, while `locateHead` seeks. */
export interface HeadTally {
  heads: number;
}

/**
 * The first half of `locateFrame`: everything before the content. `at.end` becomes the declared end.
 * @param seeking when given, a wrong head is not the result but the search goes on behind it, up to `needMore` with
 *   `at.start` at `to`
 */
export function locateHead(
  buf: Uint8Array,
  from: number,
  to: number,
  at: FrameBounds,
  maxFrameBytes: number,
  seeking: HeadTally | null,
): FrameStatus {
  at.contentEnd = 0;
  at.lengthOff = 0;
  for (let start = from; ; ) {
    at.start = start;
    at.end = 0;
    const status = locateHeadAt(buf, start, to, at, maxFrameBytes);
    if (status === ok || status === needMore || seeking === null) return status;
    if (at.end > 0) seeking.heads++;
    // What was right in this head holds no head byte, except that its second one may be the first of another head.
    start = skipToHead(buf, at.faultAt > start + 2 ? at.faultAt : start + 1, to);
  }
}

function locateHeadAt(buf: Uint8Array, start: number, to: number, at: FrameBounds, maxFrameBytes: number): FrameStatus {
  let i = start;
  if (i >= to) return fault(at, i, needMore);
  const head = buf[i];
  if (head !== DOLLAR && head !== AT) return fault(at, i, prefix);
  if (++i >= to) return fault(at, i, needMore);
  if (buf[i] !== head) return fault(at, i, prefix);
  if (++i >= to) return fault(at, i, needMore);
  if (buf[i] < 0x41 || buf[i] > 0x7a) return fault(at, i, prefix);

  let length = 0;
  const digits = ++i;
  for (const stop = Math.min(to, i + FRAME_LIMITS.lengthDigits); i < stop; i++) {
    const digit = buf[i] - DIGIT_0;
    if (digit < 0 || digit > 9) break;
    length = length * 10 + digit;
  }
  if (i >= to) return fault(at, i, needMore);
  if (i === digits) return fault(at, i, prefix);
  if (buf[i] !== COMMA) return fault(at, i, badLength);
  const comma = i;
  at.comma = comma;
  at.end = comma + length;
  if (length < SHORTEST_DECLARED || length > FRAME_LIMITS.length || at.end - start > maxFrameBytes) {
    return fault(at, digits, badLength);
  }

  i++;
  if (i + IMEI_DIGITS < to && buf[i + IMEI_DIGITS] === COMMA && isGenuineImei(viewOf(buf), i)) {
    i += IMEI_DIGITS;
  } else {
    for (const stop = Math.min(to, i + FRAME_LIMITS.imeiBytes); i < stop; i++) if (ALPHANUMERIC[buf[i]] === 0) break;
    if (i >= to) return fault(at, i, needMore);
    if (buf[i] !== COMMA || i === comma + 1) return fault(at, i, badValue);
  }
  at.imeiStart = comma + 1;
  at.imeiEnd = i;

  let typeStart = i + 1;
  for (let left = 3; left > 0; left--) {
    if (++i >= to) return fault(at, i, needMore);
    if (ALPHANUMERIC[buf[i]] === 0) return fault(at, i, badType);
  }
  if (++i >= to) return fault(at, i, needMore);
  // T622: a parameter-table number 0, 1 or 2 may stand before the type of a command (`0D73`).
  if (head === AT && ALPHANUMERIC[buf[i]] === 1 && buf[typeStart] >= DIGIT_0 && buf[typeStart] <= DIGIT_0 + 2) {
    if (i + 1 >= to) return fault(at, i + 1, needMore);
    if (buf[i + 1] === COMMA || buf[i + 1] === STAR) {
      typeStart++;
      i++;
    }
  }
  at.typeStart = typeStart;
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

/** The second half of `locateFrame`, behind a head that is right. */
export function locateEnd(
  buf: Uint8Array,
  to: number,
  at: FrameBounds,
  maxFrameBytes: number,
  sums: Sums | null,
): FrameStatus {
  const { start, end: declared } = at;
  if (declared <= to && isTerminator(buf, declared - TERMINATOR_BYTES)) {
    const star = declared - TERMINATOR_BYTES;
    at.contentEnd = star;
    at.faultAt = star + 1;
    return sumOf(buf, start, star + 1, sums) === checksumAt(buf, star) ? ok : badChecksum;
  }
  // It is not where the length says, or not there yet. In the latter case only an end with nothing after it counts.
  const earliest = Math.max(declared - FRAME_LIMITS.lengthWindow, at.contentStart + TERMINATOR_BYTES);
  const latest = Math.min(declared + FRAME_LIMITS.lengthWindow, start + maxFrameBytes);
  const stop = Math.min(to, latest);
  const view = viewOf(buf);
  for (let end = declared <= to ? earliest : Math.max(earliest, to); end <= stop; end++) {
    // Four ends at a time without LF: a byte is zero if subtracting 1 borrows into a top bit that was not set.
    while (end + 3 <= stop) {
      const word = view.getInt32(end - 1, true) ^ 0x0a0a0a0a;
      if (((word - 0x01010101) & ~word & 0x80808080) !== 0) break;
      end += 4;
    }
    if (end > stop) break;
    const star = end - TERMINATOR_BYTES;
    if (buf[end - 1] !== LF || !isTerminator(buf, star)) continue;
    at.contentEnd = star;
    if (sumOf(buf, start, star + 1, sums) !== checksumAt(buf, star)) continue;
    at.lengthOff = end - declared;
    at.end = end;
    return ok;
  }
  at.faultAt = declared - TERMINATOR_BYTES;
  return to < latest ? needMore : badLength;
}

function sumOf(buf: Uint8Array, start: number, end: number, sums: Sums | null): number {
  return sums === null ? checksum(buf, start, end) : sums.sum(buf, start, end);
}

function checksumAt(buf: Uint8Array, star: number): number {
  return (HEX_VALUE[buf[star + 1]] << 4) | HEX_VALUE[buf[star + 2]];
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
