import { and, asc, eq } from "drizzle-orm";
import type { Db } from "./db.ts";
import { statutoryProfiles } from "./schema.ts";

export type StatutoryProfileRow = typeof statutoryProfiles.$inferSelect;

/** The laws that an account says it is under. */
export function profilesOf(db: Db, accountId: number): Promise<StatutoryProfileRow[]> {
  return db
    .select()
    .from(statutoryProfiles)
    .where(eq(statutoryProfiles.accountId, accountId))
    .orderBy(asc(statutoryProfiles.profile));
}

/** @returns false when it was chosen before: then it stays as it is */
export async function insertProfile(
  db: Db,
  accountId: number,
  row: Pick<StatutoryProfileRow, "profile" | "enabledBy" | "enabledAt">,
): Promise<boolean> {
  const rows = await db
    .insert(statutoryProfiles)
    .values({ accountId, ...row })
    .onConflictDoNothing()
    .returning({ profile: statutoryProfiles.profile });
  return rows.length > 0;
}

/** @returns false when it was not chosen */
export async function deleteProfile(db: Db, accountId: number, profile: string): Promise<boolean> {
  const rows = await db
    .delete(statutoryProfiles)
    .where(and(eq(statutoryProfiles.accountId, accountId), eq(statutoryProfiles.profile, profile)))
    .returning({ profile: statutoryProfiles.profile });
  return rows.length > 0;
}
