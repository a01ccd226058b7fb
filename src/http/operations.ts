import * as v from "valibot";
import { JOBS, type JobStatus, listJobs } from "../jobs.ts";
import { restoreKeys, rewrapKeys } from "../key-store.ts";
import { runJobNow } from "../overview.ts";
import { listUnclaimed, type UnclaimedRow } from "../unclaimed.ts";
import { checkKeys, type KeyCheck } from "../vault.ts";
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

const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const counted = (what: string) => v.pipe(Count, v.description(what));
const NextObject = v.pipe(v.nullable(v.string()), v.description("Pass it back as `after`; null: that was all"));

const KeyCheckJson = v.object({
  rootKeyId: v.pipe(v.string(), v.description("Names the present root key and says nothing about it")),
  escrowAt: v.pipe(MaybeTime, v.description("When the third copy was last brought up to date")),
  objects: counted("Key objects of this answer, of which each has two live copies and the escrow"),
  missing: counted("Live copies that are not there"),
  damaged: counted("Copies that do not open"),
  behind: counted("Live copies that are older than the other"),
  oldRootKey: counted("Copies under an earlier root key"),
  foreign: counted("Copies under a root key that this installation does not have"),
  changed: counted("Copies that were written"),
  next: NextObject,
});
const keyCheckJson = ({ escrowAt, ...rest }: KeyCheck) => ({ ...rest, escrowAt: isoOrNull(escrowAt) });

const ObjectName = v.pipe(v.string(), v.maxLength(200), v.description("`next` of the answer before"));
const After = v.strictObject({ after: v.optional(ObjectName) });

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
  route({
    method: "GET",
    path: "/v1/admin/key-store",
    access,
    tag,
    summary: "Look at the copies of the key store",
    query: After,
    answers: { 200: { description: "What was found", schema: KeyCheckJson } },
    handle: async ({ c, ctx, query }) => c.json(keyCheckJson(await checkKeys(ctx, query.after))),
  }),
  route({
    method: "POST",
    path: "/v1/admin/key-store/rewrap",
    access,
    tag,
    stepUp: true,
    summary: "Wrap the secrets of the key store under the present root key",
    body: After,
    answers: { 200: { description: "What was found, and is so no more", schema: KeyCheckJson } },
    handle: async ({ c, ctx, body }) => c.json(keyCheckJson(await rewrapKeys(ctx, body.after))),
  }),
  route({
    method: "POST",
    path: "/v1/admin/key-store/restore",
    access,
    tag,
    stepUp: true,
    summary: "Restore from the escrow what both live copies of the key store have lost",
    description: "Without what was destroyed since. What is there is left as it is.",
    body: After,
    answers: {
      200: { description: "It is restored", schema: v.object({ restored: Count, next: NextObject }) },
    },
    handle: async ({ c, ctx, body }) => c.json(await restoreKeys(ctx, body.after)),
  }),
];
