import { FRAME_LIMITS } from "./bounds.ts";
import { viewOf } from "./bytes.ts";

const DOLLAR = 0x24;
const COMMA = 0x2c;
const AT = 0x40;
const DOLLARS = 0x24242424;
const ATS = 0x40404040;
const ONES = 0x01010101;
const TOP_BITS = 0x80808080;

/**
 * First index from `from` on where a frame may begin, as far as the bytes before `to` show: `$$` or `@@`, identifier,
 * 1 to 5 digits, comma, and something that is no head byte. `to` when there is none.
 */
export function skipToHead(buf: Uint8Array, from: number, to: number): number {
  let i = from;
  while (i < to) {
    const byte = buf[i];
    if (byte !== DOLLAR && byte !== AT) {
      i = skipPlain(buf, i + 1, to);
      continue;
    }
    let end = i + 1;
    while (end < to && buf[end] === byte) end++;
    // Of a run of head bytes only the last two can begin a frame.
    const start = Math.max(i, end - 2);
    if (end === to) return start;
    i = end;
    if (end - start === 1 || buf[end] < 0x41 || buf[end] > 0x7a) continue;
    i++;
    for (const stop = Math.min(to, i + FRAME_LIMITS.lengthDigits); i < stop; i++) {
      if (buf[i] < 0x30 || buf[i] > 0x39) break;
    }
    if (i === to) return start;
    if (buf[i] !== COMMA || i === end + 1) continue;
    i++;
    if (i === to || (buf[i] !== DOLLAR && buf[i] !== AT)) return start;
  }
  return to;
}

// From `from` on to the next head byte.
function skipPlain(buf: Uint8Array, from: number, to: number): number {
  let i = from;
  for (const near = Math.min(to, from + 8); i < near; i++) if (buf[i] === DOLLAR || buf[i] === AT) return i;
  const view = viewOf(buf);
  for (; i <= to - 8; i += 8) {
    // A byte is zero if subtracting 1 borrows into a top bit that was not set.
    const a = view.getInt32(i, true) ^ DOLLARS;
    const b = view.getInt32(i, true) ^ ATS;
    const c = view.getInt32(i + 4, true) ^ DOLLARS;
    const d = view.getInt32(i + 4, true) ^ ATS;
    const zeros = ((a - ONES) & ~a) | ((b - ONES) & ~b) | ((c - ONES) & ~c) | ((d - ONES) & ~d);
    if ((zeros & TOP_BITS) !== 0) break;
  }
  while (i < to && buf[i] !== DOLLAR && buf[i] !== AT) i++;
  return i;
}
