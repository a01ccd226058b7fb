import type { Log, LogFields } from "../context.ts";

/** Errors whose message is written by the engine about code, and holds no data of anybody. */
const PLAIN = new Set(["TypeError", "RangeError", "ReferenceError", "LibsqlError", "AppError", "CodecError"]);

/**
 * An error as fields that are safe to keep: its kind, its code and where it arose. The message only of errors that
 * cannot quote data: drizzle's repeats the arguments of the statement, JSON's a piece of the body.
 */
export function describeError(error: unknown): LogFields {
  let root = error;
  for (let depth = 0; depth < 5 && root instanceof Error && root.cause instanceof Error; depth++) root = root.cause;
  if (!(root instanceof Error)) return { error: typeof root };
  const { code } = root as { code?: unknown };
  const at = root.stack?.split("\n").filter((line) => /^\s+at /.test(line));
  return {
    error: root.name,
    code: typeof code === "string" ? code : undefined,
    message: PLAIN.has(root.name) ? root.message : undefined,
    at: at?.slice(0, 6).join(" ").replace(/\s+/g, " ").trim() || undefined,
  };
}

/** One JSON line for each event, on the console of the platform. */
export function consoleLog(now: () => number): Log {
  const line = (level: string, event: string, fields: LogFields) =>
    JSON.stringify({ time: new Date(now()).toISOString(), level, event, ...fields });
  return {
    info: (event, fields = {}) => console.log(line("info", event, fields)),
    warn: (event, fields = {}) => console.warn(line("warn", event, fields)),
    error: (event, fields = {}, cause) =>
      console.error(line("error", event, cause === undefined ? fields : { ...fields, ...describeError(cause) })),
  };
}
