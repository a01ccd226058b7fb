import { accountOf, reachOf, requireEditable, requireProof } from "./access.ts";
import { type Action, actorOf } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { countOlder, type Older, oldestOf, type Span } from "./older.ts";
import { cutoffOf, endOf, type Keeping, keepingOf, type Period } from "./periods.ts";
import { keyedHash, sameText } from "./seal.ts";
import type { DeviceKeeping, Purge, RetentionState } from "./store/retention-settings.ts";
import * as store from "./store/retention-settings.ts";
import { isTimeZone } from "./time-zones.ts";

export type { Purge } from "./store/retention-settings.ts";

const DAY_MS = 86_400_000;

/** How long positions are kept, and what that means for each device. Times are Unix ms. */
export interface Retention {
  /** IANA name */
  timeZone: string;
  /** Calendar months of who has chosen nothing. */
  defaultMonths: number;
  /** Null: the default. */
  days: number | null;
  groups: { id: number; name: string; days: number | null; devices: number }[];
  devices: KeptDevice[];
  /** What was deleted, newest day first; empty for who sees only some devices. */
  purges: Purge[];
}

export interface KeptDevice {
  id: number;
  name: string;
  groupId: number | null;
  days: number | null;
  scope: string;
  period: Period;
  /** Of its oldest position; null without one. */
  oldest: number | null;
  /** When that is past its period; the job deletes it within the hour. */
  endsAt: number | null;
}

const isWhole = ({ principal }: Ctx) =>
  (principal.kind === "user" || principal.kind === "key") && principal.devices === null;

/** Account, groups and the zone are about every device. @throws {AppError} forbidden */
export function requireWholeAccount(ctx: Ctx): void {
  if (!isWhole(ctx)) throw new AppError("forbidden", "You may change only some devices, and this is about all of them");
}

async function stateOf(ctx: Ctx): Promise<RetentionState> {
  const state = await store.readRetention(ctx.db, accountOf(ctx));
  if (state === null) throw new AppError("not_found", "No such account");
  return state;
}

function keepingIn(
  state: RetentionState,
  id: number,
  { days, groupId, floor }: DeviceKeeping,
  months: number,
): Keeping {
  const group = groupId === null ? undefined : state.groups.get(groupId);
  return keepingOf(
    {
      ...{ deviceId: id, timeZone: state.timeZone, accountDays: state.days, deviceDays: days, floor },
      ...{ groupId, groupDays: group?.days ?? null },
    },
    months,
  );
}

/** How long the caller's positions are kept, as far as they may see devices. */
export async function retentionOf(ctx: Ctx): Promise<Retention> {
  const accountId = accountOf(ctx);
  const reach = reachOf(ctx).devices;
  const state = await stateOf(ctx);
  const oldest = await oldestOf(ctx, accountId);
  const now = ctx.now();
  const devices: KeptDevice[] = [];
  const counts = new Map<number, number>();
  for (const [id, device] of state.devices) {
    if (reach !== null && !reach.includes(id)) continue;
    const { scope, period, timeZone, floor } = keepingIn(state, id, device, ctx.config.retentionMonths);
    const { name, groupId, days } = device;
    if (groupId !== null) counts.set(groupId, (counts.get(groupId) ?? 0) + 1);
    const first = oldest.get(id) ?? null;
    const endsAt = first === null ? null : first < floor ? now : endOf(first, period, timeZone);
    devices.push({ id, name, groupId, days, scope, period, oldest: first, endsAt });
  }
  const groups = [...state.groups]
    .filter(([id]) => reach === null || counts.has(id))
    .map(([id, { name, days }]) => ({ id, name, days, devices: counts.get(id) ?? 0 }));
  const purges = isWhole(ctx) ? await store.listPurges(ctx.db, accountId, LIMITS.purgesShown) : [];
  const { timeZone, days } = state;
  return { timeZone, defaultMonths: ctx.config.retentionMonths, days, groups, devices, purges };
}

/** What a change makes different; what is not named stays. Null days: as the next wider one says. */
export interface RetentionChange {
  timeZone?: string | undefined;
  account?: { days: number | null } | undefined;
  groups?: readonly { id: number; days: number | null }[] | undefined;
  devices?:
    | readonly { id: number; days?: number | null | undefined; groupId?: number | null | undefined }[]
    | undefined;
  /** Its devices are kept as the account says, unless they have a period of their own. */
  removeGroup?: number | undefined;
}

/** What a change deletes. */
export interface Loss extends Older {
  devices: ({ deviceId: number } & Older)[];
}

/**
 * Changes how long positions are kept. What makes a period longer is done at once, and brings back nothing that was
 * over. What makes one shorter needs a fresh proof and a look at what it deletes: without `confirm` nothing is changed.
 * @param confirm what the refusal gave, for the same change of the same settings
 * @throws {AppError} confirmation_required with what would go; step_up_required, forbidden, not_found, invalid,
 *   conflict when the settings were changed in between
 */
export async function changeRetention(ctx: Ctx, change: RetentionChange, confirm?: string): Promise<void> {
  const accountId = accountOf(ctx);
  requireAllowed(ctx, change);
  const before = await stateOf(ctx);
  const after = applied(ctx, before, change);
  const effect = effectOf(ctx, before, after);
  if (effect.write.devices.length === 0 && !effect.isChanged) return;
  if (effect.spans.size > 0) {
    requireProof(ctx);
    if (!(await isConfirmed(ctx, effect, confirm))) throw await confirmationFor(ctx, effect);
  }
  if (!(await store.writeRetention(ctx.db, accountId, effect.write))) {
    throw new AppError("conflict", "These settings were changed by another request; read them again");
  }
}

function requireAllowed(
  ctx: Ctx,
  { timeZone, account, groups = [], devices = [], removeGroup }: RetentionChange,
): void {
  const isOfAll = timeZone !== undefined || account !== undefined || groups.length > 0 || removeGroup !== undefined;
  if (isOfAll || devices.some(({ groupId }) => groupId !== undefined)) requireWholeAccount(ctx);
  const reach = reachOf(ctx).devices;
  for (const { id } of devices) {
    if (reach !== null && !reach.includes(id)) throw new AppError("not_found", "No such device");
    requireEditable(ctx, id);
  }
}

/** The settings as the change makes them. @throws {AppError} not_found, invalid */
function applied(ctx: Ctx, before: RetentionState, change: RetentionChange): RetentionState {
  const { timeZone = before.timeZone, account, removeGroup } = change;
  if (timeZone !== before.timeZone && !isTimeZone(timeZone)) {
    const why = "timeZone must be a time zone such as Europe/Vienna or Asia/Shanghai";
    throw new AppError("invalid", why, { field: "timeZone" });
  }
  const groups = new Map(before.groups);
  const devices = new Map(before.devices);
  const groupIn = (id: number) => {
    const group = groups.get(id);
    if (group === undefined) throw new AppError("not_found", "No such group");
    return group;
  };
  for (const { id, days } of change.groups ?? []) groups.set(id, { ...groupIn(id), days });
  for (const { id, days, groupId } of change.devices ?? []) {
    const device = devices.get(id);
    if (device === undefined) throw new AppError("not_found", "No such device");
    if (groupId !== undefined && groupId !== null) groupIn(groupId);
    devices.set(id, {
      ...device,
      days: days === undefined ? device.days : days,
      groupId: groupId === undefined ? device.groupId : groupId,
    });
  }
  if (removeGroup !== undefined) {
    groupIn(removeGroup);
    groups.delete(removeGroup);
    for (const [id, device] of devices)
      if (device.groupId === removeGroup) devices.set(id, { ...device, groupId: null });
  }
  return {
    version: newVersion(ctx),
    timeZone,
    days: account === undefined ? before.days : account.days,
    groups,
    devices,
  };
}

// A version is the second of the change and 22 random bits.
const VERSIONS_A_SECOND = 2 ** 22;
const FIRST_SECOND = 1_700_000_000;

function newVersion(ctx: Ctx): number {
  const random = ctx.random(3).reduce((sum, byte) => sum * 256 + byte, 0) % VERSIONS_A_SECOND;
  return (Math.floor(ctx.now() / 1000) - FIRST_SECOND) * VERSIONS_A_SECOND + random;
}

/** When settings with a version were made, Unix ms; 0: never changed. */
export const changedAt = (version: number): number =>
  version === 0 ? 0 : (Math.floor(version / VERSIONS_A_SECOND) + FIRST_SECOND) * 1000;

interface Effect {
  write: store.RetentionWrite;
  /** Something beside the devices differs. */
  isChanged: boolean;
  /** What is over with it and was not before, of the devices whose positions are kept for less long. */
  spans: Map<number, Span>;
}

function effectOf(ctx: Ctx, before: RetentionState, after: RetentionState): Effect {
  const now = ctx.now();
  const cutoff = remembering((period, timeZone) => cutoffOf(now, period, timeZone));
  const spans = new Map<number, Span>();
  const devices: store.RetentionWrite["devices"][number][] = [];
  let isLonger = false;
  for (const [id, device] of after.devices) {
    const old = before.devices.get(id)!;
    const was = keepingIn(before, id, old, ctx.config.retentionMonths);
    const is = keepingIn(after, id, device, ctx.config.retentionMonths);
    const [from, to] = [cutoff(was.period, was.timeZone), cutoff(is.period, is.timeZone)];
    const floor = to < from ? Math.max(old.floor, from) : old.floor;
    if (to > from) spans.set(id, { from: Math.max(from, floor), to: Math.max(to, floor) });
    if (to < from) isLonger = true;
    const rescopedAt = was.scope === is.scope ? null : now;
    const { days, groupId } = device;
    if (floor === old.floor && rescopedAt === null && days === old.days && groupId === old.groupId) continue;
    devices.push({ id, days, groupId, floor, rescopedAt });
  }
  const groups = [...after.groups]
    .filter(([id, { days }]) => days !== before.groups.get(id)?.days)
    .map(([id, { days }]) => ({ id, days }));
  const removedGroups = [...before.groups.keys()].filter((id) => !after.groups.has(id));
  const ofAccount = after.days !== before.days || after.timeZone !== before.timeZone;
  const { timeZone, days, version } = after;
  const action: Action =
    spans.size > 0 ? "retention.shortened" : isLonger ? "retention.lengthened" : "retention.changed";
  const named = devices.filter(({ id }) => isOtherSetting(before.devices.get(id), after.devices.get(id)));
  const subjects = [
    ...(ofAccount ? [`account ${accountOf(ctx)}`] : []),
    ...groups.map(({ id }) => `group ${id}`),
    ...named.map(({ id }) => `device ${id}`),
  ];
  const act = (name: Action, subject: string) => ({
    ...{ at: now, ...actorOf(ctx.principal), action: name, subject, reason: null },
  });
  const acts = [
    ...subjects.map((subject) => act(action, subject)),
    ...removedGroups.map((id) => act("group.removed", `group ${id}`)),
  ];
  return {
    write: { seen: before.version, version, timeZone, days, groups, removedGroups, devices, acts },
    isChanged: ofAccount || groups.length > 0 || removedGroups.length > 0,
    spans,
  };
}

const isOtherSetting = (old: DeviceKeeping | undefined, now: DeviceKeeping | undefined) =>
  old?.days !== now?.days || old?.groupId !== now?.groupId;

function remembering(work: (period: Period, timeZone: string) => number): typeof work {
  const known = new Map<string, number>();
  return (period, timeZone) => {
    const key = JSON.stringify([period, timeZone]);
    const found = known.get(key) ?? work(period, timeZone);
    known.set(key, found);
    return found;
  };
}

/** What a confirmation is good for: this change, made of these settings, until a time. */
async function markOf(ctx: Ctx, { write }: Effect, until: number): Promise<string> {
  const { seen, timeZone, days, groups, removedGroups } = write;
  const devices = write.devices.map(({ id, days, groupId }) => [id, days, groupId]);
  const what = JSON.stringify([accountOf(ctx), seen, timeZone, days, groups, removedGroups, devices, until]);
  // In letters: digits enough could pass for a card number.
  return (await keyedHash(ctx, "retention", what)).replaceAll(/\d/g, (digit) => "ghijklmnop"[Number(digit)]!);
}

async function isConfirmed(ctx: Ctx, effect: Effect, confirm: string | undefined): Promise<boolean> {
  const [, time = "", mark = ""] = /^([0-9a-z]{1,9})\.([a-p]{64})$/.exec(confirm ?? "") ?? [];
  const until = Number.parseInt(time, 36);
  return mark !== "" && until >= ctx.now() && sameText(mark, await markOf(ctx, effect, until));
}

async function confirmationFor(ctx: Ctx, effect: Effect): Promise<AppError> {
  const loss = await lossOf(ctx, effect);
  const until = ctx.now() + LIMITS.stepUpMs;
  const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString());
  return new AppError("confirmation_required", "This deletes positions: look at what goes, then confirm it", {
    more: {
      confirm: `${until.toString(36)}.${await markOf(ctx, effect, until)}`,
      positions: loss.positions,
      oldest: iso(loss.oldest),
      devices: loss.devices.map(({ oldest, ...device }) => ({ ...device, oldest: iso(oldest) })),
    },
  });
}

async function lossOf(ctx: Ctx, { spans }: Effect): Promise<Loss> {
  const found = await countOlder(ctx, accountOf(ctx), spans);
  const devices = [...found].map(([deviceId, older]) => ({ deviceId, ...older }));
  const times = devices.flatMap(({ oldest }) => oldest ?? []);
  return {
    positions: devices.reduce((sum, { positions }) => sum + positions, 0),
    oldest: times.length === 0 ? null : times.reduce((a, b) => Math.min(a, b)),
    devices,
  };
}

/** The first moment of a day of `purges`, Unix ms. */
export const dayStart = (day: number): number => day * DAY_MS;
