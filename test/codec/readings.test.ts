import { describe, expect, test } from "vitest";
import { bytesOf } from "../../codec/bytes.ts";
import { PARAMETERS } from "../../codec/cce-parameters.ts";
import { readStructure, trimNul } from "../../codec/cce-structures.ts";
import { PositionTable, STRIDE } from "../../codec/columns.ts";
import { addReading, addTemperature, isAbsentSensor, type Rare } from "../../codec/meaning.ts";
import { exactFields, interpret } from "../../codec/readings.ts";
import { hexBytes, seeded } from "./wire.ts";

const NOTHING = Array<number>(STRIDE).fill(0);

/** A tail of these entries. */
function tailOf(...entries: readonly (readonly [key: number, bytes: Uint8Array])[]): Uint8Array {
  const table = new PositionTable();
  for (const [key, bytes] of entries) table.addTail(key, bytes, 0, bytes.length);
  return table.tail.slice(0, table.tailUsed);
}

const text = (key: number, value: string) => [key, bytesOf(value)] as const;

describe("exactFields()", () => {
  test("gives numbers as the text says them", () => {
    const tail = tailOf(text(2, "12.3456789"), text(8, "41.12345"), text(11, "-0.00001"), text(12, "4294967296"));
    expect(exactFields(tail)).toEqual({
      latitude: 12.3456789,
      speedKmh: 41.12345,
      altitudeM: -0.00001,
      odometerM: 4294967296,
    });
  });

  test.each(["", "x", "1,2", "--1", "1.2.3", "0x10", "Infinity", "NaN", "1e999", ".", " 1", "１"])(
    "gives nothing for %j, which is no number",
    (value) => {
      expect(exactFields(tailOf([11, bytesOf(value.replace("１", "\xff"))]))).toEqual({});
    },
  );

  test("gives decimal volts in their own order, or at the usual places when only some are", () => {
    expect(exactFields(tailOf(text(16, "4.33|12.96|1.92|2.72|2.69")))).toEqual({ batteryV: 4.33, supplyV: 12.96 });
    expect(exactFields(tailOf(text(16, "0000|1.5|0000|12.0|0.5")))).toEqual({
      analogV: { "2": 1.5 },
      batteryV: 12,
      supplyV: 0.5,
    });
  });

  test("passes over entries that are no text fields", () => {
    expect(exactFields(tailOf(text(17, "1"), text(0x1ee00, "2"), [0, bytesOf("3")], text(0x100, "4")))).toEqual({});
  });
});

describe("interpret()", () => {
  test("finds nothing in a row of zeros", () => {
    expect(interpret(NOTHING, new Uint8Array(0))).toEqual({});
  });

  test("keeps what it does not know under its key", () => {
    const tail = tailOf(text(14, "x|y"), text(0x1f0, "A"), [0x100, hexBytes("00ff")], [0x103, hexBytes("2a")]);
    expect(interpret(NOTHING, tail).readings).toEqual({
      "aaa.14": "x|y",
      "tail.1f0": "41",
      "ccc.extra": "00FF",
      "frame.rest": "2A",
    });
  });

  test("keeps CCE bytes under group and id, also of a group that does not exist", () => {
    const tail = tailOf([0x100ee, hexBytes("01")], [0x4f828, hexBytes("01ff")], [0x500ee, hexBytes("02")]);
    expect(interpret(NOTHING, tail).readings).toEqual({ "cce.1.ee": "01", "cce.n.f828": "01FF", "cce.5.ee": "02" });
  });

  test("numbers what comes more than once, so that nothing is lost", () => {
    const tail = tailOf([0x100ee, hexBytes("01")], [0x100ee, hexBytes("02")], [0x100ee, hexBytes("03")]);
    expect(interpret(NOTHING, tail).readings).toEqual({ "cce.1.ee": "01", "cce.1.ee.2": "02", "cce.1.ee.3": "03" });
  });

  test("reads the entries before the point where a tail breaks off", () => {
    const tail = tailOf([0x100ee, hexBytes("01")], [0x100ef, hexBytes("02")]);
    expect(interpret(NOTHING, tail.subarray(0, tail.length - 1)).readings).toEqual({ "cce.1.ee": "01" });
  });

  test("does not take names of objects for readings", () => {
    const rare: Rare = {};
    addReading(rare, "toString", 1, "a");
    addReading(rare, "toString", 2, "a");
    expect(rare.readings).toEqual({ toString: 1, a: 2 });
  });

  test("reads twenty thousand entries of one id without taking the square of their number", () => {
    const tail = tailOf(...Array.from({ length: 20_000 }, () => [0x100ee, hexBytes("01")] as const));
    const start = performance.now();
    const { readings = {} } = interpret(NOTHING, tail);
    // Linear takes some 30 ms, the square more than 10 s.
    expect(performance.now() - start).toBeLessThan(3_000);
    expect(Object.keys(readings)).toHaveLength(20_000);
    expect(Object.keys(readings).at(-1)).toBe("cce.1.ee.20000");
  });

  test("never throws, whatever the row and the tail hold", () => {
    const random = seeded(99);
    const keys = [
      ...Array.from({ length: 18 }, (_, n) => n),
      0x100,
      0x102,
      ...PARAMETERS.map(({ group, id }) => ({ 1: 0x10000, 2: 0x20000, 4: 0x30000, n: 0x40000 })[group] + id),
    ];
    for (let n = 0; n < 20_000; n++) {
      const entries = Array.from({ length: 1 + (random() % 3) }, () => {
        const bytes = Uint8Array.from(
          { length: random() % 70 },
          () => (random() & 3 ? random() % 128 : random()) & 0xff,
        );
        return [keys[random() % keys.length], bytes] as const;
      });
      const row = NOTHING.map(() => (random() & 1 ? random() | 0 : random() % 64));
      // Scale and source exist, as decoders and records take care of.
      row[row.length - 6] = (random() & 15) | ((random() % 7) << 8) | ((random() % 4) << 16);
      const tail = tailOf(...entries);
      JSON.stringify(interpret(row, tail));
      exactFields(tail);
    }
  });
});

describe("readStructure()", () => {
  test("takes exactly the bytes of a structure or says null", () => {
    expect(readStructure("storage", 0x72, hexBytes("010205"))).not.toBeNull();
    expect(readStructure("storage", 0x72, hexBytes("0102"))).toBeNull();
    expect(readStructure("storage", 0x72, hexBytes("01020500"))).toBeNull();
  });

  test("never throws for any bytes", () => {
    const random = seeded(7);
    for (const parameter of PARAMETERS) {
      if (!("structure" in parameter)) continue;
      for (let n = 0; n < 300; n++) {
        const bytes = Uint8Array.from(
          { length: random() % 120 },
          () => (random() & 1 ? random() % 8 : random()) & 0xff,
        );
        JSON.stringify(readStructure(parameter.structure, parameter.id, bytes));
      }
    }
  });
});

test("trimNul() takes NUL from both ends only", () => {
  expect(trimNul("\0\0a\0b\0")).toBe("a\0b");
  expect(trimNul("\0\0")).toBe("");
  expect(trimNul("")).toBe("");
});

describe("addReading()", () => {
  test("joins lists, and gives a second value another name", () => {
    const rare: Rare = {};
    addReading(rare, "wifi", [1], "a");
    addReading(rare, "wifi", [2, 3], "a");
    addReading(rare, "speed", 1, "b");
    addReading(rare, "speed", 2, "b");
    addReading(rare, "speed", 3, "b");
    expect(rare.readings).toEqual({ wifi: [1, 2, 3], speed: 1, b: 2, "b.2": 3 });
  });
});

test("addTemperature() keeps the first of a sensor", () => {
  const rare: Rare = {};
  expect(addTemperature(rare, 1, 20)).toBe(true);
  expect(addTemperature(rare, 1, 21)).toBe(false);
  expect(rare.temperaturesC).toEqual({ "1": 20 });
});

test("isAbsentSensor() is 85.00 degrees at number 0 only", () => {
  expect(isAbsentSensor(0, 8500)).toBe(true);
  expect(isAbsentSensor(1, 8500)).toBe(false);
  expect(isAbsentSensor(0, 8499)).toBe(false);
});
