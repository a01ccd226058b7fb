-- Evidence for the staff whose a request is: two presses of SOS on a tracker of the account, in a time that they open.
ALTER TABLE requests ADD COLUMN proof_asked_at INTEGER;
-- The last position that was there when it was asked for: what came later has a higher id.
ALTER TABLE requests ADD COLUMN proof_after INTEGER;
-- When the second press came; where and on which tracker is not written down.
ALTER TABLE requests ADD COLUMN proof_seen_at INTEGER;
