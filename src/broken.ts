import type { Base, Config } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { type BrokenThing, countBroken, writeBroken } from "./store/broken.ts";

// What does not open is left out of a read, and must not go unseen: it is logged each time, and counted where an operator
// looks. One that is read often is written once in a while.

const NOTED = new WeakMap<Config, Map<string, number>>();

/** Counts things that did not open, after the answer. */
export function noteBroken(ctx: Base, things: readonly BrokenThing[]): void {
  let noted = NOTED.get(ctx.config);
  if (noted === undefined || noted.size > LIMITS.brokenNoted) {
    noted = new Map();
    NOTED.set(ctx.config, noted);
  }
  const now = ctx.now();
  const fresh = things.filter(({ kind, telemetry, thing }) => {
    const name = `${kind} ${telemetry} ${thing}`;
    if (now < (noted.get(name) ?? Number.NEGATIVE_INFINITY)) return false;
    noted.set(name, now + LIMITS.brokenEveryMs);
    return true;
  });
  if (fresh.length > 0) ctx.defer(writeBroken(ctx.db, fresh, now, now - LIMITS.brokenMs));
}

/** How many things did not open lately. */
export function brokenLately(ctx: Base): Promise<number> {
  return countBroken(ctx.db, ctx.now() - LIMITS.brokenLatelyMs);
}
