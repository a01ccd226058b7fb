import { html } from "hono/html";
import type { Brand } from "../brands.ts";
import type { Principal } from "../context.ts";
import { LANGUAGES, type Text } from "../text/index.ts";
import { notice, sentence } from "./parts.ts";

export type Html = ReturnType<typeof html>;

/** What every page knows: whose language, brand and navigation it is shown with. */
export interface PageView {
  language: string;
  t: Text;
  brand: Brand;
  /** who is signed in */
  person: Extract<Principal, { kind: "user" | "staff" }> | null;
  /** IANA name; every time on a page is shown in it */
  timeZone: string;
  path: string;
  /** Unix ms */
  now: number;
  /** Where a page finds a row of ASSETS (assets.ts). */
  asset(name: string): string;
  /** False over plain http: a browser would forget the sign-in at once. */
  keepsSession: boolean;
}

export interface PageContent {
  /** The h1, and the title of the window. */
  title: string;
  /** Of the title, when it is not the page's own. */
  lang?: string;
  /** What the page is for, in a sentence. */
  lead?: string;
  body: unknown;
  /** From the query: key of what was just done. */
  done?: string | undefined;
  /** Names of islands: rows of ASSETS. */
  islands?: readonly string[];
  /** One column for a decision (sign-in, a single form), or the whole width. */
  narrow?: boolean;
}

/** The pages that a signed-in person can go to, by role. */
function navigation({ person, t }: PageView): [path: string, name: string][] {
  if (person === null) return [];
  const own: [string, string][] = [
    ["/profile", t.common.profile],
    ["/security", t.common.security],
  ];
  if (person.kind === "staff") return [["/admin", t.common.admin], ...own];
  return [
    ["/devices", t.common.devices],
    ...(person.role === "owner" ? ([["/people", t.common.people]] as [string, string][]) : []),
    ...(person.role === "viewer" ? [] : ([["/keys", t.common.keys]] as [string, string][])),
    ["/support", t.common.support],
    ...own,
  ];
}

/** A whole page: head, skip link, navigation, content, footer. */
export function frame(view: PageView, content: PageContent): Html {
  const { t, brand, language, path, person } = view;
  const { title, lang, lead, body, done, islands = [], narrow = false } = content;
  const said = done !== undefined && Object.hasOwn(t.common.done, done) ? t.common.done[done] : undefined;
  return html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} – ${brand.name}</title>
<link rel="icon" href="${view.asset("icon.svg")}">
<link rel="stylesheet" href="${view.asset("style.css")}">
${brand.accent === null ? "" : html`<link rel="stylesheet" href="/brand.css">`}
${islands.map((name) => html`<script type="module" src="${view.asset(name)}"></script>`)}
</head>
<body>
<a class="skip" href="#content">${t.common.skip}</a>
<header class="top">
  <a class="brand" href="/">${brand.hasLogo ? html`<img src="/brand/logo" alt="" height="32">` : ""}<bdi>${brand.name}</bdi></a>
  ${
    person === null
      ? ""
      : html`<nav aria-label="${t.common.navigation}"><ul>${navigation(view).map(
          ([to, name]) =>
            html`<li><a href="${to}"${path === to || path.startsWith(`${to}/`) ? html` aria-current="page"` : ""}>${name}</a></li>`,
        )}</ul></nav>
  <form method="post" action="/logout" class="out"><button class="quiet" name="act" value="signOut">${t.common.signOut}</button></form>`
  }
</header>
<main id="content"${narrow ? html` class="narrow"` : ""} tabindex="-1">
  ${said === undefined ? "" : notice("ok", said)}
  <h1${lang === undefined ? "" : html` lang="${lang}"`}>${title}</h1>
  ${lead === undefined ? "" : html`<p class="lead">${lead}</p>`}
  ${body}
</main>
<footer>
  <ul>
    <li><a href="/legal/privacy">${t.common.privacy}</a></li>
    <li><a href="/legal/terms">${t.common.terms}</a></li>
    <li><a href="/privacy/request">${t.requests.footer}</a></li>
  </ul>
  <nav aria-label="${t.common.language}"><ul>${Object.entries(LANGUAGES).map(
    ([code, { name }]) =>
      html`<li><a href="?lang=${code}" lang="${code}" hreflang="${code}"${code === language ? html` aria-current="true"` : ""}>${name}</a></li>`,
  )}</ul></nav>
  ${brand.id === null ? "" : html`<p>${t.common.poweredBy}</p>`}
</footer>
</body>
</html>`;
}

/** Pages that a link in a mail opens, and where a new link is asked for. */
const LINKS: Readonly<Record<string, string>> = {
  confirm: "/signup",
  invite: "/signup",
  reset: "/forgot",
  privacy: "/privacy/request",
};

/** What a person sees when a page cannot be shown. */
export function errorPage(view: PageView, error: { status: number; detail: string; requestId: string }): Html {
  const { common, auth } = view.t;
  const again = error.status === 404 ? LINKS[view.path.split("/")[1] ?? ""] : undefined;
  return frame(view, {
    title: common.errorTitle[String(error.status)] ?? common.errorElse,
    narrow: true,
    body: html`${
      again === undefined
        ? html`${error.detail === "" ? "" : html`<p>${sentence(error.detail)}</p>`}${error.status < 500 && error.detail !== "" ? "" : html`<p>${common.errorHint}</p>`}`
        : html`<p>${auth.problems.link}</p><p class="actions"><a class="button" href="${again}">${auth.newLink}</a></p>`
    }
      <p class="soft">${common.requestId} <code>${error.requestId}</code></p>
      <p><a href="/">${common.home}</a></p>`,
  });
}
