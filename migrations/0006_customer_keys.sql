-- Customers' own keys: from the first one on, settled positions are sealed so that only its owner reads them again.

CREATE TABLE customer_keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('everyday', 'offline')),
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;
-- One of each kind, and none twice.
CREATE UNIQUE INDEX customer_keys_in_use ON customer_keys (account_id, kind) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX customer_keys_once ON customer_keys (account_id, public_key) WHERE revoked_at IS NULL;
CREATE INDEX customer_keys_of_account ON customer_keys (account_id, id);

-- Beside the segments: the half of their keys that is the customer's, wrapped to each of the keys. One kid is one
-- settling of one day of the account.
CREATE TABLE wrapped_secrets (
  account_id INTEGER NOT NULL,
  kid INTEGER NOT NULL,
  key_id INTEGER NOT NULL,
  day INTEGER NOT NULL,
  wrapped BLOB NOT NULL CHECK (length(wrapped) = 80),
  PRIMARY KEY (account_id, kid, key_id)
) STRICT;
ALTER TABLE segments ADD COLUMN customer_kid INTEGER;
CREATE INDEX segments_of_customer_kid ON segments (account_id, customer_kid) WHERE customer_kid IS NOT NULL;
