import { CCE_IDS, CELL_BITS, CELL_BYTES, GROUP_N_KEY, PREFIX, RULE, RULES } from "./cce-rules.ts";
import { bits, type PositionTable, SLOT } from "./columns.ts";

// The usual form of the groups of a CCE packet, read several bytes at a time. All of it is inside a function for the
// sake of its constants: of those of a module a bundler makes variables, which V8 loads anew at each use. That costs
// the Worker a fifth of the time.
const usual = (() => {
  const { imul } = Math;
  const { SLOT: SLOT_BITS, SIGNED: SIGNED_BIT, FACTOR_SHIFT } = RULE;
  const { cell: CELL_ID, network: NETWORK_ID } = CCE_IDS;
  const [BYTES, WORDS, LONGS] = RULES;
  const PREFIX_OF = PREFIX;
  const FIRST_PREFIX = PREFIX.findIndex((kind) => kind !== 0);
  const CELL_LENGTH = CELL_BYTES;
  const CELL_MASK = CELL_BITS;
  const KEY = GROUP_N_KEY;
  const MASK = SLOT.mask;
  const MCC_MNC = SLOT.mccMnc;
  const LAC = SLOT.lac;
  const CID = SLOT.cid;
  const RX_LEVEL = SLOT.rxLevel;

  // Speed, course, HDOP and altitude (08, 09, 0A, 0B) begin group 2 of most trackers: their ids as they stand in its
  // first twelve bytes, their columns and factors.
  const MOTION_LOW = 0x09000008;
  const MOTION_MIDDLE = 0x0a0000;
  const MOTION_HIGH = 0x0b00;
  const MOTION_BITS = bits("speedMilli", "courseMilli", "hdopMilli", "altitudeMilli");
  const SPEED = SLOT.speedMilli;
  const COURSE = SLOT.courseMilli;
  const HDOP = SLOT.hdopMilli;
  const ALTITUDE = SLOT.altitudeMilli;
  const SPEED_TIMES = WORDS[0x08] >> FACTOR_SHIFT;
  const COURSE_TIMES = WORDS[0x09] >> FACTOR_SHIFT;
  const HDOP_TIMES = WORDS[0x0a] >> FACTOR_SHIFT;
  const ALTITUDE_TIMES = WORDS[0x0b] >> FACTOR_SHIFT;

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
      const slot = BYTES[view.getUint8(p)] & SLOT_BITS;
      i32[row + slot] = view.getUint8(p + 1);
      mask = 1 << (slot - 1);
      p = (p + 2) | 0;
    }
    for (; p < stop; p = (p + 4) | 0) {
      const both = view.getInt32(p, true);
      const slot = BYTES[both & 0xff] & SLOT_BITS;
      const other = BYTES[(both >> 16) & 0xff] & SLOT_BITS;
      i32[row + slot] = (both >> 8) & 0xff;
      i32[row + other] = both >>> 24;
      mask |= (1 << (slot - 1)) | (1 << (other - 1));
    }

    count = view.getUint8(p);
    total += count;
    stop = (p + 1 + count * 3) | 0;
    if (stop >= to) return -1;
    p = (p + 1) | 0;
    if (count >= 4) {
      const low = view.getInt32(p, true);
      const middle = view.getInt32(p + 4, true);
      const high = view.getInt32(p + 8, true);
      if (
        (low & 0xff0000ff) === MOTION_LOW &&
        (middle & 0xff0000) === MOTION_MIDDLE &&
        (high & 0xff00) === MOTION_HIGH
      ) {
        i32[row + SPEED] = imul((low >> 8) & 0xffff, SPEED_TIMES);
        i32[row + COURSE] = imul(middle & 0xffff, COURSE_TIMES);
        i32[row + HDOP] = imul((middle >>> 24) | ((high & 0xff) << 8), HDOP_TIMES);
        i32[row + ALTITUDE] = imul(high >> 16, ALTITUDE_TIMES);
        mask |= MOTION_BITS;
        p = (p + 12) | 0;
      }
    }
    if ((count & 1) !== 0) {
      const rule = WORDS[view.getUint8(p)];
      const value = view.getInt16(p + 1, true);
      const slot = rule & SLOT_BITS;
      i32[row + slot] = imul((rule & SIGNED_BIT) !== 0 ? value : value & 0xffff, rule >> FACTOR_SHIFT);
      mask |= 1 << (slot - 1);
      p = (p + 3) | 0;
    }
    for (; p < stop; p = (p + 6) | 0) {
      const low = view.getInt32(p, true);
      const high = view.getInt16(p + 4, true);
      const rule = WORDS[low & 0xff];
      const otherRule = WORDS[low >>> 24];
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
      const slot = LONGS[view.getUint8(p)] & SLOT_BITS;
      i32[row + slot] = view.getInt32(p + 1, true);
      mask |= 1 << (slot - 1);
      p = (p + 5) | 0;
    }
    for (; p < stop; p = (p + 10) | 0) {
      const slot = LONGS[view.getUint8(p)] & SLOT_BITS;
      const other = LONGS[view.getUint8(p + 5)] & SLOT_BITS;
      i32[row + slot] = view.getInt32(p + 1, true);
      i32[row + other] = view.getInt32(p + 6, true);
      mask |= (1 << (slot - 1)) | (1 << (other - 1));
    }
    // Each parameter has a bit of its own, unless an id came twice.
    if (mask < 0 || popcount(mask) !== total) return -1;
    i32[row + MASK] = mask;
    return p;
  }

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
      if (id >= FIRST_PREFIX && PREFIX_OF[id] !== 0) {
        if (PREFIX_OF[id] === 2) return -1;
        id = (id << 8) | length;
        length = (w >> 16) & 0xff;
        p = (p + 1) | 0;
      }
      if (p + length > to || (id === NETWORK_ID && length === 2)) return -1;
      if (id === CELL_ID && length === CELL_LENGTH) {
        if ((i32[row + MASK] & CELL_MASK) !== 0) return -1;
        readCell(i32, row, view, p);
        i32[row + MASK] |= CELL_MASK;
      } else {
        // Key and length as varints, then the bytes, four at a time and up to three too many.
        const key = KEY | id;
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

  function readCell(i32: Int32Array, base: number, view: DataView, p: number): void {
    i32[base + MCC_MNC] = (view.getUint16(p, true) << 16) | view.getUint16(p + 2, true);
    i32[base + LAC] = view.getUint16(p + 4, true);
    i32[base + CID] = view.getInt32(p + 6, true);
    i32[base + RX_LEVEL] = view.getInt16(p + 10, true);
  }

  // Number of bits that are set, of 31.
  function popcount(mask: number): number {
    const pairs = mask - ((mask >> 1) & 0x55555555);
    const fours = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333);
    return imul((fours + (fours >> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }

  return { readNumbers, readMany, readCell };
})();

/**
 * Reads the groups of 1, 2 and 4 bytes when all their ids have columns, two parameters a turn and without a branch
 * for each: an unknown id has rule 0, which writes to the slot of the mask and raises its highest bit.
 * @returns index of group n; -1 when there is anything else in the groups, after which the row is to be read again
 */
export const readNumbers = usual.readNumbers;

/**
 * Reads group n: the current cell into columns, everything else into the tail, which has room for twice the group.
 * @returns index after the group; -1 when it is cut or has ids that need a closer look
 */
export const readMany = usual.readMany;

/** Reads a current cell into its columns. */
export const readCell = usual.readCell;
