export type LogLevel = "info" | "warn" | "error";

/** Values are ids, counts and codes: never an IMEI, a coordinate, an address or a token. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;

/** One JSON object a line. */
export function jsonLog(write: (line: string) => void, now: () => number): Log {
  return (level, message, fields = {}) => {
    write(`${JSON.stringify({ time: new Date(now()).toISOString(), level, message, ...fields })}\n`);
  };
}

export const noLog: Log = () => {};
