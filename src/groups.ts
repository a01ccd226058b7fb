import { accountOf } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { beforeCorrection } from "./corrections.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { changeRetention, requireWholeAccount } from "./retention-settings.ts";
import type { GroupRow } from "./store/retention-settings.ts";
import * as store from "./store/retention-settings.ts";

export type { GroupRow as Group } from "./store/retention-settings.ts";

/** Devices that are kept alike. Who sees only some devices sees no groups, whose names may tell of others. */

/** @throws {AppError} not_found, also for a group of another account */
export async function groupOf(ctx: Ctx, id: number): Promise<GroupRow> {
  const group = isWhole(ctx) ? await store.groupById(ctx.db, accountOf(ctx), id) : null;
  if (group === null) throw new AppError("not_found", "No such group");
  return group;
}

const isWhole = ({ principal }: Ctx) => !("devices" in principal) || principal.devices === null;

/** One page of the caller's groups by id. @param after the last id of the page before */
export async function listGroups(ctx: Ctx, after: number, limit: number): Promise<GroupRow[]> {
  return isWhole(ctx) ? store.listGroups(ctx.db, accountOf(ctx), after, limit) : [];
}

/** @throws {AppError} forbidden, conflict */
export async function createGroup(ctx: Ctx, name: string, retentionDays: number | null): Promise<GroupRow> {
  requireWholeAccount(ctx);
  const accountId = accountOf(ctx);
  const group = { name, retentionDays, createdAt: ctx.now() };
  const made = await store.insertGroup(ctx.db, accountId, group, LIMITS.groupsPerAccount);
  if (made === null) throw new AppError("conflict", `An account has at most ${LIMITS.groupsPerAccount} groups`);
  await record(ctx, "group.created", { accountId, subject: `group ${made.id}` });
  return made;
}

export interface GroupChange {
  name?: string | undefined;
  days?: number | null | undefined;
  /** Ids of all its devices. One that is in another group leaves it. */
  devices?: readonly number[] | undefined;
}

/**
 * Changes a group. What makes the period of a device shorter is confirmed as in changeRetention().
 * @throws {AppError} as changeRetention()
 */
export async function changeGroup(ctx: Ctx, group: GroupRow, change: GroupChange, confirm?: string): Promise<GroupRow> {
  requireWholeAccount(ctx);
  const accountId = accountOf(ctx);
  const { name, days, devices } = change;
  if (days !== undefined || devices !== undefined) {
    const members = devices === undefined ? undefined : await moves(ctx, group.id, devices);
    const groups = days === undefined ? undefined : [{ id: group.id, days }];
    await changeRetention(ctx, { groups, devices: members }, confirm);
  }
  if (name !== undefined && name !== group.name) {
    await beforeCorrection(ctx, accountId);
    await store.renameGroup(ctx.db, accountId, group.id, name);
    await record(ctx, "group.changed", { accountId, subject: `group ${group.id}` });
  }
  return groupOf(ctx, group.id);
}

/** Who comes into a group and who leaves it. */
async function moves(
  ctx: Ctx,
  groupId: number,
  wanted: readonly number[],
): Promise<{ id: number; groupId: number | null }[]> {
  const members = await membersOf(ctx, groupId);
  const leave = members.filter((id) => !wanted.includes(id)).map((id) => ({ id, groupId: null }));
  return [...leave, ...wanted.filter((id) => !members.includes(id)).map((id) => ({ id, groupId }))];
}

/** Ids of a group's devices. */
export async function membersOf(ctx: Ctx, groupId: number): Promise<number[]> {
  const state = await store.readRetention(ctx.db, accountOf(ctx));
  return [...(state?.devices ?? [])].filter(([, device]) => device.groupId === groupId).map(([id]) => id);
}

/** Removes a group; its devices stay. @throws {AppError} as changeRetention() */
export async function removeGroup(ctx: Ctx, group: GroupRow, confirm?: string): Promise<void> {
  requireWholeAccount(ctx);
  await changeRetention(ctx, { removeGroup: group.id }, confirm);
}
