import { and, type Column, eq, type SQL, sql } from "drizzle-orm";

/** What a caller may see of an account: everything, or only some devices. */
export interface Reach {
  accountId: number;
  /** null: every device of the account */
  devices: readonly number[] | null;
  /** Of the platform itself, which has to copy it before it goes: also what is frozen, or past its period. */
  frozen?: true;
}

/** The condition that a row is of the account and of a device within reach. The ids are one argument, as JSON. */
export function within(reach: Reach, accountId: Column, deviceId: Column): SQL | undefined {
  const ofAccount = eq(accountId, reach.accountId);
  if (reach.devices === null) return ofAccount;
  return and(ofAccount, sql`${deviceId} IN (SELECT value FROM json_each(${JSON.stringify(reach.devices)}))`);
}
