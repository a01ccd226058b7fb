/** Every number of the fault harness that is not part of a row's injection. The name ends in the unit. */
export const LIMITS = {
  /** A tracker takes its connection for dead when a frame is not answered for this long. */
  replyTimeoutMs: 8_000,
  /** The same over UDP, where nothing tells that the bridge was away. */
  datagramReplyMs: 2_500,
  /** One in this many of the trackers that are confirmed sends over UDP. */
  datagramTrackersEvery: 5,
  /** Trackers connect again after a random time in this span. */
  reconnectMinMs: 20,
  reconnectMaxMs: 250,
  /** Pause between two frames of a tracker that sends without confirmation. */
  streamGapMs: 40,
  /** Pause between frames once a row has its positions and only waits for its faults. */
  trickleGapMs: 250,
  /** From queueing a command to its bytes on the tracker's connection: the bridge asks every few seconds. */
  commandMs: 10_000,
  /** Until the bridge has noticed that a peer on this machine closed. */
  noticedMs: 300,
  /** Share of the frames that are written in two pieces. */
  splitFrames: 0.05,
  /** One acknowledged frame in this many is looked up in the database at once. */
  ackChecksEvery: 150,

  /** After a fault is over: until every tracker is answered and the bridge holds nothing more. */
  drainMs: 90_000,
  pollMs: 100,
  /** A frame that the bridge received this long before it died is on its disk, also on a busy machine. */
  unsyncedMs: 1_500,
  /** A process that must start or end, at most. */
  processMs: 30_000,
  /** A fail-point that was armed but not passed: the bridge is killed after this time all the same. */
  failpointMs: 6_000,
  /** From the start of the bridge's process to its first connection (median over a row). */
  restartMs: 1_000,

  /** Garbage from one peer: well above what the bridge must put up with. */
  garbageBytes: 128 * 1024,
  /** Resident memory of the bridge under its worst peers. */
  bridgeBytes: 200 * 1024 * 1024,
  /** Descriptors that a busy bridge may hold besides its peers' (a request more to the edge, a segment). */
  filesSlack: 8,
  /** Requests of a bridge in its longest outage: with doubling pauses from 100 ms there are far fewer. */
  outageRequests: 40,
  /** Clocks and loops of two processes are this far apart at most. */
  clockSlackMs: 100,

  /** Frames of a failed batch that are looked up in the database. */
  inspectedFrames: 40,

  /** More than the records of a device that have the same fix time. */
  sameTime: 4,
  /** Keys of the harness' account, used in turn: what one may ask in a minute is limited. */
  keys: 20,
  /** Devices of a row that are also read through the HTTP API. */
  apiDevices: 3,
  /** Longest list of examples kept for one kind of finding. */
  examples: 5,
  healthMs: 2_000,
  requestTimeoutMs: 60_000,
} as const;
