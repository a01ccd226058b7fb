import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Client } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import type { Base, Db, Log, Secrets } from "../../src/context.ts";
import { sharedBase, withDefer } from "../../src/runtime/base.ts";
import { settle, tidy } from "../../src/settle.ts";
import * as schema from "../../src/store/schema.ts";
import { mainTelemetry } from "../../src/telemetry.ts";

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

/** What settles while a store is appended to. */
export interface Settler {
  /** Settles what is due. */
  step(): Promise<void>;
  /** Settles everything, and deletes what that leaves behind. */
  finish(): Promise<void>;
  end(): Promise<void>;
}

export function settlerHere(ctx: Base): Settler {
  const telemetry = mainTelemetry(ctx);
  return {
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

/** In a thread and on a connection of its own, as where it is another isolate than the one that appends. */
export async function settlerApart(apart: Apart): Promise<Settler> {
  const worker = new Worker(new URL("./settler-thread.ts", import.meta.url), { workerData: apart });
  await once(worker, "message");
  const ask = async (what: "step" | "finish") => {
    worker.postMessage(what);
    const [failure] = await once(worker, "message");
    if (failure !== null) throw new Error(String(failure));
  };
  return { step: () => ask("step"), finish: () => ask("finish"), end: async () => void (await worker.terminate()) };
}
