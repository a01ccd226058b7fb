import { AAA_FIELDS, type AaaField } from "./aaa-fields.ts";
import { HEX_VALUE } from "./bytes.ts";
import { bits, COLUMNS, FLAGS, type PositionTable, SLOT, toUtc } from "./columns.ts";
import { CodecError } from "./errors.ts";
import { stampSeconds } from "./stamp.ts";

const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const BAR = 0x7c;
const LETTER_A = 0x41;
const LETTER_V = 0x56;
const U16 = 0xffff;
const U32 = 0xffffffff;
const I32 = 0x7fffffff;

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const LATITUDE = SLOT.latitudeE6;
const LONGITUDE = SLOT.longitudeE6;
const TIME = SLOT.timeS;
const MCC_MNC = SLOT.mccMnc;
const LAC = SLOT.lac;
const CID = SLOT.cid;
const INPUTS = SLOT.inputs;
const OUTPUTS = SLOT.outputs;
const AD1 = SLOT.ad1;
const AD_COUNT = 8;
const TIME_BIT = bits("timeS");
const MCC_MNC_BIT = bits("mccMnc");
const LAC_BIT = bits("lac");
const CID_BIT = bits("cid");
const PORT_BITS = bits("inputs", "outputs");
const AD1_BIT = bits("ad1");

const FIELDS: readonly AaaField[] = AAA_FIELDS;
const COLUMN_OF = FIELDS.map((field) => COLUMNS.find((column) => column.name === field.column));

/** Without these fields a report is no position. */
const NEEDED_FIELDS = 3;

/** Index of the comma that ends the field at `from`, or `end`. */
export function fieldEnd(buf: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end && buf[i] !== COMMA) i++;
  return i;
}

/**
 * Reads fields 1 to 16 of an AAA report of any form, as old and odd firmware and bridges write it, into the row at
 * `base`. What its columns cannot hold exactly stays as text in the row's tail, under the field's number.
 * @param flags what the row's flags are before the fields add to them
 * @param offsetS seconds by which the tracker's clock is ahead of UTC
 * @returns index of field 17, or one past `end` when there is none
 * @throws {CodecError} `value` when event, latitude or longitude is not a number that fits
 */
export function readAny(
  table: PositionTable,
  base: number,
  buf: Uint8Array,
  start: number,
  end: number,
  flags: number,
  offsetS: number,
): number {
  const i32 = table.i32;
  const tailUsed = table.tailUsed;
  let mask = 0;
  let status = 0;
  let p = start;
  for (let field = 1; field <= FIELDS.length && (p <= end || field <= NEEDED_FIELDS); field++) {
    const from = Math.min(p, end);
    const stop = fieldEnd(buf, from, end);
    const { name } = FIELDS[field - 1];
    let read = 0;
    if (stop === from) read = 0;
    else if (name === "time") read = readTime(i32, base, buf, from, stop, offsetS);
    else if (name === "cell") read = readCell(i32, base, buf, from, stop);
    else if (name === "ports") read = readPorts(i32, base, buf, from, stop);
    else if (name === "analog") read = readAnalog(i32, base, buf, from, stop);
    else if (name !== "status") read = readNumber(i32, base, field, buf, from, stop);
    else if (stop === from + 1 && (buf[from] === LETTER_A || buf[from] === LETTER_V)) status = buf[from];
    else read = INEXACT;
    if (field <= NEEDED_FIELDS && (read & ~INEXACT) === 0) {
      throw new CodecError("value", from, `Cannot read position: ${name} is not a number that fits`);
    }
    if ((read & INEXACT) !== 0) table.addTail(field, buf, from, stop);
    mask |= read & ~INEXACT;
    p = stop + 1;
  }
  const latitude = i32[base + LATITUDE];
  const longitude = i32[base + LONGITUDE];
  let all = table.tailUsed === tailUsed ? flags : flags | FLAGS.exact;
  if (status === LETTER_A) all |= FLAGS.saidValid;
  if (Math.abs(latitude) > 90e6 || Math.abs(longitude) > 180e6) all |= FLAGS.outOfRange;
  else if (status === LETTER_A) all |= FLAGS.valid;
  i32[base + FLAGS_SLOT] = all;
  i32[base + MASK] = mask;
  return p;
}

// The readers below return presence bits. In place of the unused highest bit: the text says more than the columns.
const INEXACT = 1 << 31;

function readTime(i32: Int32Array, base: number, buf: Uint8Array, from: number, stop: number, offsetS: number): number {
  const seconds = stampSeconds(buf, from, stop);
  if (seconds < 0) return INEXACT;
  i32[base + TIME] = offsetS === 0 ? seconds : toUtc(seconds, offsetS);
  return TIME_BIT;
}

// Digits with or without a sign and a point. More places than the column has are cut.
function readNumber(i32: Int32Array, base: number, field: number, buf: Uint8Array, from: number, stop: number): number {
  const column = COLUMN_OF[field - 1];
  const { places } = FIELDS[field - 1];
  if (column === undefined || places === undefined) return INEXACT;
  const negative = buf[from] === MINUS;
  const digits = negative || buf[from] === PLUS ? from + 1 : from;
  if (digits === stop) return INEXACT;
  let value = 0;
  let decimals = -1;
  let exact = true;
  for (let i = digits; i < stop; i++) {
    const digit = buf[i] - 48;
    if (digit >= 0 && digit <= 9) {
      if (decimals < places) {
        value = value * 10 + digit;
        if (decimals >= 0) decimals++;
      } else if (digit !== 0) exact = false;
    } else if (buf[i] === DOT && decimals < 0 && i > digits) {
      decimals = 0;
    } else {
      return INEXACT;
    }
  }
  value *= 10 ** (places - Math.max(decimals, 0));
  if (negative && value > 0 && !column.signed) return INEXACT;
  if (value > (column.signed ? I32 : U32)) return INEXACT;
  const slot = SLOT[column.name];
  i32[base + slot] = negative ? -value : value;
  return (1 << (slot - 1)) | (exact ? 0 : INEXACT);
}

function readCell(i32: Int32Array, base: number, buf: Uint8Array, from: number, stop: number): number {
  let read = 0;
  let mcc = -1;
  let exact = true;
  let part = 0;
  for (let start = from; start <= stop; part++) {
    const end = partEnd(buf, start, stop);
    const value = part < 2 ? decimal(buf, start, end) : hex(buf, start, end, 8);
    // LAC and CI may be empty.
    if (value < 0 && (part < 2 || end > start)) exact = false;
    if (part === 0) mcc = value;
    else if (part === 1 && mcc >= 0 && value >= 0) {
      i32[base + MCC_MNC] = (mcc << 16) | value;
      read |= MCC_MNC_BIT;
    } else if (part === 2 && value >= 0) {
      i32[base + LAC] = value;
      read |= LAC_BIT;
    } else if (part === 3 && value >= 0) {
      i32[base + CID] = value;
      read |= CID_BIT;
    }
    start = end + 1;
  }
  return exact && part === 4 ? read : read | INEXACT;
}

// Bridges write 2 or 8 digits. The lowest byte is the outputs, as in the usual form.
function readPorts(i32: Int32Array, base: number, buf: Uint8Array, from: number, stop: number): number {
  const value = hex(buf, from, stop, 8);
  if (value < 0) return INEXACT;
  i32[base + INPUTS] = value / 256;
  i32[base + OUTPUTS] = value & 0xff;
  return stop - from === 4 ? PORT_BITS : PORT_BITS | INEXACT;
}

function readAnalog(i32: Int32Array, base: number, buf: Uint8Array, from: number, stop: number): number {
  let read = 0;
  let exact = true;
  let ad = 0;
  for (let start = from; start <= stop; ad++) {
    const end = partEnd(buf, start, stop);
    const value = hex(buf, start, end, 4);
    if (value >= 0 && ad < AD_COUNT) {
      i32[base + AD1 + ad] = value;
      read |= AD1_BIT << ad;
    } else if (end > start) exact = false;
    start = end + 1;
  }
  return exact ? read : read | INEXACT;
}

function partEnd(buf: Uint8Array, from: number, stop: number): number {
  let i = from;
  while (i < stop && buf[i] !== BAR) i++;
  return i;
}

// Up to 16 bits; -1 when it is something else.
function decimal(buf: Uint8Array, from: number, stop: number): number {
  if (from === stop) return -1;
  let value = 0;
  for (let i = from; i < stop; i++) {
    const digit = buf[i] - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
    if (value > U16) return -1;
  }
  return value;
}

// -1 when it is empty, longer than `digits` or something else.
function hex(buf: Uint8Array, from: number, stop: number, digits: number): number {
  if (from === stop || stop - from > digits) return -1;
  let value = 0;
  for (let i = from; i < stop; i++) {
    const digit = HEX_VALUE[buf[i]];
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}
