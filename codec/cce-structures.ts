import { HEX_PAIRS, latin1, toHex } from "./bytes.ts";
import { EPOCH_MS } from "./columns.ts";
import type { Rare, Reading } from "./meaning.ts";
import { addTemperature, isAbsentSensor } from "./meaning.ts";

/** Reads the fields of a structure in order. After the end every number is 0 and `short` is true. */
class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;
  short = false;
  /** High byte first. */
  big = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(count: number): Uint8Array {
    if (count > this.left) this.short = true;
    const start = this.#at;
    this.#at = Math.min(start + count, this.#bytes.length);
    return this.#bytes.subarray(start, this.#at);
  }

  #number(size: number): number {
    const bytes = this.take(size);
    if (bytes.length < size) return 0;
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + bytes[this.big ? i : size - 1 - i];
    return value;
  }

  u8(): number {
    return this.#number(1);
  }

  u16(): number {
    return this.#number(2);
  }

  u32(): number {
    return this.#number(4);
  }

  i8(): number {
    return (this.#number(1) << 24) >> 24;
  }

  i16(): number {
    return (this.#number(2) << 16) >> 16;
  }

  degrees(): number {
    return (this.#number(4) | 0) / 1e6;
  }

  time(): string {
    return new Date(EPOCH_MS + this.u32() * 1000).toISOString();
  }

  /** `AA:BB:CC:DD:EE:FF` */
  mac(): string {
    return Array.from(this.take(6), (byte) => HEX_PAIRS[byte]).join(":");
  }

  /** Text of a fixed width without its padding. */
  text(count = this.left): string {
    const bytes = this.take(count);
    return trimNul(latin1(bytes, 0, bytes.length));
  }
}

/** Text without NUL at either end. */
export function trimNul(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text.charCodeAt(start) === 0) start++;
  while (end > start && text.charCodeAt(end - 1) === 0) end--;
  return text.slice(start, end);
}

/** One entry after another up to the end. */
function list<T>(fields: Fields, read: () => T): T[] {
  const entries: T[] = [];
  while (fields.left > 0 && !fields.short) entries.push(read());
  return entries;
}

function times<T>(count: number, fields: Fields, read: () => T): T[] {
  const entries: T[] = [];
  while (entries.length < count && !fields.short) entries.push(read());
  return entries;
}

const named = (names: Readonly<Record<number, string>>, code: number): string => names[code] ?? "unknown";

const STORAGE_MEDIA = { 0: "device", 1: "M2", 2: "SD card 1", 3: "SD card 2", 4: "backup", 5: "hard disk" };
const STORAGE_ALARMS = {
  1: "full",
  2: "none",
  3: "read or write error",
  4: "partition",
  5: "removed",
  6: "bad blocks",
  7: "low space",
};
const FATIGUE_ALERTS = {
  2: "moderate fatigue",
  3: "severe fatigue",
  4: "distraction",
  5: "distraction",
  6: "absence",
  7: "smoking",
  8: "yawning",
};
const VIDEO_TYPES = { 1: "ADAS", 2: "DMS", 3: "normal" };
const TYRE_LEAKS = ["none", "fast", "slow", "inflating"];

/** ADAS and DMS alerts by protocol. Source: MDVR GPRS protocol, FE31. */
const DRIVER_ALERTS: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  1: {
    1: "eyes closed",
    2: "yawn",
    4: "head down",
    5: "looking left or right",
    6: "driver absent",
    7: "phone call",
    8: "smoking",
    9: "camera covered",
    10: "forward collision",
    11: "urban forward collision",
    12: "lane departure left",
    13: "lane departure right",
    14: "headway",
    15: "time to collision",
    16: "time to collision",
  },
  2: {
    1: "looking left",
    2: "looking right",
    3: "head up",
    4: "head down",
    5: "drowsiness",
    6: "yawn",
    7: "phone call",
    8: "smoking",
    9: "drinking",
    10: "driver absent",
    11: "camera covered",
    128: "forward collision",
    129: "distance",
    130: "lane departure left",
    131: "lane departure right",
    132: "front vehicle started",
  },
};

const reading = (name: string, value: Reading): Rare => ({ readings: { [name]: value } });

// A picture belongs to the position as well as to the alert that it shows.
function withPicture(name: string, value: Record<string, Reading>, picture: string): Rare {
  if (picture === "") return reading(name, value);
  return { pictureName: picture, ...reading(name, { ...value, picture }) };
}

function temperature(rare: Rare, sensor: number, hundredths: number): boolean {
  return !isAbsentSensor(sensor, hundredths) && addTemperature(rare, sensor, hundredths / 100);
}

/**
 * Byte order of Bluetooth values: captures are little-endian, a manual says big-endian. Little-endian unless that
 * makes a temperature or humidity that does not exist.
 */
function plausible(entries: readonly { temperatureC?: number; humidityPercent?: number }[]): boolean {
  return entries.every(
    ({ temperatureC = 0, humidityPercent = 0 }) =>
      temperatureC >= -60 && temperatureC <= 150 && humidityPercent >= 0 && humidityPercent <= 100,
  );
}

function bluetoothSensors(fields: Fields) {
  const version = fields.u8();
  const sensors = list(fields, () => ({
    name: fields.text(fields.u8()),
    mac: fields.mac(),
    batteryPercent: fields.u8(),
    temperatureC: fields.i16() / 256,
    humidityPercent: fields.i16() / 256,
    highTemperatureC: fields.i16() / 256,
    lowTemperatureC: fields.i16() / 256,
    highHumidityPercent: fields.i16() / 256,
    lowHumidityPercent: fields.i16() / 256,
  }));
  return { version, sensors };
}

function bluetoothNotice(fields: Fields) {
  const version = fields.u8();
  const type = fields.u8();
  const device = { name: fields.text(fields.u8()), mac: fields.mac() };
  let values: { temperatureC?: number; humidityPercent?: number; [name: string]: number | undefined } = {};
  if (type >= 1 && type <= 5) {
    values = { batteryPercent: fields.u8(), temperatureC: fields.i16() / 256, humidityPercent: fields.i16() / 256 };
  } else if (type === 8) {
    values = { batteryPercent: fields.u8(), rssiDbm: fields.i8() };
  } else if (type === 11 || type === 12) {
    values = { major: fields.u16(), minor: fields.u16() };
  }
  return { version, type, ...device, ...values };
}

// Reads low byte first and, when that is not plausible, high byte first. Both ways take the same number of bytes.
function eitherOrder<T>(
  bytes: Uint8Array,
  fields: Fields,
  read: (fields: Fields) => T,
  good: (value: T) => boolean,
): T {
  const little = read(fields);
  if (good(little) || fields.short) return little;
  const other = new Fields(bytes);
  other.big = true;
  const big = read(other);
  return good(big) && !other.short ? big : little;
}

function videos(fields: Fields): { channel: number; type: string; name: string }[] {
  return list(fields, () => ({
    channel: fields.u8(),
    type: named(VIDEO_TYPES, fields.u8()),
    name: fields.text(fields.u8()),
  }));
}

/** How the bytes of n-byte parameters are laid out. Source: MDVR, T633L and P99G GPRS protocols, parameter table. */
const STRUCTURES = {
  neighbourCell: (f) =>
    reading("neighbourCells", [{ mcc: f.u16(), mnc: f.u16(), lac: f.u16(), cid: f.u32(), rxLevelDbm: f.i16() }]),
  wifi: (f) => reading("wifi", [{ mac: f.mac(), rssiDbm: f.i16() }]),
  // Names of pictures in text reports end in hex digits too: 0918101221_C2E03.
  pictureTime: (f) => {
    const stamp = f.time().replace(/\D/g, "").slice(2, 14);
    return { pictureName: `${stamp}_${f.u32().toString(16).toUpperCase()}.jpg` };
  },
  // The label in the bytes is the sensor's number; the id counts from 2A and stands in when the label is 0.
  temperature: (f, id) => {
    const rare: Rare = {};
    const label = f.u8();
    const hundredths = f.i16();
    if (isAbsentSensor(label, hundredths)) return null;
    return temperature(rare, label === 0 ? id - 0x29 : label, hundredths) ? rare : null;
  },
  magneticCard: (f) => ({ driverId: f.text() }),
  pictureName: (f) => ({ pictureName: f.text() }),
  cameras: (f) => {
    const count = f.u8();
    const bitmap = f.take(8);
    const on = Array.from({ length: 64 }, (_, bit) => bit + 1).filter(
      (camera) => (bitmap[(camera - 1) >> 3] & (1 << ((camera - 1) & 7))) !== 0,
    );
    return reading("cameras", { count, on });
  },
  network: (f, _, bytes) => {
    if (bytes.length > 0 && bytes.every((byte) => byte === 0xff)) {
      f.take(f.left);
      return reading("network", "erased");
    }
    return reading("network", { version: f.u8(), type: f.u8(), description: f.text(f.u8()) });
  },
  analogList: (f) =>
    reading("analogMv", Object.fromEntries(times(f.u8(), f, () => [String(f.u8()), f.u16()] as const))),
  trip: (f) =>
    reading("trip", {
      version: f.u8(),
      distanceM: f.u32(),
      durationS: f.u32(),
      averageSpeedKmh: f.u16(),
      maxSpeedKmh: f.u16(),
      fuelPercent: f.u16() / 100,
    }),
  storage: (f) => {
    const version = f.u8();
    const medium = f.u8();
    const alarm = f.u8();
    const names = { mediumName: named(STORAGE_MEDIA, medium), alarmName: named(STORAGE_ALARMS, alarm) };
    return reading("storage", [{ version, medium, alarm, ...names }]);
  },
  temperatureList: (f) => {
    const rare: Rare = {};
    const version = f.u8();
    const sensors = times(f.u8(), f, () => {
      const number = f.u8();
      const serial = toHex(f.take(8));
      const hundredths = f.i16();
      temperature(rare, number, hundredths);
      return { number, serial, temperatureC: hundredths / 100 };
    });
    return { ...rare, ...reading("temperatureSensors", [{ version, sensors }]) };
  },
  speedsBefore: (f) => {
    const count = f.u8();
    return reading("speedsBefore", { intervalMs: f.u16(), speedsKmh: times(count, f, () => f.u8()) });
  },
  // Longitude comes before latitude here.
  overspeed: (f) =>
    reading("overspeed", {
      startTime: f.time(),
      startLongitude: f.degrees(),
      startLatitude: f.degrees(),
      endTime: f.time(),
      endLongitude: f.degrees(),
      endLatitude: f.degrees(),
      durationS: f.u32(),
      averageSpeedKmh: f.u16() / 10,
      maxSpeedKmh: f.u16() / 10,
    }),
  fatigueAlert: (f) => {
    const alert = { protocol: f.u8(), type: f.u8() };
    return withPicture("fatigueAlert", { ...alert, name: named(FATIGUE_ALERTS, alert.type) }, f.text());
  },
  driverAlert: (f) => {
    const alert = { protocol: f.u8(), type: f.u8() };
    const name = named(DRIVER_ALERTS[alert.protocol] ?? {}, alert.type);
    return withPicture("driverAlert", { ...alert, name }, f.text());
  },
  faceAlert: (f) => withPicture("faceAlert", { protocol: f.u8(), type: f.u8() }, f.text()),
  bluetooth: (f, _, bytes) =>
    reading("bluetoothNotice", eitherOrder(bytes, f, bluetoothNotice, (notice) => plausible([notice])) as Reading),
  beacons: (f) => {
    const version = f.u8();
    const beacons = list(f, () => ({
      name: f.text(f.u8()),
      mac: f.mac(),
      batteryPercent: f.u8(),
      rssiDbm: f.i8(),
    }));
    return reading("beacons", [{ version, beacons }]);
  },
  bluetoothSensors: (f, _, bytes) =>
    reading("bluetoothSensors", [eitherOrder(bytes, f, bluetoothSensors, ({ sensors }) => plausible(sensors))]),
  // The second byte is the number of entries in captures and a protocol number in one description; either way the
  // entries run to the end.
  alarmVideos: (f) => {
    const version = f.u8();
    const countOrProtocol = f.u8();
    return reading("alarmVideos", [{ version, countOrProtocol, videos: videos(f) }]);
  },
  people: (f) => {
    const counts = () => ({ up: f.u32(), down: f.u32(), allUp: f.u32(), allDown: f.u32() });
    const version = f.u8();
    const sensors: Reading[] = [];
    while (f.left > 20 && !f.short) sensors.push({ number: f.u8(), door: f.u8(), state: f.u8(), ...counts() });
    return reading("people", { version, sensors, total: { ...counts(), surplus: f.u32() } });
  },
  batteries: (f) => {
    const batteries = times(3, f, () => ({ present: f.u8() !== 0, percent: f.u8() }));
    return reading("batteries", { batteries, alert: f.u8() });
  },
  tyres: (f) => {
    const tyres = times(f.u8(), f, () => {
      const position = f.u8();
      const id = f.u8() + f.u16() * 256;
      const pressureBar = f.u16() / 40;
      const temperatureC = f.u8() - 50;
      const status = f.u8();
      return {
        part: position >> 5,
        tyre: position & 0x1f,
        id,
        pressureBar,
        temperatureC,
        status,
        senderBatteryLow: (status & 0x80) !== 0,
        noData: (status & 0x40) !== 0,
        highPressure: (status & 0x10) !== 0,
        lowPressure: (status & 0x08) !== 0,
        hot: (status & 0x04) !== 0,
        leak: TYRE_LEAKS[status & 3],
      };
    });
    return reading("tyres", tyres);
  },
} as const satisfies Record<string, (fields: Fields, id: number, bytes: Uint8Array) => Rare | null>;

export type StructureName = keyof typeof STRUCTURES;

/** What the bytes of a parameter mean; null when they are not laid out as they should be. Never throws. */
export function readStructure(name: StructureName, id: number, bytes: Uint8Array): Rare | null {
  const fields = new Fields(bytes);
  const rare = STRUCTURES[name](fields, id, bytes);
  if (fields.short) return null;
  return fields.left === 0 ? rare : null;
}
