import { sql } from "drizzle-orm";
import { customType, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

// The tables as drizzle sees them. migrations/ makes them (STRICT, triggers and partial indexes are written there);
// test/src/store/schema.test.ts compares the two. Times are Unix ms. Ids are AUTOINCREMENT: they are stream cursors
// and public names, and must not come back after an erasure.

const id = () => integer("id").primaryKey({ autoIncrement: true });
const bytes = customType<{ data: Uint8Array; driverData: Uint8Array | ArrayBuffer }>({
  dataType: () => "blob",
  fromDriver: (value) => (value instanceof Uint8Array ? value : new Uint8Array(value)),
});

export const accounts = sqliteTable("accounts", {
  id: id(),
  name: text("name").notNull(),
  createdAt: integer("created_at").notNull(),
});

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
  },
  (t) => [index("api_keys_of_account").on(t.accountId, t.id)],
);

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
  },
  (t) => [
    uniqueIndex("devices_imei").on(t.imei).where(sql`deleting_at IS NULL`),
    index("devices_of_account").on(t.accountId, t.id),
  ],
);

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

/** The newest valid fix of each device. */
export const latest = sqliteTable("latest", {
  deviceId: integer("device_id")
    .primaryKey()
    .references(() => devices.id, { onDelete: "cascade" }),
  positionId: integer("position_id").notNull(),
  fixTime: integer("fix_time").notNull(),
  receivedAt: integer("received_at").notNull(),
  clock: integer("clock").notNull(),
  record: bytes("record").notNull(),
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
    arguments: text("arguments", { mode: "json" }).$type<Record<string, unknown>>().notNull(),
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
  },
  (t) => [
    index("commands_of_device").on(t.deviceId, t.id),
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
  },
  (t) => [primaryKey({ columns: [t.accountId, t.key] }), index("idempotency_keys_expiry").on(t.expiresAt)],
);

/** IMEIs that send but belong to no device. */
export const unclaimed = sqliteTable(
  "unclaimed",
  {
    imei: text("imei").primaryKey(),
    firstSeen: integer("first_seen").notNull(),
    lastSeen: integer("last_seen").notNull(),
    frames: integer("frames").notNull(),
  },
  (t) => [index("unclaimed_last_seen").on(t.lastSeen)],
);

/** One row, id 1. Triggers raise the version when a device or a bridge changes what ingest must know. */
export const registry = sqliteTable("registry", {
  id: integer("id").primaryKey(),
  version: integer("version").notNull(),
});

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
