import * as v from "valibot";
import type { Ctx, StaffRole } from "../context.ts";
import { grantLegal } from "../legal.ts";
import { LIMITS } from "../limits.ts";
import { makeSetupLink } from "../setup.ts";
import {
  attestTraining,
  changeStaff,
  inviteStaff,
  listStaff,
  removeStaff,
  type StaffMember,
  staffById,
} from "../staff.ts";
import { LANGUAGES } from "../text/index.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, PathId, page, queryTime, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const Role = v.picklist(["admin", "support", "privacy", "finance"]);

const StaffJson = v.object({
  id: Id,
  email: v.string(),
  name: v.nullable(v.string()),
  role: Role,
  joined: v.pipe(v.boolean(), v.description("They took up the invitation")),
  trainingValidUntil: MaybeTime,
  legalUntil: v.pipe(MaybeTime, v.description("May place and release holds and read what is kept until then")),
  createdAt: Time,
  lastSignInAt: MaybeTime,
  disabledAt: MaybeTime,
});
const InvitedJson = v.object({
  ...StaffJson.entries,
  link: v.pipe(v.nullable(v.string()), v.description("Only where no mail can be sent: hand it over yourself")),
});

const staffJson = (row: StaffMember) => ({
  id: row.id,
  email: row.email,
  name: row.name,
  role: row.role as StaffRole,
  joined: row.joined,
  trainingValidUntil: isoOrNull(row.trainingValidUntil),
  legalUntil: isoOrNull(row.legalUntil),
  createdAt: iso(row.createdAt),
  lastSignInAt: isoOrNull(row.lastSignInAt),
  disabledAt: isoOrNull(row.disabledAt),
});

const NewStaff = v.strictObject({
  email: v.pipe(v.string(), v.trim(), v.maxLength(LIMITS.emailCharacters)),
  role: Role,
  language: v.optional(v.picklist(Object.keys(LANGUAGES)), "en"),
});
const StaffChange = v.strictObject({ role: v.optional(Role), disabled: v.optional(v.boolean()) });
const Legal = v.strictObject({
  until: v.pipe(v.nullable(queryTime("At most 366 days ahead")), v.description("null: no longer")),
  reason: v.pipe(v.string(), v.description("A sentence that is recorded")),
});
const Training = v.strictObject({ validUntil: queryTime("At most 366 days ahead") });

const ById = v.object({ id: PathId });
const find = (ctx: Ctx, { id }: { id: number }) => staffById(ctx, id);

const access = "admin";
const tag = "Administration";
const stepUp = true;

export const STAFF: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/staff",
    access,
    tag,
    summary: "List the operator's staff",
    query: ListQuery,
    answers: { 200: { description: "One page of staff", schema: listOf(StaffJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listStaff(ctx, query.cursor ?? 0, query.limit + 1), query.limit, staffJson)),
  }),
  route({
    method: "POST",
    path: "/v1/admin/staff",
    access,
    tag,
    stepUp,
    summary: "Invite somebody to the staff",
    description: "By mail. They may do nothing until their training is attested.",
    body: NewStaff,
    answers: { 201: { description: "The invited one", schema: InvitedJson } },
    handle: async ({ c, ctx, body }) => {
      const { link, ...member } = await inviteStaff(ctx, body);
      return c.json({ ...staffJson(member), link }, 201);
    },
  }),
  route({
    method: "PATCH",
    path: "/v1/admin/staff/{id}",
    access,
    tag,
    stepUp,
    summary: "Change the role of one of the staff, disable or enable them",
    params: ById,
    find,
    body: StaffChange,
    answers: { 200: { description: "As they are now", schema: StaffJson } },
    handle: async ({ c, ctx, object, body }) => c.json(staffJson(await changeStaff(ctx, object, body))),
  }),
  route({
    method: "DELETE",
    path: "/v1/admin/staff/{id}",
    access,
    tag,
    stepUp,
    summary: "Remove one of the staff",
    params: ById,
    find,
    answers: { 204: { description: "Removed" } },
    handle: async ({ c, ctx, object }) => {
      await removeStaff(ctx, object);
      return c.body(null, 204);
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/staff/{id}/training",
    access,
    tag,
    stepUp,
    summary: "Attest that one of the staff is trained",
    description: "Not for oneself; with the admin token, for anybody.",
    params: ById,
    find,
    body: Training,
    answers: { 200: { description: "As they are now", schema: StaffJson } },
    handle: async ({ c, ctx, object, body }) => c.json(staffJson(await attestTraining(ctx, object, body.validUntil))),
  }),
  route({
    method: "POST",
    path: "/v1/admin/staff/{id}/legal",
    access,
    tag,
    stepUp,
    summary: "Let one of the staff handle what is kept for a legal reason",
    description: "Administrators and privacy staff, for a year at most, and not oneself.",
    params: ById,
    find,
    body: Legal,
    answers: { 200: { description: "As they are now", schema: StaffJson } },
    handle: async ({ c, ctx, object, body }) =>
      c.json(staffJson(await grantLegal(ctx, object, body.until, body.reason))),
  }),
  route({
    method: "POST",
    path: "/v1/admin/setup-links",
    access,
    tag,
    summary: "Make the link that makes the first administrator",
    description: "With the admin token only, and only while there is no administrator. It works once; older ones end.",
    answers: {
      201: { description: "The link", schema: v.object({ link: v.string(), expiresAt: Time }) },
      409: { description: "There is an administrator already" },
    },
    handle: async ({ c, ctx }) => {
      const { link, expiresAt } = await makeSetupLink(ctx);
      return c.json({ link, expiresAt: iso(expiresAt) }, 201);
    },
  }),
];
