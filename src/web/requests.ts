import { html } from "hono/html";
import type { ErasureScope } from "../erasure-scope.ts";
import type { Form } from "../http/route.ts";
import type { Kept } from "../kept.ts";
import { LIMITS } from "../limits.ts";
import { OWN_CATEGORIES, OWN_FIELDS, type RequestType, SCOPE_KINDS, scopeOf } from "../request-scope.ts";
import { mayCancel, type PrivacyRequest } from "../requests.ts";
import type { Suspension } from "../suspensions.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { keptTable } from "./kept.ts";
import {
  button,
  card,
  checkbox,
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
  done?: string | undefined;
}

const actions = (...content: unknown[]) => html`<div class="actions">${content}</div>`;

/** A moment as a sentence says it, in the person's zone. */
export function moment({ language, timeZone }: PageView, ms: number): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", timeZone }).format(ms);
}

/** What a request is about, in words. */
export function whatOf(view: PageView, row: Pick<PrivacyRequest, "type" | "scope">): string {
  const t = view.t.requests;
  return t.what(
    row.type,
    t.scopeOf(scopeOf(row), (ms) => moment(view, ms)),
  );
}

const GOOD: ReadonlySet<string> = new Set(["cleared"]);
const BAD: ReadonlySet<string> = new Set(["denied", "partially_cleared"]);

export function stateOf(view: PageView, { state, type }: Pick<PrivacyRequest, "state" | "type">): Html {
  const t = view.t.requests;
  const waits = state === "verified" && (type === "restrict" || type === "object");
  const kind = GOOD.has(state) ? "ok" : BAD.has(state) ? "warn" : "info";
  return pill(kind, waits ? t.waits : (t.state[state] ?? state));
}

const hasReceipt = ({ type, state }: Pick<PrivacyRequest, "type" | "state">) =>
  (type === "erase" || type === "correct") && state === "cleared";

/** The deadline of what is open, as a date and as time left. */
export function countdown(view: PageView, { deadline, closedAt, uncertain }: PrivacyRequest): Html | string {
  const t = view.t.requests;
  if (deadline === null) return "–";
  if (closedAt !== null) return time(view, deadline);
  const minutes = Math.ceil((deadline - view.now) / 60_000);
  return html`${time(view, deadline)} ${minutes <= 0 ? pill("stop", t.late) : html`<br><span class="soft">${t.left(minutes)}</span>`}${uncertain === 1 ? html`<br><span class="soft">${t.uncertain}</span>` : ""}`;
}

/** What a suspension is about, in words. */
const suspendedWhat = (view: PageView, { deviceId }: Suspension) =>
  deviceId === null ? view.t.requests.suspendedAll : view.t.requests.suspendedOne(deviceId);

export function suspendedWhy(view: PageView, { kind, requestState }: Suspension): string {
  const t = view.t.requests;
  const why = t.suspendedWhy[kind] ?? kind;
  return kind === "objected" && requestState === "verified" ? `${why}, ${t.undecided}` : why;
}

/** What is suspended now, with the way to let it go on, and for owners to stop everything. */
function suspendedCard(view: PageView, rows: readonly (Suspension & { mayLift: boolean })[], isOwner: boolean) {
  const t = view.t.requests;
  const stopped = rows.some(({ kind }) => kind === "legislation");
  const list =
    rows.length === 0
      ? ""
      : html`<p>${t.suspendedLead}</p>${table(
          t.suspended,
          t.suspendedHead,
          rows.map((row) => {
            const what = suspendedWhat(view, row);
            return [
              row.deviceId === null ? what : html`<a href="/devices/${row.deviceId}">${what}</a>`,
              time(view, row.since),
              suspendedWhy(view, row),
              row.mayLift
                ? form(html`${hidden("id", String(row.id))}${button("lift", t.lift, "quiet", t.liftOf(what))}`)
                : "",
            ];
          }),
          "",
        )}<p class="soft">${t.liftHint}</p>`;
  const stop =
    isOwner && !stopped
      ? form(html`<p class="soft">${t.transfersLead}</p>${actions(button("suspend", t.transfers, "quiet"))}`)
      : "";
  return list === "" && stop === ""
    ? ""
    : card(t.suspended, html`${list === "" ? html`<p>${t.suspendedNone}</p>` : list}${stop}`);
}

/** What the person asked for, newest first, what is suspended with it, and the ways to ask for more. */
export function requestsPage(
  view: PageView,
  rows: readonly PrivacyRequest[],
  { suspended, kept }: { suspended: readonly (Suspension & { mayLift: boolean })[]; kept: readonly Kept[] },
  isOwner: boolean,
  state: State,
): Html {
  const { requests: t, common, holds } = view.t;
  return frame(view, {
    title: t.title,
    lead: isOwner ? t.leadOwner : t.lead,
    done: state.done,
    body: html`${errorSummary(view, state.problems)}
      ${table(
        t.title,
        [t.head.what, t.head.asked, t.head.state, t.head.deadline, ""],
        rows.map((row) => [
          html`<a href="/profile/requests/${row.name}">${whatOf(view, row)}</a>`,
          time(view, row.receivedAt),
          stateOf(view, row),
          countdown(view, row),
          mayCancel(row)
            ? form(
                html`${hidden("name", row.name)}${button("cancel", t.cancel, "quiet", t.cancelOf(whatOf(view, row)))}`,
              )
            : hasReceipt(row)
              ? html`<a href="/receipts/${row.name}">${t.receipt}</a>`
              : "",
        ]),
        t.none,
      )}
      ${actions(html`<a class="button" href="/profile/delete">${t.toDelete}</a>`, html`<a href="/profile/requests/new">${t.ask}</a>`)}
      ${suspendedCard(view, suspended, isOwner)}
      ${isOwner ? card(holds.kept, html`${keptTable(view, kept)}<p><a href="/profile/kept">${holds.link}</a></p>`, { id: "kept" }) : ""}
      <p><a href="/profile">${common.back}</a></p>`,
  });
}

/** One request: how far it is, and where its receipt will be. */
export function requestPage(view: PageView, row: PrivacyRequest, receiptUrl: string, state: State): Html {
  const { requests: t, common } = view.t;
  const waits = row.type === "erase" && row.closedAt === null;
  return frame(view, {
    title: whatOf(view, row),
    done: state.done,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${
        waits && row.deadline !== null
          ? notice(
              "ok",
              html`<h2>${t.made}</h2><p>${t.madeLead(moment(view, row.deadline))}</p><p>${t.madeKeep}</p>
            <p><a href="/receipts/${row.name}">${receiptUrl}</a></p>`,
            )
          : ""
      }
      ${facts([
        [t.head.state, stateOf(view, row)],
        [t.head.asked, time(view, row.receivedAt)],
        ...(row.deadline === null ? [] : ([[t.head.deadline, countdown(view, row)]] as const)),
        [t.name, html`<code>${row.name}</code>`],
        ...(hasReceipt(row) ? ([[t.receipt, html`<a href="/receipts/${row.name}">${t.open}</a>`]] as const) : []),
      ])}
      ${mayCancel(row) ? form(actions(button("cancel", t.cancel, "quiet"))) : ""}
      <p><a href="/profile/requests">${common.back}</a></p>`,
  });
}

/** Download, then delete: both on one page, in this order. */
export function deletePage(
  view: PageView,
  size: { people: number; devices: number },
  isOwner: boolean,
  state: State,
): Html {
  const { requests: t, common } = view.t;
  return frame(view, {
    title: t.deleteTitle,
    lead: t.deleteLead,
    done: state.done,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${card(t.step1, form(html`<p>${t.step1Lead}</p>${actions(button("download", t.download, "quiet"))}`))}
      ${
        isOwner
          ? card(
              t.step2,
              form(html`<p><strong>${t.step2Lead(size.people, size.devices)}</strong></p><p>${t.step2More}</p><p class="soft">${t.wait}</p>
                ${actions(button("erase", t.erase, "danger"))}`),
            )
          : html`<p>${t.notOwner}</p>`
      }
      <p><a href="/profile/requests/new">${t.partly}</a> · <a href="/profile/requests">${t.link}</a> · <a href="/profile">${common.back}</a></p>`,
  });
}

/** Types that are asked for on this page, and the scopes that each role may choose from. */
const ASKED: readonly RequestType[] = ["erase", "restrict", "object"];
const KINDS_OF = {
  owner: SCOPE_KINDS,
  manager: ["devices", "range", "categories", "fields"],
  viewer: ["categories", "fields"],
} as const satisfies Record<string, readonly (typeof SCOPE_KINDS)[number][]>;

export interface Choice {
  type: string;
  scope: string;
}

/** What is to be done and with what; then, on the same page, which. */
export function askPage(
  view: PageView,
  role: keyof typeof KINDS_OF,
  devices: readonly { id: number; name: string }[],
  choice: Choice | null,
  state: State,
): Html {
  const { requests: t, common } = view.t;
  const first = html`${field({ name: "type", label: t.typeField, choices: ASKED.map((type) => [type, t.type[type] ?? type]) }, state)}
    ${field({ name: "scope", label: t.scopeField, choices: KINDS_OF[role].map((kind) => [kind, t.scopes[kind] ?? kind]) }, state)}
    ${actions(button("choose", t.next), html`<a href="/profile/requests">${common.back}</a>`)}`;
  const erases = choice?.type === "erase";
  const second = (
    chosen: Choice,
  ) => html`<p><strong>${t.type[chosen.type] ?? ""}: ${t.scopes[chosen.scope] ?? ""}</strong></p>
    ${hidden("type", chosen.type)}${hidden("scope", chosen.scope)}
    ${detailOf(view, chosen.scope as ErasureScope["kind"], devices, state)}
    ${erases ? notice("warn", t.final) : ""}
    ${actions(
      button("send", erases ? t.sendErase : t.send, erases ? "danger" : "primary"),
      html`<a href="/profile/requests/new">${common.back}</a>`,
    )}`;
  return frame(view, {
    title: t.partTitle,
    lead: t.partLead,
    done: state.done,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}${form(choice === null ? first : second(choice))}`,
  });
}

function detailOf(
  view: PageView,
  kind: ErasureScope["kind"],
  devices: readonly { id: number; name: string }[],
  state: State,
): Html | string {
  const t = view.t.requests;
  const boxes = (legend: string, name: string, choices: readonly (readonly [string, string])[]) =>
    html`<fieldset id="f-${name.replaceAll(".", "-")}"><legend>${legend}</legend>${choices.map(([value, label]) => checkbox({ name, value, label }, { form: state.form }))}</fieldset>`;
  const none = devices.length === 0 ? html`<p>${t.noDevices}</p>` : "";
  switch (kind) {
    case "devices":
      return html`${none}${boxes(
        t.whichDevices,
        "scope.devices",
        devices.map(({ id, name }) => [String(id), name]),
      )}`;
    case "range": {
      const when = (name: string, label: string) =>
        field({ name, label, type: "datetime-local", hint: t.timesIn(view.timeZone) }, state);
      const choices = devices.map(({ id, name }) => [String(id), name] as const);
      return html`${none}${field({ name: "scope.device", label: t.whichDevice, choices }, state)}${when("scope.from", t.from)}${when("scope.to", t.to)}`;
    }
    case "categories":
      return boxes(
        t.whichCategories,
        "scope.categories",
        OWN_CATEGORIES.map((name) => [name, t.categories[name] ?? name]),
      );
    case "fields": {
      const isOwner = view.person?.kind === "user" && view.person.role === "owner";
      const names = Object.keys(OWN_FIELDS).filter((name) => isOwner || OWN_FIELDS[name] === "anybody");
      return boxes(
        t.whichFields,
        "scope.fields",
        names.map((name) => [name, t.fields[name] ?? name]),
      );
    }
    default:
      return "";
  }
}

// Who cannot sign in.

export function lockedOutPage(view: PageView, asked: string | null, types: readonly RequestType[], state: State): Html {
  const { requests: t, common } = view.t;
  if (asked !== null) {
    return frame(view, {
      title: t.askedTitle,
      narrow: true,
      body: html`${notice("ok", t.asked(asked))}<p><a href="/">${common.home}</a></p>`,
    });
  }
  const scopes = ["account", "tracks", ...OWN_CATEGORIES] as const;
  const nameOf = (scope: string) => t.scopes[scope] ?? t.categories[scope] ?? scope;
  return frame(view, {
    title: t.publicTitle,
    lead: t.publicLead,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      <p><a class="button quiet" href="/login?next=/profile/delete">${t.publicSignIn}</a></p>
      ${form(html`${field({ name: "email", label: t.email, type: "email", autocomplete: "email", inputmode: "email", maxlength: LIMITS.emailCharacters }, state)}
        ${field({ name: "type", label: t.typeField, choices: types.map((type) => [type, t.type[type] ?? type]) }, state)}
        ${field({ name: "scope", label: t.scopeField, choices: scopes.map((scope) => [scope, nameOf(scope)]) }, state)}
        <p class="hint">${t.publicHow}</p>
        ${actions(button("ask", t.askLink))}`)}
      <p class="soft">${t.publicCopy} <a href="/forgot">${t.publicReset}</a></p>`,
  });
}

export function verifyPage(view: PageView, row: PrivacyRequest | null, said: string | null, state: State): Html {
  const { requests: t, common } = view.t;
  return frame(view, {
    title: t.verifyTitle,
    ...(said === null && { lead: t.verifyLead }),
    narrow: true,
    body: html`${errorSummary(view, state.problems)}${
      said !== null || row === null
        ? html`${notice("ok", said)}${row?.type === "erase" && row.state === "verified" ? html`<p>${t.madeKeep}</p><p><a href="/receipts/${row.name}">${t.receipt}: ${row.name}</a></p>` : ""}<p><a href="/">${common.home}</a></p>`
        : html`${facts([[t.verifyWhat, whatOf(view, row)]])}
      ${form(html`${field({ name: "code", label: t.code, autocomplete: "one-time-code", maxlength: 64 }, state)}${actions(button("verify", t.verify, row.type === "erase" ? "danger" : "primary"))}`)}
      <details><summary>${t.noCode}</summary>${form(html`<p>${t.noCodeLead}</p>${actions(button("review", t.noCode, "quiet"))}`)}</details>`
    }`,
  });
}

export function cancelPage(view: PageView, row: PrivacyRequest, state: State): Html {
  const { requests: t, common } = view.t;
  return frame(view, {
    title: row.state === "revoked" ? t.cancelled : t.cancelTitle,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}${facts([
      [t.head.what, whatOf(view, row)],
      [t.head.state, stateOf(view, row)],
    ])}${
      mayCancel(row)
        ? html`<p>${t.cancelLead}</p>${form(actions(button("cancel", t.cancel, "danger")))}`
        : row.state === "revoked"
          ? ""
          : notice("info", t.cancelTooLate)
    }<p><a href="/">${common.home}</a></p>`,
  });
}
