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

// Sums of bytes 0 and 2 of up to 256 words fit their 16-bit lanes (256 * 255 < 65536); a block and a tail are fewer.
const BLOCK_BYTES = 960;
const LANES = 0x00ff00ff;

/**
 * Sum of `bytes[start..end)` modulo 256, the protocol's checksum.
 * Source: Meitrack GPRS protocol, packet format (sum from the first head byte to `*` inclusive).
 */
export function checksum(bytes: Uint8Array, start: number, end: number): number {
  const view = viewOf(bytes);
  let folded = 0;
  let i = start;
  if (end - start < 4) {
    for (; i < end; i++) folded += view.getUint8(i);
    return folded & 255;
  }
  let all = 0;
  let even = 0;
  for (;;) {
    for (const stop = Math.min(end - 15, i + BLOCK_BYTES); i < stop; i += 16) {
      const a = view.getInt32(i, true);
      const b = view.getInt32(i + 4, true);
      const c = view.getInt32(i + 8, true);
      const d = view.getInt32(i + 12, true);
      all = (all + a + b + c + d) | 0;
      even = (even + (a & LANES) + (b & LANES) + (c & LANES) + (d & LANES)) | 0;
    }
    if (end - i < 16) break;
    folded = (folded + fold(all, even)) | 0;
    all = 0;
    even = 0;
  }
  for (; i <= end - 4; i += 4) {
    const word = view.getInt32(i, true);
    all = (all + word) | 0;
    even = (even + (word & LANES)) | 0;
  }
  if (i < end) {
    // The last one to three bytes, shifted down from the word that ends with them.
    const word = view.getInt32(end - 4, true) >>> (32 - ((end - i) << 3));
    all = (all + word) | 0;
    even = (even + (word & LANES)) | 0;
  }
  return (folded + fold(all, even)) & 255;
}

// From the sum of words and of their even bytes. The difference is the sum of the odd bytes, shifted by 8.
function fold(all: number, even: number): number {
  const odd = (all - even) >>> 8;
  return (even + (even >>> 16) + odd + (odd >>> 16)) | 0;
}

// Odd multipliers: primes of xxHash.
const MULTIPLY_A = 0x9e3779b1;
const MULTIPLY_B = 0x85ebca77;
const MULTIPLY_C = 0xc2b2ae3d;
const MULTIPLY_D = 0x27d4eb2f;

/**
 * 64-bit content hash of `bytes[start..end)`: high half to `out[at]`, low half to `out[at + 1]`.
 * Every word of four bytes is multiplied into one of four lanes; a fifth sums up the states that the lanes go through,
 * so that two changes that cancel each other in a lane still show. The last step covers the last 16 bytes, some of
 * them again. In the finaliser every bit reaches every bit. Frozen: stored positions are recognised by it, so another
 * value for the same bytes breaks deduplication. It does not resist forgery: who makes two of their own records
 * collide loses one.
 */
export function hash64(bytes: Uint8Array, start: number, end: number, out: Int32Array, at: number): void {
  const view = viewOf(bytes);
  const length = end - start;
  let a = 0x243f6a88;
  let b = 0x85a308d3 | 0;
  let c = 0x13198a2e;
  let d = 0x03707344;
  let e = length;
  let i = start;
  for (const stop = end - 16; i < stop; i += 16) {
    a = Math.imul(a ^ view.getInt32(i, true), MULTIPLY_A);
    b = Math.imul(b ^ view.getInt32(i + 4, true), MULTIPLY_B);
    c = Math.imul(c ^ view.getInt32(i + 8, true), MULTIPLY_C);
    d = Math.imul(d ^ view.getInt32(i + 12, true), MULTIPLY_D);
    a = (a << 15) | (a >>> 17);
    b = (b << 13) | (b >>> 19);
    c = (c << 15) | (c >>> 17);
    d = (d << 13) | (d >>> 19);
    e = (e + (a ^ b ^ c ^ d)) | 0;
  }
  if (length >= 16) {
    a = Math.imul(a ^ view.getInt32(end - 16, true), MULTIPLY_A);
    b = Math.imul(b ^ view.getInt32(end - 12, true), MULTIPLY_B);
    c = Math.imul(c ^ view.getInt32(end - 8, true), MULTIPLY_C);
    d = Math.imul(d ^ view.getInt32(end - 4, true), MULTIPLY_D);
  } else {
    a = Math.imul(a ^ wordAt(view, start, end), MULTIPLY_A);
    b = Math.imul(b ^ wordAt(view, start + 4, end), MULTIPLY_B);
    c = Math.imul(c ^ wordAt(view, start + 8, end), MULTIPLY_C);
    d = Math.imul(d ^ wordAt(view, start + 12, end), MULTIPLY_D);
  }
  e = (e + (a ^ b ^ c ^ d)) | 0;

  let high = ((a ^ ((c << 7) | (c >>> 25))) + e) | 0;
  let low = (b + d) ^ e;
  low = (low + ((high << 16) | (high >>> 16))) | 0;
  high ^= (low << 11) | (low >>> 21);
  high = avalanche(high);
  low = avalanche(low);
  low = (low + high) | 0;
  high ^= (low << 17) | (low >>> 15);
  out[at] = high;
  out[at + 1] = low;
}

// Little-endian, zeros from `end` on.
function wordAt(view: DataView, start: number, end: number): number {
  if (end - start >= 4) return view.getInt32(start, true);
  let word = 0;
  for (let i = start, shift = 0; i < end; i++, shift += 8) word |= view.getUint8(i) << shift;
  return word;
}

// The 32-bit finaliser of MurmurHash3 (public domain).
function avalanche(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
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
