import type { Limits } from "./limits.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Peers } from "./peers.ts";

export type CommandEntry =
  | { kind: "claim"; commandId: number; connection: number }
  | { kind: "release"; commandId: number };

interface Claim {
  connection: number;
  /** Once it was in a request, the edge may have given the command out to us. */
  asked: boolean;
}

/**
 * Commands on their way down. The edge offers what is queued; the bridge that holds the tracker's connection claims it,
 * gets the bytes and writes them. What could not be written is given back, so that it is offered again.
 */
export class Commands {
  private readonly claims = new Map<number, Claim>();
  private readonly releases = new Set<number>();
  private readonly peers: Peers;
  private readonly metrics: Metrics;
  private readonly limits: Limits;
  private readonly log: Log;
  private readonly now: () => number;

  constructor(options: { peers: Peers; metrics: Metrics; limits: Limits; log: Log; now(): number }) {
    this.peers = options.peers;
    this.metrics = options.metrics;
    this.limits = options.limits;
    this.log = options.log;
    this.now = options.now;
  }

  /** True while there is something to tell the edge. */
  get pending(): boolean {
    return this.claims.size > 0 || this.releases.size > 0;
  }

  offered(offers: Iterable<{ commandId: number; imei: string }>): void {
    for (const { commandId, imei } of offers) {
      if (this.claims.size >= this.limits.claims) return;
      if (this.claims.has(commandId) || this.releases.has(commandId)) continue;
      const connection = this.peers.holder(imei, this.now());
      if (connection === null) continue;
      this.claims.set(commandId, { connection, asked: false });
      this.metrics.count.commandsClaimed += 1;
    }
  }

  /** What goes into the next request. A claim whose connection is gone by now becomes a release. */
  take(): CommandEntry[] {
    for (const [commandId, claim] of this.claims) {
      if (this.peers.has(claim.connection)) continue;
      this.claims.delete(commandId);
      if (claim.asked) this.giveBack(commandId);
    }
    const entries: CommandEntry[] = [];
    for (const [commandId, claim] of this.claims) {
      claim.asked = true;
      entries.push({ kind: "claim", commandId, connection: claim.connection });
    }
    for (const commandId of this.releases) entries.push({ kind: "release", commandId });
    return entries;
  }

  /** The edge took these entries. A claim that it gave no bytes for is settled too: someone else was faster. */
  taken(entries: readonly CommandEntry[]): void {
    for (const entry of entries) {
      if (entry.kind === "claim") this.claims.delete(entry.commandId);
      else this.releases.delete(entry.commandId);
    }
  }

  /** Writes the bytes the edge gave for a command. */
  write(downlinks: Iterable<{ commandId: number; connection: number; bytes: Uint8Array }>): void {
    for (const { commandId, connection, bytes } of downlinks) {
      if (this.peers.send(connection, bytes)) {
        this.metrics.count.commandsSent += 1;
        this.log("info", "command written", { commandId, connection });
      } else {
        this.giveBack(commandId);
      }
    }
  }

  private giveBack(commandId: number): void {
    this.releases.add(commandId);
    this.metrics.count.commandsReleased += 1;
    this.log("info", "command given back: its connection is gone", { commandId });
  }
}
