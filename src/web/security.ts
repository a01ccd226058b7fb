import { html, raw } from "hono/html";
import type { Form } from "../http/route.ts";
import type { Passkey } from "../passkeys.ts";
import type { NewTotp } from "../second-factor.ts";
import type { SecurityAct } from "../secure.ts";
import type { Session } from "../sessions.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, card, code, errorSummary, field, form, hidden, notice, pill, table, time } from "./parts.ts";
import type { FormProblem } from "./problems.ts";
import { qrSvg } from "./qr.ts";

/** What a page with forms shows again. */
interface State {
  form: Form;
  problems: readonly FormProblem[];
}

export interface SecurityContent {
  sessions: readonly Session[];
  /** of the session that asks */
  sessionId: number;
  isOwner: boolean;
  hasPassword: boolean;
  totpSince: number | null;
  recoveryCodes: number;
  /** what is being set up, for who has proved lately who they are */
  pending: NewTotp | null;
  passkeys: readonly Passkey[];
  acts: readonly SecurityAct[];
  /** shown once */
  newCodes: readonly string[] | null;
  done: string | undefined;
}

const FEW_CODES = 3;
const actions = (...content: unknown[]) => html`<div class="actions">${content}</div>`;

/** A place for the island: hidden until it finds that the browser knows passkeys. */
const passkeySlot = ({ t }: PageView, id: string, next: string, name: string) =>
  html`<div id="${id}" hidden data-next="${next}" data-failed="${t.security.passkeyFailed}"><p class="actions"><button type="button" class="quiet">${name}</button></p></div>
    <noscript><p class="soft">${t.security.passkeyScript}</p></noscript>`;

const passwordField = (name: string, label: string, autocomplete: string, state: State, hint?: string) =>
  field({ name, label, type: "password", autocomplete, ...(hint !== undefined && { hint }) }, state);

const codeField = ({ t }: PageView, state: State, hint?: string) =>
  field(
    {
      name: "code",
      label: t.security.code,
      autocomplete: "one-time-code",
      maxlength: 64,
      ...(hint !== undefined && { hint }),
    },
    state,
  );

export function securityPage(view: PageView, content: SecurityContent, state: State): Html {
  const s = view.t.security;
  const { newCodes, done } = content;
  return frame(view, {
    title: s.title,
    lead: s.lead,
    done,
    islands: ["passkey.js"],
    body: html`${errorSummary(view, state.problems)}
      ${newCodes === null ? "" : notice("warn", html`<h2>${s.codesTitle}</h2><p>${s.codesLead}</p>${code(newCodes.join("\n"))}<p><a href="/security">${s.codesKept}</a></p>`)}
      ${card(s.sessions, sessionsCard(view, content))}
      ${card(s.totp, totpCard(view, content, state), { id: "totp" })}
      ${card(s.passkeys, passkeysCard(view, content.passkeys), { id: "passkeys" })}
      ${card(s.password, passwordCard(view, content.hasPassword, state), { id: "password" })}
      ${card(s.secure, secureCard(view, content.isOwner), { id: "secure" })}
      ${card(s.acts, actsCard(view, content.acts))}`,
  });
}

function sessionsCard(view: PageView, { sessions, sessionId }: SecurityContent): Html {
  const s = view.t.security;
  const rows = sessions.map(({ id, browser, network, lastSeenAt, createdAt }) => [
    html`<span>${browser ?? s.unknown} ${id === sessionId ? pill("ok", s.thisOne) : ""}</span>`,
    network ?? s.unknown,
    time(view, lastSeenAt),
    time(view, createdAt),
    form(html`${hidden("id", id)}${button("end", s.end, "quiet", s.endLabel(browser ?? s.unknown))}`),
  ]);
  return html`${table(s.sessions, s.sessionHead, rows, view.t.common.nothingYet)}
    ${sessions.length < 2 ? "" : form(button("endOthers", s.endOthers, "quiet"))}`;
}

function totpCard(view: PageView, content: SecurityContent, state: State): Html {
  const s = view.t.security;
  const { totpSince, recoveryCodes, pending } = content;
  if (totpSince !== null) {
    return html`<p>${s.totpOn(time(view, totpSince))}. ${s.codesLeft(recoveryCodes)}.</p>
      ${recoveryCodes > FEW_CODES ? "" : notice("warn", s.codesFew)}
      ${form(button("removeTotp", s.removeTotp, "danger"))}`;
  }
  if (pending === null) return html`<p>${s.totpWhy}</p>${form(button("startTotp", s.totpStart))}`;
  return html`<p>${s.totpScan}</p>${raw(qrSvg(pending.uri, s.totpQr))}
    <p class="soft">${s.secret}</p>${code(pending.secret)}
    ${form(html`${codeField(view, state)}${actions(button("confirmTotp", s.confirm))}`)}
    ${form(button("startTotp", s.totpAgain, "quiet"))}`;
}

function passkeysCard(view: PageView, passkeys: readonly Passkey[]): Html {
  const s = view.t.security;
  const rows = passkeys.map(({ id, name, createdAt, lastUsedAt }) => [
    name,
    time(view, createdAt),
    time(view, lastUsedAt),
    form(html`${hidden("id", id)}${button("removePasskey", view.t.common.remove, "danger", s.removeLabel(name))}`),
  ]);
  return html`<p>${s.passkeysWhy}</p>${table(s.passkeys, s.passkeyHead, rows, s.noPasskeys)}
    ${passkeySlot(view, "passkey-add", "/security?done=saved", s.addPasskey)}`;
}

function passwordCard({ t }: PageView, hasPassword: boolean, state: State): Html {
  const s = t.security;
  return form(html`<p>${hasPassword ? s.passwordWhy : s.noPassword}</p>
    ${hasPassword ? passwordField("current", s.current, "current-password", state) : ""}
    ${passwordField("password", s.next, "new-password", state, s.nextHint)}
    ${actions(button("changePassword", hasPassword ? s.change : s.choose))}`);
}

function secureCard({ t }: PageView, isOwner: boolean): Html {
  const s = t.security;
  return html`<p>${s.secureWhy}</p><ul>${(isOwner ? s.secureOwner : s.secureUser).map((each) => html`<li>${each}</li>`)}</ul>
    <p>${s.secureStays}</p>${form(button("secure", s.secureNow, "danger"))}`;
}

function actsCard(view: PageView, acts: readonly SecurityAct[]): Html {
  const s = view.t.security;
  const rows = acts.map(({ at, action, subject }) => {
    const kind = subject?.startsWith("passkey ") ? `${action}.passkey` : action;
    return [time(view, at), s.act[kind] ?? s.act[action] ?? action];
  });
  return table(s.acts, s.actHead, rows, s.noActs);
}

export interface ProveContent {
  hasPassword: boolean;
  hasTotp: boolean;
  hasPasskey: boolean;
  next: string;
}

export function provePage(view: PageView, content: ProveContent, state: State): Html {
  const s = view.t.security;
  const { hasPassword, hasTotp, hasPasskey, next } = content;
  return frame(view, {
    title: s.proveTitle,
    lead: s.proveLead,
    narrow: true,
    islands: hasPasskey ? ["passkey.js"] : [],
    body: html`${errorSummary(view, state.problems)}
      ${
        hasPassword
          ? form(html`${passwordField("password", s.password, "current-password", state)}
              ${hasTotp ? codeField(view, state, s.codeHint) : ""}${actions(button("prove", s.prove))}`)
          : html`<p>${s.proveNoPassword} <a href="/forgot">${s.forgotten}</a></p>`
      }
      ${hasPasskey ? passkeySlot(view, "passkey-prove", next, s.provePasskey) : ""}`,
  });
}

/** Asks for the address of an account to secure, for who cannot sign in. */
export function reportPage(view: PageView, sent: boolean, state: State): Html {
  const s = view.t.security;
  return frame(view, {
    title: s.reportTitle,
    narrow: true,
    body: sent
      ? notice("ok", s.reportSent)
      : html`<p class="lead">${s.reportLead}</p>${errorSummary(view, state.problems)}
          ${form(html`${field({ name: "email", label: s.email, type: "email", autocomplete: "username", inputmode: "email" }, state)}
            ${actions(button("send", s.reportSend))}`)}`,
  });
}

/** The one button behind a mailed link. */
export function secureLinkPage(view: PageView, done: boolean): Html {
  const s = view.t.security;
  return frame(view, {
    title: s.secure,
    narrow: true,
    body: done
      ? html`${notice("ok", s.linkDone)}<p><a href="/login">${view.t.common.signIn}</a></p>`
      : html`<p class="lead">${s.linkLead}</p>${form(button("secure", s.secureNow, "danger"))}`,
  });
}
