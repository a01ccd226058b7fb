// How long an account's erasure takes. `npm run bench:privacy`; about a minute. An account with 200,000 positions of five
// devices beside another one that is written to and read meanwhile, on a file of the native engine with the key store in
// files, as on one machine. Printed are the engine's own work, when the account was frozen, and what the other one felt.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { StoredPositions } from "../codec/segment.ts";
import { carryOut } from "../src/erasure.ts";
import { bucketOf, sealBatches } from "../src/inbox.ts";
import { fileSecrets } from "../src/runtime/secrets-file.ts";
import { keyInForce, settle } from "../src/settle.ts";
import { appendStatements } from "../src/store/inbox.ts";
import { mainTelemetry } from "../src/telemetry.ts";
import { trackOf } from "../src/track.ts";
import { applyMigrations } from "../tools/migrate.ts";
import { benchFolder, percentile, printTable } from "./bridge-run.ts";
import { START_MS } from "./store/fleets.ts";
import { type Batch, Movement } from "./store/movement.ts";
import { benchBase } from "./store/settler.ts";
import { openClient } from "./store/under-test.ts";

const DEVICES = 5;
const POSITIONS = 200_000;
const ROUNDS = 5;
const STEP_S = 30;
const GOALS = { workS: 20, freezeS: 5 } as const;

async function round(n: number) {
  const folder = benchFolder();
  try {
    const path = join(folder.path, "bench.db");
    const keys = join(folder.path, "keys");
    mkdirSync(keys);
    const client = await openClient(path);
    await applyMigrations(client);
    const secrets = fileSecrets(keys);
    const received = START_MS + 60 * 86_400_000;
    const began = performance.now();
    const ctx = benchBase(
      client,
      secrets,
      () => received + performance.now() - began,
      (error) => {
        throw error;
      },
    );
    await client.batch(
      [
        "INSERT INTO accounts (id, name, created_at) VALUES (1, 'Bench', 0), (2, 'Bench', 0)",
        ...Array.from({ length: 2 * DEVICES }, (_, i) => ({
          sql: "INSERT INTO devices (id, account_id, imei, name, created_at) VALUES (?, ?, ?, 'Bench', 0)",
          args: [i + 1, 1 + Math.floor(i / DEVICES), `bench ${i}`],
        })),
        ...Array.from({ length: 3 }, (_, i) => ({
          sql: "INSERT INTO users (id, account_id, role, email, created_at) VALUES (?, 1, 'owner', ?, 0)",
          args: [i + 1, `bench ${i}`],
        })),
        ...Array.from({ length: 40 }, (_, i) => ({
          sql: "INSERT INTO mails (user_id, kind, sealed, attempts, created_at, due_at) VALUES (?, 'report', 'bench', 0, 0, 0)",
          args: [1 + (i % 3)],
        })),
      ],
      "write",
    );
    const telemetry = mainTelemetry(ctx);
    const stored = new StoredPositions(1024);
    const append = async ({ table, deviceIds, accountIds }: Batch) => {
      stored.reset();
      for (let row = 0; row < table.count; row++) {
        const deviceId = deviceIds[row]!;
        stored.add(table, row, 0, deviceId, bucketOf(accountIds[row]!, deviceId), ctx.now(), false);
      }
      const { kid, key } = await keyInForce(ctx, telemetry);
      await client.batch(appendStatements(await sealBatches(ctx, telemetry, stored, kid, key), null), "write");
    };
    const accounts = Array.from({ length: 2 * DEVICES }, (_, i) => 1 + Math.floor(i / DEVICES));
    const movement = new Movement(accounts, START_MS, STEP_S);
    const everybody = accounts.map((_, i) => i + 1);
    const rounds = Array.from({ length: 100 }, () => everybody).flat();
    for (let made = 0; made < 2 * POSITIONS; made += rounds.length) await append(movement.batch(rounds));
    while ((await settle(ctx, telemetry, { all: true })) > 0);

    await client.execute({
      sql: `INSERT INTO requests (name, type, state, level, account_id, scope, received_at, verified_at, deadline)
        VALUES (?, 'erase', 'verified', 'V0', 1, '{"kind":"account"}', ?, ?, ?)`,
      args: [`bench-of-an-erasure-${String(n).padStart(2, "0")}`, ctx.now(), ctx.now(), ctx.now() + 86_400_000],
    });
    // Somebody else's, meanwhile.
    let ended = false;
    const felt: number[] = [];
    const others = async () => {
      while (!ended) {
        const from = performance.now();
        await append(movement.batch(everybody.slice(DEVICES)));
        const query = { from: START_MS, to: START_MS + 3_600_000, descending: false, after: null, limit: 100 };
        await trackOf(ctx, { accountId: 2, devices: null }, DEVICES + 1, query);
        felt.push(performance.now() - from);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const load = others();
    const start = performance.now();
    let frozenMs = 0;
    const watch = (async () => {
      while (frozenMs === 0) {
        const { rows } = await client.execute("SELECT frozen_at FROM accounts WHERE id = 1");
        if (rows[0] === undefined || rows[0][0] !== null) frozenMs = performance.now() - start;
        else await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    let cleared = 0;
    while (cleared === 0) cleared = await carryOut(ctx);
    const workMs = performance.now() - start;
    ended = true;
    await Promise.all([load, watch]);
    const { rows } = await client.execute("SELECT count(*) FROM segments WHERE account_id = 1");
    if (rows[0]![0] !== 0) throw new Error("Something is left");
    client.close();
    secrets.close();
    felt.sort((a, b) => a - b);
    return { workMs, frozenMs, p50: percentile(felt, 0.5), p99: percentile(felt, 0.99) };
  } finally {
    folder.remove();
  }
}

const rows = [["round", "erased in ms", "frozen after ms", "others p50 ms", "others p99 ms"]];
let worst = { workMs: 0, frozenMs: 0 };
for (let n = 1; n <= ROUNDS; n++) {
  const { workMs, frozenMs, p50, p99 } = await round(n);
  rows.push([String(n), workMs.toFixed(0), frozenMs.toFixed(1), p50.toFixed(1), p99.toFixed(1)]);
  worst = { workMs: Math.max(worst.workMs, workMs), frozenMs: Math.max(worst.frozenMs, frozenMs) };
}
console.log(
  `\nErasure of an account with ${POSITIONS} positions of ${DEVICES} devices, 3 people and 40 waiting mails.\n`,
);
printTable(rows);
const reached = worst.workMs < GOALS.workS * 1000 && worst.frozenMs < GOALS.freezeS * 1000;
console.log(
  `\nGoal: at most ${GOALS.workS} s of work, frozen within ${GOALS.freezeS} s: ${reached ? "reached" : "missed"}.`,
);
