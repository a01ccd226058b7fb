import type { Base, Config } from "./context.ts";
import { LIMITS } from "./limits.ts";
import type { UnclaimedRow } from "./store/unclaimed.ts";
import * as store from "./store/unclaimed.ts";

export type { UnclaimedRow } from "./store/unclaimed.ts";

interface Seen extends UnclaimedRow {
  writtenAt: number;
}

// What this isolate has seen and not yet written. It is bounded like the table: whoever sends invented IMEIs fills it
// for a minute and costs one write a second.
interface Pending {
  seen: Map<string, Seen>;
  nextWriteAt: number;
}

const PENDING = new WeakMap<Config, Pending>();

function pendingOf(ctx: Base): Pending {
  let pending = PENDING.get(ctx.config);
  if (pending === undefined) {
    pending = { seen: new Map(), nextWriteAt: 0 };
    PENDING.set(ctx.config, pending);
  }
  return pending;
}

/** Counts a frame of an IMEI that belongs to no device. Costs no statement: `flushUnclaimed()` writes. */
export function noteUnclaimed(ctx: Base, imei: string): void {
  const { seen } = pendingOf(ctx);
  const now = ctx.now();
  const known = seen.get(imei);
  if (known !== undefined) {
    if (now - known.lastSeen >= LIMITS.unclaimedMs) known.firstSeen = now;
    known.frames += 1;
    known.lastSeen = now;
    return;
  }
  if (seen.size >= LIMITS.unclaimed) {
    for (const [key, old] of seen) {
      if (old.frames === 0 && now - old.writtenAt >= LIMITS.unclaimedEveryMs) seen.delete(key);
    }
    if (seen.size >= LIMITS.unclaimed) return;
  }
  seen.set(imei, { imei, firstSeen: now, lastSeen: now, frames: 1, writtenAt: Number.NEGATIVE_INFINITY });
}

/** Writes what was counted, after the response: each IMEI at most once a minute, all in one statement a second. */
export function flushUnclaimed(ctx: Base): void {
  const pending = pendingOf(ctx);
  const now = ctx.now();
  if (pending.seen.size === 0 || now < pending.nextWriteAt) return;
  const due: UnclaimedRow[] = [];
  for (const entry of pending.seen.values()) {
    if (entry.frames === 0 || now - entry.writtenAt < LIMITS.unclaimedEveryMs) continue;
    const { writtenAt: _, ...row } = entry;
    due.push(row);
    entry.frames = 0;
    entry.writtenAt = now;
  }
  if (due.length === 0) return;
  pending.nextWriteAt = now + LIMITS.unclaimedWriteMs;
  ctx.defer(store.recordUnclaimed(ctx.db, due, LIMITS.unclaimed));
}

/** IMEIs that sent lately and belong to no device, the newest first. For the operator. */
export function listUnclaimed(ctx: Base, limit: number = LIMITS.unclaimed): Promise<UnclaimedRow[]> {
  return store.listUnclaimed(ctx.db, ctx.now() - LIMITS.unclaimedMs, limit);
}

/** @returns entries deleted */
export function purgeUnclaimed(ctx: Base): Promise<number> {
  return store.purgeUnclaimed(ctx.db, ctx.now() - LIMITS.unclaimedMs);
}
