import * as v from "valibot";
import { accountById } from "../accounts.ts";
import { LIMITS } from "../limits.ts";
import {
  liftSuspension,
  listSuspensions,
  SUSPENSION_KINDS,
  type Suspension,
  suspendedNow,
  suspendTransfers,
  suspensionOf,
} from "../suspensions.ts";
import { Id, IdCursor, iso, isoOrNull, ListQuery, listOf, MaybeTime, PathId, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";
import { NEWEST } from "./support.ts";

export const SuspensionJson = v.object({
  id: Id,
  deviceId: v.pipe(v.nullable(Id), v.description("null: every device of the account, also one that comes later")),
  kind: v.pipe(
    v.picklist(SUSPENSION_KINDS),
    v.description("A restriction; an objection, while it is decided and after; a change of law"),
  ),
  request: v.pipe(v.nullable(v.string()), v.description("Name of the request that it was made for")),
  since: v.pipe(Time, v.description("What is received from then on is not stored")),
  liftedAt: v.pipe(MaybeTime, v.description("null: it is in force")),
  liftedBy: v.pipe(v.nullable(Id), v.description("The person; null also when its request was cancelled or refused")),
});

export const suspensionJson = (row: Suspension): v.InferOutput<typeof SuspensionJson> => ({
  id: row.id,
  deviceId: row.deviceId,
  kind: row.kind,
  request: row.request,
  since: iso(row.since),
  liftedAt: isoOrNull(row.liftedAt),
  liftedBy: row.liftedBy,
});

const tag = "Your rights";

export const SUSPENSIONS: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/me/suspend-transfers",
    access: "owner",
    right: true,
    stepUp: true,
    tag,
    summary: "Stop what is taken of all trackers, as the law has changed",
    description:
      "At once and worldwide: trackers are answered and nothing of what they send is stored, no command goes to them, API " +
      "keys and the operator's staff see nothing. The account's people can still read, correct, export and erase. Done " +
      "twice it is done once.",
    answers: { 200: { description: "What is in force", schema: SuspensionJson } },
    handle: async ({ c, ctx }) => c.json(suspensionJson(await suspendTransfers(ctx))),
  }),
  route({
    method: "GET",
    path: "/v1/me/suspensions",
    access: "customer",
    tag,
    summary: "List what is or was suspended",
    description: "Newest first: what is about the account, and about devices that you may see.",
    query: v.strictObject({
      ...ListQuery.entries,
      cursor: IdCursor,
      inForce: v.optional(v.pipe(v.picklist(["true", "false"]), v.description("Only what is in force")), "false"),
    }),
    answers: { 200: { description: "One page", schema: listOf(SuspensionJson) } },
    handle: async ({ c, ctx, query }) => {
      const { cursor: before = NEWEST, limit, inForce } = query;
      const rows = await listSuspensions(ctx, { inForceOnly: inForce === "true", before, limit: limit + 1 });
      return c.json(page(rows, limit, suspensionJson));
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/me/suspensions/{id}",
    access: "manager",
    right: true,
    stepUp: true,
    tag,
    summary: "Let what is suspended go on",
    description:
      "What comes from now on is stored again; what came meanwhile is not there, and what was taken meanwhile and comes " +
      "later is not stored. An owner lifts whatever is suspended in the account, a manager what they asked for themselves.",
    params: v.object({ id: PathId }),
    find: (ctx, { id }) => suspensionOf(ctx, id),
    answers: { 204: { description: "It goes on" } },
    handle: async ({ c, ctx, object }) => {
      await liftSuspension(ctx, object);
      return c.body(null, 204);
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts/{id}/suspensions",
    access: "staff",
    tag: "Administration",
    summary: "List what is suspended in an account",
    description: `Only what is in force, the newest ${LIMITS.pageMax}. Only the customer lets it go on.`,
    params: v.object({ id: PathId }),
    find: (ctx, { id }) => accountById(ctx, id),
    answers: { 200: { description: "All of it", schema: listOf(SuspensionJson) } },
    handle: async ({ c, ctx, object }) =>
      c.json(page(await suspendedNow(ctx, object.id), LIMITS.pageMax, suspensionJson)),
  }),
];
