import * as v from "valibot";
import type { Ctx } from "../context.ts";
import { changeSettings, SETTINGS as ROWS, type SettingName, settingsOf } from "../settings.ts";
import { listOf } from "./fields.ts";
import { type Route, route } from "./route.ts";

const NAMES = Object.keys(ROWS) as SettingName[];

const SettingJson = v.object({ name: v.picklist(NAMES), value: v.string(), default: v.string(), what: v.string() });
const Changes = v.strictObject(
  Object.fromEntries(NAMES.map((name) => [name, v.optional(v.string())])) as Record<
    SettingName,
    v.OptionalSchema<v.StringSchema<undefined>, undefined>
  >,
);

async function settingsJson(ctx: Ctx) {
  const values = await settingsOf(ctx);
  const data = NAMES.map((name) => ({ name, value: values[name], default: ROWS[name].default, what: ROWS[name].what }));
  return { data, nextCursor: null };
}

const access = "admin";
const tag = "Administration";

export const SETTINGS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/settings",
    access,
    tag,
    summary: "Read the settings of this installation",
    answers: { 200: { description: "The settings", schema: listOf(SettingJson) } },
    handle: async ({ c, ctx }) => c.json(await settingsJson(ctx)),
  }),
  route({
    method: "PATCH",
    path: "/v1/admin/settings",
    access,
    tag,
    stepUp: true,
    summary: "Change settings",
    description: "By name, all or none. They are in force at once.",
    body: Changes,
    answers: { 200: { description: "The settings as they are now", schema: listOf(SettingJson) } },
    handle: async ({ c, ctx, body }) => {
      await changeSettings(ctx, body as Partial<Record<SettingName, string>>);
      return c.json(await settingsJson(ctx));
    },
  }),
];
