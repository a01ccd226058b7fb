import { html } from "hono/html";
import type { Form } from "../../http/route.ts";
import { frame, type Html, type PageView } from "../frame.ts";
import { button, errorSummary, form, hidden } from "../parts.ts";
import type { FormProblem } from "../problems.ts";

/** The areas of the panel, and who of the staff sees each. */
const AREAS: readonly (readonly [path: string, roles: readonly string[]])[] = [
  ["", ["admin", "support", "privacy", "finance"]],
  ["accounts", ["admin", "support", "privacy", "finance"]],
  ["requests", ["admin", "privacy"]],
  ["holds", ["admin", "privacy"]],
  ["devices", ["admin"]],
  ["activations", ["admin", "support"]],
  ["brands", ["admin"]],
  ["documents", ["admin", "privacy"]],
  ["staff", ["admin"]],
  ["settings", ["admin"]],
  ["calendar", ["admin", "privacy"]],
  ["audit", ["admin", "privacy"]],
];

/** The role with which the panel is seen; who holds the admin token sees everything. */
export const roleOf = (view: PageView) => (view.person?.kind === "staff" ? view.person.role : "admin");

/** What a page of the panel is shown with: what was typed, what is wrong with it, what was just done. */
export interface PanelState {
  form: Form;
  problems: readonly FormProblem[];
  done?: string | undefined;
}

export interface Panel extends PanelState {
  area: string;
  title?: string;
  lead?: string;
  body: unknown;
}

export function panel(view: PageView, { area, title, lead, body, problems, done }: Panel): Html {
  const t = view.t.admin;
  const areas = AREAS.filter(([, roles]) => roles.includes(roleOf(view)));
  const name = (path: string) => t.nav[path] ?? path;
  return frame(view, {
    title: title ?? (area === "" ? view.t.common.admin : name(area)),
    ...(lead !== undefined && { lead }),
    done,
    body: html`<nav class="sub" aria-label="${view.t.common.admin}"><ul>${areas.map(
      ([path]) =>
        html`<li><a href="/admin${path === "" ? "" : `/${path}`}"${path === area ? html` aria-current="page"` : ""}>${name(path)}</a></li>`,
    )}</ul></nav>${errorSummary(view, problems)}${body}`,
  });
}

/** Rows of a list as far as they are asked for, and the way on. */
export interface Listed<Row> {
  rows: readonly Row[];
  /** null: it ends here */
  next: number | null;
  /** not the first page */
  later: boolean;
}

export const pager = (view: PageView, path: string, { next, later }: Listed<unknown>): Html =>
  html`<p class="actions">${later ? html`<a href="${path}">${view.t.admin.first}</a>` : ""}${
    next === null ? "" : html`<a href="${path}?cursor=${next}">${view.t.admin.more}</a>`
  }</p>`;

export const oneButton = (
  name: string,
  id: string | number,
  act: string,
  text: string,
  kind: "quiet" | "danger" = "quiet",
  label?: string,
) => form(html`${hidden(name, id)}${button(act, text, kind, label)}`);
