import { setImmediate as turn } from "node:timers/promises";
import { errorCode } from "./files.ts";
import { recordBytes, sealRecords, writeRecord } from "./segment.ts";
import type { Segment, Segments } from "./segments.ts";
import type { SpoolOptions } from "./spool.ts";

/** Records in memory that are committed together: `slab[from..to)`. */
export interface Group {
  slab: Buffer;
  from: number;
  to: number;
  frames: number;
  lastSequence: number;
  /** When its first record came, in ms of the monotonic clock. */
  since: number;
}

/**
 * Group commit: appends queue in memory, and whatever queued while the last sync ran is written and synced together.
 * A failure is held against the disk, never against the frames: they are kept and written again.
 */
export class SpoolWriter {
  /** Why nothing can be written at the moment (`ENOSPC`, `EIO`, `SPOOL_FULL`, ...), or null. */
  held: string | null = null;
  /** Bytes that wait for the disk. */
  pendingBytes = 0;
  /** Next sequence to give out. */
  next = 1;
  durableSequence = 0;
  pressed = false;
  private readonly options: SpoolOptions;
  private readonly segments: Segments;
  private readonly onDurable: (group: Group, segment: Segment, start: number) => void;
  private slab = Buffer.alloc(0);
  private used = 0;
  private open: Group | null = null;
  private waiting: Group[] = [];
  private committing: Promise<void> | null = null;
  private closing = false;
  private wake: (() => void) | null = null;

  constructor(
    options: SpoolOptions,
    segments: Segments,
    onDurable: (group: Group, segment: Segment, start: number) => void,
  ) {
    this.options = options;
    this.segments = segments;
    this.onDurable = onDurable;
  }

  append(connection: number, transport: number, receivedAt: number, bytes: Uint8Array): number {
    const need = recordBytes(bytes.length);
    if (this.used + need > this.slab.length) {
      this.closeGroup();
      const { slabBytes, segmentBytes } = this.options.limits;
      this.slab = Buffer.allocUnsafeSlow(Math.max(Math.min(slabBytes, segmentBytes), need));
      this.used = 0;
    }
    const sequence = this.next++;
    this.open ??= {
      slab: this.slab,
      from: this.used,
      to: this.used,
      frames: 0,
      lastSequence: 0,
      since: performance.now(),
    };
    this.used = writeRecord(this.slab, this.used, { sequence, connection, transport, receivedAt, bytes });
    this.open.to = this.used;
    this.open.frames += 1;
    this.open.lastSequence = sequence;
    this.pendingBytes += need;
    this.options.reach("B");
    if (this.pendingBytes > this.options.limits.pendingBytes) this.press(true);
    this.committing ??= this.commitAll();
    return sequence;
  }

  private closeGroup(): void {
    if (this.open !== null) this.waiting.push(this.open);
    this.open = null;
  }

  private async commitAll(): Promise<void> {
    // Every socket that is readable in this turn of the loop adds its frames to the same group.
    await turn();
    while (!this.closing && (this.open !== null || this.waiting.length > 0)) {
      this.closeGroup();
      await this.commit(this.takeGroups());
    }
    this.committing = null;
  }

  private takeGroups(): Group[] {
    const most = Math.min(this.options.limits.segmentBytes, 4 * this.options.limits.slabBytes);
    let bytes = 0;
    let count = 0;
    for (const group of this.waiting) {
      bytes += group.to - group.from;
      if (count > 0 && bytes > most) break;
      count += 1;
    }
    return this.waiting.splice(0, count);
  }

  private async commit(groups: Group[]): Promise<void> {
    const bytes = groups.reduce((sum, group) => sum + group.to - group.from, 0);
    const segment = await this.writeUntilDurable(groups, bytes);
    if (segment === null) {
      this.waiting.unshift(...groups);
      return;
    }
    let start = segment.end;
    segment.end += bytes;
    this.pendingBytes -= bytes;
    this.held = null;
    for (const group of groups) {
      this.durableSequence = group.lastSequence;
      this.onDurable(group, segment, start);
      start += group.to - group.from;
    }
    this.options.reach("D");
    if (this.pendingBytes <= this.options.limits.pendingBytes / 2) this.press(false);
    this.segments.maintain();
  }

  /** @returns the segment in which the groups are on the disk from its `end` on; null when the spool is being closed */
  private async writeUntilDurable(groups: readonly Group[], bytes: number): Promise<Segment | null> {
    while (!this.closing) {
      let segment: Segment | null = null;
      let syncing = false;
      try {
        segment = await this.segments.room(bytes);
        let at = segment.end;
        for (const { slab, from, to } of groups) {
          const records = slab.subarray(from, to);
          sealRecords(records, segment.salt);
          await segment.file.write(records, at);
          at += records.length;
        }
        this.options.reach("C");
        syncing = true;
        await segment.file.sync();
        return segment;
      } catch (error) {
        // After a failed sync nobody can say what is on the disk, and syncing again would claim success without
        // writing: the same records go to a new segment. Only a write that found no space may be repeated in place.
        if (segment !== null && (syncing || errorCode(error) !== "ENOSPC")) {
          await this.segments.abandon(segment).catch(() => {});
        }
        this.hold(error);
        await this.pause();
      }
    }
    return null;
  }

  hold(error: unknown): void {
    this.held = errorCode(error);
    this.options.events.diskError(this.held);
    this.press(true);
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.options.limits.diskRetryMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Tries again at once: a segment was deleted, so there may be space. */
  retryNow(): void {
    this.wake?.();
  }

  private press(on: boolean): void {
    if (this.pressed === on) return;
    this.pressed = on;
    this.options.events.pressure(on);
  }

  /** Prepares or closes segments; never while one of them is being written. */
  maintain(): void {
    if (this.committing === null) this.segments.maintain();
  }

  /** Resolves when everything appended so far is on the disk. */
  async flush(): Promise<void> {
    await this.committing;
  }

  /** Stops trying. What is not on the disk by then was never counted as received. */
  async close(): Promise<void> {
    this.closing = true;
    this.retryNow();
    await this.committing;
  }
}
