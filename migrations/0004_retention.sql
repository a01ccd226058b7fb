-- How long positions are kept: per account, group and device, in the account's time zone; and what of them is not stored.

ALTER TABLE accounts ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC' CHECK (length(time_zone) <= 64);
-- NULL: the calendar months of the installation.
ALTER TABLE accounts ADD COLUMN retention_days INTEGER CHECK (retention_days BETWEEN 1 AND 3650);
-- Another number with each change of the account's periods: a change names the one it saw.
ALTER TABLE accounts ADD COLUMN retention_version INTEGER NOT NULL DEFAULT 0;
-- Bits of codec/collect.ts.
ALTER TABLE accounts ADD COLUMN collection INTEGER NOT NULL DEFAULT 0 CHECK (collection BETWEEN 0 AND 31);

CREATE TABLE device_groups (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  retention_days INTEGER CHECK (retention_days BETWEEN 1 AND 3650),
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX device_groups_of_account ON device_groups (account_id, id);

ALTER TABLE devices ADD COLUMN group_id INTEGER REFERENCES device_groups (id) ON DELETE SET NULL;
ALTER TABLE devices ADD COLUMN retention_days INTEGER CHECK (retention_days BETWEEN 1 AND 3650);
-- What was past its period when the period was made longer stays unreadable: everything before this time.
ALTER TABLE devices ADD COLUMN retention_floor INTEGER NOT NULL DEFAULT 0;
-- When another period than before began to decide: what is sealed under secrets of the old one waits to be sealed anew.
ALTER TABLE devices ADD COLUMN rescoped_at INTEGER;
CREATE INDEX devices_of_group ON devices (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX devices_rescoped ON devices (rescoped_at) WHERE rescoped_at IS NOT NULL;

-- What retention deleted: how many positions of an account on which day (UTC, days since 1970).
CREATE TABLE purges (
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  day INTEGER NOT NULL,
  positions INTEGER NOT NULL,
  PRIMARY KEY (account_id, day)
) STRICT;

CREATE TRIGGER registry_collection_changed AFTER UPDATE OF collection ON accounts WHEN OLD.collection IS NOT NEW.collection
BEGIN UPDATE registry SET version = version + 1; END;
