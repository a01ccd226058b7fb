import { bytesOf } from "./bytes.ts";
import { EPOCH_MS } from "./columns.ts";
import { addReading, addTemperature, isAbsentSensor, type Rare, type Reading } from "./meaning.ts";
import { stampSeconds } from "./stamp.ts";

const HEX_8 = /^[0-9A-Fa-f]{8}$/;
const WHOLE = /^-?\d{1,9}$/;

/** What field 17 says, by event. Events that are not here leave it empty; if not, its text is the reading `assist`. */
const ASSIST: Readonly<Record<number, (text: string, rare: Rare) => boolean>> = {
  20: (text, rare) => fenceNumber(text, rare),
  21: (text, rare) => fenceNumber(text, rare),
  35: (text, rare) => {
    if (HEX_8.test(text)) addReading(rare, "systemFlags", Number.parseInt(text, 16), "aaa.17");
    return HEX_8.test(text);
  },
  37: (text, rare) => {
    rare.driverId = text;
    if (HEX_8.test(text)) addReading(rare, "driverCardNumber", Number.parseInt(text, 16), "aaa.17");
    return true;
  },
  39: (text, rare) => {
    rare.pictureName = text;
    return true;
  },
  50: sensorNumber,
  51: sensorNumber,
  58: (text, rare) => {
    if (!HEX_8.test(text)) return false;
    addReading(rare, "theftSource", eitherEndian(text), "aaa.17");
    addReading(rare, "theftSourceBytes", bothEndians(text), "aaa.17");
    return true;
  },
  145: tripBlock,
};

/**
 * Meaning of AAA fields 17 and on: assisted event information, customised data, protocol version, fuel,
 * temperatures, and the tail of the model. Text that means nothing known is kept under `aaa.<field>`. Never throws.
 * Source: Meitrack GPRS protocol V1.8, T366 and T333, AAA fields 17 to 21 and "assisted event information".
 */
export function readAaaRest(text: string, event: number, rare: Rare): void {
  const fields = text.split(",");
  const [assist = "", custom = "", version = "", fuel = "", temperatures = ""] = fields;
  if (assist !== "" && !ASSIST[event]?.(assist, rare)) addReading(rare, "assist", assist, "aaa.17");
  if (custom !== "") addReading(rare, "custom", custom, "aaa.18");
  const protocol = WHOLE.test(version) ? Number(version) : undefined;
  if (version !== "") addReading(rare, "protocolVersion", protocol ?? version, "aaa.19");
  if (/^[0-9A-Fa-f]{4}$/.test(fuel)) {
    rare.fuelPercent = (Number.parseInt(fuel.slice(0, 2), 16) * 100 + Number.parseInt(fuel.slice(2), 16)) / 100;
  } else if (fuel !== "") {
    addReading(rare, "aaa.20", fuel, "aaa.20");
  }
  if (temperatures !== "" && !readTemperatures(temperatures, (protocol ?? 0) >= 3, rare)) {
    addReading(rare, "aaa.21", temperatures, "aaa.21");
  }
  readModelTail(fields, protocol ?? 0, rare);
}

// Older firmware writes whole degrees and hundredths as two bytes, the hundredths away from zero; from protocol
// version 3 on it is one number of hundredths. Returns false when the text says more than the temperatures do.
function readTemperatures(text: string, asHundredths: boolean, rare: Rare): boolean {
  let complete = true;
  for (const part of text.split("|")) {
    if (!/^[0-9A-Fa-f]{6}$/.test(part)) {
      complete = false;
      continue;
    }
    const sensor = Number.parseInt(part.slice(0, 2), 16);
    const word = Number.parseInt(part.slice(2), 16);
    const whole = (word << 16) >> 24;
    const hundredths = asHundredths ? (word << 16) >> 16 : whole * 100 + (whole < 0 ? -(word & 0xff) : word & 0xff);
    if (isAbsentSensor(sensor, (word << 16) >> 16) || !addTemperature(rare, sensor, hundredths / 100)) complete = false;
  }
  return complete;
}

function readModelTail(fields: readonly string[], protocol: number, rare: Rare): void {
  let known = 5;
  const [, , , , , first = "", second = ""] = fields;
  if (fields.length === 7 && protocol < 50 && WHOLE.test(first) && WHOLE.test(second)) {
    // T366 and "version 3" firmware: extremes between two reports.
    addReading(rare, "maxAccelerationMg", Number(first), "aaa.22");
    addReading(rare, "maxDecelerationMg", Number(second), "aaa.23");
    known = 7;
  } else if (protocol === TAXI_VERSION && /^\d{1,2}$/.test(first)) {
    known = readTaxiFields(fields, Number(first), rare);
  }
  for (let n = known; n < fields.length; n++) {
    if (fields[n] !== "") addReading(rare, `aaa.${n + 17}`, fields[n], `aaa.${n + 17}`);
  }
}

/** T333 taxi firmware. Field 22 is the number of fields that follow: 0 unknown, 2 level sensors, 5 the taxi meter. */
const TAXI_VERSION = 108;

function readTaxiFields(fields: readonly string[], count: number, rare: Rare): number {
  const meter = fields[6 + 5];
  if (count < 6 || meter === undefined) return 6;
  const taxi = readTaxiMeter(meter);
  if (taxi === null) return 6;
  addReading(rare, "taxi", taxi, "aaa.28");
  for (let n = 6; n < 6 + 5; n++) {
    if (fields[n] !== "") addReading(rare, `aaa.${n + 17}`, fields[n], `aaa.${n + 17}`);
  }
  return 6 + 6;
}

// info|start[|end|distance m|fare 1/100 THB|trip HHMMSS|wait HHMMSS]
function readTaxiMeter(text: string): Reading | null {
  const [info = "", start = "", end, distance, fare, trip, wait, ...more] = text.split("|");
  if (!/^[0-9A-Fa-f]{1,2}$/.test(info) || more.length > 0) return null;
  const flags = Number.parseInt(info, 16);
  const taxi: Record<string, Reading> = { info, state: (flags & 1) === 1 ? "stopped" : "started" };
  const times = { startTime: start, endTime: end };
  for (const [name, stamp] of Object.entries(times)) {
    if (stamp === undefined || stamp === "") continue;
    const seconds = stampSeconds(bytesOf(stamp), 0, stamp.length);
    if (seconds < 0) return null;
    taxi[name] = new Date(EPOCH_MS + seconds * 1000).toISOString();
  }
  const numbers = { distanceM: [distance, 1], fareTHB: [fare, 100] } as const;
  for (const [name, [digits, per]] of Object.entries(numbers)) {
    if (digits === undefined || digits === "") continue;
    if (!WHOLE.test(digits)) return null;
    taxi[name] = Number(digits) / per;
  }
  for (const [name, clock] of Object.entries({ tripS: trip, waitS: wait })) {
    if (clock === undefined || clock === "") continue;
    if (!/^\d{6}$/.test(clock)) return null;
    taxi[name] = Number(clock.slice(0, 2)) * 3600 + Number(clock.slice(2, 4)) * 60 + Number(clock.slice(4));
  }
  return taxi;
}

function fenceNumber(text: string, rare: Rare): boolean {
  if (!HEX_8.test(text)) return false;
  rare.geofence = eitherEndian(text);
  addReading(rare, "geofenceBytes", bothEndians(text), "aaa.17");
  return true;
}

function sensorNumber(text: string, rare: Rare): boolean {
  if (!/^[0-9A-Fa-f]{2}$/.test(text)) return false;
  addReading(rare, "temperatureSensor", Number.parseInt(text, 16), "aaa.17");
  return true;
}

// Four 32-bit numbers in hex: duration, average and highest speed, distance (all FF: none).
function tripBlock(text: string, rare: Rare): boolean {
  const hex = text.replaceAll("|", "");
  if (!/^[0-9A-Fa-f]{32}$/.test(hex)) return false;
  const [durationS, averageSpeedKmh, maxSpeedKmh, distanceM] = [0, 8, 16, 24].map((at) =>
    eitherEndian(hex.slice(at, at + 8)),
  );
  const known = distanceM === 0xffffffff ? {} : { distanceM };
  addReading(rare, "trip", { durationS, averageSpeedKmh, maxSpeedKmh, ...known }, "aaa.17");
  addReading(rare, "tripHex", text, "aaa.17");
  return true;
}

// The manual prints these numbers low byte first, other firmware high byte first: low first when only that gives a
// small number.
function eitherEndian(hex: string): number {
  const { lowFirst, highFirst } = bothEndians(hex);
  return !hex.startsWith("00") && hex.endsWith("00") ? lowFirst : highFirst;
}

function bothEndians(hex: string): { hex: string; lowFirst: number; highFirst: number } {
  const bytes = hex.match(/../g) ?? [];
  return { hex, lowFirst: Number.parseInt([...bytes].reverse().join(""), 16), highFirst: Number.parseInt(hex, 16) };
}
