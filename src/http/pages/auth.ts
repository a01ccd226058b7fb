import * as v from "valibot";
import { brandTextsFor } from "../../brands.ts";
import type { Ctx } from "../../context.ts";
import { type AcceptedDocument, currentDocuments, LEGAL_KINDS } from "../../documents.ts";
import { AppError } from "../../errors.ts";
import { signOut } from "../../sessions.ts";
import { askForReset, resetPassword, resettingOf, type SignedIn, signIn, signInSecond } from "../../signin.ts";
import { join, joiningOf, signUp } from "../../signup.ts";
import { readToken } from "../../tokens.ts";
import {
  checkMailPage,
  confirmPage,
  forgotPage,
  invitePage,
  loginPage,
  logoutPage,
  resetPage,
  secondPage,
  signUpPage,
} from "../../web/auth.ts";
import type { PageView } from "../../web/frame.ts";
import { brandLinks } from "../../web/legal.ts";
import {
  cookieOf,
  noSessionCookie,
  noSignInCookie,
  SIGN_IN_COOKIE,
  safeNext,
  sessionCookie,
  signInCookie,
} from "../browser.ts";
import { page, typed, typedOrNull } from "../page.ts";
import { type Form, type Route, route } from "../route.ts";

/** The token of a link: random, so it may stand in a path. */
const TokenPath = v.object({ token: v.pipe(v.string(), v.regex(/^[\w-]{20,100}$/)) });

/** What a rule refuses, at the field of the page's form. */
async function atField<T>(view: PageView, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, field, message } = error;
    if (code === "unauthenticated") throw new AppError("invalid", message, { field: "password" });
    if (field !== "accept") throw error;
    const words = code === "invalid" ? view.t.auth.problems.accept : message;
    throw new AppError(code, words, { field: "accept_privacy" });
  }
}

/** The texts whose boxes were ticked, exactly as they were shown. */
function accepted(view: PageView, form: Form): AcceptedDocument[] {
  const shown = [
    ...typed(form, "sha256").matchAll(/(?<=^| )(privacy|terms):(\d{1,9}):([a-z-]{2,10}):([0-9a-f]{64})(?= |$)/g),
  ];
  return shown.map(([, kind, version, language, sha256]) => {
    const field = `accept_${kind}`;
    if (typed(form, field) === "") throw new AppError("invalid", view.t.auth.problems.accept, { field });
    return { kind: kind as AcceptedDocument["kind"], version: Number(version), language: language!, sha256: sha256! };
  });
}

const documentsFor = async (ctx: Ctx, view: PageView) =>
  (await currentDocuments(ctx, view.language)).filter(({ kind }) => LEGAL_KINDS.includes(kind));

const brandTextsOn = async (ctx: Ctx, view: PageView) =>
  brandLinks(view, await brandTextsFor(ctx, view.brand.id, view.language));

/** On with a new session, whatever cookie the browser had before. */
const entered = (ctx: Ctx, { opened }: Pick<SignedIn, "opened">, next: string | undefined) => ({
  to: safeNext(next),
  cookie: [sessionCookie(opened.cookie, opened.session.expiresAt - ctx.now()), noSignInCookie()],
});

export const AUTH_PAGES: readonly Route[] = [
  route({
    method: "GET",
    path: "/",
    access: "person",
    tag: "Pages",
    page: true,
    summary: "The first page of whoever is signed in",
    query: v.strictObject({ lang: v.optional(v.string()) }),
    answers: { 303: { description: "Their devices, or the administration" } },
    handle: ({ ctx }) =>
      new Response(null, {
        status: 303,
        headers: { Location: ctx.principal.kind === "staff" ? "/admin" : "/devices" },
      }),
  }),
  ...page({
    path: "/signup",
    access: "public",
    summary: "Create an account",
    show: async ({ ctx, view, form, problems, result }) =>
      typeof result === "string"
        ? checkMailPage(view, view.t.auth.checkSignUp(result))
        : signUpPage(view, { brandLinks: await brandTextsOn(ctx, view) }, { form, problems }),
    acts: {
      signUp: async ({ ctx, view, form }) => {
        const email = typed(form, "email");
        const given = { email, name: typedOrNull(form, "name"), mobile: typedOrNull(form, "mobile") };
        await atField(view, signUp(ctx, { ...given, language: view.language }));
        return { show: email.trim() };
      },
    },
  }),
  ...page({
    path: "/confirm/{token}",
    access: "public",
    summary: "Confirm an address",
    params: TokenPath,
    find: (ctx, { token }) => joiningOf(ctx, "signup", token),
    show: async ({ ctx, view, object, form, problems }) => {
      const content = {
        email: object.user.email,
        documents: await documentsFor(ctx, view),
        brandLinks: await brandTextsOn(ctx, view),
      };
      return confirmPage(view, content, { form, problems });
    },
    acts: {
      confirm: async ({ ctx, view, params, form }) => {
        const { token } = params;
        const password = typed(form, "password");
        const accept = accepted(view, form);
        return entered(ctx, await atField(view, join(ctx, "signup", { token, password, accept })), undefined);
      },
    },
  }),
  ...page({
    path: "/invite/{token}",
    access: "public",
    summary: "Join an account",
    params: TokenPath,
    find: (ctx, { token }) => joiningOf(ctx, "invite", token),
    show: async ({ ctx, view, object, form, problems }) => {
      const { user, account, accepts } = object;
      const documents = accepts ? await documentsFor(ctx, view) : [];
      const content = {
        email: user.email,
        name: user.name,
        account,
        documents,
        brandLinks: await brandTextsOn(ctx, view),
      };
      return invitePage(view, content, { form, problems });
    },
    acts: {
      join: async ({ ctx, view, params, form }) => {
        const given = { token: params.token, name: typedOrNull(form, "name"), password: typed(form, "password") };
        const accept = accepted(view, form);
        return entered(ctx, await atField(view, join(ctx, "invite", { ...given, accept })), undefined);
      },
    },
  }),
  ...page({
    path: "/login",
    access: "public",
    summary: "Sign in",
    show: async ({ ctx, view, query, form, problems }) => {
      const content = { done: query.done, next: safeNext(query.next), brandLinks: await brandTextsOn(ctx, view) };
      return loginPage(view, content, { form, problems });
    },
    acts: {
      signIn: async ({ ctx, view, query, form }) => {
        const given = { email: typed(form, "email"), password: typed(form, "password") };
        const outcome = await atField(view, signIn(ctx, given));
        if ("opened" in outcome) return entered(ctx, outcome, query.next);
        const next = safeNext(query.next);
        return {
          to: `/login/second${next === "/" ? "" : `?next=${encodeURIComponent(next)}`}`,
          cookie: signInCookie(outcome.pending),
        };
      },
    },
  }),
  ...page({
    path: "/login/second",
    access: "public",
    summary: "The second step of a sign-in",
    show: async ({ c, ctx, view, form, problems }) => {
      const waiting = (await readToken(ctx, "sign_in", cookieOf(c, SIGN_IN_COOKIE) ?? "")) !== null;
      return secondPage(view, { waiting }, { form, problems });
    },
    acts: {
      second: async ({ c, ctx, view, query, form }) => {
        const given = { token: cookieOf(c, SIGN_IN_COOKIE) ?? "", code: typed(form, "code") };
        return entered(ctx, await atField(view, signInSecond(ctx, given)), query.next);
      },
    },
  }),
  ...page({
    path: "/logout",
    access: "person",
    summary: "Sign out",
    right: true,
    show: ({ view, form, problems }) => logoutPage(view, { form, problems }),
    acts: {
      signOut: async ({ ctx }) => {
        await signOut(ctx);
        return { to: "/login?done=signedOut", cookie: noSessionCookie() };
      },
    },
  }),
  ...page({
    path: "/forgot",
    access: "public",
    summary: "Ask for a link to choose a new password",
    show: ({ view, form, problems, result }) =>
      typeof result === "string"
        ? checkMailPage(view, view.t.auth.checkReset(result))
        : forgotPage(view, { form, problems }),
    acts: {
      forgot: async ({ ctx, view, form }) => {
        const email = typed(form, "email");
        await atField(view, askForReset(ctx, email));
        return { show: email.trim() };
      },
    },
  }),
  ...page({
    path: "/reset/{token}",
    access: "public",
    summary: "Choose a new password",
    params: TokenPath,
    find: (ctx, { token }) => resettingOf(ctx, token),
    show: ({ view, object, form, problems }) => resetPage(view, { email: object.email }, { form, problems }),
    acts: {
      reset: async ({ ctx, view, params, form }) => {
        await atField(view, resetPassword(ctx, { token: params.token, password: typed(form, "password") }));
        return "/login?done=passwordReset";
      },
    },
  }),
];
