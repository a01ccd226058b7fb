import { HEX_VALUE } from "./bytes.ts";
import { bits, FLAGS, SLOT, toUtc } from "./columns.ts";

// The usual form of an AAA report, read four characters at a time:
//
//   event 1-3 digits, latitude and longitude [-]1-3.6 digits, time 12 digits, A|V, satellites, GSM, speed and course
//   1-3 digits, HDOP 1[.1] digits, altitude [-]1-4 digits, odometer and run time 1-9 digits, MCC|MNC 1-3 digits each,
//   LAC|CI 4 and 4 or 8 hex digits, ports 4 hex digits, 1-8 analog values of 4 hex digits or none with | between
//
// V8 checks an array anew at every turn of a loop and after every call, and inlines only so much into one function.
// So there is no loop over characters here, and the arithmetic on words is written out where it is needed: a loop or
// a function for it takes half as long again.
//
// A word is four characters, the first in the lowest byte, xor "0000": digits are their value, others above 9.
//
//   above = ((w + SIXES) | w) & TOPS          bit 7 of each byte above 9; true up to the first, carries go upwards
//   bits = 24 - clz32(above & -above)         eight times the number of leading digits, -8 when all four are digits
//   w = (w << 8) << (24 - bits)               these digits behind zeros: a number of four digits
//   w = (w * 10 + (w >>> 8)) & PAIRS          two numbers of two digits, in bits 0 to 7 and 16 to 23
//   (w & 0xff) * 100 + (w >>> 16)             the number

//
// All of it is inside a function for the sake of its constants: of those of a module a bundler makes variables, which
// V8 loads anew at each use. That costs the Worker a fifth of the time.

/**
 * Reads fields 1 to 16 of an AAA report into the row at `base`: columns, mask, and the flags that the fields decide.
 * @param view over the bytes; has a character that is neither digit nor comma at `end`, and OVERREAD bytes from there
 * @param offsetS seconds by which the tracker's clock is ahead of UTC
 * @returns index of field 17, or one past `end` when there is none; -1 when any field has another form
 */
export const readUsual = (() => {
  const { clz32, imul } = Math;
  const ZEROS = 0x30303030;
  const SIXES = 0x76767676;
  const TOPS = 0x80808080;
  const PAIRS = 0x00ff00ff;

  const COMMA = 0x2c;
  const BAR = 0x7c;
  // Xor "0", as in a word.
  const COMMA_X = COMMA ^ 0x30;
  const MINUS_X = 0x2d ^ 0x30;
  const DOT_X = 0x2e ^ 0x30;
  const BAR_X = BAR ^ 0x30;
  /** `,` above `.`, each in the upper half of its half word: the two bytes around tenths. */
  const TENTHS_X = (COMMA_X << 24) | (DOT_X << 8);
  // With the comma behind it.
  const STATUS_A = 0x2c41;
  const STATUS_V = 0x2c56;

  /** Characters. */
  const LONGEST_COORDINATE = 12;
  const TIME_AND_STATUS = 15;
  const SHORTEST_CELL_END = 14;

  const HEX = HEX_VALUE;
  const POWER_OF_10 = Int32Array.of(1, 10, 100, 1000);

  const MASK = SLOT.mask;
  const FLAGS_SLOT = SLOT.flags;
  const EVENT = SLOT.event;
  const LATITUDE = SLOT.latitudeE6;
  const LONGITUDE = SLOT.longitudeE6;
  const TIME = SLOT.timeS;
  const SATELLITES = SLOT.satellites;
  const SPEED = SLOT.speedMilli;
  const COURSE = SLOT.courseMilli;
  const HDOP = SLOT.hdopMilli;
  const ALTITUDE = SLOT.altitudeMilli;
  const ODOMETER = SLOT.odometerM;
  const RUNTIME = SLOT.runtimeS;
  const MCC_MNC = SLOT.mccMnc;
  const LAC = SLOT.lac;
  const CID = SLOT.cid;
  const INPUTS = SLOT.inputs;
  const OUTPUTS = SLOT.outputs;
  const AD1 = SLOT.ad1;
  const AD_COUNT = 8;

  const AD1_BIT = bits("ad1");
  const ALL_BUT_ANALOG =
    bits("event", "latitudeE6", "longitudeE6", "timeS", "satellites", "gsmSignal", "speedMilli", "courseMilli") |
    bits("hdopMilli", "altitudeMilli", "odometerM", "runtimeS", "mccMnc", "lac", "cid", "inputs", "outputs");
  const VALID = FLAGS.valid | FLAGS.saidValid;
  const SAID_VALID = FLAGS.saidValid;
  const OUT_OF_RANGE = FLAGS.outOfRange;

  return function readUsual(
    i32: Int32Array,
    base: number,
    view: DataView,
    start: number,
    end: number,
    offsetS: number,
  ): number {
    const row = base | 0;
    let p = start | 0;

    // Event.
    let w = view.getInt32(p, true) ^ ZEROS;
    let above = ((w + SIXES) | w) & TOPS;
    let digits = 24 - clz32(above & -above);
    if (digits === 0 || ((w >> digits) & 0xff) !== COMMA_X) return -1;
    w = (w << 8) << (24 - digits);
    w = (w * 10 + (w >>> 8)) & PAIRS;
    i32[row + EVENT] = (w & 0xff) * 100 + (w >>> 16);
    p = (p + (digits >> 3) + 1) | 0;

    for (let slot = LATITUDE; slot <= LONGITUDE; slot++) {
      if (p + LONGEST_COORDINATE > end) return -1;
      w = view.getInt32(p, true) ^ ZEROS;
      const sign = (w & 0xff) === MINUS_X ? 1 : 0;
      w = view.getInt32(p + sign, true) ^ ZEROS;
      above = ((w + SIXES) | w) & TOPS;
      digits = 24 - clz32(above & -above);
      if (digits === 0 || ((w >> digits) & 0xff) !== DOT_X) return -1;
      p = (p + (digits >> 3) + 1 + sign) | 0;
      let high = view.getInt32(p, true) ^ ZEROS;
      let low = view.getInt32(p + 4, true) ^ ZEROS;
      above = (((high + SIXES) | high) & TOPS) | (((low + SIXES) | low) & 0x8080);
      if (above !== 0 || ((low >> 16) & 0xff) !== COMMA_X) return -1;
      w = (w << 8) << (24 - digits);
      w = (w * 10 + (w >>> 8)) & PAIRS;
      high = (high * 10 + (high >>> 8)) & PAIRS;
      low = ((low & 0xff) * 10 + ((low >> 8) & 0xff)) | 0;
      const whole = imul((w & 0xff) * 100 + (w >>> 16), 1_000_000);
      const degrees = (whole + imul((high & 0xff) * 100 + (high >>> 16), 100) + low) | 0;
      i32[row + slot] = (degrees ^ -sign) + sign;
      p = (p + 7) | 0;
    }

    // Date and time, status.
    if (p + TIME_AND_STATUS > end) return -1;
    let date = view.getInt32(p, true) ^ ZEROS;
    let hours = view.getInt32(p + 4, true) ^ ZEROS;
    let seconds = view.getInt32(p + 8, true) ^ ZEROS;
    above = ((date + SIXES) | date | (hours + SIXES) | hours | (seconds + SIXES) | seconds) & TOPS;
    if (above !== 0 || view.getUint8(p + 12) !== COMMA) return -1;
    date = (date * 10 + (date >>> 8)) & PAIRS;
    hours = (hours * 10 + (hours >>> 8)) & PAIRS;
    seconds = (seconds * 10 + (seconds >>> 8)) & PAIRS;
    const year = date & 0xff;
    const month = date >> 16;
    const day = hours & 0xff;
    const hour = hours >> 16;
    const minute = seconds & 0xff;
    const second = seconds >> 16;
    const leapDay = (year & 3) === 0 ? 1 : 0;
    const days = month === 2 ? 28 + leapDay : 30 + ((month ^ (month >> 3)) & 1);
    // Each term is negative when its number is in range.
    if (((month - 13) & -month & (day - days - 1) & -day & (hour - 24) & (minute - 60) & (second - 60)) >= 0) return -1;
    // Days before the year, before the month if February had 30 (a division by 12), and what February lacks.
    const lacking = month > 2 ? 2 - leapDay : 0;
    const before = year * 365 + ((year + 3) >> 2) + (imul(367 * month - 362, 10923) >> 17) - lacking;
    const time = (imul(before + day - 1, 86400) + hour * 3600 + minute * 60 + second) | 0;
    i32[row + TIME] = offsetS === 0 ? time : toUtc(time, offsetS);
    const status = view.getUint16(p + 13, true);
    if (status !== STATUS_A && status !== STATUS_V) return -1;
    const latitude = i32[row + LATITUDE];
    const longitude = i32[row + LONGITUDE];
    let flags = status === STATUS_A ? VALID : 0;
    if (latitude > 90e6 || latitude < -90e6 || longitude > 180e6 || longitude < -180e6) {
      flags = status === STATUS_A ? OUT_OF_RANGE | SAID_VALID : OUT_OF_RANGE;
    }
    i32[row + FLAGS_SLOT] |= flags;
    p = (p + TIME_AND_STATUS) | 0;

    // Satellites, GSM signal, speed, course.
    for (let slot = SATELLITES; slot <= COURSE; slot++) {
      w = view.getInt32(p, true) ^ ZEROS;
      above = ((w + SIXES) | w) & TOPS;
      digits = 24 - clz32(above & -above);
      if (digits === 0 || ((w >> digits) & 0xff) !== COMMA_X) return -1;
      w = (w << 8) << (24 - digits);
      w = (w * 10 + (w >>> 8)) & PAIRS;
      i32[row + slot] = imul((w & 0xff) * 100 + (w >>> 16), slot < SPEED ? 1 : 1000);
      p = (p + (digits >> 3) + 1) | 0;
    }

    // HDOP.
    w = view.getInt32(p, true) ^ ZEROS;
    if ((w & 0xff) > 9) return -1;
    if ((w & 0xff00ff00) === TENTHS_X && ((w >> 16) & 0xff) < 10) {
      i32[row + HDOP] = (w & 0xff) * 1000 + ((w >> 16) & 0xff) * 100;
      p = (p + 4) | 0;
    } else if (((w >> 8) & 0xff) === COMMA_X) {
      i32[row + HDOP] = (w & 0xff) * 1000;
      p = (p + 2) | 0;
    } else {
      return -1;
    }

    // Altitude.
    w = view.getInt32(p, true) ^ ZEROS;
    const minus = (w & 0xff) === MINUS_X ? 1 : 0;
    w = view.getInt32(p + minus, true) ^ ZEROS;
    above = ((w + SIXES) | w) & TOPS;
    digits = 24 - clz32(above & -above);
    if (digits === 0) return -1;
    if (digits < 0) digits = 32;
    else w = (w << 8) << (24 - digits);
    p = (p + minus + (digits >> 3)) | 0;
    if (p > end || view.getUint8(p) !== COMMA) return -1;
    w = (w * 10 + (w >>> 8)) & PAIRS;
    const metres = imul((w & 0xff) * 100 + (w >>> 16), 1000);
    i32[row + ALTITUDE] = (metres ^ -minus) + minus;
    p = (p + 1) | 0;

    for (let slot = ODOMETER; slot <= RUNTIME; slot++) {
      w = view.getInt32(p, true) ^ ZEROS;
      above = ((w + SIXES) | w) & TOPS;
      if ((above & 0x80) !== 0) return -1;
      // Up to twice four digits first.
      let v = 0;
      for (let words = 0; above === 0; words++) {
        if (words === 2) return -1;
        w = (w * 10 + (w >>> 8)) & PAIRS;
        v = (imul(v, 10000) + (w & 0xff) * 100 + (w >>> 16)) | 0;
        p = (p + 4) | 0;
        w = view.getInt32(p, true) ^ ZEROS;
        above = ((w + SIXES) | w) & TOPS;
      }
      digits = 24 - clz32(above & -above);
      if (((w >> digits) & 0xff) !== COMMA_X || (digits > 8 && v > 9999)) return -1;
      w = (w << 8) << (24 - digits);
      w = (w * 10 + (w >>> 8)) & PAIRS;
      i32[row + slot] = imul(v, POWER_OF_10[digits >> 3]) + (w & 0xff) * 100 + (w >>> 16);
      p = (p + (digits >> 3) + 1) | 0;
    }

    // MCC and MNC.
    let network = 0;
    for (let part = 0; part < 2; part++) {
      w = view.getInt32(p, true) ^ ZEROS;
      above = ((w + SIXES) | w) & TOPS;
      digits = 24 - clz32(above & -above);
      if (digits === 0 || ((w >> digits) & 0xff) !== BAR_X) return -1;
      w = (w << 8) << (24 - digits);
      w = (w * 10 + (w >>> 8)) & PAIRS;
      network = (network << 16) | ((w & 0xff) * 100 + (w >>> 16));
      p = (p + (digits >> 3) + 1) | 0;
      if (p > end) return -1;
    }
    i32[row + MCC_MNC] = network;

    // LAC and CI, ports.
    if (p + SHORTEST_CELL_END > end || view.getUint8(p + 4) !== BAR) return -1;
    w = view.getInt32(p, true);
    const lac = (HEX[w & 0xff] << 12) | (HEX[(w >> 8) & 0xff] << 8) | (HEX[(w >> 16) & 0xff] << 4) | HEX[w >>> 24];
    w = view.getInt32(p + 5, true);
    let cid = (HEX[w & 0xff] << 12) | (HEX[(w >> 8) & 0xff] << 8) | (HEX[(w >> 16) & 0xff] << 4) | HEX[w >>> 24];
    if ((lac | cid) < 0) return -1;
    p = (p + 9) | 0;
    if (view.getUint8(p) !== COMMA) {
      w = view.getInt32(p, true);
      const low = (HEX[w & 0xff] << 12) | (HEX[(w >> 8) & 0xff] << 8) | (HEX[(w >> 16) & 0xff] << 4) | HEX[w >>> 24];
      p = (p + 4) | 0;
      if (low < 0 || p > end || view.getUint8(p) !== COMMA) return -1;
      cid = (cid << 16) | low;
    }
    i32[row + LAC] = lac;
    i32[row + CID] = cid;
    w = view.getInt32(p + 1, true);
    const inputs = (HEX[w & 0xff] << 4) | HEX[(w >> 8) & 0xff];
    const outputs = (HEX[(w >> 16) & 0xff] << 4) | HEX[w >>> 24];
    p = (p + 5) | 0;
    if ((inputs | outputs) < 0 || p > end || view.getUint8(p) !== COMMA) return -1;
    i32[row + INPUTS] = inputs;
    i32[row + OUTPUTS] = outputs;
    p = (p + 1) | 0;

    // Analog values.
    let mask = ALL_BUT_ANALOG;
    let stop = BAR;
    for (let ad = 0; stop === BAR && ad < AD_COUNT; ad++) {
      w = view.getInt32(p, true);
      const v = (HEX[w & 0xff] << 12) | (HEX[(w >> 8) & 0xff] << 8) | (HEX[(w >> 16) & 0xff] << 4) | HEX[w >>> 24];
      if (v >= 0) {
        i32[row + AD1 + ad] = v;
        mask |= AD1_BIT << ad;
        p = (p + 4) | 0;
      }
      stop = view.getUint8(p);
      p = (p + 1) | 0;
    }
    if (stop !== COMMA && p !== end + 1) return -1;
    i32[row + MASK] = mask;
    return p;
  };
})();
