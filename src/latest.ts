import type { StoredPositions } from "../codec/segment.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { cutoffAt, keepingOf } from "./periods.ts";
import { openFixes } from "./segments.ts";
import { newestOf } from "./settle-plan.ts";
import { readFixes, type StoredFix } from "./store/newest.ts";
import type { PeriodRow } from "./store/periods.ts";
import type { Reach } from "./store/reach.ts";
import { deviceRows, devicesStatement, newestOfDevicesStatement } from "./store/reading.ts";
import { openTail, tailOf, tailStatements, unsettled } from "./tail.ts";
import { mainTelemetry, type Telemetry } from "./telemetry.ts";
import { everything, type Found } from "./track.ts";

/** The newest valid fix of each device within reach, by device id. @param after the last device id of the page before */
export async function latestOf(ctx: Base, reach: Reach, after: number, limit: number): Promise<Found> {
  const telemetry = mainTelemetry(ctx);
  let from = after;
  let tail: StoredPositions | null = null;
  const rows: number[] = [];
  const closed: StoredFix[] = [];
  for (;;) {
    const [devices, newest, ...waiting] = await telemetry.db.$client.batch(
      [
        devicesStatement(reach, from, limit),
        newestOfDevicesStatement(reach, from, limit, LIMITS.newestDevices),
        ...(tail === null ? tailStatements(reach.accountId, null) : []),
      ],
      "read",
    );
    tail ??= await openTail(ctx, telemetry, waiting);
    const page = deviceRows(devices!.rows);
    const fixes = newest!.rows.flatMap((row) => readFixes(row[1]));
    const found = await newestRows(ctx, telemetry, reach.accountId, page, fixes, tail);
    rows.push(...found.rows);
    closed.push(...found.closed);
    const ended = page.length < limit;
    if (ended || rows.length + closed.length >= limit) {
      if (closed.length === 0) return { stored: tail, rows: rows.slice(0, limit) };
      const next = ended ? null : [page.at(-1)!.deviceId];
      const sealed = { segments: [], fixes: closed, cutoffs: new Map(), wanted: everything("device"), next };
      return { stored: tail, rows, closed: sealed };
    }
    from = page.at(-1)!.deviceId;
  }
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
  for (const [deviceId, cutoff] of cutoffs) {
    const rows = tailOf(stored, deviceId, cutoff).filter((row) => stored.table.validAt(row));
    if (rows.length > 0) waiting.set(deviceId, rows);
  }
  const opened = await openFixes(ctx, telemetry, accountId, kept, stored);
  const settled = new Map(kept.map(({ deviceId }, i) => [deviceId, opened[i] ?? null]));
  // What was sent again may seem newer than it is where the tracker's clock is unusable or ahead, and where it is the
  // newest fix itself; else it never is.
  const at = (row: number) => Math.min(stored.fixTimeAt(row), stored.receivedAt[row]);
  const doubtful = new Map(
    [...waiting].filter(([deviceId, rows]) => {
      const before = settled.get(deviceId) ?? null;
      return rows.some(
        (row, i) =>
          stored.clock[row] !== 0 ||
          stored.fixTimeAt(row) > stored.receivedAt[row] ||
          (before !== null && at(row) === at(before)) ||
          (i > 0 && stored.fixTimeAt(row) === stored.fixTimeAt(rows[i - 1])),
      );
    }),
  );
  if (doubtful.size > 0) {
    for (const [deviceId, rows] of await unsettled(ctx, telemetry, accountId, stored, doubtful))
      waiting.set(deviceId, rows);
  }
  const closed = new Map(kept.flatMap((fix) => (fix.customerKid === null ? [] : [[fix.deviceId, fix] as const])));
  const rows = devices.flatMap(({ deviceId }) => {
    const row = newestOf(stored, waiting.get(deviceId) ?? [], settled.get(deviceId) ?? null);
    const sealed = closed.get(deviceId);
    // One that only the customer can open says of itself no more than its time.
    if (row === null || (sealed !== undefined && Math.min(stored.fixTimeAt(row), stored.receivedAt[row]) <= sealed.due))
      return [];
    closed.delete(deviceId);
    return row;
  });
  return { rows, closed: [...closed.values()] };
}
