import { CodecError } from "../codec/errors.ts";
import type { Base } from "./context.ts";
import { forgetHalves } from "./customer-sealed.ts";
import { openSome, sealRuns } from "./inbox.ts";
import { LIMITS } from "./limits.ts";
import { settlePart } from "./settle-part.ts";
import { withPositions } from "./spare.ts";
import {
  changeKey,
  deleteSettled,
  endLease,
  fullParts,
  keysInUse,
  lastBatch,
  partWaits,
  readSettlement,
  takeLease,
  unmerged,
  waitingInInbox,
  writeRuns,
} from "./store/inbox.ts";
import { inEach, mainTelemetry, type Telemetry } from "./telemetry.ts";
import { destroyInboxKeys, inboxKey, newInboxKey } from "./vault.ts";

// Positions come to rest in two steps. Merging sorts many batches into runs, one for each part of the fleet; settling
// moves all that waits in the runs of a part into segments. Each step is one transaction that names what it expects to
// find, so that it may be stopped anywhere, run twice and run beside itself: a position is in a batch, in a run or in a
// segment, and in one only.

interface Due {
  /** Whatever waits, not only what is much or old. */
  all?: boolean;
  /** false: merges only. */
  settle?: boolean;
  /** Settles this part only, whatever waits in it. */
  part?: number;
}

/**
 * Merges and settles what is due, unless another settler is at work. A part that fails keeps no other from being settled.
 * @returns positions that were moved
 * @throws what the first part failed with, at the end
 */
export async function settle(ctx: Base, telemetry: Telemetry = mainTelemetry(ctx), due: Due = {}): Promise<number> {
  const lease = leaseOf(ctx, telemetry);
  if (!(await lease.take())) return 0;
  const begin = ctx.now();
  let moved = 0;
  const failures = new Map<number, unknown>();
  try {
    await keyInForce(ctx, telemetry);
    for (let steps = LIMITS.partsPerRun; steps > 0 && ctx.now() - begin < LIMITS.settleRunMs; ) {
      const merged = await mergeIfDue(ctx, telemetry, due);
      moved += merged;
      // After an outage much waits: parts that are settled after each merge would be settled with little in them.
      if (merged > 0) {
        steps -= 1;
        continue;
      }
      const parts = (await dueParts(ctx, telemetry, due, steps + failures.size)).filter((part) => !failures.has(part));
      let settled = 0;
      const left = parts.values();
      const settleSome = async () => {
        for (const part of left) {
          if (ctx.now() - begin >= LIMITS.settleRunMs) break;
          try {
            const positions = await settlePart(ctx, telemetry, part);
            settled += positions;
          } catch (error) {
            ctx.log.error("settle.failed", { database: telemetry.name, part }, error);
            failures.set(part, error);
          }
        }
      };
      // While one waits for the database or for its seals, another is encoded.
      await Promise.all(Array.from({ length: LIMITS.partsAtOnce }, settleSome));
      steps -= parts.length + 1;
      moved += settled;
      if (parts.length === 0 || (due.part !== undefined && settled === 0)) break;
    }
  } finally {
    await lease.end();
  }
  for (const error of failures.values()) throw error;
  return moved;
}

async function dueParts(ctx: Base, { db }: Telemetry, due: Due, most: number): Promise<number[]> {
  if (due.settle === false) return [];
  if (due.part !== undefined) return [due.part];
  const { partPositions, partBytes, settleAfterMs } = LIMITS;
  const full = { positions: due.all ? 1 : partPositions, bytes: partBytes, before: ctx.now() - settleAfterMs };
  return fullParts(db, full, most);
}

/** The right to write segments. `take()` also makes it last longer, and gives false while somebody else has it. */
export function leaseOf(ctx: Base, { db }: Telemetry): { take(): Promise<boolean>; end(): Promise<void> } {
  const [high = 0, low = 0] = new Uint32Array(ctx.random(8).buffer, 0, 2);
  const holder = (high >>> 11) * 2 ** 32 + low + 1;
  return {
    take: () => takeLease(db, holder, ctx.now(), ctx.now() + LIMITS.settleLeaseMs),
    end: () => endLease(db, holder),
  };
}

/** The job: settles what is due, and deletes what was settled together with the keys that it was sealed under. */
export function settleAndTidy(ctx: Base): Promise<number> {
  forgetHalves(ctx);
  return inEach(ctx, async (telemetry) => {
    try {
      return await settle(ctx, telemetry);
    } finally {
      // What could not be settled keeps its key, and nothing else.
      await tidy(ctx, telemetry);
    }
  });
}

/** Deletes what is merged or settled, and destroys the keys of the inbox that nothing is sealed under any more. */
export async function tidy(ctx: Base, telemetry: Telemetry): Promise<void> {
  await deleteSettled(telemetry.db);
  const keep = await keysInUse(telemetry.db);
  await destroyInboxKeys(ctx, telemetry.name, keep);
}

/**
 * The key that batches are sealed under, made anew when it is old. Whoever appends under an older one is refused and asks
 * again, so that a key is never destroyed while something comes that needs it.
 */
export async function keyInForce(ctx: Base, telemetry: Telemetry): Promise<{ kid: number; key: CryptoKey }> {
  for (let tries = 0; tries < LIMITS.registryRetries; tries++) {
    const { kid, kidSince } = await readSettlement(telemetry.db);
    const young = kid !== 0 && ctx.now() - kidSince < LIMITS.inboxKeyMs;
    const key = young ? await inboxKey(ctx, telemetry.name, kid) : null;
    if (key !== null) return { kid, key };
    await changeKey(telemetry.db, kid, await newInboxKey(ctx, telemetry.name), ctx.now());
  }
  throw new Error("Cannot seal the inbox: its key changes too fast");
}

/**
 * Settles what waits of a part at this moment, whatever it is, beside whichever settler is at work.
 * @returns false when something of it is left
 */
export async function drainPart(ctx: Base, telemetry: Telemetry, part: number): Promise<boolean> {
  const last = await lastBatch(telemetry.db);
  for (let tries = 0; tries < LIMITS.drainTries; tries++) {
    const waits = await partWaits(telemetry.db, part, last);
    if (waits === "nowhere") return true;
    if (waits === "inbox") await merge(ctx, telemetry);
    else await settlePart(ctx, telemetry, part);
  }
  return false;
}

async function mergeIfDue(ctx: Base, telemetry: Telemetry, { all = false }: Due): Promise<number> {
  const { batches, positions, bytes, oldest } = await waitingInInbox(telemetry.db);
  if (batches === 0 || oldest === null) return 0;
  const isDue =
    all ||
    batches >= LIMITS.mergeBatches ||
    positions >= LIMITS.mergePositions ||
    bytes >= LIMITS.mergeBytes ||
    ctx.now() - oldest >= LIMITS.mergeAfterMs;
  return isDue ? merge(ctx, telemetry) : 0;
}

/** Merges the oldest batches into runs. @returns positions; 0 when another settler was faster */
async function merge(ctx: Base, telemetry: Telemetry): Promise<number> {
  const limits = { batches: LIMITS.mergeBatches, positions: LIMITS.mergePositions, bytes: LIMITS.mergeBytes };
  const { merged, rows, last } = await unmerged(telemetry.db, limits);
  if (last === merged) return 0;
  return withPositions(async (stored) => {
    for (let most = rows.length; ; most = Math.floor(most / 2)) {
      stored.reset();
      most = await openSome(ctx, telemetry, rows.slice(0, most), stored, BATCHES_AT_ONCE);
      if (most === 0 && rows.length > 0) return 0;
      const { kid, key } = await keyInForce(ctx, telemetry);
      const upTo = most === rows.length ? last : rows[most - 1].batch!;
      const sealed = await sealedRuns(ctx, telemetry, stored, upTo, kid, key);
      // What one request brings always fits: an envelope is smaller than a run may be.
      if (sealed === null && most > 1) continue;
      if (sealed === null) throw new Error("Cannot merge: one batch is larger than a run");
      const { nonce, bytes, runs } = sealed;
      return (await writeRuns(telemetry.db, merged, upTo, { kid, nonce, bytes }, runs)) ? stored.count : 0;
    }
  });
}

/** Batches that are opened at a time: each is a request's at most, which bounds the memory. */
const BATCHES_AT_ONCE = 8;

/** @returns null when they are too large for one run of their part */
async function sealedRuns(...args: Parameters<typeof sealRuns>) {
  try {
    return await sealRuns(...args);
  } catch (error) {
    if (error instanceof CodecError && error.code === "length") return null;
    throw error;
  }
}
