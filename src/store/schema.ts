import { sql } from "drizzle-orm";
import {
  type AnySQLiteColumn,
  customType,
  index,
  integer,
  primaryKey,
  sqliteTable,
  text,
  uniqueIndex,
} from "drizzle-orm/sqlite-core";

// The tables as drizzle sees them. migrations/ makes them (STRICT, triggers and partial indexes are written there);
// test/src/store/schema.test.ts compares the two. Times are Unix ms. Ids are AUTOINCREMENT: they are stream cursors
// and public names, and must not come back after an erasure. Columns that sealed.ts names are sealed, and a column that
// ends in `Index` holds the keyed hash by which another is looked up.

const id = () => integer("id").primaryKey({ autoIncrement: true });
const bytes = customType<{ data: Uint8Array; driverData: Uint8Array | ArrayBuffer }>({
  dataType: () => "blob",
  fromDriver: (value) => (value instanceof Uint8Array ? value : new Uint8Array(value)),
});

const ofAccount = () =>
  integer("account_id")
    .notNull()
    .references(() => accounts.id, { onDelete: "cascade" });
const ofUser = () =>
  integer("user_id")
    .notNull()
    .references((): AnySQLiteColumn => users.id, { onDelete: "cascade" });
const ofDevice = () =>
  integer("device_id")
    .notNull()
    .references((): AnySQLiteColumn => devices.id, { onDelete: "cascade" });

export const ACCOUNT_STATES = ["unverified", "active", "suspended", "closing"] as const;
export type AccountState = (typeof ACCOUNT_STATES)[number];
/** How an account pays; never with what: no card number is ever stored. */
export const PAYMENT_MODES = ["card", "transfer", "wallet", "invoice"] as const;

export const accounts = sqliteTable(
  "accounts",
  {
    id: id(),
    name: text("name").notNull(),
    createdAt: integer("created_at").notNull(),
    state: text("state", { enum: ACCOUNT_STATES }).notNull().default("active"),
    /** Why it is suspended, in the operator's words to the customer. */
    stateReason: text("state_reason"),
    paymentMode: text("payment_mode", { enum: PAYMENT_MODES }),
    /** The newest version that the account accepted. Null: the operator opened it, and nothing is held back. */
    privacyAccepted: integer("privacy_accepted"),
    termsAccepted: integer("terms_accepted"),
    /** Per scope the first UTC day whose secrets are not destroyed yet, as JSON. */
    daysDestroyed: text("days_destroyed"),
    /** IANA name; periods are counted on its calendar. */
    timeZone: text("time_zone").notNull().default("UTC"),
    /** Null: the calendar months of the installation. */
    retentionDays: integer("retention_days"),
    /** Another number with each change of the account's periods: a change names the one it saw. */
    retentionVersion: integer("retention_version").notNull().default(0),
    /** Bits of codec/collect.ts: what of a position is not stored. */
    collection: integer("collection").notNull().default(0),
    nameIndex: text("name_index"),
    /** The database with its tracks. Null: this one. */
    telemetry: text("telemetry"),
    /** Since then it is being erased: nobody reads it and nothing is taken for it. */
    frozenAt: integer("frozen_at"),
  },
  (t) => [
    index("accounts_name_index").on(t.nameIndex),
    index("accounts_elsewhere").on(t.telemetry).where(sql`telemetry IS NOT NULL`),
    index("accounts_unverified").on(t.createdAt).where(sql`state = 'unverified'`),
  ],
);

/** Accounts whose rows are gone, until their secrets are too: src/gone-accounts.ts. */
export const goneAccounts = sqliteTable("gone_accounts", {
  id: integer("id").primaryKey(),
  /** 1: a run of the job has seen it. */
  seen: integer("seen").notNull().default(0),
});

export const CUSTOMER_ROLES = ["owner", "manager", "viewer"] as const;
export const STAFF_ROLES = ["admin", "support", "privacy", "finance"] as const;
export const UNITS = ["metric", "imperial"] as const;

/** Customers' users and, without an account, the operator's staff. */
export const users = sqliteTable(
  "users",
  {
    id: id(),
    accountId: integer("account_id").references(() => accounts.id, { onDelete: "cascade" }),
    role: text("role", { enum: [...CUSTOMER_ROLES, ...STAFF_ROLES] }).notNull(),
    /** Lower case. */
    email: text("email").notNull().unique(),
    emailVerifiedAt: integer("email_verified_at"),
    name: text("name"),
    mobile: text("mobile"),
    mobileVerifiedAt: integer("mobile_verified_at"),
    /** src/passwords.ts */
    passwordHash: text("password_hash"),
    language: text("language").notNull().default("en"),
    units: text("units", { enum: UNITS }).notNull().default("metric"),
    timeZone: text("time_zone").notNull().default("UTC"),
    personalisation: integer("personalisation").notNull().default(0),
    searchHistory: integer("search_history").notNull().default(0),
    /** 1: only the devices in user_devices. */
    deviceLimited: integer("device_limited").notNull().default(0),
    /** Sealed (src/seal.ts); in force since totpSince, null while it is being set up. */
    totpSecret: text("totp_secret"),
    totpSince: integer("totp_since"),
    /** The last time step whose code was used, so that none is used twice. */
    totpLastStep: integer("totp_last_step"),
    trainingValidUntil: integer("training_valid_until"),
    createdAt: integer("created_at").notNull(),
    lastSignInAt: integer("last_sign_in_at"),
    disabledAt: integer("disabled_at"),
    emailIndex: text("email_index"),
    /** May read what is held for a legal reason until then. */
    legalUntil: integer("legal_until"),
  },
  (t) => [uniqueIndex("users_email_index").on(t.emailIndex), index("users_of_account").on(t.accountId, t.id)],
);

export const userDevices = sqliteTable(
  "user_devices",
  { userId: ofUser(), deviceId: ofDevice(), mayEdit: integer("may_edit").notNull().default(0) },
  (t) => [primaryKey({ columns: [t.userId, t.deviceId] }), index("user_devices_of_device").on(t.deviceId)],
);

export const apiKeys = sqliteTable(
  "api_keys",
  {
    id: id(),
    accountId: integer("account_id")
      .notNull()
      .references(() => accounts.id, { onDelete: "cascade" }),
    name: text("name"),
    scope: text("scope", { enum: ["read", "write"] }).notNull(),
    /** SHA-256 of the key, hex. */
    hash: text("hash").notNull().unique(),
    createdAt: integer("created_at").notNull(),
    lastUsedAt: integer("last_used_at"),
    revokedAt: integer("revoked_at"),
    /** The user who made it; null: the operator did. */
    madeBy: integer("made_by").references(() => users.id, { onDelete: "set null" }),
    expiresAt: integer("expires_at"),
    /** 1: only the devices in key_devices. */
    deviceLimited: integer("device_limited").notNull().default(0),
  },
  (t) => [
    index("api_keys_of_account").on(t.accountId, t.id),
    index("api_keys_made_by").on(t.madeBy).where(sql`made_by IS NOT NULL`),
  ],
);

export const keyDevices = sqliteTable(
  "key_devices",
  {
    keyId: integer("key_id")
      .notNull()
      .references(() => apiKeys.id, { onDelete: "cascade" }),
    deviceId: ofDevice(),
  },
  (t) => [primaryKey({ columns: [t.keyId, t.deviceId] }), index("key_devices_of_device").on(t.deviceId)],
);

export const ADDRESS_KINDS = ["shipping", "billing"] as const;

export const addresses = sqliteTable(
  "addresses",
  {
    accountId: ofAccount(),
    kind: text("kind", { enum: ADDRESS_KINDS }).notNull(),
    recipient: text("recipient"),
    line1: text("line1").notNull(),
    line2: text("line2"),
    city: text("city").notNull(),
    region: text("region"),
    postcode: text("postcode"),
    /** ISO 3166-1, two letters. */
    country: text("country").notNull(),
    updatedAt: integer("updated_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.kind] })],
);

export const sessions = sqliteTable(
  "sessions",
  {
    id: id(),
    userId: ofUser(),
    /** SHA-256 of the cookie, hex. */
    hash: text("hash").notNull().unique(),
    createdAt: integer("created_at").notNull(),
    lastSeenAt: integer("last_seen_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    /** When the person last proved who they are: a step-up asks for this to be recent. */
    provedAt: integer("proved_at").notNull(),
    /** 1: a second factor or a passkey was used. */
    secondFactor: integer("second_factor").notNull().default(0),
    /** Family of browser and system, such as "Firefox, Linux"; never the whole User-Agent. */
    browser: text("browser"),
    /** The address cut to /24 or /48, for two weeks. */
    network: text("network"),
  },
  (t) => [
    index("sessions_of_user").on(t.userId, t.id),
    index("sessions_expiry").on(t.expiresAt),
    index("sessions_network").on(t.createdAt).where(sql`network IS NOT NULL`),
  ],
);

export const passkeys = sqliteTable(
  "passkeys",
  {
    id: id(),
    userId: ofUser(),
    /** base64url */
    credentialId: text("credential_id").notNull().unique(),
    /** COSE: -7 ES256, -8 EdDSA, -257 RS256. */
    algorithm: integer("algorithm").notNull(),
    /** SubjectPublicKeyInfo, DER. */
    publicKey: bytes("public_key").notNull(),
    signCount: integer("sign_count").notNull(),
    name: text("name").notNull(),
    createdAt: integer("created_at").notNull(),
    lastUsedAt: integer("last_used_at"),
  },
  (t) => [index("passkeys_of_user").on(t.userId, t.id)],
);

export const recoveryCodes = sqliteTable("recovery_codes", { userId: ofUser(), hash: text("hash").notNull() }, (t) => [
  primaryKey({ columns: [t.userId, t.hash] }),
]);

export const TOKEN_KINDS = [
  "signup",
  "reset",
  "email",
  "mobile",
  "invite",
  "setup",
  "sign_in",
  "passkey",
  "report",
] as const;

/** Secrets that work once: links in mails, pending sign-ins, challenges. The row goes when it is used. */
export const tokens = sqliteTable(
  "tokens",
  {
    id: id(),
    kind: text("kind", { enum: TOKEN_KINDS }).notNull(),
    /** SHA-256 of the token, hex; of a short code, a keyed hash. */
    hash: text("hash").notNull().unique(),
    userId: integer("user_id").references(() => users.id, { onDelete: "cascade" }),
    /** What the token stands for (a new address, a challenge), sealed. */
    sealed: text("sealed"),
    attempts: integer("attempts").notNull().default(0),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
  },
  (t) => [index("tokens_of_user").on(t.userId, t.kind), index("tokens_expiry").on(t.expiresAt)],
);

/** Failures, counted against a keyed hash of what was tried: an address, an IMEI, a session. */
export const throttles = sqliteTable(
  "throttles",
  {
    key: text("key").primaryKey(),
    failures: integer("failures").notNull(),
    blockedUntil: integer("blocked_until").notNull(),
    expiresAt: integer("expires_at").notNull(),
  },
  (t) => [index("throttles_expiry").on(t.expiresAt)],
);

/** Mails that wait to be sent. The row goes when it is sent. */
export const mails = sqliteTable(
  "mails",
  {
    id: id(),
    userId: integer("user_id").references(() => users.id, { onDelete: "cascade" }),
    /** A row of the mail table (src/mail.ts). */
    kind: text("kind").notNull(),
    /** Address, subject and text, sealed. */
    sealed: text("sealed").notNull(),
    attempts: integer("attempts").notNull().default(0),
    createdAt: integer("created_at").notNull(),
    dueAt: integer("due_at").notNull(),
  },
  (t) => [index("mails_due").on(t.dueAt)],
);

export const DOCUMENT_KINDS = ["privacy", "terms", "notice"] as const;

/** Published texts. A row is never changed: a new text is a new version. */
export const documents = sqliteTable(
  "documents",
  {
    id: id(),
    kind: text("kind", { enum: DOCUMENT_KINDS }).notNull(),
    /** For notices: what they are about. Empty: everything, everywhere. */
    product: text("product").notNull().default(""),
    region: text("region").notNull().default(""),
    version: integer("version").notNull(),
    language: text("language").notNull(),
    title: text("title").notNull(),
    /** Markdown. */
    body: text("body").notNull(),
    /** Of the body's UTF-8 bytes, hex. */
    sha256: text("sha256").notNull(),
    /** 1: who does not accept it may only read, export and erase from effectiveAt on. */
    material: integer("material").notNull(),
    /** 1: the text that the product ships, not yet reviewed by the operator. */
    template: integer("template").notNull().default(0),
    publishedAt: integer("published_at").notNull(),
    effectiveAt: integer("effective_at").notNull(),
    publishedBy: integer("published_by").references(() => users.id, { onDelete: "set null" }),
  },
  (t) => [uniqueIndex("documents_version").on(t.kind, t.product, t.region, t.version, t.language)],
);

export const acceptances = sqliteTable(
  "acceptances",
  {
    id: id(),
    accountId: ofAccount(),
    userId: integer("user_id").references(() => users.id, { onDelete: "set null" }),
    documentId: integer("document_id")
      .notNull()
      .references(() => documents.id),
    kind: text("kind", { enum: DOCUMENT_KINDS }).notNull(),
    version: integer("version").notNull(),
    language: text("language").notNull(),
    sha256: text("sha256").notNull(),
    /** Hashes of the brand's own texts that stood beside it, JSON by kind. */
    brandTexts: text("brand_texts"),
    acceptedAt: integer("accepted_at").notNull(),
  },
  (t) => [
    index("acceptances_of_account").on(t.accountId, t.id),
    index("acceptances_of_user").on(t.userId).where(sql`user_id IS NOT NULL`),
  ],
);

/** One hostname, one brand. */
export const brands = sqliteTable("brands", {
  id: id(),
  /** Lower case, without a port. */
  hostname: text("hostname").notNull().unique(),
  name: text("name").notNull(),
  /** #rrggbb */
  accent: text("accent"),
  logo: bytes("logo"),
  logoType: text("logo_type", { enum: ["image/png", "image/jpeg", "image/webp"] }),
  createdAt: integer("created_at").notNull(),
  updatedAt: integer("updated_at").notNull(),
});

/** A brand's own policy and terms by language: a link or a text. */
export const brandTexts = sqliteTable(
  "brand_texts",
  {
    brandId: integer("brand_id")
      .notNull()
      .references(() => brands.id, { onDelete: "cascade" }),
    kind: text("kind", { enum: ["privacy", "terms"] }).notNull(),
    language: text("language").notNull(),
    /** https: only. */
    url: text("url"),
    /** Markdown. */
    body: text("body"),
    sha256: text("sha256").notNull(),
    updatedAt: integer("updated_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.brandId, t.kind, t.language] })],
);

/** Trackers that were sold, each with a code that activates it once. */
export const activations = sqliteTable(
  "activations",
  {
    imei: text("imei").primaryKey(),
    model: text("model"),
    firmware: text("firmware"),
    orderReference: text("order_reference"),
    /** Keyed hash (src/seal.ts): a code is short enough to be guessed from a plain one. */
    codeHash: text("code_hash").notNull(),
    loadedAt: integer("loaded_at").notNull(),
    activatedAt: integer("activated_at"),
    accountId: integer("account_id").references(() => accounts.id, { onDelete: "cascade" }),
    imeiIndex: text("imei_index"),
  },
  (t) => [
    uniqueIndex("activations_imei_index").on(t.imeiIndex),
    index("activations_of_account").on(t.accountId).where(sql`account_id IS NOT NULL`),
    index("activations_loaded").on(t.loadedAt, t.imei),
  ],
);

/** What the operator set at run time; src/settings.ts has the names and defaults. */
export const settings = sqliteTable("settings", {
  name: text("name").primaryKey(),
  value: text("value").notNull(),
  updatedAt: integer("updated_at").notNull(),
});

export const ACTORS = ["admin_token", "staff", "user", "key", "job", "system"] as const;

/** What people and the operator did: ids and fixed words, and the operator's own reason. */
export const audit = sqliteTable(
  "audit",
  {
    id: id(),
    at: integer("at").notNull(),
    actor: text("actor", { enum: ACTORS }).notNull(),
    /** The user, staff member or key. */
    actorId: integer("actor_id"),
    action: text("action").notNull(),
    accountId: integer("account_id"),
    /** Kind and id of what it was done to: "device 12". Never a value. */
    subject: text("subject"),
    reason: text("reason"),
  },
  (t) => [
    index("audit_of_account").on(t.accountId, t.id).where(sql`account_id IS NOT NULL`),
    index("audit_at").on(t.at),
    index("audit_of_person").on(t.actorId, t.id).where(sql`actor IN ('user', 'staff')`),
    index("audit_sessions").on(t.at).where(sql`action IN ('session.opened', 'session.ended')`),
  ],
);

/** While one is open the operator's staff may see the account's locations. */
export const supportWindows = sqliteTable(
  "support_windows",
  {
    id: id(),
    accountId: ofAccount(),
    openedBy: integer("opened_by").references(() => users.id, { onDelete: "set null" }),
    openedAt: integer("opened_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    closedAt: integer("closed_at"),
  },
  (t) => [index("support_windows_of_account").on(t.accountId, t.id)],
);

/** Each look of the operator at an account's locations. */
export const looks = sqliteTable(
  "looks",
  {
    id: id(),
    accountId: ofAccount(),
    windowId: integer("window_id").notNull(),
    actor: text("actor", { enum: ["admin_token", "staff"] }).notNull(),
    staffId: integer("staff_id"),
    deviceId: integer("device_id"),
    what: text("what").notNull(),
    at: integer("at").notNull(),
  },
  (t) => [index("looks_of_account").on(t.accountId, t.id)],
);

/** Only of users who switched it on. */
export const searches = sqliteTable(
  "searches",
  { id: id(), userId: ofUser(), term: text("term").notNull(), searchedAt: integer("searched_at").notNull() },
  (t) => [index("searches_of_user").on(t.userId, t.id), index("searches_at").on(t.searchedAt)],
);

/** The devices that a user with personalisation looked at last. */
export const recentDevices = sqliteTable(
  "recent_devices",
  { userId: ofUser(), deviceId: ofDevice(), seenAt: integer("seen_at").notNull() },
  (t) => [primaryKey({ columns: [t.userId, t.deviceId] }), index("recent_devices_of_device").on(t.deviceId)],
);

/** When each bridge last delivered; 0 is the configured one. */
export const bridgeSeen = sqliteTable("bridge_seen", {
  bridgeId: integer("bridge_id").primaryKey(),
  lastSeenAt: integer("last_seen_at").notNull(),
});

/** Bridges beside the one whose token is in the configuration (which has id 0 and no row). */
export const bridges = sqliteTable("bridges", {
  id: id(),
  name: text("name").notNull(),
  /** SHA-256 of the token, hex. */
  hash: text("hash").notNull().unique(),
  createdAt: integer("created_at").notNull(),
  revokedAt: integer("revoked_at"),
});

export const devices = sqliteTable(
  "devices",
  {
    id: id(),
    accountId: integer("account_id")
      .notNull()
      .references(() => accounts.id, { onDelete: "cascade" }),
    imei: text("imei").notNull(),
    name: text("name").notNull(),
    model: text("model"),
    /** A tracker whose clock is set to local time (B36) is this far ahead of UTC. */
    clockOffsetMinutes: integer("clock_offset_minutes").notNull().default(0),
    /** 1: answer CCE packets with CFF, for a tracker that repeats them (meitrack.md 15-1). */
    confirmCce: integer("confirm_cce").notNull().default(0),
    createdAt: integer("created_at").notNull(),
    /** Set: the device is gone for every reader and for ingest, and its rows are being removed. */
    deletingAt: integer("deleting_at"),
    groupId: integer("group_id").references((): AnySQLiteColumn => deviceGroups.id, { onDelete: "set null" }),
    /** Null: as long as its group or its account says. */
    retentionDays: integer("retention_days"),
    /** What was past its period when the period was made longer stays unreadable: everything before this time. */
    retentionFloor: integer("retention_floor").notNull().default(0),
    /** When another period than before began to decide: what is sealed under secrets of the old one waits to be sealed anew. */
    rescopedAt: integer("rescoped_at"),
    imeiIndex: text("imei_index"),
  },
  (t) => [
    uniqueIndex("devices_imei_index").on(t.imeiIndex).where(sql`deleting_at IS NULL`),
    uniqueIndex("devices_imei").on(t.imei).where(sql`deleting_at IS NULL`),
    index("devices_of_account").on(t.accountId, t.id),
    index("devices_of_group").on(t.groupId).where(sql`group_id IS NOT NULL`),
    index("devices_marked").on(t.imeiIndex).where(sql`deleting_at IS NOT NULL`),
    index("devices_rescoped").on(t.rescopedAt).where(sql`rescoped_at IS NOT NULL`),
  ],
);

/** Devices that are kept alike. */
export const deviceGroups = sqliteTable(
  "device_groups",
  {
    id: id(),
    accountId: ofAccount(),
    name: text("name").notNull(),
    /** Null: as long as the account says. */
    retentionDays: integer("retention_days"),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [index("device_groups_of_account").on(t.accountId, t.id)],
);

/** What retention deleted: how many positions of an account on which day (UTC, days since 1970). */
export const purges = sqliteTable(
  "purges",
  { accountId: ofAccount(), day: integer("day").notNull(), positions: integer("positions").notNull() },
  (t) => [primaryKey({ columns: [t.accountId, t.day] })],
);

/** Positions row by row, as they were stored before segments; what is left of them is moved by a job. */
export const positions = sqliteTable(
  "positions",
  {
    id: id(),
    accountId: integer("account_id").notNull(),
    deviceId: integer("device_id")
      .notNull()
      .references(() => devices.id, { onDelete: "cascade" }),
    fixTime: integer("fix_time").notNull(),
    /** 64 bits of hash over the record's own bytes. */
    digest: bytes("digest").notNull(),
    receivedAt: integer("received_at").notNull(),
    /** 1: the device's clock was unusable and `fix_time` is the receive time. */
    clock: integer("clock").notNull(),
    event: integer("event").notNull(),
    valid: integer("valid").notNull(),
    /** codec/record.ts */
    record: bytes("record").notNull(),
  },
  (t) => [
    uniqueIndex("positions_of_device").on(t.deviceId, t.fixTime, t.digest),
    // Without a usable clock the fix time differs at each delivery of one record.
    uniqueIndex("positions_without_clock").on(t.deviceId, t.digest).where(sql`clock = 1`),
    // The feed. In trials it cost ingest nothing that could be measured: an account's rows come at its right edge.
    index("positions_of_account").on(t.accountId, t.id),
    index("positions_events").on(t.deviceId, t.fixTime).where(sql`event NOT IN (31, 32, 33, 34, 35)`),
    // Retention finds here what a tracker's clock set ahead would keep too long.
    index("positions_ahead").on(t.receivedAt).where(sql`fix_time > received_at`),
  ],
);

/** Batches of positions as bridges deliver them, sealed in chunks: src/store/inbox.ts. */
export const inbox = sqliteTable("inbox", {
  /** Above every one that ever was: a position's id is made of it. */
  id: integer("id").primaryKey(),
  positions: integer("positions").notNull(),
  /** When the oldest of them came. */
  receivedAt: integer("received_at").notNull(),
  kid: integer("kid").notNull(),
  nonce: bytes("nonce").notNull(),
  /** Bucket >> shift is the chunk. */
  shift: integer("shift").notNull(),
  /** Where each chunk begins, in digits, and where the last one ends. */
  directory: text("directory").notNull(),
  chunks: bytes("chunks").notNull(),
});

/** Many batches merged, a row for each part of the fleet, with a chunk for each of its buckets. */
export const runs = sqliteTable("runs", {
  id: integer("id").primaryKey(),
  positions: integer("positions").notNull(),
  receivedAt: integer("received_at").notNull(),
  kid: integer("kid").notNull(),
  nonce: bytes("nonce").notNull(),
  directory: text("directory").notNull(),
  chunks: bytes("chunks").notNull(),
});

/** What waits in the runs of each part. */
export const parts = sqliteTable("parts", {
  id: integer("id").primaryKey(),
  /** The last batch of which everything is in segments. */
  settled: integer("settled").notNull(),
});

/** One row: the key that batches are sealed under, the last batch that is in runs, and who settles just now. */
export const settlement = sqliteTable("settlement", {
  id: integer("id").primaryKey(),
  kid: integer("kid").notNull(),
  kidSince: integer("kid_since").notNull(),
  merged: integer("merged").notNull(),
  /** The most that the ids of one segment lie apart. */
  span: integer("span").notNull(),
  holder: integer("holder").notNull(),
  heldUntil: integer("held_until").notNull(),
});

/** Tracks: src/store/segments.ts. */
export const segments = sqliteTable(
  "segments",
  {
    id: integer("id").primaryKey(),
    deviceId: integer("device_id").notNull(),
    accountId: integer("account_id").notNull(),
    dayKid: integer("day_kid").notNull(),
    deviceKid: integer("device_kid").notNull(),
    fromTime: integer("from_time").notNull(),
    toTime: integer("to_time").notNull(),
    dueFrom: integer("due_from"),
    dueTo: integer("due_to"),
    firstId: integer("first_id").notNull(),
    lastId: integer("last_id").notNull(),
    positions: integer("positions").notNull(),
    /** Positions whose event is not routine. */
    alarms: integer("alarms").notNull(),
    /** Positions of a tracker whose clock was unusable. */
    clockless: integer("clockless").notNull(),
    sealed: bytes("sealed").notNull(),
    /** Sealed to the customer's own keys as well: names rows of wrapped_secrets. */
    customerKid: integer("customer_kid"),
  },
  (t) => [
    index("segments_arrival").on(t.accountId, t.lastId, t.firstId),
    index("segments_clockless").on(t.id).where(sql`clockless > 0`),
    index("segments_of_customer_kid").on(t.accountId, t.customerKid).where(sql`customer_kid IS NOT NULL`),
  ],
);

/** An everyday key, and one for when that is lost. */
export const SEALING_KEY_KINDS = ["everyday", "offline"] as const;

/** Public keys (X25519) that customers' positions are sealed to: src/customer-keys.ts. */
export const customerKeys = sqliteTable(
  "customer_keys",
  {
    id: id(),
    accountId: ofAccount(),
    kind: text("kind", { enum: SEALING_KEY_KINDS }).notNull(),
    publicKey: bytes("public_key").notNull(),
    createdAt: integer("created_at").notNull(),
    revokedAt: integer("revoked_at"),
  },
  (t) => [
    uniqueIndex("customer_keys_in_use").on(t.accountId, t.kind).where(sql`revoked_at IS NULL`),
    uniqueIndex("customer_keys_once").on(t.accountId, t.publicKey).where(sql`revoked_at IS NULL`),
    index("customer_keys_of_account").on(t.accountId, t.id),
  ],
);

/** The customer's half of the keys of segments, wrapped to each of the customer's keys: src/customer-sealed.ts. */
export const wrappedSecrets = sqliteTable(
  "wrapped_secrets",
  {
    accountId: integer("account_id").notNull(),
    kid: integer("kid").notNull(),
    keyId: integer("key_id").notNull(),
    /** UTC day since 1970. */
    day: integer("day").notNull(),
    wrapped: bytes("wrapped").notNull(),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.kid, t.keyId] })],
);

/** The newest valid fixes of up to 64 devices of an account, each sealed for itself: src/store/newest.ts. */
export const newest = sqliteTable("newest", {
  id: integer("id").primaryKey(),
  accountId: integer("account_id").notNull(),
  fixes: bytes("fixes").notNull(),
});

export const COMMAND_STATES = ["queued", "sent", "acked", "refused", "expired"] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

export const commands = sqliteTable(
  "commands",
  {
    id: id(),
    deviceId: integer("device_id")
      .notNull()
      .references(() => devices.id, { onDelete: "cascade" }),
    accountId: integer("account_id").notNull(),
    /** A row of the command table: A10, C01, ... */
    code: text("code").notNull(),
    /** JSON */
    arguments: text("arguments").notNull(),
    /** The frame's identifier byte, repeated by the reply. */
    identifier: text("identifier").notNull(),
    frame: bytes("frame").notNull(),
    state: text("state", { enum: COMMAND_STATES }).notNull(),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    sentAt: integer("sent_at"),
    answeredAt: integer("answered_at"),
    /** The bridge that took it; 0 is the configured one. */
    bridgeId: integer("bridge_id"),
    reply: text("reply"),
    replyIndex: text("reply_index"),
  },
  (t) => [
    index("commands_of_device").on(t.deviceId, t.id),
    index("commands_of_account").on(t.accountId),
    index("commands_queued").on(t.expiresAt).where(sql`state = 'queued'`),
    index("commands_sent").on(t.deviceId, t.code).where(sql`state = 'sent'`),
  ],
);

/** Answers of creating requests, so that a repeated `Idempotency-Key` gets the first answer. */
export const idempotencyKeys = sqliteTable(
  "idempotency_keys",
  {
    accountId: integer("account_id")
      .notNull()
      .references(() => accounts.id, { onDelete: "cascade" }),
    key: text("key").notNull(),
    /** SHA-256 of method, path and body, hex: the same key with another request is a conflict. */
    requestHash: text("request_hash").notNull(),
    /** Null while the first request runs. */
    status: integer("status"),
    response: text("response"),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    /** The device that the answer is about. */
    deviceId: integer("device_id"),
  },
  (t) => [
    index("idempotency_keys_of_device").on(t.accountId, t.deviceId).where(sql`device_id IS NOT NULL`),
    primaryKey({ columns: [t.accountId, t.key] }),
    index("idempotency_keys_expiry").on(t.expiresAt),
  ],
);

/** IMEIs that send but belong to no device. */
export const unclaimed = sqliteTable(
  "unclaimed",
  {
    imei: text("imei").primaryKey(),
    firstSeen: integer("first_seen").notNull(),
    lastSeen: integer("last_seen").notNull(),
    frames: integer("frames").notNull(),
    imeiIndex: text("imei_index"),
  },
  (t) => [uniqueIndex("unclaimed_imei_index").on(t.imeiIndex), index("unclaimed_last_seen").on(t.lastSeen)],
);

/** One row, id 1. Triggers raise the version when a device or a bridge changes what ingest must know. */
export const PLACEMENT_STATES = ["copying", "holding", "erasing", "done"] as const;

/** Every time that an account was placed in a database, and how far the move of its tracks is. */
export const placements = sqliteTable(
  "placements",
  {
    id: id(),
    accountId: ofAccount(),
    fromDatabase: text("from_database").notNull(),
    fromRegion: text("from_region").notNull(),
    toDatabase: text("to_database").notNull(),
    toRegion: text("to_region").notNull(),
    actor: text("actor").notNull(),
    actorId: integer("actor_id"),
    /** The operator's own sentence, which the customer reads. */
    reason: text("reason"),
    at: integer("at").notNull(),
    state: text("state", { enum: PLACEMENT_STATES }).notNull(),
    /** All positions up to this id were copied; null: not yet once. */
    copiedId: integer("copied_id"),
    switchedAt: integer("switched_at"),
    finishedAt: integer("finished_at"),
  },
  (t) => [
    uniqueIndex("placements_open").on(t.accountId).where(sql`state <> 'done'`),
    index("placements_of_account").on(t.accountId, t.id),
  ],
);

/** Which database with tracks this is; empty in the one with the accounts. */
export const residence = sqliteTable("residence", {
  id: integer("id").primaryKey(),
  name: text("name").notNull(),
  region: text("region").notNull(),
});

/** The accounts whose tracks are in this database, where it is not the one with the accounts. */
export const residents = sqliteTable("residents", {
  accountId: integer("account_id").primaryKey(),
  placement: integer("placement").notNull(),
  state: text("state", { enum: ["coming", "here", "leaving"] }).notNull(),
});

export const registry = sqliteTable("registry", {
  id: integer("id").primaryKey(),
  version: integer("version").notNull(),
});

export const REQUEST_TYPES = ["access", "export", "correct", "erase", "restrict", "object"] as const;
export type RequestType = (typeof REQUEST_TYPES)[number];
/** In the order in which an erasure goes through them. */
export const REQUEST_STATES = [
  "identity_pending",
  "verified",
  "frozen",
  "shredding",
  "purging",
  "scrubbing",
  "propagating",
  "verifying",
  "cleared",
  "partially_cleared",
  "denied",
  "revoked",
  "expired",
] as const;
export type RequestState = (typeof REQUEST_STATES)[number];
/** How surely it was known who asks: signed in and proved anew; two channels; two of the operator's staff. */
export const IDENTITY_LEVELS = ["V0", "V1", "V2"] as const;
export const REQUEST_STEPS = ["freeze", "shred", "purge", "scrub", "propagate", "verify"] as const;
export type RequestStep = (typeof REQUEST_STEPS)[number];

/** What people ask for by right. A row outlives its account, and names it by its number only. */
export const requests = sqliteTable(
  "requests",
  {
    id: id(),
    /** 128 random bits, base64url: the request in the ledger, in its receipt and in links. */
    name: text("name").notNull().unique(),
    type: text("type", { enum: REQUEST_TYPES }).notNull(),
    state: text("state", { enum: REQUEST_STATES }).notNull(),
    level: text("level", { enum: IDENTITY_LEVELS }),
    accountId: integer("account_id").notNull(),
    userId: integer("user_id"),
    /** JSON: src/erasure-scope.ts. */
    scope: text("scope").notNull(),
    receivedAt: integer("received_at").notNull(),
    verifiedAt: integer("verified_at"),
    deadline: integer("deadline"),
    /** Version of the calendar that the deadline was worked out with. */
    calendar: text("calendar"),
    /** 1: that lacked the year. */
    uncertain: integer("uncertain").notNull().default(0),
    frozenAt: integer("frozen_at"),
    closedAt: integer("closed_at"),
    /** Percent of the time at which the last alarm was given. */
    alarmed: integer("alarmed").notNull().default(0),
    /** Of the link's token, while its identity is pending. */
    hash: text("hash"),
    /** Wrong codes so far. */
    attempts: integer("attempts").notNull().default(0),
    holder: integer("holder").notNull().default(0),
    heldUntil: integer("held_until").notNull().default(0),
    dueAt: integer("due_at").notNull().default(0),
    failures: integer("failures").notNull().default(0),
    /** Since when somebody can decide whether it is them. */
    evidenceAt: integer("evidence_at"),
    /** Announced to every known channel: it is verified then, unless it is cancelled before. */
    countsAt: integer("counts_at"),
    /** JSON, numbers: what trackers said that were told to delete what they hold. */
    trackers: text("trackers"),
    /** 1: somebody's who drives or carries the tracker, of whom there is no account: src/subject-links.ts. */
    viaSubject: integer("via_subject").notNull().default(0),
    /** Since when the staff wait for two presses of SOS, what came before that, and when the second came. */
    proofAskedAt: integer("proof_asked_at"),
    proofAfter: integer("proof_after"),
    proofSeenAt: integer("proof_seen_at"),
  },
  (t) => [
    index("requests_of_account").on(t.accountId, t.id),
    index("requests_open").on(t.dueAt).where(sql`closed_at IS NULL`),
    uniqueIndex("requests_hash").on(t.hash).where(sql`hash IS NOT NULL`),
  ],
);

/** Which of the operator's staff say that a request is who it says; two are needed. */
export const requestConfirmations = sqliteTable(
  "request_confirmations",
  {
    requestId: integer("request_id")
      .notNull()
      .references(() => requests.id, { onDelete: "cascade" }),
    staffId: integer("staff_id").notNull(),
    at: integer("at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.requestId, t.staffId] })],
);

/** Every step of a request that was tried, in each store. */
export const requestSteps = sqliteTable(
  "request_steps",
  {
    id: id(),
    requestId: integer("request_id")
      .notNull()
      .references(() => requests.id, { onDelete: "cascade" }),
    store: text("store").notNull(),
    step: text("step", { enum: REQUEST_STEPS }).notNull(),
    at: integer("at").notNull(),
    /** That went; of `verify`: that were found. */
    rows: integer("rows").notNull(),
    bytes: integer("bytes").notNull(),
    ok: integer("ok").notNull(),
    /** Ids of destroyed keys, six bytes each, big-endian. */
    kids: bytes("kids"),
  },
  (t) => [index("request_steps_of_request").on(t.requestId, t.id)],
);

/** What the platform did, each entry bound to the one before: src/ledger.ts. */
export const ledger = sqliteTable("ledger", {
  seq: integer("seq").primaryKey(),
  at: integer("at").notNull(),
  type: text("type").notNull(),
  /** Canonical JSON (RFC 8785). */
  entry: text("entry").notNull(),
  hash: bytes("hash").notNull(),
});

export const ledgerHeads = sqliteTable("ledger_heads", {
  /** Entries under it. */
  size: integer("size").primaryKey(),
  at: integer("at").notNull(),
  root: bytes("root").notNull(),
  keyId: text("key_id").notNull(),
  signature: bytes("signature").notNull(),
});

/** What the subject of a request gets, signed. */
export const receipts = sqliteTable("receipts", {
  requestId: integer("request_id")
    .primaryKey()
    .references(() => requests.id, { onDelete: "cascade" }),
  at: integer("at").notNull(),
  body: text("body").notNull(),
});

/** The secret that a device got for a request, and when: src/erasers/range.ts. */
export const rotations = sqliteTable(
  "rotations",
  {
    requestId: integer("request_id")
      .notNull()
      .references(() => requests.id, { onDelete: "cascade" }),
    deviceId: integer("device_id").notNull(),
    kid: integer("kid").notNull(),
    at: integer("at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.requestId, t.deviceId] })],
);

/** Trackers that go on sending after they were erased: src/silenced.ts. */
export const silenced = sqliteTable(
  "silenced",
  {
    /** Keyed hash of the IMEI. */
    mark: text("mark").primaryKey(),
    until: integer("until").notNull(),
    confirmCce: integer("confirm_cce").notNull().default(0),
  },
  (t) => [index("silenced_until").on(t.until)],
);

/** What other copies of an account's positions must drop. */
export const tombstones = sqliteTable(
  "tombstones",
  {
    id: id(),
    accountId: ofAccount(),
    deviceId: integer("device_id").notNull(),
    /** Null: from its beginning, or to its end. */
    fromTime: integer("from_time"),
    toTime: integer("to_time"),
    at: integer("at").notNull(),
    /** What came before or has a fix before; null: everything. */
    beforeTime: integer("before_time"),
  },
  (t) => [index("tombstones_of_account").on(t.accountId, t.id), index("tombstones_at").on(t.at)],
);

export const SUSPENSION_KINDS = ["restricted", "objected", "legislation"] as const;
export type SuspensionKind = (typeof SUSPENSION_KINDS)[number];

/** What is to be left alone: src/suspensions.ts. */
export const suspensions = sqliteTable(
  "suspensions",
  {
    id: id(),
    accountId: ofAccount(),
    /** Null: every device of the account, also one that comes later. */
    deviceId: integer("device_id").references((): AnySQLiteColumn => devices.id, { onDelete: "cascade" }),
    kind: text("kind", { enum: SUSPENSION_KINDS }).notNull(),
    /** Null: no request asked for it, or that is forgotten by now. */
    requestId: integer("request_id").references((): AnySQLiteColumn => requests.id, { onDelete: "set null" }),
    since: integer("since").notNull(),
    liftedAt: integer("lifted_at"),
    /** Null: its request was cancelled or refused. */
    liftedBy: integer("lifted_by"),
  },
  (t) => [
    index("suspensions_of_account").on(t.accountId, t.id),
    index("suspensions_of_device").on(t.deviceId),
    index("suspensions_of_request").on(t.requestId),
    index("suspensions_in_force").on(t.accountId, t.deviceId).where(sql`lifted_at IS NULL`),
    index("suspensions_lifted").on(t.liftedAt).where(sql`lifted_at IS NOT NULL`),
    uniqueIndex("suspensions_transfers").on(t.accountId).where(sql`kind = 'legislation' AND lifted_at IS NULL`),
  ],
);

/** Links to exports, which are made as they are fetched: src/exports.ts. */
export const exportLinks = sqliteTable(
  "export_links",
  {
    id: id(),
    accountId: ofAccount(),
    userId: integer("user_id").references((): AnySQLiteColumn => users.id, { onDelete: "cascade" }),
    hash: text("hash").notNull().unique(),
    /** JSON: what is in it. */
    scope: text("scope").notNull(),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    fetchedAt: integer("fetched_at"),
  },
  (t) => [index("export_links_of_account").on(t.accountId, t.id), index("export_links_expiry").on(t.expiresAt)],
);

/** Links for who drives or carries a tracker: src/subject-links.ts. */
export const subjectLinks = sqliteTable(
  "subject_links",
  {
    id: id(),
    accountId: ofAccount(),
    deviceId: integer("device_id")
      .notNull()
      .references(() => devices.id, { onDelete: "cascade" }),
    hash: text("hash").notNull().unique(),
    /** Fix times that it is about, the second not included. */
    fromTime: integer("from_time").notNull(),
    toTime: integer("to_time").notNull(),
    /** 1: the customer lets them read the positions, too. */
    showsTrack: integer("shows_track").notNull().default(0),
    madeBy: integer("made_by"),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    revokedAt: integer("revoked_at"),
  },
  (t) => [
    index("subject_links_of_device").on(t.accountId, t.deviceId, t.id),
    index("subject_links_expiry").on(t.expiresAt),
  ],
);

export const SUBJECT_REQUEST_TYPES = ["erase", "object"] as const;
export const SUBJECT_REQUEST_STATES = ["open", "accepted", "refused"] as const;

/** What is asked with such a link, first of the customer and then of the operator's staff. */
export const subjectRequests = sqliteTable(
  "subject_requests",
  {
    id: id(),
    accountId: ofAccount(),
    linkId: integer("link_id")
      .notNull()
      .references(() => subjectLinks.id, { onDelete: "cascade" }),
    /** 128 random bits, base64url. */
    name: text("name").notNull().unique(),
    type: text("type", { enum: SUBJECT_REQUEST_TYPES }).notNull(),
    fromTime: integer("from_time").notNull(),
    toTime: integer("to_time").notNull(),
    askedAt: integer("asked_at").notNull(),
    /** Until when the customer has to answer. */
    answerBy: integer("answer_by").notNull(),
    state: text("state", { enum: SUBJECT_REQUEST_STATES }).notNull(),
    /** Since when and until when it is the staff's. */
    escalatedAt: integer("escalated_at"),
    staffBy: integer("staff_by"),
    /** Percent of that time at which the last alarm was given. */
    alarmed: integer("alarmed").notNull().default(0),
    answeredBy: text("answered_by", { enum: ["customer", "staff"] }),
    answeredAt: integer("answered_at"),
    reason: text("reason"),
    /** Of the row of `requests` that carries an erasure out. */
    requestName: text("request_name"),
  },
  (t) => [
    index("subject_requests_of_account").on(t.accountId, t.id),
    index("subject_requests_of_link").on(t.linkId, t.id),
    index("subject_requests_open").on(t.answerBy).where(sql`state = 'open'`),
  ],
);

/** Days that the operator's calendar has beside the published ones: src/business-time.ts. */
export const calendarDays = sqliteTable("calendar_days", {
  date: text("date").primaryKey(),
  kind: text("kind", { enum: ["holiday", "work"] }).notNull(),
  addedAt: integer("added_at").notNull(),
});

/** What did not open although it should: src/broken.ts. */
export const broken = sqliteTable(
  "broken",
  {
    kind: text("kind", { enum: ["segment", "newest", "batch", "run"] }).notNull(),
    telemetry: text("telemetry").notNull(),
    thing: integer("thing").notNull(),
    times: integer("times").notNull(),
    firstAt: integer("first_at").notNull(),
    lastAt: integer("last_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.kind, t.telemetry, t.thing] })],
);

/** For which something must not go, when two people say so: src/legal-holds.ts. */
export const legalHolds = sqliteTable(
  "legal_holds",
  {
    id: id(),
    name: text("name").notNull().unique(),
    accountId: integer("account_id").notNull(),
    basis: text("basis").notNull(),
    /** The operator's own file number. */
    reference: text("reference").notNull(),
    /** JSON: ErasureScope of src/erasure-scope.ts. */
    scope: text("scope").notNull(),
    placedBy: integer("placed_by").notNull(),
    placedAt: integer("placed_at").notNull(),
    confirmedBy: integer("confirmed_by"),
    confirmedAt: integer("confirmed_at"),
    reviewAt: integer("review_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    releasedBy: integer("released_by"),
    releasedAt: integer("released_at"),
    /** When the staff were told last that its review is due. */
    toldAt: integer("told_at"),
  },
  (t) => [index("legal_holds_of_account").on(t.accountId, t.id), index("legal_holds_open").on(t.expiresAt)],
);

/** Laws that a customer is under, by their names in src/statutes.ts. */
export const statutoryProfiles = sqliteTable(
  "statutory_profiles",
  {
    accountId: integer("account_id")
      .notNull()
      .references(() => accounts.id, { onDelete: "cascade" }),
    profile: text("profile").notNull(),
    enabledBy: integer("enabled_by"),
    enabledAt: integer("enabled_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.profile] })],
);

/** What is owed, and what is kept for it: src/obligations.ts. */
export const obligations = sqliteTable(
  "obligations",
  {
    id: id(),
    accountId: integer("account_id")
      .notNull()
      .references(() => accounts.id, { onDelete: "cascade" }),
    kind: text("kind").notNull(),
    basis: text("basis").notNull(),
    details: text("details").notNull(),
    createdBy: integer("created_by"),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at").notNull(),
    acknowledgedAt: integer("acknowledged_at"),
  },
  (t) => [index("obligations_of_account").on(t.accountId, t.id), index("obligations_expiry").on(t.expiresAt)],
);

export const HELD_REASONS = ["hold", "statute", "obligation"] as const;

/** Sealed copies of what must be kept: src/held-parts.ts. */
export const heldParts = sqliteTable(
  "held_parts",
  {
    id: id(),
    accountId: integer("account_id").notNull(),
    reason: text("reason", { enum: HELD_REASONS }).notNull(),
    basis: text("basis").notNull(),
    holdId: integer("hold_id").notNull().default(0),
    requestId: integer("request_id"),
    cause: text("cause").notNull(),
    item: integer("item").notNull().default(0),
    kid: integer("kid").notNull(),
    until: integer("until"),
    bytes: integer("bytes").notNull().default(0),
    madeAt: integer("made_at").notNull(),
    completeAt: integer("complete_at"),
  },
  (t) => [
    uniqueIndex("held_parts_once").on(t.accountId, t.reason, t.basis, t.holdId, t.cause, t.item),
    index("held_parts_of_request").on(t.requestId),
    index("held_parts_until").on(t.until),
  ],
);

export const jobRuns = sqliteTable(
  "job_runs",
  {
    id: id(),
    name: text("name").notNull(),
    startedAt: integer("started_at").notNull(),
    finishedAt: integer("finished_at"),
    state: text("state", { enum: ["running", "done", "failed"] }).notNull(),
    /** Rows that the run changed. */
    changed: integer("changed").notNull().default(0),
    error: text("error"),
  },
  (t) => [index("job_runs_of_job").on(t.name, t.id), index("job_runs_started").on(t.startedAt)],
);

export const migrations = sqliteTable("migrations", {
  name: text("name").primaryKey(),
  appliedAt: integer("applied_at").notNull(),
});
