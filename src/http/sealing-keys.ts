import * as v from "valibot";
import {
  addCustomerKey,
  type CustomerKey,
  checkOfKey,
  customerKeyOf,
  listCustomerKeys,
  revokeCustomerKey,
  SEALING_KEY_KINDS,
} from "../customer-keys.ts";
import { toBase64Url } from "../seal.ts";
import { Id, iso, isoOrNull, MaybeTime, PathId, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const EXAMPLE = "71tX5lqkhdsY_N2ZDRwd513Sgp0Vu3YIecF3C9iqF14";

/** Also the form of the page. */
export const NewSealingKey = v.strictObject({
  kind: v.pipe(
    v.picklist(SEALING_KEY_KINDS),
    v.description("One of each can be in use. Keep the file of the offline key apart, for when the other is lost"),
  ),
  publicKey: v.pipe(
    v.string(),
    v.maxLength(100),
    v.description("X25519, 32 bytes as base64url"),
    v.examples([EXAMPLE]),
  ),
  check: v.pipe(
    v.string(),
    v.maxLength(20),
    v.description("What the key file says beside the key: the first 32 bits of its SHA-256 as 8 hex digits"),
    v.examples(["0da3-a888"]),
  ),
  lostKeyIsFinal: v.pipe(
    v.boolean(),
    v.description("true: you know that nobody, the operator least of all, can open what is sealed to a lost key"),
  ),
});

const SealingKeyJson = v.object({
  id: Id,
  kind: v.picklist(SEALING_KEY_KINDS),
  publicKey: v.pipe(v.string(), v.examples([EXAMPLE])),
  check: v.string(),
  createdAt: Time,
  revokedAt: v.pipe(MaybeTime, v.description("Since then nothing is sealed to it; it still opens what was")),
});

async function keyJson(key: CustomerKey): Promise<v.InferOutput<typeof SealingKeyJson>> {
  const { id, kind, publicKey, createdAt, revokedAt } = key;
  const check = await checkOfKey(key);
  return {
    id,
    kind,
    publicKey: toBase64Url(publicKey),
    check,
    createdAt: iso(createdAt),
    revokedAt: isoOrNull(revokedAt),
  };
}

const tag = "Sealing";

export const SEALING_KEYS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/me/sealing-keys",
    access: "customer",
    tag,
    summary: "List the keys that the account's positions are sealed to",
    description: "Revoked ones too: they still open what was sealed to them. None in use: nothing is sealed to you.",
    answers: { 200: { description: "Oldest first", schema: v.object({ data: v.array(SealingKeyJson) }) } },
    handle: async ({ c, ctx }) => c.json({ data: await Promise.all((await listCustomerKeys(ctx)).map(keyJson)) }),
  }),
  route({
    method: "POST",
    path: "/v1/me/sealing-keys",
    access: "owner",
    tag,
    summary: "Seal the account's positions to a key of yours",
    description:
      "From now on what trackers send is sealed to your keys at the edge, within the hour after it came; until then, and " +
      "on its way from the tracker, the platform sees it. What is stored already stays as it is. Nobody can open what is " +
      "sealed to a lost key, ever.",
    body: NewSealingKey,
    stepUp: true,
    answers: { 201: { description: "The key", schema: SealingKeyJson } },
    handle: async ({ c, ctx, body }) => c.json(await keyJson(await addCustomerKey(ctx, body)), 201),
  }),
  route({
    method: "DELETE",
    path: "/v1/me/sealing-keys/{id}",
    access: "owner",
    tag,
    summary: "Seal nothing more to a key",
    description:
      "It still opens what was sealed to it. After the last one, positions are stored for you to read without a key.",
    params: v.object({ id: PathId }),
    find: (ctx, { id }) => customerKeyOf(ctx, id),
    right: true,
    stepUp: true,
    answers: { 204: { description: "Nothing more is sealed to it" } },
    handle: async ({ c, ctx, object }) => {
      await revokeCustomerKey(ctx, object.id);
      return c.body(null, 204);
    },
  }),
];
