import { and, desc, eq, getTableColumns, gte, isNull, lt, notExists, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { devices, unclaimed } from "./schema.ts";

export type UnclaimedRow = Omit<typeof unclaimed.$inferSelect, "imeiIndex">;

/** Adds to what is known of these IMEIs and keeps the newest `keep` of all. */
export async function recordUnclaimed(db: Db, seen: readonly UnclaimedRow[], keep: number): Promise<void> {
  const sealed = await db.$fields.sealAll("unclaimed", null, seen);
  await db.$client.batch(
    [
      {
        sql: `INSERT INTO unclaimed (imei, imei_index, first_seen, last_seen, frames)
          SELECT value ->> 'imei', value ->> 'imeiIndex', value ->> 'firstSeen', value ->> 'lastSeen', value ->> 'frames'
          FROM json_each(?) WHERE true
          ON CONFLICT (imei_index) DO UPDATE SET frames = frames + excluded.frames, last_seen = max(last_seen, excluded.last_seen)`,
        args: [JSON.stringify(sealed)],
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
export async function listUnclaimed(db: Db, seenSince: number, limit: number): Promise<UnclaimedRow[]> {
  const claimed = db
    .select({ one: sql`1` })
    .from(devices)
    .where(and(eq(devices.imeiIndex, unclaimed.imeiIndex), isNull(devices.deletingAt)));
  const { imeiIndex: _, ...shown } = getTableColumns(unclaimed);
  const rows = await db
    .select(shown)
    .from(unclaimed)
    .where(and(gte(unclaimed.lastSeen, seenSince), notExists(claimed)))
    .orderBy(desc(unclaimed.lastSeen), unclaimed.imeiIndex)
    .limit(limit);
  return db.$fields.open("unclaimed", rows, null);
}

/** @returns how many */
export async function purgeUnclaimed(db: Db, seenBefore: number): Promise<number> {
  return (await db.delete(unclaimed).where(lt(unclaimed.lastSeen, seenBefore))).rowsAffected;
}
