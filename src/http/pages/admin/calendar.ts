import * as v from "valibot";
import { deadlineOf } from "../../../business-time.ts";
import { changeCalendar, operatorCalendar } from "../../../calendars.ts";
import { calendarPage } from "../../../web/admin/calendar.ts";
import { page, typed } from "../../page.ts";
import type { Form, Route } from "../../route.ts";
import { parse } from "../../validate.ts";
import { admin, state } from "./panel.ts";

const kindIn = (form: Form) => parse(v.object({ kind: v.picklist(["holiday", "work"]) }), form).kind;

const CALENDAR_PAGE = page({
  path: "/admin/calendar",
  access: "privacy",
  summary: "The calendar of working days",
  show: async (call) =>
    calendarPage(call.view, await operatorCalendar(call.ctx), await deadlineOf(call.ctx, call.ctx.now()), state(call)),
  acts: {
    add: async ({ ctx, form }) => {
      admin(ctx);
      await changeCalendar(ctx, { days: [{ date: typed(form, "date"), kind: kindIn(form) }] });
      return "/admin/calendar?done=saved";
    },
    remove: async ({ ctx, form }) => {
      admin(ctx);
      await changeCalendar(ctx, { days: [{ date: typed(form, "date"), kind: null }] });
      return "/admin/calendar?done=removed";
    },
    years: async ({ ctx, form }) => {
      admin(ctx);
      await changeCalendar(ctx, { years: typed(form, "calendarYears").trim() });
      return "/admin/calendar?done=saved";
    },
  },
});

export const CALENDAR_PAGES: readonly Route[] = CALENDAR_PAGE;
