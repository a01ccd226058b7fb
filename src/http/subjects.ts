import * as v from "valibot";
import { LIMITS } from "../limits.ts";
import { REQUEST_STATES } from "../request-scope.ts";
import {
  type HeldOfSubject,
  isInForce,
  linkOf,
  linkOfToken,
  linksOf,
  makeLink,
  revokeLink,
  type SubjectLink,
  summaryOf,
  trackOfSubject,
} from "../subject-links.ts";
import {
  acceptSubject,
  askBySubject,
  escalatedRequest,
  escalatedRequests,
  receiptNameOf,
  refuseSubject,
  requestsOfLink,
  SUBJECT_REQUEST_STATES,
  SUBJECT_REQUEST_TYPES,
  type SubjectRequest,
  subjectRequestOf,
  subjectRequests,
} from "../subject-requests.ts";
import { DevicePath, findDevice } from "./devices.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, PathId, page, queryTime, Time } from "./fields.ts";
import { NamePath } from "./requests.ts";
import { type Route, route } from "./route.ts";
import { NEWEST } from "./support.ts";

/** Also the form of the page. */
export const NewLink = v.strictObject({
  from: queryTime("First fix time that it is about"),
  to: queryTime("Not included"),
  expiresAt: v.exactOptional(queryTime("Absent: in 90 days")),
  showsTrack: v.exactOptional(v.pipe(v.boolean(), v.description("Whoever has it may read the positions, too"))),
});

const LinkJson = v.object({
  id: Id,
  from: Time,
  to: Time,
  showsTrack: v.boolean(),
  createdAt: Time,
  expiresAt: Time,
  revokedAt: MaybeTime,
});
const linkJson = (link: SubjectLink): v.InferOutput<typeof LinkJson> => ({
  id: link.id,
  from: iso(link.fromTime),
  to: iso(link.toTime),
  showsTrack: link.showsTrack === 1,
  createdAt: iso(link.createdAt),
  expiresAt: iso(link.expiresAt),
  revokedAt: isoOrNull(link.revokedAt),
});

const AskedJson = v.object({
  name: v.pipe(v.string(), v.description("128 random bits")),
  type: v.picklist(SUBJECT_REQUEST_TYPES),
  from: Time,
  to: Time,
  askedAt: Time,
  answerBy: v.pipe(Time, v.description("Until when the customer has to answer")),
  state: v.picklist(SUBJECT_REQUEST_STATES),
  withStaffSince: v.pipe(MaybeTime, v.description("The customer did not answer")),
  staffBy: v.pipe(MaybeTime, v.description("Until when the staff have to")),
  answeredBy: v.nullable(v.picklist(["customer", "staff"])),
  answeredAt: MaybeTime,
  reason: v.nullable(v.string()),
  carriedOut: v.pipe(
    v.nullable(v.picklist(REQUEST_STATES)),
    v.description("Of an erasure that was accepted: how far it is"),
  ),
  receipt: v.pipe(v.nullable(v.string()), v.description("Its path, once it was carried out")),
});
const askedJson = (row: SubjectRequest): v.InferOutput<typeof AskedJson> => {
  const receipt = receiptNameOf(row);
  return {
    name: row.name,
    type: row.type,
    from: iso(row.fromTime),
    to: iso(row.toTime),
    askedAt: iso(row.askedAt),
    answerBy: iso(row.answerBy),
    state: row.state,
    withStaffSince: isoOrNull(row.escalatedAt),
    staffBy: isoOrNull(row.staffBy),
    answeredBy: row.answeredBy,
    answeredAt: isoOrNull(row.answeredAt),
    reason: row.reason,
    carriedOut: row.carriedOut,
    receipt: receipt === null ? null : `/v1/receipts/${receipt}`,
  };
};

const OfDeviceJson = v.object({ id: Id, deviceId: Id, ...AskedJson.entries });
const ofDeviceJson = (row: SubjectRequest): v.InferOutput<typeof OfDeviceJson> => ({
  id: row.id,
  deviceId: row.deviceId,
  ...askedJson(row),
});
const OfAccountJson = v.object({ accountId: Id, ...OfDeviceJson.entries });
const ofAccountJson = (row: SubjectRequest): v.InferOutput<typeof OfAccountJson> => ({
  accountId: row.accountId,
  ...ofDeviceJson(row),
});

const HeldJson = v.object({
  kind: v.picklist(["positions", "commands"]),
  category: v.picklist(["location", "device"]),
  purpose: v.picklist(["tracking", "control"]),
  records: v.number(),
  oldest: MaybeTime,
  newest: MaybeTime,
  keptUntil: v.pipe(MaybeTime, v.description("When the last of it is past its period")),
});
const heldJson = ({ oldest, newest, keptUntil, ...held }: HeldOfSubject): v.InferOutput<typeof HeldJson> => ({
  ...held,
  oldest: isoOrNull(oldest),
  newest: isoOrNull(newest),
  keptUntil: isoOrNull(keptUntil),
});

const SubjectJson = v.object({
  from: Time,
  to: Time,
  expiresAt: Time,
  showsTrack: v.boolean(),
  held: v.pipe(
    v.nullable(v.array(HeldJson)),
    v.description("How much is held of this time, and not where; null: the link is over"),
  ),
  requests: v.array(AskedJson),
});

/** Also the form of the page. */
export const Asked = v.strictObject({
  type: v.picklist(SUBJECT_REQUEST_TYPES),
  from: v.exactOptional(queryTime("Absent: from the beginning of the link's time")),
  to: v.exactOptional(queryTime("Absent: to its end")),
});
export const TokenPath = v.object({ token: v.pipe(v.string(), v.regex(/^[\w-]{43}$/)) });
const findLink = (ctx: Parameters<typeof linkOfToken>[0], { token }: { token: string }) => linkOfToken(ctx, token);

const MaybeReason = v.exactOptional(
  v.pipe(v.string(), v.description("Whoever asked reads it; of an objection, and by the staff, it must be said")),
);
const Reason = v.pipe(v.string(), v.description("Whoever asked reads it"));
const tag = "Who drives or carries a tracker";
const adminTag = "Administration";

export const SUBJECTS: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/devices/{id}/subject-links",
    access: "manager",
    right: true,
    tag,
    summary: "Make a link for who had a tracker in a stretch of time",
    description: `Without signing in, whoever has it sees how much is held of that time, and can ask for it to be deleted or object. It is shown this once. A device has ${LIMITS.subjectLinks} in force at most.`,
    params: DevicePath,
    find: findDevice,
    body: NewLink,
    answers: {
      201: {
        description: "Where it leads, and the link",
        schema: v.object({ url: v.pipe(v.string(), v.url()), ...LinkJson.entries }),
      },
    },
    handle: async ({ c, ctx, object, body }) => {
      const { url, link } = await makeLink(ctx, object, body);
      return c.json({ url, ...linkJson(link) }, 201);
    },
  }),
  route({
    method: "GET",
    path: "/v1/devices/{id}/subject-links",
    access: "manager",
    tag,
    summary: "List the links of a tracker",
    params: DevicePath,
    find: findDevice,
    answers: { 200: { description: "Newest first", schema: v.object({ data: v.array(LinkJson) }) } },
    handle: async ({ c, ctx, object }) => c.json({ data: (await linksOf(ctx, object)).map(linkJson) }),
  }),
  route({
    method: "DELETE",
    path: "/v1/devices/{id}/subject-links/{link}",
    access: "manager",
    right: true,
    tag,
    summary: "End a link",
    description: "What was asked with it is still to be answered, and whoever asked can read the answer.",
    params: v.object({ id: PathId, link: PathId }),
    find: async (ctx, { id, link }) => linkOf(ctx, await findDevice(ctx, { id }), link),
    answers: { 204: { description: "It is over" } },
    handle: async ({ c, ctx, object }) => {
      await revokeLink(ctx, object);
      return c.body(null, 204);
    },
  }),
  route({
    method: "GET",
    path: "/v1/subject-requests",
    access: "manager",
    tag,
    summary: "List what was asked with such links",
    query: ListQuery,
    answers: { 200: { description: "One page, newest first", schema: listOf(OfDeviceJson) } },
    handle: async ({ c, ctx, query }) => {
      const rows = await subjectRequests(ctx, query.cursor ?? NEWEST, query.limit + 1);
      return c.json(page(rows, query.limit, ofDeviceJson));
    },
  }),
  route({
    method: "POST",
    path: "/v1/subject-requests/{name}/accept",
    access: "manager",
    right: true,
    stepUp: true,
    tag,
    summary: "Say yes to what was asked",
    description:
      "An erasure is carried out at once, like one of your own. Without an answer in ten days the staff decide.",
    params: NamePath,
    find: (ctx, { name }) => subjectRequestOf(ctx, name),
    body: v.strictObject({ reason: MaybeReason }),
    answers: { 200: { description: "What was asked, and the answer", schema: OfDeviceJson } },
    handle: async ({ c, ctx, object, body }) => {
      await acceptSubject(ctx, object, body.reason);
      return c.json(ofDeviceJson(await subjectRequestOf(ctx, object.name)));
    },
  }),
  route({
    method: "POST",
    path: "/v1/subject-requests/{name}/refuse",
    access: "manager",
    right: true,
    stepUp: true,
    tag,
    summary: "Say no to what was asked",
    params: NamePath,
    find: (ctx, { name }) => subjectRequestOf(ctx, name),
    body: v.strictObject({ reason: Reason }),
    answers: { 200: { description: "What was asked, and the answer", schema: OfDeviceJson } },
    handle: async ({ c, ctx, object, body }) => {
      await refuseSubject(ctx, object, body.reason);
      return c.json(ofDeviceJson(await subjectRequestOf(ctx, object.name)));
    },
  }),
  route({
    method: "GET",
    path: "/v1/subject/{token}",
    access: "public",
    tag,
    summary: "Read with a link how much is held, and what became of what you asked",
    description:
      "A token that is unknown, over or ended is 404 alike; once something was asked, the answer stays to be read.",
    params: TokenPath,
    find: findLink,
    answers: { 200: { description: "How much is held", schema: SubjectJson } },
    handle: async ({ c, ctx, object: link }) => {
      const held = await summaryOf(ctx, link);
      return c.json({
        from: iso(link.fromTime),
        to: iso(link.toTime),
        expiresAt: iso(link.expiresAt),
        showsTrack: link.showsTrack === 1 && isInForce(link, ctx.now()),
        held: held?.map(heldJson) ?? null,
        requests: (await requestsOfLink(ctx, link)).map(askedJson),
      });
    },
  }),
  route({
    method: "GET",
    path: "/v1/subject/{token}/positions",
    access: "public",
    tag,
    summary: "Read the positions with a link, where the customer lets you",
    params: TokenPath,
    find: findLink,
    query: v.strictObject({ format: v.optional(v.picklist(["gpx", "geojson", "csv"]), "geojson") }),
    problems: ["forbidden"],
    refusesSealed: true,
    answers: {
      200: {
        description: "A file, streamed",
        media: { "application/gpx+xml": null, "application/geo+json": null, "text/csv": null },
        headers: ["Content-Disposition"],
      },
    },
    handle: async ({ ctx, object, query }) => {
      const { fileName, mediaType, body } = await trackOfSubject(ctx, object, query.format);
      const headers = { "Content-Type": mediaType, "Content-Disposition": `attachment; filename="${fileName}"` };
      return new Response(body, { headers });
    },
  }),
  route({
    method: "POST",
    path: "/v1/subject/{token}/requests",
    access: "public",
    tag,
    summary: "Ask with a link for positions to be deleted, or object",
    description: `It goes to the customer, who has ten days; then to the operator's staff, who have one business day. ${LIMITS.subjectRequestsADay} a day with one link.`,
    params: TokenPath,
    find: findLink,
    body: Asked,
    problems: ["conflict", "rate_limited"],
    answers: { 201: { description: "What was asked", schema: AskedJson } },
    handle: async ({ c, ctx, object, body }) => c.json(askedJson(await askBySubject(ctx, object, body)), 201),
  }),
  route({
    method: "GET",
    path: "/v1/admin/subject-requests",
    access: "privacy",
    tag: adminTag,
    summary: "List what customers did not answer whose trackers somebody drives or carries",
    query: ListQuery,
    answers: { 200: { description: "One page, newest first", schema: listOf(OfAccountJson) } },
    handle: async ({ c, ctx, query }) => {
      const rows = await escalatedRequests(ctx, query.cursor ?? NEWEST, query.limit + 1);
      return c.json(page(rows, query.limit, ofAccountJson));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/subject-requests/{name}/accept",
    access: "privacyStaff",
    stepUp: true,
    tag: adminTag,
    summary: "Say yes in place of a customer who did not answer",
    params: NamePath,
    find: (ctx, { name }) => escalatedRequest(ctx, name),
    body: v.strictObject({ reason: Reason }),
    answers: { 200: { description: "What was asked, and the answer", schema: OfAccountJson } },
    handle: async ({ c, ctx, object, body }) => {
      await acceptSubject(ctx, object, body.reason);
      return c.json(ofAccountJson(await escalatedRequest(ctx, object.name)));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/subject-requests/{name}/refuse",
    access: "privacyStaff",
    stepUp: true,
    tag: adminTag,
    summary: "Say no in place of a customer who did not answer",
    params: NamePath,
    find: (ctx, { name }) => escalatedRequest(ctx, name),
    body: v.strictObject({ reason: Reason }),
    answers: { 200: { description: "What was asked, and the answer", schema: OfAccountJson } },
    handle: async ({ c, ctx, object, body }) => {
      await refuseSubject(ctx, object, body.reason);
      return c.json(ofAccountJson(await escalatedRequest(ctx, object.name)));
    },
  }),
];
