import type { StoredPositions } from "../codec/segment.ts";
import { type StoredPosition, storedPosition } from "../codec/stored-position.ts";
import { reachOf } from "./access.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { EXPORTS, type ExportFormat, exportText } from "./export.ts";
import { type Extent, extentOf as extentIn } from "./extent.ts";
import { feedOf } from "./feed.ts";
import { latestOf } from "./latest.ts";
import { LIMITS } from "./limits.ts";
import { positionsJson } from "./position-json.ts";
import { closedStatement } from "./store/segments.ts";
import { telemetryFor } from "./telemetry.ts";
import { type Found, type TrackQuery, trackOf } from "./track.ts";

export type { StoredPosition } from "../codec/stored-position.ts";

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

const shown = ({ stored, rows }: Found): StoredPosition[] => rows.map((row) => storedPosition(stored, row));

/** What becomes of a page that was read. Where some of it is `closed`, only src/sealed-answer.ts gives that out. */
export type Writer<T> = (found: Found, nextCursor: string | null) => T | Promise<T>;

/** A page as objects. */
export const asPage: Writer<Page<StoredPosition>> = (found, nextCursor) => ({ data: shown(found), nextCursor });

/** A page as the bytes of its JSON, written straight from the columns: the same text in a small part of the time. */
export const asJson: Writer<Uint8Array<ArrayBuffer>> = ({ stored, rows }, nextCursor) =>
  positionsJson(stored, rows, 0, rows.length, '{"data":', `,"nextCursor":${JSON.stringify(nextCursor)}}`);

/** One row more than the limit was asked for, to know whether there is a next page. */
function pageOf<T>(
  found: Found | null,
  limit: number,
  cursor: (stored: StoredPositions, last: number) => string,
  write: Writer<T>,
): T | Promise<T> {
  if (found === null) throw new AppError("not_found", "No such device");
  const { stored, rows, closed } = found;
  if (closed !== undefined) return write(found, closed.next && cursorOf(...closed.next));
  const more = rows.length > limit;
  const page = more ? rows.slice(0, limit) : rows;
  return write({ stored, rows: page }, more ? cursor(stored, page[limit - 1]) : null);
}

const byFix = (stored: StoredPositions, last: number) => cursorOf(stored.fixTimeAt(last), stored.ids[last]);

/**
 * One page of a device's positions in fix order, oldest first unless asked otherwise.
 * @throws {AppError} not_found, also for a device of another account; invalid
 */
export async function history<T = Page<StoredPosition>>(
  ctx: Ctx,
  deviceId: number,
  window: PageWindow = {},
  write: Writer<T | Page<StoredPosition>> = asPage,
): Promise<T> {
  const limit = limitOf(window.limit);
  const found = await trackOf(ctx, reachOf(ctx), deviceId, trackQuery(window, limit + 1));
  return pageOf(found, limit, byFix, write) as T;
}

/**
 * One page of what a device reported beside routine (heartbeats, interval, distance and cornering reports, replies),
 * or of the event codes that are asked for.
 * @throws {AppError} as history()
 */
export async function events<T = Page<StoredPosition>>(
  ctx: Ctx,
  deviceId: number,
  window: PageWindow & { codes?: readonly number[] | undefined } = {},
  write: Writer<T | Page<StoredPosition>> = asPage,
): Promise<T> {
  const limit = limitOf(window.limit);
  const query: TrackQuery = { ...trackQuery(window, limit + 1), events: window.codes ?? "alarms" };
  return pageOf(await trackOf(ctx, reachOf(ctx), deviceId, query), limit, byFix, write) as T;
}

/** One page of the newest valid fix of each of the caller's devices, by device id. */
export async function latest<T = Page<StoredPosition>>(
  ctx: Ctx,
  window: { limit?: number | undefined; cursor?: string | undefined } = {},
  write: Writer<T | Page<StoredPosition>> = asPage,
): Promise<T> {
  const limit = limitOf(window.limit);
  const [after] = window.cursor === undefined ? [0] : cursorParts(window.cursor, 1);
  const found = await latestOf(ctx, reachOf(ctx), after, limit + 1);
  return pageOf(found, limit, (stored, last) => cursorOf(stored.deviceIds[last]), write) as T;
}

/**
 * What arrived after a cursor, over all devices that the caller may see, in the order of arrival: trackers upload cached
 * positions late, so fix times run backwards. There is always a next cursor: asked again later, it gives what came since.
 */
export async function feed<T = Page<StoredPosition> & { nextCursor: string }>(
  ctx: Ctx,
  window: { limit?: number | undefined; cursor?: string | undefined } = {},
  write: Writer<T | Page<StoredPosition>> = asPage,
): Promise<T> {
  const limit = limitOf(window.limit);
  const [after] = window.cursor === undefined ? [0] : cursorParts(window.cursor, 1);
  const { seen, ...found } = await feedOf(ctx, reachOf(ctx), after, limit);
  return write(found, cursorOf(seen)) as T;
}

/** Newest valid fixes by device id. */
export interface NewestFixes {
  open: Map<number, StoredPosition>;
  /** When those were that only the customer can open, Unix ms. */
  sealed: Map<number, number>;
}

/** The newest valid fix of each device behind `after` by id, as many as `limit`. */
export async function newestFixes(ctx: Ctx, after: number, limit: number): Promise<NewestFixes> {
  const found = await latestOf(ctx, reachOf(ctx), after, limit);
  return {
    open: new Map(shown(found).map((position) => [position.deviceId, position])),
    sealed: new Map(found.closed?.fixes.map(({ deviceId, due }) => [deviceId, due])),
  };
}

/** How many positions a device has, and from when to when. */
export function extentOf(ctx: Ctx, deviceId: number): Promise<Extent> {
  return extentIn(ctx, reachOf(ctx), deviceId);
}

const sealedFile = () =>
  new AppError("sealed", "These positions are sealed to your key: read them as JSON, and open that with your key");

/** Whether a stretch of a track has something that only the customer can open. */
async function hasClosed(ctx: Ctx, accountId: number, deviceId: number, { from, to }: TrackQuery): Promise<boolean> {
  const telemetry = await telemetryFor(ctx, accountId);
  const { rows } = await telemetry.db.$client.execute(closedStatement(accountId, deviceId, from, to));
  return rows.length > 0;
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
    const found = await trackOf(ctx, reach, device.id, query);
    if (found === null) throw new AppError("not_found", "No such device");
    // What came to rest since the stream began.
    if (found.closed !== undefined) throw sealedFile();
    return found;
  };
  if (await hasClosed(ctx, reach.accountId, device.id, query)) throw sealedFile();
  let next: Found | null = await read();
  async function* pages() {
    while (next !== null && next.rows.length > 0) {
      const { stored, rows }: Found = next;
      yield shown({ stored, rows });
      left -= rows.length;
      const last = rows[rows.length - 1];
      const ended = rows.length < query.limit || left <= 0;
      const after = { fixTime: stored.fixTimeAt(last), id: stored.ids[last] };
      query = { ...query, after, limit: Math.min(left, LIMITS.exportPage) };
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
