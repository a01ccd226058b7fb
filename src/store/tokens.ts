import { and, eq, gt, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import { type TOKEN_KINDS, tokens } from "./schema.ts";

export type TokenKind = (typeof TOKEN_KINDS)[number];
export type TokenRow = typeof tokens.$inferSelect;

export async function insertToken(db: Db, token: typeof tokens.$inferInsert): Promise<void> {
  await db.insert(tokens).values(token);
}

const valid = (kind: TokenKind, hash: string, now: number) =>
  and(eq(tokens.hash, hash), eq(tokens.kind, kind), gt(tokens.expiresAt, now));

export async function tokenOfHash(db: Db, kind: TokenKind, hash: string, now: number): Promise<TokenRow | null> {
  const [row] = await db
    .select()
    .from(tokens)
    .where(valid(kind, hash, now));
  return row ?? null;
}

export function tokensOf(db: Db, userId: number, kind: TokenKind, now: number): Promise<TokenRow[]> {
  return db
    .select()
    .from(tokens)
    .where(and(eq(tokens.userId, userId), eq(tokens.kind, kind), gt(tokens.expiresAt, now)));
}

export async function takeToken(db: Db, kind: TokenKind, hash: string, now: number): Promise<TokenRow | null> {
  const [row] = await db
    .delete(tokens)
    .where(valid(kind, hash, now))
    .returning();
  return row ?? null;
}

export async function dropTokens(db: Db, userId: number, kind: TokenKind): Promise<void> {
  await db.delete(tokens).where(and(eq(tokens.userId, userId), eq(tokens.kind, kind)));
}

/** Ends the links that secure an account and were made after one of them. */
export async function dropNewerReports(db: Db, userId: number, id: number): Promise<void> {
  await db.delete(tokens).where(and(eq(tokens.userId, userId), eq(tokens.kind, "report"), gt(tokens.id, id)));
}

export async function dropAllTokens(db: Db, userId: number): Promise<void> {
  await db.delete(tokens).where(eq(tokens.userId, userId));
}

export async function countAttempt(db: Db, id: number): Promise<number> {
  const [row] = await db
    .update(tokens)
    .set({ attempts: sql`${tokens.attempts} + 1` })
    .where(eq(tokens.id, id))
    .returning({ attempts: tokens.attempts });
  return row?.attempts ?? Number.POSITIVE_INFINITY;
}

/** @returns rows */
export async function purgeTokens(db: Db, now: number, limit: number): Promise<number> {
  const { rowsAffected } = await db.$client.execute({
    sql: "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE expires_at <= ? LIMIT ?)",
    args: [now, limit],
  });
  return rowsAffected;
}
