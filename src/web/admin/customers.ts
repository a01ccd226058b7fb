import { html } from "hono/html";
import type { AccountDetail, CountedAccount } from "../../accounts.ts";
import type { Activation } from "../../activation.ts";
import type { Device } from "../../devices.ts";
import type { Kept } from "../../kept.ts";
import type { Hold } from "../../legal-holds.ts";
import { LIMITS } from "../../limits.ts";
import type { Obligation } from "../../obligations.ts";
import type { Placement } from "../../placing.ts";
import type { Suspension } from "../../suspensions.ts";
import type { UnclaimedRow } from "../../unclaimed.ts";
import type { Html, PageView } from "../frame.ts";
import { button, card, facts, field, form, notice, pill, table, time } from "../parts.ts";
import { keptCard, owedCard } from "./holds.ts";
import { type Listed, oneButton, type PanelState, pager, panel, roleOf } from "./panel.ts";
import { suspensionItem } from "./requests.ts";

const statePill = (view: PageView, state: string) =>
  pill(state === "active" ? "ok" : state === "suspended" ? "stop" : "warn", view.t.admin.state[state] ?? state);

export function accountsPage(view: PageView, list: Listed<CountedAccount>, state: PanelState): Html {
  const t = view.t.admin.accounts;
  return panel(view, {
    ...state,
    area: "accounts",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.accounts!,
      ["Id", t.name, t.opened, t.state, t.users, t.devices],
      list.rows.map((row) => [
        row.id,
        html`<a href="/admin/accounts/${row.id}">${row.name}</a>`,
        time(view, row.createdAt),
        statePill(view, row.state),
        row.users,
        row.devices,
      ]),
      t.none,
    )}${pager(view, "/admin/accounts", list)}${
      roleOf(view) === "admin"
        ? card(
            t.add,
            form(
              html`${field({ name: "name", label: t.name, hint: t.addHint, maxlength: LIMITS.nameCharacters }, state)}${button("create", t.add)}`,
            ),
          )
        : ""
    }`,
  });
}

/** The moves of an account's tracks, and for an administrator where it can be placed. */
function placementCard(view: PageView, { database, databases, moves }: Placement, state: PanelState): Html | string {
  const t = view.t.admin.accounts;
  const others = databases.filter(({ name }) => name !== database);
  const place =
    roleOf(view) !== "admin" || others.length === 0
      ? ""
      : form(html`<p>${t.placeHint}</p>${field({ name: "database", label: t.placeTo, value: others[0]!.name, choices: others.map(({ name, region }) => [name, `${name} (${region})`] as const) }, state)}
          ${field({ name: "placeReason", label: t.reason, hint: t.reasonHint, maxlength: LIMITS.reasonMaxCharacters }, state)}
          <div class="actions">${button("place", t.place, "danger")}</div>`);
  if (place === "" && moves.length === 0) return "";
  const rows = moves.map((move) => [
    time(view, move.at),
    html`${move.fromRegion} (${move.fromDatabase})`,
    html`${move.toRegion} (${move.toDatabase})`,
    move.reason ?? "–",
    time(view, move.switchedAt),
    time(view, move.finishedAt),
  ]);
  return card(
    t.moves,
    html`${moves.length === 0 ? "" : table(t.moves, t.moveHead, rows, view.t.common.nothingYet)}${place}`,
  );
}

export function accountPage(
  view: PageView,
  account: AccountDetail,
  placement: Placement,
  {
    suspended,
    kept,
    owed,
  }: {
    suspended: readonly Suspension[];
    /** null: not for who looks */
    kept: { parts: Kept[]; holds: Hold[] } | null;
    owed: readonly Obligation[] | null;
  },
  open: boolean,
  state: PanelState,
): Html {
  const t = view.t.admin.accounts;
  const role = roleOf(view);
  const dash = "–";
  return panel(view, {
    ...state,
    area: "accounts",
    title: account.name,
    body: html`${open ? notice("warn", t.unmasked) : ""}
      ${facts([
        ["Id", account.id],
        [t.opened, time(view, account.createdAt)],
        [t.state, statePill(view, account.state)],
        ...(account.stateReason === null ? [] : ([[t.why, account.stateReason]] as const)),
        ...(account.paymentMode === null ? [] : ([[t.payment, account.paymentMode]] as const)),
        [t.region, html`${placement.region} (${placement.database})`],
        ...(suspended.length === 0
          ? []
          : ([
              [view.t.requests.suspended, html`<ul>${suspended.map((row) => suspensionItem(view, row))}</ul>`],
            ] as const)),
      ])}
      ${
        account.people === null
          ? ""
          : card(
              t.people,
              table(
                t.people,
                [t.email, t.name, t.mobile, t.role, t.lastSignIn],
                account.people.map((person) => [
                  person.email,
                  person.name ?? dash,
                  person.mobile ?? dash,
                  html`${view.t.admin.roles[person.role] ?? person.role} ${person.disabledAt === null ? "" : pill("stop", t.disabled)}`,
                  time(view, person.lastSignInAt),
                ]),
                view.t.common.nothingYet,
              ),
            )
      }
      ${
        account.addresses === null
          ? ""
          : card(
              t.addresses,
              account.addresses.length === 0
                ? html`<p>${view.t.common.none}</p>`
                : account.addresses.map(
                    ({ kind, recipient, line1, line2, city, region, postcode, country }) =>
                      html`<p><strong>${kind}</strong><br>${[recipient, line1, line2, city, region, postcode, country].filter(Boolean).join(", ")}</p>`,
                  ),
            )
      }
      ${
        role === "admin" || role === "support"
          ? card(
              t.act,
              form(html`<p>${t.suspendHint}</p>${field({ name: "reason", label: t.reason, hint: t.reasonHint, maxlength: LIMITS.reasonMaxCharacters }, state)}
                <div class="actions">${button("unmask", t.unmask)}${
                  role === "admin" && account.state === "active" ? button("suspend", t.suspend, "danger") : ""
                }${role === "admin" && account.state === "suspended" ? button("resume", t.resume, "quiet") : ""}</div>`),
            )
          : ""
      }
      ${owedCard(view, owed, state)}
      ${keptCard(view, kept)}
      ${placementCard(view, placement, state)}`,
  });
}

export function devicesPage(
  view: PageView,
  list: Listed<Device>,
  unclaimed: readonly UnclaimedRow[],
  state: PanelState,
): Html {
  const t = view.t.admin.devices;
  return panel(view, {
    ...state,
    area: "devices",
    lead: t.lead,
    body: html`${table(
      view.t.admin.nav.devices!,
      ["Id", t.imei, t.name, t.model, t.account],
      list.rows.map((row) => [
        row.id,
        row.imei,
        row.name,
        row.model ?? "–",
        html`<a href="/admin/accounts/${row.accountId}">${row.accountId}</a>`,
      ]),
      t.none,
    )}${pager(view, "/admin/devices", list)}${card(
      t.unclaimed,
      table(
        t.unclaimed,
        [t.imei, t.since, t.last, t.frames],
        unclaimed.map((row) => [row.imei, time(view, row.firstSeen), time(view, row.lastSeen), row.frames]),
        t.noneUnclaimed,
      ),
    )}`,
  });
}

export type LoadedCodes = readonly { imei: string; code: string | null }[];

export function activationsPage(
  view: PageView,
  list: Listed<Activation>,
  made: LoadedCodes | null,
  state: PanelState,
): Html {
  const t = view.t.admin.activations;
  const { imei, model, account } = view.t.admin.devices;
  return panel(view, {
    ...state,
    area: "activations",
    lead: t.lead,
    body: html`${
      made === null
        ? ""
        : html`${notice("warn", t.codes)}${table(
            t.codes,
            [imei, t.code],
            made.map((row) => [row.imei, row.code === null ? t.given : html`<code>${row.code}</code>`]),
            view.t.common.none,
          )}`
    }${table(
      view.t.admin.nav.activations!,
      [imei, model, t.order, t.loaded, t.activated, account, ""],
      list.rows.map((row) => [
        row.imei,
        row.model ?? "–",
        row.orderReference ?? "–",
        time(view, row.loadedAt),
        time(view, row.activatedAt),
        row.accountId === null ? "–" : html`<a href="/admin/accounts/${row.accountId}">${row.accountId}</a>`,
        oneButton("imei", row.imei, "remove", view.t.common.remove, "danger", `${view.t.common.remove}: ${row.imei}`),
      ]),
      t.none,
    )}${pager(view, "/admin/activations", list)}${card(
      t.load,
      form(
        html`${field({ name: "devices", label: t.csv, hint: t.csvHint, rows: 6 }, state)}${field({ name: "file", label: t.file, type: "file", accept: ".csv,text/csv" }, state)}${button("load", t.load)}`,
        { files: true },
      ),
    )}`,
  });
}
