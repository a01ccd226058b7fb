import { html } from "hono/html";
import type { Form } from "../http/route.ts";
import type { ApiKey } from "../keys.ts";
import type { Member } from "../members.ts";
import { isOpen, type LookRow, type SupportWindow } from "../support.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import {
  button,
  card,
  checkbox,
  code,
  errorSummary,
  facts,
  field,
  form,
  hidden,
  notice,
  pill,
  table,
  time,
} from "./parts.ts";
import type { FormProblem } from "./problems.ts";

interface State {
  form: Form;
  problems: readonly FormProblem[];
}
interface Named {
  id: number;
  name: string;
}

const nameOf = (member: Member) => member.name ?? member.email;
const roles = ({ t }: PageView) =>
  ["viewer", "manager", "owner"].map((role) => [role, t.people.role[role] ?? role] as const);

export function membersPage(
  view: PageView,
  { members, done }: { members: readonly Member[]; done?: string | undefined },
): Html {
  const t = view.t.people;
  const rows = members.map((member) => [
    html`${member.name === null ? "" : html`${member.name}<br>`}<span${member.name === null ? "" : html` class="soft"`}>${member.email}</span>`,
    html`<span class="keep">${t.role[member.role]}</span>`,
    member.deviceLimited ? t.someDevices(member.devices.length) : t.allDevices,
    pill(member.state === "active" ? "ok" : "warn", t.state[member.state] ?? member.state),
    time(view, member.lastSignInAt),
    html`<a class="keep" href="/people/${member.id}" aria-label="${t.change(nameOf(member))}">${t.members.head[5]}</a>`,
  ]);
  return frame(view, {
    title: t.members.title,
    lead: t.members.lead,
    done,
    body: html`<p><a class="button" href="/people/invite">${t.members.invite}</a></p>
      ${table(t.members.title, t.members.head, rows, "")}`,
  });
}

/** Which devices somebody sees: all, or for each whether they see or also change it. */
function limits(view: PageView, devices: readonly Named[], state: State, member?: Member): Html {
  const t = view.t.people;
  const chosen = new Map(member?.devices.map(({ id, mayEdit }) => [id, mayEdit ? "edit" : "see"]));
  const choices = Object.entries(t.device);
  return html`${field(
    {
      name: "deviceLimited",
      label: t.reach,
      hint: t.reachHint,
      value: member?.deviceLimited ? "yes" : "",
      choices: [
        ["", t.allDevices],
        ["yes", t.onlyDevices],
      ],
    },
    state,
  )}
  ${
    devices.length === 0
      ? html`<p class="soft">${t.noDevices}</p>`
      : devices.map(({ id, name }) =>
          field({ name: `device-${id}`, label: name, value: chosen.get(id) ?? "", choices }, state),
        )
  }`;
}

export function invitePage(view: PageView, { devices, ...state }: State & { devices: readonly Named[] }): Html {
  const t = view.t.people;
  return frame(view, {
    title: t.invite.title,
    lead: t.invite.lead,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`
        ${field({ name: "email", label: t.invite.email, type: "email", hint: t.invite.known, autocomplete: "off" }, state)}
        ${field({ name: "role", label: t.invite.role, hint: t.roleHint, choices: roles(view) }, state)}
        ${limits(view, devices, state)}
        <div class="actions">${button("invite", t.invite.send)}<a href="/people">${view.t.common.cancel}</a></div>`)}`,
  });
}

export function memberPage(
  view: PageView,
  { member, devices, done, ...state }: State & { member: Member; devices: readonly Named[]; done?: string | undefined },
): Html {
  const t = view.t.people;
  const who = nameOf(member);
  const rest =
    member.state === "invited"
      ? card(t.member.again, form(html`<p>${t.member.againHint}</p>${button("again", t.member.again, "quiet")}`))
      : "";
  return frame(view, {
    title: t.change(who),
    lead: t.member.lead,
    done,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${facts([
        [t.invite.email, member.email],
        [t.members.head[3] ?? "", t.state[member.state]],
        [t.member.since, time(view, member.createdAt)],
        [t.members.head[4] ?? "", time(view, member.lastSignInAt)],
      ])}
      ${card(
        t.invite.role,
        form(html`
        ${field({ name: "role", label: t.invite.role, hint: t.roleHint, value: member.role, choices: roles(view) }, state)}
        ${limits(view, devices, state, member)}
        <p class="soft">${t.member.keys}</p>
        ${button("save", t.member.save)}`),
      )}
      ${rest}
      ${card(t.member.removeTitle, form(html`<p>${t.member.removeHint}</p>${button("remove", t.member.remove(who), "danger")}`))}
      <p><a href="/people">${view.t.common.back}</a></p>`,
  });
}

const SHOWN_DEVICES = 3;

function deviceNames(view: PageView, key: ApiKey, devices: readonly Named[]): string {
  const t = view.t.people;
  if (key.devices === null) return t.allDevices;
  const names = key.devices.map((id) => devices.find((device) => device.id === id)?.name ?? t.support.deviceId(id));
  const shown = names.slice(0, SHOWN_DEVICES).join(", ");
  return names.length > SHOWN_DEVICES ? t.keys.more(shown, names.length - SHOWN_DEVICES) : shown || view.t.common.none;
}

export function keysPage(
  view: PageView,
  {
    keys,
    devices,
    done,
    problems,
  }: Omit<State, "form"> & {
    keys: readonly ApiKey[];
    devices: readonly Named[];
    done?: string | undefined;
  },
): Html {
  const t = view.t.people.keys;
  const rows = keys.map((key) => {
    const name = key.name ?? t.unnamed(key.id);
    const expired = key.expiresAt !== null && key.expiresAt <= view.now;
    const works = key.revokedAt === null && !expired;
    const maker = key.makerName ?? (key.madeBy === null ? t.byOperator : t.byUser(key.madeBy));
    return [
      name,
      t.scope[key.scope],
      deviceNames(view, key, devices),
      html`${time(view, key.createdAt)}<br><span class="soft">${t.by(maker)}</span>`,
      time(view, key.expiresAt, t.never),
      time(view, key.lastUsedAt),
      works
        ? html`${pill("ok", t.state.works)} ${form(html`${hidden("id", key.id)}${button("revoke", t.revoke, "danger", t.revokeLabel(name))}`)}`
        : pill("info", key.revokedAt === null ? t.state.expired : t.state.revoked),
    ];
  });
  return frame(view, {
    title: t.title,
    lead: t.lead,
    done,
    body: html`${errorSummary(view, problems)}
      <p><a class="button" href="/keys/new">${t.add}</a></p>
      ${table(t.title, t.head, rows, t.empty)}`,
  });
}

/** Days until a key ends, as the form offers them; "" is never. */
export const KEY_DAYS = ["30", "90", "365", ""] as const;

export function newKeyPage(
  view: PageView,
  {
    devices,
    limited,
    made,
    ...state
  }: State & {
    devices: readonly Named[];
    /** the person sees only some devices */
    limited: boolean;
    made: { key: string; name: string | null } | null;
  },
): Html {
  const t = view.t.people;
  if (made !== null) {
    return frame(view, {
      title: t.newKey.title,
      narrow: true,
      body: html`${notice("ok", html`<p>${t.newKey.made(made.name ?? "")}</p>`)}
        ${code(made.key)}
        <p>${t.newKey.use}</p>${code(`Authorization: Bearer ${made.key}`)}
        <p><a href="/keys">${t.newKey.back}</a></p>`,
    });
  }
  const days: Record<string, string> = { "365": t.newKey.year, "": t.newKey.never };
  const reach = [["", t.allDevices] as const, ["yes", t.onlyDevices] as const].slice(limited ? 1 : 0);
  return frame(view, {
    title: t.newKey.title,
    lead: t.newKey.lead,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`
        ${field({ name: "name", label: t.newKey.name, hint: t.newKey.nameHint, maxlength: 100, autocomplete: "off" }, state)}
        ${field({ name: "scope", label: t.newKey.scope, hint: t.newKey.scopeHint, choices: Object.entries(t.keys.scope) }, state)}
        ${field(
          {
            name: "expiresAt",
            label: t.newKey.ends,
            value: "90",
            choices: KEY_DAYS.map((count) => [count, days[count] ?? t.newKey.days(Number(count))]),
          },
          state,
        )}
        ${field({ name: "deviceLimited", label: t.reach, choices: reach }, state)}
        <fieldset id="f-devices"><legend>${t.newKey.devices}</legend>
        ${
          devices.length === 0
            ? html`<p class="soft">${t.noDevices}</p>`
            : devices.map(({ id, name }) =>
                checkbox({ name: "devices", value: String(id), label: name }, { form: state.form }),
              )
        }</fieldset>
        <div class="actions">${button("make", t.newKey.make)}<a href="/keys">${view.t.common.cancel}</a></div>`)}`,
  });
}

export function supportPage(
  view: PageView,
  {
    windows,
    looks,
    older,
    devices,
    isOwner,
    done,
    ...state
  }: State & {
    windows: readonly SupportWindow[];
    looks: readonly LookRow[];
    /** id before which the next page of looks begins */
    older: string | null;
    devices: readonly Named[];
    isOwner: boolean;
    done?: string | undefined;
  },
): Html {
  const t = view.t.people.support;
  const open = windows.find((window) => isOpen(window, view.now));
  const deviceName = (id: number) => devices.find((device) => device.id === id)?.name ?? t.deviceId(id);
  const { common, people, profile } = view.t;
  const byWhom = (id: number | null) => {
    if (id === null) return common.none;
    return id === view.person?.userId ? profile.you : people.keys.byUser(id);
  };
  const now =
    open === undefined
      ? html`${notice("info", t.closed)}`
      : html`${notice("warn", html`<p>${t.open} ${time(view, open.expiresAt)}</p>`)}
        ${isOwner ? form(html`${hidden("id", open.id)}${button("close", t.closeIt, "danger")}`) : ""}`;
  const opening =
    open !== undefined
      ? ""
      : isOwner
        ? form(html`${field({ name: "minutes", label: t.minutes, value: "60", choices: Object.entries(t.choices) }, state)}
            ${button("open", t.openIt)}`)
        : html`<p class="soft">${t.ownerOnly}</p>`;
  return frame(view, {
    title: t.title,
    lead: t.lead,
    done,
    body: html`${errorSummary(view, state.problems)}
      ${now}
      ${card(open === undefined && isOwner ? t.openTitle : t.seeTitle, html`<p>${t.what}</p>${opening}`)}
      <h2>${t.looks}</h2>
      ${table(
        t.looks,
        t.looksHead,
        looks.map((look) => [
          time(view, look.at),
          look.actor === "staff" ? t.staff(look.staffId ?? 0, look.staffRole) : t.token,
          look.deviceId === null ? t.every : deviceName(look.deviceId),
          t.saw[look.what],
        ]),
        t.noLooks,
      )}
      ${older === null ? "" : html`<p><a href="/support?before=${older}">${t.older}</a></p>`}
      <h2>${t.windows}</h2>
      ${table(
        t.windows,
        t.windowsHead,
        windows.map((window) => [
          time(view, window.openedAt),
          byWhom(window.openedBy),
          time(view, window.closedAt ?? window.expiresAt),
          isOpen(window, view.now)
            ? pill("warn", t.windowState.open)
            : pill("info", window.closedAt === null ? t.windowState.over : t.windowState.closed),
        ]),
        t.noWindows,
      )}`,
  });
}
