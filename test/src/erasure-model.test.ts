import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { app } from "../../src/http/app.ts";
import { runJob } from "../../src/jobs.ts";
import { verifyLedger } from "../../src/ledger-verify.ts";
import { LIMITS } from "../../src/limits.ts";
import { residueCounts } from "../../src/store/erasable.ts";
import { recordsOfDevices } from "../../src/store/erasure.ts";
import { secretsLeft } from "../../src/vault.ts";
import { type Backup, type Reading, World } from "./erasure-world.ts";

// Erasures of every scope by lot, with copies of the database file that are taken at any moment and put back later; the key
// store goes on as it is. A model says what must be there, and what must never be read again.

/** The long one: ERASURE_MODEL=200 erasures, and a restore for each ten of them. ERASURE_SEED repeats one. */
const ERASURES = Number(process.env.ERASURE_MODEL ?? 9);
const SEED = Number(process.env.ERASURE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = Math.max(3, Math.floor(ERASURES / 10));

const folder = mkdtempSync(join(tmpdir(), "ephemeris-model-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ask = ({ base }: World, path: string) =>
  app.request(path, { headers: { authorization: `Bearer ${base.config.adminToken}` } }, base);

/** Nothing that was erased can be read, whatever was put back. */
function expectNothingErased(world: World, readings: ReadonlyMap<number, Reading>): void {
  const found: string[] = [];
  for (const [id, { user, devices }] of readings) {
    if (world.gone.accounts.has(id)) found.push(`account ${id}`);
    for (const value of Object.values(user)) if (world.gone.values.has(String(value))) found.push(`value ${value}`);
    for (const [device, { positions }] of devices) {
      if (world.gone.devices.has(device)) found.push(`device ${device}`);
      for (const { fixTime } of positions) {
        if (world.gone.fixes.has(`${device} ${Date.parse(fixTime)}`)) found.push(`fix ${device} ${fixTime}`);
      }
    }
  }
  expect(found).toEqual([]);
}

/** Before anything was deleted again: rows are there, and nothing that was sealed in them opens. */
function expectNothingOpens(world: World, backup: Backup, readings: ReadonlyMap<number, Reading>): void {
  const found: string[] = [];
  for (const { user, devices } of readings.values()) {
    for (const value of [String(user.name), String(user.mobile)])
      if (world.gone.values.has(value) && !world.late.has(value)) found.push(value);
    for (const [device, { positions }] of devices) {
      for (const { fixTime, receivedAt } of positions) {
        if (Date.parse(receivedAt) > backup.settledAt) continue;
        if (world.gone.fixes.has(`${device} ${Date.parse(fixTime)}`)) found.push(`${device} ${fixTime}`);
      }
    }
  }
  expect(found).toEqual([]);
}

/** Not one row, and not one secret. */
async function expectNoRows({ base, gone }: World): Promise<void> {
  for (const id of gone.accounts) {
    const rows = Object.values(await residueCounts(base.db, id)).reduce((sum, n) => sum + n, 0);
    expect([id, rows, await secretsLeft(base, id, null)]).toEqual([id, 0, 0]);
  }
  const devices = [...gone.devices.keys()];
  expect(await recordsOfDevices(base.db, devices)).toBe(0);
  const { rows } = await base.db.$client.execute({
    sql: "SELECT count(*) FROM segments WHERE device_id IN (SELECT value FROM json_each(?))",
    args: [JSON.stringify(devices)],
  });
  expect(rows[0]![0]).toBe(0);
}

/** What is there once and not twice, with where it is. */
function differences(before: readonly object[], after: readonly object[]): string[] {
  const [old, anew] = [before, after].map((list) => list.map((each) => JSON.stringify(each)));
  const lost = old!.filter((line) => !anew!.includes(line)).map((line) => `- ${line}`);
  return [...lost, ...anew!.filter((line) => !old!.includes(line)).map((line) => `+ ${line}`)];
}

/** What no erasure was about since the copy was made is as it was then. @returns accounts that are so as a whole */
function expectUntouched(world: World, backup: Backup, now: ReadonlyMap<number, Reading>): number {
  let whole = 0;
  for (const [id, before] of backup.readings) {
    if (world.gone.accounts.has(id) || world.since(backup, `account ${id}`)) continue;
    const after = now.get(id);
    const fields = world.since(backup, `fields ${id}`);
    const tracks = world.since(backup, `tracks ${id}`);
    if (!fields) expect([after?.account, after?.user]).toEqual([before.account, before.user]);
    else {
      for (const [column, value] of Object.entries(after!.user)) {
        if (typeof value === "string" && value.endsWith(".")) expect(value).toBe(before.user[column]);
      }
    }
    let same = !fields && !tracks;
    for (const [device, { row, positions }] of before.devices) {
      if (world.gone.devices.has(device)) continue;
      const found = after?.devices.get(device);
      if (tracks || world.since(backup, `device ${device}`)) {
        same = false;
        // Some of it is lost, with the secret that it was sealed under; nothing is there that was not.
        expect(differences(positions, found?.positions ?? []).filter((line) => line[0] === "+")).toEqual([]);
        continue;
      }
      if (!fields) expect(found?.row).toEqual(row);
      // What waited when the copy was made may be lost with the key that it waited under.
      const rested = positions.filter(({ receivedAt }) => Date.parse(receivedAt) <= backup.settledAt);
      const theirs = found?.positions ?? [];
      expect([device, differences(rested, theirs).filter((line) => line[0] === "-")]).toEqual([device, []]);
      expect([device, differences(positions, theirs).filter((line) => line[0] === "+")]).toEqual([device, []]);
    }
    if (same) whole += 1;
  }
  return whole;
}

/** What somebody asked for, surely, is carried out: no restore makes it forgotten, and none repeats or revives another. */
async function expectAsked({ base, asked }: World): Promise<void> {
  const { rows } = await base.db.$client.execute(
    "SELECT name, deadline FROM requests WHERE type = 'erase' AND closed_at IS NULL",
  );
  const open = new Map(rows.map((row) => [String(row[0]), Number(row[1])]));
  const wanted = asked.filter(({ state }) => state === "open").map(({ name, deadline }) => [name, deadline] as const);
  expect([...open].sort()).toEqual(wanted.sort());
}

async function restoreSome(world: World): Promise<{ behind: boolean; untouched: number }> {
  const recent = world.backups.slice(-6);
  const backup = recent[world.below(recent.length)]!;
  const behind = await world.putBack(backup);
  world.open = new Set(
    world.asked.flatMap(({ state, accountId, scope }) => {
      if (state !== "open") return [];
      if (scope.kind === "devices") return scope.devices.map((id) => `device ${id}`);
      if (scope.kind === "range") return [`device ${scope.device}`];
      return [`${scope.kind === "categories" ? "fields" : scope.kind} ${accountId}`];
    }),
  );
  expectNothingOpens(world, backup, await world.readAll(backup.accounts));
  const { base } = world;
  if (behind) {
    for (const path of ["/v1/models", "/healthz", "/", "/v1/devices"]) {
      expect([path, (await ask(world, path)).status]).toEqual([path, 503]);
    }
    await base.settled();
    for (let run = 0; run < 5; run++) {
      base.advance(LIMITS.restoredEveryMs);
      if ((await ask(world, "/healthz")).status === 200) break;
      await runJob(base, "replay-ledger");
    }
  }
  expect((await ask(world, "/healthz")).status).toBe(200);
  const readings = await world.readAll(world.accounts);
  expectNothingErased(world, readings);
  await expectNoRows(world);
  const untouched = expectUntouched(world, backup, readings);
  await expectAsked(world);
  expect((await verifyLedger(base)).faults).toEqual([]);
  return { behind, untouched };
}

test(`erasures and restores by lot, seed ${SEED}`, { timeout: 60_000 + ERASURES * 10_000 }, async () => {
  mkdirSync(join(folder, "keys"));
  const world = new World(folder, SEED);
  try {
    await world.begin();
    await world.backUp();
    let restores = 0;
    let noticed = 0;
    let untouched = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (let made = 0; made < ERASURES / ROUNDS; ) {
        world.step += 1;
        const lot = world.below(20);
        if (world.accounts.length < 5) await world.addAccount();
        if (lot < 5 && (await world.ask())) made += 1;
        else if (lot === 6) await world.cancel();
        else if (lot === 7) await world.addDevice(world.one(world.accounts));
        else if (lot === 8) await world.setFields(world.one(world.accounts));
        else if (lot === 9) await world.backUp();
        else if (lot === 10) await world.settle();
        else if (lot === 11) await world.sendAgain();
        else if (lot === 12) await world.cron();
        else if (lot === 13) world.base.advance(world.below(60) * 60_000);
        else {
          const devices = world.accounts.flatMap((account) => account.devices);
          if (devices.length > 0) await world.send(world.one(devices));
        }
        if (lot > 16) await world.turn();
        if (lot >= 10 && lot <= 12) expectNothingErased(world, await world.readAll(world.accounts));
      }
      // Sometimes in the middle of what is asked for, sometimes when all of it is done.
      if (world.below(3) > 0) await world.finish();
      const done = await restoreSome(world);
      restores += 1;
      noticed += done.behind ? 1 : 0;
      untouched += done.untouched;
    }
    await world.finish();
    expect(world.asked.filter(({ state }) => state === "open")).toEqual([]);
    await expectNoRows(world);
    expectNothingErased(world, await world.readAll(world.accounts));
    const { accounts, devices, fixes, values } = world.gone;
    console.log(
      `seed ${SEED}: ${world.asked.length} erasures, ${restores} restores (${noticed} noticed), ${untouched} accounts as they were; gone ${accounts.size} accounts, ${devices.size} devices, ${fixes.size} positions, ${values.size} values`,
    );
  } catch (error) {
    throw new Error(`Repeat it with ERASURE_SEED=${SEED}${ERASURES === 9 ? "" : ` ERASURE_MODEL=${ERASURES}`}`, {
      cause: error,
    });
  } finally {
    await world.end();
  }
});
