import { expect, test } from "vitest";
import { type Position, positionAt } from "../../codec/position.ts";
import { encodeRecord } from "../../codec/record.ts";
import { convertRows } from "../../src/convert.ts";
import { runJob } from "../../src/jobs.ts";
import { history } from "../../src/positions.ts";
import { settle } from "../../src/settle.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { aBase, aContext, aDatabase, aDevice, asKey, NOON, type TestDatabase } from "../database.ts";
import { packed, stored } from "../stored.ts";
import { intrude } from "./intrude.ts";

const MINUTE = 60_000;

/** Puts positions where an earlier version kept them: a row each, with the ids that it gave. */
async function before(database: TestDatabase, device: { id: number; accountId: number }, fixTimes: readonly number[]) {
  const rows = packed(
    device,
    fixTimes.map((fixTime) => ({ fixTime })),
  );
  await database.client.batch(
    fixTimes.map((fixTime, row) => ({
      sql: `INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
        VALUES (?, ?, ?, randomblob(8), ?, 0, 35, 1, ?)`,
      args: [device.accountId, device.id, fixTime, fixTime, encodeRecord(positionAt(rows.table, row) as Position)],
    })),
    "write",
  );
}

/** Minutes after NOON of a device's positions, as they are read. */
async function minutes(database: TestDatabase, device: { id: number; accountId: number }) {
  const ctx = aContext(aBase(database.db), asKey(device.accountId));
  const { data } = await history(ctx, device.id, { limit: 1000 });
  return data.map(({ fixTime }) => (Date.parse(fixTime) - NOON) / MINUTE);
}

const OLD = Array.from({ length: 90 }, (_, i) => -200 + 2 * i);
const NEW = Array.from({ length: 80 }, (_, i) => -199 + 2 * i);
const ALL = [...OLD, ...NEW].sort((a, b) => a - b);
const times = (of: readonly number[]) => of.map((minute) => NOON + minute * MINUTE);

test("convertRows() moves what an earlier version stored, with its ids, once", async () => {
  const database = await aDatabase();
  const base = aBase(database.db);
  const device = await aDevice(database.db);
  await before(database, device, times(OLD));
  const ids = (await database.client.execute("SELECT id FROM positions ORDER BY fix_time")).rows.map((row) => row[0]);
  expect(await convertRows(base)).toBe(OLD.length);
  expect(await convertRows(base)).toBe(0);
  expect(await minutes(database, device)).toEqual(OLD);
  const { data } = await history(aContext(base, asKey(device.accountId)), device.id, { limit: 1000 });
  expect(data.map(({ id }) => id)).toEqual(ids);
  database.close();
});

const AMID = {
  settle: async (database: TestDatabase) => {
    const base = aBase(database.db);
    await settle(base, mainTelemetry(base), { all: true });
  },
  conversion: async (database: TestDatabase) => {
    await convertRows(aBase(database.db));
  },
  retention: async (database: TestDatabase) => {
    const base = aBase(database.db);
    // A part of what waits and of what is there is past its period.
    base.at(Date.UTC(2026, 5, 1, 10));
    await runJob(base, "retention");
  },
};

for (const [outer, run] of Object.entries(AMID)) {
  for (const [inner, interrupt] of Object.entries(AMID)) {
    test(`${inner} after any round trip of ${outer} loses nothing and doubles nothing`, async () => {
      for (let trip = 0; ; trip++) {
        const database = await aDatabase();
        const base = aBase(database.db);
        const device = await aDevice(database.db, { createdAt: 0 });
        await before(database, device, times(OLD.slice(0, 45)));
        await convertRows(base);
        await before(database, device, times(OLD.slice(45)));
        await stored(
          base,
          device,
          times(NEW).map((fixTime) => ({ fixTime })),
        );
        const over = intrude(database.client, trip, () => interrupt(database));
        await run(database);
        const happened = over();
        await settle(base, mainTelemetry(base), { all: true });
        await convertRows(base);
        const purged = [outer, inner].includes("retention");
        const left = await minutes(database, device);
        expect(left).toEqual(purged ? ALL.filter((minute) => left.includes(minute)) : ALL);
        expect(left.filter((minute) => minute >= -120)).toEqual(ALL.filter((minute) => minute >= -120));
        database.close();
        if (!happened) break;
      }
    });
  }
}
