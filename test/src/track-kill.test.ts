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
import { runJob } from "../../src/jobs.ts";
import { feed, history } from "../../src/positions.ts";
import { settle } from "../../src/settle.ts";
import { WAITING_IN_RUNS } from "../../src/store/inbox.ts";
import { readFixes } from "../../src/store/newest.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { applyMigrations } from "../../tools/migrate.ts";
import { aContext, aDevice, anAccount, asKey, NOON, type TestBase } from "../database.ts";
import { type LoopLine, type LoopOptions, openFiles } from "./track-loop.ts";

/** More with TRACK_KILLS=100. */
const KILLS = Number(process.env.TRACK_KILLS ?? 5);
const DAY = 86_400_000;
/** Positions are kept for so long. */
const PERIOD_DAYS = 2;
const HOUR = 3_600_000;

const folder = mkdtempSync(join(tmpdir(), "ephemeris-tracks-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the loop until it is killed some time after its first line. Returns what it said. */
async function killed(options: LoopOptions, afterMs: number): Promise<LoopLine[]> {
  const script = fileURLToPath(new URL("track-loop.ts", import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const lines: LoopLine[] = [];
  const began = new Promise<void>((resolve) => {
    createInterface(child.stdout).on("line", (text) => {
      lines.push(JSON.parse(text));
      resolve();
    });
  });
  await Promise.race([began, ended]);
  await wait(afterMs);
  expect(child.exitCode).toBe(null);
  child.kill("SIGKILL");
  await ended;
  return lines;
}

interface Sent {
  device: number;
  number: number;
  fixTime: number;
  /** The answer was given: it must be there. Otherwise it may be. */
  stored: boolean;
}

test("kill -9 amid settling, retention, removals and rotations: nothing is lost, nothing twice, nothing is left that should be gone", {
  timeout: 30_000 + KILLS * 10_000,
}, async () => {
  mkdirSync(join(folder, "keys"));
  const rootKeys = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
  const options: LoopOptions = { folder, now: NOON, rootKeys, first: 1, devices: [] };
  const client = createClient({ url: `file:${join(folder, "main.db")}` });
  await applyMigrations(client);
  client.close();
  let { base, close } = await openFiles(options);
  const accounts = [await anAccount(base.db), await anAccount(base.db)];
  await base.db.$client.execute(`UPDATE accounts SET retention_days = ${PERIOD_DAYS}`);
  close();

  const sent = new Map<number, Sent>();
  const removed = new Set<number>();
  const amid: Record<string, number> = {};
  let purged = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    ({ base, close } = await openFiles(options));
    while (options.devices.filter(({ id }) => !removed.has(id)).length < 6) {
      const device = await aDevice(base.db, { accountId: accounts[options.devices.length % 2]!, createdAt: 0 });
      options.devices.push(device);
    }
    close();
    const lines = await killed(
      { ...options, devices: options.devices.filter(({ id }) => !removed.has(id)) },
      Math.random() * 700,
    );
    const open = new Set<string>();
    for (const line of lines) {
      options.now = Math.max(options.now, line.now);
      if (line.what === "sending" || line.what === "sent") {
        for (const each of line.records) sent.set(each.number, { ...each, stored: line.what === "sent" });
        options.first = Math.max(options.first, ...line.records.map(({ number }) => number + 1));
      } else if (line.what === "removing") removed.add(line.device);
      else if (!("job" in line)) continue;
      else if (line.what === "begin") open.add(line.job);
      else open.delete(line.job);
    }
    for (const job of open) amid[job] = (amid[job] ?? 0) + 1;

    ({ base, close } = await openFiles(options));
    await expectAll(base, options, sent, removed);
    // The next run.
    base.advance(2 * 60_000);
    await settle(base, mainTelemetry(base), { all: true });
    for (const job of ["settle", "finish-removals", "retention"]) await runJob(base, job);
    options.now = base.now();
    await expectAll(base, options, sent, removed);
    purged += await expectGone(base, options, removed);
    close();
  }
  const cutoff = options.now - PERIOD_DAYS * DAY;
  const over = [...sent.values()].filter(({ fixTime }) => fixTime < cutoff).length;
  console.log(
    `${KILLS} kills: ${JSON.stringify(amid)}; ${sent.size} records sent, ${over} past their period, ${removed.size} devices removed, ${purged} looks at what was purged`,
  );
  // All the kills together are spread over the work.
  if (KILLS >= 50) expect(Object.keys(amid).length).toBeGreaterThan(4);
});

/** Every read shows what was stored, once, and nothing past its period. */
async function expectAll(
  base: TestBase,
  { devices }: LoopOptions,
  sent: ReadonlyMap<number, Sent>,
  removed: ReadonlySet<number>,
): Promise<void> {
  const cutoff = base.now() - PERIOD_DAYS * DAY;
  const numbers = new Map<number, number[]>();
  const arrived = new Set<number>();
  for (const { id, accountId } of devices) {
    if (removed.has(id)) continue;
    const ctx = aContext(base, asKey(accountId));
    const shown: number[] = [];
    let cursor: string | undefined;
    do {
      const page = await history(ctx, id, { limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      for (const { odometerM } of page.data) shown.push(odometerM!);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    numbers.set(id, shown);
  }
  for (const accountId of new Set(devices.map((device) => device.accountId))) {
    const ctx = aContext(base, asKey(accountId));
    for (let cursor: string | undefined; ; ) {
      const page = await feed(ctx, { limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      for (const { odometerM } of page.data) {
        expect(arrived.has(odometerM!)).toBe(false);
        arrived.add(odometerM!);
      }
      if (page.data.length === 0 && page.nextCursor === cursor) break;
      cursor = page.nextCursor;
    }
  }
  for (const [device, shown] of numbers) {
    expect([device, shown.length]).toEqual([device, new Set(shown).size]);
    const own = [...sent.values()].filter((each) => each.device === device);
    const lost = own.filter(({ number, fixTime, stored }) => stored && fixTime >= cutoff && !shown.includes(number));
    expect(lost).toEqual([]);
    const wrong = shown.filter((number) => {
      const record = sent.get(number);
      return record === undefined || record.device !== device || record.fixTime < cutoff;
    });
    expect(wrong).toEqual([]);
  }
  const shown = [...numbers.values()].flat().sort((a, b) => a - b);
  expect([...arrived].sort((a, b) => a - b)).toEqual(shown);
}

/** Nothing is stored that was over an hour ago, nor of a device that was removed; and no key of a day that is over. */
async function expectGone(
  base: TestBase,
  { devices, folder }: LoopOptions,
  removed: ReadonlySet<number>,
): Promise<number> {
  const client = base.db.$client;
  const cutoff = base.now() - PERIOD_DAYS * DAY;
  const { rows: late } = await client.execute({
    sql: "SELECT id FROM segments WHERE coalesce(due_from, from_time) < ?",
    args: [cutoff - HOUR],
  });
  expect(late.length).toBe(0);
  const { rows: segments } = await client.execute("SELECT DISTINCT device_id FROM segments");
  const found = segments.map((row) => Number(row[0]));
  for (const row of (await client.execute("SELECT fixes FROM newest")).rows) {
    for (const { deviceId, due } of readFixes(row[0])) {
      found.push(deviceId);
      expect(due).toBeGreaterThanOrEqual(cutoff);
    }
  }
  expect(found.filter((id) => removed.has(id))).toEqual([]);
  const { rows: marked } = await client.execute("SELECT count(*) FROM devices WHERE deleting_at IS NOT NULL");
  expect(marked[0]![0]).toBe(0);
  expect((await client.execute(`SELECT ${WAITING_IN_RUNS}`)).rows[0]![0]).toBe(0);
  // A clock that is set back shows whatever can still be opened: nothing of a day that is over.
  const back = await openFiles({
    folder,
    now: base.now() - 30 * DAY,
    rootKeys: base.config.oldRootKeys,
    first: 0,
    devices,
  });
  let looked = 0;
  for (const { id, accountId } of devices) {
    if (removed.has(id)) continue;
    const { data } = await history(aContext(back.base, asKey(accountId)), id, { limit: 1000 });
    const firstDay = Math.floor(cutoff / DAY) * DAY;
    expect(data.filter(({ fixTime }) => Date.parse(fixTime) < firstDay)).toEqual([]);
    looked += 1;
  }
  back.close();
  return looked;
}
