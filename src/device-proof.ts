import { personOf, requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { feedOf } from "./feed.ts";
import { LIMITS } from "./limits.ts";
import { lastBatch } from "./store/inbox.ts";
import * as store from "./store/requests.ts";
import { telemetryFor } from "./telemetry.ts";

// Who has lost every channel may still have the tracker: the staff ask them to press SOS twice within ten minutes. Whether
// two presses came is evidence beside others and is written down as a time; on which tracker and where is never said.

type Row = store.RequestRow;

/** Event of a Meitrack report: SOS, or input 1 active (codec/events.ts). */
const SOS = 1;
const PRESSES = 2;

export interface Proof {
  askedAt: number;
  until: number;
  /** When the second press came; null: it has not. */
  seenAt: number | null;
}

/**
 * Begins to wait for two presses.
 * @returns until when, Unix ms
 * @throws {AppError} step_up_required, forbidden; conflict while they are waited for, and of a request that is not the staff's
 */
export async function askForProof(ctx: Ctx, row: Row): Promise<number> {
  requireProof(ctx);
  if (personOf(ctx).kind !== "staff") throw new AppError("forbidden", "This needs the session of privacy staff");
  const at = ctx.now();
  const { db } = await telemetryFor(ctx, row.accountId);
  const after = ((await lastBatch(db)) + 1) * LIMITS.batchPositions - 1;
  if (!(await store.askProof(ctx.db, row.id, { at, after, since: at - LIMITS.proofMs }))) {
    throw new AppError("conflict", "Presses are waited for already, or this request is not the staff's to decide");
  }
  await record(ctx, "request.proof", { accountId: row.accountId, subject: `request ${row.id}` });
  return at + LIMITS.proofMs;
}

/** What there is of a proof by now; null: nobody has asked for one. */
export async function proofOf(ctx: Base, row: Row): Promise<Proof | null> {
  const { id, proofAskedAt: askedAt, proofSeenAt } = row;
  if (askedAt === null) return null;
  const until = askedAt + LIMITS.proofMs;
  let seenAt = proofSeenAt;
  if (seenAt === null && row.closedAt === null && ctx.now() <= until + LIMITS.proofGraceMs) {
    seenAt = await secondPress(ctx, row, askedAt, until);
    if (seenAt !== null) await store.noteProof(ctx.db, id, askedAt, seenAt);
  }
  return { askedAt, until, seenAt };
}

/** When the second press of one tracker came; null: it has not. */
async function secondPress(
  ctx: Base,
  { accountId, proofAfter }: Row,
  from: number,
  to: number,
): Promise<number | null> {
  const presses = new Map<number, Map<number, number>>();
  for (let after = proofAfter ?? 0; ; ) {
    const { stored, rows, seen } = await feedOf(ctx, { accountId, devices: null }, after, LIMITS.pageMax);
    for (const row of rows) {
      const fixTime = stored.fixTimeAt(row);
      const receivedAt = stored.receivedAt[row]!;
      // What a tracker kept from before and sends now is no answer; its clock may be a little behind.
      const isAnswer = fixTime >= from - LIMITS.registeredSkewMs && receivedAt >= from && receivedAt <= to;
      if (!isAnswer || stored.table.eventAt(row) !== SOS) continue;
      // One press that is reported twice has one time.
      const own = presses.get(stored.deviceIds[row]!) ?? new Map<number, number>();
      presses.set(stored.deviceIds[row]!, own.set(fixTime, Math.min(receivedAt, own.get(fixTime) ?? receivedAt)));
      if (own.size >= PRESSES) return Math.max(...own.values());
    }
    if (seen <= after) return null;
    after = seen;
  }
}

/** Looks for presses that are waited for. @returns proofs that came */
export async function watchProofs(ctx: Base): Promise<number> {
  const since = ctx.now() - LIMITS.proofMs - LIMITS.proofGraceMs;
  let came = 0;
  for (const row of await store.proofsWaited(ctx.db, since, LIMITS.requestsPerRun)) {
    if ((await proofOf(ctx, row))?.seenAt != null) came += 1;
  }
  return came;
}
