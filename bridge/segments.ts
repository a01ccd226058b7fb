import { randomInt } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { FileLayer, SpoolFile } from "./files.ts";
import type { Limits } from "./limits.ts";
import { parseSegmentName, recordBytes, type SpoolRecord, scanRecords, segmentName } from "./segment.ts";

/** One segment file. Bytes `[0..end)` are on the disk and may be read. A sealed segment is never written again. */
export interface Segment {
  number: number;
  salt: number;
  path: string;
  file: SpoolFile;
  end: number;
  sealed: boolean;
  /** True when part of it could not be read: it is set aside instead of deleted. */
  keep: boolean;
  /** When its first record was written, Unix ms. */
  since: number;
}

/** All segments the limit allows are in use: nothing is wrong with the disk, the edge has to take frames first. */
export class SpoolFullError extends Error {
  readonly code = "SPOOL_FULL";
}

// Zeros are written and synced in small steps with a pause, so that group commits in between stay fast.
const FILL_BYTES = 1024 * 1024;
const FILL_PAUSE_MS = 10;
const SCAN_BYTES = 1024 * 1024;

export interface SegmentScan {
  record(record: SpoolRecord): boolean;
  damage(bytes: Uint8Array): void;
}

/** The segment files of one folder: the oldest is being delivered, the newest is being written. */
export class Segments {
  readonly list: Segment[] = [];
  private prepared: Segment | null = null;
  private preparing: Promise<void> | null = null;
  private prepareAgainAt = 0;
  private nextNumber = 1;
  private readonly folder: string;
  private readonly files: FileLayer;
  private readonly limits: Limits;
  private readonly now: () => number;

  constructor(folder: string, files: FileLayer, limits: Limits, now: () => number) {
    this.folder = folder;
    this.files = files;
    this.limits = limits;
    this.now = now;
  }

  /**
   * Opens what an earlier run left. Only the newest records are looked at, so that a long backlog does not delay the
   * start; the rest is checked when it is read for delivery.
   * @returns the highest sequence found, 0 when there is none
   */
  async recover(): Promise<number> {
    await this.files.makeFolder(this.folder);
    const found = (await this.files.list(this.folder))
      .map((name) => ({ name, id: parseSegmentName(name) }))
      .filter((entry) => entry.id !== null)
      .sort((a, b) => a.id!.number - b.id!.number);
    for (const { name, id } of found) {
      const path = join(this.folder, name);
      const file = await this.files.open(path, false);
      this.list.push({ ...id!, path, file, end: await file.size(), sealed: true, keep: false, since: this.now() });
      this.nextNumber = id!.number + 1;
    }
    for (let at = this.list.length - 1; at >= 0; at--) {
      const segment = this.list[at]!;
      const tail = await this.tailOf(segment);
      if (tail.sequence > 0) {
        // Anything behind it is damaged, and has to be read after it.
        if (at === this.list.length - 1) await this.continueIn(segment, tail);
        return tail.sequence;
      }
      if (!tail.damaged) await this.reuseEmpty(segment, at);
    }
    return 0;
  }

  private async tailOf(segment: Segment): Promise<{ sequence: number; end: number; damaged: boolean }> {
    const tail = { sequence: 0, end: 0, damaged: false };
    await this.scan(segment, 0, {
      record: (record) => {
        tail.sequence = Math.max(tail.sequence, record.sequence);
        tail.end = record.end;
        tail.damaged = false;
        return true;
      },
      damage: () => {
        tail.damaged = true;
      },
    });
    return tail;
  }

  /** Writing goes on after the last good record, unless a torn write follows it: that stays as it is, for the reader to report. */
  private async continueIn(segment: Segment, tail: { end: number; damaged: boolean }): Promise<void> {
    if (tail.damaged || segment.end !== this.limits.segmentBytes) return;
    try {
      // What was found may still be in the page cache only; from here on it counts as received.
      await segment.file.sync();
      segment.sealed = false;
      segment.end = tail.end;
    } catch {
      // Still readable, so it is delivered; but nothing more is entrusted to this file.
    }
  }

  private async reuseEmpty(segment: Segment, at: number): Promise<void> {
    this.list.splice(at, 1);
    if (this.prepared === null && segment.end === this.limits.segmentBytes) {
      this.prepared = { ...segment, end: 0, sealed: false };
      return;
    }
    await segment.file.close();
    await this.files.remove(segment.path);
  }

  get current(): Segment | null {
    const last = this.list.at(-1);
    return last === undefined || last.sealed ? null : last;
  }

  /** Bytes of all segment files. */
  get bytes(): number {
    return (this.list.length + (this.prepared === null ? 0 : 1)) * this.limits.segmentBytes;
  }

  /**
   * The segment to write `bytes` bytes into, after rotating where needed.
   * @throws {SpoolFullError} when no further segment is allowed; the file layer's error when one cannot be made
   */
  async room(bytes: number): Promise<Segment> {
    const current = this.current;
    if (current !== null && current.end + bytes <= this.limits.segmentBytes) return current;
    // Sealed first: once everything in it is answered it can go, which may be just the space that is needed.
    if (current !== null) current.sealed = true;
    await this.preparing;
    const next = this.prepared ?? (await this.create(0));
    this.prepared = null;
    next.since = this.now();
    this.list.push(next);
    return next;
  }

  /** Gives up a segment whose write or sync failed: only what was synced before is still trusted. */
  async abandon(segment: Segment): Promise<void> {
    segment.sealed = true;
    if (segment.end === 0) await this.remove(segment);
  }

  /** Makes the next segment ready when the current one is well used or old, and closes one that is too old. */
  maintain(): void {
    const current = this.current;
    if (current === null || current.end === 0) return;
    const old = this.now() - current.since >= this.limits.segmentAgeMs;
    if (old && this.prepared !== null) {
      current.sealed = true;
      return;
    }
    const used = current.end >= this.limits.segmentBytes * this.limits.prepareAt;
    if (!(old || used) || this.prepared !== null || this.preparing !== null) return;
    if (this.now() < this.prepareAgainAt) return;
    this.preparing = this.create(FILL_PAUSE_MS)
      .then((segment) => {
        this.prepared = segment;
      })
      // No harm yet: room() tries again when the space is needed, and reports it.
      .catch(() => {
        this.prepareAgainAt = this.now() + this.limits.diskRetryMs;
      })
      .finally(() => {
        this.preparing = null;
      });
  }

  private async create(pauseMs: number): Promise<Segment> {
    if (this.bytes + this.limits.segmentBytes > this.limits.spoolBytes) {
      throw new SpoolFullError("Cannot add a segment: the spool has reached its limit");
    }
    const salt = randomInt(2 ** 32);
    const number = this.nextNumber++;
    const path = join(this.folder, segmentName(number, salt));
    const file = await this.files.open(path, true);
    try {
      const zeros = new Uint8Array(Math.min(FILL_BYTES, this.limits.segmentBytes));
      for (let at = 0; at < this.limits.segmentBytes; at += zeros.length) {
        await file.write(zeros.subarray(0, Math.min(zeros.length, this.limits.segmentBytes - at)), at);
        await file.sync();
        if (pauseMs > 0) await sleep(pauseMs);
      }
      await this.files.syncFolder(this.folder);
    } catch (error) {
      await file.close().catch(() => {});
      await this.files.remove(path).catch(() => {});
      throw error;
    }
    return { number, salt, path, file, end: 0, sealed: false, keep: false, since: this.now() };
  }

  /** Deletes a segment file, or sets it aside under another name when part of it could not be read. */
  async remove(segment: Segment): Promise<void> {
    this.list.splice(this.list.indexOf(segment), 1);
    await segment.file.close().catch(() => {});
    await (segment.keep
      ? this.files.rename(segment.path, `${segment.path}.unreadable`)
      : this.files.remove(segment.path));
  }

  /** Walks all records of a segment from `offset`, reading piece by piece. */
  async scan(segment: Segment, offset: number, visit: SegmentScan): Promise<void> {
    const piece = Buffer.allocUnsafeSlow(SCAN_BYTES + recordBytes(this.limits.frameBytes));
    for (let at = offset, going = true; going && at < segment.end; ) {
      at = await this.scanPiece(segment, at, piece, {
        record: (record) => {
          going = visit.record(record);
          return going;
        },
        damage: visit.damage,
      });
    }
  }

  /**
   * Reads one piece and walks the records in it. The piece must have room for the longest record.
   * @returns the offset to go on at
   */
  async scanPiece(segment: Segment, offset: number, piece: Buffer, visit: SegmentScan): Promise<number> {
    const wanted = Math.min(piece.length, segment.end - offset);
    const read = await segment.file.read(piece.subarray(0, wanted), offset);
    const end = scanRecords({
      bytes: piece.subarray(0, read),
      base: offset,
      salt: segment.salt,
      last: read < wanted || offset + read >= segment.end,
      frameBytes: this.limits.frameBytes,
      record: visit.record,
      damage: visit.damage,
    });
    // A file shorter than it should be: nothing more will come.
    return read < wanted ? segment.end : end;
  }

  async close(): Promise<void> {
    await this.preparing;
    for (const segment of this.prepared === null ? this.list : [...this.list, this.prepared]) {
      await segment.file.close().catch(() => {});
    }
  }
}
