import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodePositions } from "../../../codec/decode.ts";
import { encodeRecord } from "../../../codec/record.ts";
import { frameOf } from "../../../tools/faults/frames.ts";
import { DeviceLedger, Ledger } from "../../../tools/faults/ledger.ts";
import { type Finding, judge, storedCount } from "../../../tools/faults/oracle.ts";
import { reportOf } from "../../../tools/faults/records.ts";
import { aDatabase, aDevice, type TestDatabase } from "../../database.ts";

const SEED = 11;
const BASE_MS = Date.UTC(2026, 1, 20);
const RECORDS = 24;

let database: TestDatabase;
let folder: string;
let ledger: Ledger;
let device: DeviceLedger;
let accountId: number;

/** One row for a record of the sequence, as the edge would store it. */
async function store(sequence: number, change: { of?: number; digest?: number } = {}): Promise<void> {
  const report = reportOf(SEED, device.imei, change.of ?? sequence, BASE_MS);
  report.odometerM = sequence;
  const [position] = decodePositions(frameOf("CCC", "A", device.imei, [report], 1), { model: "T366" });
  await database.client.execute({
    sql: `INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
          VALUES (?, ?, ?, CAST(printf('%08d', ?) AS BLOB), ?, 0, ?, ?, ?)`,
    args: [
      accountId,
      device.id,
      position!.fixTime!,
      change.digest ?? sequence,
      BASE_MS,
      position!.event.code,
      position!.valid ? 1 : 0,
      encodeRecord(position!),
    ],
  });
}

beforeEach(async () => {
  database = await aDatabase();
  folder = mkdtempSync(join(tmpdir(), "ephemeris-"));
  ledger = new Ledger(folder);
  const row = await aDevice(database.db, { model: "T366" });
  accountId = row.accountId;
  device = new DeviceLedger(row.imei, "CCC", row.id, true);
  const range = device.take(RECORDS);
  const frame = { identifier: "A", ...range, bytes: new Uint8Array(4), at: 0 };
  ledger.sent(device, frame, false);
  ledger.acked(device, frame);
});

afterEach(() => {
  ledger.close();
  database.close();
  rmSync(folder, { recursive: true });
});

const verdict = async () => {
  const sent = { seed: SEED, baseMs: BASE_MS, devices: [device] };
  return (await judge(database.client, sent, 0, () => true)).verdict;
};

test("judge() finds nothing wrong when all is stored once, in order and as sent", async () => {
  for (let n = 0; n < RECORDS; n++) await store(n);
  expect(await verdict()).toEqual({
    sent: RECORDS,
    acked: RECORDS,
    stored: RECORDS,
    lost: 0,
    duplicated: 0,
    altered: 0,
    invented: 0,
    order: 0,
    examples: [],
  });
});

/** What is done to the stored rows, and what judge() must call it. */
const HARMS: readonly { harm: string; finding: Finding; do: (n: number) => Promise<void> }[] = [
  { harm: "a row is missing", finding: "lost", do: async (n) => (n === 9 ? undefined : store(n)) },
  {
    harm: "a row is there twice",
    finding: "duplicated",
    do: async (n) => {
      await store(n);
      if (n === 9) await store(n, { digest: -1 });
    },
  },
  { harm: "a row has another's values", finding: "altered", do: (n) => store(n, n === 9 ? { of: 10 } : {}) },
  {
    harm: "a row was never sent",
    finding: "invented",
    do: async (n) => {
      await store(n);
      if (n === 9) await store(RECORDS + 5);
    },
  },
  { harm: "two rows arrived the wrong way round", finding: "order", do: (n) => store(n === 8 ? 9 : n === 9 ? 8 : n) },
];

test.each(HARMS)("judge() says $finding when $harm", async ({ finding, do: put }) => {
  for (let n = 0; n < RECORDS; n++) await put(n);
  const found = await verdict();
  expect(found[finding]).toBe(1);
  expect(found.examples.join()).toContain(`${finding}: device ${device.id}`);
  const { lost, duplicated, altered, invented, order } = found;
  expect(lost + duplicated + altered + invented + order).toBe(1);
});

test("judge() excuses a missing record only when nobody acknowledged it and its link promised nothing", async () => {
  device.take(1);
  for (let n = 0; n < RECORDS; n++) await store(n);
  const sent = { seed: SEED, baseMs: BASE_MS, devices: [device] };
  expect((await judge(database.client, sent, 0, () => false)).verdict.lost).toBe(0);
  expect((await judge(database.client, sent, 0, () => true)).verdict.lost).toBe(1);
});

test("storedCount() counts the records of a range that are stored at this moment", async () => {
  for (let n = 0; n < 6; n++) await store(n);
  expect(await storedCount(database.client, { seed: SEED, baseMs: BASE_MS }, device, 2, 9)).toBe(4);
});
