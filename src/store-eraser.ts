import type { Base } from "./context.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import type { Budget } from "./purge.ts";

/** A request that is being carried out, as the stores see it. */
export interface ErasureJob {
  /** Row of `requests`. */
  id: number;
  /** Its public name. */
  name: string;
  accountId: number;
  /** Who asked; null when that is nobody of the account. */
  userId: number | null;
  scope: ErasureScope;
  /** Unix ms; nothing that came later is its. */
  frozenAt: number;
}

export interface Gone {
  rows: number;
  bytes: number;
  /** false: there is more, or it must be asked for again later. */
  done: boolean;
  /** Ids of keys that were destroyed. */
  kids?: readonly number[];
}

export interface Verified {
  /** What is still there, in rows or keys. 0: clean. */
  found: number;
  /** What was looked at, for the receipt: numbers and fixed words only. */
  evidence: Readonly<Record<string, number | string>>;
}

/**
 * A place that holds something about people. Each step may be stopped anywhere and run again; "already gone" is success.
 * The order is the engine's: every store's `shred`, then every store's `purge`, then `scrub`, then `verify`.
 */
export interface StoreEraser {
  name: string;
  applies(scope: ErasureScope): boolean;
  /** Destroys keys, so that whatever fails later is harmless. */
  shred?(ctx: Base, job: ErasureJob): Promise<Gone>;
  /** Deletes in bounded steps. */
  purge(ctx: Base, job: ErasureJob, budget: Budget): Promise<Gone>;
  /** Makes sure that no byte of it stays beside the rows. */
  scrub?(ctx: Base, job: ErasureJob): Promise<Gone>;
  /** Counts what is left, from the store itself and from nothing that the steps remember. */
  verify(ctx: Base, job: ErasureJob): Promise<Verified>;
}
