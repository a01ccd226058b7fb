import { StoredPositions } from "../codec/segment.ts";
import { isAlarm } from "./alarms.ts";
import type { Base } from "./context.ts";
import { partOf } from "./inbox.ts";
import { LIMITS } from "./limits.ts";
import { dueOf, openSegments, sealSegment } from "./segments.ts";
import { settle, tidy } from "./settle.ts";
import { bytesOf } from "./store/db.ts";
import { isSettled, lastBatch } from "./store/inbox.ts";
import { newestIdOf, newestStatement, readFixes, writeFixes } from "./store/newest.ts";
import {
  type DeviceCutoff,
  deletePastSegments,
  deleteSegmentsOf,
  devicesGone,
  newestOfAccounts,
  replaceNewestStatement,
  segmentIs,
  straddlingSegments,
} from "./store/purge.ts";
import { assertErasing, emptyLog } from "./store/scrub.ts";
import { type SegmentRow, writeSegmentsStatement } from "./store/segments.ts";
import type { Telemetry } from "./telemetry.ts";
import { destroyDevice, openingKeys } from "./vault.ts";

/** Statements that a run may still use. */
export interface Budget {
  left: number;
}

/**
 * Deletes what is past its period of some devices: whole segments first, then out of those that hold more.
 * Safe to stop, repeat and overlap.
 * @returns positions deleted, by account
 */
export async function purgeTracks(
  ctx: Base,
  telemetry: Telemetry,
  devices: readonly DeviceCutoff[],
  statements: Budget,
): Promise<Map<number, number>> {
  const deleted = new Map<number, number>();
  const add = (accountId: number, positions: number) => {
    if (positions > 0) deleted.set(accountId, (deleted.get(accountId) ?? 0) + positions);
  };
  while (statements.left-- > 0) {
    const { segments, positions } = await deletePastSegments(telemetry.db, devices, LIMITS.deleteSegments);
    for (const [accountId, count] of positions) add(accountId, count);
    if (segments === 0) break;
    // Bit by bit: emptied at the end alone, a long log would keep writers waiting.
    await giveWay();
    await emptyLog(telemetry.db);
    await giveWay();
    if (segments < LIMITS.deleteSegments) break;
  }
  // What cannot be opened cannot be cut; it goes whole when all of it is due.
  const broken: number[] = [];
  while (statements.left-- > 0) {
    // A segment that ends soon is deleted whole, in time for its first position too.
    const found = await straddlingSegments(telemetry.db, devices, LIMITS.straddleMs, LIMITS.rewriteSegments, broken);
    if (found.length === 0) break;
    for (const [accountId, ofAccount] of Map.groupBy(found, (segment) => segment.accountId)) {
      const done = await cutSegments(ctx, telemetry, accountId, devices, ofAccount);
      add(accountId, done.cut);
      broken.push(...done.broken);
    }
    if (found.length < LIMITS.rewriteSegments) break;
  }
  await purgeNewest(ctx, telemetry, devices);
  return deleted;
}

/** Lets those go first who wait for the database. */
const giveWay = () => new Promise((resolve) => setTimeout(resolve, 1));

/** Writes segments anew without what is past its period, under the same keys. */
async function cutSegments(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  devices: readonly DeviceCutoff[],
  segments: readonly SegmentRow[],
): Promise<{ cut: number; broken: number[] }> {
  const cutoffs = new Map(devices.map(({ deviceId, cutoff }) => [deviceId, cutoff]));
  const stored = new StoredPositions();
  const places = await openSegments(ctx, telemetry, accountId, segments, stored);
  const keys = await openingKeys(ctx, accountId, segments);
  let cut = 0;
  const broken: number[] = [];
  for (const [i, segment] of segments.entries()) {
    const place = places[i];
    const key = keys[i];
    if (!place || !key) {
      broken.push(segment.id);
      continue;
    }
    const cutoff = cutoffs.get(segment.deviceId)!;
    const kept: number[] = [];
    for (let row = place.from; row < place.to; row++) if (dueOf(stored, row) >= cutoff) kept.push(row);
    const { id, dayKid, deviceKid } = segment;
    const sealing = { dayKid, deviceKid, customerKid: null, key };
    const order = Uint32Array.from(kept);
    const shorter = await sealSegment(ctx, id, accountId, sealing, stored, order, 0, kept.length, isAlarm);
    const { rowsAffected } = await telemetry.db.$client.execute(
      writeSegmentsStatement([shorter], segmentIs(segment), [id, segment.lastId]),
    );
    if (rowsAffected > 0) cut += segment.positions - kept.length;
  }
  return { cut, broken };
}

/** Forgets newest fixes that are past their period. */
async function purgeNewest(ctx: Base, telemetry: Telemetry, devices: readonly DeviceCutoff[]): Promise<void> {
  const cutoffs = new Map(devices.map(({ deviceId, cutoff }) => [deviceId, cutoff]));
  const idOf = ({ accountId, deviceId }: DeviceCutoff) => newestIdOf(accountId, deviceId, LIMITS.newestDevices);
  for (const { id, fixes: before } of await newestOfAccounts(telemetry.db, [...new Set(devices.map(idOf))])) {
    const fixes = readFixes(before);
    const others = fixes.flatMap(({ deviceId }) => (cutoffs.has(deviceId) ? [] : [deviceId]));
    const gone = await devicesGone(ctx.db, others);
    const kept = fixes.filter(({ deviceId, due }) => {
      // A settler that was at work when a device was removed may have written its fix once more.
      return !gone.has(deviceId) && due >= (cutoffs.get(deviceId) ?? Number.NEGATIVE_INFINITY);
    });
    if (kept.length === fixes.length) continue;
    await telemetry.db.$client.execute(replaceNewestStatement(id, before, writeFixes(kept)));
  }
}

/**
 * Erases a device's track: its secret first, so that whatever is left of it anywhere cannot be read, then what waits of
 * it, its segments and its newest fix.
 * @returns false when something is left for the next call
 */
export async function eraseTrack(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  deviceId: number,
  statements: Budget,
): Promise<boolean> {
  await assertErasing(telemetry.db);
  await destroyDevice(ctx, accountId, deviceId);
  // Its positions in the inbox are dropped when that is settled: the device is marked, and its secret is gone. As long as
  // somebody else settles what came before that, they may not know it yet, and write segments of it still.
  const last = await lastBatch(telemetry.db);
  await settle(ctx, telemetry, { all: true, part: partOf(accountId) });
  await tidy(ctx, telemetry);
  if (!(await isSettled(telemetry.db, partOf(accountId), last))) return false;
  let ended = false;
  while (!ended && statements.left-- > 0) {
    ended = (await deleteSegmentsOf(telemetry.db, deviceId, LIMITS.deleteSegments)) < LIMITS.deleteSegments;
  }
  const id = newestIdOf(accountId, deviceId, LIMITS.newestDevices);
  const { rows } = await telemetry.db.$client.execute(newestStatement([id]));
  for (const row of rows) {
    const before = bytesOf(row[1]);
    const fixes = readFixes(before).filter((fix) => fix.deviceId !== deviceId);
    const gone = await devicesGone(
      ctx.db,
      fixes.map((fix) => fix.deviceId),
    );
    const kept = fixes.filter((fix) => !gone.has(fix.deviceId));
    await telemetry.db.$client.execute(replaceNewestStatement(id, before, writeFixes(kept)));
  }
  return ended;
}
