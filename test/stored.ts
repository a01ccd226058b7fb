import { bits, EPOCH_MS, FLAGS, PositionTable, SLOT, STRIDE } from "../codec/columns.ts";
import type { Db } from "../src/context.ts";
import { insertStatement, latestStatement, type PackedPositions, PositionPacker } from "../src/store/ingest.ts";
import { NOON } from "./database.ts";

/** A position for the database as tests describe it; each has its own digest unless one is given. */
export interface PositionSpec {
  /** Unix ms */
  fixTime?: number;
  receivedAt?: number;
  /** The tracker's clock was unusable; it then said `deviceTime`. */
  clock?: boolean;
  deviceTime?: number;
  valid?: boolean;
  event?: number;
  digest?: [high: number, low: number];
  latitudeE6?: number;
}

let nextDigest = 1;

/** Packs positions of a device as ingest does. */
export function packed(device: { id: number; accountId: number }, specs: readonly PositionSpec[]): PackedPositions {
  const packer = new PositionPacker();
  const table = new PositionTable();
  for (const spec of specs) {
    const fixTime = spec.fixTime ?? NOON;
    const base = table.addRow();
    const { i32 } = table;
    i32.fill(0, base, base + STRIDE);
    i32[base + SLOT.mask] = bits("event", "timeS", "latitudeE6", "longitudeE6");
    i32[base + SLOT.event] = spec.event ?? 35;
    i32[base + SLOT.latitudeE6] = spec.latitudeE6 ?? 1_000_000;
    i32[base + SLOT.timeS] = ((spec.deviceTime ?? fixTime) - EPOCH_MS) / 1000;
    i32[base + SLOT.flags] = spec.valid === false ? 0 : FLAGS.valid;
    [i32[base + SLOT.digestHi], i32[base + SLOT.digestLo]] = spec.digest ?? [0, nextDigest++];
    // Without a usable clock a position is placed at its receive time.
    const receivedAt = spec.clock === true ? fixTime : (spec.receivedAt ?? fixTime);
    packer.add(table, table.count - 1, device.accountId, device.id, receivedAt, spec.clock ?? false);
  }
  return packer.packed();
}

/** Stores positions of a device. Returns how many were new and the id of the last. */
export async function stored(db: Db, device: { id: number; accountId: number }, specs: readonly PositionSpec[]) {
  const { rows } = await db.$client.execute("SELECT version FROM registry");
  return write(db, packed(device, specs), Number(rows[0][0]));
}

export async function write(db: Db, positions: PackedPositions, version: number) {
  const [result] = await db.$client.batch(
    [insertStatement(positions, version), latestStatement(positions.count)],
    "write",
  );
  return { inserted: result.rowsAffected, lastId: Number(result.lastInsertRowid) };
}
