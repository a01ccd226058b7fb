import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodePositions } from "../../../codec/decode.ts";
import { RequestWriter } from "../../../codec/envelope.ts";
import { frameOf } from "../../../tools/faults/frames.ts";
import { DeviceLedger, Ledger } from "../../../tools/faults/ledger.ts";
import { type Finding, judge, judgeApi, type ReadPage, storedCount } from "../../../tools/faults/oracle.ts";
import { reportOf } from "../../../tools/faults/records.ts";
import { aDevice, anImei } from "../../database.ts";
import { anApi } from "../../src/http/api.ts";
import { settled } from "../../stored.ts";

const IMEI = anImei();
const SEED = 11;
const BASE_MS = Date.UTC(2026, 1, 20);
const RECORDS = 24;

let folder: string;
let ledger: Ledger;
let device: DeviceLedger;
/** What a feed gives, oldest first. */
let feed: Record<string, unknown>[];

/** A record of the sequence as the API shows it. */
function store(sequence: number, of = sequence): void {
  const report = reportOf(SEED, device.imei, of, BASE_MS);
  report.odometerM = sequence;
  const [position] = decodePositions(frameOf("CCC", "A", device.imei, [report], 1), { model: "T366" });
  const json = JSON.parse(JSON.stringify(position)) as Record<string, unknown>;
  feed.push({ id: 1024 + feed.length, deviceId: device.id, receivedAt: new Date(BASE_MS).toISOString(), ...json });
}

/** The feed by pages of seven, some of them shorter. */
const read: ReadPage = async (path) => {
  const after = Number(/cursor=(\d+)/.exec(path)?.[1] ?? 0);
  const data = feed.slice(after, after + (after % 2 === 0 ? 7 : 3));
  return { data, nextCursor: String(after + data.length) };
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ephemeris-"));
  ledger = new Ledger(folder);
  feed = [];
  device = new DeviceLedger(IMEI, "CCC", 7, true);
  const range = device.take(RECORDS);
  const frame = { identifier: "A", ...range, bytes: new Uint8Array(4), at: 0 };
  ledger.sent(device, frame, false);
  ledger.acked(device, frame);
});

afterEach(() => {
  ledger.close();
  rmSync(folder, { recursive: true });
});

const sent = () => ({ seed: SEED, baseMs: BASE_MS, devices: [device] });
const verdict = async (mustBeStored = true) => (await judge(read, sent(), null, () => mustBeStored)).verdict;

test("judge() finds nothing wrong when all is stored once, in order and as sent", async () => {
  for (let n = 0; n < RECORDS; n++) store(n);
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

/** What is done to the stored positions, and what judge() must call it. */
const HARMS: readonly { harm: string; finding: Finding; do: (n: number) => void }[] = [
  { harm: "a position is missing", finding: "lost", do: (n) => (n === 9 ? undefined : store(n)) },
  {
    harm: "a position is there twice",
    finding: "duplicated",
    do: (n) => {
      store(n);
      if (n === 9) store(n);
    },
  },
  { harm: "a position has another's values", finding: "altered", do: (n) => store(n, n === 9 ? 10 : n) },
  {
    harm: "a position was never sent",
    finding: "invented",
    do: (n) => {
      store(n);
      if (n === 9) store(RECORDS + 5);
    },
  },
  {
    harm: "two positions arrived the wrong way round",
    finding: "order",
    do: (n) => store(n === 8 ? 9 : n === 9 ? 8 : n),
  },
];

test.each(HARMS)("judge() says $finding when $harm", async ({ finding, do: put }) => {
  for (let n = 0; n < RECORDS; n++) put(n);
  const found = await verdict();
  expect(found[finding]).toBe(1);
  expect(found.examples.join()).toContain(`${finding}: device ${device.id}`);
  const { lost, duplicated, altered, invented, order } = found;
  expect(lost + duplicated + altered + invented + order).toBe(1);
});

test("judge() says what is wrong with ids: one that comes twice, one of nobody's device", async () => {
  for (let n = 0; n < RECORDS; n++) store(n);
  feed[9]!.id = feed[8]!.id;
  expect(await verdict()).toMatchObject({
    order: 1,
    duplicated: 0,
    examples: ["order: position 1032 comes after 1032"],
  });
  feed[9]!.deviceId = 8;
  expect(await verdict()).toMatchObject({ invented: 1, lost: 1 });
});

test("judge() goes on behind a cursor, and its digest is the same only when every byte is", async () => {
  for (let n = 0; n < RECORDS; n++) store(n);
  const whole = await judge(read, sent(), null, () => true);
  expect((await judge(read, sent(), null, () => true)).digest).toBe(whole.digest);
  feed[3]!.receivedAt = new Date(BASE_MS + 1).toISOString();
  expect((await judge(read, sent(), null, () => true)).digest).not.toBe(whole.digest);
  expect((await judge(read, sent(), whole.cursor, () => true)).verdict).toMatchObject({ stored: 0, lost: RECORDS });
});

test("judge() excuses a missing record only when nobody acknowledged it and its link promised nothing", async () => {
  device.take(1);
  for (let n = 0; n < RECORDS; n++) store(n);
  expect((await verdict(false)).lost).toBe(0);
  expect((await verdict(true)).lost).toBe(1);
});

test("on the product itself: what is stored and what is settled reads the same, and a history is as it was sent", async () => {
  const api = await anApi();
  const { id } = await aDevice(api.base.db, {
    accountId: api.accountId,
    imei: IMEI,
    model: "T366",
    createdAt: BASE_MS,
  });
  device = new DeviceLedger(IMEI, "CCC", id, true);
  device.take(RECORDS);
  device.ack(0, RECORDS);
  const page: ReadPage = async (path) => (await api.call("GET", path, { key: api.read })).json();
  api.base.at(BASE_MS + 3_600_000);
  const reports = Array.from({ length: RECORDS }, (_, n) => reportOf(SEED, IMEI, n, BASE_MS));
  for (let n = 0; n < RECORDS; n += 6) {
    const request = new RequestWriter();
    request.frame(1, 0, BASE_MS + 3_600_000, frameOf("CCC", "A", IMEI, reports.slice(n, n + 6), 1));
    await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: request.finish() });
  }
  expect(await storedCount(page, sent(), device, 2, 9)).toBe(7);
  expect(await storedCount(page, sent(), device, RECORDS - 1, RECORDS + 9)).toBe(1);
  const waiting = await judge(page, sent(), null, () => true);
  expect(waiting.verdict).toMatchObject({ stored: RECORDS, examples: [] });
  expect(await settled(api.base)).toBe(RECORDS);
  const after = await judge(page, sent(), null, () => true);
  expect(after).toMatchObject({ digest: waiting.digest, verdict: waiting.verdict });
  expect(await judgeApi(page, sent(), device, RECORDS)).toEqual([]);
  expect((await judgeApi(page, sent(), device, RECORDS - 1)).length).toBe(2);
  await api.base.settled();
  api.close();
});
