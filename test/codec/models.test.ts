import { describe, expect, test } from "vitest";
import {
  HUNDREDTHS,
  MODEL_NAMES,
  MODELS,
  SCALES,
  type Scale,
  scaleLike,
  scaleOf,
  voltsOf,
} from "../../codec/models.ts";

describe("MODELS", () => {
  test("names each model once and a scale that exists", () => {
    expect(new Set(MODEL_NAMES.map((name) => name.toUpperCase())).size).toBe(MODELS.length);
    const scales: string[] = SCALES.map((scale) => scale.name);
    for (const { scale } of MODELS) expect(scales.indexOf(scale)).toBeGreaterThan(0);
  });

  test("has the families that the protocol documents", () => {
    for (const name of ["MVT380", "MVT600", "T1", "MT90", "TC68S", "T333", "T366", "T622", "T633L", "T711L", "P99G"]) {
      expect(MODEL_NAMES).toContain(name);
    }
  });
});

describe("SCALES", () => {
  test("keeps the rows that stored positions name by their number", () => {
    expect(SCALES.slice(0, 7).map((scale) => scale.name)).toEqual([
      "unknown",
      "hundredths",
      "10 bits",
      "12 bits",
      "12 bits, no inputs",
      "12 bits, battery only",
      "12 bits of 6 V, battery only",
    ]);
    expect(HUNDREDTHS).toBe(1);
  });

  test("recognises batteries of 3 to 4.3 V, without overlap", () => {
    const likely = (SCALES as readonly Scale[]).filter((scale) => scale.likelyBattery !== undefined);
    expect(likely).toHaveLength(3);
    for (const { battery, likelyBattery: [low, high] = [0, 0] } of likely) {
      expect(voltsOf(battery, low)).toBeCloseTo(3, 1);
      expect(voltsOf(battery, high)).toBeCloseTo(4.3, 1);
    }
    for (let raw = 0; raw <= 0xffff; raw++) {
      const hits = likely.filter(({ likelyBattery: [low, high] = [0, 0] }) => raw >= low && raw <= high);
      if (hits.length > 1) expect.fail(`${raw} is on two scales`);
      if (scaleLike(raw) !== (hits[0] ?? SCALES[HUNDREDTHS])) expect.fail(`${raw} is on another scale`);
    }
  });
});

describe("scaleOf()", () => {
  test.each([
    ["MVT380", "10 bits"],
    ["mvt380", "10 bits"],
    ["T366", "hundredths"],
    ["t366g", "hundredths"],
    ["MVT600", "12 bits"],
    ["TC68S", "12 bits, no inputs"],
    ["MT90", "12 bits, battery only"],
    ["MT90G", "12 bits of 6 V, battery only"],
  ])("of %s is %s", (model, name) => {
    expect(SCALES[scaleOf(model)].name).toBe(name);
  });

  test.each([null, undefined, "", "T9000", "toString", "__proto__"])("of %j, which is no model, is 0", (model) => {
    expect(scaleOf(model)).toBe(0);
  });
});

describe("scaleLike()", () => {
  test("is hundredths without a battery value", () => {
    expect(scaleLike(undefined)).toBe(SCALES[HUNDREDTHS]);
  });
});

describe("voltsOf()", () => {
  test.each([
    // meitrack.md 3.1.
    ["hundredths", 0x0191, 4.01, 0x0573, 13.95],
    ["hundredths", 0x019a, 4.1, 0x0981, 24.33],
    ["10 bits", 0x02de, 4.301, 0x010a, 12.469],
    ["12 bits", 0x0a37, 4.214, 0x03dd, 12.749],
  ] as const)("counts %s: battery %i is %f V, supply %i is %f V", (name, battery, batteryV, supply, supplyV) => {
    const scale = SCALES.find((row) => row.name === name) as Scale;
    expect(voltsOf(scale.battery, battery)).toBe(batteryV);
    expect(voltsOf(scale.supply, supply)).toBe(supplyV);
  });

  test("rounds to millivolts and is undefined where there is no unit", () => {
    expect(voltsOf({ times: 6.6, per: 4096 }, 1)).toBe(0.002);
    expect(voltsOf({ times: 1, per: 100 }, 65535)).toBe(655.35);
    expect(voltsOf(null, 5)).toBeUndefined();
  });
});
