import * as v from "valibot";
import { requireRight } from "../../access.ts";
import { createDevice, needsCode } from "../../activation.ts";
import type { Ctx } from "../../context.ts";
import { isSealed } from "../../customer-keys.ts";
import { SETUP_DEFAULTS, setupOf, smsQr } from "../../device-setup.ts";
import { changeDevice, type Device, deleteDevice, listDevices } from "../../devices.ts";
import { AppError } from "../../errors.ts";
import { extentOf, newestFixes } from "../../positions.ts";
import { noteDeviceSeen, recentDevices } from "../../profile.ts";
import { type DevicePage, devicePage, devicesPage, newDevicePage, removeDevicePage } from "../../web/devices.ts";
import type { FormProblem } from "../../web/problems.ts";
import { findDevices } from "../../web/profile.ts";
import { DeviceChange, DevicePath, findDevice } from "../devices.ts";
import { IdCursor, Name } from "../fields.ts";
import { page, typed, typedOrNull } from "../page.ts";
import type { Form, Route } from "../route.ts";
import { parse } from "../validate.ts";

/** Trackers on one page of the list. */
const LISTED = 50;

const mayAdd = ({ principal }: Ctx) =>
  principal.kind === "user" && principal.role !== "viewer" && principal.devices === null;

const mayEdit = ({ principal }: Ctx, { id }: Device) =>
  principal.kind === "user" &&
  principal.role !== "viewer" &&
  (principal.editable === null || principal.editable.includes(id));

function wishIn(form: Form): DevicePage["wish"] {
  const text = (name: keyof typeof SETUP_DEFAULTS) => typed(form, name).trim() || String(SETUP_DEFAULTS[name]);
  return {
    mode: typed(form, "mode") === "udp" ? "udp" : "tcp",
    apn: text("apn"),
    apnUser: text("apnUser"),
    apnPassword: text("apnPassword"),
    intervalS: Number(text("intervalS")),
    smsPassword: text("smsPassword"),
    simNumber: typed(form, "mobile").trim(),
  };
}

/** What an act shows on the page of the device: the lines for what was typed. */
type Shown = Pick<DevicePage, "wish" | "lines">;

async function setUp(ctx: Ctx, device: Device, form: Form): Promise<Shown> {
  const wish = wishIn(form);
  const { lines } = await setupOf(ctx, device, wish);
  return { wish, lines: lines.map((line) => ({ ...line, qr: smsQr(line.sms, wish.simNumber) })) };
}

/** Where trackers connect to; null where it cannot be told to one, which the act then says. */
async function bridgeOf(ctx: Ctx, device: Device): Promise<DevicePage["bridge"]> {
  try {
    return await setupOf(ctx, device);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

/** What was typed into the form of one act; a page may have several. */
const stateOf = (act: string, form: Form, problems: readonly FormProblem[]) =>
  typed(form, "act") === act ? { form, problems } : { form: {}, problems: [] };

export const DEVICES_PAGES: readonly Route[] = [
  ...page({
    path: "/devices",
    access: "customer",
    summary: "The devices and where each was last",
    query: { cursor: IdCursor },
    show: async ({ ctx, view, query }) => {
      const { cursor = 0, done } = query as { cursor?: number; done?: string };
      const found = await listDevices(ctx, cursor, LISTED + 1);
      const devices = found.slice(0, LISTED);
      const fixes = await newestFixes(ctx, cursor, LISTED);
      const nextCursor = found.length > LISTED ? String(devices.at(-1)?.id) : null;
      const limited = ctx.principal.kind === "user" && ctx.principal.devices !== null;
      const above = findDevices(view, await recentDevices(ctx));
      return devicesPage(view, { devices, fixes, nextCursor, mayAdd: mayAdd(ctx), limited, done, above });
    },
  }),
  ...page({
    path: "/devices/new",
    access: "write",
    summary: "Add a tracker",
    show: async ({ ctx, view, form, problems }) => newDevicePage(view, { form, problems }, await needsCode(ctx)),
    acts: {
      add: async ({ ctx, form }) => {
        const device = await createDevice(ctx, {
          imei: typed(form, "imei").replaceAll(/[\s-]/g, ""),
          code: typedOrNull(form, "code") ?? undefined,
          name: parse(v.object({ name: Name }), { name: typed(form, "name") }).name,
          model: typedOrNull(form, "model"),
          clockOffsetMinutes: 0,
          confirmCce: false,
        });
        return `/devices/${device.id}?done=added`;
      },
    },
  }),
  ...page({
    path: "/devices/{id}",
    access: "customer",
    summary: "A device: where it is, its settings, how it is told to report here",
    params: DevicePath,
    find: findDevice,
    show: async ({ ctx, view, object: device, query, form, problems, result }) => {
      const shown = result as Shown | null;
      ctx.defer(noteDeviceSeen(ctx, device.id));
      const fixes = await newestFixes(ctx, device.id - 1, 1);
      return devicePage(view, {
        device,
        fix: fixes.open.get(device.id),
        sealedAt: fixes.sealed.get(device.id) ?? null,
        sealing: await isSealed(ctx, device.accountId),
        mayEdit: mayEdit(ctx, device),
        bridge: await bridgeOf(ctx, device),
        wish: shown?.wish ?? wishIn({}),
        lines: shown?.lines ?? null,
        settings: stateOf("save", form, problems),
        setup: stateOf("setUp", form, problems),
        problems,
        done: (query as { done?: string }).done,
      });
    },
    acts: {
      setUp: async ({ ctx, object, form }) => ({ show: await setUp(ctx, object, form) }),
      save: async ({ ctx, object, form }) => {
        // The page is for everybody who may see the device.
        requireRight("write", ctx.principal);
        const minutes = typed(form, "clockOffsetMinutes").trim();
        const change = parse(DeviceChange, {
          name: typed(form, "name"),
          model: typedOrNull(form, "model"),
          clockOffsetMinutes: /^[-+]?\d{1,4}$/.test(minutes) ? Number(minutes) : minutes,
          confirmCce: typed(form, "confirmCce") === "on",
        });
        await changeDevice(ctx, object, change);
        return `/devices/${object.id}?done=saved`;
      },
    },
  }),
  ...page({
    path: "/devices/{id}/remove",
    access: "write",
    summary: "Remove a device, after a look at what goes with it",
    right: true,
    stepUp: true,
    params: DevicePath,
    find: findDevice,
    show: async ({ ctx, view, object, problems }) => {
      const removal = { ...(await extentOf(ctx, object.id)), needsCode: await needsCode(ctx) };
      return removeDevicePage(view, object, removal, problems);
    },
    acts: {
      remove: async ({ ctx, object }) => {
        await deleteDevice(ctx, object.id);
        return "/devices?done=removed";
      },
    },
  }),
];
