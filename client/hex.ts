/** Bytes in hex, small letters: the one way of writing them, so that no changed letter passes for the same. */
export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

/** @returns null when it is not so many bytes as toHex() writes them */
export function fromHex(text: unknown, bytes: number): Uint8Array<ArrayBuffer> | null {
  if (typeof text !== "string" || text.length !== 2 * bytes || !/^[0-9a-f]*$/.test(text)) return null;
  return Uint8Array.from({ length: bytes }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}
