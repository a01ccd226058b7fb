import * as v from "valibot";
import { LIMITS } from "../limits.ts";
import { syncSince } from "../tombstones.ts";
import { Id, iso, isoOrNull, Limit, MaybeTime, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const TombstoneJson = v.object({
  deviceId: Id,
  from: v.pipe(MaybeTime, v.description("First fix time; null: from the beginning")),
  to: v.pipe(MaybeTime, v.description("End of the fix times, not included; null: without an end")),
  before: v.pipe(
    MaybeTime,
    v.description("Only positions that were received, or have a fix time, before it; null: all of them"),
  ),
  at: v.pipe(Time, v.description("When it was erased here")),
});

const DAYS = LIMITS.tombstonesMs / 86_400_000;

export const SYNC: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/sync",
    access: "read",
    right: true,
    tag: "Positions",
    summary: "Read what was erased and must go from your copies",
    description:
      "For whoever keeps copies of positions. Without `since` the answer is a cursor to begin with: ask for it before the " +
      "first copy is made. With it, `data` names what to drop: positions of a device in a stretch of fix times, or with " +
      "`from`, `to` and `before` null the device itself. Who is limited to some devices drops the copies of those that " +
      "GET /v1/devices does not list any more.",
    query: v.strictObject({
      since: v.optional(v.pipe(v.string(), v.maxLength(40), v.description("`cursor` of the answer before"))),
      limit: Limit,
    }),
    problems: ["gone"],
    answers: {
      200: {
        description: "What to drop, and where to go on from",
        schema: v.object({
          data: v.array(TombstoneJson),
          cursor: v.pipe(
            v.string(),
            v.description(`For the next call; taken for ${DAYS} days, then the answer is 410`),
          ),
          more: v.pipe(v.boolean(), v.description("There is more: call again at once")),
        }),
      },
    },
    handle: async ({ c, ctx, query }) => {
      const { rows, cursor, more } = await syncSince(ctx, query.since ?? null, query.limit);
      const data = rows.map(({ deviceId, from, to, before, at }) => ({
        deviceId,
        from: isoOrNull(from),
        to: isoOrNull(to),
        before: isoOrNull(before),
        at: iso(at),
      }));
      return c.json({ data, cursor, more });
    },
  }),
];
