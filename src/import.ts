import { CodecError } from "../codec/errors.ts";
import { decodeStoredInto, StoredPositions } from "../codec/segment.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { modelNamed, requireImei } from "./devices.ts";
import { AppError } from "./errors.ts";
import { bucketOf, sealBatches } from "./inbox.ts";
import { LIMITS } from "./limits.ts";
import { cutoffsAt, periodsOf } from "./periods.ts";
import { dueOf } from "./segments.ts";
import { keyInForce, settle } from "./settle.ts";
import { accountById } from "./store/accounts.ts";
import { deviceById } from "./store/devices.ts";
import { type Imported, insertImported, isEmpty } from "./store/import.ts";
import { append } from "./store/inbox.ts";
import { telemetryFor } from "./telemetry.ts";

export type { Imported } from "./store/import.ts";

// What an export holds goes into an empty account: its groups, devices, addresses and tracks. What only its person can
// make (people, passwords, keys, what they accepted) and what tells of acts (sessions, what was done) does not.

/**
 * Stores groups, devices and addresses in an account that has none.
 * @returns ids of the devices in their order
 * @throws {AppError} not_found, invalid, conflict
 */
export async function importAccount(ctx: Ctx, accountId: number, given: Imported): Promise<number[]> {
  if ((await accountById(ctx.db, accountId)) === null) throw new AppError("not_found", "No such account");
  for (const { imei } of given.devices) requireImei(imei);
  const devices = given.devices.map((device) => ({ ...device, model: modelNamed(device.model) }));
  if (!(await isEmpty(ctx.db, accountId))) {
    throw new AppError("conflict", "This account has devices, groups or addresses already: import into an empty one");
  }
  const ids = await insertImported(ctx.db, accountId, { ...given, devices });
  if (ids === null) throw new AppError("conflict", "Another account has one of these trackers: nothing was imported");
  await record(ctx, "account.imported", { accountId, subject: `account ${accountId}` });
  return ids;
}

/**
 * Stores positions of a device as an export has them in `.blocks`. What is past its period is left out.
 * @throws {AppError} not_found, invalid, unavailable
 */
export async function importPositions(
  ctx: Ctx,
  accountId: number,
  deviceId: number,
  body: Uint8Array,
): Promise<{ stored: number; past: number }> {
  const device = await deviceById(ctx.db, { accountId, devices: null }, deviceId);
  if (device === null) throw new AppError("not_found", "No such device");
  const read = positionsIn(body);
  const cutoff = cutoffsAt(ctx.now(), await periodsOf(ctx, accountId))(deviceId);
  const stored = new StoredPositions(read.count);
  const bucket = bucketOf(accountId, deviceId);
  for (let row = 0; row < read.count; row++) {
    if (dueOf(read, row) < cutoff) continue;
    read.deviceIds[row] = deviceId;
    read.buckets[row] = bucket;
    stored.addFrom(read, row);
  }
  if (stored.count > 0) await store(ctx, accountId, stored);
  return { stored: stored.count, past: read.count - stored.count };
}

function positionsIn(body: Uint8Array): StoredPositions {
  const stored = new StoredPositions(LIMITS.exportPage);
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  try {
    for (let at = 0; at < body.length; ) {
      const end = at + 4 + view.getUint32(at, true);
      if (end > body.length) throw new RangeError("cut off");
      decodeStoredInto(stored, body, at + 4, end);
      at = end;
    }
  } catch (error) {
    if (!(error instanceof CodecError) && !(error instanceof RangeError)) throw error;
    throw new AppError("invalid", "The body is not positions as an export has them", { cause: error });
  }
  return stored;
}

async function store(ctx: Ctx, accountId: number, positions: StoredPositions): Promise<void> {
  const telemetry = await telemetryFor(ctx, accountId);
  for (let tries = 0; tries < LIMITS.registryRetries; tries++) {
    const { kid, key } = await keyInForce(ctx, telemetry);
    const batches = await sealBatches(ctx, telemetry, positions, kid, key);
    const { settlement, refused } = await append(telemetry.db, batches, telemetry.main ? [] : [accountId]);
    if (refused) break;
    if (settlement.kid !== kid) continue;
    // Nobody waits for an import: it does not leave the work to others.
    await settle(ctx, telemetry);
    return;
  }
  throw new AppError("unavailable", "The tracks of this account are just being moved", { retryAfterS: 10 });
}
