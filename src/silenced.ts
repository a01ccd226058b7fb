import type { Base, Config } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { inSteps } from "./retention.ts";
import { keyedHash } from "./seal.ts";
import * as store from "./store/silenced.ts";

// A tracker that was erased knows nothing of it and goes on sending. It is answered, so that it does not send the same
// again and again, and nothing of it is kept: what is known is a hash of its IMEI under a key of the key store, by which
// it is told from trackers that nobody has registered yet.

const markOf = (ctx: Base, imei: string) => keyedHash(ctx, "silenced", imei);

/** A tracker that is erased, and whether it repeats a CCE packet until that is confirmed. */
export type Silenced = string | { imei: string; confirmCce: boolean };

/** From now on nothing is kept of what these trackers send. Call it before their devices go. */
export async function silence(ctx: Base, trackers: readonly Silenced[]): Promise<void> {
  if (trackers.length === 0) return;
  const until = ctx.now() + LIMITS.silencedMs;
  const all = trackers.map((tracker) => (typeof tracker === "string" ? { imei: tracker, confirmCce: false } : tracker));
  const rows: store.SilencedRow[] = [];
  // One after the other, as the first makes the key where there is none.
  for (const { imei, confirmCce } of all) rows.push({ mark: await markOf(ctx, imei), until, confirmCce });
  await store.insertSilenced(
    ctx.db,
    rows,
    all.map(({ imei }) => imei),
  );
}

/** Somebody has registered it: what it sends is kept again. */
export async function unsilence(ctx: Base, imei: string): Promise<void> {
  if (await store.anySilenced(ctx.db)) await store.deleteSilenced(ctx.db, await markOf(ctx, imei));
}

/**
 * Those of unknown IMEIs that are silenced, and whether each wants its CCE packets confirmed.
 * @param any whether there are any at all: where not, nothing is hashed and nothing asked
 */
export async function silencedAmong(ctx: Base, imeis: readonly string[], any: boolean): Promise<Map<string, boolean>> {
  if (!any || imeis.length === 0) return new Map();
  const first = await markOf(ctx, imeis[0]!);
  const marks = [first, ...(await Promise.all(imeis.slice(1).map((imei) => markOf(ctx, imei))))];
  const found = await store.silencedAmong(ctx.db, marks, ctx.now());
  return new Map(imeis.flatMap((imei, i) => (found.has(marks[i]!) ? [[imei, found.get(marks[i]!)!] as const] : [])));
}

const COUNTS = new WeakMap<Config, { frames: number; loggedAt: number }>();

/** Counts frames that were answered and not kept: the log says how many, once in a while. */
export function noteSilenced(ctx: Base, frames: number): void {
  let count = COUNTS.get(ctx.config);
  if (count === undefined) {
    count = { frames: 0, loggedAt: Number.NEGATIVE_INFINITY };
    COUNTS.set(ctx.config, count);
  }
  count.frames += frames;
  if (count.frames === 0 || ctx.now() - count.loggedAt < LIMITS.silencedEveryMs) return;
  ctx.log.info("ingest.silenced", { frames: count.frames });
  count.frames = 0;
  count.loggedAt = ctx.now();
}

/** Forgets marks that are over. @returns how many */
export function purgeSilenced(ctx: Base): Promise<number> {
  return inSteps((limit) => store.deleteSilencedUntil(ctx.db, ctx.now(), limit), { left: LIMITS.deleteStatements });
}
