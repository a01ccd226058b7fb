import { html } from "hono/html";
import type { Form } from "../http/route.ts";
import type { Html, PageView } from "./frame.ts";
import { type FormProblem, idOf } from "./problems.ts";

// The components of every page. Each gives markup that works without a script.

type Content = unknown;

/** A message that stands out; the mark says its kind where a colour cannot. */
export function notice(kind: "ok" | "warn" | "stop" | "info", content: Content): Html {
  const marks = { ok: "✓", warn: "!", stop: "×", info: "i" };
  return html`<div class="notice ${kind}"${kind === "ok" ? html` role="status"` : ""}><span aria-hidden="true">${marks[kind]}</span><div>${content}</div></div>`;
}

/** What is wrong with a form, on top of it, each a link to its field. */
export function errorSummary(view: PageView, problems: readonly FormProblem[]): Html | string {
  if (problems.length === 0) return "";
  return html`<div class="notice stop" role="alert" tabindex="-1" autofocus><span aria-hidden="true">×</span><div>
    <h2>${view.t.common.problemTitle}</h2>
    <ul>${problems.map(({ field, message }) =>
      field === ""
        ? html`<li>${sentence(message)}</li>`
        : html`<li><a href="#f-${idOf(field)}">${sentence(message)}</a></li>`,
    )}</ul></div></div>`;
}

/** A message of a rule has no full stop; one of the texts is a sentence already. */
export const sentence = (message: string) =>
  `${message.charAt(0).toUpperCase()}${message.slice(1)}${/[.!?。！？]$/.test(message) ? "" : /[^ -~”]$/.test(message) ? "。" : "."}`;

/** Stands for the address of the page itself, which the form does not know. */
export const HERE = "\ue001";

/**
 * A form that posts to its own page. It says so: a browser would keep the fragment of a link that was followed on the
 * page, and with one it leaves the focus where it is and not on what is wrong.
 */
export function form(content: Content, options: { files?: true } = {}): Html {
  return html`<form method="post" action="${HERE}"${
    options.files === undefined ? "" : html` enctype="multipart/form-data"`
  } novalidate>${content}</form>`;
}

export interface FieldOptions {
  name: string;
  label: string;
  /** What is shown when nothing was typed yet. */
  value?: string | null;
  type?:
    | "text"
    | "email"
    | "password"
    | "tel"
    | "number"
    | "date"
    | "datetime-local"
    | "url"
    | "search"
    | "file"
    | "color";
  hint?: Content;
  /** Said in the label, for what may be left out. */
  optional?: string;
  autocomplete?: string;
  inputmode?: "numeric" | "text" | "email" | "tel";
  maxlength?: number;
  /** Several lines. */
  rows?: number;
  accept?: string;
  /** [value, text] pairs: a choice from a list. */
  choices?: readonly (readonly [value: string, text: string])[];
  lang?: string;
}

/** What the form shows in a field: what was typed, else what is stored. A password is never shown again. */
const shown = ({ name, value, type }: FieldOptions, typed: Form): string => {
  if (type === "password" || type === "file") return "";
  const was = typed[name];
  return typeof was === "string" ? was : (value ?? "");
};

/** A field with its label, hint and error. */
export function field(options: FieldOptions, state: { form?: Form; problems?: readonly FormProblem[] } = {}): Html {
  const {
    name,
    label,
    type = "text",
    hint,
    optional,
    autocomplete,
    inputmode,
    maxlength,
    rows,
    accept,
    choices,
    lang,
  } = options;
  const id = `f-${idOf(name)}`;
  const wrong = state.problems?.filter((problem) => problem.field === name) ?? [];
  const value = shown(options, state.form ?? {});
  const described = [hint === undefined ? "" : `${id}-hint`, wrong.length === 0 ? "" : `${id}-error`]
    .filter(Boolean)
    .join(" ");
  const attributes = html`id="${id}" name="${name}"${described === "" ? "" : html` aria-describedby="${described}"`}${
    wrong.length === 0 ? "" : html` aria-invalid="true"`
  }${autocomplete === undefined ? "" : html` autocomplete="${autocomplete}"`}${
    inputmode === undefined ? "" : html` inputmode="${inputmode}"`
  }${maxlength === undefined ? "" : html` maxlength="${maxlength}"`}${accept === undefined ? "" : html` accept="${accept}"`}${
    lang === undefined ? "" : html` lang="${lang}"`
  }`;
  const control =
    choices !== undefined
      ? html`<select ${attributes}>${choices.map(([key, text]) => html`<option value="${key}"${key === value ? html` selected` : ""}>${text}</option>`)}</select>`
      : rows !== undefined
        ? html`<textarea ${attributes} rows="${rows}">${value}</textarea>`
        : html`<input ${attributes} type="${type}"${type === "file" ? "" : html` value="${value}"`}>`;
  return html`<div class="field${wrong.length === 0 ? "" : " wrong"}">
    <label for="${id}">${label}${optional === undefined ? "" : html` <span class="soft">(${optional})</span>`}</label>
    ${hint === undefined ? "" : html`<p class="hint" id="${id}-hint">${hint}</p>`}
    ${wrong.length === 0 ? "" : html`<p class="error" id="${id}-error">${wrong.map(({ message }) => sentence(message)).join(" ")}</p>`}
    ${control}</div>`;
}

/** A box to tick. Never ticked beforehand unless it shows what is stored. */
export function checkbox(
  options: { name: string; label: Content; checked?: boolean; value?: string; hint?: Content },
  state: { form?: Form; problems?: readonly FormProblem[] } = {},
): Html {
  const { name, label, checked = false, value = "on", hint } = options;
  const id = `f-${idOf(name)}${value === "on" ? "" : `-${idOf(value)}`}`;
  const wrong = state.problems?.filter((problem) => problem.field === name) ?? [];
  const typed = state.form?.[name];
  const again = state.form !== undefined && Object.keys(state.form).length > 0;
  const ticked = again ? typeof typed === "string" && typed.split(" ").includes(value) : checked;
  return html`<div class="field box${wrong.length === 0 ? "" : " wrong"}">
    ${wrong.length === 0 ? "" : html`<p class="error" id="${id}-error">${wrong.map(({ message }) => sentence(message)).join(" ")}</p>`}
    <input type="checkbox" id="${id}" name="${name}" value="${value}"${ticked ? html` checked` : ""}${
      wrong.length === 0 ? "" : html` aria-invalid="true" aria-describedby="${id}-error"`
    }><label for="${id}">${label}${hint === undefined ? "" : html`<span class="hint">${hint}</span>`}</label></div>`;
}

/** The button of an act. @param name says what happens, with its object: "Remove Van 1" */
export function button(
  act: string,
  name: string,
  kind: "primary" | "quiet" | "danger" = "primary",
  label?: string,
): Html {
  return html`<button class="${kind}" name="act" value="${act}"${label === undefined ? "" : html` aria-label="${label}"`}>${name}</button>`;
}

/** A value that travels with a form. */
export const hidden = (name: string, value: string | number): Html =>
  html`<input type="hidden" name="${name}" value="${value}">`;

/** A box on the page with a heading of its own. */
export function card(title: string, content: Content, options: { id?: string } = {}): Html {
  return html`<section class="card"${options.id === undefined ? "" : html` id="${options.id}"`}><h2>${title}</h2>${content}</section>`;
}

/** A table that becomes cards on a narrow screen: each cell then says its column. A column of buttons has no name. */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly Content[])[],
  empty: Content,
): Html {
  if (rows.length === 0) return html`<div class="empty">${empty}</div>`;
  return html`<table><caption class="hide">${caption}</caption>
    <thead><tr>${head.map((name) => (name === "" ? html`<td></td>` : html`<th scope="col">${name}</th>`))}</tr></thead>
    <tbody>${rows.map((cells) => html`<tr>${cells.map((cell, i) => html`<td data-label="${head[i] ?? ""}"><div>${cell}</div></td>`)}</tr>`)}</tbody></table>`;
}

/** Names and values, one under the other. */
export function facts(rows: readonly (readonly [name: string, value: Content])[]): Html {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export const pill = (kind: "ok" | "warn" | "stop" | "info", text: string): Html =>
  html`<span class="pill ${kind}">${text}</span>`;

/** Something to copy: shown whole, selected with one click. */
export const code = (text: string): Html => html`<pre class="copy" tabindex="0"><code>${text}</code></pre>`;

/** A time as the person reads it, in their zone with the zone shown, and for machines in UTC. */
export function time(view: PageView, ms: number | null, empty?: string): Html | string {
  if (ms === null) return empty ?? view.t.common.never;
  const format = new Intl.DateTimeFormat(view.language, {
    dateStyle: "medium",
    timeStyle: "short",
    timeZone: view.timeZone,
  });
  const zone =
    new Intl.DateTimeFormat(view.language, { timeZone: view.timeZone, timeZoneName: "short" })
      .formatToParts(ms)
      .find(({ type }) => type === "timeZoneName")?.value ?? "";
  return html`<time datetime="${new Date(ms).toISOString()}">${format.format(ms)} ${zone}</time>`;
}
