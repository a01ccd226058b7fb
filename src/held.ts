import { personOf } from "./access.ts";
import type { Ctx } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { newestFixes, type StoredPosition } from "./positions.ts";
import { byDevice, sortByFix } from "./settle-plan.ts";
import type { AnyDataMap, HeldTable } from "./store/held.ts";
import { heldTables } from "./store/held.ts";
import type { Reach } from "./store/reach.ts";
import { liveDevices } from "./store/settling.ts";
import { openTail, steady, tailStatements, unsettled } from "./tail.ts";
import { type Telemetry, telemetryFor } from "./telemetry.ts";

export type { HeldColumn, HeldTable, HeldValue } from "./store/held.ts";

export interface Held {
  /** Every table of the data map that can hold something about the caller, empty ones too. */
  tables: HeldTable[];
  /** The newest position of each device within reach. */
  positions: StoredPosition[];
  /** Devices whose newest position is sealed to the account's own keys: nobody else can say it. */
  sealed: number;
}

/** Whether a column holds a time: by its name, as the schema names them. */
export const isTime = (column: string) => /(At|Since|Until|Time|^at|^since)$/.test(column);

/**
 * Everything that is held about the caller, derived from the data map. Owners and managers of whole accounts see the
 * account's tables as they are; a viewer, or who is limited to some devices, what is about them and their devices.
 * @param map the data map; a test gives an altered one
 */
export async function held(ctx: Ctx, map?: AnyDataMap): Promise<Held> {
  const me = personOf(ctx);
  const isCustomer = me.kind === "user";
  const telemetry = isCustomer ? await telemetryFor(ctx, me.accountId) : null;
  const tables = await heldTables(
    ctx.db,
    {
      userId: me.userId,
      accountId: isCustomer ? me.accountId : null,
      devices: isCustomer ? me.devices : null,
      wholeAccount: isCustomer && me.role !== "viewer" && me.devices === null,
    },
    LIMITS.heldRows,
    LIMITS.heldCount,
    map,
    telemetry === null || telemetry.main ? ctx.db : telemetry.db,
  );
  if (!isCustomer || telemetry === null) return { tables, positions: [], sealed: 0 };
  const segments = tables.find(({ name }) => name === "segments");
  await steady(() => addWaiting(ctx, telemetry, me, segments));
  const { open, sealed } = await newestFixes(ctx, 0, LIMITS.pageMax);
  return { tables, positions: [...open.values()], sealed: sealed.size };
}

/** Counts what waits to be settled with what is in segments: it is held in the inbox, which is nobody's table. */
async function addWaiting(
  ctx: Ctx,
  telemetry: Telemetry,
  { accountId, devices }: Reach,
  table: HeldTable | undefined,
): Promise<void> {
  const tail = await openTail(
    ctx,
    telemetry,
    await telemetry.db.$client.batch(tailStatements(accountId, null), "read"),
  );
  const rows = byDevice(tail);
  const live = await liveDevices(ctx.db, [...rows.keys()]);
  for (const deviceId of rows.keys()) {
    const isSeen = devices === null || devices.includes(deviceId);
    if (!isSeen || live.get(deviceId)?.accountId !== accountId) rows.delete(deviceId);
  }
  for (const ofDevice of rows.values()) sortByFix(tail, ofDevice);
  const waiting = [...(await unsettled(ctx, telemetry, accountId, tail, rows)).values()].flat();
  if (table === undefined || waiting.length === 0) return;
  const times = waiting.map((row) => tail.fixTimeAt(row));
  table.rows = Math.min(table.rows + waiting.length, LIMITS.heldCount);
  table.oldest = times.reduce((a, b) => Math.min(a, b), table.oldest ?? Number.POSITIVE_INFINITY);
  table.newest = times.reduce((a, b) => Math.max(a, b), table.newest ?? Number.NEGATIVE_INFINITY);
}
