import { errorCode } from "./files.ts";
import { readRecord, recordBytes, type SpoolRecord } from "./segment.ts";
import type { Segment, Segments } from "./segments.ts";
import type { SpoolOptions } from "./spool.ts";
import type { Group } from "./spool-writer.ts";

/** The oldest frames that were not answered yet, of one segment; `end` is where it goes on after them. */
export interface SpoolBatch {
  records: SpoolRecord[];
  /** Of the frames, without headers. */
  frameBytes: number;
  segment: Segment;
  end: number;
  lastSequence: number;
  damage: Uint8Array[];
}

/** A group that is on the disk, at `[start..end)` of its segment, and is still in memory. */
interface Recent extends Group {
  segment: Segment;
  start: number;
  end: number;
}

/** Reads the spool in order: from memory what was written lately, from the segments what is older. */
export class SpoolReader {
  /** Sequence up to which everything was answered, and up to which it was when this run began. */
  answered = 0;
  answeredBefore = 0;
  /** Sequence of the last record on the disk. */
  last = 0;
  private readonly options: SpoolOptions;
  private readonly segments: Segments;
  /** Reading position in the oldest segment. */
  private offset = 0;
  private recent: Recent[] = [];
  private recentBytes = 0;
  /** True while something on the disk is missing in `recent`: files are read until the reader has caught up. */
  private behind = true;
  private piece: Buffer | null = null;
  /** Since when the stretch at the reading position has been unreadable, Unix ms; 0 when it is not. */
  private unreadableSince = 0;

  constructor(options: SpoolOptions, segments: Segments) {
    this.options = options;
    this.segments = segments;
  }

  /** Called in order for every group that is on the disk. */
  add(group: Group, segment: Segment, start: number): void {
    const bytes = group.to - group.from;
    this.last = group.lastSequence;
    if (this.behind) return;
    if (this.recentBytes + bytes > this.options.limits.recentBytes) {
      this.behind = true;
      return;
    }
    this.recent.push({ ...group, segment, start, end: start + bytes });
    this.recentBytes += bytes;
  }

  /**
   * The oldest unanswered frames, without removing them. The views in it are good until the next call.
   * @returns null when there are none
   * @throws the file layer's error while a segment cannot be read
   */
  async peek(maxFrames: number, maxBytes: number): Promise<SpoolBatch | null> {
    for (;;) {
      const segment = this.segments.list[0];
      if (segment === undefined) return null;
      if (this.offset >= segment.end) {
        if (!segment.sealed) {
          this.behind = false;
          this.piece = null;
          // The last records may have been damaged: they will not come any more.
          this.answered = Math.max(this.answered, this.last);
          return null;
        }
        await this.dropOldest(segment);
        continue;
      }
      const batch: SpoolBatch = {
        records: [],
        frameBytes: 0,
        segment,
        end: this.offset,
        lastSequence: this.answered,
        damage: [],
      };
      const accept = (record: SpoolRecord): boolean => {
        const full =
          batch.records.length >= maxFrames ||
          (batch.records.length > 0 && batch.frameBytes + record.bytes.length > maxBytes);
        if (full) return false;
        batch.end = record.end;
        // What is damaged before a record of an earlier run was set aside by that run.
        if (record.sequence <= this.answeredBefore) batch.damage.length = 0;
        // A group that was written again after a failed sync may be there twice.
        if (record.sequence <= batch.lastSequence) return true;
        batch.lastSequence = record.sequence;
        batch.frameBytes += record.bytes.length;
        batch.records.push(record);
        return true;
      };
      const inMemory = this.recent[0];
      if (inMemory?.segment === segment && inMemory.start <= this.offset && this.offset < inMemory.end) {
        this.readMemory(batch, accept);
      } else {
        await this.readDisk(batch, accept);
      }
      if (batch.records.length > 0) return batch;
      await this.release(batch);
    }
  }

  private readMemory(batch: SpoolBatch, accept: (record: SpoolRecord) => boolean): void {
    for (const { slab, from, to, segment, start } of this.recent) {
      if (segment !== batch.segment) return;
      const base = start - from;
      for (let at = Math.max(from, batch.end - base); at < to; ) {
        const record = readRecord(slab, at, base);
        if (!accept(record)) return;
        at = record.end - base;
      }
    }
  }

  private async readDisk(batch: SpoolBatch, accept: (record: SpoolRecord) => boolean): Promise<void> {
    const { segment } = batch;
    const { limits, now } = this.options;
    this.piece ??= Buffer.allocUnsafeSlow(limits.batchBytes + recordBytes(limits.frameBytes));
    try {
      batch.end = await this.segments.scanPiece(segment, batch.end, this.piece, {
        record: accept,
        damage: (bytes) => batch.damage.push(bytes),
      });
      this.unreadableSince = 0;
    } catch (error) {
      if (this.unreadableSince === 0) this.unreadableSince = now();
      if (now() - this.unreadableSince < limits.unreadableMs) throw error;
      // The records behind it must not wait for ever. The file is kept for whoever can read more of it.
      segment.keep = true;
      this.options.events.diskError("UNREADABLE");
      batch.end = Math.min(segment.end, batch.end + limits.unreadableBytes);
    }
    // From here on new groups come after everything that was read, so they can stay in memory.
    if (batch.end === segment.end && segment === this.segments.list.at(-1)) this.behind = false;
  }

  /** Everything in the batch was answered: it is not delivered again, and whole segments behind it are deleted. */
  async release(batch: SpoolBatch): Promise<void> {
    this.answered = batch.lastSequence;
    for (const bytes of batch.damage) this.options.events.damaged(bytes);
    this.offset = batch.end;
    if (batch.segment.sealed && this.offset >= batch.segment.end) await this.dropOldest(batch.segment);
    this.forgetRecent();
  }

  private async dropOldest(segment: Segment): Promise<void> {
    this.offset = 0;
    try {
      await this.segments.remove(segment);
      this.options.reach("J");
    } catch (error) {
      // Out of the list all the same; what is left on the disk is delivered again after the next start.
      this.options.events.diskError(errorCode(error));
    }
    this.options.events.deleted();
  }

  private forgetRecent(): void {
    const oldest = this.segments.list[0];
    let count = 0;
    for (const group of this.recent) {
      const passed = oldest === undefined || group.segment.number < oldest.number;
      if (!passed && !(group.segment === oldest && group.end <= this.offset)) break;
      this.recentBytes -= group.to - group.from;
      count += 1;
    }
    if (count > 0) this.recent.splice(0, count);
  }
}
