import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { open, seal } from "./seal.ts";
import * as store from "./store/rotate-own.ts";
import { SEALED, type SealedTable } from "./store/sealed.ts";
import { destroyOldOwnSecrets } from "./vault.ts";

// What is corrected or deleted of a person's fields must not open in an older copy of the database. So the account gets
// another secret of its own (rotateOwnSecret()), all that is left is sealed anew under it, and the old one is destroyed.

/**
 * Seals what is left of an account under its newest secret, and destroys the others. Begin it LIMITS.shredEveryMs after
 * the newest was made: until then others may seal with an old one. May be stopped anywhere and run again.
 * @returns rows that were sealed anew, and kids of what was destroyed
 */
export async function sealAnew(ctx: Base, accountId: number): Promise<{ rows: number; kids: number[] }> {
  let rows = 0;
  for (const table of Object.keys(SEALED) as SealedTable[]) rows += await tableAnew(ctx, table, accountId);
  for (const { kind, id, bound, sealed } of await store.sealedTexts(ctx.db, accountId)) {
    const purpose = kind === "tokens" ? "token" : "mail";
    // One that nobody can open any more is worth nothing to anybody.
    const plain = await open(ctx, purpose, bound, sealed, accountId).catch(() => null);
    if (plain !== null)
      await store.replaceText(ctx.db, kind, id, sealed, await seal(ctx, purpose, bound, plain, accountId));
    rows += 1;
  }
  return { rows, kids: await destroyOldOwnSecrets(ctx, accountId) };
}

async function tableAnew(ctx: Base, table: SealedTable, accountId: number): Promise<number> {
  let rows = 0;
  for (let after = 0; ; ) {
    const page = await store.sealedRows(ctx.db, table, accountId, after, LIMITS.sealRows);
    for (const row of page) {
      // Somebody changed it meanwhile: then it is under the newest secret already.
      await store.replaceRow(ctx.db, table, row, await rowAnew(ctx, table, accountId, row));
      rows += 1;
    }
    if (page.length < LIMITS.sealRows) return rows;
    after = page.at(-1)!.rowid;
  }
}

async function rowAnew(ctx: Base, table: SealedTable, accountId: number, { rowid, values }: store.SealedRow) {
  const { $fields } = ctx.db;
  const [clear] = await $fields.open(table, [values], accountId);
  const anew: Record<string, unknown> = await $fields.seal(table, accountId, clear!);
  for (const [column, { own }] of Object.entries(SEALED[table].columns) as [string, { own?: true }][]) {
    const value = values[column];
    if (own !== true || typeof value !== "string") continue;
    const at = { account: accountId, id: rowid };
    const plain = await $fields.openOwn(table, column as never, at, value);
    anew[column] = await $fields.sealOwn(table, column as never, at, plain);
  }
  return anew;
}
