import { LIMITS } from "./limits.ts";
import type { Category, Purpose, Retention } from "./store/personal.ts";
import type * as schema from "./store/schema.ts";

// What the data map's names mean, in words: for the README, /.well-known/privacy.json and the record of processing. None
// of it is in the Worker.

/** What the statement says is done with personal data. */
export const VERBS = ["collect", "use", "disclose", "protect", "store", "transfer"] as const;
export type Verb = (typeof VERBS)[number];

/** Who gets to see something. */
export const RECIPIENTS = {
  customer: "the account's own people, each as far as they may",
  operator: "the operator's trained staff: numbers and masked words, more only with a reason that the customer reads",
  supported: "the operator's staff, in a time that the customer opened for them",
  host: "who hosts the database, the key store and the program: what people say is sealed",
  mailProvider: "the operator's mail service",
  everybody: "everybody",
} as const;
export type Recipient = keyof typeof RECIPIENTS;

interface Activity {
  what: string;
  verbs: readonly Verb[];
  recipients: readonly Recipient[];
}

export const PURPOSE_WORDS: Readonly<Record<Purpose, Activity>> = {
  account: {
    what: "Keep an account and the people who use it",
    verbs: ["collect", "use", "store"],
    recipients: ["customer", "operator", "host"],
  },
  access: {
    what: "Let in who may come in, and nobody else",
    verbs: ["collect", "use", "protect", "store"],
    recipients: ["customer", "host"],
  },
  orders: {
    what: "Know where bills and parcels go",
    verbs: ["collect", "use", "store"],
    recipients: ["customer", "operator", "host"],
  },
  activation: {
    what: "Register trackers that were bought",
    verbs: ["collect", "use", "store"],
    recipients: ["customer", "operator", "host"],
  },
  consent: {
    what: "Know which statement and terms were accepted",
    verbs: ["collect", "store"],
    recipients: ["customer", "operator", "host"],
  },
  tracking: {
    what: "Show where devices are and were",
    verbs: ["collect", "use", "protect", "store"],
    recipients: ["customer", "supported", "host"],
  },
  control: {
    what: "Send commands to trackers and show their replies",
    verbs: ["collect", "use", "store"],
    recipients: ["customer", "host"],
  },
  residence: {
    what: "Keep tracks in the region that they belong in",
    verbs: ["transfer", "store"],
    recipients: ["customer", "operator", "host"],
  },
  mail: {
    what: "Send mails that the account needs",
    verbs: ["use", "disclose", "transfer", "store"],
    recipients: ["mailProvider", "host"],
  },
  personalisation: {
    what: "Remember what a person asked to have remembered",
    verbs: ["collect", "use", "store"],
    recipients: ["customer", "host"],
  },
  support: {
    what: "Help a customer who asks for it",
    verbs: ["use", "disclose", "store"],
    recipients: ["customer", "operator", "supported", "host"],
  },
  accountability: {
    what: "Show who did what",
    verbs: ["collect", "use", "protect", "store"],
    recipients: ["customer", "operator", "host"],
  },
  rights: {
    what: "Carry out what people ask for by right, and prove it",
    verbs: ["use", "protect", "store"],
    recipients: ["customer", "operator", "host"],
  },
  holds: {
    what: "Keep what a law or an order forbids to erase, and nothing else",
    verbs: ["store", "protect", "disclose"],
    recipients: ["operator", "host"],
  },
  publishing: {
    what: "Publish the statement, the terms and brands",
    verbs: ["store", "disclose"],
    recipients: ["everybody", "host"],
  },
  operation: { what: "Keep the platform running", verbs: ["use", "store"], recipients: ["operator", "host"] },
};

const days = (ms: number) => `${ms / 86_400_000} days`;
const years = (ms: number) => `${["no", "one", "two", "three"][ms / (365 * 86_400_000)]} years`;

export const RETENTION_WORDS: Readonly<Record<Retention, string>> = {
  account: "as long as the account",
  user: "as long as the user; a registration or an invitation that nobody confirms goes after seven days",
  device: "until the device is deleted",
  group: "until the group is deleted",
  positions:
    "three calendar months after the fix (`RETENTION_MONTHS`), or 1 to 3,650 days as the account, a group or the device says; unreadable to the second, deleted within the hour after; at once when the device is deleted",
  commands: "as long as positions of their device",
  purges: `${LIMITS.purgesDays} days`,
  wrapped: "until the tracks that they open are deleted",
  sold: `until the device is deleted or the operator takes it from the list; ${years(LIMITS.activationMs)} if nobody activates it`,
  keys: `as long as the account; ${years(LIMITS.auditMs)} after they end`,
  sessions: `${days(LIMITS.sessionMs)} at most, seven without use; the network ${days(LIMITS.networkMs)}`,
  links: "until they are used or over",
  mails: "until they are sent, a day at most",
  answers: `${LIMITS.idempotencyMs / 3_600_000} hours; without content from when their device is deleted`,
  searches: days(LIMITS.searchesMs),
  recent: `the newest ${LIMITS.recentDevices}`,
  audit: `${years(LIMITS.auditMs)}; signing in and out 30 days`,
  looks: years(LIMITS.auditMs),
  unclaimed: "a day after they last sent",
  requests: "three years after they are closed, also when the account is gone",
  holds: "three years after they end",
  held: "until the order, the law or the obligation that keeps it ends; then its key is destroyed",
  obligations: "until they are over",
  kept: `until it is done; what was erased of an account that goes on, ${days(LIMITS.tombstonesMs)} longer`,
  tombstones: days(LIMITS.tombstonesMs),
  suspensions: `until they are lifted, and ${days(LIMITS.suspensionsMs)} after`,
  exportLinks: `${LIMITS.exportLinkMs / 3_600_000} hours`,
  subjectLinks: `until the link is over, ${days(LIMITS.subjectLinkMaxMs)} at most; what was asked with it ${days(LIMITS.subjectAnsweredMs)} after its answer`,
  silenced: `${days(LIMITS.silencedMs)} after the erasure`,
  untilShredded: "until the job that destroys their secrets has run twice",
  ledger: "as long as the installation",
  broken: `${days(LIMITS.brokenMs)} after it was last met`,
  jobRuns: `${days(LIMITS.jobRunsMs)} after the run`,
  published: "as long as the operator publishes it, and as acceptances name it",
  operator: "as long as the operator needs it",
  shreds: days(LIMITS.shredsMs),
  spool: "until the edge has them; frames that it refuses for good are set aside for 21 hours at most",
  outbox: "the newest 500",
  logs: "as long as the operator's log keeps them",
  browser: "a year",
};

export const CATEGORY_WORDS: Readonly<Record<Category, string>> = {
  account: "account: names, addresses, numbers, how to sign in (4a)",
  device: "devices and what they are called (4b)",
  location: "whereabouts (4b)",
  log: "what was done, and when (4b)",
  profile: "what people chose for themselves (4c)",
  other: "mails, searches and requests (4d)",
  operation: "the platform's own",
};

type Table = {
  [K in keyof typeof schema]: (typeof schema)[K] extends { $inferSelect: object } ? K : never;
}[keyof typeof schema];

/** What is in the rows of a table, of those that say something about somebody. */
export const TABLE_WORDS: Readonly<Partial<Record<Table, string>>> = {
  accounts: "account: name, state, payment mode, time zone, how long and how much of positions is kept",
  goneAccounts: "numbers of accounts that are gone",
  users:
    "users: e-mail, and if given name and mobile number, language, units, time zone; hash of the password, sealed secret of an authenticator app",
  addresses: "postal addresses of the account",
  acceptances: "what the account accepted and when",
  activations: "trackers that were sold: IMEI, model, firmware, order, hash of the code, who activated it and when",
  placements: "where the account's tracks are and were",
  devices: "device name, model and IMEI, and how long its positions are kept",
  deviceGroups: "groups of devices: name, how long positions are kept",
  purges: "how many positions were deleted on which day",
  positions: "positions that an earlier version stored, until a job has sealed them",
  inbox: "positions that wait to be sorted, sealed",
  runs: "positions that are being sorted, sealed",
  segments:
    "positions of a device, with what of what the tracker sent the account wants stored (driver ids and picture names included), sealed",
  wrappedSecrets: "of an account with sealing keys, the halves of the keys of its tracks that are wrapped to them",
  newest: "newest position of each device, sealed",
  residents: "accounts whose tracks are in a database",
  commands: "commands and their replies",
  unclaimed: "IMEIs that send but belong to nobody; what they send is not kept",
  apiKeys: "API keys: name, rights, hash, last use",
  userDevices: "who is limited to a device",
  keyDevices: "which keys are limited to a device",
  sessions: "sessions: hash of the cookie, browser family, network (an address cut to /24 or /48)",
  passkeys: "passkeys: name, public key, last use",
  recoveryCodes: "hashes of recovery codes",
  tokens: "links and codes from mails (hashes)",
  throttles: "failed tries (keyed hashes)",
  customerKeys: "sealing keys: public key, kind, when registered and revoked",
  mails: "mails that wait to be sent, sealed",
  idempotencyKeys: "answers kept for an `Idempotency-Key` (itself as a hash)",
  audit: "acts of people and staff: ids, fixed words, and the reason where staff must give one",
  supportWindows: "times in which staff may see locations",
  looks: "who looked at locations",
  searches: "what one looked for, only if switched on",
  recentDevices: "devices looked at last, only if switched on",
  requests: "requests: type, state, times, which devices (numbers only, no word about anybody)",
  requestConfirmations: "which of the staff confirmed whose a request is (numbers)",
  requestSteps: "steps of requests: how many rows and keys of which store",
  receipts: "receipts of requests",
  rotations: "which device got a new key for a request (numbers only)",
  silenced:
    "trackers that go on sending after they were erased, as a keyed hash of the IMEI; what they send is answered and not kept",
  tombstones: "what other copies must drop after an erasure: number of the device, from when to when",
  suspensions: "what is suspended: number of the device, why, since when and until when",
  exportLinks: "links to exports: hash of the link, what is in it",
  legalHolds: "orders and claims for which something must not be erased: fixed words, a file number, what is kept",
  statutoryProfiles: "laws that the account says it is under",
  obligations: "what is owed to or by the account, until when, and what must be kept for it",
  heldParts: "what is kept of something that was erased: why, until when, how much",
  subjectLinks:
    "links for who drives or carries a tracker: hash of the link, which device, from when to when; not who has it",
  subjectRequests: "what is asked with such links, and the answers",
  documents: "published texts, with the number of who published them",
  bridges: "bridges: name, hash of the token",
};

/** What is done so that nobody else sees it (GDPR Art. 30 (1) g). */
export const MEASURES = [
  "What people say is sealed with AES-256-GCM under a secret of their account; tracks under secrets of device and day that are destroyed when their period ends",
  "Secrets lie in a key store apart from the database, wrapped under a root key of the configuration",
  "What is looked up is a keyed hash; passwords are scrypt, tokens SHA-256 of 256 random bits",
  "What is deleted is overwritten in the database's files",
  "Staff see masked words; each look in the clear has a reason that the customer reads, and a time that the customer opened",
  "Logs, addresses of pages and the ledger carry numbers and fixed words alone",
] as const;
