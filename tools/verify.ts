import { setTimeout as sleep } from "node:timers/promises";
import type { Fleet } from "./fleet.ts";
import { type Ledger, STATE } from "./ledger.ts";

/** How to reach the API of the account that owns the devices. */
export interface Access {
  /** Of the platform, such as http://127.0.0.1:8787. */
  readonly url: string;
  /** An API key; `register` needs one with scope write. */
  readonly key: string;
}

/** One thing that is not as it was sent. */
export interface Difference {
  readonly kind: "missing" | "invented" | "twice" | "altered" | "not registered";
  readonly imei: string;
  /** ISO 8601; empty when a whole device is meant. */
  readonly fixTime: string;
  readonly detail: string;
}

export interface Verification {
  readonly devices: number;
  /** Reports that had to be found. */
  readonly expected: number;
  readonly found: number;
  /** Reports on connections that broke, where either is right. */
  readonly doubtful: { readonly stored: number; readonly lost: number };
  readonly differences: readonly Difference[];
  /** From the first frame with a report to the platform's receive time, ms; null without a report. */
  readonly delayMs: { readonly p50: number; readonly p99: number } | null;
}

const LIMITS = {
  pageRows: 1000,
  /** Requests at a time. */
  parallel: 8,
  attempts: 8,
  /** Devices are read again after this long while something is missing. */
  againMs: 500,
} as const;

/** A stored position as far as it is compared. */
type Stored = Readonly<Record<string, unknown>> & { readonly fixTime: string; readonly receivedAt: string };

/**
 * Asks the API, patiently: waits when it says so and tries again when it is not there.
 * @throws {Error} with the API's own words when it refuses
 */
async function call<T>({ url, key }: Access, path: string, body?: unknown): Promise<T> {
  const request: RequestInit = { headers: { authorization: `Bearer ${key}`, "content-type": "application/json" } };
  if (body !== undefined) Object.assign(request, { method: "POST", body: JSON.stringify(body) });
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(new URL(path, url), request).catch((error: Error) => error);
    if (answer instanceof Error || answer.status === 429 || answer.status >= 500) {
      if (attempt === LIMITS.attempts) throw new Error(`${path.split("?")[0]}: ${await reason(answer)}`);
      const seconds = answer instanceof Error ? Number.NaN : Number(answer.headers.get("retry-after") ?? Number.NaN);
      if (!(answer instanceof Error)) await answer.body?.cancel();
      await sleep(Number.isNaN(seconds) ? 100 * 2 ** attempt : seconds * 1000);
    } else if (answer.ok) {
      return (await answer.json()) as T;
    } else {
      throw new Error(`${path.split("?")[0]}: ${await reason(answer)}`);
    }
  }
}

async function reason(answer: Response | Error): Promise<string> {
  if (answer instanceof Error) return answer.cause instanceof Error ? answer.cause.message : answer.message;
  const problem = await answer.json().catch(() => ({}));
  return `${answer.status} ${problem.detail ?? problem.title ?? answer.statusText}`;
}

interface Page<T> {
  readonly data: readonly T[];
  readonly nextCursor: string | null;
}

async function* pages<T>(access: Access, path: string): AsyncGenerator<T> {
  for (let cursor: string | null = ""; cursor !== null; ) {
    const next: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<T> = await call(access, `${path}${path.includes("?") ? "&" : "?"}limit=${LIMITS.pageRows}${next}`);
    yield* page.data;
    cursor = page.nextCursor;
  }
}

async function deviceIds(access: Access): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  for await (const { imei, id } of pages<{ imei: string; id: number }>(access, "/v1/devices")) ids.set(imei, id);
  return ids;
}

/** Runs `work` over all items, a few at a time. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: LIMITS.parallel }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

/**
 * Creates the devices of a fleet that the account does not have yet.
 * @returns how many were created
 */
export async function register(access: Access, fleet: Fleet): Promise<number> {
  const ids = await deviceIds(access);
  const missing = fleet.trackers.filter(({ imei }) => !ids.has(imei));
  const { model } = fleet.options;
  await inParallel(missing, async ({ imei }) => {
    await call(access, "/v1/devices", { imei, name: `Simulated ${imei.slice(8, 14)}`, model });
  });
  return missing.length;
}

/**
 * Reads everything back and compares it with what the fleet sent: every report found once and unaltered, none invented.
 * @param waitMs how long missing reports may take to appear
 */
export async function verify(access: Access, fleet: Fleet, waitMs = 30_000): Promise<Verification> {
  const deadline = Date.now() + waitMs;
  const ids = await deviceIds(access);
  const results: DeviceResult[] = [];
  await inParallel([...fleet.trackers.entries()], async ([device, { imei }]) => {
    const id = ids.get(imei);
    if (id === undefined) {
      results.push(
        emptyResult({ kind: "not registered", imei, fixTime: "", detail: "the account has no such device" }),
      );
      return;
    }
    let result = await compareDevice(access, fleet.ledger, device, imei, id);
    while (result.missing > 0 && Date.now() < deadline) {
      await sleep(LIMITS.againMs);
      result = await compareDevice(access, fleet.ledger, device, imei, id);
    }
    results.push(result);
  });
  const sum = (of: (result: DeviceResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const delays = results.flatMap(({ delays }) => delays).sort((a, b) => a - b);
  const percentile = (share: number) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))];
  return {
    devices: results.length,
    expected: sum(({ expected }) => expected),
    found: sum(({ found }) => found),
    doubtful: { stored: sum(({ doubtfulStored }) => doubtfulStored), lost: sum(({ doubtfulLost }) => doubtfulLost) },
    differences: results.flatMap(({ differences }) => differences),
    delayMs: delays.length === 0 ? null : { p50: percentile(0.5), p99: percentile(0.99) },
  };
}

interface DeviceResult {
  expected: number;
  found: number;
  missing: number;
  doubtfulStored: number;
  doubtfulLost: number;
  readonly differences: Difference[];
  readonly delays: number[];
}

function emptyResult(...differences: Difference[]): DeviceResult {
  return { expected: 0, found: 0, missing: 0, doubtfulStored: 0, doubtfulLost: 0, differences, delays: [] };
}

async function compareDevice(
  access: Access,
  ledger: Ledger,
  device: number,
  imei: string,
  id: number,
): Promise<DeviceResult> {
  const result = emptyResult();
  const rows = ledger.rowsOf(device);
  if (rows.length === 0) return result;
  const differ = (kind: Difference["kind"], fixTime: string, detail: string) =>
    result.differences.push({ kind, imei, fixTime, detail });

  // The running time is never the same in two reports of a tracker.
  const rowByKey = new Map(rows.map((row) => [keyOf(ledger.fixTimeOf(row), ledger.get(row, "runtimeS")), row]));
  const found = new Set<number>();
  const iso = (row: number) => new Date(ledger.fixTimeOf(row)).toISOString();
  const times = rows.map((row) => ledger.fixTimeOf(row));
  const from = new Date(times.reduce((a, b) => Math.min(a, b))).toISOString();
  const to = new Date(times.reduce((a, b) => Math.max(a, b)) + 1000).toISOString();
  for await (const stored of pages<Stored>(access, `/v1/devices/${id}/positions?from=${from}&to=${to}`)) {
    const row = rowByKey.get(keyOf(Date.parse(stored.fixTime), Number(stored.runtimeS)));
    const state = row === undefined ? STATE.queued : ledger.stateOf(row);
    if (row === undefined || state === STATE.queued || state === STATE.damaged) {
      differ("invented", stored.fixTime, `no right frame carried it (running time ${stored.runtimeS} s)`);
    } else if (found.has(row)) {
      differ("twice", stored.fixTime, `running time ${stored.runtimeS} s`);
    } else {
      found.add(row);
      const altered = alterations(ledger, row, stored);
      if (altered.length > 0) differ("altered", stored.fixTime, altered.join("; "));
      result.delays.push(Date.parse(stored.receivedAt) - ledger.sentAt(row));
    }
  }
  for (const row of rows) {
    const state = ledger.stateOf(row);
    if (state === STATE.doubtful) {
      if (found.has(row)) result.doubtfulStored++;
      else result.doubtfulLost++;
    } else if (state !== STATE.queued && state !== STATE.damaged) {
      result.expected++;
      if (found.has(row)) result.found++;
      else differ("missing", iso(row), state === STATE.acked ? "it was acknowledged" : `sent as ${ledger.kindOf(row)}`);
    }
  }
  result.missing = result.expected - result.found;
  return result;
}

function keyOf(fixTime: number, runtimeS: number): string {
  return `${fixTime} ${runtimeS}`;
}

/** Fields of a report that are stored with another value than they were sent with. */
function alterations(ledger: Ledger, row: number, stored: Stored): string[] {
  const { event, fixTime: _, ...fields } = ledger.report(row);
  const altered: string[] = [];
  const code = (stored.event as { code?: unknown } | undefined)?.code;
  if (code !== event.code) altered.push(`event ${event.code} became ${code}`);
  for (const [name, value] of Object.entries(fields)) {
    const sent = JSON.stringify(value);
    const kept = JSON.stringify(stored[name]);
    if (sent !== kept) altered.push(`${name} ${sent} became ${kept}`);
  }
  return altered;
}
