import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { POSITION_FIELDS } from "../../codec/position.ts";
import { accountById } from "../../src/accounts.ts";
import { ROUTINE_EVENTS } from "../../src/alarms.ts";
import type { Ctx } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import { placeAccount } from "../../src/placing.ts";
import { events, exportTrack, feed, history, latest, type StoredPosition } from "../../src/positions.ts";
import { purgeExpired } from "../../src/retention-run.ts";
import { settle } from "../../src/settle.ts";
import { allTelemetry } from "../../src/telemetry.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  asKey,
  NOON,
  type TestBase,
  type TestDatabase,
  withElsewhere,
} from "../database.ts";
import { type PositionSpec, settled, stored } from "../stored.ts";

const MINUTE = 60_000;

let database: TestDatabase;
/** Where an account's tracks are: with everything else, or in a database of their own. */
let elsewhere: TestDatabase | undefined;
let isElsewhere = false;
let base: TestBase;
let ctx: Ctx;
let device: { id: number; accountId: number };

const contextOf = (accountId: number) => aContext(base, asKey(accountId));

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  device = await aDevice(database.db);
  ctx = contextOf(device.accountId);
  if (!isElsewhere) return;
  elsewhere = await withElsewhere(database.db, "eu");
  await place(device.accountId);
});
afterEach(() => {
  elsewhere?.close();
  elsewhere = undefined;
  database.close();
});

async function place(accountId: number): Promise<void> {
  const operator = aContext(base, { kind: "admin" });
  const account = await accountById(operator, accountId);
  await placeAccount(operator, account, "eu", "Asked for by the customer");
}

const minutes = (data: StoredPosition[]) => data.map((position) => (Date.parse(position.fixTime) - NOON) / MINUTE);
const at = (minute: number) => ({ fixTime: NOON + minute * MINUTE });
const field = (name: string) => expect.objectContaining({ code: "invalid", field: name });

async function allPages(
  read: (cursor: string | undefined) => Promise<{ data: StoredPosition[]; nextCursor: string | null }>,
) {
  const data: StoredPosition[] = [];
  let cursor: string | undefined;
  do {
    const page = await read(cursor);
    data.push(...page.data);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return data;
}

/** A position is read the same wherever it is. */
const PLACES = ["waiting", "merged", "settled"] as const;
const DATABASES = ["main", "eu"] as const;

describe.each(DATABASES.flatMap((name) => PLACES.map((place) => [place, name] as const)))(
  "positions that are %s in %s:",
  (place, name) => {
    beforeAll(() => {
      isElsewhere = name === "eu";
    });
    afterAll(() => {
      isElsewhere = false;
    });
    const put = async (device: { id: number; accountId: number }, specs: readonly PositionSpec[]) => {
      const last = await stored(base, device, specs);
      if (place === "merged")
        for (const telemetry of allTelemetry(base)) await settle(base, telemetry, { all: true, settle: false });
      if (place === "settled") await settled(base);
      return last;
    };

    describe("history()", () => {
      test("gives positions in fix order whatever the order of arrival, with every part of the API's JSON", async () => {
        await put(device, [at(2), at(0)]);
        await put(device, [{ ...at(1), receivedAt: NOON + 5 * MINUTE, event: 1, latitudeE6: -22_513_015 }]);
        const { data, nextCursor } = await history(ctx, device.id);
        expect(minutes(data)).toEqual([0, 1, 2]);
        expect(nextCursor).toBeNull();
        expect(JSON.parse(JSON.stringify(data[1]))).toEqual({
          id: expect.any(Number),
          deviceId: device.id,
          receivedAt: "2026-03-01T12:05:00.000Z",
          event: { code: 1, name: expect.any(String) },
          fixTime: "2026-03-01T12:01:00.000Z",
          valid: true,
          latitude: -22.513015,
          longitude: 0,
          odometerM: expect.any(Number),
        });
        const [first, second] = [data[2], data[0]];
        expect(second.id - first.id).toBe(1);
        expect(data[1].id).toBeGreaterThan(second.id);
      });

      test("takes from as inclusive and to as exclusive", async () => {
        await put(device, [at(0), at(1), at(2)]);
        const window = { from: NOON, to: NOON + 2 * MINUTE };
        expect(minutes((await history(ctx, device.id, window)).data)).toEqual([0, 1]);
      });

      for (const order of ["asc", "desc"] as const) {
        test(`pages ${order} without a gap or a repetition, also among positions of one time`, async () => {
          const specs = [at(3), at(1), at(1), at(1), at(0), at(2), at(2)];
          await put(device, specs);
          const all = (await history(ctx, device.id, { order })).data;
          for (const limit of [1, 2, 3, 7]) {
            const paged = await allPages((cursor) => history(ctx, device.id, { order, limit, cursor }));
            expect(paged).toEqual(all);
          }
          expect(minutes(all)).toEqual(order === "asc" ? [0, 1, 1, 1, 2, 2, 3] : [3, 2, 2, 1, 1, 1, 0]);
        });
      }

      test("shows the receive time and what the tracker said when its clock was unusable", async () => {
        const deviceTime = Date.UTC(2009, 1, 15, 0, 3, 18);
        await put(device, [{ ...at(1), clock: true, deviceTime }]);
        const [position] = (await history(ctx, device.id)).data;
        expect(position.fixTime).toBe("2026-03-01T12:01:00.000Z");
        expect(position.readings).toEqual({ deviceTime: "2009-02-15T00:03:18.000Z" });
      });

      test("knows no device of another account, and none that is being removed", async () => {
        await put(device, [at(0)]);
        const stranger = contextOf(await anAccount(database.db));
        const notFound = expect.objectContaining({ code: "not_found" });
        await expect(history(stranger, device.id)).rejects.toEqual(notFound);
        await expect(events(stranger, device.id)).rejects.toEqual(notFound);
        await expect(exportTrack(stranger, { ...device, name: "x" }, {}, "csv")).rejects.toEqual(notFound);
        await database.client.execute("UPDATE devices SET deleting_at = 1");
        await expect(history(ctx, device.id)).rejects.toEqual(notFound);
        expect((await latest(ctx)).data).toEqual([]);
        expect((await feed(ctx)).data).toEqual([]);
      });

      test("refuses what cannot be a cursor, a limit or a window", async () => {
        for (const cursor of ["", "!", "AAAA", btoa("1"), btoa("1.2.3"), btoa("1.x"), btoa("1e9.1"), btoa("é.1")]) {
          await expect(history(ctx, device.id, { cursor }), cursor).rejects.toEqual(field("cursor"));
        }
        for (const limit of [0, -1, 1.5, LIMITS.pageMax + 1, Number.NaN]) {
          await expect(history(ctx, device.id, { limit })).rejects.toEqual(field("limit"));
        }
        await expect(history(ctx, device.id, { from: 2, to: 1 })).rejects.toEqual(field("to"));
      });
    });

    test("a stored position has every field of the codec's JSON, in its order", async () => {
      await put(device, [at(0)]);
      const [position] = (await history(ctx, device.id)).data;
      const { id, deviceId, receivedAt, ...fields } = position;
      expect(Object.keys(fields)).toEqual(POSITION_FIELDS);
      expect([id % LIMITS.batchPositions, deviceId, receivedAt]).toEqual([0, device.id, "2026-03-01T12:00:00.000Z"]);
    });

    test("times are written as toISOString() writes them, in any order of days", async () => {
      const times = [0, -1, 1, 86_399_999, 86_400_000, 12_345_678, -86_400_001].map((ms) => NOON - 43_200_000 + ms);
      await put(
        device,
        times.map((fixTime) => ({ fixTime: fixTime - (fixTime % 1000), receivedAt: fixTime })),
      );
      const received = (await feed(ctx)).data.map((position) => position.receivedAt);
      expect(received).toEqual(times.map((time) => new Date(time).toISOString()));
    });

    describe("events()", () => {
      test("leaves out routine reports, or gives the codes that are asked for", async () => {
        const codes = [...ROUTINE_EVENTS, 1, 17, 655, 35];
        await put(
          device,
          codes.map((event, minute) => ({ ...at(minute), event })),
        );
        const seen = async (asked?: number[]) =>
          (await events(ctx, device.id, { codes: asked })).data.map((position) => position.event.code);
        expect(await seen()).toEqual([1, 17, 655]);
        expect(await seen([17])).toEqual([17]);
        expect(await seen([1, 35])).toEqual([35, 1, 35]);
        expect(await seen([])).toEqual([]);
        const paged = await allPages((cursor) => events(ctx, device.id, { limit: 1, cursor }));
        expect(paged.map((position) => position.event.code)).toEqual([1, 17, 655]);
      });
    });

    describe("latest()", () => {
      test("gives the newest valid fix of each device, in pages by device", async () => {
        const second = await aDevice(database.db, { accountId: device.accountId });
        const silent = await aDevice(database.db, { accountId: device.accountId });
        const last = await put(device, [at(5), at(3)]);
        await put(second, [at(1), { ...at(9), valid: false }]);
        const all = (await latest(ctx)).data;
        expect(all.map((position) => position.deviceId)).toEqual([device.id, second.id]);
        expect(minutes(all)).toEqual([5, 1]);
        expect(all[0].id).toBe(last - 1);
        expect(await allPages((cursor) => latest(ctx, { limit: 1, cursor }))).toEqual(all);
        expect(silent.id).toBeGreaterThan(second.id);
      });
    });

    describe("feed()", () => {
      test("follows the order of arrival over all devices, and is asked again with its last cursor", async () => {
        const second = await aDevice(database.db, { accountId: device.accountId });
        await put(device, [at(10), at(9)]);
        const first = await feed(ctx, { limit: 2 });
        expect(minutes(first.data)).toEqual([10, 9]);
        const nothing = await feed(ctx, { cursor: first.nextCursor });
        expect(nothing).toEqual({ data: [], nextCursor: first.nextCursor });
        await put(second, [at(1)]);
        expect(minutes((await feed(ctx, { cursor: nothing.nextCursor })).data)).toEqual([1]);
      });

      test("keeps its cursors when positions before or after them are purged", async () => {
        await put(device, [at(0), at(10), at(1), at(11), at(2)]);
        const { data, nextCursor } = await feed(ctx, { limit: 3 });
        expect(minutes(data)).toEqual([0, 10, 1]);
        base.at(Date.UTC(2026, 5, 1, 12, 5));
        await purgeExpired(base);
        expect(minutes((await feed(ctx)).data)).toEqual([10, 11]);
        expect(minutes((await feed(ctx, { cursor: nextCursor })).data)).toEqual([11]);
        await put(device, [{ ...at(12), receivedAt: base.now() }]);
        expect(minutes((await feed(ctx, { cursor: nextCursor })).data)).toEqual([11, 12]);
      });

      test("never shows what was past its period when it came", async () => {
        await put(device, [{ fixTime: NOON - 100 * 86_400_000, receivedAt: NOON }, at(0)]);
        expect((await history(ctx, device.id)).data).toHaveLength(1);
        expect((await feed(ctx)).data).toHaveLength(1);
        expect(await settled(base)).toBe(1);
      });

      test("shows an account its own devices only", async () => {
        const other = await aDevice(database.db);
        await put(device, [at(0)]);
        await put(other, [at(1)]);
        expect(minutes((await feed(ctx)).data)).toEqual([0]);
        expect(minutes((await feed(contextOf(other.accountId))).data)).toEqual([1]);
      });
    });

    describe("exportTrack()", () => {
      const text = async (window: Parameters<typeof exportTrack>[2], format: Parameters<typeof exportTrack>[3]) => {
        const file = await exportTrack(ctx, { id: device.id, name: "Van" }, window, format);
        return new Response(file.body).text();
      };

      test("streams everything in the window, however many pages that takes", async () => {
        const count = LIMITS.exportPage * 2 + 5;
        await put(
          device,
          Array.from({ length: count }, (_, i) => at(i / 100)),
        );
        const lines = (await text({}, "ndjson")).trimEnd().split("\n");
        expect(lines).toHaveLength(count);
        expect(new Set(lines.map((line) => JSON.parse(line).id)).size).toBe(count);
        const to = NOON + LIMITS.exportPage * (MINUTE / 100);
        expect((await text({ to }, "ndjson")).trimEnd().split("\n")).toHaveLength(LIMITS.exportPage);
        expect((await text({ limit: 3, order: "desc" }, "ndjson")).trimEnd().split("\n")).toHaveLength(3);
        expect((await text({ limit: LIMITS.exportPage + 1 }, "csv")).split("\r\n")).toHaveLength(LIMITS.exportPage + 3);
      });

      test("reads the next page only when its reader asks for it, and stops when that one leaves", async () => {
        await put(
          device,
          Array.from({ length: LIMITS.exportPage * 3 }, (_, i) => at(i / 100)),
        );
        let reads = 0;
        const batch = database.client.batch.bind(database.client);
        database.client.batch = (...args) => {
          reads += 1;
          return batch(...args);
        };
        const { body } = await exportTrack(ctx, { id: device.id, name: "Van" }, {}, "ndjson");
        expect(reads).toBe(1);
        const reader = body.getReader();
        await reader.read();
        expect(reads).toBe(1);
        await reader.read();
        expect(reads).toBe(2);
        await reader.cancel();
        expect(reads).toBe(2);
      });

      test("names the file by the device's id and its media type", async () => {
        const { mediaType, fileName } = await exportTrack(ctx, { id: device.id, name: "../x" }, {}, "gpx");
        expect([mediaType, fileName]).toEqual(["application/gpx+xml", `device-${device.id}.gpx`]);
      });

      test("breaks the stream off when the database fails in the middle", async () => {
        await put(
          device,
          Array.from({ length: LIMITS.exportPage + 1 }, (_, i) => at(i / 100)),
        );
        const { body } = await exportTrack(ctx, { id: device.id, name: "Van" }, {}, "geojson");
        database.client.batch = () => Promise.reject(new Error("gone"));
        await expect(new Response(body).text()).rejects.toThrow();
      });
    });
  },
);
