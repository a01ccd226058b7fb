const SECOND = 1000;
const MINUTE = 60 * SECOND;
const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Every limit of the bridge, with its unit in the name or the comment. The bridge holds nothing from a stranger that is
 * not bounded by a row of this table.
 */
export const LIMITS = {
  // Connections
  /** TCP and TLS connections held at once; over it, the one that has been silent longest without a frame makes room. */
  connections: 20_000,
  /** Length of the kernel's accept queue: a whole fleet reconnects in the same second after an outage. */
  backlog: 4096,
  /** Bytes of one frame on the wire: what five digits of length can say. Real trackers stay under 2 KiB. */
  frameBytes: 65_543,
  /** Bytes skipped as garbage since the last good frame before the peer is closed. */
  garbageBytes: 8 * KIB,
  /** From the first byte of a frame to its last. A link that fades in the middle comes back; a peer that drips does not. */
  frameMs: 2 * MINUTE,
  /** Bytes held for unfinished frames of all connections together, and what one may hold even then. */
  unfinishedBytes: 64 * MIB,
  unfinishedFairBytes: 4 * KIB,
  /** From connect to the first good frame. Nothing is lost by closing: a tracker connects again when it has a report. */
  strangerMs: 2 * MINUTE,
  /** Between two reads once a tracker has sent a frame. Sleeping trackers report hourly by default, so an hour and slack. */
  idleMs: 75 * MINUTE,
  /** First TCP keep-alive probe after this silence; the kernel then finds half-open connections long before idleMs. */
  keepAliveMs: 10 * MINUTE,
  /** After the tracker closed its side, its last frames may still be answered for this long. */
  lingerMs: 30 * SECOND,
  /** TLS handshake, from connect. */
  handshakeMs: 20 * SECOND,
  /** One timer looks at all connections this often: 10,000 timers would cost more than the connections. */
  sweepMs: 5 * SECOND,
  /** Bytes waiting to go down on one connection; a peer that does not read its replies is closed. */
  replyBytes: 16 * KIB,
  /** Different IMEIs on one connection that can be reached by commands (gateways multiplex trackers). */
  imeisPerConnection: 256,
  /** Addresses kept for UDP; over it, the one silent longest is forgotten. */
  udpPeers: 50_000,
  /** A UDP peer's last address is used this long: address translation on mobile networks forgets it after minutes. */
  udpPeerMs: 5 * MINUTE,
  /** Receive buffer asked of the kernel for the UDP socket, bytes. */
  udpReceiveBytes: 4 * MIB,

  // Spool
  /** All segment files together, bytes. One day of 10,000 trackers that report every 30 s is about 6 GiB. */
  spoolBytes: 8192 * MIB,
  /** One preallocated segment file, bytes. */
  segmentBytes: 64 * MIB,
  /** A segment in which everything was answered is closed and deleted at this age, so that no position lingers in it. */
  segmentAgeMs: 60 * MINUTE,
  /** Share of a segment that is used before the next one is prepared. */
  prepareAt: 0.5,
  /** One group of records in memory, bytes; a commit takes as many groups as are waiting. */
  slabBytes: 256 * KIB,
  /** Bytes that wait for the disk before sockets are no longer read. */
  pendingBytes: 8 * MIB,
  /** Bytes already on disk that are kept in memory for delivery; a longer backlog is read back from the segments. */
  recentBytes: 16 * MIB,
  /** Between two tries while the disk is full or failing. */
  diskRetryMs: 500,
  /** A stretch of a segment that cannot be read is tried for this long before the rest is delivered without it. */
  unreadableMs: MINUTE,
  /** Length of such a stretch, bytes. */
  unreadableBytes: 64 * KIB,
  /** Between two writes of the cursor file, which only shortens the redelivery after a restart. */
  cursorMs: SECOND,
  /**
   * Frames set aside as undeliverable or damaged, bytes on disk in all, and how long they are kept, an hour more at most:
   * nobody can tell whose they are, and whoever is erased must be gone from everywhere within a business day.
   */
  parkedBytes: 16 * MIB,
  parkedMs: 20 * 60 * MINUTE,
  /** Bytes of one damaged stretch of a segment that are set aside; the rest is counted only. */
  damagedBytes: 64 * KIB,

  // Delivery
  /** Frames, bytes and waiting time of one batch, whichever is reached first. */
  batchFrames: 2000,
  batchBytes: MIB,
  batchMs: 100,
  /** An empty request asks for commands after this silence. */
  pollMs: 3 * SECOND,
  /** One request, from connect to the last byte of the answer. */
  requestMs: 30 * SECOND,
  /** Bytes of an answer; more is a failure. */
  responseBytes: 4 * MIB,
  /** First wait after a failure; doubles with each, half of it random, up to the longest. */
  backoffMs: 100,
  backoffMaxMs: 60 * SECOND,
  /** Longest Retry-After that is honoured to the letter. */
  retryAfterMaxMs: 15 * MINUTE,
  /** Failures of the same batch (timeout, 5xx, broken answer) before it is halved: it may be too much for one request. */
  splitAfter: 3,
  /** Commands claimed at the same time. */
  claims: 1024,
  /** While stopping: time to deliver what is spooled. What is left is delivered after the next start. */
  drainMs: 3 * SECOND,
} as const satisfies Record<string, number>;

export type Limits = { readonly [name in keyof typeof LIMITS]: number };
