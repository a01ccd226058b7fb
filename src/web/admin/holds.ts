import { html } from "hono/html";
import type { ErasureScope } from "../../erasure-scope.ts";
import type { Kept } from "../../kept.ts";
import { HOLD_BASES, type Hold, type HoldState, holdState, isReviewDue } from "../../legal-holds.ts";
import { LIMITS } from "../../limits.ts";
import { isInForce, needsAgreement, OBLIGATION_BASES, OBLIGATION_KINDS, type Obligation } from "../../obligations.ts";
import { scopeOf } from "../../request-scope.ts";
import type { Html, PageView } from "../frame.ts";
import { basisOf, reasonOf, sizeOf, untilOf } from "../kept.ts";
import { button, card, facts, field, form, notice, pill, table, time } from "../parts.ts";
import { type Listed, type PanelState, pager, panel } from "./panel.ts";

const DAY_MS = 86_400_000;
const PILLS = { placed: "warn", in_force: "ok", released: "info", expired: "info" } as const satisfies Record<
  HoldState,
  string
>;

const stateOf = (view: PageView, hold: Hold) => {
  const state = holdState(hold, view.now);
  return pill(PILLS[state], view.t.holds.state[state] ?? state);
};

/** A moment, and how far it is. */
const until = (view: PageView, at: number) =>
  html`${time(view, at)} ${at <= view.now ? "" : html`<span class="soft">${view.t.holds.inDays(Math.floor((at - view.now) / DAY_MS))}</span>`}`;

const review = (view: PageView, hold: Hold) =>
  isReviewDue(hold, view.now)
    ? html`${time(view, hold.reviewAt)} ${pill("stop", view.t.holds.reviewDue)}`
    : until(view, hold.reviewAt);

/** What a hold is about: numbers and fixed words. */
function whatOf(view: PageView, hold: Hold): unknown {
  const scope: ErasureScope = scopeOf(hold);
  const name = view.t.holds.what[scope.kind] ?? scope.kind;
  if (scope.kind === "devices") return html`${name}: ${scope.devices.join(", ")}`;
  if (scope.kind !== "range") return name;
  return html`${name}: ${scope.device}, ${time(view, scope.from)} – ${time(view, scope.to)}`;
}

const account = (id: number) => html`<a href="/admin/accounts/${id}">${id}</a>`;

function holdRows(view: PageView, holds: readonly Hold[]) {
  return holds.map((hold) => [
    html`<a href="/admin/holds/${hold.name}">${hold.reference}</a>`,
    account(hold.accountId),
    basisOf(view, hold.basis),
    whatOf(view, hold),
    stateOf(view, hold),
    review(view, hold),
    until(view, hold.expiresAt),
  ]);
}

const reasonField = (view: PageView, state: PanelState) => {
  const { reason: label, reasonHint: hint } = view.t.holds;
  return field({ name: "reason", label, hint, maxlength: LIMITS.reasonMaxCharacters }, state);
};

/** A day so far ahead, as a field of dates has it. */
const ahead = (view: PageView, days: number) => new Date(view.now + days * DAY_MS).toISOString().slice(0, 10);

/** @param isLegal whether who looks may place holds and read what is kept */
export function holdsPage(
  view: PageView,
  list: Listed<Hold>,
  openOnly: boolean,
  isLegal: boolean,
  state: PanelState,
): Html {
  const t = view.t.holds;
  const choices = (names: readonly string[], words: Readonly<Record<string, string>>) =>
    names.map((name) => [name, words[name] ?? name] as const);
  const day = (name: string, label: string, hint: string, days: number) =>
    field({ name, label, hint, type: "date", value: ahead(view, days) }, state);
  const moment = (name: string, label: string) =>
    field({ name, label, hint: t.timesHint, type: "datetime-local", optional: view.t.common.optional }, state);
  return panel(view, {
    ...state,
    area: "holds",
    lead: t.adminLead,
    body: html`<p><a href="/admin/holds"${openOnly ? html` aria-current="true"` : ""}>${t.openOnly}</a> ·
        <a href="/admin/holds?all=true"${openOnly ? "" : html` aria-current="true"`}>${t.all}</a>${
          isLegal ? html` · <a href="/admin/held">${t.parts}</a>` : ""
        }</p>
      ${table(view.t.admin.nav.holds ?? "", t.head, holdRows(view, list.rows), t.none)}${pager(view, "/admin/holds", list)}
      ${
        isLegal
          ? card(
              t.place,
              form(html`<p>${t.placeLead}</p>
                ${field({ name: "accountId", label: t.account, inputmode: "numeric" }, state)}
                ${field({ name: "basis", label: t.basis, choices: choices(HOLD_BASES, view.t.requests.heldBases) }, state)}
                ${field({ name: "reference", label: t.reference, hint: t.referenceHint, maxlength: 40, autocomplete: "off" }, state)}
                ${field({ name: "scope", label: t.kind, choices: choices(["account", "devices", "range"], t.what) }, state)}
                ${field({ name: "scope.devices", label: t.devices, hint: t.devicesHint, optional: view.t.common.optional }, state)}
                ${moment("scope.from", t.from)}${moment("scope.to", t.to)}
                ${day("reviewAt", t.reviewAt, t.reviewHint, 90)}${day("expiresAt", t.expiresAt, t.expiresHint, 365)}
                <div class="actions">${button("place", t.place)}</div>`),
            )
          : notice("info", t.notLegal)
      }`,
  });
}

/** One hold, and what the legal staff can do with it. */
export function holdPage(view: PageView, hold: Hold, isLegal: boolean, state: PanelState): Html {
  const t = view.t.holds;
  const now = holdState(hold, view.now);
  const isOpen = now === "placed" || now === "in_force";
  const isOwn = hold.placedBy === view.person?.userId;
  const by = (id: number | null, at: number | null) =>
    id === null || at === null ? "–" : html`${t.by(id)}, ${time(view, at)}`;
  const confirm =
    now !== "placed"
      ? ""
      : isOwn
        ? notice("info", t.yours)
        : card(
            t.confirm,
            form(html`<p>${t.confirmHint}</p><div class="actions">${button("confirm", t.confirm)}</div>`),
          );
  return panel(view, {
    ...state,
    area: "holds",
    title: t.holdTitle(hold.reference),
    body: html`${facts([
      [t.head[5]!, review(view, hold)],
      [t.head[6]!, until(view, hold.expiresAt)],
      [t.head[4]!, stateOf(view, hold)],
      [t.head[1]!, account(hold.accountId)],
      [t.head[2]!, basisOf(view, hold.basis)],
      [t.head[3]!, whatOf(view, hold)],
      [t.placedBy, by(hold.placedBy, hold.placedAt)],
      [t.confirmedBy, by(hold.confirmedBy, hold.confirmedAt)],
      ...(hold.releasedAt === null ? [] : ([[t.releasedBy, by(hold.releasedBy, hold.releasedAt)]] as const)),
    ])}
    ${
      isOpen && isLegal
        ? html`${confirm}${card(
            t.review,
            form(html`${field({ name: "reviewAt", label: t.reviewAt, hint: t.reviewHint, type: "date", value: ahead(view, 90) }, state)}
              <p class="soft">${t.releaseHint}</p>
              ${reasonField(view, state)}
              <div class="actions">${button("review", t.review, "quiet")}${button("release", t.release, "danger")}</div>`),
          )}`
        : isOpen
          ? notice("info", t.notLegal)
          : ""
    }
    <p><a href="/admin/holds">${view.t.common.back}</a></p>`,
  });
}

const causeOf = (view: PageView, { cause }: Kept) => {
  const [kind = "", rest = ""] = cause.split(":");
  return view.t.holds.cause(kind, rest);
};

const partRows = (view: PageView, parts: readonly Kept[]) =>
  parts.map((part) => [
    html`<a href="/admin/held/${part.id}">${part.id}</a>`,
    reasonOf(view, part),
    part.hold === null
      ? basisOf(view, part.basis)
      : html`<a href="/admin/holds/${part.hold}">${basisOf(view, part.basis)}</a>`,
    causeOf(view, part),
    untilOf(view, part),
    sizeOf(view, part.bytes),
    account(part.accountId),
  ]);

const partsTable = (view: PageView, parts: readonly Kept[]) => {
  const t = view.t.holds;
  return table(t.parts, [...t.partsHead, t.head[1]!], partRows(view, parts), t.noParts);
};

/** What is kept, of every account. */
export function heldPartsPage(view: PageView, list: Listed<Kept>, state: PanelState): Html {
  const t = view.t.holds;
  return panel(view, {
    ...state,
    area: "holds",
    title: t.parts,
    body: html`${partsTable(view, list.rows)}${pager(view, "/admin/held", list)}
      <p><a href="/admin/holds">${view.t.common.back}</a></p>`,
  });
}

/** One copy, and for which reason it is to be read. */
export function heldPartPage(view: PageView, part: Kept, state: PanelState): Html {
  const t = view.t.holds;
  return panel(view, {
    ...state,
    area: "holds",
    title: t.readTitle(part.id),
    lead: t.readLead,
    body: html`${partsTable(view, [part])}
      ${card(t.read, form(html`${reasonField(view, state)}<div class="actions">${button("read", t.archive)}</div>`))}
      <p><a href="/admin/held">${view.t.common.back}</a></p>`,
  });
}

/** On an account's page: its holds and what is kept of it. @param kept null: not for who looks */
export function keptCard(view: PageView, kept: { parts: Kept[]; holds: Hold[] } | null): Html | string {
  if (kept === null) return "";
  const t = view.t.holds;
  return card(
    t.accountHolds,
    html`${table(view.t.admin.nav.holds ?? "", t.head, holdRows(view, kept.holds), t.none)}${partsTable(view, kept.parts)}`,
  );
}

/** On an account's page: what is owed. @param owed null: not for who looks */
export function owedCard(view: PageView, owed: readonly Obligation[] | null, state: PanelState): Html | string {
  if (owed === null) return "";
  const t = view.t.holds;
  const named = (names: readonly string[], words: Readonly<Record<string, string>>) =>
    names.map((name) => [name, words[name] ?? name] as const);
  const open = owed.filter(({ expiresAt }) => expiresAt > view.now);
  const stateOf = (row: Obligation) =>
    isInForce(row, view.now)
      ? ""
      : pill(needsAgreement(row) ? "warn" : "info", needsAgreement(row) ? t.agreeHint : t.over);
  return card(
    t.owed,
    html`${table(
      t.owed,
      t.owedHead,
      owed.map((row) => [
        t.kinds[row.kind] ?? row.kind,
        basisOf(view, row.basis),
        row.details,
        time(view, row.expiresAt),
        stateOf(row),
      ]),
      t.nothingOwed,
    )}
    ${form(html`<h3>${t.owe}</h3><p>${t.oweLead}</p>
      ${field({ name: "kind", label: t.owedHead[0]!, choices: named(OBLIGATION_KINDS, t.kinds) }, state)}
      ${field({ name: "basis", label: t.basis, choices: named(OBLIGATION_BASES, view.t.requests.heldBases) }, state)}
      ${field({ name: "details", label: t.details, rows: 4, maxlength: LIMITS.obligationCharacters }, state)}
      ${field({ name: "expiresAt", label: t.expiresAt, type: "date" }, state)}
      <div class="actions">${button("owe", t.owe)}</div>`)}
    ${
      open.length === 0
        ? ""
        : form(html`<h3>${t.endIt}</h3>
          ${field({ name: "obligation", label: t.owedHead[2]!, choices: open.map(({ id, details }) => [String(id), `${id}: ${details.slice(0, 60)}`] as const) }, state)}
          ${field({ name: "endReason", label: t.reason, hint: view.t.admin.accounts.reasonHint, maxlength: LIMITS.reasonMaxCharacters }, state)}
          <div class="actions">${button("end", t.endIt, "danger")}</div>`)
    }`,
  );
}
