import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createClient } from "@libsql/client";
import { afterAll, expect, test } from "vitest";
import { entryHash, verifyReceipt } from "../../client/receipt.ts";
import { carryOut } from "../../src/erasure.ts";
import { publishedHeads } from "../../src/ledger.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { bytesOf } from "../../src/store/db.ts";
import { residueCounts } from "../../src/store/erasable.ts";
import { secretsLeft } from "../../src/vault.ts";
import { applyMigrations } from "../../tools/migrate.ts";
import { aContext, aDevice, anAccount, asKey, NOON, type TestBase } from "../database.ts";
import { settled, stored } from "../stored.ts";
import { openFiles } from "./track-loop.ts";

/** More with ERASURE_KILLS=100. */
const KILLS = Number(process.env.ERASURE_KILLS ?? 4);
const MINUTE = 60_000;

const folder = mkdtempSync(join(tmpdir(), "ephemeris-erasures-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the loop until it is killed some time after its first request. @returns accounts that it asked to erase */
async function killed(options: object, afterMs: number): Promise<number[]> {
  const script = fileURLToPath(new URL("erasure-loop.ts", import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const asked: number[] = [];
  const began = new Promise<void>((resolve) => {
    createInterface(child.stdout).on("line", (text) => {
      asked.push(JSON.parse(text).accountId);
      resolve();
    });
  });
  await Promise.race([began, ended]);
  await wait(afterMs);
  expect(child.exitCode).toBe(null);
  child.kill("SIGKILL");
  await ended;
  return asked;
}

/** What is left of an account, in rows and secrets. */
async function leftOf(base: TestBase, accountId: number): Promise<number> {
  const rows = Object.values(await residueCounts(base.db, accountId)).reduce((sum, count) => sum + count, 0);
  return rows + (await secretsLeft(base, accountId, null));
}

const statesOf = async (base: TestBase) =>
  (await base.db.$client.execute("SELECT account_id, state, closed_at FROM requests ORDER BY id")).rows.map((row) => ({
    accountId: Number(row[0]),
    state: String(row[1]),
    closed: row[2] !== null,
  }));

test("kill -9 amid erasures: the state is always true, and the next runs end them all", {
  timeout: 60_000 + KILLS * 20_000,
}, async () => {
  mkdirSync(join(folder, "keys"));
  const options = { folder, now: NOON, rootKeys: [randomBytes(32).toString("hex")], first: 1, devices: [] };
  const client = createClient({ url: `file:${join(folder, "main.db")}` });
  await applyMigrations(client);
  client.close();
  let { base, close } = await openFiles(options);
  const stays = await aDevice(base.db, { accountId: await anAccount(base.db), createdAt: 0 });
  await stored(
    base,
    stays,
    Array.from({ length: 80 }, (_, i) => ({ fixTime: NOON - i * MINUTE })),
  );
  await settled(base);
  const trackOf = async (of: TestBase) =>
    (await history(aContext(of, asKey(stays.accountId)), stays.id, { limit: 1000 })).data;
  const track = await trackOf(base);
  close();

  const amid: Record<string, number> = {};
  let accounts = 0;
  for (let round = 0; round < KILLS; round++) {
    accounts += (await killed({ ...options, stays, round }, Math.random() * 900)).length;
    ({ base, close } = await openFiles(options));
    for (const { accountId, state, closed } of await statesOf(base)) {
      expect(closed).toBe(state === "cleared");
      if (closed) expect(await leftOf(base, accountId)).toBe(0);
      else amid[state] = (amid[state] ?? 0) + 1;
    }
    // Crons of the next minutes.
    for (let run = 0; run < 10 && (await statesOf(base)).some(({ closed }) => !closed); run++) {
      await carryOut(base);
      base.advance(LIMITS.erasureLeaseMs + LIMITS.erasureRetryMaxMs);
    }
    options.now = base.now();
    for (const { accountId, state } of await statesOf(base)) {
      expect(state).toBe("cleared");
      expect(await leftOf(base, accountId)).toBe(0);
    }
    expect(await trackOf(base)).toEqual(track);
    close();
  }

  ({ base, close } = await openFiles(options));
  const { rows: entries } = await base.db.$client.execute("SELECT seq, entry, hash FROM ledger ORDER BY seq");
  let prev = "0".repeat(64);
  for (const [i, row] of entries.entries()) {
    expect(row[0]).toBe(i + 1);
    expect(JSON.parse(String(row[1])).prev).toBe(prev);
    const hash = Buffer.from(bytesOf(row[2]));
    expect(Buffer.from(await entryHash(String(row[1])))).toEqual(hash);
    prev = hash.toString("hex");
  }
  const heads = await publishedHeads(base);
  const { rows: receipts } = await base.db.$client.execute("SELECT body FROM receipts");
  for (const row of receipts) expect((await verifyReceipt(String(row[0]), heads)).ok).toBe(true);
  const erased = (await statesOf(base)).length;
  expect(receipts).toHaveLength(erased);
  expect(erased).toBe(accounts);
  close();
  console.log(`${KILLS} kills: ${erased} accounts erased, ${JSON.stringify(amid)}`);
});
