import * as v from "valibot";
import { JOBS, type JobStatus, listJobs } from "../jobs.ts";
import { runJobNow } from "../overview.ts";
import { listUnclaimed, type UnclaimedRow } from "../unclaimed.ts";
import { Id, iso, isoOrNull, listOf, MaybeTime, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const UnclaimedJson = v.object({
  imei: v.string(),
  firstSeen: Time,
  lastSeen: Time,
  frames: v.pipe(v.number(), v.integer()),
});

const unclaimedJson = ({ imei, firstSeen, lastSeen, frames }: UnclaimedRow) => ({
  imei,
  firstSeen: iso(firstSeen),
  lastSeen: iso(lastSeen),
  frames,
});

const JobRunJson = v.object({
  id: Id,
  state: v.picklist(["running", "done", "failed"]),
  startedAt: Time,
  finishedAt: MaybeTime,
  changed: v.pipe(v.number(), v.integer(), v.description("Rows that the run changed")),
  error: v.nullable(v.string()),
});

export const JobJson = v.object({
  name: v.string(),
  cron: v.pipe(v.string(), v.description("Five fields, UTC")),
  summary: v.string(),
  lastRun: v.nullable(JobRunJson),
});

export function jobJson({ name, cron, summary, lastRun }: JobStatus) {
  if (lastRun === null) return { name, cron, summary, lastRun };
  const { id, state, startedAt, finishedAt, changed, error } = lastRun;
  const run = { id, state, startedAt: iso(startedAt), finishedAt: isoOrNull(finishedAt), changed, error };
  return { name, cron, summary, lastRun: run };
}

const access = "admin";
const tag = "Administration";

export const OPERATIONS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/unclaimed",
    access,
    tag,
    summary: "List IMEIs that send but belong to no device",
    description: "The newest first, for a day. What they sent is not kept.",
    answers: { 200: { description: "The IMEIs", schema: listOf(UnclaimedJson) } },
    handle: async ({ c, ctx }) => c.json({ data: (await listUnclaimed(ctx)).map(unclaimedJson), nextCursor: null }),
  }),
  route({
    method: "GET",
    path: "/v1/admin/jobs",
    access,
    tag,
    summary: "List jobs with their last run",
    answers: { 200: { description: "The jobs", schema: listOf(JobJson) } },
    handle: async ({ c, ctx }) => c.json({ data: (await listJobs(ctx)).map(jobJson), nextCursor: null }),
  }),
  route({
    method: "POST",
    path: "/v1/admin/jobs/{name}/run",
    access,
    tag,
    summary: "Run a job now",
    params: v.object({ name: v.picklist(JOBS.map(({ name }) => name)) }),
    answers: {
      200: {
        description: "It has run",
        schema: v.object({ name: v.string(), changed: v.pipe(v.number(), v.integer()) }),
      },
    },
    handle: async ({ c, ctx, params }) => c.json({ name: params.name, changed: await runJobNow(ctx, params.name) }),
  }),
];
