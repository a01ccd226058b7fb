import { expect, test } from "vitest";
import { StoredPositions } from "../../codec/segment.ts";
import { sealBatches } from "../../src/inbox.ts";
import { endOf, keepingFor, periodsOf } from "../../src/periods.ts";
import { history } from "../../src/positions.ts";
import { purgeExpired } from "../../src/retention-run.ts";
import { keyInForce } from "../../src/settle.ts";
import { appendStatements } from "../../src/store/inbox.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { seeded } from "../codec/wire.ts";
import { aBase, aContext, aDatabase, aDevice, anAccount, asKey } from "../database.ts";
import { packed, settled } from "../stored.ts";

// A year and more of the life of an installation, with a leap day, both changes of the clocks in each zone, and outages of
// its jobs of up to three days. RETENTION_DEVICES=1000 RETENTION_EVERY=100 is the whole fleet, and takes its time.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TICK = 10 * MINUTE;
const BEGIN = Date.UTC(2027, 8, 1);
const DAYS = 400;
const DEVICES = Number(process.env.RETENTION_DEVICES ?? 12);
/** Each device sends one position in so many days. */
const EVERY = Number(process.env.RETENTION_EVERY ?? 10);
const SEED = Number(process.env.RETENTION_SEED ?? 7);

const ACCOUNTS = [
  { zone: "UTC", days: null },
  { zone: "Europe/Berlin", days: null },
  { zone: "America/New_York", days: 7 },
  { zone: "Australia/Lord_Howe", days: null },
  { zone: "Asia/Kolkata", days: 30 },
  { zone: "Pacific/Chatham", days: 1 },
] as const;

interface Sent {
  device: { id: number; accountId: number };
  fixTime: number;
  /** When it is past its period. */
  end: number;
}

test("in 400 days nothing goes early by a millisecond, and within ten minutes of when it could", async () => {
  const random = seeded(SEED);
  const upTo = (limit: number) => random() % limit;
  const { db, client, close } = await aDatabase();
  const base = aBase(db, { now: BEGIN });
  const devices: Sent["device"][] = [];
  for (const { zone, days } of ACCOUNTS) {
    const accountId = await anAccount(db);
    await client.execute({
      sql: "UPDATE accounts SET time_zone = ?, retention_days = ? WHERE id = ?",
      args: [zone, days, accountId],
    });
    for (let i = 0; i < DEVICES / ACCOUNTS.length; i++) {
      const device = await aDevice(db, { accountId });
      if (i % 4 === 3)
        await client.execute(`UPDATE devices SET retention_days = ${1 + upTo(120)} WHERE id = ${device.id}`);
      devices.push(device);
    }
  }
  const outages = Array.from({ length: 12 }, () => {
    const from = BEGIN + upTo(DAYS) * DAY + upTo(24) * HOUR;
    return { from, to: from + (1 + upTo(72)) * HOUR };
  });
  /** The first run that can take what is due, and when the jobs ran again if they did not. */
  const runAfter = (due: number) => {
    let at = Math.ceil(due / TICK) * TICK;
    let recovered = due;
    for (let outage = within(at); outage !== undefined; outage = within(at)) {
      recovered = outage.to;
      at = Math.ceil(outage.to / TICK) * TICK;
    }
    return { at, recovered };
  };
  const within = (at: number) => outages.find(({ from, to }) => at >= from && at < to);

  const periods = new Map<number, Awaited<ReturnType<typeof periodsOf>>>();
  for (const { accountId } of devices) periods.set(accountId, await periodsOf(base, accountId));
  let waiting: Sent[] = [];
  const lags: number[] = [];
  let looks = 0;

  /** What a device sent in the day before, in one batch for all. */
  async function send(midnight: number): Promise<void> {
    const batch = new StoredPositions();
    for (const device of devices) {
      if (upTo(EVERY) !== 0) continue;
      const fixTime = midnight - DAY + upTo(24 * 3600) * 1000;
      const { period, timeZone } = keepingFor(periods.get(device.accountId)!, device.id);
      const end = endOf(fixTime, period, timeZone);
      batch.addFrom(packed(device, [{ fixTime }]), 0);
      if (end > midnight) waiting.push({ device, fixTime, end });
    }
    if (batch.count === 0) return;
    const telemetry = mainTelemetry(base);
    const { kid, key } = await keyInForce(base, telemetry);
    await client.batch(appendStatements(await sealBatches(base, telemetry, batch, kid, key), null), "write");
    await settled(base);
    waiting.sort((a, b) => a.end - b.end);
  }

  /** A read sees a position in its last millisecond, and not in the next. */
  async function look({ device, fixTime, end }: Sent): Promise<void> {
    const ctx = aContext(base, asKey(device.accountId));
    const now = base.now();
    const seen = async (at: number) => {
      base.at(at);
      const { data } = await history(ctx, device.id, { from: fixTime, to: fixTime + 1 });
      return data.length;
    };
    expect([await seen(end - 1), await seen(end)]).toEqual([1, 0]);
    base.at(now);
    looks += 1;
  }

  async function run(at: number): Promise<void> {
    base.at(at);
    await purgeExpired(base);
    const { rows } = await client.execute("SELECT device_id, from_time FROM segments");
    const left = rows.map((row) => `${row[0]} ${row[1]}`).toSorted();
    const gone = waiting.filter(({ end }) => end <= at);
    waiting = waiting.filter(({ end }) => end > at);
    expect(left, new Date(at).toISOString()).toEqual(
      waiting.map(({ device, fixTime }) => `${device.id} ${fixTime}`).toSorted(),
    );
    for (const { end } of gone) lags.push(at - Math.max(end, runAfter(end).recovered));
  }

  for (let midnight = BEGIN + DAY; midnight <= BEGIN + DAYS * DAY; midnight += DAY) {
    for (let [next] = waiting; next !== undefined; [next] = waiting) {
      const { at } = runAfter(next.end);
      if (next.end > midnight || at > midnight) break;
      if (upTo(15) === 0) await look(next);
      await run(at);
    }
    base.at(midnight);
    await send(midnight);
  }
  lags.sort((a, b) => a - b);
  expect(lags.length).toBeGreaterThan((DEVICES * DAYS) / EVERY / 2);
  expect(looks).toBeGreaterThan(10);
  expect(lags[0]).toBeGreaterThanOrEqual(0);
  expect(lags.at(-1)).toBeLessThanOrEqual(TICK);
  close();
}, 3_600_000);
