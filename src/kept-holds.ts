import type { Base } from "./context.ts";
import { repeatParts } from "./held-parts.ts";
import { isBehind } from "./ledger-mirror.ts";
import { LIMITS } from "./limits.ts";
import * as store from "./store/legal-holds.ts";
import { allHeld, deleteLostPieces, forgetHolds, keepHold } from "./vault-held.ts";

// Holds are kept beside the keys, too: a database that is restored from before one was confirmed would let go what it
// keeps, and one from before it was released would keep it for nothing.

const keptOf = ({ accountId: _, toldAt: __, ...hold }: store.HoldRow): store.KeptHold => hold;

/** Keeps a hold as it is about to be, before it is: then no restore undoes that. */
export const keepHoldAs = (ctx: Base, hold: store.HoldRow, as: Partial<store.KeptHold>): Promise<void> =>
  keepHold(ctx, hold.accountId, { ...keptOf(hold), ...as });

/** Brings a restored database's holds, and what was copied for them, up to what is kept. May be stopped and run again. */
export async function repeatHeld(ctx: Base): Promise<void> {
  for await (const { accountId, holds, parts } of allHeld(ctx)) {
    for (const hold of holds) await store.putHoldBack(ctx.db, accountId, hold);
    await repeatParts(ctx, accountId, parts);
  }
}

/**
 * Has what is kept be what the holds are, where a change of one was stopped, and drops what ended long ago; deletes pieces
 * of copies that nobody has the secret of.
 * @returns what was changed
 */
export async function tidyHeld(ctx: Base): Promise<number> {
  let changed = await deleteLostPieces(ctx);
  const inForce = await store.holdsInForce(ctx.db, ctx.now());
  for await (const { accountId, holds, parts } of allHeld(ctx)) {
    const rows = await store.holdsNamed(
      ctx.db,
      holds.map(({ name }) => name),
    );
    // A database that was restored a moment ago is to learn from what is kept, and not the other way round.
    if (await isBehind(ctx)) return changed;
    const needed = new Set(parts.map(({ holdId }) => holdId));
    const over: number[] = [];
    for (const kept of holds) {
      const row = rows.get(kept.name);
      const endedAt = Math.min(kept.releasedAt ?? kept.expiresAt, kept.expiresAt);
      // Copies of the database that would have it in force are older than any that is kept.
      if (row === undefined || (!needed.has(kept.id) && ctx.now() - endedAt > LIMITS.tombstonesMs)) over.push(kept.id);
      else if (JSON.stringify(keptOf(row)) !== JSON.stringify({ ...keptOf(row), ...kept })) {
        await keepHold(ctx, accountId, keptOf(row));
        changed += 1;
      }
    }
    if (over.length > 0) await forgetHolds(ctx, accountId, new Set(over));
    changed += over.length;
    for (const { name } of holds) inForce.delete(name);
  }
  for (const hold of inForce.values()) await keepHold(ctx, hold.accountId, keptOf(hold));
  return changed + inForce.size;
}
