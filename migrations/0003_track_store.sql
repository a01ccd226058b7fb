-- The track store: an inbox of sealed batches, and segments of one device and day that are sealed under keys that expire.

-- Batches as bridges deliver them. AUTOINCREMENT: a position's id is made of the batch's, and must not come back.
CREATE TABLE inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  positions INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  kid INTEGER NOT NULL,
  nonce BLOB NOT NULL CHECK (length(nonce) = 8),
  shift INTEGER NOT NULL CHECK (shift BETWEEN 0 AND 10),
  directory TEXT NOT NULL,
  chunks BLOB NOT NULL
) STRICT;
-- Ids of positions that were stored before go on from where they were.
INSERT INTO inbox (id, positions, received_at, kid, nonce, shift, directory, chunks)
  SELECT coalesce(max(id), 0) / 1024 + 1, 0, 0, 0, zeroblob(8), 10, '', x'' FROM positions;
DELETE FROM inbox;

-- Many batches merged and sorted: a row for each of the 128 parts of the fleet. The id is the part and the last batch.
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  positions INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  kid INTEGER NOT NULL,
  nonce BLOB NOT NULL CHECK (length(nonce) = 8),
  directory TEXT NOT NULL,
  chunks BLOB NOT NULL
) STRICT;

-- What waits in the runs of each part, and the last batch of which it is in segments. What is settled is deleted later:
-- pages that a write frees and fills again go into the log once.
CREATE TABLE parts (
  id INTEGER PRIMARY KEY,
  settled INTEGER NOT NULL,
  positions INTEGER NOT NULL,
  oldest INTEGER NOT NULL
) STRICT;
WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < 127)
  INSERT INTO parts SELECT id, 0, 0, 0 FROM n;

-- The key that batches are sealed under, the last batch that is in runs, and who settles just now.
CREATE TABLE settlement (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  kid INTEGER NOT NULL,
  kid_since INTEGER NOT NULL,
  merged INTEGER NOT NULL,
  span INTEGER NOT NULL,
  holder INTEGER NOT NULL,
  held_until INTEGER NOT NULL
) STRICT;
INSERT INTO settlement SELECT 1, 0, 0, seq, 0, 0, 0 FROM sqlite_sequence WHERE name = 'inbox';

-- Tracks. The id is device, UTC day of the fixes and a number, so that a device's history lies together. Times of the
-- fixes; `due_*` are the times that retention goes by, where a tracker's clock makes them differ.
CREATE TABLE segments (
  id INTEGER PRIMARY KEY,
  device_id INTEGER NOT NULL,
  account_id INTEGER NOT NULL,
  day_kid INTEGER NOT NULL,
  device_kid INTEGER NOT NULL,
  from_time INTEGER NOT NULL,
  to_time INTEGER NOT NULL,
  due_from INTEGER,
  due_to INTEGER,
  first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL,
  positions INTEGER NOT NULL,
  alarms INTEGER NOT NULL,
  clockless INTEGER NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
CREATE INDEX segments_arrival ON segments (account_id, last_id, first_id);
CREATE INDEX segments_clockless ON segments (id) WHERE clockless > 0;

-- The newest valid fix of each device, for up to 64 devices of an account in a row.
CREATE TABLE newest (
  id INTEGER PRIMARY KEY,
  account_id INTEGER NOT NULL,
  fixes BLOB NOT NULL
) STRICT;

-- Up to which day, of each scope, the secrets of an account's days are destroyed, so that the key store is asked once a day.
ALTER TABLE accounts ADD COLUMN days_destroyed TEXT;

-- Positions that are there already are moved by a job, and so are the newest ones found again.
DROP TABLE latest;
