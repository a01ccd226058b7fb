import type { Base } from "../context.ts";
import { LIMITS } from "../limits.ts";
import { sealAnew } from "../rotate-own.ts";
import { erasureStatements, type Part, partResidue } from "../store/erasable.ts";
import { holderOf, stepsOf } from "../store/erasure.ts";
import { assertErasing, emptyLog } from "../store/scrub.ts";
import type { ErasureJob, StoreEraser } from "../store-eraser.ts";
import { ownSecretsOf, rotateOwnSecret } from "../vault.ts";

// A part of what is held about a person, of an account that lives on. The rows are emptied at once; so that older copies
// of the database do not open either, all that is left is then sealed under another secret, and the old one destroyed.

const partOf = ({ scope }: ErasureJob): Part => {
  if (scope.kind === "categories" || scope.kind === "fields") return scope;
  throw new Error(`A part is asked for, and the scope is ${scope.kind}`);
};

/** Whose part it is; nothing is anybody's who is gone. */
const holder = ({ db }: Base, { accountId, userId }: ErasureJob) =>
  userId === null ? null : holderOf(db, accountId, userId);

export const PART: StoreEraser = {
  name: "fields",
  applies: ({ kind }) => kind === "categories" || kind === "fields",

  async shred(ctx, job) {
    await rotateOwnSecret(ctx, job.accountId);
    return { rows: 0, bytes: 0, done: true };
  },

  async purge(ctx, job, budget) {
    await assertErasing(ctx.db);
    const who = await holder(ctx, job);
    let rows = 0;
    for (let changed = who === null ? 0 : 1; changed > 0 && budget.left > 0; ) {
      const statements = erasureStatements(who!, partOf(job), LIMITS.deleteRows);
      const results = statements.length === 0 ? [] : await ctx.db.$client.batch(statements, "write");
      changed = results.reduce((sum, { rowsAffected }) => sum + rowsAffected, 0);
      rows += changed;
      budget.left -= Math.max(1, statements.length);
    }
    // Until then another isolate may still seal with the old secret.
    const rotated = (await stepsOf(ctx.db, job.id)).findLast(
      ({ store, step }) => store === "fields" && step === "shred",
    );
    if (budget.left <= 0 || rotated === undefined || ctx.now() < rotated.at + LIMITS.shredEveryMs)
      return { rows, bytes: 0, done: false };
    const { kids } = await sealAnew(ctx, job.accountId);
    return { rows, bytes: 0, done: true, kids };
  },

  async scrub(ctx) {
    return { rows: 0, bytes: 0, done: (await emptyLog(ctx.db)) !== "busy" };
  },

  async verify(ctx, job) {
    const who = await holder(ctx, job);
    const left = who === null ? {} : await partResidue(ctx.db, who, partOf(job));
    const rows = Object.values(left).reduce((sum, count) => sum + count, 0);
    const old = Math.max(0, (await ownSecretsOf(ctx, job.accountId)) - 1);
    return { found: rows + old, evidence: { rows, oldSecrets: old } };
  },
};
