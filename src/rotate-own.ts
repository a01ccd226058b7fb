import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { open, seal } from "./seal.ts";
import { underNewest } from "./sealed-fields.ts";
import * as store from "./store/rotate-own.ts";
import { SEALED, type SealedTable } from "./store/sealed.ts";
import { destroyOldOwnSecrets } from "./vault.ts";

// What is corrected or deleted of a person's fields must not open in an older copy of the database. So the account gets
// another secret of its own (rotateOwnSecret()), all that is left is sealed anew under it, and the old one is destroyed.

export interface SealedAnew {
  /** Rows that were sealed anew. */
  rows: number;
  /** Kids of what was destroyed. */
  kids: number[];
  /** false: the time was over before everything was sealed anew, and nothing is destroyed yet. */
  done: boolean;
}

/**
 * Seals what is left of an account under its newest secret, and destroys the others. Begin it LIMITS.shredEveryMs after
 * the newest was made: until then others may seal with an old one. May be stopped anywhere and run again: what is under
 * the newest by then is only looked at.
 * @param until when to stop, Unix ms
 */
export async function sealAnew(
  ctx: Base,
  accountId: number,
  until: number = Number.POSITIVE_INFINITY,
): Promise<SealedAnew> {
  const total: SealedAnew = { rows: 0, kids: [], done: false };
  for (const table of Object.keys(SEALED) as SealedTable[]) {
    const ids = await store.sealedIds(ctx.db, table, accountId);
    for (let at = 0; at < ids.length; at += LIMITS.sealRows) {
      if (ctx.now() >= until) return total;
      const rows = await store.sealedRows(ctx.db, table, accountId, ids.slice(at, at + LIMITS.sealRows));
      const anew = await underNewest(ctx, table, accountId, rows);
      // Somebody changed one meanwhile: then it is under the newest secret already.
      const changes = rows.map((row, i) => ({ row, anew: anew[i]! }));
      total.rows += await store.replaceRows(ctx.db, table, changes);
    }
  }
  for (const { kind, id, bound, sealed } of await store.sealedTexts(ctx.db, accountId)) {
    if (ctx.now() >= until) return total;
    const purpose = kind === "tokens" ? "token" : "mail";
    // One that nobody can open any more is worth nothing to anybody.
    const plain = await open(ctx, purpose, bound, sealed, accountId).catch(() => null);
    if (plain !== null)
      await store.replaceText(ctx.db, kind, id, sealed, await seal(ctx, purpose, bound, plain, accountId));
    total.rows += 1;
  }
  return { ...total, kids: await destroyOldOwnSecrets(ctx, accountId), done: true };
}
