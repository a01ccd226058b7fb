import { hash64, viewOf } from "./bytes.ts";
import { readPacket } from "./cce-packet.ts";
import { bits, type DecodeOptions, FLAGS, type PositionTable, SLOT, SOURCES, TAIL, toUtc } from "./columns.ts";
import { CodecError } from "./errors.ts";
import { HUNDREDTHS } from "./models.ts";
import { OVERREAD, withRoom } from "./overread.ts";

// Content of a CCE frame, integers low byte first:
//
//   remaining u32 | packets u16 | packet ...
//   packet: length u16 of what follows | what readPacket() reads
//
// Source: Meitrack MDVR and T633L GPRS protocols, CCE.

/** Sizes in bytes. */
const HEADER = 6;

const VALID = FLAGS.valid;
const SAID_VALID = FLAGS.saidValid;
const OUT_OF_RANGE = FLAGS.outOfRange;
const CCE_REST = TAIL.cceRest;
/** Of a fix status that is neither 0 nor 1. */
const STATUS_KEY = TAIL.cceGroup + 0x05;
const SOURCE_AND_SCALE = (SOURCES.indexOf("CCE") << FLAGS.sourceShift) | (HUNDREDTHS << FLAGS.scaleShift);

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const LATITUDE = SLOT.latitudeE6;
const LONGITUDE = SLOT.longitudeE6;
const TIME = SLOT.timeS;
const HDOP = SLOT.hdopMilli;
const DIGEST = SLOT.digestHi;
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;
const SOURCE_FRAME = SLOT.sourceFrame;

const PLACE_BITS = bits("latitudeE6", "longitudeE6");
const TIME_BIT = bits("timeS");
const HDOP_BIT = bits("hdopMilli");

/** One of these makes a packet a report. */
const REPORT_BITS = bits("event", "latitudeE6", "longitudeE6", "timeS");
/** HDOP comes in tenths; beyond 99.9 the number is taken as it is. */
const HDOP_MILLI_MAX = 99_900;

/** Records still cached by the tracker; devices disagree on what it counts, so a hint. 0 when the content is too short. */
export function cceRemaining(buf: Uint8Array, start: number, end: number): number {
  return end - start < HEADER ? 0 : viewOf(buf).getUint32(start, true);
}

/**
 * Reads the content of a CCE frame, one row for each packet. The packet length is authoritative: what a packet holds
 * after its last readable parameter is kept in the row's tail, and the next packet begins where the length says.
 * @param start index after `CCE,`
 * @param end index of the closing `*`
 * @returns number of packets
 * @throws {CodecError} `truncated` when the content ends before its last packet does, `value` when a packet has
 *   neither event nor coordinates nor time; the table is as before
 * Source: Meitrack MDVR and T633L GPRS protocols, CCE.
 */
export function decodeCce(
  table: PositionTable,
  bytes: Uint8Array,
  start: number,
  end: number,
  options: DecodeOptions,
): number {
  if (end - start < HEADER) {
    throw new CodecError("truncated", end, `Cannot read CCE: its header has ${end - start} bytes, expected ${HEADER}`);
  }
  const buf = bytes.length >= end + OVERREAD ? bytes : withRoom(bytes, end);
  const view = viewOf(buf);
  const count = table.count;
  const tailUsed = table.tailUsed;
  const packets = view.getUint16(start + 4, true);
  const offset = options.offsetS ?? 0;
  const sourceFrame = options.sourceFrame ?? 0;
  // In the tail no parameter takes more than two and a half times what it takes in the packet.
  table.reserveTail(3 * (end - start) + 8);
  let at = start + HEADER;
  for (let packet = 0; packet < packets; packet++) {
    const from = at + 2;
    const to = at + 2 <= end ? from + view.getUint16(at, true) : at + 2;
    if (to > end) {
      table.truncate(count, tailUsed);
      throw new CodecError("truncated", end, `Cannot read CCE: it ends inside packet ${packet + 1} of ${packets}`);
    }
    const tailStart = table.tailUsed;
    const base = table.addRow();
    const read = readPacket(table, base, buf, view, from, to);
    const i32 = table.i32;
    const mask = i32[base + MASK];
    if ((mask & REPORT_BITS) === 0) {
      table.truncate(count, tailUsed);
      throw new CodecError("value", at, "Cannot read CCE: a packet has neither event nor coordinates nor time");
    }
    const status = i32[base + FLAGS_SLOT];
    if (read < to) table.addTail(CCE_REST, buf, read, to);
    if (status > 1) table.addTail(STATUS_KEY, Uint8Array.of(status), 0, 1);
    let flags = status === 0 ? SOURCE_AND_SCALE : SOURCE_AND_SCALE | SAID_VALID;
    if ((mask & PLACE_BITS) === PLACE_BITS) {
      if (!isOnEarth(i32[base + LATITUDE], i32[base + LONGITUDE])) flags |= OUT_OF_RANGE;
      else if (status !== 0) flags |= VALID;
    }
    i32[base + FLAGS_SLOT] = flags;
    if (i32[base + HDOP] > HDOP_MILLI_MAX && (mask & HDOP_BIT) !== 0) i32[base + HDOP] *= 10;
    if (offset !== 0 && (mask & TIME_BIT) !== 0) i32[base + TIME] = toUtc(i32[base + TIME], offset);
    i32[base + TAIL_START] = tailStart;
    i32[base + TAIL_LENGTH] = table.tailUsed - tailStart;
    i32[base + SOURCE_FRAME] = sourceFrame;
    hash64(buf, from, to, i32, base + DIGEST);
    at = to;
  }
  if (at < end && packets > 0) table.addToLastTail(TAIL.frameRest, buf, at, end);
  return packets;
}

function isOnEarth(latitudeE6: number, longitudeE6: number): boolean {
  return latitudeE6 <= 90e6 && latitudeE6 >= -90e6 && longitudeE6 <= 180e6 && longitudeE6 >= -180e6;
}
