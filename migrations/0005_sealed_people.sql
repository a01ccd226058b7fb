-- Personal fields are sealed under the secret of their account; what is looked up has a keyed hash beside it.

-- The indexes on the clear columns stay: a program of before that still runs for a moment needs them, and what is sealed
-- is never twice the same.
ALTER TABLE accounts ADD COLUMN name_index TEXT;
CREATE INDEX accounts_name_index ON accounts (name_index);
ALTER TABLE users ADD COLUMN email_index TEXT;
CREATE UNIQUE INDEX users_email_index ON users (email_index);
ALTER TABLE devices ADD COLUMN imei_index TEXT;
CREATE UNIQUE INDEX devices_imei_index ON devices (imei_index) WHERE deleting_at IS NULL;
ALTER TABLE activations ADD COLUMN imei_index TEXT;
CREATE UNIQUE INDEX activations_imei_index ON activations (imei_index);
-- What is in it is there again within minutes.
DELETE FROM unclaimed;
ALTER TABLE unclaimed ADD COLUMN imei_index TEXT;
CREATE UNIQUE INDEX unclaimed_imei_index ON unclaimed (imei_index);
ALTER TABLE commands ADD COLUMN reply_index TEXT;
-- The device that a kept answer is about, which only the answer said until now.
ALTER TABLE idempotency_keys ADD COLUMN device_id INTEGER;
CREATE INDEX idempotency_keys_of_device ON idempotency_keys (account_id, device_id) WHERE device_id IS NOT NULL;
UPDATE idempotency_keys SET device_id = CAST(substr(response ->> '$.headers.location', 13) AS INTEGER)
  WHERE response ->> '$.headers.location' LIKE '/v1/devices/%';

-- A sealed country is longer than two letters.
CREATE TABLE sealed_addresses (
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('shipping', 'billing')),
  recipient TEXT,
  line1 TEXT NOT NULL,
  line2 TEXT,
  city TEXT NOT NULL,
  region TEXT,
  postcode TEXT,
  country TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, kind)
) STRICT;
INSERT INTO sealed_addresses SELECT * FROM addresses;
DROP TABLE addresses;
ALTER TABLE sealed_addresses RENAME TO addresses;

-- What was stored before is sealed by src/seal-clear.ts: only the program has the keys.
INSERT INTO settings (name, value, updated_at) SELECT 'seal clear fields', 'lookups', 0
  WHERE EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM activations);
