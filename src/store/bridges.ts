import { and, asc, eq, gt, isNull } from "drizzle-orm";
import type { Db } from "./db.ts";
import { bridges } from "./schema.ts";

export type BridgeRow = Omit<typeof bridges.$inferSelect, "hash">;

const VISIBLE = { id: bridges.id, name: bridges.name, createdAt: bridges.createdAt, revokedAt: bridges.revokedAt };

export async function insertBridge(db: Db, bridge: typeof bridges.$inferInsert): Promise<BridgeRow> {
  const [row] = await db.insert(bridges).values(bridge).returning(VISIBLE);
  return row;
}

export function listBridges(db: Db, after: number, limit: number): Promise<BridgeRow[]> {
  return db.select(VISIBLE).from(bridges).where(gt(bridges.id, after)).orderBy(asc(bridges.id)).limit(limit);
}

/** @returns false when there is no such bridge that still works */
export async function revokeBridge(db: Db, id: number, now: number): Promise<boolean> {
  const revoked = await db
    .update(bridges)
    .set({ revokedAt: now })
    .where(and(eq(bridges.id, id), isNull(bridges.revokedAt)))
    .returning({ id: bridges.id });
  return revoked.length > 0;
}
