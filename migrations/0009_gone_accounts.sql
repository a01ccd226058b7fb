-- Accounts whose rows are gone, until the secrets that their fields were sealed under are gone too.

CREATE TABLE gone_accounts (
  id INTEGER PRIMARY KEY,
  -- 1: a run of the job has seen it. A number that was only reserved may be used until the next run.
  seen INTEGER NOT NULL DEFAULT 0 CHECK (seen IN (0, 1))
) STRICT;
CREATE TRIGGER accounts_gone AFTER DELETE ON accounts
BEGIN INSERT OR IGNORE INTO gone_accounts (id) VALUES (OLD.id); END;
