import { fromHex } from "../../codec/bytes.ts";
import { type CceReport, encodeAaa, encodeAff, encodeCcc, encodeCce, type Report } from "../../codec/encode.ts";
import { parseFrame } from "../../codec/frame.ts";
import { frameOf, SENDER, type UplinkType } from "./wire.ts";

/** What a frame carries. */
export interface Seed {
  readonly type: UplinkType;
  readonly content: Uint8Array;
}

const FULL: Report = {
  event: { code: 35 },
  fixTime: Date.UTC(2026, 1, 14, 8, 30, 5),
  valid: true,
  latitude: -33.912345,
  longitude: 18.421987,
  satellites: 9,
  gsmSignal: 22,
  speedKmh: 41,
  courseDeg: 287,
  hdop: 0.9,
  altitudeM: -7,
  odometerM: 4294967295,
  runtimeS: 86399,
  cell: { mcc: 655, mnc: 10, lac: 500, cid: 41651 },
  inputs: 4,
  outputs: 33,
  analogV: { "1": 0.24 },
  batteryV: 4.17,
  supplyV: 13.7,
};

const MORE = {
  fuelPercent: 36.3,
  temperaturesC: { "1": 27.06, "6": -12.34 },
  readings: { protocolVersion: 3, maxAccelerationMg: 36, maxDecelerationMg: 23, engineHours: 12.3, rxLevelDbm: -90 },
} satisfies Partial<Report>;

const PARAMETERS: NonNullable<CceReport["parameters"]> = [
  { id: 0xfe69, bytes: fromHex("64") },
  { id: 0xf828, bytes: fromHex("01ff"), group: "n" },
  { id: 0xfe90, bytes: fromHex("0000") },
  { id: 0x39, bytes: fromHex("25414242412a0d0a") },
  { id: 0x4b, bytes: fromHex("0102034c5445") },
  { id: 0xfe73, bytes: fromHex("010153aabbcc0102035a5cf58032003c00ec005a0014") },
  { id: 0xfef2, bytes: fromHex("012201020368015f84") },
  { id: 0xfe31, bytes: fromHex("02827031000000") },
  { id: 0x4c, bytes: fromHex("0222843501ffff") },
];

const text = (content: string): Seed => ({ type: "AAA", content: Uint8Array.from(content, (c) => c.charCodeAt(0)) });
const parsed = (frame: Uint8Array): Seed => {
  const { type, content } = parseFrame(frame);
  return { type: type as UplinkType, content };
};

const AAA = "35,-33.912345,18.421987,260214083005,A,9,22,41,287,0.9,112,123456,86399,655|10|01F4|0001A2B3,0421";

/** Good frames of every type, and odd ones that are accepted. */
export const SEEDS: readonly Seed[] = [
  parsed(encodeAaa({ ...SENDER, report: FULL })),
  parsed(encodeAaa({ ...SENDER, report: { ...FULL, ...MORE } })),
  parsed(encodeAaa({ ...SENDER, report: { ...FULL, event: { code: 37 }, driverId: "006380DF" } })),
  parsed(encodeAff({ ...SENDER, report: { ...FULL, ...MORE }, remaining: 26 })),
  text(`${AAA},4.33|12.96|1.92|2.72|2.69,,`),
  text(`${AAA},0018|||12.0|055A${",".repeat(15)}`),
  text(
    `20${AAA.slice(2)},|||0A37|03DD,02000000,1,108,0000,,6,0,,0|0000,,,11|260214080000|260214082233|1|2|002233|000130`,
  ),
  text(`145${AAA.slice(2)},,0000003C0000001E0000005000000FA0,,2,241E,011A09|06FB2E|002134`),
  text("-1,19.5210034,-99.211715,202216268,true,,,41.0,361,50.000000,21.232345,1.5,,334|20|602|3.8e+07,10,0,x,y,z"),
  parsed(encodeCcc({ ...SENDER, reports: [FULL] })),
  parsed(encodeCcc({ ...SENDER, reports: [FULL, { ...FULL, event: { code: 37 }, valid: false }, FULL] })),
  { type: "CCC", content: fromHex(`0501 0d00 02000000 ${"23c78afafdb30f19019d951d31".repeat(2)}`.replaceAll(" ", "")) },
  parsed(encodeCce({ ...SENDER, reports: [{ ...FULL, ...MORE }] })),
  parsed(encodeCce({ ...SENDER, reports: [{ ...FULL, parameters: PARAMETERS }, { event: { code: 655 } }] })),
  parsed(encodeCce({ ...SENDER, reports: [{ event: { code: 1 } }, { fixTime: FULL.fixTime }, { latitude: 1 }] })),
  { type: "CCE", content: fromHex("0100000001000f0003000201 23fd1007000001 4b02ffff".replaceAll(" ", "")) },
];

/** Bytes that mean something to a decoder. */
const SPECIAL = Array.from(",|.-+*\r\n$AV0129aF", (c) => c.charCodeAt(0)).concat(
  0,
  1,
  2,
  4,
  0x4b,
  0x7f,
  0x80,
  0xf8,
  0xfd,
  0xfe,
  0xff,
);

const LONGEST = 2_000;

/** A seed with one to six changes: bytes flipped, replaced, removed, repeated or taken from another seed. */
export function mutate(random: () => number): Seed {
  const { type, content } = SEEDS[random() % SEEDS.length];
  let bytes = Array.from(content);
  for (let changes = 1 + (random() % 6); changes > 0; changes--) {
    const at = random() % (bytes.length + 1);
    const span = 1 + (random() % 9);
    const kind = random() % 9;
    if (kind === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << (random() % 8));
    else if (kind === 1) bytes[at] = SPECIAL[random() % SPECIAL.length];
    else if (kind === 2) bytes[at] = random() & 0xff;
    else if (kind === 3) bytes.splice(at, span);
    else if (kind === 4) bytes.splice(at, 0, ...bytes.slice(at, at + span * 4));
    else if (kind === 5) bytes.splice(at, 0, SPECIAL[random() % SPECIAL.length]);
    else if (kind === 6) bytes = bytes.slice(0, at);
    else if (kind === 7) bytes.splice(at, span, ...Array.from({ length: span }, () => random() & 0xff));
    else {
      const other = SEEDS[random() % SEEDS.length].content;
      const from = random() % other.length;
      bytes.splice(at, span, ...other.subarray(from, from + span * 3));
    }
  }
  return { type, content: Uint8Array.from(bytes.slice(0, LONGEST)) };
}

/** A mutated frame with the right length and checksum, so that it reaches the decoder. */
export function mutatedFrame(random: () => number): Uint8Array {
  const { type, content } = mutate(random);
  return frameOf(type, content);
}
