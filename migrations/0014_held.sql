-- What has to be kept although somebody asked for its erasure: it is copied, sealed under a secret of its own, and goes
-- when the reason for it does.

-- An order of a court or an authority, or a claim, for which something must not go. It counts when a second person has
-- confirmed it. It outlives the account.
CREATE TABLE legal_holds (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- 128 random bits, base64url.
  name TEXT NOT NULL UNIQUE,
  account_id INTEGER NOT NULL,
  basis TEXT NOT NULL,
  -- The operator's own file number.
  reference TEXT NOT NULL,
  -- JSON: of an ErasureScope account, devices or range.
  scope TEXT NOT NULL,
  placed_by INTEGER NOT NULL,
  placed_at INTEGER NOT NULL,
  confirmed_by INTEGER CHECK (confirmed_by <> placed_by),
  confirmed_at INTEGER CHECK ((confirmed_at IS NULL) = (confirmed_by IS NULL)),
  review_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  released_by INTEGER,
  released_at INTEGER
) STRICT;
CREATE INDEX legal_holds_of_account ON legal_holds (account_id, id);
CREATE INDEX legal_holds_open ON legal_holds (expires_at) WHERE released_at IS NULL;

-- Laws that the customer says they are under, by their names in src/statutes.ts.
CREATE TABLE statutory_profiles (
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  profile TEXT NOT NULL,
  enabled_by INTEGER,
  enabled_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, profile)
) STRICT;

-- What an account owes or is owed: an order that must be kept for the tax, a warranty, a dispute, a written extension.
CREATE TABLE obligations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  basis TEXT NOT NULL,
  -- What is kept, and nothing else of the account.
  details TEXT NOT NULL,
  created_by INTEGER,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- Of an extension: when the customer agreed to it. Without that it keeps nothing.
  acknowledged_at INTEGER
) STRICT;
CREATE INDEX obligations_of_account ON obligations (account_id, id);
CREATE INDEX obligations_expiry ON obligations (expires_at);

-- A copy that is kept: an archive, in pieces.
CREATE TABLE held_parts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- It outlives the account.
  account_id INTEGER NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('hold', 'statute', 'obligation')),
  basis TEXT NOT NULL,
  -- 0: not a hold.
  hold_id INTEGER NOT NULL DEFAULT 0,
  -- The erasure that it was made for; NULL: a period that ended, or a device that was removed.
  request_id INTEGER,
  -- What would have destroyed it: 'request:<id>', 'device:<id>', 'day:<days since 1970>'. With the reason it is made once.
  cause TEXT NOT NULL,
  -- What of the archive's subject: a number of the statute's day or of the obligation, else 0.
  item INTEGER NOT NULL DEFAULT 0,
  -- The secret that it is sealed under.
  kid INTEGER NOT NULL,
  -- Unix ms; NULL: as long as its hold.
  until INTEGER,
  bytes INTEGER NOT NULL DEFAULT 0,
  made_at INTEGER NOT NULL,
  -- NULL: it is being written, and begun again by whoever finds it so.
  complete_at INTEGER
) STRICT;
CREATE UNIQUE INDEX held_parts_once ON held_parts (account_id, reason, basis, hold_id, cause, item);
CREATE INDEX held_parts_of_request ON held_parts (request_id);
CREATE INDEX held_parts_until ON held_parts (until);
CREATE TABLE held_chunks (
  part_id INTEGER NOT NULL REFERENCES held_parts (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (part_id, seq)
) STRICT;

-- May read what is held until then, for a reason that is written down. NULL: may not.
ALTER TABLE users ADD COLUMN legal_until INTEGER;
