import { html } from "hono/html";
import type { SubjectRequest } from "../../subject-requests.ts";
import type { Html, PageView } from "../frame.ts";
import { facts, pill, table, time } from "../parts.ts";
import { answerForm, factsOfSubject, stateOfSubject, whatOfSubject } from "../subjects.ts";
import { type Listed, type PanelState, pager, panel } from "./panel.ts";

const account = ({ accountId }: SubjectRequest) => html`<a href="/admin/accounts/${accountId}">${accountId}</a>`;

const alarm = (view: PageView, { alarmed, state }: SubjectRequest) =>
  alarmed === 0 || state !== "open" ? "" : pill(alarmed >= 100 ? "stop" : "warn", view.t.requests.alarm(alarmed));

/** What customers did not answer. */
export function subjectsQueue(view: PageView, list: Listed<SubjectRequest>, state: PanelState): Html {
  const { subjects: t, common } = view.t;
  return panel(view, {
    ...state,
    area: "requests",
    title: t.adminTitle,
    lead: t.adminLead,
    body: html`${table(
      t.adminTitle,
      t.adminHead,
      list.rows.map((row) => [
        html`<a href="/admin/subject-requests/${row.name}">${whatOfSubject(view, row)}</a>`,
        account(row),
        time(view, row.askedAt),
        html`${stateOfSubject(view, row)} ${alarm(view, row)}`,
        time(view, row.staffBy),
      ]),
      t.adminNone,
    )}${pager(view, "/admin/subject-requests", list)}
      <p><a href="/admin/requests">${common.back}</a></p>`,
  });
}

/** One of them, and what the staff can say. */
export function subjectDetail(view: PageView, row: SubjectRequest, state: PanelState): Html {
  const { subjects: t, requests, common } = view.t;
  return panel(view, {
    ...state,
    area: "requests",
    title: requests.adminTitle(row.name),
    body: html`${facts([...factsOfSubject(view, row), [requests.account, account(row)], [requests.head.deadline, html`${time(view, row.staffBy)} ${alarm(view, row)}`]])}
      ${answerForm(view, row, t.adminReason, state)}
      <p><a href="/admin/subject-requests">${common.back}</a></p>`,
  });
}
