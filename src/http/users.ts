import * as v from "valibot";
import { LIMITS } from "../limits.ts";
import {
  changeMember,
  inviteAgain,
  inviteMember,
  listMembers,
  type Member,
  memberOf,
  removeMember,
} from "../members.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, PathId, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const RoleJson = v.pipe(
  v.picklist(["owner", "manager", "viewer"]),
  v.description("owner: everything; manager: devices, commands and API keys; viewer: only sees"),
);
const DeviceLimit = {
  id: Id,
  mayEdit: v.pipe(v.boolean(), v.description("Also change it and send it commands, where the role allows that")),
};
const Limited = v.pipe(v.boolean(), v.description("Sees only the devices that are listed; never for an owner"));
const NewLimits = v.pipe(
  v.array(v.strictObject({ ...DeviceLimit, mayEdit: v.optional(DeviceLimit.mayEdit, false) })),
  v.maxLength(LIMITS.devicesPerLimit),
);

export const MemberJson = v.object({
  id: Id,
  email: v.string(),
  name: v.nullable(v.string()),
  role: RoleJson,
  deviceLimited: Limited,
  devices: v.pipe(v.array(v.object(DeviceLimit)), v.description("Empty for who is not limited")),
  state: v.pipe(v.picklist(["invited", "active", "disabled"]), v.description("invited: has not come yet")),
  createdAt: Time,
  lastSignInAt: MaybeTime,
});

function memberJson(member: Member): v.InferOutput<typeof MemberJson> {
  const { id, email, name, role, deviceLimited, devices, state, createdAt, lastSignInAt } = member;
  const times = { createdAt: iso(createdAt), lastSignInAt: isoOrNull(lastSignInAt) };
  return { id, email, name, role, deviceLimited, devices, state, ...times };
}

/** Also the form of the page. */
export const Invitation = v.strictObject({
  email: v.pipe(v.string(), v.maxLength(LIMITS.emailCharacters)),
  role: RoleJson,
  deviceLimited: v.optional(Limited, false),
  devices: v.optional(NewLimits, []),
});
export const MemberChange = v.strictObject({
  role: v.exactOptional(RoleJson),
  deviceLimited: v.exactOptional(Limited),
  devices: v.exactOptional(NewLimits),
});

export const MemberPath = v.object({ id: PathId });
export const findMember = (ctx: Parameters<typeof memberOf>[0], { id }: { id: number }) => memberOf(ctx, id);

const InvitedJson = v.object({ status: v.literal("invited") });
const access = "owner";
const tag = "Account";

export const USERS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/users",
    access,
    tag,
    summary: "List the account's members",
    query: ListQuery,
    answers: { 200: { description: "One page of members by id", schema: listOf(MemberJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listMembers(ctx, query.cursor ?? 0, query.limit + 1), query.limit, memberJson)),
  }),
  route({
    method: "POST",
    path: "/v1/users",
    access,
    tag,
    summary: "Invite somebody",
    description:
      "They get a mail with a link that works once, for seven days, and are listed as invited until then. For an address " +
      "that is known elsewhere on the platform the answer is the same, and nothing is sent.",
    body: Invitation,
    stepUp: true,
    answers: { 202: { description: "The invitation is on its way", schema: InvitedJson } },
    handle: async ({ c, ctx, body }) => {
      await inviteMember(ctx, body);
      return c.json({ status: "invited" }, 202);
    },
  }),
  route({
    method: "GET",
    path: "/v1/users/{id}",
    access,
    tag,
    summary: "Read a member",
    params: MemberPath,
    find: findMember,
    answers: { 200: { description: "The member", schema: MemberJson } },
    handle: ({ c, object }) => c.json(memberJson(object)),
  }),
  route({
    method: "POST",
    path: "/v1/users/{id}/invitation",
    access,
    tag,
    summary: "Send an invitation again",
    description: "The link of the one before no longer works.",
    params: MemberPath,
    find: findMember,
    answers: { 202: { description: "The invitation is on its way", schema: InvitedJson } },
    handle: async ({ c, ctx, object }) => {
      await inviteAgain(ctx, object);
      return c.json({ status: "invited" }, 202);
    },
  }),
  route({
    method: "PATCH",
    path: "/v1/users/{id}",
    access,
    tag,
    summary: "Change what a member may do",
    description:
      "Only the fields that are given; `devices` replaces the list. It holds from the member's next request on. API keys " +
      "of theirs that could do more than they now can are revoked.",
    params: MemberPath,
    body: MemberChange,
    find: findMember,
    stepUp: true,
    answers: { 200: { description: "The member as they are now", schema: MemberJson } },
    handle: async ({ c, ctx, object, body }) => c.json(memberJson(await changeMember(ctx, object, body))),
  }),
  route({
    method: "DELETE",
    path: "/v1/users/{id}",
    access,
    tag,
    summary: "Remove a member",
    description: "Their sessions end and the API keys that they made are revoked. The last owner stays.",
    params: MemberPath,
    find: findMember,
    right: true,
    stepUp: true,
    answers: { 204: { description: "Gone" } },
    handle: async ({ c, ctx, object }) => {
      await removeMember(ctx, object.id);
      return c.body(null, 204);
    },
  }),
];
