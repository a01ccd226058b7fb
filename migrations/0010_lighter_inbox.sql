-- Fewer pages and rows are written for a position.

-- What waits of a part is counted from its runs.
ALTER TABLE parts DROP COLUMN positions;
ALTER TABLE parts DROP COLUMN oldest;

-- Without AUTOINCREMENT, whose counter is a page in each write: what is deleted is merged, so that an id above the last
-- that is there and the last that is merged never was.
CREATE TABLE batches (
  id INTEGER PRIMARY KEY,
  positions INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  kid INTEGER NOT NULL,
  nonce BLOB NOT NULL CHECK (length(nonce) = 8),
  shift INTEGER NOT NULL CHECK (shift BETWEEN 0 AND 10),
  directory TEXT NOT NULL,
  chunks BLOB NOT NULL
) STRICT;
INSERT INTO batches SELECT * FROM inbox;
-- Ids may have been left out by a move.
INSERT INTO batches SELECT seq, 0, 0, 0, zeroblob(8), 8, '', x'' FROM sqlite_sequence
  WHERE name = 'inbox' AND seq > (SELECT merged FROM settlement) AND NOT EXISTS (SELECT 1 FROM inbox WHERE id = seq);
DROP TABLE inbox;
ALTER TABLE batches RENAME TO inbox;
