import { and, asc, eq, gt, inArray } from "drizzle-orm";
import type { Db } from "./db.ts";
import { brands, brandTexts } from "./schema.ts";

export type BrandRow = typeof brands.$inferSelect;
export type BrandTextRow = typeof brandTexts.$inferSelect;
export type BrandTextKind = BrandTextRow["kind"];
/** A brand without the bytes of its logo. */
export type BrandHead = Omit<BrandRow, "logo">;

const HEAD = {
  id: brands.id,
  hostname: brands.hostname,
  name: brands.name,
  accent: brands.accent,
  logoType: brands.logoType,
  createdAt: brands.createdAt,
  updatedAt: brands.updatedAt,
};

export async function brandByHostname(db: Db, hostname: string): Promise<BrandHead | null> {
  const [row] = await db.select(HEAD).from(brands).where(eq(brands.hostname, hostname));
  return row ?? null;
}

export async function brandById(db: Db, id: number): Promise<BrandHead | null> {
  const [row] = await db.select(HEAD).from(brands).where(eq(brands.id, id));
  return row ?? null;
}

export async function logoOf(db: Db, id: number): Promise<Pick<BrandRow, "logo" | "logoType"> | null> {
  const [row] = await db.select({ logo: brands.logo, logoType: brands.logoType }).from(brands).where(eq(brands.id, id));
  return row ?? null;
}

export function listBrands(db: Db, after: number, limit: number): Promise<BrandHead[]> {
  return db.select(HEAD).from(brands).where(gt(brands.id, after)).orderBy(asc(brands.id)).limit(limit);
}

/** @returns null when the hostname has a brand already */
export async function insertBrand(db: Db, brand: typeof brands.$inferInsert): Promise<BrandHead | null> {
  const [row] = await db.insert(brands).values(brand).onConflictDoNothing().returning(HEAD);
  return row ?? null;
}

/** @returns null when there is no such brand */
export async function updateBrand(
  db: Db,
  id: number,
  change: Partial<Omit<typeof brands.$inferInsert, "id" | "hostname">>,
): Promise<BrandHead | null> {
  const [row] = await db.update(brands).set(change).where(eq(brands.id, id)).returning(HEAD);
  return row ?? null;
}

/** With its texts. @returns false when there is no such brand */
export async function deleteBrand(db: Db, id: number): Promise<boolean> {
  const gone = await db.delete(brands).where(eq(brands.id, id)).returning({ id: brands.id });
  return gone.length > 0;
}

export function textsOf(db: Db, brandIds: readonly number[]): Promise<BrandTextRow[]> {
  return db
    .select()
    .from(brandTexts)
    .where(inArray(brandTexts.brandId, [...brandIds]))
    .orderBy(asc(brandTexts.brandId), asc(brandTexts.kind), asc(brandTexts.language));
}

export async function writeText(db: Db, text: BrandTextRow): Promise<void> {
  const { url, body, sha256, updatedAt } = text;
  await db
    .insert(brandTexts)
    .values(text)
    .onConflictDoUpdate({
      target: [brandTexts.brandId, brandTexts.kind, brandTexts.language],
      set: { url, body, sha256, updatedAt },
    });
}

export async function deleteText(db: Db, brandId: number, kind: BrandTextKind, language: string): Promise<void> {
  await db
    .delete(brandTexts)
    .where(and(eq(brandTexts.brandId, brandId), eq(brandTexts.kind, kind), eq(brandTexts.language, language)));
}
