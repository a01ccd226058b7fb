import { bits, EPOCH_MS, FLAGS, PositionTable, SLOT, STRIDE } from "../codec/columns.ts";
import { StoredPositions } from "../codec/segment.ts";
import { bucketOf, sealBatches } from "../src/inbox.ts";
import { LIMITS } from "../src/limits.ts";
import { keyInForce, settle } from "../src/settle.ts";
import { appendStatements } from "../src/store/inbox.ts";
import { allTelemetry, telemetryFor } from "../src/telemetry.ts";
import { NOON, type TestBase } from "./database.ts";

/** A position for the database as tests describe it; each is another record unless `record` says otherwise. */
export interface PositionSpec {
  /** Unix ms */
  fixTime?: number;
  receivedAt?: number;
  /** The tracker's clock was unusable; it then said `deviceTime`. */
  clock?: boolean;
  deviceTime?: number;
  valid?: boolean;
  event?: number;
  /** Two with the same number and time are the same record. */
  record?: number;
  latitudeE6?: number;
}

let nextRecord = 1;

/** Positions of a device as ingest has them before they are stored. */
export function packed(device: { id: number; accountId: number }, specs: readonly PositionSpec[]): StoredPositions {
  const table = new PositionTable();
  const stored = new StoredPositions();
  for (const spec of specs) {
    const fixTime = spec.fixTime ?? NOON;
    table.reset();
    const base = table.addRow();
    const { i32 } = table;
    i32.fill(0, base, base + STRIDE);
    i32[base + SLOT.mask] = bits("event", "timeS", "latitudeE6", "longitudeE6", "odometerM");
    i32[base + SLOT.event] = spec.event ?? 35;
    i32[base + SLOT.latitudeE6] = spec.latitudeE6 ?? 1_000_000;
    i32[base + SLOT.timeS] = ((spec.deviceTime ?? fixTime) - EPOCH_MS) / 1000;
    i32[base + SLOT.odometerM] = spec.record ?? nextRecord++;
    i32[base + SLOT.flags] = spec.valid === false ? 0 : FLAGS.valid;
    // Without a usable clock a position is placed at its receive time.
    const receivedAt = spec.clock === true ? fixTime : (spec.receivedAt ?? fixTime);
    stored.add(table, 0, 0, device.id, bucketOf(device.accountId, device.id), receivedAt, spec.clock ?? false);
  }
  return stored;
}

/** Stores positions of a device as ingest does. @returns the id of the last */
export async function stored(
  base: TestBase,
  device: { id: number; accountId: number },
  specs: readonly PositionSpec[],
): Promise<number> {
  const telemetry = await telemetryFor(base, device.accountId);
  const { kid, key } = await keyInForce(base, telemetry);
  const batches = await sealBatches(base, telemetry, packed(device, specs), kid, key);
  const accounts = telemetry.main ? [] : [device.accountId];
  const results = await telemetry.db.$client.batch(appendStatements(batches, null, accounts), "write");
  return Number(results.at(-1)!.lastInsertRowid) * LIMITS.batchPositions + batches.at(-1)!.positions - 1;
}

/** Settles whatever waits. @returns positions that segments hold */
export async function settled(base: TestBase): Promise<number> {
  let positions = 0;
  for (const telemetry of allTelemetry(base)) {
    await settle(base, telemetry, { all: true });
    const { rows } = await telemetry.db.$client.execute("SELECT coalesce(sum(positions), 0) FROM segments");
    positions += Number(rows[0]![0]);
  }
  return positions;
}
