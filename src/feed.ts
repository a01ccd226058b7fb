import type { StoredPositions } from "../codec/segment.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { cutoffAt, keepingOf } from "./periods.ts";
import { dueOf, openSegments } from "./segments.ts";
import { byDevice, sortByFix } from "./settle-plan.ts";
import { firstRowStatement } from "./store/convert.ts";
import type { Reach } from "./store/reach.ts";
import { arrivedStatements, type SegmentRow, segmentRows } from "./store/segments.ts";
import { liveDevices } from "./store/settling.ts";
import { openTail, steady, tailStatements, unsettled } from "./tail.ts";
import { type Telemetry, telemetryFor } from "./telemetry.ts";
import { everything, type Found } from "./track.ts";

/**
 * Positions within reach in the order in which they were stored.
 * @param after the last id of the page before
 * @returns `seen`: the id up to which everything has been looked at. It may lie beyond the last row, so that the next page
 *   does not look again at what is not the caller's
 */
export function feedOf(ctx: Base, reach: Reach, after: number, limit: number): Promise<Arrived> {
  return steady(() => readFeed(ctx, reach, after, limit));
}

type Arrived = Found & { seen: number };

async function readFeed(ctx: Base, reach: Reach, after: number, limit: number): Promise<Arrived> {
  const telemetry = await telemetryFor(ctx, reach.accountId);
  const asked = LIMITS.segmentsARead;
  for (let from = after; ; ) {
    // In one transaction: what is settled in between would be seen twice, or not at all.
    const [unmoved, arrived, straddling, ...waiting] = await telemetry.db.$client.batch(
      [
        firstRowStatement(reach.accountId, from),
        ...arrivedStatements(reach.accountId, from, asked),
        ...tailStatements(reach.accountId, null),
      ],
      "read",
    );
    const segments = segmentRows(arrived!.rows);
    // With fewer than were asked for, these are all; otherwise everything up to the last one's last is complete, with
    // those that began before it and end after it.
    let edge = segments.length < asked ? Number.POSITIVE_INFINITY : segments.at(-1)!.lastId;
    segments.push(...segmentRows(straddling!.rows));
    const tail = await openTail(ctx, telemetry, waiting);
    // Of what waits no more is looked at than a page can hold.
    const came = tail.ids.slice(0, tail.count).filter((id) => id > from && id <= edge);
    if (came.length > limit) edge = came.sort()[limit - 1];
    // What an earlier version stored is moved device by device. Nobody is shown what arrived after something that is not.
    const first = unmoved!.rows[0]![0];
    const isHeld = first !== null && Number(first) <= edge;
    if (isHeld) edge = Number(first) - 1;
    const { rows, newest, closed, cutoffs } = await arrivedRows(ctx, telemetry, reach, tail, segments, from, edge);
    rows.sort((a, b) => tail.ids[a] - tail.ids[b]);
    const seen = edge === Number.POSITIVE_INFINITY ? Math.max(from, newest) : edge;
    if (closed.length > 0) {
      const wanted = { ...everything("arrival"), after: from, upTo: seen };
      return { stored: tail, rows, closed: { segments: closed, fixes: [], cutoffs, wanted, next: [seen] }, seen };
    }
    if (rows.length >= limit) {
      const page = rows.slice(0, limit);
      return { stored: tail, rows: page, seen: tail.ids[page[limit - 1]] };
    }
    if (rows.length > 0 || isHeld || edge === Number.POSITIVE_INFINITY) return { stored: tail, rows, seen };
    from = edge;
  }
}

/** Rows that came after `from` and up to `edge`. @returns them, and the newest id that was looked at */
async function arrivedRows(
  ctx: Base,
  telemetry: Telemetry,
  { accountId, devices }: Reach,
  stored: StoredPositions,
  segments: readonly SegmentRow[],
  from: number,
  edge: number,
): Promise<{ rows: number[]; newest: number; closed: SegmentRow[]; cutoffs: Map<number, number> }> {
  const came = (row: number) => stored.ids[row] > from && stored.ids[row] <= edge;
  const waiting = new Map<number, number[]>();
  for (const [deviceId, rows] of byDevice(stored)) {
    if (rows.some(came)) waiting.set(deviceId, sortByFix(stored, rows));
  }
  let newest = 0;
  for (const rows of waiting.values()) for (const row of rows) newest = Math.max(newest, stored.ids[row]);
  for (const { lastId } of segments) newest = Math.max(newest, lastId);

  const asked = [...new Set([...waiting.keys(), ...segments.map(({ deviceId }) => deviceId)])];
  const live = await liveDevices(ctx.db, devices === null ? asked : asked.filter((id) => devices.includes(id)));
  const cutoffs = new Map<number, number>();
  for (const [deviceId, device] of live) {
    if (device.accountId !== accountId) continue;
    cutoffs.set(deviceId, cutoffAt(ctx.now(), keepingOf(device, ctx.config.retentionMonths)));
  }
  for (const deviceId of waiting.keys()) if (!cutoffs.has(deviceId)) waiting.delete(deviceId);
  const fresh = await unsettled(ctx, telemetry, accountId, stored, waiting);
  const shown = segments.filter(({ deviceId, toTime, dueTo }) => {
    const cutoff = cutoffs.get(deviceId);
    return cutoff !== undefined && (dueTo ?? toTime) >= cutoff;
  });
  const kept = (row: number) => came(row) && dueOf(stored, row) >= cutoffs.get(stored.deviceIds[row])!;
  // By id: what was settled since the tail was read is in both.
  const rows = new Map<number, number>();
  for (const row of [...fresh.values()].flat()) if (kept(row)) rows.set(stored.ids[row], row);
  for (const place of await openSegments(ctx, telemetry, accountId, shown, stored, "keeper")) {
    if (place !== null) for (let row = place.from; row < place.to; row++) if (kept(row)) rows.set(stored.ids[row], row);
  }
  return { rows: [...rows.values()], newest, closed: shown.filter(({ customerKid }) => customerKid !== null), cutoffs };
}
