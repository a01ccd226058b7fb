import * as v from "valibot";
import { SCOPES } from "../access.ts";
import {
  type Account,
  type AccountDetail,
  accountById,
  accountDetail,
  type CountedAccount,
  createAccount,
  findAccounts,
  listAccounts,
  resetFactors,
  resumeAccount,
  suspendAccount,
  unmaskAccount,
} from "../accounts.ts";
import { type Bridge, createBridge, listBridges, revokeBridge } from "../bridges.ts";
import type { Ctx } from "../context.ts";
import { listAllDevices } from "../devices.ts";
import { type ApiKey, createOperatorKey, listKeys, revokeKey } from "../keys.ts";
import { LIMITS } from "../limits.ts";
import { type PlacementRow, placeAccount, placementOf } from "../placing.ts";
import { placeOf } from "../telemetry.ts";
import { DeviceJson, deviceJson } from "./devices.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, Name, PathId, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const State = v.picklist(["unverified", "active", "suspended", "closing"]);
const count = v.pipe(v.number(), v.integer());
export const AccountJson = v.object({
  id: Id,
  name: v.string(),
  createdAt: Time,
  state: State,
  users: count,
  devices: count,
});

const accountJson = ({ id, name, createdAt, state, users, devices }: CountedAccount) => ({
  id,
  name,
  createdAt: iso(createdAt),
  state,
  users,
  devices,
});

const Shown = v.object({
  id: Id,
  role: v.string(),
  email: v.string(),
  name: v.nullable(v.string()),
  mobile: v.nullable(v.string()),
  createdAt: Time,
  lastSignInAt: MaybeTime,
  disabledAt: MaybeTime,
});
const text = v.nullable(v.string());
const Address = v.object({
  kind: v.string(),
  recipient: text,
  line1: v.string(),
  line2: text,
  city: v.string(),
  region: text,
  postcode: text,
  country: v.string(),
});
const AccountDetailJson = v.object({
  id: Id,
  name: v.string(),
  createdAt: Time,
  state: State,
  stateReason: text,
  paymentMode: text,
  region: v.pipe(v.string(), v.description("Where its tracks are")),
  people: v.pipe(v.nullable(v.array(Shown)), v.description("Masked; null for finance staff")),
  addresses: v.pipe(v.nullable(v.array(Address)), v.description("For finance staff; null for the others")),
});

const detailJson = (
  ctx: Ctx,
  { id, name, createdAt, state, stateReason, paymentMode, people, addresses, telemetry }: AccountDetail,
) => ({
  id,
  name,
  createdAt: iso(createdAt),
  state,
  stateReason,
  paymentMode,
  region: placeOf(ctx, { telemetry }).region,
  people:
    people?.map((person) => ({
      ...person,
      createdAt: iso(person.createdAt),
      lastSignInAt: isoOrNull(person.lastSignInAt),
      disabledAt: isoOrNull(person.disabledAt),
    })) ?? null,
  addresses: addresses?.map(({ accountId: _, updatedAt: __, ...address }) => address) ?? null,
});

const MoveJson = v.object({
  id: Id,
  fromDatabase: v.string(),
  fromRegion: v.string(),
  toDatabase: v.string(),
  toRegion: v.string(),
  reason: text,
  at: Time,
  state: v.pipe(
    v.picklist(["copying", "holding", "erasing", "done"]),
    v.description("erasing: the tracks are there, and are being erased at the source"),
  ),
  switchedAt: MaybeTime,
  finishedAt: v.pipe(MaybeTime, v.description("When the last of them was erased at the source")),
});

const moveJson = (row: PlacementRow) => ({
  id: row.id,
  fromDatabase: row.fromDatabase,
  fromRegion: row.fromRegion,
  toDatabase: row.toDatabase,
  toRegion: row.toRegion,
  reason: row.reason,
  at: iso(row.at),
  state: row.state,
  switchedAt: isoOrNull(row.switchedAt),
  finishedAt: isoOrNull(row.finishedAt),
});

const PlacementJson = v.object({
  database: v.string(),
  region: v.string(),
  databases: v.pipe(
    v.array(v.object({ name: v.string(), region: v.string() })),
    v.description("Where it can be placed"),
  ),
  moves: v.pipe(v.array(MoveJson), v.description("The newest first")),
});
const NewPlacement = v.strictObject({
  database: v.pipe(v.string(), v.maxLength(32)),
  reason: v.optional(
    v.nullable(v.pipe(v.string(), v.description("Needed when the region changes; the customer reads it"))),
    null,
  ),
});

const StateJson = v.object({ id: Id, state: State, stateReason: text });
const stateJson = ({ id, state, stateReason }: Account) => ({ id, state, stateReason });

export const ApiKeyJson = v.object({
  id: Id,
  accountId: Id,
  name: v.nullable(v.string()),
  scope: v.picklist(SCOPES),
  createdAt: Time,
  lastUsedAt: MaybeTime,
  revokedAt: MaybeTime,
  expiresAt: MaybeTime,
  deviceLimited: v.boolean(),
  devices: v.pipe(v.array(Id), v.description("The only devices that exist for a limited key; empty for another")),
  madeBy: v.pipe(v.nullable(Id), v.description("The user who made it; null: the operator, or somebody who is gone")),
});
export const MadeKey = v.object({
  ...ApiKeyJson.entries,
  key: v.pipe(v.string(), v.description("Shown this once only")),
});

export const keyJson = (key: ApiKey) => ({
  id: key.id,
  accountId: key.accountId,
  name: key.name,
  scope: key.scope,
  createdAt: iso(key.createdAt),
  lastUsedAt: isoOrNull(key.lastUsedAt),
  revokedAt: isoOrNull(key.revokedAt),
  expiresAt: isoOrNull(key.expiresAt),
  deviceLimited: key.devices !== null,
  devices: key.devices ?? [],
  madeBy: key.madeBy,
});

export const BridgeJson = v.object({ id: Id, name: v.string(), createdAt: Time, revokedAt: MaybeTime });
const MadeBridge = v.object({
  ...BridgeJson.entries,
  token: v.pipe(v.string(), v.description("Shown this once only")),
});

const bridgeJson = ({ id, name, createdAt, revokedAt }: Bridge) => ({
  id,
  name,
  createdAt: iso(createdAt),
  revokedAt: isoOrNull(revokedAt),
});

const AnyDevice = v.object({ ...DeviceJson.entries, accountId: Id });

const ById = v.object({ id: PathId });
const Reasoned = v.strictObject({
  reason: v.pipe(
    v.string(),
    v.description(`${LIMITS.reasonMinCharacters} to ${LIMITS.reasonMaxCharacters} characters`),
  ),
});
const NewNamed = v.strictObject({ name: Name });
const NewKey = v.strictObject({ scope: v.picklist(SCOPES), name: v.optional(v.nullable(Name), null) });

const OfPerson = v.object({ id: PathId, userId: PathId });
const findAccount = (ctx: Ctx, { id }: { id: number }) => accountById(ctx, id);

const access = "admin";
const tag = "Administration";

/** The operator's routes: accounts, their keys, bridges and all devices. Jobs and unclaimed IMEIs: operations.ts. */
export const ADMIN: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/admin/accounts",
    access,
    tag,
    summary: "Open an account",
    body: NewNamed,
    answers: { 201: { description: "The account", schema: AccountJson } },
    handle: async ({ c, ctx, body }) => c.json(accountJson(await createAccount(ctx, body.name)), 201),
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts",
    access: "staff",
    tag,
    summary: "List accounts",
    query: ListQuery,
    answers: { 200: { description: "One page of accounts", schema: listOf(AccountJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listAccounts(ctx, query.cursor ?? 0, query.limit + 1), query.limit, accountJson)),
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/find",
    access: "staff",
    tag,
    summary: "Find an account",
    description:
      "By its number, its whole name or the whole e-mail address of one of its people. In a body, as an address may be in no URL.",
    body: v.strictObject({ term: v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(LIMITS.emailCharacters)) }),
    answers: { 200: { description: "The accounts, masked", schema: v.object({ data: v.array(AccountJson) }) } },
    handle: async ({ c, ctx, body }) => c.json({ data: (await findAccounts(ctx, body.term)).map(accountJson) }),
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts/{id}",
    access: "staff",
    tag,
    summary: "Read an account",
    description: "Its people masked; for finance staff how it pays and its addresses instead.",
    params: ById,
    find: findAccount,
    answers: { 200: { description: "The account", schema: AccountDetailJson } },
    handle: async ({ c, ctx, object }) => c.json(detailJson(ctx, await accountDetail(ctx, object))),
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/unmask",
    access: "support",
    tag,
    stepUp: true,
    summary: "Read an account without masks",
    description: "The customer sees that it was done, and the reason.",
    params: ById,
    find: findAccount,
    body: Reasoned,
    answers: { 200: { description: "The account with its values", schema: AccountDetailJson } },
    handle: async ({ c, ctx, object, body }) => c.json(detailJson(ctx, await unmaskAccount(ctx, object, body.reason))),
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/users/{userId}/reset-factors",
    access,
    tag,
    stepUp: true,
    summary: "Remove the second factors of somebody who lost them",
    description: "They are told by mail and still need their password. The customer reads the reason.",
    params: OfPerson,
    find: findAccount,
    body: Reasoned,
    answers: { 204: { description: "Removed, and every session of theirs ended" } },
    handle: async ({ c, ctx, params, object, body }) => {
      await resetFactors(ctx, object, params.userId, body.reason);
      return c.body(null, 204);
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/suspend",
    access,
    tag,
    stepUp: true,
    summary: "Suspend an account",
    description: "It can still read, export, correct and erase. The customer reads the reason.",
    params: ById,
    find: findAccount,
    body: Reasoned,
    answers: { 200: { description: "Suspended", schema: StateJson } },
    handle: async ({ c, ctx, object, body }) => c.json(stateJson(await suspendAccount(ctx, object, body.reason))),
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts/{id}/placement",
    access,
    tag,
    summary: "Read where an account's tracks are and were",
    params: ById,
    find: findAccount,
    answers: { 200: { description: "Its database, the others, and every move", schema: PlacementJson } },
    handle: async ({ c, ctx, object }) => {
      const { moves, ...place } = await placementOf(ctx, object);
      return c.json({ ...place, moves: moves.map(moveJson) });
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/placement",
    access,
    tag,
    stepUp: true,
    summary: "Place an account's tracks in another database",
    description:
      "They are moved while everything goes on, and erased at the source a minute later. What is much is moved by a job.",
    params: ById,
    find: findAccount,
    body: NewPlacement,
    answers: { 200: { description: "The move, as far as it got", schema: MoveJson } },
    handle: async ({ c, ctx, object, body }) =>
      c.json(moveJson(await placeAccount(ctx, object, body.database, body.reason))),
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/resume",
    access,
    tag,
    stepUp: true,
    summary: "Let a suspended account go on",
    params: ById,
    find: findAccount,
    answers: { 200: { description: "Active", schema: StateJson } },
    handle: async ({ c, ctx, object }) => c.json(stateJson(await resumeAccount(ctx, object))),
  }),
  route({
    method: "POST",
    path: "/v1/admin/accounts/{id}/keys",
    access,
    tag,
    stepUp: true,
    summary: "Make an API key",
    description:
      "For an account without an owner; otherwise its own people make its keys. The key is in this answer only.",
    params: ById,
    body: NewKey,
    find: findAccount,
    answers: { 201: { description: "The key", schema: MadeKey } },
    handle: async ({ c, ctx, object, body }) => {
      const { key, ...row } = await createOperatorKey(ctx, object.id, body);
      return c.json({ ...keyJson(row), key }, 201);
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts/{id}/keys",
    access,
    tag,
    summary: "List an account's API keys",
    params: ById,
    query: ListQuery,
    find: findAccount,
    answers: { 200: { description: "One page of keys, revoked ones too", schema: listOf(ApiKeyJson) } },
    handle: async ({ c, ctx, object, query }) =>
      c.json(page(await listKeys(ctx, object.id, query.cursor ?? 0, query.limit + 1), query.limit, keyJson)),
  }),
  route({
    method: "DELETE",
    path: "/v1/admin/keys/{id}",
    access,
    tag,
    stepUp: true,
    summary: "Revoke an API key",
    params: ById,
    answers: { 204: { description: "It no longer works" } },
    handle: async ({ c, ctx, params }) => {
      await revokeKey(ctx, params.id);
      return c.body(null, 204);
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/bridges",
    access,
    tag,
    stepUp: true,
    summary: "Register a bridge",
    description: "Beside the bridge of the configuration. The token is in this answer only.",
    body: NewNamed,
    answers: { 201: { description: "The bridge and its token", schema: MadeBridge } },
    handle: async ({ c, ctx, body }) => {
      const { token, ...row } = await createBridge(ctx, body.name);
      return c.json({ ...bridgeJson(row), token }, 201);
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/bridges",
    access,
    tag,
    summary: "List bridges",
    query: ListQuery,
    answers: { 200: { description: "One page of bridges, revoked ones too", schema: listOf(BridgeJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listBridges(ctx, query.cursor ?? 0, query.limit + 1), query.limit, bridgeJson)),
  }),
  route({
    method: "DELETE",
    path: "/v1/admin/bridges/{id}",
    access,
    tag,
    stepUp: true,
    summary: "Revoke a bridge",
    params: ById,
    answers: { 204: { description: "Its token no longer works" } },
    handle: async ({ c, ctx, params }) => {
      await revokeBridge(ctx, params.id);
      return c.body(null, 204);
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/devices",
    access,
    tag,
    summary: "List the devices of all accounts",
    query: ListQuery,
    answers: { 200: { description: "One page of devices", schema: listOf(AnyDevice) } },
    handle: async ({ c, ctx, query }) => {
      const devices = await listAllDevices(ctx, query.cursor ?? 0, query.limit + 1);
      return c.json(page(devices, query.limit, (device) => ({ ...deviceJson(device), accountId: device.accountId })));
    },
  }),
];
