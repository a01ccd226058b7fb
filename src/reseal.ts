import { isAlarm } from "./alarms.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { keepingFor, type Periods } from "./periods.ts";
import type { Budget } from "./purge.ts";
import { openFixes, openSegments, sealFix, sealSegment } from "./segments.ts";
import { withPositions } from "./spare.ts";
import { bytesOf } from "./store/db.ts";
import { newestIdOf, newestStatement, readFixes, writeFixes } from "./store/newest.ts";
import { clearRescopedStatement, type RescopedDevice, replaceNewestStatement, segmentIs } from "./store/purge.ts";
import { headOf, headsStatement, type SegmentHead, segmentsById, writeSegmentsStatement } from "./store/segments.ts";
import type { Telemetry } from "./telemetry.ts";
import { type SealingKey, sealingKeys } from "./vault.ts";

// The secret of a day belongs to whoever's period decides: account, group or device. When another one begins to decide
// about a device, what is sealed of it under secrets of the old one would go with these, earlier or later than it should.
// So it is sealed anew, and until that is done no secret goes that such a device still needs.

const DAY_MS = 86_400_000;

const dayOf = ({ dueFrom, fromTime }: Pick<SegmentHead, "dueFrom" | "fromTime">) =>
  Math.floor((dueFrom ?? fromTime) / DAY_MS);

/**
 * Seals anew what lies of some devices of an account under secrets of a period that no longer decides about them. Safe to
 * stop, repeat and overlap.
 * @param statements how many may be used; what is used is taken off
 * @returns the devices of which something is left; what is sealed to a key of the customer stays as it is until its end
 */
export async function reseal(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  devices: readonly RescopedDevice[],
  periods: Periods,
  statements: Budget,
): Promise<number[]> {
  const left: number[] = [];
  for (const { deviceId, rescopedAt } of devices) {
    const { scope } = keepingFor(periods, deviceId);
    const isDone = (await resealDevice(ctx, telemetry, accountId, deviceId, scope, statements)) === 0;
    // What is being settled at this moment may have begun before.
    const isOver = ctx.now() - rescopedAt >= LIMITS.resealAfterMs;
    if (isDone && isOver) await ctx.db.$client.execute(clearRescopedStatement(deviceId, rescopedAt));
    else left.push(deviceId);
  }
  return left;
}

/** @returns how many segments are left under old secrets */
async function resealDevice(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  deviceId: number,
  scope: string,
  statements: Budget,
): Promise<number> {
  const fixesId = newestIdOf(accountId, deviceId, LIMITS.newestDevices);
  const [found, newest] = await telemetry.db.$client.batch(
    [headsStatement(deviceId, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), newestStatement([fixesId])],
    "read",
  );
  const heads = found!.rows.map((row) => headOf(row));
  const before = newest!.rows[0] === undefined ? null : bytesOf(newest!.rows[0][1]);
  const fixes = before === null ? [] : readFixes(before);
  const fix = fixes.find((each) => each.deviceId === deviceId) ?? null;
  const days = [...new Set([...heads.map(dayOf), ...(fix === null ? [] : [Math.floor(fix.due / DAY_MS)])])];
  if (days.length === 0) return 0;
  const made = await sealingKeys(
    ctx,
    accountId,
    days.map((day) => ({ deviceId, scope, day })),
  );
  const keys = new Map(days.map((day, i) => [day, made[i] ?? null]));
  const stale = heads.filter((head) => {
    const key = keys.get(dayOf(head));
    return key !== null && key !== undefined && key.dayKid !== head.dayKid;
  });
  const ours = stale.filter(({ customerKid }) => customerKid === null);
  let done = 0;
  for (let at = 0; at < ours.length && statements.left > 0; at += LIMITS.resealSegments) {
    statements.left -= 2;
    done += await resealSome(ctx, telemetry, accountId, ours.slice(at, at + LIMITS.resealSegments), keys);
  }
  const fixKey = fix === null ? null : (keys.get(Math.floor(fix.due / DAY_MS)) ?? null);
  if (fix !== null && before !== null && fixKey !== null && fixKey.dayKid !== fix.dayKid && fix.customerKid === null) {
    await withPositions(async (stored) => {
      const [row] = await openFixes(ctx, telemetry, accountId, [fix], stored, "settler");
      if (row === null || row === undefined) return;
      const again = await sealFix(ctx, accountId, { ...fixKey, customerKid: null }, stored, row);
      const after = writeFixes(fixes.map((each) => (each === fix ? again : each)));
      await telemetry.db.$client.execute(replaceNewestStatement(fixesId, before, after));
    });
  }
  return stale.length - done;
}

/** @returns how many need no more: sealed anew, or not to be opened by anybody */
function resealSome(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  heads: readonly SegmentHead[],
  keys: ReadonlyMap<number, SealingKey | null>,
): Promise<number> {
  return withPositions(async (stored) => {
    const segments = await segmentsById(
      telemetry.db,
      heads.map(({ id }) => id),
    );
    const places = await openSegments(ctx, telemetry, accountId, segments, stored, "settler");
    const again = await Promise.all(
      segments.map((segment, i) => {
        const place = places[i];
        const key = keys.get(dayOf(segment));
        if (!place || !key) return null;
        const order = Uint32Array.from({ length: place.to - place.from }, (_, row) => place.from + row);
        return sealSegment(
          ctx,
          segment.id,
          accountId,
          { ...key, customerKid: null },
          stored,
          order,
          0,
          order.length,
          isAlarm,
        );
      }),
    );
    const writes = again.flatMap((segment, i) =>
      segment === null ? [] : writeSegmentsStatement([segment], segmentIs(segments[i]), [segment.id, segment.lastId]),
    );
    if (writes.length > 0) await telemetry.db.$client.batch(writes, "write");
    return heads.length;
  });
}
