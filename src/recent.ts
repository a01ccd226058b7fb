import { SLOT, STRIDE } from "../codec/columns.ts";
import type { StoredPositions } from "../codec/segment.ts";
import type { Base, Config } from "./context.ts";
import { LIMITS } from "./limits.ts";

const { digestHi: HIGH, digestLo: LOW } = SLOT;

/**
 * Records that this isolate has stored lately, by device and digest, so that what is sent twice is mostly known at once
 * and not stored again. It forgets: what it does not know is found when it is settled.
 */
export class Recent {
  readonly #devices = new Float64Array(LIMITS.recentRecords);
  readonly #high = new Int32Array(LIMITS.recentRecords);
  readonly #low = new Int32Array(LIMITS.recentRecords);

  has(deviceId: number, high: number, low: number): boolean {
    const at = placeOf(deviceId, low);
    return this.#devices[at] === deviceId && this.#high[at] === high && this.#low[at] === low;
  }

  /** Remembers rows that are committed: not before, or a record could be taken for safe that is not. */
  add(stored: StoredPositions): void {
    const { i32 } = stored.table;
    for (let row = 0; row < stored.count; row++) {
      const deviceId = stored.deviceIds[row];
      const low = i32[row * STRIDE + LOW];
      const at = placeOf(deviceId, low);
      this.#devices[at] = deviceId;
      this.#high[at] = i32[row * STRIDE + HIGH];
      this.#low[at] = low;
    }
  }
}

const placeOf = (deviceId: number, low: number) => (low ^ Math.imul(deviceId, 0x9e3779b1)) & (LIMITS.recentRecords - 1);

const RECENT = new WeakMap<Config, Recent>();

/** Those of this isolate: they live as long as the configuration object, of which the platform makes one. */
export function recentOf(ctx: Base): Recent {
  let recent = RECENT.get(ctx.config);
  if (recent === undefined) {
    recent = new Recent();
    RECENT.set(ctx.config, recent);
  }
  return recent;
}
