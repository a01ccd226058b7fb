import { AAA_FIELDS, type AaaField } from "./aaa-fields.ts";
import { fieldEnd, oddField } from "./aaa-odd.ts";
import { HEX_VALUE, hash64, latin1 } from "./bytes.ts";
import { bits, COLUMNS, type DecodeOptions, FLAGS, type PositionTable, SLOT, SOURCES, TAIL, toUtc } from "./columns.ts";
import { CodecError } from "./errors.ts";

// Module constants: V8 folds these into the code of the loop below, but not imported ones.
const HEX = HEX_VALUE;
const VALID = FLAGS.valid | FLAGS.saidValid;
const EXACT = FLAGS.exact;
const OUT_OF_RANGE = FLAGS.outOfRange;
const AAA = SOURCES.indexOf("AAA") << FLAGS.sourceShift;
const AFF = SOURCES.indexOf("AFF") << FLAGS.sourceShift;
const SCALE_SHIFT = FLAGS.scaleShift;

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const EVENT = SLOT.event;
const LATITUDE = SLOT.latitudeE6;
const LONGITUDE = SLOT.longitudeE6;
const TIME = SLOT.timeS;
const MCC_MNC = SLOT.mccMnc;
const LAC = SLOT.lac;
const CID = SLOT.cid;
const INPUTS = SLOT.inputs;
const OUTPUTS = SLOT.outputs;
const AD1 = SLOT.ad1;
const DIGEST = SLOT.digestHi;
const TAIL_START = SLOT.tailStart;
const TAIL_LENGTH = SLOT.tailLength;
const SOURCE_FRAME = SLOT.sourceFrame;
const AAA_REST = TAIL.aaaRest;

const EVENT_BIT = bits("event");
const LATITUDE_BIT = bits("latitudeE6");
const TIME_BIT = bits("timeS");
const MCC_MNC_BIT = bits("mccMnc");
const LAC_BIT = bits("lac");
const CID_BIT = bits("cid");
const SAID_VALID = FLAGS.saidValid;
const PORT_BITS = bits("inputs", "outputs");
const AD1_BIT = bits("ad1");
const AD_COUNT = 8;

const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const BAR = 0x7c;
const LETTER_A = 0x41;
const LETTER_V = 0x56;

const TIME_FIELD = 4;
const STATUS_FIELD = 5;
const FIRST_NUMBER = 6;
const LAST_NUMBER = 13;
const CELL_FIELD = 14;
const PORTS_FIELD = 15;
const ANALOG_FIELD = 16;

// By field number, from the table: slot of the column, its decimal places, whether it may be negative.
const FIELDS: readonly AaaField[] = AAA_FIELDS;
const columnOf = (field: number) => COLUMNS.find((column) => column.name === FIELDS[field - 1]?.column);
const SLOT_OF = Uint8Array.from({ length: 17 }, (_, field) => SLOT[columnOf(field)?.name ?? "mask"]);
const PLACES = Uint8Array.from({ length: 17 }, (_, field) => FIELDS[field - 1]?.places ?? 0);
const SIGNED = Uint8Array.from({ length: 17 }, (_, field) => (columnOf(field)?.signed ? 1 : 0));
const POWER_OF_10 = Int32Array.from({ length: 10 }, (_, n) => 10 ** n);

// Digits of a number that certainly fits 32 bits.
const SAFE_DIGITS = 9;

// Days of a common year before each month (1 to 12) and in it.
const DAYS_IN = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const MONTH_DAYS = Int32Array.from(DAYS_IN);
const DAYS_BEFORE = Int32Array.from(DAYS_IN, (_, month) =>
  DAYS_IN.slice(0, month).reduce((sum, days) => sum + days, 0),
);

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
  let i = start;
  while (i < end && buf[i] !== COMMA) i++;
  return i < end ? decodeText(table, buf, i + 1, end, options, AFF) : 0;
}

/** The number of reports still buffered, from the content of an AFF frame; undefined when it is not one. */
export function affRemaining(buf: Uint8Array, start: number, end: number): number | undefined {
  const text = latin1(buf, start, fieldEnd(buf, start, end));
  return /^[0-9A-Fa-f]{1,8}$/.test(text) ? Number.parseInt(text, 16) : undefined;
}

// One pass with a local cursor. Each field has a way for its usual form here; any other form goes to oddField(),
// which takes its time. A field ends at a comma before `end`, or at `end`; after the last field `p` is past `end`.
function decodeText(
  table: PositionTable,
  buf: Uint8Array,
  start: number,
  end: number,
  options: DecodeOptions,
  source: number,
): number {
  const tailStart = table.tailUsed;
  const base = table.addRow();
  const i32 = table.i32;
  let mask = 0;
  let flags = source | (options.scale << SCALE_SHIFT);

  // Event.
  let p = start;
  let d = buf[p] - 48;
  let v = 0;
  while (d >= 0 && d <= 9) {
    v = (Math.imul(v, 10) + d) | 0;
    d = buf[++p] - 48;
  }
  if (d === COMMA - 48 && p > start && p - start <= SAFE_DIGITS && p < end) {
    i32[base + EVENT] = v;
    mask = EVENT_BIT;
    p++;
  } else {
    mask = oddField(table, base, 1, buf, start, end);
    if (mask === 0) throw refused(table, tailStart, start, end, "event");
    p = fieldEnd(buf, start, end) + 1;
  }

  // Latitude and longitude: up to three digits, a point, six digits.
  for (let slot = LATITUDE, bit = LATITUDE_BIT; slot <= LONGITUDE; slot++, bit <<= 1) {
    const from = p;
    const negative = buf[p] === MINUS;
    if (negative) p++;
    const digits = p;
    d = buf[p] - 48;
    v = 0;
    while (d >= 0 && d <= 9) {
      v = (Math.imul(v, 10) + d) | 0;
      d = buf[++p] - 48;
    }
    const d1 = buf[p + 1] - 48;
    const d2 = buf[p + 2] - 48;
    const d3 = buf[p + 3] - 48;
    const d4 = buf[p + 4] - 48;
    const d5 = buf[p + 5] - 48;
    const d6 = buf[p + 6] - 48;
    // Six digits have no bit above the low four, neither as they are nor with 6 added.
    const wrong = d1 | d2 | d3 | d4 | d5 | d6 | (d1 + 6) | (d2 + 6) | (d3 + 6) | (d4 + 6) | (d5 + 6) | (d6 + 6);
    if (d === DOT - 48 && (wrong & -16) === 0 && p > digits && p - digits <= 3 && buf[p + 7] === COMMA && p + 7 < end) {
      v = v * 1000000 + d1 * 100000 + d2 * 10000 + d3 * 1000 + d4 * 100 + d5 * 10 + d6;
      i32[base + slot] = negative ? -v : v;
      mask |= bit;
      p += 8;
    } else {
      const read = oddField(table, base, slot === LATITUDE ? 2 : 3, buf, from, end);
      if (read === 0) throw refused(table, tailStart, from, end, slot === LATITUDE ? "latitude" : "longitude");
      mask |= read;
      p = fieldEnd(buf, from, end) + 1;
    }
  }
  const latitude = i32[base + LATITUDE];
  const longitude = i32[base + LONGITUDE];
  if (latitude > 90e6 || latitude < -90e6 || longitude > 180e6 || longitude < -180e6) flags |= OUT_OF_RANGE;

  // Date and time: twelve digits.
  if (p <= end) {
    const from = p;
    const year = buf[p] * 10 + buf[p + 1] - 528;
    const month = buf[p + 2] * 10 + buf[p + 3] - 528;
    const day = buf[p + 4] * 10 + buf[p + 5] - 528;
    const hour = buf[p + 6] * 10 + buf[p + 7] - 528;
    const minute = buf[p + 8] * 10 + buf[p + 9] - 528;
    const second = buf[p + 10] * 10 + buf[p + 11] - 528;
    let digits = 0;
    for (const stop = p + 12; p < stop; p++) {
      d = buf[p] - 48;
      digits |= d | (d + 6);
    }
    const leapDay = (year & 3) === 0 ? 1 : 0;
    if (
      (digits & -16) === 0 &&
      buf[p] === COMMA &&
      p < end &&
      month >= 1 &&
      month <= 12 &&
      day >= 1 &&
      day <= MONTH_DAYS[month] + (month === 2 ? leapDay : 0) &&
      hour < 24 &&
      minute < 60 &&
      second < 60
    ) {
      const days = year * 365 + ((year + 3) >> 2) + DAYS_BEFORE[month] + (month > 2 ? leapDay : 0) + day - 1;
      const time = (Math.imul(days, 86400) + hour * 3600 + minute * 60 + second) | 0;
      const offset = options.offsetS ?? 0;
      i32[base + TIME] = offset === 0 ? time : toUtc(time, offset);
      mask |= TIME_BIT;
      p++;
    } else {
      mask |= oddField(table, base, TIME_FIELD, buf, from, end);
      p = fieldEnd(buf, from, end) + 1;
    }
  }

  // Status: A or V.
  if (p <= end) {
    const status = buf[p];
    if ((status === LETTER_A || status === LETTER_V) && buf[p + 1] === COMMA && p + 1 < end) {
      if (status === LETTER_A) flags |= (flags & OUT_OF_RANGE) === 0 ? VALID : SAID_VALID;
      p += 2;
    } else {
      const stop = fieldEnd(buf, p, end);
      if (stop === p + 1 && status === LETTER_A) flags |= (flags & OUT_OF_RANGE) === 0 ? VALID : SAID_VALID;
      else if (stop > p && !(stop === p + 1 && status === LETTER_V)) table.addTail(STATUS_FIELD, buf, p, stop);
      p = stop + 1;
    }
  }

  // Satellites to run time: numbers, some with a fraction.
  for (let field = FIRST_NUMBER; field <= LAST_NUMBER && p <= end; field++) {
    const from = p;
    const places = PLACES[field];
    d = buf[p] - 48;
    const negative = d === MINUS - 48;
    if (negative) d = buf[++p] - 48;
    const digits = p;
    v = 0;
    while (d >= 0 && d <= 9) {
      v = (Math.imul(v, 10) + d) | 0;
      d = buf[++p] - 48;
    }
    const whole = p - digits;
    let missing = places;
    if (d === DOT - 48) {
      d = buf[++p] - 48;
      while (d >= 0 && d <= 9) {
        v = (Math.imul(v, 10) + d) | 0;
        missing--;
        d = buf[++p] - 48;
      }
    }
    const last = p === end;
    if (
      (last || (d === COMMA - 48 && p < end)) &&
      missing >= 0 &&
      whole > 0 &&
      whole + places <= SAFE_DIGITS &&
      (!negative || SIGNED[field] === 1)
    ) {
      v = Math.imul(v, POWER_OF_10[missing]);
      const slot = SLOT_OF[field];
      i32[base + slot] = negative ? -v : v;
      mask |= 1 << (slot - 1);
    } else if (p > from || !(last || d === COMMA - 48)) {
      mask |= oddField(table, base, field, buf, from, end);
      p = fieldEnd(buf, from, end);
    }
    p++;
  }

  // Base station: MCC|MNC|LAC|CI, the last two in hex and often empty.
  if (p <= end) {
    const from = p;
    let mcc = 0;
    d = buf[p] - 48;
    while (d >= 0 && d <= 9) {
      mcc = (Math.imul(mcc, 10) + d) | 0;
      d = buf[++p] - 48;
    }
    const mncFrom = p + 1;
    let mnc = 0;
    if (d === BAR - 48) {
      d = buf[++p] - 48;
      while (d >= 0 && d <= 9) {
        mnc = (Math.imul(mnc, 10) + d) | 0;
        d = buf[++p] - 48;
      }
    }
    const lacFrom = p + 1;
    let lac = 0;
    let cid = 0;
    let cidFrom = 0;
    if (d === BAR - 48) {
      d = HEX[buf[++p]];
      while (d >= 0) {
        lac = (lac << 4) | d;
        d = HEX[buf[++p]];
      }
      cidFrom = p + 1;
      if (buf[p] === BAR) {
        d = HEX[buf[++p]];
        while (d >= 0) {
          cid = (cid << 4) | d;
          d = HEX[buf[++p]];
        }
      }
    }
    // A comma or the end after exactly four parts that each have a length that fits.
    if (
      (p === end || (buf[p] === COMMA && p < end)) &&
      cidFrom > lacFrom &&
      p >= cidFrom &&
      mncFrom > from + 1 &&
      mncFrom - from <= 6 &&
      lacFrom > mncFrom + 1 &&
      lacFrom - mncFrom <= 6 &&
      cidFrom - lacFrom <= 9 &&
      p - cidFrom <= 8 &&
      mcc <= 0xffff &&
      mnc <= 0xffff
    ) {
      i32[base + MCC_MNC] = (mcc << 16) | mnc;
      i32[base + LAC] = lac;
      i32[base + CID] = cid;
      mask |= MCC_MNC_BIT | (cidFrom - lacFrom > 1 ? LAC_BIT : 0) | (p > cidFrom ? CID_BIT : 0);
    } else {
      mask |= oddField(table, base, CELL_FIELD, buf, from, end);
      p = fieldEnd(buf, from, end);
    }
    p++;
  }

  // Ports: two hex digits of inputs, two of outputs.
  if (p <= end) {
    const inputs = (HEX[buf[p]] << 4) | HEX[buf[p + 1]];
    const outputs = (HEX[buf[p + 2]] << 4) | HEX[buf[p + 3]];
    if ((inputs | outputs) >= 0 && (p + 4 === end || (buf[p + 4] === COMMA && p + 4 < end))) {
      i32[base + INPUTS] = inputs;
      i32[base + OUTPUTS] = outputs;
      mask |= PORT_BITS;
      p += 5;
    } else {
      mask |= oddField(table, base, PORTS_FIELD, buf, p, end);
      p = fieldEnd(buf, p, end) + 1;
    }
  }

  // Analog values: up to eight times up to four hex digits, each of which may be empty.
  if (p <= end) {
    const from = p;
    let read = 0;
    let ad = 0;
    let sound = true;
    for (; ; ad++) {
      const valueFrom = p;
      v = (HEX[buf[p]] << 12) | (HEX[buf[p + 1]] << 8) | (HEX[buf[p + 2]] << 4) | HEX[buf[p + 3]];
      if (v >= 0) {
        p += 4;
      } else {
        v = 0;
        d = HEX[buf[p]];
        while (d >= 0) {
          v = (v << 4) | d;
          d = HEX[buf[++p]];
        }
      }
      if (p > valueFrom && ad < AD_COUNT) {
        i32[base + AD1 + ad] = v;
        read |= AD1_BIT << ad;
      }
      if (p - valueFrom > 4 || ad >= AD_COUNT) sound = false;
      if (buf[p] !== BAR || p >= end) break;
      p++;
    }
    if (sound && (p === end || (buf[p] === COMMA && p < end))) {
      mask |= read;
    } else {
      mask |= oddField(table, base, ANALOG_FIELD, buf, from, end);
      p = fieldEnd(buf, from, end);
    }
    p++;
  }

  if (table.tailUsed !== tailStart) flags |= EXACT;
  if (p < end) table.addTail(AAA_REST, buf, p, end);
  i32[base + MASK] = mask;
  i32[base + FLAGS_SLOT] = flags;
  hash64(buf, start, end, i32, base + DIGEST);
  i32[base + TAIL_START] = tailStart;
  i32[base + TAIL_LENGTH] = table.tailUsed - tailStart;
  i32[base + SOURCE_FRAME] = options.sourceFrame ?? 0;
  return 1;
}

function refused(table: PositionTable, tailUsed: number, at: number, end: number, name: string): CodecError {
  table.truncate(table.count - 1, tailUsed);
  return new CodecError("value", Math.min(at, end), `Cannot read position: ${name} is not a number that fits`);
}
