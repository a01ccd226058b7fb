import type { SealedAnswer } from "../client/track.ts";
import { StoredPositions } from "../codec/segment.ts";
import { isAlarm, ROUTINE_EVENTS } from "./alarms.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { cutoffAt, keepingOf } from "./periods.ts";
import { dueOf, type Opener, openSegments } from "./segments.ts";
import { freshRows, Known, knownSince, sortByFix } from "./settle-plan.ts";
import type { StoredFix } from "./store/newest.ts";
import { devicePeriodStatement, periodRow } from "./store/periods.ts";
import type { Reach } from "./store/reach.ts";
import {
  clocklessOfStatement,
  clocklessRows,
  type SegmentRow,
  stretchRows,
  stretchStatement,
} from "./store/segments.ts";
import { steady, tailOf, tailRead } from "./tail.ts";
import { readBoth, type Telemetry, telemetryFor } from "./telemetry.ts";

/** Which positions of a device: `from` <= fix time < `to`, beyond `after` in the given order. */
export interface TrackQuery {
  from: number;
  to: number;
  descending: boolean;
  /** Fix time and id of the last position of the page before. */
  after: { fixTime: number; id: number } | null;
  limit: number;
  /** Only these events; "alarms": every event that is not a routine report; absent: all. */
  events?: readonly number[] | "alarms";
}

/** Positions that were read, and which of them in which order. */
export interface Found {
  stored: StoredPositions;
  rows: number[];
  /** What lies among them and only the customer can open. Then `rows` are all that were read, however many. */
  closed?: Closed;
}

/** Sealed rows that the platform cannot open: it gives them out as they are. */
export interface Closed {
  segments: SegmentRow[];
  fixes: StoredFix[];
  /** Of each device: what lies before is past its period. */
  cutoffs: ReadonlyMap<number, number>;
  /** What was asked for, to which the content of a row is to be cut. */
  wanted: SealedAnswer["wanted"];
  /** The cursor of the next page in its parts; null: there is none. */
  next: number[] | null;
}

/** What is wanted of sealed rows where nothing else is said. */
export const everything = (order: SealedAnswer["wanted"]["order"]): SealedAnswer["wanted"] => ({
  order,
  from: null,
  to: null,
  after: null,
  upTo: null,
  events: null,
  routine: ROUTINE_EVENTS,
});

/** Ids before and after every id. */
const [NO_ID, EVERY_ID] = [0, 999_999_999_999_999];

/** A stretch of fix times of which everything was read. */
interface Read {
  segments: SegmentRow[];
  /** Beyond it there is more; null: there is nothing. */
  edge: number | null;
}

/**
 * Reads a stretch of a device's track: segments and what waits to be settled.
 * @returns null when the account has no such device within reach
 */
export function trackOf(ctx: Base, reach: Reach, deviceId: number, query: TrackQuery): Promise<Found | null> {
  return steady(() => readTrack(ctx, reach, deviceId, query));
}

async function readTrack(ctx: Base, reach: Reach, deviceId: number, query: TrackQuery): Promise<Found | null> {
  const { accountId, devices } = reach;
  if (devices !== null && !devices.includes(deviceId)) return null;
  const telemetry = await telemetryFor(ctx, accountId);
  const { descending, after, limit } = query;
  let from = !descending && after !== null ? Math.max(query.from, after.fixTime) : query.from;
  let to = descending && after !== null ? Math.min(query.to, after.fixTime + 1) : query.to;
  let segments = Math.min(2 + Math.ceil(limit / LIMITS.segmentPositionsMin), LIMITS.segmentsARead);
  const alarms = query.events === "alarms" || (query.events?.every(isAlarm) ?? false);
  const asked = ctx.now() - LIMITS.clocklessMs - LIMITS.tailMs;
  const stretch = () => stretchStatement({ deviceId, from, to, descending, alarms, limit: segments });
  const waiting = await tailRead(ctx, telemetry, accountId, deviceId);
  const [[period], [clockless, inbox, runs, first]] = await readBoth(
    ctx,
    telemetry,
    [devicePeriodStatement(accountId, deviceId, reach.frozen)],
    [clocklessOfStatement(deviceId, asked), ...waiting.statements, stretch()],
  );
  const [row] = period!.rows;
  if (row === undefined) return null;
  const cutoff = reach.frozen
    ? -LIMITS.timeMs
    : cutoffAt(ctx.now(), keepingOf(periodRow(row), ctx.config.retentionMonths));
  const stored = await waiting.open([inbox!, runs!], new Set([deviceId]));
  let tail = tailOf(stored, deviceId, cutoff);
  if (tail.length > 0) {
    // Before it is cut to the stretch: of a record that came twice the second must not be shown where the first is not.
    const since = knownSince(stored, tail);
    const { rows: like } =
      since >= asked ? clockless! : await telemetry.db.$client.execute(clocklessOfStatement(deviceId, since));
    const rows = await opened(ctx, telemetry, accountId, clocklessRows(like), stored);
    tail = freshRows(stored, tail, knownFrom(stored, rows), true);
  }

  const wanted = (at: number) => {
    const fix = stored.fixTimeAt(at);
    if (fix < query.from || fix >= query.to || dueOf(stored, at) < cutoff) return false;
    if (
      after !== null &&
      fix === after.fixTime &&
      (descending ? stored.ids[at] >= after.id : stored.ids[at] <= after.id)
    )
      return false;
    if (query.events === undefined) return true;
    const event = stored.table.eventAt(at);
    return query.events === "alarms" ? isAlarm(event) : query.events.includes(event);
  };
  const found: number[] = [];
  const closed = new Map<number, SegmentRow>();
  let positions = 0;
  const begin = { from, to };
  let results = first!;
  for (;;) {
    const { segments: read, edge } = readOf(results.rows, descending, segments);
    const kept = read.filter((segment) => (segment.dueTo ?? segment.toTime) >= cutoff);
    const before = { count: stored.count, tailUsed: stored.table.tailUsed, found: found.length };
    const rows = await opened(ctx, telemetry, accountId, kept, stored, "keeper");
    for (const segment of kept) {
      if (segment.customerKid === null || closed.has(segment.id)) continue;
      closed.set(segment.id, segment);
      positions += segment.positions;
    }
    const within = (at: number) => {
      const fix = stored.fixTimeAt(at);
      return fix >= from && fix < to && (edge === null || (descending ? fix > edge : fix < edge)) && wanted(at);
    };
    const page = rows.filter(within);
    const waits = tail.filter(within);
    if (waits.length > 0) page.push(...freshRows(stored, waits, knownFrom(stored, rows)));
    sortByFix(stored, page);
    found.push(...(descending ? page.reverse() : page));
    if (edge === null || found.length + positions >= limit) {
      if (closed.size === 0) break;
      const low = descending && edge !== null ? edge + 1 : begin.from;
      const high = descending ? begin.to : (edge ?? begin.to);
      const bounds = { from: low === -LIMITS.timeMs ? null : low, to: high === LIMITS.timeMs ? null : high };
      const order = descending ? "newest fix first" : "fix";
      const sealed: Closed = {
        segments: [...closed.values()],
        fixes: [],
        cutoffs: new Map([[deviceId, cutoff]]),
        wanted: { ...everything(order), ...bounds, events: query.events ?? null },
        next: edge === null ? null : [edge, descending ? EVERY_ID : NO_ID],
      };
      return { stored, rows: found, closed: sealed };
    }
    dropUnwanted(stored, found, before);
    // Where more segments than that lie over one another, the next step opens more.
    segments = edge === (descending ? to - 1 : from) ? segments * 2 : LIMITS.segmentsARead;
    if (descending) to = edge + 1;
    else from = edge;
    results = await telemetry.db.$client.execute(stretch());
  }
  return { stored, rows: found.slice(0, limit) };
}

/**
 * Forgets the rows of a step that are not wanted: one that looks for rare events goes through a whole track, and must not
 * hold it in memory.
 * @param found rows that are wanted, which may have other places afterwards
 * @param before as it was before the step
 */
function dropUnwanted(
  stored: StoredPositions,
  found: number[],
  before: { count: number; tailUsed: number; found: number },
): void {
  const wanted = new StoredPositions(found.length - before.found);
  const places: number[] = [];
  for (let at = before.found; at < found.length; at++) {
    if (found[at] < before.count) continue;
    places.push(at);
    wanted.addFrom(stored, found[at]);
  }
  stored.table.truncate(before.count, before.tailUsed);
  for (const [row, at] of places.entries()) {
    found[at] = stored.count;
    stored.addFrom(wanted, row);
  }
}

/** What the statement of a stretch found. */
function readOf(rows: readonly ArrayLike<unknown>[], descending: boolean, limit: number): Read {
  const { segments, lookedUpTo } = stretchRows(rows, descending);
  const next = segments[limit];
  if (next !== undefined) {
    return { segments: segments.slice(0, limit), edge: descending ? next.toTime : next.fromTime };
  }
  return { segments, edge: lookedUpTo !== null && descending ? lookedUpTo - 1 : lookedUpTo };
}

/** Opens segments of one device. @returns their rows in `stored` */
async function opened(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  segments: readonly SegmentRow[],
  stored: StoredPositions,
  opener: Opener = "reader",
): Promise<number[]> {
  const rows: number[] = [];
  for (const place of await openSegments(ctx, telemetry, accountId, segments, stored, opener)) {
    if (place !== null) for (let row = place.from; row < place.to; row++) rows.push(row);
  }
  return rows;
}

function knownFrom(stored: StoredPositions, rows: readonly number[]): Known {
  const known = new Known(stored);
  for (const row of rows) known.add(row);
  return known;
}
