-- What is to be left alone: at a person's wish, while their objection is decided, or as a law has changed. Nothing more of
-- it is stored, nothing is sent to it, and nobody but the account's own people sees it.

CREATE TABLE suspensions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  -- NULL: every device of the account, also one that comes later.
  device_id INTEGER REFERENCES devices (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('restricted', 'objected', 'legislation')),
  -- NULL: no request asked for it, or that is forgotten by now.
  request_id INTEGER REFERENCES requests (id) ON DELETE SET NULL,
  since INTEGER NOT NULL,
  lifted_at INTEGER CHECK (lifted_at >= since),
  -- The person who let it go on; NULL: its request was cancelled or refused.
  lifted_by INTEGER
) STRICT;
CREATE INDEX suspensions_of_account ON suspensions (account_id, id);
CREATE INDEX suspensions_of_device ON suspensions (device_id);
CREATE INDEX suspensions_of_request ON suspensions (request_id);
CREATE INDEX suspensions_in_force ON suspensions (account_id, device_id) WHERE lifted_at IS NULL;
CREATE INDEX suspensions_lifted ON suspensions (lifted_at) WHERE lifted_at IS NOT NULL;
CREATE UNIQUE INDEX suspensions_transfers ON suspensions (account_id) WHERE kind = 'legislation' AND lifted_at IS NULL;

-- They decide what is taken from bridges. One that was lifted and is forgotten decides nothing any more.
CREATE TRIGGER registry_suspension_added AFTER INSERT ON suspensions
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_suspension_lifted AFTER UPDATE OF lifted_at ON suspensions WHEN OLD.lifted_at IS NOT NEW.lifted_at
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_suspension_removed AFTER DELETE ON suspensions WHEN OLD.lifted_at IS NULL
BEGIN UPDATE registry SET version = version + 1; END;

-- What was asked for before there were any.
INSERT INTO suspensions (account_id, device_id, kind, request_id, since)
SELECT r.account_id, d.id, CASE r.type WHEN 'restrict' THEN 'restricted' ELSE 'objected' END, r.id, r.verified_at
FROM requests r JOIN accounts a ON a.id = r.account_id
LEFT JOIN devices d ON d.account_id = r.account_id AND d.deleting_at IS NULL AND r.scope ->> '$.kind' = 'devices'
  AND d.id IN (SELECT value FROM json_each(r.scope, '$.devices'))
WHERE r.type IN ('restrict', 'object') AND r.state = 'verified' AND r.closed_at IS NULL
  AND (r.scope ->> '$.kind' IN ('account', 'tracks') OR d.id IS NOT NULL);
