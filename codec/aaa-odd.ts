import { AAA_FIELDS, type AaaField } from "./aaa-fields.ts";
import { HEX_VALUE } from "./bytes.ts";
import { bits, COLUMNS, type PositionTable, SLOT } from "./columns.ts";

const COMMA = 0x2c;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const BAR = 0x7c;
const U16 = 0xffff;
const U32 = 0xffffffff;
const I32 = 0x7fffffff;

const COLUMN_OF = AAA_FIELDS.map((field: AaaField) => COLUMNS.find((column) => column.name === field.column));

/** Index of the comma that ends the field at `from`, or `end`. */
export function fieldEnd(buf: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end && buf[i] !== COMMA) i++;
  return i;
}

/**
 * Reads an AAA field that is not in its usual form, as bridges and odd firmware write it. What its columns cannot
 * hold exactly stays as text in the row's tail, under the field's number; an empty field leaves nothing.
 * @returns presence bits of the columns that were set; 0 when the field could not be read
 */
export function oddField(
  table: PositionTable,
  base: number,
  field: number,
  buf: Uint8Array,
  from: number,
  end: number,
): number {
  const stop = fieldEnd(buf, from, end);
  if (stop <= from) return 0;
  const { name, places } = AAA_FIELDS[field - 1] as AaaField;
  const read =
    places !== undefined
      ? readNumber(table.i32, base, field, places, buf, from, stop)
      : name === "cell"
        ? readCell(table.i32, base, buf, from, stop)
        : name === "ports"
          ? readPorts(table.i32, base, buf, from, stop)
          : name === "analog"
            ? readAnalog(table.i32, base, buf, from, stop)
            : INEXACT;
  if ((read & INEXACT) !== 0) table.addTail(field, buf, from, stop);
  return read & ~INEXACT;
}

// Besides presence bits: the text says more than the columns.
const INEXACT = 1 << 31;

// Digits with or without a sign and a point. More places than the column has are cut.
function readNumber(
  i32: Int32Array,
  base: number,
  field: number,
  places: number,
  buf: Uint8Array,
  from: number,
  stop: number,
): number {
  const column = COLUMN_OF[field - 1];
  if (column === undefined) return INEXACT;
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
  let part = 0;
  for (let start = from; start <= stop; part++) {
    const end = partEnd(buf, start, stop);
    const value = part < 2 ? decimal(buf, start, end) : hex(buf, start, end, 8);
    if (part === 0) mcc = value;
    if (part === 1 && mcc >= 0 && value >= 0) {
      i32[base + SLOT.mccMnc] = (mcc << 16) | value;
      read |= bits("mccMnc");
    } else if (part === 2 && value >= 0) {
      i32[base + SLOT.lac] = value;
      read |= bits("lac");
    } else if (part === 3 && value >= 0) {
      i32[base + SLOT.cid] = value;
      read |= bits("cid");
    }
    start = end + 1;
  }
  return read | INEXACT;
}

// Bridges write 2 or 8 digits. The lowest byte is the outputs, as in the usual form.
function readPorts(i32: Int32Array, base: number, buf: Uint8Array, from: number, stop: number): number {
  const value = hex(buf, from, stop, 8);
  if (value < 0) return INEXACT;
  i32[base + SLOT.inputs] = value / 256;
  i32[base + SLOT.outputs] = value & 0xff;
  return bits("inputs", "outputs") | INEXACT;
}

function readAnalog(i32: Int32Array, base: number, buf: Uint8Array, from: number, stop: number): number {
  let read = 0;
  let ad = 0;
  for (let start = from; start <= stop; ad++) {
    const end = partEnd(buf, start, stop);
    const value = hex(buf, start, end, 4);
    if (value >= 0 && ad < 8) {
      i32[base + SLOT.ad1 + ad] = value;
      read |= bits("ad1") << ad;
    }
    start = end + 1;
  }
  return read | INEXACT;
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
