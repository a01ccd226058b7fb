import { StoredPositions } from "../codec/segment.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { cutoffAt, keepingOf } from "./periods.ts";
import { openFixes } from "./segments.ts";
import { knownSince, newestOf } from "./settle-plan.ts";
import type { ResultSet, Statement } from "./store/db.ts";
import { newestIdOf, newestStatement, readFixes, type StoredFix } from "./store/newest.ts";
import type { PeriodRow } from "./store/periods.ts";
import type { Reach } from "./store/reach.ts";
import { deviceRows, devicesStatement, newestOfDevicesStatement } from "./store/reading.ts";
import { steady, tailRead, tailsOf, unsettled } from "./tail.ts";
import { type Telemetry, telemetryFor } from "./telemetry.ts";
import { everything, type Found } from "./track.ts";

/** The newest valid fix of each device within reach, by device id. @param after the last device id of the page before */
export function latestOf(ctx: Base, reach: Reach, after: number, limit: number): Promise<Found> {
  return steady(() => readLatest(ctx, reach, after, limit));
}

async function readLatest(ctx: Base, reach: Reach, after: number, limit: number): Promise<Found> {
  const telemetry = await telemetryFor(ctx, reach.accountId);
  let from = after;
  const stored = new StoredPositions(256);
  const rows: number[] = [];
  const closed: StoredFix[] = [];
  for (;;) {
    const tail = await tailRead(ctx, telemetry, reach.accountId, null);
    const { page, newest, waiting } = await readNewest(ctx, telemetry, reach, from, limit, tail.statements);
    await tail.open(waiting, new Set(page.map(({ deviceId }) => deviceId)), stored);
    const fixes = newest.rows.flatMap((row) => readFixes(row[1]));
    const found = await newestRows(ctx, telemetry, reach.accountId, page, fixes, stored);
    rows.push(...found.rows);
    closed.push(...found.closed);
    const ended = page.length < limit;
    if (ended || rows.length + closed.length >= limit) {
      if (closed.length === 0) return { stored, rows: rows.slice(0, limit) };
      const next = ended ? null : [page.at(-1)!.deviceId];
      const sealed = { segments: [], fixes: closed, cutoffs: new Map(), wanted: everything("device"), next };
      return { stored, rows, closed: sealed };
    }
    from = page.at(-1)!.deviceId;
  }
}

/** A page of devices, with the rows of newest fixes that they can have, and what waits of the account. */
async function readNewest(
  ctx: Base,
  telemetry: Telemetry,
  reach: Reach,
  from: number,
  limit: number,
  tail: readonly Statement[],
): Promise<{ page: PeriodRow[]; newest: ResultSet; waiting: ResultSet[] }> {
  const ofDevices = devicesStatement(reach, from, limit);
  if (telemetry.main) {
    const ofNewest = newestOfDevicesStatement(reach, from, limit, LIMITS.newestDevices);
    const [devices, newest, ...waiting] = await ctx.db.$client.batch([ofDevices, ofNewest, ...tail], "read");
    return { page: deviceRows(devices!.rows), newest: newest!, waiting };
  }
  const page = deviceRows((await ctx.db.$client.execute(ofDevices)).rows);
  const ids = new Set(page.map(({ deviceId }) => newestIdOf(reach.accountId, deviceId, LIMITS.newestDevices)));
  const [newest, ...waiting] = await telemetry.db.$client.batch([newestStatement([...ids]), ...tail], "read");
  return { page, newest: newest!, waiting };
}

/**
 * As unsettled(), of devices of which only the newest row is asked for: looked at alone it is nearly always new, and what
 * may be the same record has the same fix.
 * @param newest of the rows of each device, and newer than what is settled of it
 */
async function newestUnsettled(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  stored: StoredPositions,
  waiting: ReadonlyMap<number, readonly number[]>,
  newest: ReadonlyMap<number, number>,
  settled: ReadonlyMap<number, number | null>,
): Promise<Map<number, number[]>> {
  if (waiting.size === 0) return new Map();
  const since = knownSince(stored, [...waiting.values()].flat());
  const left = new Map(waiting);
  const alike = new Map<number, number[]>();
  for (const [deviceId, rows] of waiting) {
    const before = settled.get(deviceId) ?? null;
    // Without a usable clock the same record may lie anywhere.
    if ((before !== null && stored.clock[before] !== 0) || rows.some((row) => stored.clock[row] !== 0)) continue;
    const fix = stored.fixTimeAt(newest.get(deviceId)!);
    alike.set(
      deviceId,
      rows.filter((other) => stored.fixTimeAt(other) === fix),
    );
  }
  const found = new Map<number, number[]>();
  for (const [deviceId, rows] of await unsettled(ctx, telemetry, accountId, stored, alike, since)) {
    const row = newest.get(deviceId)!;
    if (!rows.includes(row)) continue;
    found.set(deviceId, [row]);
    left.delete(deviceId);
  }
  for (const [deviceId, rows] of await unsettled(ctx, telemetry, accountId, stored, left, since))
    found.set(deviceId, rows);
  return found;
}

/** The newest fixes of devices, of those that have one, in their order: rows, and those that only the customer can open. */
async function newestRows(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  devices: readonly PeriodRow[],
  fixes: readonly StoredFix[],
  stored: StoredPositions,
): Promise<{ rows: number[]; closed: StoredFix[] }> {
  const now = ctx.now();
  const cutoffs = new Map<number, number>();
  for (const device of devices) {
    cutoffs.set(device.deviceId, cutoffAt(now, keepingOf(device, ctx.config.retentionMonths)));
  }
  const kept = fixes.filter(({ deviceId, due }) => due >= (cutoffs.get(deviceId) ?? Number.POSITIVE_INFINITY));
  const waiting = new Map<number, number[]>();
  for (const [deviceId, rows] of tailsOf(stored, cutoffs)) {
    const valid = rows.filter((row) => stored.table.validAt(row));
    if (valid.length > 0) waiting.set(deviceId, valid);
  }
  const opened = await openFixes(ctx, telemetry, accountId, kept, stored, "keeper");
  const settled = new Map(kept.map(({ deviceId }, i) => [deviceId, opened[i] ?? null]));
  // What was sent again may seem newer than it is: where the tracker's clock is ahead or unusable, or where it is the
  // newest fix itself.
  const doubtful = new Map<number, number[]>();
  const newest = new Map<number, number>();
  for (const [deviceId, rows] of waiting) {
    const before = settled.get(deviceId) ?? null;
    const row = newestOf(stored, rows, before);
    if (row === null || row === before) continue;
    doubtful.set(deviceId, rows);
    newest.set(deviceId, row);
  }
  const fresh = await newestUnsettled(ctx, telemetry, accountId, stored, doubtful, newest, settled);
  const closed = new Map(kept.flatMap((fix) => (fix.customerKid === null ? [] : [[fix.deviceId, fix] as const])));
  const rows = devices.flatMap(({ deviceId }) => {
    const row = newestOf(stored, fresh.get(deviceId) ?? [], settled.get(deviceId) ?? null);
    const sealed = closed.get(deviceId);
    // One that only the customer can open says of itself no more than its time.
    if (row === null || (sealed !== undefined && Math.min(stored.fixTimeAt(row), stored.receivedAt[row]) <= sealed.due))
      return [];
    closed.delete(deviceId);
    return row;
  });
  return { rows, closed: [...closed.values()] };
}
