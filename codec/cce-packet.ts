import { CCE_GROUPS } from "./cce-parameters.ts";
import {
  CCE_IDS,
  CELL_BITS,
  CELL_BYTES,
  DOUBTFUL_BIT,
  GROUP_1_KEY,
  PREFIX,
  RULE,
  RULES,
  STATUS_BIT,
  STATUS_SLOT,
} from "./cce-rules.ts";
import { readCell, readMany, readNumbers } from "./cce-usual.ts";
import { type PositionTable, SLOT, TAIL } from "./columns.ts";

// A packet of a CCE frame, integers low byte first:
//
//   parameters u16 | group 1, 2, 4: count u8, then {id, value of 1, 2, 4 bytes} | group n: count u8, then {id, length u8, value}
//
// An id is one byte, or two when the first is a prefix.
// Source: Meitrack MDVR and T633L GPRS protocols, CCE.

/** Bytes of the number of parameters, which the groups tell as well. */
const COUNT_BYTES = 2;
/** A network description whose length, 3 + 255, does not fit the length byte, which then says 2. All of it is FF. */
const ERASED_NETWORK_BYTES = 258;

const MASK = SLOT.mask;
const EVENT = SLOT.event;
const COLUMN_BITS = STATUS_BIT - 1;

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
      if (id === CCE_IDS.network && length === 2 && isErased(buf, p, to)) length = ERASED_NETWORK_BYTES;
    }
    if (p + length > to) {
      i32[base + MASK] = mask;
      return ~start;
    }
    const slot = rule & RULE.SLOT;
    const bit = 1 << (slot - 1);
    if ((narrow & bit) !== 0 && (rule & RULE.WIDER) !== 0) {
      // The wider number counts; the narrow one, of group 1, is kept.
      const key = GROUP_1_KEY + (slot === EVENT ? CCE_IDS.event : CCE_IDS.inputs);
      table.addTail(key, Uint8Array.of(i32[base + slot]), 0, 1);
      mask ^= bit;
      narrow ^= bit;
    }
    if (rule !== 0 && (mask & bit) === 0) {
      const word = length === 4 ? view.getInt32(p, true) : length === 2 ? view.getInt16(p, true) : view.getUint8(p);
      const value = length === 2 && (rule & RULE.SIGNED) === 0 ? word & 0xffff : word;
      i32[base + slot] = Math.imul(value, rule >> RULE.FACTOR_SHIFT);
      mask |= bit;
    } else if (group === 3 && id === CCE_IDS.cell && length === CELL_BYTES && (mask & CELL_BITS) === 0) {
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
