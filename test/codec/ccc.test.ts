import { describe, expect, test } from "vitest";
import { CCC_FIELDS, cccRemaining, decodeCcc } from "../../codec/ccc.ts";
import { COLUMNS, PositionTable } from "../../codec/columns.ts";
import { decodeMessage, decodePositions } from "../../codec/decode.ts";
import { parseFrame } from "../../codec/frame.ts";
import type { PositionJson } from "../../codec/position.ts";
import { frameOf, hexBytes, jsonOf, le, onlyJson, refusal } from "./wire.ts";

/** An invented record, least significant byte first, as [bytes, what they are]. */
const RECORD = [
  ["23", "event 35"],
  ["c78afafd", "-33912121 = 0x100000000 - 0x02057539 = 0xFDFA8AC7"],
  ["b30f1901", "18419635 = 0x01190FB3"],
  ["9d951d31", "824022429 = 0x311D959D: 9537 days, 25629 s after 2000-01-01, 7 h 7 min 9 s"],
  ["01", "valid"],
  ["0a", "10 satellites"],
  ["1f", "GSM 31"],
  ["2c01", "300 km/h = 0x012C"],
  ["6701", "359 degrees = 0x0167"],
  ["0900", "HDOP 0.9 * 10"],
  ["f9ff", "-7 m"],
  ["ffffffff", "4294967295 m"],
  ["80510100", "86400 s = 0x015180"],
  ["8f02", "MCC 655 = 0x028F"],
  ["0a00", "MNC 10"],
  ["f401", "LAC 500 = 0x01F4"],
  ["b3a2", "cell 41651 = 0xA2B3"],
  ["04", "input 3"],
  ["21", "outputs 1 and 6"],
  ["1800", "AD1 0.24 V"],
  ["a101", "battery 4.17 V = 0x01A1 hundredths"],
  ["5a05", "supply 13.70 V = 0x055A hundredths"],
  ["02000000", "fence 2"],
] as const;

const HEX = RECORD.map(([bytes]) => bytes).join("");

const POSITION: PositionJson = {
  event: { code: 35, name: "time interval" },
  fixTime: "2026-02-10T07:07:09.000Z",
  valid: true,
  latitude: -33.912121,
  longitude: 18.419635,
  satellites: 10,
  gsmSignal: 31,
  speedKmh: 300,
  courseDeg: 359,
  hdop: 0.9,
  altitudeM: -7,
  odometerM: 4294967295,
  runtimeS: 86400,
  cell: { mcc: 655, mnc: 10, lac: 500, cid: 41651 },
  inputs: 4,
  outputs: 33,
  analogV: { "1": 0.24 },
  batteryV: 4.17,
  supplyV: 13.7,
  geofence: 2,
};

const head = (stride: number, remaining: number, layout = "0201") => layout + le(2, stride) + le(4, remaining);

/** A record with other bytes from an offset on. */
function recordWith(...changes: [offset: number, hex: string][]): string {
  let hex = HEX;
  for (const [offset, bytes] of changes) hex = hex.slice(0, offset * 2) + bytes + hex.slice(offset * 2 + bytes.length);
  return hex;
}

const one = (...changes: [number, string][]) => onlyJson("CCC", hexBytes(head(52, 1), recordWith(...changes)));

describe("decodeCcc()", () => {
  test("reads each field of a record of 52 bytes as worked out by hand", () => {
    expect(HEX.length).toBe(104);
    expect(onlyJson("CCC", hexBytes(head(52, 1), HEX))).toEqual(POSITION);
  });

  test("gives the same for every model", () => {
    for (const model of ["MVT380", "MT90", "T622"]) {
      expect(onlyJson("CCC", hexBytes(head(52, 1), HEX), { model })).toEqual(POSITION);
    }
  });

  const changes: [string, [number, string][], Partial<Record<keyof PositionJson, unknown>>][] = [
    ["no fix", [[13, "00"]], { valid: false }],
    ["an unknown status", [[13, "02"]], { valid: false, readings: { "ccc.status": "02" } }],
    ["event 255", [[0, "ff"]], { event: { code: 255, name: "unknown" } }],
    ["the north pole", [[1, "804a5d05"]], { latitude: 90 }],
    ["the date line", [[5, "006b45f5"]], { longitude: -180 }],
    ["a latitude of 0", [[1, "00000000"]], { latitude: 0 }],
    ["the first second", [[9, "00000000"]], { fixTime: "2000-01-01T00:00:00.000Z" }],
    // 2^32 - 1 s after 2000-01-01: 49710 days and 23295 s = 6 h 28 min 15 s.
    ["the last second", [[9, "ffffffff"]], { fixTime: "2136-02-07T06:28:15.000Z" }],
    ["the fastest speed", [[16, "ffff"]], { speedKmh: 65535 }],
    ["the largest HDOP", [[20, "ffff"]], { hdop: 6553.5 }],
    ["an altitude above 2^15", [[22, "ff7f"]], { altitudeM: 32767 }],
    ["the lowest altitude", [[22, "0080"]], { altitudeM: -32768 }],
    ["an odometer above 2^31", [[24, "00000080"]], { odometerM: 2147483648 }],
    ["no network", [[32, "0000000000000000"]], { cell: { mcc: 0, mnc: 0, lac: 0, cid: 0 } }],
    ["a full cell", [[32, "ffffffffffffffff"]], { cell: { mcc: 65535, mnc: 65535, lac: 65535, cid: 65535 } }],
    ["all ports", [[40, "ffff"]], { inputs: 255, outputs: 255 }],
    ["full volts", [[42, "ffffffffffff"]], { analogV: { "1": 655.35 }, batteryV: 655.35, supplyV: 655.35 }],
    ["no fence", [[48, "00000000"]], { geofence: 0 }],
    ["the largest fence", [[48, "ffffffff"]], { geofence: 4294967295 }],
    [
      "a card of event 37",
      [
        [0, "25"],
        [48, "df806300"],
      ],
      {
        event: { code: 37, name: "RFID, iButton or magnetic card" },
        geofence: undefined,
        driverId: "6521055",
        readings: { driverCardNumber: 6521055 },
      },
    ],
    [
      "a sensor of event 50",
      [
        [0, "32"],
        [48, "02000000"],
      ],
      {
        event: { code: 50, name: "temperature high" },
        geofence: undefined,
        readings: { temperatureSensor: 2 },
      },
    ],
    [
      "a trigger of event 58",
      [
        [0, "3a"],
        [48, "04000000"],
      ],
      {
        event: { code: 58, name: "vehicle theft" },
        geofence: undefined,
        readings: { theftSource: 4 },
      },
    ],
  ];
  test.each(changes)("reads %s", (_, bytes, changed) => {
    const expected: Record<string, unknown> = { ...POSITION, ...changed };
    for (const [name, value] of Object.entries(changed)) if (value === undefined) delete expected[name];
    expect(one(...bytes)).toEqual(expected);
  });

  // 90000001 = 0x055D4A81, -180000001 = 0xF5456AFF.
  test.each([
    [1, "814a5d05", 90.000001, 18.419635],
    [5, "ff6a45f5", -33.912121, -180.000001],
  ] as const)("keeps coordinates that are not on Earth as readings: bytes %i, %s", (offset, hex, ...wrong) => {
    const [deviceLatitude, deviceLongitude] = wrong;
    const { latitude, longitude, ...others } = POSITION;
    expect(one([offset, hex])).toEqual({ ...others, valid: false, readings: { deviceLatitude, deviceLongitude } });
    expect(latitude).not.toBe(longitude);
  });

  test("names the source of every column in its table, byte after byte without overlap", () => {
    const ends = CCC_FIELDS.map((field) => field.offset + field.size);
    // Byte 13 is the fix status.
    expect(CCC_FIELDS.slice(1).map((field) => field.offset)).toEqual(
      ends.slice(0, -1).map((end) => (end === 13 ? 14 : end)),
    );
    expect(ends.at(-1)).toBe(52);
    for (const { column } of CCC_FIELDS) expect(COLUMNS.map(({ name }) => name)).toContain(column);
  });

  test("reads several records and says how many the tracker holds", () => {
    const second = recordWith([0, "01"], [9, "9e951d31"]);
    const frame = frameOf("CCC", hexBytes(head(52, 258), HEX, second, HEX));
    const message = decodeMessage(parseFrame(frame));
    expect(message.remaining).toBe(258);
    expect(message.positions?.map(({ event, fixTime }) => [event.code, fixTime])).toEqual([
      [35, Date.UTC(2026, 1, 10, 7, 7, 9)],
      [1, Date.UTC(2026, 1, 10, 7, 7, 10)],
      [35, Date.UTC(2026, 1, 10, 7, 7, 9)],
    ]);
  });

  test("reads the 1259 records that a frame holds", () => {
    const positions = decodePositions(frameOf("CCC", hexBytes(head(52, 1259), HEX.repeat(1259))));
    expect(positions).toHaveLength(1259);
    expect(positions[1258].toJSON()).toEqual(POSITION);
  });

  test("takes a longer record length as the stride and keeps the bytes beyond the fields", () => {
    const content = hexBytes(head(55, 2), HEX, "aabbcc", recordWith([0, "01"]), "ddeeff");
    expect(jsonOf("CCC", content)).toEqual([
      { ...POSITION, readings: { "ccc.extra": "AABBCC" } },
      { ...POSITION, event: { code: 1, name: "SOS or input 1 active" }, readings: { "ccc.extra": "DDEEFF" } },
    ]);
  });

  test.each([
    [51, "020000", ["geofence"]],
    [48, undefined, ["geofence"]],
    [47, "5A", ["geofence", "supplyV"]],
    [41, undefined, ["geofence", "supplyV", "batteryV", "analogV", "outputs"]],
    [35, "8F020A", ["geofence", "supplyV", "batteryV", "analogV", "outputs", "inputs", "cell"]],
    [14, undefined, null],
    [13, undefined, null],
    [12, "9D951D", null],
    [9, undefined, null],
  ] as const)("reads a record of %i bytes without the fields beyond it", (stride, extra, absent) => {
    const short = HEX.slice(0, stride * 2);
    const positions = jsonOf("CCC", hexBytes(head(stride, 2), short, short));
    expect(positions).toHaveLength(2);
    const expected: Record<string, unknown> = { ...POSITION };
    const kept = ["event", "valid", "latitude", "longitude", ...(stride >= 13 ? ["fixTime"] : [])];
    for (const name of absent ?? Object.keys(POSITION).filter((field) => !kept.includes(field))) delete expected[name];
    if (stride < 14) expected.valid = false;
    if (extra !== undefined) expected.readings = { "ccc.extra": extra };
    expect(positions).toEqual([expected, expected]);
  });

  test("keeps a layout id other than 02 01 with every record", () => {
    const positions = jsonOf("CCC", hexBytes(head(52, 2, "0501"), HEX, HEX));
    expect(positions).toEqual(Array(2).fill({ ...POSITION, readings: { "ccc.layout": "0501" } }));
  });

  test("keeps bytes after the last whole record with it", () => {
    const positions = jsonOf("CCC", hexBytes(head(52, 3), HEX, HEX, HEX.slice(0, 102)));
    expect(positions).toEqual([POSITION, { ...POSITION, readings: { "frame.rest": HEX.slice(0, 102).toUpperCase() } }]);
    expect(onlyJson("CCC", hexBytes(head(52, 1), HEX, "2a"))).toEqual({
      ...POSITION,
      readings: { "frame.rest": "2A" },
    });
  });

  test("reads content with heads, ends and line breaks of frames inside", () => {
    // 24 24 59 31 30 2c is `$$Y10,`; 2a 30 30 0d 0a is `*00` CR LF.
    const position = one([24, "24245931302c"], [32, "2a30300d0a"]);
    expect(position.odometerM).toBe(0x31592424);
    expect(position.cell?.mcc).toBe(0x302a);
  });

  test("finds no position in a header alone", () => {
    expect(decodePositions(frameOf("CCC", hexBytes(head(52, 0))))).toEqual([]);
  });

  test("subtracts the offset of a clock that is not UTC", () => {
    const content = hexBytes(head(52, 1), HEX);
    expect(onlyJson("CCC", content, { offsetS: 7200 })).toEqual({ ...POSITION, fixTime: "2026-02-10T05:07:09.000Z" });
  });

  // Offset in the content; `end` is its length.
  test.each([
    ["nothing", "", "truncated", "end"],
    ["half a header", "02013400", "truncated", "end"],
    ["a header and a part of a record", head(52, 1) + HEX.slice(0, 102), "truncated", "end"],
    ["a record length of 0", head(0, 1) + HEX, "value", 2],
    ["a record length without coordinates", head(8, 1) + HEX, "value", 2],
    ["a record length beyond the frame", head(65535, 1) + HEX, "truncated", "end"],
  ] as const)("refuses %s", (_, hex, code, at) => {
    const content = hexBytes(hex);
    const frame = frameOf("CCC", content);
    const error = refusal(() => decodePositions(frame));
    const { contentOffset } = parseFrame(frame);
    expect({ code: error.code, offset: error.offset }).toEqual({
      code,
      offset: contentOffset + (at === "end" ? content.length : at),
    });
    expect(error.message).toMatch(/^Cannot read CCC: .+[^.]$/);
  });

  test("leaves the table as it was when it throws", () => {
    const table = new PositionTable();
    const good = hexBytes(head(52, 1), HEX, "00");
    decodeCcc(table, good, 0, good.length, { scale: 0 });
    const { count, tailUsed } = table;
    refusal(() => decodeCcc(table, good, 0, 20, { scale: 0 }));
    expect([table.count, table.tailUsed]).toEqual([count, tailUsed]);
  });
});

test("cccRemaining() is the number in the header, 0 without one", () => {
  const content = hexBytes(head(52, 4294967295));
  expect(cccRemaining(content, 0, content.length)).toBe(4294967295);
  expect(cccRemaining(content, 0, 7)).toBe(0);
});
