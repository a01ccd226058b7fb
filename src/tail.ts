import { StoredPositions, storedRows } from "../codec/segment.ts";
import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import { bucketOf, inboxKeys, MovedError, type OpenedRow, openChunks, partOf } from "./inbox.ts";
import { LIMITS } from "./limits.ts";
import { toHex } from "./seal.ts";
import { dueOf, openSegments } from "./segments.ts";
import { byDevice, dayOf, freshRows, Known, knownSince, sortByFix } from "./settle-plan.ts";
import type { Statement } from "./store/db.ts";
import { BUCKETS_A_PART, type ChunkRow, chunkRows, inboxStatement, knownRows, runsStatement } from "./store/inbox.ts";
import {
  type Coming,
  clocklessStatement,
  reachedRows,
  reachedStatement,
  type SegmentRow,
  segmentRows,
} from "./store/segments.ts";
import { tailCacheOf } from "./tail-cache.ts";
import type { Telemetry } from "./telemetry.ts";

// What waits in the inbox is read with the segments, so that a position can be seen as soon as it is stored.

interface Results {
  readonly rows: readonly ArrayLike<unknown>[];
}

/**
 * A read of the store, made again when something was settled under it and its key destroyed.
 * @throws {AppError} unavailable when that does not end
 */
export async function steady<T>(read: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof MovedError)) throw error;
      if (tries >= LIMITS.movedTries) throw new AppError("unavailable", "Try again", { retryAfterS: 1 });
    }
  }
}

const bucketsOf = (accountId: number, deviceId: number | null): [first: number, last: number] => {
  if (deviceId !== null) return [bucketOf(accountId, deviceId), bucketOf(accountId, deviceId)];
  const first = partOf(accountId) * BUCKETS_A_PART;
  return [first, first + BUCKETS_A_PART - 1];
};

/** The two statements for what waits of a device; null: of a whole account, together with others of its part. */
export function tailStatements(accountId: number, deviceId: number | null): Statement[] {
  const [first, last] = bucketsOf(accountId, deviceId);
  return [inboxStatement(first, last), runsStatement(first, last)];
}

/**
 * What the two statements found.
 * @param wanted of these devices, which are of the account; null: with whatever else is in the same chunks
 */
export async function openTail(
  ctx: Base,
  telemetry: Telemetry,
  [inbox, runs]: readonly Results[],
  wanted: { has(deviceId: number): boolean } | null = null,
  into: StoredPositions = new StoredPositions(256),
): Promise<StoredPositions> {
  await openChunks(ctx, telemetry, [...chunkRows(runs!.rows), ...chunkRows(inbox!.rows)], into, wanted);
  return into;
}

/** The two statements for what waits, without what this isolate knows of it, and what opens what they find. */
export interface TailRead {
  statements: Statement[];
  /** As openTail(). @throws {MovedError} also where rows are not those that were known */
  open(
    results: readonly Results[],
    wanted: { has(deviceId: number): boolean },
    into?: StoredPositions,
  ): Promise<StoredPositions>;
}

/** As tailStatements() and openTail(), for what is asked for often. */
export async function tailRead(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  deviceId: number | null,
): Promise<TailRead> {
  const [first, last] = bucketsOf(accountId, deviceId);
  const cache = tailCacheOf(ctx);
  const scope = { database: telemetry.name, first, last };
  const known = await stillOpen(ctx, telemetry, cache.rows(scope, ctx.now()));
  const [batches, runs]: [number[], number[]] = [[], []];
  for (const name of known.keys()) (name.startsWith(RUN) ? runs : batches).push(Number(name.slice(RUN.length)));
  return {
    statements: [inboxStatement(first, last, batches), runsStatement(first, last, runs)],
    open: async ([inboxFound, runsFound], wanted, into = new StoredPositions(256)) => {
      const opened = new Map<ChunkRow, OpenedRow>();
      const listed = [
        ...knownRows(runsFound!.rows).map(([number, nonce]) => ({ batch: null, of: String(number), nonce })),
        ...knownRows(inboxFound!.rows).map(([number, nonce]) => ({ batch: number, of: "", nonce })),
      ];
      for (const { batch, of, nonce } of listed) {
        const before = known.get(nameOf({ batch, of }));
        // In a database that was restored another row may have the same name.
        if (before === undefined || toHex(before.nonce) !== nonce.toLowerCase()) {
          cache.drop(scope);
          throw new MovedError();
        }
        opened.set({ ...before, batch, of, first, directory: "", chunks: NO_BYTES }, before);
      }
      // All at once, as an account's tail would be copied again and again while it grows.
      if (deviceId === null) into.reserve(rowsOf(opened.values()));
      const rows = [...opened.keys(), ...chunkRows(runsFound!.rows), ...chunkRows(inboxFound!.rows)];
      const all = await openChunks(ctx, telemetry, rows, into, wanted, opened);
      const whole = rows.flatMap((row, i) =>
        all[i].key !== null && all[i].chunks.every(({ plain }) => plain !== null)
          ? [[nameOf(row), all[i]] as const]
          : [],
      );
      cache.keep(scope, new Map(whole), ctx.now());
      return into;
    },
  };
}

function rowsOf(opened: Iterable<OpenedRow>): number {
  let rows = 0;
  for (const { chunks } of opened) for (const { plain } of chunks) if (plain !== null) rows += storedRows(plain);
  return rows;
}

const [BATCH, RUN] = ["batch ", "run   "] as const;
const nameOf = ({ batch, of }: Pick<ChunkRow, "batch" | "of">) => (batch === null ? RUN + of : BATCH + batch);
const NO_BYTES = new Uint8Array(0);

/** Of rows that are known those whose key is the one that opened them. */
async function stillOpen(
  ctx: Base,
  telemetry: Telemetry,
  rows: ReadonlyMap<string, OpenedRow>,
): Promise<Map<string, OpenedRow>> {
  const keys = await inboxKeys(ctx, telemetry, rows.values());
  return new Map([...rows].filter(([, { kid, key }]) => keys.get(kid) === key));
}

/**
 * Rows of a tail that belong to devices and are not past their period, oldest fix first.
 * @param cutoffs of each device what lies before is past its period
 */
export function tailsOf(tail: StoredPositions, cutoffs: ReadonlyMap<number, number>): Map<number, number[]> {
  const rows = byDevice(tail);
  return new Map(
    [...cutoffs].map(([deviceId, cutoff]) => {
      const kept = (rows.get(deviceId) ?? []).filter((row) => dueOf(tail, row) >= cutoff);
      return [deviceId, sortByFix(tail, kept)];
    }),
  );
}

/** The same of one device. */
export function tailOf(tail: StoredPositions, deviceId: number, cutoff: number): number[] {
  return tailsOf(tail, new Map([[deviceId, cutoff]])).get(deviceId) ?? [];
}

/**
 * Rows of a tail that are in no segment: what was sent again waits there until it is settled, and is not new.
 * @param rows of one device each, oldest fix first
 * @param since of segments without a usable clock: those that came since then are looked at
 */
export async function unsettled(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  tail: StoredPositions,
  rows: ReadonlyMap<number, readonly number[]>,
  since: number = knownSince(tail, [...rows.values()].flat()),
): Promise<Map<number, number[]>> {
  const coming = [...rows].flatMap(([deviceId, ofDevice]) => daysOf(tail, deviceId, ofDevice));
  if (coming.length === 0) return new Map();
  const [reached, clockless] = await telemetry.db.$client.batch(
    [reachedStatement(coming, { small: 0, most: 0, ms: 0, bytes: 0 }), clocklessStatement([...rows.keys()], since)],
    "read",
  );
  const found = new Map<number, SegmentRow>();
  for (const { sealed, ...head } of reachedRows(reached!.rows))
    if (sealed !== null) found.set(head.id, { ...head, sealed });
  for (const row of segmentRows(clockless!.rows)) found.set(row.id, row);
  const known = await knownOf(ctx, telemetry, accountId, [...found.values()], tail);
  return new Map([...rows].map(([deviceId, ofDevice]) => [deviceId, freshRows(tail, ofDevice, known(deviceId), true)]));
}

/** From when to when rows of a device are, oldest fix first, on each UTC day that has some. */
function daysOf(tail: StoredPositions, deviceId: number, rows: readonly number[]): Coming[] {
  const days: Coming[] = [];
  for (const row of rows) {
    const fix = tail.fixTimeAt(row);
    const last = days.at(-1);
    if (last !== undefined && dayOf(last.from) === dayOf(fix)) last.to = fix;
    else days.push({ deviceId, from: fix, to: fix });
  }
  return days;
}

/** Opens segments into the same rows as a tail, to compare with. */
async function knownOf(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  segments: readonly SegmentRow[],
  tail: StoredPositions,
): Promise<(deviceId: number) => Known> {
  const known = new Map<number, Known>();
  const places = await openSegments(ctx, telemetry, accountId, segments, tail);
  for (const [i, { deviceId }] of segments.entries()) {
    const place = places[i];
    if (place === null || place === undefined) continue;
    const ofDevice = known.get(deviceId) ?? new Known(tail);
    known.set(deviceId, ofDevice);
    for (let row = place.from; row < place.to; row++) ofDevice.add(row);
  }
  return (deviceId) => known.get(deviceId) ?? new Known(tail);
}
