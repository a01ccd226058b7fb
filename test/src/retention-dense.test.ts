import { expect, test } from "vitest";
import { StoredPositions } from "../../codec/segment.ts";
import { sealBatches } from "../../src/inbox.ts";
import { runJob } from "../../src/jobs.ts";
import { endOf, keepingFor, periodsOf } from "../../src/periods.ts";
import { history } from "../../src/positions.ts";
import { openSegments } from "../../src/segments.ts";
import { keyInForce } from "../../src/settle.ts";
import { appendStatements } from "../../src/store/inbox.ts";
import { headColumns, segmentRows } from "../../src/store/segments.ts";
import { openTail, tailStatements } from "../../src/tail.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { seeded } from "../codec/wire.ts";
import { aBase, aContext, aDatabase, aDevice, anAccount, asKey } from "../database.ts";
import { packed } from "../stored.ts";

// Tracks as they are, many positions to a segment, so that a segment is past its period bit by bit; the jobs as the crons
// run them, settling too, with outages of up to three days over a leap day and changes of the clocks. The long run is
// DENSE_DAYS=400 DENSE_DEVICES=1000 DENSE_EVERY=300.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TICK = 10 * MINUTE;
const DAYS = Number(process.env.DENSE_DAYS ?? 45);
const DEVICES = Number(process.env.DENSE_DEVICES ?? 10);
/** Each device drives once in so many days. */
const EVERY = Number(process.env.DENSE_EVERY ?? 8);
const SEED = Number(process.env.DENSE_SEED ?? 3);
/** With a leap day and the changes to summer time of Europe and America within the short run. */
const BEGIN = Date.UTC(2028, 1, 16);

const ACCOUNTS = [
  { zone: "UTC", days: null },
  { zone: "Europe/Berlin", days: 30 },
  { zone: "America/New_York", days: 7 },
  { zone: "Australia/Lord_Howe", days: 1 },
  { zone: "Pacific/Chatham", days: null },
] as const;

interface Sent {
  device: { id: number; accountId: number };
  fixTime: number;
  end: number;
}

const nameOf = (deviceId: number, fixTime: number) => `${deviceId} ${fixTime}`;

test("a segment goes bit by bit: nothing early, everything within the hour, whatever the jobs missed", async () => {
  const random = seeded(SEED);
  const upTo = (limit: number) => random() % limit;
  const { db, client, close } = await aDatabase();
  // A calendar month of who has chosen nothing: its end is met within the short run, too.
  const base = aBase(db, { now: BEGIN, retentionMonths: 1 });
  const telemetry = mainTelemetry(base);
  const devices: Sent["device"][] = [];
  const accounts: number[] = [];
  for (const { zone, days } of ACCOUNTS) {
    const accountId = await anAccount(db);
    accounts.push(accountId);
    const args = [zone, days, accountId];
    await client.execute({ sql: "UPDATE accounts SET time_zone = ?, retention_days = ? WHERE id = ?", args });
    for (let i = 0; i < DEVICES / ACCOUNTS.length; i++) devices.push(await aDevice(db, { accountId, createdAt: 0 }));
  }
  const periods = new Map<number, Awaited<ReturnType<typeof periodsOf>>>();
  for (const accountId of accounts) periods.set(accountId, await periodsOf(base, accountId));
  const outages = Array.from({ length: Math.ceil(DAYS / 12) }, () => {
    const from = BEGIN + upTo(DAYS) * DAY + upTo(24) * HOUR;
    return { from, to: from + (1 + upTo(72)) * HOUR };
  });
  const outageAt = (at: number) => outages.find(({ from, to }) => at >= from && at < to);
  /** When the jobs ran again after a moment, if they did not run then. */
  const recovered = (due: number) => {
    let at = due;
    for (let outage = outageAt(at); outage !== undefined; outage = outageAt(at)) at = outage.to;
    return at;
  };
  const nextRun = (after: number) => {
    let at = Math.ceil(after / TICK) * TICK;
    while (outageAt(at) !== undefined) at = Math.ceil(recovered(at) / TICK) * TICK;
    return at;
  };

  /** What is not gone yet, the first to end first. */
  let kept: Sent[] = [];
  const lags: number[] = [];
  let [runs, looks, early] = [0, 0, 0];

  /** A drive: a position every few minutes for some hours, that comes in one batch at its end. */
  async function drive(device: Sent["device"], at: number): Promise<void> {
    const batch = new StoredPositions();
    const { period, timeZone } = keepingFor(periods.get(device.accountId)!, device.id);
    const count = 3 + upTo(80);
    for (let n = 0, fixTime = at - 1000 * upTo(600); n < count; n++, fixTime -= 1000 * (30 + upTo(300))) {
      batch.addFrom(packed(device, [{ fixTime, receivedAt: at }]), 0);
      kept.push({ device, fixTime, end: endOf(fixTime, period, timeZone) });
    }
    const { kid, key } = await keyInForce(base, telemetry);
    await client.batch(appendStatements(await sealBatches(base, telemetry, batch, kid, key), null), "write");
    kept.sort((a, b) => a.end - b.end);
  }

  /** Every position that any row of the database holds, for whoever has the keys. */
  async function stored(of: ReadonlySet<number>): Promise<Set<string>> {
    const found = new Set<string>();
    for (const accountId of accounts) {
      const { rows } = await client.execute({
        sql: `SELECT ${headColumns}, s.sealed FROM segments s WHERE s.account_id = ? AND s.device_id IN (SELECT value FROM json_each(?))`,
        args: [accountId, JSON.stringify([...of])],
      });
      const tail = await openTail(base, telemetry, await client.batch(tailStatements(accountId, null), "read"));
      await openSegments(base, telemetry, accountId, segmentRows(rows), tail, "settler");
      for (let row = 0; row < tail.count; row++) found.add(nameOf(tail.deviceIds[row]!, tail.fixTimeAt(row)));
    }
    return found;
  }

  /** A read sees a position in its last millisecond, and not in the next. */
  async function look({ device, fixTime, end }: Sent): Promise<void> {
    const ctx = aContext(base, asKey(device.accountId));
    const now = base.now();
    const seen = async (at: number) => {
      base.at(at);
      return (await history(ctx, device.id, { from: fixTime, to: fixTime + 1 })).data.length;
    };
    expect([await seen(end - 1), await seen(end)]).toEqual([1, 0]);
    base.at(now);
    looks += 1;
  }

  async function run(at: number): Promise<void> {
    base.at(at);
    runs += 1;
    for (const job of ["settle", "retention"]) await runJob(base, job);
    const due = kept.filter(({ end }) => end <= at);
    // Others of the same devices must all be there.
    const touched = new Set(due.map(({ device }) => device.id));
    const left = await stored(touched);
    const isLeft = ({ device, fixTime }: Sent) => left.has(nameOf(device.id, fixTime));
    const lost = kept.filter((each) => each.end > at && touched.has(each.device.id) && !isLeft(each));
    early += lost.length;
    expect(lost.map(({ device, fixTime }) => nameOf(device.id, fixTime))).toEqual([]);
    for (const each of due) if (!isLeft(each)) lags.push(at - recovered(each.end));
    const late = new Set(due.filter(isLeft));
    kept = kept.filter((each) => each.end > at || late.has(each));
  }

  let last = BEGIN;
  for (let hour = BEGIN + HOUR; hour <= BEGIN + DAYS * DAY; hour += HOUR) {
    // The crons of the hour, as far as they have something to do.
    for (;;) {
      const [first] = kept;
      if (first === undefined) break;
      const at = nextRun(Math.max(first.end, last + 1));
      if (at > hour) break;
      if (upTo(8) === 0 && first.end > last && outageAt(first.end) === undefined) await look(first);
      await run(at);
      last = at;
    }
    base.at(hour);
    for (const device of devices) if (upTo(24 * EVERY) === 0) await drive(device, hour);
  }
  lags.sort((a, b) => a - b);
  const p99 = lags[Math.floor(lags.length * 0.99)]!;
  console.log(
    `${DAYS} days, ${devices.length} devices: ${lags.length} positions gone in ${runs} runs, ${early} early, ${looks} looks; lag p50 ${lags[lags.length >> 1]! / MINUTE} min, p99 ${p99 / MINUTE} min, most ${lags.at(-1)! / MINUTE} min`,
  );
  expect(lags.length).toBeGreaterThan(500);
  expect(lags[0]).toBeGreaterThanOrEqual(0);
  expect(p99).toBeLessThan(HOUR);
  expect(lags.at(-1)).toBeLessThanOrEqual(HOUR + TICK);
  close();
}, 7_200_000);
