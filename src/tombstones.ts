import { limitsOf } from "./access.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { inSteps } from "./retention.ts";
import { deleteTombstonesBefore, insertTombstone, type TombstoneRow, tombstonesAfter } from "./store/tombstones.ts";

// What was erased here must go from other copies, too. A tombstone says of a device that it is gone, or which stretch of
// its track is; whoever keeps copies asks from time to time what there is since. And what a tracker or a bridge sends
// late of such a stretch is not taken: the same rows decide (src/ingest-batch.ts, src/settle-part.ts).

const DAY_MS = 86_400_000;

/**
 * Writes down what other copies must drop, and what is not taken again.
 * @param from first fix, Unix ms; null: everything up to `to`
 * @param to end of the fixes, not included; null: everything since `from`. Both null: the device is gone
 * @param before only what was received or has a fix before it; null: everything
 */
export function bury(
  ctx: Base,
  accountId: number,
  deviceId: number,
  from: number | null,
  to: number | null,
  before: number | null = null,
): Promise<void> {
  return insertTombstone(ctx.db, accountId, { deviceId, from, to, before, at: ctx.now() });
}

/** What to drop, and where to go on from. */
export interface Sync {
  rows: TombstoneRow[];
  cursor: string;
  more: boolean;
}

/** A cursor: the last tombstone that its holder knows, and how old that knowledge is. */
const CURSOR = /^(\d{1,15})\.(\d{1,15})$/;

/**
 * What the caller must drop since a cursor of before; without one there is nothing to drop, and a cursor to begin with.
 * @throws {AppError} invalid; gone when the cursor is older than tombstones are kept
 */
export async function syncSince(ctx: Ctx, since: string | null, limit: number): Promise<Sync> {
  const now = ctx.now();
  const [, last, at] = since === null ? [] : (CURSOR.exec(since) ?? []);
  if (since !== null && at === undefined) {
    throw new AppError("invalid", "since must be the cursor of an answer before", { field: "since" });
  }
  if (at !== undefined && Number(at) < now - LIMITS.tombstonesMs) {
    throw new AppError("gone", "This cursor is too old: drop your copies and read everything anew", { field: "since" });
  }
  // Who has copies must drop them, also while the device is suspended.
  const found = await tombstonesAfter(ctx.db, limitsOf(ctx), Number(last ?? 0), since === null ? 0 : limit + 1);
  const more = found.rows.length > limit;
  const rows = found.rows.slice(0, limit);
  // What was not read yet may be as old as what was read last.
  const [id, time] = more ? [rows.at(-1)!.id, rows.at(-1)!.at] : [Math.max(found.last, Number(last ?? 0)), now];
  return { rows, cursor: `${id}.${time}`, more };
}

/** Forgets tombstones that every cursor which is taken knows. @returns rows */
export function purgeTombstones(ctx: Base): Promise<number> {
  // Clocks differ.
  const before = ctx.now() - LIMITS.tombstonesMs - DAY_MS;
  return inSteps((limit) => deleteTombstonesBefore(ctx.db, before, limit), { left: LIMITS.deleteStatements });
}
