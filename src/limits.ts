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

  /** A link to an export holds this long, and a person has so many. */
  exportLinkMs: 72 * 3_600_000,
  exportLinks: 20,
  /** Rows of a table, and positions of a track, that making an export has in memory. */
  exportRows: 500,
  exportTrackPage: 8000,
  /** Positions in a file of an export at most, so that none reaches 4 GiB; how often its link is looked at meanwhile. */
  exportFileRows: 3_000_000,
  exportCheckMs: 10_000,

  /** One request of an import, and the devices of one. */
  importBytes: 1024 * 1024,
  importDevices: 5000,

  /** Beyond every time that can be stored: what a window without a bound reaches to. */
  timeMs: 8.64e15,

  /** Clock sanity of a fix: outside these the receive time is used and the device's own time is kept aside. */
  fixTimeMinMs: Date.UTC(2010, 0, 1),
  fixTimeAheadMs: 24 * 3_600_000,

  /** A period is counted from the fix if it lies between these and the receive time, else from the receive time. */
  fixPlausibleMs: 400 * 24 * 3_600_000,
  fixPlausibleAheadMs: 10 * 60_000,
  /** The longest period that can be chosen: about ten years. */
  retentionDaysMax: 3650,
  groupsPerAccount: 200,
  /** Counts of what retention deleted are kept for so many days, and the newest shown. */
  purgesDays: 400,
  purgesShown: 92,

  /** A frame may seem to come this much before its device was registered: the clocks of bridge and edge differ. */
  registeredSkewMs: 60_000,

  /** How often an ingest repeats a batch because the registry changed under it, before the bridge must retry. */
  registryRetries: 16,
  /** Memory for batches that an isolate keeps between requests, about a megabyte each. */
  spareReaders: 8,
  /** IMEIs that an isolate remembers; then it begins again. */
  registryEntries: 200_000,

  /** Records that an isolate knows again at once when they come twice; a power of two. */
  recentRecords: 65_536,
  /** Positions of one batch of the inbox: a position's id is its batch's times this, plus its number in it. */
  batchPositions: 1024,
  /** A chunk of a batch holds at least so many, so that sealing it costs little for each. */
  chunkPositions: 128,
  /** Batches are merged when there are so many, or so many positions in them, or the oldest came so long ago. */
  mergeBatches: 512,
  mergePositions: 64_000,
  mergeBytes: 8_000_000,
  /** While more batches wait, the answer to who brings more waits for merging: so many times, so long each. */
  inboxBatches: 1024,
  inboxWaits: 50,
  inboxWaitMs: 100,
  /** A step of settling takes no more of what waits when it holds so many bytes of texts and unreadable parts of frames. */
  settleTailBytes: 4_000_000,
  mergeAfterMs: 10 * 60_000,
  /** A part is settled when it holds so many positions or bytes, or the oldest came so long ago. */
  partPositions: 24_576,
  partBytes: 4_000_000,
  settleAfterMs: 30 * 60_000,
  /** Parts that one run settles, and how many of them at a time; how long a run holds the lease; how long it works. */
  partsPerRun: 128,
  partsAtOnce: 2,
  settleLeaseMs: 60_000,
  settleRunMs: 20_000,
  /** The inbox gets another key after this long; what is settled is deleted after this long, and then the old keys. */
  inboxKeyMs: 30 * 60_000,
  /** A runner of erasures holds its lease for this long, uses so many statements a turn, and works so long in one run. */
  erasureLeaseMs: 60_000,
  erasureStatements: 2000,
  erasureRunMs: 20_000,
  /** After a failure it is tried again after this long, twice as long each time up to the most. */
  erasureRetryMs: 5_000,
  erasureRetryMaxMs: 10 * 60_000,
  /** A piece of a copy that must be kept; copies that are let go together, and how often in one run. */
  heldPieceBytes: 1024 * 1024,
  heldPartsAStep: 100,
  heldReleases: 20,
  /** Positions that must be kept longer are copied this long before their period ends. */
  keepAheadMs: 2 * 3_600_000,
  /** What is left of an account is sealed under another secret for so long in one turn; its lease is longer. */
  sealAnewMs: 20_000,
  /** What was corrected outside a request opens in no older copy so long afterwards: an account's corrections go together. */
  correctedMs: 3_600_000,
  /** A correction that comes so shortly before another one is carried out is not among those. */
  correctedMarginMs: 5 * 60_000,
  /** A segment is not added to when it has so many positions, or spans so long and has at least the fewest. */
  segmentPositions: 400,
  segmentMs: 200 * 60_000,
  /** The span of one that only the customer can open. */
  closedSegmentMs: 50 * 60_000,
  segmentPositionsMin: 60,
  /** Or when it would have more bytes than this, with which a row fills a page of the database and does not overflow it. */
  segmentBytes: 3900,
  segmentTailBytes: 256 * 1024,
  /** A record without a usable clock is known again for this long. */
  clocklessMs: 8 * 24 * 3_600_000,
  /** What waits to be settled is hardly older than this, even where a settler was away for a while. */
  tailMs: 3 * 3_600_000,
  /** Devices, by their ids, whose newest fixes lie in one row. */
  newestDevices: 64,
  /** Accounts that retention reads at a time. */
  accountsAStep: 100,
  /** What is sealed under secrets of a period that no longer decides is sealed anew, so many segments at a time; it is
   * done when nothing is left so long after the change. */
  resealSegments: 64,
  resealAfterMs: 5 * 60_000,
  /** Devices whose tracks one statement of it looks at. */
  devicesAStep: 500,
  /** Segments that one statement of a deletion takes: 2 ms in trials. */
  deleteSegments: 80,
  /** Segments that are written anew at a time without what is past its period; those whose end comes this soon are not. */
  rewriteSegments: 50,
  straddleMs: 50 * 60_000,
  /** Rows of an earlier version that one step moves into segments, and steps of one run. */
  convertRows: 4000,
  convertSteps: 100,
  /** Memory for positions that an isolate keeps for settling. */
  spareStored: 2,
  /** What an isolate keeps of the inbox as it was opened, for the next read of the same. */
  tailCacheBytes: 8_000_000,
  /** Memory that an isolate keeps for writing pages as JSON: the largest, and as much again. */
  jsonMemoryBytes: 1_048_576,
  /** Segments that one step of a read opens. */
  segmentsARead: 24,

  /** What other copies must drop is listed this long; then they read everything anew. */
  tombstonesMs: 100 * 24 * 3_600_000,
  /** A tracker that was erased is answered, and nothing of it kept, for this long; how often what it sent is logged. */
  /** What comes late of a time in which it was suspended is not taken, for this long after. */
  suspensionsMs: 400 * 24 * 3_600_000,
  silencedMs: 400 * 24 * 3_600_000,
  silencedEveryMs: 60_000,

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

  /** What trackers of an erasure are told waits this long for a bridge, and the erasure, which looks this often, this long
   * for their answers: less than one run of the job. Told are those that sent so lately, where a bridge was there so lately, and so many of one erasure. */
  clearMs: 15_000,
  clearPollMs: 1000,
  clearOnlineMs: 15 * 60_000,
  bridgeLatelyMs: 2 * 60_000,
  clearTrackers: 500,

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
    /** A signed-in person, by session. */
    user: { requests: 1200, windowS: 60 },
    staff: { requests: 1200, windowS: 60 },
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
  /** Moves of tracks that one run of the job takes up; how long it copies; how long an account's trackers wait at most. */
  movesPerRun: 20,
  moveRunMs: 30_000,
  moveHoldMs: 10_000,
  /** Devices, and days of devices, whose segments are compared at a time; what one statement copies or erases. */
  moveDevices: 50,
  moveDays: 100,
  moveSegments: 200,
  moveNewest: 100,
  /** What was moved is erased at its source after this long: reads that began before have ended. */
  moveGraceMs: 60_000,
  /** Batches that may come to the source while a move ends, for whomever: the ids of the other database begin beyond. */
  moveBatches: 1_000_000,
  /** Steps that one part is settled in, when all of it must be at once. */
  drainTries: 1000,
  /** Placements of an account that are shown. */
  placementsShown: 50,
  /** Devices whose removal one run of the job takes up. */
  removalsPerRun: 100,
  /** A session ends this long after sign-in, and when nothing was asked with it for the idle time. */
  sessionMs: 30 * 24 * 3_600_000,
  sessionIdleMs: 7 * 24 * 3_600_000,
  staffSessionMs: 12 * 3_600_000,
  staffSessionIdleMs: 3_600_000,
  /** The time of a session's last use is written at most this often. */
  sessionSeenEveryMs: 60_000,
  sessionsPerUser: 50,
  /** The network of a session is kept this long. */
  networkMs: 14 * 24 * 3_600_000,
  /** A dangerous act needs a proof of identity that is not older than this. */
  stepUpMs: 15 * 60_000,

  emailCharacters: 254,
  passwordMinCharacters: 10,
  passwordMaxCharacters: 200,
  /** scrypt: 16 MiB and about 60 ms. */
  scrypt: { N: 16_384, r: 8, p: 1 },
  /** Devices that one user or key can be limited to. */
  devicesPerLimit: 1000,
  usersPerAccount: 500,
  keysPerAccount: 500,
  /** How long the operator's staff may be let see locations at a time. */
  windowMinMinutes: 15,
  windowMaxMinutes: 24 * 60,

  /**
   * Failures that block: `free` are without consequence in the window, each further one blocks for twice as long as the
   * one before.
   */
  throttles: {
    /** Passwords, by address. */
    password: { free: 10, windowMs: 3_600_000, blockMs: 60_000, blockMaxMs: 3_600_000 },
    /** Six-digit codes and recovery codes, by user. */
    code: { free: 5, windowMs: 3_600_000, blockMs: 5 * 60_000, blockMaxMs: 3_600_000 },
    /** Mails that a stranger can make us send to one address. */
    mail: { free: 5, windowMs: 3_600_000, blockMs: 3_600_000, blockMaxMs: 3_600_000 },
    /** Invitations, by account. */
    invite: { free: 50, windowMs: 24 * 3_600_000, blockMs: 3_600_000, blockMaxMs: 24 * 3_600_000 },
    /** Activation codes, by IMEI. */
    activation: { free: 5, windowMs: 3_600_000, blockMs: 3_600_000, blockMaxMs: 3_600_000 },
    /** The same, of whatever IMEI, by account. */
    activationAccount: { free: 30, windowMs: 3_600_000, blockMs: 3_600_000, blockMaxMs: 3_600_000 },
    /** Codes that show, beside a mail, whose request it is; by user. */
    identity: { free: 5, windowMs: 3_600_000, blockMs: 3_600_000, blockMaxMs: 3_600_000 },
  },

  /** A registration that nobody confirms is forgotten. */
  unverifiedMs: 7 * 24 * 3_600_000,

  /** Links in mails: confirming a registration or an invitation; resetting a password; changing an address. */
  signupLinkMs: 7 * 24 * 3_600_000,
  resetLinkMs: 3_600_000,
  changeLinkMs: 24 * 3_600_000,
  /** A change of the e-mail address can be taken back from the old one; so can second factors that were added. */
  takeBackMs: 72 * 3_600_000,
  /** Between the two factors of a sign-in, and for a passkey's challenge. */
  pendingMs: 10 * 60_000,
  /** Codes that can be tried on one pending sign-in. */
  pendingTries: 5,

  /** Recovery codes of a second factor. */
  recoveryCodes: 10,
  passkeysPerUser: 20,
  /** What a person is shown of what happened to their own security. */
  securityActsMs: 30 * 24 * 3_600_000,
  securityActs: 50,

  /** What was done, by whom, and who looked at locations is kept this long. */
  auditMs: 3 * 365 * 24 * 3_600_000,

  /** A mail is tried for this long. */
  mailMs: 24 * 3_600_000,
  /** Mails of one run of the job, and failures that end it. */
  mailsPerRun: 100,
  mailFailuresPerRun: 5,

  /** Terms that a person looked for, where they want them kept; what one search finds; devices looked at last. */
  searchesMs: 30 * 24 * 3_600_000,
  searchCharacters: 100,
  searchesShown: 200,
  searchFinds: 50,
  recentDevices: 10,
  /** Rows of a table that "what is held" shows, newest first; rows of a tracker are counted up to this many. */
  heldRows: 200,
  heldCount: 100_000,
  addressCharacters: 200,

  /** A published text, and one act of publishing it in all its languages. */
  documentBytes: 100 * 1024,
  documentTexts: 8,
  publishingBytes: 1024 * 1024,
  /** Between the announcement of a material change and its effect, where the operator names no time. */
  noticeMs: 30 * 24 * 3_600_000,
  /** Owners who are told of a change by one statement, and statements of one run. */
  announceRows: 200,
  announceChunks: 50,
  /** What a hostname shows is remembered this long, of so many hostnames. */
  brandMs: 30_000,
  brandEntries: 1000,
  logoBytes: 64 * 1024,

  /** Trackers that one request can load, and their list as CSV. */
  activationsPerRequest: 1000,
  activationCsvBytes: 256 * 1024,
  /** A sold tracker that nobody activates is forgotten after this long. */
  activationMs: 3 * 365 * 24 * 3_600_000,

  /** Form of a page. */
  formBytes: 512 * 1024,

  /** The link that makes the first administrator. */
  setupLinkMs: 7 * 24 * 3_600_000,
  /** Training of staff: attested for a year at most; the first administrator's own; told of when it ends soon. */
  trainingMaxMs: 366 * 24 * 3_600_000,
  firstTrainingMs: 365 * 24 * 3_600_000,
  trainingSoonMs: 30 * 24 * 3_600_000,
  /** Why the operator looks at what is masked, or suspends: the customer reads it. */
  reasonMinCharacters: 10,
  reasonMaxCharacters: 200,

  /** A bridge's last delivery is written at most this often. */
  bridgeSeenEveryMs: 60_000,
  /** The ingest rate is counted over this long, in this many of the newest batches. */
  rateWindowMs: 5 * 60_000,
  rateBatches: 512,

  /** A destroyed secret is out of every isolate's memory after this long: each reads the list of destructions again. */
  shredEveryMs: 60_000,
  /** Destructions are listed this long, and so many of them: longer than the escrow may be old. */
  shredsMs: 2 * 24 * 3_600_000,
  shreds: 4096,
  /** Secrets and keys that an isolate keeps in memory; a key object is read anew after this long, whatever happens. */
  vaultSecrets: 100_000,
  vaultKeys: 24_576,
  vaultObjectMs: 15 * 60_000,
  /** A key id that was not there is not asked for again for this long. */
  vaultAbsentMs: 10_000,
  /** How often a change of a key object is tried when somebody else changes it too. */
  vaultTries: 40,
  /** A key of an inbox seals for inboxKeyMs, and what it sealed may take this much longer to be stored. */
  inboxKeyGraceMs: 5 * 60_000,
  /** The escrow is brought up to date when it is older than this; so many objects a run. */
  escrowMs: 20 * 3_600_000,
  escrowObjects: 2000,
  /** Entries of the ledger in an object of its mirror, and in a page of those that are read. */
  ledgerChunk: 100,
  ledgerPage: 5000,
  /** What was added to the ledger is under a signed head after this long; heads that are published. */
  ledgerHeadMs: 24 * 3_600_000,
  ledgerHeadsShown: 400,
  /** Heads of before that one request compares. */
  ledgerHeadsCompared: 100,
  /** Whether the database was restored is looked at this often in each isolate; while it was, this often. */
  currentEveryMs: 60_000,
  restoredEveryMs: 1000,
  /** Accounts that a step of a replay looks at; how long one run works. */
  replayAccounts: 50,
  replayRunMs: 20_000,
  /** What is wrong with it that one check names. */
  ledgerFaults: 100,
  /** Key objects that one request of an operator looks at, wraps anew or restores. */
  keyObjects: 200,

  /** Rows with clear values of before that are sealed in a step, by one request that waits, and by one run of the job. */
  sealRows: 200,
  sealRowsPerRequest: 1000,
  sealRowsPerRun: 20_000,
  /** Accounts whose secrets one run of the job destroys. */
  goneAccountsPerRun: 500,
  /** When nothing was left, it is looked for once more after this long. */
  sealAgainMs: 24 * 3_600_000,

  /** A settler remembers the customer's half of a key for this long, and so many of them: src/customer-sealed.ts. */
  customerHalfMs: 10 * 60_000,
  customerHalves: 10_000,

  /** Retention runs every ten minutes; when none has ended well for so long, health says so. */
  retentionLateMs: 2 * 3_600_000,
  /** A read that met what was just being moved is made again so often. */
  movedTries: 5,
  /** What does not open is written down once in this time by each isolate, which knows so many; kept, and told of. */
  brokenEveryMs: 3_600_000,
  brokenNoted: 10_000,
  brokenMs: 30 * 24 * 3_600_000,
  brokenLatelyMs: 7 * 24 * 3_600_000,
  /** Health warns when the working days of so much time ahead are not known. */
  calendarAheadMs: 60 * 24 * 3_600_000,
  /** After so many days off in a row the next one counts as a working day, whatever a calendar says. */
  daysOffInRow: 31,
  /** Days that an operator's calendar has of its own, and that one request changes. */
  calendarDays: 3000,
  calendarChanges: 500,
  /** Requests of a type that one person may make in a day; a link that shows, with a code, whose it is. */
  requestsADay: 3,
  requestDayMs: 24 * 3_600_000,
  requestLinkMs: 3_600_000,
  /** What nobody could say whose it is ends after this long; what the staff confirmed counts this long after its notice. */
  requestPendingMs: 7 * 24 * 3_600_000,
  requestNoticeMs: 24 * 3_600_000,
  /** After its end: how it was found out who asked is forgotten; the request and its receipt are. */
  requestEvidenceMs: 30 * 24 * 3_600_000,
  requestsMs: 3 * 365 * 24 * 3_600_000,
  /** Two presses of SOS on a tracker of the account count as evidence in so long; what comes is looked at a little longer. */
  proofMs: 10 * 60_000,
  proofGraceMs: 2 * 60_000,
  /** Links for who drives or carries a tracker: so many of a device in force, each for so long at most. */
  subjectLinks: 50,
  subjectLinkMs: 90 * 24 * 3_600_000,
  subjectLinkMaxMs: 400 * 24 * 3_600_000,
  subjectPeriodMaxMs: 400 * 24 * 3_600_000,
  /** What is asked with one in a day; how long the customer has for an answer, before the operator's staff decide. */
  subjectRequestsADay: 3,
  subjectAnswerMs: 10 * 24 * 3_600_000,
  /** An erasure that was said yes to counts at once, and after so long when whoever said so was stopped half-way. */
  subjectVerifyMs: 60_000,
  /** What was asked can be read so long after its answer, also when the link is over. */
  subjectAnsweredMs: 90 * 24 * 3_600_000,
  /** Requests that one run of their job looks at. */
  requestsPerRun: 500,
  /** A restriction whose own call has not ended it by then is ended by the job. */
  requestLeftMs: 60_000,
  /** What is kept of a request beside the keys, and the database does not know, is dropped after this long. */
  keptUnknownMs: 3_600_000,

  /** An order that keeps something ends by itself, and is looked at again; staff are told of that so often. */
  holdMaxMs: 1096 * 24 * 3_600_000,
  holdReviewMs: 180 * 24 * 3_600_000,
  holdTellMs: 7 * 24 * 3_600_000,
  /** How long staff may be let read what is kept. */
  legalMaxMs: 366 * 24 * 3_600_000,
  /** What is owed is written down in so many characters, and over after this long. */
  obligationCharacters: 4000,
  obligationMaxMs: 3653 * 24 * 3_600_000,

  /** Job runs are listed for this long. */
  jobRunsMs: 30 * 24 * 3_600_000,
} as const;
