-- What people ask for by right, how far it is, and the proof that it was done.

-- A row outlives its account: it names it by its number and says nothing about anybody.
CREATE TABLE requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- 128 random bits, base64url: the request in the ledger, in its receipt and in links.
  name TEXT NOT NULL UNIQUE,
  type TEXT NOT NULL CHECK (type IN ('access', 'export', 'correct', 'erase', 'restrict', 'object')),
  state TEXT NOT NULL CHECK (state IN ('identity_pending', 'verified', 'frozen', 'shredding', 'purging', 'scrubbing', 'propagating', 'verifying', 'cleared', 'partially_cleared', 'denied', 'revoked', 'expired')),
  level TEXT CHECK (level IN ('V0', 'V1', 'V2')),
  account_id INTEGER NOT NULL,
  user_id INTEGER,
  -- JSON: numbers of devices, names of columns and categories, times.
  scope TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  verified_at INTEGER,
  deadline INTEGER,
  -- Version of the calendar that the deadline was worked out with, and whether that lacked the year.
  calendar TEXT,
  uncertain INTEGER NOT NULL DEFAULT 0 CHECK (uncertain IN (0, 1)),
  frozen_at INTEGER,
  closed_at INTEGER,
  -- Percent of the time at which the last alarm was given.
  alarmed INTEGER NOT NULL DEFAULT 0,
  -- While its identity is pending: SHA-256 of the link's token in hex, and wrong codes so far.
  hash TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  -- One runner at a time, and when the next try is due.
  holder INTEGER NOT NULL DEFAULT 0,
  held_until INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX requests_of_account ON requests (account_id, id);
CREATE INDEX requests_open ON requests (due_at) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX requests_hash ON requests (hash) WHERE hash IS NOT NULL;

-- Every step of a request that was tried, in each store.
CREATE TABLE request_steps (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id INTEGER NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
  store TEXT NOT NULL,
  step TEXT NOT NULL CHECK (step IN ('freeze', 'shred', 'purge', 'scrub', 'propagate', 'verify')),
  at INTEGER NOT NULL,
  -- Rows and bytes that went; of verify: that were found.
  rows INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  ok INTEGER NOT NULL CHECK (ok IN (0, 1)),
  -- Ids of destroyed keys, six bytes each, big-endian.
  kids BLOB
) STRICT;
CREATE INDEX request_steps_of_request ON request_steps (request_id, id);

-- What the platform did, each entry bound to the one before by its hash. Nothing in it is about a person.
CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  -- Canonical JSON (RFC 8785), with the hash of the entry before.
  entry TEXT NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER ledger_fixed BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is never changed'); END;
CREATE TABLE ledger_heads (
  -- Entries under it.
  size INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  root BLOB NOT NULL CHECK (length(root) = 32),
  key_id TEXT NOT NULL,
  signature BLOB NOT NULL CHECK (length(signature) = 64)
) STRICT;

-- Canonical JSON, signed: what the subject gets.
CREATE TABLE receipts (
  request_id INTEGER PRIMARY KEY REFERENCES requests (id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

-- Trackers that go on sending after they were erased, by a keyed hash of the IMEI: they are answered, and nothing is kept.
CREATE TABLE silenced (
  mark TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT;
CREATE INDEX silenced_until ON silenced (until);

-- What other copies must drop: of a device everything, or a stretch of time.
CREATE TABLE tombstones (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  device_id INTEGER NOT NULL,
  from_time INTEGER,
  to_time INTEGER,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX tombstones_of_account ON tombstones (account_id, id);
CREATE INDEX tombstones_at ON tombstones (at);

-- Links to exports, which are made as they are fetched.
CREATE TABLE export_links (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
  -- SHA-256 of the token in hex.
  hash TEXT NOT NULL UNIQUE,
  -- JSON: what is in it.
  scope TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  fetched_at INTEGER
) STRICT;
CREATE INDEX export_links_of_account ON export_links (account_id, id);
CREATE INDEX export_links_expiry ON export_links (expires_at);

-- Days that the operator's calendar has beside the published ones.
CREATE TABLE calendar_days (
  date TEXT PRIMARY KEY CHECK (date GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
  kind TEXT NOT NULL CHECK (kind IN ('holiday', 'work')),
  added_at INTEGER NOT NULL
) STRICT;

-- From then on nobody reads it, nothing is taken for it, and the engine alone works on it.
ALTER TABLE accounts ADD COLUMN frozen_at INTEGER;
CREATE TRIGGER registry_account_frozen AFTER UPDATE OF frozen_at ON accounts WHEN OLD.frozen_at IS NOT NEW.frozen_at
BEGIN UPDATE registry SET version = version + 1; END;
