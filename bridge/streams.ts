import type { Duplex } from "node:stream";
import type { FrameReader } from "../codec/frame.ts";
import type { Intake } from "./intake.ts";
import type { CloseReason } from "./metrics.ts";
import type { Peer } from "./peers.ts";

const TCP = 0;
const STREAMS = Symbol("streams");
const CONNECTION = Symbol("connection");

/** A stream with its state on it: the handlers are then shared by all, instead of four closures for each. */
type Attached = Duplex & { [STREAMS]: Streams; [CONNECTION]: Connection };

/** One stream from a tracker. Ten thousand of these are held, so it has no timer and no buffer of its own. */
export class Connection implements Peer {
  readonly id: number;
  readonly stream: Duplex;
  imei: string | null = null;
  others: Set<string> | null = null;
  /** Only while a frame is unfinished. */
  reader: FrameReader | null = null;
  /** When it was opened, or its last good frame came, Unix ms. */
  since: number;
  /** When its unfinished frame began, 0 between frames. */
  frameSince = 0;
  /** Bytes skipped since the last good frame. */
  garbage = 0;
  /** Frames that the edge has not answered yet. */
  unanswered = 0;
  /** When the tracker closed its side, 0 before. */
  endedAt = 0;
  reason: CloseReason = "peer";
  private readonly owner: Streams;

  constructor(id: number, stream: Duplex, owner: Streams, now: number) {
    this.id = id;
    this.stream = stream;
    this.owner = owner;
    this.since = now;
  }

  get connected(): boolean {
    return true;
  }

  send(bytes: Uint8Array): boolean {
    return this.owner.send(this, bytes);
  }

  answered(): void {
    this.unanswered -= 1;
    if (this.endedAt > 0 && this.unanswered <= 0) this.stream.end();
  }

  reachable(): boolean {
    return this.stream.writable && this.endedAt === 0;
  }
}

/** All streams: reads them, and closes those that break a limit, each with a counted reason. */
export class Streams {
  private readonly intake: Intake;
  private readonly held = new Set<Connection>();
  /** Those that sent no good frame yet, oldest first: the ones to give up when there is no more room. */
  private readonly strangers = new Set<Connection>();
  private paused = false;
  /** Held for unfinished frames, all connections together. */
  private unfinishedBytes = 0;

  constructor(intake: Intake) {
    this.intake = intake;
  }

  get size(): number {
    return this.held.size;
  }

  /** A connection came and could not be accepted. It stays in the system's queue; those that are open go on. */
  acceptFailed(): void {
    this.intake.options.metrics.count.acceptErrors += 1;
  }

  /** Takes over a connected stream of any kind. */
  attach(stream: Duplex): void {
    const { limits, metrics, peers, now } = this.intake.options;
    metrics.count.connectionsOpened += 1;
    if (this.held.size >= limits.connections) {
      const [oldest] = this.strangers;
      if (oldest === undefined) {
        metrics.add("closes", "full" satisfies CloseReason);
        stream.on("error", ignore).destroy();
        return;
      }
      this.close(oldest, "evicted");
    }
    const connection = new Connection(peers.nextId(), stream, this, now());
    Object.assign(stream, { [STREAMS]: this, [CONNECTION]: connection });
    this.held.add(connection);
    this.strangers.add(connection);
    peers.add(connection);
    stream.on("data", onData).on("end", onEnd).on("error", onError).on("close", onClose);
    if (this.paused) stream.pause();
  }

  /** For the shared handlers. */
  read(connection: Connection, piece: Uint8Array): void {
    const { limits, now } = this.intake.options;
    const before = connection.reader?.buffered ?? 0;
    const { frames, skipped, held } = this.intake.read(piece, connection, TCP, connection.reader);
    this.unfinishedBytes += (held?.buffered ?? 0) - before;
    connection.reader = held;
    if (held === null) connection.frameSince = 0;
    else if (before === 0 || frames > 0) connection.frameSince = now();
    if (frames > 0) {
      this.gotFrames(connection, frames);
    } else {
      connection.garbage += skipped;
      if (connection.garbage > limits.garbageBytes) this.close(connection, "garbage");
    }
    // Whoever makes the sum too large pays for it, unless it holds no more than any tracker would.
    if (this.unfinishedBytes > limits.unfinishedBytes && (held?.buffered ?? 0) > limits.unfinishedFairBytes) {
      this.close(connection, "frame_bytes");
    }
  }

  private gotFrames(connection: Connection, frames: number): void {
    if (this.strangers.size > 0) this.strangers.delete(connection);
    connection.since = this.intake.options.now();
    connection.garbage = 0;
    connection.unanswered += frames;
  }

  /** Frames may be waiting behind a head whose length was damaged. @returns whether there were any */
  private giveUpFrame(connection: Connection): boolean {
    const { reader } = connection;
    if (reader === null) return false;
    this.forgetFrame(connection);
    const frames = this.intake.giveUp(connection, TCP, reader);
    if (frames > 0) this.gotFrames(connection, frames);
    return frames > 0;
  }

  private forgetFrame(connection: Connection): void {
    this.unfinishedBytes -= connection.reader?.buffered ?? 0;
    connection.reader = null;
    connection.frameSince = 0;
  }

  send(connection: Connection, bytes: Uint8Array): boolean {
    const { stream } = connection;
    if (!stream.writable) return false;
    if (stream.writableLength + bytes.length > this.intake.options.limits.replyBytes) {
      this.close(connection, "reply_backlog");
      return false;
    }
    stream.write(bytes);
    return true;
  }

  /** The tracker will send no more; what it sent is still answered. */
  ended(connection: Connection): void {
    this.giveUpFrame(connection);
    connection.endedAt = this.intake.options.now();
    if (connection.unanswered <= 0) connection.stream.end();
  }

  closed(connection: Connection): void {
    if (!this.held.delete(connection)) return;
    this.strangers.delete(connection);
    this.forgetFrame(connection);
    this.intake.options.peers.remove(connection);
    this.intake.options.metrics.add("closes", connection.reason);
  }

  close(connection: Connection, reason: CloseReason): void {
    connection.reason = reason;
    connection.stream.destroy();
    this.closed(connection);
  }

  /** Looks at every connection once; called every `limits.sweepMs`. */
  sweep(): void {
    // What is not being read cannot be blamed for being silent.
    if (this.paused) return;
    const now = this.intake.options.now();
    for (const connection of this.held) {
      const reason = this.overdue(connection, now);
      if (reason !== null) this.close(connection, reason);
    }
  }

  private overdue(connection: Connection, now: number): CloseReason | null {
    const { limits } = this.intake.options;
    if (connection.endedAt > 0 && now - connection.endedAt > limits.lingerMs) return "peer";
    if (connection.frameSince > 0 && now - connection.frameSince > limits.frameMs) {
      return this.giveUpFrame(connection) ? null : "frame_time";
    }
    if (connection.imei === null) return now - connection.since > limits.strangerMs ? "silent" : null;
    return now - connection.since > limits.idleMs ? "idle" : null;
  }

  /** Stops reading: the kernel's buffers fill and the trackers wait, with their data. */
  pause(): void {
    this.paused = true;
    for (const { stream } of this.held) stream.pause();
  }

  resume(): void {
    this.paused = false;
    const now = this.intake.options.now();
    for (const connection of this.held) {
      connection.since = now;
      if (connection.frameSince > 0) connection.frameSince = now;
      connection.stream.resume();
    }
  }

  closeAll(): void {
    for (const connection of this.held) this.close(connection, "stopping");
  }
}

function ignore(): void {}

function onData(this: Duplex, piece: Uint8Array): void {
  const stream = this as Attached;
  if (!stream.destroyed) stream[STREAMS].read(stream[CONNECTION], piece);
}

function onEnd(this: Duplex): void {
  const stream = this as Attached;
  stream[STREAMS].ended(stream[CONNECTION]);
}

function onError(this: Duplex): void {
  (this as Attached)[CONNECTION].reason = "error";
}

function onClose(this: Duplex): void {
  const stream = this as Attached;
  stream[STREAMS].closed(stream[CONNECTION]);
}
