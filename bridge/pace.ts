import type { Limits } from "./limits.ts";
import type { EdgeFailure } from "./metrics.ts";

/**
 * What a failed batch leads to, besides waiting. `halve` makes the next batch smaller: at once when something in it is
 * not accepted, after several failures when it may be too much for one request. `park` sets the frame aside once it is
 * alone in its batch. In every other case the same frames are sent again, for ever.
 */
export const FAILURES = {
  network: { halve: "never", park: false },
  interrupted: { halve: "repeated", park: false },
  timeout: { halve: "repeated", park: false },
  busy: { halve: "never", park: false },
  server: { halve: "repeated", park: false },
  answer: { halve: "repeated", park: false },
  unauthorized: { halve: "never", park: false },
  rejected: { halve: "at once", park: true },
  unexpected: { halve: "never", park: false },
} as const satisfies Record<EdgeFailure, { halve: "never" | "at once" | "repeated"; park: boolean }>;

export interface PaceOptions {
  limits: Limits;
  /** ms of a clock that never jumps */
  elapsed(): number;
  random(): number;
}

/** How much to send next, and when: smaller and later after failures, back to normal with each success. */
export class Pace {
  /** Most frames in the next batch. */
  most: number;
  /** Failures in a row; 0 while the edge answers. */
  failures = 0;
  /** Earliest next request, on the `elapsed` clock. */
  notBefore = 0;
  private readonly options: PaceOptions;

  constructor(options: PaceOptions) {
    this.options = options;
    this.most = options.limits.batchFrames;
  }

  /** True after a failure that a smaller batch may cure, until batches have their full size again. */
  get cautious(): boolean {
    return this.most < this.options.limits.batchFrames;
  }

  succeeded(): void {
    this.failures = 0;
    this.most = Math.min(this.options.limits.batchFrames, this.most * 2);
  }

  /** A batch of `frames` frames failed. @returns whether the next one is smaller */
  failed(failure: EdgeFailure, frames: number): boolean {
    const { halve } = FAILURES[failure];
    this.failures += 1;
    if (halve === "never" || frames <= 1) return false;
    if (halve === "repeated" && this.failures % this.options.limits.splitAfter !== 0) return false;
    this.most = Math.ceil(frames / 2);
    return true;
  }

  /** The frame that stood in the way is gone. */
  passed(): void {
    this.failures = 0;
    this.most = Math.min(2, this.options.limits.batchFrames);
  }

  /** Exponential, half of it random so that many bridges do not come back together. @param leastMs what the edge asked for */
  wait(leastMs: number): void {
    const { limits, elapsed, random } = this.options;
    const doubled = limits.backoffMs * 2 ** Math.min(this.failures - 1, 30);
    const jittered = Math.min(limits.backoffMaxMs, doubled) * (0.5 + random() / 2);
    this.waitAtLeast(Math.max(jittered, Math.min(leastMs, limits.retryAfterMaxMs)), elapsed());
  }

  /** No request before this many ms from `now`. */
  waitAtLeast(ms: number, now = this.options.elapsed()): void {
    this.notBefore = now + ms;
  }
}
