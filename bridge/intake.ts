import { type FrameBounds, FrameReader } from "../codec/frame.ts";
import type { ReachPoint } from "./failpoint.ts";
import type { Limits } from "./limits.ts";
import type { Metrics } from "./metrics.ts";
import type { Peer, Peers } from "./peers.ts";
import type { Spool } from "./spool.ts";

/** What the way in needs of the rest of the bridge. */
export interface IntakeOptions {
  limits: Limits;
  metrics: Metrics;
  peers: Peers;
  spool: Pick<Spool, "append" | "congested">;
  now(): number;
  reach: ReachPoint;
}

/** What one piece held. */
export interface Reading {
  frames: number;
  /** Bytes that were not part of any frame. */
  skipped: number;
  /** Has the beginning of a frame: to be given back with the next piece. null between frames. */
  held: FrameReader | null;
}

/** Cuts what arrives into frames and appends them to the spool, for streams and datagrams alike. */
export class Intake {
  readonly options: IntakeOptions;
  /** Serves every peer that is between frames; one that is inside a frame takes it along and gets it replaced. */
  private idleReader: FrameReader;
  private peer: Peer | null = null;
  private transport = 0;
  private receivedAt = 0;
  private frames = 0;

  constructor(options: IntakeOptions) {
    this.options = options;
    this.idleReader = this.newReader();
  }

  private newReader(): FrameReader {
    const { limits, metrics } = this.options;
    return new FrameReader({
      maxFrameBytes: limits.frameBytes,
      onReject: (code) => metrics.add("refused", code),
    });
  }

  private readonly take = (bytes: Uint8Array, at: FrameBounds): void => {
    const { metrics, peers, spool } = this.options;
    const peer = this.peer!;
    this.frames += 1;
    metrics.count.framesRead += 1;
    peers.bind(peer, bytes, at.imeiStart, at.imeiEnd);
    spool.append(peer.id, this.transport, this.receivedAt, bytes.subarray(at.start, at.end));
  };

  /**
   * Reads one piece of a stream, or a datagram.
   * @param held the reader this peer got back from its last piece, null when it was between frames
   */
  read(piece: Uint8Array, peer: Peer, transport: number, held: FrameReader | null): Reading {
    this.options.reach("A");
    this.options.metrics.count.bytesRead += piece.length;
    const reader = held ?? this.idleReader;
    const { frames, skipped } = this.run(reader, peer, transport, () => reader.scan(piece, this.take));
    const unfinished = reader.buffered > 0;
    if (unfinished && reader === this.idleReader) this.idleReader = this.newReader();
    return { frames, skipped, held: unfinished ? reader : null };
  }

  /**
   * Gives up an unfinished frame. Its length may have been damaged: whole frames can be waiting behind its head.
   * @returns frames found there
   */
  giveUp(peer: Peer, transport: number, held: FrameReader): number {
    return this.run(held, peer, transport, () => held.flush(this.take)).frames;
  }

  private run(
    reader: FrameReader,
    peer: Peer,
    transport: number,
    read: () => void,
  ): { frames: number; skipped: number } {
    const { metrics, now } = this.options;
    this.peer = peer;
    this.transport = transport;
    this.receivedAt = now();
    this.frames = 0;
    const before = reader.rejected;
    read();
    const skipped = reader.rejected - before;
    metrics.count.bytesSkipped += skipped;
    return { frames: this.frames, skipped };
  }
}
