import { describe, expect, test } from "vitest";
import { Vehicle } from "../../tools/motion.ts";

describe("Vehicle", () => {
  /** Metres on a sphere, good enough for a town. */
  function metres(
    a: { latitudeE6: number; longitudeE6: number },
    b: { latitudeE6: number; longitudeE6: number },
  ): number {
    const perDegree = 111_320;
    const north = ((b.latitudeE6 - a.latitudeE6) / 1e6) * perDegree;
    const east = ((b.longitudeE6 - a.longitudeE6) / 1e6) * perDegree * Math.cos((a.latitudeE6 / 1e6) * (Math.PI / 180));
    return Math.hypot(north, east);
  }

  test.each([1, 10])("drives plausibly in steps of %i s", (step) => {
    for (let index = 0; index < 8; index++) {
      const vehicle = new Vehicle(3, index, 1000);
      const { latitudeE6, longitudeE6 } = vehicle;
      let fix = { latitudeE6, longitudeE6, odometerM: 1000 };
      let odometerM = 1000;
      const speeds: number[] = [];
      const courses = new Set<number>();
      for (let n = 0; n < 2000; n++) {
        vehicle.step(step);
        const driven = vehicle.odometerM - odometerM;
        odometerM = vehicle.odometerM;
        expect(driven).toBeGreaterThanOrEqual(0);
        expect(driven).toBeLessThanOrEqual(31 * step + 1);
        if (vehicle.valid) {
          // The straight way is not longer than the driven one, but for rounding and the shape of the Earth.
          expect(metres(fix, vehicle)).toBeLessThanOrEqual((odometerM - fix.odometerM) * 1.01 + 3);
          fix = { latitudeE6: vehicle.latitudeE6, longitudeE6: vehicle.longitudeE6, odometerM };
        } else {
          expect(vehicle).toMatchObject({ latitudeE6: fix.latitudeE6, longitudeE6: fix.longitudeE6 });
        }
        speeds.push(vehicle.speedKmh);
        courses.add(Math.round(vehicle.courseDeg / 30));
      }
      expect(metres({ latitudeE6, longitudeE6 }, vehicle)).toBeLessThan(20_000);
      expect(Math.max(...speeds)).toBeLessThanOrEqual(110);
      expect(speeds.filter((speed) => speed > 0).length).toBeGreaterThan(100);
      expect(speeds.filter((speed) => speed === 0).length).toBeGreaterThan(10);
      expect(courses.size).toBeGreaterThan(4);
    }
  });

  test("has readings within their ranges", () => {
    const vehicle = new Vehicle(3, 1, 0);
    for (let n = 0; n < 3000; n++) {
      vehicle.step(5);
      const { satellites, gsmSignal, courseDeg, hdopTenths, lac, cid, batteryCv, supplyCv, fuelCentiPercent } = vehicle;
      const ranges = [
        [satellites, 3, 14],
        [gsmSignal, 9, 31],
        [courseDeg, 0, 359],
        [hdopTenths, 5, 50],
        [lac, 0, 65_535],
        [cid, 0, 65_535],
        [batteryCv, 300, 430],
        [supplyCv, 1200, 1400],
        [fuelCentiPercent, 0, 10_000],
      ];
      expect(ranges.filter(([value, min, max]) => !(value >= min && value <= max && Number.isInteger(value)))).toEqual(
        [],
      );
    }
  });
});
