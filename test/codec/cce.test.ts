import { describe, expect, test } from "vitest";
import { cceRemaining, decodeCce } from "../../codec/cce.ts";
import { CCE_GROUPS, type CceGroup, PARAMETERS } from "../../codec/cce-parameters.ts";
import { PositionTable } from "../../codec/columns.ts";
import { decodeMessage, decodePositions } from "../../codec/decode.ts";
import { parseFrame } from "../../codec/frame.ts";
import type { PositionJson } from "../../codec/position.ts";
import { frameOf, hexBytes, jsonOf, le, onlyJson, refusal } from "./wire.ts";

/** Parameters of a packet by group; each is its id, for group n its length, and its value. */
interface Groups {
  1?: readonly string[];
  2?: readonly string[];
  4?: readonly string[];
  n?: readonly string[];
}

const size = (hex: string) => hex.replaceAll(" ", "").length / 2;

/** A packet: length, number of parameters, then the count and the parameters of each group. `rest` follows. */
function packet(groups: Groups, rest = ""): string {
  let body = "";
  let count = 0;
  for (const group of CCE_GROUPS) {
    const members = groups[group] ?? [];
    count += members.length;
    body += le(1, members.length) + members.join("");
  }
  const hex = (le(2, count) + body + rest).replaceAll(" ", "");
  return le(2, size(hex)) + hex;
}

const content = (...packets: string[]) => hexBytes(le(4, packets.length), le(2, packets.length), ...packets);

/** The position of a packet that holds event 35 and these parameters, without what every such packet has. */
function read(groups: Groups, rest = ""): Partial<PositionJson> {
  const { 1: ones = [], ...others } = groups;
  const named = [...ones, ...(groups[2] ?? [])].some((hex) => /^(01|40)/.test(hex));
  const position = onlyJson("CCE", content(packet({ 1: named ? ones : ["0123", ...ones], ...others }, rest)));
  const { event, valid, ...fields } = position;
  return { ...(named ? { event } : {}), ...(valid ? { valid } : {}), ...fields };
}

/** One parameter of group n with its length. */
const any = (id: string, value: string) => id + le(1, size(value)) + value;

// A packet with all four groups. -33912345 = 0xFDFA89E7, 18421987 = 0x011918E3, 824373005 = 0x3122EF0D: 9541 days and
// 30605 s = 8 h 30 min 5 s after 2000-01-01.
const ALL: Groups = {
  1: ["0123", "0501", "0609", "0716", "1421", "1504", "1b02"],
  2: ["082900", "091f01", "0a0900", "0bf9ff", "161800", "171900", "181a00", "19a101", "1a5a05", "299411", "412c01"],
  4: ["02e789fafd", "03e3181901", "040def2231", "0cffffffff", "0d80510100", "1c01000000"],
  n: ["0e0c 8f02 0a00 f401 b3a20100 a6ff"],
};
const POSITION: PositionJson = {
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
  altitudeM: -7,
  odometerM: 4294967295,
  runtimeS: 86400,
  cell: { mcc: 655, mnc: 10, lac: 500, cid: 107187 },
  inputs: 4,
  outputs: 33,
  analogV: { "1": 0.24, "2": 0.25, "3": 0.26, "6": 3 },
  batteryV: 4.17,
  supplyV: 13.7,
  // 0x1194 = 4500.
  fuelPercent: 45,
  geofence: 2,
  readings: { systemFlags: 1, rxLevelDbm: -90 },
};

/** A value of a parameter by its id in its group, and what it is in a position. */
type Row = readonly [group: CceGroup, id: number, value: string, expected: Partial<PositionJson>];

const reading = (name: string, value: number): Partial<PositionJson> => ({ readings: { [name]: value } });
const mac = "AA:BB:CC:01:02:03";
const macHex = "aabbcc010203";
const time = "0def2231";
const isoTime = "2026-02-14T08:30:05.000Z";
// -10.640625 * 256 = -2724 = 0xF55C, 50.5 * 256 = 12928 = 0x3280, 60 * 256 = 0x3C00, -20 * 256 = 0xEC00, 0x5A00 = 90 * 256,
// 0x1400 = 20 * 256.
const sensorValues = "5cf5 8032 003c 00ec 005a 0014";

/** Every row of the decoder's table, worked out by hand from meitrack.md 7.2 to 7.5. */
const ROWS: readonly Row[] = [
  [1, 0x01, "ff", { event: { code: 255, name: "unknown" } }],
  [1, 0x06, "26", { satellites: 38 }],
  [1, 0x07, "1f", { gsmSignal: 31 }],
  [1, 0x14, "ff", { outputs: 255 }],
  [1, 0x15, "80", { inputs: 128 }],
  [1, 0x1b, "ff", { geofence: 255 }],
  [1, 0x27, "02", reading("temperatureSensor", 2)],
  [1, 0x47, "02", reading("lockState", 2)],
  [1, 0x5b, "ff", reading("deadReckoningState", 255)],
  [1, 0x93, "01", reading("clutchSwitch", 1)],
  [1, 0x94, "01", reading("tachographPerformance", 1)],
  [1, 0x95, "01", reading("parkingBrakeSwitch", 1)],
  [1, 0x96, "00", reading("cruiseControlSwitch", 0)],
  [1, 0x97, "64", reading("acceleratorPedalPercent", 100)],
  [1, 0x9d, "ff", reading("canFuelPercent", 255)],
  [1, 0x9e, "80", reading("engineTorquePercent", 128)],
  [1, 0xa1, "32", reading("engineLoadPercent", 50)],
  [1, 0xfe69, "64", reading("batteryPercent", 100)],
  [1, 0xfea0, "01", reading("drivingState", 1)],

  [2, 0x08, "ffff", { speedKmh: 65535 }],
  [2, 0x09, "6701", { courseDeg: 359 }],
  // Tenths, up to 999; what would be above 99.9 is the number itself.
  [2, 0x0a, "e703", { hdop: 99.9 }],
  [2, 0x0a, "e803", { hdop: 1000 }],
  [2, 0x0a, "0000", { hdop: 0 }],
  [2, 0x0b, "0080", { altitudeM: -32768 }],
  [2, 0x0b, "ff7f", { altitudeM: 32767 }],
  [2, 0x16, "ffff", { analogV: { "1": 655.35 } }],
  [2, 0x17, "0180", { analogV: { "2": 327.69 } }],
  [2, 0x18, "0100", { analogV: { "3": 0.01 } }],
  [2, 0x19, "9e01", { batteryV: 4.14 }],
  [2, 0x1a, "ffff", { supplyV: 655.35 }],
  [2, 0x29, "1027", { fuelPercent: 100 }],
  [2, 0x29, "0100", { fuelPercent: 0.01 }],
  [2, 0x40, "8f02", { event: { code: 655, name: "unknown" } }],
  [2, 0x40, "6102", { event: { code: 609, name: "storage full" } }],
  [2, 0x41, "2c01", { analogV: { "6": 3 } }],
  [2, 0x91, "5000", reading("tachographSpeedKmh", 80)],
  [2, 0x92, "0180", reading("wheelSpeedKmh", 32769)],
  [2, 0x98, "ffff", reading("fuelUsedL", 65535)],
  [2, 0x99, "ef04", reading("engineRpm", 1263)],
  [2, 0x9c, "fbff", reading("coolantTemperatureC", -5)],
  [2, 0x9f, "0080", reading("ambientTemperatureC", -32768)],
  [2, 0xc9, "ffff", reading("fuelConsumption", 65535)],
  [2, 0xf826, "0900", reading("coolantLevel", 9)],
  [2, 0xfe30, "0500", reading("overspeedRecovery", 5)],

  [4, 0x02, "e789fafd", { latitude: -33.912345 }],
  [4, 0x03, "e3181901", { longitude: 18.421987 }],
  [4, 0x04, time, { fixTime: isoTime }],
  [4, 0x04, "ffffffff", { fixTime: "2136-02-07T06:28:15.000Z" }],
  [4, 0x0c, "00000080", { odometerM: 2147483648 }],
  [4, 0x0d, "ffffffff", { runtimeS: 4294967295 }],
  [4, 0x1c, "0d008765", reading("systemFlags", 0x6587000d)],
  [4, 0x1c, "ffffffff", reading("systemFlags", 4294967295)],
  [4, 0x25, "df806300", { driverId: "6521055", readings: { driverCardNumber: 6521055 } }],
  [4, 0x25, "ffffffff", { driverId: "4294967295", readings: { driverCardNumber: 4294967295 } }],
  [4, 0x42, "00000080", { inputs: 2147483648 }],
  [4, 0x98, "70110100", reading("fuelUsedL", 70000)],
  [4, 0x9a, "7b000000", reading("engineHours", 12.3)],
  [4, 0x9b, "ffffffff", reading("vehicleDistanceM", 4294967295)],
  [4, 0xa0, "e9030000", reading("fuelUsedExactL", 1.001)],
  [4, 0xa2, "fa000000", reading("fuelRateLPerH", 2.5)],
  [4, 0xa3, "03000000", reading("axleWeightKg", 0.3)],
  [4, 0xa4, "10270000", reading("serviceDistanceKm", 10000)],
  [4, 0xa5, "05000000", reading("fuelConsumptionNow", 0.005)],
  [4, 0xf825, "32000000", reading("vehicleBattery", 50)],
  [4, 0xf827, "00010000", reading("tripFuelUsed", 256)],
  [4, 0xfe2f, "3c000000", reading("fatigueDriving", 60)],
  [4, 0xfe37, "39300000", reading("steps", 12345)],
  [4, 0xfea1, "ffffffff", reading("parkingTime", 4294967295)],
  [4, 0xfef4, "a3d50900", reading("engineTime", 644515)],

  ...[0x0f, 0x10, 0x11, 0x12, 0x13].map(
    (id): Row => [
      "n",
      id,
      // MCC 655, MNC 10, LAC 500, cell 0x0FFFFFFF, -90 dBm.
      "8f02 0a00 f401 ffffff0f a6ff",
      { readings: { neighbourCells: [{ mcc: 655, mnc: 10, lac: 500, cid: 268435455, rxLevelDbm: -90 }] } },
    ],
  ),
  ...[0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25].map(
    (id): Row => ["n", id, `${macHex} c4ff`, { readings: { wifi: [{ mac, rssiDbm: -60 }] } }],
  ),
  ["n", 0x28, `${time} 03e20000`, { pictureName: "260214083005_E203.jpg" }],
  // Sensor 9 at 27.06: the label counts, not the id. 0xFB2E = -1234 hundredths.
  ...[0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31].map(
    (id): Row => ["n", id, "09 920a", { temperaturesC: { "9": 27.06 } }],
  ),
  // Without a label the id says it: 2A is sensor 1, 31 is 8.
  ["n", 0x2a, "00 2efb", { temperaturesC: { "1": -12.34 } }],
  ["n", 0x31, "00 0000", { temperaturesC: { "8": 0 } }],
  // 0x2134 = 8500 at number 0: no such sensor. Its bytes stay.
  ["n", 0x2c, "00 3421", { readings: { "cce.n.2c": "003421" } }],
  ["n", 0x2c, "03 3421", { temperaturesC: { "3": 85 } }],
  ["n", 0x39, "25 41 42 5e 00 00", { driverId: "%AB^" }],
  ["n", 0x44, "61 2e 6a 70 67", { pictureName: "a.jpg" }],
  // Cameras 1, 2, 9 and 64.
  ["n", 0x49, "04 0301000000000080", { readings: { cameras: { count: 4, on: [1, 2, 9, 64] } } }],
  ["n", 0x4b, "01 02 03 4c5445", { readings: { network: { version: 1, type: 2, description: "LTE" } } }],
  ["n", 0x4b, "01 01 00", { readings: { network: { version: 1, type: 1, description: "" } } }],
  // 13700 mV at number 0x22, 65535 at 1.
  ["n", 0x4c, "02 22 8435 01 ffff", { readings: { analogMv: { "1": 65535, "34": 13700 } } }],
  [
    "n",
    0x6a,
    "01 a00f0000 3c000000 1e00 5000 9411",
    {
      readings: {
        trip: {
          version: 1,
          distanceM: 4000,
          durationS: 60,
          averageSpeedKmh: 30,
          maxSpeedKmh: 80,
          fuelPercent: 45,
        },
      },
    },
  ],
  [
    "n",
    0x72,
    "01 02 05",
    {
      readings: {
        storage: [{ version: 1, medium: 2, alarm: 5, mediumName: "SD card 1", alarmName: "removed" }],
      },
    },
  ],
  [
    "n",
    0xdb,
    "01 02 01 2801020304050607 920a 02 28ffffffffffffff 2efb",
    {
      temperaturesC: { "1": 27.06, "2": -12.34 },
      readings: {
        temperatureSensors: [
          {
            version: 1,
            sensors: [
              { number: 1, serial: "2801020304050607", temperatureC: 27.06 },
              { number: 2, serial: "28FFFFFFFFFFFFFF", temperatureC: -12.34 },
            ],
          },
        ],
      },
    },
  ],
  ["n", 0xf824, "03 e803 50 3c 00", { readings: { speedsBefore: { intervalMs: 1000, speedsKmh: [80, 60, 0] } } }],
  [
    "n",
    0xf82e,
    // Longitude before latitude; 60 s, 100.1 and 120.5 km/h.
    `${time} e3181901 e789fafd ${time} 00000000 ffffffff 3c000000 e903 b504`,
    {
      readings: {
        overspeed: {
          startTime: isoTime,
          startLongitude: 18.421987,
          startLatitude: -33.912345,
          endTime: isoTime,
          endLongitude: 0,
          endLatitude: -0.000001,
          durationS: 60,
          averageSpeedKmh: 100.1,
          maxSpeedKmh: 120.5,
        },
      },
    },
  ],
  [
    "n",
    0xfe2d,
    "01 03 70",
    {
      pictureName: "p",
      readings: { fatigueAlert: { protocol: 1, type: 3, name: "severe fatigue", picture: "p" } },
    },
  ],
  [
    "n",
    0xfe31,
    `02 82 7031 ${"00".repeat(62)}`,
    {
      pictureName: "p1",
      readings: { driverAlert: { protocol: 2, type: 130, name: "lane departure left", picture: "p1" } },
    },
  ],
  ["n", 0xfe31, "01 0a", { readings: { driverAlert: { protocol: 1, type: 10, name: "forward collision" } } }],
  ["n", 0xfe31, "03 0a", { readings: { driverAlert: { protocol: 3, type: 10, name: "unknown" } } }],
  [
    "n",
    0xfe6a,
    `01 02 66 ${"00".repeat(63)}`,
    { pictureName: "f", readings: { faceAlert: { protocol: 1, type: 2, picture: "f" } } },
  ],
  [
    "n",
    0xfe70,
    `01 01 02 5431 ${macHex} 5a 5cf5 8032`,
    {
      readings: {
        bluetoothNotice: {
          version: 1,
          type: 1,
          name: "T1",
          mac,
          batteryPercent: 90,
          temperatureC: -10.640625,
          humidityPercent: 50.5,
        },
      },
    },
  ],
  [
    "n",
    0xfe70,
    `01 08 00 ${macHex} 05 c4`,
    { readings: { bluetoothNotice: { version: 1, type: 8, name: "", mac, batteryPercent: 5, rssiDbm: -60 } } },
  ],
  [
    "n",
    0xfe70,
    `01 0b 01 42 ${macHex} 0100 0200`,
    { readings: { bluetoothNotice: { version: 1, type: 11, name: "B", mac, major: 1, minor: 2 } } },
  ],
  ["n", 0xfe70, `01 09 00 ${macHex}`, { readings: { bluetoothNotice: { version: 1, type: 9, name: "", mac } } }],
  ...[0xfe71, 0xfe72].map(
    (id): Row => [
      "n",
      id,
      `01 01 42 ${macHex} 64 c4 00 ${macHex} 00 80`,
      {
        readings: {
          beacons: [
            {
              version: 1,
              beacons: [
                { name: "B", mac, batteryPercent: 100, rssiDbm: -60 },
                { name: "", mac, batteryPercent: 0, rssiDbm: -128 },
              ],
            },
          ],
        },
      },
    ],
  ),
  ["n", 0xfe71, "01", { readings: { beacons: [{ version: 1, beacons: [] }] } }],
  ["n", 0xfe73, `01 01 53 ${macHex} 5a ${sensorValues}`, { readings: { bluetoothSensors: [bluetoothSensor()] } }],
  ...[0xfe79, 0xfe80].map(
    (id): Row => [
      "n",
      id,
      "01 02 03 01 01 61 04 02 02 6263",
      {
        readings: {
          alarmVideos: [
            {
              version: 1,
              countOrProtocol: 2,
              videos: [
                { channel: 3, type: "ADAS", name: "a" },
                { channel: 4, type: "DMS", name: "bc" },
              ],
            },
          ],
        },
      },
    ],
  ),
  ["n", 0xfe79, "01 02", { readings: { alarmVideos: [{ version: 1, countOrProtocol: 2, videos: [] }] } }],
  [
    "n",
    0xfe96,
    `01 02 01 00 ${le(4, 5)} ${le(4, 3)} ${le(4, 500)} ${le(4, 300)} ${[1, 2, 3, 4, 5].map((n) => le(4, n)).join("")}`,
    {
      readings: {
        people: {
          version: 1,
          sensors: [{ number: 2, door: 1, state: 0, up: 5, down: 3, allUp: 500, allDown: 300 }],
          total: { up: 1, down: 2, allUp: 3, allDown: 4, surplus: 5 },
        },
      },
    },
  ],
  [
    "n",
    0xfea8,
    "01 64 00 00 01 32 01",
    {
      readings: {
        batteries: {
          batteries: [
            { present: true, percent: 100 },
            { present: false, percent: 0 },
            { present: true, percent: 50 },
          ],
          alert: 1,
        },
      },
    },
  ],
  ...[0xfef2, 0xfef3].map(
    (id): Row => [
      "n",
      id,
      // Part 1 (bit 5), tyre 2. 0x0168 = 360 * 0.025 = 9 bar, 0x5F - 50 = 45 degrees. Status 84: battery low and hot.
      "02 22 010203 6801 5f 84 00 ffffff 0100 00 5b",
      {
        readings: {
          tyres: [
            {
              part: 1,
              tyre: 2,
              id: 0x030201,
              pressureBar: 9,
              temperatureC: 45,
              status: 0x84,
              senderBatteryLow: true,
              noData: false,
              highPressure: false,
              lowPressure: false,
              hot: true,
              leak: "none",
            },
            {
              part: 0,
              tyre: 0,
              id: 16777215,
              pressureBar: 0.025,
              temperatureC: -50,
              status: 0x5b,
              senderBatteryLow: false,
              noData: true,
              highPressure: true,
              lowPressure: true,
              hot: false,
              leak: "inflating",
            },
          ],
        },
      },
    ],
  ),
];

function bluetoothSensor() {
  const values = {
    temperatureC: -10.640625,
    humidityPercent: 50.5,
    highTemperatureC: 60,
    lowTemperatureC: -20,
    highHumidityPercent: 90,
    lowHumidityPercent: 20,
  };
  return { version: 1, sensors: [{ name: "S", mac, batteryPercent: 90, ...values }] };
}

const idHex = (id: number) => id.toString(16).padStart(id > 0xff ? 4 : 2, "0");

/** The groups of a packet with one parameter. */
function groupsOf([group, id, value]: readonly [CceGroup, number, string, ...unknown[]]): Groups {
  return { [group]: [group === "n" ? any(idHex(id), value) : idHex(id) + value] };
}

describe("decodeCce()", () => {
  test("reads a packet with all four groups as worked out by hand", () => {
    expect(onlyJson("CCE", content(packet(ALL)))).toEqual(POSITION);
  });

  test("gives the same for every model", () => {
    for (const model of ["MVT380", "MT90", "T366"]) {
      expect(onlyJson("CCE", content(packet(ALL)), { model })).toEqual(POSITION);
    }
  });

  test.each(ROWS.map((row) => [row[0], idHex(row[1]).toUpperCase(), row[2].slice(0, 40), row] as const))(
    "reads group %s, %s: %s",
    (_group, _id, _value, row) => {
      expect(read(groupsOf(row))).toEqual(row[3]);
    },
  );

  test("has a row of the test above for every parameter of its table", () => {
    const key = (group: CceGroup, id: number) => `${group} ${idHex(id)}`;
    const worked = new Set(ROWS.map(([group, id]) => key(group, id)));
    expect([...worked].sort()).toEqual(PARAMETERS.map(({ group, id }) => key(group, id)).sort());
  });

  test("finds every number of its table by group and id, at its ends", () => {
    const named = new Set<string>();
    for (const parameter of PARAMETERS) {
      if (!("name" in parameter)) continue;
      const { group, id, name, per } = parameter;
      named.add(name);
      const top = 256 ** group - 1;
      const signed = "signed" in parameter;
      for (const value of [0, 1, top - (top - 1) / 2 - 1, (top + 1) / 2, top]) {
        const number = signed && value > top / 2 ? value - top - 1 : value;
        const expected = number / per;
        const { readings } = read({ [group]: [idHex(id) + le(group, value)] });
        expect([name, readings?.[name]]).toEqual([name, expected]);
      }
    }
    expect(named.size).toBeGreaterThan(30);
  });

  test.each([
    ["05", "00", false],
    ["05", "01", true],
    ["05", "02", true],
    ["05", "ff", true],
  ])("takes a status other than 0 for a fix: %s %s", (id, value, valid) => {
    const position = onlyJson("CCE", content(packet({ 1: ["0123", id + value], 4: ["02e789fafd", "03e3181901"] })));
    expect(position.valid).toBe(valid);
  });

  test.each([
    { 1: ["0123"], 4: ["02e789fafd", "03e3181901"] },
    { 1: ["0123", "0501"] },
    { 1: ["0123", "0501"], 4: ["02e789fafd"] },
    { 1: ["0123", "0501"], 4: ["03e3181901"] },
  ])("takes a packet without a status or without coordinates for one without a fix: %j", (groups) => {
    expect(onlyJson("CCE", content(packet(groups))).valid).toBe(false);
  });

  test.each([
    [{ 1: ["0123"] }, { event: { code: 35, name: "time interval" }, valid: false }],
    [{ 2: ["408f02"] }, { event: { code: 655, name: "unknown" }, valid: false }],
    [{ 4: [`04${time}`] }, { event: { code: 0, name: "unknown" }, fixTime: isoTime, valid: false }],
    [
      { 1: ["0501"], 4: ["02e789fafd"] },
      { event: { code: 0, name: "unknown" }, valid: false, latitude: -33.912345 },
    ],
  ] as const)("reads a packet of few fields: %j", (groups, expected) => {
    expect(onlyJson("CCE", content(packet(groups)))).toEqual(expected);
  });

  test("reads several packets and says how many the tracker holds", () => {
    const packets = [packet(ALL), packet({ 1: ["0101"] }), packet(ALL)];
    const frame = frameOf("CCE", hexBytes(le(4, 91), le(2, 3), ...packets));
    const message = decodeMessage(parseFrame(frame));
    expect(message.remaining).toBe(91);
    expect(message.positions?.map((position) => position.toJSON())).toEqual([
      POSITION,
      { event: { code: 1, name: "SOS or input 1 active" }, valid: false },
      POSITION,
    ]);
  });

  test("reads the shortest packets, many of them", () => {
    // 2 + 2 + 4 + 2 bytes each.
    const positions = decodePositions(frameOf("CCE", content(...Array(6000).fill(packet({ 1: ["0123"] })))));
    expect(positions).toHaveLength(6000);
  });

  test("reads up to 255 parameters of a group", () => {
    const ones = Array.from({ length: 253 }, (_, i) => `fe${le(1, i)}${le(1, i)}`);
    const position = onlyJson("CCE", content(packet({ 1: ["0123", "0501", ...ones] })));
    const { readings = {} } = position;
    expect(Object.keys(readings)).toHaveLength(253);
    // FE01 is unknown; FE69 = 105 is the battery.
    expect(readings).toMatchObject({ "cce.1.fe01": "01", batteryPercent: 0x69 });
  });

  test.each([
    [{ 1: ["f03c"] }, { "cce.1.f0": "3C" }],
    [{ 1: ["fe0102"] }, { "cce.1.fe01": "02" }],
    [{ 1: ["f80102"] }, { "cce.1.f801": "02" }],
    [{ 2: ["fe900000"] }, { "cce.2.fe90": "0000" }],
    [{ 2: ["ee1234"] }, { "cce.2.ee": "1234" }],
    [{ 4: ["ee12345678"] }, { "cce.4.ee": "12345678" }],
    [{ 4: ["f8ff12345678"] }, { "cce.4.f8ff": "12345678" }],
    [{ n: ["ee00"] }, { "cce.n.ee": "" }],
    [{ n: ["f8280201ff"] }, { "cce.n.f828": "01FF" }],
    [{ n: [any("fea5", "01ffffff7fff")] }, { "cce.n.fea5": "01FFFFFF7FFF" }],
    [{ n: [any("feb2", "0102030405")] }, { "cce.n.feb2": "0102030405" }],
    [{ n: [any("fe6e", "0102030405060708")] }, { "cce.n.fe6e": "0102030405060708" }],
    [{ n: [any("fe2b", "01 0000000000000000 0100")] }, { "cce.n.fe2b": "0100000000000000000100" }],
    [{ n: [any("ee", "ab".repeat(255))] }, { "cce.n.ee": "AB".repeat(255) }],
    [{ n: [any("ee", "ab".repeat(128)), "ef01cd"] }, { "cce.n.ee": "AB".repeat(128), "cce.n.ef": "CD" }],
  ] as const)("keeps an id that it does not know: %j", (groups, readings) => {
    expect(read(groups as Groups)).toEqual({ readings });
  });

  test("reads an id by its group: 25 is a card in one and WiFi in another, 98 is fuel in two", () => {
    const groups: Groups = { 1: ["0909"], 2: ["98 0100"], 4: ["25 01000000"], n: [any("25", `${macHex} c4ff`)] };
    expect(read(groups)).toEqual({
      driverId: "1",
      readings: { driverCardNumber: 1, fuelUsedL: 1, wifi: [{ mac, rssiDbm: -60 }], "cce.1.09": "09" },
    });
  });

  test.each([
    // [in the packet, what it says], each structure once too short and once too long.
    ["0f", "8f020a00f401ffffff0fa6"],
    ["0f", "8f020a00f401ffffff0fa6ff00"],
    ["1d", macHex],
    ["28", time],
    ["2a", "0192"],
    ["2a", "01920a00"],
    ["49", "0403010000000000"],
    ["4b", "0102044c5445"],
    ["4b", "0102024c5445"],
    ["4c", "0222843501"],
    ["6a", "01a00f0000"],
    ["72", "0102"],
    ["db", "01020128010203040506079200"],
    ["f824", "04e803503c00"],
    ["f82e", "00"],
    ["fe2d", "01"],
    ["fe70", "0101025431"],
    ["fe71", "0110"],
    ["fe73", "010153"],
    ["fe79", "0102030114"],
    ["fe96", "01"],
    ["fea8", "016400000132"],
    ["fef2", "0222010203"],
    ["fef2", ""],
  ])("keeps bytes that are not laid out as %s should be: %s", (id, value) => {
    expect(read({ n: [any(id, value)] })).toEqual({ readings: { [`cce.n.${id}`]: value.toUpperCase() } });
  });

  test("numbers the second of two that share a name, and keeps a second value of one id", () => {
    const groups: Groups = { 1: ["0609", "0608", "2701", "2702"], 4: ["9801000000"], 2: ["980200"] };
    expect(read(groups)).toEqual({
      satellites: 9,
      readings: {
        "cce.1.06": "08",
        temperatureSensor: 1,
        "cce.1.27": 2,
        fuelUsedL: 2,
        "cce.4.98": 1,
      },
    });
  });

  test("joins neighbour cells, access points and temperatures", () => {
    const cell = "8f02 0a00 f401 01000000 0000";
    const groups: Groups = {
      n: [
        any("0f", cell),
        any("10", cell),
        any("1d", `${macHex}c4ff`),
        any("1e", `${macHex}c4ff`),
        "2a0301920a",
        "2b03022efb",
      ],
    };
    const position = read(groups);
    expect(position.temperaturesC).toEqual({ "1": 27.06, "2": -12.34 });
    expect(position.readings?.neighbourCells).toHaveLength(2);
    expect(position.readings?.wifi).toHaveLength(2);
  });

  test("keeps a second temperature of one sensor as bytes", () => {
    expect(read({ n: ["2a0301920a", "2b03012efb"] })).toEqual({
      temperaturesC: { "1": 27.06 },
      readings: { "cce.n.2b": "012EFB" },
    });
  });

  test("prefers the 16-bit event and the 32-bit inputs, or keeps both", () => {
    // 8-bit event 35 comes first on the wire; whichever is shown, the other one is not lost.
    const position = read({ 1: ["0123"], 2: ["408f02"] });
    const codes = [position.event?.code, ...Object.values(position.readings ?? {})];
    expect(codes.includes(655) || codes.includes("8F02")).toBe(true);
    expect(codes.includes(35) || codes.includes("23")).toBe(true);
    const inputs = read({ 1: ["1504"], 4: ["4204030201"] });
    const values = [inputs.inputs, ...Object.values(inputs.readings ?? {})];
    expect(values.includes(0x01020304) || values.includes("04030201")).toBe(true);
  });

  test.each([
    [
      "the first is a whole packet",
      "0e0c 8f02 0a00 f401 b3a20100 0000",
      { cell: { mcc: 655, mnc: 10, lac: 500, cid: 107187 } },
    ],
    ["a cell of another length", "0e0a 8f02 0a00 f401 b3a20100", { readings: { "cce.n.0e": "8F020A00F401B3A20100" } }],
    ["no network", "0e0c 000000000000000000000000", { cell: { mcc: 0, mnc: 0, lac: 0, cid: 0 } }],
  ])("reads the cell: %s", (_, hex, expected) => {
    expect(read({ n: [hex] })).toEqual(expected);
  });

  // 90000001 = 0x055D4A81, -180000001 = 0xF5456AFF.
  test("keeps coordinates that are not on Earth as readings", () => {
    expect(read({ 1: ["0501"], 4: ["02814a5d05", "03e3181901"] })).toEqual({
      readings: { deviceLatitude: 90.000001, deviceLongitude: 18.421987 },
    });
    expect(read({ 1: ["0501"], 4: ["02e789fafd", "03ff6a45f5"] })).toEqual({
      readings: { deviceLatitude: -33.912345, deviceLongitude: -180.000001 },
    });
  });

  test("reads Bluetooth sensors low byte first unless that gives values that do not exist", () => {
    const big = "f55c 3280 3c00 ec00 5a00 1400";
    for (const values of [sensorValues, big]) {
      const position = read({ n: [any("fe73", `01 01 53 ${macHex} 5a ${values}`)] });
      expect(position.readings).toEqual({ bluetoothSensors: [bluetoothSensor()] });
    }
    // -10.640625 and 50.5 high byte first: low byte first they are 92.95703125 degrees and -127.8046875 %.
    const notice = read({ n: [any("fe70", `01 01 00 ${macHex} 5a f55c 3280`)] });
    expect(notice.readings?.bluetoothNotice).toMatchObject({ temperatureC: -10.640625, humidityPercent: 50.5 });
  });

  test("reads an erased network description of 258 bytes, whose length byte wraps to 2", () => {
    const erased = `4b02${"ff".repeat(258)}`;
    const card = any("39", "4142");
    expect(read({ n: [card, erased, "f8280201ff"] })).toEqual({
      driverId: "AB",
      readings: { network: "erased", "cce.n.f828": "01FF" },
    });
  });

  test("does not take fewer than 258 bytes for an erased description", () => {
    const position = read({ n: ["4b02ffff"] });
    expect(position).toEqual({ readings: { network: "erased" } });
    expect(read({ n: ["4b020102", "f8280201ff"] }).readings).toMatchObject({ "cce.n.f828": "01FF" });
    const short = read({ n: ["4b02ffff", any("ee", "ff".repeat(255))] });
    expect(short.readings).toEqual({ network: "erased", "cce.n.ee": "FF".repeat(255) });
    // 258 and one more, which is no parameter.
    expect(read({ n: [`4b02${"ff".repeat(258)}`] }, "ff").readings).toEqual({ network: "erased", "cce.rest": "FF" });
  });

  describe.each(["fd", "ff"])("%s", (prefix) => {
    test("is an id of one byte", () => {
      expect(read({ 1: [`${prefix}07`], 2: ["082900"] })).toEqual({
        speedKmh: 41,
        readings: { [`cce.1.${prefix}`]: "07" },
      });
      expect(read({ 2: [`${prefix}0708`] })).toEqual({ readings: { [`cce.2.${prefix}`]: "0708" } });
      expect(read({ n: [`${prefix}020708`] })).toEqual({ readings: { [`cce.n.${prefix}`]: "0708" } });
    });

    test("is a prefix when only that makes the packet come out even", () => {
      expect(read({ 4: [`${prefix}1001020304`], n: [any("44", "61")] })).toEqual({
        pictureName: "a",
        readings: { [`cce.4.${prefix}10`]: "01020304" },
      });
    });

    test("is a prefix when without it a group breaks off at the packet end", () => {
      // Group 1 is 01 23 and FD 10 07, group 2 is 08 2900. Without the prefix: FD 10, then a group 2 of 7 values, of which
      // 01 0829 and 00 0000 reach the end.
      expect(read({ 1: [`${prefix}1007`], 2: ["082900"] })).toEqual({
        speedKmh: 41,
        readings: { [`cce.1.${prefix}10`]: "07" },
      });
    });

    test("is an id of one byte when neither way comes out even", () => {
      expect(read({ 1: [`${prefix}07`] }, "aabb")).toEqual({
        readings: { [`cce.1.${prefix}`]: "07", "cce.rest": "AABB" },
      });
    });
  });

  test("keeps what a packet holds after its groups and goes on where its length says", () => {
    const positions = jsonOf("CCE", content(packet({ 1: ["0123"] }, "aabbcc"), packet({ 1: ["0101"] })));
    expect(positions).toEqual([
      { event: { code: 35, name: "time interval" }, valid: false, readings: { "cce.rest": "AABBCC" } },
      { event: { code: 1, name: "SOS or input 1 active" }, valid: false },
    ]);
  });

  test("adds the padding after a magnetic card to it", () => {
    const position = read({ n: ["39024142"] }, "43 44 00 00");
    expect(position).toEqual({ driverId: "ABCD" });
  });

  test.each([
    // [group it breaks in, bytes of the packet after its two counts, position, rest]
    ["1", "03 0123 0609 07", { satellites: 9 }, "07"],
    ["1, inside a two-byte id", "02 0123 fe", {}, "FE"],
    ["2", "01 0123 02 082900 091f", { speedKmh: 41 }, "091F"],
    ["4", "01 0123 00 01 02e789fa", {}, "02E789FA"],
    ["n", "01 0123 00 00 01 44056162", {}, "44056162"],
    ["n, without a length", "01 0123 00 00 01 44", {}, "44"],
    ["n, with a huge count", "01 0123 00 00 ff 440161", { pictureName: "a" }, ""],
  ])("reads the parameters before the end of a packet that breaks off in group %s", (_, body, expected, rest) => {
    const hex = (le(2, 9) + body).replaceAll(" ", "");
    const { event, valid, ...fields } = onlyJson("CCE", content(le(2, size(hex)) + hex));
    expect(event.code).toBe(35);
    expect(valid).toBe(false);
    expect(fields).toEqual({ ...expected, ...(rest === "" ? {} : { readings: { "cce.rest": rest } }) });
  });

  test("does not read beyond the packet into the next one", () => {
    // The count of group 1 claims what is the length of the next packet.
    const hex = `${le(2, 1)}020123`;
    const positions = jsonOf("CCE", content(le(2, size(hex)) + hex, packet(ALL)));
    expect(positions[1]).toEqual(POSITION);
    expect(positions[0]).toEqual({ event: { code: 35, name: "time interval" }, valid: false });
  });

  test("takes the number of parameters for a remark", () => {
    const hex = packet(ALL);
    expect(onlyJson("CCE", content(`${hex.slice(0, 4)}ffff${hex.slice(8)}`))).toEqual(POSITION);
  });

  test("finds no position in a frame of no packets, whatever follows", () => {
    expect(jsonOf("CCE", hexBytes(le(4, 0), le(2, 0)))).toEqual([]);
    expect(jsonOf("CCE", hexBytes(le(4, 5), le(2, 0), packet(ALL)))).toEqual([]);
  });

  test("keeps bytes after the last packet with it", () => {
    const position = onlyJson("CCE", hexBytes(le(4, 1), le(2, 1), packet({ 1: ["0123"] }), "2a0d0a"));
    expect(position.readings).toEqual({ "frame.rest": "2A0D0A" });
  });

  test("subtracts the offset of a clock that is not UTC, where there is a time", () => {
    const packets = content(packet(ALL), packet({ 1: ["0123"] }));
    const [first, second] = jsonOf("CCE", packets, { offsetS: 7200 });
    expect(first.fixTime).toBe("2026-02-14T06:30:05.000Z");
    expect(second.fixTime).toBeUndefined();
  });

  const short = packet({ 1: ["0123"] });
  // Offset in the content; `end` is its length.
  test.each([
    ["nothing", "", "truncated", "end"],
    ["half a header", "0100000001", "truncated", "end"],
    ["fewer packets than it says", le(4, 0) + le(2, 2) + short, "truncated", "end"],
    ["65535 packets in one", le(4, 0) + le(2, 65535) + short, "truncated", "end"],
    ["half a packet length", `${le(4, 0)}${le(2, 1)}08`, "truncated", "end"],
    ["a packet that is cut", le(4, 0) + le(2, 1) + short.slice(0, -2), "truncated", "end"],
    ["a packet length beyond the frame", `${le(4, 0)}${le(2, 1)}ffff${short.slice(4)}`, "truncated", "end"],
    ["an empty packet", `${le(4, 0)}${le(2, 1)}0000`, "value", 6],
    ["a packet of one byte", `${le(4, 0)}${le(2, 1)}000100`, "truncated", "end"],
    ["a packet with no group", `${le(4, 0)}${le(2, 1)}02000000`, "value", 6],
    ["a packet that reports nothing", le(4, 0) + le(2, 1) + packet({ 2: ["082900"] }), "value", 6],
    // The first packet has 10 bytes.
    ["a second packet that reports nothing", le(4, 0) + le(2, 2) + short + packet({ 1: ["0609"] }), "value", 16],
  ] as const)("refuses %s", (_, hex, code, at) => {
    const bytes = hexBytes(hex);
    const frame = frameOf("CCE", bytes);
    const error = refusal(() => decodePositions(frame));
    expect({ code: error.code, offset: error.offset }).toEqual({
      code,
      offset: parseFrame(frame).contentOffset + (at === "end" ? bytes.length : at),
    });
    expect(error.message).toMatch(/^Cannot read CCE: .+[^.]$/);
  });

  test("leaves the table as it was when it throws after some packets", () => {
    const table = new PositionTable();
    const good = content(packet(ALL), packet({ 1: ["0123"] }, "aabb"));
    decodeCce(table, good, 0, good.length, { scale: 0 });
    const { count, tailUsed } = table;
    refusal(() => decodeCce(table, good, 0, good.length - 1, { scale: 0 }));
    expect([table.count, table.tailUsed]).toEqual([count, tailUsed]);
  });

  test("reads content that is the whole buffer, with nothing behind it", () => {
    for (const groups of [ALL, { 1: ["0123"] }, { 1: ["0123"], n: [any("ee", "010203")] }] as Groups[]) {
      const bytes = content(packet(groups));
      const own = new PositionTable();
      expect(decodeCce(own, bytes, 0, bytes.length, { scale: 0 })).toBe(1);
    }
  });
});

test("cceRemaining() is the number in the header, 0 without one", () => {
  const bytes = hexBytes(le(4, 4294967295), le(2, 0));
  expect(cceRemaining(bytes, 0, 6)).toBe(4294967295);
  expect(cceRemaining(bytes, 0, 5)).toBe(0);
});
