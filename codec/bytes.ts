import { CodecError } from "./errors.ts";

// A DataView reads four bytes at any alignment in one step, which makes the sums below more than twice as fast as
// byte loads, but costs some 50 ns to create. Frames of one chunk share their array, so the last view is kept.
const last = { bytes: new Uint8Array(0), view: new DataView(new ArrayBuffer(0)) };

/** A DataView over exactly `bytes`; the same one as long as the same array is asked for. */
export function viewOf(bytes: Uint8Array): DataView {
  if (last.bytes !== bytes) {
    last.bytes = bytes as Uint8Array<ArrayBuffer>;
    last.view = new DataView(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
  }
  return last.view;
}

// 256 words of 4 bytes: the 16-bit lane sums of one block cannot overflow (256 * 255 < 65536).
const BLOCK_BYTES = 1024;

/**
 * Sum of `bytes[start..end)` modulo 256, the protocol's checksum.
 * Source: Meitrack GPRS protocol, packet format (sum from the first head byte to `*` inclusive).
 */
export function checksum(bytes: Uint8Array, start: number, end: number): number {
  const view = viewOf(bytes);
  let sum = 0;
  let i = start;
  while (end - i >= 16) {
    const stop = Math.min(end - 15, i + BLOCK_BYTES);
    let all = 0;
    let even = 0;
    for (; i < stop; i += 16) {
      const a = view.getInt32(i, true);
      const b = view.getInt32(i + 4, true);
      const c = view.getInt32(i + 8, true);
      const d = view.getInt32(i + 12, true);
      all = (all + a + b + c + d) | 0;
      even = (even + (a & 0xff00ff) + (b & 0xff00ff) + (c & 0xff00ff) + (d & 0xff00ff)) | 0;
    }
    // `all - even` is the sum of bytes 1 and 3 of each word, shifted by 8.
    const odd = (all - even) >>> 8;
    sum += (even & 255) + ((even >>> 16) & 255) + (odd & 255) + ((odd >>> 16) & 255);
  }
  for (; i < end; i++) sum += view.getUint8(i);
  return sum & 255;
}

/**
 * 64-bit content hash of `bytes[start..end)`: high half to `out[at]`, low half to `out[at + 1]`.
 * Two lanes of multiply and rotate over four bytes a step, then a finaliser in which every input bit reaches every
 * output bit. Frozen: stored positions are recognised by it, so another value for the same bytes breaks
 * deduplication. Not made against an adversary: who forges a collision loses only a record of their own.
 */
export function hash64(bytes: Uint8Array, start: number, end: number, out: Int32Array, at: number): void {
  const view = viewOf(bytes);
  let a = 0x243f6a88;
  let b = 0x85a308d3 | 0;
  let i = start;
  for (const stop = end - 3; i < stop; i += 4) {
    const word = view.getInt32(i, true);
    a = Math.imul(a ^ word, 0x9e3779b1);
    a = (a << 15) | (a >>> 17);
    b = Math.imul((b + word) | 0, 0x85ebca77);
    b = (b << 13) | (b >>> 19);
  }
  if (i < end) {
    let word = 0;
    for (let shift = 0; i < end; i++, shift += 8) word |= view.getUint8(i) << shift;
    a = Math.imul(a ^ word, 0x9e3779b1);
    a = (a << 15) | (a >>> 17);
    b = Math.imul((b + word) | 0, 0x85ebca77);
    b = (b << 13) | (b >>> 19);
  }
  // The length keeps trailing zero bytes apart; each lane is stirred into the other before and after its finaliser.
  a ^= end - start;
  b = (b + a) | 0;
  a = (a + b) | 0;
  a = avalanche(a);
  b = avalanche(b);
  b = (b + a) | 0;
  a = (a + b) | 0;
  out[at] = a;
  out[at + 1] = b;
}

// The 32-bit finaliser of MurmurHash3 (public domain).
function avalanche(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Upper-case hex, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX_PAIRS[byte];
  return text;
}

/** Two upper-case hex digits of each byte value. */
export const HEX_PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).toUpperCase().padStart(2, "0"),
);

/** Value of the hex digit with this byte code, upper or lower case; -1 for every other byte. */
export const HEX_VALUE: Int8Array = Int8Array.from({ length: 256 }, (_, byte) =>
  "0123456789abcdef".indexOf(String.fromCharCode(byte).toLowerCase()),
);

/**
 * Bytes of hex text, either case, nothing between the digits.
 * @throws {CodecError} `value` at the first character that is not a hex digit, `truncated` after an odd number of digits
 */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >> 1);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const digit = code < 256 ? HEX_VALUE[code] : -1;
    if (digit < 0) throw new CodecError("value", i, `Cannot read hex: "${text[i]}" is not a hex digit`);
    bytes[i >> 1] = (bytes[i >> 1] << 4) | digit;
  }
  if (text.length % 2 === 1) {
    throw new CodecError("truncated", text.length, "Cannot read hex: the number of digits is odd");
  }
  return bytes;
}

/** Text with one character for each byte of `bytes[start..end)`, code point = byte value. */
export function latin1(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

/**
 * One byte for each character, the reverse of `latin1()`.
 * @throws {CodecError} `value` at the first character above U+00FF
 */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) throw new CodecError("value", i, `Cannot write text: "${text[i]}" has no single byte`);
    bytes[i] = code;
  }
  return bytes;
}
