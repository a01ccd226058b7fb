/** What can go wrong at the edge, and the HTTP status and RFC 9457 title that a client sees for it. */
export const ERRORS = {
  invalid: { status: 400, title: "The request is not valid" },
  unauthenticated: { status: 401, title: "Credentials are missing or not valid" },
  step_up_required: { status: 401, title: "Prove again who you are" },
  forbidden: { status: 403, title: "These credentials do not allow this" },
  acceptance_required: { status: 403, title: "A new version of the statement waits for your acceptance" },
  suspended: { status: 403, title: "This account is suspended or closing, or this is suspended in it" },
  not_found: { status: 404, title: "Not found" },
  confirmation_required: { status: 409, title: "This deletes something: look at what, then confirm it" },
  conflict: { status: 409, title: "This conflicts with what is stored" },
  gone: { status: 410, title: "This is too old to go on from" },
  sealed: { status: 409, title: "Sealed to the account's own key" },
  too_large: { status: 413, title: "The request is too large" },
  pan_not_accepted: { status: 422, title: "Card numbers are never stored" },
  rate_limited: { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "Internal error" },
  unavailable: { status: 503, title: "The service cannot answer now" },
} as const;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetail {
  /** The field at fault, as the client wrote it: `imei`, `arguments.speedKmh`, `cursor`. */
  field?: string;
  /** After how many seconds a retry can succeed (`Retry-After`). */
  retryAfterS?: number;
  /** What the client needs to know beside the sentence: further members of the problem. */
  more?: Readonly<Record<string, unknown>>;
  /** The error behind this one. Logged, never sent. */
  cause?: unknown;
}

/** An error that a client may see: its message says what is wrong in the client's own terms, with no full stop. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly retryAfterS: number | undefined;
  readonly more: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "AppError";
    this.code = code;
    this.field = detail.field;
    this.retryAfterS = detail.retryAfterS;
    this.more = detail.more ?? {};
  }

  get status(): (typeof ERRORS)[ErrorCode]["status"] {
    return ERRORS[this.code].status;
  }
}
