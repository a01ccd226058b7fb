import { PositionTable } from "../codec/columns.ts";
import { type PositionJson, positionAt } from "../codec/position.ts";
import { decodeRecordInto } from "../codec/record.ts";
import { reachOf } from "./access.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { EXPORTS, type ExportFormat, exportText } from "./export.ts";
import { LIMITS } from "./limits.ts";
import type { Extent, PositionRow, TrackQuery } from "./store/positions.ts";
import * as store from "./store/positions.ts";

/** A position of a device as the API shows it. What the tracker did not send is undefined, which JSON leaves out. */
export type StoredPosition = Pick<PositionJson, "event" | "valid"> & {
  [name in Exclude<keyof PositionJson, "event" | "valid" | "fixTime">]?: PositionJson[name] | undefined;
} & {
  id: number;
  deviceId: number;
  receivedAt: string;
  /** The receive time when the tracker's clock was unusable; `readings.deviceTime` is then what the tracker said. */
  fixTime: string;
};

export interface Page<T> {
  data: T[];
  nextCursor: string | null;
}

/** A stretch of a device's track. Times are Unix ms. */
export interface TrackWindow {
  /** First fix time, inclusive. */
  from?: number | undefined;
  /** Last fix time, exclusive. */
  to?: number | undefined;
  order?: "asc" | "desc" | undefined;
}

export interface PageWindow extends TrackWindow {
  limit?: number | undefined;
  /** `nextCursor` of the page before, asked with the same order. */
  cursor?: string | undefined;
}

const DAY_MS = 86_400_000;
const TWO_DIGITS = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, "0"));
// A page is of one day, or nearly.
const day = { number: Number.NaN, text: "" };

/** ISO 8601 in UTC with milliseconds, as `toISOString()` writes it and in a fifth of the time. */
function iso(ms: number): string {
  const number = Math.floor(ms / DAY_MS);
  if (number !== day.number) {
    day.text = new Date(ms).toISOString().slice(0, -"12:00:00.000Z".length);
    day.number = number;
  }
  const inDay = ms - number * DAY_MS;
  const seconds = Math.floor(inDay / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const time = `${TWO_DIGITS[hours]}:${TWO_DIGITS[minutes - hours * 60]}:${TWO_DIGITS[seconds - minutes * 60]}`;
  return `${day.text}${time}.${String(inDay - seconds * 1000).padStart(3, "0")}Z`;
}

// Records are read into one table: a table for each would cost more than the reading.
const scratch = new PositionTable(1, 256);

/** @throws {CodecError} for a record that no version of codec/record.ts wrote */
function storedPosition(row: PositionRow): StoredPosition {
  scratch.reset();
  const position = positionAt(scratch, decodeRecordInto(scratch, row.record));
  let { readings } = position;
  if (row.clock && position.fixTime !== undefined) readings = { ...readings, deviceTime: iso(position.fixTime) };
  // All fields by name: objects of one shape are built and written three times as fast as those of toJSON().
  return {
    id: row.id,
    deviceId: row.deviceId,
    receivedAt: iso(row.receivedAt),
    event: position.event,
    fixTime: iso(row.fixTime),
    valid: position.valid,
    latitude: position.latitude,
    longitude: position.longitude,
    satellites: position.satellites,
    gsmSignal: position.gsmSignal,
    speedKmh: position.speedKmh,
    courseDeg: position.courseDeg,
    hdop: position.hdop,
    altitudeM: position.altitudeM,
    odometerM: position.odometerM,
    runtimeS: position.runtimeS,
    cell: position.cell,
    inputs: position.inputs,
    outputs: position.outputs,
    analogV: position.analogV,
    batteryV: position.batteryV,
    supplyV: position.supplyV,
    fuelPercent: position.fuelPercent,
    temperaturesC: position.temperaturesC,
    driverId: position.driverId,
    pictureName: position.pictureName,
    geofence: position.geofence,
    readings,
  } satisfies Record<keyof PositionJson | "id" | "deviceId" | "receivedAt", unknown>;
}

function cursorOf(...parts: number[]): string {
  return btoa(parts.join(".")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @throws {AppError} invalid when it is not a cursor of so many numbers */
function cursorParts(cursor: string, count: number): number[] {
  let text = "";
  try {
    text = atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    // Falls through: not base64 is not a cursor.
  }
  const parts = text.split(".").map((part) => (/^-?\d{1,15}$/.test(part) ? Number(part) : Number.NaN));
  if (parts.length !== count || parts.some(Number.isNaN)) {
    throw new AppError("invalid", "cursor is not one that this list gave", { field: "cursor" });
  }
  return parts;
}

function trackQuery(window: PageWindow, limit: number): TrackQuery {
  const from = window.from ?? -LIMITS.timeMs;
  const to = window.to ?? LIMITS.timeMs;
  if (from > to) throw new AppError("invalid", "to lies before from", { field: "to" });
  let after: TrackQuery["after"] = null;
  if (window.cursor !== undefined) {
    const [fixTime, id] = cursorParts(window.cursor, 2);
    after = { fixTime, id };
  }
  return { from, to, descending: window.order === "desc", after, limit };
}

function limitOf(limit: number = LIMITS.pageDefault): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMITS.pageMax) {
    throw new AppError("invalid", `limit must be a whole number from 1 to ${LIMITS.pageMax}`, { field: "limit" });
  }
  return limit;
}

/** One row more than the limit was asked for, to know whether there is a next page. */
function pageOf(
  rows: PositionRow[] | null,
  limit: number,
  cursor: (last: PositionRow) => string,
): Page<StoredPosition> {
  if (rows === null) throw new AppError("not_found", "No such device");
  const more = rows.length > limit;
  const shown = more ? rows.slice(0, limit) : rows;
  return { data: shown.map(storedPosition), nextCursor: more ? cursor(shown[limit - 1]) : null };
}

const byFix = (last: PositionRow) => cursorOf(last.fixTime, last.id);

/**
 * One page of a device's positions in fix order, oldest first unless asked otherwise.
 * @throws {AppError} not_found, also for a device of another account; invalid
 */
export async function history(ctx: Ctx, deviceId: number, window: PageWindow = {}): Promise<Page<StoredPosition>> {
  const limit = limitOf(window.limit);
  const rows = await store.trackOf(ctx.db, reachOf(ctx), deviceId, trackQuery(window, limit + 1));
  return pageOf(rows, limit, byFix);
}

/**
 * One page of what a device reported beside routine (heartbeats, interval, distance and cornering reports, replies),
 * or of the event codes that are asked for.
 * @throws {AppError} as history()
 */
export async function events(
  ctx: Ctx,
  deviceId: number,
  window: PageWindow & { codes?: readonly number[] | undefined } = {},
): Promise<Page<StoredPosition>> {
  const limit = limitOf(window.limit);
  const query = trackQuery(window, limit + 1);
  const rows = await store.eventsOf(ctx.db, reachOf(ctx), deviceId, window.codes ?? null, query);
  return pageOf(rows, limit, byFix);
}

/** One page of the newest valid fix of each of the caller's devices, by device id. */
export async function latest(
  ctx: Ctx,
  window: { limit?: number | undefined; cursor?: string | undefined } = {},
): Promise<Page<StoredPosition>> {
  const limit = limitOf(window.limit);
  const [after] = window.cursor === undefined ? [0] : cursorParts(window.cursor, 1);
  const rows = await store.latestOf(ctx.db, reachOf(ctx), after, limit + 1);
  return pageOf(rows, limit, (last) => cursorOf(last.deviceId));
}

/**
 * What arrived after a cursor, over all devices that the caller may see, in the order of arrival: trackers upload cached
 * positions late, so fix times run backwards. There is always a next cursor: asked again later, it gives what came since.
 */
export async function feed(
  ctx: Ctx,
  window: { limit?: number | undefined; cursor?: string | undefined } = {},
): Promise<Page<StoredPosition> & { nextCursor: string }> {
  const limit = limitOf(window.limit);
  const [after] = window.cursor === undefined ? [0] : cursorParts(window.cursor, 1);
  const { rows, seen } = await store.feedOf(ctx.db, reachOf(ctx), after, limit);
  return { data: rows.map(storedPosition), nextCursor: cursorOf(seen) };
}

/** The newest valid fix of each device behind `after` by id, as many as `limit`, by device id. */
export async function newestFixes(ctx: Ctx, after: number, limit: number): Promise<Map<number, StoredPosition>> {
  const rows = await store.latestOf(ctx.db, reachOf(ctx), after, limit);
  return new Map(rows.map((row) => [row.deviceId, storedPosition(row)]));
}

/** How many positions a device has, and from when to when. */
export function extentOf(ctx: Ctx, deviceId: number): Promise<Extent> {
  return store.extentOf(ctx.db, reachOf(ctx), deviceId);
}

export interface ExportFile {
  mediaType: string;
  fileName: string;
  body: ReadableStream<Uint8Array>;
}

/**
 * A device's positions in a window as a file, streamed: at most one page is in memory, and the next is read when the
 * reader asks for it.
 * @param deviceName titles the track where the format has a place for it
 * @throws {AppError} as history(), before anything is streamed; a failure later breaks the stream off
 */
export async function exportTrack(
  ctx: Ctx,
  device: { id: number; name: string },
  window: TrackWindow & { limit?: number | undefined },
  format: ExportFormat,
): Promise<ExportFile> {
  const reach = reachOf(ctx);
  let left = window.limit ?? Number.POSITIVE_INFINITY;
  let query = trackQuery(window, Math.min(left, LIMITS.exportPage));
  const read = async () => {
    const rows = await store.trackOf(ctx.db, reach, device.id, query);
    if (rows === null) throw new AppError("not_found", "No such device");
    return rows;
  };
  let next: PositionRow[] | null = await read();
  async function* pages() {
    while (next !== null && next.length > 0) {
      const rows: PositionRow[] = next;
      yield rows.map(storedPosition);
      left -= rows.length;
      const last = rows[rows.length - 1];
      const ended = rows.length < query.limit || left <= 0;
      query = { ...query, after: { fixTime: last.fixTime, id: last.id }, limit: Math.min(left, LIMITS.exportPage) };
      next = ended ? null : await read();
    }
  }
  const { mediaType, extension } = EXPORTS[format];
  const encoder = new TextEncoder();
  const chunks = exportText(format, pages(), { title: device.name });
  return {
    mediaType,
    fileName: `device-${device.id}.${extension}`,
    body: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await chunks.next();
          if (done) controller.close();
          else controller.enqueue(encoder.encode(value));
        },
        async cancel() {
          await chunks.return(undefined);
        },
      },
      { highWaterMark: 0 },
    ),
  };
}
