import type { Db, Statement } from "./db.ts";
import { firstIdOf, headColumns, idsOf, SEGMENTS_A_DAY } from "./segments.ts";

/** Retention times, Unix ms: from <= time < to. */
export interface Span {
  from: number;
  to: number;
}

const DAY_MS = 86_400_000;

/** By device: ids of the segments that can hold something of its span (a fix may be a day ahead of what it is kept by), and the span. */
const ranges = (spans: ReadonlyMap<number, Span>) =>
  JSON.stringify(
    [...spans].map(([id, { from, to }]) => [idsOf(id)[0], firstIdOf(id, to + DAY_MS) + SEGMENTS_A_DAY, from, to]),
  );

const DUE_FROM = "coalesce(s.due_from, s.from_time)";
const DUE_TO = "coalesce(s.due_to, s.to_time)";
const OF_SPANS = "FROM json_each(?) j CROSS JOIN segments s ON s.id >= (j.value ->> 0) AND s.id < (j.value ->> 1)";
const WHOLE = `${DUE_FROM} >= (j.value ->> 2) AND ${DUE_TO} < (j.value ->> 3)`;

/** By device that has some: positions of segments that lie within its span, and the retention time of the first. */
export function wholeStatement(spans: ReadonlyMap<number, Span>): Statement {
  return {
    sql: `SELECT s.device_id, sum(s.positions), min(${DUE_FROM}) ${OF_SPANS} WHERE ${WHOLE} GROUP BY s.device_id`,
    args: [ranges(spans)],
  };
}

/** Segments that lie partly within the span of their device. */
export function partialStatement(spans: ReadonlyMap<number, Span>): Statement {
  return {
    sql: `SELECT ${headColumns}, s.sealed ${OF_SPANS}
      WHERE ${DUE_FROM} < (j.value ->> 3) AND ${DUE_TO} >= (j.value ->> 2) AND NOT (${WHOLE})`,
    args: [ranges(spans)],
  };
}

/** Of how many of a device's first segments the oldest position is looked for. */
const FIRST = 16;

/**
 * The retention time of the oldest position in the segments of each of an account's devices that has some. Segments are
 * in the order of their fixes, so that only the first have to be looked at.
 */
export function oldestStatement(accountId: number): Statement {
  return {
    sql: `SELECT d.id, ${firstDue("d.id")} FROM devices d WHERE d.account_id = ? AND d.deleting_at IS NULL`,
    args: [accountId],
  };
}

/** The same of devices by their ids, where they are in another database than their segments. */
export function oldestOfDevicesStatement(deviceIds: readonly number[]): Statement {
  return { sql: `SELECT d.value, ${firstDue("d.value")} FROM json_each(?) d`, args: [JSON.stringify(deviceIds)] };
}

/** The devices of an account that are not being removed. */
export async function deviceIdsOf(db: Db, accountId: number): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT id FROM devices WHERE account_id = ? AND deleting_at IS NULL",
    args: [accountId],
  });
  return rows.map((row) => Number(row[0]));
}

function firstDue(device: string): string {
  const [from, to] = idsOf(1);
  return `(SELECT min(due) FROM (SELECT ${DUE_FROM} AS due FROM segments s
    WHERE s.id >= ${device} * ${to - from} AND s.id < (${device} + 1) * ${to - from} ORDER BY s.id LIMIT ${FIRST}))`;
}
