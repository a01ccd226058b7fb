/**
 * Bytes behind the content that a decoder may read with it, because it reads several at a time: what a frame always
 * has there (`*hh` CR LF).
 */
export const OVERREAD = 5;

const STAR = 0x2a;

/** A copy of the bytes before `end` with a `*` and room behind, for content that does not come in a frame. */
export function withRoom(bytes: Uint8Array, end: number): Uint8Array {
  const copy = new Uint8Array(end + OVERREAD);
  copy.set(bytes.subarray(0, end));
  copy[end] = STAR;
  return copy;
}
