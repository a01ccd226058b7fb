import { html } from "hono/html";
import type { AuditRow } from "../../audit.ts";
import { LIMITS } from "../../limits.ts";
import type { Overview } from "../../overview.ts";
import { SETTINGS, type SettingName, type Settings } from "../../settings.ts";
import { frame, type Html, type PageView } from "../frame.ts";
import { button, card, code, errorSummary, field, form, notice, pill, table, time } from "../parts.ts";
import { type Listed, oneButton, type PanelState, pager, panel, roleOf } from "./panel.ts";

export function overviewPage(view: PageView, now: Overview, state: PanelState, result: unknown): Html {
  const t = view.t.admin.overview;
  const mayChange = roleOf(view) === "admin";
  const mayPublish = mayChange || roleOf(view) === "privacy";
  const number = (name: string, value: number | string) => card(name, html`<p class="number">${value}</p>`);
  const made = result as { token?: string; ran?: string; changed?: number } | null;
  const days = LIMITS.trainingSoonMs / 86_400_000;
  return panel(view, {
    ...state,
    area: "",
    lead: view.t.admin.lead,
    body: html`${made?.token === undefined ? "" : notice("ok", html`<p>${t.token}</p>${code(made.token)}`)}
      ${made?.ran === undefined ? "" : notice("ok", t.ran(made.ran, made.changed ?? 0))}
      ${now.broken > 0 ? notice("stop", t.broken(now.broken)) : ""}
      ${now.retention.late ? notice("stop", t.retentionLate(Math.floor(now.retention.lagMs / 3_600_000))) : ""}
      ${
        now.calendar.short
          ? notice(
              "stop",
              html`${t.calendarShort(now.calendar.coveredTo)} ${
                mayPublish ? html`<a href="/admin/calendar">${t.calendarTo}</a>` : ""
              }`,
            )
          : ""
      }
      ${
        now.holdsDue > 0
          ? notice(
              "stop",
              html`${view.t.holds.dueNotice(now.holdsDue)} ${
                mayPublish ? html`<a href="/admin/holds">${view.t.holds.toHolds}</a>` : ""
              }`,
            )
          : ""
      }
      ${now.canSendMail ? "" : notice("warn", t.noMail)}
      ${now.template ? notice("warn", html`${t.template} ${mayPublish ? html`<a href="/admin/documents">${t.templateTo}</a>` : ""}`) : ""}
      ${
        now.training.length === 0
          ? ""
          : notice(
              "warn",
              html`${t.training(days)}: ${now.training.map(
                ({ userId, validUntil }, i) =>
                  html`${i === 0 ? "" : ", "}${mayChange ? html`<a href="/admin/staff/${userId}">${userId}</a>` : userId} (${time(view, validUntil, t.expired)})`,
              )}`,
            )
      }
      <div class="cards">${number(t.rate, now.positionsPerS.toFixed(now.positionsPerS < 10 ? 1 : 0))}${number(t.accounts, now.accounts)}${number(
        t.users,
        now.users,
      )}${number(t.devices, now.devices)}${number(t.unclaimed, now.unclaimed)}${number(t.staff, now.staff)}${number(
        t.lag,
        t.minutes(Math.ceil(now.retention.lagMs / 60_000)),
      )}${card(
        t.mails,
        html`<p class="number">${now.mails.count}</p>${
          now.mails.oldest === null ? "" : html`<p class="soft">${t.mailsSince} ${time(view, now.mails.oldest)}</p>`
        }`,
      )}</div>
      ${card(
        t.bridges,
        html`${table(
          t.bridges,
          [t.bridge, t.lastSeen, ...(mayChange ? [""] : [])],
          now.bridges.map(({ id, name, lastSeenAt }) => [
            name ?? t.configured,
            time(view, lastSeenAt),
            ...(mayChange
              ? [id === 0 ? "" : oneButton("bridge", id, "revoke", t.revoke, "danger", `${t.revoke}: ${name}`)]
              : []),
          ]),
          view.t.common.nothingYet,
        )}${
          mayChange
            ? form(
                html`${field({ name: "name", label: t.bridgeName, maxlength: LIMITS.nameCharacters }, state)}${button("bridge", t.addBridge, "quiet")}`,
              )
            : ""
        }`,
      )}
      ${card(
        t.jobs,
        table(
          t.jobs,
          [t.job, t.lastRun, view.t.admin.accounts.state, ...(mayChange ? [""] : [])],
          now.jobs.map(({ name, cron, lastRun, lateMs }) => [
            html`<code>${name}</code> <span class="soft">${cron}</span>`,
            time(view, lastRun?.startedAt ?? null),
            lastRun?.state === "failed"
              ? pill("stop", t.failed)
              : lateMs === null
                ? ""
                : lateMs > 120_000
                  ? pill("warn", t.late(Math.floor(lateMs / 60_000)))
                  : pill("ok", t.onTime),
            ...(mayChange ? [oneButton("job", name, "run", t.run, "quiet", `${t.run}: ${name}`)] : []),
          ]),
          view.t.common.nothingYet,
        ),
      )}`,
  });
}

export function settingsPage(view: PageView, settings: Settings, state: PanelState): Html {
  const t = view.t.admin.settings;
  return panel(view, {
    ...state,
    area: "settings",
    lead: t.lead,
    body: form(
      html`${(Object.keys(SETTINGS) as SettingName[]).map((name) =>
        field({ name, label: t.what[name] ?? SETTINGS[name].what, value: settings[name], maxlength: 254 }, state),
      )}${button("save", view.t.common.save)}`,
    ),
  });
}

export function auditPage(view: PageView, list: Listed<AuditRow>, state: PanelState): Html {
  const t = view.t.admin.audit;
  return panel(view, {
    ...state,
    area: "audit",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.audit!,
      [t.at, t.who, t.what, t.account, t.subject, t.reason],
      list.rows.map((row) => [
        time(view, row.at),
        `${row.actor}${row.actorId === null ? "" : ` ${row.actorId}`}`,
        html`<code>${row.action}</code>`,
        row.accountId === null ? "–" : html`<a href="/admin/accounts/${row.accountId}">${row.accountId}</a>`,
        row.subject ?? "–",
        row.reason ?? "–",
      ]),
      t.none,
    )}${pager(view, "/admin/audit", list)}`,
  });
}

/** @param isOpen the link still works */
export function setupPage(view: PageView, isOpen: boolean, { form: typed, problems }: PanelState): Html {
  const t = view.t.admin.setup;
  const state = { form: typed, problems };
  return frame(view, {
    title: t.title,
    narrow: true,
    ...(isOpen && { lead: t.lead }),
    body: isOpen
      ? html`${errorSummary(view, problems)}${form(
          html`${field({ name: "email", label: t.email, type: "email", autocomplete: "username" }, state)}${field(
            {
              name: "name",
              label: t.name,
              optional: view.t.common.optional,
              autocomplete: "name",
              maxlength: LIMITS.nameCharacters,
            },
            state,
          )}${field(
            {
              name: "password",
              label: t.password,
              hint: t.passwordHint,
              type: "password",
              autocomplete: "new-password",
            },
            state,
          )}${button("setup", t.submit)}`,
        )}`
      : html`${notice("stop", t.over)}<p>${t.overHint}</p>${code("npm run -s admin -- setup link")}`,
  });
}
