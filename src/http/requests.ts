import * as v from "valibot";
import { askForProof, proofOf } from "../device-proof.ts";
import {
  askByMail,
  askForAccount,
  confirmIdentity,
  LOCKED_OUT_TYPES,
  leaveToStaff,
  verifyByCode,
} from "../identity.ts";
import { LIMITS } from "../limits.ts";
import { OWN_CATEGORIES, OWN_FIELDS, REQUEST_STATES, REQUEST_TYPES, SCOPE_KINDS, scopeOf } from "../request-scope.ts";
import {
  anyRequest,
  cancelRequest,
  confirmationsOf,
  denyRequest,
  levelOf,
  listAllRequests,
  listRequests,
  makeRequest,
  mayCancel,
  type PrivacyRequest,
  publicReceipt,
  receiptOf,
  requestOf,
  resolveRequest,
} from "../requests.ts";
import { suspensionsOfRequest } from "../suspensions.ts";
import { Id, iso, isoOrNull, Limit, ListQuery, listOf, MaybeTime, page, queryTime, Time } from "./fields.ts";
import { AccountChangeInput, ProfileChangeInput } from "./me.ts";

import { type Route, route } from "./route.ts";
import { NEWEST } from "./support.ts";
import { SuspensionJson, suspensionJson } from "./suspensions.ts";

const Ids = v.pipe(v.array(Id), v.maxLength(LIMITS.devicesPerLimit));
const Words = v.pipe(v.array(v.pipe(v.string(), v.maxLength(60))), v.maxLength(100));

/** A scope of src/erasure-scope.ts, with its times as clients write them. */
export const ScopeInput = v.variant(
  "kind",
  [
    v.strictObject({ kind: v.literal("account") }),
    v.strictObject({ kind: v.literal("tracks") }),
    v.strictObject({ kind: v.literal("devices"), devices: Ids }),
    v.strictObject({
      kind: v.literal("range"),
      device: Id,
      from: queryTime("Of the fix, this moment included"),
      to: queryTime("Not included"),
    }),
    v.strictObject({
      kind: v.literal("categories"),
      categories: v.pipe(v.array(v.picklist(OWN_CATEGORIES)), v.maxLength(OWN_CATEGORIES.length)),
    }),
    v.strictObject({
      kind: v.literal("fields"),
      fields: v.pipe(Words, v.description(`Of ${Object.keys(OWN_FIELDS).join(", ")}`)),
    }),
  ],
  `must be one of ${SCOPE_KINDS.join(", ")}`,
);

const RequestInput = v.strictObject({
  type: v.picklist(REQUEST_TYPES),
  scope: v.exactOptional(v.pipe(ScopeInput, v.description("Of an access or an export: absent is the account"))),
  correction: v.exactOptional(
    v.pipe(
      v.strictObject({ profile: v.exactOptional(ProfileChangeInput), account: v.exactOptional(AccountChangeInput) }),
      v.description("Of a correction: what is to be put right, instead of a scope"),
    ),
  ),
});

const RequestJson = v.object({
  name: v.pipe(v.string(), v.description("128 random bits: also where the receipt will be")),
  type: v.picklist(REQUEST_TYPES),
  state: v.pipe(
    v.picklist(REQUEST_STATES),
    v.description(
      "An erasure goes from verified to cleared, or to partially_cleared where the law holds something back",
    ),
  ),
  level: v.nullable(v.picklist(["V0", "V1", "V2", "VD"])),
  scope: v.pipe(v.record(v.string(), v.unknown()), v.description("As it was asked for, times in ISO 8601")),
  receivedAt: Time,
  verifiedAt: v.pipe(MaybeTime, v.description("Since when it is known who asks: the clock runs from here")),
  deadline: v.pipe(MaybeTime, v.description("One business day by the operator's calendar")),
  calendar: v.pipe(v.nullable(v.string()), v.description("Its version")),
  uncertain: v.pipe(v.boolean(), v.description("It lacks that year: the earliest reading counts")),
  countsAt: v.pipe(MaybeTime, v.description("Announced: verified from then on unless it is cancelled")),
  frozenAt: MaybeTime,
  closedAt: MaybeTime,
  cancellable: v.boolean(),
});

/** A scope as the API shows it. */
function scopeJson(row: PrivacyRequest): Record<string, unknown> {
  const scope = scopeOf(row);
  return scope.kind === "range" ? { ...scope, from: iso(scope.from), to: iso(scope.to) } : { ...scope };
}

const requestJson = (row: PrivacyRequest): v.InferOutput<typeof RequestJson> => ({
  name: row.name,
  type: row.type,
  state: row.state,
  level: levelOf(row),
  scope: scopeJson(row),
  receivedAt: iso(row.receivedAt),
  verifiedAt: isoOrNull(row.verifiedAt),
  deadline: isoOrNull(row.deadline),
  calendar: row.calendar,
  uncertain: row.uncertain === 1,
  countsAt: isoOrNull(row.countsAt),
  frozenAt: isoOrNull(row.frozenAt),
  closedAt: isoOrNull(row.closedAt),
  cancellable: mayCancel(row),
});

const MadeJson = v.object({
  ...RequestJson.entries,
  download: v.pipe(v.nullable(v.string()), v.description("Of an access or an export: where to fetch it, signed in")),
});

const AdminRequestJson = v.object({
  ...RequestJson.entries,
  id: Id,
  accountId: Id,
  userId: v.nullable(Id),
  evidenceAt: v.pipe(MaybeTime, v.description("Since when the staff can decide whose it is")),
  alarmed: v.pipe(v.number(), v.description("Percent of the time at which the operator was told last")),
  attempts: v.pipe(v.number(), v.description("Wrong codes")),
});
const adminJson = (row: PrivacyRequest): v.InferOutput<typeof AdminRequestJson> => ({
  ...requestJson(row),
  id: row.id,
  accountId: row.accountId,
  userId: row.userId,
  evidenceAt: isoOrNull(row.evidenceAt),
  alarmed: row.alarmed,
  attempts: row.attempts,
});
const AdminDetailJson = v.object({
  ...AdminRequestJson.entries,
  proof: v.pipe(
    v.nullable(v.object({ askedAt: Time, until: Time, seenAt: MaybeTime })),
    v.description("Two presses of SOS on a tracker of the account: whether they came in the time; null: not asked for"),
  ),
  confirmations: v.array(v.object({ staffId: Id, at: Time })),
  suspensions: v.pipe(v.array(SuspensionJson), v.description("What it has suspended, lifted or not")),
});

/** The name of a request in a path. What is no name names nothing. */
export const NamePath = v.object({ name: v.pipe(v.string(), v.regex(/^[\w-]{1,60}$/)) });
export const LinkPath = v.object({ token: v.pipe(v.string(), v.regex(/^[\w-]{20,100}$/)) });
const Token = v.pipe(v.string(), v.maxLength(100));

/** What can be asked for without signing in: nothing that needs to be looked up first. */
export const LockedOutScope = v.variant(
  "kind",
  [
    v.strictObject({ kind: v.literal("account") }),
    v.strictObject({ kind: v.literal("tracks") }),
    v.strictObject({ kind: v.literal("categories"), categories: v.array(v.picklist(OWN_CATEGORIES)) }),
  ],
  "must be one of account, tracks, categories",
);
export const LOCKED_OUT = v.picklist(LOCKED_OUT_TYPES);
const Reason = v.pipe(v.string(), v.description("A sentence that the customer reads"));

const receipt = {
  200: { description: "The receipt, canonical JSON and signed", schema: v.record(v.string(), v.unknown()) },
};
const tag = "Your rights";
const adminTag = "Administration";

export const REQUESTS: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/requests",
    access: "customer",
    right: true,
    stepUp: true,
    tag,
    summary: "Ask by right: see, export, correct, erase, restrict, object",
    description: `What one call can do is done with it; an erasure begins within the minute, and must be done within one business day. A restriction is in force at once, until it is lifted (DELETE /v1/me/suspensions/{id}); an objection restricts while it is being decided. Both are about the account, its tracks or devices; an objection may also be about what is held about oneself, and restricts nothing then. Owners ask for the account and for everything that devices sent, managers for devices, everybody for what is held about themselves. ${LIMITS.requestsADay} of a type a day; the same twice is 409 with the name of the open one in \`request\`. Every confirmed address is told, with a link to cancel it.`,
    body: RequestInput,
    answers: { 201: { description: "The request", schema: MadeJson, headers: ["Location"] } },
    handle: async ({ c, ctx, body }) => {
      const { request, download } = await makeRequest(ctx, body);
      return c.json({ ...requestJson(request), download }, 201, { Location: `/v1/requests/${request.name}` });
    },
  }),
  route({
    method: "GET",
    path: "/v1/requests",
    access: "customer",
    tag,
    summary: "List your requests",
    description: "Newest first. An owner sees those of everybody in the account.",
    query: ListQuery,
    answers: { 200: { description: "One page of requests", schema: listOf(RequestJson) } },
    handle: async ({ c, ctx, query }) => {
      const rows = await listRequests(ctx, query.cursor ?? NEWEST, query.limit + 1);
      return c.json(page(rows, query.limit, requestJson));
    },
  }),
  route({
    method: "GET",
    path: "/v1/requests/{name}",
    access: "customer",
    tag,
    summary: "Read how far a request is",
    params: NamePath,
    find: (ctx, { name }) => requestOf(ctx, name),
    answers: { 200: { description: "The request", schema: RequestJson } },
    handle: ({ c, object }) => c.json(requestJson(object)),
  }),
  route({
    method: "DELETE",
    path: "/v1/requests/{name}",
    access: "customer",
    right: true,
    tag,
    summary: "Cancel a request",
    description: "While nothing has been done for it; after that 409.",
    params: NamePath,
    find: (ctx, { name }) => requestOf(ctx, name),
    answers: { 204: { description: "Cancelled" } },
    handle: async ({ c, ctx, object }) => {
      await cancelRequest(ctx, object);
      return c.body(null, 204);
    },
  }),
  route({
    method: "GET",
    path: "/v1/requests/{name}/receipt",
    access: "customer",
    tag,
    summary: "Read the receipt of a request",
    params: NamePath,
    find: (ctx, { name }) => requestOf(ctx, name),
    answers: receipt,
    handle: async ({ c, ctx, object }) =>
      c.body(await receiptOf(ctx, object), 200, { "Content-Type": "application/json" }),
  }),
  route({
    method: "GET",
    path: "/v1/receipts/{name}",
    access: "public",
    tag,
    summary: "Read a receipt by the name of its request, also when the account is gone",
    description:
      "The name is 128 random bits that only the person got, and nothing in a receipt says whose it is. 404 until the request has been carried out.",
    params: NamePath,
    answers: receipt,
    handle: async ({ c, ctx, params }) =>
      c.body(await publicReceipt(ctx, params.name), 200, { "Content-Type": "application/json" }),
  }),
  route({
    method: "POST",
    path: "/v1/privacy/requests",
    access: "public",
    tag,
    summary: "Ask without signing in: a link is mailed",
    description:
      "The answer is the same for every address. The link works once, for an hour, and asks for a second proof. A copy of the data goes to who is signed in only.",
    body: v.strictObject({
      email: v.pipe(v.string(), v.maxLength(LIMITS.emailCharacters)),
      type: LOCKED_OUT,
      scope: v.optional(LockedOutScope, { kind: "account" }),
    }),
    answers: { 202: { description: "If the address has an account, a link is on its way" } },
    handle: async ({ c, ctx, body }) => {
      await askByMail(ctx, body);
      return c.body(null, 202);
    },
  }),
  route({
    method: "POST",
    path: "/v1/privacy/requests/verify",
    access: "public",
    tag,
    summary: "Show, with the mailed link and a code, whose request it is",
    description:
      "The code of an authenticator app or a recovery code. After five wrong ones nothing more is tried for an hour. A link that was used is 409.",
    body: v.strictObject({ token: Token, code: v.pipe(v.string(), v.maxLength(100)) }),
    answers: { 200: { description: "It is known who asks", schema: RequestJson } },
    handle: async ({ c, ctx, body }) => c.json(requestJson(await verifyByCode(ctx, body.token, body.code))),
  }),
  route({
    method: "POST",
    path: "/v1/privacy/requests/review",
    access: "public",
    tag,
    summary: "Leave it to the operator's staff whose request it is",
    description:
      "For who has the mailed link and no code. Two of the staff must agree, and everybody concerned is told a day before it counts.",
    body: v.strictObject({ token: Token }),
    answers: { 202: { description: "It is with the staff" } },
    handle: async ({ c, ctx, body }) => {
      await leaveToStaff(ctx, body.token);
      return c.body(null, 202);
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/requests",
    access: "privacy",
    tag: adminTag,
    summary: "List what customers ask for by right",
    query: v.strictObject({
      ...ListQuery.entries,
      limit: Limit,
      open: v.optional(v.picklist(["true", "false"]), "false"),
    }),
    answers: { 200: { description: "One page, newest first", schema: listOf(AdminRequestJson) } },
    handle: async ({ c, ctx, query }) => {
      const rows = await listAllRequests(ctx, query.open === "true", query.cursor ?? NEWEST, query.limit + 1);
      return c.json(page(rows, query.limit, adminJson));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/requests",
    access: "privacyStaff",
    stepUp: true,
    tag: adminTag,
    summary: "Write down a request of somebody who has no channel left",
    description: "Nothing happens before two of the staff have confirmed it and a day's notice is over.",
    body: v.strictObject({ accountId: Id, type: LOCKED_OUT, scope: ScopeInput, reason: Reason }),
    answers: { 201: { description: "The request", schema: AdminRequestJson, headers: ["Location"] } },
    handle: async ({ c, ctx, body }) => {
      const row = await askForAccount(ctx, body);
      return c.json(adminJson(row), 201, { Location: `/v1/admin/requests/${row.name}` });
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/requests/{name}",
    access: "privacy",
    tag: adminTag,
    summary: "Read a request, and who of the staff confirmed it",
    params: NamePath,
    find: (ctx, { name }) => anyRequest(ctx, name),
    answers: { 200: { description: "The request", schema: AdminDetailJson } },
    handle: async ({ c, ctx, object }) => {
      const confirmations = await confirmationsOf(ctx, object);
      const suspended = await suspensionsOfRequest(ctx, object.id);
      const proof = await proofOf(ctx, object);
      return c.json({
        ...adminJson(object),
        suspensions: suspended.map(suspensionJson),
        proof: proof && { askedAt: iso(proof.askedAt), until: iso(proof.until), seenAt: isoOrNull(proof.seenAt) },
        confirmations: confirmations.map(({ staffId, at }) => ({ staffId, at: iso(at) })),
      });
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/requests/{name}/confirm",
    access: "privacyStaff",
    stepUp: true,
    tag: adminTag,
    summary: "Confirm whose a request is",
    description:
      "Two of the staff must, each for a reason. Everybody concerned is then told, and a day later it counts.",
    params: NamePath,
    find: (ctx, { name }) => anyRequest(ctx, name),
    body: v.strictObject({ reason: Reason }),
    answers: { 200: { description: "Whether it takes another one", schema: v.object({ another: v.boolean() }) } },
    handle: async ({ c, ctx, object, body }) => c.json(await confirmIdentity(ctx, object, body.reason)),
  }),
  route({
    method: "POST",
    path: "/v1/admin/requests/{name}/proof",
    access: "privacyStaff",
    stepUp: true,
    tag: adminTag,
    summary: "Wait for two presses of SOS on a tracker of the account",
    description:
      "For ten minutes. Whether they came is evidence beside others, and all that is said: on which tracker and where is not.",
    params: NamePath,
    find: (ctx, { name }) => anyRequest(ctx, name),
    answers: { 200: { description: "Until when", schema: v.object({ until: Time }) } },
    handle: async ({ c, ctx, object }) => c.json({ until: iso(await askForProof(ctx, object)) }),
  }),
  route({
    method: "POST",
    path: "/v1/admin/requests/{name}/deny",
    access: "privacy",
    stepUp: true,
    tag: adminTag,
    summary: "Refuse a request",
    description:
      "One of which nobody could say whose it is, or an objection without a ground: what it suspended goes on. A verified erasure or restriction cannot be refused.",
    params: NamePath,
    find: (ctx, { name }) => anyRequest(ctx, name),
    body: v.strictObject({ reason: Reason }),
    answers: { 200: { description: "The request", schema: AdminRequestJson } },
    handle: async ({ c, ctx, object, body }) => {
      await denyRequest(ctx, object, body.reason);
      return c.json(adminJson(await anyRequest(ctx, object.name)));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/requests/{name}/resolve",
    access: "privacy",
    stepUp: true,
    tag: adminTag,
    summary: "Uphold an objection",
    description: "What it suspended stays so until the customer lifts it.",
    params: NamePath,
    find: (ctx, { name }) => anyRequest(ctx, name),
    body: v.strictObject({ reason: Reason }),
    answers: { 200: { description: "The request", schema: AdminRequestJson } },
    handle: async ({ c, ctx, object, body }) => {
      await resolveRequest(ctx, object, body.reason);
      return c.json(adminJson(await anyRequest(ctx, object.name)));
    },
  }),
];
