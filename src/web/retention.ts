import { html } from "hono/html";
import type { Form } from "../http/route.ts";
import { LIMITS } from "../limits.ts";
import type { Period } from "../periods.ts";
import { dayStart, type KeptDevice, type Retention } from "../retention-settings.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, card, checkbox, errorSummary, facts, field, form, hidden, notice, table, time } from "./parts.ts";
import type { FormProblem } from "./problems.ts";

interface State {
  form: Form;
  problems: readonly FormProblem[];
  done?: string | undefined;
}

/** What a change would delete, as the refusal says it, and what was typed. */
export interface Preview {
  form: Form;
  confirm: string;
  positions: number;
  /** ISO 8601 */
  oldest: string | null;
  devices: readonly { deviceId: number; positions: number; oldest: string | null }[];
}

const actions = (...content: unknown[]) => html`<div class="actions">${content}</div>`;

/** A period in words. */
function words({ t }: PageView, period: Period): string {
  return "months" in period ? t.retention.months(period.months) : t.retention.days(period.days);
}

const ofAccount = ({ days, defaultMonths }: Retention): Period =>
  days === null ? { months: defaultMonths } : { days };

const over = (view: PageView, { endsAt }: KeptDevice): Html | string =>
  endsAt !== null && endsAt <= view.now ? view.t.retention.overNow : time(view, endsAt, "–");

/** Everything about it on one page; each thing to decide is a page of its own. */
export function retentionPage(view: PageView, retention: Retention, mayChange: boolean, state: State): Html {
  const { retention: t, common } = view.t;
  const { groups, devices, purges } = retention;
  const isOwner = view.person?.kind === "user" && view.person.role === "owner";
  const link = (to: string, name: string) =>
    mayChange ? html`<a href="/profile/retention/${to}" aria-label="${t.changeOf(name)}">${t.change}</a>` : "";
  const account = words(view, ofAccount(retention));
  const first = devices
    .filter(({ endsAt }) => endsAt !== null)
    .toSorted((a, b) => Number(a.endsAt) - Number(b.endsAt))
    .at(0);
  const scopeOf = ({ scope, groupId }: KeptDevice) => {
    if (scope === "account") return t.scope.account;
    return scope.startsWith("device:")
      ? t.scope.device
      : (groups.find(({ id }) => id === groupId)?.name ?? t.scope.group);
  };
  return frame(view, {
    title: t.title,
    lead: t.lead,
    done: state.done,
    body: html`${errorSummary(view, state.problems)}
      ${card(
        t.account,
        html`${facts([
          [t.kept, html`${retention.days === null ? t.byDefault(account) : account} ${link("account", t.account)}`],
          [t.zone, retention.timeZone],
          [t.oldest, first === undefined ? "–" : html`${time(view, first.oldest)} (${first.name})`],
          [t.endsAt, first === undefined ? "–" : over(view, first)],
        ])}<p class="soft">${t.hour}</p>${isOwner ? html`<p><a href="/profile/kept">${view.t.holds.lawsTitle}</a></p>` : ""}`,
      )}
      ${card(
        t.groups,
        html`${table(
          t.groups,
          [t.group, t.kept, t.trackers, ...(mayChange ? [""] : [])],
          groups.map(({ id, name, days, devices }) => [
            name,
            days === null ? t.asAccount(account) : t.days(days),
            devices,
            ...(mayChange ? [link(`groups/${id}`, name)] : []),
          ]),
          t.noGroups,
        )}${
          mayChange
            ? form(
                html`${field({ name: "name", label: t.newGroup, maxlength: LIMITS.nameCharacters, autocomplete: "off" }, state)}${actions(button("addGroup", t.addGroup, "quiet"))}`,
              )
            : ""
        }`,
        { id: "groups" },
      )}
      ${card(
        t.devices,
        table(
          t.devices,
          [t.tracker, t.kept, t.oldest, t.endsAt, ...(mayChange ? [""] : [])],
          devices.map((device) => [
            html`<a href="/devices/${device.id}">${device.name}</a>`,
            html`${words(view, device.period)} <span class="soft">(${scopeOf(device)})</span>`,
            time(view, device.oldest, "–"),
            over(view, device),
            ...(mayChange ? [link(`devices/${device.id}`, device.name)] : []),
          ]),
          t.noDevices,
        ),
      )}
      ${card(
        t.history,
        table(
          t.history,
          [t.day, t.positions],
          purges.map(({ day, positions }) => [
            new Date(dayStart(day)).toISOString().slice(0, 10),
            positions.toLocaleString(view.language),
          ]),
          t.noHistory,
        ),
      )}
      <p><a href="/profile">${common.back}</a></p>`,
  });
}

/** What goes, in the place of the form; it sends again what was typed. */
function previewOf(view: PageView, { positions, oldest, devices, confirm, form: typed }: Preview, names: Names): Html {
  const { retention: t, common } = view.t;
  const number = (count: number) => count.toLocaleString(view.language);
  const date = new Intl.DateTimeFormat(view.language, { dateStyle: "long", timeZone: view.timeZone });
  const from = oldest === null ? "" : date.format(Date.parse(oldest));
  const fields = Object.entries(typed).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string" && !["act", "confirm"].includes(entry[0]),
  );
  const days = typeof typed.days === "string" && typed.act === "save" ? Number(typed.days.trim()) : 0;
  return html`<h2 tabindex="-1" autofocus>${t.previewTitle}</h2>
    ${days > 0 ? html`<p>${t.fromNow(t.days(days))}</p>` : ""}
    ${notice("warn", html`<p>${positions === 0 ? t.lossNone : t.loss(number(positions), positions, from)}</p>${positions === 0 ? "" : html`<p>${t.final}</p>`}`)}
    ${
      devices.length < 2
        ? ""
        : table(
            t.previewTitle,
            [t.tracker, t.positions, t.oldest],
            devices.map(({ deviceId, positions, oldest }) => [
              names.get(deviceId) ?? deviceId,
              number(positions),
              time(view, oldest === null ? null : Date.parse(oldest)),
            ]),
            "",
          )
    }
    ${form(
      html`${fields.map(([name, value]) => hidden(name, value))}${hidden("confirm", confirm)}
      ${actions(
        button(String(typed.act), positions === 0 ? t.confirmNone : t.confirm, "danger"),
        html`<a href="/profile/retention">${common.cancel}</a>`,
      )}`,
    )}`;
}

type Names = ReadonlyMap<number, string>;

const namesOf = ({ devices }: Retention): Names => new Map(devices.map(({ id, name }) => [id, name]));

interface Decision {
  title: string;
  lead: string;
  /** Null: nothing has been asked for yet, or nothing would go. */
  preview: Preview | null;
  names: Names;
  body: unknown;
}

function decision(view: PageView, { title, lead, preview, names, body }: Decision, state: State): Html {
  return frame(view, {
    title,
    ...(preview === null && { lead }),
    narrow: true,
    body: html`${errorSummary(view, state.problems)}${preview === null ? body : previewOf(view, preview, names)}`,
  });
}

const daysField = (view: PageView, days: number | null, otherwise: string, state: State) => {
  const t = view.t.retention;
  const hint = t.periodHint(LIMITS.retentionDaysMax.toLocaleString(view.language), otherwise);
  const value = days === null ? "" : String(days);
  return html`${field({ name: "days", label: t.period, value, hint, inputmode: "numeric", autocomplete: "off", optional: view.t.common.optional }, state)}`;
};

const back = (view: PageView) => html`<a href="/profile/retention">${view.t.common.back}</a>`;

export function accountRetentionPage(view: PageView, now: Retention, preview: Preview | null, state: State): Html {
  const t = view.t.retention;
  const otherwise = t.byDefault(t.months(now.defaultMonths));
  const zones = [...new Set(["UTC", now.timeZone, ...Intl.supportedValuesOf("timeZone")])];
  const body = form(html`${daysField(view, now.days, otherwise, state)}
    ${field({ name: "timeZone", label: t.zone, value: now.timeZone, hint: t.zoneHint, choices: zones.map((zone) => [zone, zone]) }, state)}
    <p class="soft">${t.longer}</p>
    ${actions(button("save", t.save), back(view))}`);
  return decision(view, { title: t.accountTitle, lead: t.accountLead, preview, names: namesOf(now), body }, state);
}

export function deviceRetentionPage(
  view: PageView,
  now: Retention,
  device: KeptDevice,
  mayMove: boolean,
  preview: Preview | null,
  state: State,
): Html {
  const t = view.t.retention;
  const group = now.groups.find(({ id }) => id === device.groupId);
  const above = group?.days == null ? ofAccount(now) : { days: group.days };
  const choices = [["", t.noGroup], ...now.groups.map(({ id, name }) => [String(id), name] as const)] as const;
  const body = form(html`${daysField(view, device.days, t.asAbove(words(view, above)), state)}
    ${mayMove ? field({ name: "groupId", label: t.group, value: String(device.groupId ?? ""), choices }, state) : ""}
    <p class="soft">${t.longer}</p>
    ${actions(button("save", t.save), back(view))}`);
  const title = t.deviceTitle(device.name);
  return decision(view, { title, lead: t.deviceLead, preview, names: namesOf(now), body }, state);
}

export function groupRetentionPage(
  view: PageView,
  now: Retention,
  group: Retention["groups"][number],
  preview: Preview | null,
  state: State,
): Html {
  const t = view.t.retention;
  const other = (groupId: number | null) => now.groups.find(({ id }) => id === groupId && id !== group.id)?.name;
  const members = now.devices.map(({ id, name, groupId }) => {
    const hint = other(groupId);
    return checkbox(
      {
        ...{ name: "devices", value: String(id), label: name, checked: groupId === group.id },
        ...(hint !== undefined && { hint: t.inOther(hint) }),
      },
      state,
    );
  });
  const body = html`${form(html`${field({ name: "name", label: t.groupName, value: group.name, maxlength: LIMITS.nameCharacters, autocomplete: "off" }, state)}
    ${daysField(view, group.days, t.asAccount(words(view, ofAccount(now))), state)}
    <fieldset><legend>${t.members}</legend>${members.length === 0 ? html`<p>${t.noTrackers}</p>` : members}</fieldset>
    <p class="soft">${t.longer}</p>
    ${actions(button("save", t.save), back(view))}`)}
    ${form(html`<p class="hint">${t.removeHint}</p>${actions(button("remove", t.removeGroup, "danger"))}`)}`;
  const title = t.groupTitle(group.name);
  return decision(view, { title, lead: t.groupLead, preview, names: namesOf(now), body }, state);
}
