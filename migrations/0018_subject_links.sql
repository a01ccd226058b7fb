-- Who drives or carries a tracker has no account: the customer gives them a link, and what they ask goes to the customer first.

-- Of one device and a stretch of fix times. Nothing is stored about who has it.
CREATE TABLE subject_links (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  -- SHA-256 of the token in hex.
  hash TEXT NOT NULL UNIQUE,
  from_time INTEGER NOT NULL,
  to_time INTEGER NOT NULL,
  -- Whether the customer lets them read the positions too.
  shows_track INTEGER NOT NULL DEFAULT 0 CHECK (shows_track IN (0, 1)),
  made_by INTEGER,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;
CREATE INDEX subject_links_of_device ON subject_links (account_id, device_id, id);
CREATE INDEX subject_links_expiry ON subject_links (expires_at);

CREATE TABLE subject_requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  link_id INTEGER NOT NULL REFERENCES subject_links (id) ON DELETE CASCADE,
  -- 128 random bits, base64url.
  name TEXT NOT NULL UNIQUE,
  type TEXT NOT NULL CHECK (type IN ('erase', 'object')),
  from_time INTEGER NOT NULL,
  to_time INTEGER NOT NULL,
  asked_at INTEGER NOT NULL,
  -- Until when the customer has to answer; then the operator's staff do.
  answer_by INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'refused')),
  -- Since when, and until when, it is the staff's, and percent of that time at which they were told last.
  escalated_at INTEGER,
  staff_by INTEGER,
  alarmed INTEGER NOT NULL DEFAULT 0,
  answered_by TEXT CHECK (answered_by IN ('customer', 'staff')),
  answered_at INTEGER,
  -- Why it was refused, or what was done: whoever asked reads it.
  reason TEXT,
  -- The request that carries an erasure out.
  request_name TEXT
) STRICT;
CREATE INDEX subject_requests_of_account ON subject_requests (account_id, id);
CREATE INDEX subject_requests_of_link ON subject_requests (link_id, id);
CREATE INDEX subject_requests_open ON subject_requests (answer_by) WHERE state = 'open';

-- It is somebody's who drives or carries the tracker, and not the account's own.
ALTER TABLE requests ADD COLUMN via_subject INTEGER NOT NULL DEFAULT 0 CHECK (via_subject IN (0, 1));
