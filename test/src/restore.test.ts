import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import { afterAll, expect, test } from "vitest";
import { fixBinding, segmentBinding } from "../../client/sealed.ts";
import type { Base, Db, Secrets } from "../../src/context.ts";
import { runJob } from "../../src/jobs.ts";
import { history } from "../../src/positions.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { settle } from "../../src/settle.ts";
import { readFixes } from "../../src/store/newest.ts";
import * as schema from "../../src/store/schema.ts";
import { headColumns, segmentRows } from "../../src/store/segments.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { deriveKey } from "../../src/vault-cache.ts";
import { type CopyLabel, type Secret, unwrap } from "../../src/vault-object.ts";
import { aBase, aContext, aDatabaseFile, aDevice, anAccount, asKey, type TestBase } from "../database.ts";
import { stored } from "../stored.ts";

// A copy of the database of some days ago, as a provider restores it, and everything that the key store still has. Of a
// day that is over not one position comes back; of all others every one does.

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Positions are kept for so many days. */
const PERIOD = 10;
const TODAY = Date.UTC(2026, 2, 1);
/** The day that is over when the copy is looked at. */
const OVER = TODAY - PERIOD * DAY;
const LABELS = ["a", "b", "escrow"] as const satisfies readonly CopyLabel[];

const folder = mkdtempSync(join(tmpdir(), "ephemeris-restore-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Every secret that is left in any copy, by the object that it is in. */
async function survivors(base: Base, secrets: Secrets): Promise<Map<string, Secret[]>> {
  const found = new Map<string, Secret[]>();
  for (const [i, copy] of [...secrets.copies, secrets.escrow].entries()) {
    for (const name of await copy.list("")) {
      const opened = await unwrap(base, LABELS[i]!, name, (await copy.get(name))!.bytes);
      if (opened.state !== "good") throw new Error(`${name} is ${opened.state}`);
      found.set(name, [...(found.get(name) ?? []), ...opened.object.secrets]);
    }
  }
  return found;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** Whether a sealed blob, its nonce in front, opens with any of some keys. */
async function opens(
  keys: readonly CryptoKey[],
  additionalData: Bytes,
  nonce: Uint8Array,
  sealed: Uint8Array,
): Promise<boolean> {
  for (const key of keys) {
    const algorithm = { name: "AES-GCM", iv: nonce as Bytes, additionalData };
    const plain = await crypto.subtle.decrypt(algorithm, key, sealed as Bytes).catch(() => null);
    if (plain !== null) return true;
  }
  return false;
}

test("a copy of the database gives back no position of a day that is over, and every position of all others", async () => {
  const database = await aDatabaseFile();
  const secrets = fileSecrets(join(folder, "keys"));
  const baseOf = (db: Db): TestBase => Object.assign(aBase(db, { now: TODAY }), { secrets });
  const base = baseOf(database.db);
  const accounts = [await anAccount(database.db), await anAccount(database.db)];
  await database.client.execute(`UPDATE accounts SET retention_days = ${PERIOD}`);
  const devices = [];
  for (const accountId of [accounts[0]!, accounts[0]!, accounts[1]!]) {
    devices.push(await aDevice(database.db, { accountId, createdAt: 0 }));
  }
  const settleAll = () => settle(base, mainTelemetry(base), { all: true });
  /** A position a minute, in the middle of each hour of a day. */
  const ofDay = (day: number) =>
    Array.from({ length: 24 }, (_, hour) => ({ fixTime: day + hour * HOUR + 30 * 60_000, receivedAt: base.now() }));
  for (const device of devices) {
    for (let day = OVER; day < TODAY; day += DAY) await stored(base, device, ofDay(day));
    await settleAll();
  }
  // One has sent nothing since that day: its newest fix is of it. And some of the day still waits, in a run and in a batch.
  const silent = await aDevice(database.db, { accountId: accounts[1]!, createdAt: 0 });
  await stored(base, silent, ofDay(OVER));
  await settleAll();
  const late = (minute: number) => [{ fixTime: OVER + minute * 60_000, receivedAt: base.now() }];
  await stored(base, devices[0]!, late(7));
  await settle(base, mainTelemetry(base), { all: true, settle: false });
  await stored(base, devices[0]!, late(11));
  await runJob(base, "refresh-escrow");

  const copied = join(folder, "copy");
  cpSync(dirname(database.path), copied, { recursive: true });
  expect(readdirSync(copied)).toContain("test.db");

  // Until the day is over everywhere, minute by minute would be the same.
  base.at(OVER + DAY + PERIOD * DAY + 10 * 60_000);
  for (let run = 0; run < 2; run++) {
    await settleAll();
    for (const job of ["settle", "retention", "refresh-escrow"]) await runJob(base, job);
    base.advance(60 * 60_000);
  }

  const client = createClient({ url: `file:${join(copied, "test.db")}` });
  const db = drizzle(client, { schema }) as Db;
  const reader = baseOf(db);
  // A clock that is set back shows what periods hide.
  reader.at(TODAY);
  expect((await client.execute("SELECT count(*) FROM inbox")).rows[0]![0]).toBeGreaterThan(0);
  expect((await client.execute("SELECT count(*) FROM runs")).rows[0]![0]).toBeGreaterThan(0);
  let shown = 0;
  for (const device of devices) {
    const { data } = await history(aContext(reader, asKey(device.accountId)), device.id, { limit: 1000 });
    const days = data.map(({ fixTime }) => Math.floor((Date.parse(fixTime) - OVER) / DAY));
    expect(days.filter((day) => day === 0)).toEqual([]);
    for (let day = 1; day < PERIOD; day++) expect([day, days.filter((each) => each === day).length]).toEqual([day, 24]);
    shown += data.length;
  }
  expect((await history(aContext(reader, asKey(silent.accountId)), silent.id)).data).toEqual([]);

  // And with every secret that is left anywhere, whichever row it belongs to.
  const left = await survivors(base, secrets);
  const bytesOf = (value: unknown) => new Uint8Array(value as ArrayBuffer);
  let tried = 0;
  let opened = 0;
  const { rows } = await client.execute(`SELECT ${headColumns}, s.sealed FROM segments s`);
  const keysOf = async (accountId: number) => {
    const own = left.get(`account/${accountId}`) ?? [];
    const keys: CryptoKey[] = [];
    for (const day of own.filter(({ kind }) => kind === "day")) {
      for (const device of own.filter(({ kind }) => kind === "device"))
        keys.push(await deriveKey([day, device], "pos|v1", "seal"));
    }
    return keys;
  };
  const keys = new Map<number, CryptoKey[]>();
  for (const accountId of accounts) keys.set(accountId, await keysOf(accountId));
  for (const segment of segmentRows(rows)) {
    const isOver = segment.fromTime < OVER + DAY;
    const sealed = segment.sealed;
    const does = await opens(
      keys.get(segment.accountId)!,
      segmentBinding(segment),
      sealed.subarray(0, 12),
      sealed.subarray(12),
    );
    expect([segment.id, does]).toEqual([segment.id, !isOver]);
    tried += isOver ? 1 : 0;
    opened += does ? 1 : 0;
  }
  for (const row of (await client.execute("SELECT account_id, fixes FROM newest")).rows) {
    for (const fix of readFixes(row.fixes)) {
      const accountId = Number(row.account_id);
      const binding = fixBinding(accountId, fix);
      const does = await opens(keys.get(accountId)!, binding, fix.sealed.subarray(0, 12), fix.sealed.subarray(12));
      expect([fix.deviceId, does]).toEqual([fix.deviceId, fix.due >= OVER + DAY]);
    }
  }
  // Of the inbox no key is left that anything in the copy is sealed under.
  const kids = [...left].flatMap(([name, all]) => (name.startsWith("inbox/") ? all.map(({ kid }) => kid) : []));
  for (const table of ["inbox", "runs"]) {
    for (const row of (await client.execute(`SELECT kid, chunks FROM ${table}`)).rows) {
      expect(kids).not.toContain(Number(row.kid));
      expect(bytesOf(row.chunks).length).toBeGreaterThan(0);
    }
  }
  expect(tried).toBeGreaterThanOrEqual(4);
  console.log(
    `${tried} segments of the day tried with every pair of ${[...left.values()].flat().length} secrets: none opens; ${opened} others do, ${shown} positions`,
  );
  client.close();
  secrets.close();
  database.close();
});
