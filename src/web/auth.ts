import { html } from "hono/html";
import type { LegalDocument } from "../documents.ts";
import type { Form } from "../http/route.ts";
import { lossOf } from "../requirements.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, checkbox, errorSummary, field, form, hidden, notice } from "./parts.ts";
import type { FormProblem } from "./problems.ts";

// The pages of people who are not signed in yet. One question a screen.

/** What a page with a form shows again. */
interface State {
  form: Form;
  problems: readonly FormProblem[];
}

const emailField = (view: PageView, state: State, hint?: string) =>
  field(
    {
      name: "email",
      label: view.t.auth.email,
      type: "email",
      autocomplete: "username",
      inputmode: "email",
      ...(hint !== undefined && { hint }),
    },
    state,
  );

const newPassword = ({ t }: PageView, state: State) =>
  field(
    {
      name: "password",
      label: t.auth.newPassword,
      type: "password",
      hint: t.auth.passwordHint,
      autocomplete: "new-password",
    },
    state,
  );

/** The address, out of sight: a password manager keeps the password under it. */
const forManagers = (email: string) =>
  html`<input class="hide" type="text" name="username" value="${email}" autocomplete="username" tabindex="-1" aria-hidden="true" readonly>`;

const actions = (...content: unknown[]) => html`<div class="actions">${content}</div>`;

export function signUpPage(view: PageView, content: { brandLinks: unknown }, state: State): Html {
  const { t } = view;
  return frame(view, {
    title: t.auth.signUpTitle,
    lead: t.auth.signUpLead,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`${emailField(view, state, t.auth.emailHint)}
        ${field({ name: "name", label: t.auth.name, optional: t.common.optional, hint: lossOf("name", t), autocomplete: "name" }, state)}
        ${field(
          {
            name: "mobile",
            label: t.auth.mobile,
            type: "tel",
            optional: t.common.optional,
            hint: html`${lossOf("mobile", t)} ${t.auth.mobileHint}`,
            autocomplete: "tel",
          },
          state,
        )}
        ${actions(button("signUp", t.auth.sendLink))}`)}
      <p>${t.auth.haveAccount} <a href="/login">${t.common.signIn}</a></p>
      ${content.brandLinks}`,
  });
}

/** What follows a request for a link, whatever the address is. */
export function checkMailPage(view: PageView, said: string): Html {
  const { t } = view;
  return frame(view, {
    title: t.auth.checkTitle,
    narrow: true,
    body: html`<p>${said}</p><p>${t.auth.checkLater}</p><p><a href="${view.path}">${t.auth.again}</a></p>`,
  });
}

/** A box for each text, never ticked beforehand, and what exactly was shown. */
function acceptance(view: PageView, documents: readonly LegalDocument[], state: State): Html | string {
  const { t } = view;
  if (documents.length === 0) return "";
  return html`<h2>${t.auth.readAndAccept}</h2>
    ${documents.map(({ kind, version, language, title, sha256 }) => {
      const href = `/legal/${kind}/${version}${language === view.language ? "" : `?lang=${language}`}`;
      return html`<p><a href="${href}" target="_blank">${t.auth.read(title)}</a></p>
        ${checkbox({ name: `accept_${kind}`, label: t.auth.accept(title, version) }, state)}
        ${hidden("sha256", `${kind}:${version}:${language}:${sha256}`)}`;
    })}`;
}

interface JoinContent {
  email: string;
  documents: readonly LegalDocument[];
  /** The brand's own texts, which stand beside ours. */
  brandLinks: unknown;
}

export function confirmPage(view: PageView, content: JoinContent, state: State): Html {
  const { t } = view;
  return frame(view, {
    title: t.auth.confirmTitle,
    lead: t.auth.confirmLead(content.email),
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`${forManagers(content.email)}${newPassword(view, state)}
        ${acceptance(view, content.documents, state)}${content.brandLinks}
        ${actions(button("confirm", t.auth.confirm))}`)}`,
  });
}

export function invitePage(
  view: PageView,
  content: JoinContent & { account: string | null; name: string | null },
  state: State,
): Html {
  const { t } = view;
  const { email, account, name } = content;
  return frame(view, {
    title: t.auth.inviteTitle,
    lead: t.auth.inviteLead(email, account),
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`${forManagers(email)}
        ${field({ name: "name", label: t.auth.name, value: name, optional: t.common.optional, hint: lossOf("name", t), autocomplete: "name" }, state)}
        ${newPassword(view, state)}${acceptance(view, content.documents, state)}${content.brandLinks}
        ${actions(button("join", t.auth.join))}`)}`,
  });
}

export function loginPage(
  view: PageView,
  content: { done: string | undefined; next: string; brandLinks: unknown },
  state: State,
): Html {
  const { t } = view;
  return frame(view, {
    title: t.auth.loginTitle,
    lead: t.auth.loginLead,
    narrow: true,
    done: content.done,
    islands: ["passkey.js"],
    body: html`${view.keepsSession ? "" : notice("warn", t.auth.plainHttp)}${errorSummary(view, state.problems)}
      ${form(html`${emailField(view, state)}
        ${field({ name: "password", label: t.auth.password, type: "password", autocomplete: "current-password" }, state)}
        ${actions(button("signIn", t.common.signIn), html`<a href="/forgot">${t.auth.forgotten}</a>`)}`)}
      <div id="passkey-sign-in" hidden data-next="${content.next}" data-failed="${t.security.passkeyFailed}"><p class="actions"><button type="button" class="quiet">${t.auth.withPasskey}</button></p></div>
      <p>${t.auth.noAccount} <a href="/signup">${t.common.signUp}</a></p>
      ${content.brandLinks}`,
  });
}

export function secondPage(view: PageView, content: { waiting: boolean }, state: State): Html {
  const { t } = view;
  return frame(view, {
    title: t.auth.secondTitle,
    ...(content.waiting && { lead: t.auth.secondLead }),
    narrow: true,
    body: content.waiting
      ? html`${errorSummary(view, state.problems)}
        ${form(html`${field({ name: "code", label: t.auth.code, hint: t.auth.codeHint, autocomplete: "one-time-code" }, state)}
          ${actions(button("second", t.auth.goOn))}`)}`
      : html`<p>${t.auth.secondOver}</p><p class="actions"><a class="button" href="/login">${t.auth.beginAgain}</a></p>`,
  });
}

export function forgotPage(view: PageView, state: State): Html {
  const { t } = view;
  return frame(view, {
    title: t.auth.forgotTitle,
    lead: t.auth.forgotLead,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`${emailField(view, state)}${actions(button("forgot", t.auth.sendLink))}`)}
      <p><a href="/login">${t.common.back}</a></p>`,
  });
}

export function resetPage(view: PageView, content: { email: string }, state: State): Html {
  const { t } = view;
  return frame(view, {
    title: t.auth.resetTitle,
    lead: t.auth.resetLead(content.email),
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`${forManagers(content.email)}${newPassword(view, state)}${actions(button("reset", t.auth.resetButton))}`)}`,
  });
}

export function logoutPage(view: PageView, state: State): Html {
  const { t } = view;
  return frame(view, {
    title: t.auth.logoutTitle,
    lead: t.auth.logoutLead,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(actions(button("signOut", t.common.signOut), html`<a href="/">${t.common.back}</a>`))}`,
  });
}
