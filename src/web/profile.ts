import { html } from "hono/html";
import { type Held, type HeldColumn, type HeldTable, type HeldValue, isTime } from "../held.ts";
import type { Form } from "../http/route.ts";
import { LIMITS } from "../limits.ts";
import { ADDRESS_KINDS, PAYMENT_MODES, type Profile, UNITS } from "../profile.ts";
import { lossOf } from "../requirements.ts";
import type { FoundDevice, Search } from "../searches.ts";
import { LANGUAGES } from "../text/index.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, card, checkbox, errorSummary, facts, field, form, pill, table, time } from "./parts.ts";
import type { FormProblem } from "./problems.ts";

interface State {
  form: Form;
  problems: readonly FormProblem[];
  done?: string | undefined;
}

const actions = (...content: unknown[]) => html`<div class="actions">${content}</div>`;
const optional = (view: PageView) => ({ optional: view.t.common.optional });

/** The name, the address, the account and the role first; then what can be changed, each with what it is for. */
export function profilePage(view: PageView, profile: Profile, state: State): Html {
  const { t } = view;
  const p = t.profile;
  const { user, account } = profile;
  // Of several forms, only the one that was sent shows again what was typed.
  const of = (...acts: string[]) => (acts.includes(String(state.form.act)) ? state : {});
  const zones = [...new Set(["UTC", user.timeZone, ...Intl.supportedValuesOf("timeZone")])];
  return frame(view, {
    title: p.title,
    lead: p.lead,
    done: state.done,
    body: html`${errorSummary(view, state.problems)}
      ${facts([
        [p.name, user.name ?? t.common.none],
        [
          p.email,
          html`${user.email} ${user.emailVerifiedAt === null ? pill("warn", p.unconfirmed) : pill("ok", p.confirmed)}
            <a href="/profile/email">${p.changeEmail}</a>`,
        ],
        ...(account === null ? [] : ([[p.accountId, account.id]] as [string, unknown][])),
        [p.role, p.roles[user.role] ?? user.role],
        [
          p.mobile,
          html`${user.mobile ?? t.common.none} ${user.mobile !== null && user.mobileVerifiedAt === null ? pill("info", p.unconfirmed) : ""}
            <a href="/profile/mobile">${p.changeMobile}</a>`,
        ],
        [p.since, time(view, user.createdAt)],
        ...(account === null
          ? ([[p.training, time(view, user.trainingValidUntil)]] as [string, unknown][])
          : ([
              [
                p.state,
                html`${p.states[account.state] ?? account.state}${account.stateReason === null ? "" : html` – ${account.stateReason}`}`,
              ],
              [p.tracksIn, account.region],
            ] as [string, unknown][])),
      ])}
      ${account === null ? "" : actions(html`<a class="button quiet" href="/profile/delete">${t.requests.toDelete}</a>`, html`<a href="/profile/requests">${t.requests.link}</a>`)}
      ${card(
        p.you,
        form(
          html`${field({ name: "name", label: p.name, value: user.name, hint: lossOf("name", t), autocomplete: "name", maxlength: LIMITS.nameCharacters, ...optional(view) }, of("saveName"))}
          ${actions(button("saveName", p.saveName))}`,
        ),
        { id: "name" },
      )}
      ${card(
        p.preferences,
        form(
          html`${field({ name: "language", label: p.languageField, value: user.language, hint: lossOf("language", t), choices: Object.entries(LANGUAGES).map(([code, { name }]) => [code, name]) }, of("savePreferences"))}
          ${field({ name: "units", label: p.units, value: user.units, hint: lossOf("units", t), choices: UNITS.map((unit) => [unit, p.unitNames[unit] ?? unit]) }, of("savePreferences"))}
          ${field({ name: "timeZone", label: p.timeZone, value: user.timeZone, hint: lossOf("timeZone", t), choices: zones.map((zone) => [zone, zone]) }, of("savePreferences"))}
          ${
            account === null
              ? ""
              : html`${checkbox({ name: "personalisation", label: p.personalisation, checked: user.personalisation === 1, hint: `${p.personalisationHint} ${lossOf("personalisation", t)}` }, of("savePreferences"))}
          ${checkbox({ name: "searchHistory", label: p.searchHistory, checked: user.searchHistory === 1, hint: `${p.searchHistoryHint} ${lossOf("searchHistory", t)}` }, of("savePreferences"))}`
          }
          ${actions(button("savePreferences", p.savePreferences))}`,
        ),
        { id: "preferences" },
      )}
      ${account !== null && user.role === "owner" ? accountCards(view, account, of) : ""}
      ${card(
        p.more,
        html`<ul>${[
          ["/profile/held", p.toHeld],
          ...(account === null
            ? []
            : [
                ["/profile/export", t.exports.link],
                ["/profile/retention", t.retention.link],
                ...(user.role === "owner" ? [["/profile/kept", t.holds.link] as const] : []),
                ["/profile/collection", t.collection.link],
                ["/search", p.toSearch],
                ["/profile/searches", p.toSearches],
                ["/accept", p.toAccepted],
                ["/profile/sealing", p.toSealing],
              ]),
          ["/security", p.toSecurity],
        ].map(([to, name]) => html`<li><a href="${to}">${name}</a></li>`)}</ul>`,
      )}`,
  });
}

function accountCards(view: PageView, account: NonNullable<Profile["account"]>, of: (...acts: string[]) => object) {
  const { t } = view;
  const p = t.profile;
  return html`${card(
    p.account,
    form(
      html`${field({ name: "accountName", label: p.accountName, value: account.name, autocomplete: "organization", maxlength: LIMITS.nameCharacters }, of("saveAccount"))}
      ${field(
        {
          name: "paymentMode",
          label: p.payment,
          value: account.paymentMode ?? "",
          hint: `${p.paymentHint} ${lossOf("paymentMode", t)}`,
          choices: [["", p.notSaid], ...PAYMENT_MODES.map((mode) => [mode, p.paymentModes[mode] ?? mode] as const)],
          ...optional(view),
        },
        of("saveAccount"),
      )}
      ${actions(button("saveAccount", p.saveAccount))}`,
    ),
    { id: "account" },
  )}
  ${ADDRESS_KINDS.map((kind) => {
    const stored = account.addresses.find((address) => address.kind === kind);
    const state = of(`save ${kind}`);
    const section = kind === "shipping" ? "shipping" : "billing";
    const line = (name: AddressField, label: string, autocomplete: string, more: object = {}) =>
      field(
        {
          name: `${kind}.${name}`,
          label,
          value: stored?.[name] ?? null,
          autocomplete: `${section} ${autocomplete}`,
          maxlength: LIMITS.addressCharacters,
          ...more,
        },
        state,
      );
    return card(
      p.addressTitle[kind],
      form(html`<p class="hint">${lossOf(kind === "shipping" ? "shippingAddress" : "billingAddress", t)}</p>
        ${line("recipient", p.recipient, "name", optional(view))}
        ${line("line1", p.line1, "address-line1")}
        ${line("line2", p.line2, "address-line2", optional(view))}
        ${line("postcode", p.postcode, "postal-code", optional(view))}
        ${line("city", p.city, "address-level2")}
        ${line("region", p.region, "address-level1", optional(view))}
        ${line("country", p.country, "country", { hint: p.countryHint, maxlength: 2 })}
        ${actions(
          button(`save ${kind}`, p.saveAddress[kind]),
          stored === undefined ? "" : button(`remove ${kind}`, p.removeAddress[kind], "danger"),
        )}`),
      { id: kind },
    );
  })}`;
}

export const ADDRESS_FIELDS = ["recipient", "line1", "line2", "city", "region", "postcode", "country"] as const;
type AddressField = (typeof ADDRESS_FIELDS)[number];

export function emailPage(view: PageView, email: string, state: State): Html {
  const p = view.t.profile;
  return frame(view, {
    title: p.emailTitle,
    lead: p.emailLead,
    done: state.done,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${facts([[p.emailNow, email]])}
      ${form(html`${field({ name: "email", label: p.newEmail, type: "email", autocomplete: "email", inputmode: "email", maxlength: LIMITS.emailCharacters }, state)}
        ${actions(button("ask", p.emailSend), html`<a href="/profile">${view.t.common.back}</a>`)}`)}`,
  });
}

export function confirmEmailPage(view: PageView, email: string, state: State): Html {
  const p = view.t.profile;
  return frame(view, {
    title: p.confirmTitle,
    lead: p.confirmLead(email),
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(actions(button("confirm", p.confirmButton), html`<a href="/profile">${view.t.common.cancel}</a>`))}`,
  });
}

export function mobilePage(view: PageView, mobile: string | null, state: State): Html {
  const { t } = view;
  const p = t.profile;
  return frame(view, {
    title: p.mobileTitle,
    lead: p.mobileLead,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`${field({ name: "mobile", label: p.mobile, value: mobile, type: "tel", inputmode: "tel", autocomplete: "tel", hint: `${p.mobileHint} ${lossOf("mobile", t)}`, ...optional(view) }, state)}
        ${actions(button("save", t.common.save), html`<a href="/profile">${t.common.back}</a>`)}`)}`,
  });
}

export function searchPage(
  view: PageView,
  { found, term, recent, kept }: SearchResult & { recent: readonly { id: number; name: string }[]; kept: boolean },
  state: State,
): Html {
  const { profile: p, devices: t } = view.t;
  const link = ({ id, name }: { id: number; name: string }) => html`<a href="/devices/${id}">${name}</a>`;
  return frame(view, {
    title: p.searchTitle,
    lead: p.searchLead,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`${field({ name: "term", label: p.term, type: "search", value: term, hint: kept ? p.searchKept : p.searchNotKept, autocomplete: "off", maxlength: LIMITS.searchCharacters }, state)}
        ${actions(button("find", p.searchButton))}`)}
      ${
        found === null
          ? ""
          : html`<h2>${p.found}</h2>${table(
              p.found,
              [t.name, t.imei, p.model],
              found.map((device) => [link(device), device.imei, device.model ?? ""]),
              p.foundNone,
            )}`
      }
      ${recent.length === 0 ? "" : html`<h2>${p.recent}</h2><ul>${recent.map((device) => html`<li>${link(device)}</li>`)}</ul>`}`,
  });
}

export interface SearchResult {
  term: string;
  /** null: nothing was looked for yet */
  found: readonly FoundDevice[] | null;
}

export function searchesPage(view: PageView, searches: readonly Search[], state: State): Html {
  const p = view.t.profile;
  return frame(view, {
    title: p.searchesTitle,
    lead: p.searchesLead,
    done: state.done,
    body: html`${table(
      p.searchesTitle,
      [p.term, p.time],
      searches.map(({ term, searchedAt }) => [term, time(view, searchedAt)]),
      html`<p>${p.searchesNone}</p>`,
    )}
    ${searches.length === 0 ? "" : form(actions(button("forget", p.searchesForget, "danger")))}
    <p><a href="/profile">${view.t.common.back}</a></p>`,
  });
}

/** "stateReason" is "State reason". */
function words(name: string): string {
  const text = name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`.replace(/\b(id|api|imei|totp)\b/gi, (word) =>
    word.toUpperCase(),
  );
}

/** Everything that is held, table by table, as the data map has it. */
export function heldPage(view: PageView, held: Held): Html {
  const { t } = view;
  const h = t.profile.held;
  const titleOf = (name: string) => h.tables[name] ?? words(name);
  const full = held.tables.filter(({ rows }) => rows > 0);
  const empty = held.tables.filter(({ rows }) => rows === 0);
  const nameOf = namesOf(held);
  const hasDevices = view.person?.kind === "user";
  return frame(view, {
    title: h.title,
    lead: h.lead,
    body: html`${
      hasDevices
        ? html`<section><h2>${h.positions}</h2>${table(
            h.positions,
            [h.device, t.profile.time, h.latitude, h.longitude, h.speed],
            held.positions.map(({ deviceId, fixTime, latitude, longitude, speedKmh }) => [
              html`<a href="/devices/${deviceId}">${nameOf(deviceId)}</a>`,
              time(view, Date.parse(fixTime)),
              latitude ?? "",
              longitude ?? "",
              speedKmh ?? "",
            ]),
            held.sealed > 0 ? h.onlySealed : h.noPositions,
          )}${held.sealed === 0 ? "" : html`<p>${h.sealedPositions(held.sealed)} <a href="/profile/sealing">${t.sealing.title}</a></p>`}</section>`
        : ""
    }
    ${full.map((held) => card(titleOf(held.name), tableOf(view, held), { id: `held-${held.name}` }))}
    ${empty.length === 0 ? "" : html`<h2>${h.empty}</h2><p>${empty.map(({ name }) => titleOf(name)).join(" · ")}</p>`}
    <p><a href="/profile">${t.common.back}</a></p>`,
  });
}

function namesOf({ tables }: Held): (deviceId: number) => string {
  const devices = tables.find(({ name }) => name === "devices");
  const at = (column: string) => devices?.columns.findIndex(({ name }) => name === column) ?? -1;
  const names = new Map(devices?.values?.map((row) => [row[at("id")], String(row[at("name")])]));
  return (id) => names.get(id) ?? String(id);
}

/** Columns that are 1 or 0: a new one is shown as that until it is named here. */
const SWITCHES: ReadonlySet<string> = new Set(
  "personalisation searchHistory deviceLimited mayEdit secondFactor confirmCce".split(" "),
);

function tableOf(view: PageView, held: HeldTable): Html {
  const { people, profile: p, security } = view.t;
  const h = p.held;
  // Words of the database that other pages have a name for.
  const names: Record<string, Record<string, string>> = {
    role: p.roles,
    state: p.states,
    units: p.unitNames,
    paymentMode: p.paymentModes,
    scope: people.keys.scope,
    action: security.act,
  };
  const labelOf = ({ name }: HeldColumn) => h.columns[name] ?? words(name);
  const categories = [...new Set([...held.columns, ...held.secret].map(({ category }) => category))];
  const { yes, no } = view.t.common;
  const shown = ({ name }: HeldColumn, value: HeldValue | undefined): unknown => {
    if (value === null || value === undefined) return "–";
    if (typeof value === "number" && isTime(name)) return time(view, value);
    return SWITCHES.has(name) ? (value === 1 ? yes : no) : (names[name]?.[value] ?? value);
  };
  const content = () => {
    if (held.values === null) {
      return html`${facts([
        [h.oldest, time(view, held.oldest)],
        [h.newest, time(view, held.newest)],
      ])}<p><a href="/devices">${h.see}</a></p>`;
    }
    const { columns, values } = held;
    if (values.length === 1) {
      const known = columns.map((column, i) => [column, values[0]![i] ?? null] as const);
      const blank = known.filter(([, value]) => value === null).map(([column]) => labelOf(column));
      return html`${facts(known.flatMap(([column, value]) => (value === null ? [] : [[labelOf(column), shown(column, value)]])))}
        ${blank.length === 0 ? "" : html`<p class="soft">${h.blank(blank.join(", "))}</p>`}`;
    }
    const rows = values.map((row) => columns.map((column, i) => shown(column, row[i])));
    return html`<div class="wide" tabindex="0" role="region" aria-label="${h.tables[held.name] ?? words(held.name)}">${table(
      h.tables[held.name] ?? words(held.name),
      columns.map(labelOf),
      rows,
      "",
    )}</div>${held.rows > values.length ? html`<p class="soft">${h.newestOf(values.length)}</p>` : ""}`;
  };
  return html`<p>${categories.map((category) => html`${pill("info", h.categories[category] ?? category)} `)}
      <span class="soft">${h.rows(held.rows, held.values === null && held.rows >= LIMITS.heldCount)}</span></p>
    ${content()}
    ${held.secret.length === 0 ? "" : html`<p class="soft">${h.secret(held.secret.map(labelOf).join(", "))}</p>`}`;
}

/** What stands above the list of devices: the way to find one and, for who wants it, those looked at last. */
export function findDevices(view: PageView, recent: readonly { id: number; name: string }[]): Html {
  const p = view.t.profile;
  const links = recent.map(({ id, name }, i) => html`${i === 0 ? "" : " · "}<a href="/devices/${id}">${name}</a>`);
  return html`<p><a href="/search">${p.toSearch}</a></p>${recent.length === 0 ? "" : html`<p>${p.recent}: ${links}</p>`}`;
}
