-- Who cannot sign in: since when there is something to decide on, what is announced first, and which of the staff say that it is them.
ALTER TABLE requests ADD COLUMN evidence_at INTEGER;
-- Announced to every known channel: it is verified then, unless it is cancelled before.
ALTER TABLE requests ADD COLUMN counts_at INTEGER;
CREATE TABLE request_confirmations (
  request_id INTEGER NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
  staff_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (request_id, staff_id)
) STRICT;
