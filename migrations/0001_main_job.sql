-- The first tables: accounts and their keys, bridges, devices, tracks, commands, and what the jobs keep.

CREATE TABLE accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name TEXT,
  scope TEXT NOT NULL CHECK (scope IN ('read', 'write')),
  hash TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER,
  revoked_at INTEGER
) STRICT;
CREATE INDEX api_keys_of_account ON api_keys (account_id, id);

CREATE TABLE bridges (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;

CREATE TABLE devices (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  imei TEXT NOT NULL,
  name TEXT NOT NULL,
  model TEXT,
  clock_offset_minutes INTEGER NOT NULL DEFAULT 0,
  confirm_cce INTEGER NOT NULL DEFAULT 0 CHECK (confirm_cce IN (0, 1)),
  created_at INTEGER NOT NULL,
  deleting_at INTEGER
) STRICT;
-- A device that is being removed no longer holds its IMEI.
CREATE UNIQUE INDEX devices_imei ON devices (imei) WHERE deleting_at IS NULL;
CREATE INDEX devices_of_account ON devices (account_id, id);

CREATE TABLE positions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  fix_time INTEGER NOT NULL,
  digest BLOB NOT NULL CHECK (length(digest) = 8),
  received_at INTEGER NOT NULL,
  clock INTEGER NOT NULL CHECK (clock IN (0, 1)),
  event INTEGER NOT NULL,
  valid INTEGER NOT NULL CHECK (valid IN (0, 1)),
  record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX positions_of_device ON positions (device_id, fix_time, digest);
CREATE UNIQUE INDEX positions_without_clock ON positions (device_id, digest) WHERE clock = 1;
CREATE INDEX positions_of_account ON positions (account_id, id);
CREATE INDEX positions_events ON positions (device_id, fix_time) WHERE event NOT IN (31, 32, 33, 34, 35);
CREATE INDEX positions_ahead ON positions (received_at) WHERE fix_time > received_at;

CREATE TABLE latest (
  device_id INTEGER PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
  position_id INTEGER NOT NULL,
  fix_time INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  clock INTEGER NOT NULL,
  record BLOB NOT NULL
) STRICT;

CREATE TABLE commands (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  account_id INTEGER NOT NULL,
  code TEXT NOT NULL,
  arguments TEXT NOT NULL,
  identifier TEXT NOT NULL,
  frame BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'acked', 'refused', 'expired')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  sent_at INTEGER,
  answered_at INTEGER,
  bridge_id INTEGER,
  reply TEXT
) STRICT;
CREATE INDEX commands_of_device ON commands (device_id, id);
CREATE INDEX commands_queued ON commands (expires_at) WHERE state = 'queued';
CREATE INDEX commands_sent ON commands (device_id, code) WHERE state = 'sent';

CREATE TABLE idempotency_keys (
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  status INTEGER,
  response TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, key)
) STRICT;
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE unclaimed (
  imei TEXT PRIMARY KEY,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  frames INTEGER NOT NULL
) STRICT;
CREATE INDEX unclaimed_last_seen ON unclaimed (last_seen);

CREATE TABLE job_runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
  changed INTEGER NOT NULL DEFAULT 0,
  error TEXT
) STRICT;
CREATE INDEX job_runs_of_job ON job_runs (name, id);
CREATE INDEX job_runs_started ON job_runs (started_at);

-- Ingest keeps devices and bridges in memory and names the version it knows in each write: a write that knows an old
-- one stores nothing.
CREATE TABLE registry (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO registry (id, version) VALUES (1, 1);

CREATE TRIGGER registry_device_added AFTER INSERT ON devices
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_device_changed
AFTER UPDATE OF imei, model, account_id, clock_offset_minutes, confirm_cce, deleting_at ON devices
WHEN (OLD.imei, OLD.model, OLD.account_id, OLD.clock_offset_minutes, OLD.confirm_cce, OLD.deleting_at)
  IS NOT (NEW.imei, NEW.model, NEW.account_id, NEW.clock_offset_minutes, NEW.confirm_cce, NEW.deleting_at)
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_device_removed AFTER DELETE ON devices WHEN OLD.deleting_at IS NULL
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_bridge_added AFTER INSERT ON bridges
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_bridge_changed AFTER UPDATE OF hash, revoked_at ON bridges
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_bridge_removed AFTER DELETE ON bridges
BEGIN UPDATE registry SET version = version + 1; END;
