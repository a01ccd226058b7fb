import { html } from "hono/html";
import { LIMITS } from "../../limits.ts";
import type { StaffMember } from "../../staff.ts";
import { LANGUAGES } from "../../text/index.ts";
import type { Html, PageView } from "../frame.ts";
import { button, card, code, facts, field, form, notice, pill, table, time } from "../parts.ts";
import { type Listed, type PanelState, pager, panel } from "./panel.ts";

const staffRoles = (view: PageView) =>
  ["admin", "support", "privacy", "finance"].map((role) => [role, view.t.admin.roles[role] ?? role] as const);

const staffPill = (view: PageView, member: StaffMember) => {
  const t = view.t.admin.staff;
  if (member.disabledAt !== null) return pill("stop", t.disabled);
  return member.joined ? "" : pill("info", t.invited);
};

/** @param link of an invitation that no mail carries; shown once */
export function staffPage(view: PageView, list: Listed<StaffMember>, link: string | null, state: PanelState): Html {
  const t = view.t.admin.staff;
  return panel(view, {
    ...state,
    area: "staff",
    lead: t.lead,
    body: html`${link === null ? "" : notice("warn", html`<p>${t.link}</p>${code(link)}`)}${table(
      view.t.admin.nav.staff!,
      [t.email, t.role, t.training, ""],
      list.rows.map((row) => [
        html`<a href="/admin/staff/${row.id}">${row.email}</a>`,
        view.t.admin.roles[row.role] ?? row.role,
        (row.trainingValidUntil ?? 0) > view.now
          ? time(view, row.trainingValidUntil)
          : pill("stop", view.t.admin.overview.expired),
        staffPill(view, row),
      ]),
      view.t.common.nothingYet,
    )}${pager(view, "/admin/staff", list)}${card(
      t.invite,
      form(
        html`${field({ name: "email", label: t.email, type: "email", autocomplete: "off" }, state)}${field(
          { name: "role", label: t.role, value: "support", choices: staffRoles(view) },
          state,
        )}${field(
          {
            name: "language",
            label: t.language,
            value: view.language,
            choices: Object.entries(LANGUAGES).map(([key, { name }]) => [key, name] as const),
          },
          state,
        )}${button("invite", t.send)}`,
      ),
    )}`,
  });
}

export function staffMemberPage(view: PageView, member: StaffMember, state: PanelState): Html {
  const t = view.t.admin.staff;
  const { holds } = view.t;
  const today = new Date(view.now + 365 * 86_400_000).toISOString().slice(0, 10);
  return panel(view, {
    ...state,
    area: "staff",
    title: member.name ?? member.email,
    body: html`${facts([
      [t.email, member.email],
      [t.role, html`${view.t.admin.roles[member.role] ?? member.role} ${staffPill(view, member)}`],
      [t.training, time(view, member.trainingValidUntil, view.t.admin.overview.expired)],
      [view.t.admin.accounts.lastSignIn, time(view, member.lastSignInAt)],
      [holds.legalTitle, (member.legalUntil ?? 0) > view.now ? time(view, member.legalUntil) : holds.legalNo],
    ])}${card(
      t.attest,
      form(
        html`${field({ name: "validUntil", label: t.training, hint: t.attestHint, type: "date", value: today }, state)}${button("attest", t.attest)}`,
      ),
    )}${
      member.role === "admin" || member.role === "privacy"
        ? card(
            holds.legalTitle,
            form(
              html`<p>${holds.legalLead}</p>${field({ name: "until", label: holds.legalUntil, type: "date", value: today }, state)}
              ${field({ name: "legalReason", label: holds.reason, hint: holds.reasonHint, maxlength: LIMITS.reasonMaxCharacters }, state)}
              <div class="actions">${button("grant", holds.grant)}${button("withdraw", holds.withdraw, "danger")}</div>`,
            ),
          )
        : ""
    }${card(
      t.access,
      form(
        html`${field({ name: "role", label: t.role, value: member.role, choices: staffRoles(view) }, state)}<div class="actions">${button(
          "role",
          t.changeRole,
          "quiet",
        )}${member.disabledAt === null ? button("disable", t.disable, "danger") : button("enable", t.enable, "quiet")}${button(
          "remove",
          t.remove,
          "danger",
        )}</div>`,
      ),
    )}`,
  });
}
