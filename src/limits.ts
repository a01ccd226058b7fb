/** Every limit of the edge app in one place. The name ends in the unit; a plain count has none. */
export const LIMITS = {
  /** Body of a JSON request. The bridge's own body limit is ENVELOPE_LIMITS.bodyBytes. */
  jsonBodyBytes: 64 * 1024,
  /** Names of accounts, devices, keys and bridges. */
  nameCharacters: 100,

  pageDefault: 100,
  pageMax: 1000,
  /** Rows that an export holds in memory at a time. */
  exportPage: 1000,

  /** Beyond every time that can be stored: what a window without a bound reaches to. */
  timeMs: 8.64e15,

  /** Clock sanity of a fix: outside these the receive time is used and the device's own time is kept aside. */
  fixTimeMinMs: Date.UTC(2010, 0, 1),
  fixTimeAheadMs: 24 * 3_600_000,

  /** A frame may seem to come this much before its device was registered: the clocks of bridge and edge differ. */
  registeredSkewMs: 60_000,

  /** How often an ingest repeats a batch because the registry changed under it, before the bridge must retry. */
  registryRetries: 16,
  /** Memory for batches that an isolate keeps between requests, about a megabyte each. */
  spareReaders: 8,
  /** IMEIs that an isolate remembers; then it begins again. */
  registryEntries: 200_000,

  /** Unknown IMEIs that an operator can see: the newest this many, each for this long. */
  unclaimed: 500,
  unclaimedMs: 24 * 3_600_000,
  /** One write per unknown IMEI in this time. */
  unclaimedEveryMs: 60_000,
  unclaimedWriteMs: 1000,

  /** A queued command that no tracker took in this time never fires. */
  commandTtlS: 600,
  commandTtlMinS: 10,
  commandTtlMaxS: 24 * 3600,
  commandsOpenPerDevice: 32,
  /** A sent command takes a reply for this long. */
  commandReplyMs: 24 * 3_600_000,
  commandReplyCharacters: 1000,
  /** A reply may seem to come this much before its command: the clocks of bridge and edge differ. */
  replySkewMs: 60_000,

  idempotencyMs: 24 * 3_600_000,

  /**
   * Requests that one caller may make in a window of `windowS`: an API key, the admin token, a bridge, and, for what
   * anyone may call and for credentials that are not valid, an address.
   */
  rate: {
    key: { requests: 6000, windowS: 60 },
    admin: { requests: 600, windowS: 60 },
    bridge: { requests: 60_000, windowS: 60 },
    public: { requests: 300, windowS: 60 },
  },
  /** Callers that are counted at a time, per isolate. */
  rateBuckets: 20_000,

  /** The time of a key's last use is written at most this often. */
  keyUsedEveryMs: 5 * 60_000,
  idempotencyKeyCharacters: 255,
  /** A tracker's clock against UTC: from UTC-12 to UTC+14. */
  clockOffsetMinMinutes: -12 * 60,
  clockOffsetMaxMinutes: 14 * 60,
  /** An answer of /healthz serves every caller for this long, so that it cannot be used to load the database. */
  healthMs: 1000,

  /** Rows that one statement of a deletion takes: 4 ms in trials, 12 at most. */
  deleteRows: 1000,
  /** Statements of one run of a job; a Worker may send 10,000 requests in one run. */
  deleteStatements: 9000,
  /** Statements within a request that removes a device; the job goes on with the rest. */
  removalStatements: 200,
  /** Devices whose removal one run of the job takes up. */
  removalsPerRun: 100,
  /** Job runs are listed for this long. */
  jobRunsMs: 30 * 24 * 3_600_000,
} as const;
