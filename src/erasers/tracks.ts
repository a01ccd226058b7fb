import type { Base } from "../context.ts";
import { partOf } from "../inbox.ts";
import { LIMITS } from "../limits.ts";
import { eraseTrack } from "../purge.ts";
import { settle, tidy } from "../settle.ts";
import { deleteOfTracks, deleteOldRows, deleteTracks, tracksLeft } from "../store/erasure.ts";
import { isSettled, lastBatch } from "../store/inbox.ts";
import { assertErasing, emptyLog } from "../store/scrub.ts";
import type { ErasureJob, Gone, StoreEraser } from "../store-eraser.ts";
import { allTelemetry, type Telemetry } from "../telemetry.ts";

const devicesIn = ({ scope }: ErasureJob) => (scope.kind === "devices" ? scope.devices : null);

/** The databases with tracks. What waits to be settled is dropped by settling: its devices are marked, its keys are gone. */
export const TRACKS: StoreEraser = {
  name: "tracks",
  applies: ({ kind }) => kind === "account" || kind === "devices",

  async purge(ctx, job, budget) {
    const gone: Gone = { rows: 0, bytes: 0, done: true };
    const devices = devicesIn(job);
    for (const telemetry of allTelemetry(ctx)) {
      if (devices === null) {
        const { rows, bytes, done } = await eraseAll(ctx, telemetry, job.accountId, budget);
        gone.rows += rows;
        gone.bytes += bytes;
        gone.done &&= done;
        continue;
      }
      const before = await tracksLeft(telemetry.db, job.accountId, devices);
      for (const id of devices) gone.done = (await eraseTrack(ctx, telemetry, job.accountId, id, budget)) && gone.done;
      const after = await tracksLeft(telemetry.db, job.accountId, devices);
      gone.rows += before.segments - after.segments;
      gone.bytes += before.bytes - after.bytes;
    }
    return gone;
  },

  async scrub(ctx) {
    // What a hosted engine does not let itself be asked, the destroyed keys have made unreadable.
    const logs = await Promise.all(allTelemetry(ctx).map(({ db }) => emptyLog(db)));
    return { rows: 0, bytes: 0, done: !logs.includes("busy") };
  },

  async verify(ctx, job) {
    let found = 0;
    let waiting = 0;
    for (const telemetry of allTelemetry(ctx)) {
      const left = await tracksLeft(telemetry.db, job.accountId, devicesIn(job));
      found += left.segments + left.beside;
      if (!(await isSettled(telemetry.db, partOf(job.accountId), await lastBatch(telemetry.db)))) waiting += 1;
    }
    return {
      found,
      evidence: { databases: allTelemetry(ctx).length, segments: found, inboxesThatOthersFill: waiting },
    };
  },
};

async function eraseAll(ctx: Base, telemetry: Telemetry, accountId: number, budget: { left: number }): Promise<Gone> {
  const { db } = telemetry;
  await assertErasing(db);
  const part = partOf(accountId);
  const last = await lastBatch(db);
  await settle(ctx, telemetry, { all: true, part });
  await tidy(ctx, telemetry);
  // As long as somebody else settles what came before, they may write segments of it still.
  if (!(await isSettled(db, part, last))) return { rows: 0, bytes: 0, done: false };
  const gone: Gone = { rows: 0, bytes: 0, done: false };
  while (!gone.done && budget.left-- > 0) {
    const { rows, bytes } = await deleteTracks(db, accountId, LIMITS.deleteSegments);
    gone.rows += rows;
    gone.bytes += bytes;
    gone.done = rows < LIMITS.deleteSegments;
  }
  while (gone.done && telemetry.main && budget.left-- > 0) {
    const rows = await deleteOldRows(db, accountId, LIMITS.deleteRows);
    gone.rows += rows;
    if (rows < LIMITS.deleteRows) break;
  }
  if (gone.done) gone.rows += await deleteOfTracks(db, accountId);
  return { ...gone, done: gone.done && budget.left > 0 };
}
