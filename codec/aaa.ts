import { fieldEnd, readAny } from "./aaa-any.ts";
import { readUsual } from "./aaa-usual.ts";
import { hash64, latin1, viewOf } from "./bytes.ts";
import { type DecodeOptions, FLAGS, type PositionTable, SLOT, SOURCES, TAIL } from "./columns.ts";
import { OVERREAD, withRoom } from "./overread.ts";

const AAA = SOURCES.indexOf("AAA") << FLAGS.sourceShift;
const AFF = SOURCES.indexOf("AFF") << FLAGS.sourceShift;
const SCALE_SHIFT = FLAGS.scaleShift;
const AAA_REST = TAIL.aaaRest;
const FLAGS_SLOT = SLOT.flags;
const DIGEST = SLOT.digestHi;
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;
const SOURCE_FRAME = SLOT.sourceFrame;

const STAR = 0x2a;

/**
 * Reads the content of an AAA frame into one new row.
 * @param start index after `AAA,`
 * @param end index of the closing `*`
 * @returns 1
 * @throws {CodecError} `value` when event, latitude or longitude cannot be read; the table is as before. Any other
 *   field that cannot be read leaves its column out and keeps its text in the row's tail.
 * Source: Meitrack GPRS protocol V1.8, AAA.
 */
export function decodeAaa(
  table: PositionTable,
  buf: Uint8Array,
  start: number,
  end: number,
  options: DecodeOptions,
): number {
  return decodeText(table, buf, start, end, options, AAA);
}

/**
 * Reads the content of an AFF frame: the number of reports still buffered (hex), then what AAA has. The same report
 * sent as AAA and as AFF has the same digest.
 * @returns 1, or 0 when there is no report, as in the reply `AFF,OK`
 * @throws {CodecError} as `decodeAaa`
 * Source: Meitrack GPRS protocol V1.8, C03 and AFF.
 */
export function decodeAff(
  table: PositionTable,
  buf: Uint8Array,
  start: number,
  end: number,
  options: DecodeOptions,
): number {
  const stop = fieldEnd(buf, start, end);
  return stop < end ? decodeText(table, buf, stop + 1, end, options, AFF) : 0;
}

/** The number of reports still buffered, from the content of an AFF frame; undefined when it is not one. */
export function affRemaining(buf: Uint8Array, start: number, end: number): number | undefined {
  const text = latin1(buf, start, fieldEnd(buf, start, end));
  return /^[0-9A-Fa-f]{1,8}$/.test(text) ? Number.parseInt(text, 16) : undefined;
}

function decodeText(
  table: PositionTable,
  bytes: Uint8Array,
  start: number,
  end: number,
  options: DecodeOptions,
  source: number,
): number {
  const buf = bytes[end] === STAR && bytes.length >= end + OVERREAD ? bytes : withRoom(bytes, end);
  const view = viewOf(buf);
  const offsetS = options.offsetS ?? 0;
  const tailStart = table.tailUsed;
  const base = table.addRow();
  const i32 = table.i32;
  const flags = source | (options.scale << SCALE_SHIFT);
  i32[base + FLAGS_SLOT] = flags;
  let p = readUsual(i32, base, view, start, end, offsetS);
  if (p < 0) {
    try {
      p = readAny(table, base, buf, start, end, flags, offsetS);
    } catch (error) {
      table.truncate(table.count - 1, tailStart);
      throw error;
    }
  }

  // Field 17 and all after it, as addTail() would write it, four bytes at a time and up to three too many.
  const length = end - p;
  if (length > 0x7f) {
    table.addTail(AAA_REST, buf, p, end);
  } else if (length > 0) {
    table.reserveTail(length + 5);
    const tail = table.tailView;
    const at = table.tailUsed;
    tail.setInt16(at, AAA_REST | (length << 8), true);
    for (let i = 0; i < length; i += 4) tail.setInt32(at + 2 + i, view.getInt32(p + i, true), true);
    table.tailUsed = at + 2 + length;
  }
  hash64(buf, start, end, i32, base + DIGEST);
  i32[base + TAIL_START] = tailStart;
  i32[base + TAIL_LENGTH] = table.tailUsed - tailStart;
  i32[base + SOURCE_FRAME] = options.sourceFrame ?? 0;
  return 1;
}
