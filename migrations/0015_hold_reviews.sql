-- Who is to look again at an order that keeps something is told once a week, not with each run of the job.
ALTER TABLE legal_holds ADD COLUMN told_at INTEGER;
