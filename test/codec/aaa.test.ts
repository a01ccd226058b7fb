import { describe, expect, test } from "vitest";
import { affRemaining, decodeAaa } from "../../codec/aaa.ts";
import { bytesOf } from "../../codec/bytes.ts";
import { PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { decodeMessage, decodePositions, decodePositionsInto } from "../../codec/decode.ts";
import { FRAME_STATUS, locateFrame, newBounds, parseFrame } from "../../codec/frame.ts";
import { MODELS } from "../../codec/models.ts";
import type { PositionJson } from "../../codec/position.ts";
import { frameOf, onlyJson, refusal } from "./wire.ts";

/** Fields 1 to 16 of an invented report. */
const FIELDS = [
  "35",
  "-33.912345",
  "18.421987",
  "260214083005",
  "A",
  "9",
  "22",
  "41",
  "287",
  "0.9",
  "112",
  "123456",
  "86399",
  "655|10|01F4|0001A2B3",
  "0421",
  "0018|0019|001A|01A1|055A",
] as const;

/** The report with other texts in some fields (by number), and with fields 17 and on. */
function report(changes: Readonly<Record<number, string>> = {}, ...rest: string[]): string {
  return [...FIELDS.map((field, index) => changes[index + 1] ?? field), ...rest].join(",");
}

/** The position of a T366 that sent the report with these changes. */
function read(changes: Readonly<Record<number, string>>, ...rest: string[]): PositionJson {
  return onlyJson("AAA", report(changes, ...rest), { model: "T366" });
}

/** Everything but these fields is as in the unchanged report. */
function expectOnly(position: PositionJson, changed: Readonly<Record<string, unknown>>): void {
  const expected: Record<string, unknown> = { ...PLAIN, ...changed };
  for (const [name, value] of Object.entries(changed)) if (value === undefined) delete expected[name];
  expect(position).toEqual(expected);
}

// LAC 1F4 = 500, cell 1A2B3 = 107187. Ports 04 and 21: input 3, outputs 1 and 6 (1 + 32).
// Hundredths of a volt: 18 = 24, 19 = 25, 1A = 26, 1A1 = 417, 55A = 1370.
const PLAIN: PositionJson = {
  event: { code: 35, name: "time interval" },
  fixTime: "2026-02-14T08:30:05.000Z",
  valid: true,
  latitude: -33.912345,
  longitude: 18.421987,
  satellites: 9,
  gsmSignal: 22,
  speedKmh: 41,
  courseDeg: 287,
  hdop: 0.9,
  altitudeM: 112,
  odometerM: 123456,
  runtimeS: 86399,
  cell: { mcc: 655, mnc: 10, lac: 500, cid: 107187 },
  inputs: 4,
  outputs: 33,
  analogV: { "1": 0.24, "2": 0.25, "3": 0.26 },
  batteryV: 4.17,
  supplyV: 13.7,
};

describe("decodeAaa()", () => {
  test("reads the sixteen fields as worked out by hand", () => {
    expect(read({})).toEqual(PLAIN);
  });

  test("reads every field of a report with fuel, temperatures and accelerations", () => {
    // Fuel 24 and 1E hex: 36 and 30 hundredths. A92 = 2706; FB2E - 10000 = -1234.
    expectOnly(read({}, "00000001", "1", "3", "241E", "010A92|06FB2E", "36", "23"), {
      fuelPercent: 36.3,
      temperaturesC: { "1": 27.06, "6": -12.34 },
      readings: { systemFlags: 1, custom: "1", protocolVersion: 3, maxAccelerationMg: 36, maxDecelerationMg: 23 },
    });
  });

  const forms: [string, Record<number, string>, Record<string, unknown>][] = [
    ["an event of -1", { 1: "-1" }, { event: { code: -1, name: "unknown" } }],
    ["an event that no manual lists", { 1: "655" }, { event: { code: 655, name: "unknown" } }],
    ["an event of four digits", { 1: "0609" }, { event: { code: 609, name: "storage full" } }],
    ["an event of five digits", { 1: "70000" }, { event: { code: 70000, name: "unknown" } }],
    ["padded degrees", { 2: "000.937483", 3: "-000.364856" }, { latitude: 0.937483, longitude: -0.364856 }],
    ["fewer decimals", { 2: "19.52101", 3: "-99.2" }, { latitude: 19.52101, longitude: -99.2 }],
    ["no decimals", { 2: "5", 3: "-7" }, { latitude: 5, longitude: -7 }],
    ["more decimals than the column", { 2: "12.34567891" }, { latitude: 12.34567891 }],
    ["trailing zeros beyond the column", { 2: "12.34567800" }, { latitude: 12.345678 }],
    ["the poles and the date line", { 2: "-90.000000", 3: "180.000000" }, { latitude: -90, longitude: 180 }],
    ["a plus sign", { 2: "+12.5" }, { latitude: 12.5 }],
    ["no fix", { 5: "V" }, { valid: false }],
    ["no status", { 5: "" }, { valid: false }],
    ["another status", { 5: "true" }, { valid: false, readings: { "aaa.5": "true" } }],
    ["empty numbers", { 6: "", 7: "", 8: "" }, { satellites: undefined, gsmSignal: undefined, speedKmh: undefined }],
    ["one empty number at the end", { 13: "" }, { runtimeS: undefined }],
    ["speed with decimals", { 8: "41.0" }, { speedKmh: 41 }],
    ["a slow speed", { 8: "0.1" }, { speedKmh: 0.1 }],
    ["three decimals", { 8: "0.125", 9: "359.999" }, { speedKmh: 0.125, courseDeg: 359.999 }],
    ["a course beyond 359", { 9: "361" }, { courseDeg: 361 }],
    ["a whole HDOP", { 10: "4" }, { hdop: 4 }],
    ["an HDOP of no fix", { 10: "50.0" }, { hdop: 50 }],
    ["six zeros after the point", { 10: "0.000000" }, { hdop: 0 }],
    ["an altitude below the sea", { 11: "-14" }, { altitudeM: -14 }],
    ["an altitude just below the sea", { 11: "-0.5" }, { altitudeM: -0.5 }],
    ["an altitude more exact than its column", { 11: "21.232345" }, { altitudeM: 21.232345 }],
    ["the largest odometer", { 12: "4294967295" }, { odometerM: 4294967295 }],
    ["an odometer above 2^31", { 12: "2147483648" }, { odometerM: 2147483648 }],
    ["an odometer above 32 bits", { 12: "4294967296" }, { odometerM: 4294967296 }],
    ["an odometer with a fraction", { 12: "8077.5" }, { odometerM: 8077.5 }],
    ["the largest run time", { 13: "4294967295" }, { runtimeS: 4294967295 }],
    ["text for a number", { 6: "n/a" }, { satellites: undefined, readings: { "aaa.6": "n/a" } }],
    ["a lone minus", { 11: "-" }, { altitudeM: undefined, readings: { "aaa.11": "-" } }],
    ["a number with two points", { 8: "1.2.3" }, { speedKmh: undefined, readings: { "aaa.8": "1.2.3" } }],
    ["no network", { 14: "0|0|0000|00000000" }, { cell: { mcc: 0, mnc: 0, lac: 0, cid: 0 } }],
    ["empty LAC and cell", { 14: "000|00||" }, { cell: { mcc: 0, mnc: 0 } }],
    ["a padded MNC", { 14: "310|02|0F|ABC" }, { cell: { mcc: 310, mnc: 2, lac: 15, cid: 2748 } }],
    // 10133 hex = 65536 + 307, 4110 hex = 16656.
    ["a LAC of five digits", { 14: "0|0|10133|4110" }, { cell: { mcc: 0, mnc: 0, lac: 65843, cid: 16656 } }],
    ["a cell of eight digits", { 14: "1|1|0000|FFFFFFFF" }, { cell: { mcc: 1, mnc: 1, lac: 0, cid: 4294967295 } }],
    ["no cell", { 14: "" }, { cell: undefined }],
    [
      "a cell as a bridge writes it",
      { 14: "334|20|602|3.85e+07" },
      { cell: { mcc: 334, mnc: 20, lac: 1538 }, readings: { "aaa.14": "334|20|602|3.85e+07" } },
    ],
    ["no ports", { 15: "" }, { inputs: undefined, outputs: undefined }],
    ["ports of two digits", { 15: "10" }, { inputs: 0, outputs: 16, readings: { "aaa.15": "10" } }],
    ["ports of eight digits", { 15: "00000A05" }, { inputs: 10, outputs: 5, readings: { "aaa.15": "00000A05" } }],
    [
      "ports that are no hex",
      { 15: "true" },
      { inputs: undefined, outputs: undefined, readings: { "aaa.15": "true" } },
    ],
    ["lower-case hex", { 15: "0a0f" }, { inputs: 10, outputs: 15 }],
    ["no analog values", { 16: "" }, { analogV: undefined, batteryV: undefined, supplyV: undefined }],
    ["empty analog inputs", { 16: "|||01A1|055A" }, { analogV: undefined }],
    ["dropped analog inputs", { 16: "0018" }, { analogV: { "1": 0.24 }, batteryV: undefined, supplyV: undefined }],
    ["no supply", { 16: "0018|||01A1|" }, { analogV: { "1": 0.24 }, supplyV: undefined }],
    ["digits without padding", { 16: "18|19|1A|1A1|55A" }, {}],
    // 64, C8 and 12C hex are 100, 200 and 300.
    [
      "eight analog inputs",
      { 16: "0018|0019|001A|01A1|055A|0064|00C8|012C" },
      { analogV: { "1": 0.24, "2": 0.25, "3": 0.26, "6": 1, "7": 2, "8": 3 } },
    ],
    ["nine analog inputs", { 16: `${FIELDS[15]}||||0001` }, { readings: { "aaa.16": `${FIELDS[15]}||||0001` } }],
    [
      "decimal volts",
      { 16: "4.33|12.96|1.92|2.72|2.69" },
      {
        analogV: undefined,
        batteryV: 4.33,
        supplyV: 12.96,
        readings: { rtcBatteryV: 1.92, processorV: 2.72, gpsV: 2.69 },
      },
    ],
    [
      "one decimal volt among hex",
      { 16: "0018|||12.0|055A" },
      { analogV: { "1": 0.24 }, batteryV: 12, readings: { "aaa.16": "0018|||12.0|055A" } },
    ],
  ];
  test.each(forms)("reads %s", (_, changes, expected) => {
    expectOnly(read(changes), expected);
  });

  test.each([
    ["90.000001", "18.421987"],
    ["-33.912345", "-180.000001"],
  ])("keeps coordinates that are not on Earth as readings: %s, %s", (latitude, longitude) => {
    expectOnly(read({ 2: latitude, 3: longitude }), {
      valid: false,
      latitude: undefined,
      longitude: undefined,
      readings: { deviceLatitude: Number(latitude), deviceLongitude: Number(longitude) },
    });
  });

  test.each([
    ["000101000000", "2000-01-01T00:00:00.000Z"],
    ["000229235959", "2000-02-29T23:59:59.000Z"],
    ["090215000318", "2009-02-15T00:03:18.000Z"],
    ["240229120000", "2024-02-29T12:00:00.000Z"],
    ["991231235959", "2099-12-31T23:59:59.000Z"],
  ])("reads the stamp %s", (stamp, fixTime) => {
    expectOnly(read({ 4: stamp }), { fixTime });
  });

  test.each([
    "000000000000",
    "202216268",
    "2602140830051",
    "010229120000",
    "260431120000",
    "260014120000",
    "261314120000",
    "260200120000",
    "260214240000",
    "260214236000",
    "260214235960",
    "26021408300A",
    "2024-11-21T02:05:51Z",
  ])("keeps a stamp that is no time: %s", (stamp) => {
    expectOnly(read({ 4: stamp }), { fixTime: undefined, readings: { deviceTime: stamp } });
  });

  test("leaves out a time that is empty", () => {
    expectOnly(read({ 4: "" }), { fixTime: undefined });
  });

  test.each([3, 4, 5, 8, 13, 14, 15, 16])("reads a report that stops after field %i", (count) => {
    const names = Object.keys(read({})).length;
    const position = onlyJson("AAA", FIELDS.slice(0, count).join(","), { model: "T366" });
    expect(position).toMatchObject({ event: PLAIN.event, latitude: PLAIN.latitude, longitude: PLAIN.longitude });
    expect(position.fixTime).toBe(count < 4 ? undefined : PLAIN.fixTime);
    expect(position.valid).toBe(count >= 5);
    expect(position.batteryV).toBe(count < 16 ? undefined : PLAIN.batteryV);
    expect(Object.keys(position).length).toBeLessThanOrEqual(names);
    expect(position).not.toHaveProperty("readings");
  });

  test.each([1, 2, 15, 200])("takes %i trailing commas for nothing", (commas) => {
    expect(onlyJson("AAA", report() + ",".repeat(commas), { model: "T366" })).toEqual(PLAIN);
  });

  test("reads a frame with no more bytes than its content as the same report", () => {
    const bytes = bytesOf(report({}, "00000001"));
    const table = new PositionTable();
    expect(decodeAaa(table, bytes, 0, bytes.length, { scale: 1 })).toBe(1);
    const whole = new PositionTable();
    const frame = frameOf("AAA", report({}, "00000001"));
    const { contentOffset, content } = parseFrame(frame);
    decodeAaa(whole, frame, contentOffset, contentOffset + content.length, { scale: 1 });
    expect(table.i32.slice(0, STRIDE)).toEqual(whole.i32.slice(0, STRIDE));
    expect(table.tailAt(0)).toEqual(whole.tailAt(0));
  });

  // Offset in the content.
  test.each([
    ["", 0],
    ["OK", 0],
    ["x35,1.0,2.0", 0],
    [",1.0,2.0", 0],
    ["35", 2],
    ["35,", 3],
    ["35,north,2.0", 3],
    ["35,,2.0", 3],
    ["35,1.0", 6],
    ["35,1.0,", 7],
    ["35,1.0,2.0.0,260214083005,A", 7],
    ["35,1.000000,-,260214083005,A", 12],
    ["35,99999999999.0,2.0", 3],
  ])("refuses %j at %i", (content, offset) => {
    const error = refusal(() => onlyJson("AAA", content));
    // $$Y, the length, and `,359999000000018,AAA,` come before.
    const before = 3 + String(21 + content.length + 5).length + 21;
    expect({ code: error.code, offset: error.offset }).toEqual({ code: "value", offset: before + offset });
    expect(error.message).toMatch(/^Cannot read position: (event|latitude|longitude) is /);
  });

  test("subtracts the offset of a clock that is not UTC, but not from a clock that is not set", () => {
    const at = (stamp: string) => onlyJson("AAA", report({ 4: stamp }), { offsetS: 28_800 }).fixTime;
    expect(at("260214083005")).toBe("2026-02-14T00:30:05.000Z");
    expect(at("000101080000")).toBe("2000-01-01T00:00:00.000Z");
    expect(at("000101075959")).toBe("2000-01-01T07:59:59.000Z");
  });
});

describe("decodeAaa(), volts", () => {
  const raw = (battery: string, supply: string) => report({ 16: `0018||0019|${battery}|${supply}` });

  // meitrack.md 3.1. AD1 is 18 hex = 24, AD3 19 hex = 25. By model: texts of battery and supply, then AD1, AD3, battery
  // and supply in volts. 2DE = 734: 734 * 6 / 1024 = 4.3008. 10A = 266: 266 * 48 / 1024 = 12.4688. A37 = 2615:
  // 2615 * 6.6 / 4096 = 4.2136, 2615 * 6 / 4096 = 3.8306. 3DD = 989: 989 * 52.8 / 4096 = 12.7488. 24 * 6 / 1024 = 0.1406,
  // 25 * 6 / 1024 = 0.1465, 24 * 6.6 / 4096 = 0.0387, 25 * 6.6 / 4096 = 0.0403.
  const scales: [string[], string, string, (number | undefined)[]][] = [
    [["MVT340", "MVT380"], "02DE", "010A", [0.141, 0.146, 4.301, 12.469]],
    [["T1", "T3", "MVT100", "MVT600", "MVT800"], "0A37", "03DD", [0.039, 0.04, 4.214, 12.749]],
    [["TC68S", "TC68"], "0A37", "03DD", [undefined, undefined, 4.214, 12.749]],
    [["MT90"], "0A37", "03DD", [undefined, undefined, 4.214, undefined]],
    [["MT90G"], "0A37", "03DD", [undefined, undefined, 3.831, undefined]],
    [
      ["T311", "T322X", "T333", "T355", "T366", "T366G", "T622", "T633L", "MDVR", "T622G", "T711L"],
      "0191",
      "0573",
      [0.24, 0.25, 4.01, 13.95],
    ],
    [["MD500S", "P88L", "P99G", "P99L"], "019A", "0981", [0.24, 0.25, 4.1, 24.33]],
  ];
  test.each(scales.flatMap(([models, ...row]) => models.map((model) => [model, ...row] as const)))(
    "counts as a %s does",
    (model, battery, supply, [ad1, ad3, batteryV, supplyV]) => {
      const position = onlyJson("AAA", raw(battery, supply), { model });
      expect(position.analogV).toEqual(ad1 === undefined ? undefined : { "1": ad1, "3": ad3 });
      expect(position.batteryV).toBe(batteryV);
      expect(position.supplyV).toBe(supplyV);
      const kept: Record<string, number> = {};
      if (ad1 === undefined) Object.assign(kept, { "1": 24, "3": 25 });
      if (supplyV === undefined) kept["5"] = 989;
      expect(position.readings?.analogRaw).toEqual(Object.keys(kept).length === 0 ? undefined : kept);
    },
  );

  test("has a row of the test above for every model", () => {
    expect(MODELS.map((model) => model.name).sort()).toEqual(scales.flatMap(([models]) => models).sort());
  });

  // Without a model the battery tells the scale: hundredths 12C to 1AE, 10 bits 200 to 2E0, 12 bits 740 to A70.
  test.each([
    ["012C", 3, "hundredths"],
    ["01AE", 4.3, "hundredths"],
    ["01AF", 4.31, "hundredths for want of a better one"],
    ["01FF", 5.11, "hundredths for want of a better one"],
    ["0200", 3, "10 bits: 512 * 6 / 1024"],
    ["02E0", 4.313, "10 bits: 736 * 6 / 1024 = 4.3125"],
    ["02E1", 7.37, "hundredths for want of a better one"],
    ["073F", 18.55, "hundredths for want of a better one"],
    ["0740", 2.991, "12 bits: 1856 * 6.6 / 4096 = 2.9906"],
    ["0A70", 4.305, "12 bits: 2672 * 6.6 / 4096 = 4.30547"],
    ["0A71", 26.73, "hundredths for want of a better one"],
  ])("finds the scale of an unknown model by its battery %s: %f V", (battery, batteryV) => {
    const position = onlyJson("AAA", raw(battery, "0100"));
    expect(position.batteryV).toBe(batteryV);
    expect(position.readings?.analogRaw).toEqual({
      "1": 24,
      "3": 25,
      "4": Number.parseInt(battery, 16),
      "5": 256,
    });
  });

  test("takes a model that is not in the table for unknown, and its name in any case", () => {
    expect(onlyJson("AAA", raw("02DE", "010A"), { model: "T9000" })).toEqual(onlyJson("AAA", raw("02DE", "010A")));
    expect(onlyJson("AAA", raw("02DE", "010A"), { model: "mvt380" }).supplyV).toBe(12.469);
  });
});

describe("decodeAaa(), fields 17 and on", () => {
  const rest = (event: number, ...texts: string[]) => {
    const { readings = {}, geofence, driverId, pictureName, ...position } = read({ 1: String(event) }, ...texts);
    return { position, readings, geofence, driverId, pictureName };
  };

  test.each([
    // The manual prints these numbers low byte first: 02 00 00 00 is fence 2, read the other way 2 * 2^24.
    [20, "02000000", 2, 33554432, 2],
    [21, "00000001", 16777216, 1, 1],
    [21, "00000000", 0, 0, 0],
    // 0A000001: first and last byte are not zero, so high byte first: 10 * 2^24 + 1; low byte first 2^24 + 10.
    [20, "0A000001", 16777226, 167772161, 167772161],
  ])("gives the fence of event %i and %s both ways", (event, text, lowFirst, highFirst, geofence) => {
    const { readings, ...position } = rest(event, text);
    expect(position.geofence).toBe(geofence);
    expect(readings).toEqual({ geofenceBytes: { hex: text, lowFirst, highFirst } });
  });

  test.each([
    ["00000001", 1],
    ["00000011", 17],
    ["6587000D", 0x6587000d],
    ["FFFFFFFF", 4294967295],
  ])("gives the system flags of event 35: %s", (text, systemFlags) => {
    expect(rest(35, text).readings).toEqual({ systemFlags });
  });

  test("gives the card of event 37 as text and, when it is hex, as a number", () => {
    // 006380DF: 99 * 65536 + 128 * 256 + 223 = 6488064 + 32768 + 223.
    expect(rest(37, "006380DF")).toMatchObject({ driverId: "006380DF", readings: { driverCardNumber: 6521055 } });
  });

  test("gives the text of a magnetic card of event 37 as it is", () => {
    const text = `%  ^INVENTED NAME MR.^^?;6007550000000000=991219700101=?+  3100${" ".repeat(40)}00101?`;
    const { driverId, readings } = rest(37, text);
    expect(driverId).toBe(text);
    expect(readings).toEqual({});
  });

  test.each(["0918101221_C2E03", "180425071619_C1E1_N2U1D1.jpg", "260214083005_CH1_E126S10_0_DMS(DAA).jpg"])(
    "gives the picture of event 39: %s",
    (name) => {
      expect(rest(39, name)).toMatchObject({ pictureName: name, readings: {} });
    },
  );

  test.each([
    [50, "02", 2],
    [51, "1F", 31],
  ])("gives the sensor of event %i: %s", (event, text, temperatureSensor) => {
    expect(rest(event, text).readings).toEqual({ temperatureSensor });
  });

  test("gives the trigger of event 58 both ways", () => {
    expect(rest(58, "04000000").readings).toEqual({
      theftSource: 4,
      theftSourceBytes: { hex: "04000000", lowFirst: 4, highFirst: 67108864 },
    });
  });

  test.each([
    // 3C = 60 s, 1E = 30, 50 = 80 km/h, FA0 = 4000 m.
    ["0000003C0000001E0000005000000FA0", { durationS: 60, averageSpeedKmh: 30, maxSpeedKmh: 80, distanceM: 4000 }],
    ["0000003C|0000001E|00000050|00000FA0", { durationS: 60, averageSpeedKmh: 30, maxSpeedKmh: 80, distanceM: 4000 }],
    ["3C0000001E00000050000000A00F0000", { durationS: 60, averageSpeedKmh: 30, maxSpeedKmh: 80, distanceM: 4000 }],
    ["0000003C0000001E00000050FFFFFFFF", { durationS: 60, averageSpeedKmh: 30, maxSpeedKmh: 80 }],
  ])("gives the trip of event 145: %s", (text, trip) => {
    expect(rest(145, text).readings).toEqual({ trip, tripHex: text });
  });

  test.each([
    [20, "2"],
    [35, "1"],
    [50, "0002"],
    [58, "engine"],
    [145, "0000003C"],
    [34, "00000001"],
    [655, "anything else; it is kept"],
  ])("keeps what event %i does not explain: %s", (event, assist) => {
    expect(rest(event, assist).readings).toEqual({ assist });
  });

  // Before version 3 a byte of whole degrees and a byte of hundredths away from zero, from 3 on one number:
  // 1A 09 is 26.09 or 6665 hundredths; FB 2E is -5 - 0.46 or 64302 - 65536 = -1234; 0B 51 is 11.81 or 2897.
  test.each([
    ["", "011A09", { "1": 26.09 }],
    ["0", "011A09", { "1": 26.09 }],
    ["2", "000B51", { "0": 11.81 }],
    ["3", "000B51", { "0": 28.97 }],
    ["2", "06FB2E", { "6": -5.46 }],
    ["3", "06FB2E", { "6": -12.34 }],
    ["3", "011A09", { "1": 66.65 }],
    ["3", "010A92", { "1": 27.06 }],
    ["108", "010A92|02FFFF|FF0000", { "1": 27.06, "2": -0.01, "255": 0 }],
  ])("reads temperatures of protocol version %j: %s", (version, text, temperaturesC) => {
    const position = read({}, "", "", version, "", text);
    expect(position.temperaturesC).toEqual(temperaturesC);
    expect(position.readings).toEqual(version === "" ? undefined : { protocolVersion: Number(version) });
  });

  test.each([
    ["3", "002134", undefined],
    ["3", "010A92|002134", { "1": 27.06 }],
    ["3", "010A92|010A93", { "1": 27.06 }],
    ["3", "0A92", undefined],
    ["3", "010A92|bad", { "1": 27.06 }],
    ["1", "01ZZ01", undefined],
  ])("keeps the text when the temperatures do not say all of it: version %s, %s", (version, text, temperaturesC) => {
    const position = read({}, "", "", version, "", text);
    const { temperaturesC: found = {} } = position;
    expect(found).toEqual(temperaturesC ?? {});
    expect(position.readings).toEqual({ protocolVersion: Number(version), "aaa.21": text });
  });

  test.each([
    ["0000", 0],
    ["0A05", 10.05],
    ["6400", 100],
    ["241e", 36.3],
  ])("reads fuel %s", (text, fuelPercent) => {
    expectOnly(read({}, "", "", "", text), { fuelPercent });
  });

  test.each(["241", "24", "12.5", "24GG"])("keeps fuel that is not four hex digits: %s", (text) => {
    expectOnly(read({}, "", "", "", text), { readings: { "aaa.20": text } });
  });

  test("keeps the fields of a tail that it does not know under their numbers", () => {
    expectOnly(read({}, "00000001", "", "50", "", "", "", "12", "", "x|y", "", "", "", "0"), {
      readings: { systemFlags: 1, protocolVersion: 50, "aaa.23": "12", "aaa.25": "x|y", "aaa.29": "0" },
    });
    expectOnly(read({}, "", "", "V4"), { readings: { protocolVersion: "V4" } });
  });

  const levels = "0|0000|0000|0000|0000|0000";
  test.each([
    [
      "11|260214080000|260214082233|12345|10550|002233|010130",
      // 22 min 33 s = 1353 s; 1 h 1 min 30 s = 3690 s; 10550 hundredths of a baht.
      {
        info: "11",
        state: "stopped",
        startTime: "2026-02-14T08:00:00.000Z",
        endTime: "2026-02-14T08:22:33.000Z",
        distanceM: 12345,
        fareTHB: 105.5,
        tripS: 1353,
        waitS: 3690,
      },
    ],
    ["20|260214080000", { info: "20", state: "started", startTime: "2026-02-14T08:00:00.000Z" }],
    ["10|", { info: "10", state: "started" }],
  ])("reads the taxi meter of event 109: %s", (block, taxi) => {
    expect(rest(109, "", "", "108", "0000", "", "6", "0", "", levels, "", "", block).readings).toEqual({
      protocolVersion: 108,
      taxi,
      "aaa.23": "0",
      "aaa.25": levels,
    });
  });

  test.each(["xx|260214080000", "11|notatime", "11|260214080000|260214082233|far", "11|a|b|c|d|e|f|g"])(
    "keeps a taxi meter that cannot be read: %s",
    (block) => {
      const { readings } = rest(109, "", "", "108", "0000", "", "6", "0", "", levels, "", "", block);
      expect(readings).toEqual({ protocolVersion: 108, "aaa.23": "0", "aaa.25": levels, "aaa.28": block });
    },
  );

  test("keeps the fields of taxi firmware without a meter", () => {
    expect(rest(29, "", "", "108", "0000", "", "3", "0", "", levels).readings).toEqual({
      protocolVersion: 108,
      "aaa.23": "0",
      "aaa.25": levels,
    });
  });
});

describe("decodeAff()", () => {
  test.each([
    ["0004", 4],
    ["001A", 26],
    ["FFFF", 65535],
    ["1", 1],
  ])("reads the report after the hex count %s", (count, remaining) => {
    const message = decodeMessage(parseFrame(frameOf("AFF", `${count},${report()}`)), { model: "T366" });
    expect(message.remaining).toBe(remaining);
    expect(message.positions?.map((position) => position.toJSON())).toEqual([PLAIN]);
  });

  test("gives the same report the same digest as decodeAaa()", () => {
    const digests = (["AAA", "AFF"] as const).map((type) => {
      const frame = frameOf(type, type === "AFF" ? `0001,${report()}` : report());
      const bounds = newBounds();
      expect(locateFrame(frame, 0, frame.length, bounds)).toBe(FRAME_STATUS.ok);
      const table = new PositionTable();
      decodePositionsInto(table, frame, bounds, { scale: 1 });
      return Array.from(table.i32.slice(SLOT.digestHi, SLOT.digestLo + 1));
    });
    expect(digests[0]).toEqual(digests[1]);
    expect(digests[0]).not.toEqual([0, 0]);
  });

  test("takes the reply AFF,OK for no report", () => {
    expect(decodePositions(frameOf("AFF", "OK"))).toEqual([]);
    const message = decodeMessage(parseFrame(frameOf("AFF", "OK")));
    expect(message.positions).toBeUndefined();
    expect(message.reply).toBeDefined();
  });

  test.each([
    ["0004,", 5],
    ["0004,35,1.0", 11],
    ["0004,OK", 5],
  ])("refuses %s", (content, offset) => {
    const error = refusal(() => onlyJson("AFF", content));
    const before = 3 + 2 + 21;
    expect({ code: error.code, offset: error.offset }).toEqual({ code: "value", offset: before + offset });
  });

  test.each([
    ["0010", 16],
    ["ffffffff", 4294967295],
    ["", undefined],
    ["G1", undefined],
    ["123456789", undefined],
  ])("affRemaining() of %j is %s", (count, remaining) => {
    const bytes = bytesOf(`${count},35`);
    expect(affRemaining(bytes, 0, bytes.length)).toBe(remaining);
  });
});

test.each([
  ["90.0000004", "1.0"],
  ["-90.0000009", "1.0"],
  ["1.0", "180.0000001"],
])(
  "decodeAaa() takes coordinates that are off the Earth by less than their column holds for what they are: %s, %s",
  (latitude, longitude) => {
    const position = onlyJson("AAA", `35,${latitude},${longitude},260214083005,A`);
    expect(Math.abs(position.latitude ?? 0)).toBeLessThanOrEqual(90);
    expect(Math.abs(position.longitude ?? 0)).toBeLessThanOrEqual(180);
  },
);
