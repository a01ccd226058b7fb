import { and, asc, eq, gt, isNull, sql } from "drizzle-orm";
import type { Db } from "./db.ts";
import type { DeviceRow } from "./devices.ts";
import { deviceById } from "./devices.ts";
import { activations, devices, users } from "./schema.ts";

/** A tracker that was sold, as the operator sees it: never its code. `id` is its place in the list. */
export type ActivationRow = Omit<typeof activations.$inferSelect, "codeHash" | "imeiIndex"> & { id: number };
export type NewActivation = Pick<
  typeof activations.$inferSelect,
  "imei" | "model" | "firmware" | "orderReference" | "codeHash"
>;

/** Loads trackers. One that is loaded already gets its new code, and can be activated once more. */
export async function loadActivations(db: Db, list: readonly NewActivation[], loadedAt: number): Promise<void> {
  const sealed = await db.$fields.sealAll("activations", null, list);
  await db.$client.execute({
    sql: `INSERT INTO activations (imei, imei_index, model, firmware, order_reference, code_hash, loaded_at)
      SELECT value ->> 'imei', value ->> 'imeiIndex', value ->> 'model', value ->> 'firmware', value ->> 'orderReference',
        value ->> 'codeHash', ?
      FROM json_each(?) WHERE true
      ON CONFLICT (imei_index) DO UPDATE SET imei = excluded.imei, model = excluded.model, firmware = excluded.firmware,
        order_reference = excluded.order_reference, code_hash = excluded.code_hash, loaded_at = excluded.loaded_at,
        activated_at = NULL, account_id = NULL`,
    args: [loadedAt, JSON.stringify(sealed)],
  });
}

const ROWID = sql<number>`${activations}.rowid`;

/** Trackers that were loaded, in the order of loading. The order is SQLite's own row number: an IMEI may be in no URL. */
export async function listActivations(db: Db, after: number, limit: number): Promise<ActivationRow[]> {
  const rows = await db
    .select({
      id: ROWID,
      imei: activations.imei,
      model: activations.model,
      firmware: activations.firmware,
      orderReference: activations.orderReference,
      loadedAt: activations.loadedAt,
      activatedAt: activations.activatedAt,
      accountId: activations.accountId,
    })
    .from(activations)
    .where(gt(ROWID, after))
    .orderBy(asc(ROWID))
    .limit(limit);
  return db.$fields.open("activations", rows, (row) => row.accountId);
}

/** @returns false when it is not loaded */
export async function removeActivation(db: Db, imei: string): Promise<boolean> {
  const index = await db.$fields.index("imei", imei);
  const gone = await db
    .delete(activations)
    .where(eq(activations.imeiIndex, index))
    .returning({ imei: activations.imei });
  return gone.length > 0;
}

/** Whether the account is one that signed up itself: the operator's have accepted nothing here. */
export async function signedUp(db: Db, accountId: number): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: "SELECT 1 FROM accounts WHERE id = ? AND privacy_accepted IS NOT NULL",
    args: [accountId],
  });
  return rows.length > 0;
}

/**
 * Makes the device and uses up its code, both or neither: of two that come at once, one gets it.
 * @returns null when the code is not the tracker's, or used, or the IMEI is some account's
 */
export async function activate(
  db: Db,
  accountId: number,
  codeHash: string,
  device: Pick<DeviceRow, "imei" | "name" | "model" | "clockOffsetMinutes" | "confirmCce" | "createdAt">,
): Promise<DeviceRow | null> {
  const { imei, name, model, clockOffsetMinutes, confirmCce, createdAt } = device;
  const made = await db.$fields.seal("devices", accountId, { imei, name });
  const index = made.imeiIndex ?? null;
  // What was sold is sealed anew: with the code it becomes the account's. Sealed texts differ, so that one that was loaded
  // once more meanwhile is another.
  const { rows: sold } = await db.$client.execute({
    sql: "SELECT imei, order_reference FROM activations WHERE imei_index = ? AND activated_at IS NULL",
    args: [index],
  });
  const loaded = { imei: String(sold[0]?.[0] ?? ""), orderReference: (sold[0]?.[1] ?? null) as string | null };
  const [{ orderReference }] = await db.$fields.open("activations", [loaded], null);
  const own = await db.$fields.seal("activations", accountId, { imei, orderReference });
  const unused = "imei = ? AND code_hash = ? AND activated_at IS NULL";
  const [inserted] = await db.$client.batch(
    [
      {
        sql: `INSERT INTO devices (account_id, imei, imei_index, name, model, clock_offset_minutes, confirm_cce, created_at)
          SELECT ?, ?, ?, ?, coalesce(?, model), ?, ?, ? FROM activations WHERE ${unused}
          ON CONFLICT DO NOTHING RETURNING id`,
        args: [
          ...[accountId, made.imei, index, made.name, model, clockOffsetMinutes, confirmCce ? 1 : 0, createdAt],
          ...[loaded.imei, codeHash],
        ],
      },
      {
        // changes() counts what the statement before it inserted.
        sql: `UPDATE activations SET activated_at = ?, account_id = ?, imei = ?, order_reference = ?
          WHERE ${unused} AND changes() = 1`,
        args: [createdAt, accountId, own.imei, own.orderReference, loaded.imei, codeHash],
      },
    ],
    "write",
  );
  const id = inserted?.rows[0]?.[0];
  return id === undefined ? null : deviceById(db, { accountId, devices: null }, Number(id));
}

/** Whether the account has the tracker, or has used this very code for it before. */
export async function isOwn(db: Db, accountId: number, imei: string, codeHash: string): Promise<boolean> {
  const index = await db.$fields.index("imei", imei);
  const { rows } = await db.$client.execute({
    sql: `SELECT EXISTS (SELECT 1 FROM devices WHERE imei_index = ? AND account_id = ? AND deleting_at IS NULL)
      OR EXISTS (SELECT 1 FROM activations WHERE imei_index = ? AND account_id = ? AND code_hash = ? AND activated_at IS NOT NULL)`,
    args: [index, accountId, index, accountId, codeHash],
  });
  return rows[0]?.[0] === 1;
}

/** The owners of the account that has the tracker, whatever account that is: to tell them of tries. */
export async function ownersOf(db: Db, imei: string) {
  const index = await db.$fields.index("imei", imei);
  const rows = await db
    .select({
      accountId: devices.accountId,
      deviceId: devices.id,
      userId: users.id,
      email: users.email,
      language: users.language,
    })
    .from(devices)
    .innerJoin(users, eq(users.accountId, devices.accountId))
    .where(
      and(
        eq(devices.imeiIndex, index),
        isNull(devices.deletingAt),
        eq(users.role, "owner"),
        isNull(users.disabledAt),
        sql`${users.emailVerifiedAt} IS NOT NULL`,
      ),
    );
  const owners = await db.$fields.open("users", rows, (row) => row.accountId);
  return owners.map(({ deviceId, userId, email, language }) => ({ deviceId, userId, to: email, language }));
}
