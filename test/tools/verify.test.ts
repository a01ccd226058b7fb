import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FleetOptions, simulate } from "../../tools/fleet.ts";
import { register, verify } from "../../tools/verify.ts";
import { type FakePlatform, startFakePlatform } from "./fake-platform.ts";

let platform: FakePlatform;
beforeEach(async () => {
  platform = await startFakePlatform();
});
afterEach(() => platform.close());

/** A short run as fast as it goes, against the platform of the test. */
function options(more: Partial<FleetOptions> = {}): Partial<FleetOptions> {
  const reconnectMs = { min: 10, max: 30 };
  return { port: platform.port, devices: 6, rate: 200, count: 20, reconnectMs, settleMs: 5000, ...more };
}

describe("verify()", () => {
  async function aRun() {
    const { fleet } = await simulate(options({ count: 10, devices: 3 }));
    expect(await register(platform, fleet)).toBe(3);
    return fleet;
  }

  test("proves that everything sent is stored, once and unaltered", async () => {
    const fleet = await aRun();
    expect(await register(platform, fleet)).toBe(0);
    const { delayMs, ...result } = await verify(platform, fleet, 0);
    expect(result).toEqual({ devices: 3, expected: 30, found: 30, doubtful: { stored: 0, lost: 0 }, differences: [] });
    expect(delayMs?.p50).toBeGreaterThanOrEqual(0);
  });

  test("does not expect what only damaged frames carried", async () => {
    const { fleet, status } = await simulate(options({ badChecksums: 0.3 }));
    await register(platform, fleet);
    expect(await verify(platform, fleet, 0)).toMatchObject({ expected: status.sent, differences: [] });
  });

  test("finds what is missing, altered, stored twice or invented", async () => {
    const fleet = await aRun();
    const [first, second, third] = fleet.trackers.map(({ imei }) => platform.positions.get(imei) ?? []);
    const [lost] = first.splice(3, 1);
    second[2] = { ...second[2], speedKmh: 999 };
    third.push({ ...third[0] }, { ...third[0], runtimeS: 5 });
    const { differences, found } = await verify(platform, fleet, 0);
    expect(found).toBe(29);
    expect(differences.map(({ kind }) => kind).toSorted()).toEqual(["altered", "invented", "missing", "twice"]);
    expect(differences).toContainEqual(
      expect.objectContaining({ kind: "missing", imei: fleet.trackers[0].imei, fixTime: lost.fixTime }),
    );
    expect(differences.find(({ kind }) => kind === "altered")?.detail).toMatch(/^speedKmh \d+ became 999$/);
  });

  test("waits for what is late", async () => {
    const fleet = await aRun();
    const stored = platform.positions.get(fleet.trackers[0].imei) ?? [];
    const late = stored.splice(0, 2);
    setTimeout(() => stored.push(...late), 300);
    expect(await verify(platform, fleet, 5000)).toMatchObject({ found: 30, differences: [] });
  });

  test("names devices that the account does not have, and says so when the key is wrong", async () => {
    const { fleet } = await simulate(options({ count: 1, devices: 1 }));
    expect((await verify(platform, fleet, 0)).differences).toMatchObject([{ kind: "not registered" }]);
    await expect(verify({ url: platform.url, key: "b" }, fleet, 0)).rejects.toThrow("/v1/devices: 401 No such key");
  });
});
