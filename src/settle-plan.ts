import { SLOT, STRIDE } from "../codec/columns.ts";
import { ByteSink, encodeStored, type StoredPositions, sameRecord } from "../codec/segment.ts";
import { LIMITS } from "./limits.ts";
import { dueOf } from "./segments.ts";
import { firstIdOf, SEGMENTS_A_DAY, type SegmentHead, type SegmentRow } from "./store/segments.ts";

const DAY_MS = 86_400_000;
export const dayOf = (time: number): number => Math.floor(time / DAY_MS);

/** New positions of one device whose fixes are of one UTC day, and whose retention times are of one. */
export interface Group {
  deviceId: number;
  /** UTC day since 1970 of the retention times: whose secret seals them. */
  day: number;
  /** Rows in the order of their fixes. */
  rows: number[];
  from: number;
  to: number;
}

/** Rows by device, in the order in which they are. */
export function byDevice(stored: StoredPositions): Map<number, number[]> {
  const devices = new Map<number, number[]>();
  for (let row = 0; row < stored.count; row++) {
    const rows = devices.get(stored.deviceIds[row]);
    if (rows === undefined) devices.set(stored.deviceIds[row], [row]);
    else rows.push(row);
  }
  return devices;
}

/** Sorts rows by fix, and by id where the fixes are the same. */
export function sortByFix(stored: StoredPositions, rows: number[]): number[] {
  const before = (a: number, b: number) => stored.fixTimeAt(a) - stored.fixTimeAt(b) || stored.ids[a] - stored.ids[b];
  for (let i = 1; i < rows.length; i++) if (before(rows[i - 1], rows[i]) > 0) return rows.sort(before);
  return rows;
}

/** A device's rows in groups. @param cutoff rows whose retention time lies before are left out */
export function groupsOf(stored: StoredPositions, deviceId: number, rows: number[], cutoff: number): Group[] {
  const groups = new Map<string, Group>();
  let last: Group | undefined;
  let [fixDay, dueDay] = [Number.NaN, Number.NaN];
  for (const row of sortByFix(stored, rows)) {
    const due = dueOf(stored, row);
    if (due < cutoff) continue;
    const fix = stored.fixTimeAt(row);
    // Most are of the days of the one before.
    if (dayOf(fix) !== fixDay || dayOf(due) !== dueDay) {
      [fixDay, dueDay] = [dayOf(fix), dayOf(due)];
      last = groups.get(`${fixDay} ${dueDay}`);
    }
    if (last === undefined) {
      last = { deviceId, day: dueDay, rows: [], from: fix, to: fix };
      groups.set(`${fixDay} ${dueDay}`, last);
    }
    last.rows.push(row);
    last.to = fix;
  }
  return [...groups.values()];
}

/** A device's rows that are in segments already, to know again what comes a second time. */
export class Known {
  readonly #stored: StoredPositions;
  readonly #byFix = new Map<number, number[]>();
  readonly #clockless: number[] = [];

  constructor(stored: StoredPositions) {
    this.#stored = stored;
  }

  add(row: number): void {
    if (this.#stored.clock[row] !== 0) {
      this.#clockless.push(row);
      return;
    }
    const fix = this.#stored.fixTimeAt(row);
    const rows = this.#byFix.get(fix);
    if (rows === undefined) this.#byFix.set(fix, [row]);
    else rows.push(row);
  }

  /**
   * Whether the record of a row is there. One that came when the tracker's clock was unusable is known at whatever time:
   * it was placed where it was received, and comes again at another.
   * @param moved the row itself may be there by now: it is not known by that
   */
  has(row: number, moved = false): boolean {
    if (this.#clockless.length === 0 && this.#byFix.size === 0) return false;
    const stored = this.#stored;
    const same = (other: number) =>
      sameRecord(stored, other, stored, row) && !(moved && stored.ids[other] === stored.ids[row]);
    if (this.#clockless.some(same)) return true;
    return stored.clock[row] === 0 && (this.#byFix.get(stored.fixTimeAt(row))?.some(same) ?? false);
  }
}

/**
 * The rows that are neither in segments nor twice among themselves; of two the one that arrived first.
 * @param rows all that came of a device, as what came twice may lie days apart: by fix, and by id where that is the same
 * @param moved what is known was read later than the rows: some of them may have been moved there meanwhile
 */
export function freshRows(stored: StoredPositions, rows: readonly number[], known: Known, moved = false): number[] {
  if (rows.every((row) => stored.clock[row] === 0)) {
    const fresh: number[] = [];
    for (const row of rows) if (!known.has(row, moved) && !cameBefore(stored, fresh, row)) fresh.push(row);
    return fresh;
  }
  const came = new Known(stored);
  const isFresh = (row: number) => {
    if (known.has(row, moved) || came.has(row)) return false;
    came.add(row);
    return true;
  };
  // Without a usable clock a fix lies where it was received, which need not be in the order of arrival.
  const arrived = [...rows].sort((a, b) => stored.ids[a] - stored.ids[b]);
  return sortByFix(stored, arrived.filter(isFresh));
}

/** Whether the record of a row is among rows by fix up to its own: at their end, if it is. */
function cameBefore(stored: StoredPositions, rows: readonly number[], row: number): boolean {
  const fix = stored.fixTimeAt(row);
  for (let at = rows.length - 1; at >= 0 && stored.fixTimeAt(rows[at]) === fix; at--) {
    if (sameRecord(stored, rows[at], stored, row)) return true;
  }
  return false;
}

/**
 * Since when records without a usable clock are known again that come with some rows: counted from when these came, as
 * they may have waited for long.
 */
export function knownSince(stored: StoredPositions, rows: Iterable<number>): number {
  let oldest = Number.POSITIVE_INFINITY;
  for (const row of rows) oldest = Math.min(oldest, stored.receivedAt[row]);
  return oldest - LIMITS.clocklessMs;
}

/** What leaves less room than this in a segment's bytes is not worth writing it anew for. */
export const FULL_BYTES: number = Math.floor(LIMITS.segmentBytes * 0.9);

/** A segment takes more positions while it is short. */
export function isOpen({ positions, fromTime, toTime, sealed }: SegmentRow): boolean {
  if (positions < LIMITS.segmentPositionsMin) return true;
  return positions < LIMITS.segmentPositions && toTime - fromTime < LIMITS.segmentMs && sealed.length < FULL_BYTES;
}

/** When a segment that grows is long enough. */
interface Length {
  /** No segment with fewer positions is cut because it is long. */
  least: number;
  ms: number;
}

const USUAL: Length = { least: LIMITS.segmentPositionsMin, ms: LIMITS.segmentMs };
/**
 * Of segments that nobody can open to take out what is past its period: one goes whole, when all of it is, so that it
 * must not be long however few positions are in it.
 */
export const CLOSED: Length = { least: 1, ms: LIMITS.closedSegmentMs };

const sink = new ByteSink();

/** A stretch of rows that becomes a segment. */
interface Stretch {
  /** Behind its last row. */
  end: number;
  /** As it is encoded, where that was tried to see how long it is. */
  plain: Uint8Array<ArrayBuffer> | null;
}

/** How many of `count` rows from `start` on fill a segment's bytes. */
function fitting(stored: StoredPositions, order: Uint32Array, start: number, count: number): Stretch {
  let fits = count;
  while (fits > LIMITS.segmentPositionsMin) {
    sink.reset();
    encodeStored(stored, order, start, start + fits, sink);
    if (sink.length <= LIMITS.segmentBytes) return { end: start + fits, plain: sink.bytes.slice(0, sink.length) };
    fits = Math.floor((fits * LIMITS.segmentBytes) / sink.length);
  }
  return { end: start + Math.min(count, LIMITS.segmentPositionsMin), plain: null };
}

/** Cuts rows in the order of their fixes into segments. */
export function cutSegments(stored: StoredPositions, order: Uint32Array, { least, ms }: Length = USUAL): Stretch[] {
  const stretches: Stretch[] = [];
  let start = 0;
  const cut = (count: number) => {
    const stretch = fitting(stored, order, start, count);
    stretches.push(stretch);
    start = stretch.end;
  };
  const tailAt = (at: number) => stored.table.i32[order[at] * STRIDE + SLOT.tailLength];
  let tails = order.length === 0 ? 0 : tailAt(0);
  for (let at = 1; at < order.length; at++) {
    const count = at - start;
    const long = stored.fixTimeAt(order[at]) - stored.fixTimeAt(order[start]) >= ms;
    tails += tailAt(at);
    if (count >= LIMITS.segmentPositions || (count >= least && long) || tails > LIMITS.segmentTailBytes) {
      cut(count);
      at = start;
      tails = tailAt(at);
    }
  }
  while (start < order.length) cut(order.length - start);
  return stretches;
}

/** Whether row `a` is a newer fix than row `b`: by the earlier of fix and receive time, as a clock set ahead must not hide what follows. */
export function isNewer(stored: StoredPositions, a: number, b: number): boolean {
  const { clock, receivedAt, ids } = stored;
  // One whose time is known goes before one whose time is not, if it came no earlier.
  if (clock[a] !== clock[b]) {
    if (clock[a] === 0 && receivedAt[a] >= receivedAt[b]) return true;
    if (clock[b] === 0 && receivedAt[b] >= receivedAt[a]) return false;
  }
  const difference = Math.min(stored.fixTimeAt(a), receivedAt[a]) - Math.min(stored.fixTimeAt(b), receivedAt[b]);
  return difference > 0 || (difference === 0 && ids[a] > ids[b]);
}

/** The newest valid fix among rows, and another one that may be there; null without any. */
export function newestOf(stored: StoredPositions, rows: readonly number[], other: number | null): number | null {
  let newest = other;
  for (const row of rows) {
    if (stored.table.validAt(row) && (newest === null || isNewer(stored, row, newest))) newest = row;
  }
  return newest;
}

/**
 * Pairs of a day's segments of which one could be made: neighbours in the order of arrival, as what reads by that looks at
 * no more than the widest segment spans. The shortest come first; of those that only the customer can open the newest,
 * which a settler may still have the key of.
 * @param heads of one device and day
 * @param customerKid of the key that seals a day (Group.day) now
 */
export function pairsOf(
  heads: readonly SegmentHead[],
  customerKid: (day: number) => number | null,
): { day: number; ids: [number, number] }[] {
  const days = Map.groupBy(heads, ({ dueFrom, dueTo, fromTime, toTime, customerKid: kid }) => {
    const day = dayOf(dueFrom ?? fromTime);
    return day === dayOf(dueTo ?? toTime) && kid === customerKid(day) ? day : null;
  });
  const pairs = [...days].flatMap(([day, ofDay]) => {
    if (day === null) return [];
    ofDay.sort((a, b) => a.lastId - b.lastId);
    return ofDay.slice(1).map((b, i) => ({ day, a: ofDay[i]!, b }));
  });
  const order = ({ a, b }: { a: SegmentHead; b: SegmentHead }) =>
    a.customerKid === null ? a.positions + b.positions : -b.lastId;
  pairs.sort((one, other) => order(one) - order(other));
  return pairs.map(({ day, a, b }) => ({ day, ids: [a.id, b.id] }));
}

/** The next id for a segment of a device and day, behind all that are taken; null when the last one is. */
export function nextId(deviceId: number, fixTime: number, taken: readonly Pick<SegmentHead, "id">[]): number | null {
  const first = firstIdOf(deviceId, fixTime);
  const ofDay = taken.filter(({ id }) => id >= first && id < first + SEGMENTS_A_DAY);
  const next = ofDay.reduce((next, { id }) => Math.max(next, id + 1), first);
  return next === first + SEGMENTS_A_DAY ? null : next;
}
