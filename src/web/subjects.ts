import { html } from "hono/html";
import type { Device } from "../devices.ts";
import { LIMITS } from "../limits.ts";
import { type HeldOfSubject, isInForce, type SubjectLink } from "../subject-links.ts";
import { receiptNameOf, SUBJECT_REQUEST_TYPES, type SubjectRequest } from "../subject-requests.ts";
import type { FormState } from "./devices.ts";
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
import { moment } from "./requests.ts";

interface State extends FormState {
  done?: string | undefined;
}

const actions = (...content: unknown[]) => html`<div class="actions">${content}</div>`;

const stretchOf = (view: PageView, { fromTime, toTime }: Pick<SubjectLink, "fromTime" | "toTime">) =>
  view.t.subjects.stretch(moment(view, fromTime), moment(view, toTime));

/** What was asked, in words. */
export const whatOfSubject = (view: PageView, row: SubjectRequest): string =>
  view.t.subjects.what(row.type, stretchOf(view, row));

/** How far it is: with whom, and then what the engine says. */
export function stateOfSubject(view: PageView, row: SubjectRequest): Html {
  const { subjects: t, requests } = view.t;
  if (row.state === "open") {
    const said =
      row.staffBy === null ? t.state.open(moment(view, row.answerBy)) : t.state.left(moment(view, row.staffBy));
    return pill("info", said);
  }
  if (row.state === "refused") return pill("warn", t.state.refused);
  if (row.carriedOut === null) return pill("ok", t.state.accepted);
  return pill(row.carriedOut === "cleared" ? "ok" : "info", requests.state[row.carriedOut] ?? row.carriedOut);
}

function answerOf(view: PageView, row: SubjectRequest): Html | string {
  const t = view.t.subjects;
  const receipt = receiptNameOf(row);
  const said = row.reason === null || row.answeredBy === null ? "" : t.answer(t.by[row.answeredBy], row.reason);
  return html`${said}${receipt === null ? "" : html` <a href="/receipts/${receipt}">${t.receipt}</a>`}`;
}

const FORMATS = [
  ["gpx", "GPX"],
  ["geojson", "GeoJSON"],
  ["csv", "CSV"],
] as const;

/** What whoever has a link sees. @param held null: the link is over */
export function subjectPage(
  view: PageView,
  token: string,
  link: SubjectLink,
  held: readonly HeldOfSubject[] | null,
  asked: readonly SubjectRequest[],
  sent: boolean,
  state: State,
): Html {
  const { subjects: t, requests } = view.t;
  const when = (name: string, label: string) =>
    field({ name, label, type: "datetime-local", hint: requests.timesIn(view.timeZone) }, state);
  return frame(view, {
    title: t.title,
    lead: held === null ? t.over : t.lead,
    body: html`${errorSummary(view, state.problems)}${sent ? notice("ok", t.sent) : ""}
      ${facts([[t.time, stretchOf(view, link)], ...(held === null ? [] : ([[t.until, time(view, link.expiresAt)]] as const))])}
      ${
        held === null
          ? ""
          : html`${card(
              t.held,
              html`${table(
                t.held,
                t.heldHead,
                held.map(({ kind, category, purpose, records, oldest, newest, keptUntil }) => [
                  ...[
                    t.kinds[kind],
                    t.categories[category],
                    t.purposes[purpose],
                    records.toLocaleString(view.language),
                  ],
                  ...[oldest, newest, keptUntil].map((ms) => time(view, ms, "–")),
                ]),
                "",
              )}${
                link.showsTrack === 0
                  ? html`<p class="soft">${t.noWhere}</p>`
                  : html`<p>${t.track} ${FORMATS.map(([format, name]) => html`<a href="/v1/subject/${token}/positions?format=${format}" download>${name}</a> `)}</p>`
              }`,
            )}
      ${card(
        t.ask,
        form(html`<p>${t.askLead}</p>
          ${field({ name: "type", label: t.type, choices: SUBJECT_REQUEST_TYPES.map((type) => [type, t.types[type]]) }, state)}
          <p class="hint">${t.part}</p>${when("from", t.from)}${when("to", t.to)}
          ${actions(button("ask", t.send))}`),
      )}`
      }
      ${
        asked.length === 0
          ? ""
          : card(
              t.asked,
              table(
                t.asked,
                t.askedHead,
                asked.map((row) => [
                  whatOfSubject(view, row),
                  time(view, row.askedAt),
                  stateOfSubject(view, row),
                  answerOf(view, row),
                ]),
                "",
              ),
            )
      }
      <p class="soft">${t.complain}</p>`,
  });
}

/** Links of a device, and what was asked with them. @param made where a new one leads, shown this once */
export function subjectLinksPage(
  view: PageView,
  device: Device,
  links: readonly SubjectLink[],
  asked: readonly SubjectRequest[],
  made: string | null,
  state: State,
): Html {
  const { subjects: t, requests, common } = view.t;
  const when = (name: string, label: string, hint = requests.timesIn(view.timeZone)) =>
    field({ name, label, type: "datetime-local", hint }, state);
  const stateOf = (link: SubjectLink) =>
    isInForce(link, view.now)
      ? pill("ok", t.linkState.works)
      : pill("info", link.revokedAt === null ? t.linkState.over : t.linkState.ended);
  return frame(view, {
    title: t.pageTitle(device.name),
    lead: t.pageLead,
    done: state.done,
    body: html`${errorSummary(view, state.problems)}
      ${made === null ? "" : notice("ok", html`<p>${t.made}</p>${code(made)}`)}
      ${card(
        t.requests,
        table(
          t.requests,
          t.requestsHead,
          asked.map((row) => [
            html`<a href="/subject-requests/${row.name}">${whatOfSubject(view, row)}</a>`,
            time(view, row.askedAt),
            stateOfSubject(view, row),
          ]),
          t.noRequests,
        ),
      )}
      ${card(
        t.make,
        form(html`${when("from", t.makeFrom)}${when("to", t.makeTo)}${when("expiresAt", t.expires, t.expiresHint)}
          ${checkbox({ name: "showsTrack", label: t.showsTrack, hint: t.showsTrackHint }, state)}
          ${actions(button("make", t.make))}`),
      )}
      ${card(
        t.links,
        table(
          t.links,
          t.linksHead,
          links.map((link) => [
            stretchOf(view, link),
            time(view, link.createdAt),
            time(view, link.expiresAt),
            stateOf(link),
            isInForce(link, view.now)
              ? form(
                  html`${hidden("link", link.id)}${button("revoke", t.revoke, "quiet", t.revokeOf(stretchOf(view, link)))}`,
                )
              : "",
          ]),
          t.noLinks,
        ),
      )}
      <p><a href="/devices/${device.id}">${common.back}</a></p>`,
  });
}

/** What there is to know of one request, for whoever answers it. */
export const factsOfSubject = (view: PageView, row: SubjectRequest) =>
  [
    [view.t.requests.head.what, whatOfSubject(view, row)],
    [view.t.subjects.device, row.deviceId],
    [view.t.requests.head.asked, time(view, row.askedAt)],
    [view.t.requests.head.state, stateOfSubject(view, row)],
    ...(row.state === "open" ? [] : ([[view.t.subjects.answered, answerOf(view, row)]] as const)),
  ] as const;

/** The form with which it is answered. */
export function answerForm(view: PageView, row: SubjectRequest, label: string, state: FormState): Html | string {
  const t = view.t.subjects;
  if (row.state !== "open") return "";
  return form(html`${field({ name: "reason", label, hint: t.reasonHint, maxlength: LIMITS.reasonMaxCharacters }, state)}
    ${actions(
      row.type === "erase" ? button("accept", t.acceptErase, "danger") : button("accept", t.accept),
      button("refuse", t.refuse, "quiet"),
    )}`);
}

/** What somebody asks of the customer. */
export function subjectRequestPage(view: PageView, row: SubjectRequest, state: State): Html {
  const { subjects: t, common } = view.t;
  return frame(view, {
    title: t.requestTitle,
    lead: t.requestLead,
    done: state.done,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${facts([
        ...factsOfSubject(view, row),
        ...(row.state === "open" ? ([[t.requestUntil, time(view, row.answerBy)]] as const) : []),
      ])}
      ${answerForm(view, row, t.reason, state)}
      <p><a href="/devices/${row.deviceId}/subjects">${common.back}</a></p>`,
  });
}
