import { bytesOf, fromHex } from "../codec/bytes.ts";
import { decodeMessage } from "../codec/decode.ts";
import { CodecError } from "../codec/errors.ts";
import { FRAME_LIMITS, parseFrame } from "../codec/frame.ts";
import { explain } from "./explain.ts";

/** How lines are read. */
export interface LineOptions {
  /** Tracker model, which decides how volts are counted. */
  readonly model?: string;
  /** Accepts a wrong checksum and says so. */
  readonly lenient: boolean;
  /** Lists every field with its bytes. */
  readonly explain: boolean;
}

/** Characters of the longest line: a whole frame in hex, and some room for spaces between the digits. */
export const LINE_CHARACTERS = 4 * FRAME_LIMITS.frameBytes;

/**
 * The bytes that a line stands for, or null for a blank one. Text begins with its head, `$$` or `@@`; its end of line
 * may be written out, be there, or be missing. Everything of hex digits is hex, and exact.
 */
function bytesOfLine(line: string): Uint8Array | null {
  const text = line.trim();
  if (text === "") return null;
  if (!/^(\$\$|@@)/.test(text) && /^[0-9a-f\s]+$/i.test(text)) return bytesOfHex(text.replace(/\s+/g, ""));
  const written = /(\\r\\n|\\r|\\n)$/;
  if (written.test(text)) return bytesOf(text.replace(written, "\r\n"));
  // A line that was cut before its checksum is not completed: it is truncated.
  return bytesOf(/\*[^*,]{2}$/.test(text) ? `${text}\r\n` : text);
}

function bytesOfHex(digits: string): Uint8Array {
  if (digits.length % 2 === 0) return fromHex(digits);
  throw new CodecError("truncated", digits.length >> 1, "Cannot read hex: the last byte has one digit");
}

/**
 * Reads one line and says what it is.
 * @param line one byte a character
 * @returns the answer as an object to be printed, null for a blank line
 */
export function decodeLine(line: string, options: LineOptions): object | null {
  try {
    if (line.length > LINE_CHARACTERS) {
      throw new CodecError(
        "length",
        LINE_CHARACTERS,
        `Cannot read line: it is longer than ${LINE_CHARACTERS} characters`,
      );
    }
    const bytes = bytesOfLine(line);
    if (bytes === null) return null;
    const frame = parseFrame(bytes, { lenient: options.lenient });
    const message = decodeMessage(frame, options.model === undefined ? {} : { model: options.model });
    const { checksumOk, lengthOff } = frame;
    return {
      ok: true,
      ...message,
      ...(checksumOk ? {} : { checksumOk }),
      ...(lengthOff === 0 ? {} : { lengthOff }),
      ...(options.explain
        ? {
            fields: explain(
              frame,
              (message.positions ?? []).map((position) => position.toJSON()),
            ),
          }
        : {}),
    };
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    const { code, offset, message } = error;
    return { ok: false, error: { code, offset, message } };
  }
}
