import type { Db } from "./db.ts";
import { settings } from "./schema.ts";

export function readSettings(db: Db): Promise<{ name: string; value: string }[]> {
  return db.select({ name: settings.name, value: settings.value }).from(settings);
}

export async function writeSetting(db: Db, name: string, value: string, now: number): Promise<void> {
  await db
    .insert(settings)
    .values({ name, value, updatedAt: now })
    .onConflictDoUpdate({ target: settings.name, set: { value, updatedAt: now } });
}
