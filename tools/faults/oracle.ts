import { createHash } from "node:crypto";
import type { DeviceLedger } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { expectedOf, fixTimeOf, reportOf } from "./records.ts";

/** What the oracle may find wrong. Each is a count of records; `examples` says the first few of each in words. */
export const FINDINGS = {
  lost: "acknowledged (or sent over a link that never broke) and not stored",
  duplicated: "stored more than once",
  altered: "stored with a value that was not sent",
  invented: "stored and never sent",
  order: "out of its device's order",
} as const;
export type Finding = keyof typeof FINDINGS;

export interface Verdict extends Record<Finding, number> {
  sent: number;
  acked: number;
  stored: number;
  examples: string[];
}

export interface ApiPage {
  data: Record<string, unknown>[];
  nextCursor: string | null;
}

/** Reads a page of a list of the platform's HTTP API. */
export type ReadPage = (path: string) => Promise<ApiPage>;

/** Nested objects of a position's JSON as `cell.mcc`; times as Unix ms. */
function flatten(json: Record<string, unknown>): Map<string, unknown> {
  const flat = new Map<string, unknown>();
  for (const [name, value] of Object.entries(json)) {
    if (name === "fixTime") flat.set(name, Date.parse(value as string));
    else if (name === "event") flat.set(name, (value as { code: number }).code);
    else if (typeof value === "object" && value !== null) {
      for (const [part, inner] of Object.entries(value)) flat.set(`${name}.${part}`, inner);
    } else flat.set(name, value);
  }
  return flat;
}

/** The difference between what was sent and what a reader sees, in words; null when there is none. */
export function differenceOf(expected: Record<string, unknown>, json: Record<string, unknown>): string | null {
  const flat = flatten(json);
  for (const [name, value] of Object.entries(expected)) {
    const stored = flat.get(name);
    if (stored !== value) return `${name} is ${JSON.stringify(stored)}, sent ${JSON.stringify(value)}`;
    flat.delete(name);
  }
  for (const [name, value] of flat) return `${name} is ${JSON.stringify(value)}, never sent`;
  return null;
}

/** The ledger's view of what was sent, needed to know the right value of each record. */
export interface Sent {
  seed: number;
  baseMs: number;
  devices: readonly DeviceLedger[];
}

/** Judges positions as the feed gives them: in the order of their ids, which is the order of arrival. */
class Judge {
  readonly verdict: Verdict = {
    sent: 0,
    acked: 0,
    stored: 0,
    lost: 0,
    duplicated: 0,
    altered: 0,
    invented: 0,
    order: 0,
    examples: [],
  };
  readonly seen = new Map<DeviceLedger, { counts: Uint8Array; last: number }>();
  readonly #byId: Map<number, DeviceLedger>;
  #lastId = 0;
  readonly #sent: Sent;

  constructor(sent: Sent) {
    this.#sent = sent;
    this.#byId = new Map(sent.devices.map((device) => [device.id, device]));
    for (const device of sent.devices) this.seen.set(device, { counts: new Uint8Array(device.taken), last: -1 });
  }

  find(finding: Finding, words: string): void {
    this.verdict[finding]++;
    if (this.verdict[finding] <= LIMITS.examples) this.verdict.examples.push(`${finding}: ${words}`);
  }

  take({ id, deviceId, receivedAt: _, ...json }: Record<string, unknown>): void {
    this.verdict.stored++;
    if (!((id as number) > this.#lastId)) this.find("order", `position ${id} comes after ${this.#lastId}`);
    this.#lastId = Math.max(this.#lastId, id as number);
    const device = this.#byId.get(deviceId as number);
    if (device === undefined) {
      this.find("invented", `position ${id} belongs to device ${deviceId}`);
      return;
    }
    const sequence = json.odometerM as number;
    const seen = this.seen.get(device)!;
    if (!(sequence >= 0 && sequence < device.taken)) {
      this.find("invented", `device ${device.id}: record ${sequence} of ${device.taken}`);
      return;
    }
    seen.counts[sequence] = Math.min(255, seen.counts[sequence]! + 1);
    if (seen.counts[sequence]! > 1) this.find("duplicated", `device ${device.id}: record ${sequence}`);
    else if (device.ordered && sequence < seen.last) {
      this.find("order", `device ${device.id}: record ${sequence} arrived after ${seen.last}`);
    }
    seen.last = Math.max(seen.last, sequence);
    const report = reportOf(this.#sent.seed, device.imei, sequence, this.#sent.baseMs);
    const difference = differenceOf(expectedOf(device.kind, report), json);
    if (difference !== null) this.find("altered", `device ${device.id}: record ${sequence}: ${difference}`);
  }

  /** After the last row. `mustBeStored` decides for records that nobody confirmed. */
  close(mustBeStored: (device: DeviceLedger, sequence: number) => boolean): Verdict {
    for (const [device, { counts }] of this.seen) {
      this.verdict.sent += device.taken;
      for (let sequence = 0; sequence < device.taken; sequence++) {
        const acked = device.acked(sequence);
        if (acked) this.verdict.acked++;
        if (counts[sequence] === 0 && (acked || mustBeStored(device, sequence))) {
          this.find("lost", `device ${device.id} (${device.kind}): record ${sequence}${acked ? ", acknowledged" : ""}`);
        }
      }
    }
    return this.verdict;
  }
}

/** What was read, and what it says. */
export interface Reading {
  verdict: Verdict;
  storedOf: (device: DeviceLedger) => number;
  /** Where the feed goes on. */
  cursor: string | null;
  /** Of every byte that was read: the same when nothing has changed. */
  digest: string;
}

/**
 * Reads back by the feed every position that was stored after a cursor, and holds it against the ledger.
 * @param mustBeStored for records without confirmation: whether their link promised delivery all the same
 */
export async function judge(
  read: ReadPage,
  sent: Sent,
  cursor: string | null,
  mustBeStored: (device: DeviceLedger, sequence: number) => boolean,
): Promise<Reading> {
  const judging = new Judge(sent);
  const digest = createHash("sha256");
  let after = cursor;
  for (;;) {
    const page = await read(`/v1/positions/feed?limit=1000${moreOf(after)}`);
    // A page may be short before the end.
    if (page.data.length === 0 && page.nextCursor === after) break;
    for (const position of page.data) {
      digest.update(JSON.stringify(position));
      judging.take(position);
    }
    after = page.nextCursor;
  }
  const verdict = judging.close(mustBeStored);
  const storedOf = (device: DeviceLedger): number => judging.seen.get(device)!.counts.filter((n) => n > 0).length;
  return { verdict, storedOf, cursor: after, digest: digest.digest("hex") };
}

const moreOf = (cursor: string | null): string => (cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`);

/** How many of the records `from` to `to - 1` of a device can be read now. */
export async function storedCount(
  read: ReadPage,
  sent: Omit<Sent, "devices">,
  device: DeviceLedger,
  from: number,
  to: number,
): Promise<number> {
  const timeOf = (n: number): string =>
    encodeURIComponent(new Date(fixTimeOf(reportOf(sent.seed, device.imei, n, sent.baseMs))).toISOString());
  // The end is not included, and some records after it have the same time.
  const window = `from=${timeOf(from)}&to=${timeOf(to + LIMITS.sameTime)}`;
  const found = new Set<number>();
  let cursor: string | null = null;
  do {
    const page: ApiPage = await read(`/v1/devices/${device.id}/positions?${window}&limit=1000${moreOf(cursor)}`);
    for (const { odometerM } of page.data) found.add(odometerM as number);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return [...found].filter((sequence) => sequence >= from && sequence < to).length;
}

/**
 * Reads one device's whole history through the HTTP API in both orders, page by page, and holds it against the ledger.
 * @returns what is wrong, in words
 */
export async function judgeApi(read: ReadPage, sent: Sent, device: DeviceLedger, stored: number): Promise<string[]> {
  const problems: string[] = [];
  for (const order of ["asc", "desc"] as const) {
    const numbers = new Set<number>();
    let previous = order === "asc" ? 0 : Number.MAX_SAFE_INTEGER;
    let cursor: string | null = null;
    let count = 0;
    do {
      const from = new Date(sent.baseMs - 1000).toISOString();
      const path = `/v1/devices/${device.id}/positions?from=${encodeURIComponent(from)}&order=${order}&limit=1000${moreOf(cursor)}`;
      const page: ApiPage = await read(path);
      for (const { id: _id, deviceId: _device, receivedAt: _received, ...position } of page.data) {
        count++;
        const sequence = position.odometerM as number;
        numbers.add(sequence);
        const time = Date.parse(position.fixTime as string);
        if (order === "asc" ? time < previous : time > previous) {
          problems.push(`API, device ${device.id}, ${order}: record ${sequence} is out of order`);
        }
        previous = time;
        const report = reportOf(sent.seed, device.imei, sequence, sent.baseMs);
        const difference = differenceOf(expectedOf(device.kind, report), position);
        if (difference !== null) problems.push(`API, device ${device.id}: record ${sequence}: ${difference}`);
      }
      cursor = page.nextCursor;
    } while (cursor !== null);
    if (count !== stored || numbers.size !== stored) {
      problems.push(`API, device ${device.id}, ${order}: ${count} rows, ${numbers.size} records, stored are ${stored}`);
    }
  }
  return problems.slice(0, LIMITS.examples);
}
