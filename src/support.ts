import { accountOf, personOf, reachOf } from "./access.ts";
import { type AuditRow, listActions, record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { isSealed } from "./customer-keys.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { keyMakers } from "./store/keys.ts";
import { listOwners } from "./store/members.ts";
import type { Look, LookRow, WindowRow } from "./store/support.ts";
import * as store from "./store/support.ts";
import { notSuspended } from "./store/suspensions.ts";

export type { LookRow, WindowRow as SupportWindow } from "./store/support.ts";

// The operator's staff see no location of a customer unless an owner lets them, for a while; the customer sees each look.

/**
 * Lets the operator's staff see the account's locations; the other owners are told.
 * @throws {AppError} invalid; conflict when a window is open already
 */
export async function openWindow(ctx: Ctx, minutes: number): Promise<WindowRow> {
  const { windowMinMinutes: min, windowMaxMinutes: max } = LIMITS;
  if (!Number.isInteger(minutes) || minutes < min || minutes > max) {
    throw new AppError("invalid", `minutes must be a whole number from ${min} to ${max}`, { field: "minutes" });
  }
  const accountId = accountOf(ctx);
  const { userId } = personOf(ctx);
  const others = (await listOwners(ctx.db, accountId)).filter(({ id }) => id !== userId);
  const link = others.length === 0 ? "" : await linkTo(ctx, "/support");
  const openedAt = ctx.now();
  const expiresAt = openedAt + minutes * 60_000;
  const id = await store.insertWindow(ctx.db, accountId, { openedBy: userId, openedAt, expiresAt });
  if (id === null) throw new AppError("conflict", "A window is open already: close it first, or let it end");
  await record(ctx, "window.opened", { accountId, subject: `window ${id}` });
  for (const { id: to, email, language, timeZone } of others) {
    const format = { dateStyle: "medium", timeStyle: "short", timeZone } as const;
    const until = `${new Intl.DateTimeFormat(language, format).format(expiresAt)} (${timeZone})`;
    await queueMail(ctx, "windowOpened", { to: email, userId: to, language, data: { until, link } });
  }
  return { id, accountId, openedBy: userId, openedAt, expiresAt, closedAt: null };
}

/** @throws {AppError} not_found, also for a window of another account */
export async function windowOf(ctx: Ctx, id: number): Promise<WindowRow> {
  const window = await store.windowById(ctx.db, accountOf(ctx), id);
  if (window === null) throw new AppError("not_found", "No such window");
  return window;
}

export const isOpen = (window: WindowRow, now: number) => window.closedAt === null && window.expiresAt > now;

/** The account's windows, newest first. @param before the last id of the page before */
export function listWindows(ctx: Ctx, before: number, limit: number): Promise<WindowRow[]> {
  return store.listWindows(ctx.db, accountOf(ctx), before, limit);
}

/** Ends a window at once. One that is over already stays as it is. */
export async function closeWindow(ctx: Ctx, id: number): Promise<void> {
  const accountId = accountOf(ctx);
  if (!(await store.closeWindow(ctx.db, accountId, id, ctx.now()))) return;
  await record(ctx, "window.closed", { accountId, subject: `window ${id}` });
}

/**
 * Each look of the operator at locations that the caller may see too, newest first.
 * @param before the last id of the page before
 */
export function listLooks(ctx: Ctx, before: number, limit: number): Promise<LookRow[]> {
  return store.listLooks(ctx.db, reachOf(ctx), before, limit);
}

/** An act in the account; `keyMadeBy` is the person behind the key that did it. */
export type Instruction = AuditRow & { keyMadeBy: number | null };

/** What was done in the caller's account, newest first. @param before the last id of the page before */
export async function listInstructions(ctx: Ctx, before: number, limit: number): Promise<Instruction[]> {
  const accountId = accountOf(ctx);
  const acts = await listActions(ctx, accountId, before, limit);
  const keys = acts.flatMap(({ actor, actorId }) => (actor === "key" && actorId !== null ? [actorId] : []));
  const makers = keys.length === 0 ? new Map<number, number>() : await keyMakers(ctx.db, accountId, keys);
  return acts.map((act) => ({
    ...act,
    keyMadeBy: act.actor === "key" ? (makers.get(act.actorId ?? 0) ?? null) : null,
  }));
}

/**
 * The context in which the operator reads an account's locations: with the eyes of a key of that account that may only
 * read. The look is written down before anything is read; a refused try is recorded too, where the customer sees it.
 * @param deviceId null: all devices
 * @throws {AppError} forbidden when no window of the account is open; sealed when its positions are for its own key only
 */
export async function lookInto(ctx: Ctx, accountId: number, deviceId: number | null, what: Look): Promise<Ctx> {
  const { principal } = ctx;
  const by =
    principal.kind === "admin"
      ? ({ actor: "admin_token", staffId: null } as const)
      : ({ actor: "staff", staffId: personOf(ctx).userId } as const);
  if (await isSealed(ctx, accountId)) {
    // What waits to be sealed could be read; nobody but the customer is to see it either.
    await record(ctx, "look.refused", { accountId, subject: deviceId === null ? null : `device ${deviceId}` });
    throw new AppError("sealed", "This account seals its positions to a key of its own: only its people can read them");
  }
  if (!(await store.insertLook(ctx.db, accountId, { ...by, deviceId, what, at: ctx.now() }))) {
    await record(ctx, "look.refused", { accountId, subject: deviceId === null ? null : `device ${deviceId}` });
    throw new AppError(
      "forbidden",
      "No window is open: an owner of the account must first let staff see its locations, on the page Who looked",
    );
  }
  return asAccount(ctx, accountId);
}

/** Looks at an account with the eyes of a key of it that may only read: of what is suspended it sees nothing. */
export async function asAccount(ctx: Ctx, accountId: number, devices: readonly number[] | null = null): Promise<Ctx> {
  const key = { kind: "key", accountId, keyId: 0, scope: "read", devices, standing: "good" } as const;
  const readable = await notSuspended(ctx.db, accountId);
  return { ...ctx, principal: readable === null ? key : { ...key, readable } };
}
