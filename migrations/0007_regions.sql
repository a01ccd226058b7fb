-- Tracks of an account in a database of their own region: where they are, every move, and who lives in a database.

-- NULL: with everything else, in the database that has this row.
ALTER TABLE accounts ADD COLUMN telemetry TEXT CHECK (length(telemetry) BETWEEN 1 AND 32);
CREATE INDEX accounts_elsewhere ON accounts (telemetry) WHERE telemetry IS NOT NULL;
CREATE TRIGGER registry_telemetry_changed AFTER UPDATE OF telemetry ON accounts WHEN OLD.telemetry IS NOT NEW.telemetry
BEGIN UPDATE registry SET version = version + 1; END;

-- Every time that an account was placed, and how far the move of its tracks is. copying: they are copied, and everything
-- goes on where they are; holding: nothing is taken for the account while the rest is copied; erasing: they are where
-- they belong, and what is left at the source goes; done.
CREATE TABLE placements (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  from_database TEXT NOT NULL,
  from_region TEXT NOT NULL,
  to_database TEXT NOT NULL,
  to_region TEXT NOT NULL,
  actor TEXT NOT NULL,
  actor_id INTEGER,
  reason TEXT,
  at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('copying', 'holding', 'erasing', 'done')),
  -- All positions up to this id were copied; NULL: not yet once.
  copied_id INTEGER,
  switched_at INTEGER,
  finished_at INTEGER
) STRICT;
CREATE UNIQUE INDEX placements_open ON placements (account_id) WHERE state <> 'done';
CREATE INDEX placements_of_account ON placements (account_id, id);
CREATE TRIGGER registry_placement_held AFTER UPDATE OF state ON placements
WHEN (OLD.state = 'holding') <> (NEW.state = 'holding')
BEGIN UPDATE registry SET version = version + 1; END;

-- Which database this is; empty in the one with the accounts.
CREATE TABLE residence (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL,
  region TEXT NOT NULL
) STRICT;
-- The accounts whose tracks are here. coming: they are being copied to here; here: everything new comes here; leaving:
-- nothing comes any more.
CREATE TABLE residents (
  account_id INTEGER PRIMARY KEY,
  placement INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('coming', 'here', 'leaving'))
) STRICT;

-- Whatever the program believes: a track is not written where its account is not placed.
CREATE TRIGGER segments_placed BEFORE INSERT ON segments
WHEN CASE WHEN EXISTS (SELECT 1 FROM residence) THEN NOT EXISTS (SELECT 1 FROM residents WHERE account_id = NEW.account_id)
  ELSE (SELECT telemetry FROM accounts WHERE id = NEW.account_id) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM placements
    WHERE account_id = NEW.account_id AND to_database = 'main' AND state IN ('copying', 'holding')) END
BEGIN SELECT RAISE(ABORT, 'Cannot store a track: its account is not placed in this database'); END;
CREATE TRIGGER newest_placed BEFORE INSERT ON newest
WHEN CASE WHEN EXISTS (SELECT 1 FROM residence) THEN NOT EXISTS (SELECT 1 FROM residents WHERE account_id = NEW.account_id)
  ELSE (SELECT telemetry FROM accounts WHERE id = NEW.account_id) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM placements
    WHERE account_id = NEW.account_id AND to_database = 'main' AND state IN ('copying', 'holding')) END
BEGIN SELECT RAISE(ABORT, 'Cannot store a fix: its account is not placed in this database'); END;
CREATE TRIGGER wrapped_secrets_placed BEFORE INSERT ON wrapped_secrets
WHEN CASE WHEN EXISTS (SELECT 1 FROM residence) THEN NOT EXISTS (SELECT 1 FROM residents WHERE account_id = NEW.account_id)
  ELSE (SELECT telemetry FROM accounts WHERE id = NEW.account_id) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM placements
    WHERE account_id = NEW.account_id AND to_database = 'main' AND state IN ('copying', 'holding')) END
BEGIN SELECT RAISE(ABORT, 'Cannot store a key: its account is not placed in this database'); END;
