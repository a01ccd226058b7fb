import { PositionTable } from "../codec/columns.ts";
import { decodeRecordInto } from "../codec/record.ts";
import { StoredPositions } from "../codec/segment.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { segmentWrites } from "./settle-part.ts";
import { deleteRowsStatement, oldestRows } from "./store/convert.ts";
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
  let moved = 0;
  for (let step = 0; step < LIMITS.convertSteps; step++) {
    const rows = await oldestRows(telemetry.db, LIMITS.convertRows);
    if (rows.length === 0) break;
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
    const writes = await segmentWrites(ctx, telemetry, stored, "?1 = ?2", [0, 0]);
    await telemetry.db.$client.batch([...writes, deleteRowsStatement(rows.map(({ id }) => id))], "write");
    moved += rows.length;
  }
  if (moved > 0) await emptyLog(telemetry.db);
  return moved;
}
