import { CCE_DOUBTFUL_PREFIXES, CCE_GROUPS, CCE_PREFIXES, PARAMETERS } from "./cce-parameters.ts";
import { bits, type PositionTable, SLOT, TAIL } from "./columns.ts";

// A packet of a CCE frame, integers low byte first:
//
//   parameters u16 | group 1, 2, 4: count u8, then {id, value of 1, 2, 4 bytes} | group n: count u8, then {id, length u8, value}
//
// An id is one byte, or two when the first is a prefix.
// Source: Meitrack MDVR and T633L GPRS protocols, CCE.

const { imul } = Math;

/** Bytes. */
const COUNT_BYTES = 2;
const CELL_BYTES = 12;
/** A network description whose length, 3 + 255, does not fit the length byte, which then says 2. All of it is FF. */
const ERASED_NETWORK_BYTES = 258;

const STATUS_ID = 0x05;
const EVENT_ID = 0x01;
const INPUTS_ID = 0x15;
const CELL_ID = 0x0e;
const NETWORK_ID = 0x4b;

const GROUP_1_KEY = TAIL.cceGroup;
const GROUP_N_KEY = TAIL.cceGroup * 4;

const MASK = SLOT.mask;
const EVENT = SLOT.event;
const MCC_MNC = SLOT.mccMnc;
const LAC = SLOT.lac;
const CID = SLOT.cid;
const RX_LEVEL = SLOT.rxLevel;
const CELL_BITS = bits("mccMnc", "lac", "cid", "rxLevel");

// While a packet is read, the fix status is a column too, in the slot of the flags, and a bit of the mask says that a
// doubtful prefix was met.
const STATUS_SLOT = SLOT.flags;
const STATUS_BIT = 1 << (STATUS_SLOT - 1);
const DOUBTFUL_BIT = 1 << 30;
const COLUMN_BITS = STATUS_BIT - 1;

// For each one-byte id of a group: slot of its column | signed << 6 | wider << 7 | factor << 8; 0 when it
// goes to the tail. Wider: group 1 has a narrow form of it.
const SLOT_BITS = 0x3f;
const SIGNED_BIT = 0x40;
const WIDER_BIT = 0x80;
const FACTOR_SHIFT = 8;
const rulesOf = (group: (typeof CCE_GROUPS)[number]): Int32Array => {
  const rules = new Int32Array(256);
  for (const parameter of PARAMETERS) {
    if (parameter.group !== group || !("column" in parameter)) continue;
    const signed = "signed" in parameter ? SIGNED_BIT : 0;
    const wider = group !== 1 && (parameter.column === "event" || parameter.column === "inputs") ? WIDER_BIT : 0;
    rules[parameter.id] = SLOT[parameter.column] | signed | wider | (parameter.times << FACTOR_SHIFT);
  }
  return rules;
};
const RULES_1 = rulesOf(1);
RULES_1[STATUS_ID] = STATUS_SLOT | (1 << FACTOR_SHIFT);
const RULES_2 = rulesOf(2);
const RULES_4 = rulesOf(4);
const RULES = [RULES_1, RULES_2, RULES_4, new Int32Array(256)];

// 1: always the first byte of a two-byte id, 2: perhaps.
const PREFIX = Uint8Array.from({ length: 256 }, (_, id) =>
  CCE_PREFIXES.includes(id) ? 1 : CCE_DOUBTFUL_PREFIXES.includes(id) ? 2 : 0,
);
const FIRST_PREFIX = Math.min(...CCE_PREFIXES, ...CCE_DOUBTFUL_PREFIXES);

/**
 * Reads the parameters in `buf[from..to)`, a packet behind its length, into the row at `base`: mask, columns and tail;
 * the fix status byte into the slot of the flags, 0 when there is none. The tail has room for three times the packet.
 * @returns index after the last readable parameter, which in good packets is `to`
 */
export function readPacket(
  table: PositionTable,
  base: number,
  buf: Uint8Array,
  view: DataView,
  from: number,
  to: number,
): number {
  const tailUsed = table.tailUsed;
  const { i32 } = table;
  let read = readGroups(table, base, buf, view, from + COUNT_BYTES, to, false);
  if ((i32[base + MASK] & DOUBTFUL_BIT) !== 0 && read !== to && wideEnd(buf, from + COUNT_BYTES, to) === to) {
    // Prefixes that no capture shows count only when that makes the packet come out even.
    table.tailUsed = tailUsed;
    read = readGroups(table, base, buf, view, from + COUNT_BYTES, to, true);
  }
  if (read < 0) read = ~read;
  const mask = i32[base + MASK];
  if ((mask & STATUS_BIT) === 0) i32[base + STATUS_SLOT] = 0;
  i32[base + MASK] = mask & COLUMN_BITS;
  return read;
}

// `wide`: the doubtful prefixes are prefixes. Returns the complement of the index when a group is cut there.
function readGroups(
  table: PositionTable,
  base: number,
  buf: Uint8Array,
  view: DataView,
  from: number,
  to: number,
  wide: boolean,
): number {
  const i32 = table.i32;
  let p = readNumbers(i32, base, view, from, to);
  if (p < 0) {
    i32[base + MASK] = 0;
    p = from;
    for (let group = 0; group < 3 && p < to; group++) {
      p = readAny(table, base, buf, view, p, to, group, wide);
      if (p < 0) return p;
    }
  }
  if (p >= to) return p;
  const mask = i32[base + MASK];
  const tailUsed = table.tailUsed;
  const end = readMany(table, base, view, p, to);
  if (end >= 0) return end;
  i32[base + MASK] = mask;
  table.tailUsed = tailUsed;
  return readAny(table, base, buf, view, p, to, 3, wide);
}

/**
 * Reads the groups of 1, 2 and 4 bytes when all their ids have columns, two parameters a turn and without a branch
 * for each: an unknown id has rule 0, which writes to the slot of the mask and raises its highest bit.
 * @returns index of group n; -1 when there is anything else in the groups, after which the row is to be read again
 */
function readNumbers(i32: Int32Array, base: number, view: DataView, from: number, to: number): number {
  const row = base | 0;
  let p = from | 0;
  let mask = 0;
  let total = 0;

  if (p >= to) return -1;
  let count = view.getUint8(p);
  total = count;
  let stop = (p + 1 + count * 2) | 0;
  if (stop >= to) return -1;
  p = (p + 1) | 0;
  if ((count & 1) !== 0) {
    const slot = RULES_1[view.getUint8(p)] & SLOT_BITS;
    i32[row + slot] = view.getUint8(p + 1);
    mask = 1 << (slot - 1);
    p = (p + 2) | 0;
  }
  for (; p < stop; p = (p + 4) | 0) {
    const both = view.getInt32(p, true);
    const slot = RULES_1[both & 0xff] & SLOT_BITS;
    const other = RULES_1[(both >> 16) & 0xff] & SLOT_BITS;
    i32[row + slot] = (both >> 8) & 0xff;
    i32[row + other] = both >>> 24;
    mask |= (1 << (slot - 1)) | (1 << (other - 1));
  }

  count = view.getUint8(p);
  total += count;
  stop = (p + 1 + count * 3) | 0;
  if (stop >= to) return -1;
  p = (p + 1) | 0;
  if ((count & 1) !== 0) {
    const rule = RULES_2[view.getUint8(p)];
    const value = view.getInt16(p + 1, true);
    const slot = rule & SLOT_BITS;
    i32[row + slot] = imul((rule & SIGNED_BIT) !== 0 ? value : value & 0xffff, rule >> FACTOR_SHIFT);
    mask |= 1 << (slot - 1);
    p = (p + 3) | 0;
  }
  for (; p < stop; p = (p + 6) | 0) {
    const low = view.getInt32(p, true);
    const high = view.getInt16(p + 4, true);
    const rule = RULES_2[low & 0xff];
    const otherRule = RULES_2[low >>> 24];
    const slot = rule & SLOT_BITS;
    const other = otherRule & SLOT_BITS;
    const value = (rule & SIGNED_BIT) !== 0 ? (low << 8) >> 16 : (low << 8) >>> 16;
    i32[row + slot] = imul(value, rule >> FACTOR_SHIFT);
    i32[row + other] = imul((otherRule & SIGNED_BIT) !== 0 ? high : high & 0xffff, otherRule >> FACTOR_SHIFT);
    mask |= (1 << (slot - 1)) | (1 << (other - 1));
  }

  count = view.getUint8(p);
  total += count;
  stop = (p + 1 + count * 5) | 0;
  if (stop > to) return -1;
  p = (p + 1) | 0;
  if ((count & 1) !== 0) {
    const slot = RULES_4[view.getUint8(p)] & SLOT_BITS;
    i32[row + slot] = view.getInt32(p + 1, true);
    mask |= 1 << (slot - 1);
    p = (p + 5) | 0;
  }
  for (; p < stop; p = (p + 10) | 0) {
    const slot = RULES_4[view.getUint8(p)] & SLOT_BITS;
    const other = RULES_4[view.getUint8(p + 5)] & SLOT_BITS;
    i32[row + slot] = view.getInt32(p + 1, true);
    i32[row + other] = view.getInt32(p + 6, true);
    mask |= (1 << (slot - 1)) | (1 << (other - 1));
  }
  // Each parameter has a bit of its own, unless an id came twice.
  if (mask < 0 || popcount(mask) !== total) return -1;
  i32[row + MASK] = mask;
  return p;
}

/** Number of bits that are set, of 31. */
function popcount(bitsOfMask: number): number {
  const pairs = bitsOfMask - ((bitsOfMask >> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333);
  return imul((fours + (fours >> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * Reads group n: the current cell into columns, everything else into the tail.
 * @returns index after the group; -1 when it is cut or has ids that need a closer look
 */
function readMany(table: PositionTable, base: number, view: DataView, from: number, to: number): number {
  if (from >= to) return from;
  const i32 = table.i32;
  const tail = table.tailView;
  const row = base | 0;
  let t = table.tailUsed | 0;
  let p = (from + 1) | 0;
  for (let n = view.getUint8(from); n > 0; n--) {
    const w = view.getInt32(p, true);
    let id = w & 0xff;
    let length = (w >> 8) & 0xff;
    p = (p + 2) | 0;
    if (id >= FIRST_PREFIX && PREFIX[id] !== 0) {
      if (PREFIX[id] === 2) return -1;
      id = (id << 8) | length;
      length = (w >> 16) & 0xff;
      p = (p + 1) | 0;
    }
    if (p + length > to || (id === NETWORK_ID && length === 2)) return -1;
    if (id === CELL_ID && length === CELL_BYTES) {
      if ((i32[row + MASK] & CELL_BITS) !== 0) return -1;
      readCell(i32, row, view, p);
      i32[row + MASK] |= CELL_BITS;
    } else {
      // Key and length as varints, then the bytes, four at a time and up to three too many.
      const key = GROUP_N_KEY | id;
      tail.setInt32(
        t,
        (key & 0x7f) | ((key & 0x3f80) << 1) | ((key >> 14) << 16) | ((length & 0x7f) << 24) | 0x8080,
        true,
      );
      t = (t + 4) | 0;
      if (length > 0x7f) {
        tail.setUint8(t - 1, length | 0x80);
        tail.setUint8(t, 1);
        t = (t + 1) | 0;
      }
      for (let i = 0; i < length; i += 4) tail.setInt32(t + i, view.getInt32(p + i, true), true);
      t = (t + length) | 0;
    }
    p = (p + length) | 0;
  }
  table.tailUsed = t;
  return p;
}

/**
 * Reads one group of any kind: unknown ids, two-byte ids, ids that come twice, a group that is cut.
 * @returns index after the group; its complement after the last whole parameter when the packet ends before
 */
function readAny(
  table: PositionTable,
  base: number,
  buf: Uint8Array,
  view: DataView,
  from: number,
  to: number,
  group: number,
  wide: boolean,
): number {
  const i32 = table.i32;
  const rules = RULES[group];
  let mask = i32[base + MASK];
  let narrow = mask;
  let p = from + 1;
  let length = group === 3 ? 0 : 1 << group;
  for (let n = buf[from]; n > 0; n--) {
    const start = p;
    let id = buf[p++];
    let rule = rules[id];
    if (PREFIX[id] !== 0) {
      rule = 0;
      if (PREFIX[id] === 1 || wide) id = (id << 8) | buf[p++];
      else mask |= DOUBTFUL_BIT;
    }
    if (group === 3) {
      length = buf[p++];
      if (id === NETWORK_ID && length === 2 && isErased(buf, p, to)) length = ERASED_NETWORK_BYTES;
    }
    if (p + length > to) {
      i32[base + MASK] = mask;
      return ~start;
    }
    const slot = rule & SLOT_BITS;
    const bit = 1 << (slot - 1);
    if ((narrow & bit) !== 0 && (rule & WIDER_BIT) !== 0) {
      // The wider number counts; the narrow one, of group 1, is kept.
      const key = GROUP_1_KEY + (slot === EVENT ? EVENT_ID : INPUTS_ID);
      table.addTail(key, Uint8Array.of(i32[base + slot]), 0, 1);
      mask ^= bit;
      narrow ^= bit;
    }
    if (rule !== 0 && (mask & bit) === 0) {
      const word = length === 4 ? view.getInt32(p, true) : length === 2 ? view.getInt16(p, true) : view.getUint8(p);
      const value = length === 2 && (rule & SIGNED_BIT) === 0 ? word & 0xffff : word;
      i32[base + slot] = imul(value, rule >> FACTOR_SHIFT);
      mask |= bit;
    } else if (group === 3 && id === CELL_ID && length === CELL_BYTES && (mask & CELL_BITS) === 0) {
      readCell(i32, base, view, p);
      mask |= CELL_BITS;
    } else {
      table.addTail(((group + 1) * TAIL.cceGroup) | id, buf, p, p + length);
    }
    p += length;
  }
  i32[base + MASK] = mask;
  return p;
}

function readCell(i32: Int32Array, base: number, view: DataView, p: number): void {
  i32[base + MCC_MNC] = (view.getUint16(p, true) << 16) | view.getUint16(p + 2, true);
  i32[base + LAC] = view.getUint16(p + 4, true);
  i32[base + CID] = view.getInt32(p + 6, true);
  i32[base + RX_LEVEL] = view.getInt16(p + 10, true);
}

/** Index at which the parameters of a packet end when doubtful prefixes are taken as prefixes. */
function wideEnd(buf: Uint8Array, from: number, to: number): number {
  let p = from;
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

function isErased(buf: Uint8Array, from: number, to: number): boolean {
  const stop = from + ERASED_NETWORK_BYTES;
  if (stop > to) return false;
  for (let i = from; i < stop; i++) if (buf[i] !== 0xff) return false;
  return true;
}
