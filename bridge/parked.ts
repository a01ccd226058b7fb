import { appendFile, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Limits } from "./limits.ts";
import type { ParkReason } from "./metrics.ts";

const CURRENT = "parked.ndjson";
const OLDER = "parked.older.ndjson";
const FILE_MODE = 0o600;

/** A frame that cannot be delivered, or bytes of the spool that are no longer a frame. */
export interface ParkedFrame {
  reason: ParkReason;
  /** HTTP status that refused it, when that was the reason. */
  status?: number;
  /** Unix ms; missing for damaged bytes. */
  receivedAt?: number;
  transport?: number;
  bytes: Uint8Array;
}

/**
 * Frames set aside for an operator to look at, one JSON object a line with the bytes in hex. Two files take turns, so
 * that what is kept stays below a size and an age: it is location data like the rest of the spool.
 */
export class Parked {
  private readonly folder: string;
  private readonly limits: Limits;
  private readonly now: () => number;

  constructor(folder: string, limits: Limits, now: () => number) {
    this.folder = folder;
    this.limits = limits;
    this.now = now;
  }

  private path(name: string): string {
    return join(this.folder, name);
  }

  /** @throws the system's error when it cannot be written: the frame then has to stay in the spool */
  async add(frame: ParkedFrame): Promise<void> {
    await this.turnOver();
    const { bytes, ...facts } = frame;
    const kept = bytes.subarray(0, this.limits.damagedBytes);
    const line = { parkedAt: new Date(this.now()).toISOString(), ...facts, bytes: Buffer.from(kept).toString("hex") };
    await appendFile(this.path(CURRENT), `${JSON.stringify(line)}\n`, { mode: FILE_MODE, flush: true });
  }

  /** Starts a new file at half the size or age that is allowed, and forgets the older one when its first line is too old. */
  async turnOver(): Promise<void> {
    const { parkedBytes, parkedMs } = this.limits;
    const current = await this.facts(CURRENT);
    if (current.bytes >= parkedBytes / 2 || current.ageMs >= parkedMs / 2) {
      await rename(this.path(CURRENT), this.path(OLDER));
    }
    if ((await this.facts(OLDER)).ageMs >= parkedMs) await unlink(this.path(OLDER));
  }

  private async facts(name: string): Promise<{ bytes: number; ageMs: number }> {
    const found = await stat(this.path(name)).catch(() => null);
    // Some file systems do not know when a file was made.
    return found === null
      ? { bytes: 0, ageMs: 0 }
      : { bytes: found.size, ageMs: this.now() - (found.birthtimeMs || found.mtimeMs) };
  }
}
