import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import type { Base, Db } from "../../src/context.ts";
import { runJob } from "../../src/jobs.ts";
import { removeDevice } from "../../src/retention.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { settle, tidy } from "../../src/settle.ts";
import * as schema from "../../src/store/schema.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { rewrap } from "../../src/vault.ts";
import { aBase, type TestBase } from "../database.ts";
import { type ModelRecord, send } from "./track-model.ts";

// Child of track-kill.test.ts: trackers send, and meanwhile whatever a platform does to tracks is done, without end. Says
// what it is about to do and what is done, a line of JSON each. Its clock runs a quarter of an hour with each sending.

const SECOND = 1000;
const MINUTE = 60 * SECOND;

export interface LoopOptions {
  folder: string;
  /** Unix ms */
  now: number;
  rootKeys: readonly string[];
  /** Numbers of records begin here. */
  first: number;
  devices: { id: number; accountId: number; imei: string }[];
}

export type LoopLine =
  | { what: "sending" | "sent"; now: number; records: { device: number; number: number; fixTime: number }[] }
  | { what: "begin" | "end"; job: string; now: number }
  | { what: "removing"; device: number; now: number };

/** The platform over files. @returns how to close it */
export async function openFiles({ folder, now, rootKeys }: LoopOptions): Promise<{ base: TestBase; close(): void }> {
  const client = createClient({ url: `file:${folder}/main.db`, concurrency: 1 });
  for (const pragma of ["journal_mode=WAL", "busy_timeout=10000", "secure_delete=ON", "synchronous=NORMAL"]) {
    await client.execute(`PRAGMA ${pragma}`);
  }
  const db = drizzle(client, { schema }) as Db;
  const secrets = fileSecrets(`${folder}/keys`);
  const base: TestBase = Object.assign(aBase(db, { now }), { secrets });
  [base.config.rootKey, base.config.oldRootKeys] = [rootKeys[0]!, [...rootKeys]];
  const close = () => {
    client.close();
    secrets.close();
  };
  return { base, close };
}

const say = (line: LoopLine) => process.stdout.write(`${JSON.stringify(line)}\n`);
const random = (below: number) => Math.floor(Math.random() * below);

async function sending(base: TestBase, { devices, first }: LoopOptions, removed: ReadonlySet<number>): Promise<void> {
  let number = first;
  let before: ModelRecord[] = [];
  for (;;) {
    base.advance(15 * MINUTE);
    const now = base.now();
    const living = devices.filter(({ id }) => !removed.has(id));
    const records: ModelRecord[] = Array.from({ length: 1 + random(40) }, () => {
      const device = { ...living[random(living.length)]!, keeping: null as never };
      const late = random(10) === 0 ? random(30) * 60 * MINUTE : random(15 * MINUTE);
      const deviceTime = Math.floor((now - late) / SECOND) * SECOND;
      return { device, number: number++, deviceTime, event: 35, valid: true };
    });
    // Some of the last ones come again, as after a lost answer.
    const again = before.filter(() => random(4) === 0);
    const brief = records.map(({ device, number, deviceTime }) => ({ device: device.id, number, fixTime: deviceTime }));
    say({ what: "sending", now, records: brief });
    const outcomes = await send(
      base,
      [...records, ...again].map((record) => ({ record, receivedAt: now })),
    );
    if (outcomes.length > 0) say({ what: "sent", now, records: brief });
    before = records;
    await new Promise((resolve) => setTimeout(resolve, random(4)));
  }
}

/** Does one thing after another in a random order. */
async function working(base: TestBase, options: LoopOptions, removed: Set<number>): Promise<void> {
  const telemetry = mainTelemetry(base);
  const jobs: Record<string, () => Promise<unknown>> = {
    merge: () => settle(base, telemetry, { all: true, settle: false }),
    settle: () => settle(base, telemetry, { all: true }),
    "settle as usual": () => settle(base, telemetry),
    tidy: () => tidy(base, telemetry),
    retention: () => runJob(base, "retention"),
    "root key": () => rotateRoot(base, options.rootKeys),
    escrow: () => runJob(base, "refresh-escrow"),
    removal: () => removal(base, options, removed),
  };
  const names = ["settle", "settle", "retention", "retention", ...Object.keys(jobs)];
  for (;;) {
    const name = names[random(names.length)]!;
    say({ what: "begin", job: name, now: base.now() });
    await jobs[name]!();
    say({ what: "end", job: name, now: base.now() });
    await new Promise((resolve) => setTimeout(resolve, random(3)));
  }
}

function rotateRoot(base: Base, rootKeys: readonly string[]): Promise<number> {
  const next = rootKeys[random(rootKeys.length)]!;
  [base.config.rootKey, base.config.oldRootKeys] = [next, [...rootKeys]];
  return rewrap(base);
}

async function removal(base: TestBase, { devices }: LoopOptions, removed: Set<number>): Promise<void> {
  const living = devices.filter(({ id }) => !removed.has(id));
  if (living.length <= 3 || random(6) !== 0) return;
  const { id } = living[random(living.length)]!;
  say({ what: "removing", device: id, now: base.now() });
  removed.add(id);
  await base.db.$client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [id] });
  await removeDevice(base, id);
}

async function main(options: LoopOptions): Promise<void> {
  const { base } = await openFiles(options);
  const removed = new Set<number>();
  const failed = (error: unknown) => {
    console.error(error);
    process.exit(1);
  };
  sending(base, options, removed).catch(failed);
  working(base, options, removed).catch(failed);
}

if (import.meta.main) await main(JSON.parse(process.argv[2]!) as LoopOptions);
