import * as v from "valibot";
import { accountById } from "../accounts.ts";
import { deviceOf } from "../devices.ts";
import { LIMITS } from "../limits.ts";
import { history, latest } from "../positions.ts";
import {
  asAccount,
  closeWindow,
  type Instruction,
  isOpen,
  type LookRow,
  listInstructions,
  listLooks,
  listWindows,
  lookInto,
  openWindow,
  type SupportWindow,
  windowOf,
} from "../support.ts";
import { Id, iso, isoOrNull, Limit, ListQuery, listOf, MaybeTime, PathId, page, Time } from "./fields.ts";
import { Cursor, PositionJson, WINDOW } from "./positions.ts";
import { type Route, route } from "./route.ts";

const WindowJson = v.object({
  id: Id,
  openedAt: Time,
  openedBy: v.pipe(v.nullable(Id), v.description("The owner; null: they are gone")),
  expiresAt: Time,
  closedAt: v.pipe(MaybeTime, v.description("When an owner closed it before its time")),
  open: v.boolean(),
});

const windowJson = (window: SupportWindow, now: number): v.InferOutput<typeof WindowJson> => ({
  id: window.id,
  openedAt: iso(window.openedAt),
  openedBy: window.openedBy,
  expiresAt: iso(window.expiresAt),
  closedAt: isoOrNull(window.closedAt),
  open: isOpen(window, now),
});

const LookJson = v.object({
  id: Id,
  at: Time,
  windowId: v.pipe(v.nullable(Id), v.description("null: it needed none, as a law or an order let them")),
  actor: v.pipe(v.picklist(["staff", "admin_token"]), v.description("One of the operator's staff, or their token")),
  staffId: v.nullable(Id),
  staffRole: v.nullable(v.string()),
  deviceId: v.pipe(v.nullable(Id), v.description("null: all devices")),
  what: v.pipe(
    v.picklist(["latest", "track", "held"]),
    v.description("The newest position of each device, a track, or what is kept for a legal reason"),
  ),
});

const lookJson = ({ at, windowId, ...look }: LookRow): v.InferOutput<typeof LookJson> => ({
  ...{ ...look, at: iso(at), windowId: windowId === 0 ? null : windowId },
});

const InstructionJson = v.object({
  id: Id,
  at: Time,
  actor: v.pipe(v.string(), v.description("user, key, staff, admin_token, job or system")),
  actorId: v.pipe(v.nullable(Id), v.description("Of the user, key or staff member")),
  keyMadeBy: v.pipe(v.nullable(Id), v.description("The user who made the key that did it")),
  action: v.string(),
  subject: v.pipe(v.nullable(v.string()), v.description("Kind and id of what it was done to")),
  reason: v.pipe(v.nullable(v.string()), v.description("The operator's, where one was asked for")),
});

const instructionJson = ({ id, at, actor, actorId, keyMadeBy, action, subject, reason }: Instruction) => ({
  id,
  at: iso(at),
  actor,
  actorId,
  keyMadeBy,
  action,
  subject,
  reason,
});

/** Lists that begin with the newest: an id before which the page begins. */
export const NEWEST = Number.MAX_SAFE_INTEGER;

const positionPage = { description: "One page of positions", schema: listOf(PositionJson) };
const tag = "Account";

export const SUPPORT: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/me/instructions",
    access: "owner",
    tag,
    summary: "List what was done in the account, by whom and when",
    description: "The newest first: by its members and keys, and by the operator.",
    query: ListQuery,
    answers: { 200: { description: "One page of acts", schema: listOf(InstructionJson) } },
    handle: async ({ c, ctx, query: { cursor = NEWEST, limit } }) =>
      c.json(page(await listInstructions(ctx, cursor, limit + 1), limit, instructionJson)),
  }),
  route({
    method: "GET",
    path: "/v1/looks",
    access: "customer",
    tag,
    summary: "List who looked: each read of the account's locations by the operator",
    description: "The newest first. There is none outside of a support window, but for what a law or an order keeps.",
    query: ListQuery,
    answers: { 200: { description: "One page of looks", schema: listOf(LookJson) } },
    handle: async ({ c, ctx, query: { cursor = NEWEST, limit } }) =>
      c.json(page(await listLooks(ctx, cursor, limit + 1), limit, lookJson)),
  }),
  route({
    method: "GET",
    path: "/v1/support-windows",
    access: "customer",
    tag,
    summary: "List support windows, the newest first",
    query: ListQuery,
    answers: { 200: { description: "One page of windows", schema: listOf(WindowJson) } },
    handle: async ({ c, ctx, query: { cursor = NEWEST, limit } }) =>
      c.json(page(await listWindows(ctx, cursor, limit + 1), limit, (window) => windowJson(window, ctx.now()))),
  }),
  route({
    method: "POST",
    path: "/v1/support-windows",
    access: "owner",
    tag,
    summary: "Let the operator's staff see locations for a while",
    description:
      "Positions of all devices of the account, and nothing else. Each look is listed; the other owners get a mail.",
    body: v.strictObject({
      minutes: v.pipe(
        v.number(),
        v.integer(),
        v.minValue(LIMITS.windowMinMinutes),
        v.maxValue(LIMITS.windowMaxMinutes),
      ),
    }),
    stepUp: true,
    answers: { 201: { description: "The window", schema: WindowJson } },
    handle: async ({ c, ctx, body }) => c.json(windowJson(await openWindow(ctx, body.minutes), ctx.now()), 201),
  }),
  route({
    method: "DELETE",
    path: "/v1/support-windows/{id}",
    access: "owner",
    tag,
    summary: "Close a support window",
    params: v.object({ id: PathId }),
    find: (ctx, { id }) => windowOf(ctx, id),
    right: true,
    answers: { 204: { description: "It is over" } },
    handle: async ({ c, ctx, object }) => {
      await closeWindow(ctx, object.id);
      return c.body(null, 204);
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts/{id}/positions/latest",
    access: "support",
    tag: "Administration",
    summary: "Read where an account's devices are, inside a window",
    description:
      "403 unless an owner of the account has opened a support window, 409 where it seals positions to a key of its own. " +
      "The customer sees who looked.",
    params: v.object({ id: PathId }),
    query: v.strictObject({ limit: Limit, cursor: Cursor }),
    find: (ctx, { id }) => accountById(ctx, id),
    refusesSealed: true,
    answers: { 200: positionPage },
    handle: async ({ c, ctx, object, query }) =>
      c.json(await latest(await lookInto(ctx, object.id, null, "latest"), query)),
  }),
  route({
    method: "GET",
    path: "/v1/admin/accounts/{id}/devices/{deviceId}/positions",
    access: "support",
    tag: "Administration",
    summary: "Read a customer's track, inside a window",
    description:
      "403 unless an owner of the account has opened a support window, 409 where it seals positions to a key of its own. " +
      "The customer sees who looked.",
    params: v.object({ id: PathId, deviceId: PathId }),
    query: v.strictObject({ ...WINDOW, limit: Limit, cursor: Cursor }),
    find: async (ctx, { id, deviceId }) => deviceOf(await asAccount(ctx, (await accountById(ctx, id)).id), deviceId),
    refusesSealed: true,
    answers: { 200: positionPage },
    handle: async ({ c, ctx, object, query }) =>
      c.json(await history(await lookInto(ctx, object.accountId, object.id, "track"), object.id, query)),
  }),
];
