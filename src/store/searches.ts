import { and, asc, desc, eq, gt, inArray, isNull, lt } from "drizzle-orm";
import type { Db } from "./db.ts";
import { type Reach, within } from "./reach.ts";
import { devices, searches } from "./schema.ts";
import { accountOfUser } from "./users.ts";

export interface SearchRow {
  id: number;
  term: string;
  searchedAt: number;
}

export interface FoundDevice {
  id: number;
  name: string;
  imei: string;
  model: string | null;
}

/** Devices that are opened at a time to look for a part of their name. */
const STEP = 1000;

/**
 * Devices in reach whose name or IMEI holds a term, by name. They are sealed, so that all of them are opened and looked
 * through, which is possible within one account only.
 */
export async function findDevices(db: Db, reach: Reach, term: string, limit: number): Promise<FoundDevice[]> {
  const wanted = term.toLowerCase();
  const found: FoundDevice[] = [];
  for (let after = 0; ; ) {
    const rows = await db
      .select({ id: devices.id, name: devices.name, imei: devices.imei, model: devices.model })
      .from(devices)
      .where(and(within(reach, devices.accountId, devices.id), isNull(devices.deletingAt), gt(devices.id, after)))
      .orderBy(asc(devices.id))
      .limit(STEP);
    const opened = await db.$fields.open("devices", rows, reach.accountId);
    found.push(...opened.filter(({ name, imei }) => name.toLowerCase().includes(wanted) || imei.includes(wanted)));
    if (rows.length < STEP) break;
    after = rows.at(-1)!.id;
  }
  const order = (a: FoundDevice, b: FoundDevice) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id - b.id);
  return found.sort(order).slice(0, limit);
}

/** Keeps a term, if the user wants them kept at that moment. */
export async function insertSearch(db: Db, userId: number, term: string, now: number): Promise<void> {
  const sealed = await db.$fields.seal("searches", await accountOfUser(db, userId), { term });
  await db.$client.execute({
    sql: "INSERT INTO searches (user_id, term, searched_at) SELECT id, ?, ? FROM users WHERE id = ? AND search_history = 1",
    args: [sealed.term, now, userId],
  });
}

/** Newest first. */
export async function listSearches(db: Db, userId: number, limit: number): Promise<SearchRow[]> {
  const rows = await db
    .select({ id: searches.id, term: searches.term, searchedAt: searches.searchedAt })
    .from(searches)
    .where(eq(searches.userId, userId))
    .orderBy(desc(searches.id))
    .limit(limit);
  return db.$fields.open("searches", rows, await accountOfUser(db, userId));
}

export async function deleteSearches(db: Db, userId: number): Promise<void> {
  await db.delete(searches).where(eq(searches.userId, userId));
}

/** @returns rows */
export async function purgeSearches(db: Db, before: number, limit: number): Promise<number> {
  const old = db.select({ id: searches.id }).from(searches).where(lt(searches.searchedAt, before)).limit(limit);
  return (await db.delete(searches).where(inArray(searches.id, old)).returning({ id: searches.id })).length;
}
