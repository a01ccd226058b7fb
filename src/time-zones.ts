// Calendar arithmetic in the zones of the IANA database, with nothing but Intl. A wall time is what the clocks of a zone
// show, as the Unix ms at which clocks in UTC show the same. Clocks that are put forward or back make the way between
// instants and wall times run backwards in places; each map below is its never-falling upper bound, and has an exact
// inverse, so that a period has one end and a moment has one cutoff and the two never disagree.

const QUARTER_MS = 900_000;
const DAY_MS = 86_400_000;
/** Offsets are at most 14 hours, and a zone that changes sides skips or repeats a day. */
const NEAR_MS = 2 * DAY_MS;
const REMEMBERED = 512;

/** How far a zone is ahead of UTC at an instant, in ms. */
type Offset = (time: number) => number;

const OFFSETS = new Map<string, Offset>([["UTC", () => 0]]);

/** Whether this is the name of a zone: not an offset, as the hours of a person change with the seasons. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function offsetOf(timeZone: string): Offset {
  let offset = OFFSETS.get(timeZone);
  if (offset === undefined) {
    // A zone that another runtime knew and this one does not.
    offset = isTimeZone(timeZone) ? measured(timeZone) : () => 0;
    OFFSETS.set(timeZone, offset);
  }
  return offset;
}

function measured(timeZone: string): Offset {
  const two = "2-digit";
  const format = new Intl.DateTimeFormat("en-US", {
    ...{ timeZone, hourCycle: "h23", year: "numeric", month: two, day: two, hour: two, minute: two, second: two },
  } as Intl.DateTimeFormatOptions);
  // Since 1973 clocks have been changed at quarters of an hour only.
  const known = new Map<number, number>();
  return (time) => {
    const quarter = Math.floor(time / QUARTER_MS);
    let offset = known.get(quarter);
    if (offset === undefined) {
      const start = quarter * QUARTER_MS;
      const [month, day, year, hour, minute, second] = format.format(start).match(/\d+/g)!.map(Number) as number[];
      offset = Date.UTC(year!, month! - 1, day, hour, minute, second) - start;
      if (known.size >= REMEMBERED) known.clear();
      known.set(quarter, offset);
    }
    return offset;
  };
}

/** The change of the clocks within two days of a time: the offsets before and after, and its instant. */
interface Change {
  before: number;
  after: number;
  at: number;
}

function changeNear(timeZone: string, time: number): Change {
  const offset = offsetOf(timeZone);
  let from = Math.floor((time - NEAR_MS) / QUARTER_MS);
  let to = Math.floor((time + NEAR_MS) / QUARTER_MS);
  const before = offset(from * QUARTER_MS);
  const after = offset(to * QUARTER_MS);
  if (before === after) return { before, after, at: Number.POSITIVE_INFINITY };
  while (to - from > 1) {
    const middle = (from + to) >> 1;
    if (offset(middle * QUARTER_MS) === before) from = middle;
    else to = middle;
  }
  return { before, after, at: to * QUARTER_MS };
}

/** The latest wall time that clocks have shown up to an instant: an hour that comes twice ends with its first pass. */
export function wallAt(timeZone: string, time: number): number {
  const { before, after, at } = changeNear(timeZone, time);
  return time < at ? time + before : Math.max(time + after, at - 1 + before);
}

/**
 * The earliest wall time that clocks show from an instant on: through the first pass of an hour that comes twice it
 * stands at the beginning of the hour.
 */
export function leastWallFrom(timeZone: string, time: number): number {
  const { before, after, at } = changeNear(timeZone, time);
  return time < at ? Math.min(time + before, at + after) : time + after;
}

/** The first instant at which clocks show a wall time or a later one: the inverse of `wallAt`. */
export function firstAt(timeZone: string, wall: number): number {
  const { before, after, at } = changeNear(timeZone, wall);
  return wall - before < at ? wall - before : Math.max(wall - after, at);
}

/**
 * The last instant of a wall time. One that clocks jump over lies as much after the jump as it would without it; of one
 * that comes twice it is the second.
 */
export function lastAt(timeZone: string, wall: number): number {
  const { before, after, at } = changeNear(timeZone, wall);
  if (at === Number.POSITIVE_INFINITY || wall < at + after) return wall - before;
  return Math.max(wall - after, at + after - before - 1);
}

/** The first wall time whose last instant is a time or later: the inverse of `lastAt`. */
export function firstWall(timeZone: string, time: number): number {
  const { before, after, at } = changeNear(timeZone, time);
  if (at === Number.POSITIVE_INFINITY || time + before < at + after) return time + before;
  return Math.max(time, at) + after;
}

const daysIn = (year: number, month: number) => new Date(Date.UTC(year, month + 1, 0)).getUTCDate();

/**
 * Calendar months later. A month that has no such day ends what began then with its own last day, the whole of it:
 * at the same hour the 30th would be over before the 28th is.
 */
export function monthsAfter(wall: number, months: number): number {
  const date = new Date(wall);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth() + months, date.getUTCDate()];
  const last = daysIn(year, month);
  if (day > last) return Date.UTC(year, month, last + 1) - 1;
  return Date.UTC(year, month, day) + (wall - Math.floor(wall / DAY_MS) * DAY_MS);
}

/** The first wall time that is so many months before another one or less: the inverse of `monthsAfter`. */
export function monthsBefore(wall: number, months: number): number {
  const date = new Date(wall);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth() - months, date.getUTCDate()];
  if (day > daysIn(year, month)) return Date.UTC(year, month + 1, 1);
  return Date.UTC(year, month, day) + (wall - Math.floor(wall / DAY_MS) * DAY_MS);
}
