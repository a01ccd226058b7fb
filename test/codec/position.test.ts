import { describe, expect, test } from "vitest";
import { COLUMNS, EPOCH_MS, FLAGS, PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { decodePositions, decodePositionsInto } from "../../codec/decode.ts";
import { EVENTS, eventName, eventOf } from "../../codec/events.ts";
import { locateFrame, newBounds } from "../../codec/frame.ts";
import { POSITION_FIELDS, type Position, positionAt } from "../../codec/position.ts";
import { SEEDS } from "./mutations.ts";
import { frameOf, hexBytes, le, onlyJson } from "./wire.ts";

/** As the specification of the JSON lists them. */
const NAMES = [
  "event",
  "fixTime",
  "valid",
  "latitude",
  "longitude",
  "satellites",
  "gsmSignal",
  "speedKmh",
  "courseDeg",
  "hdop",
  "altitudeM",
  "odometerM",
  "runtimeS",
  "cell",
  "inputs",
  "outputs",
  "analogV",
  "batteryV",
  "supplyV",
  "fuelPercent",
  "temperaturesC",
  "driverId",
  "pictureName",
  "geofence",
  "readings",
];

const TEXT =
  "37,-33.912345,18.421987,260214083005,A,9,22,41,287,0.9,112,123456,86399,655|10|01F4|0001A2B3,0421,0018|||01A1|055A";

// A report with every field: group 1: event 35, fix, 9 satellites, CSQ 22, outputs, inputs, fence 2; then speed, course,
// HDOP, altitude, AD1, battery, supply, fuel; latitude, longitude, time, odometer, run time, card 1; cell, temperature,
// picture.
const EVERY_FIELD = (() => {
  const ones = "07 0123 0501 0609 0716 1421 1504 1b02";
  const twos = "08 082900 091f01 0a0900 0bf9ff 161800 19a101 1a5a05 299411";
  const fours = "06 02e789fafd 03e3181901 040def2231 0c01000000 0d02000000 2501000000";
  const any = "03 0e0c8f020a00f401b3a201000000 2a0301920a 4401 61";
  const body = `1800${ones}${twos}${fours}${any}`.replaceAll(" ", "");
  return hexBytes(le(4, 1), le(2, 1), le(2, body.length / 2), body);
})();

describe("Position.toJSON()", () => {
  test("has the names of the specification in its order", () => {
    expect(POSITION_FIELDS).toEqual(NAMES);
    const json = onlyJson("CCE", EVERY_FIELD);
    expect(Object.keys(json)).toEqual(NAMES);
    expect(JSON.stringify(json)).toBe(
      '{"event":{"code":35,"name":"time interval"},"fixTime":"2026-02-14T08:30:05.000Z","valid":true,' +
        '"latitude":-33.912345,"longitude":18.421987,"satellites":9,"gsmSignal":22,"speedKmh":41,"courseDeg":287,' +
        '"hdop":0.9,"altitudeM":-7,"odometerM":1,"runtimeS":2,"cell":{"mcc":655,"mnc":10,"lac":500,"cid":107187},' +
        '"inputs":4,"outputs":33,"analogV":{"1":0.24},"batteryV":4.17,"supplyV":13.7,"fuelPercent":45,' +
        '"temperaturesC":{"1":27.06},"driverId":"1","pictureName":"a","geofence":2,"readings":{"driverCardNumber":1}}',
    );
  });

  test("leaves out what the report does not carry", () => {
    const json = onlyJson("AAA", "35,1.5,-2.5");
    expect(JSON.stringify(json)).toBe(
      '{"event":{"code":35,"name":"time interval"},"valid":false,"latitude":1.5,"longitude":-2.5}',
    );
    expect(Object.values(json)).not.toContain(undefined);
  });

  test("keeps numbers that are 0", () => {
    const json = onlyJson(
      "AAA",
      "0,0.000000,0.000000,000101000000,V,0,0,0,0,0,0,0,0,0|0|0000|0000,0000,0000||||0000,,,0,0000",
      {
        model: "T366",
      },
    );
    expect(json).toEqual({
      event: { code: 0, name: "unknown" },
      fixTime: "2000-01-01T00:00:00.000Z",
      valid: false,
      latitude: 0,
      longitude: 0,
      satellites: 0,
      gsmSignal: 0,
      speedKmh: 0,
      courseDeg: 0,
      hdop: 0,
      altitudeM: 0,
      odometerM: 0,
      runtimeS: 0,
      cell: { mcc: 0, mnc: 0, lac: 0, cid: 0 },
      inputs: 0,
      outputs: 0,
      analogV: { "1": 0 },
      supplyV: 0,
      fuelPercent: 0,
      readings: { protocolVersion: 0 },
    });
  });

  test("never writes minus zero", () => {
    const json = onlyJson("AAA", "35,-0.000000,-0.000000,000101000000,A,0,0,0,0,0,-0");
    for (const value of [json.latitude, json.longitude, json.altitudeM]) expect(Object.is(value, 0)).toBe(true);
  });

  test("is what JSON.stringify() takes, and changes no position", () => {
    for (const { type, content } of SEEDS) {
      for (const position of decodePositions(frameOf(type, content))) {
        const first = JSON.stringify(position);
        expect(JSON.parse(first)).toEqual(position.toJSON());
        expect(JSON.stringify(position)).toBe(first);
      }
    }
  });
});

describe("Position", () => {
  test("gives the same as its JSON, the time as Unix ms", () => {
    for (const { type, content } of SEEDS) {
      for (const position of decodePositions(frameOf(type, content))) {
        const json = position.toJSON();
        for (const name of POSITION_FIELDS) if (name !== "fixTime") expect(position[name]).toEqual(json[name]);
        const iso = position.fixTime === undefined ? undefined : new Date(position.fixTime).toISOString();
        expect(json.fixTime).toBe(iso);
      }
    }
  });

  test("stands on its own when the table is used again", () => {
    const table = new PositionTable();
    const bounds = newBounds();
    const decode = (content: string) => {
      const frame = frameOf("AAA", content);
      locateFrame(frame, 0, frame.length, bounds);
      decodePositionsInto(table, frame, bounds, { scale: 1 });
    };
    decode(`${TEXT},006380DF,1,3,241E,010A92`);
    const position = positionAt(table, 0);
    const untouched = onlyJson("AAA", `${TEXT},006380DF,1,3,241E,010A92`, { model: "T366" });
    table.reset();
    decode("1,5.0,6.0,000101000000,V,,,,,,,,,,,,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    table.tail.fill(0xff);
    table.i32.fill(-1);
    expect(position.toJSON()).toEqual(untouched);
  });

  test("appendTo() writes the row that positionAt() read", () => {
    for (const { type, content } of SEEDS) {
      for (const position of decodePositions(frameOf(type, content))) {
        const table = new PositionTable(1, 1);
        table.addTail(17, hexBytes("414243"), 0, 3);
        expect(position.appendTo(table)).toBe(0);
        expect(position.appendTo(table)).toBe(1);
        for (const row of [0, 1]) expect(positionAt(table, row).toJSON()).toEqual(position.toJSON());
      }
    }
  });

  /** The position of a row of zeros but for its flags, with this tail. */
  function bare(flags: number, tail: string): Position {
    const table = new PositionTable();
    const base = table.addRow();
    const bytes = hexBytes(tail);
    table.i32.fill(0, base, base + STRIDE);
    table.i32[base + SLOT.flags] = flags;
    table.i32[base + SLOT.tailLength] = bytes.length;
    table.reserveTail(bytes.length);
    table.tail.set(bytes);
    table.tailUsed = bytes.length;
    return positionAt(table, 0);
  }

  test("of a row of zeros is a report of nothing", () => {
    expect(bare(0, "").toJSON()).toEqual({ event: { code: 0, name: "unknown" }, valid: false });
  });

  test.each(["80", "11", "1105", "11ff", "ffffffffff", "0501", "8080041122", "1001ff"])(
    "reads its rare fields however broken its tail is: %s",
    (tail) => {
      expect(bare(FLAGS.exact, tail).toJSON()).toMatchObject({ valid: false });
    },
  );
});

describe("PositionTable", () => {
  test("answers event, time and fix of a row without a Position", () => {
    const table = new PositionTable(1);
    const bounds = newBounds();
    for (const content of [TEXT, "35,1.0,2.0", "34,1.0,2.0,260214083005,V"]) {
      const frame = frameOf("AAA", content);
      locateFrame(frame, 0, frame.length, bounds);
      decodePositionsInto(table, frame, bounds, { scale: 0 });
    }
    expect(table.count).toBe(3);
    for (let row = 0; row < 3; row++) {
      const position = positionAt(table, row);
      expect(table.eventAt(row)).toBe(position.event.code);
      expect(table.fixTimeAt(row)).toBe(position.fixTime ?? null);
      expect(table.validAt(row)).toBe(position.valid);
    }
    expect(table.fixTimeAt(0)).toBe(Date.UTC(2026, 1, 14, 8, 30, 5));
    expect(EPOCH_MS).toBe(Date.UTC(2000, 0, 1));
  });

  test("keeps its rows and tails when it grows", () => {
    const table = new PositionTable(1, 1);
    const bounds = newBounds();
    for (let n = 0; n < 300; n++) {
      const frame = frameOf("AAA", `${n},1.0,2.0,,,,,,,,,,,,,,text ${n}`);
      locateFrame(frame, 0, frame.length, bounds);
      decodePositionsInto(table, frame, bounds, { scale: 0 });
    }
    expect(table.capacity).toBeLessThanOrEqual(512);
    for (let n = 0; n < 300; n++) {
      const position = positionAt(table, n);
      expect(position.event.code).toBe(n);
      const said = JSON.stringify(position);
      expect(said).toContain(`text ${n}`);
    }
  });

  test("has a presence bit for each column", () => {
    expect(COLUMNS.length).toBeLessThanOrEqual(30);
    for (const [n, { name }] of COLUMNS.entries()) expect(SLOT[name]).toBe(n + 1);
  });
});

describe("eventOf()", () => {
  test("names every listed code once, in order", () => {
    const codes = EVENTS.map((event) => event.code);
    expect(codes).toEqual([...new Set(codes)].sort((a, b) => a - b));
    for (const event of EVENTS) expect(eventOf(event.code)).toBe(event);
    for (const { code, name } of EVENTS) expect(eventName(code)).toBe(name);
  });

  // meitrack.md 4.
  test.each([
    [1, "SOS or input 1 active"],
    [19, "speeding"],
    [29, "device reboot"],
    [31, "heartbeat"],
    [35, "time interval"],
    [109, "taxi meter data"],
    [145, "ignition off"],
    [613, "video recovery channel 4"],
    [0, "unknown"],
    [655, "unknown"],
    [-1, "unknown"],
  ])("%i is %s", (code, name) => {
    expect(eventOf(code)).toEqual({ code, name });
  });
});
