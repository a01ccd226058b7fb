import * as v from "valibot";
import { accountById } from "../accounts.ts";
import type { Ctx } from "../context.ts";
import { type Kept, keptById, listKept, readKept } from "../kept.ts";
import {
  confirmHold,
  HOLD_BASES,
  type Hold,
  type HoldBasis,
  holdNamed,
  holdState,
  isReviewDue,
  listHolds,
  placeHold,
  REFERENCE,
  releaseHold,
  reviewHold,
} from "../legal-holds.ts";
import { LIMITS } from "../limits.ts";
import {
  addObligation,
  endObligation,
  OBLIGATION_BASES,
  OBLIGATION_KINDS,
  obligationById,
  obligationsOf,
} from "../obligations.ts";
import { scopeOf } from "../request-scope.ts";
import { Id, iso, isoOrNull, Limit, ListQuery, listOf, MaybeTime, PathId, page, queryTime, Time } from "./fields.ts";
import { KeptJson, keptJson, ObligationJson, obligationJson } from "./kept.ts";
import { NamePath } from "./requests.ts";
import { type Route, route } from "./route.ts";
import { NEWEST } from "./support.ts";

const Reason = v.pipe(v.string(), v.description("A sentence that is recorded"));

/** What can be held: a scope of an erasure. */
export const HoldScopeInput = v.variant(
  "kind",
  [
    v.strictObject({ kind: v.literal("account") }),
    v.strictObject({
      kind: v.literal("devices"),
      devices: v.pipe(v.array(Id), v.maxLength(LIMITS.devicesPerLimit)),
    }),
    v.strictObject({
      kind: v.literal("range"),
      device: Id,
      from: queryTime("Of the fix, this moment included"),
      to: queryTime("Not included"),
    }),
  ],
  "must be one of account, devices, range",
);

export const HoldInput = v.strictObject({
  accountId: Id,
  scope: HoldScopeInput,
  basis: v.picklist(HOLD_BASES),
  reference: v.pipe(
    v.string(),
    v.regex(REFERENCE, "must be a file number of at most 40 capital letters, digits and / . _ -"),
    v.description("The operator's own file number: no names"),
  ),
  reviewAt: queryTime("At most 180 days ahead"),
  expiresAt: queryTime("At most three years ahead"),
});

export const ReviewInput = v.strictObject({ reviewAt: queryTime("At most 180 days ahead"), reason: Reason });

const HoldJson = v.object({
  id: Id,
  name: v.string(),
  accountId: Id,
  basis: v.picklist(HOLD_BASES),
  reference: v.string(),
  scope: v.pipe(v.record(v.string(), v.unknown()), v.description("Times in ISO 8601")),
  state: v.pipe(
    v.picklist(["placed", "in_force", "released", "expired"]),
    v.description("placed: it keeps nothing before somebody else has confirmed it"),
  ),
  placedBy: Id,
  placedAt: Time,
  confirmedBy: v.nullable(Id),
  confirmedAt: MaybeTime,
  reviewAt: Time,
  reviewDue: v.boolean(),
  expiresAt: v.pipe(Time, v.description("Then it ends by itself")),
  releasedBy: v.nullable(Id),
  releasedAt: MaybeTime,
});

function holdJson(hold: Hold, now: number): v.InferOutput<typeof HoldJson> {
  const scope = scopeOf(hold);
  const { id, name, accountId, basis, reference, placedBy, confirmedBy, releasedBy } = hold;
  return {
    ...{ id, name, accountId, basis: basis as HoldBasis, reference },
    scope: scope.kind === "range" ? { ...scope, from: iso(scope.from), to: iso(scope.to) } : { ...scope },
    state: holdState(hold, now),
    ...{ placedBy, placedAt: iso(hold.placedAt), confirmedBy, confirmedAt: isoOrNull(hold.confirmedAt) },
    ...{ reviewAt: iso(hold.reviewAt), reviewDue: isReviewDue(hold, now), expiresAt: iso(hold.expiresAt) },
    ...{ releasedBy, releasedAt: isoOrNull(hold.releasedAt) },
  };
}

const AdminKeptJson = v.object({
  ...KeptJson.entries,
  accountId: Id,
  cause: v.pipe(v.string(), v.description("What would have destroyed it: a request, a device's removal, a period")),
  hold: v.pipe(v.nullable(v.string()), v.description("The name of the hold that keeps it")),
});
const adminKeptJson = (part: Kept): v.InferOutput<typeof AdminKeptJson> => ({
  ...{ ...keptJson(part), accountId: part.accountId, cause: part.cause, hold: part.hold },
});

export const ObligationInput = v.strictObject({
  kind: v.picklist(OBLIGATION_KINDS),
  basis: v.picklist(OBLIGATION_BASES),
  details: v.pipe(v.string(), v.description("What is kept, and nothing else")),
  expiresAt: queryTime("At most 10 years ahead"),
});

/** What is held, as a file. */
export function archiveResponse(id: number, body: ReadableStream<Uint8Array>): Response {
  return new Response(body, {
    headers: {
      "Content-Type": "application/zip",
      "Content-Disposition": `attachment; filename="held-${id}.zip"`,
      "Cache-Control": "no-store",
    },
  });
}

const ById = v.object({ id: PathId });
const find = (ctx: Ctx, { name }: { name: string }) => holdNamed(ctx, name);
const tag = "Administration";
const stepUp = true;
const oneHold = { 200: { description: "As it is now", schema: HoldJson } };
const people = "privacyStaff";

export const HOLDS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/holds",
    access: "privacy",
    tag,
    summary: "List orders that keep something from being erased",
    query: v.strictObject({
      ...ListQuery.entries,
      limit: Limit,
      open: v.optional(v.picklist(["true", "false"]), "false"),
    }),
    answers: { 200: { description: "One page, newest first", schema: listOf(HoldJson) } },
    handle: async ({ c, ctx, query: { cursor = NEWEST, limit, open } }) => {
      const rows = await listHolds(ctx, open === "true", cursor, limit + 1);
      return c.json(page(rows, limit, (hold) => holdJson(hold, ctx.now())));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/holds",
    access: people,
    stepUp,
    tag,
    summary: "Place a hold: what of an account must not go",
    description:
      "By one of the staff whom an administrator lets. It keeps nothing before another one has confirmed it.",
    body: HoldInput,
    answers: { 201: { description: "The hold", schema: HoldJson, headers: ["Location"] } },
    handle: async ({ c, ctx, body }) => {
      const hold = await placeHold(ctx, body);
      return c.json(holdJson(hold, ctx.now()), 201, { Location: `/v1/admin/holds/${hold.name}` });
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/holds/{name}",
    access: "privacy",
    tag,
    summary: "Read a hold",
    params: NamePath,
    find,
    answers: { 200: { description: "The hold", schema: HoldJson } },
    handle: ({ c, ctx, object }) => c.json(holdJson(object, ctx.now())),
  }),
  route({
    method: "POST",
    path: "/v1/admin/holds/{name}/confirm",
    access: people,
    stepUp,
    tag,
    summary: "Confirm a hold that somebody else placed",
    description: "409 when an erasure of the account has begun to destroy: then it is too late.",
    params: NamePath,
    find,
    answers: oneHold,
    handle: async ({ c, ctx, object }) => c.json(holdJson(await confirmHold(ctx, object), ctx.now())),
  }),
  route({
    method: "POST",
    path: "/v1/admin/holds/{name}/review",
    access: people,
    stepUp,
    tag,
    summary: "Say that a hold is still needed",
    params: NamePath,
    find,
    body: ReviewInput,
    answers: oneHold,
    handle: async ({ c, ctx, object, body }) =>
      c.json(holdJson(await reviewHold(ctx, object, body.reviewAt, body.reason), ctx.now())),
  }),
  route({
    method: "POST",
    path: "/v1/admin/holds/{name}/release",
    access: people,
    stepUp,
    tag,
    summary: "Release a hold: what is kept for it alone goes",
    params: NamePath,
    find,
    body: v.strictObject({ reason: Reason }),
    answers: oneHold,
    handle: async ({ c, ctx, object, body }) =>
      c.json(holdJson(await releaseHold(ctx, object, body.reason), ctx.now())),
  }),
  route({
    method: "GET",
    path: "/v1/admin/held",
    access: people,
    tag,
    summary: "List what is kept of what was erased",
    description: "For staff whom an administrator lets.",
    query: ListQuery,
    answers: { 200: { description: "One page, newest first", schema: listOf(AdminKeptJson) } },
    handle: async ({ c, ctx, query: { cursor = NEWEST, limit } }) =>
      c.json(page(await listKept(ctx, cursor, limit + 1), limit, adminKeptJson)),
  }),
  route({
    method: "POST",
    path: "/v1/admin/held/{id}/archive",
    access: people,
    stepUp,
    tag,
    summary: "Read what is kept, for a reason",
    description:
      "A ZIP like an export's. The record and the ledger have it before it is read, and where the account lives its owner sees it.",
    params: ById,
    find: (ctx, { id }) => keptById(ctx, id),
    body: v.strictObject({ reason: Reason }),
    answers: {
      200: {
        description: "What is kept, streamed",
        media: { "application/zip": null },
        headers: ["Content-Disposition"],
      },
    },
    handle: async ({ ctx, object, body }) => archiveResponse(object.id, await readKept(ctx, object, body.reason)),
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts/{id}/obligations",
    access: "finance",
    tag,
    summary: "List what is owed to or by an account",
    params: ById,
    query: ListQuery,
    find: (ctx, { id }) => accountById(ctx, id),
    answers: { 200: { description: "One page, newest first", schema: listOf(ObligationJson) } },
    handle: async ({ c, ctx, object, query: { cursor = NEWEST, limit } }) => {
      const rows = await obligationsOf(ctx, object.id, cursor, limit + 1);
      return c.json(page(rows, limit, (row) => obligationJson(row, ctx.now())));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/obligations",
    access: "finance",
    stepUp,
    tag,
    summary: "Write down what is owed, and what must be kept for it",
    description: "An extension keeps nothing before an owner has agreed to it. The customer sees all of it.",
    params: ById,
    find: (ctx, { id }) => accountById(ctx, id),
    body: ObligationInput,
    answers: { 201: { description: "The obligation", schema: ObligationJson } },
    handle: async ({ c, ctx, object, body }) =>
      c.json(obligationJson(await addObligation(ctx, object.id, body), ctx.now()), 201),
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/obligations/{obligationId}/end",
    access: "finance",
    stepUp,
    tag,
    summary: "End an obligation before its time",
    params: v.object({ id: PathId, obligationId: PathId }),
    find: (ctx, { id, obligationId }) => obligationById(ctx, id, obligationId),
    body: v.strictObject({ reason: v.pipe(v.string(), v.description("A sentence that the customer reads")) }),
    answers: { 204: { description: "It is over" } },
    handle: async ({ c, ctx, object, body }) => {
      await endObligation(ctx, object, body.reason);
      return c.body(null, 204);
    },
  }),
];
