/** Everything is counted since the start of the process. Nothing here names a device, a place or an address. */
export const COUNTERS = {
  connectionsOpened: ["bridge_connections_opened_total", "TCP and TLS connections accepted"],
  acceptErrors: ["bridge_accept_errors_total", "Connections the system could not hand over, for want of files for one"],
  datagrams: ["bridge_datagrams_total", "UDP datagrams read"],
  datagramsUnread: ["bridge_datagrams_unread_total", "UDP datagrams not taken because the spool was held"],
  bytesRead: ["bridge_read_bytes_total", "Bytes read from trackers"],
  bytesSkipped: ["bridge_skipped_bytes_total", "Bytes between frames that were not part of any"],
  framesRead: ["bridge_frames_read_total", "Whole frames cut from the streams"],
  framesSpooled: ["bridge_frames_spooled_total", "Frames on disk: from here on they count as received"],
  bytesSpooled: ["bridge_spooled_bytes_total", "Bytes written to the spool, record headers included"],
  framesDelivered: ["bridge_frames_delivered_total", "Frames the edge answered"],
  requests: ["bridge_edge_requests_total", "Requests sent to the edge"],
  requestsSplit: ["bridge_edge_splits_total", "Batches made smaller after a failure"],
  repliesSent: ["bridge_replies_sent_total", "Replies written to trackers"],
  repliesDropped: ["bridge_replies_dropped_total", "Replies whose connection was gone"],
  commandsClaimed: ["bridge_commands_claimed_total", "Commands asked for because the tracker is connected here"],
  commandsSent: ["bridge_commands_sent_total", "Commands written to trackers"],
  commandsReleased: ["bridge_commands_released_total", "Commands given back because the connection was gone"],
  segmentsDeleted: ["bridge_segments_deleted_total", "Spool segments deleted because all in them was answered"],
} as const satisfies Record<string, readonly [name: string, help: string]>;

/** Why a connection ended. */
export const CLOSE_REASONS = [
  "peer",
  "error",
  "idle",
  "silent",
  "frame_time",
  "frame_bytes",
  "garbage",
  "reply_backlog",
  "evicted",
  "full",
  "stopping",
] as const;
export type CloseReason = (typeof CLOSE_REASONS)[number];

/** How a request to the edge failed; what follows is in FAILURES of delivery.ts. */
export const EDGE_FAILURES = [
  "network",
  "interrupted",
  "timeout",
  "busy",
  "server",
  "answer",
  "unauthorized",
  "rejected",
  "unexpected",
] as const;
export type EdgeFailure = (typeof EDGE_FAILURES)[number];

export const PARK_REASONS = ["rejected", "damaged"] as const;
export type ParkReason = (typeof PARK_REASONS)[number];

/** Counters with one label. Listed values are shown from the start, at 0; others when they first occur. */
export const FAMILIES = {
  closes: ["bridge_connections_closed_total", "reason", "Connections ended, by reason", CLOSE_REASONS],
  refused: ["bridge_frames_refused_total", "code", "What looked like a frame and was not, by codec error code", []],
  outcomes: ["bridge_frame_outcomes_total", "outcome", "What the edge said of each frame", []],
  edgeErrors: ["bridge_edge_errors_total", "kind", "Requests to the edge that failed", EDGE_FAILURES],
  parked: ["bridge_frames_parked_total", "reason", "Frames set aside instead of delivered", PARK_REASONS],
  diskErrors: ["bridge_disk_errors_total", "code", "File operations of the spool that failed", []],
} as const satisfies Record<string, readonly [name: string, label: string, help: string, values: readonly string[]]>;

type Counter = keyof typeof COUNTERS;
type Family = keyof typeof FAMILIES;

// Upper bounds in ms; the goals are 1 ms for the median and 8 ms for the 99th percentile.
const SYNC_BUCKETS_MS = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 512, 2048];

export interface Gauge {
  name: string;
  help: string;
  value(): number;
}

export class Metrics {
  readonly count = Object.fromEntries(Object.keys(COUNTERS).map((key) => [key, 0])) as Record<Counter, number>;
  private readonly families = Object.fromEntries(
    Object.entries(FAMILIES).map(([key, [, , , values]]) => [
      key,
      new Map(values.map((value) => [value as string, 0])),
    ]),
  ) as Record<Family, Map<string, number>>;
  private readonly syncCounts = SYNC_BUCKETS_MS.map(() => 0);
  private syncTotal = 0;
  private syncSumMs = 0;
  private readonly gauges: Gauge[] = [];

  add(family: Family, value: string, by = 1): void {
    const counts = this.families[family];
    counts.set(value, (counts.get(value) ?? 0) + by);
  }

  of(family: Family, value: string): number {
    return this.families[family].get(value) ?? 0;
  }

  /** One group commit: from the first append in it until it was on the disk. */
  synced(ms: number): void {
    this.syncTotal += 1;
    this.syncSumMs += ms;
    const at = SYNC_BUCKETS_MS.findIndex((bound) => ms <= bound);
    if (at >= 0) this.syncCounts[at]! += 1;
  }

  /** A value that is asked for when the metrics are read. */
  gauge(gauge: Gauge): void {
    this.gauges.push(gauge);
  }

  /** Prometheus text format, version 0.0.4. */
  text(): string {
    const lines: string[] = [];
    const head = (name: string, help: string, type: string): void => {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    };
    for (const [key, [name, help]] of Object.entries(COUNTERS)) {
      head(name, help, "counter");
      lines.push(`${name} ${this.count[key as Counter]}`);
    }
    for (const [key, [name, label, help]] of Object.entries(FAMILIES)) {
      head(name, help, "counter");
      for (const [value, count] of this.families[key as Family]) lines.push(`${name}{${label}="${value}"} ${count}`);
    }
    for (const { name, help, value } of this.gauges) {
      head(name, help, "gauge");
      lines.push(`${name} ${value()}`);
    }
    const name = "bridge_spool_sync_seconds";
    head(name, "Time from the first frame of a group to the group being on disk", "histogram");
    let below = 0;
    for (const [at, bound] of SYNC_BUCKETS_MS.entries()) {
      below += this.syncCounts[at]!;
      lines.push(`${name}_bucket{le="${bound / 1000}"} ${below}`);
    }
    lines.push(`${name}_bucket{le="+Inf"} ${this.syncTotal}`);
    lines.push(`${name}_sum ${this.syncSumMs / 1000}`, `${name}_count ${this.syncTotal}`);
    return `${lines.join("\n")}\n`;
  }
}
