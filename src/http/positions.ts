import type { Context } from "hono";
import * as v from "valibot";
import type { Ctx } from "../context.ts";
import { AppError } from "../errors.ts";
import { EXPORTS, type ExportFormat } from "../export.ts";
import { LIMITS } from "../limits.ts";
import { events, exportTrack, feed, history, latest } from "../positions.ts";
import { type Answer, asAnswer, MEDIA_TYPES } from "../sealed-answer.ts";
import { DevicePath, findDevice } from "./devices.ts";
import { Id, Limit, listOf, pageSize, queryTime, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const number = (description: string) => v.optional(v.pipe(v.number(), v.description(description)));
const integer = (description: string) => v.optional(v.pipe(v.number(), v.integer(), v.description(description)));
const byName = (description: string) =>
  v.optional(v.pipe(v.record(v.string(), v.number()), v.description(description)));

/** A position; a field that the tracker did not send is absent. */
export const PositionJson = v.object({
  id: v.pipe(Id, v.description("Rises in the order of arrival")),
  deviceId: Id,
  receivedAt: Time,
  event: v.pipe(
    v.object({ code: v.pipe(v.number(), v.integer()), name: v.string() }),
    v.description("Why the tracker reported"),
  ),
  fixTime: v.pipe(Time, v.description("When the receiver took the position")),
  valid: v.pipe(v.boolean(), v.description("The receiver had a fix; without one the position is the last known")),
  latitude: number("Degrees, WGS 84, north positive"),
  longitude: number("Degrees, WGS 84, east positive"),
  satellites: integer("Satellites in use"),
  gsmSignal: integer("CSQ, 0 to 31"),
  speedKmh: number("Speed over ground"),
  courseDeg: number("Course over ground, 0 to 359 from true north"),
  hdop: number("Horizontal dilution of precision"),
  altitudeM: number("Metres above mean sea level"),
  odometerM: integer("Distance that the tracker counted"),
  runtimeS: integer("Running time that the tracker counted"),
  cell: v.optional(
    v.pipe(
      v.object({ mcc: integer("Country"), mnc: integer("Network"), lac: integer("Area"), cid: integer("Cell") }),
      v.description("Base station"),
    ),
  ),
  inputs: integer("Digital inputs, bit 0 is input 1"),
  outputs: integer("Outputs, bit 0 is output 1"),
  analogV: byName("Volts by analog input"),
  batteryV: number("Volts of the tracker's own battery"),
  supplyV: number("Volts of the vehicle's supply"),
  fuelPercent: number("Fuel level"),
  temperaturesC: byName("Degrees Celsius by sensor"),
  driverId: v.optional(v.pipe(v.string(), v.description("Of the card or key that was read"))),
  pictureName: v.optional(v.string()),
  geofence: integer("Number of the fence in the tracker"),
  readings: v.optional(
    v.pipe(v.record(v.string(), v.unknown()), v.description("Everything else, by its name in the protocol table")),
  ),
});

const FORMATS = ["json", ...(Object.keys(EXPORTS) as ExportFormat[])] as const;
type Format = (typeof FORMATS)[number];

export const Cursor = v.optional(v.pipe(v.string(), v.maxLength(100), v.description("nextCursor of the page before")));

export const WINDOW = {
  from: v.optional(queryTime("First fix time")),
  to: v.optional(queryTime("End of the fix times, not included")),
  order: v.optional(v.pipe(v.picklist(["asc", "desc"]), v.description("Of the fix times")), "asc"),
};

const HistoryQuery = v.strictObject({
  ...WINDOW,
  limit: v.optional(pageSize(`Positions at most; ${LIMITS.pageDefault} on a page of JSON, a file has all of them`)),
  cursor: Cursor,
  format: v.optional(
    v.pipe(
      v.picklist(FORMATS),
      v.description("Or name its media type in Accept; the others are streamed, without pages"),
    ),
  ),
});

const EventCodes = v.pipe(
  v.string(),
  v.check((text) => /^\d{1,3}(,\d{1,3}){0,49}$/.test(text), "must be event codes like 1,17"),
  v.description("Only these event codes, with commas between; otherwise everything that is not a routine report"),
  v.examples(["1,17"]),
  v.transform((text) => text.split(",").map(Number)),
);

/** Which format the Accept header asks for; JSON when it names none of ours. */
function acceptedFormat(accept: string | undefined): Format {
  const wanted = (accept ?? "").split(",").map((entry) => {
    const [type = "", ...parameters] = entry.split(";").map((part) => part.trim().toLowerCase());
    const quality = Number(parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? 1);
    return { type, quality: Number.isNaN(quality) ? 0 : quality };
  });
  wanted.sort((a, b) => b.quality - a.quality);
  for (const { type } of wanted.filter(({ quality }) => quality > 0)) {
    if (type === "application/json" || type === "*/*") return "json";
    for (const format of Object.keys(EXPORTS) as ExportFormat[]) {
      if (EXPORTS[format].mediaType.split(";")[0] === type) return format;
    }
  }
  return "json";
}

/** Sends what is JSON already. */
const sendAnswer = async (c: Context, answer: Promise<Answer>, headers: Record<string, string> = {}) => {
  const { mediaType, json } = await answer;
  return c.body(json, 200, { "Content-Type": mediaType, ...headers });
};

/** Passes a stream on and logs what breaks it off: by then the status is sent. */
function watched(ctx: Ctx, body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          // Who left while a page was read has closed the stream that it was for.
          if (left) return;
          ctx.log.error("export.broken", { requestId: ctx.requestId }, error);
          controller.error(error);
        }
      },
      cancel(reason) {
        left = true;
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

const tag = "Positions";
const unixMs = v.pipe(v.number(), v.description("Unix ms"));
const maybeMs = v.nullable(unixMs);
const base64 = v.pipe(v.string(), v.description("base64"));
/** What the positions of an account with sealing keys are once they are settled; client/ opens it. */
const SealedJson = v.object({
  sealed: v.literal(true),
  data: v.pipe(v.array(PositionJson), v.description("What is not sealed: it came in the last hour, or before the key")),
  accountId: Id,
  wanted: v.pipe(
    v.object({
      order: v.picklist(["fix", "newest fix first", "arrival", "device"]),
      from: maybeMs,
      to: maybeMs,
      after: v.nullable(v.number()),
      upTo: v.nullable(v.number()),
      events: v.nullable(v.union([v.array(v.number()), v.literal("alarms")])),
      routine: v.array(v.number()),
    }),
    v.description("What was asked for, as the content of a segment may reach beyond it"),
  ),
  segments: v.array(
    v.object({
      id: Id,
      deviceId: Id,
      dayKid: v.number(),
      deviceKid: v.number(),
      customerKid: v.pipe(v.number(), v.description("The secret that is one half of its key")),
      fromTime: unixMs,
      toTime: unixMs,
      dueFrom: maybeMs,
      dueTo: maybeMs,
      firstId: Id,
      lastId: Id,
      positions: v.number(),
      alarms: v.number(),
      clockless: v.number(),
      keptFrom: v.pipe(v.number(), v.description("Unix ms; positions from before are past their period")),
      share: v.pipe(v.string(), v.description("The other half of its key, base64")),
      sealed: v.pipe(v.string(), v.description("Nonce, ciphertext and tag of AES-256-GCM, base64")),
    }),
  ),
  fixes: v.pipe(
    v.array(
      v.object({
        deviceId: Id,
        dayKid: v.number(),
        deviceKid: v.number(),
        customerKid: v.number(),
        due: unixMs,
        share: base64,
        sealed: base64,
      }),
    ),
    v.description("Newest fixes of devices"),
  ),
  secrets: v.array(
    v.object({
      kid: v.number(),
      day: v.pipe(v.number(), v.description("UTC day since 1970")),
      wrapped: v.pipe(
        v.array(v.object({ publicKey: v.string(), wrapped: base64 })),
        v.description("By HPKE, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM"),
      ),
    }),
  ),
  nextCursor: v.nullable(v.string()),
});

const positionPage = {
  description:
    "One page of positions. Where the account seals them to keys of its own and they are settled, they come sealed; " +
    "`npm run -s unseal` opens them",
  schema: listOf(PositionJson),
  media: { [MEDIA_TYPES.sealed]: SealedJson },
};
const files = Object.fromEntries(Object.values(EXPORTS).map(({ mediaType }) => [mediaType.split(";")[0], null]));

export const POSITIONS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/devices/{id}/positions",
    access: "read",
    tag,
    summary: "Read a device's track",
    description: "In fix order, as pages of JSON or as one file: GeoJSON, NDJSON, CSV or GPX.",
    params: DevicePath,
    query: HistoryQuery,
    find: findDevice,
    findsItself: true,
    refusesSealed: true,
    answers: { 200: { ...positionPage, media: { ...files, ...positionPage.media } } },
    handle: async ({ c, ctx, params, query }) => {
      const { format = acceptedFormat(c.req.header("accept")), ...window } = query;
      if (format === "json") {
        return sendAnswer(c, history(ctx, params.id, window, asAnswer(ctx)), { Vary: "Accept" });
      }
      const { cursor, ...rest } = window;
      if (cursor !== undefined) {
        throw new AppError("invalid", "cursor goes with format=json; a file has all positions", { field: "cursor" });
      }
      const file = await exportTrack(ctx, await findDevice(ctx, params), rest, format);
      return new Response(watched(ctx, file.body), {
        headers: {
          "Content-Type": file.mediaType,
          "Content-Disposition": `attachment; filename="${file.fileName}"`,
          Vary: "Accept",
        },
      });
    },
  }),
  route({
    method: "GET",
    path: "/v1/devices/{id}/events",
    access: "read",
    tag,
    summary: "Read what a device reported beside routine",
    description: "Positions whose event is not a heartbeat, interval, distance or cornering report or a reply.",
    params: DevicePath,
    query: v.strictObject({ ...WINDOW, limit: Limit, cursor: Cursor, codes: v.optional(EventCodes) }),
    find: findDevice,
    findsItself: true,
    answers: { 200: positionPage },
    handle: async ({ c, ctx, params, query }) => sendAnswer(c, events(ctx, params.id, query, asAnswer(ctx))),
  }),
  route({
    method: "GET",
    path: "/v1/positions/latest",
    access: "read",
    tag,
    summary: "Read the newest valid fix of each device",
    query: v.strictObject({ limit: Limit, cursor: Cursor }),
    answers: { 200: positionPage },
    handle: async ({ c, ctx, query }) => sendAnswer(c, latest(ctx, query, asAnswer(ctx))),
  }),
  route({
    method: "GET",
    path: "/v1/positions/feed",
    access: "read",
    tag,
    summary: "Follow all devices in the order of arrival",
    description:
      "Trackers upload late what they could not send, so fix times run backwards; ids do not. There is always a " +
      "nextCursor: ask again with it for what came since.",
    query: v.strictObject({ limit: Limit, cursor: Cursor }),
    answers: { 200: positionPage },
    handle: async ({ c, ctx, query }) => sendAnswer(c, feed(ctx, query, asAnswer(ctx))),
  }),
];
