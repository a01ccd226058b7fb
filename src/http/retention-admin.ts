import * as v from "valibot";
import { type Due, dueNow, type Explanation, explain } from "../retention-explain.ts";
import {
  Id,
  IdCursor,
  iso,
  isoOrNull,
  Limit,
  ListQuery,
  listOf,
  MaybeTime,
  PathId,
  queryTime,
  Time,
} from "./fields.ts";
import { type Route, route } from "./route.ts";

const count = v.pipe(v.number(), v.integer());

const DueJson = v.object({
  accountId: Id,
  positions: count,
  oldest: v.pipe(Time, v.description("The fix, or the receipt where that cannot be right")),
  since: v.pipe(Time, v.description("Since when that is past its period")),
});
const dueJson = ({ oldest, since, ...due }: Due) => ({ ...due, oldest: iso(oldest), since: iso(since) });

const ExplanationJson = v.object({
  deviceId: v.nullable(Id),
  timeZone: v.string(),
  scope: v.pipe(v.string(), v.description("Whose period it is: device:<id>, group:<id> or account")),
  period: v.object({ months: v.optional(count), days: v.optional(count) }),
  floor: v.pipe(MaybeTime, v.description("What is older was over when the period was made longer")),
  cutoff: v.pipe(Time, v.description("What is older is past its period")),
  oldest: MaybeTime,
  endsAt: v.pipe(MaybeTime, v.description("When the oldest is past its period; it is deleted within the hour")),
  at: v.nullable(v.object({ endsAt: Time, isPast: v.boolean(), secretUntil: Time })),
});
const explanationJson = ({ floor, cutoff, oldest, endsAt, at, ...rest }: Explanation) => ({
  ...rest,
  floor: isoOrNull(floor),
  cutoff: iso(cutoff),
  oldest: isoOrNull(oldest),
  endsAt: isoOrNull(endsAt),
  at: at && { endsAt: iso(at.endsAt), isPast: at.isPast, secretUntil: iso(at.secretUntil) },
});

const access = "privacy";
const tag = "Administration";

export const RETENTION_ADMIN: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/retention/due",
    access,
    tag,
    summary: "See what the next run of retention would delete",
    description: "Accounts of which something is past its period and still stored. Nothing is deleted.",
    query: ListQuery,
    answers: { 200: { description: "One page of accounts", schema: listOf(DueJson) } },
    handle: async ({ c, ctx, query }) => {
      const { due, next } = await dueNow(ctx, query.cursor ?? 0, query.limit);
      return c.json({ data: due.map(dueJson), nextCursor: next === null ? null : String(next) });
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts/{id}/retention",
    access,
    tag,
    summary: "See how long positions of an account are kept, and why",
    params: v.object({ id: PathId }),
    query: v.strictObject({
      limit: Limit,
      cursor: IdCursor,
      device: v.optional(v.pipe(PathId, v.description("Of this device alone"))),
      at: v.optional(queryTime("Also what becomes of a position of this time")),
    }),
    answers: {
      200: { description: "The account, then its devices by id", schema: listOf(ExplanationJson) },
    },
    handle: async ({ c, ctx, params, query }) => {
      const { device = null, at = null, cursor = 0, limit } = query;
      const rows = (await explain(ctx, params.id, device, at)).filter(({ deviceId }) =>
        cursor === 0 ? true : (deviceId ?? 0) > cursor,
      );
      const shown = rows.slice(0, limit);
      const last = shown.at(-1)?.deviceId ?? null;
      return c.json({
        data: shown.map(explanationJson),
        nextCursor: rows.length > limit && last !== null ? String(last) : null,
      });
    },
  }),
];
