import { LIMITS } from "../limits.ts";

/** The rows of LIMITS.rate: who is counted together, and how much they may ask for. */
export type RateRow = keyof typeof LIMITS.rate;

export interface Charge {
  /** What is left, for the caller to see (draft-ietf-httpapi-ratelimit-headers-10). */
  headers: Record<string, string>;
  /** Set when nothing is left: seconds until the window ends. */
  retryAfterS: number | null;
}

interface Window {
  /** Unix ms */
  endsAt: number;
  used: number;
}

/**
 * Fixed windows in the memory of this isolate or process: a guard against one caller who takes everything, not a meter.
 * Several isolates each allow the full quota.
 */
const windows = new Map<string, Window>();

/**
 * Counts one request.
 * @param who the caller within the row: a part of the token's hash, or an address
 * @param now Unix ms
 */
export function charge(row: RateRow, who: string, now: number): Charge {
  const { requests, windowS } = LIMITS.rate[row];
  const key = `${row} ${who}`;
  let window = windows.get(key);
  if (window === undefined || window.endsAt <= now) {
    if (window === undefined && windows.size >= LIMITS.rateBuckets) makeRoom(now);
    window = { endsAt: now + windowS * 1000, used: 0 };
    windows.set(key, window);
  }
  const secondsLeft = Math.ceil((window.endsAt - now) / 1000);
  const refused = window.used >= requests;
  if (!refused) window.used++;
  return {
    headers: {
      "RateLimit-Policy": `"${row}";q=${requests};w=${windowS}`,
      RateLimit: `"${row}";r=${requests - window.used};t=${secondsLeft}`,
    },
    retryAfterS: refused ? secondsLeft : null,
  };
}

/** Drops windows that are over; if a flood of callers fills all, the oldest tenth (a Map keeps the order of arrival). */
function makeRoom(now: number): void {
  for (const [key, window] of windows) if (window.endsAt <= now) windows.delete(key);
  let surplus = windows.size < LIMITS.rateBuckets ? 0 : Math.ceil(LIMITS.rateBuckets / 10);
  for (const key of windows.keys()) {
    if (surplus-- <= 0) break;
    windows.delete(key);
  }
}
