import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, fromHex, latin1 } from "../../codec/bytes.ts";
import { decodeMessage, decodePositions } from "../../codec/decode.ts";
import { type CceReport, encodeAaa, encodeAff, encodeCcc, encodeCce, type Report } from "../../codec/encode.ts";
import { CodecError } from "../../codec/errors.ts";
import { parseFrame } from "../../codec/frame.ts";

const SENDER = { identifier: "Y", imei: "000000000000000" };

const REPORT: Report = {
  event: { code: 35 },
  fixTime: Date.UTC(2000, 0, 2, 0, 0, 10),
  valid: true,
  latitude: 1,
  longitude: -1,
  satellites: 9,
  gsmSignal: 24,
  speedKmh: 41,
  courseDeg: 300,
  hdop: 0.9,
  altitudeM: -3,
  odometerM: 4294967295,
  runtimeS: 66051,
  cell: { mcc: 510, mnc: 10, lac: 149, cid: 20534 },
  inputs: 2,
  outputs: 1,
  analogV: { "1": 0.24 },
  batteryV: 4.17,
  supplyV: 13.7,
};

function plainSum(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => (sum + byte) % 256, 0);
}

/** Content of a frame after its length and checksum were worked out again in the plainest way. */
function contentOf(bytes: Uint8Array, type: string): Uint8Array {
  const comma = bytes.indexOf(0x2c);
  expect(Number(latin1(bytes, 3, comma))).toBe(bytes.length - comma);
  expect(Number.parseInt(latin1(bytes, bytes.length - 4, bytes.length - 2), 16)).toBe(
    plainSum(bytes.subarray(0, bytes.length - 4)),
  );
  const frame = parseFrame(bytes);
  expect(frame).toMatchObject({ ...SENDER, direction: "up", type });
  return frame.content;
}

function codecError(action: () => unknown): CodecError {
  try {
    action();
  } catch (error) {
    if (error instanceof CodecError) return error;
    throw error;
  }
  throw new Error("it did not throw");
}

describe("encodeAaa()", () => {
  // LAC 149 = 0x95, cell 20534 = 80 * 256 + 54 = 0x5036. Inputs 2, outputs 1: 0201.
  // Hundredths of a volt: 24 = 0x18, 417 = 0x1A1, 1370 = 0x55A.
  const text =
    "35,1.000000,-1.000000,000102000010,A,9,24,41,300,0.9,-3,4294967295,66051,510|10|0095|5036,0201,0018|||01A1|055A";

  test("writes the sixteen fields as worked out by hand", () => {
    expect(latin1(contentOf(encodeAaa({ ...SENDER, report: REPORT }), "AAA"))).toBe(text);
  });

  test("writes fuel, temperatures and the protocol version that explains them", () => {
    // 36.30 % is 36 = 0x24 and 30 = 0x1E. 27.06 is 2706 = 0x0A92; -12.34 is 65536 - 1234 = 64302 = 0xFB2E.
    const report = { ...REPORT, fuelPercent: 36.3, temperaturesC: { "1": 27.06, "6": -12.34 } };
    expect(latin1(contentOf(encodeAaa({ ...SENDER, report }), "AAA"))).toBe(`${text},,,3,241E,010A92|06FB2E`);
  });

  test("writes what fields 18 to 23 hold from the readings of those names", () => {
    const readings = { custom: "1", protocolVersion: 4, maxAccelerationMg: 36, maxDecelerationMg: 23, other: 5 };
    expect(latin1(contentOf(encodeAaa({ ...SENDER, report: { ...REPORT, readings } }), "AAA"))).toBe(
      `${text},,1,4,,,36,23`,
    );
  });

  test.each([
    [{ driverId: "006380DF", event: { code: 37 } }, "006380DF"],
    [{ pictureName: "0918101221_C2E03.jpg", event: { code: 39 } }, "0918101221_C2E03.jpg"],
    [{ geofence: 2, event: { code: 20 } }, "00000002"],
  ])("writes %j into the field that the event explains", (extra, expected) => {
    const fields = latin1(contentOf(encodeAaa({ ...SENDER, report: { ...REPORT, ...extra } }), "AAA")).split(",");
    expect(fields).toHaveLength(17);
    expect(fields[16]).toBe(expected);
  });

  test.each([{ latitude: 90.000001 }, { longitude: -180.000001 }])("refuses %j, which is not on Earth", (wrong) => {
    expect(codecError(() => encodeAaa({ ...SENDER, report: { ...REPORT, ...wrong } })).code).toBe("value");
  });

  test("counts volts as the model does", () => {
    // MVT380: 4.3008 V * 1024 / 6 = 734 = 0x2DE and 12.75 V * 1024 / 48 = 272 = 0x110, AD1 0.24 V * 1024 / 6 = 41 = 0x29.
    const report = { ...REPORT, batteryV: 4.301, supplyV: 12.75 };
    const content = latin1(contentOf(encodeAaa({ ...SENDER, report, model: "MVT380" }), "AAA"));
    expect(content.split(",")[15]).toBe("0029|||02DE|0110");
  });

  test("leaves fields empty that the report does not have, and keeps all sixteen", () => {
    const { event, fixTime, valid, latitude, longitude } = REPORT;
    const report = { event, fixTime, valid, latitude, longitude };
    expect(latin1(contentOf(encodeAaa({ ...SENDER, report }), "AAA"))).toBe(
      "35,1.000000,-1.000000,000102000010,A,,,,,,,,,,,||||",
    );
  });
});

describe("encodeAff()", () => {
  test("puts the hex number of buffered events before the report", () => {
    const content = latin1(contentOf(encodeAff({ ...SENDER, report: REPORT, remaining: 26 }), "AFF"));
    expect(content).toMatch(/^001A,35,1\.000000,/);
  });
});

// A record by hand, least significant byte first.
const CCC_RECORD = [
  "23", // event 35
  "40420f00", // 1000000 = 0x0F4240
  "c0bdf0ff", // -1000000 = 0x100000000 - 0x0F4240 = 0xFFF0BDC0
  "8a510100", // 86400 + 10 s = 0x0001518A
  "01", // valid
  "09", // satellites
  "18", // gsmSignal 24
  "2900", // 41 km/h
  "2c01", // 300 = 0x012C
  "0900", // hdop 0.9 * 10
  "fdff", // -3
  "ffffffff", // 4294967295 m
  "03020100", // 66051 = 0x010203 s
  "fe01", // mcc 510
  "0a00", // mnc 10
  "9500", // lac 149
  "3650", // cell 0x5036
  "02", // inputs
  "01", // outputs
  "1800", // 0.24 V
  "a101", // 4.17 V
  "5a05", // 13.70 V
  "00000000", // geo-fence
].join("");

describe("encodeCcc()", () => {
  test("writes layout, record length, records left and each record as worked out by hand", () => {
    const content = contentOf(encodeCcc({ ...SENDER, reports: [REPORT], remaining: 258 }), "CCC");
    // 52 = 0x34, 258 = 0x0102.
    expect(content).toEqual(fromHex(`020134000201 0000${CCC_RECORD}`.replaceAll(" ", "")));
  });

  test.each([0, 1, 9, 10, 18, 19, 20, 100, 1259])("writes %i records, all of them remaining", (count) => {
    const content = contentOf(encodeCcc({ ...SENDER, reports: Array(count).fill(REPORT) }), "CCC");
    expect(content.length).toBe(8 + 52 * count);
    expect(content[4] + 256 * content[5]).toBe(count);
  });

  test("refuses more records than a frame can hold", () => {
    expect(codecError(() => encodeCcc({ ...SENDER, reports: Array(1300).fill(REPORT) })).code).toBe("length");
  });
});

describe("encodeCce()", () => {
  test("writes the groups, their counts and the packet length as worked out by hand", () => {
    const packet = [
      "06", // six values of one byte
      ...["0123", "0501", "0609", "0718", "1401", "1502"],
      "07", // seven of two
      ...["082900", "092c01", "0a0900", "0bfdff", "161800", "19a101", "1a5a05"],
      "05", // five of four
      ...["0240420f00", "03c0bdf0ff", "048a510100", "0cffffffff", "0d03020100"],
      "01", // one of any size: mcc, mnc, lac, 32-bit cell, level unknown
      "0e0cfe010a009500365000000000",
    ].join("");
    // Parameters: 6 + 7 + 5 + 1 = 19 = 0x13. Bytes after the length: 2 + 4 + 6 * 2 + 7 * 3 + 5 * 5 + 14 = 78 = 0x4E.
    const content = contentOf(encodeCce({ ...SENDER, reports: [REPORT], remaining: 3 }), "CCE");
    expect(content).toEqual(fromHex(`03000000${"0100"}${"4e00"}${"1300"}${packet}`));
  });

  test("writes an event above 255 and inputs beyond eight as the wide parameters do", () => {
    const report: CceReport = { event: { code: 655 }, inputs: 0x10204 };
    // 655 = 0x028F. Group 2 has 40, group 4 has 42. After the length: 2 + 4 + 3 + 5 = 14.
    expect(contentOf(encodeCce({ ...SENDER, reports: [report] }), "CCE")).toEqual(
      fromHex("010000000100 0e00 0200 00 01408f02 01 4204020100 00".replaceAll(" ", "")),
    );
  });

  test("writes readings into the parameters of their names, in steps of the table", () => {
    const readings = { engineHours: 12.3, coolantTemperatureC: -5, fuelUsedL: 70000, "cce.1.5b": "01", taxi: {} };
    // 9C: -5 = 0xFFFB. 98: 70000 = 0x00011170, too wide for its 2-byte form. 9A: 123 = 0x7B.
    // After the length: 2 + 1 + (1 + 3) + (1 + 5 + 5) + 1 = 19 = 0x13.
    expect(contentOf(encodeCce({ ...SENDER, reports: [{ readings }] }), "CCE")).toEqual(
      fromHex("010000000100 1300 0300 00 019cfbff 029870110100 9a7b000000 00".replaceAll(" ", "")),
    );
  });

  test("writes a driver's card as a number when it is one, otherwise as text", () => {
    // 6520031 = 0x00637CDF. "%A" is 25 41.
    expect(contentOf(encodeCce({ ...SENDER, reports: [{ driverId: "6520031" }] }), "CCE")).toEqual(
      fromHex("010000000100 0b00 0100 00 00 0125df7c6300 00".replaceAll(" ", "")),
    );
    expect(contentOf(encodeCce({ ...SENDER, reports: [{ driverId: "%A" }] }), "CCE")).toEqual(
      fromHex("010000000100 0a00 0100 00 00 00 0139022541".replaceAll(" ", "")),
    );
  });

  test("writes raw parameters into the group of their size, or where told, with two-byte ids", () => {
    const parameters = [
      { id: 0xfe69, bytes: fromHex("64") },
      { id: 0xf828, bytes: fromHex("01ff"), group: "n" as const },
      { id: 0xfe30, bytes: fromHex("0500") },
      { id: 0x1c, bytes: fromHex("01000000") },
      { id: 0x39, bytes: bytesOf("*\r\n$$,") },
    ];
    // After the length: 2 + (1 + 3) + (1 + 4) + (1 + 5) + (1 + 5 + 8) = 31 = 0x1F.
    expect(contentOf(encodeCce({ ...SENDER, reports: [{ parameters }] }), "CCE")).toEqual(
      fromHex(
        "010000000100 1f00 0500 01fe6964 01fe300500 011c01000000 02f8280201ff39062a0d0a24242c".replaceAll(" ", ""),
      ),
    );
  });

  test("writes several packets one after the other", () => {
    const content = contentOf(encodeCce({ ...SENDER, reports: [REPORT, { event: { code: 1 } }, REPORT] }), "CCE");
    // Head 6, packets 80 + (2 + 2 + 4 + 2) + 80.
    expect(content.length).toBe(6 + 80 + 10 + 80);
    expect([content[0], content[4]]).toEqual([3, 3]);
  });

  test.each([
    [{ parameters: [{ id: 0x1234, bytes: fromHex("00") }] }, "parameter 1234: a two-byte id begins with FE or F8"],
    [{ parameters: [{ id: 0xfe, bytes: fromHex("00") }] }, "parameter FE: a two-byte id begins"],
    [{ parameters: [{ id: 0x08, bytes: fromHex("00"), group: 2 as const }] }, "it has 1 bytes, its group has 2"],
    [{ parameters: [{ id: 0x39, bytes: new Uint8Array(256) }] }, "it has 256 bytes, 255 are the most"],
    [{ temperaturesC: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [i, 20])) }, "more than 8 temperature"],
  ])("refuses %j", (report: CceReport, message) => {
    const error = codecError(() => encodeCce({ ...SENDER, reports: [report] }));
    expect(error.code).toBe("value");
    expect(error.message).toContain(message);
  });
});

describe("encoders", () => {
  test.each([
    [{ latitude: 1.0000001 }, "latitude"],
    [{ longitude: Number.NaN }, "longitude"],
    [{ fixTime: REPORT.fixTime + 1 }, "fixTime"],
    [{ fixTime: Date.UTC(1999, 0) }, "fixTime"],
    [{ satellites: 256 }, "satellites"],
    [{ speedKmh: -1 }, "speedKmh"],
    [{ altitudeM: 40000 }, "altitudeM"],
    [{ odometerM: 4294967296 }, "odometerM"],
    [{ cell: { mcc: 70000, mnc: 1 } }, "cell.mcc"],
    [{ batteryV: -1 }, "batteryV"],
  ])("refuse %j and name the field", (wrong, field) => {
    const report: Report = { ...REPORT, ...wrong };
    const refusals = [
      () => encodeAaa({ ...SENDER, report }),
      () => encodeCcc({ ...SENDER, reports: [report] }),
      () => encodeCce({ ...SENDER, reports: [report] }),
    ];
    for (const refusal of refusals) {
      const error = codecError(refusal);
      expect(error.code).toBe("value");
      expect(error.message).toContain(`Cannot encode report: ${field} is`);
    }
  });

  test.each([{ driverId: "1,2" }, { driverId: "1\r\n" }, { pictureName: "ä.jpg" }])(
    "refuse %j, which would break the fields of a text report",
    (wrong) => {
      expect(codecError(() => encodeAaa({ ...SENDER, report: { ...REPORT, ...wrong } })).code).toBe("value");
    },
  );
});

/** A whole number of steps, `per` of them to one. */
const steps = (min: number, max: number, per = 1) => fc.integer({ min, max }).map((n) => n / per);
const volts = steps(0, 65535, 100);

/** Fields that every type carries, in steps that every type has. */
const COMMON = {
  event: fc.record({ code: fc.integer({ min: 1, max: 255 }) }),
  fixTime: fc.integer({ min: 0, max: 3_155_759_999 }).map((s) => Date.UTC(2000, 0) + s * 1000),
  valid: fc.boolean(),
  latitude: steps(-90e6, 90e6, 1e6),
  longitude: steps(-180e6, 180e6, 1e6),
  satellites: steps(0, 99),
  gsmSignal: steps(0, 99),
  speedKmh: steps(0, 999),
  courseDeg: steps(0, 360),
  hdop: steps(0, 999, 10),
  altitudeM: steps(-9999, 9999),
  odometerM: steps(0, 4294967295),
  runtimeS: steps(0, 4294967295),
  cell: fc.record({ mcc: steps(0, 999), mnc: steps(0, 999), lac: steps(0, 65535), cid: steps(0, 65535) }),
  inputs: steps(0, 255),
  outputs: steps(0, 255),
  batteryV: volts,
  supplyV: volts,
};
const analogOf = (...inputs: number[]) => fc.record(Object.fromEntries(inputs.map((input) => [input, volts])));
const TEMPERATURES = fc.dictionary(fc.integer({ min: 1, max: 255 }).map(String), steps(-32768, 32767, 100), {
  minKeys: 1,
  maxKeys: 8,
});

/** What a report looks like after it was decoded, as JSON. */
function decoded(report: Partial<Report>): object {
  const { event, fixTime, readings: _, ...rest } = report;
  return {
    ...rest,
    ...(event === undefined ? {} : { event: expect.objectContaining(event) }),
    ...(fixTime === undefined ? {} : { fixTime: new Date(fixTime).toISOString() }),
  };
}

describe("decode(encode(report))", () => {
  test("gives an AAA report back", () => {
    const all = fc.record(
      {
        ...COMMON,
        event: fc.record({ code: fc.integer({ min: 100, max: 65535 }) }),
        speedKmh: steps(0, 999_000, 1000),
        hdop: steps(0, 99_900, 1000),
        cell: fc.record({ mcc: steps(0, 999), mnc: steps(0, 999), lac: steps(0, 65535), cid: steps(0, 0xfffffff) }),
        analogV: analogOf(1, 2, 3, 6, 7, 8),
        fuelPercent: steps(0, 25599, 100),
        temperaturesC: TEMPERATURES,
      },
      { requiredKeys: ["event", "fixTime", "valid", "latitude", "longitude"] },
    );
    fc.assert(
      fc.property(all, (report) => {
        const [position] = decodePositions(encodeAaa({ ...SENDER, report, model: "T366" }), { model: "T366" });
        const { readings: _, ...json } = position.toJSON();
        // Inputs and outputs share a field: one without the other is sent with the other at 0.
        const ports = report.inputs === undefined && report.outputs === undefined ? {} : { inputs: 0, outputs: 0 };
        expect(json).toEqual(decoded({ ...ports, ...report }));
      }),
    );
  });

  test("gives an AFF report back, with the number of buffered events", () => {
    fc.assert(
      fc.property(fc.record(COMMON), fc.integer({ min: 0, max: 65535 }), (report, remaining) => {
        const message = decodeMessage(parseFrame(encodeAff({ ...SENDER, report, remaining })), { model: "T366" });
        expect(message.remaining).toBe(remaining);
        expect(message.positions?.[0].toJSON()).toMatchObject(decoded(report));
      }),
    );
  });

  test.each([
    ["MVT380", 6 / 1024, 48 / 1024],
    ["MVT600", 6.6 / 4096, 52.8 / 4096],
  ])("gives the volts of an AAA report of an %s back", (model, batteryStep, supplyStep) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4095 }), fc.integer({ min: 0, max: 4095 }), (battery, supply) => {
        const round = (value: number) => Math.round(value * 1000) / 1000;
        const report = { ...REPORT, batteryV: round(battery * batteryStep), supplyV: round(supply * supplyStep) };
        const [{ batteryV, supplyV }] = decodePositions(encodeAaa({ ...SENDER, report, model }), { model });
        expect({ batteryV, supplyV }).toEqual({ batteryV: report.batteryV, supplyV: report.supplyV });
      }),
    );
  });

  test("gives any number of CCC records back", () => {
    const all = fc.record({ ...COMMON, analogV: analogOf(1), geofence: steps(0, 4294967295) });
    // The last word of a record is no geo-fence with the events that say something else there.
    const reports = fc.array(
      all.map((report) => ({ ...report, event: { code: (report.event.code % 30) + 1 } })),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(reports, fc.integer({ min: 0, max: 4294967295 }), (batch, remaining) => {
        const message = decodeMessage(parseFrame(encodeCcc({ ...SENDER, reports: batch, remaining })));
        if (batch.length === 0) return;
        expect(message.remaining).toBe(remaining);
        expect(message.positions?.map((position) => position.toJSON())).toEqual(batch.map(decoded));
      }),
      { numRuns: 50 },
    );
  });

  test("gives CCE packets back, whatever fields they have", () => {
    const all = fc.record(
      {
        ...COMMON,
        event: fc.record({ code: fc.integer({ min: 1, max: 65535 }) }),
        cell: fc.record({ mcc: steps(0, 999), mnc: steps(0, 999), lac: steps(0, 65535), cid: steps(0, 4294967295) }),
        inputs: steps(0, 4294967295),
        analogV: analogOf(1, 2, 3, 6),
        fuelPercent: steps(0, 65535, 100),
        temperaturesC: TEMPERATURES,
        driverId: steps(0, 4294967295).map(String),
        pictureName: fc.string({ unit: fc.constantFrom(..."0123456789_CE.jpg"), minLength: 1, maxLength: 40 }),
        geofence: steps(0, 255),
      },
      { requiredKeys: ["event"] },
    );
    fc.assert(
      fc.property(fc.array(all, { minLength: 1, maxLength: 12 }), (reports) => {
        const positions = decodePositions(encodeCce({ ...SENDER, reports }));
        expect(positions).toHaveLength(reports.length);
        for (const [n, position] of positions.entries()) {
          const { readings: _, ...json } = position.toJSON();
          // A fix without coordinates is none.
          const { valid = false, latitude, longitude } = reports[n];
          const fix = valid && latitude !== undefined && longitude !== undefined;
          expect(json).toEqual({ ...decoded(reports[n]), valid: fix });
        }
      }),
      { numRuns: 50 },
    );
  });

  test("gives the readings of a CCE packet back", () => {
    const readings = {
      engineHours: 12.3,
      coolantTemperatureC: -5,
      fuelUsedL: 70000,
      batteryPercent: 64,
      rxLevelDbm: -90,
    };
    const [position] = decodePositions(encodeCce({ ...SENDER, reports: [{ ...REPORT, readings }] }));
    expect(position.readings).toEqual(readings);
  });

  test("keeps raw parameters that nobody knows", () => {
    const parameters = [{ id: 0xfe6e, bytes: fromHex("0102030405060708") }];
    const [position] = decodePositions(encodeCce({ ...SENDER, reports: [{ ...REPORT, parameters }] }));
    expect(position.readings).toEqual({ "cce.n.fe6e": "0102030405060708" });
  });
});
