import { personOf } from "./access.ts";
import type { Ctx } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { newestFixes, type StoredPosition } from "./positions.ts";
import type { AnyDataMap, HeldTable } from "./store/held.ts";
import { heldTables } from "./store/held.ts";

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
export const isTime = (column: string) => /(At|Since|Until|Time|^at)$/.test(column);

/**
 * Everything that is held about the caller, derived from the data map. Owners and managers of whole accounts see the
 * account's tables as they are; a viewer, or who is limited to some devices, what is about them and their devices.
 * @param map the data map; a test gives an altered one
 */
export async function held(ctx: Ctx, map?: AnyDataMap): Promise<Held> {
  const me = personOf(ctx);
  const isCustomer = me.kind === "user";
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
  );
  if (!isCustomer) return { tables, positions: [], sealed: 0 };
  const { open, sealed } = await newestFixes(ctx, 0, LIMITS.pageMax);
  return { tables, positions: [...open.values()], sealed: sealed.size };
}
