import * as v from "valibot";
import { SCOPES } from "../access.ts";
import { createOwnKey, listOwnKeys, ownKey, revokeOwnKey } from "../keys.ts";
import { LIMITS } from "../limits.ts";
import { ApiKeyJson, keyJson, MadeKey } from "./admin.ts";
import { Id, ListQuery, listOf, Name, PathId, page, queryTime } from "./fields.ts";
import { type Route, route } from "./route.ts";

/** Also the form of the page. */
export const NewOwnKey = v.strictObject({
  name: Name,
  scope: v.picklist(SCOPES),
  expiresAt: v.optional(v.nullable(queryTime("It stops working then; null: when it is revoked")), null),
  deviceLimited: v.pipe(
    v.optional(v.boolean(), false),
    v.description("Only the devices that are listed exist for it. Whoever is limited makes limited keys in any case"),
  ),
  devices: v.optional(v.pipe(v.array(Id), v.maxLength(LIMITS.devicesPerLimit)), []),
});

/** What the rule takes. @throws {AppError} through createOwnKey() */
export const newKeyOf = ({ deviceLimited, devices, ...key }: v.InferOutput<typeof NewOwnKey>) => ({
  ...key,
  devices: deviceLimited || devices.length > 0 ? devices : null,
});

const access = "manager";
const tag = "Account";

export const KEYS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/keys",
    access,
    tag,
    summary: "List the account's API keys",
    description: "Revoked and expired ones too. Whoever is limited to some devices sees the keys that they made.",
    query: ListQuery,
    answers: { 200: { description: "One page of keys by id", schema: listOf(ApiKeyJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listOwnKeys(ctx, query.cursor ?? 0, query.limit + 1), query.limit, keyJson)),
  }),
  route({
    method: "POST",
    path: "/v1/keys",
    access,
    tag,
    summary: "Make an API key",
    description:
      "By a signed-in person: a key makes no keys. It is in this answer only; its hash is what is stored. It can do " +
      "nothing that the one who makes it cannot.",
    body: NewOwnKey,
    stepUp: true,
    answers: { 201: { description: "The key", schema: MadeKey } },
    handle: async ({ c, ctx, body }) => {
      const { key, ...row } = await createOwnKey(ctx, newKeyOf(body));
      return c.json({ ...keyJson(row), key }, 201);
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/keys/{id}",
    access,
    tag,
    summary: "Revoke an API key",
    params: v.object({ id: PathId }),
    find: (ctx, { id }) => ownKey(ctx, id),
    right: true,
    answers: { 204: { description: "It no longer works" } },
    handle: async ({ c, ctx, object }) => {
      await revokeOwnKey(ctx, object.id);
      return c.body(null, 204);
    },
  }),
];
