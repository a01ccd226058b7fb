import * as v from "valibot";
import { listActions } from "../../../audit.ts";
import { createBridge, revokeBridge } from "../../../bridges.ts";
import { LIMITS } from "../../../limits.ts";
import { overview, runJobNow } from "../../../overview.ts";
import { changeSettings, SETTINGS, settingsOf } from "../../../settings.ts";
import { finishSetup, isSetupOpen } from "../../../setup.ts";
import { auditPage, overviewPage, settingsPage, setupPage } from "../../../web/admin/operation.ts";
import { sessionCookie } from "../../browser.ts";
import { page, typed } from "../../page.ts";
import type { Route } from "../../route.ts";
import { admin, type Cursor, cursor, idIn, listed, nameIn, state } from "./panel.ts";

const OVERVIEW = page({
  path: "/admin",
  access: "staff",
  summary: "The panel",
  show: async (call) => overviewPage(call.view, await overview(call.ctx), state(call), call.result),
  acts: {
    run: async ({ ctx, form }) => {
      admin(ctx);
      const job = typed(form, "job");
      return { show: { ran: job, changed: await runJobNow(ctx, job) } };
    },
    bridge: async ({ ctx, form }) => {
      admin(ctx);
      return { show: { token: (await createBridge(ctx, nameIn(form))).token } };
    },
    revoke: async ({ ctx, form }) => {
      admin(ctx);
      await revokeBridge(ctx, idIn(form, "bridge"));
      return "/admin?done=removed";
    },
  },
});

const SETTINGS_PAGE = page({
  path: "/admin/settings",
  access: "admin",
  summary: "Settings",
  show: async (call) => settingsPage(call.view, await settingsOf(call.ctx), state(call)),
  acts: {
    save: async ({ ctx, form }) => {
      const names = Object.keys(SETTINGS).filter((name) => typeof form[name] === "string");
      await changeSettings(ctx, Object.fromEntries(names.map((name) => [name, typed(form, name).trim()])));
      return "/admin/settings?done=saved";
    },
  },
});

const AUDIT = page<undefined, Cursor>({
  path: "/admin/audit",
  access: "privacy",
  summary: "What people and the operator did",
  query: cursor,
  show: async (call) =>
    auditPage(
      call.view,
      await listed(call.query.cursor, LIMITS.timeMs, (before, limit) => listActions(call.ctx, null, before, limit)),
      state(call),
    ),
});

const SETUP = page({
  path: "/setup/{token}",
  access: "public",
  summary: "Make the first administrator",
  params: v.object({ token: v.pipe(v.string(), v.regex(/^[\w-]{1,100}$/)) }),
  show: async (call) => setupPage(call.view, await isSetupOpen(call.ctx, call.params.token), state(call)),
  acts: {
    setup: async ({ ctx, params, form, view }) => {
      const opened = await finishSetup(ctx, params.token, {
        email: typed(form, "email").trim(),
        name: typed(form, "name").trim() || null,
        password: typed(form, "password"),
        language: view.language,
      });
      return { to: "/admin", cookie: sessionCookie(opened.cookie, LIMITS.staffSessionMs) };
    },
  },
});

export const OPERATION_PAGES: readonly Route[] = [OVERVIEW, SETTINGS_PAGE, AUDIT, SETUP].flat();
