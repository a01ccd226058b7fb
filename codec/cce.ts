import { hash64, viewOf } from "./bytes.ts";
import { CCE_DOUBTFUL_PREFIXES, CCE_GROUPS, CCE_PREFIXES, PARAMETERS } from "./cce-parameters.ts";
import { bits, type DecodeOptions, FLAGS, type PositionTable, SLOT, SOURCES, TAIL, toUtc } from "./columns.ts";
import { CodecError } from "./errors.ts";
import { HUNDREDTHS } from "./models.ts";

// Content of a CCE frame, integers low byte first:
//
//   remaining u32 | packets u16 | packet ...
//   packet: length u16 of what follows | parameters u16 | four groups
//   group 1, 2, 4: count u8, then {id, value of 1, 2, 4 bytes};  group n: count u8, then {id, length u8, value}
//
// An id is one byte, or two when the first is a prefix.
// Source: Meitrack MDVR and T633L GPRS protocols, CCE.

/** Sizes in bytes. */
const HEADER = 6;
const CELL_BYTES = 12;
/** A network description whose length, 3 + 255, does not fit the length byte, which then says 2. All of it is FF. */
const ERASED_NETWORK_BYTES = 258;

const STATUS_ID = 0x05;
const EVENT_16_ID = 0x40;
const INPUTS_32_ID = 0x42;
const CELL_ID = 0x0e;
const NETWORK_ID = 0x4b;

const GROUP_1_KEY = TAIL.cceGroup;
const GROUP_2_KEY = TAIL.cceGroup * 2;
const GROUP_4_KEY = TAIL.cceGroup * 3;
const GROUP_N_KEY = TAIL.cceGroup * 4;
const CCE_REST = TAIL.cceRest;

const VALID = FLAGS.valid | FLAGS.saidValid;
const SAID_VALID = FLAGS.saidValid;
const OUT_OF_RANGE = FLAGS.outOfRange;
const SOURCE_AND_SCALE = (SOURCES.indexOf("CCE") << FLAGS.sourceShift) | (HUNDREDTHS << FLAGS.scaleShift);

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const EVENT = SLOT.event;
const LATITUDE = SLOT.latitudeE6;
const LONGITUDE = SLOT.longitudeE6;
const TIME = SLOT.timeS;
const HDOP = SLOT.hdopMilli;
const MCC_MNC = SLOT.mccMnc;
const LAC = SLOT.lac;
const CID = SLOT.cid;
const RX_LEVEL = SLOT.rxLevel;
const INPUTS = SLOT.inputs;
const DIGEST = SLOT.digestHi;
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;
const SOURCE_FRAME = SLOT.sourceFrame;

const LATITUDE_BIT = bits("latitudeE6");
const LONGITUDE_BIT = bits("longitudeE6");
const TIME_BIT = bits("timeS");
const HDOP_BIT = bits("hdopMilli");
const CELL_BITS = bits("mccMnc", "lac", "cid", "rxLevel");
/** One of these makes a packet a report. */
const REPORT_BITS = bits("event", "latitudeE6", "timeS");
/** HDOP comes in tenths; beyond 99.9 the number is taken as it is. */
const HDOP_MILLI_MAX = 99_900;

// For each one-byte id of a group: slot of its column | signed << 6 | factor << 8; 0 when it goes to the tail.
const SLOT_BITS = 0x3f;
const SIGNED_BIT = 0x40;
const FACTOR_SHIFT = 8;
const rulesOf = (group: (typeof CCE_GROUPS)[number]): Int32Array => {
  const rules = new Int32Array(256);
  for (const parameter of PARAMETERS) {
    if (parameter.group !== group || !("column" in parameter)) continue;
    const signed = "signed" in parameter ? SIGNED_BIT : 0;
    rules[parameter.id] = SLOT[parameter.column] | signed | (parameter.times << FACTOR_SHIFT);
  }
  return rules;
};
const RULES_1 = rulesOf(1);
const RULES_2 = rulesOf(2);
const RULES_4 = rulesOf(4);

// 1: always the first byte of a two-byte id, 2: perhaps.
const PREFIX = Uint8Array.from({ length: 256 }, (_, id) =>
  CCE_PREFIXES.includes(id) ? 1 : CCE_DOUBTFUL_PREFIXES.includes(id) ? 2 : 0,
);
const FIRST_PREFIX = Math.min(...CCE_PREFIXES, ...CCE_DOUBTFUL_PREFIXES);

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
  buf: Uint8Array,
  start: number,
  end: number,
  options: DecodeOptions,
): number {
  if (end - start < HEADER) {
    throw new CodecError("truncated", end, `Cannot read CCE: its header has ${end - start} bytes, expected ${HEADER}`);
  }
  const count = table.count;
  const tailUsed = table.tailUsed;
  const view = viewOf(buf);
  const packets = view.getUint16(start + 4, true);
  const offset = options.offsetS ?? 0;
  const sourceFrame = options.sourceFrame ?? 0;
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
    const i32 = table.i32;
    // No parameter takes more than two and a half times as much in the tail as in the packet.
    table.reserveTail(3 * (to - from));
    let read = readPacket(table, base, buf, view, from, to, false);
    if (read < 0) {
      // Prefixes that no capture shows count only when that makes the packet come out even.
      read = -read;
      if (wideEnd(buf, from, to) === to) {
        table.tailUsed = tailStart;
        read = readPacket(table, base, buf, view, from, to, true);
      }
    }
    if (read < to) table.addTail(CCE_REST, buf, read, to);
    const mask = i32[base + MASK];
    if ((mask & REPORT_BITS) === 0) {
      table.truncate(count, tailUsed);
      throw new CodecError("value", at, "Cannot read CCE: a packet has neither event nor coordinates nor time");
    }
    if ((mask & LATITUDE_BIT) !== 0 && (i32[base + LATITUDE] > 90e6 || i32[base + LATITUDE] < -90e6))
      farAway(i32, base);
    if ((mask & LONGITUDE_BIT) !== 0 && (i32[base + LONGITUDE] > 180e6 || i32[base + LONGITUDE] < -180e6)) {
      farAway(i32, base);
    }
    if ((mask & HDOP_BIT) !== 0 && i32[base + HDOP] > HDOP_MILLI_MAX) i32[base + HDOP] *= 10;
    if (offset !== 0 && (mask & TIME_BIT) !== 0) i32[base + TIME] = toUtc(i32[base + TIME], offset);
    hash64(buf, from, to, i32, base + DIGEST);
    i32[base + TAIL_START] = tailStart;
    i32[base + TAIL_LENGTH] = table.tailUsed - tailStart;
    i32[base + SOURCE_FRAME] = sourceFrame;
    at = to;
  }
  if (at < end && packets > 0) table.addToLastTail(TAIL.frameRest, buf, at, end);
  return packets;
}

function farAway(i32: Int32Array, base: number): void {
  i32[base + FLAGS_SLOT] = (i32[base + FLAGS_SLOT] & ~FLAGS.valid) | OUT_OF_RANGE;
}

/** Index at which the parameters of a packet end when doubtful prefixes are taken as prefixes. */
function wideEnd(buf: Uint8Array, from: number, to: number): number {
  let p = from + 2;
  for (const group of CCE_GROUPS) {
    if (p >= to) return p;
    for (let n = buf[p++]; n > 0; n--) {
      p += PREFIX[buf[p]] === 0 ? 1 : 2;
      p += group === "n" ? 1 + buf[p] : group;
      if (p > to) return p;
    }
  }
  return p;
}

/**
 * Reads the groups of one packet into the row at `base`: mask, flags, columns and tail.
 * @param wide take the doubtful prefixes as prefixes
 * @returns index after the last readable parameter; negated when another reading of doubtful prefixes could do better
 */
function readPacket(
  table: PositionTable,
  base: number,
  buf: Uint8Array,
  view: DataView,
  from: number,
  to: number,
  wide: boolean,
): number {
  const i32 = table.i32;
  const tail = table.tail;
  let t = table.tailUsed;
  let p = from + 2;
  let mask = 0;
  let flags = SOURCE_AND_SCALE;
  let doubtful = false;
  let sound = p < to;

  // One-byte values.
  for (let n = sound ? buf[p++] : 0; n > 0; n--) {
    const start = p;
    let id = buf[p++];
    if (id >= FIRST_PREFIX && PREFIX[id] !== 0) {
      if (PREFIX[id] === 1 || wide) id = (id << 8) | buf[p++];
      else doubtful = true;
    }
    if (p + 1 > to) {
      p = start;
      sound = false;
      break;
    }
    const value = buf[p++];
    const rule = id < 256 ? RULES_1[id] : 0;
    const bit = 1 << ((rule & SLOT_BITS) - 1);
    if (rule !== 0 && (mask & bit) === 0) {
      i32[base + (rule & SLOT_BITS)] = value * (rule >> FACTOR_SHIFT);
      mask |= bit;
    } else if (id === STATUS_ID && value <= 1 && (flags & SAID_VALID) === 0) {
      if (value === 1) flags |= VALID;
    } else {
      if (id === STATUS_ID && value > 0) flags |= VALID;
      t = putHead(tail, t, GROUP_1_KEY + id, 1);
      tail[t++] = value;
    }
  }
  // Values of a wider group take the place of these.
  let narrow = mask;

  // Two-byte values.
  sound &&= p < to;
  for (let n = sound ? buf[p++] : 0; n > 0; n--) {
    const start = p;
    let id = buf[p++];
    if (id >= FIRST_PREFIX && PREFIX[id] !== 0) {
      if (PREFIX[id] === 1 || wide) id = (id << 8) | buf[p++];
      else doubtful = true;
    }
    if (p + 2 > to) {
      p = start;
      sound = false;
      break;
    }
    const rule = id < 256 ? RULES_2[id] : 0;
    const slot = rule & SLOT_BITS;
    const bit = 1 << (slot - 1);
    if (rule !== 0 && ((mask & bit) === 0 || (id === EVENT_16_ID && (narrow & bit) !== 0))) {
      if ((mask & bit) !== 0) {
        t = putHead(tail, t, GROUP_1_KEY + 0x01, 1);
        tail[t++] = i32[base + EVENT];
        narrow ^= bit;
      }
      const value = (rule & SIGNED_BIT) !== 0 ? view.getInt16(p, true) : view.getUint16(p, true);
      i32[base + slot] = value * (rule >> FACTOR_SHIFT);
      mask |= bit;
    } else {
      t = putHead(tail, t, GROUP_2_KEY + id, 2);
      tail[t++] = buf[p];
      tail[t++] = buf[p + 1];
    }
    p += 2;
  }

  // Four-byte values.
  sound &&= p < to;
  for (let n = sound ? buf[p++] : 0; n > 0; n--) {
    const start = p;
    let id = buf[p++];
    if (id >= FIRST_PREFIX && PREFIX[id] !== 0) {
      if (PREFIX[id] === 1 || wide) id = (id << 8) | buf[p++];
      else doubtful = true;
    }
    if (p + 4 > to) {
      p = start;
      sound = false;
      break;
    }
    const rule = id < 256 ? RULES_4[id] : 0;
    const slot = rule & SLOT_BITS;
    const bit = 1 << (slot - 1);
    if (rule !== 0 && ((mask & bit) === 0 || (id === INPUTS_32_ID && (narrow & bit) !== 0))) {
      if ((mask & bit) !== 0) {
        t = putHead(tail, t, GROUP_1_KEY + 0x15, 1);
        tail[t++] = i32[base + INPUTS];
        narrow ^= bit;
      }
      i32[base + slot] = view.getInt32(p, true);
      mask |= bit;
    } else {
      t = putHead(tail, t, GROUP_4_KEY + id, 4);
      tail[t++] = buf[p];
      tail[t++] = buf[p + 1];
      tail[t++] = buf[p + 2];
      tail[t++] = buf[p + 3];
    }
    p += 4;
  }

  // Values of any length.
  sound &&= p < to;
  for (let n = sound ? buf[p++] : 0; n > 0; n--) {
    const start = p;
    let id = buf[p++];
    if (id >= FIRST_PREFIX && PREFIX[id] !== 0) {
      if (PREFIX[id] === 1 || wide) id = (id << 8) | buf[p++];
      else doubtful = true;
    }
    let length = p < to ? buf[p++] : to;
    if (id === NETWORK_ID && length === 2 && isErased(buf, p, to)) length = ERASED_NETWORK_BYTES;
    if (p + length > to) {
      p = start;
      break;
    }
    if (id === CELL_ID && length === CELL_BYTES && (mask & CELL_BITS) === 0) {
      i32[base + MCC_MNC] = (view.getUint16(p, true) << 16) | view.getUint16(p + 2, true);
      i32[base + LAC] = view.getUint16(p + 4, true);
      i32[base + CID] = view.getInt32(p + 6, true);
      i32[base + RX_LEVEL] = view.getInt16(p + 10, true);
      mask |= CELL_BITS;
      p += CELL_BYTES;
    } else {
      t = putHead(tail, t, GROUP_N_KEY + id, length);
      for (const stop = p + length; p < stop; p++) tail[t++] = buf[p];
    }
  }

  table.tailUsed = t;
  i32[base + MASK] = mask;
  i32[base + FLAGS_SLOT] = flags;
  return doubtful && p !== to && !wide ? -p : p;
}

// Key (17 to 19 bits) and length (up to 258) of a tail entry as varints.
function putHead(tail: Uint8Array, at: number, key: number, length: number): number {
  tail[at] = (key & 0x7f) | 0x80;
  tail[at + 1] = ((key >> 7) & 0x7f) | 0x80;
  tail[at + 2] = key >> 14;
  if (length < 0x80) {
    tail[at + 3] = length;
    return at + 4;
  }
  tail[at + 3] = (length & 0x7f) | 0x80;
  tail[at + 4] = length >> 7;
  return at + 5;
}

function isErased(buf: Uint8Array, from: number, to: number): boolean {
  const stop = from + ERASED_NETWORK_BYTES;
  if (stop > to) return false;
  for (let i = from; i < stop; i++) if (buf[i] !== 0xff) return false;
  return true;
}
