import { html, raw } from "hono/html";
import type { BrandLink } from "../brands.ts";
import type { Change, DocumentHead, DocumentText, LegalKind, WaitingDocument } from "../documents.ts";
import type { Form } from "../http/route.ts";
import { renderMarkdown } from "../markdown.ts";
import { LANGUAGES } from "../text/index.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, card, checkbox, errorSummary, facts, form, hidden, notice, table, time } from "./parts.ts";
import type { FormProblem } from "./problems.ts";

/** Where a version is read, for ever. */
export function documentPath({
  kind,
  product,
  region,
  version,
}: Pick<DocumentHead, "kind" | "product" | "region" | "version">): string {
  const query = new URLSearchParams({ ...(product && { product }), ...(region && { region }) }).toString();
  return `/legal/${kind}/${version}${query && `?${query}`}`;
}

/** A text as it was written, in its own language. */
const written = ({ body, language }: { body: string; language: string }): Html =>
  html`<div class="legal" lang="${language}">${raw(renderMarkdown(body))}</div>`;

const SHOWN_CHARACTERS = 200;

/** The line on which an unchanged stretch begins or ends; a long one is cut, between words where there are any. */
function firstLine(text: string): string {
  const line = text.slice(0, (text.indexOf("\n", 1) + 1 || text.length + 1) - 1);
  return line.length <= SHOWN_CHARACTERS ? line : `${line.slice(0, SHOWN_CHARACTERS).replace(/(?<=\s)\S*$/, "")}…`;
}
function lastLine(text: string): string {
  const line = text.slice(text.lastIndexOf("\n", text.length - 2) + 1);
  return line.length <= SHOWN_CHARACTERS ? line : `…${line.slice(-SHOWN_CHARACTERS).replace(/^\S*(?=\s)/, "")}`;
}

/** What changed, as text. Of a long stretch that did not, only the lines next to a change are shown. */
function difference({ t }: PageView, changes: readonly Change[], language: string): Html {
  if (changes.every(({ kind }) => kind === "same")) return html`<p>${t.legal.noChanges}</p>`;
  const part = ({ kind, text }: Change, i: number) => {
    if (kind === "added") return html`<ins><span class="hide">${t.legal.added} </span>${text}</ins>`;
    if (kind === "removed") return html`<del><span class="hide">${t.legal.removed} </span>${text}</del>`;
    if (text.length <= SHOWN_CHARACTERS) return text;
    const before = i === 0 ? "" : `${firstLine(text)}\n`;
    const after = i === changes.length - 1 ? "" : `\n${lastLine(text)}`;
    return `${before}[…]${after}`;
  };
  return html`<div class="diff" lang="${language}">${changes.map(part)}</div>`;
}

const nameOf = (code: string) => LANGUAGES[code]?.name ?? code;

export interface DocumentContent {
  document: DocumentText;
  /** Every version of it, newest first. */
  versions: readonly DocumentHead[];
  /** What changed since the version before; null: there is none. */
  changes: readonly Change[] | null;
}

export function documentPage(view: PageView, { document, versions, changes }: DocumentContent): Html {
  const { t, now } = view;
  const { legal } = t;
  const inForce = versions.find(({ effectiveAt }) => effectiveAt <= now);
  const isOld = inForce !== undefined && inForce.version > document.version;
  const here = documentPath(document);
  const sep = here.includes("?") ? "&" : "?";
  const language = (code: string) =>
    code in LANGUAGES
      ? html`<a href="${`${here}${sep}lang=${code}`}" lang="${code}" hreflang="${code}">${nameOf(code)}</a>`
      : code;
  return frame(view, {
    title: document.title,
    lang: document.language,
    body: html`${document.template === 1 ? notice("warn", legal.template) : ""}
      ${document.effectiveAt > now ? notice("info", html`${legal.upcoming(longDate(view, document.effectiveAt))}`) : ""}
      ${isOld ? notice("info", html`${legal.superseded} <a href="${documentPath(inForce)}">${legal.newest}</a>`) : ""}
      ${written(document)}
      ${card(
        legal.about,
        facts([
          [legal.version, html`<a href="${here}">${document.version}</a>`],
          [legal.inForce, time(view, document.effectiveAt)],
          [legal.published, time(view, document.publishedAt)],
          [legal.change, document.material === 1 ? legal.material : legal.editorial],
          [legal.languages, document.languages.map((code, i) => html`${i === 0 ? "" : ", "}${language(code)}`)],
          [legal.hash, html`<code>${document.sha256}</code>`],
        ]),
      )}
      ${changes === null ? "" : html`<details><summary>${legal.changes(document.version - 1)}</summary>${difference(view, changes, document.language)}</details>`}
      ${card(legal.versions, versionTable(view, versions))}`,
  });
}

const longDate = ({ language, timeZone }: PageView, ms: number) =>
  new Intl.DateTimeFormat(language, { dateStyle: "long", timeZone }).format(ms);

function versionTable(view: PageView, versions: readonly DocumentHead[]): Html {
  const { legal } = view.t;
  return table(
    legal.versions,
    [legal.version, legal.inForce, legal.change],
    versions.map((row) => [
      html`<a href="${documentPath(row)}">${legal.versionOf(row.version)}</a>`,
      time(view, row.effectiveAt),
      row.material === 1 ? legal.material : legal.editorial,
    ]),
    legal.noText,
  );
}

export function noticesPage(view: PageView, versions: readonly DocumentHead[]): Html {
  const { legal } = view.t;
  return frame(view, {
    title: legal.noticesTitle,
    lead: legal.noticesLead,
    body: table(
      legal.noticesTitle,
      [legal.text, legal.product, legal.region, legal.inForce],
      versions.map((row) => [
        html`<a href="${documentPath(row)}">${row.title}, ${legal.versionOf(row.version)}</a>`,
        row.product || legal.everywhere,
        row.region || legal.everywhere,
        time(view, row.effectiveAt),
      ]),
      legal.noText,
    ),
  });
}

export interface AcceptContent {
  waiting: readonly (WaitingDocument & { changes: readonly Change[] | null })[];
  /** Whether the account waits for nothing since the operator opened it. */
  openedByOperator: boolean;
  isOwner: boolean;
  owners: readonly string[];
  history: readonly { kind: LegalKind | "notice"; version: number; language: string; acceptedAt: number }[];
  done?: string | undefined;
  form: Form;
  problems: readonly FormProblem[];
}

export function acceptPage(view: PageView, content: AcceptContent): Html {
  const { t, now } = view;
  const { legal } = t;
  const { waiting, isOwner, owners, history, problems, openedByOperator } = content;
  const one = (row: AcceptContent["waiting"][number]) =>
    card(
      legal.waitsTitle(row.title, row.version),
      html`<p>${row.deadline > now ? legal.deadlineFuture : legal.deadlinePast} <strong>${time(view, row.deadline)}</strong></p>
        ${row.changes === null ? "" : html`<h3>${legal.changes(row.accepted ?? 0)}</h3>${difference(view, row.changes, row.language)}`}
        <p><a href="${documentPath({ ...row, product: "", region: "" })}">${legal.readWhole}</a></p>
        ${
          isOwner
            ? html`${hidden(`${row.kind}Text`, `${row.version} ${row.language} ${row.sha256}`)}
              ${checkbox({ name: row.kind, label: legal.agree(row.title, row.version) }, content)}`
            : ""
        }`,
    );
  const cards = waiting.map(one);
  const asked = isOwner
    ? form(html`${cards}<div class="actions">${button("accept", legal.accept)}</div>`)
    : html`${notice("info", html`${legal.onlyOwners} ${owners.join(", ")}`)}${cards}`;
  return frame(view, {
    title: legal.acceptTitle,
    lead: legal.acceptLead,
    done: content.done,
    body: html`${errorSummary(view, problems)}
      ${waiting.length === 0 ? html`<p>${openedByOperator ? legal.openedByOperator : legal.nothingWaits}</p>` : html`${asked}<p>${legal.rights}</p>`}
      ${card(
        legal.history,
        table(
          legal.history,
          [legal.text, legal.acceptedAt],
          history.map((row) => [
            html`<a href="${documentPath({ ...row, product: "", region: "" })}">${legal.waitsTitle(legal.kinds[row.kind], row.version)}</a> (${nameOf(row.language)})`,
            time(view, row.acceptedAt),
          ]),
          t.common.nothingYet,
        ),
      )}`,
  });
}

/** A reseller's own policy or terms, on the reseller's hostname. */
export function brandTextPage(view: PageView, text: { kind: LegalKind; body: string; language: string }): Html {
  const { legal } = view.t;
  return frame(view, {
    title: legal.brandKinds[text.kind](view.brand.name),
    lead: legal.brandLead(view.brand.name),
    body: written(text),
  });
}

/** Links to the brand's own policy and terms, for pages before sign-in; nothing where none is set. */
export function brandLinks(view: PageView, links: readonly BrandLink[]): Html | string {
  if (links.length === 0) return "";
  const { legal } = view.t;
  const { name } = view.brand;
  return html`<nav class="brand-links" aria-label="${legal.brandTexts(name)}"><ul>${links.map(
    ({ kind, href, language }) =>
      html`<li><a href="${href}" hreflang="${language}"${href.startsWith("/") ? "" : html` rel="noopener noreferrer"`}>${legal.brandKinds[kind](name)}</a></li>`,
  )}</ul></nav>`;
}
