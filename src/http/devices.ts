import * as v from "valibot";
import { createDevice } from "../activation.ts";
import { setupOf } from "../device-setup.ts";
import { changeDevice, type Device, deleteDevice, deviceOf, listDevices } from "../devices.ts";
import { LIMITS } from "../limits.ts";
import { requireMatch, resource } from "./etag.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, Name, PathId, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const ClockOffset = v.pipe(
  v.number(),
  v.integer(),
  v.minValue(LIMITS.clockOffsetMinMinutes),
  v.maxValue(LIMITS.clockOffsetMaxMinutes),
  v.description("How far the tracker's clock is ahead of UTC, for one that is set to local time"),
);
const Model = v.pipe(
  v.nullable(v.pipe(v.string(), v.maxLength(40))),
  v.description("Tracker model as in GET /v1/models; it decides how voltages are scaled. null: not known"),
);
const ConfirmCce = v.pipe(v.boolean(), v.description("Answer CCE packets, for a tracker that repeats them until then"));
export const Imei = v.pipe(
  v.string(),
  v.description("15 digits; the last is the Luhn check digit"),
  v.examples(["359999000000018"]),
);

export const DeviceJson = v.object({
  id: Id,
  imei: Imei,
  name: v.string(),
  model: Model,
  clockOffsetMinutes: ClockOffset,
  confirmCce: ConfirmCce,
  createdAt: Time,
  suspendedSince: v.pipe(
    MaybeTime,
    v.description("Since then nothing of it is stored and nothing is sent to it; null: it is not suspended"),
  ),
});

export function deviceJson(device: Device): v.InferOutput<typeof DeviceJson> {
  const { id, imei, name, model, clockOffsetMinutes, confirmCce, createdAt, suspendedSince } = device;
  const times = { createdAt: iso(createdAt), suspendedSince: isoOrNull(suspendedSince) };
  return { id, imei, name, model, clockOffsetMinutes, confirmCce, ...times };
}

export const Code = v.pipe(
  v.string(),
  v.maxLength(40),
  v.description("The activation code on the tracker's box; grouped or not, in capitals or not"),
  v.examples(["7KQ2M-X4T9B"]),
);

const NewDevice = v.strictObject({
  imei: Imei,
  code: v.exactOptional(Code),
  name: Name,
  model: v.optional(Model, null),
  clockOffsetMinutes: v.optional(ClockOffset, 0),
  confirmCce: v.optional(ConfirmCce, false),
});

export const DeviceChange = v.strictObject({
  name: v.exactOptional(Name),
  model: v.exactOptional(Model),
  clockOffsetMinutes: v.exactOptional(ClockOffset),
  confirmCce: v.exactOptional(ConfirmCce),
});

/** Path parameters of everything under a device, and how it is found for the caller's account. */
export const DevicePath = v.object({ id: PathId });
export const findDevice = (ctx: Parameters<typeof deviceOf>[0], { id }: { id: number }) => deviceOf(ctx, id);

const SetupJson = v.object({
  host: v.pipe(v.string(), v.description("Where trackers connect to")),
  port: v.pipe(v.number(), v.integer()),
  lines: v.array(
    v.object({
      code: v.string(),
      sms: v.pipe(v.string(), v.description("The text of a message to the tracker's phone number")),
      frame: v.pipe(v.string(), v.description("The same for a USB cable or an open connection; CR LF follows")),
    }),
  ),
});

const tag = "Devices";

export const DEVICES: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/devices",
    access: "write",
    tag,
    summary: "Register a tracker",
    description:
      "Its frames are stored from now on; what an unknown IMEI sent before is not kept. An account that signed up itself " +
      "needs the tracker's activation code, unless the platform is run open. The code works once (409 after that); a wrong " +
      "one, a tracker that another account has and one that nobody sold all answer 404 alike, and 429 after five of them in an hour.",
    body: NewDevice,
    idempotent: true,
    answers: { 201: { description: "The device", schema: DeviceJson, headers: ["Location", "ETag"] } },
    handle: async ({ c, ctx, body }) => {
      const device = await createDevice(ctx, body);
      return resource(c, deviceJson(device), { location: `/v1/devices/${device.id}` });
    },
  }),
  route({
    method: "GET",
    path: "/v1/devices",
    access: "read",
    tag,
    summary: "List devices by id",
    query: ListQuery,
    answers: { 200: { description: "One page of devices", schema: listOf(DeviceJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listDevices(ctx, query.cursor ?? 0, query.limit + 1), query.limit, deviceJson)),
  }),
  route({
    method: "GET",
    path: "/v1/devices/{id}",
    access: "read",
    tag,
    summary: "Read a device",
    params: DevicePath,
    etag: true,
    find: findDevice,
    answers: { 200: { description: "The device", schema: DeviceJson, headers: ["ETag"] } },
    handle: ({ c, object }) => resource(c, deviceJson(object)),
  }),
  route({
    method: "GET",
    path: "/v1/devices/{id}/setup",
    access: "read",
    tag,
    summary: "Read how a tracker is told to report here",
    description:
      "For a SIM card that needs no APN, TCP and a report every minute; the page of the device fills in the rest.",
    params: DevicePath,
    find: findDevice,
    answers: { 200: { description: "The lines, in the order to send them", schema: SetupJson } },
    handle: async ({ c, ctx, object }) => c.json(await setupOf(ctx, object)),
  }),
  route({
    method: "PATCH",
    path: "/v1/devices/{id}",
    access: "write",
    tag,
    summary: "Change a device",
    description: "Only the fields that are given. The IMEI stays: another tracker is another device.",
    params: DevicePath,
    body: DeviceChange,
    etag: true,
    find: findDevice,
    answers: { 200: { description: "The device as it is now", schema: DeviceJson, headers: ["ETag"] } },
    handle: async ({ c, ctx, object, body }) => {
      await requireMatch(c, deviceJson(object));
      return resource(c, deviceJson(await changeDevice(ctx, object, body)));
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/devices/{id}",
    access: "write",
    tag,
    summary: "Delete a device with everything it sent",
    right: true,
    stepUp: true,
    params: DevicePath,
    etag: true,
    find: findDevice,
    answers: { 204: { description: "Gone, with its positions and commands" } },
    handle: async ({ c, ctx, object }) => {
      await requireMatch(c, deviceJson(object));
      await deleteDevice(ctx, object.id);
      return c.body(null, 204);
    },
  }),
];
