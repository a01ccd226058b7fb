import type { Context } from "hono";
import type * as v from "valibot";
import type { Access } from "../access.ts";
import type { Base, Ctx } from "../context.ts";
import type { ErrorCode } from "../errors.ts";
import type { PageView } from "../web/frame.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** What Hono carries: our own Base as its env, and what one request collects for its log line. */
export interface Env {
  Bindings: Base;
  /** `headers` go on whatever the response becomes */
  Variables: {
    requestId: string;
    route: string;
    headers: Record<string, string>;
    /** set while a page is served: its errors are pages too */
    page: PageView | null;
  };
}

type Schema = v.GenericSchema;
type Out<S> = S extends Schema ? v.InferOutput<S> : undefined;

/** The fields of a form as they were typed; a file is the whole of it. */
export type Form = Record<string, string | { type: string; bytes: Uint8Array }>;

/** What a handler gets: everything is authenticated, found, allowed and valid by then. */
export interface Call<P, Q, B, O> {
  c: Context<Env>;
  ctx: Ctx;
  params: P;
  query: Q;
  body: B;
  /** of a page */
  form: Form;
  /** what `find` found */
  object: O;
}

/** One answer of a route for the OpenAPI document: a JSON schema, or the media types of something else. */
export interface Answer {
  description: string;
  schema?: Schema;
  /** media types beside or instead of application/json; null: a body that no schema describes */
  media?: Record<string, Schema | null>;
  headers?: readonly ("Location" | "ETag" | "Content-Disposition")[];
}

interface Definition<P, Q, B, O> {
  method: Method;
  /** in OpenAPI's notation: /v1/devices/{id} */
  path: string;
  /** who may call it; there is no default, so a route without a declared access does not compile */
  access: Access;
  tag: string;
  summary: string;
  description?: string;
  params?: P;
  query?: Q;
  /** JSON body */
  body?: B;
  /** Of a JSON body that may be larger than others. */
  jsonBytes?: number;
  /** binary body; the handler reads it within the limit */
  binary?: { mediaType: string; maxBytes: number; description: string };
  /** A page for people: it asks for sign-in instead of a token, and its errors are pages. Not in the OpenAPI document. */
  page?: true;
  /** Body of a page's form. */
  form?: true;
  /**
   * A right of the person (read, export, correct, erase, accept, leave): open in every standing of the account, also
   * where the access is one that changes something.
   */
  right?: true;
  /** A dangerous act: a person must have proved lately who they are. */
  stepUp?: true;
  /** Says first what it deletes (409), and does it when that is confirmed. */
  confirmed?: true;
  /** Honours Idempotency-Key. Never where the answer shows a secret: the answer is kept. */
  idempotent?: true;
  /** Refuses what is sealed to the account's own key, and can be no file, or nobody's but the customer's to see. */
  refusesSealed?: true;
  /** Answers with an ETag: 304 on GET, 412 on PATCH and DELETE. */
  etag?: true;
  /** Errors that it answers with beside those that its other fields say. */
  problems?: readonly ErrorCode[];
  /** Not counted against a rate limit. */
  unlimited?: true;
  /**
   * Loads the object that the path names, for this caller's account. Runs before the scope and the input are looked at,
   * so that another account's object is 404 whatever else is wrong with the request.
   * @throws {AppError} not_found
   */
  find?: (ctx: Ctx, params: Out<P>) => Promise<O>;
  /**
   * What the handler reads finds the object too, or says not_found, so that it is not looked up twice: `find` runs only
   * when the request is refused, and comes first then. The handler gets no object.
   */
  findsItself?: true;
  answers: Record<number, Answer>;
  handle: (call: Call<Out<P>, Out<Q>, Out<B>, O>) => Response | Promise<Response>;
}

/** A route with its types forgotten, as app.ts registers it and openapi.ts describes it. */
export type Route = Definition<Schema | undefined, Schema | undefined, Schema | undefined, unknown>;

/** Declares a route. Only what is declared so is registered: app.ts knows no other way. */
export function route<
  P extends Schema | undefined = undefined,
  Q extends Schema | undefined = undefined,
  B extends Schema | undefined = undefined,
  O = undefined,
>(definition: Definition<P, Q, B, O>): Route {
  return definition as unknown as Route;
}
