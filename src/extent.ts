import type { StoredPositions } from "../codec/segment.ts";
import type { Base } from "./context.ts";
import { MovedError } from "./inbox.ts";
import { cutoffAt, keepingOf } from "./periods.ts";
import { dueOf, openSegments } from "./segments.ts";
import { devicePeriodStatement, periodRow } from "./store/periods.ts";
import type { Reach } from "./store/reach.ts";
import { headOf, headsStatement, type SegmentHead, segmentsById } from "./store/segments.ts";
import { openTail, steady, tailOf, tailStatements, unsettled } from "./tail.ts";
import { readBoth, telemetryFor } from "./telemetry.ts";

/** What a track holds: how many positions, and the first and last fix time; null without one. */
export interface Extent {
  positions: number;
  from: number | null;
  to: number | null;
}

const NOTHING: Extent = { positions: 0, from: null, to: null };
const dueFromOf = ({ dueFrom, fromTime }: SegmentHead) => dueFrom ?? fromTime;
const dueToOf = ({ dueTo, toTime }: SegmentHead) => dueTo ?? toTime;

/**
 * Counts a device's positions, and only those that are not past their period. Opens the few segments that are partly.
 * @param past counts instead what lies before this: what a shorter period would delete
 * @returns nothing counted for a device that is not within reach
 */
export function extentOf(ctx: Base, reach: Reach, deviceId: number, past?: number): Promise<Extent> {
  return steady(() => readExtent(ctx, reach, deviceId, ALWAYS, past));
}

/** The same of a stretch of fix times, `to` not included. What only the customer can open counts as a whole. */
export function stretchOf(ctx: Base, reach: Reach, deviceId: number, stretch: Stretch): Promise<Extent> {
  return steady(() => readExtent(ctx, reach, deviceId, stretch));
}

interface Stretch {
  from: number;
  to: number;
}
const ALWAYS: Stretch = { from: Number.MIN_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER };

async function readExtent(
  ctx: Base,
  reach: Reach,
  deviceId: number,
  { from, to }: Stretch,
  past?: number,
): Promise<Extent> {
  const { accountId, devices } = reach;
  if (devices !== null && !devices.includes(deviceId)) return NOTHING;
  const telemetry = await telemetryFor(ctx, accountId);
  const [[period], [heads, ...waiting]] = await readBoth(
    ctx,
    telemetry,
    [devicePeriodStatement(accountId, deviceId)],
    [headsStatement(deviceId, from, to), ...tailStatements(accountId, deviceId)],
  );
  const [row] = period!.rows;
  if (row === undefined) return NOTHING;
  const begin = cutoffAt(ctx.now(), keepingOf(periodRow(row), ctx.config.retentionMonths));
  const end = past ?? Number.POSITIVE_INFINITY;
  const segments = heads!.rows
    .map((head) => headOf(head))
    .filter((head) => dueToOf(head) >= begin && dueFromOf(head) < end);
  const whole = segments.filter((head) => {
    const isInside = head.fromTime >= from && head.toTime < to;
    if (isInside && dueFromOf(head) >= begin && dueToOf(head) < end) return true;
    // One that only the customer can open is kept, and goes, as a whole.
    return head.customerKid !== null && past === undefined;
  });
  const partly = segments.filter((head) => !whole.includes(head));
  const stored = await openTail(ctx, telemetry, waiting, new Set([deviceId]));
  const tail = tailOf(stored, deviceId, begin);
  const fresh = await unsettled(ctx, telemetry, accountId, stored, new Map([[deviceId, tail]]));
  const rows = fresh.get(deviceId) ?? [];
  const cut =
    partly.length === 0
      ? []
      : await segmentsById(
          telemetry.db,
          partly.map(({ id }) => id),
        );
  const isAsCounted = (head: SegmentHead) =>
    cut.some(({ id, lastId, positions }) => id === head.id && lastId === head.lastId && positions === head.positions);
  if (!partly.every(isAsCounted)) throw new MovedError();
  for (const place of await openSegments(ctx, telemetry, accountId, cut, stored)) {
    if (place !== null) for (let at = place.from; at < place.to; at++) rows.push(at);
  }
  const isCounted = (at: number) =>
    dueOf(stored, at) >= begin && dueOf(stored, at) < end && stored.fixTimeAt(at) >= from && stored.fixTimeAt(at) < to;
  const counted = rows.filter(isCounted);
  return joined(whole, stored, counted);
}

function joined(whole: readonly SegmentHead[], stored: StoredPositions, rows: readonly number[]): Extent {
  const times = [
    ...whole.flatMap(({ fromTime, toTime }) => [fromTime, toTime]),
    ...rows.map((row) => stored.fixTimeAt(row)),
  ];
  if (times.length === 0) return NOTHING;
  return {
    positions: whole.reduce((sum, { positions }) => sum + positions, rows.length),
    from: times.reduce((a, b) => Math.min(a, b)),
    to: times.reduce((a, b) => Math.max(a, b)),
  };
}
