import { StoredPositions } from "../codec/segment.ts";
import { LIMITS } from "./limits.ts";

// Megabytes for each step of settling: new memory each time would cost more than what is done with it.
const SPARE: StoredPositions[] = [];

/** Lends memory for many positions to `work`, which must not keep it. */
export async function withPositions<T>(work: (stored: StoredPositions) => Promise<T>): Promise<T> {
  const stored = SPARE.pop() ?? new StoredPositions(LIMITS.partPositions);
  stored.reset();
  try {
    return await work(stored);
  } finally {
    if (SPARE.length < LIMITS.spareStored) SPARE.push(stored);
  }
}
