import { html } from "hono/html";
import type { Deadline } from "../../business-time.ts";
import type { OperatorCalendar } from "../../calendars.ts";
import type { Html, PageView } from "../frame.ts";
import { button, card, code, facts, field, form, hidden, pill, table, time } from "../parts.ts";
import { type PanelState, panel, roleOf } from "./panel.ts";

/** @param now what would be verified at this moment */
export function calendarPage(view: PageView, found: OperatorCalendar, now: Deadline, state: PanelState): Html {
  const t = view.t.admin.calendar;
  const { calendar, country, own, coveredTo, short } = found;
  const mayChange = roleOf(view) === "admin";
  // 1 January 2024 was a Monday.
  const weekday = new Intl.DateTimeFormat(view.language, { weekday: "long", timeZone: "UTC" });
  const weekend = [...calendar.weekend].map((day) => weekday.format(Date.UTC(2024, 0, day)));
  const years = [...calendar.years].sort((a, b) => a - b).join(", ");
  return panel(view, {
    ...state,
    area: "calendar",
    lead: t.lead,
    body: html`${card(
      view.t.admin.nav.calendar!,
      html`${facts([
        [t.zone, calendar.zone],
        [t.country, t.countries[country] ?? country],
        [t.weekend, weekend.join(", ") || t.noWeekend],
        [t.years, years || "–"],
        [t.until, html`${coveredTo ?? view.t.common.never} ${short ? pill("stop", "!") : ""}`],
        [t.version, html`<code>${calendar.version}</code>`],
        [t.now, html`${time(view, now.deadline)} ${now.uncertain ? pill("warn", t.uncertain) : ""}`],
      ])}${mayChange ? html`<p><a href="/admin/settings">${t.settings}</a></p>` : ""}`,
    )}${card(
      t.own,
      html`${table(
        t.own,
        [t.date, t.kind, ...(mayChange ? [""] : [])],
        own.map(({ date, kind }) => [
          date,
          t.kinds[kind] ?? kind,
          ...(mayChange
            ? [form(html`${hidden("date", date)}${button("remove", t.remove, "quiet", `${t.remove}: ${date}`)}`)]
            : []),
        ]),
        t.none,
      )}${
        mayChange
          ? form(
              html`${field({ name: "date", label: t.date, type: "date" }, state)}${field(
                { name: "kind", label: t.kind, choices: Object.entries(t.kinds) },
                state,
              )}${button("add", t.add)}`,
            )
          : ""
      }`,
    )}${
      mayChange
        ? card(
            t.complete,
            html`${form(
              html`${field({ name: "calendarYears", label: t.yearsLabel, hint: t.yearsHint, value: found.ownYears, maxlength: 9 }, state)}${button("years", view.t.common.save)}`,
            )}<p>${t.hint}</p>${code("npm run -s admin -- calendar load --file days.csv --years 2027")}`,
          )
        : ""
    }`,
  });
}
