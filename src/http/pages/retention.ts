import * as v from "valibot";
import { requireRight } from "../../access.ts";
import { changeCollection, collectionProfile } from "../../collection.ts";
import type { Ctx } from "../../context.ts";
import { AppError } from "../../errors.ts";
import { changeGroup, createGroup, groupOf, removeGroup } from "../../groups.ts";
import { changeRetention, type Retention, retentionOf } from "../../retention-settings.ts";
import { collectionPage } from "../../web/collection.ts";
import {
  accountRetentionPage,
  deviceRetentionPage,
  groupRetentionPage,
  type Preview,
  retentionPage,
} from "../../web/retention.ts";
import { DevicePath, findDevice } from "../devices.ts";
import { Name } from "../fields.ts";
import { type Outcome, type PageCall, page, tickedIds, typed, typedOrNull } from "../page.ts";
import { CollectionJson, collectionIn, Days, findGroup, GroupInput, GroupPath, RetentionInput } from "../retention.ts";
import type { Form, Route } from "../route.ts";
import { parse } from "../validate.ts";

const SAVED = "/profile/retention?done=saved";

const stateOf = ({ form, problems, query }: PageCall<unknown, { done?: string | undefined }, unknown>) => ({
  form,
  problems,
  done: query.done,
});

const mayChange = ({ principal }: Ctx) => principal.kind === "user" && principal.role !== "viewer";
const mayMove = ({ principal }: Ctx) => principal.kind === "user" && principal.devices === null;

/** A number of days as it was typed; nothing is null, and what is no number is refused by the schema. */
function daysIn(form: Form): number | null {
  const text = typedOrNull(form, "days");
  const days = text !== null && /^\d{1,9}$/.test(text) ? Number(text) : text;
  return parse(v.object({ days: Days }), { days }).days;
}

const confirmIn = (form: Form) => typedOrNull(form, "confirm") ?? undefined;

/** Does what a form asks for, or shows first what it would delete. */
async function withPreview(form: Form, act: () => Promise<unknown>): Promise<Outcome> {
  try {
    await act();
    return SAVED;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "confirmation_required") throw error;
    return { show: { ...error.more, form } };
  }
}

const previewIn = (call: { result: unknown }) => call.result as Preview | null;

function found<T>(what: T | undefined, name: string): T {
  if (what === undefined) throw new AppError("not_found", `No such ${name}`);
  return what;
}

const deviceIn = (now: Retention, id: number) =>
  found(
    now.devices.find((device) => device.id === id),
    "device",
  );
const groupIn = (now: Retention, id: number) =>
  found(
    now.groups.find((group) => group.id === id),
    "group",
  );

export const RETENTION_PAGES: readonly Route[] = [
  page({
    path: "/profile/retention",
    access: "customer",
    right: true,
    summary: "How long positions are kept, and when the oldest go",
    show: async (call) => retentionPage(call.view, await retentionOf(call.ctx), mayChange(call.ctx), stateOf(call)),
    acts: {
      addGroup: async ({ ctx, form }) => {
        // The page is for everybody who may see a device.
        requireRight("manager", ctx.principal);
        const { name } = parse(v.object({ name: Name }), { name: typed(form, "name") });
        const group = await createGroup(ctx, name, null);
        return `/profile/retention/groups/${group.id}`;
      },
    },
  }),
  page({
    path: "/profile/retention/account",
    access: "manager",
    right: true,
    stepUp: true,
    summary: "How long the account keeps positions",
    show: async (call) => accountRetentionPage(call.view, await retentionOf(call.ctx), previewIn(call), stateOf(call)),
    acts: {
      save: ({ ctx, form }) => {
        const days = daysIn(form);
        const { timeZone } = parse(RetentionInput, { timeZone: typed(form, "timeZone") });
        return withPreview(form, () => changeRetention(ctx, { timeZone, account: { days } }, confirmIn(form)));
      },
    },
  }),
  page({
    path: "/profile/retention/devices/{id}",
    access: "manager",
    right: true,
    stepUp: true,
    summary: "How long positions of a device are kept",
    params: DevicePath,
    find: findDevice,
    show: async (call) => {
      const { ctx, view, object } = call;
      const now = await retentionOf(ctx);
      return deviceRetentionPage(view, now, deviceIn(now, object.id), mayMove(ctx), previewIn(call), stateOf(call));
    },
    acts: {
      save: ({ ctx, object, form }) => {
        const device = { id: object.id, days: daysIn(form) };
        const [group = null] = tickedIds(form, "groupId");
        const devices = mayMove(ctx) ? [{ ...device, groupId: group }] : [device];
        return withPreview(form, () => changeRetention(ctx, { devices }, confirmIn(form)));
      },
    },
  }),
  page({
    path: "/profile/retention/groups/{id}",
    access: "manager",
    right: true,
    stepUp: true,
    summary: "A group of devices: its name, its period, which are in it",
    params: GroupPath,
    find: findGroup,
    show: async (call) => {
      const now = await retentionOf(call.ctx);
      return groupRetentionPage(call.view, now, groupIn(now, call.object.id), previewIn(call), stateOf(call));
    },
    acts: {
      save: ({ ctx, object, form }) => {
        const days = daysIn(form);
        const given = { name: typed(form, "name"), days, devices: tickedIds(form, "devices") };
        const change = parse(GroupInput, given);
        return withPreview(form, () => changeGroup(ctx, object, change, confirmIn(form)));
      },
      remove: async ({ ctx, object, form }) => {
        const group = await groupOf(ctx, object.id);
        return withPreview(form, () => removeGroup(ctx, group, confirmIn(form)));
      },
    },
  }),
  page({
    path: "/profile/collection",
    access: "customer",
    right: true,
    summary: "What is stored of each position",
    show: async (call) => {
      const isWhole = mayChange(call.ctx) && mayMove(call.ctx);
      return collectionPage(call.view, await collectionProfile(call.ctx), isWhole, stateOf(call));
    },
    acts: {
      save: async ({ ctx, form }) => {
        requireRight("manager", ctx.principal);
        const [speed, cell, driver] = ["speed", "cell", "driver"].map((name) => typed(form, name) === "on");
        const decimals = typed(form, "coordinates");
        const coordinates = /^\d$/.test(decimals) ? Number(decimals) : decimals;
        await changeCollection(ctx, collectionIn(parse(CollectionJson, { speed, cell, driver, coordinates })));
        return "/profile/collection?done=saved";
      },
    },
  }),
].flat();
