import { MODEL_NAMES } from "../codec/models.ts";
import { accountOf, reachOf, requireEditable } from "./access.ts";
import { first } from "./accounts.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { beforeCorrection } from "./corrections.ts";
import { AppError } from "./errors.ts";
import { settleKept } from "./held-parts.ts";
import { removeDevice } from "./retention.ts";
import { silence } from "./silenced.ts";
import type { DeviceRow, DeviceSettings } from "./store/devices.ts";
import * as store from "./store/devices.ts";
import { forgetAnswers } from "./store/idempotency.ts";
import { tellTracker } from "./tracker-erasure.ts";

export type { DeviceRow as Device, DeviceSettings } from "./store/devices.ts";

/**
 * Checks an IMEI: 14 digits and the check digit that the Luhn rule makes of them (3GPP TS 23.003, annex B).
 * @throws {AppError} invalid, saying what is wrong
 */
export function requireImei(imei: string): void {
  const refuse = (why: string) => new AppError("invalid", `imei ${why}`, { field: "imei" });
  if (/\D/.test(imei)) throw refuse("must be digits only");
  if (imei.length !== 15) throw refuse(`must have 15 digits, this one has ${imei.length}`);
  const expected = checkDigit(imei.slice(0, 14));
  if (Number(imei[14]) !== expected) {
    throw refuse(`has a typing error: with these first 14 digits the last would be ${expected}`);
  }
}

function checkDigit(digits: string): number {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const doubled = Number(digits[i]) * (i % 2 === 1 ? 2 : 1);
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return (10 - (sum % 10)) % 10;
}

/** The name of a model as its table writes it. @throws {AppError} invalid */
export function modelNamed(model: string | null): string | null {
  const known = model === null ? null : MODEL_NAMES.find((name) => name.toUpperCase() === model.toUpperCase());
  if (known !== undefined) return known;
  throw new AppError("invalid", `model is not known; known are ${MODEL_NAMES.join(", ")}`, { field: "model" });
}

/** @throws {AppError} not_found, also for a device of another account; suspended, to whoever is not of its people */
export async function deviceOf(ctx: Ctx, id: number): Promise<DeviceRow> {
  const device = await store.deviceById(ctx.db, reachOf(ctx), id);
  if (device !== null) return device;
  if (await isWithheld(ctx, id)) {
    throw new AppError("suspended", "This device is suspended: only the account's own people see it, signed in");
  }
  throw new AppError("not_found", "No such device");
}

/** Whether a key would see this device if it were not suspended. */
async function isWithheld({ db, principal }: Ctx, id: number): Promise<boolean> {
  if (principal.kind !== "key" || principal.readable === undefined) return false;
  const { accountId, devices } = principal;
  return (await store.deviceById(db, { accountId, devices }, id)) !== null;
}

/** One page of the caller's devices by id. @param after the last id of the page before, 0 for the first page */
export function listDevices(ctx: Ctx, after: number, limit: number): Promise<DeviceRow[]> {
  return store.listDevices(ctx.db, reachOf(ctx), after, limit);
}

/** One page of the devices of all accounts, for the operator: their names masked. */
export async function listAllDevices(ctx: Ctx, after: number, limit: number): Promise<DeviceRow[]> {
  return (await store.listDevices(ctx.db, null, after, limit)).map((row) => ({ ...row, name: first(row.name) }));
}

/**
 * Changes settings of a device as the caller saw it.
 * @throws {AppError} forbidden; invalid; conflict when it was changed or removed in between
 */
export async function changeDevice(ctx: Ctx, seen: DeviceRow, settings: Partial<DeviceSettings>): Promise<DeviceRow> {
  requireEditable(ctx, seen.id);
  if (Object.keys(settings).length === 0) return seen;
  const checked = settings.model === undefined ? settings : { ...settings, model: modelNamed(settings.model) };
  if (settings.name !== undefined && settings.name !== seen.name) await beforeCorrection(ctx, seen.accountId);
  const changed = await store.updateDevice(ctx.db, reachOf(ctx), seen, checked);
  if (changed === null) throw new AppError("conflict", "The device was changed by another request; read it again");
  await record(ctx, "device.changed", { accountId: seen.accountId, subject: `device ${seen.id}` });
  return changed;
}

/**
 * Deletes a device with all it sent. It is hidden and its IMEI free from the first moment; what cannot be removed in
 * this call is removed by the job.
 * @throws {AppError} forbidden, not_found
 */
export async function deleteDevice(ctx: Ctx, id: number): Promise<void> {
  requireEditable(ctx, id);
  const device = await deviceOf(ctx, id);
  // Before it goes: what it sends from then on must not be noted as an unknown tracker's.
  await silence(ctx, [device]);
  if (!(await settleKept(ctx, accountOf(ctx)))) {
    throw new AppError("unavailable", "Its positions are being sorted", { retryAfterS: 2 });
  }
  await beforeCorrection(ctx, device.accountId);
  const marked = await store.markDeviceDeleting(ctx.db, reachOf(ctx), id, ctx.now());
  if (!marked) throw new AppError("not_found", "No such device");
  await tellTracker(ctx, device);
  await record(ctx, "device.removed", { accountId: accountOf(ctx), subject: `device ${id}` });
  try {
    await forgetAnswers(ctx.db, accountOf(ctx), id);
    await removeDevice(ctx, id);
  } catch (error) {
    ctx.log.error("device.removal_unfinished", { requestId: ctx.requestId, deviceId: id }, error);
  }
}
