import { afterEach, beforeEach, expect, test } from "vitest";
import {
  firstIdOf,
  type SegmentRow,
  stretchRows,
  stretchStatement,
  writeSegmentsStatement,
} from "../../../src/store/segments.ts";
import { seeded } from "../../codec/wire.ts";
import { aDatabase, NOON, type TestDatabase } from "../../database.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const START = Math.floor(NOON / DAY_MS) * DAY_MS;
const DEVICE = 77;

let database: TestDatabase;
beforeEach(async () => {
  database = await aDatabase();
});
afterEach(() => database.close());

/** Segments of `days` days that lie over one another, `each` of a day, and their neighbours of other devices. */
async function filled(days: number, each: number): Promise<SegmentRow[]> {
  const random = seeded(5);
  const rows: SegmentRow[] = [];
  for (const deviceId of [DEVICE - 1, DEVICE, DEVICE + 1]) {
    for (let day = 0; day < days; day++) {
      for (let n = 0; n < each; n++) {
        const fromTime = START + day * DAY_MS + (random() % 22) * HOUR_MS;
        const toTime = fromTime + (random() % 2) * HOUR_MS;
        rows.push({
          id: firstIdOf(deviceId, fromTime) + n,
          deviceId,
          accountId: 1,
          dayKid: day,
          deviceKid: deviceId,
          fromTime,
          toTime,
          dueFrom: n % 2 === 0 ? null : fromTime + 1,
          dueTo: n % 3 === 0 ? null : toTime + 1,
          firstId: 2 ** 52 + n,
          lastId: 2 ** 52 + n + 9,
          positions: 10,
          alarms: n % 4 === 0 ? 1 : 0,
          clockless: 0,
          customerKid: n % 5 === 0 ? 2 ** 50 : null,
          sealed: Uint8Array.of(day, n, 0),
        });
      }
    }
  }
  await database.db.$client.execute(writeSegmentsStatement(rows, "?1 = ?2", [0, 0]));
  return rows;
}

test("a stretch gives its first segments in order, with everything that was written, from a few days or many", async () => {
  const rows = await filled(30, 5);
  const random = seeded(6);
  for (let tries = 0; tries < 150; tries++) {
    const from = START + ((random() % 740) - 10) * HOUR_MS;
    const to = from + (random() % (tries % 2 === 0 ? 30 : 700)) * HOUR_MS;
    const [descending, alarms, limit] = [random() % 2 === 0, random() % 3 === 0, 1 + (random() % 20)];
    const all = rows.filter(
      (row) => row.deviceId === DEVICE && row.toTime >= from && row.fromTime < to && (!alarms || row.alarms > 0),
    );
    all.sort((a, b) => (descending ? b.toTime - a.toTime : a.fromTime - b.fromTime) || a.id - b.id);
    const { rows: found } = await database.db.$client.execute(
      stretchStatement({ deviceId: DEVICE, from, to, descending, alarms, limit }),
    );
    const { segments, lookedUpTo } = stretchRows(found, descending);
    expect(segments).toEqual(all.slice(0, limit + 1));
    // With others beyond, the days that were looked at hold at least so many as were asked for.
    if (lookedUpTo !== null) expect(all.length).toBeGreaterThanOrEqual(64);
    else expect(all.length <= 64 || segments.length === limit + 1).toBe(true);
  }
});

test("a long stretch is looked at day by day where few of a day are enough", async () => {
  const rows = await filled(30, 5);
  const stretch = { deviceId: DEVICE, from: START, to: START + 30 * DAY_MS, alarms: false, limit: 1000 };
  for (const descending of [false, true]) {
    const { rows: found } = await database.db.$client.execute(stretchStatement({ ...stretch, descending }));
    const { segments, lookedUpTo } = stretchRows(found, descending);
    const [first, end] = descending ? [START + 17 * DAY_MS, START + 30 * DAY_MS] : [START, START + 13 * DAY_MS];
    expect(segments.length).toBe(
      rows.filter((row) => row.deviceId === DEVICE && row.fromTime >= first && row.fromTime < end).length,
    );
    expect(lookedUpTo).toBe(descending ? first : end);
  }
});
