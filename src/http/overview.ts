import * as v from "valibot";
import { type Overview, overview } from "../overview.ts";
import { Id, isoOrNull, MaybeTime } from "./fields.ts";
import { JobJson, jobJson } from "./operations.ts";
import { type Route, route } from "./route.ts";

const count = v.pipe(v.number(), v.integer());

const OverviewJson = v.object({
  bridges: v.array(
    v.object({
      id: v.pipe(count, v.description("0 is the bridge of the configuration")),
      name: v.nullable(v.string()),
      lastSeenAt: MaybeTime,
    }),
  ),
  positionsPerS: v.pipe(v.number(), v.description("Positions received a second, over the last five minutes")),
  unclaimed: count,
  accounts: count,
  users: count,
  staff: count,
  devices: count,
  jobs: v.array(
    v.object({
      ...JobJson.entries,
      lateMs: v.pipe(v.nullable(v.number()), v.description("How long its next run has been due; null: it never ran")),
    }),
  ),
  retention: v.object({
    lastGoodAt: v.pipe(MaybeTime, v.description("When its last run that ended well began")),
    lagMs: v.pipe(v.number(), v.description("For how long something past its period can have been left, at most")),
    late: v.pipe(v.boolean(), v.description("For more than two hours")),
  }),
  broken: v.pipe(
    count,
    v.description("Parts of tracks that did not open in the last seven days: altered, or without their key"),
  ),
  calendar: v.object({
    coveredTo: v.pipe(
      v.nullable(v.string()),
      v.description("The last day of known working days; null: not even today"),
    ),
    short: v.pipe(v.boolean(), v.description("For less than 60 days")),
  }),
  holdsDue: v.pipe(count, v.description("Orders that keep something from being erased and were not reviewed in time")),
  mails: v.object({ count, oldest: MaybeTime }),
  canSendMail: v.boolean(),
  template: v.pipe(v.boolean(), v.description("A text in force is the template that nobody has reviewed")),
  training: v.pipe(
    v.array(v.object({ userId: Id, validUntil: MaybeTime })),
    v.description("Staff whose training has run out, or does within 30 days"),
  ),
});

const overviewJson = ({ bridges, jobs, mails, training, retention, ...rest }: Overview) => ({
  ...rest,
  retention: { ...retention, lastGoodAt: isoOrNull(retention.lastGoodAt) },
  bridges: bridges.map((bridge) => ({ ...bridge, lastSeenAt: isoOrNull(bridge.lastSeenAt) })),
  jobs: jobs.map((job) => ({ ...jobJson(job), lateMs: job.lateMs })),
  mails: { count: mails.count, oldest: isoOrNull(mails.oldest) },
  training: training.map(({ userId, validUntil }) => ({ userId, validUntil: isoOrNull(validUntil) })),
});

export const OVERVIEW: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/overview",
    access: "staff",
    tag: "Administration",
    summary: "See at a glance how the installation does",
    answers: { 200: { description: "Bridges, rate, jobs, numbers", schema: OverviewJson } },
    handle: async ({ c, ctx }) => c.json(overviewJson(await overview(ctx))),
  }),
];
