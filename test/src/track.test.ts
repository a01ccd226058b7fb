import { expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { trackOf } from "../../src/track.ts";
import { aBase, aDatabase, aDevice, NOON } from "../database.ts";
import { type PositionSpec, settled, stored } from "../stored.ts";

const SECOND = 1000;

test.each([false, true])(
  "A search for rare events holds few of the positions that it looks at (newest first: %s)",
  async (descending) => {
    const { db, close } = await aDatabase();
    const base = aBase(db);
    const device = await aDevice(db);
    const count = 3 * LIMITS.segmentsARead * LIMITS.segmentPositions;
    const rare = [0, 5000, count - 1];
    const specs = Array.from({ length: count }, (_, n): PositionSpec => {
      return { fixTime: NOON - (count - n) * SECOND, event: rare.includes(n) ? 31 : 35, latitudeE6: n };
    });
    await stored(base, device, specs);
    expect(await settled(base)).toBe(count);
    const window = { from: -LIMITS.timeMs, to: LIMITS.timeMs, descending, after: null, limit: 100, events: [31] };
    const found = await trackOf(base, { accountId: device.accountId, devices: null }, device.id, window);
    const fixes = found!.rows.map((row) => (found!.stored.fixTimeAt(row) - NOON) / SECOND + count);
    expect(fixes).toEqual(descending ? rare.toReversed() : rare);
    expect(found!.stored.count).toBeLessThan((LIMITS.segmentsARead + 1) * LIMITS.segmentPositions);
    close();
  },
);
