import { and, desc, eq, gte, isNull, lt, notExists, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { devices, unclaimed } from "./schema.ts";

export type UnclaimedRow = typeof unclaimed.$inferSelect;

/** Adds to what is known of these IMEIs and keeps the newest `keep` of all. */
export async function recordUnclaimed(db: Db, seen: readonly UnclaimedRow[], keep: number): Promise<void> {
  await db.$client.batch(
    [
      {
        sql: `INSERT INTO unclaimed (imei, first_seen, last_seen, frames)
          SELECT value ->> 'imei', value ->> 'firstSeen', value ->> 'lastSeen', value ->> 'frames' FROM json_each(?) WHERE true
          ON CONFLICT (imei) DO UPDATE SET frames = frames + excluded.frames, last_seen = max(last_seen, excluded.last_seen)`,
        args: [JSON.stringify(seen)],
      },
      {
        sql: `DELETE FROM unclaimed WHERE imei IN (
          SELECT imei FROM unclaimed ORDER BY last_seen DESC, imei LIMIT -1 OFFSET ?)`,
        args: [keep],
      },
    ],
    "write",
  );
}

/** Newest first, without those that were registered since. */
export function listUnclaimed(db: Db, seenSince: number, limit: number): Promise<UnclaimedRow[]> {
  const claimed = db
    .select({ one: sql`1` })
    .from(devices)
    .where(and(eq(devices.imei, unclaimed.imei), isNull(devices.deletingAt)));
  return db
    .select()
    .from(unclaimed)
    .where(and(gte(unclaimed.lastSeen, seenSince), notExists(claimed)))
    .orderBy(desc(unclaimed.lastSeen), unclaimed.imei)
    .limit(limit);
}

/** @returns how many */
export async function purgeUnclaimed(db: Db, seenBefore: number): Promise<number> {
  return (await db.delete(unclaimed).where(lt(unclaimed.lastSeen, seenBefore))).rowsAffected;
}
