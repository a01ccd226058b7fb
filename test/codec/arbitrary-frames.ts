import fc from "fast-check";
import { type CceReport, encodeAaa, encodeAff, encodeCcc, encodeCce, type Report } from "../../codec/encode.ts";
import { mutatedFrame } from "./mutations.ts";
import { SENDER, seeded } from "./wire.ts";

const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const u8 = fc.nat(255);
const u16 = fc.nat(65535);
const u32 = fc.nat({ max: 4294967295 });
const hundredths = u16.map((n) => n / 100);

const reports: fc.Arbitrary<Report> = fc.record({
  event: fc.record({ code: u8 }),
  fixTime: fc.nat({ max: 3_155_759_999 }).map((s) => 946_684_800_000 + s * 1000),
  valid: fc.boolean(),
  latitude: fc.integer({ min: -90e6, max: 90e6 }).map((n) => n / 1e6),
  longitude: fc.integer({ min: -180e6, max: 180e6 }).map((n) => n / 1e6),
  satellites: optional(u8),
  gsmSignal: optional(fc.nat(99)),
  speedKmh: optional(u16),
  courseDeg: optional(u16),
  hdop: optional(fc.nat(999).map((n) => n / 10)),
  altitudeM: optional(fc.integer({ min: -32768, max: 32767 })),
  odometerM: optional(u32),
  runtimeS: optional(u32),
  cell: optional(fc.record({ mcc: u16, mnc: u16, lac: u16, cid: u16 })),
  inputs: optional(u8),
  outputs: optional(u8),
  analogV: optional(fc.dictionary(fc.constantFrom("1", "2", "3"), hundredths)),
  batteryV: optional(hundredths),
  supplyV: optional(hundredths),
});
const rare = fc.record({
  fuelPercent: optional(fc.nat(10000).map((n) => n / 100)),
  temperaturesC: optional(
    fc.dictionary(
      u8.map(String),
      fc.integer({ min: -32768, max: 32767 }).map((n) => n / 100),
      { maxKeys: 8 },
    ),
  ),
  pictureName: optional(fc.string({ unit: fc.constantFrom(..."abc_.%"), minLength: 1, maxLength: 60 })),
});
const parameters = fc.array(
  fc.record({ id: fc.constantFrom(0x5b, 0x99, 0xee, 0x39, 0xfe31, 0xf828), bytes: fc.uint8Array({ maxLength: 255 }) }),
  { maxLength: 20 },
);
const cceReports: fc.Arbitrary<CceReport> = fc
  .tuple(reports, rare, parameters)
  .map(([report, more, raw]) => ({ ...report, ...more, parameters: raw }));

/** Frames with positions of every type, of random reports and of good and odd frames with bytes changed. */
export const frames: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.tuple(reports, rare).map(([report, more]) => encodeAaa({ ...SENDER, report: { ...report, ...more } })),
  fc.tuple(reports, u16).map(([report, remaining]) => encodeAff({ ...SENDER, report, remaining })),
  fc.array(reports, { maxLength: 5 }).map((list) => encodeCcc({ ...SENDER, reports: list })),
  fc.array(cceReports, { maxLength: 4 }).map((list) => encodeCce({ ...SENDER, reports: list })),
  fc.nat().map((seed) => mutatedFrame(seeded(seed))),
);
