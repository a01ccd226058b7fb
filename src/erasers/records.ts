import type { Base } from "../context.ts";
import { beforeCorrection } from "../corrections.ts";
import { residueCounts } from "../store/erasable.ts";
import { deleteAccount, recordsOfDevices } from "../store/erasure.ts";
import { deleteMarkedDevice } from "../store/retention.ts";
import { assertErasing, emptyLog } from "../store/scrub.ts";
import type { ErasureJob, StoreEraser } from "../store-eraser.ts";

async function left({ db }: Base, { accountId, scope }: ErasureJob): Promise<number> {
  if (scope.kind === "devices") return recordsOfDevices(db, scope.devices);
  return Object.values(await residueCounts(db, accountId)).reduce((sum, count) => sum + count, 0);
}

/** The control database: rows that go with an account or with its devices. The tracks have gone before. */
export const RECORDS: StoreEraser = {
  name: "records",
  applies: ({ kind }) => kind === "account" || kind === "devices",

  async purge(ctx, job) {
    await assertErasing(ctx.db);
    const before = await left(ctx, job);
    if (job.scope.kind === "devices") {
      // What they were called was sealed under the account's own secret, which stays.
      if (before > 0) await beforeCorrection(ctx, job.accountId);
      for (const id of job.scope.devices) await deleteMarkedDevice(ctx.db, id);
    } else await deleteAccount(ctx.db, job.accountId);
    const after = await left(ctx, job);
    return { rows: before - after, bytes: 0, done: after === 0 };
  },

  async scrub(ctx) {
    return { rows: 0, bytes: 0, done: (await emptyLog(ctx.db)) !== "busy" };
  },

  async verify(ctx, job) {
    const found = await left(ctx, job);
    return { found, evidence: { rows: found } };
  },
};
