import * as v from "valibot";
import { LIMITS } from "../limits.ts";

// Pieces that the schemas of several nouns share. A query and a path arrive as text: `v.metadata` says what the text
// stands for, so that the OpenAPI document shows an integer or a time.

/** An id in a path. What is no id names nothing: app.ts answers 404. */
export const PathId = v.pipe(
  v.string(),
  v.regex(/^[1-9]\d{0,15}$/),
  v.metadata({ type: "integer", minimum: 1, pattern: undefined }),
  v.transform(Number),
  v.safeInteger(),
);

export const Name = v.pipe(
  v.string(),
  v.trim(),
  v.minLength(1),
  v.maxLength(LIMITS.nameCharacters),
  v.check((text) => !/\p{Cc}/u.test(text), "must not hold control characters"),
);

/** A time in an answer. */
export const Time = v.pipe(v.string(), v.isoTimestamp(), v.examples(["2026-03-01T12:00:00.000Z"]));
export const MaybeTime = v.nullable(Time);

export const Id = v.pipe(v.number(), v.integer(), v.minValue(1));

/** A time as clients show it: ISO 8601, UTC, milliseconds. */
export const iso = (ms: number) => new Date(ms).toISOString();
export const isoOrNull = (ms: number | null) => (ms === null ? null : iso(ms));

const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/;

/** Date.parse() takes 30 February for 2 March; this does not. */
export function isTime(text: string): boolean {
  if (!TIME.test(text) || Number.isNaN(Date.parse(text))) return false;
  const day = text.slice(0, 10);
  return iso(Date.parse(day)).startsWith(day);
}

/** A time in a query: ISO 8601 with its offset, or a date alone for its first moment in UTC. Gives Unix ms. */
export function queryTime(description: string) {
  return v.pipe(
    v.string(),
    v.check(isTime, "must be a time like 2026-03-01T12:00:00Z"),
    v.metadata({ format: "date-time", description }),
    v.transform((text) => Date.parse(text)),
  );
}

/** The size of a page in a query. */
export function pageSize(description: string) {
  const inRange = (text: string) => /^\d{1,6}$/.test(text) && Number(text) >= 1 && Number(text) <= LIMITS.pageMax;
  return v.pipe(
    v.string(),
    v.check(inRange, `must be a whole number from 1 to ${LIMITS.pageMax}`),
    v.metadata({ type: "integer", minimum: 1, maximum: LIMITS.pageMax, description }),
    v.transform(Number),
  );
}

export const Limit = v.optional(pageSize("How many objects a page holds at most"), String(LIMITS.pageDefault));

/** The cursor of lists that are ordered by id. Gives the id after which the page begins. */
export const IdCursor = v.optional(
  v.pipe(
    v.string(),
    v.check((text) => /^[1-9]\d{0,14}$/.test(text), "must be the nextCursor of the page before"),
    v.description("nextCursor of the page before"),
    v.transform(Number),
  ),
);

export const ListQuery = v.strictObject({ limit: Limit, cursor: IdCursor });

/** One page and where the next begins: ask a list for `limit + 1` and give what it found here. */
export function page<Row extends { id: number }, Json>(
  rows: readonly Row[],
  limit: number,
  json: (row: Row) => Json,
): { data: Json[]; nextCursor: string | null } {
  const data = rows.slice(0, limit);
  const last = data.at(-1);
  return { data: data.map(json), nextCursor: rows.length > limit && last !== undefined ? String(last.id) : null };
}

/** The shape of a list's answer. */
export const listOf = <S extends v.GenericSchema>(item: S) =>
  v.object({ data: v.array(item), nextCursor: v.nullable(v.string()) });
