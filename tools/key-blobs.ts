import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import Database from "libsql";

// Miniflare's R2 keeps each object's bytes in a file of its own and the rest in SQLite. What is overwritten or deleted has
// its file removed after the answer, so that a workerd that is killed just then leaves one that nothing names any more.

/**
 * Removes what no bucket names. Only while no workerd runs on the folder.
 * @param folder resourcePersistencePath of Miniflare
 * @returns files removed
 */
export function sweepBlobs(folder: string): number {
  const r2 = join(folder, "r2");
  if (!existsSync(r2)) return 0;
  const named = namedBlobs(join(r2, "miniflare-R2BucketObject"));
  // Kept elsewhere than this knows of: what nothing seems to name could be everything.
  if (named === null) return 0;
  let removed = 0;
  for (const bucket of readdirSync(r2)) {
    const blobs = join(r2, bucket, "blobs");
    if (!existsSync(blobs)) continue;
    for (const blob of readdirSync(blobs)) {
      if (named.has(blob)) continue;
      rmSync(join(blobs, blob));
      removed++;
    }
  }
  return removed;
}

/** The files that the buckets' tables name; null when there is no such table. */
function namedBlobs(folder: string): Set<string> | null {
  if (!existsSync(folder)) return null;
  const named = new Set<string>();
  let tables = 0;
  for (const file of readdirSync(folder)) {
    if (!file.endsWith(".sqlite")) continue;
    const db = new Database(join(folder, file));
    try {
      const exists = db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = '_mf_objects'").get() as {
        n: number;
      };
      if (exists.n === 0) continue;
      tables++;
      const rows = db
        .prepare("SELECT blob_id FROM _mf_objects UNION ALL SELECT blob_id FROM _mf_multipart_parts")
        .all() as { blob_id: string | null }[];
      for (const { blob_id } of rows) if (blob_id !== null) named.add(blob_id);
    } finally {
      db.close();
    }
  }
  return tables === 0 ? null : named;
}
