/** Smallest and largest value of each field: minute, hour, day of month, month, day of week (0 and 7 are Sunday). */
const FIELDS = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

function matchesField(field: string, value: number, [min, max]: readonly [number, number]): boolean {
  return field.split(",").some((part) => {
    const match = /^(?:\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part);
    if (match === null) throw new Error(`Cannot read cron field ${JSON.stringify(field)}`);
    const from = match[1] === undefined ? min : Number(match[1]);
    const to =
      match[2] !== undefined ? Number(match[2]) : match[1] === undefined || match[3] !== undefined ? max : from;
    return value >= from && value <= to && (value - from) % Number(match[3] ?? 1) === 0;
  });
}

/** True when the five-field expression names the minute of `time` (Unix ms), in UTC as Cloudflare reads it. */
export function cronMatches(expression: string, time: number): boolean {
  const date = new Date(time);
  const [minute, hour, day, month, weekday] = expression.trim().split(/\s+/);
  const [minutes, hours, days, months, weekdays] = FIELDS;
  const dayMatches = matchesField(day, date.getUTCDate(), days);
  const weekdayMatches = [date.getUTCDay(), date.getUTCDay() || 7].some((n) => matchesField(weekday, n, weekdays));
  return (
    matchesField(minute, date.getUTCMinutes(), minutes) &&
    matchesField(hour, date.getUTCHours(), hours) &&
    matchesField(month, date.getUTCMonth() + 1, months) &&
    // When both are restricted, either suffices.
    (day !== "*" && weekday !== "*" ? dayMatches || weekdayMatches : dayMatches && weekdayMatches)
  );
}

/** Calls `fire` for each expression at the beginning of the minutes it names. @returns what stops it */
export function startCrons(expressions: Iterable<string>, fire: (cron: string, time: number) => void): () => void {
  const all = [...new Set(expressions)];
  let timer: NodeJS.Timeout;
  const arm = () => {
    const next = (Math.floor(Date.now() / 60_000) + 1) * 60_000;
    timer = setTimeout(() => {
      for (const cron of all) if (cronMatches(cron, next)) fire(cron, next);
      arm();
    }, next - Date.now());
  };
  arm();
  return () => clearTimeout(timer);
}
