import type { Context } from "hono";
import * as v from "valibot";
import type { Access } from "../access.ts";
import { requireNoCardNumbers } from "../card-numbers.ts";
import type { Ctx } from "../context.ts";
import { AppError } from "../errors.ts";
import { LANGUAGES } from "../text/index.ts";
import { firstAt } from "../time-zones.ts";
import { errorPage, type Html, type PageView } from "../web/frame.ts";
import { HERE } from "../web/parts.ts";
import { type FormProblem, labelled, problemOf, wordsOf } from "../web/problems.ts";
import { languageCookie, noSessionCookie, sessionCookieOf } from "./browser.ts";
import { HttpError, PROBLEMS, problem } from "./errors.ts";
import { type Call, type Env, type Form, type Route, route } from "./route.ts";
import { requireWholeTexts } from "./validate.ts";

type Schema = v.GenericSchema;
type Out<S> = S extends Schema ? v.InferOutput<S> : undefined;

export interface PageCall<P, Q, O> extends Pick<Call<P, Q, undefined, O>, "c" | "params" | "query" | "object"> {
  ctx: Ctx;
  view: PageView;
  /** what was typed, when the form is shown again; empty at first */
  form: Form;
  problems: readonly FormProblem[];
  /** what a page shows once after its act: an action's own result, such as a new key */
  result: unknown;
}

/** Where to go after an act, a result to show on the page itself, or a file. */
export type Outcome = string | { to: string; cookie?: string | readonly string[] } | { show: unknown } | Response;

interface PageDefinition<P, Q, O> {
  path: string;
  access: Access;
  summary: string;
  params?: P;
  /** Beside `lang`, `done` and `next`, which every page takes. */
  query?: Record<string, Schema>;
  find?: (ctx: Ctx, params: Out<P>) => Promise<O>;
  show: (call: PageCall<Out<P>, Q & PageQuery, O>) => Html | Promise<Html>;
  /**
   * What its forms do, by the name of the button (`<button name="act" value="...">`). An AppError shows the page again
   * with the message at the field that it names and everything that was typed.
   */
  acts?: Record<string, (call: PageCall<Out<P>, Q & PageQuery, O>) => Outcome | Promise<Outcome>>;
  /** The acts may also be done in every standing of the account. */
  right?: true;
  stepUp?: true;
}

export interface PageQuery {
  lang?: string | undefined;
  /** Key of a sentence that says what has just been done. */
  done?: string | undefined;
  next?: string | undefined;
}

const PAGE_QUERY = {
  lang: v.optional(v.picklist(Object.keys(LANGUAGES))),
  done: v.optional(v.pipe(v.string(), v.regex(/^[a-zA-Z]{1,40}$/))),
  next: v.optional(v.pipe(v.string(), v.maxLength(300))),
};

const CSP = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Sends a page. */
export function htmlResponse(c: Context<Env>, body: string, status = 200): Response {
  return c.html(body, status as 200, {
    "Content-Security-Policy": CSP,
    // With no-referrer browsers would hide from us, too, that a form comes from our own page.
    "Referrer-Policy": "same-origin",
  });
}

/** Declares a page: the route that shows it and, where it has acts, the one that takes its forms. */
export function page<P extends Schema | undefined = undefined, Q = object, O = undefined>(
  definition: PageDefinition<P, Q, O>,
): readonly Route[] {
  const { path, access, summary, params, find, show, acts, right, stepUp } = definition;
  const query = v.strictObject({ ...PAGE_QUERY, ...definition.query });
  const common = {
    path,
    access,
    tag: "Pages",
    page: true,
    ...(params && { params }),
    ...(find && { find }),
    query,
  } as const;
  type Shown = { form?: Form; problems?: FormProblem[]; result?: unknown };
  const callOf = (call: Call<Out<P>, unknown, undefined, O>, { form = {}, problems = [], result = null }: Shown) => {
    const { c, ctx, params, object } = call;
    return { c, ctx, view: viewIn(c), params, query: call.query as Q & PageQuery, object, form, problems, result };
  };
  const render = async (call: Call<Out<P>, unknown, undefined, O>, shown: Shown, status = 200) => {
    const { c } = call;
    const body = String(await show(callOf(call, shown))).replaceAll(HERE, () => hereOf(c.req.url));
    const whole = (shown.problems ?? []).reduce((text, { field }) => labelled(text, field), body);
    return htmlResponse(c, whole, status);
  };
  const shown = route({
    ...common,
    method: "GET",
    summary,
    ...(stepUp && { stepUp }),
    answers: { 200: { description: "The page", media: { "text/html": null } } },
    handle: async (call) => {
      const { lang } = call.query as PageQuery;
      const response = await render(call as never, {});
      if (lang !== undefined) response.headers.append("Set-Cookie", languageCookie(lang));
      return response;
    },
  });
  if (acts === undefined) return [shown];
  const taken = route({
    ...common,
    method: "POST",
    summary: `${summary}: its forms`,
    form: true,
    ...(right && { right }),
    ...(stepUp && { stepUp }),
    answers: {
      303: { description: "Done; the page to go on to" },
      200: { description: "Done; the page with what came of it", media: { "text/html": null } },
      400: { description: "The page with what to mend", media: { "text/html": null } },
    },
    handle: async (call) => {
      const { c, form } = call;
      const name = typed(form, "act");
      const act = Object.hasOwn(acts, name) ? acts[name] : undefined;
      try {
        if (act === undefined) throw new AppError("invalid", "This form is not known here");
        requireWholeTexts(form);
        requireNoCardNumbers(form);
        const outcome = await act(callOf(call as never, { form }));
        if (outcome instanceof Response) return outcome;
        if (typeof outcome === "object" && "show" in outcome)
          return await render(call as never, { result: outcome.show });
        const { to, cookie } = typeof outcome === "string" ? { to: outcome, cookie: undefined } : outcome;
        const headers = new Headers({ Location: to });
        for (const each of [cookie ?? []].flat()) headers.append("Set-Cookie", each);
        return new Response(null, { status: 303, headers });
      } catch (error) {
        if (!(error instanceof AppError) || ELSEWHERE.has(error.code)) throw error;
        const problems = [problemOf(viewIn(c).t, error)];
        const response = await render(call as never, { form, problems }, error.status);
        if (error.retryAfterS !== undefined) response.headers.set("Retry-After", String(error.retryAfterS));
        return response;
      }
    },
  });
  return [shown, taken] as readonly Route[];
}

/** Where the forms of a page go: its own address, without what had been done before. */
function hereOf(url: string): string {
  const { pathname, searchParams } = new URL(url);
  searchParams.delete("done");
  const query = searchParams.toString();
  return `${pathname}${query && `?${query}`}`.replaceAll("&", "&amp;");
}

/** Errors that are no news about the form: they are a page, or a way, of their own. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  "unauthenticated",
  "step_up_required",
  "acceptance_required",
  "suspended",
  "internal",
  "unavailable",
]);

function viewIn(c: Context<Env>): PageView {
  const view = c.var.page;
  if (view === null) throw new Error("A page has no view");
  return view;
}

/** What a person sees in place of a problem: the way to sign in or to prove who they are, or a page that says what is wrong. */
export async function pageProblem(error: unknown, c: Context<Env>, view: PageView): Promise<Response> {
  const answer = problem(error, c);
  const code = error instanceof AppError || error instanceof HttpError ? error.code : "internal";
  const here = new URL(c.req.url).pathname;
  const next = c.req.method === "GET" && here !== "/" ? `?next=${encodeURIComponent(here)}` : "";
  const ways: Record<string, string> = {
    unauthenticated: `/login${next}`,
    step_up_required: `/prove?next=${encodeURIComponent(here)}`,
    acceptance_required: "/accept",
  };
  const to = ways[code];
  if (to !== undefined) {
    const headers = new Headers({ Location: to });
    if (code === "unauthenticated" && sessionCookieOf(c) !== undefined) headers.append("Set-Cookie", noSessionCookie());
    return new Response(null, { status: 303, headers });
  }
  const { detail, field = "" } = (await answer.json()) as { detail: string; field?: string };
  const status = PROBLEMS[code].status;
  const words = error instanceof AppError ? wordsOf(view.t, error) : undefined;
  // Outside of a form nobody reads English who did not choose it: the title says what is the matter.
  const said = words ?? (view.language === "en" ? detail : "");
  const body = String(await errorPage(view, { status, detail: said, requestId: c.var.requestId }));
  const response = htmlResponse(c, labelled(body, field), status);
  const retry = answer.headers.get("retry-after");
  if (retry !== null) response.headers.set("Retry-After", retry);
  return response;
}

/** A field of a form as text, "" when it is not there. */
export const typed = (form: Form, name: string): string => (typeof form[name] === "string" ? form[name] : "");
/** The same, null when nothing was typed. */
export const typedOrNull = (form: Form, name: string): string | null => typed(form, name).trim() || null;
/** Numbers of boxes that were ticked. */
export const tickedIds = (form: Form, name: string): number[] =>
  typed(form, name)
    .split(" ")
    .filter((id) => /^[1-9]\d{0,15}$/.test(id))
    .map(Number);
/** A day and a time that were chosen in a zone, Unix ms. @throws {AppError} invalid, naming the field */
export function typedTime(form: Form, name: string, timeZone: string): number {
  const text = typed(form, name);
  const wall = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(text) ? Date.parse(`${text}Z`) : Number.NaN;
  if (Number.isNaN(wall)) throw new AppError("invalid", `${name} must be a day and a time`, { field: name });
  return firstAt(timeZone, wall);
}
