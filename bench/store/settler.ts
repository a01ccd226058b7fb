import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Client } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import type { Base, Db, Log, Secrets } from "../../src/context.ts";
import { sharedBase, withDefer } from "../../src/runtime/base.ts";
import { settle, tidy } from "../../src/settle.ts";
import * as schema from "../../src/store/schema.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { type SealingWish, sealingKeys } from "../../src/vault.ts";

/** The app's context over a database of a benchmark. @param now Unix ms */
export function benchBase(client: Client, secrets: Secrets, now: () => number, fail: (error: unknown) => void): Base {
  const config = {
    adminToken: "admin",
    bridgeToken: "bridge",
    rootKey: "5b".repeat(32),
    oldRootKeys: [],
    retentionMonths: 3,
    trackerPort: 0,
    mailFrom: "bench@localhost",
  };
  const log: Log = {
    info: () => {},
    warn: () => {},
    error: (event, fields, cause) => fail(new Error(`${event} ${JSON.stringify(fields)}`, { cause })),
  };
  const shared = sharedBase(drizzle(client, { schema }) as Db, config, null, async () => null, secrets);
  return withDefer({ ...shared, now: () => Math.floor(now()), log }, (work) => void work.catch(fail));
}

/** Devices whose keys of a day are wanted, by account. */
export type DayWishes = readonly { accountId: number; wanted: readonly SealingWish[] }[];

/** Makes keys, as the first positions of a day do, and keeps them in memory. */
export const makeKeys = async (ctx: Base, wishes: DayWishes): Promise<void> =>
  void (await Promise.all(wishes.map(({ accountId, wanted }) => sealingKeys(ctx, accountId, wanted))));

/** What settles while a store is appended to. */
export interface Settler {
  /** Takes the keys of a day into its memory, which are made by now. */
  beginDay(wishes: DayWishes): Promise<void>;
  /** Settles what is due. */
  step(): Promise<void>;
  /** Settles everything, and deletes what that leaves behind. */
  finish(): Promise<void>;
  end(): Promise<void>;
}

export function settlerHere(ctx: Base): Settler {
  const telemetry = mainTelemetry(ctx);
  return {
    beginDay: (wishes) => makeKeys(ctx, wishes),
    step: async () => void (await settle(ctx)),
    finish: async () => {
      while ((await settle(ctx, telemetry, { all: true })) > 0);
      await tidy(ctx, telemetry);
    },
    end: async () => {},
  };
}

/** What a settler in a thread of its own is told. */
export interface Apart {
  /** Of the database. */
  path: string;
  /** Of the key store. */
  keys: string;
  /** Unix ms less this process's clock (performance.timeOrigin + performance.now()). */
  aheadMs: number;
}

export type Asked = ["step" | "finish", wishes?: undefined] | ["beginDay", wishes: DayWishes];

/** In a thread and on a connection of its own, as where it is another isolate than the one that appends. */
export async function settlerApart(apart: Apart): Promise<Settler> {
  const worker = new Worker(new URL("./settler-thread.ts", import.meta.url), { workerData: apart });
  await once(worker, "message");
  const ask = async (...[what, wishes]: Asked) => {
    worker.postMessage([what, wishes]);
    const [failure] = await once(worker, "message");
    if (failure !== null) throw new Error(String(failure));
  };
  return {
    beginDay: (wishes) => ask("beginDay", wishes),
    step: () => ask("step"),
    finish: () => ask("finish"),
    end: async () => void (await worker.terminate()),
  };
}
