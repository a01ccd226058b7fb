import { Cursor } from "./cursor.ts";
import type { ReachPoint } from "./failpoint.ts";
import { errorCode, type FileLayer } from "./files.ts";
import type { Limits } from "./limits.ts";
import { Segments } from "./segments.ts";
import { type SpoolBatch, SpoolReader } from "./spool-reader.ts";
import { SpoolWriter } from "./spool-writer.ts";

export type { SpoolBatch };

/** What the spool tells the rest of the bridge. */
export interface SpoolEvents {
  /** Frames that are on the disk now: from here on they count as received. `waitedMs` is since the first was appended. */
  durable(frames: number, bytes: number, waitedMs: number): void;
  /** true: stop reading sockets. false: go on. */
  pressure(on: boolean): void;
  /** Bytes of a segment that are not a record any more. A view: copy what is kept. */
  damaged(bytes: Uint8Array): void;
  /** The disk refused something; `code` as the system says it (`ENOSPC`, `EIO`), or `SPOOL_FULL`. */
  diskError(code: string): void;
  /** A segment in which everything was answered is gone. */
  deleted(): void;
}

export interface SpoolOptions {
  folder: string;
  files: FileLayer;
  limits: Limits;
  now(): number;
  reach: ReachPoint;
  events: SpoolEvents;
}

/**
 * The durable queue between sockets and edge. Frames are appended in memory and committed in groups, read in order by
 * one reader, and deleted by whole segments once everything in them was answered. Nothing is dropped: when the disk is
 * full or fails, the spool keeps what it has, asks for the sockets to be left unread, and tries again.
 */
export class Spool {
  private readonly options: SpoolOptions;
  private readonly segments: Segments;
  private readonly writer: SpoolWriter;
  private readonly reader: SpoolReader;
  private readonly cursor: Cursor;
  private savedCursor = 0;
  private savingCursor: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;
  /** Frames with a lower sequence came over connections of an earlier run. */
  firstOfThisRun = 1;

  private constructor(options: SpoolOptions) {
    const { folder, files, limits, now, events } = options;
    const watched: SpoolOptions = {
      ...options,
      events: {
        ...events,
        deleted: () => {
          this.writer.retryNow();
          events.deleted();
        },
      },
    };
    this.options = options;
    this.segments = new Segments(folder, files, limits, now);
    this.reader = new SpoolReader(watched, this.segments);
    this.writer = new SpoolWriter(watched, this.segments, (group, segment, start) => {
      this.reader.add(group, segment, start);
      events.durable(group.frames, group.to - group.from, performance.now() - group.since);
    });
    this.cursor = new Cursor(folder, files);
  }

  /**
   * Opens the folder, goes on after what an earlier run left there, and makes the first segment ready.
   * @throws the file layer's error when the folder cannot be made or read
   */
  static async open(options: SpoolOptions): Promise<Spool> {
    const spool = new Spool(options);
    const { writer, reader } = spool;
    const found = await spool.segments.recover();
    reader.answered = await spool.cursor.read();
    reader.answeredBefore = reader.answered;
    spool.savedCursor = reader.answered;
    reader.last = Math.max(found, reader.answered);
    writer.durableSequence = reader.last;
    writer.next = reader.last + 1;
    spool.firstOfThisRun = writer.next;
    // A full disk does not stop the start: delivering what is spooled may be what frees it.
    await spool.segments.room(0).catch((error: unknown) => options.events.diskError(errorCode(error)));
    spool.timer = setInterval(() => spool.tick(), options.limits.cursorMs);
    return spool;
  }

  private tick(): void {
    this.writer.maintain();
    void this.saveCursor();
  }

  private saveCursor(): Promise<void> {
    if (this.reader.answered === this.savedCursor || this.savingCursor !== null) return Promise.resolve();
    const answered = this.reader.answered;
    this.savingCursor = this.cursor
      .write(answered)
      .then(() => {
        this.savedCursor = answered;
        this.options.reach("I");
      })
      .catch((error: unknown) => this.options.events.diskError(errorCode(error)))
      .finally(() => {
        this.savingCursor = null;
      });
    return this.savingCursor;
  }

  /** Takes a frame in; it counts as received once `durable` was told of it. Copies `bytes`. @returns its sequence */
  append(connection: number, transport: number, receivedAt: number, bytes: Uint8Array): number {
    return this.writer.append(connection, transport, receivedAt, bytes);
  }

  /** See SpoolReader.peek(). One reader only. */
  peek(maxFrames: number, maxBytes: number): Promise<SpoolBatch | null> {
    return this.reader.peek(maxFrames, maxBytes);
  }

  /** Everything in the batch was answered. */
  release(batch: SpoolBatch): Promise<void> {
    return this.reader.release(batch);
  }

  /** Frames on the disk that were not answered yet. */
  get backlog(): number {
    return this.writer.durableSequence - this.reader.answered;
  }

  /** Why nothing can be written at the moment (`ENOSPC`, `EIO`, `SPOOL_FULL`), or null. */
  get held(): string | null {
    return this.writer.held;
  }

  /** True while sockets should not be read: the disk is behind, full or failing. */
  get congested(): boolean {
    return this.writer.pressed;
  }

  /** Bytes in memory that wait for the disk. */
  get unsyncedBytes(): number {
    return this.writer.pendingBytes;
  }

  /** Bytes of all segment files. */
  get fileBytes(): number {
    return this.segments.bytes;
  }

  get segmentCount(): number {
    return this.segments.list.length;
  }

  /** Resolves when everything appended so far is on the disk; never while the disk refuses it. */
  flush(): Promise<void> {
    return this.writer.flush();
  }

  /** Stops writing and closes the files. What is not on the disk by then never counted as received. */
  async close(): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer);
    await this.writer.close();
    await this.savingCursor;
    await this.saveCursor();
    await this.segments.close();
  }
}
