import type { Base } from "./context.ts";
import { partOf } from "./inbox.ts";
import { LIMITS } from "./limits.ts";
import { drainPart, tidy } from "./settle.ts";
import type { Statement } from "./store/db.ts";
import { lastBatch, settledUpTo } from "./store/inbox.ts";
import { readFixes, writeNewestStatement } from "./store/newest.ts";
import {
  changePlacement,
  devicesToMove,
  hasPlainRows,
  openPlacements,
  type PlacementRow,
  placementById,
  switchPlacement,
} from "./store/placements.ts";
import * as side from "./store/residents.ts";
import { assertErasing, emptyLog } from "./store/scrub.ts";
import { type SegmentHead, segmentsById, writeSegmentsStatement } from "./store/segments.ts";
import { readWrapped, writeWrappedStatement } from "./store/wrapped.ts";
import { type Telemetry, telemetryNamed } from "./telemetry.ts";

// A move of an account's tracks to another database. They stay sealed: what they are bound to does not name a database.
//
//   copying   segments, newest fixes and wrapped keys are copied; everything goes on at the source, and is read there
//   holding   nothing is taken for the account (its bridge keeps it and comes again) while what waits at the source is
//             settled and the last of it is copied. Then, in one transaction, the account is in the other database
//   erasing   what is left at the source is erased there, a while later: reads that began before find everything
//
// Each step may be stopped anywhere, run twice and run beside itself. What cannot be ended while it holds is taken back,
// so that trackers never wait long for a database that is not there.

interface Move {
  placement: PlacementRow;
  accountId: number;
  from: Telemetry;
  to: Telemetry;
  /** When this step must have ended, Unix ms. */
  until: number;
}

/** The job. @returns segments and rows that were copied or erased */
export async function moveTracks(ctx: Base): Promise<number> {
  let changed = 0;
  const failures: unknown[] = [];
  for (const placement of await openPlacements(ctx.db, LIMITS.movesPerRun)) {
    try {
      changed += await goOn(ctx, placement);
    } catch (error) {
      ctx.log.error("move.failed", { account: placement.accountId, placement: placement.id }, error);
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return changed;
}

/** Takes a move as far as it gets now. @returns segments and rows that were copied or erased */
export async function goOn(ctx: Base, placement: PlacementRow): Promise<number> {
  const { id, accountId, fromDatabase, toDatabase, state } = placement;
  const move: Move = {
    placement,
    accountId,
    from: telemetryNamed(ctx, fromDatabase),
    to: telemetryNamed(ctx, toDatabase),
    until: ctx.now() + LIMITS.moveRunMs,
  };
  let changed = 0;
  if (state === "copying") {
    changed += await copyAll(ctx, move);
    // Another mover may have gone on meanwhile; that is looked at in the next step.
    await changePlacement(ctx.db, id, "copying", { state: "holding" });
  }
  if (state === "copying" || state === "holding") {
    try {
      changed += await cutOver(ctx, { ...move, until: ctx.now() + LIMITS.moveHoldMs });
    } catch (error) {
      if (await changePlacement(ctx.db, id, "holding", { state: "copying" })) {
        await side.reopen(move.from, accountId, id);
      }
      throw error;
    }
  }
  if (state === "erasing") changed += await eraseSource(ctx, move);
  return changed;
}

/** Everything that is settled, once; then what has changed since. @throws when it does not end in time: the next run goes on */
async function copyAll(ctx: Base, move: Move): Promise<number> {
  const { placement, accountId, from, to } = move;
  if (from.main && (await hasPlainRows(ctx.db, accountId))) {
    throw new Error("Cannot move tracks: some are not in segments yet");
  }
  await side.welcome(to, accountId, placement.id);
  const devices = await devicesToMove(ctx.db, accountId);
  if (devices.length === 0) return 0;
  await drainPart(ctx, from, partOf(accountId));
  let copied = 0;
  if (placement.copiedId === null) {
    await noteCopied(ctx, move, await settledId(move));
  }
  // Devices are copied by their ids: the last one that is there may not be there whole.
  const begun = await side.lastDevice(to, accountId);
  const left = devices.filter((deviceId) => deviceId >= begun);
  for (let at = 0; at < left.length; at += LIMITS.moveDevices) {
    const some = left.slice(at, at + LIMITS.moveDevices);
    const days = [...(await side.daysOfDevices(from, some)), ...(await side.daysOfDevices(to, some))];
    copied += await copyDays(ctx, move, [...new Set(days)].sort());
  }
  return copied + (await copyChanged(ctx, move)) + (await copyNewest(ctx, move));
}

/** Copies the days in which something came since everything was copied, whole: what came has cut their segments anew. */
async function copyChanged(ctx: Base, move: Move): Promise<number> {
  const { accountId, from } = move;
  const upTo = await settledId(move);
  const { copiedId } = (await placementById(ctx.db, move.placement.id)) ?? move.placement;
  const copied = await copyDays(ctx, move, await side.daysSince(from, accountId, copiedId ?? 0));
  await noteCopied(ctx, move, upTo);
  return copied;
}

/** The id up to which everything of the account is in segments at the source. */
async function settledId({ accountId, from }: Move): Promise<number> {
  return ((await settledUpTo(from.db, partOf(accountId))) + 1) * LIMITS.batchPositions - 1;
}

async function noteCopied(ctx: Base, { placement: { id } }: Move, copiedId: number): Promise<void> {
  for (const state of ["copying", "holding"] as const) await changePlacement(ctx.db, id, state, { copiedId });
}

const numbersOf = (head: SegmentHead) => JSON.stringify(Object.values({ ...head, sealed: 0 }));

/** Makes the segments of some days the same in both databases. */
async function copyDays(ctx: Base, move: Move, days: readonly number[]): Promise<number> {
  const { accountId, from, to } = move;
  let copied = 0;
  for (let at = 0; at < days.length; at += LIMITS.moveDays) {
    const some = days.slice(at, at + LIMITS.moveDays);
    const source = await side.headsOfDays(from, accountId, some);
    const there = new Map((await side.headsOfDays(to, accountId, some)).map((head) => [head.id, numbersOf(head)]));
    const differing = source.filter((head) => there.get(head.id) !== numbersOf(head)).map(({ id }) => id);
    const kept = new Set(source.map(({ id }) => id));
    const gone = [...there.keys()].filter((id) => !kept.has(id));
    for (let next = 0; next < differing.length; next += LIMITS.moveSegments) {
      copied += await copySegments(ctx, move, differing.slice(next, next + LIMITS.moveSegments));
    }
    const condition = side.mayCopy(to);
    if (gone.length > 0) await write(ctx, move, [side.deleteCopiesStatement(gone, condition, argsOf(move))]);
  }
  return copied;
}

async function copySegments(ctx: Base, move: Move, ids: readonly number[]): Promise<number> {
  const { accountId, from, to } = move;
  const segments = await segmentsById(from.db, ids);
  if (segments.length === 0) return 0;
  const span = segments.reduce((most, { firstId, lastId }) => Math.max(most, lastId - firstId), 0);
  await write(ctx, move, [
    ...(await wrappedFor(
      move,
      segments.map(({ customerKid }) => customerKid),
    )),
    writeSegmentsStatement(segments, side.mayCopy(to), [accountId, move.placement.id]),
    side.spanStatement(span),
  ]);
  return segments.length;
}

/** What was wrapped to the customer's own keys of what is copied. */
async function wrappedFor(move: Move, kids: readonly (number | null)[]): Promise<Statement[]> {
  const named = [...new Set(kids)].filter((kid) => kid !== null);
  if (named.length === 0) return [];
  const rows = await readWrapped(move.from.db, move.accountId, named);
  return rows.length === 0 ? [] : [writeWrappedStatement(rows, side.mayCopy(move.to), argsOf(move))];
}

/** Makes the rows of newest fixes the same in both databases. */
async function copyNewest(ctx: Base, move: Move): Promise<number> {
  const { accountId, from, to } = move;
  const condition = side.mayCopy(to);
  const ids: number[] = [];
  for (let after = -1; ; ) {
    const rows = await side.newestRowsOf(from, accountId, after, LIMITS.moveNewest);
    if (rows.length > 0) {
      const kids = rows.flatMap(({ fixes }) => readFixes(fixes).map(({ customerKid }) => customerKid));
      const wrapped = await wrappedFor(move, kids);
      await write(ctx, move, [...wrapped, writeNewestStatement(rows, condition, argsOf(move))]);
      ids.push(...rows.map(({ id }) => id));
      after = ids.at(-1)!;
    }
    if (rows.length < LIMITS.moveNewest) break;
  }
  await write(ctx, move, [side.deleteOtherNewestStatement(accountId, ids, condition, argsOf(move))]);
  return ids.length;
}

const argsOf = ({ accountId, placement: { id } }: Move): [number, number] => [accountId, id];

/** Writes to the database that the tracks go to. @throws when the move is past its copying, and nothing was written */
async function write(ctx: Base, move: Move, statements: Statement[]): Promise<void> {
  if (ctx.now() > move.until) throw new Error("Cannot end this step of a move in time: the next run goes on");
  const stillCopying = { sql: `SELECT ${side.mayCopy(move.to)}`, args: argsOf(move) };
  const results = await move.to.db.$client.batch([...statements, stillCopying], "write");
  if (results.at(-1)!.rows[0]![0] !== 1) throw new Error("Cannot copy tracks: another mover has gone on");
}

/** While nothing is taken for the account: copies the rest, and lets it begin in the other database. */
async function cutOver(ctx: Base, move: Move): Promise<number> {
  const { placement, accountId, from, to } = move;
  await side.close(from, accountId, placement.id);
  let copied = 0;
  if ((await devicesToMove(ctx.db, accountId)).length > 0) {
    if (!(await drainPart(ctx, from, partOf(accountId)))) throw new Error("Cannot settle what waits at the source");
    copied = (await copyChanged(ctx, move)) + (await copyNewest(ctx, move));
  }
  // Ids go on, so that whoever follows the feed misses nothing: a cursor that was given at the source is below them.
  await side.raiseBatches(to, (await lastBatch(from.db)) + LIMITS.moveBatches);
  if (await switchPlacement(ctx.db, placement, ctx.now())) {
    ctx.log.info("move.switched", { account: accountId, placement: placement.id, database: to.name });
    await side.settleIn(to, accountId, placement.id);
  }
  return copied;
}

/** Erases at the source what was moved, and forgets that the account was there. @returns rows */
async function eraseSource(ctx: Base, move: Move): Promise<number> {
  const { placement, accountId, from, to } = move;
  // If that was not reached, or was undone by a mover that came late.
  await side.settleIn(to, accountId, placement.id);
  await side.close(from, accountId, placement.id);
  if (ctx.now() < (placement.switchedAt ?? 0) + LIMITS.moveGraceMs) return 0;
  await assertErasing(from.db);
  let erased = 0;
  for (;;) {
    const rows = await side.eraseLeft(from, accountId, placement.id, LIMITS.moveSegments);
    erased += rows;
    if (rows === 0) break;
    if (ctx.now() > move.until) return erased;
  }
  // What waited there was settled; its batches and their keys go too.
  await tidy(ctx, from);
  if ((await emptyLog(from.db)) === "busy") throw new Error("Cannot scrub: the log of the database is being read");
  await side.forget(from, accountId, placement.id);
  await changePlacement(ctx.db, placement.id, "erasing", { state: "done", finishedAt: ctx.now() });
  ctx.log.info("move.done", { account: accountId, placement: placement.id, database: to.name, erased });
  return erased;
}
