-- What did not open although it should: altered, moved, or its key is lost. An operator must see it.

CREATE TABLE broken (
  kind TEXT NOT NULL CHECK (kind IN ('segment', 'newest', 'batch', 'run')),
  -- The database with tracks, as the directory calls it.
  telemetry TEXT NOT NULL,
  -- Id of the segment, the device or the batch; of a run the id of its key.
  thing INTEGER NOT NULL,
  times INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (kind, telemetry, thing)
) STRICT;
