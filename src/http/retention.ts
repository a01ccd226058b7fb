import * as v from "valibot";
import { ROUNDED_DECIMALS } from "../../codec/collect.ts";
import { type CollectionProfile, changeCollection, collectionProfile } from "../collection.ts";
import { changeGroup, createGroup, type Group, groupOf, listGroups, membersOf, removeGroup } from "../groups.ts";
import { LIMITS } from "../limits.ts";
import { changeRetention, dayStart, type Retention, retentionOf } from "../retention-settings.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, Name, PathId, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

export const Days = v.pipe(
  v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LIMITS.retentionDaysMax))),
  v.description("Calendar days in the time zone of the account; null: as the next wider one says"),
);
const Confirm = v.pipe(
  v.string(),
  v.maxLength(100),
  v.description("What the answer 409 gave, within 15 minutes, for the same change"),
);

export const RetentionInput = v.strictObject({
  timeZone: v.exactOptional(v.pipe(v.string(), v.maxLength(64), v.description("IANA name, such as Europe/Vienna"))),
  account: v.exactOptional(v.strictObject({ days: Days })),
  groups: v.exactOptional(
    v.pipe(v.array(v.strictObject({ id: Id, days: Days })), v.maxLength(LIMITS.groupsPerAccount)),
  ),
  devices: v.exactOptional(
    v.pipe(
      v.array(v.strictObject({ id: Id, days: v.exactOptional(Days), groupId: v.exactOptional(v.nullable(Id)) })),
      v.maxLength(LIMITS.devicesPerLimit),
    ),
  ),
  confirm: v.exactOptional(Confirm),
});

const count = v.pipe(v.number(), v.integer());

const RetentionJson = v.object({
  timeZone: v.string(),
  default: v.object({ months: count }),
  account: v.object({ days: v.nullable(count) }),
  groups: v.array(v.object({ id: Id, name: v.string(), days: v.nullable(count), devices: count })),
  devices: v.array(
    v.object({
      id: Id,
      name: v.string(),
      groupId: v.nullable(Id),
      days: v.nullable(count),
      scope: v.pipe(v.string(), v.description("Whose period it is: device:<id>, group:<id> or account")),
      period: v.object({ months: v.optional(count), days: v.optional(count) }),
      oldest: v.pipe(
        MaybeTime,
        v.description("Of its oldest position: the fix, or the receipt where that cannot be right"),
      ),
      endsAt: v.pipe(MaybeTime, v.description("When that is past its period; it is deleted within the hour")),
    }),
  ),
  purges: v.pipe(
    v.array(v.object({ day: v.pipe(v.string(), v.isoDate()), positions: count })),
    v.description("How many positions were deleted, by day (UTC), newest first"),
  ),
});

const retentionJson = ({
  days,
  defaultMonths,
  devices,
  purges,
  ...rest
}: Retention): v.InferOutput<typeof RetentionJson> => ({
  ...rest,
  default: { months: defaultMonths },
  account: { days },
  devices: devices.map(({ oldest, endsAt, ...device }) => ({
    ...device,
    oldest: isoOrNull(oldest),
    endsAt: isoOrNull(endsAt),
  })),
  purges: purges.map(({ day, positions }) => ({ day: iso(dayStart(day)).slice(0, 10), positions })),
});

const GroupJson = v.object({ id: Id, name: v.string(), days: v.nullable(count), createdAt: Time });
const OneGroupJson = v.object({ ...GroupJson.entries, devices: v.array(Id) });
const groupJson = ({ id, name, retentionDays, createdAt }: Group) => ({
  ...{ id, name, days: retentionDays, createdAt: iso(createdAt) },
});

export const GroupPath = v.object({ id: PathId });
export const findGroup = (ctx: Parameters<typeof groupOf>[0], { id }: { id: number }) => groupOf(ctx, id);

export const GroupInput = v.strictObject({
  name: v.exactOptional(Name),
  days: v.exactOptional(Days),
  devices: v.exactOptional(
    v.pipe(v.array(Id), v.maxLength(LIMITS.devicesPerLimit), v.description("All that are to be in it")),
  ),
  confirm: v.exactOptional(Confirm),
});

const PREVIEW =
  "What deletes positions answers 409 `confirmation_required` first: `positions` and `oldest` in all and for each of `devices`, and `confirm` to send with the same request.";

const [, ...ROUNDED] = ROUNDED_DECIMALS;
export const CollectionJson = v.strictObject({
  speed: v.pipe(v.boolean(), v.description("Also of the tachograph, of trips and of overspeeding")),
  cell: v.pipe(v.boolean(), v.description("Cell towers and WiFi access points")),
  driver: v.pipe(v.boolean(), v.description("The card or key that a driver presented")),
  coordinates: v.pipe(
    v.union([v.literal("exact"), v.picklist(ROUNDED)], "must be exact, 4, 3 or 2"),
    v.description("Decimal places of a degree: 4 are about 10 m, 3 about 100 m, 2 about 1 km"),
  ),
});

const collectionJson = ({ decimals, ...rest }: CollectionProfile): v.InferOutput<typeof CollectionJson> => ({
  ...rest,
  coordinates: decimals ?? "exact",
});

export const collectionIn = ({ coordinates, ...rest }: v.InferOutput<typeof CollectionJson>): CollectionProfile => ({
  ...rest,
  decimals: coordinates === "exact" ? null : coordinates,
});

export const RETENTION: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/me/retention",
    access: "customer",
    tag: "Profile",
    summary: "Read how long positions are kept, and when the oldest go",
    answers: { 200: { description: "Of the account, its groups and the devices within reach", schema: RetentionJson } },
    handle: async ({ c, ctx }) => c.json(retentionJson(await retentionOf(ctx))),
  }),
  route({
    method: "PUT",
    path: "/v1/me/retention",
    access: "manager",
    right: true,
    confirmed: true,
    tag: "Profile",
    summary: "Set how long positions are kept",
    description: `What is named is set, the rest stays. Of device, group and account the most specific wins. A longer period holds at once and brings back nothing that was over; a shorter one needs a fresh proof of who asks. ${PREVIEW}`,
    body: RetentionInput,
    answers: { 200: { description: "As it is now", schema: RetentionJson } },
    handle: async ({ c, ctx, body }) => {
      const { confirm, ...change } = body;
      await changeRetention(ctx, change, confirm);
      return c.json(retentionJson(await retentionOf(ctx)));
    },
  }),
  route({
    method: "GET",
    path: "/v1/me/collection",
    access: "customer",
    tag: "Profile",
    summary: "Read what is stored of each position",
    answers: { 200: { description: "What is kept; false: left out", schema: CollectionJson } },
    handle: async ({ c, ctx }) => c.json(collectionJson(await collectionProfile(ctx))),
  }),
  route({
    method: "PUT",
    path: "/v1/me/collection",
    access: "manager",
    right: true,
    tag: "Profile",
    summary: "Say what is stored of each position from now on",
    description:
      "What is left out is taken away before anything is stored, and so is what a tracker sends without a known meaning while anything is. What is stored already stays as it is.",
    body: CollectionJson,
    answers: { 200: { description: "As it is now", schema: CollectionJson } },
    handle: async ({ c, ctx, body }) => {
      await changeCollection(ctx, collectionIn(body));
      return c.json(collectionJson(await collectionProfile(ctx)));
    },
  }),
  route({
    method: "POST",
    path: "/v1/groups",
    access: "write",
    tag: "Devices",
    summary: "Make a group of devices that are kept alike",
    body: v.strictObject({ name: Name, days: v.optional(Days, null) }),
    idempotent: true,
    answers: { 201: { description: "The group, without devices", schema: GroupJson, headers: ["Location"] } },
    handle: async ({ c, ctx, body }) => {
      const group = await createGroup(ctx, body.name, body.days);
      return c.json(groupJson(group), 201, { Location: `/v1/groups/${group.id}` });
    },
  }),
  route({
    method: "GET",
    path: "/v1/groups",
    access: "read",
    tag: "Devices",
    summary: "List groups of devices",
    query: ListQuery,
    answers: { 200: { description: "One page of groups", schema: listOf(GroupJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listGroups(ctx, query.cursor ?? 0, query.limit + 1), query.limit, groupJson)),
  }),
  route({
    method: "GET",
    path: "/v1/groups/{id}",
    access: "read",
    tag: "Devices",
    summary: "Read a group and which devices are in it",
    params: GroupPath,
    find: findGroup,
    answers: { 200: { description: "The group", schema: OneGroupJson } },
    handle: async ({ c, ctx, object }) => c.json({ ...groupJson(object), devices: await membersOf(ctx, object.id) }),
  }),
  route({
    method: "PATCH",
    path: "/v1/groups/{id}",
    access: "write",
    confirmed: true,
    tag: "Devices",
    summary: "Rename a group, set its period, say which devices are in it",
    description: `Only the fields that are given. ${PREVIEW}`,
    params: GroupPath,
    body: GroupInput,
    find: findGroup,
    answers: { 200: { description: "The group as it is now", schema: OneGroupJson } },
    handle: async ({ c, ctx, object, body }) => {
      const { confirm, ...change } = body;
      const group = await changeGroup(ctx, object, change, confirm);
      return c.json({ ...groupJson(group), devices: await membersOf(ctx, group.id) });
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/groups/{id}",
    access: "write",
    confirmed: true,
    tag: "Devices",
    summary: "Delete a group; its devices stay",
    description: `They are then kept as the account says, unless they have a period of their own. ${PREVIEW}`,
    params: GroupPath,
    query: v.strictObject({ confirm: v.optional(Confirm) }),
    find: findGroup,
    answers: { 204: { description: "Gone" } },
    handle: async ({ c, ctx, object, query }) => {
      await removeGroup(ctx, object, query.confirm);
      return c.body(null, 204);
    },
  }),
];
