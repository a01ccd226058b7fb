import { PositionTable } from "../codec/columns.ts";
import { decodeRecordInto } from "../codec/record.ts";
import { StoredPositions } from "../codec/segment.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { leaseOf } from "./settle.ts";
import { segmentWrites } from "./settle-part.ts";
import { deleteRowsStatement, hasRows, oldestRows, STILL_THERE } from "./store/convert.ts";
import { emptyLog } from "./store/scrub.ts";
import { mainTelemetry } from "./telemetry.ts";

/**
 * Moves positions that an earlier version stored row by row into segments, with their ids, a device's oldest first.
 * Each step is one transaction. @returns positions moved
 */
export async function convertRows(ctx: Base): Promise<number> {
  const telemetry = mainTelemetry(ctx);
  const stored = new StoredPositions(LIMITS.convertRows);
  const table = new PositionTable();
  const lease = leaseOf(ctx, telemetry);
  let moved = 0;
  try {
    for (let step = 0; step < LIMITS.convertSteps; step++) {
      if (!(await hasRows(telemetry.db))) break;
      // Settlers tell by the inbox whether somebody else was faster, and this is not in it.
      if (!(await lease.take())) break;
      const rows = await oldestRows(telemetry.db, LIMITS.convertRows);
      stored.reset();
      for (const { id, deviceId, receivedAt, clock, record } of rows) {
        table.reset();
        try {
          decodeRecordInto(table, record);
        } catch (error) {
          ctx.log.error("convert.broken", { position: id }, error);
          continue;
        }
        stored.add(table, 0, id, deviceId, 0, receivedAt, clock);
      }
      const ends = [rows[0]?.id ?? 0, rows.at(-1)?.id ?? 0] as const;
      const writes = await segmentWrites(ctx, telemetry, stored, STILL_THERE, ends);
      await telemetry.db.$client.batch([...writes, deleteRowsStatement(rows.map(({ id }) => id))], "write");
      moved += rows.length;
    }
  } finally {
    await lease.end();
  }
  if (moved > 0) await emptyLog(telemetry.db);
  return moved;
}
