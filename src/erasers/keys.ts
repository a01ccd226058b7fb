import type { Base } from "../context.ts";
import type { ErasureJob, StoreEraser } from "../store-eraser.ts";
import { destroyAccount, destroyDevice, secretsLeft } from "../vault.ts";

const devicesIn = ({ scope }: ErasureJob) => (scope.kind === "devices" ? scope.devices : null);

/** The key store: after this nothing of an account, or of a device, opens, in no copy of any database either. */
export const KEYS: StoreEraser = {
  name: "keys",
  applies: ({ kind }) => kind === "account" || kind === "devices",

  async shred(ctx: Base, job) {
    const devices = devicesIn(job);
    const kids: number[] = [];
    if (devices === null) kids.push(...(await destroyAccount(ctx, job.accountId)));
    else for (const id of devices) kids.push(...(await destroyDevice(ctx, job.accountId, id)));
    return { rows: kids.length, bytes: 32 * kids.length, done: true, kids };
  },

  purge: async () => ({ rows: 0, bytes: 0, done: true }),

  async verify(ctx, job) {
    const found = await secretsLeft(ctx, job.accountId, devicesIn(job));
    return { found, evidence: { copies: 3, secrets: found } };
  },
};
