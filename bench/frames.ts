import { encodeFrame } from "../codec/frame.ts";

/** Numbers from a seed, so that every run measures the same bytes. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 up to and without 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  pick<T>(values: readonly T[]): T {
    return values[this.int(0, values.length - 1)];
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }
}

const EVENTS = [35, 35, 35, 35, 35, 35, 32, 33, 31, 1, 9, 2, 10, 19, 41, 42, 144, 145];
const NETWORKS = [
  [466, 97],
  [334, 20],
  [262, 2],
  [732, 123],
  [505, 3],
] as const;

const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, "0");
const two = (value: number) => String(value).padStart(2, "0");

function aReport(random: Random) {
  const moving = random.chance(0.6);
  const [mcc, mnc] = random.pick(NETWORKS);
  return {
    event: random.pick(EVENTS),
    latitude: random.int(-60_000_000, 70_000_000) / 1e6,
    longitude: random.int(-179_000_000, 179_000_000) / 1e6,
    year: random.int(15, 26),
    month: random.int(1, 12),
    day: random.int(1, 28),
    hour: random.int(0, 23),
    minute: random.int(0, 59),
    second: random.int(0, 59),
    timeS: random.int(500_000_000, 840_000_000),
    valid: random.chance(0.93),
    satellites: random.int(0, 14),
    gsm: random.int(5, 31),
    speed: moving ? random.int(1, 130) : 0,
    course: random.int(0, 359),
    hdopTenths: random.int(6, 30),
    altitude: random.int(-20, 2500),
    odometer: random.int(0, 90_000_000),
    runtime: random.int(0, 90_000_000),
    mcc,
    mnc,
    lac: random.int(1, 0xffff),
    cid: random.int(1, 0xffff),
    longCid: random.int(0x10000, 0xfffffff),
    inputs: random.pick([0, 0, 2, 3, 4, 0x80]),
    outputs: random.pick([0, 0, 0, 1, 0x21]),
    ad: [random.int(0, 3), random.int(0, 400), 0],
    battery: random.int(0x17c, 0x1a6),
    supply: random.pick([0, random.int(0x4b0, 0x5a0), random.int(0x900, 0xb20)]),
  };
}

const anImei = (random: Random) => `86${String(random.int(0, 9_999_999_999_999)).padStart(13, "0")}`;
const anIdentifier = (random: Random) => String.fromCharCode(random.int(0x41, 0x7a));

/**
 * An AAA frame of about 160 bytes. `old` has the forms that every AAA parser reads (4-digit cell id, tail that ends
 * with temperatures); otherwise the tail is that of a T366 (8-digit cell id, accelerations).
 */
export function anAaaFrame(random: Random, old: boolean): Uint8Array {
  const r = aReport(random);
  const stamp = [r.year, r.month, r.day, r.hour, r.minute, r.second].map(two).join("");
  const cell = `${r.mcc}|${r.mnc}|${hex(r.lac, 4)}|${old ? hex(r.cid, 4) : hex(r.longCid, 8)}`;
  const analog = [...r.ad, r.battery, r.supply].map((value) => hex(value, 4)).join("|");
  const assist = r.event === 35 ? "00000001" : "";
  const temperatures = random.chance(0.3) ? `01${hex(random.int(500, 3500), 4)}` : "";
  const tail = old
    ? `${assist},,3,${hex(random.int(0, 99), 2)}00,${temperatures}`
    : `${assist},,3,,${temperatures},${random.int(0, 400)},${random.int(0, 400)}`;
  const content = [
    r.event,
    r.latitude.toFixed(6),
    r.longitude.toFixed(6),
    stamp,
    r.valid ? "A" : "V",
    r.satellites,
    r.gsm,
    r.speed,
    r.course,
    (r.hdopTenths / 10).toFixed(1),
    r.altitude,
    r.odometer,
    r.runtime,
    cell,
    hex(r.inputs * 256 + r.outputs, 4),
    analog,
    tail,
  ].join(",");
  return encodeFrame({ direction: "up", identifier: anIdentifier(random), imei: anImei(random), type: "AAA", content });
}

/** Little-endian numbers one after another. */
class Writer {
  readonly bytes: number[] = [];

  u(size: number, ...values: number[]): this {
    for (const value of values) for (let i = 0; i < size; i++) this.bytes.push(Math.floor(value / 256 ** i) & 0xff);
    return this;
  }
}

/** A CCC frame of 5 to 18 records of 52 bytes. */
export function aCccFrame(random: Random): Uint8Array {
  const records = random.int(5, 18);
  const w = new Writer().u(1, 2, 1).u(2, 52).u(4, records);
  for (let n = 0; n < records; n++) {
    const r = aReport(random);
    w.u(1, r.event).u(4, Math.round(r.latitude * 1e6), Math.round(r.longitude * 1e6), r.timeS);
    w.u(1, r.valid ? 1 : 0, r.satellites, r.gsm).u(2, r.speed, r.course, r.hdopTenths, r.altitude);
    w.u(4, r.odometer, r.runtime).u(2, r.mcc, r.mnc, r.lac, r.cid).u(1, r.inputs, r.outputs);
    w.u(2, r.ad[0], r.battery, r.supply).u(4, random.int(0, 8));
  }
  const content = Uint8Array.from(w.bytes);
  return encodeFrame({ direction: "up", identifier: anIdentifier(random), imei: anImei(random), type: "CCC", content });
}

/** A CCE frame of 1 to 3 packets of about 110 bytes, with the parameters of a T366G, a T633L or an MD500S. */
export function aCceFrame(random: Random): Uint8Array {
  const packets = random.int(1, 3);
  const model = random.int(0, 2);
  const w = new Writer().u(4, packets).u(2, packets);
  for (let n = 0; n < packets; n++) {
    const packet = aCcePacket(random, model);
    w.u(2, packet.length).u(1, ...packet);
  }
  const content = Uint8Array.from(w.bytes);
  return encodeFrame({ direction: "up", identifier: anIdentifier(random), imei: anImei(random), type: "CCE", content });
}

function aCcePacket(random: Random, model: number): number[] {
  const r = aReport(random);
  const one: [id: number, value: number][] = [
    [0x05, r.valid ? 1 : 0],
    [0x06, r.satellites],
    [0x07, r.gsm],
    [0x14, r.outputs],
  ];
  const two: [id: number, value: number][] = [
    [0x08, r.speed],
    [0x09, r.course],
    [0x0a, r.hdopTenths],
    [0x0b, r.altitude],
    [0x16, r.ad[0]],
    [0x17, r.ad[1]],
    [0x19, r.battery],
    [0x1a, r.supply],
  ];
  const four: [id: number, value: number][] = [
    [0x02, Math.round(r.latitude * 1e6)],
    [0x03, Math.round(r.longitude * 1e6)],
    [0x04, r.timeS],
    [0x0c, r.odometer],
    [0x0d, r.runtime],
  ];
  if (r.event === 35) four.push([0x1c, 1]);
  const many: [id: number, bytes: number[]][] = [
    [0x0e, new Writer().u(2, r.mcc, r.mnc, r.lac).u(4, r.longCid).u(2, 0).bytes],
  ];
  if (model === 2) {
    one.push([0x15, r.inputs]);
    two.push([0x40, r.event]);
    many.push([0x49, [4, 5, 0, 0, 0, 0, 0, 0, 0]]);
  } else {
    one.unshift([0x01, r.event]);
    one.push([0x1b, 0]);
    two.push([0x18, 0], [0x29, 0], [0x41, 0]);
  }
  if (model === 1) four.push([0x42, r.inputs]);
  if (model === 0 && random.chance(0.5)) many.push([0x2a, new Writer().u(1, 1).u(2, random.int(500, 3500)).bytes]);
  if (model !== 1) many.push([0x4b, [1, 1, 7, ...new TextEncoder().encode("FDD LTE")]]);
  if (model === 0 && random.chance(0.2)) one.push([0xfe69, random.int(2, 100)]);

  const id = (value: number) => (value > 0xff ? [value >> 8, value & 0xff] : [value]);
  const w = new Writer().u(2, one.length + two.length + four.length + many.length);
  for (const [size, group] of [
    [1, one],
    [2, two],
    [4, four],
  ] as const) {
    w.u(1, group.length);
    for (const [key, value] of group) w.u(1, ...id(key)).u(size, value);
  }
  w.u(1, many.length);
  for (const [key, bytes] of many) w.u(1, ...id(key), bytes.length, ...bytes);
  return w.bytes;
}

/** Frames back to back. */
export interface Corpus {
  readonly bytes: Uint8Array;
  /** Where each frame begins; one more for the end. */
  readonly starts: Int32Array;
}

/** Frames from `make` until there are `size` bytes. */
export function aCorpus(size: number, make: () => Uint8Array): Corpus {
  const frames: Uint8Array[] = [];
  let total = 0;
  while (total < size) {
    const frame = make();
    frames.push(frame);
    total += frame.length;
  }
  const bytes = new Uint8Array(total);
  const starts = new Int32Array(frames.length + 1);
  let at = 0;
  for (const [n, frame] of frames.entries()) {
    bytes.set(frame, at);
    at += frame.length;
    starts[n + 1] = at;
  }
  return { bytes, starts };
}
