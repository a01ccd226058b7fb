import type { Client } from "@libsql/client";
import { decodeRecord } from "../../codec/record.ts";
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

interface StoredRow {
  id: number;
  deviceId: number;
  fixTime: number;
  event: number;
  valid: number;
  record: Uint8Array;
}

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

/** Judges rows as they come by, in the order of their ids (arrival). */
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

  take(row: StoredRow): void {
    this.verdict.stored++;
    const device = this.#byId.get(row.deviceId);
    if (device === undefined) {
      this.find("invented", `row ${row.id} belongs to device ${row.deviceId}`);
      return;
    }
    let json: Record<string, unknown>;
    try {
      json = decodeRecord(row.record).toJSON() as unknown as Record<string, unknown>;
    } catch (error) {
      this.find("altered", `row ${row.id}: ${(error as Error).message}`);
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
    const difference = differenceOf(expectedOf(device.kind, report), json) ?? this.#columns(row, json);
    if (difference !== null) this.find("altered", `device ${device.id}: record ${sequence}: ${difference}`);
  }

  /** The columns beside the record must say the same as the record. */
  #columns(row: StoredRow, json: Record<string, unknown>): string | null {
    const event = (json.event as { code: number }).code;
    if (row.event !== event) return `column event is ${row.event}, record says ${event}`;
    if (row.valid !== (json.valid === true ? 1 : 0)) return `column valid is ${row.valid}`;
    if (row.fixTime !== Date.parse(json.fixTime as string)) return `column fix_time is ${row.fixTime}`;
    return null;
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

/** The highest position id now: rows of a trial are those that come after it. */
export async function lastPosition(database: Client): Promise<number> {
  const { rows } = await database.execute("SELECT max(id) AS id FROM positions");
  return Number(rows[0]?.id ?? 0);
}

/**
 * Reads back every position stored after `afterId` and holds it against the ledger.
 * @param mustBeStored for records without confirmation: whether their link promised delivery all the same
 */
export async function judge(
  database: Client,
  sent: Sent,
  afterId: number,
  mustBeStored: (device: DeviceLedger, sequence: number) => boolean,
): Promise<{ verdict: Verdict; storedOf: (device: DeviceLedger) => number }> {
  const judging = new Judge(sent);
  for (let after = afterId; ; ) {
    const { rows } = await database.execute({
      sql: "SELECT id, device_id, fix_time, event, valid, record FROM positions WHERE id > ? ORDER BY id LIMIT ?",
      args: [after, LIMITS.readRows],
    });
    for (const row of rows) {
      judging.take({
        id: Number(row.id),
        deviceId: Number(row.device_id),
        fixTime: Number(row.fix_time),
        event: Number(row.event),
        valid: Number(row.valid),
        record: new Uint8Array(row.record as ArrayBuffer),
      });
    }
    if (rows.length < LIMITS.readRows) break;
    after = Number(rows.at(-1)!.id);
  }
  const verdict = judging.close(mustBeStored);
  const storedOf = (device: DeviceLedger): number => judging.seen.get(device)!.counts.filter((n) => n > 0).length;
  return { verdict, storedOf };
}

/** How many of the records `from` to `to - 1` of a device are in the database now. */
export async function storedCount(
  database: Client,
  sent: Omit<Sent, "devices">,
  device: DeviceLedger,
  from: number,
  to: number,
): Promise<number> {
  const timeOf = (n: number): number => fixTimeOf(reportOf(sent.seed, device.imei, n, sent.baseMs));
  const { rows } = await database.execute({
    sql: "SELECT record FROM positions WHERE device_id = ? AND fix_time BETWEEN ? AND ?",
    args: [device.id, timeOf(from), timeOf(to - 1)],
  });
  const stored = rows.map((row) => decodeRecord(new Uint8Array(row.record as ArrayBuffer)).odometerM!);
  return new Set(stored.filter((sequence) => sequence >= from && sequence < to)).size;
}

export interface ApiPage {
  data: Record<string, unknown>[];
  nextCursor: string | null;
}

/**
 * Reads one device's whole history through the HTTP API in both orders, page by page, and holds it against the ledger.
 * @returns what is wrong, in words
 */
export async function judgeApi(
  get: (path: string) => Promise<ApiPage>,
  sent: Sent,
  device: DeviceLedger,
  stored: number,
): Promise<string[]> {
  const problems: string[] = [];
  for (const order of ["asc", "desc"] as const) {
    const numbers = new Set<number>();
    let previous = order === "asc" ? 0 : Number.MAX_SAFE_INTEGER;
    let cursor: string | null = null;
    let read = 0;
    do {
      const from = new Date(sent.baseMs - 1000).toISOString();
      const more: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const path = `/v1/devices/${device.id}/positions?from=${encodeURIComponent(from)}&order=${order}&limit=1000${more}`;
      const page: ApiPage = await get(path);
      for (const { id: _id, deviceId: _device, receivedAt: _received, ...position } of page.data) {
        read++;
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
    if (read !== stored || numbers.size !== stored) {
      problems.push(`API, device ${device.id}, ${order}: ${read} rows, ${numbers.size} records, stored are ${stored}`);
    }
  }
  return problems.slice(0, LIMITS.examples);
}
