import type { Base } from "../context.ts";
import { LIMITS } from "../limits.ts";
import type { Budget } from "../purge.ts";
import { sealAnew } from "../rotate-own.ts";
import { erasureStatements, type Part, partResidue } from "../store/erasable.ts";
import { holderOf, stepsOf } from "../store/erasure.ts";
import { assertErasing, emptyLog } from "../store/scrub.ts";
import type { ErasureJob, StoreEraser } from "../store-eraser.ts";
import { ownSecretsOf, rotateOwnSecret } from "../vault.ts";

// A part of what is held about a person, of an account that lives on. The rows are emptied at once; so that older copies
// of the database do not open either, all that is left is then sealed under another secret, and the old one destroyed.
// What was corrected is done with in the same way.

const partOf = ({ scope }: ErasureJob): Part => {
  if (scope.kind === "categories" || scope.kind === "fields") return scope;
  throw new Error(`A part is asked for, and the scope is ${scope.kind}`);
};

/** Whose part it is; nothing is anybody's who is gone. */
const holder = ({ db }: Base, { accountId, userId }: ErasureJob) =>
  userId === null ? null : holderOf(db, accountId, userId);

/**
 * Seals what is left of the account under its newest secret, and destroys those before it.
 * @returns null: another isolate may still seal with one of them, or there is more to seal than one run should
 */
async function sealRest(ctx: Base, job: ErasureJob): Promise<{ kids: readonly number[] } | null> {
  const rotated = (await stepsOf(ctx.db, job.id)).findLast(({ store, step }) => store === "fields" && step === "shred");
  if (rotated === undefined || ctx.now() < rotated.at + LIMITS.shredEveryMs) return null;
  const { kids, done } = await sealAnew(ctx, job.accountId, ctx.now() + LIMITS.sealAnewMs);
  return done ? { kids } : null;
}

const oldSecrets = async (ctx: Base, { accountId }: ErasureJob) =>
  Math.max(0, (await ownSecretsOf(ctx, accountId)) - 1);

/** Empties the columns and deletes the rows of a part, as far as the budget goes. @returns rows */
export async function emptyPart(ctx: Base, job: ErasureJob, budget: Budget): Promise<number> {
  const who = await holder(ctx, job);
  let rows = 0;
  for (let changed = who === null ? 0 : 1; changed > 0 && budget.left > 0; ) {
    const statements = erasureStatements(who!, partOf(job), LIMITS.deleteRows);
    const results = statements.length === 0 ? [] : await ctx.db.$client.batch(statements, "write");
    changed = results.reduce((sum, { rowsAffected }) => sum + rowsAffected, 0);
    rows += changed;
    budget.left -= Math.max(1, statements.length);
  }
  return rows;
}

export const PART: StoreEraser = {
  name: "fields",
  applies: ({ kind }) => kind === "categories" || kind === "fields",

  async shred(ctx, job) {
    await rotateOwnSecret(ctx, job.accountId);
    return { rows: 0, bytes: 0, done: true };
  },

  async purge(ctx, job, budget) {
    await assertErasing(ctx.db);
    const rows = await emptyPart(ctx, job, budget);
    const rest = budget.left <= 0 ? null : await sealRest(ctx, job);
    return rest === null ? { rows, bytes: 0, done: false } : { rows, bytes: 0, done: true, kids: rest.kids };
  },

  async scrub(ctx) {
    return { rows: 0, bytes: 0, done: (await emptyLog(ctx.db)) !== "busy" };
  },

  async verify(ctx, job) {
    const who = await holder(ctx, job);
    const left = who === null ? {} : await partResidue(ctx.db, who, partOf(job));
    const rows = Object.values(left).reduce((sum, count) => sum + count, 0);
    const old = await oldSecrets(ctx, job);
    return { found: rows + old, evidence: { rows, oldSecrets: old } };
  },
};

/** What was corrected: the values are other ones already, and what they were must open in no copy. Nothing is emptied. */
export const CORRECTED: StoreEraser = {
  ...PART,

  async purge(ctx, job) {
    const rest = await sealRest(ctx, job);
    return rest === null ? { rows: 0, bytes: 0, done: false } : { rows: 0, bytes: 0, done: true, kids: rest.kids };
  },

  async verify(ctx, job) {
    const old = await oldSecrets(ctx, job);
    return { found: old, evidence: { oldSecrets: old } };
  },
};
