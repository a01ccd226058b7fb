import type { Context } from "hono";
import { AppError, ERRORS } from "../errors.ts";
import type { Env } from "./route.ts";

/** What only HTTP can get wrong, beside the codes that rules throw. */
const HTTP_ERRORS = {
  method_not_allowed: { status: 405, title: "This path does not know this method" },
  precondition_failed: { status: 412, title: "It is not as you expected it" },
} as const;

/** Every code a problem can have, with its status and title; /docs lists them. */
export const PROBLEMS = { ...ERRORS, ...HTTP_ERRORS };
export type ProblemCode = keyof typeof PROBLEMS;

export class HttpError extends Error {
  readonly code: keyof typeof HTTP_ERRORS;
  /** Response headers that belong to this error, such as Allow. */
  readonly headers: Record<string, string>;

  constructor(code: keyof typeof HTTP_ERRORS, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.name = "HttpError";
    this.code = code;
    this.headers = headers;
  }
}

/**
 * The one place where an error becomes a response: RFC 9457. An error that isn't ours is logged with its cause; the
 * client gets the code and the request id, nothing else.
 */
export function problem(error: unknown, c: Context<Env>): Response {
  const known = error instanceof AppError || error instanceof HttpError ? error : translate(error);
  const { status, title } = PROBLEMS[known.code];
  const { requestId, route } = c.var;
  if (status >= 500) c.env.log.error("request.failed", { requestId, route }, withoutValues(known.cause ?? known));
  const headers: Record<string, string> = { "Content-Type": "application/problem+json" };
  if (known instanceof HttpError) Object.assign(headers, known.headers);
  else if (known.retryAfterS !== undefined) headers["Retry-After"] = String(known.retryAfterS);
  if (status === 401) headers["WWW-Authenticate"] = 'Bearer realm="ephemeris"';
  const origin = c.env.config.publicUrl ?? new URL(c.req.url).origin;
  const { field, more = {} } = known instanceof AppError ? known : {};
  const body = {
    type: `${origin}/docs#${known.code}`,
    title,
    status,
    detail: known.message,
    code: known.code,
    requestId,
    ...(field === undefined ? {} : { field }),
    ...more,
  };
  return new Response(JSON.stringify(body), { status, headers });
}

/** drizzle puts the values of a statement into its error, and with them IMEIs into the log: its cause has none. */
function withoutValues(error: unknown): unknown {
  return error instanceof Error && "params" in error ? (error.cause ?? new Error("A query failed")) : error;
}

/** What libsql and the network under it say when the database is busy or cannot be reached: a later try may succeed. */
const UNREACHABLE = {
  code: /^(SQLITE_BUSY|SQLITE_LOCKED|HRANA_CLOSED|HRANA_WEBSOCKET|SERVER_ERROR|ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|UND_ERR)/,
  message: /^(fetch failed|Network connection lost|error sending request|internal error; reference)/i,
};

function translate(error: unknown): AppError {
  let cause: unknown = error;
  for (let depth = 0; cause instanceof Error && depth < 5; depth++) {
    const { code } = cause as { code?: unknown };
    if ((typeof code === "string" && UNREACHABLE.code.test(code)) || UNREACHABLE.message.test(cause.message)) {
      return new AppError("unavailable", "The database does not answer; try again", { retryAfterS: 2, cause: error });
    }
    cause = cause.cause;
  }
  return new AppError("internal", "Something went wrong here; the request id helps to find it", { cause: error });
}
