-- Erasing a stretch of a track, and trackers that were erased and go on sending.

-- The secret that a device got for a request, and when: the ones before it go when nothing that stays needs them.
CREATE TABLE rotations (
  request_id INTEGER NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
  device_id INTEGER NOT NULL,
  kid INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (request_id, device_id)
) STRICT;

-- What came before this time or has a fix before it: a stretch that ends later takes nothing that is newer than the
-- request. NULL: everything.
ALTER TABLE tombstones ADD COLUMN before_time INTEGER;

-- Whether the tracker repeats a CCE packet until it is confirmed.
ALTER TABLE silenced ADD COLUMN confirm_cce INTEGER NOT NULL DEFAULT 0 CHECK (confirm_cce IN (0, 1));

-- Both decide what is taken from bridges.
CREATE TRIGGER registry_tombstone_added AFTER INSERT ON tombstones
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_silenced_added AFTER INSERT ON silenced
BEGIN UPDATE registry SET version = version + 1; END;
CREATE TRIGGER registry_silenced_removed AFTER DELETE ON silenced
BEGIN UPDATE registry SET version = version + 1; END;
