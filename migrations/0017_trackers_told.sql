-- Trackers of what is being erased are told to delete what they hold, and the receipt says what came of it.

-- JSON, numbers of trackers.
ALTER TABLE requests ADD COLUMN trackers TEXT;
-- Their answers, and removals that have not ended, are found without a look at every device.
CREATE INDEX devices_marked ON devices (imei_index) WHERE deleting_at IS NOT NULL;
