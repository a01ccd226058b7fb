import { FRAME_LIMITS, FRAME_STATUS, type FrameBounds, type FrameStatus, newBounds, statusCode } from "./bounds.ts";
import { bytesOf, checksum, HEX_PAIRS, HEX_VALUE, latin1 } from "./bytes.ts";
import { CodecError } from "./errors.ts";
import { locateFrame } from "./locate.ts";

export { FrameReader, type FrameReaderOptions, type FrameSink } from "./reader.ts";
export { FRAME_LIMITS, FRAME_STATUS, type FrameBounds, type FrameStatus, locateFrame, newBounds, statusCode };

export type Direction = "up" | "down";

/** One frame taken apart. The arrays are views into what was parsed. */
export interface Frame {
  /** The whole frame, from the head to CR LF. */
  bytes: Uint8Array;
  /** `up` is tracker to platform. */
  direction: Direction;
  /** One character, `A` to `z`. A reply carries that of its command. */
  identifier: string;
  imei: string;
  /** Three characters: `AAA`, `CCE`, `A10` */
  type: string;
  /** What follows `TYPE,` up to the closing `*`; what follows `TYPE` when there is no comma. */
  content: Uint8Array;
  /** Of `content` in `bytes`. */
  contentOffset: number;
  /** The digit in front of the type in some commands (`0D73`), otherwise empty. */
  parameterTable: string;
  /** Value of the length field. */
  declaredLength: number;
  /** Actual minus declared length; 0 in a right frame. */
  lengthOff: number;
  /** False only when `lenient` let a wrong checksum pass. */
  checksumOk: boolean;
}

/**
 * Takes exactly one frame apart, such as one UDP datagram.
 * @param options.lenient accepts a wrong checksum and says so in `checksumOk`
 * @throws {CodecError} every code of the codec, with the offset of the first wrong byte
 */
export function parseFrame(bytes: Uint8Array, options: { lenient?: boolean } = {}): Frame {
  const at = newBounds();
  const status = locateFrame(bytes, 0, bytes.length, at);
  const checksumOk = status === FRAME_STATUS.ok;
  if (!checksumOk && !(status === FRAME_STATUS.checksum && options.lenient)) throw frameError(bytes, at, status);
  if (at.end < bytes.length) {
    const extra = bytes.length - at.end;
    throw new CodecError("length", at.end, `Cannot read frame: its end is followed by ${extra} more bytes`);
  }
  return frameAt(bytes, at, checksumOk);
}

/** The frame at bounds that `locateFrame` accepted. */
export function frameAt(buf: Uint8Array, at: FrameBounds, checksumOk = true): Frame {
  return {
    bytes: buf.subarray(at.start, at.end),
    direction: buf[at.start] === 0x24 ? "up" : "down",
    identifier: String.fromCharCode(buf[at.start + 2]),
    imei: latin1(buf, at.imeiStart, at.imeiEnd),
    type: latin1(buf, at.typeStart, at.typeStart + 3),
    content: buf.subarray(at.contentStart, at.contentEnd),
    contentOffset: at.contentStart - at.start,
    parameterTable: latin1(buf, at.imeiEnd + 1, at.typeStart),
    declaredLength: at.end - at.comma - at.lengthOff,
    lengthOff: at.lengthOff,
    checksumOk,
  };
}

function frameError(bytes: Uint8Array, at: FrameBounds, status: FrameStatus): CodecError {
  const fail = (offset: number, why: string) => new CodecError(statusCode(status), offset, `Cannot read frame: ${why}`);
  switch (status) {
    case FRAME_STATUS.needMore:
      if (at.end > bytes.length) return fail(bytes.length, `it has ${bytes.length} bytes, expected ${at.end}`);
      if (at.end === 0) return fail(bytes.length, `it ends after ${bytes.length} bytes, inside the header`);
      return endError(bytes, at);
    case FRAME_STATUS.prefix:
      return fail(at.faultAt, "it does not begin with $$ or @@, an identifier and a length");
    case FRAME_STATUS.length:
      if (at.end === 0)
        return fail(at.faultAt, `its length is not 1 to ${FRAME_LIMITS.lengthDigits} digits and a comma`);
      if (at.faultAt < at.comma) return fail(at.faultAt, `a length of ${at.end - at.comma} is not possible`);
      return endError(bytes, at);
    case FRAME_STATUS.checksum: {
      const given = (HEX_VALUE[bytes[at.faultAt]] << 4) + HEX_VALUE[bytes[at.faultAt + 1]];
      const expected = HEX_PAIRS[checksum(bytes, at.start, at.contentEnd + 1)];
      return fail(at.faultAt, `checksum is ${HEX_PAIRS[given]}, expected ${expected}`);
    }
    case FRAME_STATUS.type:
      return fail(at.faultAt, "its type is not three letters or digits");
    default:
      return fail(at.faultAt, `its IMEI is not 1 to ${FRAME_LIMITS.imeiBytes} letters or digits followed by a comma`);
  }
}

// The closing `*hh` CR LF is not where the length says, nor near it.
function endError(bytes: Uint8Array, at: FrameBounds): CodecError {
  const digits = at.faultAt + 1;
  if (bytes[at.faultAt] === 0x2a && bytes[digits + 2] === 0x0d && bytes[digits + 3] === 0x0a) {
    return new CodecError("checksum", digits, "Cannot read frame: its checksum is not two hex digits");
  }
  return new CodecError("length", at.faultAt, "Cannot read frame: it does not end where its length says");
}

/** What `encodeFrame` needs. */
export interface FrameParts {
  direction: Direction;
  identifier: string;
  imei: string;
  type: string;
  /** What follows `TYPE,`; text is written one byte a character. Left out: no comma either. */
  content?: Uint8Array | string;
  /** A digit to put in front of the type: "0", "1" or "2". */
  parameterTable?: string;
}

/**
 * Writes a frame with its length and checksum.
 * @throws {CodecError} `value`, `type` or `length`, offset 0, naming the part that no frame can carry
 */
export function encodeFrame(parts: FrameParts): Uint8Array {
  const fail = (code: "value" | "type" | "length", why: string) =>
    new CodecError(code, 0, `Cannot write frame: ${why}`);
  const { direction, identifier, imei, type, parameterTable = "" } = parts;
  if (!/^[A-z]$/.test(identifier)) throw fail("value", "identifier is not one character from A to z");
  if (!/^[0-9A-Za-z]{1,20}$/.test(imei)) throw fail("value", "IMEI is not 1 to 20 letters or digits");
  if (!/^[0-9A-Za-z]{3}$/.test(type)) throw fail("type", "type is not three letters or digits");
  if (!/^[0-2]?$/.test(parameterTable)) throw fail("value", "parameter table is not 0, 1 or 2");
  const content = typeof parts.content === "string" ? bytesOf(parts.content) : parts.content;

  const beforeContent = `,${imei},${parameterTable}${type}${content === undefined ? "" : ","}`;
  const length = beforeContent.length + (content?.length ?? 0) + 5;
  if (length > FRAME_LIMITS.length) throw fail("length", `its length is ${length}, more than ${FRAME_LIMITS.length}`);
  const head = `${direction === "up" ? "$$" : "@@"}${identifier}${length}`;
  const bytes = new Uint8Array(head.length + length);
  bytes.set(bytesOf(head + beforeContent));
  if (content !== undefined) bytes.set(content, head.length + beforeContent.length);
  const star = bytes.length - 5;
  bytes[star] = 0x2a;
  bytes.set(bytesOf(`${HEX_PAIRS[checksum(bytes, 0, star + 1)]}\r\n`), star + 1);
  return bytes;
}
