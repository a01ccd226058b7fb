import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, latin1, toHex } from "../../codec/bytes.ts";
import { collect, DROP, PROFILE_BITS, ROUND_SHIFT, ROUNDED_DECIMALS } from "../../codec/collect.ts";
import { EPOCH_MS, FLAGS, PositionTable, SLOT, STRIDE, visitTail, writeVarint } from "../../codec/columns.ts";
import { decodePositionsInto } from "../../codec/decode.ts";
import { encodeCcc, encodeCce, type RawParameter, type Report } from "../../codec/encode.ts";
import { CodecError } from "../../codec/errors.ts";
import { locateFrame, newBounds } from "../../codec/frame.ts";
import { positionAt } from "../../codec/position.ts";
import { encodeRecord } from "../../codec/record.ts";
import { ByteSink, encodeStored, StoredPositions, sameRecord } from "../../codec/segment.ts";
import { frames } from "./arbitrary-frames.ts";
import { frameOf, hexBytes, SENDER } from "./wire.ts";

const [, FOUR, THREE, TWO] = ROUNDED_DECIMALS.map((_, row) => row << ROUND_SHIFT);

function decoded(frame: Uint8Array): PositionTable {
  const bounds = newBounds();
  locateFrame(frame, 0, frame.length, bounds);
  const table = new PositionTable();
  try {
    decodePositionsInto(table, frame, bounds, { scale: 1 });
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
  }
  return table;
}

function collected(frame: Uint8Array, profile: number): PositionTable {
  const table = decoded(frame);
  for (let row = 0; row < table.count; row++) collect(table, row, profile);
  return table;
}

const json = (table: PositionTable, row = 0) => JSON.stringify(positionAt(table, row));

/** Everything that is stored of a table, as one text of bytes. */
function storedBytes(table: PositionTable): string {
  const stored = new StoredPositions();
  for (let row = 0; row < table.count; row++) stored.add(table, row, row, 1, 0, EPOCH_MS, false);
  const sink = new ByteSink();
  encodeStored(
    stored,
    Uint32Array.from({ length: table.count }, (_, row) => row),
    0,
    table.count,
    sink,
  );
  let text = latin1(sink.bytes, 0, sink.length);
  for (let row = 0; row < table.count; row++) text += latin1(encodeRecord(positionAt(table, row)));
  return text;
}

/** Forms in which a number may be among bytes: low and high byte first, doubles, a column, digits. */
function formsOf(value: number): string[] {
  const view = new DataView(new ArrayBuffer(24));
  const forms: string[] = [];
  const take = (bytes: number) => forms.push(latin1(new Uint8Array(view.buffer, 0, bytes)));
  for (const low of [true, false]) {
    view.setInt32(0, value, low);
    take(4);
    view.setFloat32(0, value, low);
    take(4);
    view.setFloat64(0, value, low);
    take(8);
  }
  for (const coded of [value, (value << 1) ^ (value >> 31)]) {
    const bytes = new Uint8Array(5);
    forms.push(latin1(bytes, 0, writeVarint(bytes, 0, coded)));
  }
  return [...forms, String(value), value.toString(16), value.toString(16).toUpperCase()];
}

const REPORT: Report = {
  event: { code: 35 },
  fixTime: Date.UTC(2026, 1, 14, 8, 30, 5),
  valid: true,
  latitude: 48.137154,
  longitude: 11.576124,
  satellites: 9,
  gsmSignal: 22,
  speedKmh: 47,
  courseDeg: 287,
  hdop: 0.9,
  altitudeM: 520,
  odometerM: 123_456,
  runtimeS: 86_399,
  cell: { mcc: 262, mnc: 10, lac: 0xbeef, cid: 0xcafe },
  inputs: 4,
  outputs: 33,
  batteryV: 4.17,
  supplyV: 13.7,
};
const cce = (parameters: RawParameter[], more: Partial<Report> = {}) =>
  encodeCce({ ...SENDER, reports: [{ ...REPORT, ...more, parameters }] });
const parameter = (group: RawParameter["group"], id: number, hex: string) =>
  cce([{ group, id, bytes: hexBytes(hex) } as RawParameter]);
const aaa = (text: string) => frameOf("AAA", text);
const HEAD =
  "48.137154,11.576124,260214083005,A,9,22,47,287,0.9,520,123456,86399,262|10|BEEF|0CAFE123,0421,|||01A1|055A";

const CARD = "DRIVER77";
const CARD_HEX = toHex(bytesOf(CARD));
const CARD_NUMBER = 0x5eed1234;

describe("collect()", () => {
  // What is dropped, by which bits, the frame, and what must not be left of it in any form.
  test.each([
    ["speed of a text report", DROP.speed, aaa(`35,${HEAD}`), [47_000, "speedKmh"]],
    ["speed with decimals", DROP.speed, aaa(`35,${HEAD.replace(",47,", ",47.1234567,")}`), [47_123, "47.1234567"]],
    ["speed of a binary report", DROP.speed, encodeCcc({ ...SENDER, reports: [REPORT] }), [47_000, "speedKmh"]],
    ["speed of a packet", DROP.speed, cce([]), [47_000, "speedKmh"]],
    ["a second speed", DROP.speed, parameter(2, 0x08, "3930"), ["\x39\x30", "cce.2.08"]],
    ["speed of a tachograph", DROP.speed, parameter(2, 0x91, "3930"), ["\x39\x30", "tachographSpeedKmh"]],
    ["speed of the wheels", DROP.speed, parameter(2, 0x92, "3930"), ["\x39\x30", "wheelSpeedKmh"]],
    ["speeds of a trip", DROP.speed, aaa(`145,${HEAD},0000003C0000001E00003039000000A0`), ["00003039", "trip"]],
    ["speeds of a trip in a packet", DROP.speed, parameter("n", 0x6a, "01 01000000 02000000 3930 3a30 0000"), ["trip"]],
    ["speeds before", DROP.speed, parameter("n", 0xf824, "02 e803 c8c9"), ["\xc8\xc9", "speedsBefore"]],
    ["cell of a text report", DROP.cell, aaa(`35,${HEAD}`), [0xbeef, 0x0cafe123, '"cell"']],
    ["an odd cell", DROP.cell, aaa(`35,${HEAD.replace("0CAFE123", "3.8e+07")}`), [0xbeef, "3.8e+07", '"cell"']],
    ["cell of a binary report", DROP.cell, encodeCcc({ ...SENDER, reports: [REPORT] }), [0xbeef, 0xcafe, '"cell"']],
    ["cell of a packet", DROP.cell, cce([]), [0xbeef, 0xcafe, '"cell"']],
    ["cells around", DROP.cell, parameter("n", 0x0f, "0601 0a00 efbe feca1234 a6ff"), [0x3412cafe, "neighbourCells"]],
    ["a second cell", DROP.cell, parameter("n", 0x0e, "0601 0a00 efbe feca1234 a6ff"), [0x3412cafe, "cce.n.0e"]],
    ["networks around", DROP.cell, parameter("n", 0x1d, "abcdef012345 c4ff"), ["\xab\xcd\xef", "wifi"]],
    ["the network's name", DROP.cell, parameter("n", 0x4b, "0102034c5445"), ["LTE", "network"]],
    ["a card in a text report", DROP.driver, aaa(`37,${HEAD},${CARD}`), [CARD, "driverId"]],
    ["a card that is a number", DROP.driver, aaa(`37,${HEAD},5EED1234`), [CARD_NUMBER, "driverCardNumber"]],
    ["a picture in a text report", DROP.driver, aaa(`39,${HEAD},0918101221_C2E03.jpg`), ["0918101221", "pictureName"]],
    ["a card in a packet", DROP.driver, parameter("n", 0x39, CARD_HEX), [CARD, "driverId"]],
    ["a card's number", DROP.driver, parameter(4, 0x25, "3412ed5e"), [CARD_NUMBER, "driverId", "driverCardNumber"]],
    ["a face", DROP.driver, parameter("n", 0xfe6a, `0101${CARD_HEX}`), [CARD, "faceAlert"]],
    ["a picture", DROP.driver, parameter("n", 0x44, CARD_HEX), [CARD, "pictureName"]],
    ["a beacon", DROP.driver, parameter("n", 0xfe71, `01 08${CARD_HEX} 010203040506 64 c4`), [CARD, "beacons"]],
  ])("drops %s", (_, profile, frame, traces) => {
    const before = `${json(decoded(frame))} ${storedBytes(decoded(frame))}`;
    const table = collected(frame, profile);
    const after = `${json(table)} ${storedBytes(table)}`;
    for (const trace of traces) {
      const forms = typeof trace === "number" ? formsOf(trace) : [trace];
      expect(forms.some((form) => before.includes(form))).toBe(true);
      for (const form of forms) expect(after).not.toContain(form);
    }
  });

  test("drops only what a bit says of what is understood", () => {
    const frame = aaa(`37,${HEAD},${CARD}`);
    const fields = { speedKmh: 47, cell: { mcc: 262, mnc: 10, lac: 0xbeef, cid: 0x0cafe123 }, driverId: CARD };
    const names = { [DROP.speed]: "speedKmh", [DROP.cell]: "cell", [DROP.driver]: "driverId" };
    for (const [bit, name] of Object.entries(names)) {
      const said = positionAt(collected(frame, Number(bit)), 0).toJSON();
      const { [name]: _, ...others } = fields as Record<string, unknown>;
      expect(said).toMatchObject({ ...others, latitude: 48.137154, longitude: 11.576124 });
      expect(said).not.toHaveProperty(name);
    }
  });

  test("drops a driver's card where another event's record has a geo-fence", () => {
    const table = decoded(encodeCcc({ ...SENDER, reports: [{ ...REPORT, event: { code: 37 } }, REPORT] }));
    for (let row = 0; row < 2; row++) {
      table.i32[row * STRIDE + SLOT.geofence] = CARD_NUMBER;
      expect(json(table, row)).toContain(String(CARD_NUMBER));
      collect(table, row, DROP.driver);
    }
    expect(json(table, 0)).not.toContain(String(CARD_NUMBER));
    expect(json(table, 1)).toContain(`"geofence":${CARD_NUMBER}`);
  });

  test.each([
    [FOUR, 48.1372, 11.5761],
    [THREE, 48.137, 11.576],
    [TWO, 48.14, 11.58],
  ])("rounds coordinates by profile %i, also those of text with more decimals", (profile, latitude, longitude) => {
    const places = HEAD.replace("48.137154,11.576124", "48.1371541234,11.5761241234");
    for (const frame of [cce([]), encodeCcc({ ...SENDER, reports: [REPORT] }), aaa(`35,${places}`)]) {
      const table = collected(frame, profile);
      expect(positionAt(table, 0).toJSON()).toMatchObject({ latitude, longitude, speedKmh: 47 });
      for (const trace of [48_137_154, 11_576_124].flatMap(formsOf)) expect(storedBytes(table)).not.toContain(trace);
      expect(storedBytes(table)).not.toContain("1371541234");
      expect(table.i32[SLOT.flags] & FLAGS.exact).toBe(0);
    }
  });

  test("rounds to the nearest step everywhere on Earth, and off it", () => {
    const degrees = fc.integer({ min: -(2 ** 31) + 10_000, max: 2 ** 31 - 10_001 });
    fc.assert(
      fc.property(degrees, degrees, fc.constantFrom(1, 2, 3), (latitudeE6, longitudeE6, rounding) => {
        const table = decoded(cce([]));
        table.i32[SLOT.latitudeE6] = latitudeE6;
        table.i32[SLOT.longitudeE6] = longitudeE6;
        collect(table, 0, rounding << ROUND_SHIFT);
        const step = 10 ** (6 - (ROUNDED_DECIMALS[rounding] ?? 6));
        for (const [slot, before] of [
          [SLOT.latitudeE6, latitudeE6],
          [SLOT.longitudeE6, longitudeE6],
        ]) {
          const after = table.i32[slot];
          expect(Math.abs(after % step)).toBe(0);
          expect(Math.abs(after - before)).toBeLessThanOrEqual(step / 2);
        }
      }),
      { numRuns: 500, seed: 61 },
    );
  });

  test("rounding drops what tells the place better: networks around, and where a speeding began", () => {
    const place = "02000000 3412ed5e 3412ed5e 03000000 3412ed5e 3412ed5e 01000000 e803 e803";
    for (const [id, hex] of [
      [0x1d, "3412ed5e2345 c4ff"],
      [0x0f, "0601 0a00 efbe 3412ed5e a6ff"],
      [0xf82e, place],
    ] as const) {
      expect(storedBytes(decoded(parameter("n", id, hex)))).toContain("\x34\x12\xed\x5e");
      expect(storedBytes(collected(parameter("n", id, hex), TWO))).not.toContain("\x34\x12\xed\x5e");
    }
    const second = parameter(4, 0x02, "3412ed5e");
    expect(storedBytes(collected(second, TWO))).not.toContain("\x34\x12\xed\x5e");
    expect(storedBytes(collected(second, DROP.cell))).toContain("\x34\x12\xed\x5e");
  });

  test.each([
    ["a parameter without a row", parameter("n", 0xf828, CARD_HEX)],
    ["a number without a row", parameter(4, 0xee, "53494c4c")],
    ["a structure that is not laid out as it should be", parameter("n", 0x2a, CARD_HEX)],
    ["what follows the parameters", aPacketWithRest()],
    ["what follows the fields of a record", longRecord()],
    ["what follows the last record", frameOf("CCC", bytesOf(`${latin1(recordContent())}${CARD}`))],
    ["text in place of a time", aaa(`35,${HEAD.replace("260214083005", CARD)}`)],
    ["text in place of a number", aaa(`35,${HEAD.replace(",9,22", `,${CARD},22`)}`)],
    ["text in place of a status", aaa(`35,${HEAD.replace(",A,", `,${CARD},`)}`)],
    ["text in place of analog values", aaa(`35,${HEAD.replace("|||01A1", `|${CARD}||01A1`)}`)],
    ["assisted information of an event that has none", aaa(`32,${HEAD},${CARD}`)],
    ["assisted information of another form", aaa(`35,${HEAD},${CARD}`)],
    ["customised data", aaa(`35,${HEAD},,${CARD}`)],
    ["fuel of another form", aaa(`35,${HEAD},,,3,${CARD}`)],
    ["temperatures of another form", aaa(`35,${HEAD},,,3,,${CARD}`)],
    ["fields of unknown firmware", aaa(`35,${HEAD},,,3,,,,,,${CARD}`)],
  ])("drops %s with any bit, as it may hold anything", (_, frame) => {
    expect(storedBytes(decoded(frame))).toMatch(/DRIVER77|SILL/);
    for (const profile of [DROP.speed, DROP.cell, DROP.driver, FOUR, THREE, TWO]) {
      expect(storedBytes(collected(frame, profile))).not.toMatch(/DRIVER77|SILL/);
    }
    expect(storedBytes(collected(frame, 0))).toBe(storedBytes(decoded(frame)));
  });

  test("keeps what is understood and belongs to no category", () => {
    const text = aaa(`35,${HEAD.replace(",9,22", ",9.5,22")},0000000A,,3,241E,010A92|06FB2E,36,23`);
    expect(json(collected(text, PROFILE_BITS))).toBe(
      json(decoded(text))
        .replace(/"latitude.*?"satellites"/, '"latitude":48.14,"longitude":11.58,"satellites"')
        .replace('"speedKmh":47,', "")
        .replace(/"cell":\{.*?\},/, ""),
    );
    const packet = cce([{ id: 0x2a, bytes: hexBytes("01120a"), group: "n" }], { readings: { engineHours: 12.3 } });
    const said = JSON.parse(json(collected(packet, DROP.driver | DROP.cell)));
    expect(said).toMatchObject({ temperaturesC: { "1": 25.78 }, readings: { engineHours: 12.3 }, speedKmh: 47 });
  });

  const NEVER = /"(speedKmh|cell|driverId|pictureName)":/;
  const READINGS =
    /^(systemFlags|protocolVersion|max(Ac|De)celerationMg|geofenceBytes|temperatureSensor|theftSource(Bytes)?|analogRaw|analogMv|device(Latitude|Longitude)|(rtcBattery|processor|gps)V|aaa\.(1|6|7|9|1[0-35-6]|21)(\.\d+)?|ccc\.(layout|status)|cce\.[124]\.[0-9a-f]{2}(\.\d+)?|tyres|bluetoothSensors|deadReckoningState|engine\w+|fuel\w+|battery\w+|coolant\w+|storage|people|cameras|clutchSwitch|\w+Switch|\w+Percent|\w+DistanceM|axleWeightKg|serviceDistanceKm|vehicleBattery|tripFuelUsed|fatigueDriving|steps|parkingTime|drivingState|lockState|tachographPerformance|ambientTemperatureC|temperatureSensors|batteries)$/;

  test("leaves only fields that are known to hold none of it, whatever the frame", () => {
    fc.assert(
      fc.property(frames, (frame) => {
        const table = collected(frame, PROFILE_BITS);
        for (let row = 0; row < table.count; row++) {
          const said = json(table, row);
          expect(said).not.toMatch(NEVER);
          for (const name of Object.keys(positionAt(table, row).readings ?? {})) expect(name).toMatch(READINGS);
        }
      }),
      { numRuns: 1500, seed: 62 },
    );
  });

  test("leaves rows whose tails are whole, and does no more the second time", () => {
    fc.assert(
      fc.property(frames, fc.nat(PROFILE_BITS), (frame, profile) => {
        const before = decoded(frame);
        const table = collected(frame, profile);
        const again = collected(frame, profile);
        const [one, two] = [new StoredPositions(), new StoredPositions()];
        for (let row = 0; row < table.count; row++) {
          collect(again, row, profile);
          const tail = table.tailAt(row);
          if (profile !== 0) expect(visitTail(tail, 0, tail.length, () => {})).toBe(true);
          expect(tail.length).toBeLessThanOrEqual(before.tailAt(row).length);
          one.add(table, row, 0, 0, 0, 0, false);
          two.add(again, row, 0, 0, 0, 0, false);
          expect(sameRecord(one, row, two, row)).toBe(true);
        }
      }),
      { numRuns: 800, seed: 63 },
    );
  });

  test("leaves nothing by which two reports that differ in what is dropped can be told apart", () => {
    const secret = fc.record({
      speedKmh: fc.option(fc.nat(65535), { nil: undefined }),
      cell: fc.option(fc.record({ mcc: fc.nat(999), mnc: fc.nat(999), lac: fc.nat(65535), cid: fc.nat(65535) }), {
        nil: undefined,
      }),
      // Within one step of two decimals.
      latitude: fc.integer({ min: 48_135_001, max: 48_144_999 }).map((n) => n / 1e6),
      longitude: fc.integer({ min: -11_584_999, max: -11_575_001 }).map((n) => n / 1e6),
      parameters: fc.array(
        fc.record({
          id: fc.constantFrom(0x39, 0x0f, 0x1d, 0x44, 0x4b, 0xee, 0xf828, 0xfe31, 0xfe6a, 0xfe71),
          bytes: fc.uint8Array({ maxLength: 60 }),
        }),
        { maxLength: 6 },
      ),
    });
    const rowOf = (more: Partial<Report> & { parameters: RawParameter[] }) => {
      const frame = encodeCce({ ...SENDER, reports: [{ ...REPORT, ...more }] });
      const stored = new StoredPositions();
      stored.add(collected(frame, PROFILE_BITS), 0, 1, 1, 0, 1, false);
      return stored;
    };
    fc.assert(
      fc.property(secret, secret, (one, other) => {
        expect(sameRecord(rowOf(one), 0, rowOf(other), 0)).toBe(true);
      }),
      { numRuns: 400, seed: 64 },
    );
  });
});

// A packet that ends inside its last group: the rest of it is kept as bytes.
function aPacketWithRest(): Uint8Array {
  const packet = hexBytes(`0200 01 0123 00 00 05 39${toHex(Uint8Array.of(200))}${CARD_HEX}`);
  const length = hexBytes(`${toHex(Uint8Array.of(packet.length))}00`);
  return frameOf("CCE", Uint8Array.of(0, 0, 0, 0, 1, 0, ...length, ...packet));
}

function recordContent(): Uint8Array {
  const frame = encodeCcc({ ...SENDER, reports: [REPORT] });
  const from = latin1(frame).indexOf("CCC,") + 4;
  return frame.slice(from, from + 8 + 52);
}

// A record with eight bytes more than its fields.
function longRecord(): Uint8Array {
  const content = recordContent();
  content[2] += CARD.length;
  return frameOf("CCC", Uint8Array.of(...content, ...bytesOf(CARD)));
}
