import { html } from "hono/html";
import type { Proof } from "../../device-proof.ts";
import { LIMITS } from "../../limits.ts";
import type { RequestType } from "../../request-scope.ts";
import { levelOf, type PrivacyRequest } from "../../requests.ts";
import type { Suspension } from "../../suspensions.ts";
import type { Html, PageView } from "../frame.ts";
import { button, card, facts, field, form, notice, pill, table, time } from "../parts.ts";
import { countdown, stateOf, suspendedWhy, whatOf } from "../requests.ts";
import { type Listed, type PanelState, pager, panel } from "./panel.ts";

const alarm = (view: PageView, { alarmed, closedAt }: PrivacyRequest) =>
  alarmed === 0 || closedAt !== null ? "" : pill(alarmed >= 100 ? "stop" : "warn", view.t.requests.alarm(alarmed));

const account = ({ accountId }: PrivacyRequest) => html`<a href="/admin/accounts/${accountId}">${accountId}</a>`;

/** The queue: what is open first, or all of it. */
export function requestsQueue(
  view: PageView,
  list: Listed<PrivacyRequest>,
  openOnly: boolean,
  types: readonly RequestType[],
  state: PanelState,
): Html {
  const t = view.t.requests;
  const path = openOnly ? "/admin/requests" : "/admin/requests?all=true";
  return panel(view, {
    ...state,
    area: "requests",
    lead: t.adminLead,
    body: html`<p><a href="/admin/requests"${openOnly ? html` aria-current="true"` : ""}>${t.adminOpen}</a> ·
        <a href="/admin/requests?all=true"${openOnly ? "" : html` aria-current="true"`}>${t.adminAll}</a> ·
        <a href="/admin/subject-requests">${view.t.subjects.adminLink}</a></p>
      ${table(
        t.title,
        [t.head.what, t.account, t.head.asked, t.head.state, t.head.deadline],
        list.rows.map((row) => [
          html`<a href="/admin/requests/${row.name}">${whatOf(view, row)}</a>`,
          account(row),
          time(view, row.receivedAt),
          html`${stateOf(view, row)} ${alarm(view, row)}`,
          countdown(view, row),
        ]),
        t.adminNone,
      )}${openOnly ? pager(view, path, list) : pager(view, "/admin/requests", list)}
      ${card(
        t.onBehalf,
        form(html`<p>${t.onBehalfLead}</p>
          ${field({ name: "accountId", label: t.accountNumber, inputmode: "numeric" }, state)}
          ${field({ name: "type", label: t.typeField, choices: types.map((type) => [type, t.type[type] ?? type]) }, state)}
          ${field({ name: "scope", label: t.scopeField, choices: ["account", "tracks"].map((kind) => [kind, t.scopes[kind] ?? kind]) }, state)}
          ${field({ name: "reason", label: t.reason, hint: t.reasonHint, maxlength: LIMITS.reasonMaxCharacters }, state)}
          <div class="actions">${button("write", t.onBehalf, "quiet")}</div>`),
      )}`,
  });
}

/** What is suspended, and since when. */
export const suspensionItem = (view: PageView, row: Suspension): Html => {
  const t = view.t.requests;
  const what = row.deviceId === null ? t.suspendedAll : t.suspendedOne(row.deviceId);
  const end = row.liftedAt === null ? "" : html` ${t.liftedAt(time(view, row.liftedAt))}`;
  return html`<li>${what}, ${time(view, row.since)}${end}: ${suspendedWhy(view, row)}</li>`;
};

/** What there is to decide by, and what it has suspended. */
interface Known {
  confirmations: readonly { staffId: number; at: number }[];
  proof: Proof | null;
  suspensions: readonly Suspension[];
}

/** One request, and what the staff can decide about it. */
export function requestDetail(
  view: PageView,
  row: PrivacyRequest,
  known: Known,
  said: string | null,
  state: PanelState,
): Html {
  const t = view.t.requests;
  const { confirmations, proof, suspensions } = known;
  const pending = row.state === "identity_pending";
  const ours = pending && row.evidenceAt !== null && row.countsAt === null;
  const byPeople = row.type !== "erase" && row.state === "verified";
  const decides = row.closedAt === null && (pending || byPeople);
  return panel(view, {
    ...state,
    area: "requests",
    title: t.adminTitle(row.name),
    body: html`${said === null ? "" : notice("ok", said)}
      ${facts([
        [t.head.what, whatOf(view, row)],
        [t.account, account(row)],
        [t.head.state, html`${stateOf(view, row)} ${alarm(view, row)}`],
        [t.head.asked, time(view, row.receivedAt)],
        ...(row.level === null ? [] : ([[t.level, t.levels[levelOf(row) ?? ""] ?? row.level]] as const)),
        [t.head.deadline, countdown(view, row)],
        ...(row.countsAt === null ? [] : ([[t.counts, time(view, row.countsAt)]] as const)),
        ...(row.attempts === 0 ? [] : ([[t.wrongCodes, row.attempts]] as const)),
        ...(suspensions.length === 0
          ? []
          : ([[t.inForce, html`<ul>${suspensions.map((row) => suspensionItem(view, row))}</ul>`]] as const)),
        ...(proof === null ? [] : ([[t.proof, proofFact(view, proof)]] as const)),
        ...(confirmations.length === 0
          ? []
          : ([
              [
                t.confirmations,
                html`<ul>${confirmations.map(({ staffId, at }) => html`<li>${t.confirmBy(staffId)}, ${time(view, at)}</li>`)}</ul>`,
              ],
            ] as const)),
      ])}
      ${
        decides
          ? form(html`${ours ? html`<p>${t.confirmHint}</p>` : byPeople ? html`<p>${t.resolveHint}</p>` : ""}
            ${field({ name: "reason", label: t.reason, hint: t.reasonHint, maxlength: LIMITS.reasonMaxCharacters }, state)}
            <div class="actions">${ours ? button("confirm", t.confirm) : ""}${byPeople ? button("resolve", t.resolve) : ""}${button("deny", t.deny, "danger")}</div>`)
          : ""
      }
      ${
        ours && row.proofSeenAt === null && (proof === null || proof.until <= view.now)
          ? form(html`<p>${t.proofLead}</p><div class="actions">${button("askProof", t.proofAsk, "quiet")}</div>`)
          : ""
      }
      <p><a href="/admin/requests">${view.t.common.back}</a></p>`,
  });
}

/** Whether two presses came: never on which tracker, and where. */
function proofFact(view: PageView, { until, seenAt }: Proof): Html {
  const t = view.t.requests;
  if (seenAt !== null) return html`${pill("ok", t.proofSeen)} ${time(view, seenAt)}`;
  return until > view.now ? html`${pill("info", t.proofWaits)} ${time(view, until)}` : pill("warn", t.proofNone);
}
