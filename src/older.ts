import type { Base } from "./context.ts";
import { dueOf, openSegments } from "./segments.ts";
import {
  deviceIdsOf,
  oldestOfDevicesStatement,
  oldestStatement,
  partialStatement,
  type Span,
  wholeStatement,
} from "./store/older.ts";
import { segmentRows } from "./store/segments.ts";
import { openTail, steady, tailStatements, tailsOf, unsettled } from "./tail.ts";
import { telemetryFor } from "./telemetry.ts";

export type { Span } from "./store/older.ts";

/** Positions of a device whose retention times lie in a span. */
export interface Older {
  positions: number;
  /** Retention time of the oldest, Unix ms; null without one. */
  oldest: number | null;
}

/**
 * Counts positions of an account's devices whose retention times lie in spans: what would be over with another period.
 * Opens only the segments that lie partly in them.
 * @param spans by device; others are not counted
 * @returns for each device that has some
 */
export function countOlder(ctx: Base, accountId: number, spans: ReadonlyMap<number, Span>): Promise<Counted> {
  return steady(() => readOlder(ctx, accountId, spans));
}

type Counted = Map<number, { positions: number; oldest: number }>;

async function readOlder(ctx: Base, accountId: number, spans: ReadonlyMap<number, Span>): Promise<Counted> {
  const telemetry = await telemetryFor(ctx, accountId);
  const [whole, partial, ...waiting] = await telemetry.db.$client.batch(
    [wholeStatement(spans), partialStatement(spans), ...tailStatements(accountId, null)],
    "read",
  );
  const found = new Map<number, { positions: number; oldest: number }>();
  const add = (deviceId: number, positions: number, oldest: number) => {
    const before = found.get(deviceId) ?? { positions: 0, oldest };
    found.set(deviceId, {
      positions: before.positions + positions,
      oldest: Math.min(before.oldest, oldest),
    });
  };
  for (const row of whole!.rows) add(Number(row[0]), Number(row[1]), Number(row[2]));
  const stored = await openTail(ctx, telemetry, waiting);
  const tails = tailsOf(stored, new Map([...spans].map(([deviceId, { from }]) => [deviceId, from])));
  const rows = [...(await unsettled(ctx, telemetry, accountId, stored, tails)).values()].flat();
  for (const place of await openSegments(ctx, telemetry, accountId, segmentRows(partial!.rows), stored)) {
    if (place !== null) for (let row = place.from; row < place.to; row++) rows.push(row);
  }
  for (const row of rows) {
    const deviceId = stored.deviceIds[row]!;
    const span = spans.get(deviceId);
    const due = dueOf(stored, row);
    if (span !== undefined && due >= span.from && due < span.to) add(deviceId, 1, due);
  }
  return found;
}

/** The retention time of the oldest position of each of an account's devices that has one, be it past its period or not. */
export function oldestOf(ctx: Base, accountId: number): Promise<Map<number, number>> {
  return steady(() => readOldest(ctx, accountId));
}

async function readOldest(ctx: Base, accountId: number): Promise<Map<number, number>> {
  const telemetry = await telemetryFor(ctx, accountId);
  const [settled, ...waiting] = await telemetry.db.$client.batch(
    [
      telemetry.main ? oldestStatement(accountId) : oldestOfDevicesStatement(await deviceIdsOf(ctx.db, accountId)),
      ...tailStatements(accountId, null),
    ],
    "read",
  );
  const oldest = new Map<number, number>();
  const ofAccount = new Set<number>();
  for (const row of settled!.rows) {
    ofAccount.add(Number(row[0]));
    if (row[1] !== null) oldest.set(Number(row[0]), Number(row[1]));
  }
  const stored = await openTail(ctx, telemetry, waiting);
  for (let row = 0; row < stored.count; row++) {
    const deviceId = stored.deviceIds[row]!;
    if (!ofAccount.has(deviceId)) continue;
    oldest.set(deviceId, Math.min(oldest.get(deviceId) ?? Number.POSITIVE_INFINITY, dueOf(stored, row)));
  }
  return oldest;
}
